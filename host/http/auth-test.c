/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may call what: classes, keys, scopes, addresses, limits, signatures. */
#include "http/secret.h"
#include "http/test-http.h"

#include <string.h>

static void hello (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:s}", "key", ch_request_key_id (request)));
}

#define ROUTE(verb, route_path, class, what, how)                                        \
  {                                                                                      \
    .method = verb, .path = route_path, .auth = class, .scope = what, .flags = how,      \
    .handler = hello                                                                     \
  }

static const ChRoute ROUTES[] = {
    ROUTE ("GET", "/none", CH_AUTH_NONE, NULL, 0),
    ROUTE ("GET", "/read", CH_AUTH_READ, NULL, 0),
    ROUTE ("GET", "/third", CH_AUTH_THIRD, NULL, 0),
    ROUTE ("POST", "/third", CH_AUTH_THIRD, NULL, 0),
    ROUTE ("POST", "/stop", CH_AUTH_THIRD, "control", CH_ROUTE_NO_LIMIT),
    ROUTE ("GET", "/card", CH_AUTH_THIRD, "card", 0),
    ROUTE ("GET", "/admin", CH_AUTH_ADMIN, NULL, 0),
    ROUTE ("GET", "/user", CH_AUTH_USER, NULL, 0),
    ROUTE ("GET", "/vendor", CH_AUTH_VENDOR, NULL, 0),
    {.method = NULL},
};

#define READER "reader-key-0123456789"
#define DRIVER "driver-key-0123456789"
#define BOSS "boss-key-0123456789"

static const char *const KEYS[]
    = {"api.auth.api_keys=" READER, "thirdparty.auth.api_keys=" DRIVER,
       "admin.api_keys=" BOSS, NULL};

static void open_world (World *world, const char *const *options)
{
  g_autoptr (GError) error = NULL;
  world_open (world, options);
  ch_http_add_routes (world->plugin, ROUTES, &error);
  g_assert_no_error (error);
}

/* "200", or the code of the envelope. */
static gint code (World *world, const char *method, const char *path, const char *headers)
{
  g_autoptr (json_t) json = NULL;
  guint status = ask (&world->services, world->port, method, path, headers, NULL, &json);
  return status == 200 ? 200 : (gint) ch_json_get_int (json, "code", -1);
}

static ChHttpKey *add_key (World *world, const char *text, const char *scopes)
{
  ChHttp *http = world->services.http;
  g_autofree char *id = g_strdup_printf ("key-%s", text);
  ChHttpKey *key = ch_http_key_new (id, text);
  key->scopes = ch_http_keys_scopes (http->keys, scopes);
  ch_http_keys_add (http->keys, key);
  return key;
}

static void test_classes (void)
{
  static const struct {
    const char *headers;
    gint none, read, third_get, third_post, card, admin;
  } table[] = {
      {NULL, 200, 40101, 40101, 40101, 40101, 40101},
      {"X-API-Key: wrong-key\r\n", 200, 40102, 40102, 40102, 40102, 40101},
      {"X-API-Key: \r\n", 200, 40101, 40101, 40101, 40101, 40101},
      {"X-API-Key: " READER "\r\n", 200, 200, 200, 40303, 40303, 40101},
      {"x-api-key: " DRIVER "\r\n", 200, 200, 200, 200, 200, 40101},
      {"Authorization: Bearer " READER "\r\n", 200, 200, 200, 40303, 40303, 40303},
      {"Authorization: bearer  " DRIVER "\r\n", 200, 200, 200, 200, 200, 40303},
      {"Authorization: Basic " DRIVER "\r\n", 200, 40101, 40101, 40101, 40101, 40101},
      {"X-Internal-API-Key: " BOSS "\r\n", 200, 40101, 40101, 40101, 40101, 200},
      {"Authorization: Bearer " BOSS "\r\n", 200, 200, 200, 200, 200, 200},
      {"X-Internal-API-Key: " DRIVER "\r\n", 200, 40101, 40101, 40101, 40101, 40303},
  };
  World world;
  open_world (&world, KEYS);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    const char *h = table[i].headers;
    g_assert_cmpint (code (&world, "GET", "/none", h), ==, table[i].none);
    g_assert_cmpint (code (&world, "GET", "/read", h), ==, table[i].read);
    g_assert_cmpint (code (&world, "GET", "/third", h), ==, table[i].third_get);
    g_assert_cmpint (code (&world, "POST", "/third", h), ==, table[i].third_post);
    g_assert_cmpint (code (&world, "GET", "/card", h), ==, table[i].card);
    g_assert_cmpint (code (&world, "GET", "/admin", h), ==, table[i].admin);
    g_assert_cmpint (code (&world, "GET", "/user", h), ==, 40101);
    g_assert_cmpint (code (&world, "GET", "/vendor", h), ==, 40101);
  }
  world_close (&world);
}

