/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-events.h"
#include "core/order/order-number.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

/* ---- rows of the outbox ---- */

static void set (json_t *data, const char *name, json_t *value)
{
  json_object_set_new_nocheck (data, name, value);
}

static void set_seconds (json_t *data, const char *name, gint64 wall_ms)
{
  if (wall_ms != CH_UNSET)
    set (data, name, json_integer (wall_ms / 1000));
}

/* Members that every event of an order has. */
static json_t *common (const ChOrder *order, const ChOrderData *d)
{
  char text[5];
  json_t *data = json_object ();

  set (data, "order_no", json_string (d->order_no));
  if (d->business_no != 0)
    set (data, "business_no", json_string (ch_business_no_text (d->business_no, text)));
  if (d->wire_order[0] != '\0' && d->business_no == 0)
    set (data, "wire_order", json_string (d->wire_order));
  set (data, "socket_no", json_integer (d->socket_no));
  set (data, "port_no", json_integer (d->port_no));
  if (order->test_session_id != NULL)
    set (data, "test_session_id", json_string (order->test_session_id));
  return data;
}

static void add_row (const ChOrder *order, const ChOrderData *d, const char *type,
                     json_t *data, ChTx *tx)
{
  ChPlugin *self = order->device->core->self;
  char event_id[CH_EVENT_ID_SIZE] = "evt_";
  char ulid[CH_ULID_SIZE];
  g_autofree char *text = NULL, *key = NULL;

  if (order->metadata != NULL) {
    json_t *metadata = ch_json_parse (order->metadata, strlen (order->metadata), NULL);
    if (metadata != NULL)
      set (data, "metadata", metadata);
  }
  g_strlcat (event_id, ch_ulid (self, ulid), sizeof event_id);
  text = ch_json_dump (data);
  json_decref (data);
  key = g_str_equal (type, "charging.ended")
            ? g_strdup_printf ("%s:%s:%d", type, d->order_no, (gint) d->settlement_rev)
            : g_strdup_printf ("%s:%s:%d:%d", type, d->order_no, d->status,
                               (gint) d->version);

  ch_tx_add (tx, self, "events.insert");
  ch_tx_bind_text (tx, "event_id", event_id);
  ch_tx_bind_text (tx, "order_no", d->order_no);
  ch_tx_bind_text (tx, "phy_id", order->device->id);
  ch_tx_bind_text (tx, "event_type", type);
  ch_tx_bind_json (tx, "event_data", text);
  ch_tx_bind_text (tx, "dedup_key", key);
  ch_tx_bind_time (tx, "occurred_at", d->updated_at);
  ch_tx_bind_time (tx, "created_at", ch_wall_ms (self));
}

static json_t *watts (gint64 energy_wh, gint64 duration_s)
{
  return duration_s > 0 ? ch_json_milli (energy_wh * 3600 * 1000 / duration_s)
                        : json_integer (0);
}

static void add_settlement (json_t *data, const ChOrderData *d)
{
  set (data, "duration", json_integer (d->duration_s));
  set (data, "total_kwh", ch_json_milli (d->energy_wh));
  set (data, "energy_wh", json_integer (d->energy_wh));
  set (data, "amount_cent",
       json_integer (d->amount_cent == CH_UNSET ? 0 : d->amount_cent));
  set (data, "total_amount",
       ch_json_milli ((d->amount_cent == CH_UNSET ? 0 : d->amount_cent) * 10));
}

static void add_reason (json_t *data, const ChOrderData *d)
{
  ChEndReason reason
      = d->end_reason == CH_UNSET ? CH_END_UNKNOWN : (ChEndReason) d->end_reason;
  set (data, "end_reason", json_string (ch_end_reason_name (reason)));
  set (data, "end_reason_code", json_integer (reason));
  set (data, "end_reason_msg",
       json_string (reason == CH_END_NORMAL ? "charging finished"
                                            : ch_end_reason_name (reason)));
}

static void row_completed (const ChOrder *order, const ChOrderData *d, const char *type,
                           ChTx *tx)
{
  json_t *data = common (order, d);
  add_settlement (data, d);
  set (data, "peak_power",
       d->peak_power_mw == CH_UNSET ? json_integer (0)
                                    : ch_json_milli (d->peak_power_mw));
  set (data, "avg_power", watts (d->energy_wh, d->duration_s));
  set (data, "electricity_cent",
       json_integer (d->electricity_cent == CH_UNSET ? 0 : d->electricity_cent));
  set (data, "service_cent",
       json_integer (d->service_cent == CH_UNSET ? 0 : d->service_cent));
  add_reason (data, d);
  set (data, "settlement_rev", json_integer (d->settlement_rev));
  set_seconds (data, "completed_at", d->end_time);
  if (g_str_equal (type, "order.settlement_revised")) {
    json_t *previous = json_object ();
    set (previous, "status",
         json_string (ch_order_status_name ((ChOrderStatus) order->d.status)));
    set (previous, "energy_wh", json_integer (order->d.energy_wh));
    set (previous, "amount_cent",
         json_integer (order->d.amount_cent == CH_UNSET ? 0 : order->d.amount_cent));
    set (data, "previous", previous);
  }
  add_row (order, d, type, data, tx);
}

