/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orders of which the store left a write unanswered: it may have it or not. The row is
 * read back behind that write, in the order of writes, as often as it takes; then memory
 * has the order as it is. Until that is known the port of a new order is nobody's, and
 * its start waits unsent; an order that was changed stays in memory as it was, and what
 * comes goes on: a change on top of one that was stored fails by its guard.
 */
#include "core/order/order-doubt.h"
#include "core/fact/facts.h"
#include "core/order/order-flow.h"
#include "core/order/order-home.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define AGAIN_MS 1000u
#define AGAIN_MAX_MS 10000u

struct _ChDoubt {
  ChDevice *device;
  char order_no[CH_ORDER_NO_SIZE];
  gboolean is_change;
  gboolean again; /* one more change was left unanswered */
  ChOrder *order; /* as it was to be inserted, or one to revive; NULL: it is in memory */
  ChOrder *row;   /* as read back, NULL: not there */
  gboolean wanted;
  char by[16];
  ChTimer timer;
  guint tries;
};

gboolean ch_order_is_doubtful (const GError *error)
{
  if (error == NULL || error->domain != CH_STORE_ERROR)
    return FALSE;
  switch ((ChStoreError) error->code) {
  case CH_STORE_ERROR_BUSY:
  case CH_STORE_ERROR_GUARD:
  case CH_STORE_ERROR_UNIQUE:
  case CH_STORE_ERROR_FOREIGN_KEY:
  case CH_STORE_ERROR_CHECK:
  case CH_STORE_ERROR_SERIALIZATION:
  case CH_STORE_ERROR_DEADLOCK:
  case CH_STORE_ERROR_LOCKED:
  case CH_STORE_ERROR_USAGE:
    return FALSE; /* rolled back, or never begun */
  default:
    return TRUE;
  }
}

void ch_doubt_free (ChDoubt *doubt)
{
  ch_timer_cancel (doubt->device->core->self, &doubt->timer);
  ch_order_free (doubt->order);
  ch_order_free (doubt->row);
  g_free (doubt);
}

static ChDoubt *find (ChOrders *orders, const char *order_no)
{
  GPtrArray *doubts = ch_orders_doubts (orders);
  for (guint i = 0; i < doubts->len; i++) {
    ChDoubt *doubt = g_ptr_array_index (doubts, i);
    if (g_str_equal (doubt->order_no, order_no))
      return doubt;
  }
  return NULL;
}

gboolean ch_doubt_knows (ChOrders *orders, const char *order_no)
{
  return find (orders, order_no) != NULL;
}

gboolean ch_doubt_holds_port (ChDevice *device, gint64 socket_no, gint64 port_no)
{
  GPtrArray *doubts = ch_orders_doubts (device->core->orders);
  for (guint i = 0; i < doubts->len; i++) {
    const ChOrder *order = ((ChDoubt *) g_ptr_array_index (doubts, i))->order;
    if (order != NULL && order->device == device && order->d.socket_no == socket_no
        && (order->d.port_no == port_no || order->d.port_no < 0 || port_no < 0))
      return TRUE;
  }
  return FALSE;
}

/* ---- what the store has ---- */

/* A start is as good as its command: later than that, nobody counts on it any more. */
static gboolean is_in_time (const ChOrder *order)
{
  ChOutbound *outbound = order->device->core->outbound;
  gint64 age_ms = ch_now_ms (order->device->core->self) - order->state_ms;
  return age_ms
         < ch_outbound_expires_ms (outbound, order->device, CH_COMMAND_START_CHARGE);
}

static void send_or_fail (ChOrder *order, gboolean wanted)
{
  ChOutbound *outbound = order->device->core->outbound;

  if (wanted && is_in_time (order)) {
    ch_outbound_push (outbound, order->d.start_command_id);
    return;
  }
  ch_outbound_cancel (outbound, order->d.start_command_id);
  ch_order_enqueue (order, CH_ORDER_EVENT_NOT_SENT, "timer", "store_unavailable");
}

/* It is there: taken into memory as it is. */
static void adopt (ChDoubt *doubt)
{
  ChDevice *device = doubt->device;
  ChOrders *orders = device->core->orders;
  ChOrder *order = ch_orders_find (orders, doubt->order_no);

  if (order == NULL) {
    order = g_steal_pointer (&doubt->order);
    order->d = doubt->row->d;
    ch_orders_add_active (orders, order);
    ch_order_arm (order);
  }
  ch_log (device->core->self, CH_LOG_NOTICE,
          CH_LOG_FIELDS ("order_no", order->d.order_no, "device", device->id),
          "the order was stored after all");
  if (order->d.source == CH_SOURCE_LOCAL) {
    ch_order_port_on (order);
    ch_order_publish_changed (order, -1, 29, doubt->by);
    ch_order_publish_started (order);
    return;
  }
  ch_order_publish_changed (order, -1, 1, doubt->by);
  send_or_fail (order, doubt->wanted);
}

