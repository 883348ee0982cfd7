/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening and closing, keys, figures. */
#include "base/config-private.h"
#include "store/store-private.h"

#include <string.h>

/* Somebody may submit again whenever it fails: not for ever. */
#define DRAIN_ROUNDS 100000

static const char *const log_levels[]
    = {"silent", "error", "warn", "info", "debug", "trace", NULL};
static const char *const dsn_names[] = {"DATABASE_URL", NULL};

const ChConfigKey ch_store_config[] = {
    {.name = "database.dsn",
     .type = CH_CONFIG_SECRET,
     .aliases = dsn_names,
     .summary = "Where the database is: a path or sqlite:PATH (relative to the state "
                "directory), or postgres://…; chargehost.db if not given."},
    {.name = "database.auto_migrate",
     .type = CH_CONFIG_BOOL,
     .summary = "Apply missing migrations at start; if false, refuse to start without "
                "them. Not given: true with profile embedded, false with production."},
    {.name = "database.statement_timeout",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_LIVE | CH_CONFIG_SECONDS,
     .def = "5s",
     .min = 10,
     .max = 3600000,
     .summary = "Deadline of a transaction whose caller states none, waiting included."},
    {.name = "database.lock_timeout",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_SECONDS,
     .def = "2s",
     .min = 10,
     .max = 600000,
     .summary = "Longest wait for a lock of the database."},
    {.name = "database.queue_max",
     .type = CH_CONFIG_INT,
     .flags = CH_CONFIG_LIVE,
     .def = "10000",
     .min = 1,
     .max = 1000000,
     .summary = "Transactions that may wait or run; more are refused as busy."},
    {.name = "database.result_max",
     .type = CH_CONFIG_SIZE,
     .flags = CH_CONFIG_LIVE,
     .def = "64M",
     .min = 65536,
     .max = 2147483648.0,
     .summary = "Largest result of one transaction; a larger one fails."},
    {.name = "database.slow_statement",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_LIVE,
     .def = "500ms",
     .min = 0,
     .max = 3600000,
     .summary = "Transactions that take longer are logged, one a second; 0 logs none."},
    {.name = "database.log_level",
     .type = CH_CONFIG_CHOICE,
     .flags = CH_CONFIG_LIVE,
     .def = "silent",
     .choices = log_levels,
     .summary
     = "What the log tells of single transactions: failures (error), repetitions "
       "(info), each (debug), each statement (trace)."},
    {.name = NULL},
};

static int level_of (const char *name)
{
  static const int levels[]
      = {-1, CH_LOG_ERROR, CH_LOG_WARNING, CH_LOG_INFO, CH_LOG_DEBUG, CH_LOG_TRACE};

  for (guint i = 0; name != NULL && log_levels[i] != NULL; i++)
    if (g_str_equal (log_levels[i], name))
      return levels[i];
  return -1;
}

void ch_store_read_keys (ChStore *store)
{
  ChStoreKeys *keys = &store->keys;
  ChPlugin *self = store->self;

  if (store->services->config == NULL)
    return;
  keys->auto_migrate
      = ch_config_get_is_set (store->services->config, "database.auto_migrate")
            ? ch_config_bool (self, "database.auto_migrate")
            : store->migrates;
  keys->statement_timeout_ms = ch_config_duration_ms (self, "database.statement_timeout");
  keys->lock_timeout_ms = ch_config_duration_ms (self, "database.lock_timeout");
  keys->slow_statement_ms = ch_config_duration_ms (self, "database.slow_statement");
  keys->queue_max = ch_config_int (self, "database.queue_max");
  keys->result_max = ch_config_int (self, "database.result_max");
  keys->log_level = level_of (ch_config_string (self, "database.log_level"));
}

static void default_keys (ChStoreKeys *keys)
{
  keys->statement_timeout_ms = 5000;
  keys->lock_timeout_ms = 2000;
  keys->slow_statement_ms = 500;
  keys->queue_max = 10000;
  keys->result_max = 64 * 1024 * 1024;
  keys->log_level = -1;
}

ChStore *ch_store_new (ChServices *services)
{
  ChStore *store = g_new0 (ChStore, 1);

  store->services = services;
  store->self = ch_owner_new (services, "store", NULL);
  pthread_mutex_init (&store->lock, NULL);
  default_keys (&store->keys);
  ch_store_set_auto_migrate (store, TRUE);
  ch_store_statements_init (store);
  store->listeners = g_ptr_array_new ();
  store->partitions = g_ptr_array_new ();
  ch_store_add_metrics (store);
  return store;
}

void ch_store_free (ChStore *store)
{
  if (store == NULL)
    return;
  ch_store_close (store);
  ch_store_discard_all (store);
  ch_store_listeners_clear (store);
  ch_store_partitions_clear (store);
  ch_store_statements_clear (store);
  ch_owner_free (store->self);
  pthread_mutex_destroy (&store->lock);
  g_free (store->write_failure);
  g_free (store->dsn);
  g_free (store->not_empty);
  g_free (store);
}

/* ---- open and close ------------------------------------------------------------------
 */

