/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.chargehost.Device1 as a subtree: nothing is kept per device, objects are answered
 * when somebody calls. Fleets above 256 are not enumerated (a tree of 10,000 nodes would
 * cost the loop seconds), but every device is reached.
 */
#include "core/device.h"
#include "core/order.h"
#include "core/session.h"
#include "dbus/dbus-private.h"
#include <chargehost/json.h>

#include <string.h>

static ChDevice *device_of (ChDbus *dbus, const char *node)
{
  g_autofree char *id = node != NULL ? ch_dbus_unescape (node) : NULL;
  return id != NULL ? ch_device_find (dbus->services->core, id) : NULL;
}

static char **enumerate (GDBusConnection *connection, const char *sender,
                         const char *path, gpointer data)
{
  ChDbus *dbus = data;
  GHashTable *devices = dbus->services->core->devices;
  GStrvBuilder *nodes = g_strv_builder_new ();
  GHashTableIter iter;
  gpointer id;

  if (g_hash_table_size (devices) <= CH_DBUS_TREE_MAX) {
    g_hash_table_iter_init (&iter, devices);
    while (g_hash_table_iter_next (&iter, &id, NULL)) {
      g_autofree char *node = ch_dbus_escape (id);
      g_strv_builder_add (nodes, node);
    }
  }
  char **list = g_strv_builder_end (nodes);
  g_strv_builder_unref (nodes);
  return list;
}

static GDBusInterfaceInfo **introspect (GDBusConnection *connection, const char *sender,
                                        const char *path, const char *node, gpointer data)
{
  if (node != NULL && device_of (data, node) == NULL)
    return NULL;
  GDBusInterfaceInfo **list = g_new0 (GDBusInterfaceInfo *, 2);
  if (node != NULL)
    list[0] = g_dbus_interface_info_ref (ch_dbus_device1_interface_info ());
  return list;
}

/* ---- properties ---- */

static GVariant *ports_variant (const ChDevice *device)
{
  GVariantBuilder builder;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(iiusds)"));
  for (guint i = 0; i < device->n_ports; i++) {
    const ChPort *port = &device->ports[i];
    g_variant_builder_add (&builder, "(iiusds)", (gint) port->socket_no,
                           (gint) port->port_no, (guint) port->status,
                           ch_port_status_name ((ChPortStatus) port->status),
                           port->power_mw == G_MININT32 ? 0.0 : port->power_mw / 1000.0,
                           port->order != NULL ? port->order->d.order_no : "");
  }
  return g_variant_builder_end (&builder);
}

static GVariant *get_property (GDBusConnection *connection, const char *sender,
                               const char *path, const char *interface, const char *name,
                               GError **error, gpointer data)
{
  ChDevice *device = data;
  ChPresence presence = ch_session_presence (device, ch_now_ms (device->core->self));
  if (g_str_equal (name, "Id"))
    return g_variant_new_string (device->id);
  if (g_str_equal (name, "Protocol"))
    return g_variant_new_string (device->protocol);
  if (g_str_equal (name, "Online"))
    return g_variant_new_boolean (presence == CH_PRESENCE_ONLINE);
  if (g_str_equal (name, "Presence"))
    return g_variant_new_string (ch_presence_name (presence));
  if (g_str_equal (name, "LastSeen"))
    return g_variant_new_int64 (device->last_seen_at);
  if (g_str_equal (name, "Firmware"))
    return g_variant_new_string (device->firmware != NULL ? device->firmware : "");
  if (g_str_equal (name, "Ports"))
    return ports_variant (device);
  g_set_error (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_PROPERTY, "no property %s",
               name);
  return NULL;
}

/* ---- methods
 * -------------------------------------------------------------------------------------
 */

static gint64 number (GVariant *options, const char *name)
{
  g_autoptr (GVariant) value = g_variant_lookup_value (options, name, NULL);
  if (value == NULL)
    return CH_UNSET;
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_UINT32:
    return g_variant_get_uint32 (value);
  case G_VARIANT_CLASS_INT32:
    return g_variant_get_int32 (value);
  case G_VARIANT_CLASS_INT64:
    return g_variant_get_int64 (value);
  case G_VARIANT_CLASS_UINT64:
    return (gint64) MIN (g_variant_get_uint64 (value), G_MAXINT64);
  default:
    return CH_UNSET;
  }
}

static guint wait_of (GVariant *options)
{
  gint64 wait_ms = number (options, "wait_ms");
  return wait_ms == CH_UNSET ? 0 : (guint) CLAMP (wait_ms, 0, 10000);
}

static const char *text (GVariant *options, const char *name)
{
  const char *value = NULL;
  return g_variant_lookup (options, name, "&s", &value) && *value != '\0' ? value : NULL;
}