static void test_no_key_at_all (void)
{
  World world;
  open_world (&world, NULL);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  g_assert_false (ch_http_has_keys (world.services.http));
  client_request (client, "GET", "/read", NULL, NULL);
  g_assert_cmpuint (client->status, ==, 401);
  g_assert_nonnull (strstr (client->body, "chargehostctl key create"));
  g_autofree char *challenge = client_header (client, "WWW-Authenticate");
  g_assert_cmpstr (challenge, ==, "Bearer realm=\"chargehost\"");
  static const char *const open[] = {"/health", "/live",    "/ready",       "/healthz",
                                     "/readyz", "/metrics", "/openapi.json"};
  for (guint i = 0; i < G_N_ELEMENTS (open); i++)
    g_assert_cmpuint (ask (&world.services, world.port, "GET", open[i], NULL, NULL, NULL),
                      ==, 200);
  world_close (&world);
}

static void test_open_api (void)
{
  World world;
  open_world (&world, (const char *const[]) {"security.allow_open_api=true", NULL});
  g_assert_cmpint (code (&world, "GET", "/read", NULL), ==, 200);
  g_assert_cmpint (code (&world, "POST", "/third", NULL), ==, 200);
  g_assert_cmpint (code (&world, "GET", "/admin", NULL), ==, 200);
  /* A class that has a key is closed. */
  add_key (&world, "some", "read");
  g_assert_cmpint (code (&world, "GET", "/read", NULL), ==, 40101);
  g_assert_cmpint (code (&world, "POST", "/third", NULL), ==, 200);
  world_close (&world);

  open_world (&world, (const char *const[]) {"security.allow_open_api=true",
                                             "app.env=production", NULL});
  g_assert_cmpint (code (&world, "GET", "/read", NULL), ==, 40101);
  world_close (&world);

  open_world (&world, (const char *const[]) {"api.auth.enabled=false", NULL});
  g_assert_cmpint (code (&world, "GET", "/read", NULL), ==, 200);
  g_assert_cmpint (code (&world, "POST", "/third", NULL), ==, 40101);
  world_close (&world);
}

static void test_life_of_a_key (void)
{
  World world;
  open_world (&world, NULL);
  ChHttpKey *key = add_key (&world, "mine", "read");
  key->expires_at = ch_wall_ms (world.plugin) + 1000;
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: mine\r\n"), ==, 200);
  world_advance (&world.services, 1100);
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: mine\r\n"), ==, 40102);
  g_assert_cmpfloat (world_metric (&world,
                                   "thirdparty_api_auth_failure_total{endpoint=\"/"
                                   "read\",failure_type=\"expired\"}"),
                     ==, 1);
  key->expires_at = 0;
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: mine\r\n"), ==, 200);
  g_assert_true (ch_http_keys_remove (world.services.http->keys, "key-mine"));
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: mine\r\n"), ==, 40102);
  world_close (&world);
}

static void test_addresses (void)
{
  World world;
  open_world (&world,
              (const char *const[]) {"admin.api_keys=" BOSS, "admin.ip_allow=10.0.0.0/8",
                                     "thirdparty.auth.api_keys=" DRIVER,
                                     "thirdparty.ip_whitelist=192.168.1.0/24",
                                     "http.trusted_proxies=127.0.0.1", NULL});
  const char *boss = "X-Internal-API-Key: " BOSS "\r\n";
  const char *driver = "X-API-Key: " DRIVER "\r\n";
  g_autofree char *near = g_strconcat (boss, "X-Forwarded-For: 10.1.2.3\r\n", NULL);
  g_autofree char *lied
      = g_strconcat (boss, "X-Forwarded-For: 10.1.2.3, 8.8.8.8\r\n", NULL);
  g_autofree char *chain = g_strconcat (
      driver, "X-Forwarded-For: 8.8.8.8, 192.168.1.7, 127.0.0.1\r\n", NULL);
  g_autofree char *junk = g_strconcat (boss, "X-Forwarded-For: 10.1.2.3, x\r\n", NULL);

  g_assert_cmpint (code (&world, "GET", "/admin", boss), ==, 40302);
  g_assert_cmpint (code (&world, "GET", "/admin", near), ==, 200);
  g_assert_cmpint (code (&world, "GET", "/admin", lied), ==, 40302);
  g_assert_cmpint (code (&world, "GET", "/admin", junk), ==, 40302);
  g_assert_cmpint (code (&world, "GET", "/third", driver), ==, 40302);
  g_assert_cmpint (code (&world, "GET", "/third", chain), ==, 200);

  ChHttpKey *key = add_key (&world, "tied", "read");
  key->networks
      = ch_http_networks_parse ((const char *const[]) {"10.9.0.0/16", NULL}, NULL);
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: tied\r\n"), ==, 40302);
  g_assert_cmpint (
      code (&world, "GET", "/read", "X-API-Key: tied\r\nX-Forwarded-For: 10.9.8.7\r\n"),
      ==, 200);
  world_close (&world);
}

