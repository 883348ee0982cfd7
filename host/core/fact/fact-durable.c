/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts that must be durable before their device is answered: a charge began, a charge
 * ended. They are so in the store, or in the journal while the store does not take them;
 * what the journal kept comes back as the same jobs.
 */
#include "core/fact/fact-record.h"
#include "core/fact/facts.h"
#include "core/fact/journal.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include "core/order/order-home.h"
#include "core/order/orders.h"
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

/* Whom to tell when it is durable. */
typedef struct {
  ChPlugin *driver; /* a reference; NULL: it comes from the journal */
  gint life;        /* of the driver: one that was restarted does not know the data */
  ChConn conn;
  ChFactDone done;
  gpointer user_data;
  ChJournalRecord *record;
} Told;

typedef struct {
  ChFact fact;
  ChCore *core;
  Told told;
  gint64 said_ms; /* wall clock */
  gboolean is_end, has_statements;
  ChOrderStarted started; /* one of the two */
  ChOrderEnded ended;
  char wire_order[CH_WIRE_ORDER_SIZE];
  char order_no[CH_ORDER_NO_SIZE];
  char *card_no;
  char *dedup_key;
  json_t *metadata;
} Job;

/* Also when the connection is gone: the protocol has its data to free. */
static void tell_now (const Told *told, const GError *error)
{
  ChRunnerFrame frame;

  if (told->done != NULL && told->life == g_atomic_int_get (&told->driver->life)
      && ch_runner_enter (told->driver, "fact done", &frame)) {
    told->done (told->driver, told->conn, error, told->user_data);
    ch_runner_leave (&frame);
  }
}

static Told told_of (ChPlugin *self, ChConn conn, ChFactDone done, gpointer user_data)
{
  return (Told) {self, g_atomic_int_get (&self->life), conn, done, user_data, NULL};
}

static void told_free (Told *told)
{
  g_clear_pointer (&told->driver, ch_owner_unref);
  g_free (told);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Told, told_free)

/* Whoever runs the job owes the completion from now on. */
static Told *take_told (Told *told)
{
  Told *taken = g_memdup2 (told, sizeof *told);
  if (taken->driver != NULL)
    ch_owner_ref (taken->driver);
  told->done = NULL;
  told->record = NULL;
  return taken;
}

static void tell_offline (const Told *told, const char *why)
{
  g_autoptr (GError) error
      = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE, why);
  tell_now (told, error);
}

/* ---- into the journal ---------------------------------------------------------------
 */

typedef struct {
  Told *told;
  GError *error; /* why the store did not take it */
  gboolean is_end;
  gint socket_no, port_no;
  gint64 next_port_status;
} Kept;

static void kept_free (gpointer data)
{
  Kept *kept = data;
  g_clear_error (&kept->error);
  told_free (kept->told);
  g_free (kept);
}

/* As it will be when the report is stored: nothing charges there any more. */
static void show_port (ChDevice *device, const Kept *kept)
{
  ChPort *port = ch_device_port (device, kept->socket_no, kept->port_no, FALSE);
  if (port == NULL || device->conn == 0 || kept->next_port_status == CH_UNSET
      || (port->order != NULL && !port->order->is_journalled))
    return;
  port->settle_until_ms = 0;
  ch_port_set_status (device, port, (ChPortStatus) kept->next_port_status, "end_report");
}

static void is_kept (ChDevice *device, const GError *error, gpointer data)
{
  Kept *kept = data;
  if (error == NULL && kept->is_end && device != NULL)
    show_port (device, kept);
  else if (error != NULL && device != NULL)
    ch_journal_unmark (device);
  tell_now (kept->told, error == NULL || kept->error == NULL ? error : kept->error);
  kept_free (kept);
}

/* @told (transfer full). What waits in the journal is the order's next change. */
static void keep (ChDevice *device, const Job *job, Told *told, const GError *error)
{
  Kept *kept = g_new0 (Kept, 1);
  ChOrder *order = ch_orders_reported (device, job->is_end ? NULL : &job->started,
                                       job->is_end ? &job->ended : NULL);
  g_autoptr (json_t) record
      = job->is_end ? ch_fact_record_ended (device->id, &job->ended, job->said_ms)
                    : ch_fact_record_started (device->id, &job->started, job->said_ms);

  kept->told = told;
  kept->error = error != NULL ? g_error_copy (error) : NULL;
  kept->is_end = job->is_end;
  kept->socket_no = job->ended.socket_no;
  kept->port_no = job->ended.port_no;
  kept->next_port_status = job->ended.next_port_status;
  if (order != NULL)
    order->is_journalled = TRUE;
  ch_journal_keep (device, ch_json_dump (record), is_kept, kept, kept_free);
}

