/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-change.h"
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include "core/order/order-store.h"
#include "core/order/tariff.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define OVERTAKEN_WH 10

/* ---- settlement (gateway 1.5.5) ---- */

static void price (const ChOrder *order, ChOrderData *d)
{
  ChPlugin *self = order->device->core->self;
  ChAmount amount = ch_tariff_amount (
      d->energy_wh, d->price_per_kwh_cent, d->service_fee_permille,
      ch_config_int (self, "tariff.min_charge_cent"), d->amount_limit_cent);
  d->electricity_cent = amount.electricity_cent;
  d->service_cent = amount.service_cent;
  d->amount_cent = amount.total_cent;
  if (d->device_amount_cent != CH_UNSET
      && ch_config_bool (self, "orders.trust_device_amount"))
    d->amount_cent = d->device_amount_cent;
}

void ch_order_settle (const ChOrder *order, ChOrderData *next, gint64 end_wall_ms)
{
  if (next->end_time == CH_UNSET)
    next->end_time = next->start_time != CH_UNSET && next->duration_s > 0
                         ? MIN (end_wall_ms, next->start_time + next->duration_s * 1000)
                         : end_wall_ms;
  if (next->end_reason == CH_UNSET)
    next->end_reason = CH_END_UNKNOWN;
  price (order, next);
}

/*
 * Half of what it was or less: a figure that is a little lower is only an older one, for
 * a report and the answer to a query may overtake each other. So is one that is lower by
 * what is charged within seconds, at the beginning of a charge.
 */
gboolean ch_order_counter_restarted (const ChOrderData *d, gint64 energy_wh)
{
  gint64 before = d->energy_wh - d->base_energy_wh;
  return energy_wh <= before / 2 && before - energy_wh > OVERTAKEN_WH;
}

void ch_order_settle_report (const ChOrder *order, ChOrderData *next,
                             const ChOrderEnded *fact, gint64 now_wall_ms)
{
  /* Figures never decrease below the last progress, and what was counted is not counted
   * again: a report may be a little behind it, or from a counter that began anew. */
  gint64 energy_wh = MAX (fact->energy_wh, 0);
  next->failure_reason[0] = '\0';
  if (order->d.base_energy_wh > 0
      || ch_order_counter_restarted (&order->d, fact->energy_wh))
    g_strlcpy (next->failure_reason, "counter_reset", sizeof next->failure_reason);
  next->energy_wh = MAX (order->d.base_energy_wh + energy_wh, order->d.energy_wh);
  next->duration_s = MAX (fact->duration_s, order->d.duration_s);

  gint64 ended = fact->occurred_at_ms;
  if (ended == CH_UNSET || ended > now_wall_ms + 300000
      || (order->d.start_time != CH_UNSET && ended < order->d.start_time)
      || (order->d.start_time == CH_UNSET && ABS (ended - now_wall_ms) > 300000))
    ended = now_wall_ms;
  next->end_time = ended;
  if (next->start_time == CH_UNSET)
    next->start_time = ended - next->duration_s * 1000;
  next->end_reason = fact->end_reason;
  next->raw_reason = fact->raw_reason;
  if (fact->amount_cent != CH_UNSET)
    next->device_amount_cent = fact->amount_cent;
  if (fact->power_mw != CH_UNSET)
    next->last_power_mw = fact->power_mw;
  if (fact->dedup_key != NULL)
    g_strlcpy (next->end_key, fact->dedup_key, sizeof next->end_key);
  price (order, next);
}

/* ---- the change ---- */

ChChange *ch_change_begin (ChOrder *order, ChOrderEvent event, const char *by,
                           const char *reason)
{
  ChCore *core = order->device->core;
  const ChOrderCell *cell = ch_order_machine_cell ((ChOrderStatus) order->d.status,
                                                   order->d.provisional, event);
  if (cell == NULL) {
    ch_series_inc (core->metrics->order_inconsistent_transition);
    ch_log (core->self, CH_LOG_INFO,
            CH_LOG_FIELDS ("order_no", order->d.order_no, "device", order->device->id),
            "%s refused in state %s", ch_order_event_name (event),
            ch_order_status_name ((ChOrderStatus) order->d.status));
    return NULL;
  }

  ChChange *change = g_new0 (ChChange, 1);
  ChOrderData *next = &change->next;
  change->order = order;
  change->next = order->d;
  change->cell = cell;
  change->event = event;
  change->by = by;
  change->reason = reason;
  change->from = order->d.status;
  change->tx = ch_tx_new (core->self);

  next->status = cell->to;
  next->version++;
  next->updated_at = ch_wall_ms (core->self);
  next->provisional = (cell->effects & CH_ORDER_EFFECT_PROVISIONAL) != 0;
  if (cell->effects & CH_ORDER_EFFECT_RESUME)
    next->status = order->d.resume_status == CH_ORDER_STOPPING ? CH_ORDER_STOPPING
                                                               : CH_ORDER_CHARGING;
  if ((cell->effects & CH_ORDER_EFFECT_STOPPED_IF_STOPPING)
      && order->d.resume_status == CH_ORDER_STOPPING)
    next->status = CH_ORDER_STOPPED;
  if (event == CH_ORDER_EVENT_LOST) {
    next->resume_status = order->d.status;
    next->interrupted_at = next->updated_at;
  }
  if (cell->effects & CH_ORDER_EFFECT_REMEMBER_STOP)
    next->resume_status = CH_ORDER_STOPPING;
  if (cell->effects & CH_ORDER_EFFECT_REVISE) {
    next->settlement_rev++;
    next->failure_reason[0] = '\0'; /* why it had been given up; the history knows */
  }
  change->first_end = (cell->effects & CH_ORDER_EFFECT_SETTLE) != 0
                      && (cell->effects & CH_ORDER_EFFECT_REVISE) == 0;
  return change;
}

