/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What people and programs may ask: start, stop, restart, and what waits for the turn. */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

/* A new file in place of what was loaded and does not run is simply taken. */
static void look_again (ChPluginRecord *record)
{
  gboolean idle = record->state == CH_PLUGIN_LOADED || record->state == CH_PLUGIN_STOPPED
                  || record->state == CH_PLUGIN_FAILED;

  if (idle && ch_plugins_file_changed (record)
      && ch_plugins_step (record, CH_PLUGIN_EVENT_RESET, "the file has changed"))
    record->info = NULL;
}

gboolean ch_plugins_start_record (ChPluginRecord *record, GError **error)
{
  record->plugins->configured = TRUE;
  look_again (record);
  return ch_plugins_load_record (record, error) && ch_plugins_run (record, error);
}

gboolean ch_plugins_start (ChPlugins *plugins, const char *name, GError **error)
{
  ChPluginRecord *record = ch_plugins_find (plugins, name, error);

  return record != NULL && ch_plugins_start_record (record, error);
}

/* Returns: whether it has ended; otherwise it waits for the end of the turn */
static gboolean end_or_wait (ChPluginRecord *record)
{
  if (record->owner->in_call > 0) {
    record->stop_waits = TRUE;
    ch_plugins_defer (record->plugins);
    return FALSE;
  }
  ch_plugins_end (record);
  return TRUE;
}

gboolean ch_plugins_stop (ChPlugins *plugins, const char *name, GError **error)
{
  ChPluginRecord *record = ch_plugins_find (plugins, name, error);

  if (record == NULL)
    return FALSE;
  if (ch_plugins_is_up (record) && !ch_plugins_check_needed (record, error))
    return FALSE;
  if (!ch_plugins_step (record, CH_PLUGIN_EVENT_STOP, ""))
    return ch_plugins_impossible (record, "stopped", error);
  end_or_wait (record);
  return TRUE;
}

/* Starts again; when a new image does not start, the one before goes on. */
static gboolean run_again (ChPluginRecord *record, GError **error)
{
  const ChPluginInfo *previous = g_steal_pointer (&record->previous);
  g_autoptr (GError) problem = NULL;

  record->start_waits = FALSE;
  if (ch_plugins_run (record, &problem))
    return TRUE;
  if (previous != NULL
      && ch_plugins_step (record, CH_PLUGIN_EVENT_RESET, "back to before")) {
    record->info = previous;
    ch_plugins_step (record, CH_PLUGIN_EVENT_LOAD, "");
    if (ch_plugins_run (record, NULL))
      ch_error (record->plugins->host,
                "the new file of %s does not start, the old goes on", record->name);
  }
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean restart_running (ChPluginRecord *record, GError **error)
{
  if (!ch_plugins_check_needed (record, error))
    return FALSE;
  record->plugins->configured = TRUE;
  if (ch_plugins_file_changed (record) && !ch_plugins_load_beside (record, error)) {
    ch_error (record->plugins->host,
              "the new file of %s cannot be loaded, the old goes on", record->name);
    return FALSE;
  }
  ch_plugins_step (record, CH_PLUGIN_EVENT_STOP, "restart");
  if (end_or_wait (record))
    return run_again (record, error);
  record->start_waits = TRUE;
  return TRUE;
}

gboolean ch_plugins_restart (ChPlugins *plugins, const char *name, GError **error)
{
  ChPluginRecord *record = ch_plugins_find (plugins, name, error);

  if (record == NULL)
    return FALSE;
  if (ch_plugins_is_up (record))
    return restart_running (record, error);
  if (record->state == CH_PLUGIN_QUARANTINED) {
    ch_plugin_memory_clear (plugins->memory, record->name);
    ch_plugins_step (record, CH_PLUGIN_EVENT_RESET, "cleared by hand");
  }
  return ch_plugins_start_record (record, error);
}

void ch_plugins_settle (ChPlugins *plugins)
{
  gboolean again = FALSE;

  for (guint i = 0; i < plugins->records->len; i++) {
    ChPluginRecord *record = g_ptr_array_index (plugins->records, i);
    g_autoptr (GError) error = NULL;
    if (!record->stop_waits)
      continue;
    if (record->owner->in_call > 0) {
      again = TRUE;
      continue;
    }
    ch_plugins_end (record);
    if (record->start_waits && !run_again (record, &error))
      ch_error (plugins->host, "%s", error->message);
  }
  for (guint i = plugins->retired->len; i > 0; i--) {
    const ChPlugin *owner = g_ptr_array_index (plugins->retired, i - 1);
    if (owner->info->store_driver != NULL || owner->info->kv_driver != NULL)
      continue; /* the front may still ask whether it can be called: no */
    if (owner->in_call == 0)
      g_ptr_array_remove_index (plugins->retired, i - 1);
    else
      again = TRUE;
  }
  if (again)
    ch_plugins_defer (plugins);
}

/* Newest first, so that those who need an interface go before those who offer it. */
void ch_plugins_stop_all (ChPlugins *plugins)
{
  for (guint i = plugins->running->len; i > 0; i = MIN (i - 1, plugins->running->len)) {
    ChPluginRecord *record = g_ptr_array_index (plugins->running, i - 1);
    record->start_waits = FALSE;
    if (record->stop_waits || ch_plugins_step (record, CH_PLUGIN_EVENT_STOP, "shutdown"))
      ch_plugins_end (record);
  }
}
