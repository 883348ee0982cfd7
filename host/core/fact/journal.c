/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fact/journal-private.h"
#include "core/order/order.h"
#include <chargehost/json.h>

#include <string.h>

#define PROBE_MS 100

/* ---- lines --------------------------------------------------------------------------
 */

static ChJournalLine *line_of (ChJournal *journal, const char *id)
{
  ChJournalLine *line = g_hash_table_lookup (journal->lines, id);
  if (line == NULL) {
    line = g_new0 (ChJournalLine, 1);
    line->id = g_strdup (id);
    g_queue_init (&line->records);
    g_hash_table_insert (journal->lines, line->id, line);
  }
  return line;
}

static void line_free (gpointer data)
{
  ChJournalLine *line = data;
  g_queue_clear_full (&line->records, g_free);
  g_free (line->id);
  g_free (line);
}

ChJournalRecord *ch_journal_add (ChJournal *journal, const char *id, guint64 number,
                                 gsize size)
{
  ChJournalRecord *record = g_new0 (ChJournalRecord, 1);
  record->line = line_of (journal, id);
  record->number = number;
  record->size = size;
  record->offset = -1;
  g_queue_push_tail (&record->line->records, record);
  journal->waiting++;
  return record;
}

/* A line that has something to state, and nobody at work on it. */
void ch_journal_offer (ChJournal *journal, ChJournalLine *line)
{
  const ChJournalRecord *head = g_queue_peek_head (&line->records);
  if (line->is_busy || line->is_listed || head == NULL || head->offset < 0)
    return;
  line->is_listed = TRUE;
  g_queue_push_tail (&journal->ready, line);
}

gboolean ch_journal_holds (const ChDevice *device)
{
  const ChJournal *journal = device->core->journal;
  return journal != NULL && journal->waiting > 0
         && g_hash_table_contains (journal->lines, device->id);
}

/* ---- life ---------------------------------------------------------------------------
 */

static void found (gpointer data, guint64 number, const char *text, gsize size,
                   gint64 offset)
{
  ChJournal *journal = data;
  g_autoptr (json_t) report = ch_json_parse (text, size, NULL);
  const char *id = json_string_value (json_object_get (report, "device"));
  ChJournalRecord *record = ch_journal_add (journal, id != NULL ? id : "", number, size);
  record->offset = offset;
  ch_journal_offer (journal, record->line);
}

void ch_journal_open (ChJournal *journal)
{
  ChPlugin *self = journal->core->self;
  const char *folder = ch_config_string (self, "journal.path");
  ChJournalState state = {0};
  g_autoptr (GError) error = NULL;

  if (folder == NULL || *folder == '\0')
    folder = ch_config_string (self, "app.state_dir");
  journal->max_bytes = ch_config_int (self, "journal.max_bytes");
  journal->file
      = ch_journal_file_open (folder, found, ch_journal_written, journal, &state, &error);
  if (journal->file == NULL) {
    journal->trouble = g_strdup (error->message);
    ch_error (self, "no journal: reports are answered only when the store has them: %s",
              error->message);
    return;
  }
  journal->newest = state.newest;
  journal->size = state.size;
  if (state.cut > 0)
    ch_notice (self, "%" G_GINT64_FORMAT " bytes of an unfinished record cut off %s",
               state.cut, ch_journal_file_path (journal->file));
  if (state.damaged > 0)
    ch_error (self, "%" G_GINT64_FORMAT " bytes of %s are damaged: kept beside it",
              state.damaged, ch_journal_file_path (journal->file));
  if (journal->waiting > 0)
    ch_notice (self, "%u reports in the journal wait for the store", journal->waiting);
}

void ch_journal_start (ChJournal *journal)
{
  journal->started = journal->file != NULL;
  ch_journal_pump_soon (journal, 0);
}

void ch_journal_close (ChJournal *journal)
{
  journal->started = FALSE;
  ch_timer_cancel (journal->core->self, &journal->timer);
  ch_timer_cancel (journal->core->self, &journal->later_timer);
  g_clear_pointer (&journal->file, ch_journal_file_close);
  ch_journal_drain (journal); /* whoever waits for it is still there to be told */
}

static void collect (ChPlugin *self, gpointer data)
{
  const ChJournal *journal = data;
  ch_series_set (journal->waits, journal->waiting);
  ch_series_set (journal->bytes, (double) journal->size);
}

static ChSeries *series (ChCore *core, ChMetricKind kind, const char *name,
                         const char *help)
{
  return ch_metric_with (ch_metric_register (core->self, kind, name, help, NULL), NULL);
}

ChJournal *ch_journal_new (ChCore *core)
{
  ChJournal *journal = g_new0 (ChJournal, 1);
  journal->core = core;
  journal->lines = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, line_free);
  journal->later = g_ptr_array_new ();
  journal->probe_ms = PROBE_MS;
  g_queue_init (&journal->ready);
  pthread_mutex_init (&journal->lock, NULL);
  g_queue_init (&journal->written);
  journal->n_kept = series (core, CH_METRIC_COUNTER, "chargehost_journal_records_total",
                            "Reports kept in the journal.");
  journal->n_stated
      = series (core, CH_METRIC_COUNTER, "chargehost_journal_replayed_total",
                "Reports of the journal that the store has taken.");
  journal->n_aside
      = series (core, CH_METRIC_COUNTER, "chargehost_journal_set_aside_total",
                "Reports of the journal that can never be stored.");
  journal->n_refused
      = series (core, CH_METRIC_COUNTER, "chargehost_journal_refused_total",
                "Reports that could not be kept and were not answered.");
  journal->waits = series (core, CH_METRIC_GAUGE, "chargehost_journal_waiting",
                           "Reports in the journal that wait for the store.");
  journal->bytes = series (core, CH_METRIC_GAUGE, "chargehost_journal_bytes",
                           "Size of the journal.");
  journal->sync = series (core, CH_METRIC_HISTOGRAM, "chargehost_journal_write_seconds",
                          "Time to make a batch of records durable.");
  ch_metrics_add_collector (core->self, collect, journal);
  return journal;
}

void ch_journal_free (ChJournal *journal)
{
  if (journal == NULL)
    return;
  ch_journal_close (journal);
  pthread_mutex_destroy (&journal->lock);
  g_queue_clear (&journal->ready);
  g_ptr_array_unref (journal->later);
  g_hash_table_unref (journal->lines);
  g_free (journal->refused_of);
  g_free (journal->trouble);
  g_free (journal);
}

guint ch_journal_pending (const ChJournal *journal)
{
  return journal->writing;
}

ChHealthStatus ch_journal_health (ChJournal *journal, json_t *details,
                                  const char **message)
{
  json_object_set_new (details, "waiting", json_integer (journal->waiting));
  json_object_set_new (details, "bytes", json_integer (journal->size));
  json_object_set_new (details, "max_bytes", json_integer (journal->max_bytes));
  json_object_set_new (details, "set_aside", json_integer (journal->aside));
  if (journal->file == NULL)
    *message = "no journal";
  else if (journal->refused_of != NULL)
    *message = "reports cannot be kept";
  else if (journal->aside > 0)
    *message = "reports are set aside";
  else if (journal->waiting > 0)
    *message = "reports wait for the store";
  else
    return CH_HEALTH_HEALTHY;
  return CH_HEALTH_DEGRADED;
}