static void row_ended (const ChOrder *order, const ChOrderData *d, ChTx *tx)
{
  json_t *data = common (order, d);
  add_settlement (data, d);
  json_object_del (data, "total_amount");
  add_reason (data, d);
  set_seconds (data, "ended_at", d->end_time);
  set (data, "provisional", json_boolean (d->provisional));
  set (data, "lookup_source", json_string (d->lookup_source));
  add_row (order, d, "charging.ended", data, tx);
}

static void row_stopped (const ChOrder *order, const ChOrderData *d, ChTx *tx)
{
  json_t *data = common (order, d);
  set (data, "reason",
       json_string (d->end_reason == CH_UNSET
                        ? "unknown"
                        : ch_end_reason_name ((ChEndReason) d->end_reason)));
  add_settlement (data, d);
  set (data, "provisional", json_boolean (d->provisional));
  set_seconds (data, "stopped_at", d->end_time);
  add_row (order, d, "order.stopped", data, tx);
}

static void row_failed (const ChOrder *order, const ChOrderData *d, ChTx *tx)
{
  json_t *data = common (order, d);
  set (data, "failure_reason", json_string (d->failure_reason));
  set (data, "provisional", json_boolean (d->provisional));
  if (d->energy_wh > 0 || d->duration_s > 0)
    add_settlement (data, d);
  set_seconds (data, "failed_at", d->updated_at);
  add_row (order, d, "order.failed", data, tx);
}

static void row_confirmed (const ChOrder *order, const ChOrderData *d, ChTx *tx)
{
  gboolean failed = d->status == CH_ORDER_FAILED;
  json_t *data = common (order, d);
  set (data, "result", json_string (failed ? "failed" : "success"));
  if (failed)
    set (data, "fail_reason", json_string (d->failure_reason));
  set_seconds (data, "confirmed_at", d->updated_at);
  add_row (order, d, "order.confirmed", data, tx);
}

static void row_started (const ChOrder *order, const ChOrderData *d, ChTx *tx)
{
  json_t *data = common (order, d);
  if (d->last_power_mw != CH_UNSET)
    set (data, "power_w", ch_json_milli (d->last_power_mw));
  set_seconds (data, "started_at", d->start_time);
  add_row (order, d, "charging.started", data, tx);
}

/* A stop that was asked for, by whom, and why. */
static void row_stopping (const ChOrder *order, const ChOrderData *d, const char *by,
                          const char *reason, ChTx *tx)
{
  json_t *data = common (order, d);
  set (data, "reason", json_string (reason));
  set (data, "by", json_string (by));
  set (data, "command_id", json_string (d->stop_command_id));
  set_seconds (data, "stopping_at", d->updated_at);
  add_row (order, d, "order.stopping", data, tx);
}

/* Events that carry a time under their own name and a reason or so. */
static void row_plain (const ChOrder *order, const ChOrderData *d, const char *type,
                       const char *time_name, ChTx *tx)
{
  json_t *data = common (order, d);
  if (g_str_equal (type, "order.timeout")) {
    set (data, "reason", json_string ("no_ack"));
    set (data, "waited_s", json_integer ((d->updated_at - d->created_at) / 1000));
    set (data, "provisional", json_boolean (d->provisional));
  } else if (g_str_has_prefix (type, "order.cancel")) {
    set (data, "reason",
         json_string (d->failure_reason[0] != '\0' ? d->failure_reason : "api"));
    set (data, "provisional", json_boolean (d->provisional));
  } else if (g_str_equal (type, "order.interrupted")) {
    set (data, "energy_wh", json_integer (d->energy_wh));
    set (data, "duration", json_integer (d->duration_s));
  } else if (g_str_equal (type, "order.recovered"))
    set_seconds (data, "interrupted_at", order->d.interrupted_at);
  set_seconds (data, time_name, d->updated_at);
  add_row (order, d, type, data, tx);
}

