/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many connections there are, and when a lost one is made again. */
#include "pgsql.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000
#define LOG_EVERY_US (10 * G_USEC_PER_SEC)

guint pg_pool_count (Pg *pg, PgRole role, gboolean ready_only)
{
  guint n = 0;

  for (guint i = 0; i < pg->conns->len; i++) {
    const PgConn *conn = g_ptr_array_index (pg->conns, i);
    n += conn->role == role && conn->state != PG_BROKEN
         && (!ready_only || conn->state == PG_READY);
  }
  return n;
}

static guint count_all (Pg *pg)
{
  guint n = 0;

  for (guint i = 0; i < pg->conns->len; i++) {
    const PgConn *conn = g_ptr_array_index (pg->conns, i);
    n += conn->state != PG_BROKEN && conn->role != PG_ADMIN;
  }
  return n;
}

/* The one that was used last, so that the others may become idle for long. */
PgConn *pg_pool_idle (Pg *pg, PgRole role)
{
  PgConn *best = NULL;

  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role == role && pg_conn_is_idle (conn)
        && (best == NULL || conn->since_us > best->since_us))
      best = conn;
  }
  return best;
}

gboolean pg_pool_is_up (Pg *pg)
{
  return pg_pool_count (pg, PG_WRITER, TRUE) > 0;
}

static void close_orderly (PgConn *conn)
{
  pg_loop_unwatch (conn);
  conn->state = PG_BROKEN; /* swept, and nobody is told */
  pg_loop_kick (conn->pg);
}

/* ---- more and fewer ---------------------------------------------------------------- */

static guint kept (const Pg *pg, PgRole role)
{
  guint writers = MAX (1, MIN (pg->options.writers, pg->options.min / 2));

  if (role == PG_WRITER)
    return writers;
  if (role == PG_REPLICA) /* so that it can be asked how far it is */
    return pg->replicas->len;
  return role == PG_READER ? MAX (1, pg->options.min - writers) : 0;
}

gboolean pg_pool_make_room (Pg *pg, PgRole for_role)
{
  PgConn *oldest = NULL;

  if (count_all (pg) < pg->options.max)
    return TRUE;
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role != for_role && conn->role != PG_LISTEN && pg_conn_is_idle (conn)
        && conn->role != PG_ADMIN
        && pg_pool_count (pg, conn->role, FALSE) > kept (pg, conn->role)
        && (oldest == NULL || conn->since_us < oldest->since_us))
      oldest = conn;
  }
  if (oldest == NULL)
    return FALSE;
  close_orderly (oldest);
  return TRUE;
}

void pg_pool_want (Pg *pg, PgRole role, guint waiting)
{
  guint all = pg_pool_count (pg, role, FALSE);
  guint coming = all - pg_pool_count (pg, role, TRUE);
  guint most = role == PG_WRITER   ? pg->options.writers
               : role == PG_READER ? pg->options.max - pg->options.writers
                                   : 1;

  /* After a failure one tries for all. */
  if (coming >= (pg->failures > 0 ? 1 : waiting) || all >= most
      || g_get_monotonic_time () < pg->retry_us || pg->closing)
    return;
  if (pg_pool_make_room (pg, role))
    pg_conn_new (pg, role, pg->primary, FALSE);
}

static void maintain_conn (PgConn *conn, gint64 now_us)
{
  Pg *pg = conn->pg;
  const PgOptions *options = &pg->options;

  if (conn->state < PG_READY && now_us - conn->since_us > options->connect_ms * 1000) {
    pg_conn_give_up (conn);
    return;
  }
  if (conn->units != NULL && conn->units->len == 0
      && now_us - conn->sent_us > options->connect_ms * 1000) {
    if (conn->role == PG_REPLICA)
      pg_replica_silent (conn);
    else
      pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                        "the server does not answer"));
    return;
  }
  if (!pg_conn_is_idle (conn) || conn->role == PG_LISTEN || conn->role == PG_ADMIN)
    return;
  gboolean spare = pg_pool_count (pg, conn->role, TRUE) > kept (pg, conn->role);
  if ((spare && now_us - conn->since_us > options->idle_ms * 1000)
      || now_us - conn->opened_us > conn->lifetime_us)
    close_orderly (conn);
}

