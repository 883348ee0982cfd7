/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of the driver, and the address that `redis.url` or `redis.addr` gives. */
#include "redis.h"

#include <string.h>

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379

static const char *const URL_NAMES[] = {"REDIS_URL", NULL};
static const char *const ADDR_NAMES[] = {"REDIS_ADDR", "REDIS_HOST", NULL};
static const char *const PASSWORD_NAMES[] = {"REDIS_PASSWORD", NULL};
static const char *const DB_NAMES[] = {"REDIS_DB", NULL};
static const char *const TLS_NAMES[] = {"REDIS_TLS", NULL};
static const char *const CLUSTER_NAMES[] = {"REDIS_CLUSTER_NODES", NULL};

const ChConfigKey redis_config_keys[] = {
    {"/redis.url", CH_CONFIG_SECRET, CH_CONFIG_FLAGS_NONE, "redis://localhost:6379", 0, 0,
     NULL, URL_NAMES,
     "The server: redis://user:password@host:port/db or unix:///path?db=0."},
    {"/redis.addr", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL, ADDR_NAMES,
     "Host and port of the server, in place of redis.url."},
    {"/redis.username", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL, NULL,
     "ACL user, when the address names none."},
    {"/redis.password", CH_CONFIG_SECRET, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     PASSWORD_NAMES, "Password, when the address holds none."},
    {"/redis.db", CH_CONFIG_INT, CH_CONFIG_FLAGS_NONE, "0", 0, 1000, NULL, DB_NAMES,
     "Number of the database, when the address names none."},
    {"/redis.sentinels", CH_CONFIG_LIST, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL, NULL,
     "Addresses of Sentinels; they say where the primary is, not redis.url."},
    {"/redis.sentinel_master", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, "mymaster", 0, 0,
     NULL, NULL, "The primary's name with the Sentinels."},
    {"/redis.sentinel_username", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     NULL, "ACL user of the Sentinels themselves."},
    {"/redis.sentinel_password", CH_CONFIG_SECRET, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     NULL, "Password of the Sentinels themselves."},
    {"/redis.cluster_nodes", CH_CONFIG_LIST, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     CLUSTER_NAMES,
     "Nodes of a Redis Cluster for plugins whose keys share one slot per call."},
    {"/redis.tls", CH_CONFIG_BOOL, CH_CONFIG_FLAGS_NONE, "false", 0, 0, NULL, TLS_NAMES,
     "Encrypt connections to Redis, Sentinels and the cluster; rediss:// does, too."},
    {"/redis.tls_name", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL, NULL,
     "Whom the server's certificate must name, when it is not the host."},
    {"/redis.tls_ca_file", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL, NULL,
     "PEM of the authorities that are trusted; those of the system without it."},
    {"/redis.tls_cert_file", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     NULL, "PEM of the certificate that is shown to the server."},
    {"/redis.tls_key_file", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, NULL, 0, 0, NULL,
     NULL, "PEM of its key, when that is not in the same file."},
    {"/redis.tls_insecure", CH_CONFIG_BOOL, CH_CONFIG_FLAGS_NONE, "false", 0, 0, NULL,
     NULL, "Trust any server; only for tests."},
    {"/redis.pool_size", CH_CONFIG_INT, CH_CONFIG_FLAGS_NONE, "20", 1, 1000, NULL, NULL,
     "Most connections for commands that wait for data."},
    {"/redis.min_idle_conns", CH_CONFIG_INT, CH_CONFIG_FLAGS_NONE, "5", 0, 1000, NULL,
     NULL, "How many of them stay open when nothing waits."},
    {"/redis.dial_timeout", CH_CONFIG_DURATION_MS, CH_CONFIG_SECONDS, "5s", 10, 60000,
     NULL, NULL, "Longest time for connecting and logging in."},
    {"/redis.read_timeout", CH_CONFIG_DURATION_MS, CH_CONFIG_SECONDS, "3s", 10, 600000,
     NULL, NULL, "A connection that owes an answer for longer is given up."},
    {"/redis.write_timeout", CH_CONFIG_DURATION_MS, CH_CONFIG_SECONDS, "3s", 10, 600000,
     NULL, NULL, "The same for what the server does not take."},
    {"breaker", CH_CONFIG_DURATION_MS, CH_CONFIG_SECONDS, "1s", 10, 600000, NULL, NULL,
     "When an answer takes longer, commands are refused until it has come."},
    {NULL}};

static gboolean parse_list (ChPlugin *self, const char *key, guint16 port,
                            GPtrArray **list, GError **error)
{
  const char *const *texts = ch_config_list (self, key);

  *list = g_ptr_array_new_with_free_func ((GDestroyNotify) endpoint_free);
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++) {
    Endpoint *endpoint = endpoint_parse (texts[i], port, error);
    if (endpoint == NULL) {
      g_prefix_error (error, "%s: ", key + 1);
      return FALSE;
    }
    g_ptr_array_add (*list, endpoint);
  }
  return TRUE;
}

static gboolean bad_url (GError **error, const char *why)
{
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "redis.url: %s", why);
  return FALSE;
}

static gboolean parse_db (Settings *settings, const char *text, GError **error)
{
  if (text == NULL || text[0] == '\0')
    return TRUE;
  if (!g_ascii_string_to_signed (text, 10, 0, 1000, &settings->db, NULL))
    return bad_url (error, "the database is a number from 0 to 1000");
  return TRUE;
}

