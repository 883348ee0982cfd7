/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes results out of the pipeline and settles the transactions of a batch. */
#include "pgsql.h"

#include <string.h>

#define ATTEMPTS_MAX 4

static gboolean reads_only (const PgConn *conn)
{
  return conn->role == PG_READER || conn->role == PG_REPLICA;
}

static void repeat (PgUnit *unit, GError *error)
{
  unit->again = unit->attempts < ATTEMPTS_MAX;
  pg_unit_fail (unit, -1, error);
}

static const char *name_of (const PgUnit *unit)
{
  guint n = ch_tx_run_n_statements (unit->run);
  return ch_tx_run_statement (unit->run, MIN (unit->at, n - 1))->prepared->name;
}

/* ---- errors ------------------------------------------------------------------------ */

static GError *guard_error (const PgUnit *unit, const PGresult *result)
{
  const ChTxStatement *s = ch_tx_run_statement (unit->run, unit->at);
  const char *message = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  const char *count = strstr (message, PG_MARK_GUARD) + strlen (PG_MARK_GUARD " ");

  return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_GUARD,
                      "%s: %.*s rows, not %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                      s->prepared->name, (int) strspn (count, "0123456789"), count,
                      s->guard_min, s->guard_max);
}

/* A cancel request may come late and hit the one behind. */
static GError *cancel_error (PgConn *conn, const PgUnit *unit, const PGresult *result)
{
  if (conn->cancel_us != 0 && !unit->cancelled)
    return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_SERIALIZATION,
                        "%s: was cancelled in place of another", name_of (unit));
  gint64 now_us = g_get_monotonic_time ();
  if (!unit->cancelled && now_us < unit->deadline_us
      && now_us - conn->sent_us < conn->pg->options.statement_timeout_ms * 1000)
    /* An operator; or the server's own lock time-out, which it now and then calls so. */
    return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_LOCKED,
                        "%s: was cancelled at the server", name_of (unit));
  return pg_error_of_result (result, name_of (unit), FALSE);
}

static gboolean is_stale (const PGresult *result)
{
  const char *message = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);

  return pg_result_is (result, "26000")
         || (pg_result_is (result, "0A000") && message != NULL
             && strstr (message, "cached plan") != NULL);
}

static void statement_failed (PgConn *conn, const PgOp *op, const PGresult *result)
{
  PgUnit *unit = op->unit;
  gint index = (gint) unit->at;
  const GError *refusal
      = g_hash_table_lookup (conn->refusals, GUINT_TO_POINTER (op->key));

  if (conn->role == PG_REPLICA && !unit->cancelled) {
    /* It may be too old for it, or have cleared away what was read: the primary knows. */
    unit->primary_only = TRUE;
    pg_replica_served (conn, FALSE);
    conn->forget = is_stale (result);
    repeat (unit, pg_error_of_result (result, name_of (unit), TRUE));
  } else if (pg_result_is (result, "26000") && refusal != NULL) {
    pg_unit_fail (unit, index, g_error_copy (refusal));
  } else if (is_stale (result)) {
    conn->forget = TRUE;
    repeat (unit, pg_error_of_result (result, name_of (unit), FALSE));
  } else if (pg_result_has_mark (result, PG_MARK_GUARD)) {
    pg_unit_fail (unit, index, guard_error (unit, result));
  } else if (pg_result_is (result, "57014")) {
    pg_unit_fail (unit, index, cancel_error (conn, unit, result));
  } else {
    if (!reads_only (conn) && pg_result_is (result, "25006"))
      conn->retire = TRUE; /* it has become a standby: others may be the primary now */
    pg_unit_fail (unit, index,
                  pg_error_of_result (result, name_of (unit), reads_only (conn)));
  }
}

static void setting_failed (PgConn *conn, const PgOp *op, const PGresult *result)
{
  PgUnit *unit = op->unit;

  if (unit == NULL)
    conn->retire = TRUE;
  else if (pg_result_has_mark (result, PG_MARK_LATE))
    pg_unit_fail (unit, -1,
                  g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                               "%s: not begun before its deadline", name_of (unit)));
  else if (pg_result_has_mark (result, PG_MARK_BEHIND)) {
    pg_replica_behind (conn);
    unit->primary_only = TRUE;
    repeat (unit, pg_error_of_result (result, "the replica is behind", TRUE));
  } else if (pg_result_is (result, "57014")) {
    pg_unit_fail (unit, -1, cancel_error (conn, unit, result));
  } else {
    if (is_stale (result))
      conn->forget = TRUE;
    repeat (unit, pg_error_of_result (result, name_of (unit), FALSE));
  }
}

