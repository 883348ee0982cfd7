/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets, statistics and definitions as JSON (gateway 7.4); no store is asked. */
#include "core/device/device-json.h"
#include "core/order/order.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <string.h>

static void set (json_t *object, const char *name, json_t *value)
{
  json_object_set_new_nocheck (object, name, value);
}

static json_t *text_or_null (const char *text)
{
  return text != NULL && *text != '\0' ? json_string (text) : json_null ();
}

const char *ch_presence_name (ChPresence presence)
{
  static const char *const names[] = {"offline", "unstable", "online"};
  return (guint) presence < G_N_ELEMENTS (names) ? names[presence] : "";
}

gboolean ch_core_device_presence (ChPlugin *self, const char *id, ChPresence *presence,
                                  gboolean *connected)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return FALSE;
  *presence = ch_session_presence (device, ch_now_ms (self));
  *connected = device->conn != 0;
  return TRUE;
}

/* ---- sockets, statistics, definitions ---- */

static json_t *socket_json (const ChDevice *device, const ChSocket *socket)
{
  json_t *object = json_object ();
  set (object, "gateway_id", json_string (device->id));
  set (object, "socket_no", json_integer (socket->socket_no));
  set (object, "socket_mac", text_or_null (socket->mac));
  set (object, "socket_uid", text_or_null (socket->uid));
  set (object, "channel",
       socket->channel < 0 ? json_null () : json_integer (socket->channel));
  set (object, "status", json_integer (socket->status));
  set (object, "signal_strength",
       socket->signal == G_MININT16 ? json_null () : json_integer (socket->signal));
  set (object, "firmware", text_or_null (socket->firmware));
  set (object, "last_seen_at", ch_json_time (socket->last_seen_at));
  return object;
}

json_t *ch_core_sockets_json (ChPlugin *self, const char *id)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return NULL;
  json_t *data = json_object (), *sockets = json_array ();
  for (guint i = 0; i < device->n_sockets; i++)
    json_array_append_new (sockets, socket_json (device, &device->sockets[i]));
  set (data, "sockets", sockets);
  return data;
}

json_t *ch_core_stats_json (ChPlugin *self)
{
  ChCore *core = ch_core_of (self);
  gint64 now_ms = ch_now_ms (self);
  gint64 presence[3] = {0}, ports[4] = {0}, states[CH_ORDER_N] = {0};
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const ChDevice *device = value;
    presence[ch_session_presence (device, now_ms)]++;
    for (guint i = 0; i < device->n_ports; i++)
      ports[MIN (device->ports[i].status, 3)]++;
    for (guint i = 0; device->orders != NULL && i < device->orders->len; i++)
      states[((ChOrder *) g_ptr_array_index (device->orders, i))->d.status]++;
  }

  json_t *data = json_object (), *devices = json_object (), *port = json_object (),
         *orders = json_object (), *active = json_object ();
  set (devices, "total", json_integer (g_hash_table_size (core->devices)));
  for (guint i = 0; i < 3; i++)
    set (devices, ch_presence_name ((ChPresence) i), json_integer (presence[i]));
  for (guint i = 0; i < 4; i++)
    set (port, ch_port_status_name ((ChPortStatus) i), json_integer (ports[i]));
  for (guint i = 0; i < CH_ORDER_N; i++)
    if (ch_order_status_is_active ((ChOrderStatus) i))
      set (active, ch_order_status_name ((ChOrderStatus) i), json_integer (states[i]));
  set (orders, "active", active);
  set (data, "devices", devices);
  set (data, "ports", port);
  set (data, "orders", orders);
  set (data, "queue", ch_outbound_stats_json (core->outbound));
  return data;
}

static json_t *definition (gint code, const char *name, const char *text)
{
  json_t *object = json_object ();
  set (object, "code", json_integer (code));
  set (object, "name", json_string (name));
  set (object, "display_text", json_string (text));
  set (object, "description", json_string (text));
  return object;
}

json_t *ch_core_definitions_json (ChPlugin *self)
{
  json_t *data = json_object (), *ports = json_array (), *reasons = json_array (),
         *orders = json_array ();
  for (gint i = 0; i < 4; i++) {
    json_t *port
        = definition (i, ch_port_status_name ((ChPortStatus) i), ch_port_looks[i].text);
    set (port, "description", json_string (ch_port_looks[i].description));
    set (port, "can_charge", json_boolean (i == CH_PORT_IDLE));
    set (port, "display_color", json_string (ch_port_looks[i].color));
    json_array_append_new (ports, port);
  }
  for (gint i = 0; i <= CH_END_UNKNOWN; i++)
    if (i == CH_END_UNKNOWN
        || !g_str_equal (ch_end_reason_name ((ChEndReason) i), "unknown"))
      json_array_append_new (reasons, definition (i, ch_end_reason_name ((ChEndReason) i),
                                                  ch_end_reason_name ((ChEndReason) i)));
  for (gint i = 0; i < CH_ORDER_N; i++)
    json_array_append_new (orders,
                           definition (i, ch_order_status_name ((ChOrderStatus) i),
                                       ch_order_status_name ((ChOrderStatus) i)));
  set (data, "port_status", ports);
  set (data, "end_reason", reasons);
  set (data, "order_status", orders);
  return data;
}
