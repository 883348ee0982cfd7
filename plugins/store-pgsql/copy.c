/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many rows at once: COPY in binary form, on a connection of its own, since a pipeline
 * takes none. COPY cannot pass over conflicts: with one, or with a type that is not known
 * here, the rows go as INSERTs the ordinary way.
 */
#include "pgsql.h"

#include <string.h>

#define MS_OF_2000 (G_GINT64_CONSTANT (946684800) * 1000)

static const guint8 copy_head[]
    = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0, 0, 0, 0, 0, 0, 0, 0, 0};

/* ---- binary values ----------------------------------------------------------------- */

static void put (GByteArray *bytes, const void *from, gsize size)
{
  g_byte_array_append (bytes, from, (guint) size);
}

static void put16 (GByteArray *bytes, gint16 n)
{
  n = GINT16_TO_BE (n);
  put (bytes, &n, sizeof n);
}

static void put32 (GByteArray *bytes, gint32 n)
{
  n = GINT32_TO_BE (n);
  put (bytes, &n, sizeof n);
}

static void put64 (GByteArray *bytes, gint64 n)
{
  n = GINT64_TO_BE (n);
  put (bytes, &n, sizeof n);
}

static void put_sized (GByteArray *bytes, const void *from, gsize size)
{
  put32 (bytes, (gint32) size);
  put (bytes, from, size);
}

static gboolean put_number (GByteArray *bytes, Oid type, gint64 n)
{
  if (type == PG_INT8) {
    put32 (bytes, 8);
    put64 (bytes, n);
  } else if (type == PG_INT4 && n == (gint32) n) {
    put32 (bytes, 4);
    put32 (bytes, (gint32) n);
  } else if (type == PG_INT2 && n == (gint16) n) {
    put32 (bytes, 2);
    put16 (bytes, (gint16) n);
  } else {
    return FALSE;
  }
  return TRUE;
}

static gboolean put_double (GByteArray *bytes, Oid type, double d)
{
  union {
    double d;
    gint64 i;
  } eight = {.d = d};
  union {
    float f;
    gint32 i;
  } four = {.f = (float) d};

  if (type == PG_FLOAT8) {
    put32 (bytes, 8);
    put64 (bytes, eight.i);
  } else if (type == PG_FLOAT4) {
    put32 (bytes, 4);
    put32 (bytes, four.i);
  } else {
    return FALSE;
  }
  return TRUE;
}

static gboolean put_text (GByteArray *bytes, Oid type, const ChValue *value)
{
  g_autofree char *clean = NULL;
  const char *text = value->text;

  if (type == PG_TEXT || type == PG_VARCHAR) {
    put_sized (bytes, text, value->size);
    return TRUE;
  }
  if (type != PG_JSON && type != PG_JSONB)
    return FALSE;
  if ((clean = pg_clean_json (text)) != NULL)
    text = clean;
  gsize size = strlen (text);
  put32 (bytes, (gint32) (size + (type == PG_JSONB)));
  if (type == PG_JSONB)
    put (bytes, "\1", 1); /* of the format */
  put (bytes, text, size);
  return TRUE;
}

/* Returns: whether the type takes the value */
static gboolean put_value (GByteArray *bytes, Oid type, const ChValue *value)
{
  switch (value->kind) {
  case CH_VALUE_NULL:
    put32 (bytes, -1);
    return TRUE;
  case CH_VALUE_INT:
    return put_number (bytes, type, value->i)
           || put_double (bytes, type, (double) value->i);
  case CH_VALUE_BOOL:
    if (type != PG_BOOL)
      return put_number (bytes, type, value->i);
    put_sized (bytes, value->i != 0 ? "\1" : "\0", 1);
    return TRUE;
  case CH_VALUE_DOUBLE:
    return put_double (bytes, type, value->d);
  case CH_VALUE_TIME:
    if ((type != PG_TIMESTAMPTZ && type != PG_TIMESTAMP)
        || ABS (value->i) > G_MAXINT64 / 2000)
      return FALSE;
    put32 (bytes, 8);
    put64 (bytes, (value->i - MS_OF_2000) * 1000);
    return TRUE;
  case CH_VALUE_TEXT:
  case CH_VALUE_JSON:
    return put_text (bytes, type, value);
  case CH_VALUE_BLOB:
    if (type == PG_BYTEA)
      put_sized (bytes, value->blob, value->size);
    return type == PG_BYTEA;
  }
  return FALSE;
}