ChChange *ch_change_amend (ChOrder *order, const ChOrderCell *cell, const char *by,
                           const char *reason)
{
  ChChange *change = g_new0 (ChChange, 1);
  change->order = order;
  change->next = order->d;
  change->next.version++;
  change->next.updated_at = ch_wall_ms (order->device->core->self);
  change->cell = cell;
  change->event = CH_ORDER_EVENT_N;
  change->by = by;
  change->reason = reason;
  change->from = order->d.status;
  change->tx = ch_tx_new (order->device->core->self);
  return change;
}

void ch_change_add_stop (ChChange *change, const char *reason)
{
  ChOrder *order = change->order;
  ChCore *core = order->device->core;
  char id[CH_COMMAND_ID_SIZE];
  gboolean deduplicated;
  g_autoptr (GError) error = NULL;
  json_t *payload = json_object ();
  json_object_set_new_nocheck (payload, "reason", json_string (reason));

  ChOutboundRequest request = {
      .type = CH_COMMAND_STOP_CHARGE,
      .device = order->device,
      .socket_no = change->next.socket_no,
      .port_no = change->next.port_no,
      .order_no = change->next.order_no,
      .business_no = change->next.business_no,
      .wire_order = change->next.wire_order,
      .priority = 1,
      .payload = payload,
      .durable = TRUE,
  };
  if (ch_outbound_prepare (core->outbound, &request, change->tx, id, &deduplicated,
                           &error)) {
    g_strlcpy (change->next.stop_command_id, id, sizeof change->next.stop_command_id);
    change->stop_prepared = !deduplicated;
  } else
    ch_log (core->self, CH_LOG_WARNING,
            CH_LOG_FIELDS ("order_no", order->d.order_no, "device", order->device->id),
            "stop not queued: %s", error->message);
  json_decref (payload);
}

static void count (ChChange *change)
{
  ChOrder *order = change->order;
  ChCoreMetrics *m = order->device->core->metrics;
  const char *protocol
      = order->device->protocol[0] != '\0' ? order->device->protocol : "none";

  if (change->cell->transition == 0)
    return;
  ch_series_inc (ch_metric_with (
      m->order_transition, ch_order_status_name ((ChOrderStatus) change->from),
      ch_order_status_name ((ChOrderStatus) order->d.status), change->by, NULL));
  if (change->event == CH_ORDER_EVENT_STARTED)
    ch_series_observe (ch_metric_with (m->start_seconds, protocol, NULL),
                       (double) (order->d.updated_at - order->d.created_at) / 1000);
  if (change->first_end)
    ch_series_add (ch_metric_with (m->energy_total, protocol, NULL),
                   (double) order->d.energy_wh);
  if (change->cell->effects & CH_ORDER_EFFECT_REVISE)
    ch_series_inc (m->settlement_revised);
  if (g_str_equal (change->by, "timer"))
    ch_series_inc (ch_metric_with (
        m->order_timeout, ch_order_status_name ((ChOrderStatus) change->from), NULL));
}

/* An acknowledged start (PORT-01); for a while no load is no news (PORT-04). */
void ch_order_port_on (const ChOrder *order)
{
  ChDevice *device = order->device;
  ChPort *port = ch_device_port (device, order->d.socket_no, order->d.port_no, TRUE);
  if (port == NULL || device->conn == 0)
    return;
  port->settle_until_ms = ch_now_ms (device->core->self)
                          + ch_config_int (device->core->self, "ports.settle_s") * 1000;
  port->unsolicited_ms = 0;
  ch_port_set_status (device, port, CH_PORT_CHARGING, "start_ack");
}

