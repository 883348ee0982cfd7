/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From memory, no store is asked: every known device is there. */
#include "core/device/device-json.h"

#include "core/device/device-admin.h"
#include "core/order/order.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

const ChPortLook ch_port_looks[4] = {
    {"off line", "gray",
     "The device is not connected, or the port has not been reported."},
    {"free", "green", "The port can start a charge."},
    {"in use", "yellow", "The port charges."},
    {"fault", "red", "The port has a fault."},
};

static const char *const FAULTS[]
    = {"meter_fault",  "over_temp",     "over_current", "over_power",
       "over_voltage", "under_voltage", "leakage",      "other"};

/* ---- ports ---- */

static gint64 milli (gint32 value, gint64 factor)
{
  return value == G_MININT32 ? CH_UNSET : value * factor;
}

/* −1 is not known. */
static void maybe_bool (ChShape *shape, const char *name, gint value)
{
  if (value < 0)
    ch_shape_null (shape, name);
  else
    ch_shape_bool (shape, name, value != 0);
}

static void maybe_int (ChShape *shape, const char *name, gint64 value, gint64 unset)
{
  if (value == unset)
    ch_shape_null (shape, name);
  else
    ch_shape_int (shape, name, value);
}

static void shape_port (ChShape *shape, const ChPort *port)
{
  guint status = MIN (port->status, CH_PORT_FAULT);
  const ChPortLook *look = &ch_port_looks[status];

  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_int (shape, "socket_no", port->socket_no);
  ch_shape_int (shape, "port_no", port->port_no);
  ch_shape_int (shape, "status", status);
  ch_shape_string (shape, "status_name", ch_port_status_name ((ChPortStatus) status));
  ch_shape_string (shape, "status_text", look->text);
  ch_shape_bool (shape, "can_charge", status == CH_PORT_IDLE);
  ch_shape_string (shape, "display_color", look->color);
  maybe_int (shape, "power",
             port->power_mw == G_MININT32 ? CH_UNSET : (port->power_mw + 500) / 1000,
             CH_UNSET);
  ch_shape_milli (shape, "power_w", milli (port->power_mw, 1));
  ch_shape_milli (shape, "current_a", milli (port->current_ma, 1));
  ch_shape_milli (shape, "voltage_v", milli (port->voltage_mv, 1));
  ch_shape_milli (shape, "temp_c", milli (port->temp_dc, 100));
  ch_shape_begin (shape, "faults", TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (FAULTS); i++)
    if (port->fault_bits & 1u << i)
      ch_shape_string (shape, NULL, FAULTS[i]);
  ch_shape_end (shape, TRUE);
  maybe_bool (shape, "no_load", port->no_load);
  if (port->plugged >= 0)
    ch_shape_bool (shape, "plugged", port->plugged != 0);
  ch_shape_string (shape, "order_no",
                   port->order != NULL ? port->order->d.order_no : NULL);
  maybe_int (shape, "raw_status", port->raw_status < 0 ? -1 : port->raw_status, -1);
  ch_shape_time (shape, "reported_at", port->reported_at);
  ch_shape_time (shape, "updated_at", port->updated_at);
  ch_shape_end (shape, FALSE);
}

static void shape_ports (ChShape *shape, const ChDevice *device)
{
  ch_shape_begin (shape, "ports", TRUE);
  for (guint i = 0; i < device->n_ports; i++)
    shape_port (shape, &device->ports[i]);
  ch_shape_end (shape, TRUE);
}

static gboolean find_ports (ChPlugin *self, const char *id, ChShape *shape)
{
  const ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return FALSE;
  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_string (shape, "device_id", device->id);
  shape_ports (shape, device);
  ch_shape_end (shape, FALSE);
  return TRUE;
}

json_t *ch_core_ports_json (ChPlugin *self, const char *id)
{
  ChShape shape = {0};
  find_ports (self, id, &shape);
  return shape.tree;
}

gboolean ch_core_ports_text (ChPlugin *self, const char *id, ChText *text)
{
  ChShape shape = {.text = text};
  return find_ports (self, id, &shape);
}

/* ---- a device ---- */

