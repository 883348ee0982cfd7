/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A submitted transaction as the driver sees it. */
#include "store/store-private.h"

#include <string.h>

guint ch_tx_run_n_statements (const ChTxRun *run)
{
  return run->n;
}

const ChTxStatement *ch_tx_run_statement (const ChTxRun *run, guint index)
{
  return &run->statements[index];
}

gboolean ch_tx_run_read_only (const ChTxRun *run)
{
  return !run->writes;
}

gint64 ch_tx_run_deadline_us (const ChTxRun *run)
{
  return run->deadline_us;
}

guint ch_tx_run_lane (const ChTxRun *run)
{
  return run->lane;
}

/* ---- results ------------------------------------------------------------------------
 */

void ch_tx_run_reset (ChTxRun *run)
{
  ch_arena_clear (&run->rows);
  if (run->result.statements != NULL)
    memset (run->result.statements, 0, run->result.n * sizeof (ChTxRows));
  run->result.failed = -1;
  run->too_large = FALSE;
}

void ch_tx_run_begin (ChTxRun *run)
{
  if (run->started_us != 0)
    ch_tx_run_reset (run);
  run->started_us = g_get_monotonic_time ();
}

void ch_tx_run_begin_rows (ChTxRun *run, guint index, guint n_columns,
                           const char *const *names)
{
  ChTxRows *rows = &run->result.statements[index];

  g_return_if_fail (index < run->result.n && rows->names == NULL);
  rows->n_columns = n_columns;
  rows->names = ch_arena_alloc (&run->rows, MAX (n_columns, 1) * sizeof (const char *));
  for (guint i = 0; i < n_columns; i++)
    rows->names[i] = ch_arena_text (&run->rows, names[i], strlen (names[i]));
}

static void copy_value (ChTxRun *run, ChValue *to, const ChValue *from)
{
  *to = *from;
  if (from->kind == CH_VALUE_TEXT || from->kind == CH_VALUE_JSON
      || from->kind == CH_VALUE_BLOB)
    to->text = ch_arena_text (&run->rows, from->text, from->size);
}

void ch_tx_run_add_row (ChTxRun *run, guint index, const ChValue *values)
{
  ChTxRows *rows = &run->result.statements[index];

  if (run->rows.total > (gsize) run->result_max)
    run->too_large = TRUE;
  if (run->too_large)
    return;
  if (rows->n_rows == rows->room) {
    guint room = MAX (4, rows->room * 2);
    ChValue **grown = ch_arena_alloc (&run->rows, room * sizeof (ChValue *));
    if (rows->n_rows > 0)
      memcpy (grown, rows->rows, rows->n_rows * sizeof (ChValue *));
    rows->rows = grown;
    rows->room = room;
  }
  ChValue *row = ch_arena_alloc (&run->rows, rows->n_columns * sizeof (ChValue));
  for (guint i = 0; i < rows->n_columns; i++)
    copy_value (run, &row[i], &values[i]);
  rows->rows[rows->n_rows++] = row;
}

void ch_tx_run_set_changes (ChTxRun *run, guint index, guint64 changes)
{
  run->result.statements[index].changes = changes;
  run->result.statements[index].ended_us = g_get_monotonic_time ();
}

gboolean ch_tx_run_check_guard (const ChTxRun *run, guint index, GError **error)
{
  const ChTxStatement *statement = &run->statements[index];
  guint64 changes = run->result.statements[index].changes;

  if (G_UNLIKELY (run->too_large)) { /* here, because nothing is committed yet */
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED,
                 "%s: the result is larger than database.result_max",
                 statement->prepared->name);
    return FALSE;
  }
  if (changes >= statement->guard_min && changes <= statement->guard_max)
    return TRUE;
  g_set_error (
      error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD,
      "%s: %" G_GUINT64_FORMAT " rows, not %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
      statement->prepared->name, changes, statement->guard_min, statement->guard_max);
  return FALSE;
}

/* Any thread. The main loop is woken once for all that complete until it looks. */
void ch_tx_run_complete (ChTxRun *run, gint failed, GError *error)
{
  ChStore *store = run->store;

  run->ended_us = g_get_monotonic_time ();
  run->result.failed = failed;
  run->error = error;
  run->next_completed = NULL;

  pthread_mutex_lock (&store->lock);
  gboolean wake = FALSE;
  if (run->is_sync) {
    run->finished = TRUE;
  } else {
    if (store->completed == NULL)
      store->completed = run;
    else
      store->completed_last->next_completed = run;
    store->completed_last = run;
    wake = !store->posted;
    store->posted = TRUE;
  }
  pthread_mutex_unlock (&store->lock);
  if (wake)
    ch_post (store->self, ch_store_drain, store, NULL);
}
