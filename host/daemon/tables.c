/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done to a database while no daemon runs: bringing its tables to this version,
 * checking them, copying all into a database of another kind. No kv, no devices, no REST.
 */
#include "base/config-private.h"
#include "core/core.h"
#include "daemon/daemon.h"
#include "http/http.h"
#include "plugin/plugins.h"
#include "store/store.h"

#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const STORES[] = {"store-sqlite", "store-pgsql", NULL};

gboolean ch_daemon_wants_tables (const ChDaemon *daemon)
{
  const ChOptions *o = &daemon->options;
  return o->migrate_only || o->migrate_check || o->copy_to != NULL;
}

/* Both drivers, for a copy; one that is missing is told of when it is to be opened. */
gboolean ch_daemon_load_stores (ChDaemon *daemon, GError **error)
{
  return daemon->options.copy_to == NULL
         || ch_plugins_load_list (daemon->services.plugins, STORES, NULL, error);
}

/* ---- where ---- */

static const char *driver_of_dsn (const char *dsn)
{
  static const char *const marks[] = {"host=", "service=", "dbname=", "port="};

  if (g_str_has_prefix (dsn, "postgres://") || g_str_has_prefix (dsn, "postgresql://"))
    return "store-pgsql";
  for (guint i = 0; i < G_N_ELEMENTS (marks); i++)
    if (strstr (dsn, marks[i]) != NULL && strchr (dsn, '/') != dsn)
      return "store-pgsql";
  return "store-sqlite";
}

static const char *configured_driver (ChDaemon *daemon)
{
  const char *const *names = ch_daemon_wanted_plugins (daemon);
  for (; *names != NULL; names++)
    if (g_str_has_prefix (*names, "store-"))
      return *names;
  return "store-sqlite";
}

/* The key of store-sqlite would win over any other place. */
static char *configured_dsn (ChDaemon *daemon, const char *driver, GError **error)
{
  ChConfig *config = daemon->services.config;
  g_auto (GStrv) unloaded = ch_plugins_unloaded (daemon->services.plugins);
  const char *dsn = ch_config_get_string (config, "database.dsn");
  const char *path = ch_config_get_string (config, "store-sqlite.path");
  char *place;

  if (g_str_equal (driver, "store-sqlite") && path != NULL && *path != '\0')
    place = g_strdup (path);
  else
    place = g_strdup (dsn != NULL && *dsn != '\0' ? dsn : CH_STORE_DEFAULT_DSN);
  if (ch_config_add_option (config, "store-sqlite.path=", error)
      && ch_config_resolve (config, (const char *const *) unloaded, error))
    return place;
  g_free (place);
  return NULL;
}

static gboolean open_at (ChDaemon *daemon, ChStore *store, const char *name,
                         GError **error)
{
  ChPlugins *plugins = daemon->services.plugins;

  if (ch_plugins_peek (plugins, name) == NULL && !ch_plugins_start (plugins, name, error))
    return FALSE;
  ChPlugin *plugin = ch_plugins_peek (plugins, name);
  return ch_store_open (store, plugin, plugin->info->store_driver, error);
}

/* Owners of tables whose plugins are loaded but do not run here. */
static gboolean register_plugins (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  g_autoptr (GPtrArray) names = ch_plugins_names (s->plugins);

  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    const ChPluginInfo *info = ch_plugins_info (s->plugins, name);
    if (info == NULL || info->migrations == NULL)
      continue;
    ChPlugin *owner = ch_owner_new (s, name, info);
    g_ptr_array_add (daemon->table_owners, owner);
    if (!ch_store_register (owner, info->migrations, NULL, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean open_with_tables (ChDaemon *daemon, const char *driver, GError **error)
{
  ChServices *s = &daemon->services;

  s->http = ch_http_new (s);
  return open_at (daemon, s->store, driver, error)
         && ch_core_register_store (s->core, error)
         && ch_http_register_store (s->http, error) && register_plugins (daemon, error);
}

/* ---- copy ---- */

typedef struct {
  guint64 rows;
  guint tables;
} Copied;

static void note_table (const char *table, guint64 rows, gpointer data)
{
  Copied *copied = data;
  copied->rows += rows;
  copied->tables++;
  g_print ("%-24s %10" G_GUINT64_FORMAT " rows\n", table, rows);
}

static gboolean copy_between (ChDaemon *daemon, ChStore *from, GError **error)
{
  gint64 began_us = g_get_monotonic_time ();
  Copied copied = {0};

  if (!ch_store_copy (from, daemon->services.store, daemon->options.copy_replace,
                      note_table, &copied, error))
    return FALSE;
  g_print ("Copied and compared: %" G_GUINT64_FORMAT " rows of %u tables in %.1f s\n",
           copied.rows, copied.tables,
           (double) (g_get_monotonic_time () - began_us) / G_USEC_PER_SEC);
  return TRUE;
}

static gboolean copy_store (ChDaemon *daemon, GError **error)
{
  const ChOptions *o = &daemon->options;
  const char *to = driver_of_dsn (o->copy_to);
  const char *from
      = o->copy_from != NULL ? driver_of_dsn (o->copy_from) : configured_driver (daemon);
  g_autofree char *configured = configured_dsn (daemon, from, error);
  ChServices aside = daemon->services;

  if (configured == NULL)
    return FALSE;
  if (g_str_equal (from, to)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                 "the source and the target are both for %s: take a backup of the one "
                 "with its own means (chargehostctl store backup, pg_dump)",
                 to);
    return FALSE;
  }
  /* The source is read by a store beside the daemon's, which is the target. */
  aside.store = NULL;
  aside.metrics = NULL;
  g_autoptr (ChStore) source = ch_store_new (&aside);
  aside.store = source;
  ch_store_set_dsn (source, o->copy_from != NULL ? o->copy_from : configured);
  ch_store_set_dsn (daemon->services.store, o->copy_to);
  gboolean ok = open_at (daemon, source, from, error)
                && open_with_tables (daemon, to, error)
                && copy_between (daemon, source, error);
  ch_store_close (source);
  return ok;
}

/* Files that root makes in the daemon's directory would keep the daemon out. */
gboolean ch_daemon_is_right_user (ChDaemon *daemon, GError **error)
{
  struct stat info;

  if (geteuid () != 0 || stat (daemon->state_dir, &info) != 0 || info.st_uid == 0)
    return TRUE;
  const struct passwd *owner = getpwuid (info.st_uid);
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO,
               "%s belongs to %s: run this as that user, for example with runuser -u %s",
               daemon->state_dir, owner != NULL ? owner->pw_name : "another user",
               owner != NULL ? owner->pw_name : "NAME");
  return FALSE;
}

static gboolean migrate_store (ChDaemon *daemon, GError **error)
{
  ch_daemon_expect_database (daemon);
  if (!open_with_tables (daemon, configured_driver (daemon), error))
    return FALSE;
  ch_daemon_remember_database (daemon);
  g_autofree char *versions = ch_store_versions (daemon->services.store);
  g_print (daemon->options.migrate_check ? "Up to date: %s\n" : "Migrated: %s\n",
           versions);
  return TRUE;
}

gboolean ch_daemon_do_tables (ChDaemon *daemon, GError **error)
{
  daemon->table_owners = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_owner_free);
  gboolean ok = daemon->options.copy_to != NULL ? copy_store (daemon, error)
                                                : migrate_store (daemon, error);
  g_clear_pointer (&daemon->table_owners, g_ptr_array_unref);
  return ok;
}
