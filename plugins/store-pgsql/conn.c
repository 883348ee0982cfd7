/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connection: making it, setting up its session, losing it. */
#include "pgsql.h"

#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

static const char *const role_names[PG_N_ROLES]
    = {"writer", "reader", "replica", "admin", "copy", "listen"};

static void ignore_notice (void *data, const PGresult *result)
{
  PgConn *conn = data;
  const char *text = PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  ch_debug (conn->pg->self, "%s: %s", role_names[conn->role], text != NULL ? text : "");
}

/* ---- life -------------------------------------------------------------------------- */

static void begin_connecting (PgConn *conn)
{
  g_autofree char *name = g_strconcat ("chargehost/", role_names[conn->role], NULL);

  conn->state = PG_CONNECTING;
  conn->pq = pg_target_connect (conn->target, name, &conn->first);
  if (conn->pq == NULL || PQstatus (conn->pq) == CONNECTION_BAD) {
    pg_conn_break (conn, conn->pq != NULL
                             ? pg_error_of_conn (conn->pq, "connecting")
                             : g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                            "connecting: out of memory"));
    return;
  }
  PQsetNoticeReceiver (conn->pq, ignore_notice, conn);
  pg_loop_watch (conn, EPOLLOUT); /* until PQconnectPoll() was called: writable */
}

static void resolved (GError *error, gpointer data)
{
  PgConn *conn = data;

  conn->resolving = NULL;
  if (error != NULL)
    pg_conn_break (conn, error);
  else
    begin_connecting (conn);
}

/* @wait: names are looked up at once. */
PgConn *pg_conn_new (Pg *pg, PgRole role, PgTarget *target, gboolean wait)
{
  PgConn *conn = g_new0 (PgConn, 1);
  GError *error = NULL;

  conn->pg = pg;
  conn->role = role;
  conn->target = target;
  conn->fd = -1;
  conn->receive = role == PG_COPY     ? pg_copy_receive
                  : role == PG_LISTEN ? pg_listen_receive
                                      : pg_conn_receive;
  conn->since_us = g_get_monotonic_time ();
  conn->ops = g_array_new (FALSE, FALSE, sizeof (PgOp));
  conn->refusals
      = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_error_free);
  g_ptr_array_add (pg->conns, conn);
  if (wait && !pg_target_resolve_now (target, &error)) {
    pg_conn_break (conn, error);
    return conn;
  }
  conn->resolving = wait ? NULL : pg_target_resolve (target, resolved, conn);
  if (conn->resolving == NULL)
    begin_connecting (conn);
  return conn;
}

void pg_conn_break (PgConn *conn, GError *error)
{
  if (conn->state == PG_BROKEN) {
    g_clear_error (&error);
    return;
  }
  conn->error = error;
  pg_loop_unwatch (conn);
  pg_conn_settle_broken (conn);
  conn->state = PG_BROKEN;
  pg_pool_lost (conn);
  pg_loop_kick (conn->pg);
}

void pg_conn_give_up (PgConn *conn)
{
  gint64 ms = conn->pg->options.connect_ms;
  const char *host = conn->pq != NULL ? PQhost (conn->pq) : NULL;

  if (conn->state == PG_RESOLVING) {
    pg_conn_break (
        conn, g_error_new (
                  CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                  "the name servers did not answer within %" G_GINT64_FORMAT " ms", ms));
    return;
  }
  pg_target_pass_over (conn->target, conn->first);
  pg_conn_break (
      conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                         "no connection to %s, port %s, within %" G_GINT64_FORMAT " ms",
                         host != NULL && *host != '\0' ? host : "the database",
                         conn->pq != NULL ? PQport (conn->pq) : "?", ms));
}

void pg_conn_free (PgConn *conn)
{
  if (conn->resolving != NULL)
    pg_target_forget (conn->resolving);
  pg_loop_unwatch (conn);
  PQfinish (conn->pq);
  g_array_unref (conn->ops);
  g_clear_pointer (&conn->units, g_ptr_array_unref);
  g_hash_table_unref (conn->refusals);
  g_free (conn->prepared);
  g_clear_pointer (&conn->copy_rows, g_byte_array_unref);
  g_clear_error (&conn->error);
  g_free (conn);
}

gboolean pg_conn_is_idle (const PgConn *conn)
{
  return conn->state == PG_READY && conn->units == NULL;
}

/* ---- the session ------------------------------------------------------------------- */

static char *session_script (const PgConn *conn)
{
  const PgOptions *options = &conn->pg->options;
  g_autoptr (GString) sql = g_string_new ("SET client_min_messages = warning;"
                                          "SET timezone = 'UTC';"
                                          "SET datestyle = 'ISO, YMD';"
                                          "SET bytea_output = 'hex';"
                                          "SET extra_float_digits = 1;"
                                          "SET standard_conforming_strings = on;"
                                          "SET synchronous_commit = on;"
                                          "SET idle_in_transaction_session_timeout "
                                          "= '10s';");
  char *schema = PQescapeIdentifier (conn->pq, options->schema, strlen (options->schema));

  g_string_append_printf (sql, "SET search_path = %s;", schema);
  PQfreemem (schema);
  if (conn->role != PG_ADMIN)
    g_string_append_printf (sql,
                            "SET statement_timeout = %" G_GINT64_FORMAT
                            "; SET lock_timeout = %" G_GINT64_FORMAT ";",
                            options->statement_timeout_ms, options->lock_timeout_ms);
  else
    g_string_append_printf (sql, "SET lock_timeout = %" G_GINT64_FORMAT ";",
                            options->lock_timeout_ms);
  if (conn->role == PG_READER || conn->role == PG_REPLICA)
    g_string_append (sql, "SET default_transaction_read_only = on;"
                          "SET default_transaction_isolation = 'repeatable read';");
  else
    g_string_append (sql, "SET default_transaction_read_only = off;"
                          "SET default_transaction_isolation = 'read committed';");
  g_string_append (sql,
                   "SELECT pg_is_in_recovery(), has_function_privilege("
                   "'pg_catalog.pg_logical_emit_message(boolean,text,text)', 'EXECUTE')");
  return g_string_free (g_steal_pointer (&sql), FALSE);
}

