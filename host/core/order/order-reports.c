/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What port reports, progress, and the coming and going of a device mean for its orders.
 * Called while the device's queue is held; transitions are queued behind.
 */
#include "core/fact/facts.h"
#include "core/order/order-alarms.h"
#include "core/order/order-auto.h"
#include "core/order/order-flow.h"
#include "core/order/order-learn.h"
#include "core/order/order-store.h"
#include "core/order/tariff.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define UPDATED_EVERY_MS 1000
#define STOP_AGAIN_MS 5000
#define SECOND_LOOK_MS 5000

/* ---- progress ---- */

static ChOrder *order_of_progress (ChDevice *device, const ChOrderProgress *fact,
                                   const char **source)
{
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    if (ch_order_has_key (order, fact->wire_order, fact->business_no, fact->socket_no,
                          fact->port_no)) {
      *source = "business_no";
      return order;
    }
  }
  const ChPort *port = ch_device_port (device, fact->socket_no, fact->port_no, FALSE);
  gboolean keyed = (fact->wire_order != NULL && *fact->wire_order != '\0')
                   || (fact->business_no != CH_UNSET && fact->business_no != 0);
  ChOrder *holder = port != NULL ? port->order : NULL;
  if (holder == NULL)
    holder = ch_order_unplaced (device);
  if (holder == NULL || keyed)
    return NULL;
  *source = "port_fallback";
  return holder;
}

/* Figures never decrease; a counter that began anew goes on from where it was (F21). */
static void take_progress (ChOrder *order, const ChOrderProgress *fact)
{
  ChOrderData *d = &order->d;
  if (fact->energy_wh != CH_UNSET) {
    gint64 energy_wh = MAX (fact->energy_wh, 0);
    if (ch_order_counter_restarted (d, energy_wh))
      d->base_energy_wh = d->energy_wh;
    d->energy_wh = MAX (d->base_energy_wh + energy_wh, d->energy_wh);
  }
  if (fact->duration_s != CH_UNSET) {
    d->duration_s = MAX (d->duration_s, fact->duration_s);
    order->duration_ms = order->progress_ms;
  }
  if (fact->power_mw != CH_UNSET) {
    d->last_power_mw = fact->power_mw;
    if (d->peak_power_mw == CH_UNSET || fact->power_mw > d->peak_power_mw)
      d->peak_power_mw = fact->power_mw;
  }
  d->amount_cent = ch_tariff_amount (d->energy_wh, d->price_per_kwh_cent,
                                     d->service_fee_permille, 0, d->amount_limit_cent)
                       .total_cent;
}

static void mark_progress (ChOrder *order)
{
  if (order->progress_dirty)
    return;
  order->progress_dirty = TRUE;
  g_ptr_array_add (order->device->core->dirty_orders, g_strdup (order->d.order_no));
}

void ch_orders_progress (ChOrders *orders, ChDevice *device, const ChOrderProgress *fact)
{
  ChPlugin *self = device->core->self;
  const char *source = "";
  ChOrder *order = order_of_progress (device, fact, &source);
  gint64 now_ms = ch_now_ms (self);

  if (order == NULL)
    return;
  ch_order_place_later (order, fact->port_no);
  order->progress_ms = now_ms;
  order->stale_queries = 0;
  ch_port_alarms_clear (device, ch_order_port (order), CH_PORT_ALARM_STALE);
  order->d.last_progress_at = ch_wall_ms (self);
  take_progress (order, fact);
  mark_progress (order);
  if (now_ms - order->published_ms >= UPDATED_EVERY_MS || order->published_ms == 0) {
    order->published_ms = now_ms;
    ch_order_publish_updated (order, fact->current_ma, fact->voltage_mv, fact->temp_dc,
                              fact->soc, source);
  }
}

/* What was not stored goes with the next batch. */
static void progress_stored (ChPlugin *self, const ChTxResult *result,
                             const GError *error, gpointer data)
{
  g_autoptr (GPtrArray) numbers = data;
  ChCore *core = ch_core_of (self);
  if (error != NULL && !core->progress_behind)
    ch_warning (self, "progress of orders not stored, trying again: %s", error->message);
  core->progress_behind = error != NULL;
  for (guint i = 0; error != NULL && i < numbers->len; i++) {
    ChOrder *order = ch_orders_find (core->orders, g_ptr_array_index (numbers, i));
    if (order != NULL)
      mark_progress (order);
  }
}

