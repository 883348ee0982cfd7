/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What HTTP keeps in rows: API keys, idempotency, nonces, the audit log. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

static guint calls;
static guint next_status = 201;

static void count (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  calls++;
  if (next_status >= 400)
    ch_reply_error (self, reply, (gint) next_status * 100 + 1, "as told", NULL);
  else
    ch_reply_data (self, reply, next_status, NULL, json_pack ("{s:i}", "call", calls));
}

static ChReply owed;
static void later (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  calls++;
  owed = reply;
}

static const ChParam COUNT_PARAMS[] = {
    {.name = "n", .place = CH_PARAM_BODY, .kind = CH_PARAM_INT},
    {.name = NULL},
};
static const ChRoute ROUTES[] = {
    {.method = "POST",
     .path = "/count",
     .auth = CH_AUTH_THIRD,
     .params = COUNT_PARAMS,
     .handler = count},
    {.method = "POST", .path = "/later", .auth = CH_AUTH_THIRD, .handler = later},
    {.method = "POST", .path = "/public", .handler = count},
    {.method = NULL},
};

static void open_api (Api *api)
{
  g_autoptr (GError) error = NULL;
  calls = 0;
  next_status = 201;
  api_open (api, NULL);
  ch_http_add_routes (api->queue->caller, ROUTES, &error);
  g_assert_no_error (error);
}

/* ---- idempotency ---------------------------------------------------------------------
 */

static void post (Client *client, const char *key, const char *body)
{
  g_autofree char *headers = g_strdup_printf (DRIVER "Idempotency-Key: %s\r\n", key);
  client_request (client, "POST", "/count", headers, body);
}

static void test_replay (void)
{
  Api api;
  open_api (&api);
  g_autoptr (Client) client = client_new (api.services, api.port);

  post (client, "k1", "{\"n\":1}");
  g_autofree char *first = g_strdup (client->body);
  g_autofree char *no = client_header (client, "Idempotent-Replay");
  g_assert_cmpuint (client->status, ==, 201);
  g_assert_cmpstr (no, ==, "");
  /* The quoted text is the same key; another request id does not matter. */
  post (client, "\"k1\"", "{\"n\":1}");
  g_autofree char *yes = client_header (client, "Idempotent-Replay");
  g_assert_cmpuint (client->status, ==, 201);
  g_assert_cmpstr (client->body, ==, first);
  g_assert_cmpstr (yes, ==, "true");
  g_assert_cmpuint (calls, ==, 1);
  /* Another body, another path, another caller. */
  post (client, "k1", "{\"n\":2}");
  g_assert_cmpint (client_code (client), ==, 42201);
  client_request (client, "POST", "/later", DRIVER "Idempotency-Key: k1\r\n", NULL);
  g_assert_cmpint (client_code (client), ==, 42201);
  g_autofree char *rows
      = queue_sql (api.queue, "SELECT count(*) || max(scope) FROM idempotency_keys");
  g_assert_cmpstr (rows, ==, "1thirdparty-1");
  g_assert_cmpuint (calls, ==, 1);
  /* After a restart, too; after a day no more. */
  api_restart (&api);
  ch_http_add_routes (api.queue->caller, ROUTES, NULL);
  g_autoptr (Client) again = client_new (api.services, api.port);
  post (again, "k1", "{\"n\":1}");
  g_assert_cmpstr (again->body, ==, first);
  ch_clock_advance_ms (api.services->clock, 24 * 3600 * 1000 + 1);
  g_autoptr (Client) tomorrow = client_new (api.services, api.port);
  post (tomorrow, "k1", "{\"n\":2}");
  g_assert_cmpuint (tomorrow->status, ==, 201);
  g_assert_cmpuint (calls, ==, 2);
  api_close (&api);
}

static void test_bad_keys (void)
{
  g_autofree char *many = g_strnfill (256, 'x');
  Api api;
  open_api (&api);
  g_autoptr (Client) client = client_new (api.services, api.port);
  const char *const bad[] = {"\"\"", many};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    post (client, bad[i], "{}");
    g_assert_cmpint (client_code (client), ==, 40010);
  }
  post (client, many + 1, "{}");
  g_assert_cmpuint (client->status, ==, 201);
  /* Where nobody authenticates there is no scope, and no key. */
  client_request (client, "POST", "/public", "Idempotency-Key: k\r\n", "{}");
  client_request (client, "POST", "/public", "Idempotency-Key: k\r\n", "{\"n\":1}");
  g_assert_cmpuint (client->status, ==, 201);
  api_close (&api);
}

