/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The durable facts of orders: a charge started, a charge ended (gateway 1.5.5,
 * bkv 10.4). Both run as the head job of the device's queue. The answer to the device
 * goes out from
 * @next, when the transaction has committed. Whatever is found, a report that ends a
 * charge is stored once and answered every time.
 */
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-alarms.h"
#include "core/order/order-auto.h"
#include "core/order/order-conflict.h"
#include "core/order/order-doubt.h"
#include "core/order/order-find.h"
#include "core/order/order-flow.h"
#include "core/order/order-home.h"
#include "core/order/order-learn.h"
#include "core/order/order-local.h"
#include "core/order/order-store.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

/* Nothing (more) to store: tell and go on. */
static void settle_fact (ChReported *p, const GError *error)
{
  ChDevice *device = p->device;
  p->next (device, error, p->data);
  g_free (p);
  ch_fact_finish (device);
}

/* ---- what the port shows afterwards ---- */

/* @order: whose charge has ended; a port that another one holds goes on as it is. */
static void port_is_off (ChReported *p, const ChOrder *order)
{
  ChPort *port
      = ch_device_port (p->device, ch_reported_socket (p), ch_reported_port (p), TRUE);
  if (port == NULL || (port->order != NULL && port->order != order))
    return;
  port->settle_until_ms = 0;
  port->last_ended_no = p->ended->business_no;
  ch_port_alarms_clear (p->device, port, CH_PORT_ALARM_UNORDERED | CH_PORT_ALARM_STOP);
  if (p->ended->next_port_status != CH_UNSET && p->device->conn != 0)
    ch_port_set_status (p->device, port, (ChPortStatus) p->ended->next_port_status,
                        "end_report");
}

/* ---- transitions of an order that was found ---- */

/* Once it is stored: a report that waits in the journal is tried again and again. */
static void log_end (const ChReported *p, const ChChange *change)
{
  ch_log (p->device->core->self, CH_LOG_INFO,
          CH_LOG_FIELDS ("order_no", change->order->d.order_no, "device", p->device->id),
          "charge ended: %d Wh, %d s, %s", (gint) change->next.energy_wh,
          (gint) change->next.duration_s, ch_end_reason_name (p->ended->end_reason));
}

static void changed (ChChange *change, const GError *error, gpointer data)
{
  ChReported *p = data;
  if (error == NULL && p->ended != NULL) {
    log_end (p, change);
    port_is_off (p, change->order);
  } else if (error == NULL) { /* another order may hold the port */
    ch_order_place_later (change->order, ch_reported_port (p));
  }
  p->next (p->device, error, p->data);
  g_free (p); /* the change finishes the job */
}

static void take_numbers (const ChReported *p, const ChOrder *order, ChOrderData *next)
{
  ch_order_place (order, next, ch_reported_port (p));
  if (ch_reported_number (p) != CH_UNSET)
    next->business_no = (guint16) ch_reported_number (p);
  if (ch_reported_wire (p) != NULL && *ch_reported_wire (p) != '\0')
    g_strlcpy (next->wire_order, ch_reported_wire (p), sizeof next->wire_order);
}

static void end_order (ChReported *p, ChOrder *order)
{
  const ChOrderEnded *fact = p->ended;
  ChCore *core = p->device->core;
  gboolean stopped
      = fact->end_reason == CH_END_USER_STOP || fact->end_reason == CH_END_REMOTE_STOP;
  ChChange *change
      = ch_change_begin (order, stopped ? CH_ORDER_EVENT_END_STOPPED : CH_ORDER_EVENT_END,
                         "device", "end_report");

  if (change == NULL) { /* final already: acknowledge, change nothing */
    ch_series_inc (ch_metric_with (core->metrics->duplicate_report, "end", NULL));
    if (ch_orders_find (core->orders, order->d.order_no) != order)
      ch_order_free (order);
    settle_fact (p, NULL);
    return;
  }
  ch_order_settle_report (order, &change->next, fact, ch_fact_said_ms (p->device));
  change->next.provisional = fact->inferred;
  if (order->d.wire_order[0] == '\0' && p->lookup_source != NULL
      && g_str_equal (p->lookup_source, "port_fallback"))
    take_numbers (p, order, &change->next);
  g_strlcpy (change->next.lookup_source, p->lookup_source,
             sizeof change->next.lookup_source);
  if (change->next.port_no < 0) /* whoever holds it: this one does not any more */
    change->next.port_no = (gint8) ch_reported_port (p);
  if (fact->statements != NULL)
    ch_tx_append (change->tx, g_steal_pointer (&((ChOrderEnded *) fact)->statements));
  ch_change_commit (change, changed, p);
}

