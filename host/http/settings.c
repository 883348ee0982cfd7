/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of the configuration and what is made of them. */
#include "base/config-private.h"
#include "base/config-tables.h"
#include "http/http-private.h"

#include <string.h>

#define KEY(path, kind, how, default_text, low, high, text)                              \
  {                                                                                      \
    .name = path, .type = kind, .flags = how, .def = default_text, .min = low,           \
    .max = high, .summary = text                                                         \
  }
#define LIVE CH_CONFIG_LIVE
#define FIXED CH_CONFIG_FLAGS_NONE

const ChConfigKey ch_http_config[] = {
    {.name = "http.addr",
     .type = CH_CONFIG_STRING,
     .def = ":8080",
     .aliases = (const char *const[]) {"PORT=:*", NULL},
     .summary = "Listen address of REST."},
    KEY ("http.reuse_port", CH_CONFIG_BOOL, FIXED, "false", 0, 0,
         "Share the address with other instances on this machine."),
    KEY ("http.read_timeout", CH_CONFIG_DURATION_MS, LIVE | CH_CONFIG_SECONDS, "30s", 100,
         3600000, "A request has to be read as a whole in this time."),
    KEY ("http.write_timeout", CH_CONFIG_DURATION_MS, LIVE | CH_CONFIG_SECONDS, "30s",
         100, 3600000, "An answer has to be taken as a whole in this time."),
    KEY ("http.idle_timeout", CH_CONFIG_DURATION_MS, LIVE | CH_CONFIG_SECONDS, "15s", 100,
         300000, "A connection without a request is closed after this time."),
    KEY ("http.max_body", CH_CONFIG_SIZE, LIVE, "256K", 1024, 1073741824,
         "Largest body of a request, unless its route says otherwise."),
    KEY ("http.max_connections", CH_CONFIG_INT, LIVE, "512", 1, 100000,
         "Connections of REST at once; idle ones make room."),
    KEY ("http.trusted_proxies", CH_CONFIG_LIST, LIVE, NULL, 0, 0,
         "Networks whose X-Forwarded-For is believed."),
    KEY ("http.cors_origins", CH_CONFIG_LIST, LIVE, NULL, 0, 0,
         "Origins whose pages may call REST; * for all."),
    KEY ("http.aliases.seed", CH_CONFIG_BOOL, FIXED, "true", 0, 0,
         "Short paths such as /devices/{id}."),
    KEY ("http.aliases.legacy", CH_CONFIG_BOOL, FIXED, "false", 0, 0,
         "Older paths such as /api/devices/{id}."),
    KEY ("http.debug.enable", CH_CONFIG_BOOL, FIXED, "false", 0, 0,
         "Dumps of internal state for administrators."),
    KEY ("http.debug.prefix", CH_CONFIG_STRING, FIXED, "/debug", 0, 0,
         "Where those dumps are."),
    KEY ("api.auth.enabled", CH_CONFIG_BOOL, LIVE, "true", 0, 0,
         "Whether reading needs a key."),
    KEY ("api.auth.api_keys", CH_CONFIG_LIST, LIVE, NULL, 0, 0,
         "Keys that may read; better are those made with chargehostctl key create."),
    KEY ("thirdparty.auth.api_keys", CH_CONFIG_LIST, LIVE, NULL, 0, 0,
         "Keys that may read and control."),
    KEY ("thirdparty.auth.require_hmac", CH_CONFIG_BOOL, LIVE, "false", 0, 0,
         "Whether requests of third parties have to be signed."),
    KEY ("thirdparty.ip_whitelist", CH_CONFIG_LIST, LIVE, NULL, 0, 0,
         "Networks of third parties; empty: everywhere."),
    KEY ("admin.api_keys", CH_CONFIG_LIST, LIVE, NULL, 0, 0, "Keys that may administer."),
    KEY ("admin.ip_allow", CH_CONFIG_LIST, LIVE, "loopback", 0, 0,
         "Networks from which administration is possible."),
    KEY ("security.allow_open_api", CH_CONFIG_BOOL, FIXED, "false", 0, 0,
         "Serve a class of routes without authentication while it has no key."),
    KEY ("security.master_key", CH_CONFIG_SECRET, FIXED, NULL, 0, 0,
         "Encrypts secrets that are stored; at least 16 characters."),
    KEY ("ratelimit.per_key_per_min", CH_CONFIG_DOUBLE, LIVE, "600", 0, 1e9,
         "Requests of one key in a minute; 0 = unlimited."),
    KEY ("ratelimit.burst", CH_CONFIG_DOUBLE, LIVE, "100", 1, 1e9,
         "Requests of one key at once."),
    KEY ("ratelimit.global_per_min", CH_CONFIG_DOUBLE, LIVE, "6000", 0, 1e9,
         "Requests of all keys in a minute; 0 = unlimited."),
    KEY ("metrics.enable", CH_CONFIG_BOOL, FIXED, "true", 0, 0,
         "Whether metrics are served."),
    KEY ("metrics.path", CH_CONFIG_STRING, FIXED, "/metrics", 0, 0, "Where."),
    KEY ("metrics.addr", CH_CONFIG_STRING, FIXED, NULL, 0, 0,
         "A listen address of their own, which serves only metrics and health; with"
         " --workers it is the first worker's, and the others have the next ports."),
    KEY ("metrics.token", CH_CONFIG_SECRET, LIVE, NULL, 0, 0,
         "Bearer token that a scrape needs."),
    {.name = NULL},
};

/* ---- networks ------------------------------------------------------------------------
 */

