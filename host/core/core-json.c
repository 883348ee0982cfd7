/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, ports and sockets as JSON (gateway 7.4); from memory, no store is asked. */
#include "core/device.h"
#include "core/order.h"
#include "core/outbound.h"
#include "core/session.h"
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

static json_t *milli_or_null (gint32 value)
{
  return value == G_MININT32 ? json_null () : ch_json_milli (value);
}

const char *ch_presence_name (ChPresence presence)
{
  static const char *const names[] = {"offline", "unstable", "online"};
  return (guint) presence < G_N_ELEMENTS (names) ? names[presence] : "";
}

/* ---- what the codes mean ---- */

static const struct {
  const char *text, *color, *description;
} PORT_STATUS[] = {
    {"off line", "gray",
     "The device is not connected, or the port has not been reported."},
    {"free", "green", "The port can start a charge."},
    {"in use", "yellow", "The port charges."},
    {"fault", "red", "The port has a fault."},
};

static const char *const FAULTS[]
    = {"meter_fault",  "over_temp",     "over_current", "over_power",
       "over_voltage", "under_voltage", "leakage",      "other"};

static json_t *faults_json (guint bits)
{
  json_t *faults = json_array ();
  for (guint i = 0; i < G_N_ELEMENTS (FAULTS); i++)
    if (bits & 1u << i)
      json_array_append_new (faults, json_string (FAULTS[i]));
  return faults;
}

/* ---- ports ---- */

static json_t *port_json (const ChPort *port)
{
  guint status = MIN (port->status, CH_PORT_FAULT);
  json_t *object = json_object ();

  set (object, "socket_no", json_integer (port->socket_no));
  set (object, "port_no", json_integer (port->port_no));
  set (object, "status", json_integer (status));
  set (object, "status_name", json_string (ch_port_status_name ((ChPortStatus) status)));
  set (object, "status_text", json_string (PORT_STATUS[status].text));
  set (object, "can_charge", json_boolean (status == CH_PORT_IDLE));
  set (object, "display_color", json_string (PORT_STATUS[status].color));
  set (object, "power",
       port->power_mw == G_MININT32 ? json_null ()
                                    : json_integer ((port->power_mw + 500) / 1000));
  set (object, "power_w", milli_or_null (port->power_mw));
  set (object, "current_a", milli_or_null (port->current_ma));
  set (object, "voltage_v", milli_or_null (port->voltage_mv));
  set (object, "temp_c",
       port->temp_dc == G_MININT32 ? json_null ()
                                   : ch_json_milli ((gint64) port->temp_dc * 100));
  set (object, "faults", faults_json (port->fault_bits));
  set (object, "no_load",
       port->no_load < 0 ? json_null () : json_boolean (port->no_load));
  if (port->plugged >= 0)
    set (object, "plugged", json_boolean (port->plugged));
  set (object, "order_no",
       port->order != NULL ? json_string (port->order->d.order_no) : json_null ());
  set (object, "raw_status",
       port->raw_status < 0 ? json_null () : json_integer (port->raw_status));
  set (object, "reported_at", ch_json_time (port->reported_at));
  set (object, "updated_at", ch_json_time (port->updated_at));
  return object;
}

static json_t *ports_array (const ChDevice *device)
{
  json_t *ports = json_array ();
  for (guint i = 0; i < device->n_ports; i++)
    json_array_append_new (ports, port_json (&device->ports[i]));
  return ports;
}

json_t *ch_core_ports_json (ChPlugin *self, const char *id)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return NULL;
  json_t *data = json_object ();
  set (data, "device_id", json_string (device->id));
  set (data, "ports", ports_array (device));
  return data;
}

/* ---- devices ---- */

static const char *shown_status (const ChDevice *device)
{
  if (device->conn == 0 && device->orders == NULL)
    return "offline";
  if (device->orders != NULL)
    return "charging";
  for (guint i = 0; i < device->n_ports; i++)
    if (device->ports[i].status == CH_PORT_CHARGING)
      return "charging";
  return "idle";
}