/* A second answer with another number: the last one counts, the first stays known. */
static const ChOrderCell SAME_STATE = {.transition = 0};

static void amend_number (ChReported *p, ChOrder *order)
{
  ChChange *change = ch_change_amend (order, &SAME_STATE, "device", "number_changed");
  if (order->d.wire_order[0] != '\0' && ch_reported_wire (p) != NULL
      && !g_str_equal (order->d.wire_order, ch_reported_wire (p)))
    g_strlcpy (change->next.alias_wire_order, order->d.wire_order,
               sizeof change->next.alias_wire_order);
  order->number_is_device = TRUE;
  take_numbers (p, order, &change->next);
  ch_change_commit (change, changed, p);
}

static void started_while_cancelling (ChChange *change, const GError *error,
                                      gpointer data)
{
  const ChOrderData *d = &change->next;
  ch_order_compensate (change->order->device, d->socket_no, d->port_no, d->order_no,
                       d->business_no, d->wire_order, "late_start_compensated");
  changed (change, error, data);
}

static void start_order (ChReported *p, ChOrder *order)
{
  gboolean other_number = ch_reported_wire (p) != NULL && *ch_reported_wire (p) != '\0'
                          && !g_str_equal (order->d.wire_order, ch_reported_wire (p));
  switch (order->d.status) {
  case CH_ORDER_PENDING:
  case CH_ORDER_CONFIRMED: {
    ChChange *change
        = ch_change_begin (order, CH_ORDER_EVENT_STARTED, "device", "started");
    change->next.start_time = ch_order_credible_start (p->device, p->started);
    change->next.ack_at = ch_wall_ms (p->device->core->self);
    take_numbers (p, order, &change->next);
    if (ch_reported_has_key (p))
      order->number_is_device = TRUE;
    ch_change_commit (change, changed, p);
    return;
  }
  case CH_ORDER_CANCELLING: { /* C5: its end report is to find it */
    ChChange *change
        = ch_change_amend (order, &SAME_STATE, "device", "started_while_cancelling");
    order->began_cancelling = TRUE;
    take_numbers (p, order, &change->next);
    order->number_is_device = TRUE;
    ch_change_commit (change, started_while_cancelling, p);
    return;
  }
  default:
    if (other_number || (order->d.port_no < 0 && ch_reported_port (p) >= 0))
      amend_number (p, order);
    else
      settle_fact (p, NULL);
    return;
  }
}

/* ---- a charge that no order asked for ---- */

/* The new order is stored. */
static void tell_local (ChReported *p)
{
  ChCore *core = p->device->core;
  ChOrder *order = g_steal_pointer (&p->made);
  gboolean active = ch_order_status_is_active ((ChOrderStatus) order->d.status);

  if (active) {
    ch_orders_add_active (core->orders, order);
    ch_order_arm (order);
    ch_order_port_on (order);
  } else
    port_is_off (p, NULL);
  p->next (p->device, NULL, p->data);
  ch_order_publish_changed (order, -1, 29, "device");
  if (active)
    ch_order_publish_started (order);
  else {
    ch_order_publish_ended (order);
    ch_order_free (order);
  }
}

static void local_inserted (ChPlugin *self, const ChTxResult *result, const GError *error,
                            gpointer data)
{
  ChReported *p = data;
  ChDevice *device = p->device;

  if (error != NULL) {
    ch_core_trouble (device->core, CH_TROUBLE_LOCAL_ORDER,
                     CH_LOG_FIELDS ("device", device->id), "local order not stored",
                     error);
    if (p->started != NULL && ch_order_is_doubtful (error))
      ch_order_doubt (g_steal_pointer (&p->made), TRUE, "device");
    g_clear_pointer (&p->made, ch_order_free);
    settle_fact (p, error);
    return;
  }
  tell_local (p);
  g_free (p);
  ch_fact_finish (device);
}

static void add_local (ChReported *p, ChTx *tx)
{
  p->made = ch_order_local_new (p->device, p->started, p->ended);
  ch_order_local_store (p->made, p->ended, tx);
}

static void insert_local (ChReported *p)
{
  ChTx *tx = ch_tx_new (p->device->core->self);
  add_local (p, tx);
  ch_tx_submit (tx, 0, local_inserted, p);
}

/* ---- finding the order ---- */

/* C7: a station that begins again without having ended: the newer charge has the port.
 * One transaction for both, as the port has one active order only. */