void ch_orders_flush_progress (ChOrders *orders)
{
  ChCore *core = ch_orders_core (orders);
  gboolean events = ch_config_bool (core->self, "events.persist_sampled");
  gint64 interval_ms = ch_config_int (core->self, "events.progress_interval_s") * 1000;
  gint64 now_ms = ch_now_ms (core->self);
  ChTx *tx = ch_tx_new (core->self);

  for (guint i = 0; i < core->dirty_orders->len; i++) {
    ChOrder *order = ch_orders_find (orders, g_ptr_array_index (core->dirty_orders, i));
    if (order == NULL)
      continue;
    order->progress_dirty = FALSE;
    ch_order_store_progress (order, tx);
    if (events && order->d.status == CH_ORDER_CHARGING
        && now_ms - order->published_event_ms >= interval_ms) {
      order->published_event_ms = now_ms;
      ch_order_progress_row (order, tx);
    }
  }
  if (ch_tx_is_empty (tx)) {
    g_ptr_array_set_size (core->dirty_orders, 0);
    ch_tx_free (tx);
    return;
  }
  GPtrArray *sent = core->dirty_orders;
  core->dirty_orders = g_ptr_array_new_with_free_func (g_free);
  ch_tx_submit (tx, 0, progress_stored, sent);
}

/* ---- port reports ---- */

static gboolean fact_has_key (const ChPortUpdate *fact)
{
  return (fact->wire_order != NULL && *fact->wire_order != '\0')
         || (fact->business_no != CH_UNSET && fact->business_no != 0);
}

/* Whether the port charges this order, as far as the report can tell. */
static gboolean charges_this (const ChOrder *order, const ChPortUpdate *fact)
{
  if (fact->status != CH_PORT_CHARGING)
    return FALSE;
  if (!fact_has_key (fact))
    return TRUE;
  return ch_order_has_key (order, fact->wire_order, fact->business_no, fact->socket_no,
                           fact->port_no);
}

static void snapshot_of_start (ChOrder *order, const ChPortUpdate *fact)
{
  if (fact_has_key (fact) && charges_this (order, fact))
    ch_order_enqueue (order, CH_ORDER_EVENT_STARTED, "device", "port_report");
  else if (order->refused_ms != 0 && fact->status != CH_PORT_CHARGING) { /* C3 */
    order->refused_ms = 0;
    ch_order_enqueue (order, CH_ORDER_EVENT_REJECTED, "device", "device_rejected");
  }
}

/* Keeps when the port was first seen faulty, or not charging, in this state of the order.
 */
static void note_port (ChOrder *order, const ChPortUpdate *fact, gboolean charging,
                       gint64 now_ms)
{
  gint64 fault_ms = order->fault_ms, idle_ms = order->idle_ms;

  order->fault_ms
      = fact->status == CH_PORT_FAULT ? (fault_ms != 0 ? fault_ms : now_ms) : 0;
  /* A port that is off line says nothing of its charge. */
  if (charging)
    order->idle_ms = 0;
  else if (fact->status != CH_PORT_OFFLINE && idle_ms == 0)
    order->idle_ms = now_ms;
  if (charging) {
    order->progress_ms = now_ms;
    ch_port_alarms_clear (order->device, ch_order_port (order), CH_PORT_ALARM_STALE);
  }
  if (fault_ms != order->fault_ms || idle_ms != order->idle_ms)
    ch_order_arm (order);
}

/* It refused the stop and does not charge: the start was not executed (T24). */
static gboolean nothing_runs (const ChOrder *order, const ChPortUpdate *fact)
{
  return order->stop_refused && order->start_session == order->device->generation
         && (fact->status == CH_PORT_IDLE || fact->status == CH_PORT_FAULT);
}

static void stop_again_while_cancelling (ChOrder *order, const ChPortUpdate *fact,
                                         gint64 now_ms)
{
  if (fact->status != CH_PORT_CHARGING || now_ms - order->stop_written_ms < STOP_AGAIN_MS)
    return;
  order->stop_written_ms = now_ms;
  ch_order_compensate (order->device, order->d.socket_no, order->d.port_no,
                       order->d.order_no,
                       (guint16) (fact->business_no == CH_UNSET ? 0 : fact->business_no),
                       fact->wire_order, "late_start_compensated");
}