void pg_pool_maintain (Pg *pg, gint64 now_us)
{
  static const PgRole roles[] = {PG_WRITER, PG_READER};

  if (!pg->open || pg->closing)
    return;
  for (guint i = 0; i < pg->conns->len; i++)
    maintain_conn (g_ptr_array_index (pg->conns, i), now_us);
  if (g_hash_table_size (pg->channels) > 0)
    pg_pool_want (pg, PG_LISTEN, 1);
  pg_replicas_ask (pg, now_us);
  if (pg->admin != NULL && !pg->held && pg_conn_is_idle (pg->admin)
      && now_us - pg->admin->since_us > pg->options.idle_ms * 1000)
    pg_admin_close (pg);
  for (guint i = 0; i < G_N_ELEMENTS (roles); i++) {
    guint n = pg_pool_count (pg, roles[i], FALSE);
    for (guint k = n; k < kept (pg, roles[i]); k++)
      pg_pool_want (pg, roles[i], kept (pg, roles[i]));
  }
}

/* ---- lost and found ---------------------------------------------------------------- */

static void set_down (Pg *pg, const GError *error)
{
  g_free (pg->down_reason);
  pg->down_reason = g_strdup (error->message);
  if (pg->down_us == 0)
    pg->down_us = g_get_monotonic_time ();
  ch_plugin_degraded (pg->self, pg->down_reason);
}

/* One connection was silent for too long: those that are idle would be, too. */
void pg_pool_suspect (Pg *pg)
{
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (pg_conn_is_idle (conn) && conn->role != PG_ADMIN && conn->role != PG_REPLICA)
      pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                        "the server does not answer"));
  }
}

static void log_loss (Pg *pg, const PgConn *conn, gint64 now_us)
{
  if (now_us - pg->logged_us < LOG_EVERY_US && pg->logged_us != 0)
    return;
  pg->logged_us = now_us;
  ch_warning (pg->self, "%s", conn->error->message);
}

void pg_pool_lost (PgConn *conn)
{
  Pg *pg = conn->pg;
  gint64 now_us = g_get_monotonic_time ();
  gint64 delay_ms = 0;

  if (conn->role == PG_REPLICA)
    pg_replica_lost (conn);
  if (pg->closing || !pg->open || conn->role == PG_REPLICA)
    return;
  log_loss (pg, conn, now_us);
  if (conn->opened_us == 0) { /* it could not be made */
    pg->failures++;
    delay_ms = MIN (BACKOFF_MIN_MS << MIN (pg->failures - 1, 10), BACKOFF_MAX_MS);
  } else {
    delay_ms = BACKOFF_MIN_MS / 2; /* others will be lost just now */
  }
  pg->retry_us
      = now_us + delay_ms * 500 + (gint64) g_random_int_range (0, (gint) delay_ms * 500);
  if (pg_pool_count (pg, PG_WRITER, TRUE) + pg_pool_count (pg, PG_READER, TRUE) == 0)
    set_down (pg, conn->error);
}

void pg_pool_ready (PgConn *conn)
{
  Pg *pg = conn->pg;

  if (conn->role == PG_REPLICA)
    pg_replica_ready (conn);
  if (conn->role == PG_REPLICA || conn->role == PG_ADMIN)
    return;
  pg->failures = 0;
  if (pg->down_us == 0)
    return;
  ch_notice (pg->self, "the database is back after %" G_GINT64_FORMAT " ms",
             (g_get_monotonic_time () - pg->down_us) / 1000);
  pg->down_us = 0;
  pg->logged_us = 0;
  g_clear_pointer (&pg->down_reason, g_free);
  ch_plugin_degraded (pg->self, NULL);
}
