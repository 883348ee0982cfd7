/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read replicas. A transaction that only reads may go to one, and finds there all that
 * this process had written when it was submitted: each batch first lets the replica wait
 * for that, for some milliseconds, since under constant writes a replica that is well is
 * always a little behind. When that was not enough, or the replica is further behind than
 * is allowed, each transaction of the batch fails on purpose. What fails at a replica
 * goes to the primary.
 */
#include "pgsql.h"

/* How long one that was behind is left in peace, and when it is so again and again. */
#define REST_MIN_US (50 * 1000)
#define REST_MAX_US (1000 * 1000)
#define RETRY_MIN_US (500 * 1000)
#define RETRY_MAX_US (2 * G_USEC_PER_SEC)
#define READS_MAX 16

static void replica_free (gpointer data)
{
  PgReplica *replica = data;
  pg_target_free (replica->target);
  g_free (replica);
}

gboolean pg_replicas_open (Pg *pg, GError **error)
{
  char **dsns = pg->options.replica_dsns;

  pg->replicas = g_ptr_array_new_with_free_func (replica_free);
  for (guint i = 0; dsns != NULL && dsns[i] != NULL; i++) {
    PgTarget *target = pg_target_new (dsns[i], "database.replica_dsn", FALSE, error);
    if (target == NULL)
      return FALSE;
    PgReplica *replica = g_new0 (PgReplica, 1);
    replica->target = target;
    g_ptr_array_add (pg->replicas, replica);
  }
  return TRUE;
}

static guint count (Pg *pg, guint number, gboolean ready_only)
{
  guint n = 0;

  for (guint i = 0; i < pg->conns->len; i++) {
    const PgConn *conn = g_ptr_array_index (pg->conns, i);
    n += conn->role == PG_REPLICA && conn->replica == number && conn->state != PG_BROKEN
         && (!ready_only || conn->state == PG_READY);
  }
  return n;
}

gboolean pg_replica_is_up (Pg *pg, guint number)
{
  return count (pg, number, TRUE) > 0;
}

/* One more connection to it. */
void pg_replica_want (Pg *pg, guint number, gint64 now_us)
{
  PgReplica *replica = g_ptr_array_index (pg->replicas, number);
  guint all = count (pg, number, FALSE);
  guint most = MAX (1, (pg->options.max - pg->options.writers) / 2 / pg->replicas->len);

  if (now_us < replica->retry_us || all > count (pg, number, TRUE) || all >= most
      || pg->closing || !pg_pool_make_room (pg, PG_REPLICA))
    return;
  pg_conn_new (pg, PG_REPLICA, replica->target, FALSE)->replica = number;
}

/* Worth a try: not far behind, and not found so of late. */
static gboolean is_well (Pg *pg, const PgReplica *replica, gint64 now_us)
{
  return now_us >= replica->rest_us
         && pg_replica_lag_us (pg, replica, now_us) <= pg->options.lag_max_ms * 1000;
}

/* Whether a read may hope for one. */
gboolean pg_replicas_take (Pg *pg, gint64 now_us)
{
  gboolean any = FALSE;

  for (guint i = 0; i < pg->replicas->len; i++) {
    const PgReplica *replica = g_ptr_array_index (pg->replicas, i);
    if (!is_well (pg, replica, now_us))
      continue;
    if (pg_replica_is_up (pg, i))
      any = TRUE;
    else
      pg_replica_want (pg, i, now_us);
  }
  return any;
}

/* The one whose turn it is: the longest idle of those that are well. */
static PgConn *idle_conn (Pg *pg, gint64 now_us)
{
  PgConn *best = NULL;

  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role != PG_REPLICA || !pg_conn_is_idle (conn))
      continue;
    const PgReplica *replica = g_ptr_array_index (pg->replicas, conn->replica);
    if (is_well (pg, replica, now_us)
        && (best == NULL || conn->since_us < best->since_us))
      best = conn;
  }
  return best;
}

void pg_replicas_dispatch (Pg *pg, gint64 now_us)
{
  if (pg->replica_reads.length > 0 && !pg_replicas_take (pg, now_us)) {
    PgUnit *unit;
    while ((unit = g_queue_pop_head (&pg->replica_reads)) != NULL)
      g_queue_push_tail (&pg->reads, unit);
  }
  while (pg->replica_reads.length > 0) {
    PgConn *conn = idle_conn (pg, now_us);
    if (conn == NULL) {
      for (guint i = 0; i < pg->replicas->len; i++)
        pg_replica_want (pg, i, now_us);
      return;
    }
    guint share
        = pg->replica_reads.length / MAX (1, pg_pool_count (pg, PG_REPLICA, TRUE));
    GPtrArray *units
        = pg_take (pg, &pg->replica_reads, CLAMP (share, 1, READS_MAX), now_us);
    if (units->len > 0)
      pg_conn_send (conn, units);
    else
      g_ptr_array_unref (units);
  }
}

void pg_replica_behind (PgConn *conn)
{
  PgReplica *replica = g_ptr_array_index (conn->pg->replicas, conn->replica);

  gint64 now_us = g_get_monotonic_time ();

  ch_series_inc (replica->behind);
  if (now_us < replica->rest_us) /* another one of that batch */
    return;
  replica->rest_us = now_us + MIN (REST_MIN_US << MIN (replica->rests, 8), REST_MAX_US);
  replica->rests++;
}

void pg_replica_served (PgConn *conn, gboolean served)
{
  PgReplica *replica = g_ptr_array_index (conn->pg->replicas, conn->replica);
  ch_series_inc (served ? replica->served : replica->failed);
  if (served)
    replica->rests = 0;
}

/* The others to it would be silent, too. */
void pg_replica_silent (PgConn *conn)
{
  Pg *pg = conn->pg;
  guint number = conn->replica;

  pg_conn_cancel (conn);
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *one = g_ptr_array_index (pg->conns, i);
    if (one->role == PG_REPLICA && one->replica == number
        && (one == conn || pg_conn_is_idle (one)))
      pg_conn_break (one, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                       "the replica does not answer"));
  }
}

void pg_replica_lost (PgConn *conn)
{
  Pg *pg = conn->pg;
  PgReplica *replica = g_ptr_array_index (pg->replicas, conn->replica);
  gint64 pause_us = MIN (RETRY_MIN_US << MIN (replica->failures, 8), RETRY_MAX_US);

  replica->failures++;
  replica->retry_us = g_get_monotonic_time () + pause_us / 2
                      + (gint64) g_random_int_range (0, (gint) (pause_us / 2));
  if (!replica->told)
    ch_warning (pg->self, "replica %u: %s", conn->replica + 1, conn->error->message);
  replica->told = TRUE;
}

void pg_replica_ready (PgConn *conn)
{
  PgReplica *replica = g_ptr_array_index (conn->pg->replicas, conn->replica);

  replica->failures = 0;
  if (replica->told)
    ch_notice (conn->pg->self, "replica %u is back", conn->replica + 1);
  replica->told = FALSE;
}
