/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables for people, JSON for programs. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ctl_print (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  vfprintf (stdout, format, args);
  va_end (args);
}

gboolean ctl_flush (void)
{
  return fflush (stdout) == 0 && !ferror (stdout);
}

char *ctl_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);
  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    if (g_unichar_iscntrl (c))
      g_string_append_printf (out, "\\x%02x", c);
    else
      g_string_append_unichar (out, c);
  }
  return g_string_free (out, FALSE);
}

struct _CtlTable {
  guint columns;
  GPtrArray *cells; /* row after row, the heads first */
};

CtlTable *ctl_table_new (const char *const *heads)
{
  CtlTable *table = g_new0 (CtlTable, 1);
  table->cells = g_ptr_array_new_with_free_func (g_free);
  table->columns = g_strv_length ((char **) heads);
  for (guint i = 0; i < table->columns; i++)
    g_ptr_array_add (table->cells, g_strdup (heads[i]));
  return table;
}

void ctl_table_cell (CtlTable *table, const char *text)
{
  g_ptr_array_add (table->cells, ctl_clean (text));
}

void ctl_table_row (CtlTable *table, ...)
{
  va_list args;
  va_start (args, table);
  for (guint i = 0; i < table->columns; i++) {
    const char *text = va_arg (args, const char *);
    ctl_table_cell (table, text != NULL ? text : "");
  }
  va_end (args);
}

/* Columns of a terminal: wide characters take two, combining ones none. */
static int width_of (const char *text)
{
  int width = 0;
  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    width += g_unichar_iszerowidth (c) ? 0 : g_unichar_iswide (c) ? 2 : 1;
  }
  return width;
}

void ctl_table_print (CtlTable *table)
{
  g_autofree int *widths = g_new0 (int, table->columns);
  for (guint i = 0; i < table->cells->len; i++) {
    int *width = &widths[i % table->columns];
    *width = MAX (*width, width_of (g_ptr_array_index (table->cells, i)));
  }
  for (guint i = 0; i < table->cells->len; i++) {
    const char *text = g_ptr_array_index (table->cells, i);
    guint column = i % table->columns;
    if (column + 1 == table->columns)
      ctl_print ("%s\n", text);
    else
      ctl_print ("%s%*s", text, widths[column] - width_of (text) + 2, "");
  }
  g_ptr_array_unref (table->cells);
  g_free (table);
}

void ctl_print_json (const json_t *json)
{
  char *text
      = json_dumps (json, JSON_INDENT (2) | JSON_REAL_PRECISION (15) | JSON_ENCODE_ANY);
  ctl_print ("%s\n", text != NULL ? text : "null");
  free (text);
}

const char *ctl_text (const json_t *object, const char *name)
{
  const char *text = json_string_value (json_object_get (object, name));
  return text != NULL && *text != '\0' ? text : "-";
}

char *ctl_number (const json_t *object, const char *name, const char *unit)
{
  const json_t *value = json_object_get (object, name);
  if (json_is_integer (value))
    return g_strdup_printf ("%" G_GINT64_FORMAT "%s", (gint64) json_integer_value (value),
                            unit);
  if (json_is_real (value))
    return g_strdup_printf ("%.6g%s", json_real_value (value), unit);
  return g_strdup ("-");
}

static gboolean is_empty (const json_t *value)
{
  return json_is_null (value)
         || (json_is_string (value) && json_string_length (value) == 0)
         || (json_is_array (value) && json_array_size (value) == 0);
}

char *ctl_line (const json_t *value)
{
  size_t i;
  json_t *item;
  if (value == NULL || is_empty (value))
    return g_strdup ("-");
  if (json_is_string (value))
    return ctl_clean (json_string_value (value));
  if (!json_is_array (value)) {
    g_autofree char *text
        = json_dumps (value, JSON_ENCODE_ANY | JSON_REAL_PRECISION (15));
    return ctl_clean (text);
  }
  g_autoptr (GString) list = g_string_new (NULL);
  json_array_foreach ((json_t *) value, i, item)
  {
    g_autofree char *text = ctl_line (item);
    g_string_append_printf (list, "%s%s", i > 0 ? ", " : "", text);
  }
  return g_string_free (g_steal_pointer (&list), FALSE);
}

static void print_member (const char *name, const json_t *value, int indent)
{
  const char *key;
  json_t *member;
  size_t i;

  if (json_is_object (value)) {
    ctl_print ("%*s%s:\n", indent, "", name);
    json_object_foreach ((json_t *) value, key, member)
        print_member (key, member, indent + 2);
  } else if (json_is_object (json_array_get (value, 0))) {
    json_array_foreach ((json_t *) value, i, member)
    {
      g_autofree char *label = g_strdup_printf ("%s[%zu]", name, i);
      print_member (label, member, indent);
    }
  } else {
    g_autofree char *text = ctl_line (value);
    ctl_print ("%*s%-*s %s\n", indent, "", MAX (22 - indent, 1), name, text);
  }
}

void ctl_print_object (Ctl *ctl, const json_t *json)
{
  const char *key;
  json_t *value;
  if (ctl->json || !json_is_object (json))
    ctl_print_json (json);
  else
    json_object_foreach ((json_t *) json, key, value) print_member (key, value, 0);
}

/* ---- values of D-Bus ---- */

json_t *ctl_variant_json (GVariant *value)
{
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_STRING:
    return json_string (g_variant_get_string (value, NULL));
  case G_VARIANT_CLASS_BOOLEAN:
    return json_boolean (g_variant_get_boolean (value));
  case G_VARIANT_CLASS_INT32:
    return json_integer (g_variant_get_int32 (value));
  case G_VARIANT_CLASS_INT64:
    return json_integer (g_variant_get_int64 (value));
  case G_VARIANT_CLASS_UINT32:
    return json_integer (g_variant_get_uint32 (value));
  case G_VARIANT_CLASS_UINT64:
    return json_integer ((json_int_t) g_variant_get_uint64 (value));
  case G_VARIANT_CLASS_DOUBLE:
    return json_real (g_variant_get_double (value));
  default:
    break;
  }
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY)) {
    json_t *list = json_array ();
    g_autofree const char **texts = g_variant_get_strv (value, NULL);
    for (guint i = 0; texts[i] != NULL; i++)
      json_array_append_new (list, json_string (texts[i]));
    return list;
  }
  g_autofree char *text = g_variant_print (value, FALSE);
  return json_string (text);
}

static char *snake_case (const char *name)
{
  GString *out = g_string_new (NULL);
  for (const char *p = name; *p != '\0'; p++) {
    if (g_ascii_isupper (*p) && out->len > 0)
      g_string_append_c (out, '_');
    g_string_append_c (out, g_ascii_tolower (*p));
  }
  return g_string_free (out, FALSE);
}

json_t *ctl_properties_json (GVariant *properties)
{
  json_t *object = json_object ();
  GVariantIter iter;
  const char *name;
  GVariant *value;
  g_variant_iter_init (&iter, properties);
  while (g_variant_iter_loop (&iter, "{&sv}", &name, &value)) {
    g_autofree char *key = snake_case (name);
    json_object_set_new (object, key, ctl_variant_json (value));
  }
  return object;
}