static void failed (PgConn *conn, const PgOp *op, const PGresult *result)
{
  const char *severity = PQresultErrorField (result, PG_DIAG_SEVERITY_NONLOCALIZED);

  if (severity == NULL) /* made by libpq: the connection is lost, which is seen below */
    return;
  if (!g_str_equal (severity, "ERROR")) {
    conn->saw_fatal = TRUE;
    g_clear_error (&conn->error);
    conn->error = pg_error_of_result (result, "the server ends the session", FALSE);
    return;
  }
  switch (op->kind) {
  case PG_OP_PREPARE:
    conn->prepared[op->key] = 0;
    g_hash_table_insert (conn->refusals, GUINT_TO_POINTER (op->key),
                         pg_error_of_result (result, "preparing", FALSE));
    break;
  case PG_OP_SETTING:
    setting_failed (conn, op, result);
    break;
  case PG_OP_STATEMENT:
    statement_failed (conn, op, result);
    break;
  case PG_OP_SYNC: /* at the commit: what was deferred does not hold */
    pg_unit_fail (op->unit, -1,
                  pg_error_of_result (result, name_of (op->unit), reads_only (conn)));
    break;
  default:
    conn->retire = TRUE;
    break;
  }
}

/* ---- results ----------------------------------------------------------------------- */

static gboolean is_change (const PGresult *result)
{
  const char *tag = PQcmdStatus ((PGresult *) result);
  return g_str_has_prefix (tag, "INSERT") || g_str_has_prefix (tag, "UPDATE")
         || g_str_has_prefix (tag, "DELETE") || g_str_has_prefix (tag, "MERGE");
}

static void take_statement (PgConn *conn, const PgOp *op, const PGresult *result)
{
  Pg *pg = conn->pg;
  PgUnit *unit = op->unit;
  const ChTxStatement *s = ch_tx_run_statement (unit->run, unit->at);
  gboolean guarded = (op->key - PG_N_KEYS) % 2 == 1;
  guint64 changes = 0;
  GError *error = NULL;

  if (guarded && pg_text_of (pg, s->prepared)->counts_only) {
    changes = g_ascii_strtoull (PQgetvalue (result, 0, 0), NULL, 10);
    unit->wrote |= changes > 0;
  } else {
    if (PQresultStatus (result) == PGRES_TUPLES_OK)
      pg_take_rows (&pg->row, unit->run, unit->at, result);
    changes = g_ascii_strtoull (PQcmdTuples ((PGresult *) result), NULL, 10);
    unit->wrote |= changes > 0 && is_change (result);
  }
  ch_tx_run_set_changes (unit->run, unit->at, changes);
  unit->inserted += changes;
  if (!ch_tx_run_check_guard (unit->run, unit->at, &error))
    pg_unit_fail (unit, (gint) unit->at, error);
  unit->at++;
}

static void take_result (PgConn *conn, const PgOp *op, const PGresult *result)
{
  switch (PQresultStatus (result)) {
  case PGRES_TUPLES_OK:
  case PGRES_COMMAND_OK:
    if (op->kind == PG_OP_STATEMENT)
      take_statement (conn, op, result);
    else if (op->kind == PG_OP_FLUSH && PQntuples (result) == 1)
      pg_note_written (conn->pg, PQgetvalue (result, 0, 0));
    else if (op->kind == PG_OP_PLACE && PQntuples (result) == 1)
      pg_note_place (conn, PQgetvalue (result, 0, 0));
    break;
  case PGRES_PIPELINE_ABORTED:
    break;
  case PGRES_EMPTY_QUERY:
    if (op->kind == PG_OP_STATEMENT)
      op->unit->at++;
    break;
  default:
    failed (conn, op, result);
    break;
  }
}

/* ---- ends -------------------------------------------------------------------------- */

/* What a writer says may rest on what another has committed and not yet made durable. */
static gboolean needs_flush (const PgConn *conn)
{
  const PgUnit *unit = conn->units->len > 0 ? g_ptr_array_index (conn->units, 0) : NULL;

  if (unit == NULL || conn->role != PG_WRITER || conn->durable || !conn->pg->can_flush)
    return FALSE;
  if (unit->error == NULL)
    return !unit->wrote || conn->pg->replicas->len > 0;
  return g_error_matches (unit->error, CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE)
         || g_error_matches (unit->error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD)
         || g_error_matches (unit->error, CH_STORE_ERROR, CH_STORE_ERROR_FOREIGN_KEY);
}

static void batch_ended (PgConn *conn)
{
  Pg *pg = conn->pg;

  if (needs_flush (conn)) {
    conn->durable = TRUE;
    if (!pg_conn_send_flush (conn))
      pg_conn_break (conn, pg_error_of_conn (conn->pq, "sending"));
    else
      pg_conn_flush (conn);
    return;
  }
  GPtrArray *units = g_steal_pointer (&conn->units);
  conn->current = NULL;
  if (units->len > 0)
    conn->since_us = g_get_monotonic_time ();
  pg_batch_done (pg, units);
  if (conn->retire)
    pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                      "the session is of no use any more"));
}

