/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ${VAR} and ${VAR:-default} in the values of files. */
#include "base/config-tables.h"

#include <string.h>

const char *ch_config_getenv (const char *const *environment, const char *name)
{
  gsize n = strlen (name);

  for (; environment != NULL && *environment != NULL; environment++)
    if (strncmp (*environment, name, n) == 0 && (*environment)[n] == '=')
      return *environment + n + 1;
  return NULL;
}

/* @inside is what stands between the braces. */
static gboolean expand_one (GString *out, const char *inside,
                            const char *const *environment, char **problem)
{
  const char *def = strstr (inside, ":-");
  g_autofree char *name
      = def != NULL ? g_strndup (inside, (gsize) (def - inside)) : g_strdup (inside);
  gboolean valid = *name != '\0' && !g_ascii_isdigit (*name);

  for (const char *p = name; *p != '\0'; p++)
    valid = valid && (g_ascii_isalnum (*p) || *p == '_');
  if (!valid) {
    *problem
        = g_strdup_printf ("'${%s}' names no variable; write $${ for a plain ${", inside);
    return FALSE;
  }
  const char *value = ch_config_getenv (environment, name);
  if (def != NULL && (value == NULL || *value == '\0'))
    value = def + 2;
  if (value == NULL) {
    *problem = g_strdup_printf (
        "the variable '%s' is not set; ${%s:-…} would give a default", name, name);
    return FALSE;
  }
  g_string_append (out, value);
  return TRUE;
}

char *ch_config_expand (const char *text, const char *const *environment, char **problem)
{
  g_autoptr (GString) out = g_string_new (NULL);

  for (const char *p = text; *p != '\0';) {
    if (g_str_has_prefix (p, "$${")) {
      g_string_append (out, "${");
      p += 3;
    } else if (g_str_has_prefix (p, "${")) {
      const char *end = strchr (p, '}');
      if (end == NULL) {
        *problem = g_strdup ("'${' has no closing brace; write $${ for a plain ${");
        return NULL;
      }
      g_autofree char *inside = g_strndup (p + 2, (gsize) (end - p - 2));
      if (!expand_one (out, inside, environment, problem))
        return NULL;
      p = end + 1;
    } else {
      g_string_append_c (out, *p++);
    }
    if (out->len > CH_CONFIG_MAX_TEXT) {
      *problem = g_strdup_printf ("is longer than %d bytes", CH_CONFIG_MAX_TEXT);
      return NULL;
    }
  }
  return g_string_free (g_steal_pointer (&out), FALSE);
}