static void snapshot_of_order (ChOrder *order, const ChPortUpdate *fact)
{
  gint64 now_ms = ch_now_ms (order->device->core->self);
  gboolean charging = charges_this (order, fact) || ch_order_number_later (order, fact);

  note_port (order, fact, charging, now_ms);
  switch (order->d.status) {
  case CH_ORDER_PENDING:
  case CH_ORDER_CONFIRMED:
    snapshot_of_start (order, fact);
    break;
  case CH_ORDER_CANCELLING:
    if (fact->status == CH_PORT_FAULT)
      ch_order_enqueue (order, CH_ORDER_EVENT_DEVICE_FAULT, "device", "port_fault");
    else if (nothing_runs (order, fact))
      ch_order_enqueue (order, CH_ORDER_EVENT_CANCELLED, "device", "stop_refused");
    else
      stop_again_while_cancelling (order, fact, now_ms);
    break;
  case CH_ORDER_INTERRUPTED:
    if (charging)
      ch_order_enqueue (order, CH_ORDER_EVENT_BACK, "device", "recovered");
    break;
  default:
    break;
  }
}

/* ---- charging without an order (PORT-03) ---- */

typedef struct {
  ChDevice *device;
  gint64 business_no;
  gint64 duration_s;
  char wire_order[CH_WIRE_ORDER_SIZE];
} LookUp;

/*
 * A number that nobody knows: that of a start which was written and never answered, if
 * one of the port's last orders was given up for that.
 */
static void take_last_of_port (const LookUp *look, const ChTxResult *result)
{
  if (ch_tx_result_rows (result, 0) > 0)
    return;
  ChOrder *order
      = ch_order_unnumbered_of (look->device, NULL, look->duration_s, result, 1);
  if (order != NULL)
    ch_order_charges_late (order, look->wire_order, look->business_no);
}

static void unsolicited_looked_up (ChPlugin *self, const ChTxResult *result,
                                   const GError *error, gpointer data)
{
  g_autofree LookUp *look = data;
  if (error != NULL)
    return;
  take_last_of_port (look, result);
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++) {
    ChOrder *order = ch_order_new (look->device);
    ch_order_read (order, result, 0, row);
    if (ch_order_may_yet_be_settled (order)) {
      ch_order_charges_again (order);
      return;
    }
    ch_order_free (order);
  }
}

static void look_up_unsolicited (ChDevice *device, const ChPortUpdate *fact)
{
  ChPlugin *self = device->core->self;
  LookUp *look = g_new0 (LookUp, 1);
  ChTx *tx = ch_tx_new (self);

  look->device = device;
  look->business_no = fact->business_no;
  look->duration_s = fact->duration_s;
  g_strlcpy (look->wire_order, fact->wire_order != NULL ? fact->wire_order : "",
             sizeof look->wire_order);
  if (fact->wire_order != NULL && *fact->wire_order != '\0') {
    ch_tx_add (tx, self, "orders.by_wire");
    ch_tx_bind_text (tx, "wire_order", fact->wire_order);
  } else {
    ch_tx_add (tx, self, "orders.by_business");
    ch_tx_bind_int (tx, "socket_no", fact->socket_no);
    ch_tx_bind_int (tx, "port_no", fact->port_no);
    ch_tx_bind_int (tx, "business_no", fact->business_no);
  }
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_time (tx, "since",
                   ch_wall_ms (self)
                       - ch_config_int (self, "orders.late_report_window_s") * 1000);
  ch_tx_add (tx, self, "orders.last_of_port");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_int (tx, "socket_no", fact->socket_no);
  ch_tx_bind_int (tx, "port_no", fact->port_no);
  ch_tx_submit (tx, 0, unsolicited_looked_up, look);
}

static void snapshot_without_order (ChDevice *device, ChPort *port,
                                    const ChPortUpdate *fact)
{
  ChPlugin *self = device->core->self;
  gint64 now_ms = ch_now_ms (self);
  gint64 confirm_ms = ch_config_int (self, "ports.unsolicited_confirm_s") * 1000;

  if (fact->status != CH_PORT_CHARGING) {
    port->unsolicited_ms = 0;
    return;
  }
  if (port->unsolicited_ms == 0) {
    port->unsolicited_ms = MAX (now_ms, 1);
    if (fact_has_key (fact))
      look_up_unsolicited (device, fact);
    return;
  }
  if (port->unsolicited_ms < 0
      || now_ms - port->unsolicited_ms < MAX (confirm_ms, SECOND_LOOK_MS))
    return;
  port->unsolicited_ms = -1; /* said once, until it stops charging */
  ch_port_alarm_raise (device, port, CH_PORT_ALARM_UNORDERED);
  if (g_str_equal (ch_config_string (self, "ports.unsolicited_policy"), "stop"))
    ch_order_compensate (
        device, port->socket_no, port->port_no, NULL,
        (guint16) (fact->business_no == CH_UNSET ? 0 : fact->business_no),
        fact->wire_order, "charging_without_order");
}

