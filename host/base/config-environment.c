/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The environment and the command line as sources. */
#include "base/config-tables.h"
#include <chargehost/log.h>

#include <string.h>

#define PREFIX "CHARGEHOST_"

/* Names of the process itself; no keys. */
static const char *const PROCESS_NAMES[] = {
    "CHARGEHOST_CONFIG",      /* chargehostd: the main file */
    "CHARGEHOST_CONFIG_DIR",  /* chargehostd: the directory of further files */
    "CHARGEHOST_PLUGIN_PATH", /* chargehostd: further directories of plugins */
    "CHARGEHOST_BUS",         /* chargehostctl: which D-Bus */
    NULL,
};

char *ch_config_environment_name (const char *path)
{
  char *name = g_strconcat (PREFIX, path, NULL);
  for (char *p = name; *p != '\0'; p++)
    *p = *p == '.' || *p == '-' ? '_' : g_ascii_toupper (*p);
  return name;
}

/* A dot is `_` or `__`, a hyphen and an underscore are `_`. */
static gboolean name_matches (const char *name, const char *path)
{
  for (; *path != '\0'; path++) {
    if (*path == '.' || *path == '-' || *path == '_') {
      if (*name != '_')
        return FALSE;
      name++;
      if (*path == '.' && *name == '_')
        name++;
    } else if (*name++ != g_ascii_toupper (*path)) {
      return FALSE;
    }
  }
  return *name == '\0';
}

static gboolean is_file_name_of (const char *name, const ChConfigEntry *entry)
{
  if (entry->key->type != CH_CONFIG_SECRET || !g_str_has_suffix (name, "_FILE"))
    return FALSE;
  g_autofree char *front = g_strndup (name, strlen (name) - strlen ("_FILE"));
  return name_matches (front, entry->path);
}

/* Names of sections that are left alone. */
static gboolean is_ignored_name (const ChConfig *config, const char *name)
{
  for (char **section = config->ignored; section != NULL && *section != NULL; section++) {
    if (g_str_equal (*section, "*"))
      return TRUE;
    g_autofree char *prefix = ch_config_environment_name (*section);
    gsize n = strlen (prefix);
    if (strncmp (name, prefix, n) == 0 && (name[n] == '_' || name[n] == '\0'))
      return TRUE;
  }
  return FALSE;
}

static gboolean is_process_name (const char *name)
{
  return g_strv_contains (PROCESS_NAMES, name) || g_str_has_prefix (name, PREFIX "TEST_");
}

static gboolean refuse_name (ChConfig *config, const char *name, GError **error)
{
  gsize n = strlen (PREFIX); /* what all have in common says nothing */
  ChConfigNearest nearest = {.wanted = name + n};
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; PROCESS_NAMES[i] != NULL; i++)
    g_ptr_array_add (names, g_strdup (PROCESS_NAMES[i]));
  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    g_ptr_array_add (names, ch_config_environment_name (entry->path));
  }
  for (guint i = 0; i < names->len; i++)
    ch_config_nearest_offer (&nearest, (char *) g_ptr_array_index (names, i) + n);
  if (nearest.best != NULL)
    nearest.best -= n;
  g_autofree char *hint = ch_config_nearest_hint (&nearest);
  g_autofree char *safe = g_strescape (name, NULL);
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_UNKNOWN_KEY,
               "environment: no key has the name '%s'%s", safe, hint);
  return FALSE;
}

/* A variable that begins with CHARGEHOST_; @name is whole. */
static gboolean take_own_name (ChConfig *config, const char *name, const char *value,
                               GHashTable *settings, GError **error)
{
  const ChConfigEntry *found = NULL;
  gboolean is_file = FALSE;

  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    const char *rest = name + strlen (PREFIX);
    gboolean exact = name_matches (rest, entry->path);
    if (!exact && (found != NULL || !is_file_name_of (rest, entry)))
      continue;
    if (found != NULL && !is_file) {
      g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                   "environment: '%s' may be '%s' or '%s'; write __ for a dot", name,
                   found->path, entry->path);
      return FALSE;
    }
    found = entry;
    is_file = !exact;
  }
  if (found == NULL) {
    if (is_process_name (name) || is_ignored_name (config, name))
      return TRUE;
    return refuse_name (config, name, error);
  }
  if (*value == '\0') /* `X=` in a unit or a compose file means: not set */
    return TRUE;
  g_autofree char *path = g_strconcat (found->path, is_file ? "_file" : NULL, NULL);
  ch_config_settings_put (
      settings, path,
      ch_config_setting_new (CH_CONFIG_RANK_ENVIRONMENT, value,
                             g_strdup_printf ("environment %s", name)));
  return TRUE;
}

/* `NAME=:*` as an alias puts the value of NAME in place of the star. */
static char *fill_pattern (const char *pattern, const char *value)
{
  const char *star = strchr (pattern, '*');
  if (star == NULL)
    return g_strdup (value);
  return g_strdup_printf ("%.*s%s%s", (int) (star - pattern), pattern, value, star + 1);
}

static char *alias_name (const char *alias)
{
  return g_strndup (alias, strcspn (alias, "="));
}

