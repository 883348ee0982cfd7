/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces: who offers what. Plugins name interfaces, never each other. */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

static gboolean is_in (const char *const *names, const char *name)
{
  for (; names != NULL && *names != NULL; names++)
    if (g_str_equal (*names, name))
      return TRUE;
  return FALSE;
}

gboolean ch_plugins_provide (ChPlugins *plugins, const char *interface_name)
{
  return g_hash_table_add (plugins->interfaces, g_strdup (interface_name));
}

/* @but (nullable) does not count. */
static gboolean is_offered (ChPlugins *plugins, const char *interface_name,
                            const ChPluginRecord *but)
{
  if (g_hash_table_contains (plugins->interfaces, interface_name))
    return TRUE;
  for (guint i = 0; i < plugins->running->len; i++) {
    const ChPluginRecord *record = g_ptr_array_index (plugins->running, i);
    if (record != but && ch_plugins_is_up (record)
        && is_in (record->owner->info->provides, interface_name))
      return TRUE;
  }
  return FALSE;
}

gboolean ch_plugins_has (ChPlugins *plugins, const char *interface_name)
{
  return is_offered (plugins, interface_name, NULL);
}

gboolean ch_plugins_check_requires (ChPluginRecord *record, GError **error)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  for (const char *const *name = record->info->requires; name != NULL && *name != NULL;
       name++)
    if (!ch_plugins_has (record->plugins, *name))
      g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", *name);
  if (missing->len == 0)
    return TRUE;
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE,
               "%s needs what nobody offers: %s", record->name, missing->str);
  return FALSE;
}

/* The fronts of store and kv keep the driver that they opened for good. */
static gboolean is_driver_in_use (const ChPluginRecord *record)
{
  const ChServices *services = record->plugins->services;
  const ChPluginInfo *info = record->owner->info;

  return (info->store_driver != NULL && services->store != NULL)
         || (info->kv_driver != NULL && services->kv != NULL);
}

gboolean ch_plugins_check_needed (ChPluginRecord *record, GError **error)
{
  ChPlugins *plugins = record->plugins;
  const char *const *offered = record->owner->info->provides;

  if (is_driver_in_use (record)) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE,
                 "%s cannot be stopped while the daemon runs: it holds the data",
                 record->name);
    return FALSE;
  }
  for (; offered != NULL && *offered != NULL; offered++) {
    if (is_offered (plugins, *offered, record))
      continue;
    for (guint i = 0; i < plugins->running->len; i++) {
      const ChPluginRecord *other = g_ptr_array_index (plugins->running, i);
      if (other == record || !ch_plugins_is_up (other)
          || !is_in (other->owner->info->requires, *offered))
        continue;
      g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE,
                   "%s cannot be stopped: %s needs its interface %s", record->name,
                   other->name, *offered);
      return FALSE;
    }
  }
  return TRUE;
}

ChPlugin *ch_plugins_find_store (ChPlugins *plugins, const ChStoreDriver **driver)
{
  for (guint i = 0; i < plugins->running->len; i++) {
    const ChPluginRecord *record = g_ptr_array_index (plugins->running, i);
    if (ch_plugins_is_up (record) && record->owner->info->store_driver != NULL) {
      *driver = record->owner->info->store_driver;
      return record->owner;
    }
  }
  *driver = NULL;
  return NULL;
}

ChPlugin *ch_plugins_find_kv (ChPlugins *plugins, const ChKvDriver **driver)
{
  for (guint i = 0; i < plugins->running->len; i++) {
    const ChPluginRecord *record = g_ptr_array_index (plugins->running, i);
    if (ch_plugins_is_up (record) && record->owner->info->kv_driver != NULL) {
      *driver = record->owner->info->kv_driver;
      return record->owner;
    }
  }
  *driver = NULL;
  return NULL;
}
