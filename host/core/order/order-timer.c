/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time in the life of an order. One timer per order, set to the nearest deadline of its
 * state; when it fires, the device's queue looks what is due. Times come from the
 * protocol's properties (gateway 0.4). Monotonic only.
 */
#include "core/fact/journal.h"
#include "core/order/order-alarms.h"
#include "core/order/order-flow.h"
#include "core/order/tariff.h"
#include "core/outbound/outbound.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#define NEVER G_MAXINT64
#define RETRY_MS 5000 /* the store was away */
#define CUT_OFF_MS 1000
#define WATCHDOG_MS 30000

/* The earliest thing that may be due: when, and which event (−1: look again). */
typedef struct {
  gint64 at_ms;
  gint event;
} Due;

static void sooner (Due *due, gint64 at_ms, gint event)
{
  if (at_ms < due->at_ms) {
    due->at_ms = at_ms;
    due->event = event;
  }
}

static gint64 seconds (gint64 s)
{
  return s * 1000;
}

/* T17: when an absent device's order is given up. */
static gint64 offline_deadline (ChOrder *order, const ChProtocolProperties *props)
{
  ChPlugin *self = order->device->core->self;
  gint64 grace = seconds (ch_config_int (self, "orders.interrupted_grace_s"));
  gint64 most = seconds (props->interrupted_max_s);

  if (!props->charges_offline)
    return order->state_ms + grace;
  if (order->d.target_duration_s == CH_UNSET)
    return order->state_ms + most;
  gint64 left
      = seconds (MAX (order->d.target_duration_s - order->d.duration_s, 0)) + 300000;
  return order->state_ms + MIN (MAX (grace, left), most);
}

/* How long a device that is back has time to speak of the port. */
static gint64 back_wait_ms (ChOrder *order)
{
  return seconds (
      ch_config_int (order->device->core->self, "orders.interrupted_grace_s"));
}

/* The port is faulty and no end report comes. */
static void due_fault (ChOrder *order, ChOrderEvent event, Due *due)
{
  gint64 wait_s = ch_config_int (order->device->core->self, "orders.fault_wait_end_s");
  if (order->fault_ms != 0)
    sooner (due, order->fault_ms + seconds (wait_s), (gint) event);
}

static void due_stopping (ChOrder *order, const ChProtocolProperties *props, Due *due)
{
  const ChPort *port
      = ch_device_port (order->device, order->d.socket_no, order->d.port_no, FALSE);
  guint rounds = (guint) ch_config_int (order->device->core->self, "orders.stop_rounds");

  sooner (due, order->state_ms + seconds (props->stop_max_s), CH_ORDER_EVENT_STOP_MAX);
  if (props->abandoned_s > 0)
    sooner (due, order->progress_ms + seconds (props->abandoned_s),
            CH_ORDER_EVENT_ABANDONED);
  due_fault (order, CH_ORDER_EVENT_DEVICE_FAULT, due);
  if (order->stop_acked_ms != 0 && port != NULL && port->status != CH_PORT_CHARGING
      && order->idle_ms != 0) {
    sooner (due,
            MAX (order->stop_acked_ms, order->idle_ms) + seconds (props->stop_wait_end_s),
            CH_ORDER_EVENT_STOP_WAIT);
  } else if (order->device->conn != 0 && order->stop_rounds <= rounds
             && !order->stop_alarmed) { /* no answer, or a relay that does not obey */
    gint64 since
        = MAX (MAX (order->stop_round_ms, order->state_ms), order->stop_acked_ms);
    sooner (due, since + seconds (props->stopping_timeout_s), CH_ORDER_EVENT_STOP_RETRY);
  }
}