static void test_first_still_runs (void)
{
  Api api;
  open_api (&api);
  g_autoptr (Client) first = client_new (api.services, api.port);
  g_autoptr (Client) second = client_new (api.services, api.port);
  client_start (first, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  queue_settle (api.queue);
  g_assert_cmpuint (calls, ==, 1);
  client_request (second, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  g_assert_cmpint (client_code (second), ==, 40907);
  ch_reply_data (api.queue->caller, owed, 200, NULL, json_pack ("{s:i}", "a", 1));
  client_wait (first);
  g_assert_cmpuint (first->status, ==, 200);
  client_request (second, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  g_assert_cmpstr (second->body, ==, first->body);
  g_assert_cmpuint (calls, ==, 1);
  api_close (&api);
}

/* The first caller's server died: after a minute another may try. */
static void test_taken_over (void)
{
  Api api;
  open_api (&api);
  Client *first = client_new (api.services, api.port);
  client_start (first, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  queue_settle (api.queue);
  client_free (first);
  api_restart (&api);
  ch_http_add_routes (api.queue->caller, ROUTES, NULL);
  g_autoptr (Client) second = client_new (api.services, api.port);
  client_request (second, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  g_assert_cmpint (client_code (second), ==, 40907);
  ch_clock_advance_ms (api.services->clock, 61000);
  g_autoptr (Client) third = client_new (api.services, api.port);
  client_start (third, "POST", "/later", DRIVER "Idempotency-Key: k\r\n", NULL);
  queue_settle (api.queue);
  g_assert_cmpuint (calls, ==, 2);
  ch_reply_data (api.queue->caller, owed, 200, NULL, NULL);
  client_wait (third);
  g_assert_cmpuint (third->status, ==, 200);
  api_close (&api);
}

static void test_what_is_not_kept (void)
{
  Api api;
  open_api (&api);
  g_autoptr (Client) client = client_new (api.services, api.port);
  post (client, "k", "{\"n\":\"x\"}"); /* before the lock */
  g_assert_cmpint (client_code (client), ==, 40010);
  next_status = 503;
  post (client, "k", "{\"n\":1}");
  g_assert_cmpuint (client->status, ==, 503);
  next_status = 409; /* final: it stays */
  post (client, "k", "{\"n\":1}");
  g_assert_cmpuint (client->status, ==, 409);
  next_status = 201;
  post (client, "k", "{\"n\":1}");
  g_assert_cmpuint (client->status, ==, 409);
  g_assert_cmpuint (calls, ==, 2);
  api_close (&api);
}

/* ---- keys ----------------------------------------------------------------------------
 */

typedef struct {
  char *id, *key;
  GError *error;
  gboolean done;
} Made;

static void made (const char *id, const char *key, const GError *error, gpointer data)
{
  Made *result = data;
  result->done = TRUE;
  result->id = g_strdup (id);
  result->key = g_strdup (key);
  result->error = error != NULL ? g_error_copy (error) : NULL;
}

static void make_key (Api *api, const char *name, const char *scopes, Made *result)
{
  *result = (Made) {0};
  ch_http_key_create (api->services->http, name, scopes, made, result);
  g_assert_false (result->done);
  queue_settle (api->queue);
  g_assert_true (result->done);
}

static void made_clear (Made *result)
{
  g_free (result->id);
  g_free (result->key);
  g_clear_error (&result->error);
}

static guint status_with (Api *api, const char *path, const char *key)
{
  g_autofree char *headers = g_strdup_printf ("X-API-Key: %s\r\n", key);
  return api_ask (api, "GET", path, headers, NULL, NULL);
}

static void test_key_create (void)
{
  Api api;
  Made result;
  open_api (&api);
  make_key (&api, "laptop", "read", &result);
  g_assert_no_error (result.error);
  g_assert_true (g_str_has_prefix (result.key, "chk_"));
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", result.key), ==, 200);
  /* Only the hash is kept. */
  g_autofree char *found = queue_sql (
      api.queue, "SELECT name || scopes || length (key_hash) || display FROM api_keys");
  g_assert_true (g_str_has_prefix (found, "laptop[\"read\"]64chk_****"));
  g_autofree char *dump = g_strdup_printf (
      "SELECT count(*) FROM api_keys WHERE key_hash LIKE '%%%s%%'", result.key);
  g_autofree char *zero = queue_sql (api.queue, dump);
  g_assert_cmpstr (zero, ==, "0");
  api_restart (&api);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", result.key), ==, 200);
  made_clear (&result);

  static const struct {
    const char *name, *scopes;
  } bad[] = {{"", "read"}, {"x", ""}, {"x", "read,fly"}};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    make_key (&api, bad[i].name, bad[i].scopes, &result);
    g_assert_error (result.error, CH_CORE_ERROR, CH_CORE_ERROR_INVALID_PARAMETER);
    made_clear (&result);
  }
  api_close (&api);
}

static void test_keys_over_rest (void)
{
  Api api;
  open_api (&api);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", "/api/v1/admin/api-keys", BOSS,
                  "{\"name\":\"shop\",\"scopes\":[\"read\",\"control\"],\"ip_allow\":["
                  "\"127.0.0.0/8\"],\"rate_per_min\":60,\"hmac\":true,"
                  "\"expires_at\":\"2024-01-07T00:00:00Z\"}");
  g_assert_cmpuint (client->status, ==, 201);
  g_autofree char *key = g_strdup (api_text (client, "key"));
  g_autofree char *id = g_strdup (api_text (client, "key_id"));
  g_assert_cmpuint (strlen (api_text (client, "hmac_secret")), ==, 43);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", key), ==, 200);

  client_request (client, "GET", "/api/v1/admin/api-keys", BOSS, NULL);
  g_assert_null (strstr (client->body, key));
  g_assert_nonnull (strstr (client->body, id));
  g_assert_null (strstr (client->body, "boss-key"));

  static const char *const bad[] = {
      "{\"name\":\"x\",\"scopes\":[\"fly\"]}",
      "{\"name\":\"x\",\"scopes\":[1]}",
      "{\"name\":\"x\",\"scopes\":[\"read\"],\"ip_allow\":[\"nowhere\"]}",
      "{\"name\":\"x\",\"scopes\":[\"read\"],\"expires_at\":\"soon\"}",
      "{\"scopes\":[\"read\"]}",
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    client_request (client, "POST", "/api/v1/admin/api-keys", BOSS, bad[i]);
    g_assert_cmpint (client_code (client), ==, 40010);
  }

  g_autofree char *path = g_strconcat ("/api/v1/admin/api-keys/", id, NULL);
  client_request (client, "DELETE", path, BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", key), ==, 401);
  client_request (client, "DELETE", path, BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 404);
  client_request (client, "DELETE", "/api/v1/admin/api-keys/admin-1", BOSS, NULL);
  g_assert_cmpuint (client->status, ==, 400);
  api_close (&api);
}

/* Another instance revoked it: known within half a minute. */
static void test_keys_are_read_again (void)
{
  Api api;
  Made result;
  open_api (&api);
  make_key (&api, "one", "read", &result);
  ChPlugin *other = api.services->http->self;
  ChTx *tx = ch_tx_new (other);
  ch_tx_add (tx, NULL, "keys.revoke");
  ch_tx_bind_text (tx, "key_id", result.id);
  ch_tx_bind_time (tx, "at", 1);
  ch_tx_submit (tx, 0, NULL, NULL);
  queue_settle (api.queue);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", result.key), ==, 200);
  queue_advance (api.queue, 31000);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", result.key), ==, 401);
  made_clear (&result);
  api_close (&api);
}

/* ---- nonces, audit -------------------------------------------------------------------
 */

static void test_nonce (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"thirdparty.auth.require_hmac=true", NULL});
  g_autoptr (Client) client = client_new (api.services, api.port);
  g_autofree char *time = g_strdup_printf ("%" G_GINT64_FORMAT,
                                           ch_clock_wall_ms (api.services->clock) / 1000);
  g_autofree char *signature
      = ch_http_hmac_sign ("driver-key-0123456789", "GET", "/api/v1/third/devices", time,
                           "nonce-0001", NULL, 0);
  g_autofree char *headers = g_strdup_printf (
      DRIVER "X-Timestamp: %s\r\nX-Nonce: nonce-0001\r\nX-Signature: %s"
             "\r\n",
      time, signature);
  client_request (client, "GET", "/api/v1/third/devices?limit=1", headers, NULL);
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "GET", "/api/v1/third/devices?limit=1", headers, NULL);
  g_assert_cmpint (client_code (client), ==, 40305);
  g_autofree char *ttl
      = queue_kv (api.queue, "TTL thirdparty:nonce:thirdparty-1:nonce-0001");
  g_assert_cmpstr (ttl, ==, "600");
  api_close (&api);
}

/* Live keys of the configuration take effect when the daemon says that they changed. */
static void test_reload (void)
{
  static const ChField no_fields[] = {{.name = NULL}};
  static const ChTopic topic = {.size = sizeof (ChTopic),
                                .name = "config.reloaded",
                                .event_size = sizeof (ChConfigReloadedEvent),
                                .fields = no_fields,
                                .summary = "Reloaded."};
  Api api;
  g_autoptr (GError) error = NULL;
  ChConfigReloadedEvent event = {.event = {.socket_no = -1, .port_no = -1}};
  open_api (&api);
  ChTopicHandle *handle = ch_topic_register (api.queue->caller, &topic, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", "a-new-key-0123456789"), ==, 401);
  ch_config_add_option (api.services->config, "api.auth.api_keys=a-new-key-0123456789",
                        &error);
  g_assert_no_error (error);
  ch_config_resolve (api.services->config, NULL, &error);
  g_assert_no_error (error);
  ch_publish (handle, &event.event);
  queue_settle (api.queue);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", "a-new-key-0123456789"), ==, 200);
  g_assert_cmpuint (status_with (&api, "/api/v1/stats", "reader-key-0123456789"), ==,
                    401);
  api_close (&api);
}

/* Secrets of signatures are not readable in the database. */
static void test_sealed_secret (void)
{
  Api api;
  api_open (&api, (const char *const[]) {"security.master_key=a-master-key-0123456789",
                                         "thirdparty.auth.require_hmac=true", NULL});
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "POST", "/api/v1/admin/api-keys", BOSS,
                  "{\"name\":\"shop\",\"scopes\":[\"control\"],\"hmac\":true}");
  g_autofree char *secret = g_strdup (api_text (client, "hmac_secret"));
  g_autofree char *id = g_strdup (api_text (client, "key_id"));
  g_autofree char *stored = queue_sql (api.queue, "SELECT hmac_secret FROM api_keys");
  g_assert_true (g_str_has_prefix (stored, "v1:"));
  api_restart (&api);
  const ChHttpKey *key = ch_http_keys_by_id (api.services->http->keys, id);
  g_assert_cmpstr (key->hmac_secret, ==, secret);
  api_close (&api);
}

static void test_audit (void)
{
  Api api;
  open_api (&api);
  g_autoptr (Client) client = client_new (api.services, api.port);
  client_request (client, "PUT", "/api/v1/admin/log-level", BOSS "X-Request-ID: r-1\r\n",
                  "{\"level\":\"warning\",\"module\":\"nobody\",\"minutes\":1}");
  g_assert_cmpuint (client->status, ==, 200);
  client_request (client, "PUT", "/api/v1/admin/log-level", BOSS, "{\"level\":\"x\"}");
  g_assert_cmpuint (client->status, ==, 400);
  queue_settle (api.queue);
  client_request (client, "GET", "/api/v1/admin/audit", BOSS, NULL);
  const json_t *list = json_object_get (json_object_get (client->json, "data"), "audit");
  const json_t *row = json_array_get (list, 0);
  g_assert_cmpuint (json_array_size (list), ==, 1);
  g_assert_cmpstr (ch_json_get_string (row, "actor", ""), ==, "admin-1");
  g_assert_cmpstr (ch_json_get_string (row, "action", ""), ==,
                   "PUT /api/v1/admin/log-level");
  g_assert_cmpstr (ch_json_get_string (row, "request_id", ""), ==, "r-1");
  g_assert_cmpstr (ch_json_get_string (row, "ip", ""), ==, "127.0.0.1");
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/kept/replay", test_replay);
  g_test_add_func ("/http/kept/bad-keys", test_bad_keys);
  g_test_add_func ("/http/kept/first-still-runs", test_first_still_runs);
  g_test_add_func ("/http/kept/taken-over", test_taken_over);
  g_test_add_func ("/http/kept/not-kept", test_what_is_not_kept);
  g_test_add_func ("/http/kept/key-create", test_key_create);
  g_test_add_func ("/http/kept/keys-over-rest", test_keys_over_rest);
  g_test_add_func ("/http/kept/keys-read-again", test_keys_are_read_again);
  g_test_add_func ("/http/kept/nonce", test_nonce);
  g_test_add_func ("/http/kept/reload", test_reload);
  g_test_add_func ("/http/kept/sealed-secret", test_sealed_secret);
  g_test_add_func ("/http/kept/audit", test_audit);
  return g_test_run ();
}