void ch_orders_port_snapshot (ChOrders *orders, ChDevice *device, ChPort *port,
                              const ChPortUpdate *fact)
{
  if (fact->status == CH_PORT_IDLE || fact->status == CH_PORT_FAULT)
    ch_port_alarms_clear (device, port, CH_PORT_ALARM_UNORDERED | CH_PORT_ALARM_STOP);
  ChOrder *unplaced = port->order == NULL || fact_has_key (fact)
                          ? ch_order_unplaced_of (device, fact)
                          : NULL;
  if (unplaced != NULL)
    ch_order_place_later (unplaced, port->port_no);
  if (port->order != NULL || unplaced != NULL)
    snapshot_of_order (unplaced != NULL ? unplaced : port->order, fact);
  else
    snapshot_without_order (device, port, fact);
  ch_order_starts_snapshot (device, port);
}

/* ---- an ended order that is charged after all (T32, C4) ---- */

typedef struct {
  ChFact fact;
  ChOrder *order; /* NULL once taken */
} AgainJob;

static void revived (ChChange *change, const GError *error, gpointer data) {}

static gboolean run_again (ChDevice *device, ChFact *fact)
{
  AgainJob *job = (AgainJob *) fact;
  ChOrder *order = job->order;
  const ChOrderData *d = &order->d;
  const ChPort *port = ch_device_port (device, d->socket_no, d->port_no, FALSE);
  gboolean free_port = port == NULL || port->order == NULL;
  gboolean by_absence = g_str_equal (d->failure_reason, "device_offline_timeout")
                        || g_str_equal (d->failure_reason, "port_state_mismatch");

  if (ch_orders_find (device->core->orders, d->order_no) != NULL)
    return TRUE;
  if (d->status == CH_ORDER_FAILED && by_absence && free_port) {
    ChChange *change
        = ch_change_begin (order, CH_ORDER_EVENT_REVIVED, "device", "revived");
    if (change == NULL)
      return TRUE;
    job->order = NULL;
    change->next.failure_reason[0] = '\0';
    change->next.end_time = change->next.end_reason = CH_UNSET;
    order->number_is_device = TRUE;
    order->progress_ms = order->duration_ms = ch_now_ms (device->core->self);
    ch_change_commit (change, revived, NULL);
    return FALSE;
  }
  ch_order_compensate (device, d->socket_no, d->port_no, d->order_no, d->business_no,
                       d->wire_order, "late_start_compensated");
  return TRUE;
}

static void free_again (ChFact *fact)
{
  AgainJob *job = (AgainJob *) fact;
  g_clear_pointer (&job->order, ch_order_free);
  g_free (job);
}

void ch_order_charges_again (ChOrder *order)
{
  AgainJob *job = g_new0 (AgainJob, 1);
  job->fact.run = run_again;
  job->fact.free = free_again;
  job->order = order;
  ch_fact_enqueue (order->device, &job->fact);
}

/* ---- the device comes and goes ---- */

void ch_orders_ask_interrupted (ChDevice *device)
{
  gint queried = -1;
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    const ChOrder *order = g_ptr_array_index (device->orders, i);
    if (order->d.status == CH_ORDER_INTERRUPTED && queried != order->d.socket_no) {
      queried = order->d.socket_no; /* R1: ask at once, decide on what comes then */
      ch_order_query_port (device, queried, 2);
    }
  }
}

void ch_orders_device_bound (ChOrders *orders, ChDevice *device)
{
  gint64 now_ms = ch_now_ms (device->core->self);
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    order->bound_ms = now_ms;
    order->idle_ms = order->fault_ms = 0;
    ch_order_arm (order);
  }
  ch_orders_ask_interrupted (device);
}

void ch_orders_device_lost (ChOrders *orders, ChDevice *device)
{
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    if (order->d.status == CH_ORDER_CHARGING || order->d.status == CH_ORDER_STOPPING) {
      ch_order_enqueue (order, CH_ORDER_EVENT_LOST, "device", "session_lost");
    } else if (order->d.status == CH_ORDER_INTERRUPTED)
      order->state_ms = ch_now_ms (device->core->self); /* its deadline begins anew */
    ch_order_arm (order);
  }
}