/* Statements of a protocol's own go with the report or not at all. */
static void refuse_behind (Job *job)
{
  g_autoptr (Told) told = take_told (&job->told);
  g_autoptr (GError) error
      = g_error_new_literal (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                             "earlier reports of the device wait for the store");
  tell_now (told, error);
}

/* ---- running ------------------------------------------------------------------------
 */

static gboolean run_job (ChDevice *device, ChFact *fact);

static void tell (ChDevice *device, const GError *error, gpointer data)
{
  Told *told = data;
  const Job *job = (const Job *) device->fact_current;
  gboolean may_keep = job != NULL && job->fact.run == run_job && !job->has_statements;

  if (told->record == NULL && may_keep && ch_journal_wants (error)) {
    keep (device, job, told, error);
    return;
  }
  if (told->record != NULL)
    ch_journal_settled (device->core, told->record, error);
  else
    tell_now (told, error);
  told_free (told);
}

/* Of a start that may have been stored: not again until that is known. */
static gboolean is_in_doubt (ChDevice *device, Job *job)
{
  if (job->is_end
      || !ch_doubt_holds_port (device, job->started.socket_no, job->started.port_no))
    return FALSE;
  g_autoptr (GError) error
      = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_ORDER_STATE_CHANGED,
                             "it is not known yet whether the start was stored");
  ch_journal_settled (device->core, g_steal_pointer (&job->told.record), error);
  return TRUE;
}

/* Of a live fact. TRUE: it has come to its end. */
static gboolean stays_behind (ChDevice *device, Job *job)
{
  if (ch_home_is_elsewhere (device)) { /* it will be said again there */
    g_autoptr (Told) told = take_told (&job->told);
    tell_offline (told, "the device is connected to another instance");
    return TRUE;
  }
  if (!ch_journal_holds (device))
    return FALSE;
  if (job->has_statements)
    refuse_behind (job);
  else
    keep (device, job, take_told (&job->told), NULL);
  return TRUE;
}

static gboolean run_job (ChDevice *device, ChFact *fact)
{
  Job *job = (Job *) fact;
  if (job->told.record != NULL ? is_in_doubt (device, job) : stays_behind (device, job))
    return TRUE;
  if (job->told.record != NULL)
    device->fact_said_ms = job->said_ms;
  if (job->is_end)
    ch_orders_ended (device->core->orders, device, &job->ended, tell,
                     take_told (&job->told));
  else
    ch_orders_started (device->core->orders, device, &job->started, tell,
                       take_told (&job->told));
  return FALSE;
}

/* The job never came to run when there is still somebody to be told: its device went. */
static void free_job (ChFact *fact)
{
  Job *job = (Job *) fact;
  gboolean is_over = job->core->services->gateway == NULL;
  g_autoptr (GError) error = g_error_new_literal (
      CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE, "the device is gone");

  if (job->told.record != NULL && !is_over)
    ch_journal_settled (job->core, job->told.record, error);
  else if (job->told.done != NULL && !is_over)
    tell_now (&job->told, error);
  g_clear_pointer (&job->told.driver, ch_owner_unref);
  g_clear_pointer (&job->ended.statements, ch_tx_free);
  g_free (job->card_no);
  g_free (job->dedup_key);
  json_decref (job->metadata);
  g_free (job);
}

/* ---- stating ------------------------------------------------------------------------
 */

static Job *job_new (ChDevice *device, gint64 said_ms)
{
  Job *job = g_new0 (Job, 1);
  job->fact.run = run_job;
  job->fact.free = free_job;
  job->core = device->core;
  job->said_ms = said_ms;
  return job;
}

static void copy_text (const char **text, char *own, gsize size)
{
  if (*text == NULL)
    return;
  g_strlcpy (own, *text, size);
  *text = own;
}

static void take_started (Job *job, const ChOrderStarted *fact)
{
  ChOrderStarted *own = &job->started;
  *own = *fact;
  ch_fact_bound_number (&own->business_no);
  copy_text (&own->wire_order, job->wire_order, sizeof job->wire_order);
  copy_text (&own->order_no, job->order_no, sizeof job->order_no);
  own->card_no = job->card_no = g_strdup (fact->card_no);
  own->metadata = job->metadata
      = fact->metadata != NULL ? json_deep_copy (fact->metadata) : NULL;
}

