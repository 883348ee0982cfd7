/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server over loopback: connections, deadlines, sizes, and what hostile clients do.
 */
#include "http/test-http.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static void hello (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL, json_pack ("{s:s}", "hello", "world"));
}

static void echo (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL,
                 json_deep_copy ((json_t *) (guintptr) ch_request_body (request)));
}

static ChReply owed[64];
static guint n_owed;

static void later (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  g_assert_cmpuint (n_owed, <, G_N_ELEMENTS (owed));
  owed[n_owed++] = reply;
}

static void large (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  gsize size = (gsize) ch_request_query_int (request, "size", 0);
  g_autofree char *bytes = g_strnfill (size, 'x');
  ch_reply_bytes (self, reply, 200, "text/plain", bytes, size);
}

static void none (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_bytes (self, reply, 204, NULL, NULL, 0);
}

static const ChParam ECHO_PARAMS[] = {
    {.name = "n", .place = CH_PARAM_BODY, .kind = CH_PARAM_INT},
    {.name = NULL},
};
static const ChRoute ROUTES[] = {
    {.method = "GET", .path = "/hello", .handler = hello},
    {.method = "GET", .path = "/large", .handler = large},
    {.method = "GET", .path = "/none", .handler = none},
    {.method = "POST", .path = "/echo", .params = ECHO_PARAMS, .handler = echo},
    {.method = "POST",
     .path = "/small",
     .params = ECHO_PARAMS,
     .max_body = 16,
     .handler = echo},
    {.method = "GET", .path = "/later", .timeout_ms = 5000, .handler = later},
    {.method = NULL},
};

static void open_world (World *world, const char *const *options)
{
  g_autoptr (GError) error = NULL;
  n_owed = 0;
  world_open (world, options);
  ch_http_add_routes (world->plugin, ROUTES, &error);
  g_assert_no_error (error);
}

static guint count_fds (void)
{
  guint n = 0;
  DIR *dir = opendir ("/proc/self/fd");
  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n;
}

/* ---- envelope ------------------------------------------------------------------------
 */

static void test_envelope (void)
{
  World world;
  open_world (&world, NULL);
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
  open_world (&world, NULL);
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
  open_world (&world, NULL);
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
  open_world (&world, NULL);
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
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "GET", "/nothing", "Accept-Language: zh-CN\r\n", NULL);
  g_assert_cmpstr (ch_json_get_string (client->json, "message", ""), ==,
                   "\346\262\241\346\234\211\350\257\245\346\216\245\345\217\243");
  world_close (&world);
}

/* ---- connections ---------------------------------------------------------------------
 */

static void test_keep_alive (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < 20; i++) {
    client_request (client, i % 2 ? "GET" : "POST", i % 2 ? "/hello" : "/echo", NULL,
                    i % 2 ? NULL : "{\"n\":1}");
    g_assert_cmpuint (client->status, ==, 200);
  }
  client_request (client, "GET", "/none", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 204);
  client_start (client, "HEAD", "/hello", NULL, NULL);
  while (!client_poll (client, TRUE))
    world_settle (&world.services);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_cmpstr (client->in->str, ==, "");
  client_request (client, "GET", "/hello", "Connection: close\r\n", NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_wait_closed (client);
  world_close (&world);
}

static void test_pipelining (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < 5; i++)
    client_start (client, "GET", "/hello", NULL, NULL);
  for (guint i = 0; i < 5; i++) {
    client_wait (client);
    g_assert_cmpuint (client->status, ==, 200);
  }
  world_close (&world);
}

/* libsoup 3.2 would keep a descriptor for each of them. */
static void test_idle_clients_leave_nothing (void)
{
  World world;
  open_world (&world, NULL);
  guint before = 0;
  for (guint i = 0; i < 50; i++) {
    g_assert_cmpuint (
        ask (&world.services, world.port, "GET", "/hello", NULL, NULL, NULL), ==, 200);
    world_settle (&world.services);
    before = i == 0 ? count_fds () : before;
  }
  g_assert_cmpuint (count_fds (), ==, before);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  world_close (&world);
}

