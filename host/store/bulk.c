/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many rows at once: for drivers without an own way, as INSERTs of many rows. */
#include "store/store-private.h"

#include <string.h>

/* Each text is prepared once: few sizes, so that there are few texts. */
static const guint sizes[] = {64, 8, 1};
/* Parameters of one INSERT; SQLite allows 32,766. */
#define MAX_PARAMS 16000

gboolean ch_store_is_identifier (const char *name)
{
  gsize n = strlen (name);

  if (n == 0 || n > 63 || g_ascii_isdigit (name[0]))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_islower (name[i]) && !g_ascii_isdigit (name[i]) && name[i] != '_')
      return FALSE;
  return TRUE;
}

static gboolean check_names (const char *table, const char *const *columns,
                             GError **error)
{
  const char *wrong = ch_store_is_identifier (table) ? NULL : table;

  for (guint i = 0; wrong == NULL && columns[i] != NULL; i++)
    if (!ch_store_is_identifier (columns[i]))
      wrong = columns[i];
  if (columns[0] == NULL)
    wrong = "(no columns)";
  if (wrong == NULL)
    return TRUE;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
               "not a name for a bulk insert: %.64s", wrong);
  return FALSE;
}

/* Where each column's value stands in the collected rows; G_MAXUINT: nowhere, so NULL. */
static guint *map_columns (ChTxRun *run, const char *const *columns, guint n,
                           GError **error)
{
  guint *map = ch_arena_alloc (&run->args, n * sizeof (guint));
  guint used = 0;

  for (guint i = 0; i < n; i++) {
    map[i] = G_MAXUINT;
    for (guint k = 0; k < run->columns.n; k++)
      if (strcmp (run->columns.names[k], columns[i]) == 0)
        map[i] = k;
    if (map[i] != G_MAXUINT)
      used++;
  }
  if (used == run->columns.n)
    return map;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
               "a bulk insert binds columns that it does not name");
  return NULL;
}

/* Columns that appeared only after a row are NULL in it. */
static void copy_row (const ChTxStatement *row, const guint *map, guint n, ChValue *to)
{
  guint room = row->params[0].size;

  for (guint i = 0; i < n; i++) {
    if (map[i] < room)
      to[i] = row->params[1 + map[i]];
    else
      to[i].kind = CH_VALUE_NULL;
  }
}

static char *insert_text (const char *table, const char *const *columns, guint n,
                          guint n_rows)
{
  g_autoptr (GString) sql = g_string_new (NULL);

  g_string_append_printf (sql, "INSERT INTO \"%s\" (", table);
  for (guint i = 0; i < n; i++)
    g_string_append_printf (sql, "%s\"%s\"", i > 0 ? ", " : "", columns[i]);
  g_string_append (sql, ") VALUES ");
  for (guint row = 0; row < n_rows; row++) {
    g_string_append (sql, row > 0 ? ", (" : "(");
    for (guint i = 0; i < n; i++)
      g_string_append_printf (sql, "%s:p%u", i > 0 ? ", " : "", row * n + i);
    g_string_append_c (sql, ')');
  }
  g_string_append (sql, " ON CONFLICT DO NOTHING");
  return g_string_free (g_steal_pointer (&sql), FALSE);
}

static const ChPrepared *insert_of (ChTxRun *run, const char *table,
                                    const char *const *columns, guint n, guint n_rows,
                                    GError **error)
{
  g_autofree char *name = g_strdup_printf ("%s.bulk_%s", run->owner->plugin->name, table);
  g_autofree char *sql = insert_text (table, columns, n, n_rows);
  ChStoreStatement *statement = ch_store_intern (run->store, name, sql, FALSE, error);
  return statement != NULL ? &statement->prepared : NULL;
}

static gboolean make_inserts (ChTxRun *run, const ChTxStatement *rows, guint n_rows,
                              const char *table, const char *const *columns, guint n,
                              const guint *map, GError **error)
{
  guint done = 0;

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    guint size = sizes[s];
    if (n_rows - done < size || (size > 1 && size * n > MAX_PARAMS))
      continue;
    const ChPrepared *insert = insert_of (run, table, columns, n, size, error);
    if (insert == NULL)
      return FALSE;
    for (; n_rows - done >= size; done += size) {
      ChValue *params = ch_tx_run_append (run, insert);
      for (guint i = 0; i < size; i++)
        copy_row (&rows[done + i], map, n, &params[i * n]);
    }
  }
  return TRUE;
}

/* For a driver with a bulk function: each row one statement. */
static gboolean make_rows (ChTxRun *run, const ChTxStatement *rows, guint n_rows,
                           const char *table, const char *const *columns, guint n,
                           const guint *map, GError **error)
{
  const ChPrepared *insert = insert_of (run, table, columns, n, 1, error);

  if (insert == NULL)
    return FALSE;
  for (guint i = 0; i < n_rows; i++)
    copy_row (&rows[i], map, n, ch_tx_run_append (run, insert));
  run->table = ch_arena_text (&run->args, table, strlen (table));
  run->bulk_columns = ch_arena_alloc (&run->args, (n + 1) * sizeof (const char *));
  for (guint i = 0; i < n; i++)
    run->bulk_columns[i] = ch_arena_text (&run->args, columns[i], strlen (columns[i]));
  run->bulk_columns[n] = NULL;
  return TRUE;
}

/* Turns collected rows into statements of @table, or for the driver's bulk function. */
static gboolean make_bulk (ChTxRun *run, const char *table, const char *const *columns,
                           GError **error)
{
  guint n = g_strv_length ((char **) columns);
  const ChTxStatement *rows = run->statements;
  guint n_rows = run->n;

  run->is_bulk = TRUE;
  gboolean ok = ch_tx_run_check_complete (run, error);
  if (!ok || n_rows == 0)
    return ok;
  if (!run->is_rows || run->store->driver == NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "a bulk insert is made of rows");
    return FALSE;
  }
  if (!check_names (table, columns, error))
    return FALSE;
  const guint *map = map_columns (run, columns, n, error);
  if (map == NULL)
    return FALSE;
  run->statements = NULL;
  run->n = run->room = 0;
  run->is_rows = FALSE;
  if (run->store->driver->bulk != NULL)
    return make_rows (run, rows, n_rows, table, columns, n, map, error);
  return make_inserts (run, rows, n_rows, table, columns, n, map, error);
}

void ch_store_bulk_insert (ChPlugin *self, const char *table, const char *const *columns,
                           ChTx *rows, ChTxDone done, gpointer user_data)
{
  ChTxRun *run = &rows->run;
  GError *error = NULL;

  if (run->store != NULL && run->owner->plugin != NULL
      && !make_bulk (run, table, columns, &error))
    ch_tx_run_fail (run, error);
  ch_tx_submit (rows, 0, done, user_data);
}
