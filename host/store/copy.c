/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All rows of one database into another of a different kind: in one transaction there,
 * then read back and compared. Nobody else may use either of them meanwhile.
 */
#include "store/copy-private.h"

#include <stdarg.h>

gboolean ch_copy_is_pgsql (ChStore *store)
{
  return g_str_equal (store->driver->dialect, "pgsql");
}

void ch_copy_fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED, text);
}

gboolean ch_copy_ask (ChStore *store, const char *sql, const ChValue *params,
                      ChTxDone done, gpointer data, GError **error)
{
  ChStoreStatement *statement = ch_store_intern (store, "store.copy", sql, FALSE, error);

  if (statement == NULL)
    return FALSE;
  ChTx *tx = ch_tx_new (store->self);
  ChValue *to = ch_tx_run_append (&tx->run, &statement->prepared);
  g_assert (params != NULL || statement->prepared.n_params == 0);
  for (guint i = 0; i < statement->prepared.n_params; i++)
    to[i] = params[i];
  return ch_store_run_now (store->self, tx, done, data, error);
}

gboolean ch_copy_script (ChStore *store, const char *sql, GError **error)
{
  ChRunnerFrame frame;

  if (!ch_runner_enter (store->driver_plugin, "script", &frame)) {
    ch_copy_fail (error, "%s does not run", store->driver_plugin->name);
    return FALSE;
  }
  gboolean ok = store->driver->script (store->driver_plugin, sql, error);
  ch_runner_leave (&frame);
  return ch_runner_check (store->driver_plugin, "script", ok, error);
}

G_GNUC_PRINTF (3, 4)
static gboolean script_of (ChStore *store, GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *sql = g_strdup_vprintf (format, args);
  va_end (args);
  return ch_copy_script (store, sql, error);
}

static void take_number (ChPlugin *self, const ChTxResult *result, const GError *error,
                         gpointer data)
{
  if (error == NULL && ch_tx_result_rows (result, 0) > 0)
    *(gint64 *) data = ch_tx_result_int (result, 0, 0, "n");
}

static void take_text (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  GString *text = data;
  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++)
    g_string_append_printf (text, "%s%s %" G_GINT64_FORMAT, row > 0 ? ", " : "",
                            ch_tx_result_text (result, 0, row, "component"),
                            ch_tx_result_int (result, 0, row, "version"));
}

/* ---- before -------------------------------------------------------------------------
 */

static gboolean same_versions (ChStore *from, ChStore *to, GError **error)
{
  static const char sql[] = "SELECT component, max(version) AS version"
                            " FROM schema_migrations GROUP BY component ORDER BY 1";
  g_autoptr (GString) here = g_string_new (NULL);
  g_autoptr (GString) there = g_string_new (NULL);

  if (!ch_copy_ask (from, sql, NULL, take_text, here, error)
      || !ch_copy_ask (to, sql, NULL, take_text, there, error))
    return FALSE;
  if (g_string_equal (here, there))
    return TRUE;
  ch_copy_fail (error,
                "the source has the tables of %s, the target those of %s: bring both to "
                "the same version first (plugins.start, chargehostctl store migrate)",
                here->len > 0 ? here->str : "no version", there->str);
  return FALSE;
}

/* A database file is locked by its daemon. A server is open to all: its list of sessions
   tells who else is there; ours began after the one that asks. */
