/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operating the daemon: configuration, log level, servers, the audit log. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

#define ADMIN "/api/v1/admin"
#define CONFIG ADMIN "/config"

static const char *text (const json_t *object, const char *name)
{
  return ch_json_get_string (object, name, "");
}

/* Value of a key as REST shows it. (transfer full) */
static char *shown (Api *api, const char *key)
{
  g_autoptr (json_t) data = api_ok (api, "GET", CONFIG, BOSS, NULL, 200);
  const json_t *entry = json_object_get (json_object_get (data, "config"), key);
  return json_dumps (json_object_get (entry, "value"), JSON_ENCODE_ANY | JSON_COMPACT);
}

#define SHOWN(key, wanted)                                                               \
  do {                                                                                   \
    g_autofree char *_value = shown (&api, key);                                         \
    g_assert_cmpstr (_value, ==, wanted);                                                \
  } while (0)

static void test_patch (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"orders.stop_rounds=4", NULL});
  g_autoptr (json_t) data
      = api_ok (&api, "PATCH", CONFIG, BOSS,
                "{\"config\":{\"orders.stop_rounds\":7,\"orders.accept_local\":false,"
                "\"gateway.device_whitelist\":[\"A\",\"B\"],"
                "\"orders.overrun_tolerance\":0.1}}",
                200);
  g_assert_cmpuint (json_array_size (json_object_get (data, "changed")), ==, 4);
  g_assert_cmpint (ch_config_get_int (api.services->config, "orders.stop_rounds"), ==, 7);
  g_assert_cmpstr (
      ch_config_get_list (api.services->config, "gateway.device_whitelist")[1], ==, "B");
  SHOWN ("orders.accept_local", "false");
  /* It survives a reload of the sources; null goes back to them. */
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) keys = ch_config_reload (api.services->config, &error);
  g_assert_no_error (error);
  g_assert_null (keys[0]);
  SHOWN ("orders.stop_rounds", "7");
  g_autoptr (json_t) back = api_ok (&api, "PATCH", CONFIG, BOSS,
                                    "{\"config\":{\"orders.stop_rounds\":null}}", 200);
  SHOWN ("orders.stop_rounds", "4");
  SHOWN ("orders.accept_local", "false");
  queue_settle (api.queue);
  API_SQL ("SELECT json_extract (before, '$.\"orders.stop_rounds\"') || ' ' ||"
           " json_extract (after, '$.\"orders.stop_rounds\"') FROM audit_log"
           " ORDER BY id LIMIT 1",
           "4 7");
  api_close (&api);
}

/* As a whole or not at all, with the key that is to blame. */
static void test_refused (void)
{
  static const struct {
    const char *pair, *key, *rule;
  } cases[] = {
      {"\"http.addr\":\":1\"", "http.addr", "value"},
      {"\"orders.stop_round\":2", "orders.stop_round", "unknown"},
      {"\"orders.accept_local\":\"perhaps\"", "orders.accept_local", "value"},
      {"\"gateway.throttle_ms\":999999", "gateway.throttle_ms", "value"},
      {"\"gateway.throttle_ms\":[\"1\"]", "gateway.throttle_ms", "value"},
      {"\"gateway.throttle_ms\":{}", "gateway.throttle_ms", "value"},
  };
  Api api;
  api_open (&api, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *body
        = g_strdup_printf ("{\"config\":{\"orders.stop_rounds\":9,%s}}", cases[i].pair);
    g_autoptr (json_t) json = NULL;
    g_assert_cmpuint (api_ask (&api, "PATCH", CONFIG, BOSS, body, &json), ==, 400);
    const json_t *field
        = json_array_get (json_object_get (json_object_get (json, "data"), "fields"), 0);
    g_assert_cmpstr (text (field, "field"), ==, cases[i].key);
    g_assert_cmpstr (text (field, "rule"), ==, cases[i].rule);
    g_assert_nonnull (strstr (text (json, "message"), cases[i].key));
    SHOWN ("orders.stop_rounds", "3");
  }
  g_assert_cmpint (api_code (&api, "PATCH", CONFIG, BOSS, "{}"), ==, 40010);
  g_assert_cmpint (api_code (&api, "PATCH", CONFIG, DRIVER, "{}"), ==, 40101);
  api_close (&api);
}

static void test_secrets (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) data
      = api_ok (&api, "PATCH", CONFIG, BOSS,
                "{\"config\":{\"api.auth.api_keys\":[\"another-key-0123456789\"]}}", 200);
  g_autofree char *all = json_dumps (data, 0);
  g_assert_null (strstr (all, "another-key"));
  queue_settle (api.queue);
  API_SQL (
      "SELECT count (*) FROM audit_log WHERE CAST (after AS text) LIKE '%another-key%'",
      "0");
  /* It counts from now on. */
  g_assert_cmpuint (api_ask (&api, "GET", "/api/v1/stats",
                             "X-API-Key: another-key-0123456789\r\n", NULL, NULL),
                    ==, 200);
  g_assert_cmpuint (api_ask (&api, "GET", "/api/v1/stats", READER, NULL, NULL), ==, 401);
  api_close (&api);
}

