/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values that are given while the process runs, above all sources. */
#include "base/config-tables.h"

#include <string.h>

#define SOURCE "changed while running"

static ChConfigSetting *copy (const ChConfigSetting *from)
{
  ChConfigSetting *setting
      = ch_config_setting_new (CH_CONFIG_RANK_OVERRIDES, from->text, g_strdup (SOURCE));
  if (from->list == NULL)
    return setting;
  setting->list = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < from->list->len; i++)
    g_ptr_array_add (setting->list, g_strdup (g_ptr_array_index (from->list, i)));
  return setting;
}

static void copy_all (GHashTable *from, GHashTable *to)
{
  GHashTableIter iter;
  gpointer path, setting;
  g_hash_table_iter_init (&iter, from);
  while (g_hash_table_iter_next (&iter, &path, &setting))
    g_hash_table_replace (to, g_strdup (path), copy (setting));
}

void ch_config_collect_overrides (ChConfig *config, GHashTable *settings)
{
  copy_all (config->overrides, settings);
}

/* A value as a source would write it; NULL when it is of no such kind. (transfer full) */
static ChConfigSetting *setting_of (const json_t *value)
{
  g_autofree char *text = NULL;
  size_t i;
  json_t *item;

  if (json_is_string (value))
    text = g_strdup (json_string_value (value));
  else if (json_is_integer (value))
    text = g_strdup_printf ("%" JSON_INTEGER_FORMAT, json_integer_value (value));
  else if (json_is_real (value))
    text = json_dumps (value, JSON_ENCODE_ANY);
  else if (json_is_boolean (value))
    text = g_strdup (json_is_true (value) ? "true" : "false");
  else if (!json_is_array (value))
    return NULL;
  ChConfigSetting *setting
      = ch_config_setting_new (CH_CONFIG_RANK_OVERRIDES, text, g_strdup (SOURCE));
  if (text != NULL)
    return setting;
  setting->list = g_ptr_array_new_with_free_func (g_free);
  json_array_foreach (value, i, item) g_ptr_array_add (
      setting->list, g_strdup (json_is_string (item) ? json_string_value (item) : ""));
  g_ptr_array_add (setting->list, NULL);
  return setting;
}

static gboolean fits (const ChConfigEntry *entry, const ChConfigSetting *setting,
                      GError **error)
{
  g_autofree char *problem = NULL;
  ChConfigValue value = {0};
  gboolean ok = FALSE;

  if (setting == NULL)
    problem = g_strdup ("is of a kind that no key takes");
  else if (setting->list == NULL)
    ok = ch_config_value_parse (entry->key, setting->text, &value, &problem);
  else if (entry->key->type == CH_CONFIG_LIST)
    ok = ch_config_value_from_list (
        entry->key, (const char *const *) setting->list->pdata, &value, &problem);
  else
    problem = g_strdup ("takes one value, not a list");
  ch_config_value_clear (&value);
  if (!ok)
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "the value of '%s' %s", entry->path, problem);
  return ok;
}

/* Puts one member of a patch into @next. */
static gboolean take (ChConfig *config, const char *path, const json_t *value,
                      GHashTable *next, GError **error)
{
  const ChConfigEntry *entry = ch_config_lookup (config, path);

  if (entry == NULL)
    return ch_config_refuse_unknown (config, "request", path, error);
  if ((entry->key->flags & CH_CONFIG_LIVE) == 0) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "nothing was changed, because a restart is needed to change %s", path);
    return FALSE;
  }
  if (json_is_null (value)) {
    g_hash_table_remove (next, path);
    return TRUE;
  }
  ChConfigSetting *setting = setting_of (value);
  gboolean ok = fits (entry, setting, error);
  if (setting != NULL)
    g_hash_table_replace (next, g_strdup (path), setting);
  return ok;
}

char **ch_config_patch (ChConfig *config, const json_t *patch, char **bad_key,
                        GError **error)
{
  GHashTable *next = ch_config_settings_new (), *old = config->overrides;
  const char *path;
  json_t *value;

  *bad_key = NULL;
  copy_all (old, next);
  json_object_foreach ((json_t *) (guintptr) patch, path, value)
  {
    if (take (config, path, value, next, error))
      continue;
    *bad_key = g_strdup (path);
    g_hash_table_unref (next);
    return NULL;
  }
  config->overrides = next;
  char **changed = ch_config_apply (config, config->sources, error);
  if (changed == NULL)
    config->overrides = old;
  g_hash_table_unref (changed != NULL ? old : next);
  return changed;
}
