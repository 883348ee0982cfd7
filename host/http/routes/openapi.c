/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The description of all routes, made of the same tables that check the requests. */
#include "http/routes/openapi.h"

#include "ch-build.h"

#include <string.h>

static void set_text (json_t *object, const char *name, const char *text)
{
  json_object_set_new (object, name, json_string (text));
}

static void set_limit (json_t *schema, const ChParam *param, const char *min,
                       const char *max)
{
  if (param->min >= param->max && param->min <= param->max)
    return;
  json_object_set_new (schema, min, json_integer ((json_int_t) param->min));
  json_object_set_new (schema, max, json_integer ((json_int_t) param->max));
}

/* A set of characters as a regular expression. */
static void set_pattern (json_t *schema, const char *characters)
{
  g_autoptr (GString) text = g_string_new ("^[");
  for (const char *p = characters; *p != '\0'; p++) {
    if (strchr ("]\\^-", *p) != NULL)
      g_string_append_c (text, '\\');
    g_string_append_c (text, *p);
  }
  g_string_append (text, "]*$");
  set_text (schema, "pattern", text->str);
}

static json_t *schema_of (const ChParam *param)
{
  json_t *schema = json_object ();
  switch (param->kind) {
  case CH_PARAM_INT:
    set_text (schema, "type", "integer");
    set_text (schema, "format", "int64");
    set_limit (schema, param, "minimum", "maximum");
    break;
  case CH_PARAM_NUMBER:
    set_text (schema, "type", "number");
    set_limit (schema, param, "minimum", "maximum");
    break;
  case CH_PARAM_BOOL:
    set_text (schema, "type", "boolean");
    break;
  case CH_PARAM_STRING:
    set_text (schema, "type", "string");
    set_limit (schema, param, "minLength", "maxLength");
    if (param->pattern != NULL)
      set_pattern (schema, param->pattern);
    break;
  case CH_PARAM_OBJECT:
    set_text (schema, "type", "object");
    break;
  case CH_PARAM_ARRAY:
    set_text (schema, "type", "array");
    set_limit (schema, param, "minItems", "maxItems");
    json_object_set_new (schema, "items", json_object ());
    break;
  case CH_PARAM_ANY:
    break;
  }
  return schema;
}

static void add_path_params (const ChHttpRoute *route, json_t *list)
{
  for (guint i = 0; i < route->n_params; i++) {
    const ChParam *p = route->table.params;
    while (p != NULL && p->name != NULL
           && (p->place != CH_PARAM_PATH || !g_str_equal (p->name, route->names[i])))
      p++;
    json_t *item = json_object (), *text = json_object ();
    set_text (text, "type", "string");
    set_text (item, "name", route->names[i]);
    set_text (item, "in", "path");
    json_object_set_new (item, "required", json_true ());
    if (p != NULL && p->name != NULL) {
      json_decref (text);
      text = schema_of (p);
      if (p->summary != NULL)
        set_text (item, "description", p->summary);
    }
    json_object_set_new (item, "schema", text);
    json_array_append_new (list, item);
  }
}

static void add_query_params (const ChHttpRoute *route, json_t *list)
{
  for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++) {
    if (p->place != CH_PARAM_QUERY)
      continue;
    json_t *item = json_object ();
    set_text (item, "name", p->name);
    set_text (item, "in", "query");
    json_object_set_new (item, "required", json_boolean (p->required));
    if (p->summary != NULL)
      set_text (item, "description", p->summary);
    json_object_set_new (item, "schema", schema_of (p));
    json_array_append_new (list, item);
  }
}

/* NULL when the route takes no body. */
static json_t *body_of (const ChHttpRoute *route)
{
  json_t *properties = json_object (), *required = json_array ();
  for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++) {
    if (p->place != CH_PARAM_BODY)
      continue;
    json_t *schema = schema_of (p);
    if (p->summary != NULL)
      set_text (schema, "description", p->summary);
    json_object_set_new (properties, p->name, schema);
    if (p->required)
      json_array_append_new (required, json_string (p->name));
  }
  if (json_object_size (properties) == 0) {
    json_decref (properties);
    json_decref (required);
    /* One that reads its bytes itself says how many it takes. */
    return route->table.max_body > 0
               ? json_pack ("{s:{s:{s:{s:s,s:s}}}}", "content", "*/*", "schema", "type",
                            "string", "format", "binary")
               : NULL;
  }
  json_t *schema = json_object ();
  set_text (schema, "type", "object");
  json_object_set_new (schema, "properties", properties);
  if (json_array_size (required) > 0)
    json_object_set (schema, "required", required);
  json_decref (required);
  return json_pack ("{s:{s:{s:o}}}", "content", "application/json", "schema", schema);
}

