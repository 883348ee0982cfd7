/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A start that took effect after its order had ended (C4, T32): the answer was late, or
 * it repeats what was settled long ago. Nothing is revived but what T32 allows; the order
 * learns the device's number, so that the end report of the charge finds it (T28).
 */
#include "core/device/device.h"
#include "core/order/order-flow.h"
#include "core/order/order-store.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>

#include <string.h>

static const ChOrderCell SAME_STATE = {.transition = 0};

/* A port that charges for another order is left alone: a stop would end that one. */
static gboolean charges_another (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  const ChPort *port = ch_device_port (order->device, d->socket_no, d->port_no, FALSE);
  const ChOrder *other = port != NULL ? port->order : NULL;
  return other != NULL && strcmp (other->d.order_no, d->order_no) != 0
         && other->d.wire_order[0] != '\0'
         && strcmp (other->d.wire_order, d->wire_order) != 0;
}

static void stop_it (ChOrder *order, const ChOrderData *d, const char *wire_order)
{
  if (!charges_another (order))
    ch_order_compensate (order->device, d->socket_no, d->port_no, d->order_no,
                         d->business_no, wire_order, "late_start_compensated");
}

/*
 * Ended for good by the device's word, but its start was written: what the device reports
 * under the order's own number is a charge that began after that word (C4, T28). An end
 * by hand (T31) stands.
 */
gboolean ch_order_may_yet_be_settled (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  gboolean by_device = d->status == CH_ORDER_CANCELLED
                       || (d->status == CH_ORDER_FAILED
                           && !g_str_equal (d->failure_reason, "admin_forced"));

  if (ch_order_status_is_active ((ChOrderStatus) d->status))
    return FALSE;
  return d->provisional
         || (by_device && d->sent_at != CH_UNSET && d->start_time == CH_UNSET);
}

/*
 * Its start was written, and it was given up before anything told the device's number:
 * so a charge under a number that nobody knows may be its own.
 */
static gboolean is_unnumbered (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  return !ch_order_status_is_active ((ChOrderStatus) d->status) && d->provisional
         && d->sent_at != CH_UNSET && d->wire_order[0] == '\0'
         && ch_device_props (order->device)->order_key == CH_ORDER_KEY_DEVICE;
}

/* Whether a charge of that age can be of @order. @duration_s CH_UNSET: not known */
static gboolean may_be_its_own (const ChOrder *order, gint64 duration_s, gint64 slack_s)
{
  gint64 now_ms = ch_wall_ms (order->device->core->self);
  gint64 window_s
      = ch_config_int (order->device->core->self, "orders.late_report_window_s");

  return is_unnumbered (order) && order->d.updated_at >= now_ms - window_s * 1000
         && (duration_s == CH_UNSET
             || duration_s <= (now_ms - order->d.sent_at) / 1000 + slack_s);
}

static gboolean is_holder (const ChOrder *holder, const ChOrder *order)
{
  return holder != NULL && g_str_equal (holder->d.order_no, order->d.order_no);
}

/* The newest that fits. Orders that never began, and charges that have their own number,
 * do not stand between. */
static ChOrder *newest_that_fits (ChDevice *device, const ChOrder *holder,
                                  gint64 duration_s, gint64 slack_s,
                                  const ChTxResult *result, guint statement)
{
  gboolean go_on = TRUE;

  for (guint row = 0; go_on && row < ch_tx_result_rows (result, statement); row++) {
    ChOrder *order = ch_order_new (device);
    ch_order_read (order, result, statement, row);
    if (!is_holder (holder, order)) {
      if (may_be_its_own (order, duration_s, slack_s))
        return order;
      go_on = order->d.start_time == CH_UNSET || order->d.wire_order[0] != '\0';
    }
    ch_order_free (order);
  }
  return NULL;
}

ChOrder *ch_order_unnumbered_of (ChDevice *device, const ChOrder *holder,
                                 gint64 duration_s, const ChTxResult *result,
                                 guint statement)
{
  ChOrder *order = newest_that_fits (device, holder, duration_s, 0, result, statement);
  return order != NULL ? order
                       : newest_that_fits (device, holder, duration_s, CH_REPORT_SLACK_S,
                                           result, statement);
}

/* ---- the device said so ---- */

typedef struct {
  ChFactNext next;
  gpointer data;
  char wire_order[CH_WIRE_ORDER_SIZE]; /* what to stop */
} Late;