static void test_idle_time (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "GET", "/hello", NULL, NULL);
  world_advance (&world.services, 14000);
  client_request (client, "GET", "/hello", NULL, NULL);
  world_advance (&world.services, 14500);
  g_assert_false (client->closed);
  world_advance (&world.services, 1000);
  client_wait_closed (client);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  world_close (&world);
}

static void test_max_connections (void)
{
  World world;
  Client *clients[4];
  open_world (&world, (const char *const[]) {"http.max_connections=4", NULL});
  /* Idle ones make room, the oldest first. */
  for (guint i = 0; i < 4; i++) {
    clients[i] = client_new (&world.services, world.port);
    client_request (clients[i], "GET", "/hello", NULL, NULL);
  }
  g_autoptr (Client) fifth = client_new (&world.services, world.port);
  client_request (fifth, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (fifth->status, ==, 200);
  client_wait_closed (clients[0]);
  client_request (clients[3], "GET", "/hello", NULL, NULL);
  /* Busy ones do not. */
  client_start (fifth, "GET", "/later", NULL, NULL);
  for (guint i = 1; i < 4; i++)
    client_start (clients[i], "GET", "/later", NULL, NULL);
  world_settle (&world.services);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 4);
  g_autoptr (Client) sixth = client_new (&world.services, world.port);
  client_wait (sixth);
  g_assert_cmpuint (sixth->status, ==, 503);
  g_assert_cmpint (client_code (sixth), ==, 50307);
  g_assert_cmpfloat (
      world_metric (&world, "chargehost_http_dropped_total{reason=\"max_connections\"}"),
      ==, 1);
  for (guint i = 0; i < 4; i++)
    client_free (clients[i]);
  world_close (&world);
}

static void test_high_descriptors (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "GET", "/hello", NULL, NULL);
  ChHttpConn *conn = world.services.http->idle.head->data;
  g_assert_cmpint (conn->fd, >=, 1024);
  world_close (&world);
}

/* ---- slow and large ------------------------------------------------------------------
 */

static void drip (World *world, const char *before)
{
  g_autoptr (Client) client = client_new (&world->services, world->port);
  client_send (client, before, -1);
  guint seconds = 0;
  while (!client->closed && seconds < 60) {
    client_send (client, "a", 1);
    world_advance (&world->services, 1000);
    client_poll (client, FALSE);
    seconds++;
  }
  g_assert_cmpuint (seconds, >=, 29);
  g_assert_cmpuint (seconds, <=, 32);
}

static void test_slow_request (void)
{
  World world;
  open_world (&world, NULL);
  drip (&world, "G");
  drip (&world, "POST /echo HTTP/1.1\r\nHost: x\r\nX-A: ");
  drip (&world, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                "Content-Length: 1000\r\n\r\n{");
  drip (&world,
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{"
        "\r\nff\r\n");
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  world_close (&world);
}

static void test_slow_reader (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_start (client, "GET", "/large?size=30000000", NULL, NULL);
  world_advance (&world.services, 29000);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 1);
  world_advance (&world.services, 2000);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  g_assert_cmpfloat (
      world_metric (&world, "chargehost_http_dropped_total{reason=\"slow_reader\"}"), ==,
      1);
  world_close (&world);
}

static void test_large_answers (void)
{
  static const guint sizes[] = {1, 16000, 16384, 16385, 100000, 3000000};
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree char *path = g_strdup_printf ("/large?size=%u", sizes[i]);
    client_request (client, "GET", path, NULL, NULL);
    g_assert_cmpuint (client->status, ==, 200);
    g_assert_cmpuint (strlen (client->body), ==, sizes[i]);
  }
  world_close (&world);
}

static void expect_too_large (Client *client)
{
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 413);
  g_assert_cmpint (client_code (client), ==, 41300);
  client_wait_closed (client);
}