static const char *shown_status (const ChDevice *device)
{
  if (device->conn == 0 && device->elsewhere == NULL && device->orders == NULL)
    return "offline";
  if (device->orders != NULL)
    return "charging";
  for (guint i = 0; i < device->n_ports; i++)
    if (device->ports[i].status == CH_PORT_CHARGING)
      return "charging";
  return "idle";
}

static void shape_device (ChShape *shape, ChDevice *device, gint64 now_ms)
{
  ChPresence presence = ch_session_presence (device, now_ms);

  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_string (shape, "device_phy_id", device->id);
  maybe_int (shape, "device_db_id", device->db_id, 0);
  ch_shape_string (shape, "protocol", device->protocol);
  ch_shape_bool (shape, "is_online", presence == CH_PRESENCE_ONLINE);
  ch_shape_string (shape, "presence", ch_presence_name (presence));
  ch_shape_string (shape, "status", shown_status (device));
  ch_shape_string (shape, "lifecycle", ch_lifecycle_name (device->lifecycle));
  ch_shape_string (shape, "enrolment", ch_enrolment_name (device->enrolment));
  ch_shape_string (shape, "iccid", device->iccid);
  ch_shape_string (shape, "imei", device->imei);
  ch_shape_string (shape, "model", device->model);
  ch_shape_string (shape, "firmware", device->firmware);
  maybe_int (shape, "rssi", device->rssi, G_MININT16);
  maybe_int (shape, "port_count", device->port_count < 0 ? -1 : device->port_count, -1);
  ch_shape_time (shape, "last_seen_at", device->last_seen_at);
  ch_shape_time (shape, "registered_at", device->created_at);
  if (device->tags != NULL)
    ch_shape_json (shape, "tags",
                   ch_json_parse (device->tags, strlen (device->tags), NULL));
  shape_ports (shape, device);
  ch_shape_begin (shape, "active_orders", TRUE);
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    const ChOrder *order = g_ptr_array_index (device->orders, i);
    ch_shape_string (shape, NULL, order->d.order_no);
  }
  ch_shape_end (shape, TRUE);
  ch_shape_end (shape, FALSE);
}

static gboolean find_device (ChPlugin *self, const char *id, ChShape *shape)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  if (device == NULL)
    return FALSE;
  shape_device (shape, device, ch_now_ms (self));
  return TRUE;
}

json_t *ch_core_device_json (ChPlugin *self, const char *id)
{
  ChShape shape = {0};
  find_device (self, id, &shape);
  return shape.tree;
}

gboolean ch_core_device_text (ChPlugin *self, const char *id, ChText *text)
{
  ChShape shape = {.text = text};
  return find_device (self, id, &shape);
}

/* ---- many ---- */

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

static void shape_list (ChPlugin *self, const ChDeviceQuery *query, ChShape *shape)
{
  ChCore *core = ch_core_of (self);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  gint64 left = query->limit, skip = query->offset, now_ms = ch_now_ms (self);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (matches (value, query))
      g_ptr_array_add (found, value);
  g_ptr_array_sort (found, by_id);

  ch_shape_begin (shape, NULL, FALSE);
  ch_shape_begin (shape, "devices", TRUE);
  for (guint i = 0; i < found->len && left > 0; i++) {
    ChDevice *device = g_ptr_array_index (found, i);
    if (query->after != NULL && strcmp (device->id, query->after) <= 0)
      continue;
    if (skip-- > 0)
      continue;
    shape_device (shape, device, now_ms);
    left--;
  }
  ch_shape_end (shape, TRUE);
  ch_shape_int (shape, "total", found->len);
  ch_shape_int (shape, "page", query->limit > 0 ? query->offset / query->limit + 1 : 1);
  ch_shape_int (shape, "page_size", query->limit);
  ch_shape_end (shape, FALSE);
}

json_t *ch_core_list_devices (ChPlugin *self, const ChDeviceQuery *query)
{
  ChShape shape = {0};
  shape_list (self, query, &shape);
  return shape.tree;
}

void ch_core_list_devices_text (ChPlugin *self, const ChDeviceQuery *query, ChText *text)
{
  ChShape shape = {.text = text};
  shape_list (self, query, &shape);
}
