/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "batch.h"

/* Longest time until a commit; what has not been begun by then goes into the next one. */
#define LONGEST_US (50 * 1000)

/* Outcome of a round. */
typedef enum {
  DONE,  /* committed, or everything failed */
  AGAIN, /* SQLite rolled all back because of one, which is out now */
} Round;

static int at_commit (void *data, sqlite3 *handle, const char *name, int pages)
{
  SqBatch *batch = data;
  batch->log_pages = pages;
  return SQLITE_OK;
}

static const char *const FIXED[SQ_N_FIXED]
    = {"BEGIN IMMEDIATE", "COMMIT", "SAVEPOINT s", "RELEASE s"};

static gboolean prepare_fixed (SqBatch *batch, GError **error)
{
  for (guint i = 0; i < SQ_N_FIXED; i++) {
    int rc = sqlite3_prepare_v3 (batch->db.handle, FIXED[i], -1,
                                 SQLITE_PREPARE_PERSISTENT, &batch->fixed[i], NULL);
    if (rc != SQLITE_OK) {
      sq_set_error (error, batch->db.handle, rc, FIXED[i]);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean say (SqBatch *batch, SqFixed what, GError **error)
{
  int rc = sqlite3_step (batch->fixed[what]);

  if (rc != SQLITE_DONE)
    sq_set_error (error, batch->db.handle, rc, FIXED[what]);
  sqlite3_reset (batch->fixed[what]);
  return rc == SQLITE_DONE;
}

gboolean sq_batch_open (SqBatch *batch, ChPlugin *self, const SqOptions *options,
                        GError **error)
{
  if (!sq_db_open (&batch->db, options, SQ_WRITER, error))
    return FALSE;
  if (!prepare_fixed (batch, error)) {
    sq_batch_close (batch);
    return FALSE;
  }
  batch->self = self;
  batch->max = options->batch_max;
  batch->checkpoint_pages = options->checkpoint_pages;
  batch->slots = g_new0 (SqSlot, batch->max);
  sqlite3_wal_hook (batch->db.handle, at_commit, batch);
  return TRUE;
}

void sq_batch_close (SqBatch *batch)
{
  for (guint i = 0; i < SQ_N_FIXED; i++)
    sqlite3_finalize (g_steal_pointer (&batch->fixed[i]));
  sq_db_close (&batch->db);
  g_clear_pointer (&batch->slots, g_free);
}

void sq_batch_add (SqBatch *batch, ChTxRun *run)
{
  SqSlot *slot = &batch->slots[batch->n++];
  slot->run = run;
  slot->error = NULL;
  slot->failed = -1;
}

static gboolean in_transaction (const SqBatch *batch)
{
  return !sqlite3_get_autocommit (batch->db.handle);
}

static void roll_back (SqBatch *batch)
{
  if (in_transaction (batch))
    sq_db_exec (&batch->db, "ROLLBACK", NULL);
}

static void note_error (SqBatch *batch, const GError *error)
{
  if (!g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT))
    return;
  if (g_atomic_int_add (&batch->corrupt, 1) == 0)
    ch_error (batch->self, "the database is corrupt: %s", error->message);
}

/* Gives all from @first to @end the same error, those apart that failed before. */
static void fail_all (SqBatch *batch, guint first, guint end, const GError *error)
{
  for (guint i = first; i < end; i++)
    if (batch->slots[i].error == NULL)
      batch->slots[i].error = g_error_copy (error);
}

/* A deferred constraint would fail the common commit, so each is asked at its end. */
static gboolean check_deferred (SqBatch *batch, GError **error)
{
  int open = 0, highest;

  sqlite3_db_status (batch->db.handle, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &highest, 0);
  if (open == 0)
    return TRUE;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FOREIGN_KEY,
               "a deferred foreign key does not hold at the end of the transaction");
  return FALSE;
}

static void run_slot (SqBatch *batch, SqSlot *slot)
{
  SqDb *db = &batch->db;

  if (g_get_monotonic_time () > ch_tx_run_deadline_us (slot->run)) {
    slot->error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                               "not begun before its deadline");
    return;
  }
  if (!say (batch, SQ_SAVEPOINT, &slot->error))
    return;
  if (sq_db_run (db, slot->run, &slot->failed, &slot->error)
      && check_deferred (batch, &slot->error)) {
    say (batch, SQ_RELEASE, &slot->error);
    return;
  }
  if (in_transaction (batch))
    sq_db_exec (db, "ROLLBACK TO s; RELEASE s", NULL);
}

