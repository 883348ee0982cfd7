/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of devices and orders, with the filters of REST. */
#include "dbus/dbus-private.h"
#include <chargehost/json.h>

#define PAGE_MAX 1000

/* A page of JSON objects and how many there are in all: "(asu)". */
static GVariant *page (const json_t *list, json_int_t total)
{
  GVariantBuilder builder;
  size_t i;
  json_t *item;
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("as"));
  json_array_foreach ((json_t *) list, i, item)
  {
    g_autofree char *text = ch_json_dump (item);
    g_variant_builder_add (&builder, "s", text);
  }
  return g_variant_new ("(asu)", &builder, (guint) CLAMP (total, 0, G_MAXUINT32));
}

static void hide_order (json_t *port)
{
  json_object_set_new (port, "order_no", json_null ());
}

void ch_dbus_hide_orders (json_t *device)
{
  size_t i;
  json_t *port;
  json_object_del (device, "active_orders");
  json_array_foreach (json_object_get (device, "ports"), i, port) hide_order (port);
}

static const ChDbusOption DEVICE_FILTER[] = {
    {"q", CH_DBUS_TEXT, 1, 64},
    {"protocol", CH_DBUS_TEXT, 1, 32},
    {"presence", CH_DBUS_TEXT, 1, 16},
    {"tag", CH_DBUS_TEXT, 1, 64},
    {NULL},
};

static gint presence_of (const char *text)
{
  for (gint i = CH_PRESENCE_OFFLINE; i <= CH_PRESENCE_ONLINE; i++)
    if (g_strcmp0 (text, ch_presence_name ((ChPresence) i)) == 0)
      return i;
  return -1;
}

static void devices_listed (ChPlugin *self, const json_t *data, const GError *error,
                            gpointer invocation)
{
  if (error != NULL)
    ch_dbus_return_error (invocation, error);
  else
    g_dbus_method_invocation_return_value (
        invocation, page (json_object_get (data, "devices"),
                          json_integer_value (json_object_get (data, "total"))));
}

/* For callers who may not see orders. */
static void devices_listed_bare (ChPlugin *self, const json_t *data, const GError *error,
                                 gpointer invocation)
{
  size_t i;
  json_t *device;

  json_array_foreach (json_object_get (data, "devices"), i, device)
      ch_dbus_hide_orders (device);
  devices_listed (self, data, error, invocation);
}

void ch_dbus_list_devices (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  g_autoptr (GVariant) filter = NULL;
  const char *after;
  guint limit;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(@a{sv}&su)",
                 &filter, &after, &limit);
  g_autoptr (json_t) options = ch_dbus_read_options (invocation, filter, DEVICE_FILTER);
  if (options == NULL)
    return;
  const char *presence = ch_json_get_string (options, "presence", NULL);
  ChDeviceQuery query = {.q = ch_json_get_string (options, "q", NULL),
                         .protocol = ch_json_get_string (options, "protocol", NULL),
                         .tag = ch_json_get_string (options, "tag", NULL),
                         .presence = presence_of (presence),
                         .after = *after != '\0' ? after : NULL,
                         .limit = CLAMP (limit, 1, PAGE_MAX)};
  if (presence != NULL && query.presence < 0) {
    ch_dbus_return_invalid (invocation, "presence is online, unstable or offline");
    return;
  }
  ch_core_read_devices (
      dbus->self, &query,
      ch_dbus_caller_is_trusted (dbus, invocation) ? devices_listed : devices_listed_bare,
      invocation);
}

static void orders_listed (ChPlugin *self, const json_t *data, const GError *error,
                           gpointer invocation)
{
  if (error != NULL)
    ch_dbus_return_error (invocation, error);
  else
    g_dbus_method_invocation_return_value (
        invocation, page (json_object_get (data, "orders"),
                          json_integer_value (json_object_get (data, "total"))));
}

static const ChDbusOption ORDER_FILTER[] = {
    {"device", CH_DBUS_TEXT, 1, 64},       {"status", CH_DBUS_TEXT, 1, 16},
    {"from", CH_DBUS_TEXT, 1, 40},         {"to", CH_DBUS_TEXT, 1, 40},
    {"after", CH_DBUS_INT, 1, G_MAXINT64}, {NULL},
};

/* RFC 3339; answers and returns FALSE when it is something else. */
static gboolean read_time (GDBusMethodInvocation *invocation, const json_t *options,
                           const char *name, gint64 *wall_ms)
{
  const char *text = ch_json_get_string (options, name, NULL);
  *wall_ms = CH_UNSET;
  if (text == NULL || ch_parse_time (text, wall_ms))
    return TRUE;
  ch_dbus_return_invalid (invocation, "%s must be a time such as 2026-01-31T08:00:00Z",
                          name);
  return FALSE;
}

void ch_dbus_list_orders (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  g_autoptr (GVariant) filter = NULL;
  guint offset, limit;
  ChOrderStatus code;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(@a{sv}uu)",
                 &filter, &offset, &limit);
  g_autoptr (json_t) options = ch_dbus_read_options (invocation, filter, ORDER_FILTER);
  if (options == NULL)
    return;
  const char *status = ch_json_get_string (options, "status", NULL);
  ChOrderQuery query = {.device = ch_json_get_string (options, "device", NULL),
                        .status = CH_UNSET,
                        .after = ch_json_get_int (options, "after", CH_UNSET),
                        .offset = offset,
                        .limit = CLAMP (limit, 1, PAGE_MAX)};
  if (status != NULL && !ch_order_status_parse (status, &code)) {
    ch_dbus_return_invalid (invocation, "there is no state '%s' of an order", status);
    return;
  }
  if (status != NULL)
    query.status = code;
  if (read_time (invocation, options, "from", &query.from_ms)
      && read_time (invocation, options, "to", &query.to_ms))
    ch_core_list_orders (dbus->self, &query, orders_listed, invocation);
}
