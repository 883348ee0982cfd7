/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The common rules of gateway 7.1 over all routes of the host. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

#define ADMIN "/api/v1/admin"

/* ---- lists ---------------------------------------------------------------------------
 */

static gboolean is_list (const ChHttpRoute *route)
{
  gboolean page = FALSE, limit = FALSE;
  for (const ChParam *p = route->table.params; p != NULL && p->name != NULL; p++) {
    page |= g_str_equal (p->name, "page_size");
    limit |= g_str_equal (p->name, "offset");
  }
  return page && limit;
}

static const char *headers_of (const ChHttpRoute *route)
{
  switch (route->table.auth) {
  case CH_AUTH_READ:
    return READER;
  case CH_AUTH_THIRD:
    return DRIVER;
  default:
    return BOSS;
  }
}

static void check_list (Api *api, const ChHttpRoute *route)
{
  g_autoptr (GString) path = g_string_new (route->table.path);
  g_string_replace (path, "{id}", "A", 1);
  g_autofree char *pages = g_strconcat (path->str, "?page=2&page_size=7", NULL);
  g_autofree char *offsets = g_strconcat (path->str, "?limit=200&offset=400", NULL);
  const char *headers = headers_of (route);
  g_autoptr (json_t) first = api_ok (api, "GET", path->str, headers, NULL, 200);
  g_autoptr (json_t) a = api_ok (api, "GET", pages, headers, NULL, 200);
  g_autoptr (json_t) b = api_ok (api, "GET", offsets, headers, NULL, 200);
  const json_t *answers[] = {first, a, b};
  static const gint64 page[] = {1, 2, 3}, size[] = {20, 7, 200};
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    if (!json_is_integer (json_object_get (answers[i], "total")))
      g_error ("%s has no total", route->table.path);
    g_assert_cmpint (ch_json_get_int (answers[i], "page", -1), ==, page[i]);
    g_assert_cmpint (ch_json_get_int (answers[i], "page_size", -1), ==, size[i]);
  }
}

static void test_lists (void)
{
  Api api;
  guint n = 0;
  api_open (&api, (const char *const[]) {"ratelimit.per_key_per_min=0",
                                         "ratelimit.global_per_min=0", NULL});
  int fd = api_device (&api, "A");
  g_autoptr (GPtrArray) routes = ch_http_router_list (api.services->http->router);
  for (guint i = 0; i < routes->len; i++) {
    const ChHttpRoute *route = g_ptr_array_index (routes, i);
    if (!is_list (route))
      continue;
    check_list (&api, route);
    n++;
  }
  g_test_message ("%u lists", n);
  g_assert_cmpuint (n, >=, 10);
  close (fd);
  api_close (&api);
}

/* Under load lists have to wait, what is needed to charge and to look after it has not.
 */
static void test_overload (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, "A");
  api.services->overload = 2;
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "GET", "/api/v1/devices", READER, NULL);
  g_assert_cmpint (client_code (client), ==, 50307);
  g_autofree char *retry = client_header (client, "Retry-After");
  g_assert_cmpstr (retry, ==, "1");
  g_assert_cmpint (api_code (&api, "GET", "/api/v1/orders", READER, NULL), ==, 50307);
  g_assert_cmpint (api_code (&api, "GET", "/api/v1/devices/A", READER, NULL), ==, 0);
  g_assert_cmpint (api_code (&api, "GET", ADMIN "/connections", BOSS, NULL), ==, 0);
  api.services->overload = 0;
  g_assert_cmpint (api_code (&api, "GET", "/api/v1/devices", READER, NULL), ==, 0);
  close (fd);
  api_close (&api);
}

/* ---- every answer --------------------------------------------------------------------
 */

