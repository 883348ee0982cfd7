/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record of an order: making, reading from a row, showing as JSON. */
#include "core/order/order.h"
#include "core/order/order-number.h"
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

void ch_order_data_init (ChOrderData *d)
{
  *d = (ChOrderData) {
      .charge_mode = 1,
      .target_duration_s = CH_UNSET,
      .target_energy_wh = CH_UNSET,
      .max_power_w = CH_UNSET,
      .amount_limit_cent = CH_UNSET,
      .start_time = CH_UNSET,
      .end_time = CH_UNSET,
      .electricity_cent = CH_UNSET,
      .service_cent = CH_UNSET,
      .amount_cent = CH_UNSET,
      .device_amount_cent = CH_UNSET,
      .end_reason = CH_UNSET,
      .raw_reason = CH_UNSET,
      .peak_power_mw = CH_UNSET,
      .last_power_mw = CH_UNSET,
      .sent_at = CH_UNSET,
      .ack_at = CH_UNSET,
      .interrupted_at = CH_UNSET,
      .last_progress_at = CH_UNSET,
  };
}

ChOrder *ch_order_new (ChDevice *device)
{
  ChOrder *order = g_new0 (ChOrder, 1);
  order->device = device;
  ch_order_data_init (&order->d);
  return order;
}

void ch_order_free (ChOrder *order)
{
  if (order == NULL)
    return;
  if (order->device != NULL && order->device->core->services->reactor != NULL)
    ch_wheel_cancel (order->device->core->services->reactor, &order->timer);
  g_free (order->card_no);
  g_free (order->metadata);
  g_free (order->test_session_id);
  g_free (order);
}

static const char *const SOURCES[] = {"api", "card", "local", "admin"};

const char *ch_order_source_name (ChOrderSource source)
{
  return SOURCES[(guint) source < G_N_ELEMENTS (SOURCES) ? source : 0];
}

const char *ch_end_reason_name (ChEndReason reason)
{
  static const char *const names[] = {
      "normal",        "user_stop",           "no_load",      "over_current",
      "over_temp",     "over_power",          "power_off",    "fault",
      "limit_reached", "remote_stop",         "over_voltage", "under_voltage",
      "comm_fault",    "emergency_stop",      "leakage",      "timer_expired",
      "card_removed",  "door_or_smoke_alarm",
  };
  return (guint) reason < G_N_ELEMENTS (names) ? names[reason] : "unknown";
}

static void copy_text (char *to, gsize size, const ChTxResult *r, guint st, guint row,
                       const char *column)
{
  const char *text = ch_tx_result_text (r, st, row, column);
  g_strlcpy (to, text != NULL ? text : "", size);
}

static gint64 number (const ChTxResult *r, guint st, guint row, const char *column,
                      gint64 none)
{
  gint64 value = ch_tx_result_int (r, st, row, column);
  return value == CH_UNSET ? none : value;
}

static void read_figures (ChOrderData *d, const ChTxResult *r, guint st, guint row)
{
  d->target_duration_s = ch_tx_result_int (r, st, row, "target_duration_s");
  d->target_energy_wh = ch_tx_result_int (r, st, row, "target_energy_wh");
  d->max_power_w = ch_tx_result_int (r, st, row, "max_power_w");
  d->amount_limit_cent = ch_tx_result_int (r, st, row, "amount_limit_cent");
  d->price_per_kwh_cent = number (r, st, row, "price_per_kwh_cent", 0);
  d->service_fee_permille = number (r, st, row, "service_fee_permille", 0);
  d->duration_s = number (r, st, row, "duration_s", 0);
  d->energy_wh = number (r, st, row, "energy_wh", 0);
  d->base_energy_wh = number (r, st, row, "base_energy_wh", 0);
  d->electricity_cent = ch_tx_result_int (r, st, row, "electricity_cent");
  d->service_cent = ch_tx_result_int (r, st, row, "service_cent");
  d->amount_cent = ch_tx_result_int (r, st, row, "amount_cent");
  d->device_amount_cent = ch_tx_result_int (r, st, row, "device_amount_cent");
  d->end_reason = ch_tx_result_int (r, st, row, "end_reason");
  d->raw_reason = ch_tx_result_int (r, st, row, "raw_reason");
  d->peak_power_mw = ch_tx_result_int (r, st, row, "peak_power_mw");
  d->last_power_mw = ch_tx_result_int (r, st, row, "last_power_mw");
  d->settlement_rev = number (r, st, row, "settlement_rev", 0);
  d->version = number (r, st, row, "version", 0);
}