/* Without a trusted proxy nobody believes the header. */
static void test_forwarded_is_not_believed (void)
{
  World world;
  open_world (&world, (const char *const[]) {"admin.api_keys=" BOSS,
                                             "admin.ip_allow=10.0.0.0/8", NULL});
  g_assert_cmpint (code (&world, "GET", "/admin",
                         "X-Internal-API-Key: " BOSS "\r\nX-Forwarded-For: 10.1.2.3\r\n"),
                   ==, 40302);
  world_close (&world);
}

static void test_failed_attempts (void)
{
  World world;
  open_world (&world, KEYS);
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: wrong\r\n"), ==, 40102);
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "GET", "/read", "X-API-Key: wrong\r\n", NULL);
  g_assert_cmpint (client_code (client), ==, 42902);
  g_autofree char *wait = client_header (client, "Retry-After");
  g_assert_cmpstr (wait, ==, "4");
  /* A right key does not tell, either; what needs none goes on. */
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: " READER "\r\n"), ==, 42902);
  g_assert_cmpint (code (&world, "GET", "/none", NULL), ==, 200);
  world_advance (&world.services, 3100);
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: " READER "\r\n"), ==, 200);
  world_close (&world);
}

static void test_rate (void)
{
  World world;
  open_world (&world, (const char *const[]) {"thirdparty.auth.api_keys=" DRIVER,
                                             "ratelimit.burst=3",
                                             "ratelimit.per_key_per_min=60", NULL});
  g_autoptr (Client) client = client_new (&world.services, world.port);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *expected = g_strdup_printf ("%u", 2 - i);
    client_request (client, "GET", "/third", "X-API-Key: " DRIVER "\r\n", NULL);
    g_autofree char *limit = client_header (client, "RateLimit-Limit");
    g_autofree char *left = client_header (client, "RateLimit-Remaining");
    g_assert_cmpuint (client->status, ==, 200);
    g_assert_cmpstr (limit, ==, "3");
    g_assert_cmpstr (left, ==, expected);
  }
  client_request (client, "GET", "/third", "X-API-Key: " DRIVER "\r\n", NULL);
  g_assert_cmpint (client_code (client), ==, 42902);
  g_autofree char *wait = client_header (client, "Retry-After");
  g_autofree char *reset = client_header (client, "RateLimit-Reset");
  g_assert_cmpstr (wait, ==, "1");
  g_assert_cmpstr (reset, ==, "3");
  g_assert_cmpfloat (world_metric (&world, "thirdparty_api_rate_limit_hit_total{endpoint="
                                           "\"/third\",key_id=\"thirdparty-1\"}"),
                     ==, 1);
  /* A stop is never too much, and another key has its own. */
  client_request (client, "POST", "/stop", "X-API-Key: " DRIVER "\r\n", NULL);
  g_assert_cmpuint (client->status, ==, 200);
  ChHttpKey *other = add_key (&world, "other", "read");
  other->rate_per_min = 6000;
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: other\r\n"), ==, 200);
  world_advance (&world.services, 1000);
  client_request (client, "GET", "/third", "X-API-Key: " DRIVER "\r\n", NULL);
  g_assert_cmpuint (client->status, ==, 200);
  world_close (&world);
}

static void test_global_rate (void)
{
  World world;
  open_world (&world, (const char *const[]) {"thirdparty.auth.api_keys=" DRIVER,
                                             "ratelimit.per_key_per_min=0",
                                             "ratelimit.global_per_min=60", NULL});
  for (guint i = 0; i < 10; i++)
    g_assert_cmpint (code (&world, "GET", "/third", "X-API-Key: " DRIVER "\r\n"), ==,
                     200);
  g_assert_cmpint (code (&world, "GET", "/third", "X-API-Key: " DRIVER "\r\n"), ==,
                   42902);
  g_assert_cmpint (code (&world, "POST", "/stop", "X-API-Key: " DRIVER "\r\n"), ==, 200);
  g_assert_cmpint (code (&world, "GET", "/none", NULL), ==, 200);
  world_close (&world);
}

