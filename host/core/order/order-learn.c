/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-learn.h"
#include "core/order/order-auto.h"
#include "core/order/order-flow.h"
#include <chargehost/clock.h>

#include <string.h>

#define CLOCK_SLACK_S 5

static const ChOrderCell SAME_STATE = {.transition = 0};

typedef struct {
  ChFact fact;
  char order_no[CH_ORDER_NO_SIZE];
  gint port_no;                        /* −1: nothing new */
  char wire_order[CH_WIRE_ORDER_SIZE]; /* "": nothing new */
  gint64 business_no;
  gboolean freed_port; /* C7 was tried */
} LearnJob;

static void free_job (ChFact *fact)
{
  g_free (fact);
}

static void nothing_more (ChChange *change, const GError *error, gpointer data) {}

static gboolean run_learn (ChDevice *device, ChFact *fact);

static LearnJob *job_new (const ChOrder *order)
{
  LearnJob *job = g_new0 (LearnJob, 1);
  job->fact.run = run_learn;
  job->fact.free = free_job;
  g_strlcpy (job->order_no, order->d.order_no, sizeof job->order_no);
  job->port_no = -1;
  job->business_no = CH_UNSET;
  return job;
}

/*
 * C7: another order holds the port of @order: the newer one keeps it. TRUE when a change
 * runs, after which the job comes again.
 */
static gboolean free_port (ChOrder *order, const LearnJob *job)
{
  ChDevice *device = order->device;
  const ChPort *port = ch_device_port (device, order->d.socket_no, job->port_no, FALSE);
  ChOrder *holder = port != NULL ? port->order : NULL;

  if (holder == NULL || job->freed_port)
    return FALSE;
  ChOrder *older = holder->d.created_at <= order->d.created_at ? holder : order;
  ch_core_alarm (device->core, device->id, order->d.socket_no, job->port_no, "duplicate",
                 CH_ALARM_MAJOR, TRUE, "Two orders claim one port", older->d.order_no,
                 NULL);
  if (!ch_order_apply (older, CH_ORDER_EVENT_DUPLICATE, "device", "duplicate"))
    return FALSE;
  LearnJob *again = g_memdup2 (job, sizeof *job);
  again->freed_port = TRUE;
  ch_fact_enqueue_first (device, &again->fact);
  return TRUE;
}

static gboolean run_learn (ChDevice *device, ChFact *fact)
{
  const LearnJob *job = (const LearnJob *) fact;
  ChOrder *order = ch_orders_find (device->core->orders, job->order_no);

  if (order == NULL || order->device != device)
    return TRUE;
  gboolean unplaced = order->d.port_no < 0 && job->port_no >= 0;
  gboolean unnumbered = order->d.wire_order[0] == '\0' && job->wire_order[0] != '\0';
  if (unplaced && free_port (order, job))
    return FALSE;
  ChOrderData next = order->d;
  if (unplaced)
    ch_order_place (order, &next, job->port_no);
  if (next.port_no == order->d.port_no && !unnumbered)
    return TRUE;
  ChChange *change = ch_change_amend (order, &SAME_STATE, "device",
                                      unnumbered ? "number_reported" : "port_chosen");
  change->next.port_no = next.port_no;
  if (unnumbered) {
    g_strlcpy (change->next.wire_order, job->wire_order, sizeof change->next.wire_order);
    if (job->business_no != CH_UNSET)
      change->next.business_no = (guint16) job->business_no;
    order->number_is_device = TRUE;
  }
  ch_change_commit (change, nothing_more, NULL);
  return FALSE;
}

void ch_order_place_later (ChOrder *order, gint port_no)
{
  if (order->d.port_no >= 0 || port_no < 0)
    return;
  LearnJob *job = job_new (order);
  job->port_no = port_no;
  ch_fact_enqueue (order->device, &job->fact);
}

/*
 * Never one that is older than the start. Within the session that heard the start any
 * other can; after another one the charge must be as old as the order (bkv 10.4 adopts a
 * number for a minute only).
 */
static gboolean can_be_its_own (const ChOrder *order, const ChPortUpdate *fact)
{
  ChDevice *device = order->device;
  const ChPort *port = ch_device_port (device, fact->socket_no, fact->port_no, FALSE);
  gint64 age_s = (ch_now_ms (device->core->self) - order->start_written_ms) / 1000;

  if (order->start_written_ms == 0
      || (port != NULL && port->last_ended_no == fact->business_no))
    return FALSE;
  if (fact->duration_s != CH_UNSET && fact->duration_s > age_s + CLOCK_SLACK_S)
    return FALSE;
  if (order->start_session == device->generation)
    return TRUE;
  return fact->duration_s != CH_UNSET && age_s - fact->duration_s <= CH_REPORT_SLACK_S;
}

gboolean ch_order_number_later (ChOrder *order, const ChPortUpdate *fact)
{
  gboolean has_wire = fact->wire_order != NULL && *fact->wire_order != '\0';
  gboolean runs = order->d.status == CH_ORDER_CHARGING
                  || order->d.status == CH_ORDER_STOPPING
                  || order->d.status == CH_ORDER_INTERRUPTED;

  if (fact->status != CH_PORT_CHARGING || !has_wire || !runs
      || order->d.wire_order[0] != '\0'
      || ch_device_props (order->device)->order_key != CH_ORDER_KEY_DEVICE
      || !can_be_its_own (order, fact))
    return FALSE;
  LearnJob *job = job_new (order);
  g_strlcpy (job->wire_order, fact->wire_order, sizeof job->wire_order);
  job->business_no = fact->business_no;
  ch_fact_enqueue (order->device, &job->fact);
  return TRUE;
}
