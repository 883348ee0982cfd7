/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-sqlite: the store's driver for SQLite. */
#include "sqlite.h"

typedef struct {
  SqOptions options;
  SqLock lock;
  SqWriter *writer; /* NULL: not open */
  SqReaders *readers;
} Store;

/* It is code that nothing has checked, so the configuration has to say it twice. */
static gboolean load_vfs (ChPlugin *self, const SqOptions *options, GError **error)
{
  sqlite3 *db = NULL;
  char *message = NULL;

  if (options->vfs_module == NULL)
    return TRUE;
  if (!ch_config_bool (self, "/plugins.development")) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "store-sqlite.vfs_module is only taken with plugins.development");
    return FALSE;
  }
  int rc = sqlite3_open_v2 (":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY,
                            NULL);
  if (rc == SQLITE_OK) {
    sqlite3_db_config (db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    rc = sqlite3_load_extension (db, options->vfs_module, NULL, &message);
  }
  if (rc != SQLITE_OK)
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "%s: %s",
                 options->vfs_module, message != NULL ? message : sqlite3_errstr (rc));
  sqlite3_free (message);
  sqlite3_close (db);
  return rc == SQLITE_OK;
}

static gboolean open_threads (ChPlugin *self, Store *store, GError **error)
{
  store->writer = sq_writer_new (self, &store->options, error);
  if (store->writer == NULL)
    return FALSE;
  /* After the writer: it has made the file and repaired the log. */
  if ((!store->lock.unclean || sq_check (self, &store->options, error))
      && (store->readers = sq_readers_new (self, &store->options, error)) != NULL)
    return TRUE;
  sq_writer_free (g_steal_pointer (&store->writer));
  return FALSE;
}

static gboolean sqlite_open (ChPlugin *self, const ChStoreSettings *settings,
                             GError **error)
{
  Store *store = ch_plugin_data (self);

  sqlite3_config (SQLITE_CONFIG_MEMSTATUS, 0); /* a lock less per allocation */
  if (!sq_options_read (&store->options, self, settings, error))
    return FALSE;
  if (load_vfs (self, &store->options, error)
      && sq_lock_take (&store->lock, store->options.path, error)) {
    if (sq_check_log (store->options.path, error) && open_threads (self, store, error))
      return TRUE;
    sq_lock_release (&store->lock, !store->lock.unclean);
  }
  sq_options_clear (&store->options);
  return FALSE;
}

static void sqlite_close (ChPlugin *self)
{
  Store *store = ch_plugin_data (self);

  if (store->writer == NULL)
    return;
  gboolean well = sq_writer_is_well (store->writer);
  sq_readers_free (g_steal_pointer (&store->readers));
  sq_writer_free (g_steal_pointer (&store->writer));
  sq_lock_release (&store->lock, well);
  sq_options_clear (&store->options);
}

static gboolean sqlite_script (ChPlugin *self, const char *sql, GError **error)
{
  Store *store = ch_plugin_data (self);
  return sq_writer_script (store->writer, sql, error);
}

static void sqlite_run_now (ChPlugin *self, ChTxRun *run)
{
  Store *store = ch_plugin_data (self);
  sq_writer_run_now (store->writer, run);
}

static void sqlite_submit (ChPlugin *self, ChTxRun *run)
{
  Store *store = ch_plugin_data (self);

  if (ch_tx_run_read_only (run))
    sq_readers_submit (store->readers, run);
  else
    sq_writer_submit (store->writer, run);
}

/* Other processes are kept out by the lock file, other transactions by this. */
static gboolean sqlite_lock (ChPlugin *self, GError **error)
{
  Store *store = ch_plugin_data (self);
  sq_writer_hold (store->writer, TRUE);
  return TRUE;
}

static void sqlite_unlock (ChPlugin *self)
{
  Store *store = ch_plugin_data (self);
  sq_writer_hold (store->writer, FALSE);
}

static void sqlite_stats (ChPlugin *self, ChStoreStats *stats)
{
  Store *store = ch_plugin_data (self);

  if (store->writer == NULL)
    return;
  stats->connections = 1 + (gint64) store->options.readers;
  stats->idle = stats->connections - sq_readers_busy (store->readers)
                - (sq_writer_is_busy (store->writer) ? 1 : 0);
  stats->up = sq_writer_is_well (store->writer);
}

static gboolean sqlite_backup (ChPlugin *self, const char *path, GError **error)
{
  Store *store = ch_plugin_data (self);
  return sq_copy (&store->options, path, error);
}

static const ChStoreDriver sqlite_driver = {
    .size = sizeof (ChStoreDriver),
    .dialect = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .script = sqlite_script,
    .run_now = sqlite_run_now,
    .submit = sqlite_submit,
    .lock = sqlite_lock,
    .unlock = sqlite_unlock,
    .stats = sqlite_stats,
    .backup = sqlite_backup,
};

static gboolean sqlite_start (ChPlugin *self, GError **error)
{
  Store *store = g_new0 (Store, 1);
  store->lock.fd = -1;
  ch_plugin_set_data (self, store);
  return TRUE;
}

static void sqlite_stop (ChPlugin *self)
{
  Store *store = ch_plugin_data (self);

  sqlite_close (self);
  g_free (store);
  ch_plugin_set_data (self, NULL);
}

CH_PLUGIN_DEFINE (store_sqlite, .name = "store-sqlite", .summary = "SQLite store",
                  .version = "1.0.0", .license = "LGPL-2.1-or-later", .config = sq_config,
                  .store_driver = &sqlite_driver, .start = sqlite_start,
                  .stop = sqlite_stop)
