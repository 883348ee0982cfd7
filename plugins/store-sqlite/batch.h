/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Group commit: several transactions in one of SQLite's. Used by the writer's thread. */
#pragma once

#include "sqlite.h"

typedef struct {
  ChTxRun *run;
  GError *error; /* it is out */
  gint failed;
} SqSlot;

/* What every batch says; prepared once. */
typedef enum { SQ_BEGIN, SQ_COMMIT, SQ_SAVEPOINT, SQ_RELEASE, SQ_N_FIXED } SqFixed;

typedef struct {
  ChPlugin *self;
  SqDb db;
  sqlite3_stmt *fixed[SQ_N_FIXED];
  SqSlot *slots;
  guint n;
  guint max;
  gint64 checkpoint_pages;
  gint log_pages;    /* in the write-ahead log after the last commit */
  gint copied_pages; /* of them when it was copied last */
  gint64 commit_us;  /* how long a commit takes, about */
  gint corrupt;      /* atomic */
} SqBatch;

gboolean sq_batch_open (SqBatch *batch, ChPlugin *self, const SqOptions *options,
                        GError **error);
void sq_batch_close (SqBatch *batch);

static inline gboolean sq_batch_has_room (const SqBatch *batch)
{
  return batch->n < batch->max;
}

void sq_batch_add (SqBatch *batch, ChTxRun *run);
/* Runs, commits and completes all that were added. */
void sq_batch_commit (SqBatch *batch);
/* Runs a script; when it fails, an open transaction is rolled back. */
gboolean sq_batch_script (SqBatch *batch, const char *sql, GError **error);