/* Runs what can be run in time. *@end: how many of the batch are settled by this round.
 */
static Round run_slots (SqBatch *batch, guint *end)
{
  gint64 until_us = g_get_monotonic_time () + LONGEST_US;

  for (guint i = 0; i < batch->n; i++) {
    SqSlot *slot = &batch->slots[i];
    if (slot->error != NULL)
      continue;
    run_slot (batch, slot);
    if (slot->error != NULL) {
      note_error (batch, slot->error);
      if (!in_transaction (batch)) {
        if (sq_is_fatal (slot->error))
          fail_all (batch, 0, batch->n, slot->error);
        return AGAIN;
      }
    }
    if (i + 1 < batch->n && g_get_monotonic_time () > until_us) {
      *end = i + 1;
      return DONE;
    }
  }
  *end = batch->n;
  return DONE;
}

static gboolean has_open (const SqBatch *batch)
{
  for (guint i = 0; i < batch->n; i++)
    if (batch->slots[i].error == NULL)
      return TRUE;
  return FALSE;
}

static gboolean commit (SqBatch *batch, GError **error)
{
  gint64 began_us = g_get_monotonic_time ();
  gboolean ok = say (batch, SQ_COMMIT, error);
  gint64 took_us = g_get_monotonic_time () - began_us;

  batch->commit_us += (took_us - batch->commit_us) / 4;
  return ok;
}

/* One BEGIN … COMMIT. */
static Round run_round (SqBatch *batch, guint *end)
{
  g_autoptr (GError) error = NULL;

  *end = batch->n;
  if (!has_open (batch))
    return DONE;
  if (!say (batch, SQ_BEGIN, &error)) {
    note_error (batch, error);
    fail_all (batch, 0, batch->n, error);
    return DONE;
  }
  if (run_slots (batch, end) == AGAIN)
    return AGAIN;
  if (!commit (batch, &error)) {
    roll_back (batch);
    note_error (batch, error);
    fail_all (batch, 0, *end, error);
  }
  return DONE;
}

static void complete (SqBatch *batch, guint end)
{
  for (guint i = 0; i < end; i++) {
    SqSlot *slot = &batch->slots[i];
    ch_tx_run_complete (slot->run, slot->failed, slot->error);
  }
  for (guint i = end; i < batch->n; i++)
    batch->slots[i - end] = batch->slots[i];
  batch->n -= end;
}

/*
 * Copies the log into the database once it is long. This thread does it, between two
 * commits: while it writes nothing, the log can be copied whole and begun anew, however
 * busy it is.
 */
static void checkpoint (SqBatch *batch)
{
  int rc;

  if (batch->log_pages < batch->copied_pages)
    batch->copied_pages = 0; /* it was begun anew */
  /* A reader, or a copy that is being made, may hold it: then not at every commit. */
  if (batch->log_pages - batch->copied_pages < batch->checkpoint_pages)
    return;
  rc = sqlite3_wal_checkpoint_v2 (batch->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                  NULL);
  batch->copied_pages = batch->log_pages;
  if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
    g_autoptr (GError) error = NULL;
    sq_set_error (&error, batch->db.handle, rc, "copying the log");
    note_error (batch, error);
    ch_warning (batch->self, "%s", error->message);
  }
}

void sq_batch_commit (SqBatch *batch)
{
  while (batch->n > 0) {
    guint end;
    while (run_round (batch, &end) == AGAIN)
      ;
    complete (batch, end);
  }
  checkpoint (batch);
}

gboolean sq_batch_script (SqBatch *batch, const char *sql, GError **error)
{
  if (sq_db_exec (&batch->db, sql, error))
    return TRUE;
  roll_back (batch);
  return FALSE;
}