static void take_alias (ChConfig *config, const ChConfigEntry *entry, const char *alias,
                        guint rank, GHashTable *settings)
{
  const char *equals = strchr (alias, '=');
  g_autofree char *name = alias_name (alias);
  const char *const *environment = (const char *const *) config->environment;
  const char *value = ch_config_getenv (environment, name);

  if (value != NULL && *value != '\0') {
    g_autofree char *text
        = equals != NULL ? fill_pattern (equals + 1, value) : g_strdup (value);
    ch_config_settings_put (
        settings, entry->path,
        ch_config_setting_new (rank, text, g_strdup_printf ("environment %s", name)));
  }
  if (entry->key->type != CH_CONFIG_SECRET)
    return;
  g_autofree char *file_name = g_strconcat (name, "_FILE", NULL);
  value = ch_config_getenv (environment, file_name);
  if (value != NULL && *value != '\0') {
    g_autofree char *path = g_strconcat (entry->path, "_file", NULL);
    ch_config_settings_put (
        settings, path,
        ch_config_setting_new (rank, value,
                               g_strdup_printf ("environment %s", file_name)));
  }
}

/* A name of an alias' family that is almost an alias is probably a slip. */
static void warn_of_slip (const GPtrArray *aliases, const char *name)
{
  ChConfigNearest nearest = {.wanted = name};
  const char *end = strchr (name, '_');
  gsize n = end != NULL ? (gsize) (end - name) + 1 : 0;

  for (guint i = 0; n > 0 && i < aliases->len; i++) {
    const char *alias = g_ptr_array_index (aliases, i);
    gsize length = strlen (alias);
    if (strncmp (name, alias, length) == 0
        && (name[length] == '\0' || g_str_equal (name + length, "_FILE")))
      return;
    if (strncmp (alias, name, n) == 0)
      ch_config_nearest_offer (&nearest, alias);
  }
  if (nearest.best != NULL && nearest.distance <= 3)
    ch_warning (NULL, "environment: '%s' is not used; did you mean '%s'?", name,
                nearest.best);
}

gboolean ch_config_collect_environment (ChConfig *config, GHashTable *settings,
                                        GError **error)
{
  g_autoptr (GPtrArray) aliases = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    guint rank = CH_CONFIG_RANK_ENVIRONMENT - 1;
    for (const char *const *a = entry->key->aliases; a != NULL && *a != NULL;
         a++, rank--) {
      take_alias (config, entry, *a, rank, settings);
      g_ptr_array_add (aliases, alias_name (*a));
    }
  }
  for (char **variable = config->environment; variable != NULL && *variable != NULL;
       variable++) {
    const char *equals = strchr (*variable, '=');
    if (equals == NULL)
      continue;
    g_autofree char *name = g_strndup (*variable, (gsize) (equals - *variable));
    if (!g_str_has_prefix (name, PREFIX))
      warn_of_slip (aliases, name);
    else if (!take_own_name (config, name, equals + 1, settings, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- the command line ---- */

static void append_pair (GPtrArray *list, const char *name, const char *value)
{
  g_ptr_array_add (list, g_strdup (name));
  g_ptr_array_add (list, g_strdup (value));
}

/* One name of a map: the others that are set are kept beside it. */
static gboolean put_into_map (const ChConfigEntry *entry, const char *name,
                              const char *value, guint rank, GHashTable *settings,
                              GError **error)
{
  const ChConfigSetting *old = g_hash_table_lookup (settings, entry->path);
  g_autofree char *problem = NULL;
  ChConfigValue parsed = {0};
  char *const *pairs = NULL;

  if (old != NULL && old->list != NULL) {
    pairs = (char *const *) old->list->pdata;
  } else if (old != NULL) {
    if (!ch_config_value_parse (entry->key, old->text, &parsed, &problem)) {
      g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "%s: '%s' %s",
                   old->source, entry->path, problem);
      return FALSE;
    }
    pairs = parsed.list;
  }

  ChConfigSetting *setting
      = ch_config_setting_new (rank, NULL, g_strdup ("command line"));
  setting->list = g_ptr_array_new_with_free_func (g_free);
  for (; pairs != NULL && *pairs != NULL; pairs += 2)
    if (!g_str_equal (pairs[0], name))
      append_pair (setting->list, pairs[0], pairs[1]);
  append_pair (setting->list, name, value);
  g_ptr_array_add (setting->list, NULL);
  ch_config_value_clear (&parsed);
  ch_config_settings_put (settings, entry->path, setting);
  return TRUE;
}

gboolean ch_config_collect_options (ChConfig *config, GHashTable *settings,
                                    GError **error)
{
  for (guint i = 0; i < config->options->len; i++) {
    const char *option = g_ptr_array_index (config->options, i);
    const char *equals = strchr (option, '='), *map_name = NULL;
    g_autofree char *path = g_strndup (option, (gsize) (equals - option));
    guint rank = CH_CONFIG_RANK_OPTIONS + i;
    const ChConfigEntry *map;
    gboolean ok = TRUE;

    if (ch_config_lookup (config, path) != NULL
        || ch_config_lookup_secret (config, path) != NULL)
      ch_config_settings_put (
          settings, path,
          ch_config_setting_new (rank, equals + 1, g_strdup ("command line")));
    else if ((map = ch_config_lookup_map (config, path, &map_name)) != NULL)
      ok = put_into_map (map, map_name, equals + 1, rank, settings, error);
    else if (!ch_config_is_ignored (config, path))
      ok = ch_config_refuse_unknown (config, "command line", path, error);
    if (!ok)
      return FALSE;
  }
  return TRUE;
}
