/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection: opening, settings, deadline. Each is used by one thread. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Steps of SQLite's machine between two looks at the clock: some 10 µs. */
#define PROGRESS_STEPS 1000
/* After a burst the write-ahead log is cut to this. */
#define LOG_KEPT "67108864"

static int at_progress (void *data)
{
  const SqDb *db = data;
  return db->deadline_us != 0 && g_get_monotonic_time () > db->deadline_us;
}

/*
 * A plugin's statement must not end the transaction that it shares with others, nor
 * reach for other files or settings.
 */
static int authorize (void *data, int action, const char *a, const char *b, const char *c,
                      const char *d)
{
  const SqDb *db = data;

  if (!db->guarded)
    return SQLITE_OK;
  switch (action) {
  case SQLITE_TRANSACTION:
  case SQLITE_SAVEPOINT:
  case SQLITE_ATTACH:
  case SQLITE_DETACH:
  case SQLITE_PRAGMA:
    return SQLITE_DENY;
  default:
    return SQLITE_OK;
  }
}

gboolean sq_db_exec (SqDb *db, const char *sql, GError **error)
{
  int rc = sqlite3_exec (db->handle, sql, NULL, NULL, NULL);

  if (rc == SQLITE_OK)
    return TRUE;
  g_autofree char *what = g_strndup (sql, 40);
  g_strdelimit (what, "\n", ' ');
  sq_set_error (error, db->handle, rc, what);
  return FALSE;
}

char *sq_db_text (SqDb *db, const char *sql, GError **error)
{
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2 (db->handle, sql, -1, &statement, NULL);
  char *text = NULL;

  if (rc == SQLITE_OK)
    rc = sqlite3_step (statement);
  if (rc == SQLITE_ROW)
    text = g_strdup ((const char *) sqlite3_column_text (statement, 0));
  else
    sq_set_error (error, db->handle, rc, sql);
  sqlite3_finalize (statement);
  return text;
}

/* SQLite gives its other files the mode of the database, so it is made here. */
static gboolean make_file (const char *path, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "%s: %s", path,
                 g_strerror (errno));
    return FALSE;
  }
  close (fd);
  return TRUE;
}

static gboolean use_log (SqDb *db, GError **error)
{
  g_autofree char *mode = sq_db_text (db, "PRAGMA journal_mode = WAL", error);

  if (mode == NULL)
    return FALSE;
  if (g_ascii_strcasecmp (mode, "wal") == 0)
    return TRUE;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
               "no write-ahead log on this file system (journal mode %s)", mode);
  return FALSE;
}

static gboolean configure (SqDb *db, const SqOptions *options, SqRole role,
                           GError **error)
{
  g_autofree char *sql = g_strdup_printf (
      "PRAGMA synchronous = %s; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
      "PRAGMA trusted_schema = ON; PRAGMA cache_size = -%" G_GINT64_FORMAT ";"
      "PRAGMA mmap_size = %" G_GINT64_FORMAT ";"
      "PRAGMA journal_size_limit = " LOG_KEPT "; PRAGMA wal_autocheckpoint = 0;"
      "PRAGMA query_only = %d",
      options->sync_full ? "FULL" : "NORMAL", options->cache_bytes / 1024,
      options->mmap_bytes, role != SQ_WRITER);

  sqlite3_busy_timeout (db->handle, (int) options->busy_ms);
  sqlite3_extended_result_codes (db->handle, 1);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  if (role == SQ_WRITER && !use_log (db, error))
    return FALSE;
  if (!sq_db_exec (db, sql, error))
    return FALSE;
  sqlite3_progress_handler (db->handle, PROGRESS_STEPS, at_progress, db);
  sqlite3_set_authorizer (db->handle, authorize, db);
  return TRUE;
}

gboolean sq_db_open (SqDb *db, const SqOptions *options, SqRole role, GError **error)
{
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

  if (role == SQ_WRITER && !make_file (options->path, error))
    return FALSE;
  int rc = sqlite3_open_v2 (options->path, &db->handle, flags, options->vfs);
  if (rc != SQLITE_OK) {
    sq_set_error (error, db->handle, rc, options->path);
    sq_db_close (db);
    return FALSE;
  }
  if (!configure (db, options, role, error)) {
    g_prefix_error (error, "%s: ", options->path);
    sq_db_close (db);
    return FALSE;
  }
  return TRUE;
}

void sq_db_close (SqDb *db)
{
  sq_db_forget (db);
  sqlite3_close (db->handle);
  db->handle = NULL;
  g_clear_pointer (&db->row, g_free);
  g_clear_pointer (&db->names, g_free);
  db->n_row = 0;
}
