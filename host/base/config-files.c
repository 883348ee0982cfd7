/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and directories as sources, and what they say about the declared keys. */
#include "base/config-tables.h"

#include <errno.h>
#include <string.h>

/* ---- reading ---- */

static void file_free (gpointer data)
{
  ChConfigFile *file = data;
  g_free (file->path);
  g_ptr_array_unref (file->nodes);
  g_free (file);
}

ChConfigSource *ch_config_source_new (const char *path, gboolean is_directory)
{
  ChConfigSource *source = g_new0 (ChConfigSource, 1);
  source->path = g_strdup (path);
  source->is_directory = is_directory;
  source->files = g_ptr_array_new_with_free_func (file_free);
  return source;
}

void ch_config_source_free (gpointer data)
{
  ChConfigSource *source = data;
  g_free (source->path);
  g_ptr_array_unref (source->files);
  g_free (source);
}

static gboolean read_file (ChConfigSource *source, const char *path, GError **error)
{
  gsize size;
  g_autofree char *text = ch_config_read_file (path, CH_CONFIG_MAX_FILE, &size, error);
  if (text == NULL)
    return FALSE;
  GPtrArray *nodes = ch_config_yaml_parse (text, size, path, error);
  if (nodes == NULL)
    return FALSE;
  ChConfigFile *file = g_new0 (ChConfigFile, 1);
  file->path = g_strdup (path);
  file->nodes = nodes;
  g_ptr_array_add (source->files, file);
  return TRUE;
}

static gint by_name (gconstpointer a, gconstpointer b)
{
  const char *const *x = a, *const *y = b;
  return strcmp (*x, *y);
}

static gboolean read_directory (ChConfigSource *source, GError **error)
{
  g_autoptr (GError) why = NULL;
  g_autoptr (GDir) dir = g_dir_open (source->path, 0, &why);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (dir == NULL) {
    if (g_error_matches (why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return TRUE;
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "%s", why->message);
    return FALSE;
  }
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    if (g_str_has_suffix (name, ".yaml") && *name != '.')
      g_ptr_array_add (names, g_strdup (name));
  if (names->len > CH_CONFIG_MAX_FILES) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "%s has more than %d files",
                 source->path, CH_CONFIG_MAX_FILES);
    return FALSE;
  }
  g_ptr_array_sort (names, by_name);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path
        = g_build_filename (source->path, (char *) g_ptr_array_index (names, i), NULL);
    if (!read_file (source, path, error))
      return FALSE;
  }
  return TRUE;
}

gboolean ch_config_source_read (ChConfigSource *source, GError **error)
{
  g_ptr_array_set_size (source->files, 0);
  return source->is_directory ? read_directory (source, error)
                              : read_file (source, source->path, error);
}

/* ---- settings ---- */

static void setting_free (gpointer data)
{
  ChConfigSetting *setting = data;
  g_free (setting->text);
  g_clear_pointer (&setting->list, g_ptr_array_unref);
  g_free (setting->source);
  g_free (setting);
}

ChConfigSetting *ch_config_setting_new (guint rank, const char *text, char *source)
{
  ChConfigSetting *setting = g_new0 (ChConfigSetting, 1);
  setting->rank = rank;
  setting->text = g_strdup (text);
  setting->source = source;
  return setting;
}

GHashTable *ch_config_settings_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, setting_free);
}

void ch_config_settings_put (GHashTable *settings, const char *path,
                             ChConfigSetting *setting)
{
  const ChConfigSetting *old = g_hash_table_lookup (settings, path);

  if (old != NULL && old->rank > setting->rank)
    setting_free (setting);
  else
    g_hash_table_replace (settings, g_strdup (path), setting);
}

/* ---- what a file says ---- */

typedef struct {
  ChConfig *config;
  const ChConfigFile *file;
  guint rank;
  GHashTable *settings;
} Reading;

static gboolean bad_value (const Reading *reading, const ChConfigNode *node,
                           GError **error, const char *what)
{
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "%s:%u: '%s' %s",
               reading->file->path, node->line, node->path, what);
  return FALSE;
}

/* The setting of @path in this file, made when it is the first of a list. */
static ChConfigSetting *own_setting (const Reading *reading, const char *path,
                                     const ChConfigNode *node)
{
  ChConfigSetting *setting = g_hash_table_lookup (reading->settings, path);

  if (setting == NULL || setting->rank != reading->rank) {
    setting = ch_config_setting_new (
        reading->rank, NULL, g_strdup_printf ("%s:%u", reading->file->path, node->line));
    ch_config_settings_put (reading->settings, path, setting);
  }
  return setting;
}

