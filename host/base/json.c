/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <math.h>
#include <stdlib.h>

/* A name with hyphens. */
/* clang-format off */
G_DEFINE_QUARK (ch-json-error-quark, ch_json_error)
/* clang-format on */

/* jansson nests by recursion up to 2048 levels; this keeps it far from that. */
static gboolean is_too_deep (const char *text, gsize size)
{
  guint depth = 0;
  gboolean in_string = FALSE;

  for (gsize i = 0; i < size; i++) {
    char c = text[i];
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = FALSE;
    } else if (c == '"') {
      in_string = TRUE;
    } else if (c == '[' || c == '{') {
      if (++depth > CH_JSON_MAX_DEPTH)
        return TRUE;
    } else if ((c == ']' || c == '}') && depth > 0) {
      depth--;
    }
  }
  return FALSE;
}

json_t *ch_json_parse (const char *text, gsize size, GError **error)
{
  if (size > CH_JSON_MAX_SIZE) {
    g_set_error (error, CH_JSON_ERROR, CH_JSON_ERROR_TOO_LARGE,
                 "the JSON text has %" G_GSIZE_FORMAT " bytes, at most %d are taken",
                 size, CH_JSON_MAX_SIZE);
    return NULL;
  }
  if (is_too_deep (text, size)) {
    g_set_error (error, CH_JSON_ERROR, CH_JSON_ERROR_TOO_DEEP,
                 "the JSON text is nested deeper than %d levels", CH_JSON_MAX_DEPTH);
    return NULL;
  }

  json_error_t why;
  json_t *json = json_loadb (text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
  if (json == NULL) {
    gboolean twice = json_error_code (&why) == json_error_duplicate_key;
    g_autofree char *reason = g_utf8_make_valid (why.text, -1);
    g_set_error (error, CH_JSON_ERROR,
                 twice ? CH_JSON_ERROR_DUPLICATE : CH_JSON_ERROR_SYNTAX,
                 "line %d, column %d: %s", why.line, why.column, reason);
  }
  return json;
}

char *ch_json_dump (const json_t *json)
{
  char *text = NULL;

  if (json != NULL)
    text = json_dumps (json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION (15));
  return text != NULL ? text : g_strdup ("null"); /* g_free() is free() */
}

json_t *ch_json_milli (gint64 milli)
{
  if (milli == CH_UNSET)
    return json_null ();
  if (milli % 1000 == 0)
    return json_integer (milli / 1000);
  return json_real ((double) milli / 1000.0);
}

json_t *ch_json_time (gint64 wall_ms)
{
  char text[CH_TIME_TEXT_SIZE];

  if (wall_ms == 0 || wall_ms == CH_UNSET)
    return json_null ();
  ch_format_time (wall_ms, text);
  return json_stringn_nocheck (text, strlen (text));
}

const char *ch_json_get_string (const json_t *object, const char *name, const char *def)
{
  const json_t *member = json_object_get (object, name);
  return json_is_string (member) ? json_string_value (member) : def;
}

gint64 ch_json_get_int (const json_t *object, const char *name, gint64 def)
{
  const json_t *member = json_object_get (object, name);
  return json_is_integer (member) ? json_integer_value (member) : def;
}

double ch_json_get_double (const json_t *object, const char *name, double def)
{
  const json_t *member = json_object_get (object, name);
  return json_is_number (member) ? json_number_value (member) : def;
}

gboolean ch_json_get_bool (const json_t *object, const char *name, gboolean def)
{
  const json_t *member = json_object_get (object, name);
  return json_is_boolean (member) ? json_is_true (member) : def;
}
