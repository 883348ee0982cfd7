/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's routes over a core with a device that answers. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

#define ID "82241218000382"
#define THIRD "/api/v1/third"

static const json_t *data_of (Client *client)
{
  return json_object_get (client->json, "data");
}

static void expect_names (const json_t *object, const char *const *names)
{
  for (guint i = 0; names[i] != NULL; i++)
    if (json_object_get (object, names[i]) == NULL)
      g_error ("%s is missing", names[i]);
}

/* ---- reading -------------------------------------------------------------------------
 */

static void test_devices (void)
{
  static const char *const device[]
      = {"device_phy_id", "device_db_id",  "protocol",   "is_online",    "presence",
         "status",        "lifecycle",     "iccid",      "imei",         "model",
         "firmware",      "rssi",          "port_count", "last_seen_at", "registered_at",
         "ports",         "active_orders", NULL};
  static const char *const port[]
      = {"socket_no",  "port_no",       "status",     "status_name", "status_text",
         "can_charge", "display_color", "power",      "power_w",     "current_a",
         "voltage_v",  "temp_c",        "faults",     "no_load",     "order_no",
         "raw_status", "reported_at",   "updated_at", NULL};
  static const char *const paths[]
      = {"/api/v1/devices/" ID, THIRD "/devices/" ID, "/devices/" ID};
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    client_request (client, "GET", paths[i], READER, NULL);
    g_assert_cmpuint (client->status, ==, 200);
    expect_names (data_of (client), device);
    g_assert_cmpstr (api_text (client, "device_phy_id"), ==, ID);
    expect_names (json_array_get (json_object_get (data_of (client), "ports"), 0), port);
  }
  client_request (client, "GET", "/api/v1/devices/unknown", READER, NULL);
  g_assert_cmpint (client_code (client), ==, 40401);
  client_request (client, "GET", "/api/v1/devices/%2F", READER, NULL);
  g_assert_cmpint (client_code (client), ==, 40010);
  client_request (client, "GET", "/devices/" ID "/online", READER, NULL);
  g_assert_cmpstr (api_text (client, "presence"), ==, "online");
  g_assert_true (ch_json_get_bool (data_of (client), "online", FALSE));
  client_request (client, "GET", "/devices/unknown/online", READER, NULL);
  g_assert_cmpint (client_code (client), ==, 40401);
  close (fd);
  api_close (&api);
}

static void test_lists (void)
{
  static const struct {
    const char *query;
    gint status;
    guint n;
  } cases[] = {
      {"", 200, 5},
      {"?limit=2", 200, 2},
      {"?page=2&page_size=3", 200, 2},
      {"?offset=4", 200, 1},
      {"?q=dev-3", 200, 1},
      {"?presence=offline", 200, 0},
      {"?presence=x", 400, 0},
      {"?page=0", 400, 0},
      {"?page_size=101", 400, 0},
      {"?after=dev-2", 200, 2},
      {"?protocol=lines", 200, 5},
      {"?protocol=other", 200, 0},
  };
  Api api;
  int fds[5];
  api_open (&api, NULL);
  for (guint i = 0; i < 5; i++) {
    g_autofree char *id = g_strdup_printf ("dev-%u", i);
    fds[i] = api_device (&api, id);
  }
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/api/v1/devices", cases[i].query, NULL);
    client_request (client, "GET", path, READER, NULL);
    g_assert_cmpint ((gint) client->status, ==, cases[i].status);
    if (client->status == 200)
      g_assert_cmpuint (json_array_size (json_object_get (data_of (client), "devices")),
                        ==, cases[i].n);
  }
  for (guint i = 0; i < 5; i++)
    close (fds[i]);
  api_close (&api);
}

static void test_other_reading (void)
{
  static const char *const paths[]
      = {"/api/v1/devices/" ID "/ports",
         "/api/v1/devices/" ID "/sockets",
         "/api/v1/sessions/" ID,
         "/api/v1/stats",
         "/api/v1/status/definitions",
         "/api/v1/orders",
         "/api/v1/devices/" ID "/orders",
         THIRD "/orders?status=charging",
         THIRD "/orders?status=2&from=2024-01-01T00:00:00Z&to=1904528000000",
         "/devices/" ID "/ports"};
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    client_request (client, "GET", paths[i], READER, NULL);
    g_assert_cmpuint (client->status, ==, 200);
    g_assert_true (json_is_object (data_of (client)));
  }
  static const struct {
    const char *path;
    gint code;
  } bad[] = {
      {"/api/v1/orders/NONE", 40403},          {"/api/v1/orders/a%20b", 40010},
      {"/api/v1/orders?status=flying", 40010}, {"/api/v1/orders?from=yesterday", 40010},
      {"/api/v1/devices/none/orders", 40401},  {"/api/v1/sessions/none", 40401},
      {THIRD "/commands/cmd_none", 40407}};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    client_request (client, "GET", bad[i].path, READER, NULL);
    g_assert_cmpint (client_code (client), ==, bad[i].code);
  }
  close (fd);
  api_close (&api);
}

