/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Registering, changing and retiring devices: what REST's administration does. */
#include "core/core-admin.h"
#include "core/device/device.h"
#include "dbus/dbus-private.h"
#include "http/routes/device-wish.h"
#include <chargehost/json.h>

#include <string.h>

#define TEXT_MAX 16384
#define COMMENT_MAX 255

/* A JSON object; answers and gives NULL when it is something else. (transfer full) */
static json_t *read_object (GDBusMethodInvocation *invocation)
{
  const char *text;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&s)", &text);
  gsize size = strlen (text);
  json_t *object = size <= TEXT_MAX ? ch_json_parse (text, size, NULL) : NULL;
  if (json_is_object (object))
    return object;
  json_decref (object);
  ch_dbus_return_invalid (invocation, "a device is a JSON object of at most %d bytes",
                          TEXT_MAX);
  return NULL;
}

static gboolean read_wish (GDBusMethodInvocation *invocation, const json_t *object,
                           ChDeviceWish *wish)
{
  ChWishProblem problem;
  if (ch_device_wish_read (object, wish, &problem))
    return TRUE;
  ch_dbus_return_invalid (invocation, "invalid parameter %s (%s)", problem.field,
                          problem.rule);
  return FALSE;
}

/* @data: {"created","before","device"}; the answer is the device */
static void written (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  g_autoptr (ChDbusChange) change = user_data;
  const json_t *device = json_object_get (data, "device");
  if (error == NULL)
    ch_dbus_audit_change (change->dbus, change->invocation, change->object,
                          json_object_get (data, "before"), device);
  ch_dbus_return_json (self, error == NULL ? device : data, error, change->invocation);
}

void ch_dbus_register_device (ChDbus *dbus, GDBusMethodInvocation *invocation,
                              gpointer data)
{
  ChOrigin origin = {.by = "dbus"};
  ChDeviceWish wish;
  g_autoptr (json_t) object = read_object (invocation);
  if (object != NULL && read_wish (invocation, object, &wish))
    ch_core_register_device (dbus->self, &wish, &origin, written,
                             ch_dbus_change_new (dbus, invocation, wish.id));
}

void ch_dbus_change_device (ChDbus *dbus, ChDevice *device,
                            GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  ChDeviceWish wish;
  g_autoptr (json_t) object = read_object (invocation);
  if (object == NULL)
    return;
  json_object_set_new (object, "device_id", json_string (device->id));
  if (read_wish (invocation, object, &wish))
    ch_core_change_device (dbus->self, &wish, &origin, written,
                           ch_dbus_change_new (dbus, invocation, wish.id));
}

/* @data: {"deleted","before","device_id"} */
static void retired (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  g_autoptr (ChDbusChange) change = user_data;
  g_autoptr (json_t) shown = json_copy ((json_t *) (guintptr) data);
  json_object_del (shown, "before");
  if (error == NULL)
    ch_dbus_audit_change (change->dbus, change->invocation, change->object,
                          json_object_get (data, "before"), shown);
  ch_dbus_return_json (self, shown, error, change->invocation);
}

void ch_dbus_retire_device (ChDbus *dbus, ChDevice *device,
                            GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  ch_core_retire_device (dbus->self, device->id, &origin, retired,
                         ch_dbus_change_new (dbus, invocation, device->id));
}

void ch_dbus_stop_port (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  const char *comment;
  gint socket_no, port_no;
  guint wait_ms;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(ii&su)",
                 &socket_no, &port_no, &comment, &wait_ms);
  if (socket_no < 0 || socket_no > 250 || port_no < 0 || port_no > 15)
    ch_dbus_return_invalid (invocation, "socket_no must be 0 to 250, port_no 0 to 15");
  else if (strlen (comment) > COMMENT_MAX)
    ch_dbus_return_invalid (invocation, "comment must have at most 255 bytes");
  else
    ch_core_stop_port (dbus->self, device->id, socket_no, port_no, comment, &origin,
                       MIN (wait_ms, 10000), ch_dbus_changed,
                       ch_dbus_change_new (dbus, invocation, device->id));
}
