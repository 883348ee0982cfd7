/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits, and which connection takes it. */
#include "pgsql.h"

/* Reads that share a round trip at most: one that is slow keeps those behind it waiting.
 */
#define READS_MAX 16
/* After this time a server that was asked to stop a statement is given up. */
#define CANCEL_GRACE_US (1000 * 1000)

/* ---- lanes and texts --------------------------------------------------------------- */

PgLane *pg_lane (Pg *pg, guint id)
{
  PgLane *lane = g_hash_table_lookup (pg->lanes, GUINT_TO_POINTER (id));

  if (lane == NULL) {
    lane = g_new0 (PgLane, 1);
    lane->id = id;
    g_queue_init (&lane->waiting);
    g_hash_table_insert (pg->lanes, GUINT_TO_POINTER (id), lane);
  }
  return lane;
}

PgText *pg_text_of (Pg *pg, const ChPrepared *prepared)
{
  if (prepared->id >= pg->texts->len)
    g_ptr_array_set_size (pg->texts, (gint) prepared->id + 1);
  PgText *text = g_ptr_array_index (pg->texts, prepared->id);
  if (text == NULL) {
    text = pg_text_new (prepared->sql, prepared->n_params);
    g_ptr_array_index (pg->texts, prepared->id) = text;
  }
  return text;
}

/* A lane is in the list when it has work and none of it is at a connection. */
static void offer_lane (Pg *pg, PgLane *lane)
{
  if (!lane->busy && !lane->listed && lane->waiting.length > 0) {
    lane->listed = TRUE;
    g_queue_push_tail (&pg->ready_lanes, lane);
  }
}

/* ---- units ------------------------------------------------------------------------- */

void pg_unit_fail (PgUnit *unit, gint failed, GError *error)
{
  if (unit->error != NULL) {
    g_error_free (error);
    return;
  }
  unit->failed = failed;
  unit->error = error;
}

void pg_unit_complete (Pg *pg, PgUnit *unit)
{
  pg->outstanding--;
  if (unit->lane != NULL && (unit->table == NULL || unit->in_queue))
    unit->lane->finished++;
  if (unit->in_queue && unit->error == NULL)
    ch_tx_run_set_changes (unit->run, 0, unit->inserted);
  ch_tx_run_complete (unit->run, unit->failed, unit->error);
  g_free (unit);
}

static void complete_error (Pg *pg, PgUnit *unit, ChStoreError code, const char *text)
{
  pg_unit_fail (unit, -1, g_error_new (CH_STORE_ERROR, (gint) code, "%s", text));
  pg_unit_complete (pg, unit);
}

static PgUnit *unit_new (Pg *pg, ChTxRun *run)
{
  PgUnit *unit = g_new0 (PgUnit, 1);

  unit->run = run;
  unit->failed = -1;
  unit->queued_us = g_get_monotonic_time ();
  unit->deadline_us = ch_tx_run_deadline_us (run);
  if (!ch_tx_run_read_only (run)) {
    unit->lane = pg_lane (pg, ch_tx_run_lane (run));
    unit->lane->submitted++;
  }
  pg->outstanding++;
  return unit;
}

