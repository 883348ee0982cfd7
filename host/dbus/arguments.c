/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Members of an a{sv}, checked against a table: a misspelt name or a number in place of
 * a text is an error that says so, never silently something else.
 */
#include "dbus/dbus-private.h"
#include <chargehost/json.h>

#include <string.h>

static gboolean read_integer (GVariant *value, gint64 *number)
{
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_BYTE:
    *number = g_variant_get_byte (value);
    return TRUE;
  case G_VARIANT_CLASS_INT16:
    *number = g_variant_get_int16 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT16:
    *number = g_variant_get_uint16 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT32:
    *number = g_variant_get_int32 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT32:
    *number = g_variant_get_uint32 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT64:
    *number = g_variant_get_int64 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT64:
    *number = (gint64) MIN (g_variant_get_uint64 (value), G_MAXINT64);
    return TRUE;
  default:
    return FALSE;
  }
}

json_t *ch_dbus_to_json (GVariant *value)
{
  gint64 number;
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return json_string (g_variant_get_string (value, NULL));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    return json_boolean (g_variant_get_boolean (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    return json_real (g_variant_get_double (value));
  if (read_integer (value, &number))
    return json_integer (number);
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY))
    return NULL;
  g_autofree const char **texts = g_variant_get_strv (value, NULL);
  json_t *list = json_array ();
  for (guint i = 0; texts[i] != NULL; i++)
    json_array_append_new (list, json_string (texts[i]));
  return list;
}

/* @value is a text; NULL and what is wrong when it is no fitting JSON object */
static json_t *read_json (const ChDbusOption *option, const char *text, char **problem)
{
  gsize size = strlen (text);
  json_t *json = (gint64) size <= option->max ? ch_json_parse (text, size, NULL) : NULL;
  if (json_is_object (json))
    return json;
  json_decref (json);
  *problem
      = g_strdup_printf ("%s must be a JSON object of at most %" G_GINT64_FORMAT " bytes",
                         option->name, option->max);
  return NULL;
}

/* NULL without @problem: the same as absent. */
static json_t *read_text (const ChDbusOption *option, const char *text, char **problem)
{
  gint64 size = (gint64) strlen (text);
  if (option->kind == CH_DBUS_JSON && size > 0)
    return read_json (option, text, problem);
  if (size == 0)
    return NULL;
  if (size >= option->min && size <= option->max)
    return json_string (text);
  *problem = g_strdup_printf ("%s must have %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                              " bytes",
                              option->name, option->min, option->max);
  return NULL;
}

static json_t *read_value (const ChDbusOption *option, GVariant *value, char **problem)
{
  gint64 number;

  switch (option->kind) {
  case CH_DBUS_INT:
    if (!read_integer (value, &number))
      break;
    if (number >= option->min && number <= option->max)
      return json_integer (number);
    *problem = g_strdup_printf ("%s must be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                                option->name, option->min, option->max);
    return NULL;
  case CH_DBUS_BOOL:
    if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
      return json_boolean (g_variant_get_boolean (value));
    break;
  default:
    if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
      return read_text (option, g_variant_get_string (value, NULL), problem);
    break;
  }
  static const char *const kinds[] = {"an integer", "a boolean", "a string", "a string"};
  *problem = g_strdup_printf ("%s must be %s, not of type %s", option->name,
                              kinds[option->kind], g_variant_get_type_string (value));
  return NULL;
}

static const ChDbusOption *find (const ChDbusOption *table, const char *name)
{
  for (; table->name != NULL; table++)
    if (g_str_equal (table->name, name))
      return table;
  return NULL;
}

static char *names_of (const ChDbusOption *table)
{
  g_autoptr (GString) names = g_string_new (NULL);
  for (; table->name != NULL; table++)
    g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", table->name);
  return g_string_free (g_steal_pointer (&names), FALSE);
}

json_t *ch_dbus_read_options (GDBusMethodInvocation *invocation, GVariant *options,
                              const ChDbusOption *table)
{
  g_autoptr (json_t) object = json_object ();
  GVariantIter iter;
  const char *name;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
    g_autoptr (GVariant) held = value;
    const ChDbusOption *option = find (table, name);
    g_autofree char *problem = NULL;
    if (option == NULL) {
      g_autofree char *names = names_of (table);
      ch_dbus_return_invalid (invocation, "there is no option '%s', only: %s",
                              strlen (name) <= 64 ? name : "…", names);
      return NULL;
    }
    json_t *json = read_value (option, held, &problem);
    if (problem != NULL) {
      ch_dbus_return_invalid (invocation, "%s", problem);
      return NULL;
    }
    if (json != NULL)
      json_object_set_new (object, name, json);
  }
  return g_steal_pointer (&object);
}
