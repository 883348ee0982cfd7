/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the journal share: journal.c its life and what it is asked,
 * journal-keep.c what goes to the file, journal-restate.c what comes back. */
#pragma once

#include "core/fact/journal-file.h"
#include "core/fact/journal.h"
#include <chargehost/metrics.h>

#include <pthread.h>

/* The reports of one device that wait, in order; one is stated at a time. */
typedef struct {
  char *id;
  GQueue records;
  gboolean is_busy, is_listed;
} ChJournalLine;

struct _ChJournalRecord {
  ChJournalLine *line;
  guint64 number;
  gint64 offset; /* in the file, −1 until it is durable */
  gsize size;
  guint tries;
};

struct _ChJournal {
  ChCore *core;
  ChJournalFile *file; /* NULL: there is none */
  GHashTable *lines;   /* device id → ChJournalLine, owned */
  GQueue ready;        /* of ChJournalLine: with a record to be stated */
  GPtrArray *later;    /* of ChJournalLine: tried again in a while */
  guint64 newest;
  gint64 size, queued_bytes, max_bytes;
  guint waiting, in_flight, writing;
  gboolean started, is_away; /* the store did not take the last one */
  guint probe_ms;
  ChTimer timer, later_timer;
  char *refused_of;     /* device whose report could not be kept: alarmed */
  gint64 aside;         /* reports set aside since the start */
  char *trouble;        /* why nothing can be kept */
  pthread_mutex_t lock; /* of what the file has tried to write */
  GQueue written;
  ChSeries *n_kept, *n_stated, *n_aside, *n_refused, *waits, *bytes, *sync;
};

/* journal.c */
ChJournalRecord *ch_journal_add (ChJournal *journal, const char *device, guint64 number,
                                 gsize size);
/* A line that has something to state, and nobody at work on it, is put in the queue. */
void ch_journal_offer (ChJournal *journal, ChJournalLine *line);

/* journal-keep.c; any thread: what the file has tried to write. */
void ch_journal_written (gpointer journal, ChJournalWrite *writes, gint64 size,
                         gint64 sync_us);
/* Takes what has been tried. */
void ch_journal_drain (ChJournal *journal);
/* Marks it as stored; then it is forgotten. */
void ch_journal_write_done (ChJournal *journal, ChJournalRecord *record);
/* Beside the journal, then it is marked. */
void ch_journal_write_aside (ChJournal *journal, ChJournalRecord *record, char *text);

/* journal-restate.c */
void ch_journal_pump_soon (ChJournal *journal, guint64 delay_ms);
/* The line is tried again in a while. */
void ch_journal_later (ChJournal *journal, ChJournalLine *line);
