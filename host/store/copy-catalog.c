/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which tables and columns there are, and in which order they can be filled. */
#include "store/copy-private.h"

#include <string.h>

/* A sequence of PostgreSQL is in SQLite a table of this form with one row. */
#define SEQUENCE "name LIKE '%\\_seq' ESCAPE '\\'"

static const char columns_sqlite[]
    = "SELECT m.name AS tbl, c.name AS col, c.type AS type, c.pk AS pk,"
      " c.hidden > 1 AS made FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS c"
      " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
      " AND NOT m." SEQUENCE " ORDER BY m.name, c.cid";
/* The time by which a table is partitioned has to be in its key there, and tells no rows
   apart. */
static const char columns_pgsql[]
    = "SELECT t.relname::text AS tbl, a.attname::text AS col,"
      " format_type(a.atttypid, NULL) AS type, a.attgenerated <> '' AS made,"
      " coalesce((SELECT k.place FROM pg_index i,"
      "  unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
      "  WHERE i.indrelid = t.oid AND i.indisprimary AND k.attnum = a.attnum"
      "  AND NOT EXISTS (SELECT 1 FROM pg_partitioned_table p"
      "   WHERE p.partrelid = t.oid AND a.attnum = ANY (p.partattrs))), 0) AS pk"
      " FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid"
      " WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')"
      " AND NOT t.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
      " ORDER BY t.relname::text COLLATE \"C\", a.attnum";
static const char needs_pgsql[]
    = "SELECT t.relname::text AS tbl, f.relname::text AS needed FROM pg_constraint k"
      " JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid"
      " WHERE k.contype = 'f' AND t.relnamespace = current_schema()::regnamespace"
      " ORDER BY 1, 2";
static const char sequences_sqlite[]
    = "SELECT name AS seq FROM sqlite_master WHERE type = 'table' AND " SEQUENCE
      " ORDER BY name";
/* Without those that belong to a column. */
static const char sequences_pgsql[]
    = "SELECT s.relname::text AS seq FROM pg_class s WHERE s.relkind = 'S'"
      " AND s.relnamespace = current_schema()::regnamespace AND NOT EXISTS (SELECT 1"
      "  FROM pg_depend d WHERE d.objid = s.oid AND d.deptype IN ('a', 'i')"
      "  AND d.classid = 'pg_class'::regclass AND d.refobjsubid > 0)"
      " ORDER BY s.relname::text COLLATE \"C\"";

typedef struct {
  ChCopyCatalog *catalog;
  gboolean typed;
  GError *error;
} Reading;

static void column_free (gpointer data)
{
  ChCopyColumn *column = data;
  g_free (column->name);
  g_free (column);
}

static void table_free (gpointer data)
{
  ChCopyTable *table = data;
  g_free (table->name);
  g_ptr_array_unref (table->columns);
  g_ptr_array_unref (table->needs);
  g_free (table);
}

static ChCopyCatalog *catalog_new (void)
{
  ChCopyCatalog *catalog = g_new0 (ChCopyCatalog, 1);
  catalog->tables = g_ptr_array_new_with_free_func (table_free);
  catalog->sequences = g_ptr_array_new_with_free_func (g_free);
  return catalog;
}

void ch_copy_catalog_free (ChCopyCatalog *catalog)
{
  if (catalog == NULL)
    return;
  g_ptr_array_unref (catalog->tables);
  g_ptr_array_unref (catalog->sequences);
  g_free (catalog);
}

static ChCopyTable *find_table (ChCopyCatalog *catalog, const char *name)
{
  for (guint i = 0; i < catalog->tables->len; i++) {
    ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    if (g_str_equal (table->name, name))
      return table;
  }
  return NULL;
}

static ChCopyTable *add_table (ChCopyCatalog *catalog, const char *name)
{
  ChCopyTable *table = find_table (catalog, name);

  if (table != NULL)
    return table;
  table = g_new0 (ChCopyTable, 1);
  table->name = g_strdup (name);
  table->columns = g_ptr_array_new_with_free_func (column_free);
  table->needs = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (catalog->tables, table);
  return table;
}

/* ---- reading ------------------------------------------------------------------------
 */

static gboolean kind_of (const char *type, ChCopyKind *kind)
{
  static const struct {
    const char *type;
    ChCopyKind kind;
  } kinds[] = {{"smallint", CH_COPY_INT},
               {"integer", CH_COPY_INT},
               {"bigint", CH_COPY_INT},
               {"real", CH_COPY_DOUBLE},
               {"double precision", CH_COPY_DOUBLE},
               {"boolean", CH_COPY_BOOL},
               {"text", CH_COPY_TEXT},
               {"character", CH_COPY_TEXT},
               {"character varying", CH_COPY_TEXT},
               {"bytea", CH_COPY_BLOB},
               {"timestamp with time zone", CH_COPY_TIME},
               {"json", CH_COPY_JSON},
               {"jsonb", CH_COPY_JSON}};

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i].type, type)) {
      *kind = kinds[i].kind;
      return TRUE;
    }
  return FALSE;
}

static void take_column (Reading *reading, const ChTxResult *r, guint row)
{
  const char *name = ch_tx_result_text (r, 0, row, "tbl");
  const char *type = ch_tx_result_text (r, 0, row, "type");
  gint64 key = ch_tx_result_int (r, 0, row, "pk");

  if (g_str_equal (name, "schema_migrations") || ch_tx_result_bool (r, 0, row, "made"))
    return;
  ChCopyTable *table = add_table (reading->catalog, name);
  ChCopyColumn *column = g_new0 (ChCopyColumn, 1);
  column->name = g_strdup (ch_tx_result_text (r, 0, row, "col"));
  column->key = (guint) CLAMP (key, 0, 64);
  table->n_key += column->key > 0;
  g_ptr_array_add (table->columns, column);
  if (reading->typed && !kind_of (type, &column->kind) && reading->error == NULL)
    ch_copy_fail (&reading->error, "column %s of %s has the type %s, which is not known",
                  column->name, name, type);
}

