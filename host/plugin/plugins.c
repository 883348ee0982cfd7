/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry: which plugins are known, and what anybody may know of them. */
#include "base/clock-private.h"
#include "ch-build.h"
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define MAX_RECORDS 512

const ChConfigKey ch_plugins_config[] = {
    {.name = "start",
     .type = CH_CONFIG_LIST,
     .summary = "Plugins that start with the daemon"},
    {.name = "required",
     .type = CH_CONFIG_LIST,
     .summary = "Plugins without which the daemon does not start"},
    {.name = "path",
     .type = CH_CONFIG_LIST,
     .def = CH_PLUGIN_DIR,
     .aliases = (const char *const[]) {"CHARGEHOST_PLUGIN_PATH", NULL},
     .summary
     = "Directories in which plugins are looked for; the first of a name counts"},
    {.name = "development",
     .type = CH_CONFIG_BOOL,
     .def = "false",
     .summary
     = "Only warn of plugin files that others than root and the daemon may write"},
    {.name = NULL},
};

static void free_record (gpointer data)
{
  ChPluginRecord *record = data;

  g_clear_error (&record->error);
  g_free (record->name);
  g_free (record->path);
  g_free (record->reason);
  g_free (record);
}

static void run_later (ChDeferred *deferred)
{
  ch_plugins_settle (((ChPluginsLater *) deferred)->plugins);
}

/* Whom the last process died in is booked before anything of it is loaded. */
static void open_page (ChPlugins *plugins)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *guilty = NULL;

  if (!ch_plugin_page_open (&plugins->page, plugins->state_dir, &guilty, &error)) {
    ch_warning (plugins->host, "crashes cannot be charged to plugins: %s",
                error->message);
    return;
  }
  g_autofree char *copies = g_build_filename (plugins->state_dir, "generations", NULL);
  ch_plugin_image_forget_copies (copies);
  if (plugins->services->runner != NULL)
    ch_runner_set_crash_page (plugins->services->runner, plugins->page.page,
                              CH_RUNNER_MARK_SIZE);
  if (guilty == NULL)
    return;
  ch_error (plugins->host, "the last run ended inside the plugin %s", guilty);
  if (ch_plugin_memory_crashed (plugins->memory, guilty,
                                ch_clock_wall_ms (plugins->services->clock)))
    ch_error (plugins->host, "%s crashed %d times within %d minutes and is quarantined",
              guilty, CH_PLUGIN_CRASHES, CH_PLUGIN_CRASH_WINDOW_MS / 60000);
}

ChPlugins *ch_plugins_new (ChServices *services, const char *state_dir)
{
  ChPlugins *plugins = g_new0 (ChPlugins, 1);

  plugins->services = services;
  plugins->host = ch_owner_new (services, "host", NULL);
  plugins->state_dir = g_strdup (state_dir);
  plugins->page.fd = -1;
  plugins->records = g_ptr_array_new_with_free_func (free_record);
  plugins->running = g_ptr_array_new ();
  plugins->retired = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_owner_free);
  plugins->interfaces = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  plugins->later.deferred.func = run_later;
  plugins->later.plugins = plugins;
  if (state_dir != NULL && g_mkdir_with_parents (state_dir, 0700) != 0)
    ch_warning (plugins->host, "%s cannot be made", state_dir);
  plugins->memory = ch_plugin_memory_new (state_dir);
  if (state_dir != NULL)
    open_page (plugins);
  ch_plugins_register_topic (plugins);
  return plugins;
}

void ch_plugins_free (ChPlugins *plugins)
{
  if (plugins == NULL)
    return;
  ch_plugins_stop_all (plugins);
  if (plugins->services->reactor != NULL)
    ch_reactor_undefer (plugins->services->reactor, &plugins->later.deferred);
  if (plugins->services->runner != NULL)
    ch_runner_set_crash_page (plugins->services->runner, NULL, 0);
  ch_plugin_page_close (&plugins->page);
  ch_plugin_memory_free (plugins->memory);
  g_ptr_array_unref (plugins->retired);
  g_ptr_array_unref (plugins->running);
  g_ptr_array_unref (plugins->records);
  g_hash_table_unref (plugins->interfaces);
  ch_owner_free (plugins->host);
  g_free (plugins->state_dir);
  g_free (plugins);
}

static ChPluginRecord *lookup (ChPlugins *plugins, const char *name)
{
  for (guint i = 0; i < plugins->records->len; i++) {
    ChPluginRecord *record = g_ptr_array_index (plugins->records, i);
    if (g_str_equal (record->name, name))
      return record;
  }
  return NULL;
}

ChPluginRecord *ch_plugins_find (ChPlugins *plugins, const char *name, GError **error)
{
  ChPluginRecord *record = lookup (plugins, name);

  if (record == NULL)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND,
                 "there is no plugin %s", name);
  return record;
}

gboolean ch_plugins_is_up (const ChPluginRecord *record)
{
  return record->state == CH_PLUGIN_RUNNING || record->state == CH_PLUGIN_DEGRADED;
}

/* ---- finding ----------------------------------------------------------------------- */

