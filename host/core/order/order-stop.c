/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stopping and cancelling (gateway 1.5.4, 1.5.6, 7.5). */
#include "core/fact/journal.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

#define MAX_REASON 255

typedef struct {
  ChFact fact;
  ChCore *core;
  ChPlugin *caller;
  ChCoreDone done;
  gpointer user_data;
  guint wait_ms;
  gboolean cancel_only; /* cancel: refuses to stop a charge */
  char order_no[CH_ORDER_NO_SIZE];
  char reason[MAX_REASON + 1]; /* "" none given */
  const char *by;              /* interned: changes outlive the request */
  /* answer */
  gint old_status;
  const char *action;
  gboolean deferred;
  ChDevice *device;     /* of the command that is waited for */
  ChCommandState state; /* of that command */
  char command_id[CH_COMMAND_ID_SIZE];
} Stop;

static void answer (Stop *stop, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (stop->done != NULL && ch_runner_enter (stop->caller, "stop_charge", &frame)) {
    stop->done (stop->caller, data, error, stop->user_data);
    ch_runner_leave (&frame);
  }
  g_free (stop);
}

/* As much as fits, whole characters only. */
static void copy_text (char *to, gsize size, const char *text)
{
  const char *end;
  g_strlcpy (to, text, size);
  if (!g_utf8_validate (to, -1, &end))
    to[end - to] = '\0';
}

static void refuse (Stop *stop, gint code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CH_CORE_ERROR, code, message);
  answer (stop, NULL, error);
}

static void free_job (ChFact *fact)
{
  g_free (fact);
}

static json_t *stop_json (Stop *stop, gint status)
{
  json_t *data = json_object ();
  json_object_set_new_nocheck (data, "order_no", json_string (stop->order_no));
  json_object_set_new_nocheck (
      data, "status", json_string (ch_order_status_name ((ChOrderStatus) status)));
  json_object_set_new_nocheck (
      data, "old_status",
      json_string (ch_order_status_name ((ChOrderStatus) stop->old_status)));
  if (!stop->cancel_only)
    json_object_set_new_nocheck (data, "action", json_string (stop->action));
  if (stop->command_id[0] != '\0')
    json_object_set_new_nocheck (data, "command_id", json_string (stop->command_id));
  if (stop->deferred)
    json_object_set_new_nocheck (data, "deferred", json_true ());
  return data;
}

static void answer_status (Stop *stop, gint status)
{
  g_autoptr (json_t) data = stop_json (stop, status);
  answer (stop, data, NULL);
}

/* ---- the answer to one that waits for the device ---- */

typedef struct {
  ChFact fact;
  Stop *stop;
} WaitedJob;

static void answer_waited (Stop *stop, gint status)
{
  g_autoptr (json_t) data = stop_json (stop, status);
  json_object_set_new_nocheck (data, "state",
                               json_string (ch_command_state_name (stop->state)));
  if (stop->state >= CH_COMMAND_ACKED)
    json_object_set_new_nocheck (data, "final", json_true ());
  answer (stop, data, NULL);
}