static void begin_session (PgConn *conn)
{
  g_autofree char *sql = session_script (conn);

  conn->state = PG_PREPARING;
  if (PQserverVersion (conn->pq) < 130000) {
    pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                      "PostgreSQL %d is too old: 13 or newer is needed",
                                      PQserverVersion (conn->pq) / 10000));
    return;
  }
  PQsetnonblocking (conn->pq, 1);
  if (PQsendQuery (conn->pq, sql) == 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "setting up the session"));
  else
    pg_conn_flush (conn);
}

static gboolean is_writer (const PgConn *conn)
{
  return conn->role == PG_WRITER || conn->role == PG_ADMIN || conn->role == PG_COPY;
}

static void end_session_script (PgConn *conn, gboolean in_recovery, gboolean can_flush)
{
  conn->writable = !in_recovery;
  if (in_recovery && is_writer (conn)) {
    pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                      "the server is a standby: it only reads"));
    return;
  }
  if (!can_flush)
    conn->pg->can_flush = FALSE;
  if (conn->role != PG_ADMIN && conn->role != PG_COPY && conn->role != PG_LISTEN
      && PQenterPipelineMode (conn->pq) == 0) {
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "entering the pipeline"));
    return;
  }
  conn->state = PG_READY;
  conn->opened_us = conn->since_us = g_get_monotonic_time ();
  /* So that those that began together do not end together. */
  conn->lifetime_us = conn->pg->options.lifetime_ms * g_random_int_range (850, 1001);
  pg_pool_ready (conn);
  if (conn->role == PG_LISTEN)
    pg_listen_ready (conn);
  pg_loop_kick (conn->pg);
}

static void receive_session (PgConn *conn)
{
  gboolean in_recovery = FALSE, can_flush = FALSE;

  if (PQconsumeInput (conn->pq) == 0) {
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "setting up the session"));
    return;
  }
  while (PQisBusy (conn->pq) == 0) {
    PGresult *result = PQgetResult (conn->pq);
    if (result == NULL) {
      end_session_script (conn, in_recovery, can_flush);
      return;
    }
    ExecStatusType status = PQresultStatus (result);
    if (status == PGRES_TUPLES_OK && PQntuples (result) == 1) {
      in_recovery = PQgetvalue (result, 0, 0)[0] == 't';
      can_flush = PQgetvalue (result, 0, 1)[0] == 't';
    } else if (status != PGRES_COMMAND_OK) {
      GError *error = pg_error_of_result (result, "setting up the session", FALSE);
      PQclear (result);
      pg_conn_break (conn, error);
      return;
    }
    PQclear (result);
  }
}

/* ---- events ------------------------------------------------------------------------ */

static void go_on_connecting (PgConn *conn)
{
  switch (PQconnectPoll (conn->pq)) {
  case PGRES_POLLING_READING:
    pg_loop_watch (conn, EPOLLIN);
    break;
  case PGRES_POLLING_WRITING:
    pg_loop_watch (conn, EPOLLOUT);
    break;
  case PGRES_POLLING_OK:
    pg_loop_watch (conn, EPOLLIN);
    begin_session (conn);
    break;
  default:
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "connecting"));
    break;
  }
}

void pg_conn_flush (PgConn *conn)
{
  int left = PQflush (conn->pq);

  if (left < 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "sending"));
  else
    pg_loop_watch (conn, EPOLLIN | (left > 0 ? EPOLLOUT : 0));
}

void pg_conn_event (PgConn *conn, guint32 events)
{
  switch (conn->state) {
  case PG_CONNECTING:
    /* The next address may have got the same descriptor, which the set has forgotten. */
    pg_loop_unwatch (conn);
    go_on_connecting (conn);
    break;
  case PG_PREPARING:
    if (events & EPOLLOUT)
      pg_conn_flush (conn);
    if (conn->state == PG_PREPARING && (events & ~(guint32) EPOLLOUT) != 0)
      receive_session (conn);
    break;
  case PG_READY:
    if (events & EPOLLOUT)
      pg_conn_flush (conn);
    if (conn->state == PG_READY && (events & ~(guint32) EPOLLOUT) != 0)
      conn->receive (conn);
    break;
  default:
    break;
  }
}

/* ---- cancellation ------------------------------------------------------------------ */

/* It opens a connection of its own and waits; nobody waits for this thread. */
static void *cancel_thread (void *data)
{
  char reason[256];

  PQcancel (data, reason, sizeof reason);
  PQfreeCancel (data);
  return NULL;
}

void pg_conn_cancel (PgConn *conn)
{
  PGcancel *cancel = PQgetCancel (conn->pq);
  pthread_attr_t attributes;
  pthread_t thread;

  if (cancel == NULL)
    return;
  pthread_attr_init (&attributes);
  pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_create (&thread, &attributes, cancel_thread, cancel) != 0)
    PQfreeCancel (cancel);
  pthread_attr_destroy (&attributes);
}
