/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers to starts: refused, accepted, or when the device has decided. */
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-flow.h"
#include "core/order/order-number.h"
#include "core/order/order-start.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

void ch_start_free (ChStart *start)
{
  ch_timer_cancel (start->core->self, &start->timer);
  g_clear_pointer (&start->numbers, g_array_unref);
  g_clear_pointer (&start->order, ch_order_free);
  g_free (start->order_no);
  g_free (start->socket_uid);
  g_free (start->card_no);
  g_free (start->metadata);
  g_free (start->request_id);
  g_free (start);
}

void ch_start_answer (ChStart *start, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (start->done != NULL && ch_runner_enter (start->caller, "start_charge", &frame)) {
    start->done (start->caller, data, error, start->user_data);
    ch_runner_leave (&frame);
  }
  ch_start_free (start);
}

/* Takes @data and @error. */
void ch_start_refuse (ChStart *start, GError *error, json_t *data)
{
  ch_start_answer (start, data, error);
  g_error_free (error);
  json_decref (data);
}

/* ---- the answer ---- */

static json_t *enforced_by (const ChOrderData *d)
{
  json_t *object = json_object ();
  if (d->target_duration_s != CH_UNSET)
    json_object_set_new_nocheck (object, "duration",
                                 json_string (d->charge_mode == 1 ? "device" : "server"));
  if (d->target_energy_wh != CH_UNSET)
    json_object_set_new_nocheck (object, "energy",
                                 json_string (d->charge_mode == 2 ? "device" : "server"));
  json_object_set_new_nocheck (object, "amount",
                               json_string (d->charge_mode == 3 ? "device" : "server"));
  return object;
}

static json_t *start_json (ChStart *start, const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  json_t *data
      = ch_outbound_accepted_json (start->core->outbound, d->start_command_id, FALSE);
  char text[5];

  if (data == NULL)
    data = json_object ();
  json_object_del (data, "deduplicated");
  json_object_del (data, "type");
  json_object_set_new_nocheck (data, "order_no", json_string (d->order_no));
  json_object_set_new_nocheck (data, "business_no",
                               json_string (ch_business_no_text (d->business_no, text)));
  json_object_set_new_nocheck (
      data, "status", json_string (ch_order_status_name ((ChOrderStatus) d->status)));
  json_object_set_new_nocheck (data, "device_id", json_string (order->device->id));
  json_object_set_new_nocheck (data, "socket_no", json_integer (d->socket_no));
  json_object_set_new_nocheck (data, "port_no", json_integer (d->port_no));
  json_object_set_new_nocheck (data, "amount",
                               d->amount_limit_cent == CH_UNSET
                                   ? json_null ()
                                   : json_integer (d->amount_limit_cent));
  json_object_set_new_nocheck (data, "command_id", json_string (d->start_command_id));
  json_object_set_new_nocheck (data, "enforced_by", enforced_by (d));
  json_object_set_new_nocheck (data, "duplicate", json_boolean (start->duplicate));
  return data;
}

void ch_start_answer_order (ChStart *start, const ChOrder *order)
{
  g_autoptr (json_t) data = start_json (start, order);
  ch_start_answer (start, data, NULL);
}

typedef struct {
  ChFact fact;
  ChStart *start;
  ChCommandState state;
} WaitedJob;

/* Behind the transition that the command's end caused: the answer shows its result. */
static gboolean run_waited (ChDevice *device, ChFact *fact)
{
  WaitedJob *job = (WaitedJob *) fact;
  ChStart *start = g_steal_pointer (&job->start);
  ChOrder *order = ch_orders_find (device->core->orders, start->order_no);
  g_autoptr (json_t) data = NULL;

  if (order != NULL)
    data = start_json (start, order);
  else {
    data = json_object ();
    json_object_set_new_nocheck (data, "order_no", json_string (start->order_no));
    json_object_set_new_nocheck (data, "device_id", json_string (device->id));
    json_object_set_new_nocheck (data, "command_id", json_string (start->command_id));
    json_object_set_new_nocheck (data, "duplicate", json_false ());
  }
  json_object_set_new_nocheck (data, "state",
                               json_string (ch_command_state_name (job->state)));
  if (job->state >= CH_COMMAND_ACKED)
    json_object_set_new_nocheck (data, "final", json_true ());
  ch_start_answer (start, data, NULL);
  return TRUE;
}

static void free_waited (ChFact *fact)
{
  g_clear_pointer (&((WaitedJob *) fact)->start, ch_start_free);
  g_free (fact);
}

void ch_start_waited (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  ChStart *start = user_data;
  WaitedJob *job = g_new0 (WaitedJob, 1);
  job->fact.run = run_waited;
  job->fact.free = free_waited;
  job->start = start;
  job->state = view != NULL ? view->state : CH_COMMAND_QUEUED;
  ch_fact_enqueue (start->device, &job->fact);
}