/* The driver's plugin stopped without ch_store_close(); it has finished what it had. */
static void revoke_driver (ChResource *resource)
{
  ChStore *store
      = (ChStore *) ((guint8 *) resource - G_STRUCT_OFFSET (ChStore, driver_use));

  ch_error (store->self, "the database driver %s has stopped: the store is closed",
            store->driver_plugin->name);
  ch_store_join_backup (store);
  ch_store_forget_applied (store);
  store->driver = NULL;
  store->driver_plugin = NULL;
  ch_store_drain_all (store);
  ch_store_fail_waiting (store);
}

static const ChResourceKind driver_kind = {"open databases", revoke_driver};

static gboolean open_driver (ChStore *store, ChPlugin *plugin,
                             const ChStoreDriver *driver, GError **error)
{
  const char *dsn = store->dsn, *state_dir = NULL;
  ChRunnerFrame frame;

  if (store->services->config != NULL) {
    dsn = dsn != NULL ? dsn : ch_config_string (store->self, "database.dsn");
    state_dir = ch_config_string (store->self, "app.state_dir");
  }
  ChStoreSettings settings = {
      .size = sizeof settings,
      .dsn = dsn != NULL && *dsn != '\0' ? dsn : CH_STORE_DEFAULT_DSN,
      .state_dir = state_dir != NULL && *state_dir != '\0' ? state_dir : ".",
      .statement_timeout_ms = store->keys.statement_timeout_ms,
      .lock_timeout_ms = store->keys.lock_timeout_ms,
  };
  if (!ch_runner_enter (plugin, "open", &frame)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "%s does not run",
                 plugin->name);
    return FALSE;
  }
  gboolean ok = driver->open (plugin, &settings, error);
  ch_runner_leave (&frame);
  return ch_runner_check (plugin, "open", ok, error);
}

static gboolean translate_all (ChStore *store, GError **error)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, store->owners);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (!ch_store_translate_owner (value, error))
      return FALSE;
  return TRUE;
}

void ch_store_set_auto_migrate (ChStore *store, gboolean migrates)
{
  store->migrates = store->keys.auto_migrate = migrates;
}

void ch_store_set_dsn (ChStore *store, const char *dsn)
{
  g_free (store->dsn);
  store->dsn = g_strdup (dsn);
}

void ch_store_expect_tables (ChStore *store, const char *reason)
{
  g_free (store->not_empty);
  store->not_empty = g_strdup (reason);
}

gboolean ch_store_open (ChStore *store, ChPlugin *driver_plugin,
                        const ChStoreDriver *driver, GError **error)
{
  if (store->driver != NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "the store is open already");
    return FALSE;
  }
  if (driver->size < sizeof (ChStoreDriver)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "%s was built for another driver table", driver_plugin->name);
    return FALSE;
  }
  ch_store_read_keys (store);
  if (!open_driver (store, driver_plugin, driver, error))
    return FALSE;
  store->driver = driver;
  store->driver_plugin = driver_plugin;
  ch_owner_link (driver_plugin, &store->driver_use, &driver_kind);
  if (ch_store_migrate_all (store, error) && translate_all (store, error)) {
    ch_store_listen_all (store);
    ch_store_partitions_all (store);
    return TRUE;
  }
  ch_store_close (store);
  return FALSE;
}

void ch_store_close (ChStore *store)
{
  const ChStoreDriver *driver = store->driver;
  ChPlugin *plugin = store->driver_plugin;
  ChRunnerFrame frame;

  if (driver == NULL)
    return;
  ch_store_join_backup (store);
  ch_owner_unlink (&store->driver_use);
  ch_store_forget_applied (store);
  store->driver = NULL; /* callbacks find it closed */
  gboolean entered = ch_runner_enter (plugin, "close", &frame);
  driver->close (plugin);
  if (entered)
    ch_runner_leave (&frame);
  store->driver_plugin = NULL;
  ch_store_drain_all (store);
  ch_store_fail_waiting (store);
  /* What is told may submit more, which fails now: that is told as well. */
  for (guint round = 0; round < DRAIN_ROUNDS && ch_store_drain_all (store); round++)
    ;
  if (store->at_driver > 0)
    ch_error (store->self, "%s left %u transactions without an answer", plugin->name,
              store->at_driver);
}

/* ---- figures
 * --------------------------------------------------------------------------- */

void ch_store_stats (ChStore *store, ChStoreStats *stats)
{
  ChRunnerFrame frame;

  memset (stats, 0, sizeof *stats);
  if (store->driver != NULL && ch_runner_enter (store->driver_plugin, "stats", &frame)) {
    store->driver->stats (store->driver_plugin, stats);
    ch_runner_leave (&frame);
  }
  stats->queued = store->at_driver;
  stats->oldest_ms = 0;
  for (ChTxRun *run = store->first; run != NULL; run = run->next) {
    if (run->at_driver) {
      stats->oldest_ms = (g_get_monotonic_time () - run->submitted_us) / 1000;
      break;
    }
  }
}

const char *ch_store_driver_name (ChStore *store)
{
  return store->driver != NULL ? store->driver_plugin->name : NULL;
}

gboolean ch_store_is_up (ChStore *store)
{
  ChStoreStats stats;

  ch_store_stats (store, &stats);
  return stats.up;
}
