/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stopping a port that no order holds (C8): the command, and an order for the books. */
#include "core/core-admin.h"
#include "core/fact/facts.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

#define REASON "fallback_stop_without_order"

typedef struct {
  ChFact fact;
  ChAsk *ask; /* NULL once answered */
  ChDevice *device;
  gint socket_no, port_no;
  guint wait_ms;
  char *comment;
  char *by, *key_id, *request_id;
  char order_no[CH_ORDER_NO_SIZE];
  char command_id[CH_COMMAND_ID_SIZE];
  gboolean merged;
} StopJob;

typedef struct {
  ChAsk *ask;
  char order_no[CH_ORDER_NO_SIZE];
  gboolean merged;
} Waiting;

static void waited (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  g_autofree Waiting *waiting = user_data;
  g_autoptr (json_t) data
      = ch_outbound_accepted_json (core->outbound, view->command_id, waiting->merged);
  json_object_set_new (data, "order_no", json_string (waiting->order_no));
  ch_ask_answer (waiting->ask, data, NULL);
}

static void stored (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer user_data)
{
  StopJob *job = user_data;
  ChDevice *device = job->device;
  ChOutbound *outbound = device->core->outbound;

  if (error != NULL) {
    if (!job->merged)
      ch_outbound_discard (outbound, job->command_id);
    ch_ask_store_failed (g_steal_pointer (&job->ask), error);
  } else {
    Waiting *waiting = g_new0 (Waiting, 1);
    waiting->ask = g_steal_pointer (&job->ask);
    waiting->merged = job->merged;
    g_strlcpy (waiting->order_no, job->order_no, sizeof waiting->order_no);
    if (!job->merged)
      ch_outbound_push (outbound, job->command_id);
    ch_outbound_wait (outbound, job->command_id, job->wait_ms, waited, waiting);
  }
  ch_fact_finish (device);
}

/* An order that was over before it began. */
static void insert_order (StopJob *job, ChTx *tx)
{
  ChOrder *order = ch_order_new (job->device);
  ChOrderData *d = &order->d;
  g_autoptr (json_t) metadata = json_object ();
  char ulid[CH_ULID_SIZE];

  g_snprintf (job->order_no, sizeof job->order_no, "CH%s",
              ch_ulid (job->device->core->self, ulid));
  g_strlcpy (d->order_no, job->order_no, sizeof d->order_no);
  g_strlcpy (d->failure_reason, REASON, sizeof d->failure_reason);
  g_strlcpy (d->stop_command_id, job->command_id, sizeof d->stop_command_id);
  d->socket_no = (gint16) job->socket_no;
  d->port_no = (gint8) job->port_no;
  d->source = CH_SOURCE_ADMIN;
  d->status = CH_ORDER_FAILED;
  d->created_at = d->updated_at = d->end_time = ch_wall_ms (job->device->core->self);
  json_object_set_new (metadata, "comment", json_string (job->comment));
  json_object_set_new (metadata, "stop_command_id", json_string (job->command_id));
  order->metadata = ch_json_dump (metadata);
  ch_order_insert (order, tx);
  ch_order_free (order);
}

static gboolean prepare (StopJob *job, ChTx *tx, GError **error)
{
  const ChOrigin origin = {job->by, job->key_id, job->request_id};
  g_autoptr (json_t) payload = json_object ();
  json_object_set_new (payload, "reason", json_string (REASON));
  const ChOutboundRequest request = {
      .type = CH_COMMAND_STOP_CHARGE,
      .device = job->device,
      .socket_no = job->socket_no,
      .port_no = job->port_no,
      .priority = 1,
      .payload = payload,
      .durable = TRUE,
      .origin = &origin,
  };
  return ch_outbound_prepare (job->device->core->outbound, &request, tx, job->command_id,
                              &job->merged, error);
}

static gboolean run_stop (ChDevice *device, ChFact *fact)
{
  StopJob *job = (StopJob *) fact;
  const ChPort *port = ch_device_port (device, job->socket_no, job->port_no, FALSE);
  g_autoptr (GError) error = NULL;
  g_autoptr (json_t) data = NULL;
  ChTx *tx = ch_tx_new (device->core->self);

  if (port == NULL)
    g_set_error_literal (&error, CH_CORE_ERROR, CH_CORE_ERROR_PORT_NOT_FOUND,
                         "the device has no such port");
  else if (port->order != NULL) {
    g_set_error_literal (&error, CH_CORE_ERROR, CH_CORE_ERROR_PORT_OCCUPIED,
                         "an order holds the port: stop the order");
    data = json_object ();
    json_object_set_new (data, "current_order", json_string (port->order->d.order_no));
  } else if (prepare (job, tx, &error)) {
    insert_order (job, tx);
    ch_tx_submit (tx, 0, stored, job);
    return FALSE;
  } else if (g_error_matches (error, CH_CORE_ERROR, CH_CORE_ERROR_QUEUE_OVERLOADED))
    data = ch_outbound_refusal_json (device->core->outbound, device, 1);
  ch_tx_free (tx);
  ch_ask_answer (g_steal_pointer (&job->ask), data, error);
  return TRUE;
}

static void free_stop (ChFact *fact)
{
  StopJob *job = (StopJob *) fact;
  if (job->ask != NULL)
    ch_ask_refuse (job->ask, CH_CORE_ERROR_INTERNAL, "the device was removed");
  g_free (job->comment);
  g_free (job->by);
  g_free (job->key_id);
  g_free (job->request_id);
  g_free (job);
}

void ch_stop_port_here (ChPlugin *self, const char *id, gint socket_no, gint port_no,
                        const char *comment, const ChOrigin *origin, guint wait_ms,
                        ChCoreDone done, gpointer user_data)
{
  ChDevice *device = ch_device_find (ch_core_of (self), id);
  ChAsk *ask = ch_ask_new (self, done, user_data);

  if (device == NULL) {
    ch_ask_refuse (ask, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device");
    return;
  }
  StopJob *job = g_new0 (StopJob, 1);
  job->fact.run = run_stop;
  job->fact.free = free_stop;
  job->ask = ask;
  job->device = device;
  job->socket_no = socket_no;
  job->port_no = port_no;
  job->wait_ms = wait_ms;
  job->comment = g_strdup (comment != NULL ? comment : "");
  job->by = g_strdup (origin != NULL ? origin->by : NULL);
  job->key_id = g_strdup (origin != NULL ? origin->key_id : NULL);
  job->request_id = g_strdup (origin != NULL ? origin->request_id : NULL);
  ch_fact_enqueue (device, &job->fact);
}