static void start (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  ChOrigin origin = {.by = "dbus"};
  g_autoptr (GVariant) options = NULL;
  gint socket_no, port_no;
  guint mode;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(iiu@a{sv})",
                 &socket_no, &port_no, &mode, &options);
  request.device = device->id;
  request.socket_no = socket_no < 0 ? CH_UNSET : socket_no;
  request.port_no = port_no;
  request.charge_mode = mode;
  request.order_no = text (options, "order_no");
  request.duration_minutes = number (options, "duration_minutes");
  request.energy_wh = number (options, "energy_wh");
  request.power_w = number (options, "power");
  request.amount_cent = number (options, "amount");
  request.source = CH_SOURCE_ADMIN;
  ch_core_start_charge (dbus->self, &request, &origin, wait_of (options),
                        ch_dbus_return_json, invocation);
}

static void stop (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) options = NULL;
  ChOrigin origin = {.by = "dbus"};
  gint socket_no, port_no;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(ii@a{sv})",
                 &socket_no, &port_no, &options);
  ChStopRequest request = {.device = device->id,
                           .socket_no = socket_no < 0 ? CH_UNSET : socket_no,
                           .port_no = port_no < 0 ? CH_UNSET : port_no,
                           .order_no = text (options, "order_no"),
                           .reason = text (options, "reason")};
  ch_core_stop_charge (dbus->self, &request, &origin, wait_of (options),
                       ch_dbus_return_json, invocation);
}

static void reboot (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  gboolean force;
  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(b)", &force);
  ch_core_send (dbus->self, device->id, CH_COMMAND_REBOOT, 0, -1, NULL, force, &origin, 0,
                ch_dbus_return_json, invocation);
}

static void send (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  ChOrigin origin = {.by = "dbus"};
  const char *name, *payload;
  gint socket_no, port_no;
  guint wait_ms;
  g_autoptr (GError) error = NULL;
  g_autoptr (json_t) json = NULL;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(&sii&su)", &name,
                 &socket_no, &port_no, &payload, &wait_ms);
  ChCommandType type = ch_command_type_parse (name);
  if (type == 0 || type == CH_COMMAND_START_CHARGE || type == CH_COMMAND_STOP_CHARGE) {
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.InvalidParameter",
        "no such command; charges have methods of their own");
    return;
  }
  if (*payload != '\0') {
    json = ch_json_parse (payload, strlen (payload), &error);
    if (json == NULL || !json_is_object (json)) {
      g_dbus_method_invocation_return_dbus_error (invocation,
                                                  "org.chargehost.Error.InvalidParameter",
                                                  "the payload is no JSON object");
      return;
    }
  }
  ch_core_send (dbus->self, device->id, type, socket_no, port_no, json, FALSE, &origin,
                MIN (wait_ms, 10000), ch_dbus_return_json, invocation);
}

static void allowed (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  g_autofree char *id = data;
  ChDevice *device = ch_device_find (dbus->services->core, id);
  const char *method = g_dbus_method_invocation_get_method_name (invocation);

  if (device == NULL)
    g_dbus_method_invocation_return_dbus_error (
        invocation, "org.chargehost.Error.DeviceNotFound", "the device is gone");
  else if (g_str_equal (method, "StartCharge"))
    start (dbus, device, invocation);
  else if (g_str_equal (method, "StopCharge"))
    stop (dbus, device, invocation);
  else if (g_str_equal (method, "Reboot"))
    reboot (dbus, device, invocation);
  else
    send (dbus, device, invocation);
}

static void call (GDBusConnection *connection, const char *sender, const char *path,
                  const char *interface, const char *method, GVariant *parameters,
                  GDBusMethodInvocation *invocation, gpointer data)
{
  ChDevice *device = data;
  ch_dbus_authorize (device->core->services->dbus, invocation, CH_DBUS_CHANGE, allowed,
                     g_strdup (device->id), g_free);
}

static const GDBusInterfaceVTable DEVICE_TABLE
    = {.method_call = call, .get_property = get_property};

static const GDBusInterfaceVTable *dispatch (GDBusConnection *connection,
                                             const char *sender, const char *path,
                                             const char *interface, const char *node,
                                             gpointer *out, gpointer data)
{
  ChDevice *device = device_of (data, node);
  if (device == NULL)
    return NULL;
  *out = device;
  return &DEVICE_TABLE;
}

gboolean ch_dbus_export_devices (ChDbus *dbus, GError **error)
{
  static const GDBusSubtreeVTable table
      = {.enumerate = enumerate, .introspect = introspect, .dispatch = dispatch};
  dbus->device_tree = g_dbus_connection_register_subtree (
      dbus->connection, CH_DBUS_DEVICES, &table,
      G_DBUS_SUBTREE_FLAGS_DISPATCH_TO_UNENUMERATED_NODES, dbus, NULL, error);
  return dbus->device_tree != 0;
}
