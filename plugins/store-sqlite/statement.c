/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prepared statements of a connection, and running a transaction's on it. */
#include "sqlite.h"

#include <string.h>

void sq_db_forget (SqDb *db)
{
  for (guint i = 0; i < db->n_statements; i++)
    sqlite3_finalize (db->statements[i]);
  g_clear_pointer (&db->statements, g_free);
  db->n_statements = 0;
}

static void make_room (SqDb *db, guint id)
{
  guint n = db->n_statements;

  if (id < n)
    return;
  db->n_statements = MAX (id + 1, n * 2);
  db->statements = g_renew (sqlite3_stmt *, db->statements, db->n_statements);
  memset (db->statements + n, 0, (db->n_statements - n) * sizeof (sqlite3_stmt *));
}

static gboolean refuse (GError **error, const ChPrepared *prepared, const char *why)
{
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "%s: %s", prepared->name,
               why);
  return FALSE;
}

static gboolean check (sqlite3_stmt *statement, const ChPrepared *prepared,
                       GError **error)
{
  if (statement == NULL)
    return refuse (error, prepared, "the statement is empty");
  if (prepared->read_only && !sqlite3_stmt_readonly (statement))
    return refuse (error, prepared, "declared read-only, but it writes");
  if (sqlite3_bind_parameter_count (statement) != (int) prepared->n_params)
    return refuse (error, prepared, "parameters were counted wrongly");
  return TRUE;
}

static sqlite3_stmt *find (SqDb *db, const ChPrepared *prepared, GError **error)
{
  if (G_LIKELY (prepared->id < db->n_statements && db->statements[prepared->id] != NULL))
    return db->statements[prepared->id];

  sqlite3_stmt *statement = NULL;
  db->guarded = TRUE;
  int rc = sqlite3_prepare_v3 (db->handle, prepared->sql, -1, SQLITE_PREPARE_PERSISTENT,
                               &statement, NULL);
  db->guarded = FALSE;
  if (rc != SQLITE_OK) {
    if ((rc & 0xff) == SQLITE_ERROR)
      refuse (error, prepared, sqlite3_errmsg (db->handle));
    else
      sq_set_error (error, db->handle, rc, prepared->name);
    return NULL;
  }
  if (!check (statement, prepared, error)) {
    sqlite3_finalize (statement);
    return NULL;
  }
  make_room (db, prepared->id);
  db->statements[prepared->id] = statement;
  return statement;
}

/* Nothing is copied: the values live as long as the run, which outlives the step. */
static int bind (sqlite3_stmt *statement, int at, const ChValue *value)
{
  switch (value->kind) {
  case CH_VALUE_INT:
  case CH_VALUE_BOOL:
  case CH_VALUE_TIME:
    return sqlite3_bind_int64 (statement, at, value->i);
  case CH_VALUE_DOUBLE:
    return sqlite3_bind_double (statement, at, value->d);
  case CH_VALUE_TEXT:
  case CH_VALUE_JSON:
    return sqlite3_bind_text (statement, at, value->text, (int) value->size,
                              SQLITE_STATIC);
  case CH_VALUE_BLOB:
    return sqlite3_bind_blob (statement, at, value->blob, (int) value->size,
                              SQLITE_STATIC);
  default:
    return sqlite3_bind_null (statement, at);
  }
}

static void read_column (sqlite3_stmt *statement, int at, ChValue *value)
{
  switch (sqlite3_column_type (statement, at)) {
  case SQLITE_INTEGER:
    value->kind = CH_VALUE_INT;
    value->i = sqlite3_column_int64 (statement, at);
    break;
  case SQLITE_FLOAT:
    value->kind = CH_VALUE_DOUBLE;
    value->d = sqlite3_column_double (statement, at);
    break;
  case SQLITE_TEXT:
    value->kind = CH_VALUE_TEXT;
    value->text = (const char *) sqlite3_column_text (statement, at);
    value->size = (guint32) sqlite3_column_bytes (statement, at);
    break;
  case SQLITE_BLOB:
    value->kind = CH_VALUE_BLOB;
    value->blob = sqlite3_column_blob (statement, at);
    value->size = (guint32) sqlite3_column_bytes (statement, at);
    break;
  default:
    value->kind = CH_VALUE_NULL;
    break;
  }
}

static void announce (SqDb *db, sqlite3_stmt *statement, ChTxRun *run, guint index, int n)
{
  if (n > db->n_row) {
    db->row = g_renew (ChValue, db->row, n);
    db->names = g_renew (const char *, db->names, n);
    db->n_row = n;
  }
  for (int i = 0; i < n; i++)
    db->names[i] = sqlite3_column_name (statement, i);
  ch_tx_run_begin_rows (run, index, (guint) n, db->names);
}

/* Steps to the end. *@count: rows returned, or changed when it returns none. */
static int step_all (SqDb *db, sqlite3_stmt *statement, ChTxRun *run, guint index,
                     guint64 *count)
{
  sqlite3_int64 before = sqlite3_total_changes64 (db->handle);
  int rc = sqlite3_step (statement);
  int n = sqlite3_column_count (statement); /* now: a changed schema was read again */

  if (n > 0 && (rc == SQLITE_ROW || rc == SQLITE_DONE))
    announce (db, statement, run, index, n);
  for (*count = 0; rc == SQLITE_ROW; rc = sqlite3_step (statement), (*count)++) {
    for (int i = 0; i < n; i++)
      read_column (statement, i, &db->row[i]);
    ch_tx_run_add_row (run, index, db->row);
  }
  if (n == 0 && sqlite3_total_changes64 (db->handle) != before)
    *count = (guint64) sqlite3_changes64 (db->handle);
  return rc;
}

static gboolean run_statement (SqDb *db, ChTxRun *run, guint index, GError **error)
{
  const ChTxStatement *s = ch_tx_run_statement (run, index);
  sqlite3_stmt *statement = find (db, s->prepared, error);
  guint64 count = 0;
  int rc = SQLITE_OK;

  if (statement == NULL)
    return FALSE;
  for (guint i = 0; rc == SQLITE_OK && i < s->prepared->n_params; i++)
    rc = bind (statement, (int) i + 1, &s->params[i]);
  if (rc == SQLITE_OK)
    rc = step_all (db, statement, run, index, &count);
  if (rc != SQLITE_DONE)
    sq_set_error (error, db->handle, rc, s->prepared->name);
  sqlite3_reset (statement);
  if (rc != SQLITE_DONE)
    return FALSE;
  ch_tx_run_set_changes (run, index, count);
  return ch_tx_run_check_guard (run, index, error);
}

gboolean sq_db_run (SqDb *db, ChTxRun *run, gint *failed, GError **error)
{
  guint n = ch_tx_run_n_statements (run);

  ch_tx_run_begin (run);
  db->deadline_us = ch_tx_run_deadline_us (run);
  *failed = -1;
  for (guint i = 0; *failed < 0 && i < n; i++)
    if (!run_statement (db, run, i, error))
      *failed = (gint) i;
  db->deadline_us = 0;
  return *failed < 0;
}