static void next_current (PgConn *conn)
{
  conn->current = NULL;
  for (guint i = 0; i < conn->units->len; i++) {
    PgUnit *unit = g_ptr_array_index (conn->units, i);
    if (!unit->ended) {
      conn->current = unit;
      return;
    }
  }
}

static void advance (PgConn *conn, const PgOp *op)
{
  PgUnit *unit = op->unit;

  conn->next_op++;
  if (op->kind == PG_OP_SYNC) {
    unit->ended = TRUE;
    if (conn->role == PG_REPLICA && !unit->primary_only)
      pg_replica_served (conn, TRUE);
    conn->cancel_us = unit->cancelled ? conn->cancel_us : 0;
    next_current (conn);
  } else if (op->kind == PG_OP_FLUSHED) {
    conn->durable = TRUE;
  }
  if (conn->next_op == conn->ops->len)
    batch_ended (conn);
}

static gboolean is_sync (const PgOp *op)
{
  return op->kind == PG_OP_SYNC || op->kind == PG_OP_MARK || op->kind == PG_OP_FLUSHED;
}

/* Returns: whether there may be more */
static gboolean receive_one (PgConn *conn)
{
  const PgOp op = g_array_index (conn->ops, PgOp, conn->next_op);
  PGresult *result = PQgetResult (conn->pq);

  if (result == NULL) { /* the end of the results of a statement */
    if (!is_sync (&op))
      advance (conn, &op);
    return !is_sync (&op);
  }
  if (PQresultStatus (result) == PGRES_PIPELINE_SYNC) {
    PQclear (result);
    if (!is_sync (&op)) {
      pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_FAILED,
                                        "the pipeline is out of step"));
      return FALSE;
    }
    advance (conn, &op);
    return TRUE;
  }
  take_result (conn, &op, result);
  PQclear (result);
  return TRUE;
}

void pg_conn_receive (PgConn *conn)
{
  gboolean ok = PQconsumeInput (conn->pq) != 0;
  guint idle = 0;

  while (conn->state == PG_READY && conn->units != NULL && idle < 2
         && conn->next_op < conn->ops->len && PQisBusy (conn->pq) == 0)
    idle = receive_one (conn) ? 0 : idle + 1;
  if (!ok && conn->state == PG_READY)
    pg_conn_break (conn, conn->error != NULL ? g_steal_pointer (&conn->error)
                                             : pg_error_of_conn (conn->pq, "receiving"));
}

/* ---- a lost connection --------------------------------------------------------------
 */

static void settle_unit (PgConn *conn, PgUnit *unit)
{
  gint64 now_us = g_get_monotonic_time ();

  if (unit->error != NULL)
    return;
  if (unit->cancelled && now_us >= unit->deadline_us) {
    pg_unit_fail (unit, -1,
                  g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                               "%s: not done at its deadline, and the server does not "
                               "answer",
                               name_of (unit)));
    return;
  }
  if (reads_only (conn)) {
    if (conn->role == PG_REPLICA && !unit->primary_only)
      pg_replica_served (conn, FALSE);
    unit->primary_only |= conn->role == PG_REPLICA;
    repeat (unit, g_error_copy (conn->error));
    return;
  }
  /* The server has told the end before it came to the commit: nothing is left of it. */
  guint n = ch_tx_run_n_statements (unit->run);
  if (conn->saw_fatal && !unit->ended && unit->at < n) {
    repeat (unit, g_error_copy (conn->error));
    return;
  }
  pg_unit_fail (unit, -1,
                g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                             "%s: the connection was lost, whether it was committed is "
                             "not known: %s",
                             name_of (unit), conn->error->message));
}

void pg_conn_settle_broken (PgConn *conn)
{
  GPtrArray *units = g_steal_pointer (&conn->units);

  if (units == NULL)
    return;
  conn->current = NULL;
  if (conn->role == PG_COPY) { /* nothing of the lane is at this connection */
    PgUnit *unit = g_ptr_array_index (units, 0);
    g_ptr_array_unref (units);
    settle_unit (conn, unit);
    if (pg_unit_wants_repetition (conn->pg, unit)) {
      pg_unit_renew (unit);
      pg_queue_write (conn->pg, unit);
    } else {
      pg_unit_complete (conn->pg, unit);
    }
    return;
  }
  for (guint i = 0; i < units->len; i++) {
    PgUnit *unit = g_ptr_array_index (units, i);
    /* Readers' are complete when they have ended; a writer's only when all is durable. */
    if (!unit->ended || !(reads_only (conn) || conn->durable))
      settle_unit (conn, unit);
  }
  pg_batch_done (conn->pg, units);
}