static void test_aliases (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"http.aliases.legacy=true",
                                         "http.aliases.seed=false", NULL});
  int fd = api_device (&api, ID);
  g_assert_cmpuint (api_ask (&api, "GET", "/api/devices/" ID, READER, NULL, NULL), ==,
                    200);
  g_assert_cmpuint (api_ask (&api, "GET", "/api/sessions/" ID, READER, NULL, NULL), ==,
                    200);
  g_assert_cmpuint (api_ask (&api, "GET", "/devices/" ID, READER, NULL, NULL), ==, 404);
  close (fd);
  api_close (&api);
}

/* ---- starting and stopping -----------------------------------------------------------
 */

#define START                                                                            \
  "{\"port_no\":0,\"charge_mode\":1,\"amount\":500,\"duration_minutes\":60,\"order_"     \
  "no\":"                                                                                \
  "\"ORD1\"}"

/* Until the device hears a command. */
static char *heard (Api *api, int fd)
{
  for (guint i = 0; i < 20; i++) {
    g_autofree char *text = queue_heard (api->queue, fd);
    if (*text != '\0')
      return g_steal_pointer (&text);
    queue_advance (api->queue, 100);
  }
  return g_strdup ("");
}

static void test_start_and_stop (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);

  client_request (client, "POST", "/devices/" ID "/start_charge", DRIVER, START);
  g_assert_cmpuint (client->status, ==, 202);
  g_assert_cmpstr (api_text (client, "order_no"), ==, "ORD1");
  g_assert_cmpstr (api_text (client, "status"), ==, "pending");
  g_assert_cmpstr (ch_json_get_string (client->json, "message", ""), ==, "accepted");
  g_autofree char *id = g_strdup (api_text (client, "command_id"));
  g_autofree char *line = heard (&api, fd);
  g_assert_true (g_str_has_prefix (line, "StartCharge "));

  client_request (client, "POST", "/devices/" ID "/start_charge", DRIVER, START);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_true (ch_json_get_bool (data_of (client), "duplicate", FALSE));

  g_autofree char *path = g_strconcat (THIRD "/commands/", id, NULL);
  client_request (client, "GET", path, DRIVER, NULL);
  g_assert_cmpstr (api_text (client, "state"), ==, "sent");
  client_request (client, "GET", "/orders/ORD1", READER, NULL);
  g_assert_cmpstr (api_text (client, "status"), ==, "pending");

  client_request (client, "POST", THIRD "/orders/ORD1/cancel", DRIVER, "{}");
  g_assert_cmpuint (client->status, ==, 202);
  client_request (client, "POST", THIRD "/orders/NONE/stop", DRIVER, "{}");
  g_assert_cmpint (client_code (client), ==, 40403);
  client_request (client, "POST", "/devices/" ID "/stop_charge", DRIVER, "{}");
  g_assert_cmpint (client_code (client), ==, 40010);
  close (fd);
  api_close (&api);
}

