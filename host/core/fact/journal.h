/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal (gateway 11, F5): reports that carry money and that the store did not take
 * are kept in a local file, and their devices are answered once they are durable there.
 * When the store answers again they are stated anew, in order for each device, by the
 * same way as live ones; keys of reports make a second time harmless. One that can never
 * be stored is written to a file beside the journal and alarmed.
 */
#pragma once

#include "core/device/device.h"
#include <chargehost/http.h>

typedef struct _ChJournalRecord ChJournalRecord;

ChJournal *ch_journal_new (ChCore *core);
void ch_journal_free (ChJournal *journal);
/*
 * Opens the file in `journal.path` and takes what it has; without a file nothing is kept,
 * and everything else goes on. Blocks.
 */
void ch_journal_open (ChJournal *journal);
/* Waits until all is written that was given to it, and closes the file. */
void ch_journal_close (ChJournal *journal);
/* Begins to state what waits. */
void ch_journal_start (ChJournal *journal);

/* Whether reports of this device wait: then its newer ones have to wait behind them. */
gboolean ch_journal_holds (const ChDevice *device);
/* Whether a report that failed like this may be kept. */
gboolean ch_journal_wants (const GError *error);

/* @error: (nullable): NULL when it is durable */
typedef void (*ChJournalKept) (ChDevice *device, const GError *error, gpointer data);
/* @text (transfer full): the report; @drop frees @data when the answer is owed no more.
 */
void ch_journal_keep (ChDevice *device, char *text, ChJournalKept kept, gpointer data,
                      GDestroyNotify drop);

/* Its orders are moved by others again, unless reports wait. */
void ch_journal_unmark (ChDevice *device);

/* A report that was stated anew is through, or not. */
void ch_journal_settled (ChCore *core, ChJournalRecord *record, const GError *error);

/* Writes that are on their way to the disk. */
guint ch_journal_pending (const ChJournal *journal);
ChHealthStatus ch_journal_health (ChJournal *journal, json_t *details,
                                  const char **message);

/* fact-durable.c: puts a kept report into its device's queue; FALSE: it is no report. */
gboolean ch_fact_restate (ChDevice *device, const json_t *report,
                          ChJournalRecord *record);
