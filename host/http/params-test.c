/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameters against their tables, and what a handler reads of a request. */
#include "http/test-http.h"

#include <string.h>

#define P(param_name, where, what, must, low, high, allowed)                             \
  {                                                                                      \
    .name = param_name, .place = CH_PARAM_##where, .kind = CH_PARAM_##what,              \
    .required = must, .min = low, .max = high, .pattern = allowed                        \
  }

static const ChParam PARAMS[] = {
    P ("id", PATH, STRING, TRUE, 1, 4, "abc"),
    P ("page", QUERY, INT, FALSE, 1, 10, NULL),
    P ("ratio", QUERY, NUMBER, FALSE, 0, 1, NULL),
    P ("deep", QUERY, BOOL, FALSE, 0, 0, NULL),
    P ("word", QUERY, STRING, FALSE, 2, 3, NULL),
    P ("int", BODY, INT, TRUE, -1, 15, NULL),
    P ("number", BODY, NUMBER, FALSE, 0, 1.5, NULL),
    P ("bool", BODY, BOOL, FALSE, 0, 0, NULL),
    P ("string", BODY, STRING, FALSE, 1, 3, "xyz\344\270\255"),
    P ("object", BODY, OBJECT, FALSE, 0, 0, NULL),
    P ("array", BODY, ARRAY, FALSE, 1, 2, NULL),
    P ("any", BODY, ANY, FALSE, 0, 0, NULL),
    {.name = NULL},
};

static void handler (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (
      self, reply, 200, NULL,
      json_pack ("{s:s,s:s?,s:I,s:s,s:s}", "id", ch_request_path (request, "id"), "word",
                 ch_request_query (request, "word"), "page",
                 (json_int_t) ch_request_query_int (request, "page", 7), "remote",
                 ch_request_remote (request), "key", ch_request_key_id (request)));
}

static const ChRoute ROUTES[] = {
    {.method = "POST", .path = "/x/{id}", .params = PARAMS, .handler = handler},
    {.method = NULL},
};

/* "field rule value" of the first violation, "" when there is none. */
static char *violation (Client *client)
{
  const json_t *fields
      = json_object_get (json_object_get (client->json, "data"), "fields");
  const json_t *first = json_array_get (fields, 0);
  if (client->status == 200)
    return g_strdup ("");
  g_assert_cmpint (client_code (client), ==, 40010);
  g_autofree char *value = json_object_get (first, "value") != NULL
                               ? ch_json_dump (json_object_get (first, "value"))
                               : g_strdup ("-");
  return g_strdup_printf ("%s %s %s", ch_json_get_string (first, "field", ""),
                          ch_json_get_string (first, "rule", ""), value);
}

static const struct {
  const char *path, *body, *expected;
} CASES[] = {
    {"/x/a", "{\"int\":1}", ""},
    {"/x/abcab", "{\"int\":1}", "id max \"abcab\""},
    {"/x/d", "{\"int\":1}", "id pattern \"d\""},
    {"/x/a?page=1", "{\"int\":1}", ""},
    {"/x/a?page=0", "{\"int\":1}", "page min 0"},
    {"/x/a?page=11", "{\"int\":1}", "page max 11"},
    {"/x/a?page=1x", "{\"int\":1}", "page type \"1x\""},
    {"/x/a?page=", "{\"int\":1}", "page type \"\""},
    {"/x/a?page=99999999999999999999", "{\"int\":1}",
     "page type \"99999999999999999999\""},
    {"/x/a?ratio=0.5", "{\"int\":1}", ""},
    {"/x/a?ratio=1.5", "{\"int\":1}", "ratio max \"1.5\""},
    {"/x/a?ratio=nan", "{\"int\":1}", "ratio type \"nan\""},
    {"/x/a?deep=true", "{\"int\":1}", ""},
    {"/x/a?deep=maybe", "{\"int\":1}", "deep type \"maybe\""},
    {"/x/a?word=a", "{\"int\":1}", "word min \"a\""},
    {"/x/a?word=%E4%B8%AD%E4%B8%AD", "{\"int\":1}", ""},
    {"/x/a?unknown=1&&=&b", "{\"int\":1}", ""},
    {"/x/a", "{}", "int required -"},
    {"/x/a", NULL, "int required -"},
    {"/x/a", "{\"int\":null}", "int required -"},
    {"/x/a", "{\"int\":-1}", ""},
    {"/x/a", "{\"int\":-2}", "int min -2"},
    {"/x/a", "{\"int\":16}", "int max 16"},
    {"/x/a", "{\"int\":1.0}", "int type 1.0"},
    {"/x/a", "{\"int\":\"1\"}", "int type \"1\""},
    {"/x/a", "{\"int\":true}", "int type true"},
    {"/x/a", "{\"int\":1,\"unknown\":[{}]}", ""},
    {"/x/a", "{\"int\":1,\"number\":1.5}", ""},
    {"/x/a", "{\"int\":1,\"number\":2}", "number max 2"},
    {"/x/a", "{\"int\":1,\"bool\":0}", "bool type 0"},
    {"/x/a", "{\"int\":1,\"bool\":false}", ""},
    {"/x/a", "{\"int\":1,\"string\":\"\"}", "string min \"\""},
    {"/x/a", "{\"int\":1,\"string\":\"xyzx\"}", "string max \"xyzx\""},
    {"/x/a", "{\"int\":1,\"string\":\"a\"}", "string pattern \"a\""},
    {"/x/a", "{\"int\":1,\"string\":5}", "string type 5"},
    {"/x/a", "{\"int\":1,\"object\":[]}", "object type null"},
    {"/x/a", "{\"int\":1,\"array\":{}}", "array type null"},
    {"/x/a", "{\"int\":1,\"array\":[]}", "array min null"},
    {"/x/a", "{\"int\":1,\"array\":[1,2,3]}", "array max null"},
    {"/x/a", "{\"int\":1,\"any\":[1]}", ""},
};

