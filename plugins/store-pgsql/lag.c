/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far replicas are behind. Every second the primary is asked how far its log has come
 * and each replica how far it has replayed it. The places of the primary are kept with
 * their times, so a replica's place becomes a time without trust in its clock: that works
 * as well for one that does not get the log at all, and for one that does not answer.
 */
#include "pgsql.h"

#define ASK_EVERY_US G_USEC_PER_SEC
#define MARKS_MAX 512
/* Between two marks of what this process writes. */
#define MARK_EVERY_US (20 * 1000)

typedef struct {
  guint64 place;
  gint64 us;
} Mark;

/* "16/B374D848" */
static guint64 parse_place (const char *text)
{
  char *end = NULL;
  guint64 high = g_ascii_strtoull (text, &end, 16);

  if (end == text || *end != '/')
    return 0;
  return high << 32 | g_ascii_strtoull (end + 1, NULL, 16);
}

/* Half as many, over the same time. */
static void thin_out (GArray *marks)
{
  for (guint i = marks->len / 2; i > 0; i--)
    g_array_remove_index (marks, 2 * i - 1);
}

static void add_mark (Pg *pg, guint64 place, gint64 now_us)
{
  GArray *marks = pg->marks;
  const Mark *last = marks->len > 0 ? &g_array_index (marks, Mark, marks->len - 1) : NULL;

  if (last != NULL && place <= last->place) {
    if (place == last->place) /* nothing was written meanwhile */
      g_array_index (marks, Mark, marks->len - 1).us = now_us;
    return;
  }
  if (marks->len >= MARKS_MAX)
    thin_out (marks);
  g_array_append_val (marks, ((Mark) {place, now_us}));
}

/* What no replica has to come to any more. */
static void forget_marks (Pg *pg)
{
  guint64 least = G_MAXUINT64;
  guint n = 0;

  for (guint i = 0; i < pg->replicas->len; i++)
    least = MIN (least, ((PgReplica *) g_ptr_array_index (pg->replicas, i))->place);
  while (n + 1 < pg->marks->len && g_array_index (pg->marks, Mark, n + 1).place <= least)
    n++;
  if (n > 0)
    g_array_remove_range (pg->marks, 0, n);
}

gint64 pg_replica_lag_us (Pg *pg, const PgReplica *replica, gint64 now_us)
{
  const Mark *marks = (const Mark *) (gpointer) pg->marks->data;
  guint n = pg->marks->len, after = 0;

  while (after < n && marks[after].place <= replica->place)
    after++;
  if (after == n)
    return 0;
  if (after == 0)
    return now_us - marks[0].us;
  /* Between two marks the log is taken to have grown evenly. */
  const Mark *low = &marks[after - 1], *high = &marks[after];
  double share
      = (double) (replica->place - low->place) / (double) (high->place - low->place);
  return now_us - low->us - (gint64) (share * (double) (high->us - low->us));
}

void pg_note_written (Pg *pg, const char *text)
{
  gint64 now_us = g_get_monotonic_time ();

  pg->written = MAX (pg->written, parse_place (text));
  if (pg->replicas->len == 0 || now_us - pg->marked_us < MARK_EVERY_US)
    return;
  pg->marked_us = now_us;
  add_mark (pg, pg->written, now_us);
}

void pg_note_place (PgConn *conn, const char *text)
{
  Pg *pg = conn->pg;
  guint64 place = parse_place (text);

  if (conn->role != PG_REPLICA) {
    add_mark (pg, place, g_get_monotonic_time ());
    return;
  }
  PgReplica *replica = g_ptr_array_index (pg->replicas, conn->replica);
  replica->place = place;
  forget_marks (pg);
}

/* ---- asking ------------------------------------------------------------------------ */

static PgConn *idle_of (Pg *pg, guint number)
{
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->role == PG_REPLICA && conn->replica == number && pg_conn_is_idle (conn))
      return conn;
  }
  return NULL;
}

void pg_replicas_ask (Pg *pg, gint64 now_us)
{
  if (pg->replicas->len == 0 || now_us - pg->asked_us < ASK_EVERY_US)
    return;
  pg->asked_us = now_us;
  PgConn *conn = pg_pool_idle (pg, PG_READER);
  if (conn != NULL)
    pg_conn_send_ask (conn);
  for (guint i = 0; i < pg->replicas->len; i++) {
    conn = idle_of (pg, i);
    if (conn != NULL)
      pg_conn_send_ask (conn);
    else
      pg_replica_want (pg, i, now_us);
  }
}

/* ---- metrics ----------------------------------------------------------------------- */

static void collect (ChPlugin *self, gpointer data)
{
  Pg *pg = data;
  gint64 now_us = g_get_monotonic_time ();

  if (!pg->open)
    return;
  for (guint i = 0; i < pg->replicas->len; i++) {
    const PgReplica *replica = g_ptr_array_index (pg->replicas, i);
    ch_series_set (replica->lag, (double) pg_replica_lag_us (pg, replica, now_us) / 1e6);
    ch_series_set (replica->up, pg_replica_is_up (pg, i));
  }
}

void pg_replicas_add_metrics (Pg *pg)
{
  static const char *const number[] = {"replica", NULL};
  static const char *const outcome[] = {"replica", "result", NULL};
  ChPlugin *self = pg->self;

  if (pg->replicas->len == 0)
    return;
  ChMetric *lag = ch_metric_register (
      self, CH_METRIC_GAUGE, "chargehost_db_replica_lag_seconds",
      "How far a read replica is behind, by its number in database.replica_dsn.", number);
  ChMetric *up = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_db_replica_up",
                                     "Whether a read replica can be asked.", number);
  ChMetric *reads = ch_metric_register (
      self, CH_METRIC_COUNTER, "chargehost_db_replica_reads_total",
      "Reads sent to a replica: served there, or repeated at the primary because it was "
      "behind or failed.",
      outcome);
  for (guint i = 0; i < pg->replicas->len; i++) {
    PgReplica *replica = g_ptr_array_index (pg->replicas, i);
    char name[12];
    g_snprintf (name, sizeof name, "%u", i + 1);
    replica->lag = ch_metric_with (lag, name, NULL);
    replica->up = ch_metric_with (up, name, NULL);
    replica->served = ch_metric_with (reads, name, "served", NULL);
    replica->behind = ch_metric_with (reads, name, "behind", NULL);
    replica->failed = ch_metric_with (reads, name, "failed", NULL);
  }
  if (!pg->collecting)
    ch_metrics_add_collector (self, collect, pg);
  pg->collecting = TRUE;
}
