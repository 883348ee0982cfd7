/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may call a route: classes, keys, scopes, addresses (gateway 7.2). */
#include "http/http-private.h"

#include <string.h>

static ChHttpAuth refuse (ChRequest *request, gint code, const char *type,
                          const char *message)
{
  ch_http_traffic_auth_failed (request, type);
  if (code / 100 == 401)
    ch_http_header (request, "WWW-Authenticate", "Bearer realm=\"chargehost\"");
  ch_http_answer_error (request, code, message, NULL);
  return CH_HTTP_AUTH_REFUSED;
}

gboolean ch_http_equal (const char *a, const char *b)
{
  gsize n = strlen (a), m = strlen (b);
  guint difference = n != m;
  for (gsize i = 0; i < n && m > 0; i++)
    difference |= (guint) ((guchar) a[i] ^ (guchar) b[i % m]);
  return difference == 0;
}

/* The text of the key, NULL when none was sent. */
static const char *credentials (ChRequest *request)
{
  const char *key = ch_request_header (
      request,
      request->route->table.auth == CH_AUTH_ADMIN ? "X-Internal-API-Key" : "X-API-Key");
  if (key != NULL)
    return key;
  const char *text = ch_request_header (request, "Authorization");
  if (text == NULL || g_ascii_strncasecmp (text, "Bearer ", 7) != 0)
    return NULL;
  text += 7;
  return text + strspn (text, " ");
}

/* A class that has no key at all is open when the operator says so. */
static gboolean is_open (ChRequest *request)
{
  ChHttp *http = request->http;
  if (request->route->table.auth == CH_AUTH_READ && !http->settings.read_auth)
    return TRUE;
  return http->settings.open_api
         && !ch_http_keys_any (http->keys, request->route->scopes);
}

static ChHttpAuth missing (ChRequest *request)
{
  if (ch_http_keys_count (request->http->keys) == 0)
    return refuse (request, 40101, "missing_key",
                   "there is no API key yet: make one with 'chargehostctl key create "
                   "NAME' on the server");
  return refuse (request, 40101, "missing_key",
                 request->route->table.auth == CH_AUTH_ADMIN
                     ? "an API key is needed in the header X-Internal-API-Key"
                     : "an API key is needed in the header X-API-Key");
}

static gboolean address_is_allowed (ChRequest *request, GInetAddress *address)
{
  const ChHttpSettings *s = &request->http->settings;
  const ChHttpKey *key = request->key;

  if (request->route->table.auth == CH_AUTH_ADMIN
      && !ch_http_networks_have (s->admin_addresses, address))
    return FALSE;
  if (request->route->table.auth == CH_AUTH_THIRD && s->third_addresses->len > 0
      && !ch_http_networks_have (s->third_addresses, address))
    return FALSE;
  return key == NULL || key->networks == NULL || key->networks->len == 0
         || ch_http_networks_have (key->networks, address);
}

static ChHttpAuth check_key (ChRequest *request, const char *text, const char *client,
                             GInetAddress *address)
{
  ChHttp *http = request->http;
  gint64 wait_us;

  if (!ch_http_rate_may_try (http, client, &wait_us)) {
    g_autofree char *seconds
        = g_strdup_printf ("%" G_GINT64_FORMAT, wait_us / G_USEC_PER_SEC + 1);
    ch_http_header (request, "Retry-After", seconds);
    return refuse (request, 42902, "invalid_key",
                   "too many failed authentications from this address");
  }
  ChHttpKey *key = ch_http_keys_find (http->keys, text);
  gint64 now_ms = ch_wall_ms (http->self);
  gboolean expired = key != NULL && key->expires_at > 0 && key->expires_at <= now_ms;
  if (key == NULL || expired) {
    char masked[16];
    ch_http_rate_failed (http, client);
    ch_info (http->self, "key %s of %s is %s", ch_log_mask (text, masked), client,
             expired ? "expired" : "unknown");
    return refuse (request, 40102, expired ? "expired" : "invalid_key",
                   "this API key is not valid");
  }
  request->key = ch_http_key_ref (key);
  if (key->last_used_at + 60000 < now_ms) {
    key->last_used_at = now_ms;
    key->used = TRUE;
  }
  if (!address_is_allowed (request, address))
    return refuse (request, 40302, "address", "not from this address");
  if (!(key->scopes & request->route->scopes))
    return refuse (request, 40303, "scope", "this API key may not do this");
  return CH_HTTP_AUTH_OK;
}

ChHttpAuth ch_http_auth_check (ChRequest *request)
{
  const ChRoute *route = &request->route->table;
  g_autoptr (GInetAddress) address = NULL;

  switch (route->auth) {
  case CH_AUTH_NONE:
    return CH_HTTP_AUTH_OK;
  case CH_AUTH_USER:
  case CH_AUTH_VENDOR:
    return refuse (request, 40101, "missing_key",
                   "nothing on this server knows such credentials");
  case CH_AUTH_READ:
  case CH_AUTH_THIRD:
  case CH_AUTH_ADMIN:
    break;
  }
  const char *client = ch_http_conn_client (request, &address);
  const char *text = credentials (request);
  if (text == NULL || *text == '\0') {
    if (!is_open (request))
      return missing (request);
    if (!address_is_allowed (request, address))
      return refuse (request, 40302, "address", "not from this address");
    return CH_HTTP_AUTH_OK;
  }
  ChHttpAuth result = check_key (request, text, client, address);
  if (result == CH_HTTP_AUTH_OK && route->auth == CH_AUTH_THIRD
      && request->http->settings.require_hmac)
    result = ch_http_hmac_check (request);
  return result;
}
