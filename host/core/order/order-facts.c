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
#include "core/order/order-flow.h"
#include "core/order/order-home.h"
#include "core/order/order-local.h"
#include "core/order/order-store.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

/* A fact on its way through look-ups and transactions. */
typedef struct {
  ChDevice *device;
  const ChOrderStarted *started; /* one of the two; they live until the job is finished */
  const ChOrderEnded *ended;
  ChFactNext next;
  gpointer data;
  const char *lookup_source;
  ChOrder *made; /* local order being inserted */
} Pending;

static const char *wire_of (const Pending *p)
{
  return p->started != NULL ? p->started->wire_order : p->ended->wire_order;
}

static gint64 number_of (const Pending *p)
{
  gint64 number = p->started != NULL ? p->started->business_no : p->ended->business_no;
  return number == 0 ? CH_UNSET : number;
}

static gint socket_of (const Pending *p)
{
  return p->started != NULL ? p->started->socket_no : p->ended->socket_no;
}

static gint port_of (const Pending *p)
{
  return p->started != NULL ? p->started->port_no : p->ended->port_no;
}

static gboolean has_key (const Pending *p)
{
  return (wire_of (p) != NULL && *wire_of (p) != '\0') || number_of (p) != CH_UNSET;
}

/* Nothing (more) to store: tell and go on. */
static void settle_fact (Pending *p, const GError *error)
{
  ChDevice *device = p->device;
  p->next (device, error, p->data);
  g_free (p);
  ch_fact_finish (device);
}

/* ---- what the port shows afterwards ---- */

/* @order: whose charge has ended; a port that another one holds goes on as it is. */
static void port_is_off (Pending *p, const ChOrder *order)
{
  ChPort *port = ch_device_port (p->device, socket_of (p), port_of (p), TRUE);
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

static void changed (ChChange *change, const GError *error, gpointer data)
{
  Pending *p = data;
  if (error == NULL && p->ended != NULL)
    port_is_off (p, change->order);
  p->next (p->device, error, p->data);
  g_free (p); /* the change finishes the job */
}

static void take_numbers (const Pending *p, const ChOrder *order, ChOrderData *next)
{
  ch_order_place (order, next, port_of (p));
  if (number_of (p) != CH_UNSET)
    next->business_no = (guint16) number_of (p);
  if (wire_of (p) != NULL && *wire_of (p) != '\0')
    g_strlcpy (next->wire_order, wire_of (p), sizeof next->wire_order);
}

static void end_order (Pending *p, ChOrder *order)
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
  ch_order_place (order, &change->next, port_of (p));
  if (fact->statements != NULL)
    ch_tx_append (change->tx, g_steal_pointer (&((ChOrderEnded *) fact)->statements));
  ch_log (core->self, CH_LOG_INFO,
          CH_LOG_FIELDS ("order_no", order->d.order_no, "device", p->device->id),
          "charge ended: %d Wh, %d s, %s", (gint) change->next.energy_wh,
          (gint) change->next.duration_s, ch_end_reason_name (fact->end_reason));
  ch_change_commit (change, changed, p);
}

/* A second answer with another number: the last one counts, the first stays known. */
static const ChOrderCell SAME_STATE = {.transition = 0};

