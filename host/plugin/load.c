/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a file to a descriptor: trust, note, the scanner's look, the image, the check of
 * what the descriptor says, and its configuration keys. Nothing of the plugin starts.
 */
#include "net/gateway.h"
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <string.h>

#define MANY_IMAGES 16

static gboolean is_trusted (ChPluginRecord *record, GError **error)
{
  ChPlugins *plugins = record->plugins;
  g_autoptr (GError) problem = NULL;

  if (ch_plugin_trust_check (record->path, &problem))
    return TRUE;
  if (g_error_matches (problem, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_UNTRUSTED)
      && plugins->services->config != NULL
      && ch_config_bool (plugins->host, "plugins.development")) {
    ch_warning (plugins->host, "%s; taken because of plugins.development",
                problem->message);
    return TRUE;
  }
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

/* The scanner's verdict on these contents, asked once and remembered. */
static gboolean is_harmless (ChPluginRecord *record, const ChPluginFile *file,
                             GError **error)
{
  ChPluginMemory *memory = record->plugins->memory;
  const char *known = ch_plugin_memory_verdict (memory, record->path, file);
  g_autoptr (GError) problem = NULL;

  if (known != NULL && *known != '\0') {
    g_set_error_literal (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_CRASHED, known);
    return FALSE;
  }
  if (known != NULL)
    return TRUE;
  if (ch_plugin_scanner_run (record->path, record->name, &problem)) {
    ch_plugin_memory_set_verdict (memory, record->path, file, "");
    return TRUE;
  }
  if (problem->code == CH_PLUGIN_ERROR_CRASHED)
    ch_plugin_memory_set_verdict (memory, record->path, file, problem->message);
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean judge (ChPluginRecord *record, ChPluginFile *file, GError **error)
{
  ChPluginNote note;

  return ch_plugin_file_stat (record->path, file, error) && is_trusted (record, error)
         && ch_plugin_note_read (record->path, &note, error)
         && ch_plugin_note_check (&note, record->path, error)
         && is_harmless (record, file, error);
}

/* A crash in a constructor is charged like one in a callback. */
static void mark (ChPlugins *plugins, const char *name)
{
  const ChRunner *runner = plugins->services->runner;
  const ChPlugin *outer
      = runner != NULL && runner->top != NULL ? runner->top->plugin : NULL;

  if (plugins->page.page == NULL)
    return;
  if (name != NULL)
    g_strlcpy (plugins->page.page, name, CH_RUNNER_MARK_SIZE);
  else if (outer != NULL && !outer->is_host)
    memcpy (plugins->page.page, outer->mark, CH_RUNNER_MARK_SIZE);
  else
    plugins->page.page[0] = '\0';
}

static const ChPluginInfo *open_image (ChPluginRecord *record, GError **error)
{
  ChPlugins *plugins = record->plugins;
  g_autofree char *copy = NULL;
  const char *path = record->path;
  void *image = NULL;

  if (record->loads > 0) {
    if (plugins->state_dir == NULL) {
      g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE,
                   "%s has changed, and there is no state directory for a copy of it",
                   path);
      return NULL;
    }
    g_autofree char *directory
        = g_build_filename (plugins->state_dir, "generations", NULL);
    path = copy
        = ch_plugin_image_copy (path, directory, record->name, record->loads + 1, error);
    if (copy == NULL)
      return NULL;
  }
  mark (plugins, record->name);
  const ChPluginInfo *info = ch_plugin_image_load (path, record->name, &image, error);
  mark (plugins, NULL);
  if (image != NULL) {
    record->loads++;
    plugins->images++;
    if (plugins->images % MANY_IMAGES == 0)
      ch_notice (
          plugins->host,
          "%u images of plugins are in memory and stay there; a restart of the daemon "
          "frees it",
          plugins->images);
  }
  return info;
}

static void declare_keys (ChPluginRecord *record)
{
  ChPlugins *plugins = record->plugins;
  ChConfig *config = plugins->services->config;

  if (config == NULL)
    return;
  ch_config_declare (config, record->name, record->info->config);
  if (record->info->protocol != NULL)
    ch_config_declare (config, record->name,
                       plugins->protocol_keys != NULL ? plugins->protocol_keys
                                                      : ch_gateway_property_keys ());
  record->unresolved = plugins->configured;
}

gboolean ch_plugins_file_changed (const ChPluginRecord *record)
{
  ChPluginFile now;

  return record->path != NULL && ch_plugin_file_stat (record->path, &now, NULL)
         && (now.size != record->file.size || now.mtime_ns != record->file.mtime_ns);
}

static const ChPluginInfo *find_info (ChPluginRecord *record, ChPluginFile *file,
                                      GError **error)
{
  if (record->query != NULL)
    return record->query ();
  return judge (record, file, error) ? open_image (record, error) : NULL;
}

gboolean ch_plugins_load_record (ChPluginRecord *record, GError **error)
{
  GError *problem = NULL;

  if (record->state == CH_PLUGIN_BLOCKED && ch_plugins_file_changed (record))
    ch_plugins_step (record, CH_PLUGIN_EVENT_RESET, "the file has changed");
  if (record->state == CH_PLUGIN_BLOCKED) {
    if (error != NULL)
      *error = g_error_copy (record->error);
    return FALSE;
  }
  if (record->state == CH_PLUGIN_QUARANTINED) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_QUARANTINED,
                 "%s is quarantined: %s", record->name, record->reason);
    return FALSE;
  }
  if (record->state != CH_PLUGIN_FOUND)
    return TRUE;

  const ChPluginInfo *info = find_info (record, &record->file, &problem);
  if (info == NULL) {
    ch_plugins_refuse (record, CH_PLUGIN_EVENT_BLOCK, problem, error);
    return FALSE;
  }
  record->info = info;
  declare_keys (record);
  ch_plugins_step (record, CH_PLUGIN_EVENT_LOAD, "");
  return TRUE;
}

gboolean ch_plugins_load_beside (ChPluginRecord *record, GError **error)
{
  ChPluginFile file;
  const ChPluginInfo *info = find_info (record, &file, error);

  if (info == NULL)
    return FALSE;
  record->file = file;
  record->previous = record->info;
  record->info = info;
  declare_keys (record);
  return TRUE;
}

gboolean ch_plugins_load (ChPlugins *plugins, const char *name, GError **error)
{
  ChPluginRecord *record = ch_plugins_find (plugins, name, error);

  return record != NULL && ch_plugins_load_record (record, error);
}
