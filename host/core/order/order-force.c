/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Closing an order by hand (T31, gateway 7.7): final, whatever the device says later. */
#include "core/order/order-flow.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

#define MAX_ENERGY_WH 10000000
#define MAX_DURATION_S (30 * 86400)
#define MAX_COMMENT 255

typedef struct {
  ChCore *core;
  ChPlugin *caller;
  ChForceRequest request; /* its strings are below */
  char order_no[CH_ORDER_NO_SIZE];
  char comment[MAX_COMMENT + 1];
  const char *by; /* interned */
  gint old_status;
  ChCoreDone done;
  gpointer user_data;
} Force;

typedef struct {
  ChFact fact;
  Force *force;
} ForceJob;

/* Frees @force. */
static void answer (Force *force, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (force->done != NULL && ch_runner_enter (force->caller, "force_order", &frame)) {
    force->done (force->caller, data, error, force->user_data);
    ch_runner_leave (&frame);
  }
  g_free (force);
}

static void refuse (Force *force, gint code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CH_CORE_ERROR, code, message);
  answer (force, NULL, error);
}

static void forced (ChChange *change, const GError *error, gpointer data)
{
  Force *force = data;
  if (error != NULL) {
    gboolean elsewhere = g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD);
    refuse (force,
            elsewhere ? CH_CORE_ERROR_ORDER_STATE_CHANGED
                      : CH_CORE_ERROR_STORE_UNAVAILABLE,
            error->message);
    return;
  }
  g_autoptr (json_t) object = ch_order_json (change->order);
  json_object_set_new_nocheck (
      object, "old_status",
      json_string (ch_order_status_name ((ChOrderStatus) force->old_status)));
  answer (force, object, NULL);
}

/* C2: what may still charge is stopped, if it can be. */
static void stop_if_needed (ChOrder *order, ChChange *change)
{
  gboolean may_charge
      = order->d.status != CH_ORDER_PENDING || order->start_written_ms != 0;
  if (may_charge
      && (order->d.wire_order[0] != '\0'
          || ch_device_props (order->device)->stops_unreported))
    ch_change_add_stop (change, "admin_forced");
}

static gboolean run_force (ChDevice *device, ChFact *fact)
{
  Force *force = g_steal_pointer (&((ForceJob *) fact)->force);
  const ChForceRequest *r = &force->request;
  ChOrder *order = ch_orders_find (device->core->orders, force->order_no);

  if (order == NULL) {
    refuse (force, CH_CORE_ERROR_ORDER_FINISHED, "the order has ended");
    return TRUE;
  }
  ChChange *change = ch_change_begin (
      order, r->settle ? CH_ORDER_EVENT_FORCE_SETTLE : CH_ORDER_EVENT_FORCE_FAIL,
      force->by, force->comment);
  if (change == NULL) {
    refuse (force, CH_CORE_ERROR_ORDER_STATE_CHANGED, "the order cannot be closed now");
    return TRUE;
  }
  force->old_status = order->d.status;
  if (r->settle && r->energy_wh != CH_UNSET)
    change->next.energy_wh = r->energy_wh;
  if (r->settle && r->duration_s != CH_UNSET)
    change->next.duration_s = r->duration_s;
  ch_order_prepare_event (order, change);
  if (r->settle && r->end_reason != CH_UNSET)
    change->next.end_reason = r->end_reason;
  stop_if_needed (order, change);
  ch_change_commit (change, forced, force);
  return FALSE;
}

static void free_job (ChFact *fact)
{
  g_free (((ForceJob *) fact)->force);
  g_free (fact);
}

/* The order is not in memory: has it ended, or was it never there? */
static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  if (error != NULL)
    refuse (data, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
  else if (ch_tx_result_rows (result, 0) == 0)
    refuse (data, CH_CORE_ERROR_ORDER_NOT_FOUND, "no such order");
  else
    refuse (data, CH_CORE_ERROR_ORDER_FINISHED, "the order has ended");
}

static gboolean is_within (gint64 value, gint64 most)
{
  return value == CH_UNSET || (value >= 0 && value <= most);
}

static const char *invalid (const ChForceRequest *r)
{
  if (!ch_order_no_is_valid (r->order_no))
    return "order_no is malformed";
  if (r->comment == NULL || *r->comment == '\0' || strlen (r->comment) > MAX_COMMENT
      || !g_utf8_validate (r->comment, -1, NULL))
    return "a comment of 1 to 255 bytes is required";
  if (!is_within (r->energy_wh, MAX_ENERGY_WH))
    return "energy_wh must be 0 to 10000000";
  if (!is_within (r->duration_s, MAX_DURATION_S))
    return "duration_s must be 0 to 2592000";
  if (!is_within (r->end_reason, CH_END_UNKNOWN))
    return "end_reason must be 0 to 99";
  return NULL;
}

void ch_force_order_here (ChPlugin *self, const ChForceRequest *request,
                          const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  Force *force = g_new0 (Force, 1);
  const char *problem = invalid (request);

  force->core = ch_core_of (self);
  force->caller = self;
  force->request = *request;
  force->done = done;
  force->user_data = user_data;
  force->by
      = g_intern_string (origin != NULL && origin->by != NULL ? origin->by : "admin");
  if (problem != NULL) {
    refuse (force, CH_CORE_ERROR_INVALID_PARAMETER, problem);
    return;
  }
  g_strlcpy (force->order_no, request->order_no, sizeof force->order_no);
  g_strlcpy (force->comment, request->comment, sizeof force->comment);
  ChOrder *order = ch_orders_find (force->core->orders, force->order_no);
  if (order != NULL) {
    ForceJob *job = g_new0 (ForceJob, 1);
    job->fact.run = run_force;
    job->fact.free = free_job;
    job->force = force;
    ch_fact_enqueue (order->device, &job->fact);
    return;
  }
  ChTx *tx = ch_tx_new (force->core->self);
  ch_tx_add (tx, force->core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", force->order_no);
  ch_tx_submit (tx, 0, looked_up, force);
}