static void test_large_bodies (void)
{
  World world;
  open_world (&world, (const char *const[]) {"http.max_body=64K", NULL});
  g_autofree char *junk = g_strnfill (70000, ' ');

  /* Announced: refused before it is sent. */
  g_autoptr (Client) announced = client_new (&world.services, world.port);
  client_send (announced,
               "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Content-Length: 1000000000\r\n\r\n{",
               -1);
  client_wait (announced);
  g_assert_cmpuint (announced->status, ==, 413);
  world_advance (&world.services, 2500);
  client_wait_closed (announced);

  /* In chunks: refused when it is too much. */
  g_autoptr (Client) chunked = client_new (&world.services, world.port);
  client_send (chunked,
               "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Transfer-Encoding: chunked\r\n\r\n11170\r\n",
               -1);
  client_send (chunked, junk, 70000);
  client_send (chunked, "\r\n0\r\n\r\n", -1);
  expect_too_large (chunked);

  /* A client that sends on for ever is cut. */
  g_autoptr (Client) endless = client_new (&world.services, world.port);
  client_send (endless,
               "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Content-Length: 1000000000\r\n\r\n",
               -1);
  for (guint i = 0; i < 100; i++)
    client_send (endless, junk, 70000);
  expect_too_large (endless);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);

  /* Just enough. */
  g_autofree char *fits = g_strdup_printf ("{%.*s}", 65534, junk);
  g_assert_cmpuint (ask (&world.services, world.port, "POST", "/echo", NULL, fits, NULL),
                    ==, 200);
  world_close (&world);
}

static void test_expect_continue (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_send (client,
               "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Content-Length: 7\r\nExpect: 100-continue\r\n\r\n",
               -1);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 100);
  client_send (client, "{\"n\":1}", -1);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

/* Who sends what libsoup cannot even parse is not let in any more for a while. */
static void test_many_malformed (void)
{
  World world;
  open_world (&world, NULL);
  for (guint i = 0; i < 20; i++) {
    g_autoptr (Client) client = client_new (&world.services, world.port);
    client_request (client, "GET", "hello", NULL, NULL);
    g_assert_cmpint (client_code (client), ==, 40000);
  }
  g_autoptr (Client) refused = client_new (&world.services, world.port);
  client_wait (refused);
  g_assert_cmpuint (refused->status, ==, 503);
  world_advance (&world.services, 3000);
  g_assert_cmpuint (ask (&world.services, world.port, "GET", "/hello", NULL, NULL, NULL),
                    ==, 200);
  world_close (&world);
}

static void test_smuggling (void)
{
  static const char *const headers[] = {
      "Content-Length: -5\r\n",
      "Content-Length: +5\r\n",
      "Content-Length: 5\r\nContent-Length: 6\r\n",
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      "Content-Length: 99999999999999999999\r\n",
  };
  World world;
  open_world (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (Client) client = client_new (&world.services, world.port);
    client_start (client, "POST", "/echo", headers[i], NULL);
    client_wait (client);
    g_assert_cmpuint (client->status, ==, 400);
    client_wait_closed (client);
  }
  world_close (&world);
}

static void test_garbage (void)
{
  static const char *const texts[] = {
      "\r\n\r\n\r\n",
      "GET\r\n\r\n",
      "GET /hello HTTP/9.9\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "GET /hello HTTP/1.1\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "GET /hello\001 HTTP/1.1\r\nHost: x\r\n\r\n",
      "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
  };
  World world;
  open_world (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (Client) client = client_new (&world.services, world.port);
    client_send (client, texts[i], -1);
    world_settle (&world.services);
    if (client_poll (client, FALSE) && client->status >= 400)
      g_assert_cmpint (client_code (client), >=, 40000);
  }
  world_advance (&world.services, 31000);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  g_assert_cmpuint (ask (&world.services, world.port, "GET", "/hello", NULL, NULL, NULL),
                    ==, 200);
  world_close (&world);
}

/* ---- answers that come later ---------------------------------------------------------
 */

