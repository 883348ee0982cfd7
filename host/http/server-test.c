/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of the server: the envelope, refusals, answers that come later, draining. */
#include "http/test-http.h"

#include <string.h>

/* ---- envelope ------------------------------------------------------------------------
 */

static void test_envelope (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);

  client_request (client, "GET", "/hello", "X-Request-ID: mine-1\r\n", NULL);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_cmpstr (client->body, ==,
                   "{\"code\":0,\"message\":\"success\",\"data\":{\"hello\":\"world\"},"
                   "\"request_id\":\"mine-1\",\"timestamp\":1704528000}");
  g_autofree char *id = client_header (client, "X-Request-ID");
  g_autofree char *type = client_header (client, "Content-Type");
  g_autofree char *sniff = client_header (client, "X-Content-Type-Options");
  g_autofree char *cache = client_header (client, "Cache-Control");
  g_autofree char *server = client_header (client, "Server");
  g_assert_cmpstr (id, ==, "mine-1");
  g_assert_cmpstr (type, ==, "application/json");
  g_assert_cmpstr (sniff, ==, "nosniff");
  g_assert_cmpstr (cache, ==, "no-store");
  g_assert_cmpstr (server, ==, "");
  world_close (&world);
}

static void test_request_ids (void)
{
  static const char *const refused[] = {"", "a b", "a/b", "\303\274", NULL};
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  g_autofree char *many = g_strnfill (129, 'x');

  for (guint i = 0; i < 5; i++) {
    g_autofree char *line = g_strdup_printf ("X-Request-ID: %s\r\n",
                                             refused[i] != NULL ? refused[i] : many);
    client_request (client, "GET", "/hello", line, NULL);
    g_autofree char *id = client_header (client, "X-Request-ID");
    g_assert_true (g_str_has_prefix (id, "req-"));
    g_assert_cmpuint (strlen (id), ==, 30);
    g_assert_cmpstr (ch_json_get_string (client->json, "request_id", ""), ==, id);
  }
  g_autofree char *line = g_strdup_printf ("X-Request-ID: %s\r\n", many + 1);
  client_request (client, "GET", "/hello", line, NULL);
  g_autofree char *id = client_header (client, "X-Request-ID");
  g_assert_cmpstr (id, ==, many + 1);
  world_close (&world);
}

/* Every refusal has the envelope, whoever refuses. */
static void test_refusals (void)
{
  static const struct {
    const char *method, *path, *headers, *body;
    guint status;
    gint code;
  } cases[] = {
      {"GET", "/nothing", NULL, NULL, 404, 40400},
      {"GET", "/hello/", NULL, NULL, 404, 40400},
      {"DELETE", "/hello", NULL, NULL, 405, 40500},
      {"GET", "/hello%00", NULL, NULL, 400, 40000},
      {"POST", "/echo", NULL, "{", 400, 40000},
      {"POST", "/echo", NULL, "[1]", 400, 40000},
      {"POST", "/echo", NULL, "{\"a\":1,\"a\":2}", 400, 40000},
      {"POST", "/echo", NULL, "{\"a\":\"\xff\"}", 400, 40000},
      {"POST", "/echo", NULL, "{\"n\":\"1\"}", 400, 40010},
      {"POST", "/echo", "Content-Type: text/xml\r\n", "{}", 415, 41500},
      {"POST", "/echo", "Content-Type: application/jsonp\r\n", "{}", 415, 41500},
      {"POST", "/small", NULL, "{\"n\":12345678901}", 413, 41300},
      {"GET", "https://test/hello", NULL, NULL, 400, 40000},
      {"GET", "hello", NULL, NULL, 400, 40000},
  };
  World world;
  world_open_routes (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Client) client = client_new (&world.services, world.port);
    client_request (client, cases[i].method, cases[i].path, cases[i].headers,
                    cases[i].body);
    g_assert_cmpuint (client->status, ==, cases[i].status);
    g_assert_cmpint (client_code (client), ==, cases[i].code);
    g_assert_cmpstr (ch_json_get_string (client->json, "message", ""), !=, "");
    g_assert_cmpstr (ch_json_get_string (client->json, "request_id", ""), !=, "");
    if (cases[i].status == 405) {
      g_autofree char *allow = client_header (client, "Allow");
      g_assert_cmpstr (allow, ==, "GET, HEAD, OPTIONS");
    }
  }
  world_close (&world);
}

static void test_content_types (void)
{
  static const char *const good[]
      = {"application/json", "Application/JSON; charset=utf-8", "application/ld+json"};
  World world;
  world_open_routes (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autofree char *line = g_strdup_printf ("Content-Type: %s\r\n", good[i]);
    g_assert_cmpuint (
        ask (&world.services, world.port, "POST", "/echo", line, "{\"n\":1}", NULL), ==,
        200);
  }
  world_close (&world);
}

static void test_chinese (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "GET", "/nothing", "Accept-Language: zh-CN\r\n", NULL);
  g_assert_cmpstr (ch_json_get_string (client->json, "message", ""), ==,
                   "\346\262\241\346\234\211\350\257\245\346\216\245\345\217\243");
  world_close (&world);
}

/* ---- answers that come later ---------------------------------------------------------
 */