/* ---- signatures ----------------------------------------------------------------------
 */

#define SECRET "test-secret-0123456789abcdef"
#define BODY                                                                             \
  "{\"port_no\":0,\"charge_mode\":1,\"amount\":500,\"duration_minutes\":60,\"order_"     \
  "no\":"                                                                                \
  "\"ORD20250106001\"}"

static void test_hmac_vector (void)
{
  g_assert_cmpuint (strlen (BODY), ==, 92);
  g_autofree char *signature = ch_http_hmac_sign (
      SECRET, "POST", "/api/v1/third/devices/82241218000382/start_charge", "1704527990",
      "0011223344556677", BODY, strlen (BODY));
  g_assert_cmpstr (signature, ==,
                   "3646b3254fca151b1fb41e35353e2dc4f219f84592ec551c8b86f7bdb0fe10d5");
  g_autofree char *empty = g_compute_checksum_for_string (G_CHECKSUM_SHA256, "", 0);
  g_assert_true (g_str_has_prefix (empty, "e3b0c442"));
  g_assert_true (ch_http_equal ("abc", "abc"));
  g_assert_false (ch_http_equal ("abc", "abd"));
  g_assert_false (ch_http_equal ("abc", "abcd"));
  g_assert_false (ch_http_equal ("", "a"));
  g_assert_true (ch_http_equal ("", ""));
}

static gint signed_code (World *world, const char *timestamp, const char *nonce,
                         const char *signature)
{
  g_autofree char *headers = g_strdup_printf (
      "X-API-Key: signer\r\nX-Timestamp: %s\r\nX-Nonce: %s\r\nX-Signature: %s\r\n",
      timestamp, nonce, signature);
  return code (world, "GET", "/third", headers);
}

static void test_hmac_refusals (void)
{
  World world;
  open_world (&world, (const char *const[]) {"thirdparty.auth.require_hmac=true", NULL});
  ChHttpKey *key = add_key (&world, "signer", "control,read");
  g_assert_cmpint (code (&world, "GET", "/third", "X-API-Key: signer\r\n"), ==, 40301);
  key->hmac_secret = g_strdup (SECRET);
  g_assert_cmpint (code (&world, "GET", "/third", "X-API-Key: signer\r\n"), ==, 40301);
  g_autofree char *right
      = ch_http_hmac_sign (SECRET, "GET", "/third", "1704528000", "01234567", NULL, 0);
  g_autofree char *late
      = ch_http_hmac_sign (SECRET, "GET", "/third", "1704527699", "01234567", NULL, 0);

  g_assert_cmpint (signed_code (&world, "1704528000", "01234567", "00"), ==, 40301);
  g_assert_cmpint (signed_code (&world, "1704528000", "0123456", right), ==, 40301);
  g_assert_cmpint (signed_code (&world, "1704527699", "01234567", late), ==, 40304);
  g_assert_cmpint (signed_code (&world, "soon", "01234567", right), ==, 40304);
  g_assert_cmpint (signed_code (&world, "1704528000", "01234568", right), ==, 40301);
  /* All is right, but nobody can tell whether the nonce is new. */
  g_assert_cmpint (signed_code (&world, "1704528000", "01234567", right), ==, 50305);
  /* Other classes need no signature. */
  g_assert_cmpint (code (&world, "GET", "/read", "X-API-Key: signer\r\n"), ==, 200);
  world_close (&world);
}

/* ---- keys ----------------------------------------------------------------------------
 */

static void test_made_keys (void)
{
  char one[CH_HTTP_KEY_TEXT_SIZE], two[CH_HTTP_KEY_TEXT_SIZE];
  ch_http_key_make (one);
  ch_http_key_make (two);
  g_assert_cmpstr (one, !=, two);
  g_assert_true (g_str_has_prefix (one, "chk_"));
  g_assert_cmpuint (strlen (one), ==, 47);
  for (const char *p = one + 4; *p != '\0'; p++)
    g_assert_true (g_ascii_isalnum (*p) || *p == '-' || *p == '_');
  g_autoptr (ChHttpKey) key = ch_http_key_new ("id", one);
  g_autofree char *display = g_strdup_printf ("chk_****%s", one + strlen (one) - 4);
  g_assert_cmpstr (key->display, ==, display);
}

