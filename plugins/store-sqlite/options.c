/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sqlite.h"

#include <string.h>

static const char *const sync_choices[] = {"full", "normal", NULL};
static const char *const sync_names[] = {"SQLITE_SYNC", NULL};
static const char *const check_choices[] = {"off", "quick", "full", NULL};

const ChConfigKey sq_config[] = {
    {.name = "path",
     .type = CH_CONFIG_STRING,
     .summary = "File of the database; if not given, what database.dsn says."},
    {.name = "readers",
     .type = CH_CONFIG_INT,
     .def = "2",
     .min = 1,
     .max = 16,
     .summary = "Threads that run read-only transactions."},
    {.name = "synchronous",
     .type = CH_CONFIG_CHOICE,
     .def = "full",
     .choices = sync_choices,
     .aliases = sync_names,
     .summary = "full: what is acknowledged survives a loss of power; normal: only a "
                "crash of the program."},
    {.name = "cache",
     .type = CH_CONFIG_SIZE,
     .def = "16M",
     .min = 65536,
     .max = 17179869184.0,
     .summary = "Page cache of each connection."},
    {.name = "mmap",
     .type = CH_CONFIG_SIZE,
     .def = "0",
     .min = 0,
     .max = 1099511627776.0,
     .summary = "How much of the file is read through a memory map; 0 is none."},
    {.name = "wal_autocheckpoint",
     .type = CH_CONFIG_INT,
     .def = "4000",
     .min = 100,
     .max = 1000000,
     .summary = "Pages in the write-ahead log that make it be copied into the database."},
    {.name = "batch_max",
     .type = CH_CONFIG_INT,
     .def = "512",
     .min = 1,
     .max = 10000,
     .summary = "Transactions that share one commit at most."},
    {.name = "busy_timeout",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_SECONDS,
     .def = "5s",
     .min = 0,
     .max = 600000,
     .summary = "Longest wait for another program, such as sqlite3, that writes."},
    {.name = "integrity_check",
     .type = CH_CONFIG_CHOICE,
     .def = "quick",
     .choices = check_choices,
     .summary = "Check of the database at start after it was not closed orderly."},
    {.name = "vfs",
     .type = CH_CONFIG_STRING,
     .summary = "Name of SQLite's file layer; for tests."},
    {.name = "vfs_module",
     .type = CH_CONFIG_STRING,
     .summary = "Loadable SQLite extension that registers it; only with "
                "plugins.development."},
    {.name = NULL},
};

static const char *without_scheme (const char *dsn, GError **error)
{
  static const char *const schemes[] = {"sqlite://", "sqlite:", "file://"};

  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++)
    if (g_str_has_prefix (dsn, schemes[i]))
      return dsn + strlen (schemes[i]);
  if (strstr (dsn, "://") == NULL)
    return dsn;
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
               "database.dsn does not name a SQLite file");
  return NULL;
}

static char *path_of (ChPlugin *self, const ChStoreSettings *settings, GError **error)
{
  const char *path = ch_config_string (self, "path");

  if (path == NULL || *path == '\0')
    path = without_scheme (settings->dsn, error);
  if (path == NULL)
    return NULL;
  if (*path == '\0' || strstr (path, ":memory:") != NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "the database has to be a file: it is opened several times");
    return NULL;
  }
  if (g_path_is_absolute (path))
    return g_strdup (path);
  return g_build_filename (settings->state_dir, path, NULL);
}

static char *optional (ChPlugin *self, const char *key)
{
  const char *text = ch_config_string (self, key);
  return text != NULL && *text != '\0' ? g_strdup (text) : NULL;
}

gboolean sq_options_read (SqOptions *options, ChPlugin *self,
                          const ChStoreSettings *settings, GError **error)
{
  const char *check = ch_config_string (self, "integrity_check");

  options->path = path_of (self, settings, error);
  if (options->path == NULL)
    return FALSE;
  options->vfs = optional (self, "vfs");
  options->vfs_module = optional (self, "vfs_module");
  options->busy_ms = ch_config_duration_ms (self, "busy_timeout");
  options->cache_bytes = ch_config_int (self, "cache");
  options->mmap_bytes = ch_config_int (self, "mmap");
  options->checkpoint_pages = ch_config_int (self, "wal_autocheckpoint");
  options->readers = (guint) ch_config_int (self, "readers");
  options->batch_max = (guint) ch_config_int (self, "batch_max");
  options->sync_full = g_str_equal (ch_config_string (self, "synchronous"), "full");
  options->check = g_str_equal (check, "off")    ? SQ_CHECK_OFF
                   : g_str_equal (check, "full") ? SQ_CHECK_FULL
                                                 : SQ_CHECK_QUICK;
  return TRUE;
}

void sq_options_clear (SqOptions *options)
{
  g_clear_pointer (&options->path, g_free);
  g_clear_pointer (&options->vfs, g_free);
  g_clear_pointer (&options->vfs_module, g_free);
}
