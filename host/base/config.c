/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The declared keys, and the making of their values from all sources at once. */
#include "base/config-tables.h"
#include <chargehost/log.h>

#include <string.h>

static void entry_free (gpointer data)
{
  ChConfigEntry *entry = data;
  ch_config_value_clear (&entry->value);
  g_free (entry->source);
  g_free (entry->path);
  g_free (entry);
}

ChConfig *ch_config_new (void)
{
  ChConfig *config = g_new0 (ChConfig, 1);
  config->by_path = g_hash_table_new (g_str_hash, g_str_equal);
  config->entries = g_ptr_array_new_with_free_func (entry_free);
  config->sources = g_ptr_array_new_with_free_func (ch_config_source_free);
  config->options = g_ptr_array_new_with_free_func (g_free);
  config->overrides = ch_config_settings_new ();
  return config;
}

void ch_config_free (ChConfig *config)
{
  if (config == NULL)
    return;
  g_hash_table_unref (config->by_path);
  g_ptr_array_unref (config->entries);
  g_ptr_array_unref (config->sources);
  g_ptr_array_unref (config->options);
  g_hash_table_unref (config->overrides);
  g_strfreev (config->environment);
  g_strfreev (config->ignored);
  g_free (config);
}

/* ---- declaring ---- */

static void set_default (ChConfigEntry *entry)
{
  g_autofree char *problem = NULL;

  ch_config_value_clear (&entry->value);
  g_clear_pointer (&entry->source, g_free);
  if (!ch_config_value_parse (entry->key, entry->key->def, &entry->value, &problem)) {
    g_critical ("the default of %s %s", entry->path, problem);
    ch_config_value_clear (&entry->value);
  }
}

void ch_config_declare (ChConfig *config, const char *section, const ChConfigKey *keys)
{
  for (; keys != NULL && keys->name != NULL; keys++) {
    g_autofree char *path = NULL;
    if (keys->name[0] == '/')
      path = g_strdup (keys->name + 1);
    else if (*section == '\0')
      path = g_strdup (keys->name);
    else
      path = g_strconcat (section, ".", keys->name, NULL);

    /* Declared again by a newer generation of a plugin: its table is the one. */
    ChConfigEntry *entry = ch_config_lookup (config, path);
    if (entry != NULL) {
      gboolean other_type = entry->key->type != keys->type;
      entry->key = keys;
      if (other_type || entry->source == NULL)
        set_default (entry);
      continue;
    }
    entry = g_new0 (ChConfigEntry, 1);
    entry->path = g_steal_pointer (&path);
    entry->key = keys;
    set_default (entry);
    g_ptr_array_add (config->entries, entry);
    g_hash_table_insert (config->by_path, entry->path, entry);
  }
}

ChConfigEntry *ch_config_lookup (ChConfig *config, const char *path)
{
  return g_hash_table_lookup (config->by_path, path);
}

ChConfigEntry *ch_config_lookup_secret (ChConfig *config, const char *path)
{
  if (!g_str_has_suffix (path, "_file"))
    return NULL;
  g_autofree char *front = g_strndup (path, strlen (path) - strlen ("_file"));
  ChConfigEntry *entry = ch_config_lookup (config, front);
  return entry != NULL && entry->key->type == CH_CONFIG_SECRET ? entry : NULL;
}

ChConfigEntry *ch_config_lookup_map (ChConfig *config, const char *path,
                                     const char **name)
{
  g_autofree char *front = g_strdup (path);

  for (char *dot; (dot = strrchr (front, '.')) != NULL;) {
    *dot = '\0';
    ChConfigEntry *entry = ch_config_lookup (config, front);
    if (entry != NULL && entry->key->type == CH_CONFIG_MAP) {
      *name = path + strlen (front) + 1;
      return entry;
    }
  }
  return NULL;
}

gboolean ch_config_is_section (ChConfig *config, const char *path)
{
  gsize n = strlen (path);

  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    if (strncmp (entry->path, path, n) == 0 && entry->path[n] == '.')
      return TRUE;
  }
  return FALSE;
}

gboolean ch_config_is_ignored (const ChConfig *config, const char *path)
{
  for (char **section = config->ignored; section != NULL && *section != NULL; section++) {
    gsize n = strlen (*section);
    if (g_str_equal (*section, "*"))
      return TRUE;
    if (strncmp (path, *section, n) == 0 && (path[n] == '.' || path[n] == '\0'))
      return TRUE;
  }
  return FALSE;
}

gboolean ch_config_refuse_unknown (ChConfig *config, const char *where, const char *path,
                                   GError **error)
{
  ChConfigNearest nearest = {.wanted = path};

  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    ch_config_nearest_offer (&nearest, entry->path);
  }
  g_autofree char *hint = ch_config_nearest_hint (&nearest);
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_UNKNOWN_KEY,
               "%s: unknown key '%s'%s", where, path, hint);
  return FALSE;
}

/* ---- sources ---- */