static Due next_due (ChOrder *order)
{
  const ChProtocolProperties *props = ch_device_props (order->device);
  ChPlugin *self = order->device->core->self;
  Due due = {NEVER, -1};

  /* The loss was not stored when it happened. */
  if (order->device->conn == 0
      && (order->d.status == CH_ORDER_CHARGING || order->d.status == CH_ORDER_STOPPING))
    return (Due) {order->device->down_ms, CH_ORDER_EVENT_LOST};

  switch (order->d.status) {
  case CH_ORDER_PENDING:
    sooner (&due, order->state_ms + seconds (props->pending_timeout_s),
            CH_ORDER_EVENT_PENDING_TIMEOUT);
    break;
  case CH_ORDER_CONFIRMED:
    sooner (&due, order->state_ms + seconds (props->confirmed_timeout_s),
            CH_ORDER_EVENT_CONFIRMED_TIMEOUT);
    break;
  case CH_ORDER_CANCELLING:
    sooner (&due, order->state_ms + seconds (props->cancelling_timeout_s),
            CH_ORDER_EVENT_CANCELLED);
    break;
  case CH_ORDER_CHARGING:
    sooner (&due, ch_now_ms (self) + WATCHDOG_MS, -1);
    due_fault (order, CH_ORDER_EVENT_FAULT_WAIT, &due);
    if (props->abandoned_s > 0)
      sooner (&due, order->progress_ms + seconds (props->abandoned_s),
              CH_ORDER_EVENT_ABANDONED);
    break;
  case CH_ORDER_STOPPING:
    due_stopping (order, props, &due);
    break;
  case CH_ORDER_INTERRUPTED:
    /* Also when the device is here but its port never speaks again. */
    sooner (&due,
            MAX (offline_deadline (order, props),
                 order->device->conn == 0 ? 0 : order->bound_ms + back_wait_ms (order)),
            CH_ORDER_EVENT_OFFLINE_DEADLINE);
    if (order->device->conn == 0)
      break;
    if (order->idle_ms != 0)
      sooner (&due, order->idle_ms + seconds (props->recover_wait_end_s),
              CH_ORDER_EVENT_RECOVER_TIMEOUT);
    else
      sooner (&due, ch_now_ms (self) + WATCHDOG_MS, -1);
    break;
  default:
    break;
  }
  return due;
}

/* ---- watchdog of a charging order ---- */

/* Which limit the server must end this charge for, NULL when none. */
static const char *limit_reached (ChOrder *order, gint64 now_ms)
{
  const ChOrderData *d = &order->d;
  double tolerance
      = ch_config_double (order->device->core->self, "orders.overrun_tolerance");

  if (d->target_duration_s != CH_UNSET) {
    gint64 elapsed_s = d->duration_s + (now_ms - order->duration_ms) / 1000;
    double over_s = MAX ((double) d->target_duration_s * tolerance, 300);
    if ((double) elapsed_s > (double) d->target_duration_s + over_s)
      return "time";
  }
  if (d->target_energy_wh != CH_UNSET
      && (double) d->energy_wh > (double) d->target_energy_wh * (1 + tolerance))
    return "energy";
  if (d->amount_limit_cent != CH_UNSET && d->amount_limit_cent > 0) {
    ChAmount amount = ch_tariff_amount (d->energy_wh, d->price_per_kwh_cent,
                                        d->service_fee_permille, 0, CH_UNSET);
    if (amount.total_cent > d->amount_limit_cent)
      return "amount";
  }
  return NULL;
}

static void watch_silence (ChOrder *order, gint64 now_ms)
{
  ChDevice *device = order->device;
  gint64 stale_ms = seconds (ch_device_props (device)->progress_stale_s);

  if (device->conn == 0 || now_ms - order->progress_ms < stale_ms) {
    order->stale_queries = 0;
    return;
  }
  if (order->stale_ms > order->progress_ms && now_ms - order->stale_ms < stale_ms / 2)
    return;
  order->stale_ms = now_ms;
  if (++order->stale_queries == 3)
    ch_port_alarm_raise (device, ch_order_port (order), CH_PORT_ALARM_STALE);
  ch_order_query_port (device, order->d.socket_no, 2);
}

static gboolean watch (ChOrder *order, gint64 now_ms)
{
  ChDevice *device = order->device;
  if (order->d.status == CH_ORDER_CHARGING) {
    const char *limit = limit_reached (order, now_ms);
    if (limit != NULL && device->conn != 0) {
      ch_log (device->core->self, CH_LOG_INFO,
              CH_LOG_FIELDS ("order_no", order->d.order_no, "device", device->id),
              "limit of %s reached: the charge is stopped", limit);
      return ch_order_apply (order, CH_ORDER_EVENT_STOP, "timer", "limit_reached");
    }
    watch_silence (order, now_ms);
  } else if (order->d.status == CH_ORDER_INTERRUPTED && device->conn != 0)
    ch_order_query_port (device, order->d.socket_no, 2);
  return FALSE;
}

