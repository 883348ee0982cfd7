/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LISTEN on a connection of its own. What is said while it is lost is not heard: then all
 * listeners are told that they may have missed something.
 */
#include "pgsql.h"

#include <string.h>

/* Says all channels that are new to the server. */
static void say (PgConn *conn)
{
  g_autoptr (GString) sql = g_string_new (NULL);
  GHashTableIter iter;
  gpointer name, heard;

  if (conn->asking)
    return;
  g_hash_table_iter_init (&iter, conn->pg->channels);
  while (g_hash_table_iter_next (&iter, &name, &heard)) {
    if (GPOINTER_TO_INT (heard))
      continue;
    /* The host has checked it: small letters, digits, underscores. */
    g_string_append_printf (sql, "LISTEN \"%s\";", (const char *) name);
    g_hash_table_iter_replace (&iter, GINT_TO_POINTER (TRUE));
  }
  if (sql->len == 0)
    return;
  conn->asking = TRUE;
  if (PQsendQuery (conn->pq, sql->str) == 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "listening"));
  else
    pg_conn_flush (conn);
}

void pg_listen_ready (PgConn *conn)
{
  GHashTableIter iter;

  g_hash_table_iter_init (&iter, conn->pg->channels);
  while (g_hash_table_iter_next (&iter, NULL, NULL))
    g_hash_table_iter_replace (&iter, GINT_TO_POINTER (FALSE));
  conn->relisten = TRUE;
  say (conn);
}

static void take_results (PgConn *conn)
{
  while (conn->asking && PQisBusy (conn->pq) == 0) {
    PGresult *result = PQgetResult (conn->pq);
    conn->asking = result != NULL;
    PQclear (result);
  }
}

void pg_listen_receive (PgConn *conn)
{
  ChPlugin *self = conn->pg->self;
  gboolean ok = PQconsumeInput (conn->pq) != 0;
  PGnotify *note;

  take_results (conn);
  if (!conn->asking && conn->relisten) {
    conn->relisten = FALSE;
    if (conn->pg->listened_before)
      ch_store_notified (self, NULL, NULL);
    conn->pg->listened_before = TRUE;
  }
  while (conn->state == PG_READY && (note = PQnotifies (conn->pq)) != NULL) {
    ch_store_notified (self, note->relname, note->extra);
    PQfreemem (note);
  }
  if (!ok && conn->state == PG_READY)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "listening"));
  else if (conn->state == PG_READY)
    say (conn);
}

/* A channel that nobody listens to any more is forgotten with the connection. */
void pg_listen (Pg *pg, const char *channel, gboolean on)
{
  if (!on)
    g_hash_table_remove (pg->channels, channel);
  else if (!g_hash_table_contains (pg->channels, channel))
    g_hash_table_insert (pg->channels, g_strdup (channel), GINT_TO_POINTER (FALSE));
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role == PG_LISTEN && conn->state == PG_READY)
      say (conn);
  }
}
