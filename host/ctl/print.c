/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables for people, JSON for programs. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void ctl_table_row (CtlTable *table, ...)
{
  va_list args;
  va_start (args, table);
  for (guint i = 0; i < table->columns; i++) {
    const char *text = va_arg (args, const char *);
    g_ptr_array_add (table->cells, g_strdup (text != NULL ? text : ""));
  }
  va_end (args);
}

void ctl_table_print (CtlTable *table)
{
  for (guint at = 0; at < table->cells->len; at += table->columns) {
    for (guint column = 0; column < table->columns; column++) {
      glong width = 0;
      for (guint i = column; i < table->cells->len; i += table->columns)
        width = MAX (width, g_utf8_strlen (g_ptr_array_index (table->cells, i), -1));
      const char *text = g_ptr_array_index (table->cells, at + column);
      gboolean last = column + 1 == table->columns;
      g_print ("%s%*s", text, last ? 0 : (int) (width - g_utf8_strlen (text, -1) + 2),
               "");
    }
    g_print ("\n");
  }
  g_ptr_array_unref (table->cells);
  g_free (table);
}

void ctl_print_json (const json_t *json)
{
  char *text
      = json_dumps (json, JSON_INDENT (2) | JSON_REAL_PRECISION (15) | JSON_ENCODE_ANY);
  g_print ("%s\n", text != NULL ? text : "null");
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

static void print_member (const char *name, const json_t *value, guint indent)
{
  const char *key;
  json_t *member;
  size_t i;

  if (json_is_object (value)) {
    g_print ("%*s%s:\n", (int) indent, "", name);
    json_object_foreach ((json_t *) value, key, member)
        print_member (key, member, indent + 2);
  } else if (json_is_array (value) && json_array_size (value) > 0
             && json_is_object (json_array_get (value, 0))) {
    json_array_foreach ((json_t *) value, i, member)
    {
      g_autofree char *label = g_strdup_printf ("%s[%zu]", name, i);
      print_member (label, member, indent);
    }
  } else {
    char *text = json_dumps (value, JSON_ENCODE_ANY | JSON_REAL_PRECISION (15));
    int width = MAX (22 - (int) indent, 1);
    if (json_is_string (value))
      g_print ("%*s%-*s %s\n", (int) indent, "", width, name, json_string_value (value));
    else
      g_print ("%*s%-*s %s\n", (int) indent, "", width, name, text);
    free (text);
  }
}

void ctl_print_object (Ctl *ctl, const char *text)
{
  json_t *json = json_loads (text, JSON_DECODE_ANY, NULL);
  const char *key;
  json_t *value;
  if (json == NULL)
    g_print ("%s\n", text);
  else if (ctl->json || !json_is_object (json))
    ctl_print_json (json);
  else
    json_object_foreach (json, key, value) print_member (key, value, 0);
  json_decref (json);
}
