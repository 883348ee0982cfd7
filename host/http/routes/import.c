/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of an import: CSV and JSON lines. */
#include "http/routes/device-wish.h"
#include <chargehost/json.h>

#include <string.h>

#define COLUMNS_MAX 16
#define CELL_MAX 8192

static const char *const NAMES[]
    = {"device_id",  "protocol",  "iccid",     "imei", "model",
       "port_count", "lifecycle", "enrolment", "tags", NULL};

static json_t *unreadable (ChWishProblem *problem, guint line, const char *field,
                           const char *rule)
{
  problem->line = line;
  g_strlcpy (problem->field, field, sizeof problem->field);
  problem->rule = rule;
  return NULL;
}

/* A mark at the beginning that some programs write. */
static void skip_mark (const char **text, gsize *size)
{
  if (*size >= 3 && memcmp (*text, "\xef\xbb\xbf", 3) == 0) {
    *text += 3;
    *size -= 3;
  }
}

/* ---- CSV -----------------------------------------------------------------------------
 */

typedef struct {
  const char *p, *end;
  guint line;
} Csv;

/* Reads a cell; sets @last when its record ends. NULL: quotes that are wrong. */
static char *read_cell (Csv *csv, gboolean *last)
{
  g_autoptr (GString) cell = g_string_new (NULL);
  gboolean quoted = csv->p < csv->end && *csv->p == '"';

  csv->p += quoted;
  while (csv->p < csv->end && cell->len <= CELL_MAX) {
    char c = *csv->p;
    if (quoted && c == '"' && csv->p + 1 < csv->end && csv->p[1] == '"')
      csv->p++; /* two of them are one */
    else if (quoted && c == '"') {
      csv->p++;
      quoted = FALSE;
      if (csv->p < csv->end && strchr (",\r\n", *csv->p) == NULL)
        return NULL;
      continue;
    } else if (!quoted && (c == ',' || c == '\n' || c == '\r'))
      break;
    csv->line += c == '\n';
    g_string_append_c (cell, c);
    csv->p++;
  }
  if (quoted || cell->len > CELL_MAX)
    return NULL;
  *last = csv->p == csv->end || *csv->p != ',';
  csv->p += *last && csv->p < csv->end && *csv->p == '\r';
  csv->p += csv->p < csv->end && *csv->p == (*last ? '\n' : ',');
  return g_string_free (g_steal_pointer (&cell), FALSE);
}

/* The next record; NULL: it cannot be read. */
static GPtrArray *read_record (Csv *csv, ChWishProblem *problem)
{
  g_autoptr (GPtrArray) cells = g_ptr_array_new_with_free_func (g_free);
  gboolean last = FALSE;

  while (!last) {
    char *cell = read_cell (csv, &last);
    if (cell == NULL || cells->len >= COLUMNS_MAX) {
      g_free (cell);
      unreadable (problem, csv->line, "", cell == NULL ? "quotes" : "columns");
      return NULL;
    }
    g_ptr_array_add (cells, cell);
  }
  return g_steal_pointer (&cells);
}

static gboolean names_are_good (const GPtrArray *names, ChWishProblem *problem)
{
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_strstrip (g_ptr_array_index (names, i));
    gboolean twice = FALSE;
    for (guint k = 0; k < i; k++)
      twice |= g_str_equal (g_ptr_array_index (names, k), name);
    if (twice || !g_strv_contains (NAMES, name)) {
      unreadable (problem, 1, name, twice ? "unique" : "column");
      return FALSE;
    }
  }
  return TRUE;
}

/* What the text of a cell stands for; what cannot be read stays a text and is refused. */
static json_t *cell_value (const char *name, const char *cell)
{
  gint64 number;
  json_t *value = NULL;
  if (g_str_equal (name, "port_count")
      && g_ascii_string_to_signed (cell, 10, G_MININT, G_MAXINT, &number, NULL))
    return json_integer (number);
  if (g_str_equal (name, "tags"))
    value = ch_json_parse (cell, strlen (cell), NULL);
  return value != NULL ? value : json_string (cell);
}

json_t *ch_import_read_csv (const char *text, gsize size, ChWishProblem *problem)
{
  skip_mark (&text, &size);
  Csv csv = {text, text + size, 1};
  g_autoptr (GPtrArray) names = NULL;
  g_autoptr (json_t) list = json_array ();

  if (!g_utf8_validate (text, (gssize) size, NULL))
    return unreadable (problem, 0, "", "utf8");
  names = read_record (&csv, problem);
  if (names == NULL || !names_are_good (names, problem))
    return NULL;
  while (csv.p < csv.end) {
    guint line = ++csv.line;
    g_autoptr (GPtrArray) cells = read_record (&csv, problem);
    if (cells == NULL)
      return NULL;
    if (cells->len == 1 && *(char *) g_ptr_array_index (cells, 0) == '\0')
      continue;
    if (cells->len != names->len)
      return unreadable (problem, line, "", "columns");
    if (json_array_size (list) >= CH_DEVICE_IMPORT_MAX)
      return unreadable (problem, line, "", "max");
    json_t *object = json_object ();
    json_object_set_new (object, "line", json_integer (line));
    for (guint i = 0; i < cells->len; i++) {
      const char *cell = g_ptr_array_index (cells, i);
      const char *name = g_ptr_array_index (names, i);
      if (*cell != '\0')
        json_object_set_new (object, name, cell_value (name, cell));
    }
    json_array_append_new (list, object);
  }
  return g_steal_pointer (&list);
}

/* ---- JSON lines ----------------------------------------------------------------------
 */

json_t *ch_import_read_lines (const char *text, gsize size, ChWishProblem *problem)
{
  g_autoptr (json_t) list = json_array ();
  skip_mark (&text, &size);
  const char *end = text + size;

  for (guint line = 1; text < end; line++) {
    const char *stop = memchr (text, '\n', (gsize) (end - text));
    gsize n = (gsize) ((stop != NULL ? stop : end) - text);
    gsize blank = 0;
    while (blank < n && g_ascii_isspace (text[blank]))
      blank++;
    if (blank < n) {
      json_t *object = ch_json_parse (text, n, NULL);
      if (!json_is_object (object) || json_array_size (list) >= CH_DEVICE_IMPORT_MAX) {
        const char *rule = json_is_object (object) ? "max" : "json";
        json_decref (object);
        return unreadable (problem, line, "", rule);
      }
      json_object_set_new (object, "line", json_integer (line));
      json_array_append_new (list, object);
    }
    text += n + (stop != NULL);
  }
  return g_steal_pointer (&list);
}
