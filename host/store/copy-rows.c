/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rows of one table, page by page in order of its primary key. */
#include "store/copy-private.h"

#include <string.h>

#define PAGE 500
/* Size of an INSERT of many rows. */
#define SCRIPT_BYTES (256 * 1024)

typedef struct {
  const ChCopyTable *table;
  ChStore *to; /* NULL: only reading */
  gboolean pgsql;
  char *insert;
  GString *script;
  GChecksum *sum;
  ChCopyDigest *digest;
  ChValue *key; /* of the last row */
  GPtrArray *key_texts;
  guint n_page;
  GError *error;
} Rows;

/* ---- texts --------------------------------------------------------------------------
 */

static void add_names (GString *sql, const ChCopyTable *table)
{
  for (guint i = 0; i < table->columns->len; i++) {
    const ChCopyColumn *column = g_ptr_array_index (table->columns, i);
    g_string_append_printf (sql, "%s\"%s\"", i > 0 ? ", " : "", column->name);
  }
}

static const ChCopyColumn *key_column (const ChCopyTable *table, guint place)
{
  for (guint i = 0; i < table->columns->len; i++) {
    const ChCopyColumn *column = g_ptr_array_index (table->columns, i);
    if (column->key == place)
      return column;
  }
  return NULL;
}

static char *key_list (const ChCopyTable *table)
{
  GString *text = g_string_new (NULL);
  for (guint i = 1; i <= table->n_key; i++)
    g_string_append_printf (text, "%s\"%s\"", i > 1 ? ", " : "",
                            key_column (table, i)->name);
  return g_string_free (text, FALSE);
}

static char *select_text (const ChCopyTable *table, gboolean first)
{
  GString *sql = g_string_new ("SELECT ");
  g_autofree char *keys = key_list (table);

  add_names (sql, table);
  g_string_append_printf (sql, " FROM \"%s\"", table->name);
  if (!first)
    g_string_append_printf (sql, " WHERE (%s) > (", keys);
  for (guint i = 1; !first && i <= table->n_key; i++)
    g_string_append_printf (sql, "%s:k%u", i > 1 ? ", " : "", i);
  g_string_append_printf (sql, "%s ORDER BY %s LIMIT %d", first ? "" : ")", keys, PAGE);
  return g_string_free (sql, FALSE);
}

static char *insert_text (const ChCopyTable *table)
{
  GString *sql = g_string_new (NULL);
  g_string_append_printf (sql, "INSERT INTO \"%s\" (", table->name);
  add_names (sql, table);
  g_string_append (sql, ") VALUES ");
  return g_string_free (sql, FALSE);
}

/* ---- a row --------------------------------------------------------------------------
 */

static void add_hash (Rows *rows)
{
  guint8 hash[32];
  gsize size = sizeof hash;
  guint64 part[2];

  g_checksum_get_digest (rows->sum, hash, &size);
  g_checksum_reset (rows->sum);
  memcpy (part, hash, sizeof part);
  rows->digest->rows++;
  rows->digest->sum[0] += part[0];
  rows->digest->sum[1] += part[1];
}

/* What the next page begins after; texts of a result end with it. */
static void keep_key (Rows *rows, const ChCopyColumn *column, const ChValue *value)
{
  guint at = column->key - 1;

  rows->key[at] = *value;
  if (value->kind == CH_VALUE_TEXT) {
    g_free (g_ptr_array_index (rows->key_texts, at));
    rows->key[at].text = g_ptr_array_index (rows->key_texts, at)
        = g_strndup (value->text, value->size);
  }
}

static gboolean take_value (Rows *rows, guint at, const ChValue *from)
{
  const ChCopyColumn *column = g_ptr_array_index (rows->table->columns, at);
  ChCopyValue value;

  if (!ch_copy_take (column->kind, from, &value))
    ch_copy_fail (&rows->error, "it holds a value of another type than its column");
  if (rows->error == NULL && ch_copy_hash (&value, rows->sum, &rows->error)
      && rows->to != NULL) {
    if (at > 0)
      g_string_append (rows->script, ", ");
    ch_copy_literal (&value, rows->pgsql, rows->script, &rows->error);
  }
  if (rows->error != NULL) {
    g_prefix_error (&rows->error, "column %s, row %" G_GUINT64_FORMAT ": ", column->name,
                    rows->digest->rows + 1);
    return FALSE;
  }
  if (column->key > 0)
    keep_key (rows, column, from);
  return TRUE;
}

static gboolean flush (Rows *rows)
{
  if (rows->script->len == 0)
    return TRUE;
  gboolean ok = ch_copy_script (rows->to, rows->script->str, &rows->error);
  g_string_truncate (rows->script, 0);
  return ok;
}

static void take_row (Rows *rows, const ChValue *values)
{
  if (rows->to != NULL) {
    g_string_append (rows->script, rows->script->len == 0 ? rows->insert : ", ");
    g_string_append_c (rows->script, '(');
  }
  for (guint i = 0; i < rows->table->columns->len; i++)
    if (!take_value (rows, i, &values[i]))
      return;
  add_hash (rows);
  if (rows->to == NULL)
    return;
  g_string_append_c (rows->script, ')');
  if (rows->script->len > SCRIPT_BYTES)
    flush (rows);
}

static void take_page (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  Rows *rows = data;

  rows->n_page = 0;
  if (error != NULL)
    return;
  const ChTxRows *page = &result->statements[0];
  rows->n_page = page->n_rows;
  for (guint i = 0; rows->error == NULL && i < page->n_rows; i++)
    take_row (rows, page->rows[i]);
}

/* ---- the table ----------------------------------------------------------------------
 */

static gboolean read_all (ChStore *from, Rows *rows, GError **error)
{
  g_autofree char *first = select_text (rows->table, TRUE);
  g_autofree char *next = select_text (rows->table, FALSE);
  gboolean ok = ch_copy_ask (from, first, NULL, take_page, rows, error);

  while (ok && rows->error == NULL && rows->n_page == PAGE)
    ok = ch_copy_ask (from, next, rows->key, take_page, rows, error);
  if (ok && rows->error == NULL)
    flush (rows);
  if (ok && rows->error != NULL) {
    g_propagate_error (error, g_steal_pointer (&rows->error));
    ok = FALSE;
  }
  g_clear_error (&rows->error);
  return ok;
}

gboolean ch_copy_rows (ChStore *from, const ChCopyTable *table, ChStore *to,
                       ChCopyDigest *digest, GError **error)
{
  g_autofree char *insert = insert_text (table);
  g_autoptr (GString) script = g_string_new (NULL);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree ChValue *key = g_new0 (ChValue, table->n_key);
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  Rows rows = {.table = table,
               .to = to,
               .pgsql = to != NULL && ch_copy_is_pgsql (to),
               .insert = insert,
               .script = script,
               .sum = sum,
               .digest = digest,
               .key = key,
               .key_texts = texts};

  memset (digest, 0, sizeof *digest);
  g_ptr_array_set_size (texts, (gint) table->n_key);
  if (read_all (from, &rows, error))
    return TRUE;
  g_prefix_error (error, "table %s: ", table->name);
  return FALSE;
}