/* DUP-01: the key that all copies of one report share. */
static char *default_end_key (const char *id, const ChOrderEnded *fact)
{
  g_autofree char *key
      = fact->wire_order != NULL && *fact->wire_order != '\0'
            ? g_strdup (fact->wire_order)
            : g_strdup_printf ("%04X", fact->business_no == CH_UNSET
                                           ? 0u
                                           : (guint) fact->business_no & 0xffffu);
  return g_strdup_printf ("end:%s:%d:%d:%s:%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, id,
                          fact->socket_no, fact->port_no, key, fact->energy_wh,
                          fact->duration_s);
}

/* Also its place: a report from nowhere is stored all the same. */
static void bound_end (ChOrderEnded *fact)
{
  fact->socket_no = CLAMP (fact->socket_no, 0, G_MAXINT16);
  fact->port_no = CLAMP (fact->port_no, -1, G_MAXINT8);
  ch_fact_bound_number (&fact->business_no);
  fact->energy_wh = CLAMP (fact->energy_wh, 0, CH_FACT_WH_MAX);
  fact->duration_s = CLAMP (fact->duration_s, 0, CH_FACT_S_MAX);
  ch_fact_bound_figure (&fact->amount_cent, CH_FACT_CENT_MAX);
}

static void take_ended (Job *job, const char *id, const ChOrderEnded *fact)
{
  ChOrderEnded *own = &job->ended;
  job->is_end = TRUE;
  *own = *fact;
  bound_end (own);
  job->has_statements = fact->statements != NULL;
  copy_text (&own->wire_order, job->wire_order, sizeof job->wire_order);
  copy_text (&own->order_no, job->order_no, sizeof job->order_no);
  own->card_no = job->card_no = g_strdup (fact->card_no);
  own->dedup_key = job->dedup_key
      = fact->dedup_key != NULL ? g_strdup (fact->dedup_key) : default_end_key (id, fact);
  own->metadata = job->metadata
      = fact->metadata != NULL ? json_deep_copy (fact->metadata) : NULL;
}

/* Said on a connection that is not (any more) the device's: nothing is stored. */
static void tell_nobody (ChPlugin *self, ChConn conn, ChFactDone done, gpointer user_data)
{
  const Told told = told_of (self, conn, done, user_data);
  tell_offline (&told, "the device is not bound to this connection");
}

void ch_order_started (ChPlugin *self, ChConn conn, const char *id,
                       const ChOrderStarted *fact, ChFactDone done, gpointer user_data)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL) {
    tell_nobody (self, conn, done, user_data);
    return;
  }
  Job *job = job_new (device, ch_wall_ms (self));
  job->told = told_of (ch_owner_ref (self), conn, done, user_data);
  take_started (job, fact);
  ch_fact_enqueue (device, &job->fact);
}

void ch_order_ended (ChPlugin *self, ChConn conn, const char *id,
                     const ChOrderEnded *fact, ChFactDone done, gpointer user_data)
{
  ChDevice *device = ch_fact_speaker (self, conn, id);
  if (device == NULL) {
    g_clear_pointer ((ChTx **) &((ChOrderEnded *) fact)->statements, ch_tx_free);
    tell_nobody (self, conn, done, user_data);
    return;
  }
  Job *job = job_new (device, ch_wall_ms (self));
  job->told = told_of (ch_owner_ref (self), conn, done, user_data);
  take_ended (job, id, fact);
  ch_fact_enqueue (device, &job->fact);
}

gboolean ch_fact_restate (ChDevice *device, const json_t *report, ChJournalRecord *record)
{
  ChOrderStarted started = CH_ORDER_STARTED_INIT;
  ChOrderEnded ended = CH_ORDER_ENDED_INIT;
  gint64 said_ms;
  gboolean is_end = ch_fact_read_ended (report, &ended, &said_ms);

  if (!is_end && !ch_fact_read_started (report, &started, &said_ms))
    return FALSE;
  Job *job = job_new (device, said_ms);
  job->told.record = record;
  if (is_end)
    take_ended (job, device->id, &ended);
  else
    take_started (job, &started);
  ch_fact_enqueue (device, &job->fact);
  return TRUE;
}