static void read_times (ChOrderData *d, const ChTxResult *r, guint st, guint row)
{
  d->start_time = ch_tx_result_time (r, st, row, "start_time");
  d->end_time = ch_tx_result_time (r, st, row, "end_time");
  d->sent_at = ch_tx_result_time (r, st, row, "sent_at");
  d->ack_at = ch_tx_result_time (r, st, row, "ack_at");
  d->interrupted_at = ch_tx_result_time (r, st, row, "interrupted_at");
  d->last_progress_at = ch_tx_result_time (r, st, row, "last_progress_at");
  d->created_at = ch_tx_result_time (r, st, row, "created_at");
  d->updated_at = ch_tx_result_time (r, st, row, "updated_at");
}

void ch_order_read (ChOrder *order, const ChTxResult *r, guint st, guint row)
{
  ChOrderData *d = &order->d;
  const char *source = ch_tx_result_text (r, st, row, "source");

  d->id = ch_tx_result_int (r, st, row, "id");
  copy_text (d->order_no, sizeof d->order_no, r, st, row, "order_no");
  copy_text (d->wire_order, sizeof d->wire_order, r, st, row, "wire_order");
  copy_text (d->alias_wire_order, sizeof d->alias_wire_order, r, st, row,
             "alias_wire_order");
  copy_text (d->start_command_id, sizeof d->start_command_id, r, st, row,
             "start_command_id");
  copy_text (d->stop_command_id, sizeof d->stop_command_id, r, st, row,
             "stop_command_id");
  copy_text (d->failure_reason, sizeof d->failure_reason, r, st, row, "failure_reason");
  copy_text (d->lookup_source, sizeof d->lookup_source, r, st, row, "lookup_source");
  copy_text (d->end_key, sizeof d->end_key, r, st, row, "end_key");
  d->socket_no = (gint16) number (r, st, row, "socket_no", 0);
  d->port_no = (gint8) number (r, st, row, "port_no", 0);
  for (guint i = 0; i < G_N_ELEMENTS (SOURCES); i++)
    if (g_strcmp0 (source, SOURCES[i]) == 0)
      d->source = (guint8) i;
  d->charge_mode = (guint8) number (r, st, row, "charge_mode", 1);
  d->status = (guint8) number (r, st, row, "status", 0);
  d->resume_status = (guint8) number (r, st, row, "resume_status", CH_ORDER_CHARGING);
  d->provisional = ch_tx_result_bool (r, st, row, "provisional");
  d->business_no = (guint16) number (r, st, row, "business_no", 0);
  read_figures (d, r, st, row);
  read_times (d, r, st, row);

  const char *metadata = ch_tx_result_text (r, st, row, "metadata");
  g_free (order->card_no);
  g_free (order->metadata);
  g_free (order->test_session_id);
  order->card_no = g_strdup (ch_tx_result_text (r, st, row, "card_no"));
  order->metadata = g_strcmp0 (metadata, "{}") != 0 ? g_strdup (metadata) : NULL;
  order->test_session_id = g_strdup (ch_tx_result_text (r, st, row, "test_session_id"));
  order->number_is_device = d->wire_order[0] != '\0';
}

gboolean ch_order_has_key (const ChOrder *order, const char *wire_order,
                           gint64 business_no, gint socket_no, gint port_no)
{
  const ChOrderData *d = &order->d;
  if (wire_order != NULL && *wire_order != '\0')
    return g_str_equal (d->wire_order, wire_order);
  if (d->wire_order[0] != '\0' || business_no == CH_UNSET || business_no == 0)
    return FALSE;
  return d->business_no == business_no && d->socket_no == socket_no
         && (d->port_no < 0 || d->port_no == port_no);
}

