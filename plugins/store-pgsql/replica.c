/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read replicas. A transaction that only reads may go to one, and finds there all that
 * this process has written before: each batch first asks how far the replica has come and
 * each transaction of it fails on purpose when that is not far enough, or when the
 * replica is further behind than is allowed. What fails at a replica goes to the primary.
 */
#include "pgsql.h"

/* How long one that was behind is left in peace. */
#define REST_US (500 * 1000)
#define RETRY_MIN_US (500 * 1000)
#define RETRY_MAX_US (10 * G_USEC_PER_SEC)
#define READS_MAX 16

typedef struct {
  PgTarget *target;
  guint failures;
  gint64 rest_us; /* not used before */
  gboolean told;
} Replica;

static void replica_free (gpointer data)
{
  Replica *replica = data;
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
    Replica *replica = g_new0 (Replica, 1);
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

/* One more connection to a replica that is well. */
static void want (Pg *pg, guint number, gint64 now_us)
{
  Replica *replica = g_ptr_array_index (pg->replicas, number);
  guint all = count (pg, number, FALSE);
  guint most = MAX (1, (pg->options.max - pg->options.writers) / 2 / pg->replicas->len);

  if (now_us < replica->rest_us || all > count (pg, number, TRUE) || all >= most
      || pg->closing || !pg_pool_make_room (pg, PG_REPLICA))
    return;
  pg_conn_new (pg, PG_REPLICA, replica->target, FALSE)->replica = number;
}

/* Whether a read may hope for one. */
gboolean pg_replicas_take (Pg *pg, gint64 now_us)
{
  gboolean any = FALSE;

  for (guint i = 0; i < pg->replicas->len; i++) {
    const Replica *replica = g_ptr_array_index (pg->replicas, i);
    gboolean ready = now_us >= replica->rest_us && count (pg, i, TRUE) > 0;
    any |= ready;
    if (!ready)
      want (pg, i, now_us);
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
    const Replica *replica = g_ptr_array_index (pg->replicas, conn->replica);
    if (now_us >= replica->rest_us && (best == NULL || conn->since_us < best->since_us))
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
        want (pg, i, now_us);
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
  Replica *replica = g_ptr_array_index (conn->pg->replicas, conn->replica);
  replica->rest_us = g_get_monotonic_time () + REST_US;
}

void pg_replica_lost (PgConn *conn)
{
  Pg *pg = conn->pg;
  Replica *replica = g_ptr_array_index (pg->replicas, conn->replica);
  gint64 pause_us = MIN (RETRY_MIN_US << MIN (replica->failures, 8), RETRY_MAX_US);

  replica->failures++;
  replica->rest_us = g_get_monotonic_time () + pause_us / 2
                     + (gint64) g_random_int_range (0, (gint) (pause_us / 2));
  if (!replica->told)
    ch_warning (pg->self, "replica %u: %s", conn->replica + 1, conn->error->message);
  replica->told = TRUE;
}

void pg_replica_ready (PgConn *conn)
{
  Replica *replica = g_ptr_array_index (conn->pg->replicas, conn->replica);

  replica->failures = 0;
  if (replica->told)
    ch_notice (conn->pg->self, "replica %u is back", conn->replica + 1);
  replica->told = FALSE;
}

/* "16/B374D848" */
void pg_note_written (Pg *pg, const char *lsn)
{
  char *end = NULL;
  guint64 high = g_ascii_strtoull (lsn, &end, 16);

  if (end == lsn || *end != '/')
    return;
  guint64 position = high << 32 | g_ascii_strtoull (end + 1, NULL, 16);
  pg->written = MAX (pg->written, position);
}
