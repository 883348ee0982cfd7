/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every route of the host: what it takes is declared, checked and documented. */
#include "http-fixture.h"
#include "http/routes/openapi.h"

#include <string.h>

static void open_all (Api *api)
{
  api_open (api, (const char *const[]) {
                     "http.aliases.legacy=true", "http.debug.enable=true",
                     "ratelimit.per_key_per_min=0", "ratelimit.global_per_min=0", NULL});
}

static const ChParam *find (const ChHttpRoute *route, const char *name,
                            ChParamPlace place)
{
  for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++)
    if (p->place == place && g_str_equal (p->name, name))
      return p;
  return NULL;
}

/* ---- documented ----------------------------------------------------------------------
 */

static const char *const TYPES[] = {
    [CH_PARAM_INT] = "integer",   [CH_PARAM_NUMBER] = "number",
    [CH_PARAM_BOOL] = "boolean",  [CH_PARAM_STRING] = "string",
    [CH_PARAM_OBJECT] = "object", [CH_PARAM_ARRAY] = "array",
};

static const json_t *documented_schema (const json_t *operation, const ChParam *param)
{
  static const char *const places[]
      = {[CH_PARAM_PATH] = "path", [CH_PARAM_QUERY] = "query"};
  size_t i;
  json_t *item;

  if (param->place == CH_PARAM_BODY) {
    const json_t *content = json_object_get (
        json_object_get (json_object_get (operation, "requestBody"), "content"),
        "application/json");
    return json_object_get (
        json_object_get (json_object_get (content, "schema"), "properties"), param->name);
  }
  json_array_foreach (
      json_object_get (operation, "parameters"), i,
      item) if (g_str_equal (ch_json_get_string (item, "name", ""), param->name)
                && g_str_equal (ch_json_get_string (item, "in", ""),
                                places[param->place])) return json_object_get (item,
                                                                               "schema");
  return NULL;
}

static void check_documented (const json_t *paths, const ChHttpRoute *route)
{
  g_autofree char *method = g_ascii_strdown (route->table.method, -1);
  const json_t *operation
      = json_object_get (json_object_get (paths, route->table.path), method);

  if (operation == NULL)
    g_error ("%s %s is not in the document", route->table.method, route->table.path);
  if (*ch_json_get_string (operation, "summary", "") == '\0')
    g_error ("%s %s has no summary", route->table.method, route->table.path);
  g_assert_true (json_is_array (json_object_get (operation, "security")));
  g_assert_nonnull (json_object_get (json_object_get (operation, "responses"), "2XX"));
  for (guint i = 0; i < route->n_params; i++)
    if (find (route, route->names[i], CH_PARAM_PATH) == NULL)
      g_error ("%s does not declare {%s}", route->table.path, route->names[i]);
  for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++) {
    const json_t *schema = documented_schema (operation, p);
    if (schema == NULL)
      g_error ("%s %s: %s is not documented", route->table.method, route->table.path,
               p->name);
    if (p->kind != CH_PARAM_ANY)
      g_assert_cmpstr (ch_json_get_string (schema, "type", ""), ==, TYPES[p->kind]);
  }
}

static void test_documented (void)
{
  Api api;
  open_all (&api);
  g_autoptr (GPtrArray) routes = ch_http_router_list (api.services->http->router);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "GET", "/openapi.json", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  for (guint i = 0; i < routes->len; i++)
    check_documented (json_object_get (client->json, "paths"),
                      g_ptr_array_index (routes, i));
  const json_t *schemas
      = json_object_get (json_object_get (client->json, "components"), "schemas");
  g_assert_nonnull (json_object_get (json_object_get (schemas, "Envelope"), "type"));
  g_assert_nonnull (json_object_get (json_object_get (schemas, "Error"), "type"));
  g_test_message ("%u routes", routes->len);
  g_assert_cmpuint (routes->len, >, 70);
  api_close (&api);
}

/* ---- checked -------------------------------------------------------------------------
 */

static const char *headers_of (const ChHttpRoute *route)
{
  switch (route->table.auth) {
  case CH_AUTH_READ:
    return READER;
  case CH_AUTH_THIRD:
    return DRIVER;
  case CH_AUTH_ADMIN:
    return BOSS;
  default:
    return "";
  }
}

