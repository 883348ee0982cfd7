/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the journal kept is stated anew. */
#include "core/fact/journal-private.h"
#include "core/session/session.h"
#include <chargehost/error.h>
#include <chargehost/json.h>

#define IN_FLIGHT_MAX 64
#define PROBE_MS 100
#define PROBE_MAX_MS 500
#define AGAIN_MS 250

static gboolean is_constraint (const GError *error)
{
  if (error->domain != CH_STORE_ERROR)
    return FALSE;
  switch ((ChStoreError) error->code) {
  case CH_STORE_ERROR_GUARD:
  case CH_STORE_ERROR_UNIQUE:
  case CH_STORE_ERROR_FOREIGN_KEY:
  case CH_STORE_ERROR_CHECK:
  case CH_STORE_ERROR_USAGE:
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean ch_journal_wants (const GError *error)
{
  return error != NULL && error->domain == CH_STORE_ERROR && !is_constraint (error);
}

/* Another state may let it in: an order just read anew, or moved by another instance. */
static guint patience (const GError *error)
{
  if (error->domain != CH_STORE_ERROR)
    return 240;
  return error->code == CH_STORE_ERROR_GUARD || error->code == CH_STORE_ERROR_UNIQUE ? 8
                                                                                     : 3;
}

static void set_aside (ChJournal *journal, ChJournalRecord *record, const char *why)
{
  ChPlugin *self = journal->core->self;
  const char *id = record->line->id;
  g_autofree char *text
      = ch_journal_file_read (journal->file, record->offset, record->size);

  ch_log (self, CH_LOG_ERROR, CH_LOG_FIELDS ("device", id),
          "a kept report cannot be stored and is set aside beside %s: %s",
          ch_journal_file_path (journal->file), why);
  ch_core_alarm (journal->core, id, -1, -1, "report_set_aside", CH_ALARM_MAJOR, TRUE,
                 "A report of a charge cannot be stored", why, NULL);
  record->line->is_busy = TRUE;
  ch_journal_write_aside (journal, record,
                          g_strconcat (text != NULL ? text : "", "\n", NULL));
}

static void look_later (ChPlugin *self, gpointer data)
{
  ChJournal *journal = data;
  journal->later_timer = 0;
  for (guint i = 0; i < journal->later->len; i++) {
    ChJournalLine *line = g_ptr_array_index (journal->later, i);
    line->is_listed = FALSE;
    ch_journal_offer (journal, line);
  }
  g_ptr_array_set_size (journal->later, 0);
  ch_journal_pump_soon (journal, 0);
}

void ch_journal_later (ChJournal *journal, ChJournalLine *line)
{
  line->is_listed = TRUE; /* not offered until then */
  g_ptr_array_add (journal->later, line);
  if (journal->later_timer == 0)
    journal->later_timer
        = ch_timer_add (journal->core->self, AGAIN_MS, look_later, journal);
}

/* One that only another instance's memory had until now. */
static ChDevice *device_of (ChJournal *journal, const char *id)
{
  ChCore *core = journal->core;
  ChDevice *device = ch_device_find (core, id);
  if (device == NULL) {
    device = ch_device_add (core, id);
    ch_sessions_meet (core->sessions, device);
  }
  return device;
}

static void state_one (ChJournal *journal, ChJournalLine *line)
{
  ChJournalRecord *record = g_queue_peek_head (&line->records);
  g_autofree char *text
      = ch_journal_file_read (journal->file, record->offset, record->size);
  g_autoptr (json_t) report
      = text != NULL ? ch_json_parse (text, record->size, NULL) : NULL;

  line->is_busy = TRUE;
  journal->in_flight++;
  if (report == NULL
      || !ch_fact_restate (device_of (journal, line->id), report, record)) {
    journal->in_flight--;
    set_aside (journal, record, "it cannot be read");
  }
}

static void pump (ChPlugin *self, gpointer data)
{
  ChJournal *journal = data;
  ChJournalLine *line;

  journal->timer = 0;
  while (journal->in_flight < (journal->is_away ? 1 : IN_FLIGHT_MAX)
         && (line = g_queue_pop_head (&journal->ready)) != NULL) {
    line->is_listed = FALSE;
    state_one (journal, line);
  }
}

void ch_journal_pump_soon (ChJournal *journal, guint64 delay_ms)
{
  if (!journal->started || journal->ready.length == 0)
    return;
  ch_timer_cancel (journal->core->self, &journal->timer);
  journal->timer = ch_timer_add (journal->core->self, delay_ms, pump, journal);
}

void ch_journal_settled (ChCore *core, ChJournalRecord *record, const GError *error)
{
  ChJournal *journal = core->journal;
  ChJournalLine *line = record->line;

  journal->in_flight--;
  if (error == NULL) {
    ch_series_inc (journal->n_stated);
    if (journal->is_away)
      ch_notice (core->self, "the store takes reports again: %u of the journal follow",
                 journal->waiting);
    journal->is_away = FALSE;
    journal->probe_ms = PROBE_MS;
    ch_journal_write_done (journal, record);
    ch_journal_pump_soon (journal, 0);
    return;
  }
  line->is_busy = FALSE;
  if (ch_journal_wants (error)) {
    ch_debug (core->self, "a kept report is not stored yet: %s", error->message);
    journal->is_away = TRUE;
    line->is_listed = TRUE;
    g_queue_push_tail (&journal->ready, line); /* it may be this one's fault alone */
    ch_journal_pump_soon (journal, journal->probe_ms);
    journal->probe_ms = MIN (journal->probe_ms * 2, PROBE_MAX_MS);
  } else if (++record->tries < patience (error)) {
    ch_journal_later (journal, line);
  } else
    set_aside (journal, record, error->message);
}
