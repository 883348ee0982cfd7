/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

#include <errno.h>

static ChStoreError constraint (int rc)
{
  switch (rc) {
  case SQLITE_CONSTRAINT_UNIQUE:
  case SQLITE_CONSTRAINT_PRIMARYKEY:
  case SQLITE_CONSTRAINT_ROWID:
    return CH_STORE_ERROR_UNIQUE;
  case SQLITE_CONSTRAINT_FOREIGNKEY:
    return CH_STORE_ERROR_FOREIGN_KEY;
  default:
    return CH_STORE_ERROR_CHECK;
  }
}

static ChStoreError input_output (sqlite3 *db)
{
  int code = db != NULL ? sqlite3_system_errno (db) : 0;
  return code == ENOSPC || code == EDQUOT ? CH_STORE_ERROR_DISK_FULL
                                          : CH_STORE_ERROR_UNAVAILABLE;
}

static ChStoreError code_of (sqlite3 *db, int rc)
{
  switch (rc & 0xff) {
  case SQLITE_CONSTRAINT:
    return constraint (rc);
  case SQLITE_MISMATCH:
    return CH_STORE_ERROR_CHECK;
  case SQLITE_BUSY:
    return rc == SQLITE_BUSY_SNAPSHOT ? CH_STORE_ERROR_SERIALIZATION
                                      : CH_STORE_ERROR_LOCKED;
  case SQLITE_LOCKED:
    return CH_STORE_ERROR_LOCKED;
  case SQLITE_FULL:
    return CH_STORE_ERROR_DISK_FULL;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return CH_STORE_ERROR_CORRUPT;
  case SQLITE_IOERR:
    return input_output (db);
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
    return CH_STORE_ERROR_UNAVAILABLE;
  case SQLITE_INTERRUPT:
    return CH_STORE_ERROR_TIMEOUT;
  case SQLITE_AUTH:
  case SQLITE_RANGE:
  case SQLITE_MISUSE:
    return CH_STORE_ERROR_USAGE;
  default:
    return CH_STORE_ERROR_FAILED;
  }
}

void sq_set_error (GError **error, sqlite3 *db, int rc, const char *what)
{
  int extended = db != NULL ? sqlite3_extended_errcode (db) : rc;
  int code = (extended & 0xff) == (rc & 0xff) ? extended : rc;

  if (code == SQLITE_INTERRUPT)
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                 "%s: not done at its deadline", what);
  else
    g_set_error (error, CH_STORE_ERROR, (gint) code_of (db, code), "%s: %s", what,
                 db != NULL && sqlite3_errcode (db) == rc ? sqlite3_errmsg (db)
                                                          : sqlite3_errstr (rc));
}

gboolean sq_is_fatal (const GError *error)
{
  return g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_DISK_FULL)
         || g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT)
         || g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE);
}