/* A value that cannot be; NULL when there is none. (transfer full) */
static char *wrong_text (const ChParam *param)
{
  if (param->kind != CH_PARAM_STRING)
    return param->kind == CH_PARAM_ANY ? NULL : g_strdup ("x%21");
  if (param->pattern != NULL)
    return g_strdup ("%C2%A7");
  return param->max > param->min ? g_strnfill ((gsize) param->max + 1, 'a') : NULL;
}

static const char *wrong_json (ChParamKind kind)
{
  switch (kind) {
  case CH_PARAM_INT:
  case CH_PARAM_NUMBER:
  case CH_PARAM_BOOL:
    return "\"x\"";
  case CH_PARAM_STRING:
    return "7";
  case CH_PARAM_OBJECT:
    return "[]";
  case CH_PARAM_ARRAY:
    return "{}";
  default:
    return NULL;
  }
}

/* A value that may be. (transfer full) */
static char *good_text (const ChParam *param)
{
  if (param->kind != CH_PARAM_STRING)
    return g_strdup_printf ("%d", (gint) MAX (param->min, 1));
  return g_strnfill ((gsize) MAX (param->min, 1),
                     param->pattern != NULL ? param->pattern[0] : 'a');
}

/* The path with its parameters, @value in place of @wrong. (transfer full) */
static char *path_with (const ChHttpRoute *route, const ChParam *wrong, const char *value)
{
  g_autoptr (GString) path = g_string_new (route->table.path);
  for (guint i = 0; i < route->n_params; i++) {
    const ChParam *param = find (route, route->names[i], CH_PARAM_PATH);
    g_autofree char *place = g_strdup_printf ("{%s}", route->names[i]);
    g_autofree char *text = param == wrong ? g_strdup (value) : good_text (param);
    g_string_replace (path, place, text, 1);
  }
  if (wrong->place == CH_PARAM_QUERY)
    g_string_append_printf (path, "?%s=%s", wrong->name, value);
  return g_string_free (g_steal_pointer (&path), FALSE);
}

static gboolean names_field (const json_t *json, const char *name)
{
  const json_t *fields = json_object_get (json_object_get (json, "data"), "fields");
  size_t i;
  json_t *item;
  json_array_foreach (
      fields, i, item) if (g_str_equal (ch_json_get_string (item, "field", ""), name)
                           && *ch_json_get_string (item, "rule", "") != '\0') return TRUE;
  return FALSE;
}

/* FALSE when there is no wrong value. */
static gboolean check_refused (Client *client, const ChHttpRoute *route,
                               const ChParam *param)
{
  gboolean in_body = param->place == CH_PARAM_BODY;
  g_autofree char *text = in_body ? NULL : wrong_text (param);
  const char *json = in_body ? wrong_json (param->kind) : NULL;
  if (text == NULL && json == NULL)
    return FALSE;
  g_autofree char *path = path_with (route, param, text);
  g_autofree char *body
      = json != NULL ? g_strdup_printf ("{\"%s\":%s}", param->name, json) : NULL;
  client_request (client, route->table.method, path, headers_of (route), body);
  if (client->status != 400 || client_code (client) != 40010
      || !names_field (client->json, param->name))
    g_error ("%s %s %s: %u %s", route->table.method, path, body != NULL ? body : "",
             client->status, client->body);
  return TRUE;
}

static void test_refused (void)
{
  Api api;
  guint checked = 0, without = 0;
  open_all (&api);
  g_autoptr (GPtrArray) routes = ch_http_router_list (api.services->http->router);
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < routes->len; i++) {
    const ChHttpRoute *route = g_ptr_array_index (routes, i);
    for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++)
      if (check_refused (client, route, p))
        checked++;
      else {
        g_test_message ("%s: any %s will do", route->table.path, p->name);
        without++;
      }
  }
  g_test_message ("%u parameters refused", checked);
  g_assert_cmpuint (checked, >, 200);
  g_assert_cmpuint (without, <=, 10);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/routes/documented", test_documented);
  g_test_add_func ("/http/routes/refused", test_refused);
  return g_test_run ();
}