static void test_start_refusals (void)
{
  static const struct {
    const char *device, *body;
    gint code;
    const char *field;
  } cases[] = {
      {ID, "{}", 40010, "port_no"},
      {ID, "{\"port_no\":0,\"charge_mode\":1,\"amount\":1}", 40010, "duration_minutes"},
      {ID, "{\"port_no\":0,\"charge_mode\":2,\"amount\":1}", 40010, "energy_wh"},
      {ID, "{\"port_no\":0,\"charge_mode\":3,\"amount\":1}", 40010, "power"},
      {ID, "{\"port_no\":16,\"charge_mode\":4,\"amount\":1}", 40010, "port_no"},
      {ID, "{\"port_no\":0,\"charge_mode\":4,\"amount\":0}", 40010, "amount"},
      {ID, "{\"port_no\":0,\"charge_mode\":4,\"amount\":1.5}", 40010, "amount"},
      {ID, "{\"port_no\":0,\"charge_mode\":4,\"amount\":1,\"order_no\":\"a b\"}", 40010,
       "order_no"},
      {ID, "{\"port_no\":0,\"charge_mode\":4,\"amount\":1,\"business_no\":\"xyz\"}",
       40010, "business_no"},
      {ID, "{\"port_no\":0,\"charge_mode\":4,\"amount\":1,\"wait_ms\":10001}", 40010,
       "wait_ms"},
      {"unknown", "{\"port_no\":0,\"charge_mode\":4,\"amount\":1}", 40401, NULL},
  };
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path
        = g_strdup_printf (THIRD "/devices/%s/start_charge", cases[i].device);
    client_request (client, "POST", path, DRIVER, cases[i].body);
    g_assert_cmpint (client_code (client), ==, cases[i].code);
    const json_t *first
        = json_array_get (json_object_get (data_of (client), "fields"), 0);
    g_assert_cmpstr (ch_json_get_string (first, "field", NULL), ==, cases[i].field);
  }
  client_request (client, "POST", THIRD "/devices/" ID "/start_charge", READER, START);
  g_assert_cmpint (client_code (client), ==, 40303);
  close (fd);
  api_close (&api);
}

static void test_device_is_off_line (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  close (fd);
  queue_settle (api.queue);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", THIRD "/devices/" ID "/start_charge", DRIVER, START);
  g_assert_cmpint (client_code (client), ==, 50301);
  g_assert_cmpstr (api_text (client, "device_id"), ==, ID);
  static const char *const names[] = {"last_seen_at", "offline_seconds", NULL};
  expect_names (data_of (client), names);
  g_autofree char *retry = client_header (client, "Retry-After");
  g_assert_cmpstr (retry, ==, "1");
  api_close (&api);
}

/* ---- commands ------------------------------------------------------------------------
 */

static void test_wait_for_the_answer (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_start (client, "POST", THIRD "/devices/" ID "/query", DRIVER,
                "{\"wait_ms\":3000}");
  g_autofree char *line = heard (&api, fd);
  g_assert_true (g_str_has_prefix (line, "QueryPortStatus "));
  g_assert_false (client_poll (client, FALSE));
  queue_say (api.queue, fd, "@ack " ID " %u", queue_number (line));
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_nonnull (json_object_get (data_of (client), "ports"));

  client_start (client, "POST", THIRD "/devices/" ID "/query", DRIVER,
                "{\"wait_ms\":500}");
  queue_advance (api.queue, 700);
  client_wait (client);
  g_assert_cmpuint (client->status, ==, 202);
  close (fd);
  api_close (&api);
}

static void test_commands (void)
{
  static const struct {
    const char *method, *path, *body;
    guint status;
    gint code;
  } cases[] = {
      {"POST", "/params", "{\"params\":[{\"id\":1,\"value\":\"a\"}]}", 202, 0},
      {"POST", "/params", "{\"params\":[]}", 400, 40010},
      {"POST", "/params", "{\"params\":[{\"id\":65536,\"value\":\"a\"}]}", 400, 40010},
      {"POST", "/params",
       "{\"params\":[{\"id\":1,\"value\":\"zz\",\"encoding\":\"hex\"}]}", 400, 40010},
      {"POST", "/params/read", "{\"ids\":[1,2]}", 202, 0},
      {"POST", "/params/read", "{\"ids\":[\"1\"]}", 400, 40010},
      {"POST", "/network/configure", "{\"channel\":16,\"nodes\":[]}", 400, 40010},
      {"POST", "/network/configure",
       "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"a1b2c3d4e5f6\"},"
       "{\"socket_no\":1,\"socket_mac\":\"a1b2c3d4e5f7\"}]}",
       400, 40010},
      {"POST", "/network/configure",
       "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"a1b2c3d4e5f6\"}]}",
       400, 40012},
      {"POST", "/network/nodes", "{\"socket_no\":1,\"socket_mac\":\"xx\"}", 400, 40010},
      {"POST", "/network/refresh", "{}", 400, 40012},
      {"DELETE", "/network/nodes/0", NULL, 400, 40010},
      {"DELETE", "/network/nodes/1", NULL, 400, 40012},
      {"POST", "/commands", "{\"type\":\"SyncTime\"}", 202, 0},
      {"POST", "/commands", "{\"type\":\"StartCharge\"}", 400, 40010},
      {"POST", "/commands", "{\"type\":\"Dance\",\"payload\":{\"steps\":2}}", 400, 40012},
      {"POST", "/reboot", "{\"target\":\"moon\"}", 400, 40010},
      {"POST", "/reboot", "{}", 400, 40012},
  };
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat (THIRD "/devices/" ID, cases[i].path, NULL);
    client_request (client, cases[i].method, path, DRIVER, cases[i].body);
    if (client->status != cases[i].status)
      g_test_message ("%s: %s", cases[i].path, client->body);
    g_assert_cmpuint (client->status, ==, cases[i].status);
    g_assert_cmpint (client_code (client), ==, cases[i].code);
    if (client->status == 202)
      g_assert_true (g_str_has_prefix (api_text (client, "command_id"), "cmd_"));
  }
  close (fd);
  api_close (&api);
}

