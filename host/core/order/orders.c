/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Active orders in memory: loading, finding, who holds which port. */
#include "core/order/orders.h"
#include "core/order/order-alarms.h"
#include "core/order/order-change.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include "store/store.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define EXPIRE_EVENTS_MS (10 * 60 * 1000)

struct _ChOrders {
  ChCore *core;
  GHashTable *active; /* order number → ChOrder, owned */
  GPtrArray *doubts;  /* of ChDoubt, owned */
};

ChOrders *ch_orders_new (ChCore *core)
{
  ChOrders *orders = g_new0 (ChOrders, 1);
  orders->core = core;
  orders->active = g_hash_table_new_full (g_str_hash, g_str_equal, NULL,
                                          (GDestroyNotify) ch_order_free);
  orders->doubts = g_ptr_array_new ();
  return orders;
}

static void free_doubt (gpointer doubt, gpointer data)
{
  ch_doubt_free (doubt);
}

void ch_orders_free (ChOrders *orders)
{
  if (orders == NULL)
    return;
  g_ptr_array_foreach (orders->doubts, free_doubt, NULL);
  g_ptr_array_unref (orders->doubts);
  g_hash_table_unref (orders->active);
  g_free (orders);
}

GPtrArray *ch_orders_doubts (ChOrders *orders)
{
  return orders->doubts;
}

ChCore *ch_orders_core (ChOrders *orders)
{
  return orders->core;
}

ChOrder *ch_orders_find (ChOrders *orders, const char *order_no)
{
  return order_no != NULL ? g_hash_table_lookup (orders->active, order_no) : NULL;
}

void ch_orders_add_active (ChOrders *orders, ChOrder *order)
{
  ChDevice *device = order->device;
  g_hash_table_insert (orders->active, order->d.order_no, order);
  if (device->orders == NULL)
    device->orders = g_ptr_array_new ();
  g_ptr_array_add (device->orders, order);
  ChPort *port = ch_device_port (device, order->d.socket_no, order->d.port_no, TRUE);
  if (port != NULL)
    port->order = order;
  ch_port_alarms_clear (device, port, CH_PORT_ALARM_UNORDERED);
}

void ch_orders_remove_active (ChOrders *orders, ChOrder *order)
{
  ChDevice *device = order->device;
  ChPort *port = ch_device_port (device, order->d.socket_no, order->d.port_no, FALSE);
  if (port != NULL && port->order == order) {
    port->order = NULL;
    ch_port_alarms_clear (device, port, CH_PORT_ALARM_STALE);
  }
  g_ptr_array_remove_fast (device->orders, order);
  if (device->orders->len == 0)
    g_clear_pointer (&device->orders, g_ptr_array_unref);
  g_hash_table_remove (orders->active, order->d.order_no);
}

/* ---- loading ---- */

/*
 * When start and stop were written. That of a start is stored with the change that
 * follows it, so before that change it may have been written at any time.
 */
void ch_order_recall_writes (ChOrder *order)
{
  const ChOrderData *d = &order->d;
  gint64 since = d->sent_at != CH_UNSET ? d->sent_at : d->created_at;
  gboolean stops
      = d->status == CH_ORDER_STOPPING || d->status == CH_ORDER_CANCELLING
        || (d->status == CH_ORDER_INTERRUPTED && d->resume_status == CH_ORDER_STOPPING);

  gint64 written_ms
      = order->state_ms - MAX (0, ch_wall_ms (order->device->core->self) - since);

  if (d->start_command_id[0] != '\0') { /* before 0 when the machine was off meanwhile */
    order->start_written_ms = written_ms != 0 ? written_ms : 1;
    order->d.sent_at = since;
  }
  if (stops && d->stop_command_id[0] != '\0')
    order->stop_written_ms = order->state_ms;
  order->began_cancelling = d->status == CH_ORDER_CANCELLING && d->wire_order[0] != '\0';
}

static void loaded (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  ChOrders *orders = data;
  if (error != NULL)
    return;
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++) {
    ChDevice *device
        = ch_device_find (orders->core, ch_tx_result_text (result, 0, row, "phy_id"));
    if (device == NULL)
      continue;
    ChOrder *order = ch_order_new (device);
    ch_order_read (order, result, 0, row);
    /* Deadlines count from this start: no order fails because we were away. */
    order->state_ms = order->progress_ms = order->duration_ms = ch_now_ms (self);
    ch_order_recall_writes (order);
    ch_orders_add_active (orders, order);
  }
  if (ch_tx_result_rows (result, 0) > 0)
    ch_info (self, "%u open orders loaded", ch_tx_result_rows (result, 0));
}

gboolean ch_orders_open (ChOrders *orders, GError **error)
{
  if (ch_sessions_are_several (orders->core->sessions))
    return TRUE; /* their devices may be with others: see order-home.h */
  ChTx *tx = ch_tx_new (orders->core->self);
  ch_tx_add (tx, orders->core->self, "orders.load_active");
  return ch_store_run_now (orders->core->self, tx, loaded, orders, error);
}

static void expire_events (ChPlugin *self, gpointer data)
{
  gint64 keep_ms = ch_config_int (self, "events.retention_days") * 86400000;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "events.expire");
  ch_tx_bind_time (tx, "before", ch_wall_ms (self) - keep_ms);
  ch_tx_submit (tx, 0, NULL, NULL);
  ch_timer_add (self, EXPIRE_EVENTS_MS, expire_events, data);
}

/* Charging orders whose device is not here are interrupted (F26). */
static void interrupt_absent (ChOrders *orders)
{
  GHashTableIter iter;
  gpointer value;
  g_autoptr (GPtrArray) all = g_ptr_array_new ();

  g_hash_table_iter_init (&iter, orders->active);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_ptr_array_add (all, value);
  for (guint i = 0; i < all->len; i++) {
    ChOrder *order = g_ptr_array_index (all, i);
    ch_order_arm (order);
    if (order->device->conn == 0
        && (order->d.status == CH_ORDER_CHARGING || order->d.status == CH_ORDER_STOPPING))
      ch_order_enqueue (order, CH_ORDER_EVENT_LOST, "timer", "restart");
  }
}

void ch_orders_start (ChOrders *orders)
{
  interrupt_absent (orders);
  ch_timer_add (orders->core->self, EXPIRE_EVENTS_MS, expire_events, orders);
}

/* ---- what protocols may know ---- */

gboolean ch_port_order (ChPlugin *self, const char *id, gint socket_no, gint port_no,
                        ChOrderView *view)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  const ChPort *port
      = device != NULL ? ch_device_port (device, socket_no, port_no, FALSE) : NULL;
  if (port == NULL || port->order == NULL)
    return FALSE;
  const ChOrder *order = port->order;
  const ChOrderData *d = &order->d;

  memset (view, 0, sizeof *view);
  g_strlcpy (view->order_no, d->order_no, sizeof view->order_no);
  g_strlcpy (view->wire_order, d->wire_order, sizeof view->wire_order);
  view->status = d->status;
  view->charge_mode = d->charge_mode;
  view->business_no = d->business_no;
  view->number_is_device = order->number_is_device;
  view->target_duration_s = d->target_duration_s;
  view->target_energy_wh = d->target_energy_wh;
  view->amount_limit_cent = d->amount_limit_cent;
  view->start_written_ms
      = order->start_written_ms != 0 ? order->start_written_ms : CH_UNSET;
  view->stop_written = order->stop_written_ms != 0;
  return TRUE;
}