static void take_columns (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer data)
{
  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++)
    take_column (data, result, row);
}

static void take_needs (ChPlugin *self, const ChTxResult *result, const GError *error,
                        gpointer data)
{
  Reading *reading = data;
  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++) {
    const char *name = ch_tx_result_text (result, 0, row, "tbl");
    const char *needed = ch_tx_result_text (result, 0, row, "needed");
    ChCopyTable *table = find_table (reading->catalog, name);
    if (table != NULL && !g_str_equal (name, needed))
      g_ptr_array_add (table->needs, g_strdup (needed));
  }
}

static void take_sequences (ChPlugin *self, const ChTxResult *result, const GError *error,
                            gpointer data)
{
  Reading *reading = data;
  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++)
    g_ptr_array_add (reading->catalog->sequences,
                     g_strdup (ch_tx_result_text (result, 0, row, "seq")));
}

static ChCopyCatalog *read_one (ChStore *store, gboolean typed, GError **error)
{
  g_autoptr (ChCopyCatalog) catalog = catalog_new ();
  gboolean pgsql = ch_copy_is_pgsql (store);
  Reading reading = {.catalog = catalog, .typed = typed};

  gboolean ok = ch_copy_ask (store, pgsql ? columns_pgsql : columns_sqlite, NULL,
                             take_columns, &reading, error)
                && ch_copy_ask (store, pgsql ? sequences_pgsql : sequences_sqlite, NULL,
                                take_sequences, &reading, error);
  if (ok && typed)
    ok = ch_copy_ask (store, needs_pgsql, NULL, take_needs, &reading, error);
  if (ok && reading.error != NULL) {
    g_propagate_error (error, g_steal_pointer (&reading.error));
    return NULL;
  }
  g_clear_error (&reading.error);
  return ok ? g_steal_pointer (&catalog) : NULL;
}

/* ---- comparing ----------------------------------------------------------------------
 */

static gboolean has_column (const ChCopyTable *table, const char *name)
{
  for (guint i = 0; i < table->columns->len; i++)
    if (g_str_equal (((ChCopyColumn *) g_ptr_array_index (table->columns, i))->name,
                     name))
      return TRUE;
  return FALSE;
}

static gboolean same_columns (const ChCopyTable *a, const ChCopyTable *b, GError **error)
{
  for (guint i = 0; i < a->columns->len; i++) {
    const ChCopyColumn *column = g_ptr_array_index (a->columns, i);
    if (!has_column (b, column->name)) {
      ch_copy_fail (error, "column %s of %s is only in one of the databases",
                    column->name, a->name);
      return FALSE;
    }
  }
  return TRUE;
}

/* Paging needs a key that compares as itself; times lose their microseconds. */
static gboolean check_key (const ChCopyTable *table, GError **error)
{
  gboolean good = table->n_key > 0;
  for (guint i = 0; i < table->columns->len; i++) {
    const ChCopyColumn *column = g_ptr_array_index (table->columns, i);
    good &= column->key == 0 || column->kind == CH_COPY_INT
            || column->kind == CH_COPY_TEXT;
  }
  if (!good)
    ch_copy_fail (error, "table %s has no primary key of numbers and texts", table->name);
  return good;
}

static gboolean same_tables (ChCopyCatalog *a, ChCopyCatalog *b, GError **error)
{
  for (guint i = 0; i < a->tables->len; i++) {
    const ChCopyTable *table = g_ptr_array_index (a->tables, i);
    const ChCopyTable *other = find_table (b, table->name);
    if (other == NULL) {
      ch_copy_fail (error, "table %s is only in one of the databases", table->name);
      return FALSE;
    }
    if (!same_columns (table, other, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- order --------------------------------------------------------------------------
 */

enum { UNSEEN, VISITING, PLACED };

static gboolean place (ChCopyCatalog *catalog, ChCopyTable *table, GPtrArray *order,
                       GError **error)
{
  if (table->mark == PLACED)
    return TRUE;
  if (table->mark == VISITING) {
    ch_copy_fail (error, "the foreign keys of table %s run in a circle", table->name);
    return FALSE;
  }
  table->mark = VISITING;
  for (guint i = 0; i < table->needs->len; i++) {
    ChCopyTable *needed = find_table (catalog, g_ptr_array_index (table->needs, i));
    if (needed != NULL && !place (catalog, needed, order, error))
      return FALSE;
  }
  table->mark = PLACED;
  g_ptr_array_add (order, table);
  return TRUE;
}

static gboolean put_in_order (ChCopyCatalog *catalog, GError **error)
{
  g_autoptr (GPtrArray) order = g_ptr_array_new ();

  for (guint i = 0; i < catalog->tables->len; i++) {
    ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    if (!check_key (table, error) || !place (catalog, table, order, error))
      return FALSE;
  }
  for (guint i = 0; i < order->len; i++)
    g_ptr_array_index (catalog->tables, i) = g_ptr_array_index (order, i);
  return TRUE;
}

ChCopyCatalog *ch_copy_catalog_read (ChStore *typed, ChStore *other, GError **error)
{
  g_autoptr (ChCopyCatalog) catalog = read_one (typed, TRUE, error);
  g_autoptr (ChCopyCatalog) second
      = catalog != NULL ? read_one (other, FALSE, error) : NULL;

  if (second == NULL || !same_tables (catalog, second, error)
      || !same_tables (second, catalog, error) || !put_in_order (catalog, error))
    return NULL;
  return g_steal_pointer (&catalog);
}