/* ---- health, administration ----------------------------------------------------------
 */

static ChHealthStatus plugin_health (ChPlugin *self, json_t *details,
                                     const char **message)
{
  json_object_set_new (details, "figure", json_integer (7));
  *message = "half asleep";
  return CH_HEALTH_DEGRADED;
}

static void test_health (void)
{
  g_autoptr (json_t) health = NULL;
  g_autoptr (json_t) ready = NULL;
  Api api;
  api_open (&api, NULL);
  queue_advance (api.queue, 5500);
  g_assert_cmpuint (api_ask (&api, "GET", "/health", NULL, NULL, &health), !=, 404);
  const json_t *checks = json_object_get (health, "checks");
  static const char *const names[]
      = {"database", "redis", "tcp", "loops", "outbound", NULL};
  expect_names (checks, names);
  g_assert_cmpstr (
      ch_json_get_string (json_object_get (checks, "database"), "status", ""), ==,
      "healthy");
  g_assert_cmpstr (ch_json_get_string (json_object_get (checks, "redis"), "status", ""),
                   ==, "healthy");
  g_assert_cmpuint (api_ask (&api, "GET", "/ready", NULL, NULL, &ready), ==, 200);
  g_assert_true (ch_json_get_bool (ready, "ready", FALSE));
  g_assert_cmpstr (ch_json_get_string (ready, "server_id", ""), ==, "gw-1");

  ch_http_add_check (api.queue->caller, "booking", plugin_health);
  queue_advance (api.queue, 5500);
  g_autoptr (json_t) more = NULL;
  api_ask (&api, "GET", "/health", NULL, NULL, &more);
  const json_t *booking = json_object_get (json_object_get (more, "checks"), "booking");
  g_assert_cmpstr (ch_json_get_string (booking, "message", ""), ==, "half asleep");
  g_assert_cmpint (ch_json_get_int (json_object_get (booking, "details"), "figure", 0),
                   ==, 7);

  api.services->draining = TRUE;
  g_autoptr (json_t) draining = NULL;
  g_assert_cmpuint (api_ask (&api, "GET", "/health/ready", NULL, NULL, &draining), ==,
                    503);
  g_assert_cmpuint (json_array_size (json_object_get (draining, "reasons")), ==, 1);
  g_assert_cmpuint (api_ask (&api, "GET", "/live", NULL, NULL, NULL), ==, 200);
  api.services->draining = FALSE;
  api_close (&api);
}

/* A database that is away makes the server not ready after ten seconds. */
static void test_not_ready (void)
{
  Api api;
  api_open (&api, NULL);
  queue_advance (api.queue, 100);
  ch_store_close (api.services->store);
  queue_advance (api.queue, 6000);
  g_assert_cmpuint (api_ask (&api, "GET", "/ready", NULL, NULL, NULL), ==, 200);
  g_assert_cmpuint (api_ask (&api, "GET", "/health", NULL, NULL, NULL), ==, 503);
  queue_advance (api.queue, 11000);
  g_autoptr (json_t) ready = NULL;
  g_assert_cmpuint (api_ask (&api, "GET", "/ready", NULL, NULL, &ready), ==, 503);
  g_assert_cmpstr (
      json_string_value (json_array_get (json_object_get (ready, "reasons"), 0)), ==,
      "database");
  api_close (&api);
}