static void superseded (ChChange *change, const GError *error, gpointer data)
{
  ChReported *p = data;
  ChDevice *device = p->device;

  if (error != NULL) {
    if (ch_order_is_doubtful (error))
      ch_order_doubt (g_steal_pointer (&p->made), TRUE, "device");
    g_clear_pointer (&p->made, ch_order_free);
    p->next (device, error, p->data);
  } else {
    ch_core_alarm (device->core, device->id, ch_reported_socket (p), ch_reported_port (p),
                   "duplicate", CH_ALARM_MAJOR, TRUE, "Two orders claim one port",
                   change->next.order_no, NULL);
    tell_local (p);
  }
  g_free (p);
}

static void supersede (ChReported *p, ChOrder *order)
{
  ChChange *change
      = ch_change_begin (order, CH_ORDER_EVENT_DUPLICATE, "device", "duplicate");
  ch_order_prepare_event (order, change);
  add_local (p, change->tx);
  ch_change_commit (change, superseded, p);
}

static gboolean may_begin (const ChReported *p)
{
  return ch_config_bool (p->device->core->self, "orders.accept_local")
         && ch_device_port (p->device, ch_reported_socket (p), ch_reported_port (p), TRUE)
                != NULL;
}

static void not_in_store (ChReported *p)
{
  ChOrder *order = ch_reported_active_by_port (p, CH_REPORT_SLACK_S);
  if (p->ended != NULL && p->ended->inferred && order == NULL) {
    settle_fact (p, NULL); /* a guess about an order that has ended meanwhile */
    return;
  }
  if (order != NULL && p->ended != NULL)
    end_order (p, order);
  else if (order != NULL)
    start_order (p, order);
  else if (p->started != NULL && !may_begin (p))
    settle_fact (p, NULL);
  else if (p->started != NULL && ch_reported_holder (p) != NULL)
    supersede (p, ch_reported_holder (p));
  else
    insert_local (p);
}

/* An order that has ended, of the same key: a late report, a copy, or a contradiction. */
static void ended_before (ChReported *p, ChOrder *order, const char *lookup_source)
{
  ChCoreMetrics *metrics = p->device->core->metrics;
  p->lookup_source = lookup_source;
  order->d.provisional = ch_order_may_yet_be_settled (order);
  if (order->d.provisional && p->ended->inferred) {
    ch_order_free (order);
    settle_fact (p, NULL);
  } else if (order->d.provisional)
    end_order (p, order);
  else if (g_strcmp0 (order->d.end_key, p->ended->dedup_key) == 0) {
    ch_series_inc (ch_metric_with (metrics->duplicate_report, "end", NULL));
    ch_order_free (order);
    settle_fact (p, NULL);
  } else {
    ch_order_keep_report (order, p->ended, CH_KEPT_CONFLICT, p->next, p->data);
    g_free (p);
  }
}

static void started_before (ChReported *p, ChOrder *order)
{
  ch_order_charges_again (order);
  settle_fact (p, NULL);
}

/* It names an order which has ended. */
static gboolean named_has_ended (ChReported *p, const ChTxResult *result)
{
  const char *id = ch_tx_result_rows (result, CH_REPORTED_BY_NAME) > 0
                       ? ch_tx_result_text (result, CH_REPORTED_BY_NAME, 0, "phy_id")
                       : NULL;
  if (g_strcmp0 (id, p->device->id) != 0)
    return FALSE;
  ChOrder *order = ch_order_new (p->device);
  ch_order_read (order, result, CH_REPORTED_BY_NAME, 0);
  if (ch_order_status_is_active ((ChOrderStatus) order->d.status)) {
    ch_order_free (order);
    return FALSE;
  }
  if (p->ended != NULL) {
    ended_before (p, order, "order_no");
    return TRUE;
  }
  ch_order_started_late (order, p->started, p->next, p->data);
  g_free (p);
  return TRUE;
}

/* Not the charge of the order that holds the port, or only by the slack: that of one
 * before? */
static gboolean last_is_meant (ChReported *p, const ChTxResult *result)
{
  gboolean has_card = p->ended->card_no != NULL && *p->ended->card_no != '\0';
  if (ch_reported_names_order (p) || p->ended->inferred || has_card
      || ch_reported_active_by_port (p, 0) != NULL)
    return FALSE;
  ChOrder *order
      = ch_order_unnumbered_of (p->device, ch_reported_holder (p), p->ended->duration_s,
                                result, CH_REPORTED_LAST_OF_PORT);
  if (order != NULL)
    ended_before (p, order, "port_fallback");
  return order != NULL;
}

/* Its device went there while the report was in the journal: the row is ended here. */
static gboolean is_restated_for_another (const ChReported *p)
{
  return p->ended != NULL && p->device->fact_said_ms != 0
         && ch_home_is_elsewhere (p->device);
}

/*
 * Without a key a report of the same figures is a copy (bkv 10.5), unless the charge that
 * runs on the port can have them as well.
 */
