/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes to the file: reports, marks, what is set aside. */
#include "core/fact/journal-private.h"
#include "core/order/order.h"
#include <chargehost/error.h>

#include <string.h>

#define TEXT_MAX (255u * 1024)

typedef struct {
  ChJournalWrite write;
  ChJournalRecord *record;
  ChJournalKept kept;
  gpointer data;
  GDestroyNotify drop;
} Write;

void ch_journal_unmark (ChDevice *device)
{
  if (ch_journal_holds (device))
    return;
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++)
    ((ChOrder *) g_ptr_array_index (device->orders, i))->is_journalled = FALSE;
}

/* ---- writing ---- */

static void write_free (Write *write)
{
  if (write->drop != NULL)
    write->drop (write->data);
  g_free (write->write.text);
  g_free (write);
}

static void write_it (ChJournal *journal, Write *write)
{
  if (journal->file == NULL) { /* closed: what is not marked is stated again */
    write_free (write);
    return;
  }
  journal->writing++;
  ch_journal_file_append (journal->file, &write->write);
}

static void write_empty (ChJournal *journal)
{
  Write *write = g_new0 (Write, 1);
  write->write.kind = CH_JOURNAL_EMPTY;
  write_it (journal, write);
}

static void forget (ChJournal *journal, ChJournalRecord *record)
{
  ChJournalLine *line = record->line;
  g_queue_remove (&line->records, record);
  g_free (record);
  journal->waiting--;
  if (line->records.length == 0) {
    ChDevice *device = ch_device_find (journal->core, line->id);
    g_hash_table_remove (journal->lines, line->id);
    if (device != NULL)
      ch_journal_unmark (device);
  } else
    ch_journal_offer (journal, line);
  if (journal->waiting == 0)
    write_empty (journal);
}

void ch_journal_write_done (ChJournal *journal, ChJournalRecord *record)
{
  Write *write = g_new0 (Write, 1);
  write->write.kind = CH_JOURNAL_DONE;
  write->write.number = record->number;
  write->record = record;
  write_it (journal, write);
}

void ch_journal_write_aside (ChJournal *journal, ChJournalRecord *record, char *text)
{
  Write *write = g_new0 (Write, 1);
  write->write.kind = CH_JOURNAL_SET_ASIDE;
  write->write.text = text;
  write->write.size = strlen (text);
  write->record = record;
  write_it (journal, write);
}

/* ---- what came of it ---- */

/* Nothing more fits: said once, until something does. */
static void refused (ChJournal *journal, const char *id, const char *why)
{
  ChPlugin *self = journal->core->self;
  ch_series_inc (journal->n_refused);
  if (journal->refused_of != NULL)
    return;
  journal->refused_of = g_strdup (id);
  g_free (journal->trouble);
  journal->trouble = g_strdup (why);
  ch_log (self, CH_LOG_ERROR, CH_LOG_FIELDS ("device", id),
          "reports can neither be stored nor kept, so they are not answered: %s", why);
  ch_core_alarm (journal->core, id, -1, -1, "journal_unwritable", CH_ALARM_CRITICAL, TRUE,
                 "Reports of charges cannot be kept", why, NULL);
}

static void accepted (ChJournal *journal)
{
  if (journal->refused_of == NULL)
    return;
  ch_core_alarm (journal->core, journal->refused_of, -1, -1, "journal_unwritable",
                 CH_ALARM_CRITICAL, FALSE, NULL, NULL, NULL);
  g_clear_pointer (&journal->refused_of, g_free);
  g_clear_pointer (&journal->trouble, g_free);
}

static void fact_written (ChJournal *journal, Write *write)
{
  ChJournalRecord *record = write->record;
  ChDevice *device = ch_device_find (journal->core, record->line->id);
  g_autoptr (GError) error = NULL;
  ChJournalKept kept = write->kept;

  journal->queued_bytes -= (gint64) ch_journal_file_cost (write->write.size);
  write->drop = NULL;
  if (write->write.error != 0) {
    error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_DISK_FULL, "the journal: %s",
                         g_strerror (write->write.error));
    refused (journal, record->line->id, error->message);
    forget (journal, record);
  } else {
    ch_series_inc (journal->n_kept);
    accepted (journal);
    record->offset = write->write.offset;
    ch_journal_offer (journal, record->line);
    if (journal->started && journal->timer == 0)
      ch_journal_pump_soon (journal, journal->is_away ? journal->probe_ms : 0);
  }
  kept (device, error, write->data);
}

