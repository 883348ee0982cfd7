/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading effective values: by whole path, and by owners. */
#include "base/config-tables.h"
#include "base/owner.h"

#include <string.h>

#define TYPE(type) (1u << (type))
#define ANY_TYPE (~0u)

static const ChConfigEntry *find (ChConfig *config, const char *path, guint types)
{
  const ChConfigEntry *entry = config != NULL ? ch_config_lookup (config, path) : NULL;

  if (entry == NULL) {
    g_critical ("configuration key %s is read but not declared", path);
    return NULL;
  }
  if ((TYPE (entry->key->type) & types) == 0) {
    g_critical ("configuration key %s is not of the type it is read as", path);
    return NULL;
  }
  return entry;
}

gboolean ch_config_get_bool (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry = find (config, path, TYPE (CH_CONFIG_BOOL));
  return entry != NULL && entry->value.b;
}

gint64 ch_config_get_int (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry
      = find (config, path, TYPE (CH_CONFIG_INT) | TYPE (CH_CONFIG_SIZE));
  return entry != NULL ? entry->value.i : 0;
}

double ch_config_get_double (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry
      = find (config, path, TYPE (CH_CONFIG_DOUBLE) | TYPE (CH_CONFIG_INT));
  return entry != NULL ? entry->value.d : 0;
}

const char *ch_config_get_string (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry = find (config, path,
                                     TYPE (CH_CONFIG_STRING) | TYPE (CH_CONFIG_CHOICE)
                                         | TYPE (CH_CONFIG_SECRET));
  return entry != NULL ? entry->value.text : NULL;
}

gint64 ch_config_get_duration_ms (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry = find (config, path, TYPE (CH_CONFIG_DURATION_MS));
  return entry != NULL ? entry->value.i : 0;
}

const char *const *ch_config_get_list (ChConfig *config, const char *path)
{
  static const char *const empty[] = {NULL};
  const ChConfigEntry *entry = find (config, path, TYPE (CH_CONFIG_LIST));
  if (entry == NULL || entry->value.list == NULL)
    return empty;
  return (const char *const *) entry->value.list;
}

const char *const *ch_config_get_map (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry = find (config, path, TYPE (CH_CONFIG_MAP));
  if (entry == NULL || entry->value.list == NULL || entry->value.list[0] == NULL)
    return NULL;
  return (const char *const *) entry->value.list;
}

gboolean ch_config_get_is_set (ChConfig *config, const char *path)
{
  const ChConfigEntry *entry = find (config, path, ANY_TYPE);
  return entry != NULL && entry->source != NULL;
}

/* ---- by owners ---- */

/* A plugin's key is in its section, unless it begins with a slash. */
static const char *whole_path (ChPlugin *self, const char *key,
                               char path[CH_CONFIG_MAX_PATH])
{
  if (*key == '/')
    return key + 1;
  if (self->is_host)
    return key;
  g_snprintf (path, CH_CONFIG_MAX_PATH, "%s.%s", self->name, key);
  return path;
}

gboolean ch_config_bool (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_bool (self->services->config, whole_path (self, key, path));
}

gint64 ch_config_int (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_int (self->services->config, whole_path (self, key, path));
}

double ch_config_double (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_double (self->services->config, whole_path (self, key, path));
}

const char *ch_config_string (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_string (self->services->config, whole_path (self, key, path));
}

gint64 ch_config_duration_ms (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_duration_ms (self->services->config, whole_path (self, key, path));
}

const char *const *ch_config_list (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_list (self->services->config, whole_path (self, key, path));
}

const char *const *ch_config_map (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_map (self->services->config, whole_path (self, key, path));
}

gboolean ch_config_is_set (ChPlugin *self, const char *key)
{
  char path[CH_CONFIG_MAX_PATH];
  return ch_config_get_is_set (self->services->config, whole_path (self, key, path));
}