/* The rows as COPY takes them; NULL when they cannot go this way. */
static GByteArray *make_rows (const PgUnit *unit, const Oid *types, guint n)
{
  guint n_rows = ch_tx_run_n_statements (unit->run);
  GByteArray *bytes = g_byte_array_sized_new (n_rows * n * 12 + 64);

  put (bytes, copy_head, sizeof copy_head);
  for (guint i = 0; i < n_rows; i++) {
    const ChTxStatement *row = ch_tx_run_statement (unit->run, i);
    put16 (bytes, (gint16) n);
    for (guint k = 0; k < n; k++) {
      if (!put_value (bytes, types[k], &row->params[k])) {
        g_byte_array_unref (bytes);
        return NULL;
      }
    }
  }
  put16 (bytes, -1);
  return bytes;
}

/* ---- steps ------------------------------------------------------------------------- */

static PgUnit *unit_of (PgConn *conn)
{
  return g_ptr_array_index (conn->units, 0);
}

static void done (PgConn *conn)
{
  PgUnit *unit = unit_of (conn);

  g_clear_pointer (&conn->units, g_ptr_array_unref);
  conn->current = NULL;
  conn->since_us = g_get_monotonic_time ();
  pg_unit_complete (conn->pg, unit);
  pg_loop_kick (conn->pg);
}

static void as_inserts (PgConn *conn)
{
  PgUnit *unit = unit_of (conn);

  g_clear_pointer (&conn->units, g_ptr_array_unref);
  conn->current = NULL;
  conn->since_us = g_get_monotonic_time ();
  unit->cancelled = FALSE;
  pg_queue_write (conn->pg, unit);
}

static void ask (PgConn *conn, const char *sql)
{
  if (PQsendQuery (conn->pq, sql) == 0)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "copying"));
  else
    pg_conn_flush (conn);
}

static void ask_types (PgConn *conn)
{
  PgUnit *unit = unit_of (conn);

  conn->copy_step = PG_COPY_TYPES;
  /* The table's name was checked by the host: small letters, digits, underscores. */
  g_autofree char *sql = g_strdup_printf (
      "SELECT attname, atttypid FROM pg_catalog.pg_attribute"
      " WHERE attrelid = to_regclass('\"%s\"') AND attnum > 0 AND NOT attisdropped",
      unit->table);
  ask (conn, sql);
}

static GHashTable *read_types (const PGresult *result)
{
  GHashTable *types = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (int i = 0; i < PQntuples (result); i++)
    g_hash_table_insert (
        types, g_strdup (PQgetvalue (result, i, 0)),
        GUINT_TO_POINTER (g_ascii_strtoull (PQgetvalue (result, i, 1), NULL, 10)));
  return types;
}

/* Prepares the rows and asks for leave to send them. */
static void begin_copy (PgConn *conn, GHashTable *types)
{
  PgUnit *unit = unit_of (conn);
  guint n = g_strv_length ((char **) unit->columns);
  g_autofree Oid *oids = g_new (Oid, n);
  g_autoptr (GString) sql = g_string_new (NULL);

  g_string_append_printf (sql, "COPY \"%s\" (", unit->table);
  for (guint i = 0; i < n; i++) {
    oids[i] = GPOINTER_TO_UINT (g_hash_table_lookup (types, unit->columns[i]));
    g_string_append_printf (sql, "%s\"%s\"", i > 0 ? ", " : "", unit->columns[i]);
  }
  g_string_append (sql, ") FROM STDIN (FORMAT binary)");
  conn->copy_rows = make_rows (unit, oids, n);
  if (conn->copy_rows == NULL) {
    as_inserts (conn);
    return;
  }
  conn->copy_step = PG_COPY_ROWS;
  ask (conn, sql->str);
}

