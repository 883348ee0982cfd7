/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a batch into the pipeline. Each transaction is what stands between two syncs:
 * the server begins it with the first statement and commits it at the sync; an error
 * rolls it back and passes over the rest up to the sync, and the next one is not touched.
 *
 * Several that write share one sync to the disk: each commits without waiting for the
 * disk, and at the end a small record is written with waiting, which makes all durable
 * that stands before it in the log. Nothing is acknowledged before.
 */
#include "pgsql.h"

#include <string.h>

static const char *const own_texts[PG_N_KEYS] = {
    [PG_KEY_BEGAN] = "SELECT set_config('chargehost.began',"
                     " extract(epoch FROM clock_timestamp())::text, false)",
    [PG_KEY_LATE] = "SELECT CASE WHEN (extract(epoch FROM clock_timestamp())"
                    " - current_setting('chargehost.began')::numeric) * 1000 > $1::bigint"
                    " THEN ('" PG_MARK_LATE " ' || clock_timestamp())::bigint::text"
                    " ELSE set_config('synchronous_commit', 'off', true) END",
    [PG_KEY_TIMEOUT] = "SELECT set_config('statement_timeout', $1::bigint::text, true)",
    /* Waits at the server, 1 ms, 2 ms and so on, so a moment is enough for most. */
    [PG_KEY_REPLAY]
    = "WITH RECURSIVE look(round, place) AS ("
      "SELECT 0, pg_last_wal_replay_lsn() UNION ALL "
      "SELECT round + 1, pg_last_wal_replay_lsn()"
      " FROM look, LATERAL pg_sleep(0.001 * (round + 1))"
      " WHERE pg_is_in_recovery() AND place < $1::pg_lsn AND round < 6)"
      " SELECT set_config('chargehost.behind', (pg_is_in_recovery()"
      " AND (max(place) < $1::pg_lsn"
      " OR (pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()"
      " AND (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))"
      " * 1000 > $2::bigint)))::text, false) FROM look",
    [PG_KEY_BEHIND] = "SELECT CASE current_setting('chargehost.behind') WHEN 'true'"
                      " THEN ('" PG_MARK_BEHIND " ' || clock_timestamp())::bigint END",
    [PG_KEY_PLACE] = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                     " ELSE pg_current_wal_flush_lsn() END",
    [PG_KEY_FLUSH] = "SELECT pg_logical_emit_message(true, 'chargehost', '')",
};

static guint key_of (const PgUnit *unit, const ChTxStatement *statement)
{
  gboolean guarded = unit->lane != NULL
                     && (statement->guard_min > 0 || statement->guard_max < G_MAXUINT64);
  return PG_N_KEYS + statement->prepared->id * 2 + (guarded ? 1 : 0);
}

static void name_of (guint key, char name[16])
{
  g_snprintf (name, 16, "ch%u", key);
}

static void add_op (PgConn *conn, PgOpKind kind, guint key, PgUnit *unit)
{
  PgOp op = {kind, key, unit};
  g_array_append_val (conn->ops, op);
}

static gboolean end_segment (PgConn *conn, PgOpKind kind, PgUnit *unit)
{
  add_op (conn, kind, 0, unit);
  return PQpipelineSync (conn->pq) != 0;
}

/* ---- preparing --------------------------------------------------------------------- */

static gboolean prepare (PgConn *conn, guint key, const char *sql)
{
  char name[16];

  if (key >= conn->n_prepared) {
    guint n = MAX (64, key * 2);
    conn->prepared = g_realloc (conn->prepared, n);
    memset (conn->prepared + conn->n_prepared, 0, n - conn->n_prepared);
    conn->n_prepared = n;
  }
  if (conn->prepared[key])
    return TRUE;
  name_of (key, name);
  conn->prepared[key] = 1;
  g_hash_table_remove (conn->refusals, GUINT_TO_POINTER (key));
  add_op (conn, PG_OP_PREPARE, key, NULL);
  /* A segment of its own: if it fails, nothing else is passed over. */
  return PQsendPrepare (conn->pq, name, sql, 0, NULL) != 0
         && end_segment (conn, PG_OP_MARK, NULL);
}

static gboolean prepare_unit (PgConn *conn, PgUnit *unit)
{
  guint n = ch_tx_run_n_statements (unit->run);

  for (guint i = 0; i < n; i++) {
    const ChTxStatement *s = ch_tx_run_statement (unit->run, i);
    guint key = key_of (unit, s);
    gboolean guarded = (key - PG_N_KEYS) % 2 == 1;
    if (!prepare (conn, key,
                  guarded ? pg_text_of (conn->pg, s->prepared)->guarded
                          : s->prepared->sql))
      return FALSE;
  }
  return TRUE;
}

static gboolean prepare_own (PgConn *conn, PgOwn first, PgOwn last)
{
  for (guint key = first; key <= last; key++)
    if (!prepare (conn, key, own_texts[key]))
      return FALSE;
  return TRUE;
}

static gboolean forget (PgConn *conn)
{
  conn->forget = FALSE;
  memset (conn->prepared, 0, conn->n_prepared);
  add_op (conn, PG_OP_SETTING, 0, NULL);
  return PQsendQueryParams (conn->pq, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0) != 0
         && end_segment (conn, PG_OP_MARK, NULL);
}

/* ---- sending ----------------------------------------------------------------------- */

static gboolean execute (PgConn *conn, guint key, guint n)
{
  PgParams *params = &conn->pg->params;
  char name[16];

  name_of (key, name);
  return PQsendQueryPrepared (conn->pq, name, (int) n, params->values, params->lengths,
                              params->formats, 0)
         != 0;
}

