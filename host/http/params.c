/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks a request against its route's table of parameters. */
#include "http/http-private.h"

#include <math.h>
#include <string.h>

#define MAX_SHOWN 64
#define MAX_FIELDS 20

typedef struct {
  ChRequest *request;
  json_t *fields; /* NULL as long as all is well */
} Check;

static json_t *shown (const json_t *value)
{
  if (json_is_string (value) && json_string_length (value) > MAX_SHOWN)
    return json_null ();
  return json_is_object (value) || json_is_array (value) ? json_null ()
                                                         : json_deep_copy (value);
}

/* @value (transfer full) (nullable) */
static void violate (Check *check, const ChParam *param, const char *rule, json_t *value)
{
  if (check->fields == NULL)
    check->fields = json_array ();
  if (json_array_size (check->fields) >= MAX_FIELDS) {
    json_decref (value);
    return;
  }
  json_t *field = json_object ();
  json_object_set_new (field, "field", json_string (param->name));
  json_object_set_new (field, "rule", json_string (rule));
  if (value != NULL)
    json_object_set_new (field, "value", value);
  json_array_append_new (check->fields, field);
}

/* The rule that a number or count breaks, NULL for none. */
static const char *range_rule (const ChParam *param, double number)
{
  if (param->min < param->max || param->min > param->max) {
    if (number < param->min)
      return "min";
    if (number > param->max)
      return "max";
  }
  return NULL;
}

static const char *text_rule (const ChParam *param, const char *text)
{
  const char *rule = range_rule (param, (double) g_utf8_strlen (text, -1));
  if (rule == NULL && param->pattern != NULL
      && text[strspn (text, param->pattern)] != '\0')
    rule = "pattern";
  return rule;
}

/* ---- path and query: text ------------------------------------------------------------
 */

static void check_text (Check *check, const ChParam *param, const char *text)
{
  const char *rule = NULL;
  gint64 number;
  double real;
  char *end;

  switch (param->kind) {
  case CH_PARAM_INT:
    if (!g_ascii_string_to_signed (text, 10, G_MININT64 + 1, G_MAXINT64, &number, NULL))
      rule = "type";
    else if ((rule = range_rule (param, (double) number)) != NULL) {
      violate (check, param, rule, json_integer (number));
      return;
    }
    break;
  case CH_PARAM_NUMBER:
    real = g_ascii_strtod (text, &end);
    if (*text == '\0' || *end != '\0' || !isfinite (real))
      rule = "type";
    else
      rule = range_rule (param, real);
    break;
  case CH_PARAM_BOOL:
    if (!g_str_equal (text, "true") && !g_str_equal (text, "false")
        && !g_str_equal (text, "1") && !g_str_equal (text, "0"))
      rule = "type";
    break;
  case CH_PARAM_STRING:
    rule = text_rule (param, text);
    break;
  case CH_PARAM_OBJECT:
  case CH_PARAM_ARRAY:
    rule = "type";
    break;
  case CH_PARAM_ANY:
    break;
  }
  if (rule != NULL)
    violate (check, param, rule, strlen (text) <= MAX_SHOWN ? json_string (text) : NULL);
}

/* ---- body: JSON ----------------------------------------------------------------------
 */

static void check_json (Check *check, const ChParam *param, const json_t *value)
{
  const char *rule = NULL;

  switch (param->kind) {
  case CH_PARAM_INT:
    rule = json_is_integer (value)
               ? range_rule (param, (double) json_integer_value (value))
               : "type";
    break;
  case CH_PARAM_NUMBER:
    rule
        = json_is_number (value) ? range_rule (param, json_number_value (value)) : "type";
    break;
  case CH_PARAM_BOOL:
    rule = json_is_boolean (value) ? NULL : "type";
    break;
  case CH_PARAM_STRING:
    rule = json_is_string (value) ? text_rule (param, json_string_value (value)) : "type";
    break;
  case CH_PARAM_OBJECT:
    rule = json_is_object (value) ? NULL : "type";
    break;
  case CH_PARAM_ARRAY:
    rule = json_is_array (value) ? range_rule (param, (double) json_array_size (value))
                                 : "type";
    break;
  case CH_PARAM_ANY:
    break;
  }
  if (rule != NULL)
    violate (check, param, rule, shown (value));
}

/* ---- all -----------------------------------------------------------------------------
 */

static void check_param (Check *check, const ChParam *param)
{
  const ChRequest *request = check->request;
  const char *text = NULL;
  const json_t *value;

  switch (param->place) {
  case CH_PARAM_PATH:
    text = ch_request_path (request, param->name);
    break;
  case CH_PARAM_QUERY:
    text = ch_request_query (request, param->name);
    break;
  case CH_PARAM_BODY:
    value = json_object_get (request->body, param->name);
    if (value != NULL && !json_is_null (value))
      check_json (check, param, value);
    else if (param->required)
      violate (check, param, "required", NULL);
    return;
  }
  if (text != NULL)
    check_text (check, param, text);
  else if (param->required)
    violate (check, param, "required", NULL);
}

gboolean ch_http_params_check (ChRequest *request)
{
  Check check = {request, NULL};
  const ChParam *param = request->route->table.params;

  if (!ch_http_request_read_query (request)) {
    ch_http_answer_error (request, 40010, "the query cannot be read", NULL);
    return FALSE;
  }
  for (; param != NULL && param->name != NULL; param++)
    check_param (&check, param);
  if (check.fields == NULL)
    return TRUE;
  json_t *data = json_object ();
  const json_t *first = json_array_get (check.fields, 0);
  g_autofree char *message = g_strdup_printf ("invalid parameter %s (%s)",
                                              ch_json_get_string (first, "field", ""),
                                              ch_json_get_string (first, "rule", ""));
  json_object_set_new (data, "fields", check.fields);
  ch_http_answer_error (request, 40010, message, data);
  return FALSE;
}