void pg_copy_begin (PgConn *conn, PgUnit *unit)
{
  GHashTable *types = g_hash_table_lookup (conn->pg->types, unit->table);

  conn->units = g_ptr_array_new ();
  g_ptr_array_add (conn->units, unit);
  conn->current = unit;
  conn->cancel_us = 0;
  conn->sent_us = g_get_monotonic_time ();
  ch_tx_run_begin (unit->run);
  if (types != NULL)
    begin_copy (conn, types);
  else
    ask_types (conn);
}

static void send_rows (PgConn *conn)
{
  GByteArray *rows = g_steal_pointer (&conn->copy_rows);
  gboolean ok = PQputCopyData (conn->pq, (const char *) rows->data, (int) rows->len) == 1
                && PQputCopyEnd (conn->pq, NULL) == 1;

  g_byte_array_unref (rows);
  if (!ok)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "copying"));
  else
    pg_conn_flush (conn);
}

static void take (PgConn *conn, const PGresult *result)
{
  PgUnit *unit = unit_of (conn);

  switch (PQresultStatus (result)) {
  case PGRES_COPY_IN:
    send_rows (conn);
    break;
  case PGRES_TUPLES_OK:
    if (conn->copy_step == PG_COPY_PLACE) {
      pg_note_written (conn->pg, PQgetvalue (result, 0, 0));
      break;
    }
    g_hash_table_insert (conn->pg->types, g_strdup (unit->table), read_types (result));
    break;
  case PGRES_COMMAND_OK:
    ch_tx_run_set_changes (
        unit->run, 0, g_ascii_strtoull (PQcmdTuples ((PGresult *) result), NULL, 10));
    break;
  default:
    conn->copy_conflict = pg_result_is (result, "23505");
    if (!conn->copy_conflict)
      g_hash_table_remove (conn->pg->types, unit->table); /* it may have been changed */
    pg_unit_fail (unit, 0, pg_error_of_result (result, unit->table, FALSE));
    break;
  }
}

/* One command is at its end. */
static void ended (PgConn *conn)
{
  PgUnit *unit = unit_of (conn);
  GHashTable *types = g_hash_table_lookup (conn->pg->types, unit->table);

  g_clear_pointer (&conn->copy_rows, g_byte_array_unref);
  if (conn->copy_conflict) {
    conn->copy_conflict = FALSE;
    g_clear_error (&unit->error);
    unit->failed = -1;
    as_inserts (conn);
  } else if (unit->error == NULL && conn->copy_step == PG_COPY_TYPES && types != NULL) {
    begin_copy (conn, types);
  } else if (unit->error == NULL && conn->copy_step == PG_COPY_ROWS
             && conn->pg->replicas->len > 0) { /* what replicas have to have */
    conn->copy_step = PG_COPY_PLACE;
    ask (conn, "SELECT pg_current_wal_insert_lsn()");
  } else {
    done (conn);
  }
}

void pg_copy_receive (PgConn *conn)
{
  gboolean ok = PQconsumeInput (conn->pq) != 0;

  while (conn->state == PG_READY && conn->units != NULL && PQisBusy (conn->pq) == 0) {
    PGresult *result = PQgetResult (conn->pq);
    if (result == NULL) {
      ended (conn);
      continue;
    }
    gboolean rows_next = PQresultStatus (result) == PGRES_COPY_IN;
    take (conn, result);
    PQclear (result);
    if (rows_next)
      break; /* PQgetResult() would tell the same again until they are sent */
  }
  if (!ok && conn->state == PG_READY)
    pg_conn_break (conn, pg_error_of_conn (conn->pq, "copying"));
}

/* ---- the queue --------------------------------------------------------------------- */

void pg_copy_submit (Pg *pg, const char *table, const char *const *columns, ChTxRun *run)
{
  PgUnit *unit = pg_admit (pg, run);

  if (unit == NULL)
    return;
  unit->table = table;
  unit->columns = columns;
  unit->lane->submitted--; /* it does not stand in the line, it waits for those before */
  unit->after = unit->lane->submitted;
  g_queue_push_tail (&pg->bulks, unit);
  pg_loop_kick (pg);
}