static gboolean execute_own (PgConn *conn, guint key, PgOpKind kind, PgUnit *unit,
                             gint64 number)
{
  gboolean takes = key == PG_KEY_LATE || key == PG_KEY_TIMEOUT;

  pg_params_begin (&conn->pg->params, 1);
  pg_params_set_int (&conn->pg->params, 0, number);
  add_op (conn, kind, key, unit);
  return execute (conn, key, takes ? 1 : 0);
}

static gboolean send_statement (PgConn *conn, PgUnit *unit, const ChTxStatement *s)
{
  PgParams *params = &conn->pg->params;
  guint key = key_of (unit, s);
  guint n = s->prepared->n_params;

  pg_params_begin (params, n + 2);
  for (guint i = 0; i < n; i++)
    pg_params_set (params, i, &s->params[i]);
  if ((key - PG_N_KEYS) % 2 == 1) {
    pg_params_set_int (params, n++, (gint64) MIN (s->guard_min, G_MAXINT64));
    pg_params_set_int (params, n++, (gint64) MIN (s->guard_max, G_MAXINT64));
  }
  add_op (conn, PG_OP_STATEMENT, key, unit);
  return execute (conn, key, n);
}

/* In a transaction of its own, before: so those of the batch see at least that state. */
static gboolean send_replay (PgConn *conn)
{
  PgParams *params = &conn->pg->params;
  guint64 written = 0;
  char place[32];

  for (guint i = 0; i < conn->units->len; i++)
    written = MAX (written, ((PgUnit *) g_ptr_array_index (conn->units, i))->written);
  if (!prepare_own (conn, PG_KEY_REPLAY, PG_KEY_BEHIND))
    return FALSE;
  g_snprintf (place, sizeof place, "%X/%X", (guint) (written >> 32), (guint) written);
  pg_params_begin (params, 2);
  pg_params_set (params, 0, &(ChValue) {.kind = CH_VALUE_TEXT, .text = place});
  pg_params_set_int (params, 1, conn->pg->options.lag_max_ms);
  add_op (conn, PG_OP_SETTING, PG_KEY_REPLAY, NULL);
  return execute (conn, PG_KEY_REPLAY, 2) && end_segment (conn, PG_OP_MARK, NULL);
}

static gboolean send_unit (PgConn *conn, PgUnit *unit, gboolean shares)
{
  gint64 left_ms = (unit->deadline_us - conn->sent_us) / 1000;
  guint n = ch_tx_run_n_statements (unit->run);

  unit->at = 0;
  unit->failed = -1;
  unit->attempts++;
  ch_tx_run_begin (unit->run);
  if (shares && !execute_own (conn, PG_KEY_LATE, PG_OP_SETTING, unit, MAX (left_ms, 0)))
    return FALSE;
  if (conn->role == PG_REPLICA
      && !execute_own (conn, PG_KEY_BEHIND, PG_OP_SETTING, unit, 0))
    return FALSE;
  if (conn->role != PG_ADMIN && left_ms > conn->pg->options.statement_timeout_ms
      && (!execute_own (conn, PG_KEY_TIMEOUT, PG_OP_SETTING, unit, left_ms)))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!send_statement (conn, unit, ch_tx_run_statement (unit->run, i)))
      return FALSE;
  return end_segment (conn, PG_OP_SYNC, unit);
}

gboolean pg_conn_send_flush (PgConn *conn)
{
  return prepare_own (conn, PG_KEY_FLUSH, PG_KEY_FLUSH)
         && execute_own (conn, PG_KEY_FLUSH, PG_OP_FLUSH, NULL, 0)
         && end_segment (conn, PG_OP_FLUSHED, NULL);
}

static gboolean send_all (PgConn *conn)
{
  guint n = conn->units->len;
  gboolean shares = n > 1 && conn->role == PG_WRITER;

  if (conn->forget && !forget (conn))
    return FALSE;
  if (!prepare_own (conn, PG_KEY_TIMEOUT, PG_KEY_TIMEOUT)
      || (shares && !prepare_own (conn, PG_KEY_BEGAN, PG_KEY_LATE)))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!prepare_unit (conn, g_ptr_array_index (conn->units, i)))
      return FALSE;
  if (shares
      && (!execute_own (conn, PG_KEY_BEGAN, PG_OP_SETTING, NULL, 0)
          || !end_segment (conn, PG_OP_MARK, NULL)))
    return FALSE;
  if (conn->role == PG_REPLICA && !send_replay (conn))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!send_unit (conn, g_ptr_array_index (conn->units, i), shares))
      return FALSE;
  return !shares || pg_conn_send_flush (conn);
}

static void begin_batch (PgConn *conn, GPtrArray *units)
{
  conn->units = units;
  conn->sent_us = g_get_monotonic_time ();
  conn->cancel_us = 0;
  conn->durable = FALSE;
  g_array_set_size (conn->ops, 0);
  conn->next_op = 0;
  conn->current = units->len > 0 ? g_ptr_array_index (units, 0) : NULL;
}

static void end_batch (PgConn *conn, gboolean ok)
{
  if (ok)
    pg_conn_flush (conn);
  else
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "sending"));
}

void pg_conn_send (PgConn *conn, GPtrArray *units)
{
  begin_batch (conn, units);
  end_batch (conn, send_all (conn));
}

void pg_conn_send_ask (PgConn *conn)
{
  begin_batch (conn, g_ptr_array_new ());
  end_batch (conn, prepare_own (conn, PG_KEY_PLACE, PG_KEY_PLACE)
                       && execute_own (conn, PG_KEY_PLACE, PG_OP_PLACE, NULL, 0)
                       && end_segment (conn, PG_OP_MARK, NULL));
}