static const char *shown_lifecycle (const ChDevice *device)
{
  static const char *const names[] = {"active", "maintenance", "decommissioned"};
  return names[MIN (device->lifecycle, 2)];
}

static json_t *device_json (ChDevice *device)
{
  ChPresence presence = ch_session_presence (device, ch_now_ms (device->core->self));
  json_t *object = json_object (), *orders = json_array ();

  set (object, "device_phy_id", json_string (device->id));
  set (object, "device_db_id",
       device->db_id == 0 ? json_null () : json_integer (device->db_id));
  set (object, "protocol", text_or_null (device->protocol));
  set (object, "is_online", json_boolean (presence == CH_PRESENCE_ONLINE));
  set (object, "presence", json_string (ch_presence_name (presence)));
  set (object, "status", json_string (shown_status (device)));
  set (object, "lifecycle", json_string (shown_lifecycle (device)));
  set (object, "iccid", text_or_null (device->iccid));
  set (object, "imei", text_or_null (device->imei));
  set (object, "model", text_or_null (device->model));
  set (object, "firmware", text_or_null (device->firmware));
  set (object, "rssi",
       device->rssi == G_MININT16 ? json_null () : json_integer (device->rssi));
  set (object, "port_count",
       device->port_count < 0 ? json_null () : json_integer (device->port_count));
  set (object, "last_seen_at", ch_json_time (device->last_seen_at));
  set (object, "registered_at", ch_json_time (device->created_at));
  if (device->tags != NULL)
    set (object, "tags", ch_json_parse (device->tags, strlen (device->tags), NULL));
  set (object, "ports", ports_array (device));
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    json_array_append_new (orders, json_string (order->d.order_no));
  }
  set (object, "active_orders", orders);
  return object;
}

json_t *ch_core_device_json (ChPlugin *self, const char *id)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  return device != NULL ? device_json (device) : NULL;
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

static gboolean has_tag (const ChDevice *device, const char *tag)
{
  if (device->tags == NULL)
    return FALSE;
  g_autoptr (json_t) tags = ch_json_parse (device->tags, strlen (device->tags), NULL);
  return json_object_get (tags, tag) != NULL;
}

static gboolean matches (ChDevice *device, const ChDeviceQuery *query)
{
  if (query->q != NULL && strstr (device->id, query->q) == NULL)
    return FALSE;
  if (query->protocol != NULL && !g_str_equal (device->protocol, query->protocol))
    return FALSE;
  if (query->presence >= 0
      && ch_session_presence (device, ch_now_ms (device->core->self))
             != (ChPresence) query->presence)
    return FALSE;
  return query->tag == NULL || has_tag (device, query->tag);
}

static gint by_id (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(ChDevice *const *) a)->id, (*(ChDevice *const *) b)->id);
}

json_t *ch_core_list_devices (ChPlugin *self, const ChDeviceQuery *query)
{
  ChCore *core = ch_core_of (self);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (matches (value, query))
      g_ptr_array_add (found, value);
  g_ptr_array_sort (found, by_id);

  json_t *data = json_object (), *devices = json_array ();
  gint64 left = query->limit, skip = query->offset;
  for (guint i = 0; i < found->len && left > 0; i++) {
    ChDevice *device = g_ptr_array_index (found, i);
    if (query->after != NULL && strcmp (device->id, query->after) <= 0)
      continue;
    if (skip-- > 0)
      continue;
    json_array_append_new (devices, device_json (device));
    left--;
  }
  set (data, "devices", devices);
  set (data, "total", json_integer (found->len));
  return data;
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
        = definition (i, ch_port_status_name ((ChPortStatus) i), PORT_STATUS[i].text);
    set (port, "description", json_string (PORT_STATUS[i].description));
    set (port, "can_charge", json_boolean (i == CH_PORT_IDLE));
    set (port, "display_color", json_string (PORT_STATUS[i].color));
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