static void rows_of_end (const ChOrder *order, const ChOrderData *d, gboolean charged,
                         ChTx *tx)
{
  if (charged)
    row_ended (order, d, tx);
  if (d->status == CH_ORDER_COMPLETED)
    row_completed (order, d, "order.completed", tx);
  else if (d->status == CH_ORDER_STOPPED)
    row_stopped (order, d, tx);
  else
    row_failed (order, d, tx);
}

void ch_order_event_rows (const ChOrder *order, const ChOrderData *d,
                          const ChOrderCell *cell, const char *by, const char *reason,
                          ChTx *tx)
{
  switch (cell->transition) {
  case 2:
    row_confirmed (order, d, tx);
    break;
  case 3:
    if (order->d.status == CH_ORDER_PENDING)
      row_confirmed (order, d, tx);
    row_started (order, d, tx);
    break;
  case 4:
    row_confirmed (order, d, tx);
    row_failed (order, d, tx);
    break;
  case 5:
  case 8:
  case 26:
    row_failed (order, d, tx);
    break;
  case 6:
    row_plain (order, d, "order.timeout", "timeout_at", tx);
    break;
  case 7: /* taken back before it was written: cancelled at once */
    if (d->status == CH_ORDER_CANCELLED)
      row_plain (order, d, "order.cancelled", "cancelled_at", tx);
    else
      row_plain (order, d, "order.cancelling", "cancelling_at", tx);
    break;
  case 9:
  case 30:
    row_stopping (order, d, by, reason, tx);
    break;
  case 13:
    row_plain (order, d, "order.interrupted", "interrupted_at", tx);
    break;
  case 14:
  case 32:
    row_plain (order, d, "order.recovered", "recovered_at", tx);
    break;
  case 24:
    row_plain (order, d, "order.cancelled", "cancelled_at", tx);
    break;
  case 27:
    row_started (order, d, tx);
    rows_of_end (order, d, TRUE, tx);
    break;
  case 28:
    row_completed (order, d, "order.settlement_revised", tx);
    break;
  case 10:
  case 11:
  case 12:
  case 15:
  case 18:
  case 19:
  case 25:
  case 33:
    rows_of_end (order, d, TRUE, tx);
    break;
  case 16:
  case 17:
  case 20:
  case 22:
  case 23:
  case 31:
    rows_of_end (order, d, FALSE, tx);
    break;
  default: /* 21: the same state again */
    break;
  }
}

void ch_order_created_rows (const ChOrder *order, ChTx *tx)
{
  static const char *const modes[] = {"", "time", "kwh", "power", "full"};
  const ChOrderData *d = &order->d;
  json_t *data = common (order, d);

  set (data, "source", json_string (ch_order_source_name ((ChOrderSource) d->source)));
  set (data, "charge_mode", json_string (modes[MIN (d->charge_mode, 4)]));
  if (d->target_duration_s != CH_UNSET)
    set (data, "duration", json_integer (d->target_duration_s));
  if (d->target_energy_wh != CH_UNSET)
    set (data, "kwh_limit", ch_json_milli (d->target_energy_wh));
  if (d->max_power_w != CH_UNSET)
    set (data, "power_level", json_integer (d->max_power_w));
  set (data, "price_per_kwh", ch_json_milli (d->price_per_kwh_cent * 10));
  if (d->amount_limit_cent != CH_UNSET)
    set (data, "amount_cent", json_integer (d->amount_limit_cent));
  set_seconds (data, "created_at", d->created_at);
  add_row (order, d, "order.created", data, tx);
  if (d->status == CH_ORDER_CHARGING)
    row_started (order, d, tx);
  else if (d->status == CH_ORDER_COMPLETED)
    row_ended (order, d, tx);
}

/* ---- topics ---- */

static ChEvent head (const ChOrder *order)
{
  ChEvent event = {.time_ms = ch_wall_ms (order->device->core->self),
                   .socket_no = order->d.socket_no,
                   .port_no = order->d.port_no};
  g_strlcpy (event.device, order->device->id, sizeof event.device);
  return event;
}

void ch_order_publish_changed (const ChOrder *order, gint from, guint transition,
                               const char *by)
{
  ChCore *core = order->device->core;
  if (!ch_topic_is_heard (core->topics.order_changed))
    return;
  ChOrderChangedEvent event = {.event = head (order),
                               .provisional = order->d.provisional,
                               .version = order->d.version};
  g_strlcpy (event.order_no, order->d.order_no, sizeof event.order_no);
  g_strlcpy (event.from, from < 0 ? "" : ch_order_status_name ((ChOrderStatus) from),
             sizeof event.from);
  g_strlcpy (event.to, ch_order_status_name ((ChOrderStatus) order->d.status),
             sizeof event.to);
  g_snprintf (event.transition, sizeof event.transition, "T%u", transition % 100);
  g_strlcpy (event.by, by, sizeof event.by);
  g_strlcpy (event.failure_reason, order->d.failure_reason, sizeof event.failure_reason);
  ch_publish (core->topics.order_changed, &event.event);
}