static void test_later (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_advance (&world.services, 4000);
  g_assert_cmpuint (world.n_owed, ==, 1);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 1);
  ch_reply_data (world.plugin, world.owed[0], 202, "accepted", NULL);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 202);
  g_assert_null (json_object_get (client->json, "data"));
  /* A second answer is a no-op. */
  ch_reply_data (world.plugin, world.owed[0], 500, NULL, json_object ());
  ch_reply_error (world.plugin, world.owed[0], 50001, "x", json_object ());
  ch_reply_bytes (world.plugin, world.owed[0], 200, "text/plain", "x", 1);
  ch_reply_header (world.plugin, world.owed[0], "X-A", "b");
  client_request (client, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_deadline (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_advance (&world.services, 5100);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 504);
  g_assert_cmpint (client_code (client), ==, 50401);
  g_assert_cmpuint (ch_replies_pending (world.services.replies), ==, 0);
  ch_reply_data (world.plugin, world.owed[0], 200, NULL, NULL);
  client_request (client, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_client_gone (void)
{
  World world;
  world_open_routes (&world, NULL);
  Client *client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_settle (&world.services);
  g_assert_cmpuint (world.n_owed, ==, 1);
  client_free (client);
  world_settle (&world.services);
  ch_reply_data (world.plugin, world.owed[0], 200, NULL, json_pack ("{s:i}", "a", 1));
  world_settle (&world.services);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  world_close (&world);
}

static void test_plugin_stops (void)
{
  World world;
  Client *clients[8];
  world_open_routes (&world, NULL);
  for (guint i = 0; i < 8; i++) {
    clients[i] = client_new (&world.services, world.port);
    client_start (clients[i], "GET", i % 2 ? "/later" : "/hello", NULL, NULL);
  }
  world_settle (&world.services);
  g_assert_cmpuint (world.n_owed, ==, 4);
  g_clear_pointer (&world.plugin, ch_owner_free);
  for (guint i = 0; i < 8; i++) {
    client_wait (clients[i]);
    g_assert_cmpuint (clients[i]->status, ==, i % 2 ? 500 : 200);
    g_assert_cmpint (client_code (clients[i]), ==, i % 2 ? 50001 : 0);
    client_request (clients[i], "GET", "/hello", NULL, NULL);
    g_assert_cmpuint (clients[i]->status, ==, 404);
    client_free (clients[i]);
  }
  world_close (&world);
}

/* ---- draining, other listeners -------------------------------------------------------
 */

static void test_drain (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) busy = client_new (&world.services, world.port);
  g_autoptr (Client) idle = client_new (&world.services, world.port);
  client_request (idle, "GET", "/hello", NULL, NULL);
  client_start (busy, "GET", "/later", NULL, NULL);
  world_settle (&world.services);
  ch_http_drain (world.services.http);
  client_wait_closed (idle);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 1);
  ch_reply_data (world.plugin, world.owed[0], 200, NULL, NULL);
  client_wait (busy);
  g_assert_cmpuint (busy->status, ==, 200);
  client_wait_closed (busy);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 0);
  world_close (&world);
}

static void changed (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL, NULL);
}

static void test_mutates (void)
{
  static const ChRoute routes[] = {
      {.method = "POST",
       .path = "/change",
       .flags = CH_ROUTE_MUTATES,
       .handler = changed},
      {.method = NULL},
  };
  World world;
  world_open_routes (&world, NULL);
  ch_http_add_routes (world.plugin, routes, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  world.services.phase = 7;
  client_request (client, "POST", "/change", NULL, NULL);
  g_assert_cmpint (client_code (client), ==, 50306);
  g_autofree char *retry = client_header (client, "Retry-After");
  g_assert_cmpstr (retry, ==, "5");
  world.services.phase = 9;
  world.services.draining = TRUE;
  client_request (client, "POST", "/change", NULL, NULL);
  g_assert_cmpint (client_code (client), ==, 50306);
  client_request (client, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world.services.draining = FALSE;
  client_request (client, "POST", "/change", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

/* Whatever is under way when the server is freed. */
static void test_freed_under_way (void)
{
  World world;
  Client *clients[4];
  world_open_routes (&world, NULL);
  for (guint i = 0; i < 4; i++)
    clients[i] = client_new (&world.services, world.port);
  client_request (clients[0], "GET", "/hello", NULL, NULL);
  client_start (clients[1], "GET", "/later", NULL, NULL);
  client_send (clients[2], "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Le", -1);
  client_start (clients[3], "GET", "/large?size=30000000", NULL, NULL);
  world_settle (&world.services);
  world_close (&world);
  for (guint i = 0; i < 4; i++)
    client_free (clients[i]);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/server/envelope", test_envelope);
  g_test_add_func ("/http/server/request-ids", test_request_ids);
  g_test_add_func ("/http/server/refusals", test_refusals);
  g_test_add_func ("/http/server/content-types", test_content_types);
  g_test_add_func ("/http/server/chinese", test_chinese);
  g_test_add_func ("/http/server/later", test_later);
  g_test_add_func ("/http/server/deadline", test_deadline);
  g_test_add_func ("/http/server/client-gone", test_client_gone);
  g_test_add_func ("/http/server/plugin-stops", test_plugin_stops);
  g_test_add_func ("/http/server/drain", test_drain);
  g_test_add_func ("/http/server/mutates", test_mutates);
  g_test_add_func ("/http/server/freed-under-way", test_freed_under_way);
  return g_test_run ();
}
