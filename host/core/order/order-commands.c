/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the command queue tells of starts, stops and cancels. */
#include "core/order/order-flow.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

typedef struct {
  ChFact fact;
  ChCommandView view;
} ResultJob;

static gboolean is_stop (ChCommandType type)
{
  return type == CH_COMMAND_STOP_CHARGE || type == CH_COMMAND_CANCEL_SESSION;
}

static void sent (ChCore *core, const ChCommandView *view)
{
  ChOrder *order = ch_orders_find (core->orders, view->order_no);
  if (order == NULL)
    return;
  gint64 now_ms = ch_now_ms (core->self);
  if (view->type == CH_COMMAND_START_CHARGE) {
    if (order->start_written_ms == 0)
      order->start_session = order->device->generation;
    else if (order->start_session != order->device->generation)
      order->start_session = 0;
    if (order->start_written_ms == 0)
      order->start_written_ms = now_ms;
    if (order->d.sent_at == CH_UNSET) /* stored with the next change */
      order->d.sent_at = ch_wall_ms (core->self);
  } else if (is_stop (view->type)) {
    order->stop_written_ms = now_ms;
    ch_order_arm (order);
  }
}

/* C4, C5: the start took effect although nobody wants it any more. */
static gboolean start_too_late (ChDevice *device, const ChCommandView *view,
                                ChOrder *order)
{
  if (order == NULL) {
    ch_order_acked_late (device, view->order_no);
    return FALSE;
  }
  order->began_cancelling = TRUE;
  ch_order_compensate (device, view->socket_no, view->port_no, view->order_no,
                       order->d.business_no, order->d.wire_order,
                       "late_start_compensated");
  return TRUE;
}

static gboolean start_finished (ChDevice *device, const ChCommandView *view)
{
  ChOrder *order = ch_orders_find (device->core->orders, view->order_no);
  ChOrderStatus status
      = order != NULL ? (ChOrderStatus) order->d.status : CH_ORDER_FAILED;

  switch (view->state) {
  case CH_COMMAND_ACKED:
    if (order == NULL || status == CH_ORDER_CANCELLING)
      return start_too_late (device, view, order);
    if (status != CH_ORDER_PENDING)
      return TRUE; /* charging already: the fact came first */
    return !ch_order_apply (order,
                            ch_device_props (device)->ack_means_on
                                ? CH_ORDER_EVENT_STARTED
                                : CH_ORDER_EVENT_ACK,
                            "device", "start_ack");
  case CH_COMMAND_REJECTED:
    if (order != NULL && view->attempts <= 1)
      order->start_refused = TRUE;
    if (status != CH_ORDER_PENDING)
      return TRUE;
    if (view->attempts > 1) { /* C3: an earlier sending may have been executed */
      order->refused_ms = ch_now_ms (device->core->self);
      ch_order_query_port (device, view->socket_no, 2);
      return TRUE;
    }
    return !ch_order_apply (order, CH_ORDER_EVENT_REJECTED, "device", "device_rejected");
  case CH_COMMAND_NO_ACK:
    return TRUE; /* the order's own time-out decides (T6) */
  default:
    if (order == NULL || view->attempts > 0)
      return TRUE;
    if (status == CH_ORDER_CANCELLING)
      return !ch_order_apply (order, CH_ORDER_EVENT_CANCELLED, "api", "never_sent");
    return status != CH_ORDER_PENDING
           || !ch_order_apply (order, CH_ORDER_EVENT_NOT_SENT, "timer",
                               view->state == CH_COMMAND_EXPIRED ? "device_offline"
                                                                 : "queue_overloaded");
  }
}

/* The start never reached the device, or it refused the only one that it got. */
static gboolean cannot_have_begun (const ChOrder *order)
{
  return order->start_written_ms == 0 || order->start_refused;
}

/*
 * Whether the device's answer to the stop says that no charge is to be reported any more.
 * A refusal does not: the charge may have ended before, and its end report may be on its
 * way. Nor does the word of a device that numbers its charges itself: it refuses a stop
 * when it has nothing to stop, so it has ended a charge. Both wait for the end report
 * (T25), or for the time-out (T24), which is provisional.
 */
static gboolean stop_settles (const ChOrder *order, const ChCommandView *view)
{
  if (cannot_have_begun (order))
    return TRUE;
  return view->state == CH_COMMAND_ACKED
         && ch_device_props (order->device)->order_key != CH_ORDER_KEY_DEVICE;
}

/*
 * Within one session the end report comes before the answer to a query that was sent
 * behind the refusal. One that went to an earlier session comes again much later.
 */
static void stop_refused (ChOrder *order)
{
  order->stop_refused = order->d.status == CH_ORDER_CANCELLING
                        && order->start_session != 0
                        && order->start_session == order->device->generation;
  ch_order_query_port (order->device, order->d.socket_no, 2); /* T20 to T22 decide */
}

static void nothing_more (ChChange *change, const GError *error, gpointer data) {}

/* One that had begun all the same (C5) is reported yet: that settles it (T28). */
static gboolean cancelled (ChOrder *order)
{
  ChChange *change
      = ch_change_begin (order, CH_ORDER_EVENT_CANCELLED, "device", "stop_ack");
  if (change == NULL)
    return FALSE;
  change->next.provisional = order->began_cancelling;
  ch_change_commit (change, nothing_more, NULL);
  return TRUE;
}

static gboolean stop_finished (ChDevice *device, const ChCommandView *view)
{
  ChOrder *order = ch_orders_find (device->core->orders, view->order_no);
  if (order == NULL)
    return TRUE;
  gboolean answered
      = view->state == CH_COMMAND_ACKED || view->state == CH_COMMAND_REJECTED;
  if (answered) {
    order->stop_acked_ms = ch_now_ms (device->core->self);
    order->d.ack_at = ch_wall_ms (device->core->self);
  }
  if (order->d.status == CH_ORDER_CANCELLING && answered && stop_settles (order, view))
    return !cancelled (order);
  if (view->state == CH_COMMAND_REJECTED)
    stop_refused (order);
  ch_order_arm (order);
  return TRUE;
}

static gboolean run_result (ChDevice *device, ChFact *fact)
{
  ResultJob *job = (ResultJob *) fact;
  return job->view.type == CH_COMMAND_START_CHARGE ? start_finished (device, &job->view)
                                                   : stop_finished (device, &job->view);
}

static void free_result (ChFact *fact)
{
  g_free (fact);
}

static void finished (ChCore *core, const ChCommandView *view)
{
  if (view->order_no[0] == '\0'
      || (view->type != CH_COMMAND_START_CHARGE && !is_stop (view->type)))
    return;
  ResultJob *job = g_new0 (ResultJob, 1);
  job->fact.run = run_result;
  job->fact.free = free_result;
  job->view = *view;
  job->view.detail = NULL;
  ch_fact_enqueue (view->device, &job->fact);
}

void ch_orders_connect_commands (ChOrders *orders)
{
  static const ChOutboundHooks hooks = {.sent = sent, .finished = finished};
  ch_outbound_set_hooks (ch_orders_core (orders)->outbound, &hooks);
}
