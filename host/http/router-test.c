/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trie of routes: matching, parameters, decoding, conflicts, revocation. */
#include "http/router.h"

#include <chargehost/error.h>
#include <string.h>

static void handler (ChPlugin *self, const ChRequest *request, ChReply reply) {}

typedef struct {
  ChServices services;
  ChPlugin *owner;
  ChHttpRouter *router;
  ChHttpMatch match;
} World;

static void world_open (World *world)
{
  *world = (World) {0};
  world->owner = ch_owner_new (&world->services, "test", NULL);
  world->router = ch_http_router_new ();
}

static void world_close (World *world)
{
  ch_http_match_clear (&world->match);
  ch_owner_free (world->owner);
  ch_http_router_free (world->router);
}

static gboolean add (World *world, const char *method, const char *path, GError **error)
{
  const ChRoute route = {.method = method, .path = path, .handler = handler};
  return ch_http_router_add (world->router, world->owner, &route, error) != NULL;
}

static void must_add (World *world, const char *method, const char *path)
{
  g_autoptr (GError) error = NULL;
  add (world, method, path, &error);
  g_assert_no_error (error);
}

/* "path value value", "no route", … */
static void expect (World *world, const char *method, const char *path,
                    const char *expected)
{
  static const char *const names[] = {"", "no route", "no method", "bad path"};
  ChHttpRoute *route;
  ChHttpLookup result
      = ch_http_router_find (world->router, method, path, &world->match, &route);
  g_autoptr (GString) text
      = g_string_new (result == CH_HTTP_FOUND ? route->table.path : names[result]);
  if (result == CH_HTTP_FOUND) {
    g_assert_cmpuint (route->n_params, ==, world->match.n_values);
    for (guint i = 0; i < world->match.n_values; i++)
      g_string_append_printf (text, " %s", world->match.values[i]);
  }
  g_assert_cmpstr (text->str, ==, expected);
}

static void test_match (void)
{
  World world;
  world_open (&world);
  must_add (&world, "GET", "/");
  must_add (&world, "GET", "/devices");
  must_add (&world, "GET", "/devices/{id}");
  must_add (&world, "POST", "/devices/{id}");
  must_add (&world, "GET", "/devices/special");
  must_add (&world, "GET", "/devices/{id}/ports/{socket}/{port}");
  must_add (&world, "GET", "/devices/special/orders");
  must_add (&world, "POST", "/devices/{id}/ports");

  expect (&world, "GET", "/devices", "/devices");
  expect (&world, "GET", "/devices/7", "/devices/{id} 7");
  expect (&world, "POST", "/devices/7", "/devices/{id} 7");
  expect (&world, "HEAD", "/devices/7", "/devices/{id} 7");
  expect (&world, "DELETE", "/devices/7", "no method");
  expect (&world, "GET", "/devices/special", "/devices/special");
  /* The literal leads nowhere here, the parameter does. */
  expect (&world, "POST", "/devices/special/ports", "/devices/{id}/ports special");
  expect (&world, "GET", "/devices/special/orders", "/devices/special/orders");
  expect (&world, "GET", "/devices/7/ports/2/0",
          "/devices/{id}/ports/{socket}/{port} 7 2 0");
  expect (&world, "GET", "/devices/7/ports/2", "no route");
  expect (&world, "GET", "/nothing", "no route");
  expect (&world, "GET", "/devices/", "no route");
  expect (&world, "GET", "/devices//ports", "no route");
  expect (&world, "GET", "//devices", "no route");
  expect (&world, "get", "/devices", "no method");
  expect (&world, "GET", "devices", "bad path");
  world_close (&world);
}