void ch_order_publish_started (const ChOrder *order)
{
  ChCore *core = order->device->core;
  if (!ch_topic_is_heard (core->topics.order_started))
    return;
  const ChPort *port
      = ch_device_port (order->device, order->d.socket_no, order->d.port_no, FALSE);
  ChOrderStartedEvent event = {.event = head (order),
                               .start_time = order->d.start_time,
                               .power = CH_UNSET,
                               .current = CH_UNSET,
                               .voltage = CH_UNSET};
  if (port != NULL && port->power_mw != G_MININT32)
    event.power = port->power_mw;
  if (port != NULL && port->current_ma != G_MININT32)
    event.current = port->current_ma;
  if (port != NULL && port->voltage_mv != G_MININT32)
    event.voltage = port->voltage_mv;
  g_strlcpy (event.order_no, order->d.order_no, sizeof event.order_no);
  g_strlcpy (event.source, ch_order_source_name ((ChOrderSource) order->d.source),
             sizeof event.source);
  g_strlcpy (event.card_no, order->card_no != NULL ? order->card_no : "",
             sizeof event.card_no);
  ch_publish (core->topics.order_started, &event.event);
}

void ch_order_publish_updated (const ChOrder *order, gint64 current_ma, gint64 voltage_mv,
                               gint64 temp_dc, gint64 soc, const char *lookup_source)
{
  ChCore *core = order->device->core;
  if (!ch_topic_is_heard (core->topics.order_updated))
    return;
  ChOrderUpdatedEvent event = {.event = head (order),
                               .energy_wh = order->d.energy_wh,
                               .duration_s = order->d.duration_s,
                               .power = order->d.last_power_mw,
                               .current = current_ma,
                               .voltage = voltage_mv,
                               .temp = temp_dc == CH_UNSET ? CH_UNSET : temp_dc * 100,
                               .soc = soc,
                               .amount_cent = order->d.amount_cent};
  g_strlcpy (event.order_no, order->d.order_no, sizeof event.order_no);
  g_strlcpy (event.lookup_source, lookup_source, sizeof event.lookup_source);
  ch_publish (core->topics.order_updated, &event.event);
}

void ch_order_publish_ended (const ChOrder *order)
{
  ChCore *core = order->device->core;
  if (!ch_topic_is_heard (core->topics.order_ended))
    return;
  ChOrderEndedEvent event = {.event = head (order),
                             .energy_wh = order->d.energy_wh,
                             .duration_s = order->d.duration_s,
                             .end_reason = order->d.end_reason,
                             .raw_reason = order->d.raw_reason,
                             .amount_cent = order->d.amount_cent,
                             .provisional = order->d.provisional};
  g_strlcpy (event.order_no, order->d.order_no, sizeof event.order_no);
  g_strlcpy (event.lookup_source, order->d.lookup_source, sizeof event.lookup_source);
  ch_publish (core->topics.order_ended, &event.event);
}

void ch_order_progress_row (ChOrder *order, ChTx *tx)
{
  ChOrderData *d = &order->d;
  json_t *data = common (order, d);
  const ChPort *port = ch_device_port (order->device, d->socket_no, d->port_no, FALSE);

  set (data, "power_w",
       d->last_power_mw == CH_UNSET ? json_integer (0)
                                    : ch_json_milli (d->last_power_mw));
  if (port != NULL && port->current_ma != G_MININT32)
    set (data, "current_a", ch_json_milli (port->current_ma));
  if (port != NULL && port->voltage_mv != G_MININT32)
    set (data, "voltage_v", ch_json_milli (port->voltage_mv));
  set (data, "energy_kwh", ch_json_milli (d->energy_wh));
  set (data, "energy_wh", json_integer (d->energy_wh));
  set (data, "duration_s", json_integer (d->duration_s));
  if (d->amount_cent != CH_UNSET)
    set (data, "amount_cent", json_integer (d->amount_cent));
  set (data, "lookup_source",
       json_string (d->wire_order[0] != '\0' ? "business_no" : "order_no"));
  set_seconds (data, "updated_at", ch_wall_ms (order->device->core->self));

  ChOrderData at = *d;
  at.version
      = d->version * 100000 + ch_wall_ms (order->device->core->self) / 10000 % 100000;
  add_row (order, &at, "charging.progress", data, tx);
}