/* What look_up() found: the order's status; FALSE when the stop was refused. */
static gboolean is_found (Stop *stop, const ChTxResult *result, const GError *error,
                          gint *status)
{
  if (error != NULL)
    refuse (stop, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
  else if (ch_tx_result_rows (result, 0) == 0)
    refuse (stop, CH_CORE_ERROR_ORDER_NOT_FOUND, "no such order");
  else {
    *status = (gint) ch_tx_result_int (result, 0, 0, "status");
    return TRUE;
  }
  return FALSE;
}

/* It has ended, and only the store knows how. */
static void ended_as (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  gint status;
  if (is_found (data, result, error, &status))
    answer_waited (data, status);
}

static void look_up (Stop *stop, ChTxDone done)
{
  ChTx *tx = ch_tx_new (stop->core->self);
  ch_tx_add (tx, stop->core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", stop->order_no);
  ch_tx_submit (tx, 0, done, stop);
}

/* Behind the transition that the command's end caused: the answer shows its result. */
static gboolean run_waited (ChDevice *device, ChFact *fact)
{
  Stop *stop = g_steal_pointer (&((WaitedJob *) fact)->stop);
  ChOrder *order = ch_orders_find (device->core->orders, stop->order_no);
  if (order != NULL)
    answer_waited (stop, order->d.status);
  else
    look_up (stop, ended_as);
  return TRUE;
}

static void free_waited (ChFact *fact)
{
  g_free (((WaitedJob *) fact)->stop);
  g_free (fact);
}

static void waited (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  Stop *stop = user_data;
  WaitedJob *job = g_new0 (WaitedJob, 1);
  job->fact.run = run_waited;
  job->fact.free = free_waited;
  job->stop = stop;
  stop->state = view != NULL ? view->state : CH_COMMAND_QUEUED;
  ch_fact_enqueue (stop->device, &job->fact);
}

/*
 * F5: the store is away, and still nobody has to watch a charge go on: the device is told
 * to stop, and its end report does the rest.
 */
static gboolean stop_without_store (Stop *stop, const ChOrder *order, const GError *error)
{
  const ChOrderData *d = &order->d;
  gboolean deduplicated;
  g_autoptr (GError) refused = NULL;

  if (!ch_journal_wants (error) || order->device->conn == 0)
    return FALSE;
  g_autoptr (json_t) payload = json_pack ("{s:s}", "reason", "stop_request");
  const ChOutboundRequest request = {.type = CH_COMMAND_STOP_CHARGE,
                                     .device = order->device,
                                     .socket_no = d->socket_no,
                                     .port_no = d->port_no,
                                     .order_no = d->order_no,
                                     .business_no = d->business_no,
                                     .wire_order = d->wire_order,
                                     .priority = 1,
                                     .payload = payload};
  if (!ch_outbound_send (stop->core->outbound, &request, stop->command_id, &deduplicated,
                         &refused)) {
    ch_log (stop->core->self, CH_LOG_WARNING, CH_LOG_FIELDS ("order_no", d->order_no),
            "stop not queued: %s", refused->message);
    return FALSE;
  }
  g_autoptr (json_t) data = stop_json (stop, d->status);
  json_object_set_new_nocheck (data, "stored", json_false ());
  answer (stop, data, NULL);
  return TRUE;
}

static void changed (ChChange *change, const GError *error, gpointer data)
{
  Stop *stop = data;
  const ChOrder *order = change->order;

  if (error != NULL && stop_without_store (stop, order, error))
    return;
  if (error != NULL) {
    gboolean elsewhere = g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD);
    refuse (stop,
            elsewhere ? CH_CORE_ERROR_ORDER_STATE_CHANGED
                      : CH_CORE_ERROR_STORE_UNAVAILABLE,
            error->message);
    return;
  }
  g_strlcpy (stop->command_id, order->d.stop_command_id, sizeof stop->command_id);
  stop->deferred = order->d.status == CH_ORDER_INTERRUPTED;
  stop->device = order->device;
  if (stop->wait_ms > 0 && stop->command_id[0] != '\0' && !stop->deferred)
    ch_outbound_wait (stop->core->outbound, stop->command_id, stop->wait_ms, waited,
                      stop);
  else
    answer_status (stop, stop->deferred ? CH_ORDER_STOPPING : order->d.status);
}

/*
 * C1: the start was not written yet: it is taken back and the order ends at once; else
 * the device is told to stop, and the order waits for its word.
 */
static void cancel_taken_back (ChChange *change, const GError *error, gpointer data)
{
  Stop *stop = data;
  if (error != NULL)
    refuse (stop, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
  else
    answer_status (stop, CH_ORDER_CANCELLED);
}

static gboolean start_cancel (Stop *stop, ChOrder *order)
{
  ChOutbound *outbound = order->device->core->outbound;
  gboolean taken_back = order->start_written_ms == 0
                        && order->d.start_command_id[0] != '\0'
                        && ch_outbound_cancel (outbound, order->d.start_command_id);
  ChChange *change = ch_change_begin (order, CH_ORDER_EVENT_CANCEL, stop->by, "cancel");
  if (change == NULL) {
    refuse (stop, CH_CORE_ERROR_ORDER_NOT_CANCELLABLE,
            "the order cannot be cancelled now");
    return TRUE;
  }
  stop->action = "cancel";
  copy_text (change->next.failure_reason, sizeof change->next.failure_reason,
             stop->reason);
  if (taken_back) { /* T7 and T24 in one step: nothing was ever sent */
    change->next.status = CH_ORDER_CANCELLED;
    ch_change_commit (change, cancel_taken_back, stop);
  } else {
    ch_change_add_stop (change, "cancel");
    ch_change_commit (change, changed, stop);
  }
  return FALSE;
}

static gboolean start_stop (Stop *stop, ChOrder *order)
{
  if (stop->reason[0] == '\0')
    g_snprintf (stop->reason, sizeof stop->reason, "%s_stop_charge", stop->by);
  ChChange *change = ch_change_begin (order, CH_ORDER_EVENT_STOP, stop->by, stop->reason);
  if (change == NULL) {
    refuse (stop, CH_CORE_ERROR_ORDER_NOT_STOPPABLE, "the order cannot be stopped now");
    return TRUE;
  }
  stop->action = "stop";
  ch_change_commit (change, changed, stop);
  return FALSE;
}

static gboolean run_stop (ChDevice *device, ChFact *fact)
{
  Stop *stop = g_memdup2 (fact, sizeof *stop);
  ChOrder *order = ch_orders_find (device->core->orders, stop->order_no);

  if (order == NULL) {
    refuse (stop, CH_CORE_ERROR_ORDER_FINISHED, "the order has ended");
    return TRUE;
  }
  stop->old_status = order->d.status;
  g_strlcpy (stop->command_id, order->d.stop_command_id, sizeof stop->command_id);
  switch (order->d.status) {
  case CH_ORDER_PENDING:
  case CH_ORDER_CONFIRMED:
    return start_cancel (stop, order);
  case CH_ORDER_CANCELLING:
    stop->action = "cancel";
    answer_status (stop, CH_ORDER_CANCELLING);
    return TRUE;
  case CH_ORDER_CHARGING:
    if (stop->cancel_only) {
      refuse (stop, CH_CORE_ERROR_ORDER_IS_CHARGING,
              "the order charges: stop it instead");
      return TRUE;
    }
    return start_stop (stop, order);
  case CH_ORDER_STOPPING:
    if (stop->cancel_only) {
      refuse (stop, CH_CORE_ERROR_ORDER_NOT_CANCELLABLE, "the order is stopping");
      return TRUE;
    }
    stop->action = "stop";
    answer_status (stop, CH_ORDER_STOPPING);
    return TRUE;
  default: /* interrupted */
    if (stop->cancel_only) {
      refuse (stop, CH_CORE_ERROR_ORDER_NOT_CANCELLABLE, "the order is interrupted");
      return TRUE;
    }
    if (order->d.resume_status == CH_ORDER_STOPPING) {
      stop->action = "stop";
      stop->deferred = TRUE;
      answer_status (stop, CH_ORDER_STOPPING);
      return TRUE;
    }
    return start_stop (stop, order);
  }
}

/* The order is not in memory: has it ended, or was it never there? */
static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Stop *stop = data;
  gint status;
  if (!is_found (stop, result, error, &status))
    return;
  if (ch_order_status_is_active ((ChOrderStatus) status))
    refuse (stop, CH_CORE_ERROR_STORE_UNAVAILABLE, "the order is being read: ask again");
  else
    refuse (stop, CH_CORE_ERROR_ORDER_FINISHED, "the order has ended");
}

static void begin (Stop *stop, const char *order_no)
{
  ChOrder *order = ch_orders_find (stop->core->orders, order_no);
  g_strlcpy (stop->order_no, order_no, sizeof stop->order_no);
  if (order != NULL) {
    stop->fact.run = run_stop;
    stop->fact.free = free_job;
    ch_fact_enqueue (order->device, &stop->fact);
    return;
  }
  if (ch_doubt_knows (stop->core->orders, order_no)) {
    refuse (stop, CH_CORE_ERROR_STORE_UNAVAILABLE,
            "it is not known yet whether the order was stored");
    return;
  }
  look_up (stop, looked_up);
}

static Stop *stop_new (ChPlugin *self, const char *reason, const ChOrigin *origin,
                       ChCoreDone done, gpointer user_data)
{
  Stop *stop = g_new0 (Stop, 1);
  stop->core = ch_core_of (self);
  stop->caller = self;
  stop->done = done;
  stop->user_data = user_data;
  stop->action = "stop";
  stop->by = g_intern_string (origin != NULL && origin->by != NULL ? origin->by : "api");
  copy_text (stop->reason, sizeof stop->reason, reason != NULL ? reason : "");
  return stop;
}

/* The order that holds a place: by socket and port, or the only active one. */
static ChOrder *order_at (ChDevice *device, const ChStopRequest *r)
{
  gint64 socket_no = r->socket_no;
  if (r->socket_uid != NULL) {
    socket_no = CH_UNSET;
    for (guint i = 0; i < device->n_sockets; i++)
      if (g_strcmp0 (device->sockets[i].uid, r->socket_uid) == 0)
        socket_no = device->sockets[i].socket_no;
    if (socket_no == CH_UNSET)
      return NULL;
  }
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    if (order->d.port_no == r->port_no
        && (socket_no == CH_UNSET ? device->n_sockets <= 1
                                  : order->d.socket_no == socket_no))
      return order;
  }
  return NULL;
}