static void enter_state (ChOrder *order, gint event)
{
  ChDevice *device = order->device;
  gint64 now_ms = ch_now_ms (device->core->self);

  order->state_ms = now_ms;
  if (event == CH_ORDER_EVENT_STARTED) {
    order->progress_ms = order->duration_ms = now_ms;
    ch_outbound_started (device->core->outbound, order->d.start_command_id);
    ch_order_port_on (order);
  }
  if (order->d.status == CH_ORDER_STOPPING) { /* its stop is a new one */
    order->stop_acked_ms = 0;
    order->stop_round_ms = now_ms;
    order->stop_rounds = 0;
    order->stop_alarmed = FALSE;
  }
  if (event == CH_ORDER_EVENT_LOST) {
    order->idle_ms = order->fault_ms = 0;
    order->bound_ms = device->conn != 0 ? now_ms : 0;
    if (device->conn != 0) /* back before the loss was stored: R1 */
      ch_order_query_port (device, order->d.socket_no, 2);
  }
}

/* The device has chosen the port (auto_port). */
static void hold_port (ChOrder *order)
{
  ChPort *port
      = ch_device_port (order->device, order->d.socket_no, order->d.port_no, TRUE);
  if (port != NULL && port->order == NULL)
    port->order = order;
}

/* Makes the new state true in memory. */
static void apply (ChChange *change)
{
  ChOrder *order = change->order;
  ChOrders *orders = order->device->core->orders;
  gboolean was_active = ch_orders_find (orders, order->d.order_no) == order;

  if (change->next.sent_at == CH_UNSET)
    change->next.sent_at = order->d.sent_at; /* written while the store worked */
  gboolean placed = order->d.port_no < 0 && change->next.port_no >= 0;
  order->d = change->next;
  if (was_active && placed)
    hold_port (order);
  if (change->from != order->d.status)
    enter_state (order, (gint) change->event);
  if (ch_order_status_is_active ((ChOrderStatus) order->d.status) && !was_active)
    ch_orders_add_active (orders, order);
}

static void publish (const ChOrder *order, gint from, gint event, guint transition,
                     const char *by, gboolean first_end)
{
  if (transition == 0)
    return;
  ch_order_publish_changed (order, from, transition, by);
  if (event == CH_ORDER_EVENT_STARTED || transition == 27)
    ch_order_publish_started (order);
  if (first_end)
    ch_order_publish_ended (order);
}

/*
 * What an order still has in the queue: of one that is cancelled or has ended the start
 * must never be sent again, and of one that has ended the stop would end the next charge
 * of the port.
 */
static void take_back_commands (const ChOrder *order, gint event)
{
  const ChOrderData *d = &order->d;
  ChOutbound *outbound = order->device->core->outbound;
  gboolean reported = event == CH_ORDER_EVENT_END || event == CH_ORDER_EVENT_END_STOPPED;

  if (d->status != CH_ORDER_CANCELLING
      && ch_order_status_is_active ((ChOrderStatus) d->status))
    return;
  if (d->start_command_id[0] != '\0')
    ch_outbound_cancel (outbound, d->start_command_id);
  if (reported && d->stop_command_id[0] != '\0')
    ch_outbound_cancel (outbound, d->stop_command_id);
}

/* ---- when memory and the store differ ---- */

/* What the device has told since is in memory only. */
static void keep_figures (ChOrderData *d, const ChOrderData *memory)
{
  d->energy_wh = MAX (d->energy_wh, memory->energy_wh);
  d->base_energy_wh = MAX (d->base_energy_wh, memory->base_energy_wh);
  d->duration_s = MAX (d->duration_s, memory->duration_s);
  if (d->sent_at == CH_UNSET)
    d->sent_at = memory->sent_at;
}

/* @order has the state that a change unheard gave it. */
static void follow_unsure (ChOrder *order, gint from)
{
  const ChOrderData *d = &order->d;

  if (from != d->status)
    enter_state (order, order->unsure.event);
  take_back_commands (order, order->unsure.event);
  if (order->unsure.had_stop)
    ch_order_compensate (order->device, d->socket_no, d->port_no, d->order_no,
                         d->business_no, d->wire_order, "stop_request");
  publish (order, from, order->unsure.event, order->unsure.transition, order->unsure.by,
           order->unsure.first_end);
}

void ch_order_take_row (ChOrder *order, const ChOrder *row)
{
  ChDevice *device = order->device;
  gint from = order->d.status;
  gboolean placed = order->d.port_no < 0 && row->d.port_no >= 0;
  ChOrderData next = row->d;

  if (ch_order_status_is_active ((ChOrderStatus) next.status))
    keep_figures (&next, &order->d);
  order->d = next;
  if (placed)
    hold_port (order);
  if (order->unsure.version == next.version)
    follow_unsure (order, from);
  else if (from != next.status)
    order->state_ms = ch_now_ms (device->core->self);
  order->unsure.version = 0;
  if (ch_order_status_is_active ((ChOrderStatus) next.status))
    ch_order_arm (order);
  else
    ch_orders_remove_active (device->core->orders, order);
}