/* Whoever asks without a key is told so, and every answer has an id, its own or ours. */
static void test_every_route (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"ratelimit.global_per_min=0", NULL});
  g_autoptr (GPtrArray) routes = ch_http_router_list (api.services->http->router);
  for (guint i = 0; i < routes->len; i++) {
    const ChHttpRoute *route = g_ptr_array_index (routes, i);
    if (route->table.auth == CH_AUTH_NONE)
      continue;
    g_autoptr (GString) path = g_string_new (route->table.path);
    for (guint k = 0; k < route->n_params; k++) {
      g_autofree char *place = g_strdup_printf ("{%s}", route->names[k]);
      g_string_replace (path, place, "1", 1);
    }
    g_autoptr (Client) client = client_new (api.services, api.port);
    client_request (client, route->table.method, path->str,
                    "X-Request-ID: mine-1.a_b\r\n", NULL);
    g_assert_cmpint (client_code (client), ==, 40101);
    g_autofree char *id = client_header (client, "X-Request-ID");
    g_assert_cmpstr (id, ==, "mine-1.a_b");
    g_assert_cmpstr (ch_json_get_string (client->json, "request_id", ""), ==,
                     "mine-1.a_b");
    g_assert_cmpstr (ch_json_get_string (client->json, "message", ""), !=, "");
    g_assert_true (json_is_integer (json_object_get (client->json, "timestamp")));
    queue_advance (api.queue, 3000); /* failed attempts are limited */
  }
  api_close (&api);
}

/* All writes of administrators are kept under their key. */
static void test_idempotent_writes (void)
{
  static const char *const headers = BOSS "Idempotency-Key: \"once\"\r\n";
  Api api;
  api_open (&api, NULL);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", ADMIN "/devices", headers, "{\"device_id\":\"A\"}");
  g_assert_cmpuint (client->status, ==, 201);
  client_request (client, "POST", ADMIN "/devices", headers, "{\"device_id\":\"A\"}");
  g_assert_cmpuint (client->status, ==, 201);
  g_autofree char *replay = client_header (client, "Idempotent-Replay");
  g_assert_cmpstr (replay, ==, "true");
  client_request (client, "POST", ADMIN "/devices", headers, "{\"device_id\":\"B\"}");
  g_assert_cmpint (client_code (client), ==, 42201);
  API_SQL ("SELECT count (*) FROM devices", "1");
  api_close (&api);
}

/* ---- languages, browsers -------------------------------------------------------------
 */

static void test_chinese (void)
{
  static const char *const lists[] = {"port_status", "order_status", "end_reason"};
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) data
      = api_ok (&api, "GET", "/api/v1/status/definitions",
                READER "Accept-Language: zh-CN,zh;q=0.9\r\n", NULL, 200);
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++) {
    size_t k;
    json_t *item;
    json_array_foreach (json_object_get (data, lists[i]), k, item)
    {
      const char *text = ch_json_get_string (item, "display_text", "");
      if (g_str_is_ascii (text))
        g_error ("%s %s is not translated", lists[i],
                 ch_json_get_string (item, "name", ""));
    }
  }
  g_autoptr (json_t) json = NULL;
  api_ask (&api, "POST", ADMIN "/bans", BOSS "Accept-Language: zh\r\n", "{}", &json);
  g_assert_cmpstr (ch_json_get_string (json, "message", ""), ==, "参数错误");
  api_close (&api);
}

static void test_preflight (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"http.cors_origins=https://a.example", NULL});
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "OPTIONS", ADMIN "/config",
                  "Origin: https://a.example\r\nAccess-Control-Request-Method: PATCH\r\n",
                  NULL);
  g_assert_cmpuint (client->status, ==, 204);
  g_autofree char *methods = client_header (client, "Access-Control-Allow-Methods");
  g_autofree char *allowed = client_header (client, "Access-Control-Allow-Headers");
  g_assert_nonnull (strstr (methods, "PATCH"));
  g_assert_nonnull (strstr (allowed, "X-Internal-API-Key"));
  client_request (client, "GET", ADMIN "/config", BOSS "Origin: https://b.example\r\n",
                  NULL);
  g_autofree char *other = client_header (client, "Access-Control-Allow-Origin");
  g_assert_cmpstr (other, ==, "");
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/rules/lists", test_lists);
  g_test_add_func ("/http/rules/overload", test_overload);
  g_test_add_func ("/http/rules/every-route", test_every_route);
  g_test_add_func ("/http/rules/idempotent-writes", test_idempotent_writes);
  g_test_add_func ("/http/rules/chinese", test_chinese);
  g_test_add_func ("/http/rules/preflight", test_preflight);
  return g_test_run ();
}