static gboolean add_network (GPtrArray *networks, const char *text, GError **error)
{
  if (g_str_equal (text, "loopback"))
    return add_network (networks, "127.0.0.0/8", error)
           && add_network (networks, "::1/128", error);
  GInetAddressMask *mask = g_inet_address_mask_new_from_string (text, error);
  if (mask == NULL)
    return FALSE;
  g_ptr_array_add (networks, mask);
  return TRUE;
}

GPtrArray *ch_http_networks_parse (const char *const *texts, GError **error)
{
  g_autoptr (GPtrArray) networks = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; texts != NULL && texts[i] != NULL; i++)
    if (!add_network (networks, texts[i], error))
      return NULL;
  return g_steal_pointer (&networks);
}

gboolean ch_http_networks_have (const GPtrArray *networks, GInetAddress *address)
{
  for (guint i = 0; networks != NULL && i < networks->len; i++)
    if (g_inet_address_mask_matches (networks->pdata[i], address))
      return TRUE;
  return FALSE;
}

/* ---- reading -------------------------------------------------------------------------
 */

/* What cannot be read allows nobody, rather than everybody. */
static GPtrArray *read_networks (ChHttp *http, const char *key)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *networks = ch_http_networks_parse (ch_config_list (http->self, key), &error);
  if (networks != NULL)
    return networks;
  g_assert (error != NULL);
  ch_error (http->self, "%s: %s: the whole list is refused", key, error->message);
  networks = g_ptr_array_new_with_free_func (g_object_unref);
  g_ptr_array_add (networks,
                   g_inet_address_mask_new_from_string ("255.255.255.255/32", NULL));
  return networks;
}

/* The daemon declares it; tests of this part do without. */
static gboolean is_production (ChHttp *http)
{
  return ch_config_lookup (http->services->config, "app.env") != NULL
         && g_strcmp0 (ch_config_string (http->self, "app.env"), "production") == 0;
}

static void add_static (ChHttp *http, const char *list, const char *prefix,
                        const char *scopes)
{
  const char *const *texts = ch_config_list (http->self, list);
  for (guint i = 0; texts != NULL && texts[i] != NULL; i++) {
    g_autofree char *id = g_strdup_printf ("%s-%u", prefix, i + 1);
    ChHttpKey *key = ch_http_key_new (id, texts[i]);
    ChHttpKey *same = ch_http_keys_find (http->keys, texts[i]);
    key->name = g_strdup (list);
    key->is_static = TRUE;
    key->scopes
        = ch_http_keys_scopes (http->keys, scopes) | (same != NULL ? same->scopes : 0);
    key->hmac_secret = g_strdup (texts[i]);
    ch_http_keys_add (http->keys, key);
    if (strlen (texts[i]) < 16)
      ch_warning (http->self, "%s: key %u is shorter than 16 characters", list, i + 1);
  }
}

static void load_static_keys (ChHttp *http)
{
  ch_http_keys_clear (http->keys, TRUE);
  add_static (http, "api.auth.api_keys", "api", "read,telemetry:read");
  add_static (http, "thirdparty.auth.api_keys", "thirdparty",
              "read,control,card,webhook,telemetry:read,telemetry:write");
  add_static (http, "admin.api_keys", "admin", "admin");
}

void ch_http_settings_clear (ChHttpSettings *settings)
{
  g_clear_pointer (&settings->trusted_proxies, g_ptr_array_unref);
  g_clear_pointer (&settings->third_addresses, g_ptr_array_unref);
  g_clear_pointer (&settings->admin_addresses, g_ptr_array_unref);
  g_clear_pointer (&settings->cors_origins, g_strfreev);
  g_clear_pointer (&settings->metrics_token, g_free);
}

void ch_http_settings_load (ChHttp *http)
{
  ChHttpSettings *s = &http->settings;
  ChPlugin *self = http->self;

  ch_http_settings_clear (s);
  s->read_ms = (guint64) ch_config_duration_ms (self, "http.read_timeout");
  s->write_ms = (guint64) ch_config_duration_ms (self, "http.write_timeout");
  s->idle_ms = (guint64) ch_config_duration_ms (self, "http.idle_timeout");
  s->max_body = (gsize) ch_config_int (self, "http.max_body");
  s->max_connections = (guint) ch_config_int (self, "http.max_connections");
  s->trusted_proxies = read_networks (http, "http.trusted_proxies");
  s->third_addresses = read_networks (http, "thirdparty.ip_whitelist");
  s->admin_addresses = read_networks (http, "admin.ip_allow");
  s->cors_origins
      = g_strdupv ((char **) (guintptr) ch_config_list (self, "http.cors_origins"));
  s->open_api = ch_config_bool (self, "security.allow_open_api");
  s->read_auth = ch_config_bool (self, "api.auth.enabled");
  s->production = is_production (http);
  if (s->production && (s->open_api || !s->read_auth)) {
    ch_error (self, "app.env is production: security.allow_open_api and "
                    "api.auth.enabled false are ignored");
    s->open_api = FALSE;
    s->read_auth = TRUE;
  }
  s->require_hmac = ch_config_bool (self, "thirdparty.auth.require_hmac");
  s->per_key_per_min = ch_config_double (self, "ratelimit.per_key_per_min");
  s->burst = ch_config_double (self, "ratelimit.burst");
  s->global_per_min = ch_config_double (self, "ratelimit.global_per_min");
  s->metrics_token = g_strdup (ch_config_string (self, "metrics.token"));
  load_static_keys (http);
}