static void test_table (void)
{
  World world;
  world_open (&world, NULL);
  ch_http_add_routes (world.plugin, ROUTES, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < G_N_ELEMENTS (CASES); i++) {
    client_request (client, "POST", CASES[i].path, NULL, CASES[i].body);
    g_autofree char *text = violation (client);
    g_assert_cmpstr (text, ==, CASES[i].expected);
  }
  world_close (&world);
}

static void test_all_fields_are_named (void)
{
  World world;
  world_open (&world, NULL);
  ch_http_add_routes (world.plugin, ROUTES, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "POST", "/x/d?page=0", NULL, "{\"int\":99,\"bool\":1}");
  const json_t *data = json_object_get (client->json, "data");
  g_assert_cmpuint (json_array_size (json_object_get (data, "fields")), ==, 4);
  world_close (&world);
}

static void test_bad_queries (void)
{
  g_autoptr (GString) many = g_string_new ("/x/a?a=1");
  World world;
  world_open (&world, NULL);
  ch_http_add_routes (world.plugin, ROUTES, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < 70; i++)
    g_string_append (many, "&a=1");
  const char *const paths[] = {"/x/a?a=%00", "/x/a?a=%ff", many->str};
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    client_request (client, "POST", paths[i], NULL, "{\"int\":1}");
    g_assert_cmpuint (client->status, ==, 400);
  }
  world_close (&world);
}

static void test_reading (void)
{
  World world;
  world_open (&world, NULL);
  ch_http_add_routes (world.plugin, ROUTES, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "POST", "/x/%61b?word=a+b&word=zz", NULL, "{\"int\":1}");
  g_autofree char *data = ch_json_dump (json_object_get (client->json, "data"));
  g_assert_cmpstr (data, ==,
                   "{\"id\":\"ab\",\"word\":\"a b\",\"page\":7,\"remote\":\"127.0.0.1\","
                   "\"key\":\"\"}");
  world_close (&world);
}

/* The description is made of the same tables. */
static void test_openapi (void)
{
  World world;
  g_autoptr (json_t) document = NULL;
  world_open (&world, NULL);
  ch_http_add_routes (world.plugin, ROUTES, NULL);
  g_assert_cmpuint (
      ask (&world.services, world.port, "GET", "/openapi.json", NULL, NULL, &document),
      ==, 200);
  g_assert_cmpstr (ch_json_get_string (document, "openapi", ""), ==, "3.0.3");
  const json_t *path = json_object_get (json_object_get (document, "paths"), "/x/{id}");
  const json_t *post = json_object_get (path, "post");
  g_assert_cmpuint (json_array_size (json_object_get (post, "parameters")), ==, 5);
  const json_t *body = json_object_get (
      json_object_get (json_object_get (json_object_get (post, "requestBody"), "content"),
                       "application/json"),
      "schema");
  g_assert_cmpuint (json_object_size (json_object_get (body, "properties")), ==, 7);
  g_assert_cmpuint (json_array_size (json_object_get (body, "required")), ==, 1);
  world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/params/table", test_table);
  g_test_add_func ("/http/params/all-fields", test_all_fields_are_named);
  g_test_add_func ("/http/params/bad-queries", test_bad_queries);
  g_test_add_func ("/http/params/reading", test_reading);
  g_test_add_func ("/http/params/openapi", test_openapi);
  return g_test_run ();
}