static gboolean add_source (ChConfig *config, const char *path, gboolean is_directory,
                            GError **error)
{
  ChConfigSource *source = ch_config_source_new (path, is_directory);

  if (!ch_config_source_read (source, error)) {
    ch_config_source_free (source);
    return FALSE;
  }
  g_ptr_array_add (config->sources, source);
  return TRUE;
}

gboolean ch_config_add_file (ChConfig *config, const char *path, GError **error)
{
  return add_source (config, path, FALSE, error);
}

gboolean ch_config_add_directory (ChConfig *config, const char *path, GError **error)
{
  return add_source (config, path, TRUE, error);
}

void ch_config_set_environment (ChConfig *config, const char *const *environment)
{
  g_strfreev (config->environment);
  config->environment = g_strdupv ((char **) environment);
}

gboolean ch_config_add_option (ChConfig *config, const char *assignment, GError **error)
{
  const char *equals = strchr (assignment, '=');

  if (equals == NULL || equals == assignment || equals - assignment > CH_CONFIG_MAX_PATH
      || config->options->len >= 1000) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_SYNTAX,
                 "command line: '%s' is not of the form key=value", assignment);
    return FALSE;
  }
  g_ptr_array_add (config->options, g_strdup (assignment));
  return TRUE;
}

/* ---- resolving ---- */

/* The values to be, one per entry. */
typedef struct {
  ChConfigValue value;
  char *source;
  gboolean differs;
} Fresh;

static void fresh_clear (gpointer data)
{
  Fresh *fresh = data;
  ch_config_value_clear (&fresh->value);
  g_free (fresh->source);
}

static GArray *make_values (ChConfig *config, GPtrArray *sources, GError **error)
{
  g_autoptr (GHashTable) settings = ch_config_settings_new ();
  g_autoptr (GArray) values = g_array_new (FALSE, TRUE, sizeof (Fresh));

  g_array_set_clear_func (values, fresh_clear);
  if (!ch_config_collect_files (config, sources, settings, error)
      || !ch_config_collect_environment (config, settings, error)
      || !ch_config_collect_options (config, settings, error))
    return NULL;
  ch_config_collect_overrides (config, settings);
  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    Fresh fresh = {0};
    gboolean ok
        = ch_config_settle (config, entry, settings, &fresh.value, &fresh.source, error);
    fresh.differs
        = ok && !ch_config_value_equal (entry->key, &entry->value, &fresh.value);
    g_array_append_val (values, fresh);
    if (!ok)
      return NULL;
  }
  return g_steal_pointer (&values);
}

/* What does not differ stays, so that pointers to it stay valid; the old values are left
   in @values. */
static void make_effective (ChConfig *config, GArray *values)
{
  for (guint i = 0; i < values->len; i++) {
    ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    Fresh *fresh = &g_array_index (values, Fresh, i);
    char *source = entry->source;
    entry->source = fresh->source;
    fresh->source = source;
    if (fresh->differs) {
      ChConfigValue value = entry->value;
      entry->value = fresh->value;
      fresh->value = value;
    }
  }
}

gboolean ch_config_resolve (ChConfig *config, const char *const *ignored_sections,
                            GError **error)
{
  char **old = config->ignored;

  config->ignored = g_strdupv ((char **) ignored_sections);
  g_autoptr (GArray) values = make_values (config, config->sources, error);
  if (values == NULL) {
    g_strfreev (config->ignored);
    config->ignored = old;
    return FALSE;
  }
  g_strfreev (old);
  make_effective (config, values);
  return TRUE;
}

/* Keys that would change although they may not while running. */
static gboolean check_live (ChConfig *config, GArray *values, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < values->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    if (g_array_index (values, Fresh, i).differs
        && (entry->key->flags & CH_CONFIG_LIVE) == 0)
      g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", entry->path);
  }
  if (names->len == 0)
    return TRUE;
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
               "nothing was changed, because a restart is needed to change %s",
               names->str);
  return FALSE;
}

char **ch_config_apply (ChConfig *config, GPtrArray *sources, GError **error)
{
  g_autoptr (GPtrArray) changed = g_ptr_array_new ();
  g_autoptr (GArray) values = make_values (config, sources, error);

  if (values == NULL || !check_live (config, values, error))
    return NULL;
  make_effective (config, values);
  for (guint i = 0; i < values->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    if (g_array_index (values, Fresh, i).differs)
      g_ptr_array_add (changed, g_strdup (entry->path));
  }
  g_ptr_array_add (changed, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&changed), FALSE);
}

char **ch_config_reload (ChConfig *config, GError **error)
{
  g_autoptr (GPtrArray) sources = g_ptr_array_new_with_free_func (ch_config_source_free);

  for (guint i = 0; i < config->sources->len; i++) {
    const ChConfigSource *source = g_ptr_array_index (config->sources, i);
    ChConfigSource *again = ch_config_source_new (source->path, source->is_directory);
    g_ptr_array_add (sources, again);
    if (!ch_config_source_read (again, error))
      return NULL;
  }
  char **changed = ch_config_apply (config, sources, error);
  if (changed == NULL)
    return NULL;
  GPtrArray *old = config->sources;
  config->sources = g_steal_pointer (&sources);
  g_ptr_array_unref (old);
  return changed;
}