static void aside_written (ChJournal *journal, Write *write)
{
  ChJournalRecord *record = write->record;
  if (write->write.error != 0) {
    ch_error (journal->core->self, "a report cannot be set aside: %s",
              g_strerror (write->write.error));
    record->line->is_busy = FALSE;
    ch_journal_later (journal, record->line);
    return;
  }
  journal->aside++;
  ch_series_inc (journal->n_aside);
  ch_journal_write_done (journal, record);
}

static void done_written (ChJournal *journal, Write *write)
{
  if (write->write.error != 0)
    ch_error (journal->core->self, "a stored report is not marked in the journal: %s",
              g_strerror (write->write.error));
  write->record->line->is_busy = FALSE;
  forget (journal, write->record);
  ch_journal_pump_soon (journal, 0);
}

/* What one look at the queue of the file has brought. */
typedef struct {
  ChJournalWrite *writes;
  gint64 size, sync_us;
} Batch;

static void take_batch (ChJournal *journal, Batch *batch)
{
  journal->size = batch->size;
  ch_series_observe (journal->sync, (double) batch->sync_us / 1e6);
  for (ChJournalWrite *w = batch->writes, *next; w != NULL; w = next) {
    Write *write = (Write *) w;
    next = w->next;
    journal->writing--;
    if (w->kind == CH_JOURNAL_FACT)
      fact_written (journal, write);
    else if (w->kind == CH_JOURNAL_SET_ASIDE)
      aside_written (journal, write);
    else if (w->kind == CH_JOURNAL_DONE)
      done_written (journal, write);
    write_free (write);
  }
  g_free (batch);
}

void ch_journal_drain (ChJournal *journal)
{
  Batch *batch;
  do {
    pthread_mutex_lock (&journal->lock);
    batch = g_queue_pop_head (&journal->written);
    pthread_mutex_unlock (&journal->lock);
    if (batch != NULL)
      take_batch (journal, batch);
  } while (batch != NULL);
}

static void drain (ChPlugin *self, gpointer data)
{
  ch_journal_drain (data);
}

void ch_journal_written (gpointer data, ChJournalWrite *writes, gint64 size,
                         gint64 sync_us)
{
  ChJournal *journal = data;
  Batch *batch = g_new0 (Batch, 1);
  *batch = (Batch) {writes, size, sync_us};
  pthread_mutex_lock (&journal->lock);
  g_queue_push_tail (&journal->written, batch);
  pthread_mutex_unlock (&journal->lock);
  ch_post (journal->core->self, drain, journal, NULL);
}

/* ---- a report ---- */

static const char *no_room (ChJournal *journal, gsize size)
{
  gint64 cost = (gint64) ch_journal_file_cost (size);
  if (journal->file == NULL)
    return journal->trouble != NULL ? journal->trouble : "there is no journal";
  if (size > TEXT_MAX)
    return "the report is too large";
  if (journal->size + journal->queued_bytes + cost > journal->max_bytes)
    return "the journal is full (journal.max_bytes)";
  return NULL;
}

void ch_journal_keep (ChDevice *device, char *text, ChJournalKept kept, gpointer data,
                      GDestroyNotify drop)
{
  ChJournal *journal = device->core->journal;
  gsize size = strlen (text);
  const char *why = no_room (journal, size);

  if (why != NULL) {
    g_autoptr (GError) error
        = g_error_new_literal (CH_STORE_ERROR, CH_STORE_ERROR_DISK_FULL, why);
    g_autofree char *reason = g_strdup (why);
    refused (journal, device->id, reason);
    g_free (text);
    kept (device, error, data);
    return;
  }
  if (journal->waiting == 0)
    ch_warning (journal->core->self, "the store does not take reports of charges: they "
                                     "are kept in the journal");
  Write *write = g_new0 (Write, 1);
  write->record = ch_journal_add (journal, device->id, ++journal->newest, size);
  write->write.kind = CH_JOURNAL_FACT;
  write->write.number = journal->newest;
  write->write.text = text;
  write->write.size = size;
  write->kept = kept;
  write->data = data;
  write->drop = drop;
  journal->queued_bytes += (gint64) ch_journal_file_cost (size);
  write_it (journal, write);
}
