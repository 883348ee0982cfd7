/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migrations: forward only, each in a transaction of its own, recorded with a checksum.
 */
#include "store/sql.h"
#include "store/store-private.h"
#include <chargehost/clock.h>

#include <string.h>

typedef struct {
  char *component;
  gint64 version;
  char *checksum;
} Applied;

static const char table_sqlite[]
    = "CREATE TABLE IF NOT EXISTS schema_migrations ("
      " component TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,"
      " checksum TEXT NOT NULL, applied_at INTEGER NOT NULL,"
      " duration_ms INTEGER NOT NULL, PRIMARY KEY (component, version))"
      " STRICT, WITHOUT ROWID";
static const char table_pgsql[]
    = "CREATE TABLE IF NOT EXISTS schema_migrations ("
      " component text NOT NULL, version bigint NOT NULL, name text NOT NULL,"
      " checksum text NOT NULL, applied_at timestamptz NOT NULL,"
      " duration_ms bigint NOT NULL, PRIMARY KEY (component, version))";
static const char exists_sqlite[]
    = "SELECT count(*) AS n FROM sqlite_master"
      " WHERE type = 'table' AND name = 'schema_migrations'";
static const char exists_pgsql[] = "SELECT count(*) AS n FROM pg_catalog.pg_class"
                                   " WHERE oid = to_regclass('schema_migrations')";
static const char select_all[] = "SELECT component, version, checksum"
                                 " FROM schema_migrations ORDER BY component, version";

static gboolean is_pgsql (ChStore *store)
{
  return g_str_equal (store->driver->dialect, "pgsql");
}

static void applied_free (gpointer data)
{
  Applied *applied = data;
  g_free (applied->component);
  g_free (applied->checksum);
  g_free (applied);
}

G_GNUC_PRINTF (3, 4)
static gboolean refuse (ChStoreOwner *owner, GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION, "migrations of %s: %s",
               owner->plugin->name, text);
  return FALSE;
}

/* ---- what the database says ----------------------------------------------------------
 */

static gboolean query (ChStore *store, const char *name, const char *sql, ChTxDone done,
                       gpointer data, GError **error)
{
  ChStoreStatement *statement = ch_store_intern (store, name, sql, FALSE, error);

  if (statement == NULL)
    return FALSE;
  ChTx *tx = ch_tx_new (store->self);
  ch_tx_run_append (&tx->run, &statement->prepared);
  return ch_store_run_now (store->self, tx, done, data, error);
}

static void take_count (ChPlugin *self, const ChTxResult *result, const GError *error,
                        gpointer data)
{
  if (error == NULL)
    *(gint64 *) data = ch_tx_result_int (result, 0, 0, "n");
}

static void take_applied (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer data)
{
  GPtrArray *all = data;

  for (guint row = 0; error == NULL && row < ch_tx_result_rows (result, 0); row++) {
    Applied *applied = g_new0 (Applied, 1);
    applied->component = g_strdup (ch_tx_result_text (result, 0, row, "component"));
    applied->version = ch_tx_result_int (result, 0, row, "version");
    applied->checksum = g_strdup (ch_tx_result_text (result, 0, row, "checksum"));
    g_ptr_array_add (all, applied);
  }
}

static gboolean run_script (ChStore *store, const char *sql, GError **error)
{
  ChRunnerFrame frame;

  if (!ch_runner_enter (store->driver_plugin, "script", &frame)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "no driver");
    return FALSE;
  }
  gboolean ok = store->driver->script (store->driver_plugin, sql, error);
  ch_runner_leave (&frame);
  return ch_runner_check (store->driver_plugin, "script", ok, error);
}

/* All that was applied, of all components; empty when there is no table yet. */
static GPtrArray *load_applied (ChStore *store, GError **error)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (applied_free);
  gint64 n = 0;

  if (store->keys.auto_migrate
      && !run_script (store, is_pgsql (store) ? table_pgsql : table_sqlite, error))
    return NULL;
  if (!query (store, "store.has_migrations",
              is_pgsql (store) ? exists_pgsql : exists_sqlite, take_count, &n, error))
    return NULL;
  if (n > 0
      && !query (store, "store.list_migrations", select_all, take_applied, all, error))
    return NULL;
  return g_steal_pointer (&all);
}

