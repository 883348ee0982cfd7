/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is waited for, at start: migrations on a connection of their own. */
#include "pgsql.h"

#include <string.h>

/* Of gateway 6.7: "chmg". */
#define LOCK_KEY "1667788135"
#define LOCK_WAIT_US (120 * G_USEC_PER_SEC)
#define OPEN_WAIT_US (5 * G_USEC_PER_SEC)

G_STATIC_ASSERT (0x63686d67 == 1667788135);

static void receive (PgConn *conn)
{
  if (PQconsumeInput (conn->pq) == 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "receiving"));
}

/* *@silent: nobody said anything */
static gboolean wait_ready (PgConn *conn, gint64 until_us, gboolean *silent,
                            GError **error)
{
  *silent = FALSE;
  while (conn->state != PG_READY && conn->state != PG_BROKEN) {
    *silent = g_get_monotonic_time () > until_us;
    if (*silent)
      pg_conn_give_up (conn);
    else
      pg_loop_pump (conn->pg, 20);
  }
  if (conn->state == PG_READY)
    return TRUE;
  g_propagate_error (error, g_error_copy (conn->error));
  return FALSE;
}

/* Each of the server's addresses gets its chance, as long as there is time. */
gboolean pg_admin_open (Pg *pg, GError **error)
{
  gint64 began_us = g_get_monotonic_time (), now_us = began_us;

  if (pg->admin != NULL && pg->admin->state == PG_READY)
    return TRUE;
  for (;;) {
    g_autoptr (GError) reason = NULL;
    gboolean silent;
    pg_admin_close (pg);
    pg->admin = pg_conn_new (pg, PG_ADMIN, pg->primary, TRUE);
    pg->admin->receive = receive;
    gint64 until_us = now_us + pg->options.connect_ms * 1000;
    if (wait_ready (pg->admin, MIN (until_us, began_us + OPEN_WAIT_US), &silent, &reason))
      return TRUE;
    now_us = g_get_monotonic_time ();
    if (!silent || now_us - began_us > OPEN_WAIT_US) {
      g_propagate_error (error, g_steal_pointer (&reason));
      return FALSE;
    }
  }
}

void pg_admin_close (Pg *pg)
{
  PgConn *conn = g_steal_pointer (&pg->admin);

  if (conn == NULL)
    return;
  g_ptr_array_remove (pg->conns, conn);
  pg_conn_free (conn);
}

/* The results of what was sent; the first error counts. @text: of the first row. */
static gboolean collect (Pg *pg, char **text, GError **error)
{
  PgConn *conn = pg->admin;
  gboolean ok = TRUE;

  pg_conn_flush (conn);
  for (;;) {
    while (conn->state == PG_READY && PQisBusy (conn->pq) != 0)
      pg_loop_pump (pg, 20);
    if (conn->state != PG_READY) {
      if (ok)
        g_propagate_error (error, g_error_copy (conn->error));
      return FALSE;
    }
    PGresult *result = PQgetResult (conn->pq);
    if (result == NULL) {
      conn->since_us = g_get_monotonic_time ();
      return ok;
    }
    ExecStatusType status = PQresultStatus (result);
    if (status == PGRES_TUPLES_OK && text != NULL && PQntuples (result) > 0) {
      g_free (*text);
      *text = g_strdup (PQgetvalue (result, 0, 0));
    } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK
               && status != PGRES_EMPTY_QUERY && ok) {
      g_propagate_error (error, pg_error_of_result (result, "script", FALSE));
      ok = FALSE;
    }
    PQclear (result);
  }
}

static gboolean ask (Pg *pg, const char *sql, char **text, GError **error)
{
  if (!pg_admin_open (pg, error))
    return FALSE;
  if (PQsendQuery (pg->admin->pq, sql) == 0) {
    g_propagate_error (error, pg_error_of_conn (pg->admin->pq, "sending"));
    return FALSE;
  }
  return collect (pg, text, error);
}

gboolean pg_admin_script (Pg *pg, const char *sql, GError **error)
{
  if (ask (pg, sql, NULL, error))
    return TRUE;
  if (pg->admin != NULL && pg->admin->state == PG_READY
      && PQtransactionStatus (pg->admin->pq) != PQTRANS_IDLE)
    ask (pg, "ROLLBACK", NULL, NULL);
  return FALSE;
}

char *pg_admin_text (Pg *pg, const char *sql, GError **error)
{
  char *text = NULL;

  if (ask (pg, sql, &text, error))
    return text;
  g_free (text);
  return NULL;
}

void pg_admin_run (Pg *pg, ChTxRun *run)
{
  GError *error = NULL;
  PgUnit *unit = pg_admit (pg, run);

  if (unit == NULL)
    return;
  if (!pg_admin_open (pg, &error) || PQenterPipelineMode (pg->admin->pq) == 0) {
    pg_unit_fail (unit, -1,
                  error != NULL ? error : pg_error_of_conn (pg->admin->pq, "pipeline"));
    pg_unit_complete (pg, unit);
    return;
  }
  PgConn *conn = pg->admin;
  GPtrArray *units = g_ptr_array_new ();
  g_ptr_array_add (units, unit);
  conn->receive = pg_conn_receive;
  unit->attempts = G_MAXUINT / 2; /* nobody would repeat it */
  pg_conn_send (conn, units);
  while (conn->state == PG_READY && conn->units != NULL)
    pg_loop_pump (pg, 20);
  conn->receive = receive;
  if (conn->state == PG_READY && PQexitPipelineMode (conn->pq) == 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "leaving the pipeline"));
}

/* ---- the lock ---------------------------------------------------------------------- */

gboolean pg_admin_make_schema (Pg *pg, GError **error)
{
  if (pg->has_schema)
    return TRUE;
  if (!pg_admin_open (pg, error))
    return FALSE;
  PGconn *pq = pg->admin->pq;
  char *name = PQescapeIdentifier (pq, pg->options.schema, strlen (pg->options.schema));
  char *literal = PQescapeLiteral (pq, name, strlen (name));
  g_autofree char *ask
      = g_strdup_printf ("SELECT to_regnamespace(%s) IS NOT NULL", literal);
  g_autofree char *make = g_strdup_printf ("CREATE SCHEMA IF NOT EXISTS %s", name);
  PQfreemem (literal);
  PQfreemem (name);
  g_autofree char *there = pg_admin_text (pg, ask, error);
  pg->has_schema = there != NULL && (*there == 't' || pg_admin_script (pg, make, error));
  return pg->has_schema;
}

/* Not pg_advisory_lock(): that would wait for a lock, and end with lock_timeout. */
gboolean pg_admin_lock (Pg *pg, GError **error)
{
  gint64 until_us = g_get_monotonic_time () + LOCK_WAIT_US;

  pg->held = TRUE;
  for (;;) {
    g_autofree char *got
        = pg_admin_text (pg, "SELECT pg_try_advisory_lock(" LOCK_KEY ")", error);
    if (got != NULL && *got == 't')
      return TRUE;
    if (got == NULL || g_get_monotonic_time () > until_us) {
      if (got != NULL)
        g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_LOCKED,
                     "another program has been migrating for two minutes");
      pg->held = FALSE;
      return FALSE;
    }
    for (guint i = 0; i < 10; i++)
      pg_loop_pump (pg, 20);
  }
}

void pg_admin_unlock (Pg *pg)
{
  pg_admin_script (pg, "SELECT pg_advisory_unlock(" LOCK_KEY ")", NULL);
  pg->held = FALSE;
  pg_loop_kick (pg);
}