static gboolean parse_url (Settings *settings, const char *text, GError **error)
{
  g_autoptr (GUri) uri
      = g_uri_parse (text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_PARSE_RELAXED, NULL);

  if (uri == NULL)
    return bad_url (error, "it is not a URL like redis://localhost:6379");
  const char *scheme = g_uri_get_scheme (uri);
  const char *user = g_uri_get_user (uri);
  const char *password = g_uri_get_password (uri);
  if (user != NULL && user[0] != '\0')
    settings->user = g_strdup (user);
  settings->password = g_strdup (password);
  if (g_str_equal (scheme, "unix")) {
    const char *query = g_uri_get_query (uri);
    settings->endpoint = g_new0 (Endpoint, 1);
    settings->endpoint->path = g_strdup (g_uri_get_path (uri));
    if (settings->endpoint->path[0] != '/')
      return bad_url (error, "a socket is given as unix:///path");
    if (query != NULL && g_str_has_prefix (query, "db="))
      return parse_db (settings, query + 3, error);
    return TRUE;
  }
  if (g_str_equal (scheme, "rediss"))
    settings->tls = TRUE;
  else if (!g_str_equal (scheme, "redis"))
    return bad_url (error, "it begins with redis://, rediss:// or unix://");
  const char *host = g_uri_get_host (uri);
  gint port = g_uri_get_port (uri);
  settings->endpoint = endpoint_new (host != NULL && host[0] != '\0' ? host : "localhost",
                                     port > 0 ? (guint16) port : REDIS_PORT);
  const char *path = g_uri_get_path (uri);
  return parse_db (settings, path[0] == '/' ? path + 1 : path, error);
}

static gboolean read_address (ChPlugin *self, Settings *settings, GError **error)
{
  const char *addr = ch_config_string (self, "/redis.addr");

  settings->db = ch_config_int (self, "/redis.db");
  if (!ch_config_is_set (self, "/redis.url") && addr != NULL && addr[0] != '\0') {
    settings->endpoint = endpoint_parse (addr, REDIS_PORT, error);
    if (settings->endpoint == NULL) {
      g_prefix_error (error, "redis.addr: ");
      return FALSE;
    }
  } else if (!parse_url (settings, ch_config_string (self, "/redis.url"), error)) {
    return FALSE;
  }
  /* A cluster alone: nobody has said where one primary would be. */
  if (settings->cluster->len > 0 && settings->sentinels->len == 0
      && !ch_config_is_set (self, "/redis.url") && addr == NULL)
    g_clear_pointer (&settings->endpoint, endpoint_free);
  return TRUE;
}

static char *text_of (ChPlugin *self, const char *key)
{
  const char *text = ch_config_string (self, key);
  return text != NULL && text[0] != '\0' ? g_strdup (text) : NULL;
}

static void read_tls (ChPlugin *self, Settings *settings)
{
  settings->tls = ch_config_bool (self, "/redis.tls");
  settings->tls_insecure = ch_config_bool (self, "/redis.tls_insecure");
  settings->tls_name = text_of (self, "/redis.tls_name");
  settings->tls_ca = text_of (self, "/redis.tls_ca_file");
  settings->tls_cert = text_of (self, "/redis.tls_cert_file");
  settings->tls_key = text_of (self, "/redis.tls_key_file");
}

gboolean settings_read (ChPlugin *self, Settings *settings, GError **error)
{
  *settings = (Settings) {0};
  settings->master_name = g_strdup (ch_config_string (self, "/redis.sentinel_master"));
  settings->sentinel_user
      = g_strdup (ch_config_string (self, "/redis.sentinel_username"));
  settings->sentinel_password
      = g_strdup (ch_config_string (self, "/redis.sentinel_password"));
  read_tls (self, settings);
  settings->dial_ms = (guint) ch_config_duration_ms (self, "/redis.dial_timeout");
  settings->read_ms = (guint) MAX (ch_config_duration_ms (self, "/redis.read_timeout"),
                                   ch_config_duration_ms (self, "/redis.write_timeout"));
  settings->breaker_ms = (guint) ch_config_duration_ms (self, "breaker");
  settings->pool_size = (guint) ch_config_int (self, "/redis.pool_size");
  settings->min_idle = (guint) ch_config_int (self, "/redis.min_idle_conns");
  if (!parse_list (self, "/redis.sentinels", SENTINEL_PORT, &settings->sentinels, error)
      || !parse_list (self, "/redis.cluster_nodes", REDIS_PORT, &settings->cluster, error)
      || !read_address (self, settings, error)) {
    settings_clear (settings);
    return FALSE;
  }
  if (settings->user == NULL)
    settings->user = g_strdup (ch_config_string (self, "/redis.username"));
  if (settings->password == NULL)
    settings->password = g_strdup (ch_config_string (self, "/redis.password"));
  return TRUE;
}

void settings_clear (Settings *settings)
{
  endpoint_free (settings->endpoint);
  g_free (settings->user);
  g_free (settings->password);
  g_free (settings->master_name);
  g_free (settings->sentinel_user);
  g_free (settings->sentinel_password);
  g_free (settings->tls_name);
  g_free (settings->tls_ca);
  g_free (settings->tls_cert);
  g_free (settings->tls_key);
  g_clear_pointer (&settings->sentinels, g_ptr_array_unref);
  g_clear_pointer (&settings->cluster, g_ptr_array_unref);
  *settings = (Settings) {0};
}
