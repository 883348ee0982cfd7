/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of a database before it is used. */
#include "sqlite.h"

#include <string.h>
#include <sys/stat.h>

/* A check of a very large database would keep the chargers waiting: then it is left. */
#define LONGEST_US (60 * G_USEC_PER_SEC)

gboolean sq_check (ChPlugin *self, const SqOptions *options, GError **error)
{
  gboolean full = options->check == SQ_CHECK_FULL;
  g_autoptr (GError) reason = NULL;
  SqDb db = {0};

  if (options->check == SQ_CHECK_OFF)
    return TRUE;
  if (!sq_db_open (&db, options, SQ_READER, error))
    return FALSE;
  gint64 began_us = g_get_monotonic_time ();
  db.deadline_us = full ? 0 : began_us + LONGEST_US;
  g_autofree char *answer = sq_db_text (
      &db, full ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", &reason);
  gint64 took_ms = (g_get_monotonic_time () - began_us) / 1000;
  sq_db_close (&db);
  if (g_error_matches (reason, CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT)) {
    ch_warning (self, "the check of %s was ended after %" G_GINT64_FORMAT " ms",
                options->path, took_ms);
    return TRUE;
  }
  if (answer != NULL && strcmp (answer, "ok") == 0) {
    ch_notice (self,
               "%s was not closed orderly; checked in %" G_GINT64_FORMAT " ms: good",
               options->path, took_ms);
    return TRUE;
  }
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT,
               "%s is corrupt (%s): not opened; restore a backup or repair it with "
               "sqlite3 .recover",
               options->path, answer != NULL ? answer : reason->message);
  return FALSE;
}

/* SQLite takes a log beside an empty database for a left-over, and deletes it. */
gboolean sq_check_log (const char *path, GError **error)
{
  g_autofree char *log = g_strconcat (path, "-wal", NULL);
  struct stat info;
  gboolean empty = stat (path, &info) != 0 || info.st_size == 0;

  if (!empty || stat (log, &info) != 0 || info.st_size == 0)
    return TRUE;
  g_set_error (
      error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT,
      "%s is missing or empty, but its log %s is there: bring the database back, "
      "from a backup if need be, and move the log away if it belongs to another",
      path, log);
  return FALSE;
}