static void test_scopes (void)
{
  g_autoptr (ChHttpKeys) keys = ch_http_keys_new ();
  guint64 both = ch_http_keys_scopes (keys, "read, control,,");
  g_assert_cmpuint (
      both, ==, ch_http_keys_scope (keys, "read") | ch_http_keys_scope (keys, "control"));
  g_autofree char *names = ch_http_keys_scope_names (keys, both);
  g_assert_cmpstr (names, ==, "read,control");
  for (guint i = 0; i < 62; i++) {
    g_autofree char *name = g_strdup_printf ("scope-%u", i);
    g_assert_cmpuint (ch_http_keys_scope (keys, name), !=, 0);
  }
  g_assert_cmpuint (ch_http_keys_scope (keys, "one too many"), ==, 0);
}

static void test_secrets (void)
{
  g_autofree char *sealed = ch_http_secret_seal ("a master key of some length", "text");
  g_autofree char *again = ch_http_secret_seal ("a master key of some length", "text");
  g_autofree char *opened = ch_http_secret_open ("a master key of some length", sealed);
  g_assert_cmpstr (opened, ==, "text");
  g_assert_cmpstr (sealed, !=, again);
  g_assert_null (strstr (sealed, "text"));
  g_assert_null (ch_http_secret_open ("another master key", sealed));
  g_assert_null (ch_http_secret_open (NULL, sealed));
  g_assert_null (ch_http_secret_open ("a master key of some length", "v1:AAAA"));
  sealed[8] = sealed[8] == 'A' ? 'B' : 'A';
  g_assert_null (ch_http_secret_open ("a master key of some length", sealed));
  /* Without a master key nothing is changed, and what is plain stays readable. */
  g_autofree char *plain = ch_http_secret_seal (NULL, "text");
  g_autofree char *read = ch_http_secret_open ("a master key of some length", "text");
  g_assert_cmpstr (plain, ==, "text");
  g_assert_cmpstr (read, ==, "text");
  g_autofree char *large = g_strnfill (1000, 'x');
  g_autofree char *sealed_large = ch_http_secret_seal ("key", large);
  g_autofree char *opened_large = ch_http_secret_open ("key", sealed_large);
  g_assert_cmpstr (opened_large, ==, large);
}

static void test_metrics_token (void)
{
  World world;
  open_world (&world, (const char *const[]) {"metrics.token=scrape-me", NULL});
  g_assert_cmpint (code (&world, "GET", "/metrics", NULL), ==, 40101);
  g_assert_cmpint (code (&world, "GET", "/metrics", "Authorization: Bearer x\r\n"), ==,
                   40101);
  g_assert_cmpint (
      code (&world, "GET", "/metrics", "Authorization: Bearer scrape-me\r\n"), ==, 200);
  world_close (&world);
}

static void test_cors (void)
{
  World world;
  open_world (&world,
              (const char *const[]) {"http.cors_origins=https://a.example", NULL});
  g_autoptr (Client) client = client_new (&world.services, world.port);
  client_request (client, "OPTIONS", "/read",
                  "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n",
                  NULL);
  g_autofree char *origin = client_header (client, "Access-Control-Allow-Origin");
  g_autofree char *methods = client_header (client, "Access-Control-Allow-Methods");
  g_assert_cmpuint (client->status, ==, 204);
  g_assert_cmpstr (origin, ==, "https://a.example");
  g_assert_cmpstr (methods, ==, "GET, HEAD, OPTIONS");
  client_request (client, "GET", "/none", "Origin: https://b.example\r\n", NULL);
  g_autofree char *other = client_header (client, "Access-Control-Allow-Origin");
  g_assert_cmpuint (client->status, ==, 200);
  g_assert_cmpstr (other, ==, "");
  world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/auth/classes", test_classes);
  g_test_add_func ("/http/auth/no-key-at-all", test_no_key_at_all);
  g_test_add_func ("/http/auth/open-api", test_open_api);
  g_test_add_func ("/http/auth/life-of-a-key", test_life_of_a_key);
  g_test_add_func ("/http/auth/addresses", test_addresses);
  g_test_add_func ("/http/auth/forwarded", test_forwarded_is_not_believed);
  g_test_add_func ("/http/auth/failed-attempts", test_failed_attempts);
  g_test_add_func ("/http/auth/rate", test_rate);
  g_test_add_func ("/http/auth/global-rate", test_global_rate);
  g_test_add_func ("/http/auth/hmac-vector", test_hmac_vector);
  g_test_add_func ("/http/auth/hmac-refusals", test_hmac_refusals);
  g_test_add_func ("/http/auth/made-keys", test_made_keys);
  g_test_add_func ("/http/auth/scopes", test_scopes);
  g_test_add_func ("/http/auth/secrets", test_secrets);
  g_test_add_func ("/http/auth/metrics-token", test_metrics_token);
  g_test_add_func ("/http/auth/cors", test_cors);
  return g_test_run ();
}