/* ---- firing ---- */

typedef struct {
  ChFact fact;
  char order_no[CH_ORDER_NO_SIZE];
} TimerJob;

/* T21, or the alarm when all rounds are used up. TRUE when a change was committed. */
static gboolean stop_again (ChOrder *order)
{
  ChDevice *device = order->device;
  guint rounds = (guint) ch_config_int (device->core->self, "orders.stop_rounds");
  if (order->stop_rounds >= rounds) {
    order->stop_alarmed = TRUE;
    ch_port_alarm_raise (device, ch_order_port (order), CH_PORT_ALARM_STOP);
    return FALSE;
  }
  order->stop_rounds++;
  order->stop_round_ms = ch_now_ms (device->core->self);
  ch_order_query_port (device, order->d.socket_no, 2);
  return ch_order_apply (order, CH_ORDER_EVENT_STOP_RETRY, "timer", "stop_retry");
}

static void provisional_cancel (ChChange *change, const GError *error, gpointer data) {}

static gboolean apply_due (ChOrder *order, ChOrderEvent event)
{
  if (event == CH_ORDER_EVENT_STOP_RETRY)
    return stop_again (order);
  if (event == CH_ORDER_EVENT_CANCELLED) { /* by time only: the device has not said so */
    ChChange *change = ch_change_begin (order, event, "timer", "cancelling_timeout");
    if (change == NULL)
      return FALSE;
    change->next.provisional = TRUE;
    ch_change_commit (change, provisional_cancel, NULL);
    return TRUE;
  }
  return ch_order_apply (order, event, "timer", ch_order_event_name (event));
}

static gboolean run_timer (ChDevice *device, ChFact *fact)
{
  TimerJob *job = (TimerJob *) fact;
  ChOrder *order = ch_orders_find (device->core->orders, job->order_no);
  if (order == NULL)
    return TRUE;
  if (ch_journal_holds (device)) { /* what was reported comes first */
    ch_wheel_arm (device->core->services->reactor, &order->timer, RETRY_MS);
    return TRUE;
  }
  gint64 now_ms = ch_now_ms (device->core->self);
  Due due = next_due (order);
  gboolean busy = FALSE;

  if (due.event >= 0 && due.at_ms <= now_ms)
    busy = apply_due (order, (ChOrderEvent) due.event);
  else
    busy = watch (order, now_ms);
  if (busy) /* again later, should the change fail */
    ch_wheel_arm (device->core->services->reactor, &order->timer, RETRY_MS);
  else
    ch_order_arm (order);
  return !busy;
}

static void free_timer (ChFact *fact)
{
  g_free (fact);
}

void ch_order_check_timers (ChOrder *order)
{
  TimerJob *job = g_new0 (TimerJob, 1);
  job->fact.run = run_timer;
  job->fact.free = free_timer;
  g_strlcpy (job->order_no, order->d.order_no, sizeof job->order_no);
  ch_fact_enqueue (order->device, &job->fact);
}

static void fired (ChWheelTimer *timer)
{
  ChOrder *order = G_STRUCT_MEMBER_P (timer, -(glong) G_STRUCT_OFFSET (ChOrder, timer));
  ChCore *core = order->device->core;

  if (ch_outbound_is_cut_off (core->outbound)) /* others may look after it by now */
    ch_wheel_arm (core->services->reactor, timer, CUT_OFF_MS);
  else
    ch_order_check_timers (order);
}

void ch_order_arm (ChOrder *order)
{
  ChReactor *reactor = order->device->core->services->reactor;
  Due due = next_due (order);
  order->timer.func = fired;
  if (due.at_ms == NEVER)
    ch_wheel_cancel (reactor, &order->timer);
  else
    ch_wheel_arm (reactor, &order->timer,
                  (guint64) MAX (due.at_ms - ch_now_ms (order->device->core->self), 1));
}
