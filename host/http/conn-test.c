/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of the server, and what slow, large and hostile clients do to it. */
#include "http/test-http.h"

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>

static guint count_fds (void)
{
  guint n = 0;
  DIR *dir = opendir ("/proc/self/fd");
  while (readdir (dir) != NULL)
    n++;
  closedir (dir);
  return n;
}

/* ---- connections ---------------------------------------------------------------------
 */

static void test_keep_alive (void)
{
  World world;
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, (const char *const[]) {"http.max_connections=4", NULL});
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, (const char *const[]) {"http.max_body=64K", NULL});
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
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
  world_open_routes (&world, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (Client) client = client_new (&world.services, world.port);
    client_start (client, "POST", "/echo", headers[i], NULL);
    client_wait (client);
    g_assert_cmpuint (client->status, ==, 400);
    client_wait_closed (client);
  }
  world_close (&world);
}

/* libsoup would copy the answer once for each. */
static void test_many_ranges (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  g_autoptr (GString) ranges = g_string_new ("Range: bytes=0-");
  for (guint i = 0; i < 9000; i++)
    g_string_append (ranges, ",0-");
  g_string_append (ranges, "\r\n");
  client_request (client, "GET", "/large", ranges->str, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  gsize whole = strlen (client->body);
  client_request (client, "GET", "/large", NULL, NULL);
  g_assert_cmpuint (strlen (client->body), ==, whole);
  client_request (client, "GET", "/hello", "Range: bytes=99999-\r\n", NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_huge_headers (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  g_autofree char *name = g_strnfill (150000, 'a');
  g_autofree char *line = g_strconcat (name, ": b\r\n", NULL);
  client_start (client, "GET", "/hello", line, NULL);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 400);
  g_assert_cmpint (client_code (client), ==, 40000);
  client_wait_closed (client);
  world_close (&world);
}

/* What came of it would be JSON; but is it all? */
static void test_cut_chunks (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_send (client,
               "POST /echo HTTP/1.1\r\nHost: x\r\n"
               "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"n\":1}\r\n",
               -1);
  world_settle (&world.services);
  shutdown (client->fd, SHUT_WR);
  client_wait_closed (client);
  g_assert_cmpuint (client->in->len, ==, 0);
  world_close (&world);
}

/* The rest of a request with bad chunks is no request, and is answered as one. */
static void test_bad_rest (void)
{
  World world;
  world_open_routes (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_send (client,
               "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
               "no request\r\n\r\n",
               -1);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 200);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 400);
  g_assert_cmpint (client_code (client), ==, 40000);
  client_wait_closed (client);
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
  world_open_routes (&world, NULL);
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

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/conn/keep-alive", test_keep_alive);
  g_test_add_func ("/http/conn/pipelining", test_pipelining);
  g_test_add_func ("/http/conn/idle-leaves-nothing", test_idle_clients_leave_nothing);
  g_test_add_func ("/http/conn/idle-time", test_idle_time);
  g_test_add_func ("/http/conn/max-connections", test_max_connections);
  g_test_add_func ("/http/conn/high-descriptors", test_high_descriptors);
  g_test_add_func ("/http/conn/slow-request", test_slow_request);
  g_test_add_func ("/http/conn/slow-reader", test_slow_reader);
  g_test_add_func ("/http/conn/large-answers", test_large_answers);
  g_test_add_func ("/http/conn/large-bodies", test_large_bodies);
  g_test_add_func ("/http/conn/expect-continue", test_expect_continue);
  g_test_add_func ("/http/conn/many-malformed", test_many_malformed);
  g_test_add_func ("/http/conn/smuggling", test_smuggling);
  g_test_add_func ("/http/conn/many-ranges", test_many_ranges);
  g_test_add_func ("/http/conn/huge-headers", test_huge_headers);
  g_test_add_func ("/http/conn/cut-chunks", test_cut_chunks);
  g_test_add_func ("/http/conn/bad-rest", test_bad_rest);
  g_test_add_func ("/http/conn/garbage", test_garbage);
  return g_test_run ();
}