/* Not there, or not this memory's any more: then others find its command in the store. */
static void dismiss (ChDoubt *doubt)
{
  ch_log (doubt->device->core->self, CH_LOG_NOTICE,
          CH_LOG_FIELDS ("order_no", doubt->order_no, "device", doubt->device->id),
          "the order was not stored");
  ch_outbound_discard (doubt->device->core->outbound, doubt->order->d.start_command_id);
}

/* The change was stored, or one that another made: memory follows. */
static void follow (ChDoubt *doubt)
{
  ChOrders *orders = doubt->device->core->orders;
  ChOrder *order = ch_orders_find (orders, doubt->order_no);

  if (doubt->row == NULL || ch_home_is_elsewhere (doubt->device))
    return;
  if (order == NULL && doubt->order != NULL
      && ch_order_status_is_active ((ChOrderStatus) doubt->row->d.status)) {
    order = g_steal_pointer (&doubt->order); /* T32 */
    ch_orders_add_active (orders, order);
  }
  if (order != NULL && order->d.version < doubt->row->d.version)
    ch_order_take_row (order, doubt->row);
}

/* ---- reading it back ---- */

static void look (ChDoubt *doubt);

typedef struct {
  ChFact fact;
  ChDoubt *doubt;
} SettleJob;

/* In the device's queue, as memory changes. */
static gboolean run_settle (ChDevice *device, ChFact *fact)
{
  ChDoubt *doubt = ((SettleJob *) fact)->doubt;
  gboolean is_active
      = doubt->row != NULL
        && ch_order_status_is_active ((ChOrderStatus) doubt->row->d.status);

  if (doubt->again) { /* what was read may be older than that */
    doubt->again = FALSE;
    look (doubt);
    return TRUE;
  }
  g_ptr_array_remove_fast (ch_orders_doubts (device->core->orders), doubt);
  if (doubt->is_change)
    follow (doubt);
  else if (is_active && !ch_home_is_elsewhere (device))
    adopt (doubt);
  else
    dismiss (doubt);
  ch_doubt_free (doubt);
  return TRUE;
}

static void free_settle (ChFact *fact)
{
  g_free (fact);
}

static void look_again (ChPlugin *self, gpointer data)
{
  ChDoubt *doubt = data;
  doubt->timer = 0;
  look (doubt);
}

static void looked (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  ChDoubt *doubt = data;
  ChDevice *device = doubt->device;

  if (error != NULL) {
    guint wait_ms = MIN (AGAIN_MS << MIN (doubt->tries, 4), AGAIN_MAX_MS);
    doubt->tries++;
    doubt->timer = ch_timer_add (self, wait_ms, look_again, doubt);
    return;
  }
  if (ch_tx_result_rows (result, 0) > 0
      && g_strcmp0 (ch_tx_result_text (result, 0, 0, "phy_id"), device->id) == 0) {
    g_clear_pointer (&doubt->row, ch_order_free);
    doubt->row = ch_order_new (device);
    ch_order_read (doubt->row, result, 0, 0);
  }
  SettleJob *job = g_new0 (SettleJob, 1);
  job->fact.run = run_settle;
  job->fact.free = free_settle;
  job->doubt = doubt;
  ch_fact_enqueue (device, &job->fact);
}

static void look (ChDoubt *doubt)
{
  ChPlugin *self = doubt->device->core->self;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "orders.by_no_behind");
  ch_tx_bind_text (tx, "order_no", doubt->order_no);
  ch_tx_submit (tx, 0, looked, doubt);
}

static ChDoubt *doubt_new (ChDevice *device, const char *order_no)
{
  ChDoubt *doubt = g_new0 (ChDoubt, 1);
  doubt->device = device;
  g_strlcpy (doubt->order_no, order_no, sizeof doubt->order_no);
  g_ptr_array_add (ch_orders_doubts (device->core->orders), doubt);
  return doubt;
}

void ch_order_doubt (ChOrder *order, gboolean wanted, const char *by)
{
  ChDoubt *doubt = doubt_new (order->device, order->d.order_no);
  doubt->order = order;
  doubt->wanted = wanted;
  g_strlcpy (doubt->by, by, sizeof doubt->by);
  look (doubt);
}

void ch_order_doubt_change (ChDevice *device, const char *order_no, ChOrder *order)
{
  ChDoubt *doubt = find (device->core->orders, order_no);

  if (doubt != NULL) {
    doubt->again = TRUE;
    ch_order_free (order);
    return;
  }
  doubt = doubt_new (device, order_no);
  doubt->is_change = TRUE;
  doubt->order = order;
  look (doubt);
}