static void test_later (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_advance (&world.services, 4000);
  g_assert_cmpuint (n_owed, ==, 1);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 1);
  ch_reply_data (world.plugin, owed[0], 202, "accepted", NULL);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 202);
  g_assert_null (json_object_get (client->json, "data"));
  /* A second answer is a no-op. */
  ch_reply_data (world.plugin, owed[0], 500, NULL, json_object ());
  ch_reply_error (world.plugin, owed[0], 50001, "x", json_object ());
  ch_reply_bytes (world.plugin, owed[0], 200, "text/plain", "x", 1);
  ch_reply_header (world.plugin, owed[0], "X-A", "b");
  client_request (client, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_deadline (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_advance (&world.services, 5100);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 504);
  g_assert_cmpint (client_code (client), ==, 50401);
  g_assert_cmpuint (ch_replies_pending (world.services.replies), ==, 0);
  ch_reply_data (world.plugin, owed[0], 200, NULL, NULL);
  client_request (client, "GET", "/hello", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_client_gone (void)
{
  World world;
  open_world (&world, NULL);
  Client *client = client_new (&world.services, world.port);
  client_start (client, "GET", "/later", NULL, NULL);
  world_settle (&world.services);
  g_assert_cmpuint (n_owed, ==, 1);
  client_free (client);
  world_settle (&world.services);
  ch_reply_data (world.plugin, owed[0], 200, NULL, json_pack ("{s:i}", "a", 1));
  world_settle (&world.services);
  g_assert_cmpuint (ch_http_n_conns (world.services.http), ==, 0);
  world_close (&world);
}

static void test_plugin_stops (void)
{
  World world;
  Client *clients[8];
  open_world (&world, NULL);
  for (guint i = 0; i < 8; i++) {
    clients[i] = client_new (&world.services, world.port);
    client_start (clients[i], "GET", i % 2 ? "/later" : "/hello", NULL, NULL);
  }
  world_settle (&world.services);
  g_assert_cmpuint (n_owed, ==, 4);
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
  open_world (&world, NULL);
  g_autoptr (Client) busy = client_new (&world.services, world.port);
  g_autoptr (Client) idle = client_new (&world.services, world.port);
  client_request (idle, "GET", "/hello", NULL, NULL);
  client_start (busy, "GET", "/later", NULL, NULL);
  world_settle (&world.services);
  ch_http_drain (world.services.http);
  client_wait_closed (idle);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 1);
  ch_reply_data (world.plugin, owed[0], 200, NULL, NULL);
  client_wait (busy);
  g_assert_cmpuint (busy->status, ==, 200);
  client_wait_closed (busy);
  g_assert_cmpuint (ch_http_active (world.services.http), ==, 0);
  world_close (&world);
}

static void test_mutates (void)
{
  static const ChRoute routes[] = {
      {.method = "POST", .path = "/change", .flags = CH_ROUTE_MUTATES, .handler = hello},
      {.method = NULL},
  };
  World world;
  open_world (&world, NULL);
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
  open_world (&world, NULL);
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
  g_test_add_func ("/http/server/keep-alive", test_keep_alive);
  g_test_add_func ("/http/server/pipelining", test_pipelining);
  g_test_add_func ("/http/server/idle-leaves-nothing", test_idle_clients_leave_nothing);
  g_test_add_func ("/http/server/idle-time", test_idle_time);
  g_test_add_func ("/http/server/max-connections", test_max_connections);
  g_test_add_func ("/http/server/high-descriptors", test_high_descriptors);
  g_test_add_func ("/http/server/slow-request", test_slow_request);
  g_test_add_func ("/http/server/slow-reader", test_slow_reader);
  g_test_add_func ("/http/server/large-answers", test_large_answers);
  g_test_add_func ("/http/server/large-bodies", test_large_bodies);
  g_test_add_func ("/http/server/expect-continue", test_expect_continue);
  g_test_add_func ("/http/server/many-malformed", test_many_malformed);
  g_test_add_func ("/http/server/smuggling", test_smuggling);
  g_test_add_func ("/http/server/garbage", test_garbage);
  g_test_add_func ("/http/server/later", test_later);
  g_test_add_func ("/http/server/deadline", test_deadline);
  g_test_add_func ("/http/server/client-gone", test_client_gone);
  g_test_add_func ("/http/server/plugin-stops", test_plugin_stops);
  g_test_add_func ("/http/server/drain", test_drain);
  g_test_add_func ("/http/server/mutates", test_mutates);
  g_test_add_func ("/http/server/freed-under-way", test_freed_under_way);
  return g_test_run ();
}