void ch_stop_charge_here (ChPlugin *self, const ChStopRequest *request,
                          const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                          gpointer user_data)
{
  Stop *stop = stop_new (self, request->reason, origin, done, user_data);
  stop->wait_ms = MIN (wait_ms, 10000);
  ChDevice *device = ch_device_find (stop->core, request->device);

  if (request->device != NULL && device == NULL) {
    refuse (stop, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device");
    return;
  }
  if (request->order_no != NULL) {
    ChOrder *order = ch_orders_find (stop->core->orders, request->order_no);
    if (order != NULL && device != NULL && order->device != device)
      refuse (stop, CH_CORE_ERROR_ORDER_NOT_FOUND, "the device has no such order");
    else if (!ch_order_no_is_valid (request->order_no))
      refuse (stop, CH_CORE_ERROR_INVALID_PARAMETER, "order_no is malformed");
    else
      begin (stop, request->order_no);
    return;
  }
  if (device == NULL || request->port_no == CH_UNSET) {
    refuse (stop, CH_CORE_ERROR_INVALID_PARAMETER, "order_no or port_no is required");
    return;
  }
  ChOrder *order = order_at (device, request);
  if (order == NULL)
    refuse (stop, CH_CORE_ERROR_ORDER_NOT_FOUND, "no active order on this port");
  else
    begin (stop, order->d.order_no);
}

void ch_cancel_order_here (ChPlugin *self, const char *order_no, const char *reason,
                           const ChOrigin *origin, ChCoreDone done, gpointer user_data)
{
  Stop *stop = stop_new (self, reason, origin, done, user_data);
  stop->cancel_only = TRUE;
  if (!ch_order_no_is_valid (order_no))
    refuse (stop, CH_CORE_ERROR_INVALID_PARAMETER, "order_no is malformed");
  else
    begin (stop, order_no);
}