static gboolean is_of_new_charge (ChReported *p)
{
  return p->ended != NULL && !ch_reported_has_key (p)
         && ch_reported_active_by_port (p, 0) != NULL;
}

/* The charge of a start that was executed twice (bkv 9.4): kept beside its order. */
static gboolean ran_twice (ChReported *p, const ChTxResult *result)
{
  if (ch_tx_result_rows (result, CH_REPORTED_BY_ALIAS) == 0)
    return FALSE;
  ChOrder *order = ch_order_new (p->device);
  ch_order_read (order, result, CH_REPORTED_BY_ALIAS, 0);
  ch_order_keep_report (order, p->ended, CH_KEPT_RAN_TWICE, p->next, p->data);
  g_free (p);
  return TRUE;
}

/*
 * A number of ours belongs to one order. That one is settled: it is said once more, or it
 * begins after its order was closed by hand (C4).
 */
static gboolean began_settled (ChReported *p, const ChTxResult *result)
{
  if (p->started == NULL || ch_tx_result_rows (result, CH_REPORTED_BY_KEY) == 0
      || ch_device_props (p->device)->order_key != CH_ORDER_KEY_CORE)
    return FALSE;
  ChOrder *order = ch_order_new (p->device);
  ch_order_read (order, result, CH_REPORTED_BY_KEY, 0);
  const ChOrderData *d = &order->d;
  if (d->source == CH_SOURCE_LOCAL
      || ch_order_status_is_active ((ChOrderStatus) d->status)) {
    ch_order_free (order);
    return FALSE;
  }
  if (d->end_key[0] == '\0')
    started_before (p, order);
  else {
    ch_order_free (order);
    settle_fact (p, NULL);
  }
  return TRUE;
}

static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  ChReported *p = data;
  if (error != NULL) {
    settle_fact (p, error);
    return;
  }
  if (named_has_ended (p, result))
    return;
  g_autoptr (GError) missing = NULL;
  if (p->ended != NULL && !is_restated_for_another (p)
      && ch_home_misses (p->device, result, &missing)) {
    settle_fact (p, missing); /* not answered, so it will be said again */
    return;
  }
  if (ch_reported_in_doubt (p, result, &missing)) {
    settle_fact (p, missing);
    return;
  }
  if (began_settled (p, result))
    return;
  guint rows = is_of_new_charge (p) ? 0 : ch_tx_result_rows (result, CH_REPORTED_BY_KEY);
  for (guint row = 0; row < rows; row++) {
    ChOrder *order = ch_order_new (p->device);
    ch_order_read (order, result, CH_REPORTED_BY_KEY, row);
    gboolean active = ch_order_status_is_active ((ChOrderStatus) order->d.status);
    if (active && is_restated_for_another (p)) {
      p->lookup_source = "business_no";
      end_order (p, order);
      return;
    }
    if (active || (p->started != NULL && !ch_order_may_yet_be_settled (order))) {
      ch_order_free (order); /* elsewhere, or a number used again */
      continue;
    }
    if (p->ended != NULL)
      ended_before (p, order, ch_reported_has_key (p) ? "business_no" : "port_fallback");
    else
      started_before (p, order);
    return;
  }
  if (p->ended == NULL || (!ran_twice (p, result) && !last_is_meant (p, result)))
    not_in_store (p);
}

ChOrder *ch_orders_reported (ChDevice *device, const ChOrderStarted *started,
                             const ChOrderEnded *ended)
{
  ChReported p = {.device = device, .started = started, .ended = ended};
  ChOrder *order = ch_reported_active_by_key (&p);
  return order != NULL ? order : ch_reported_active_by_port (&p, CH_REPORT_SLACK_S);
}

void ch_orders_ended (ChOrders *orders, ChDevice *device, const ChOrderEnded *fact,
                      ChFactNext next, gpointer data)
{
  ChReported *p = g_new0 (ChReported, 1);
  *p = (ChReported) {.device = device, .ended = fact, .next = next, .data = data};
  ChOrder *order = ch_reported_active_by_key (p);
  if (order != NULL)
    end_order (p, order);
  else
    ch_reported_look_up (p, looked_up);
}

void ch_orders_started (ChOrders *orders, ChDevice *device, const ChOrderStarted *fact,
                        ChFactNext next, gpointer data)
{
  ChReported *p = g_new0 (ChReported, 1);
  *p = (ChReported) {.device = device, .started = fact, .next = next, .data = data};
  ChOrder *order = ch_reported_active_by_key (p);
  if (order != NULL)
    start_order (p, order);
  else if (ch_reported_has_key (p) || ch_reported_names_order (p))
    ch_reported_look_up (p, looked_up);
  else
    not_in_store (p);
}