/*
 * Another instance (or a repair by hand) changed the row, or a change was stored although
 * its answer was lost: take it as it is. Part of the job, as nobody may hold the order.
 */
static void reloaded (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  ChOrder *order = data;
  ChDevice *device = order->device;
  if (error == NULL && ch_tx_result_rows (result, 0) > 0) {
    ChOrder *row = ch_order_new (device);
    ch_order_read (row, result, 0, 0);
    ch_order_take_row (order, row);
    ch_order_free (row);
  }
  ch_fact_finish (device);
}

static void reload (ChOrder *order)
{
  ChPlugin *self = order->device->core->self;
  ch_log (self, CH_LOG_WARNING, CH_LOG_FIELDS ("order_no", order->d.order_no),
          "order was changed elsewhere, reading it again");
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", order->d.order_no);
  ch_tx_submit (tx, 0, reloaded, order);
}

/* Nobody said whether it was stored: memory stays as it is until the row was read. */
static void remember (const ChChange *change, ChOrder *order)
{
  order->unsure.version = change->next.version;
  order->unsure.event = (gint) change->event;
  order->unsure.transition = change->cell->transition;
  order->unsure.by = change->by;
  order->unsure.first_end = change->first_end;
  order->unsure.had_stop = change->stop_prepared;
}

/* Takes @change. */
static void not_committed (ChChange *change, const GError *error)
{
  ChOrder *order = change->order;
  ChDevice *device = order->device;
  ChCore *core = device->core;
  gboolean doubtful = ch_order_is_doubtful (error);
  gboolean in_memory = ch_orders_find (core->orders, order->d.order_no) == order;
  gboolean guarded = g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD);

  if (change->stop_prepared && doubtful) /* its row may be there */
    ch_outbound_cancel (core->outbound, change->next.stop_command_id);
  else if (change->stop_prepared)
    ch_outbound_discard (core->outbound, change->next.stop_command_id);
  g_autofree char *what
      = g_strdup_printf ("%s not stored", ch_order_event_name (change->event));
  ch_core_trouble (core, CH_TROUBLE_ORDER,
                   CH_LOG_FIELDS ("order_no", order->d.order_no, "device", device->id),
                   what, error);
  change->done (change, error, change->data);
  if (doubtful)
    remember (change, order);
  gboolean revived = ch_order_status_is_active ((ChOrderStatus) change->next.status);
  g_free (change);
  if (in_memory && guarded) {
    reload (order);
    return;
  }
  if (doubtful && (in_memory || revived))
    ch_order_doubt_change (device, order->d.order_no, in_memory ? NULL : order);
  else if (!in_memory)
    ch_order_free (order);
  ch_fact_finish (device);
}

static void committed (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  ChChange *change = data;
  ChOrder *order = change->order;
  ChDevice *device = order->device;
  ChCore *core = device->core;

  if (error != NULL) {
    not_committed (change, error);
    return;
  }
  apply (change);
  count (change);
  if (change->stop_prepared)
    ch_outbound_push (core->outbound, order->d.stop_command_id);
  take_back_commands (order, (gint) change->event);
  change->done (change, NULL, change->data);
  publish (order, change->from, (gint) change->event, change->cell->transition,
           change->by, change->first_end);
  if (ch_order_status_is_active ((ChOrderStatus) order->d.status))
    ch_order_arm (order);
  else if (ch_orders_find (core->orders, order->d.order_no) == order)
    ch_orders_remove_active (core->orders, order);
  else
    ch_order_free (order);
  g_free (change);
  ch_fact_finish (device);
}

void ch_change_commit (ChChange *change, ChChangeDone done, gpointer data)
{
  ChOrder *order = change->order;
  g_autofree char *history = ch_order_history (
      change->next.status, change->next.updated_at, change->reason, change->by);
  ChTx *tx = ch_tx_new (order->device->core->self);

  if ((change->cell->effects & CH_ORDER_EFFECT_SEND_STOP)
      && (change->event != CH_ORDER_EVENT_CONFIRMED_TIMEOUT
          || change->next.wire_order[0] != '\0'
          || ch_device_props (order->device)->stops_unreported)) /* C2 */
    ch_change_add_stop (change, change->reason);
  change->done = done;
  change->data = data;
  ch_order_update (order, &change->next, history, tx);
  ch_order_event_rows (order, &change->next, change->cell, change->by, change->reason,
                       tx);
  ch_tx_append (tx, g_steal_pointer (&change->tx));
  ch_tx_submit (tx, 0, committed, change);
}