static void test_log_level (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (json_t) data
      = api_ok (&api, "PUT", ADMIN "/log-level", BOSS,
                "{\"level\":\"error\",\"module\":\"core\",\"minutes\":1}", 200);
  g_assert_cmpstr (text (data, "level"), ==, "error");
  g_assert_cmpint (
      api_code (&api, "PUT", ADMIN "/log-level", BOSS, "{\"level\":\"loud\"}"), ==,
      40010);
  queue_advance (api.queue, 61000);
  api_close (&api);
}

static void test_servers (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, "A");
  g_autofree char *beat = g_strdup_printf ("%" G_GINT64_FORMAT,
                                           ch_wall_ms (api.services->core->self) - 60000);
  g_autofree char *add = g_strdup_printf ("ZADD servers %s other", beat);
  g_autofree char *added = queue_kv (api.queue, add);
  g_autofree char *told = queue_kv (
      api.queue, "HSET server:other address far pid 7 version 1.0 connections 12");
  g_autoptr (json_t) data = api_ok (&api, "GET", ADMIN "/servers", BOSS, NULL, 200);
  const json_t *list = json_object_get (data, "servers");
  const json_t *own = json_array_get (list, 0), *other = json_array_get (list, 1);
  g_assert_cmpint (ch_json_get_int (data, "total", 0), ==, 2);
  g_assert_true (ch_json_get_bool (own, "self", FALSE));
  g_assert_cmpint (ch_json_get_int (own, "devices_online", 0), ==, 1);
  g_assert_cmpstr (text (other, "server_id"), ==, "other");
  g_assert_cmpstr (text (other, "address"), ==, "far");
  g_assert_cmpint (ch_json_get_int (other, "devices_online", 0), ==, 12);
  g_assert_false (ch_json_get_bool (other, "alive", TRUE));
  close (fd);
  api_close (&api);
}

/* ---- audit ---------------------------------------------------------------------------
 */

static void test_audit (void)
{
  static const struct {
    const char *query;
    gint64 total;
    size_t n;
  } cases[] = {
      {"", 6, 6},
      {"?page_size=4", 6, 4},
      {"?page=2&page_size=4", 6, 2},
      {"?limit=2&offset=5", 6, 1},
      {"?action=POST", 5, 5},
      {"?action=DELETE", 1, 1},
      {"?object=/devices/D3", 1, 1},
      {"?actor=nobody", 0, 0},
      {"?from=2100-01-01T00:00:00Z", 0, 0},
      {"?to=1970-01-02T00:00:00Z", 0, 0},
      {"?action=POST&page_size=1", 5, 1},
  };
  Api api;
  api_open (&api, NULL);
  for (guint i = 0; i < 5; i++) {
    g_autofree char *body = g_strdup_printf ("{\"device_id\":\"D%u\"}", i);
    g_autoptr (json_t) made = api_ok (&api, "POST", ADMIN "/devices", BOSS, body, 201);
  }
  g_autoptr (json_t) gone = api_ok (&api, "DELETE", ADMIN "/devices/D3", BOSS, NULL, 200);
  queue_settle (api.queue);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat (ADMIN "/audit", cases[i].query, NULL);
    g_autoptr (json_t) data = api_ok (&api, "GET", path, BOSS, NULL, 200);
    g_assert_cmpint (ch_json_get_int (data, "total", -1), ==, cases[i].total);
    g_assert_cmpuint (json_array_size (json_object_get (data, "audit")), ==, cases[i].n);
  }
  /* By `next`, each row once. */
  gint64 after = 0;
  guint seen = 0;
  for (guint turn = 0; turn < 5; turn++) {
    g_autofree char *path
        = after == 0
              ? g_strdup (ADMIN "/audit?limit=2")
              : g_strdup_printf (ADMIN "/audit?limit=2&after=%" G_GINT64_FORMAT, after);
    g_autoptr (json_t) data = api_ok (&api, "GET", path, BOSS, NULL, 200);
    seen += (guint) json_array_size (json_object_get (data, "audit"));
    after = ch_json_get_int (data, "next", 0);
    if (after == 0)
      break;
  }
  g_assert_cmpuint (seen, ==, 6);
  g_assert_cmpint (api_code (&api, "GET", ADMIN "/audit?from=soon", BOSS, NULL), ==,
                   40010);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/operation/patch", test_patch);
  g_test_add_func ("/http/operation/refused", test_refused);
  g_test_add_func ("/http/operation/secrets", test_secrets);
  g_test_add_func ("/http/operation/log-level", test_log_level);
  g_test_add_func ("/http/operation/servers", test_servers);
  g_test_add_func ("/http/operation/audit", test_audit);
  return g_test_run ();
}