static void noted (ChChange *change, const GError *error, gpointer data)
{
  Late *late = data;
  if (error == NULL)
    stop_it (change->order, &change->next, late->wire_order);
  late->next (change->order->device, error, late->data);
  g_free (late);
}

static void note_number (ChOrder *order, const ChOrderStarted *fact, ChFactNext next,
                         gpointer data)
{
  Late *late = g_new0 (Late, 1);
  ChChange *change = ch_change_amend (order, &SAME_STATE, "device", "started_late");
  ChOrderData *d = &change->next;

  late->next = next;
  late->data = data;
  g_strlcpy (late->wire_order, fact->wire_order != NULL ? fact->wire_order : "",
             sizeof late->wire_order);
  if (d->wire_order[0] != '\0') { /* it was executed twice */
    g_strlcpy (d->alias_wire_order, late->wire_order, sizeof d->alias_wire_order);
  } else {
    g_strlcpy (d->wire_order, late->wire_order, sizeof d->wire_order);
    if (fact->business_no != CH_UNSET && fact->business_no > 0)
      d->business_no = (guint16) fact->business_no;
    /* The charge has yet to be settled, whatever the order was told. */
    if (d->status != CH_ORDER_COMPLETED && d->status != CH_ORDER_STOPPED)
      d->provisional = TRUE;
  }
  ch_change_commit (change, noted, late);
}

void ch_order_started_late (ChOrder *order, const ChOrderStarted *fact, ChFactNext next,
                            gpointer data)
{
  ChDevice *device = order->device;
  gboolean has_key = fact->wire_order != NULL && *fact->wire_order != '\0';
  gboolean known = !has_key || strcmp (order->d.wire_order, fact->wire_order) == 0
                   || strcmp (order->d.alias_wire_order, fact->wire_order) == 0;

  if (!known) {
    note_number (order, fact, next, data);
    return;
  }
  if (order->d.provisional)
    ch_order_charges_again (order);
  else
    ch_order_free (order); /* a copy of an answer: the charge is settled */
  next (device, NULL, data);
  ch_fact_finish (device);
}

/* ---- a report of the port said so ---- */

typedef struct {
  ChFact fact;
  ChOrder *order; /* NULL once taken */
  ChOrderStarted started;
  char wire_order[CH_WIRE_ORDER_SIZE];
} LateJob;

static void nobody_waits (ChDevice *device, const GError *error, gpointer data) {}

static gboolean run_late (ChDevice *device, ChFact *fact)
{
  LateJob *job = (LateJob *) fact;
  ChOrder *order = g_steal_pointer (&job->order);
  ch_order_started_late (order, &job->started, nobody_waits, NULL);
  return FALSE;
}

static void free_late (ChFact *fact)
{
  LateJob *job = (LateJob *) fact;
  g_clear_pointer (&job->order, ch_order_free);
  g_free (job);
}

void ch_order_charges_late (ChOrder *order, const char *wire_order, gint64 business_no)
{
  LateJob *job = g_new0 (LateJob, 1);
  job->fact.run = run_late;
  job->fact.free = free_late;
  job->order = order;
  g_strlcpy (job->wire_order, wire_order, sizeof job->wire_order);
  job->started = (ChOrderStarted) CH_ORDER_STARTED_INIT;
  job->started.wire_order = job->wire_order;
  job->started.business_no = business_no;
  ch_fact_enqueue (order->device, &job->fact);
}

/* ---- the command queue said so ---- */

static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  ChDevice *device = data;

  if (error == NULL && ch_tx_result_rows (result, 0) > 0) {
    ChOrder *order = ch_order_new (device);
    ch_order_read (order, result, 0, 0);
    const ChOrderData *d = &order->d;
    /* Where the device makes the number, its report has said it already. */
    gboolean told = ch_device_props (device)->order_key == CH_ORDER_KEY_DEVICE
                    && d->wire_order[0] != '\0';
    if (ch_order_may_yet_be_settled (order) && !told)
      stop_it (order, d, d->wire_order);
    ch_order_free (order);
  }
  ch_fact_finish (device);
}

void ch_order_acked_late (ChDevice *device, const char *order_no)
{
  ChPlugin *self = device->core->self;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_submit (tx, 0, looked_up, device);
}