static void test_administration (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "GET", "/api/v1/admin/connections", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  const json_t *conn
      = json_array_get (json_object_get (data_of (client), "connections"), 0);
  g_assert_cmpstr (ch_json_get_string (conn, "protocol", ""), ==, "lines");
  g_assert_cmpstr (
      json_string_value (json_array_get (json_object_get (conn, "devices"), 0)), ==, ID);
  g_autofree char *path = g_strconcat ("/api/v1/admin/connections/",
                                       ch_json_get_string (conn, "conn_id", ""), NULL);
  client_request (client, "GET", path, BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "DELETE", path, BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_true (queue_is_closed (api.queue, fd));
  client_request (client, "GET", path, BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 404);
  client_request (client, "POST", "/api/v1/admin/devices/" ID "/kick", BOSS, NULL);
  g_assert_cmpint (client_code (client), ==, 50301);

  client_request (client, "GET", "/api/v1/admin/breakers", BOSS, NULL);
  g_assert_nonnull (strstr (client->body, "\"closed\""));
  client_request (client, "POST", "/api/v1/admin/breakers/tcp/reset", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "GET", "/api/v1/admin/config", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_nonnull (strstr (client->body, "http.addr"));
  g_assert_null (strstr (client->body, "-key-0123456789"));
  close (fd);
  api_close (&api);
}

static void test_queue (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"http.debug.enable=true", NULL});
  int fd = api_device (&api, ID);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", THIRD "/devices/" ID "/commands", DRIVER,
                  "{\"type\":\"SyncTime\"}");
  g_autofree char *id = g_strdup (api_text (client, "command_id"));
  client_request (client, "GET", "/api/v1/admin/queue", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_true (json_is_array (json_object_get (data_of (client), "queue")));
  client_request (client, "GET", "/api/v1/admin/queue/" ID, BOSS, NULL);
  g_assert_nonnull (strstr (client->body, id));
  client_request (client, "GET", "/api/v1/admin/queue/none", BOSS, NULL);
  g_assert_cmpint (client_code (client), ==, 40401);
  client_request (client, "DELETE", "/api/v1/admin/commands/cmd_none", BOSS, NULL);
  g_assert_cmpint (client_code (client), ==, 40407);
  client_request (client, "GET", "/api/v1/admin/queue/dead", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "POST", "/api/v1/admin/queue/dead/77/resend", BOSS, NULL);
  g_assert_cmpuint (client->status, >=, 400);
  client_request (client, "DELETE", "/api/v1/admin/queue/dead", BOSS, NULL);
  g_assert_cmpint (client_code (client), ==, 40010);
  client_request (client, "DELETE",
                  "/api/v1/admin/queue/dead?before=2024-01-01T00:00:00Z", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "GET", "/debug/state", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "GET", "/debug/state", DRIVER, NULL);
  g_assert_cmpuint (client->status, ==, 401);
  close (fd);
  api_close (&api);
}

static void set_draining (gpointer daemon, gboolean on)
{
  ((ChServices *) daemon)->draining = on;
}

static void test_drain (void)
{
  Api api;
  api_open (&api, NULL);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", "/api/v1/admin/drain", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 501);
  ch_http_set_daemon (api.services->http, set_draining, api.services);
  client_request (client, "POST", "/api/v1/admin/drain", BOSS, NULL);
  g_assert_true (ch_json_get_bool (data_of (client), "draining", FALSE));
  client_request (client, "POST", THIRD "/devices/" ID "/start_charge", DRIVER, START);
  g_assert_cmpint (client_code (client), ==, 50306);
  client_request (client, "DELETE", "/api/v1/admin/drain", BOSS, NULL);
  g_assert_false (api.services->draining);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/api/devices", test_devices);
  g_test_add_func ("/http/api/lists", test_lists);
  g_test_add_func ("/http/api/other-reading", test_other_reading);
  g_test_add_func ("/http/api/aliases", test_aliases);
  g_test_add_func ("/http/api/start-and-stop", test_start_and_stop);
  g_test_add_func ("/http/api/start-refusals", test_start_refusals);
  g_test_add_func ("/http/api/off-line", test_device_is_off_line);
  g_test_add_func ("/http/api/wait", test_wait_for_the_answer);
  g_test_add_func ("/http/api/commands", test_commands);
  g_test_add_func ("/http/api/health", test_health);
  g_test_add_func ("/http/api/not-ready", test_not_ready);
  g_test_add_func ("/http/api/administration", test_administration);
  g_test_add_func ("/http/api/queue", test_queue);
  g_test_add_func ("/http/api/drain", test_drain);
  return g_test_run ();
}