/* ---- what the program says
 * ------------------------------------------------------------- */

static const char *script_of (ChStore *store, const ChMigration *migration)
{
  return is_pgsql (store) ? migration->pgsql : migration->sqlite;
}

static gboolean check_known (ChStore *store, ChStoreOwner *owner, guint *n,
                             GError **error)
{
  const ChMigration *m = owner->migrations;

  for (*n = 0; m->version != 0; m++, (*n)++) {
    if (m->version != *n + 1)
      return refuse (owner, error, "the program has version %u after %u", m->version, *n);
    if (script_of (store, m) == NULL)
      return refuse (owner, error, "version %u has no script for %s", m->version,
                     store->driver->dialect);
  }
  return TRUE;
}

static char *checksum_of (ChStore *store, const ChMigration *migration)
{
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, script_of (store, migration),
                                        -1);
}

/* First of all: an older program must not say that texts have changed. */
static gboolean check_newest (ChStoreOwner *owner, GPtrArray *all, guint known,
                              GError **error)
{
  for (guint i = 0; i < all->len; i++) {
    const Applied *applied = g_ptr_array_index (all, i);
    if (applied->version > (gint64) known
        && g_strcmp0 (applied->component, owner->plugin->name) == 0)
      return refuse (owner, error,
                     "the database has version %" G_GINT64_FORMAT
                     ", this program knows only %u: it is older than the database",
                     applied->version, known);
  }
  return TRUE;
}

/* Compares what was applied with what is known. *@done: newest applied version. */
static gboolean compare (ChStore *store, ChStoreOwner *owner, GPtrArray *all, guint *done,
                         GError **error)
{
  *done = 0;
  for (guint i = 0; i < all->len; i++) {
    const Applied *applied = g_ptr_array_index (all, i);
    if (g_strcmp0 (applied->component, owner->plugin->name) != 0)
      continue;
    if (applied->version != (gint64) *done + 1)
      return refuse (owner, error,
                     "the database has version %" G_GINT64_FORMAT " but not %u",
                     applied->version, *done + 1);
    const ChMigration *migration = &owner->migrations[*done];
    g_autofree char *checksum = checksum_of (store, migration);
    if (g_strcmp0 (checksum, applied->checksum) != 0)
      return refuse (owner, error,
                     "version %u (%s) was applied with another text (checksum %.12s, "
                     "here %.12s)",
                     migration->version, migration->name, applied->checksum, checksum);
    (*done)++;
  }
  return TRUE;
}

/* ---- applying
 * -------------------------------------------------------------------------- */

static char *quote (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "'", -1);
  g_autofree char *inner = g_strjoinv ("''", parts);
  return g_strdup_printf ("'%s'", inner);
}

static char *record_of (ChStore *store, ChStoreOwner *owner, const ChMigration *migration,
                        gint64 took_ms)
{
  g_autofree char *component = quote (owner->plugin->name);
  g_autofree char *name = quote (migration->name);
  g_autofree char *checksum = checksum_of (store, migration);
  g_autofree char *at
      = g_strdup_printf (is_pgsql (store) ? "to_timestamp(%" G_GINT64_FORMAT " / 1000.0)"
                                          : "%" G_GINT64_FORMAT,
                         ch_wall_ms (store->self));

  return g_strdup_printf ("INSERT INTO schema_migrations"
                          " (component, version, name, checksum, applied_at, duration_ms)"
                          " VALUES (%s, %u, %s, '%s', %s, %" G_GINT64_FORMAT ")",
                          component, migration->version, name, checksum, at, took_ms);
}

static gboolean apply_script (ChStore *store, ChStoreOwner *owner,
                              const ChMigration *migration, GError **error)
{
  const char *sql = script_of (store, migration);
  gboolean wrapped = !ch_sql_is_unwrapped (sql);
  gint64 began_us = g_get_monotonic_time ();

  if (wrapped && !ch_sql_check_script (sql, is_pgsql (store), error))
    return FALSE;
  if (wrapped
      && !run_script (store, is_pgsql (store) ? "BEGIN" : "BEGIN IMMEDIATE", error))
    return FALSE;
  if (!run_script (store, sql, error))
    return FALSE;
  gint64 took_ms = (g_get_monotonic_time () - began_us) / 1000;
  g_autofree char *record = record_of (store, owner, migration, took_ms);
  if (!run_script (store, record, error))
    return FALSE;
  if (wrapped && !run_script (store, "COMMIT", error))
    return FALSE;
  ch_notice (store->self, "migration %s %u (%s) applied in %" G_GINT64_FORMAT " ms",
             owner->plugin->name, migration->version, migration->name, took_ms);
  return TRUE;
}

