/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration for people: values with their source, and the default file. */
#include "base/config-tables.h"

#include <string.h>

static json_t *describe_entry (const ChConfigEntry *entry)
{
  const ChConfigKey *key = entry->key;
  g_autofree char *environment = ch_config_environment_name (entry->path);
  json_t *json = json_object ();

  json_object_set_new (json, "value", ch_config_value_to_json (key, &entry->value));
  json_object_set_new (json, "source",
                       json_string (entry->source != NULL ? entry->source : "default"));
  json_object_set_new (json, "default",
                       key->def == NULL                ? json_null ()
                       : key->type == CH_CONFIG_SECRET ? json_string ("****")
                                                       : json_string (key->def));
  json_object_set_new (json, "summary",
                       json_string (key->summary != NULL ? key->summary : ""));
  json_object_set_new (json, "type", json_string (ch_config_type_name (key->type)));
  json_object_set_new (json, "live", json_boolean ((key->flags & CH_CONFIG_LIVE) != 0));
  json_object_set_new (json, "environment", json_string (environment));
  if (key->min < key->max) {
    json_object_set_new (json, "min", json_real (key->min));
    json_object_set_new (json, "max", json_real (key->max));
  }
  if (key->type == CH_CONFIG_CHOICE && key->choices != NULL) {
    json_t *choices = json_array ();
    for (const char *const *c = key->choices; *c != NULL; c++)
      json_array_append_new (choices, json_string (*c));
    json_object_set_new (json, "choices", choices);
  }
  return json;
}

json_t *ch_config_describe (ChConfig *config)
{
  json_t *json = json_object ();

  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *entry = g_ptr_array_index (config->entries, i);
    json_object_set_new (json, entry->path, describe_entry (entry));
  }
  return json;
}

/* ---- the default file ---- */

static gboolean is_plain (const char *text)
{
  static const char *const words[]
      = {"true", "false", "null", "yes", "no", "on", "off", NULL};

  if (!g_ascii_isalnum (*text) || g_strv_contains (words, text))
    return FALSE;
  for (const char *p = text; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && strchr ("._/%-", *p) == NULL)
      return FALSE;
  return TRUE;
}

static void append_scalar (GString *out, const ChConfigKey *key, const char *text)
{
  gboolean text_type = key->type == CH_CONFIG_STRING || key->type == CH_CONFIG_CHOICE
                       || key->type == CH_CONFIG_LIST || key->type == CH_CONFIG_MAP;

  if (!text_type || is_plain (text)) {
    g_string_append (out, text);
    return;
  }
  g_string_append_c (out, '"');
  for (const char *p = text; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_c (out, '\\');
    g_string_append_c (out, *p);
  }
  g_string_append_c (out, '"');
}

static void append_value (GString *out, const ChConfigKey *key)
{
  g_autofree char *problem = NULL;
  ChConfigValue value;

  if (key->type == CH_CONFIG_MAP)
    g_string_append (out, "{}");
  else if (key->type == CH_CONFIG_LIST
           && ch_config_value_parse (key, key->def, &value, &problem)) {
    g_string_append_c (out, '[');
    for (guint i = 0; value.list[i] != NULL; i++) {
      if (i > 0)
        g_string_append (out, ", ");
      append_scalar (out, key, value.list[i]);
    }
    g_string_append_c (out, ']');
    ch_config_value_clear (&value);
  } else if (key->def != NULL && key->type != CH_CONFIG_SECRET)
    append_scalar (out, key, key->def);
}

/* Lines of at most 90 columns. */
static void append_comment (GString *out, const char *indent, const char *text)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  gsize column = 0;

  for (char **word = words; *word != NULL; word++) {
    gsize n = (gsize) g_utf8_strlen (*word, -1);
    if (column == 0 || column + n + 1 > 88) {
      g_string_append_printf (out, "%s%s# %s", column > 0 ? "\n" : "", indent, *word);
      column = strlen (indent) + 2 + n;
    } else {
      g_string_append_printf (out, " %s", *word);
      column += n + 1;
    }
  }
  g_string_append_c (out, '\n');
}

static void append_entry (GString *out, const ChConfigEntry *entry, const char *indent,
                          const char *name)
{
  const ChConfigKey *key = entry->key;
  g_autoptr (GString) text = g_string_new (key->summary != NULL ? key->summary : "");

  if (key->type == CH_CONFIG_CHOICE && key->choices != NULL) {
    g_autofree char *choices = g_strjoinv (", ", (char **) key->choices);
    g_string_append_printf (text, " One of: %s.", choices);
  }
  if (key->type == CH_CONFIG_SECRET)
    g_string_append_printf (text, " %s_file may name a file that holds it.", name);
  append_comment (out, indent, text->str);
  g_string_append_printf (out, "%s# %s:", indent, name);
  gsize before = out->len;
  g_string_append_c (out, ' ');
  append_value (out, key);
  if (out->len == before + 1)
    g_string_truncate (out, before);
  g_string_append_c (out, '\n');
}

static gsize section_length (const char *path)
{
  return strcspn (path, ".");
}

char *ch_config_default_file (ChConfig *config)
{
  GString *out = g_string_new (NULL);
  g_autoptr (GHashTable) done
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  append_comment (
      out, "",
      "Configuration of chargehostd. Every key is shown with its default; take "
      "away the mark before a line to change it. A key whose sentence does not "
      "name a default has none.");
  for (guint i = 0; i < config->entries->len; i++) {
    const ChConfigEntry *first = g_ptr_array_index (config->entries, i);
    gsize n = section_length (first->path);
    g_autofree char *section = g_strndup (first->path, n);
    if (!g_hash_table_add (done, g_strdup (section)))
      continue;
    g_string_append_c (out, '\n');
    if (first->path[n] == '.')
      g_string_append_printf (out, "%s:\n", section);
    for (guint j = i; j < config->entries->len; j++) {
      const ChConfigEntry *entry = g_ptr_array_index (config->entries, j);
      if (section_length (entry->path) != n || strncmp (entry->path, section, n) != 0)
        continue;
      if (entry->path[n] == '.')
        append_entry (out, entry, "  ", entry->path + n + 1);
      else
        append_entry (out, entry, "", entry->path);
    }
  }
  return g_string_free (out, FALSE);
}