static ChPluginRecord *add_record (ChPlugins *plugins, const char *name, const char *path,
                                   GError **error)
{
  ChPluginRecord *record = lookup (plugins, name);

  if (record != NULL) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE,
                 "%s: there is a plugin %s already (%s)", path != NULL ? path : name,
                 name, record->path != NULL ? record->path : "built in");
    return NULL;
  }
  if (plugins->records->len >= MAX_RECORDS) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "%s: too many plugins",
                 name);
    return NULL;
  }
  record = g_new0 (ChPluginRecord, 1);
  record->plugins = plugins;
  record->name = g_strdup (name);
  record->path = g_strdup (path);
  record->state = CH_PLUGIN_FOUND;
  record->reason = g_strdup ("");
  g_ptr_array_add (plugins->records, record);
  if (ch_plugin_memory_is_quarantined (plugins->memory, name))
    ch_plugins_step (
        record, CH_PLUGIN_EVENT_QUARANTINE,
        "it crashed three times within ten minutes; a restart by hand clears this");
  return record;
}

static gboolean read_note (const char *path, GError **error)
{
  ChPluginNote note;

  return ch_plugin_note_read (path, &note, error)
         && ch_plugin_note_check (&note, path, error);
}

gboolean ch_plugins_add_file (ChPlugins *plugins, const char *path, GError **error)
{
  GError *problem = NULL;
  g_autofree char *name = ch_plugin_name_of_path (path, error);
  if (name == NULL)
    return FALSE;
  ChPluginRecord *record = add_record (plugins, name, path, error);
  if (record == NULL)
    return FALSE;
  if (record->state == CH_PLUGIN_QUARANTINED)
    return TRUE;
  if (ch_plugin_file_stat (path, &record->file, &problem) && read_note (path, &problem))
    return TRUE;
  ch_plugins_refuse (record, CH_PLUGIN_EVENT_BLOCK, problem, error);
  return FALSE;
}

gboolean ch_plugins_add_builtin (ChPlugins *plugins, ChPluginQuery query, GError **error)
{
  const ChPluginInfo *info = query ();

  if (!ch_plugin_descriptor_check (info, NULL, "built in", error))
    return FALSE;
  ChPluginRecord *record = add_record (plugins, info->name, NULL, error);
  if (record == NULL)
    return FALSE;
  record->query = query;
  return TRUE;
}

static gint compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

void ch_plugins_scan (ChPlugins *plugins, const char *directory)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (directory, 0, &error);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (dir == NULL) {
    ch_notice (plugins->host, "%s", error->message);
    return;
  }
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    if (g_str_has_suffix (name, ".so") && names->len < MAX_RECORDS)
      g_ptr_array_add (names, g_build_filename (directory, name, NULL));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++) {
    g_autoptr (GError) refused = NULL;
    if (!ch_plugins_add_file (plugins, g_ptr_array_index (names, i), &refused))
      ch_warning (plugins->host, "%s", refused->message);
  }
}

void ch_plugins_scan_configured (ChPlugins *plugins)
{
  const char *const *paths = ch_config_list (plugins->host, "plugins.path");

  for (guint i = 0; paths != NULL && paths[i] != NULL; i++)
    ch_plugins_scan (plugins, paths[i]);
}

/* ---- looking ----------------------------------------------------------------------- */

gboolean ch_plugins_view (ChPlugins *plugins, const char *name, ChPluginView *view)
{
  const ChPluginRecord *record = lookup (plugins, name);
  const ChPlugin *owner;

  memset (view, 0, sizeof *view);
  if (record == NULL)
    return FALSE;
  owner = record->owner;
  view->name = record->name;
  view->path = record->path != NULL ? record->path : "";
  view->summary = record->info != NULL ? record->info->summary : "";
  view->version = record->info != NULL ? record->info->version : "";
  view->license = record->info != NULL ? record->info->license : "";
  view->provides = record->info != NULL ? record->info->provides : NULL;
  view->state = record->state;
  view->reason = record->reason;
  view->generation = record->generation;
  view->calls = record->calls + (owner != NULL ? owner->calls : 0);
  view->failures = record->failures + (owner != NULL ? owner->failures : 0);
  view->slowest_us = MAX (record->slowest_us, owner != NULL ? owner->slowest_us : 0);
  return TRUE;
}

GPtrArray *ch_plugins_names (ChPlugins *plugins)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < plugins->records->len; i++)
    g_ptr_array_add (names,
                     ((ChPluginRecord *) g_ptr_array_index (plugins->records, i))->name);
  return names;
}

char **ch_plugins_unloaded (ChPlugins *plugins)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < plugins->records->len; i++) {
    const ChPluginRecord *record = g_ptr_array_index (plugins->records, i);
    if (record->info == NULL)
      g_ptr_array_add (names, g_strdup (record->name));
  }
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

ChPlugin *ch_plugins_peek (ChPlugins *plugins, const char *name)
{
  const ChPluginRecord *record = lookup (plugins, name);

  return record != NULL && ch_plugins_is_up (record) ? record->owner : NULL;
}

const ChPluginInfo *ch_plugins_info (ChPlugins *plugins, const char *name)
{
  const ChPluginRecord *record = lookup (plugins, name);

  return record != NULL ? record->info : NULL;
}

guint ch_plugins_images (ChPlugins *plugins)
{
  return plugins->images;
}

void ch_plugins_set_protocol_keys (ChPlugins *plugins, const ChConfigKey *keys)
{
  plugins->protocol_keys = keys;
}

void ch_plugins_set_changed (ChPlugins *plugins, ChPluginsChanged changed, gpointer data)
{
  plugins->changed = changed;
  plugins->changed_data = data;
}