static gboolean apply_missing (ChStore *store, ChStoreOwner *owner, guint done,
                               guint known, GError **error)
{
  if (done < known && !store->keys.auto_migrate)
    return refuse (
        owner, error,
        "%u are missing, from version %u (%s) on, and database.auto_migrate is "
        "false: run chargehostctl store migrate",
        known - done, done + 1, owner->migrations[done].name);
  for (; done < known; done++) {
    const ChMigration *migration = &owner->migrations[done];
    g_autoptr (GError) reason = NULL;
    if (!apply_script (store, owner, migration, &reason))
      return refuse (owner, error, "version %u (%s) failed and was rolled back: %s",
                     migration->version, migration->name, reason->message);
  }
  return TRUE;
}

static gboolean migrate_owner (ChStore *store, ChStoreOwner *owner, GPtrArray *all,
                               GError **error)
{
  guint known, done;

  if (!check_known (store, owner, &known, error)
      || !check_newest (owner, all, known, error)
      || !compare (store, owner, all, &done, error)
      || !apply_missing (store, owner, done, known, error))
    return FALSE;
  owner->version = known;
  return TRUE;
}

static gboolean is_as_expected (ChStore *store, GPtrArray *all, GError **error)
{
  if (store->not_empty == NULL || all->len > 0)
    return TRUE;
  g_set_error_literal (error, CH_STORE_ERROR, CH_STORE_ERROR_MIGRATION, store->not_empty);
  return FALSE;
}

static gboolean with_lock (ChStore *store, ChStoreOwner *only, GError **error)
{
  ChRunnerFrame frame;

  if (!ch_runner_enter (store->driver_plugin, "lock", &frame))
    return FALSE;
  gboolean ok = store->driver->lock (store->driver_plugin, error);
  ch_runner_leave (&frame);
  if (!ch_runner_check (store->driver_plugin, "lock", ok, error))
    return FALSE;
  ch_store_forget_applied (store);
  GPtrArray *all = store->applied = load_applied (store, error);
  ok = all != NULL && (only != NULL || is_as_expected (store, all, error));
  if (only != NULL)
    ok = ok && migrate_owner (store, only, all, error);
  for (guint i = 0; ok && only == NULL && i < store->in_order->len; i++)
    ok = migrate_owner (store, g_ptr_array_index (store->in_order, i), all, error);
  if (ch_runner_enter (store->driver_plugin, "unlock", &frame)) {
    store->driver->unlock (store->driver_plugin);
    ch_runner_leave (&frame);
  }
  return ok;
}

void ch_store_forget_applied (ChStore *store)
{
  g_clear_pointer (&store->applied, g_ptr_array_unref);
}

/* As far as is known since the last look: versions never go away. */
static gboolean has_all (ChStore *store, ChStoreOwner *owner)
{
  guint known, done;

  if (store->applied == NULL || !check_known (store, owner, &known, NULL)
      || !check_newest (owner, store->applied, known, NULL)
      || !compare (store, owner, store->applied, &done, NULL) || done < known)
    return FALSE;
  owner->version = known;
  return TRUE;
}

/* A plugin that is started again, or reloaded, while all runs keeps nobody waiting. */
gboolean ch_store_migrate (ChStore *store, ChStoreOwner *owner, GError **error)
{
  return has_all (store, owner) || with_lock (store, owner, error);
}

gboolean ch_store_migrate_all (ChStore *store, GError **error)
{
  return with_lock (store, NULL, error);
}

char *ch_store_versions (ChStore *store)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < store->in_order->len; i++) {
    const ChStoreOwner *owner = g_ptr_array_index (store->in_order, i);
    if (owner->version > 0)
      g_string_append_printf (text, "%s%s %u", text->len > 0 ? ", " : "",
                              owner->plugin->name, owner->version);
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}
