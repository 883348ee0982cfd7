/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metrics and log lines of finished transactions. */
#include "store/store-private.h"

#include <math.h>

static void collect (ChPlugin *self, gpointer data)
{
  ChStore *store = data;
  ChStoreStats stats;

  ch_store_read_keys (store); /* those that may change while running */
  ch_store_stats (store, &stats);
  ch_series_set (store->idle, (double) stats.idle);
  ch_series_set (store->busy, (double) (stats.connections - stats.idle));
  ch_series_set (store->pending, (double) stats.queued);
  ch_series_set (store->oldest, (double) stats.oldest_ms / 1000);
  ch_series_set (store->connecting, (double) stats.connecting);
}

void ch_store_add_metrics (ChStore *store)
{
  static const char *const query[] = {"query", NULL};
  static const char *const state[] = {"state", NULL};
  ChPlugin *self = store->self;

  if (store->services->metrics == NULL)
    return;
  store->query_seconds = ch_metric_register (
      self, CH_METRIC_HISTOGRAM, "chargehost_db_query_duration_seconds",
      "Time of a statement in the database, waiting not included.", query);
  ChMetric *wait
      = ch_metric_register (self, CH_METRIC_HISTOGRAM, "chargehost_db_pool_wait_seconds",
                            "Time that a transaction waited for a connection.", NULL);
  ChMetric *connections
      = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_db_pool_connections",
                            "Connections to the database.", state);
  ChMetric *pending = ch_metric_register (
      self, CH_METRIC_GAUGE, "chargehost_db_pending_transactions",
      "Transactions that wait for the database or run there.", NULL);
  ChMetric *oldest
      = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_db_oldest_pending_seconds",
                            "How long the oldest of them has been waiting.", NULL);
  ChMetric *retries = ch_metric_register (
      self, CH_METRIC_COUNTER, "chargehost_db_retry_total",
      "Transactions repeated after a lock time-out, deadlock or conflict.", NULL);
  ChMetric *deadlocks
      = ch_metric_register (self, CH_METRIC_COUNTER, "chargehost_db_deadlock_total",
                            "Deadlocks that the database resolved.", NULL);
  store->wait_seconds = ch_metric_with (wait, NULL);
  store->idle = ch_metric_with (connections, "idle", NULL);
  store->busy = ch_metric_with (connections, "busy", NULL);
  store->connecting = ch_metric_with (connections, "connecting", NULL);
  store->pending = ch_metric_with (pending, NULL);
  store->oldest = ch_metric_with (oldest, NULL);
  store->retries = ch_metric_with (retries, NULL);
  store->deadlocks = ch_metric_with (deadlocks, NULL);
  ch_metrics_add_collector (self, collect, store);
}

static const char *name_of (const ChTxRun *run)
{
  gint failed = run->result.failed;

  return run->statements[failed >= 0 && (guint) failed < run->n ? failed : 0]
      .prepared->name;
}

static void note_slow (ChStore *store, const ChTxRun *run)
{
  gint64 took_ms = (run->ended_us - run->submitted_us) / 1000;

  if (store->keys.slow_statement_ms == 0 || took_ms < store->keys.slow_statement_ms)
    return;
  if (run->ended_us - store->slow_logged_us < G_USEC_PER_SEC) {
    store->slow_unlogged++;
    return;
  }
  gint64 waited_ms
      = run->started_us != 0 ? (run->started_us - run->submitted_us) / 1000 : took_ms;
  ch_warning (store->self,
              "slow transaction: %s and %u more took %" G_GINT64_FORMAT
              " ms, %" G_GINT64_FORMAT " ms of it waiting (%" G_GUINT64_FORMAT
              " others not logged)",
              name_of (run), run->n - 1, took_ms, waited_ms, store->slow_unlogged);
  store->slow_logged_us = run->ended_us;
  store->slow_unlogged = 0;
}

static void note_outcome (ChStore *store, const ChTxRun *run)
{
  int level = store->keys.log_level;
  const GError *error = run->error;

  if (level < 0)
    return;
  if (error != NULL) {
    gboolean expected = g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD)
                        || g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE);
    if (!expected)
      ch_error (store->self, "%s failed: %s", name_of (run), error->message);
    else if (level >= CH_LOG_DEBUG)
      ch_debug (store->self, "%s: %s", name_of (run), error->message);
  } else if (level >= CH_LOG_DEBUG) {
    ch_debug (store->self, "%s and %u more: %" G_GINT64_FORMAT " µs", name_of (run),
              run->n - 1, run->ended_us - run->submitted_us);
  }
}

/* A series is made when its statement runs for the first time. */
static void observe (ChStore *store, ChStoreStatement *statement, gint64 us)
{
  if (store->query_seconds == NULL)
    return;
  if (statement->seconds == NULL)
    statement->seconds = ch_metric_with (store->query_seconds, statement->name, NULL);
  ch_series_observe (statement->seconds, (double) us / 1e6);
}

void ch_store_note (ChStore *store, ChTxRun *run)
{
  gint64 since_us = run->started_us;
  gboolean trace = store->keys.log_level >= CH_LOG_TRACE;

  if (run->n == 0)
    return;
  if (since_us != 0 && store->wait_seconds != NULL)
    ch_series_observe (store->wait_seconds,
                       (double) (since_us - run->submitted_us) / 1e6);
  for (guint i = 0; since_us != 0 && i < run->n; i++) {
    gint64 ended_us = run->result.statements[i].ended_us;
    ChStoreStatement *statement = (ChStoreStatement *) run->statements[i].prepared;
    if (ended_us == 0)
      break;
    observe (store, statement, ended_us - since_us);
    if (trace)
      ch_trace (store->self, "%s: %" G_GINT64_FORMAT " µs, %" G_GUINT64_FORMAT " rows",
                statement->name, ended_us - since_us, run->result.statements[i].changes);
    since_us = ended_us;
  }
  note_slow (store, run);
  if (!run->abandoned)
    note_outcome (store, run);
}