static void append (ChConfigSetting *setting, const char *text)
{
  if (setting->list == NULL) {
    setting->list = g_ptr_array_new_with_free_func (g_free);
    g_ptr_array_add (setting->list, NULL);
  }
  if (text == NULL)
    return;
  g_ptr_array_index (setting->list, setting->list->len - 1) = g_strdup (text);
  g_ptr_array_add (setting->list, NULL);
}

/* A value for a key that takes one text, or a member of a list or map. */
static gboolean take_text (const Reading *reading, const ChConfigNode *node,
                           const char *path, const char *map_name, GError **error)
{
  char *problem = NULL;
  g_autofree char *text = ch_config_expand (
      node->text, (const char *const *) reading->config->environment, &problem);

  if (text == NULL) {
    gboolean bad = bad_value (reading, node, error, problem);
    g_free (problem);
    return bad;
  }
  ChConfigSetting *setting = own_setting (reading, path, node);
  gboolean is_member = map_name != NULL || node->kind == CH_CONFIG_NODE_ELEMENT;
  if (is_member ? setting->text != NULL : setting->list != NULL)
    return bad_value (reading, node, error, "is given in two ways");
  if (!is_member) {
    setting->text = g_steal_pointer (&text);
    return TRUE;
  }
  if (map_name != NULL)
    append (setting, map_name);
  append (setting, text);
  return TRUE;
}

static gboolean take_node (const Reading *reading, const ChConfigNode *node,
                           GError **error)
{
  const char *map_name = NULL;
  ChConfigEntry *entry = ch_config_lookup (reading->config, node->path);
  ChConfigEntry *secret
      = entry == NULL ? ch_config_lookup_secret (reading->config, node->path) : NULL;
  ChConfigEntry *map = entry == NULL && secret == NULL
                           ? ch_config_lookup_map (reading->config, node->path, &map_name)
                           : NULL;
  gboolean is_list
      = node->kind == CH_CONFIG_NODE_ELEMENT || node->kind == CH_CONFIG_NODE_SEQUENCE;

  if (entry == NULL && secret == NULL && map == NULL) {
    gboolean empty
        = node->kind == CH_CONFIG_NODE_NULL || node->kind == CH_CONFIG_NODE_MAPPING;
    if (ch_config_is_ignored (reading->config, node->path))
      return TRUE;
    if (ch_config_is_section (reading->config, node->path))
      return empty || bad_value (reading, node, error, "is a section, not a value");
    g_autofree char *where = g_strdup_printf ("%s:%u", reading->file->path, node->line);
    return ch_config_refuse_unknown (reading->config, where, node->path, error);
  }
  if (node->kind == CH_CONFIG_NODE_NULL)
    return TRUE;
  if (is_list && (entry == NULL || entry->key->type != CH_CONFIG_LIST))
    return bad_value (reading, node, error, "takes one value, not a list");
  if (node->kind == CH_CONFIG_NODE_MAPPING
      && (entry == NULL || entry->key->type != CH_CONFIG_MAP))
    return bad_value (reading, node, error, "takes a value, not a mapping");
  if (node->kind == CH_CONFIG_NODE_MAPPING || node->kind == CH_CONFIG_NODE_SEQUENCE) {
    append (own_setting (reading, node->path, node), NULL);
    return TRUE;
  }
  return take_text (reading, node, map != NULL ? map->path : node->path, map_name, error);
}

gboolean ch_config_collect_files (ChConfig *config, GPtrArray *sources,
                                  GHashTable *settings, GError **error)
{
  Reading reading = {config, NULL, CH_CONFIG_RANK_FILES, settings};

  for (guint i = 0; i < sources->len; i++) {
    const ChConfigSource *source = g_ptr_array_index (sources, i);
    for (guint j = 0; j < source->files->len; j++, reading.rank++) {
      reading.file = g_ptr_array_index (source->files, j);
      if (reading.rank >= CH_CONFIG_RANK_CREDENTIAL) {
        g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "too many files");
        return FALSE;
      }
      for (guint k = 0; k < reading.file->nodes->len; k++)
        if (!take_node (&reading, g_ptr_array_index (reading.file->nodes, k), error))
          return FALSE;
    }
  }
  return TRUE;
}