/* What cannot be sent at all. */
static gboolean check_texts (Pg *pg, PgUnit *unit)
{
  guint n = ch_tx_run_n_statements (unit->run);

  for (guint i = 0; i < n; i++) {
    const ChTxStatement *s = ch_tx_run_statement (unit->run, i);
    const PgText *text = pg_text_of (pg, s->prepared);
    gboolean guarded = s->guard_min > 0 || s->guard_max < G_MAXUINT64;
    const char *wrong = text->refusal;
    if (wrong == NULL && guarded && unit->lane != NULL && text->guarded == NULL)
      wrong = "a guard needs a statement that counts rows";
    if (wrong != NULL) {
      pg_unit_fail (unit, (gint) i,
                    g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "%s: %s",
                                 s->prepared->name, wrong));
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean is_down (Pg *pg, gint64 now_us)
{
  return pg->down_us != 0 && now_us - pg->down_us > pg->options.connect_ms * 1000;
}

static const char *down_text (Pg *pg)
{
  return pg->down_reason != NULL ? pg->down_reason : "there is no connection";
}

PgUnit *pg_admit (Pg *pg, ChTxRun *run)
{
  PgUnit *unit = unit_new (pg, run);

  if (!check_texts (pg, unit)) {
    pg_unit_complete (pg, unit);
    return NULL;
  }
  if (is_down (pg, unit->queued_us)) {
    complete_error (pg, unit, CH_STORE_ERROR_UNAVAILABLE, down_text (pg));
    return NULL;
  }
  return unit;
}

void pg_queue_write (Pg *pg, PgUnit *unit)
{
  if (unit->table != NULL && !unit->in_queue) {
    unit->in_queue = TRUE;
    unit->lane->submitted++;
  }
  g_queue_push_tail (&unit->lane->waiting, unit);
  offer_lane (pg, unit->lane);
  pg_loop_kick (pg);
}

void pg_submit (Pg *pg, ChTxRun *run)
{
  PgUnit *unit = pg_admit (pg, run);

  if (unit == NULL)
    return;
  if (unit->lane == NULL) {
    unit->written = pg->written;
    gboolean replica = pg->replicas->len > 0 && pg_replicas_take (pg, unit->queued_us);
    g_queue_push_tail (replica ? &pg->replica_reads : &pg->reads, unit);
  } else {
    pg_queue_write (pg, unit);
  }
  pg_loop_kick (pg);
}

/* ---- a settled batch --------------------------------------------------------------- */

void pg_unit_renew (PgUnit *unit)
{
  g_clear_error (&unit->error);
  unit->failed = -1;
  unit->again = unit->ended = unit->wrote = unit->cancelled = FALSE;
  unit->queued_us = g_get_monotonic_time ();
  unit->at = 0;
  unit->inserted = 0;
}

gboolean pg_unit_wants_repetition (Pg *pg, PgUnit *unit)
{
  return unit->again && !pg->closing && g_get_monotonic_time () < unit->deadline_us;
}

void pg_batch_done (Pg *pg, GPtrArray *units)
{
  PgLane *lane = NULL;

  for (guint i = units->len; i-- > 0;) {
    PgUnit *unit = g_ptr_array_index (units, i);
    lane = unit->lane;
    if (!pg_unit_wants_repetition (pg, unit))
      continue;
    pg_unit_renew (unit);
    g_queue_push_head (lane != NULL ? &lane->waiting : &pg->reads, unit);
    g_ptr_array_index (units, i) = NULL;
  }
  for (guint i = 0; i < units->len; i++)
    if (g_ptr_array_index (units, i) != NULL)
      pg_unit_complete (pg, g_ptr_array_index (units, i));
  g_ptr_array_unref (units);
  if (lane != NULL) {
    lane->busy = FALSE;
    offer_lane (pg, lane);
  }
  pg_loop_kick (pg);
}

/* ---- choosing ---------------------------------------------------------------------- */

GPtrArray *pg_take (Pg *pg, GQueue *queue, guint max, gint64 now_us)
{
  GPtrArray *units = g_ptr_array_sized_new (max);

  while (units->len < max && queue->length > 0) {
    PgUnit *unit = g_queue_pop_head (queue);
    if (now_us >= unit->deadline_us)
      complete_error (pg, unit, CH_STORE_ERROR_TIMEOUT, "not begun before its deadline");
    else
      g_ptr_array_add (units, unit);
  }
  return units;
}

static void dispatch_writes (Pg *pg, gint64 now_us)
{
  guint max = pg->can_flush ? pg->options.batch_max : 1;

  while (pg->ready_lanes.length > 0) {
    PgConn *conn = pg_pool_idle (pg, PG_WRITER);
    if (conn == NULL) {
      pg_pool_want (pg, PG_WRITER, pg->ready_lanes.length);
      return;
    }
    PgLane *lane = g_queue_pop_head (&pg->ready_lanes);
    lane->listed = FALSE;
    GPtrArray *units = pg_take (pg, &lane->waiting, max, now_us);
    if (units->len == 0) {
      g_ptr_array_unref (units);
      continue;
    }
    lane->busy = TRUE;
    pg_conn_send (conn, units);
  }
}

static void dispatch_reads (Pg *pg, gint64 now_us)
{
  while (pg->reads.length > 0) {
    PgConn *conn = pg_pool_idle (pg, PG_READER);
    if (conn == NULL) {
      pg_pool_want (pg, PG_READER, pg->reads.length);
      return;
    }
    guint readers = MAX (pg_pool_count (pg, PG_READER, TRUE), 1);
    guint share = (pg->reads.length + readers - 1) / readers;
    GPtrArray *units = pg_take (pg, &pg->reads, CLAMP (share, 1, READS_MAX), now_us);
    if (units->len > 0)
      pg_conn_send (conn, units);
    else
      g_ptr_array_unref (units);
  }
}

/* In their order, each when what its owner has submitted before is finished. */
static void dispatch_bulks (Pg *pg)
{
  PgUnit *unit = g_queue_peek_head (&pg->bulks);

  if (unit == NULL || unit->lane->finished < unit->after)
    return;
  PgConn *conn = pg_pool_idle (pg, PG_COPY);
  if (conn == NULL) {
    pg_pool_want (pg, PG_COPY, 1);
    return;
  }
  g_queue_pop_head (&pg->bulks);
  pg_copy_begin (conn, unit);
}

void pg_dispatch (Pg *pg)
{
  gint64 now_us = g_get_monotonic_time ();

  if (pg->held)
    return;
  dispatch_writes (pg, now_us);
  pg_replicas_dispatch (pg, now_us);
  dispatch_reads (pg, now_us);
  dispatch_bulks (pg);
}

/* ---- deadlines --------------------------------------------------------------------- */

static void check_queue (Pg *pg, GQueue *queue, gint64 now_us, gboolean reads)
{
  gint64 patience_us = pg->options.connect_ms * 1000;
  GList *next;

  for (GList *l = queue->head; l != NULL; l = next) {
    PgUnit *unit = l->data;
    next = l->next;
    gboolean late = now_us >= unit->deadline_us;
    gboolean impatient = now_us - unit->queued_us > patience_us;
    if (!late && !(impatient && (reads || pg->down_us != 0)))
      continue;
    g_queue_delete_link (queue, l);
    if (late)
      complete_error (pg, unit, CH_STORE_ERROR_TIMEOUT, "not begun before its deadline");
    else if (pg->down_us != 0)
      complete_error (pg, unit, CH_STORE_ERROR_UNAVAILABLE, down_text (pg));
    else
      complete_error (pg, unit, CH_STORE_ERROR_BUSY, "all connections are busy");
  }
}

/* A replica that does not come to them keeps nobody waiting. */
static void check_replica_queue (Pg *pg, gint64 now_us)
{
  gint64 patience_us = pg->options.connect_ms * 1000 / 4;
  PgUnit *unit;

  while ((unit = g_queue_peek_head (&pg->replica_reads)) != NULL
         && now_us - unit->queued_us > patience_us) {
    g_queue_push_tail (&pg->reads, g_queue_pop_head (&pg->replica_reads));
    pg_loop_kick (pg);
  }
}

static void check_conn (PgConn *conn, gint64 now_us)
{
  PgUnit *unit = conn->current;

  if (unit == NULL || conn->state != PG_READY)
    return;
  if (conn->role == PG_REPLICA
      && now_us - conn->sent_us > (unit->deadline_us - conn->sent_us) / 2) {
    pg_replica_silent (conn); /* there is time for the primary */
    return;
  }
  if (now_us < unit->deadline_us)
    return;
  if (!unit->cancelled) {
    unit->cancelled = TRUE;
    conn->cancel_us = now_us;
    pg_conn_cancel (conn);
  } else if (now_us - conn->cancel_us > CANCEL_GRACE_US) {
    pg_conn_break (conn, g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                      "the server does not answer"));
    pg_pool_suspect (conn->pg);
  }
}

void pg_check_deadlines (Pg *pg, gint64 now_us)
{
  GHashTableIter iter;
  gpointer lane;

  if (pg->outstanding == 0)
    return;
  check_queue (pg, &pg->reads, now_us, TRUE);
  check_replica_queue (pg, now_us);
  check_queue (pg, &pg->bulks, now_us, FALSE);
  g_hash_table_iter_init (&iter, pg->lanes);
  while (g_hash_table_iter_next (&iter, NULL, &lane))
    check_queue (pg, &((PgLane *) lane)->waiting, now_us, FALSE);
  for (guint i = 0; i < pg->conns->len; i++)
    check_conn (g_ptr_array_index (pg->conns, i), now_us);
}

static void fail_queue (Pg *pg, GQueue *queue, const GError *error)
{
  PgUnit *unit;

  while ((unit = g_queue_pop_head (queue)) != NULL) {
    pg_unit_fail (unit, -1, g_error_copy (error));
    pg_unit_complete (pg, unit);
  }
}

void pg_fail_waiting (Pg *pg, const GError *error)
{
  GHashTableIter iter;
  gpointer lane;

  fail_queue (pg, &pg->reads, error);
  fail_queue (pg, &pg->replica_reads, error);
  fail_queue (pg, &pg->bulks, error);
  g_hash_table_iter_init (&iter, pg->lanes);
  while (g_hash_table_iter_next (&iter, NULL, &lane))
    fail_queue (pg, &((PgLane *) lane)->waiting, error);
}