static gboolean is_alone (ChStore *store, GError **error)
{
  static const char sql[]
      = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'chargehost/%' AND backend_start < (SELECT"
        " me.backend_start FROM pg_stat_activity AS me WHERE me.pid = pg_backend_pid())";
  gint64 n = 0;

  if (!ch_copy_is_pgsql (store))
    return TRUE;
  if (!ch_copy_ask (store, sql, NULL, take_number, &n, error))
    return FALSE;
  if (n == 0)
    return TRUE;
  ch_copy_fail (error,
                "a daemon uses the PostgreSQL database (%" G_GINT64_FORMAT
                " connections): stop it first",
                n);
  return FALSE;
}

static gboolean is_empty (ChStore *to, const ChCopyCatalog *catalog, GError **error)
{
  for (guint i = 0; i < catalog->tables->len; i++) {
    const ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    g_autofree char *sql
        = g_strdup_printf ("SELECT 1 AS n FROM \"%s\" LIMIT 1", table->name);
    gint64 n = 0;
    if (!ch_copy_ask (to, sql, NULL, take_number, &n, error))
      return FALSE;
    if (n > 0) {
      ch_copy_fail (error,
                    "the target is not empty (table %s): give --replace to delete what "
                    "is in it",
                    table->name);
      return FALSE;
    }
  }
  return TRUE;
}

/* ---- copying ------------------------------------------------------------------------
 */

static gboolean delete_all (ChStore *to, const ChCopyCatalog *catalog, GError **error)
{
  for (guint i = catalog->tables->len; i-- > 0;) {
    const ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    if (!script_of (to, error, "DELETE FROM \"%s\"", table->name))
      return FALSE;
  }
  return TRUE;
}

/* Numbers of new rows go on after the copied ones. */
static gboolean set_serials (ChStore *to, const ChCopyTable *table, GError **error)
{
  if (!ch_copy_is_pgsql (to) || table->n_key != 1)
    return TRUE;
  for (guint i = 0; i < table->columns->len; i++) {
    const ChCopyColumn *c = g_ptr_array_index (table->columns, i);
    if (c->key == 1 && c->kind == CH_COPY_INT)
      return script_of (to, error,
                        "SELECT setval(pg_get_serial_sequence('\"%s\"', '%s'), newest)"
                        " FROM (SELECT max(\"%s\") AS newest FROM \"%s\") AS rows"
                        " WHERE newest IS NOT NULL",
                        table->name, c->name, c->name, table->name);
  }
  return TRUE;
}

static gboolean set_sequence (ChStore *from, ChStore *to, const char *name,
                              GError **error)
{
  gboolean pgsql = ch_copy_is_pgsql (from);
  g_autofree char *sql = g_strdup_printf (
      pgsql ? "SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS n FROM \"%s\""
            : "SELECT next AS n FROM \"%s\"",
      name);
  gint64 next = 1;

  return ch_copy_ask (from, sql, NULL, take_number, &next, error)
         && (pgsql ? script_of (to, error, "UPDATE \"%s\" SET next = %" G_GINT64_FORMAT,
                                name, next)
                   : script_of (to, error,
                                "SELECT setval('\"%s\"', %" G_GINT64_FORMAT ", false)",
                                name, next));
}

static gboolean begin (ChStore *to, GError **error)
{
  if (!ch_copy_is_pgsql (to))
    return ch_copy_script (to, "BEGIN IMMEDIATE", error);
  return ch_copy_script (to, "BEGIN", error)
         && ch_copy_script (to, "SET LOCAL idle_in_transaction_session_timeout = 0",
                            error);
}

static gboolean fill (ChStore *from, ChStore *to, const ChCopyCatalog *catalog,
                      ChCopyDigest *digests, gboolean replace, ChStoreCopyNote note,
                      gpointer data, GError **error)
{
  if (replace && !delete_all (to, catalog, error))
    return FALSE;
  for (guint i = 0; i < catalog->tables->len; i++) {
    const ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    if (!ch_copy_rows (from, table, to, &digests[i], error)
        || !set_serials (to, table, error))
      return FALSE;
    if (note != NULL)
      note (table->name, digests[i].rows, data);
  }
  for (guint i = 0; i < catalog->sequences->len; i++)
    if (!set_sequence (from, to, g_ptr_array_index (catalog->sequences, i), error))
      return FALSE;
  return TRUE;
}

/* What was written, read again. */
static gboolean verify (ChStore *to, const ChCopyCatalog *catalog,
                        const ChCopyDigest *digests, GError **error)
{
  for (guint i = 0; i < catalog->tables->len; i++) {
    const ChCopyTable *table = g_ptr_array_index (catalog->tables, i);
    const ChCopyDigest *want = &digests[i];
    ChCopyDigest have;
    if (!ch_copy_rows (to, table, NULL, &have, error))
      return FALSE;
    if (have.rows == want->rows && have.sum[0] == want->sum[0]
        && have.sum[1] == want->sum[1])
      continue;
    ch_copy_fail (error,
                  "table %s differs after the copy: %" G_GUINT64_FORMAT
                  " rows were read, %" G_GUINT64_FORMAT " are there%s",
                  table->name, want->rows, have.rows,
                  have.rows == want->rows ? ", with other contents" : "");
    return FALSE;
  }
  return TRUE;
}

static gboolean copy_all (ChStore *from, ChStore *to, gboolean replace,
                          ChStoreCopyNote note, gpointer data, GError **error)
{
  gboolean to_pgsql = ch_copy_is_pgsql (to);
  g_autoptr (ChCopyCatalog) catalog
      = ch_copy_catalog_read (to_pgsql ? to : from, to_pgsql ? from : to, error);

  if (catalog == NULL || (!replace && !is_empty (to, catalog, error))
      || !begin (to, error))
    return FALSE;
  g_autofree ChCopyDigest *digests = g_new0 (ChCopyDigest, catalog->tables->len);
  if (!fill (from, to, catalog, digests, replace, note, data, error)
      || !ch_copy_script (to, "COMMIT", error)) {
    ch_copy_script (to, "ROLLBACK", NULL);
    return FALSE;
  }
  if (verify (to, catalog, digests, error))
    return TRUE;
  if (begin (to, NULL) && delete_all (to, catalog, NULL))
    ch_copy_script (to, "COMMIT", NULL);
  return FALSE;
}

/* ---- both locked --------------------------------------------------------------------
 */

static gboolean lock (ChStore *store, GError **error)
{
  ChRunnerFrame frame;

  if (!ch_runner_enter (store->driver_plugin, "lock", &frame)) {
    ch_copy_fail (error, "%s does not run", store->driver_plugin->name);
    return FALSE;
  }
  gboolean ok = store->driver->lock (store->driver_plugin, error);
  ch_runner_leave (&frame);
  return ch_runner_check (store->driver_plugin, "lock", ok, error);
}

static void unlock (ChStore *store)
{
  ChRunnerFrame frame;

  if (!ch_runner_enter (store->driver_plugin, "unlock", &frame))
    return;
  store->driver->unlock (store->driver_plugin);
  ch_runner_leave (&frame);
}

gboolean ch_store_copy (ChStore *from, ChStore *to, gboolean replace,
                        ChStoreCopyNote note, gpointer data, GError **error)
{
  if (g_str_equal (from->driver->dialect, to->driver->dialect)) {
    ch_copy_fail (error, "both databases are of the same kind: take a backup of one with "
                         "its own means, and restore it");
    return FALSE;
  }
  from->keys.result_max = to->keys.result_max = G_MAXINT32;
  from->keys.statement_timeout_ms = to->keys.statement_timeout_ms = 600000;
  if (!lock (from, error))
    return FALSE;
  gboolean ok = lock (to, error);
  if (ok) {
    ok = is_alone (from, error) && is_alone (to, error) && same_versions (from, to, error)
         && copy_all (from, to, replace, note, data, error);
    unlock (to);
  }
  unlock (from);
  return ok;
}