static void test_decoding (void)
{
  World world;
  g_autofree char *deep = g_strnfill (2 * 40, '/');
  g_autofree char *large = g_strnfill (CH_HTTP_MAX_PATH + 2, 'a');
  large[0] = '/';
  world_open (&world);
  must_add (&world, "GET", "/devices/{id}");
  must_add (&world, "GET", "/a b/{id}");

  expect (&world, "GET", "/devices/a%2Fb", "/devices/{id} a/b");
  expect (&world, "GET", "/devices/%E5%85%85", "/devices/{id} \345\205\205");
  expect (&world, "GET", "/devices/a+b", "/devices/{id} a+b");
  expect (&world, "GET", "/%64evices/x", "/devices/{id} x");
  expect (&world, "GET", "/a%20b/x", "/a b/{id} x");
  expect (&world, "GET", "/devices%2Fx", "no route");
  expect (&world, "GET", "/devices/%zz", "bad path");
  expect (&world, "GET", "/devices/%4", "bad path");
  expect (&world, "GET", "/devices/%", "bad path");
  expect (&world, "GET", "/devices/%00", "bad path");
  expect (&world, "GET", "/devices/%ff", "bad path");
  expect (&world, "GET", deep, "no route");
  expect (&world, "GET", large, "bad path");
  world_close (&world);
}

static void refuse (World *world, const char *method, const char *path, gint code)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (add (world, method, path, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, code);
}

static void test_conflicts (void)
{
  World world;
  world_open (&world);
  must_add (&world, "GET", "/devices/{id}");
  refuse (&world, "GET", "/devices/{id}", CH_PLUGIN_ERROR_DUPLICATE);
  /* Another name of the parameter is the same path. */
  refuse (&world, "GET", "/devices/{device}", CH_PLUGIN_ERROR_DUPLICATE);
  refuse (&world, "GET", "devices", CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  refuse (&world, "GET", "/devices//x", CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  refuse (&world, "GET", "/devices/{id", CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  refuse (&world, "GET", "/devices/{}", CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  refuse (&world, "GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}", CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  refuse (&world, "GET", "/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h",
          CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  g_assert_cmpuint (ch_http_router_size (world.router), ==, 1);
  world_close (&world);
}

static void test_revoke (void)
{
  World world;
  world_open (&world);
  ChPlugin *other = ch_owner_new (&world.services, "other", NULL);
  const ChRoute shared = {.method = "POST", .path = "/x/{a}/y", .handler = handler};
  const ChRoute own = {.method = "GET", .path = "/x/{a}/z/{b}", .handler = handler};
  ChHttpRoute *kept = ch_http_router_add (world.router, other, &own, NULL);
  g_assert_nonnull (kept);
  g_assert_nonnull (ch_http_router_add (world.router, other, &shared, NULL));
  must_add (&world, "GET", "/x/{a}/y");

  ch_http_route_ref (kept); /* a request has it */
  ch_owner_free (other);
  g_assert_null (kept->node);
  ch_http_route_unref (kept);
  g_assert_cmpuint (ch_http_router_size (world.router), ==, 1);
  expect (&world, "GET", "/x/1/z/2", "no route");
  expect (&world, "POST", "/x/1/y", "no method");
  expect (&world, "GET", "/x/1/y", "/x/{a}/y 1");
  g_autofree char *allowed = ch_http_router_allowed (&world.match);
  g_assert_cmpstr (allowed, ==, "GET, HEAD, OPTIONS");
  must_add (&world, "GET", "/x/{a}/z/{b}");
  world_close (&world);
}

static void test_unescape (void)
{
  char out[32];
  g_assert_true (ch_http_unescape ("a+b%2B", 6, TRUE, out));
  g_assert_cmpstr (out, ==, "a b+");
  g_assert_true (ch_http_unescape ("a+b", 3, FALSE, out));
  g_assert_cmpstr (out, ==, "a+b");
  g_assert_true (ch_http_unescape ("", 0, TRUE, out));
  g_assert_cmpstr (out, ==, "");
  g_assert_false (ch_http_unescape ("%C3%28", 6, TRUE, out));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/router/match", test_match);
  g_test_add_func ("/http/router/decoding", test_decoding);
  g_test_add_func ("/http/router/conflicts", test_conflicts);
  g_test_add_func ("/http/router/revoke", test_revoke);
  g_test_add_func ("/http/router/unescape", test_unescape);
  return g_test_run ();
}