static void amend_number (Pending *p, ChOrder *order)
{
  ChChange *change = ch_change_amend (order, &SAME_STATE, "device", "number_changed");
  if (order->d.wire_order[0] != '\0' && wire_of (p) != NULL
      && !g_str_equal (order->d.wire_order, wire_of (p)))
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

static void start_order (Pending *p, ChOrder *order)
{
  gboolean other_number = wire_of (p) != NULL && *wire_of (p) != '\0'
                          && !g_str_equal (order->d.wire_order, wire_of (p));
  switch (order->d.status) {
  case CH_ORDER_PENDING:
  case CH_ORDER_CONFIRMED: {
    ChChange *change
        = ch_change_begin (order, CH_ORDER_EVENT_STARTED, "device", "started");
    change->next.start_time = ch_order_credible_start (p->device, p->started);
    change->next.ack_at = ch_wall_ms (p->device->core->self);
    take_numbers (p, order, &change->next);
    if (has_key (p))
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
    if (other_number || (order->d.port_no < 0 && port_of (p) >= 0))
      amend_number (p, order);
    else
      settle_fact (p, NULL);
    return;
  }
}

/* ---- a charge that no order asked for ---- */

/* The new order is stored. */
static void tell_local (Pending *p)
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
  Pending *p = data;
  ChDevice *device = p->device;

  if (error != NULL) {
    ch_log (self, CH_LOG_WARNING, CH_LOG_FIELDS ("device", p->device->id),
            "local order not stored: %s", error->message);
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

static void add_local (Pending *p, ChTx *tx)
{
  p->made = ch_order_local_new (p->device, p->started, p->ended);
  ch_order_local_store (p->made, p->ended, tx);
}

static void insert_local (Pending *p)
{
  ChTx *tx = ch_tx_new (p->device->core->self);
  add_local (p, tx);
  ch_tx_submit (tx, 0, local_inserted, p);
}

/* ---- finding the order ---- */

static ChOrder *active_by_key (Pending *p, const char *order_no)
{
  ChDevice *device = p->device;
  ChOrder *order = ch_orders_find (device->core->orders, order_no);
  if (order != NULL && order->device == device) {
    p->lookup_source = "order_no";
    return order;
  }
  for (guint i = 0; has_key (p) && device->orders != NULL && i < device->orders->len;
       i++) {
    order = g_ptr_array_index (device->orders, i);
    if (ch_order_has_key (order, wire_of (p), number_of (p), socket_of (p),
                          port_of (p))) {
      p->lookup_source = "business_no";
      return order;
    }
  }
  return NULL;
}

static const char *order_no_of (const Pending *p)
{
  const char *order_no = p->started != NULL ? p->started->order_no : p->ended->order_no;
  return order_no != NULL ? order_no : "";
}

/* The order that it names is none of those in memory: so it is not the port's. */
static gboolean names_order (const Pending *p)
{
  return *order_no_of (p) != '\0';
}

/* The charge of the port's order, when nothing says that it is another one. */
static ChOrder *active_by_port (Pending *p)
{
  ChDevice *device = p->device;
  const ChPort *port = ch_device_port (device, socket_of (p), port_of (p), FALSE);
  ChOrder *order = port != NULL ? port->order : NULL;
  if (order == NULL) /* the device may have chosen this port for it */
    order = ch_order_unplaced (device);
  if (order == NULL || names_order (p) || (order->d.wire_order[0] != '\0' && has_key (p)))
    return NULL;
  if (order->d.wire_order[0] == '\0' && has_key (p) && wire_of (p) == NULL)
    return NULL; /* numbers of the core: another number is another charge */
  p->lookup_source = "port_fallback";
  if (p->started != NULL)
    return order->d.status <= CH_ORDER_CONFIRMED && order->start_written_ms != 0 ? order
                                                                                 : NULL;
  gint64 since_s
      = order->start_written_ms == 0
            ? -1
            : (ch_now_ms (device->core->self) - order->start_written_ms) / 1000;
  return since_s >= 0 && p->ended->duration_s <= since_s + CH_REPORT_SLACK_S ? order
                                                                             : NULL;
}

/* C7: a station that begins again without having ended: the newer charge has the port.
 * One transaction for both, as the port has one active order only. */
static ChOrder *holder_of (Pending *p)
{
  const ChPort *port = ch_device_port (p->device, socket_of (p), port_of (p), FALSE);
  return port != NULL ? port->order : NULL;
}

static void superseded (ChChange *change, const GError *error, gpointer data)
{
  Pending *p = data;
  ChDevice *device = p->device;

  if (error != NULL) {
    if (ch_order_is_doubtful (error))
      ch_order_doubt (g_steal_pointer (&p->made), TRUE, "device");
    g_clear_pointer (&p->made, ch_order_free);
    p->next (device, error, p->data);
  } else {
    ch_core_alarm (device->core, device->id, socket_of (p), port_of (p), "duplicate",
                   CH_ALARM_MAJOR, TRUE, "Two orders claim one port",
                   change->next.order_no, NULL);
    tell_local (p);
  }
  g_free (p);
}

static void supersede (Pending *p, ChOrder *order)
{
  ChChange *change
      = ch_change_begin (order, CH_ORDER_EVENT_DUPLICATE, "device", "duplicate");
  ch_order_prepare_event (order, change);
  add_local (p, change->tx);
  ch_change_commit (change, superseded, p);
}

static void not_in_store (Pending *p)
{
  ChOrder *order = active_by_port (p);
  if (p->ended != NULL && p->ended->inferred && order == NULL) {
    settle_fact (p, NULL); /* a guess about an order that has ended meanwhile */
    return;
  }
  if (order != NULL && p->ended != NULL)
    end_order (p, order);
  else if (order != NULL)
    start_order (p, order);
  else if (p->started != NULL
           && !ch_config_bool (p->device->core->self, "orders.accept_local"))
    settle_fact (p, NULL);
  else if (p->started != NULL && holder_of (p) != NULL)
    supersede (p, holder_of (p));
  else
    insert_local (p);
}

/* An order that has ended, of the same key: a late report, a copy, or a contradiction. */
static void ended_before (Pending *p, ChOrder *order, const char *lookup_source)
{
  ChCoreMetrics *metrics = p->device->core->metrics;
  p->lookup_source = lookup_source;
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
    ch_order_keep_report (order, p->ended, p->next, p->data);
    g_free (p);
  }
}

static void started_before (Pending *p, ChOrder *order)
{
  ch_order_charges_again (order);
  settle_fact (p, NULL);
}

/* It names an order which has ended. */
static gboolean named_has_ended (Pending *p, const ChTxResult *result)
{
  if (ch_tx_result_rows (result, 2) == 0
      || g_strcmp0 (ch_tx_result_text (result, 2, 0, "phy_id"), p->device->id) != 0)
    return FALSE;
  ChOrder *order = ch_order_new (p->device);
  ch_order_read (order, result, 2, 0);
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

/* Not the charge of the order that holds the port: that of the one before? */
static gboolean last_is_meant (Pending *p, const ChTxResult *result)
{
  if (names_order (p) || active_by_port (p) != NULL)
    return FALSE;
  ChOrder *order
      = ch_order_unnumbered_of_end (p->device, holder_of (p), p->ended, result, 3);
  if (order != NULL)
    ended_before (p, order, "port_fallback");
  return order != NULL;
}

/* Its device went there while the report was in the journal: the row is ended here. */
static gboolean is_restated_for_another (const Pending *p)
{
  return p->ended != NULL && p->device->fact_said_ms != 0
         && ch_home_is_elsewhere (p->device);
}

static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Pending *p = data;
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
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++) {
    ChOrder *order = ch_order_new (p->device);
    ch_order_read (order, result, 0, row);
    gboolean active = ch_order_status_is_active ((ChOrderStatus) order->d.status);
    if (active && is_restated_for_another (p)) {
      p->lookup_source = "business_no";
      end_order (p, order);
      return;
    }
    if (active || (p->started != NULL && !order->d.provisional)) {
      ch_order_free (order); /* elsewhere, or a number used again */
      continue;
    }
    if (p->ended != NULL)
      ended_before (p, order, "business_no");
    else
      started_before (p, order);
    return;
  }
  if (ch_tx_result_rows (result, 1) > 0 && p->ended != NULL) {
    ch_core_alarm (p->device->core, p->device->id, socket_of (p), port_of (p),
                   "start_executed_twice", CH_ALARM_WARNING, TRUE,
                   "A repeated start was executed twice", NULL, NULL);
    settle_fact (p, NULL);
    return;
  }
  if (p->ended == NULL || !last_is_meant (p, result))
    not_in_store (p);
}

static void look_up (Pending *p)
{
  ChDevice *device = p->device;
  ChPlugin *self = device->core->self;
  gint64 since
      = ch_wall_ms (self) - ch_config_int (self, "orders.late_report_window_s") * 1000;
  ChTx *tx = ch_tx_new (self);

  if (wire_of (p) != NULL && *wire_of (p) != '\0') {
    ch_tx_add (tx, self, "orders.by_wire");
    ch_tx_bind_text (tx, "wire_order", wire_of (p));
  } else {
    ch_tx_add (tx, self, "orders.by_business");
    ch_tx_bind_int (tx, "socket_no", socket_of (p));
    ch_tx_bind_int (tx, "port_no", port_of (p));
    ch_tx_bind_int (tx, "business_no", number_of (p));
  }
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_time (tx, "since", since);
  ch_tx_add (tx, self, "orders.by_alias");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_text (tx, "wire_order", wire_of (p) != NULL ? wire_of (p) : "");
  ch_tx_bind_time (tx, "since", since);
  ch_tx_add (tx, self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", order_no_of (p));
  ch_tx_add (tx, self, "orders.last_of_port");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_int (tx, "socket_no", socket_of (p));
  ch_tx_bind_int (tx, "port_no", port_of (p));
  ch_tx_submit (tx, 0, looked_up, p);
}

ChOrder *ch_orders_reported (ChDevice *device, const ChOrderStarted *started,
                             const ChOrderEnded *ended)
{
  Pending p = {.device = device, .started = started, .ended = ended};
  ChOrder *order = active_by_key (&p, order_no_of (&p));
  return order != NULL ? order : active_by_port (&p);
}

void ch_orders_ended (ChOrders *orders, ChDevice *device, const ChOrderEnded *fact,
                      ChFactNext next, gpointer data)
{
  Pending *p = g_new0 (Pending, 1);
  *p = (Pending) {.device = device, .ended = fact, .next = next, .data = data};
  ChOrder *order = active_by_key (p, fact->order_no);
  if (order != NULL)
    end_order (p, order);
  else if (has_key (p) || names_order (p))
    look_up (p);
  else
    not_in_store (p);
}

void ch_orders_started (ChOrders *orders, ChDevice *device, const ChOrderStarted *fact,
                        ChFactNext next, gpointer data)
{
  Pending *p = g_new0 (Pending, 1);
  *p = (Pending) {.device = device, .started = fact, .next = next, .data = data};
  ChOrder *order = active_by_key (p, fact->order_no);
  if (order != NULL)
    start_order (p, order);
  else if (has_key (p) || names_order (p))
    look_up (p);
  else
    not_in_store (p);
}