static json_t *security_of (const ChHttpRoute *route)
{
  static const char *const names[] = {
      [CH_AUTH_READ] = "key",       [CH_AUTH_THIRD] = "key",
      [CH_AUTH_USER] = "token",     [CH_AUTH_VENDOR] = "signature",
      [CH_AUTH_ADMIN] = "adminKey",
  };
  if (route->table.auth == CH_AUTH_NONE)
    return json_array ();
  return json_pack ("[{s:[]}]", names[route->table.auth]);
}

static json_t *response (const char *text, const char *schema)
{
  g_autofree char *ref = g_strconcat ("#/components/schemas/", schema, NULL);
  return json_pack ("{s:s,s:{s:{s:{s:s}}}}", "description", text, "content",
                    "application/json", "schema", "$ref", ref);
}

/* Health, metrics and documents have no envelope when all is well. */
static json_t *responses_of (const ChHttpRoute *route)
{
  json_t *responses = json_object ();
  json_object_set_new (responses, "2XX",
                       route->table.auth == CH_AUTH_NONE
                           ? json_pack ("{s:s}", "description", "success")
                           : response ("success", "Envelope"));
  json_object_set_new (responses, "default", response ("an error", "Error"));
  return responses;
}

static json_t *operation_of (const ChHttpRoute *route)
{
  json_t *operation = json_object (), *params = json_array ();
  const char *tag
      = route->resource.owner != NULL ? ch_plugin_name (route->resource.owner) : "";

  set_text (operation, "summary",
            route->table.summary != NULL ? route->table.summary : "");
  json_object_set_new (operation, "tags", json_pack ("[s]", tag));
  add_path_params (route, params);
  add_query_params (route, params);
  json_object_set_new (operation, "parameters", params);
  json_t *body = body_of (route);
  if (body != NULL)
    json_object_set_new (operation, "requestBody", body);
  json_object_set_new (operation, "security", security_of (route));
  json_object_set_new (operation, "responses", responses_of (route));
  return operation;
}

/* The one envelope of all answers (gateway 7.1); @data: what errors say there. */
static json_t *envelope_schema (json_t *data)
{
  return json_pack ("{s:s,s:[s,s,s,s],s:{s:{s:s,s:s},s:{s:s},s:o,s:{s:s},s:{s:s,s:s}}}",
                    "type", "object", "required", "code", "message", "request_id",
                    "timestamp", "properties", "code", "type", "integer", "description",
                    "0, or an error code", "message", "type", "string", "data", data,
                    "request_id", "type", "string", "timestamp", "type", "integer",
                    "description", "Unix seconds");
}

static json_t *schemas (void)
{
  json_t *fields = json_pack ("{s:s,s:{s:{s:s,s:{s:s,s:{s:{s:s},s:{s:s},s:{}}}}}}",
                              "type", "object", "properties", "fields", "type", "array",
                              "items", "type", "object", "properties", "field", "type",
                              "string", "rule", "type", "string", "value");
  return json_pack ("{s:o,s:o}", "Envelope",
                    envelope_schema (json_pack ("{s:s}", "type", "object")), "Error",
                    envelope_schema (fields));
}

static json_t *schemes (void)
{
  return json_pack ("{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s},s:{s:s,s:s},s:{s:s,s:s,s:s}}",
                    "key", "type", "apiKey", "in", "header", "name", "X-API-Key",
                    "adminKey", "type", "apiKey", "in", "header", "name",
                    "X-Internal-API-Key", "token", "type", "http", "scheme", "bearer",
                    "signature", "type", "apiKey", "in", "header", "name", "X-Signature");
}

static gint by_path (gconstpointer a, gconstpointer b)
{
  const ChHttpRoute *x = *(ChHttpRoute *const *) a, *y = *(ChHttpRoute *const *) b;
  gint order = strcmp (x->table.path, y->table.path);
  return order != 0 ? order : strcmp (x->table.method, y->table.method);
}

json_t *ch_http_openapi (ChHttp *http)
{
  g_autoptr (GPtrArray) routes = ch_http_router_list (http->router);
  json_t *paths = json_object ();

  g_ptr_array_sort (routes, by_path);
  for (guint i = 0; i < routes->len; i++) {
    const ChHttpRoute *route = g_ptr_array_index (routes, i);
    json_t *path = json_object_get (paths, route->table.path);
    if (path == NULL) {
      path = json_object ();
      json_object_set_new (paths, route->table.path, path);
    }
    g_autofree char *method = g_ascii_strdown (route->table.method, -1);
    json_object_set_new (path, method, operation_of (route));
  }
  return json_pack ("{s:s,s:{s:s,s:s},s:o,s:{s:o,s:o}}", "openapi", "3.0.3", "info",
                    "title", "Chargehost", "version", CH_VERSION, "paths", paths,
                    "components", "securitySchemes", schemes (), "schemas", schemas ());
}
