/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One key: which source wins, where a secret is read from, and its checked value. */
#include "base/config-tables.h"

#include <string.h>

/* The text of a file without the newline that editors put at its end. */
static char *read_secret (const char *path, GError **error)
{
  gsize size;
  g_autofree char *text = ch_config_read_file (path, CH_CONFIG_MAX_TEXT, &size, error);

  if (text == NULL)
    return NULL;
  if (strlen (text) != size || !g_utf8_validate (text, -1, NULL)) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "%s is not text",
                 path);
    return NULL;
  }
  if (size > 0 && text[size - 1] == '\n')
    text[--size] = '\0';
  if (size > 0 && text[size - 1] == '\r')
    text[--size] = '\0';
  return g_steal_pointer (&text);
}

/* systemd's LoadCredential=KEY:… */
static char *credential_path (ChConfig *config, const ChConfigEntry *entry)
{
  const char *dir = ch_config_getenv ((const char *const *) config->environment,
                                      "CREDENTIALS_DIRECTORY");

  if (dir == NULL || *dir == '\0' || strchr (entry->path, '/') != NULL)
    return NULL;
  g_autofree char *path = g_build_filename (dir, entry->path, NULL);
  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_steal_pointer (&path) : NULL;
}

/* Text and source of a secret; both NULL when nothing sets it. */
static gboolean find_secret (ChConfig *config, const ChConfigEntry *entry,
                             GHashTable *settings, char **text, char **source,
                             GError **error)
{
  g_autofree char *file_key = g_strconcat (entry->path, "_file", NULL);
  const ChConfigSetting *plain = g_hash_table_lookup (settings, entry->path);
  const ChConfigSetting *file = ch_config_lookup (config, file_key) == NULL
                                    ? g_hash_table_lookup (settings, file_key)
                                    : NULL;
  if (file != NULL && *file->text == '\0')
    file = NULL;
  g_autofree char *credential = credential_path (config, entry);
  guint plain_rank = plain != NULL ? plain->rank : 0;
  guint file_rank = file != NULL ? file->rank : 0;

  if (plain != NULL && file != NULL && plain_rank == file_rank) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "%s: both '%s' and '%s' are set", file->source, entry->path, file_key);
    return FALSE;
  }
  if (credential != NULL && MAX (plain_rank, file_rank) < CH_CONFIG_RANK_CREDENTIAL) {
    *text = read_secret (credential, error);
    *source = g_strdup_printf ("credential %s", credential);
    g_prefix_error (error, "%s: ", entry->path);
  } else if (plain_rank > file_rank) {
    *text = g_strdup (plain->text);
    *source = g_strdup (plain->source);
  } else if (file != NULL) {
    *text = read_secret (file->text, error);
    *source = g_strdup_printf ("%s (%s)", file->text, file->source);
    g_prefix_error (error, "%s: %s: ", file->source, file_key);
  } else {
    return TRUE;
  }
  if (*text == NULL)
    g_clear_pointer (source, g_free);
  return *text != NULL;
}

static gboolean settle_secret (ChConfig *config, const ChConfigEntry *entry,
                               GHashTable *settings, ChConfigValue *value, char **source,
                               GError **error)
{
  g_autofree char *text = NULL, *problem = NULL;

  if (!find_secret (config, entry, settings, &text, source, error))
    return FALSE;
  if (!ch_config_value_parse (entry->key, text != NULL ? text : entry->key->def, value,
                              &problem)) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "%s: '%s' %s",
                 *source != NULL ? *source : "default", entry->path, problem);
    g_clear_pointer (source, g_free);
    return FALSE;
  }
  return TRUE;
}

gboolean ch_config_settle (ChConfig *config, const ChConfigEntry *entry,
                           GHashTable *settings, ChConfigValue *value, char **source,
                           GError **error)
{
  const ChConfigSetting *setting = g_hash_table_lookup (settings, entry->path);
  g_autofree char *problem = NULL;
  gboolean ok;

  *source = NULL;
  memset (value, 0, sizeof *value);
  if (entry->key->type == CH_CONFIG_SECRET)
    return settle_secret (config, entry, settings, value, source, error);
  if (setting == NULL) {
    /* Checked when it was declared. */
    if (!ch_config_value_parse (entry->key, entry->key->def, value, &problem))
      ch_config_value_clear (value);
    return TRUE;
  }
  if (setting->list != NULL)
    ok = ch_config_value_from_list (
        entry->key, (const char *const *) setting->list->pdata, value, &problem);
  else
    ok = ch_config_value_parse (entry->key, setting->text, value, &problem);
  if (!ok) {
    ch_config_value_clear (value);
    g_autofree char *shown = setting->text != NULL && strlen (setting->text) <= 80
                                 ? g_strdup_printf (" '%s'", setting->text)
                                 : g_strdup ("");
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "%s: the value%s of '%s' %s", setting->source, shown, entry->path,
                 problem);
    return FALSE;
  }
  *source = g_strdup (setting->source);
  return TRUE;
}