/* ---- JSON (gateway 7.4) ---- */

static void set_int (json_t *object, const char *name, gint64 value)
{
  json_object_set_new_nocheck (object, name,
                               value == CH_UNSET ? json_null () : json_integer (value));
}

static json_t *cents (gint64 value)
{
  return value == CH_UNSET ? json_null () : ch_json_milli (value * 10);
}

static json_t *target_json (const ChOrderData *d)
{
  json_t *target = json_object ();
  if (d->target_duration_s != CH_UNSET)
    set_int (target, "duration_s", d->target_duration_s);
  if (d->target_energy_wh != CH_UNSET)
    set_int (target, "energy_wh", d->target_energy_wh);
  if (d->max_power_w != CH_UNSET)
    set_int (target, "power_w", d->max_power_w);
  return target;
}

static void add_figures (json_t *object, const ChOrderData *d)
{
  set_int (object, "amount_limit_cent", d->amount_limit_cent);
  set_int (object, "price_per_kwh_cent", d->price_per_kwh_cent);
  set_int (object, "service_fee_permille", d->service_fee_permille);
  json_object_set_new_nocheck (object, "created_at", ch_json_time (d->created_at));
  json_object_set_new_nocheck (object, "start_time", ch_json_time (d->start_time));
  json_object_set_new_nocheck (object, "end_time", ch_json_time (d->end_time));
  set_int (object, "duration_s", d->duration_s);
  set_int (object, "energy_wh", d->energy_wh);
  json_object_set_new_nocheck (object, "energy_kwh", ch_json_milli (d->energy_wh));
  set_int (object, "electricity_cent", d->electricity_cent);
  set_int (object, "service_cent", d->service_cent);
  set_int (object, "amount_cent", d->amount_cent);
  json_object_set_new_nocheck (object, "amount", cents (d->amount_cent));
  json_object_set_new_nocheck (object, "power_w",
                               ch_order_status_is_active ((ChOrderStatus) d->status)
                                       && d->last_power_mw != CH_UNSET
                                   ? ch_json_milli (d->last_power_mw)
                                   : json_integer (0));
}

json_t *ch_order_json (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  char number_text[5];
  json_t *object = json_object ();

  json_object_set_new_nocheck (object, "order_no", json_string (d->order_no));
  json_object_set_new_nocheck (object, "business_no",
                               d->business_no == 0 ? json_null ()
                                                   : json_string (ch_business_no_text (
                                                       d->business_no, number_text)));
  if (d->wire_order[0] != '\0')
    json_object_set_new_nocheck (object, "wire_order", json_string (d->wire_order));
  json_object_set_new_nocheck (
      object, "source", json_string (ch_order_source_name ((ChOrderSource) d->source)));
  json_object_set_new_nocheck (object, "device_id", json_string (order->device->id));
  set_int (object, "socket_no", d->socket_no);
  set_int (object, "port_no", d->port_no);
  json_object_set_new_nocheck (
      object, "status", json_string (ch_order_status_name ((ChOrderStatus) d->status)));
  set_int (object, "status_code", d->status);
  json_object_set_new_nocheck (object, "provisional", json_boolean (d->provisional));
  set_int (object, "charge_mode", d->charge_mode);
  json_object_set_new_nocheck (object, "target", target_json (d));
  add_figures (object, d);
  json_object_set_new_nocheck (
      object, "end_reason",
      d->end_reason == CH_UNSET
          ? json_null ()
          : json_string (ch_end_reason_name ((ChEndReason) d->end_reason)));
  set_int (object, "end_reason_code", d->end_reason);
  json_object_set_new_nocheck (
      object, "failure_reason",
      d->failure_reason[0] != '\0' ? json_string (d->failure_reason) : json_null ());
  set_int (object, "settlement_rev", d->settlement_rev);
  if (order->card_no != NULL) {
    char masked[16];
    json_object_set_new_nocheck (object, "card_no",
                                 json_string (ch_log_mask (order->card_no, masked)));
  }
  json_object_set_new_nocheck (object, "updated_at", ch_json_time (d->updated_at));
  return object;
}
