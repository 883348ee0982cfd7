/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signed requests of third parties (gateway 7.2): scheme A, a time and a nonce. */
#include "http/http-private.h"

#include <chargehost/kv.h>
#include <string.h>

#define SKEW_S 300
#define NONCE_TTL "600"

char *ch_http_hmac_sign (const char *secret, const char *method, const char *path,
                         const char *timestamp, const char *nonce, const void *body,
                         gsize size)
{
  g_autofree char *digest = g_compute_checksum_for_data (
      G_CHECKSUM_SHA256, size > 0 ? body : (const guchar *) "", size);
  g_autofree char *canonical = g_strdup_printf (
      "%s\n%s\n%s\n%s\n%s", method, *path != '\0' ? path : "/", timestamp, nonce, digest);
  return g_compute_hmac_for_string (G_CHECKSUM_SHA256, (const guchar *) secret,
                                    strlen (secret), canonical, -1);
}

static ChHttpAuth refuse (ChRequest *request, gint code, const char *message)
{
  ch_http_traffic_auth_failed (request, "invalid_signature");
  if (code == 40301)
    ch_http_rate_failed (request->http, ch_request_remote (request));
  ch_http_answer_error (request, code, message, NULL);
  return CH_HTTP_AUTH_REFUSED;
}

/* `SET key 1 NX EX 600` answers nil when the nonce was used before. */
static void nonce_known (ChPlugin *self, const ChKvReply *reply, const GError *error,
                         gpointer data)
{
  g_autofree ChReply *handle = data;
  ChRequest *request = ch_http_exchange_arrived (self->services->http, *handle);
  if (request == NULL)
    return;
  if (error != NULL || reply->kind == CH_KV_REPLY_ERROR)
    ch_http_answer_error (request, 50305, "nonces cannot be checked at the moment", NULL);
  else if (reply->kind == CH_KV_REPLY_NIL)
    refuse (request, 40305, "this nonce was used before");
  else
    ch_http_exchange_resume (request, CH_HTTP_STEP_CHECK);
}

static gboolean time_is_near (ChRequest *request, const char *timestamp)
{
  gint64 at, now = ch_wall_ms (request->http->self) / 1000;
  return g_ascii_string_to_signed (timestamp, 10, 0, G_MAXINT64, &at, NULL)
         && at >= now - SKEW_S && at <= now + SKEW_S;
}

static gboolean is_nonce (const char *nonce)
{
  gsize n = strlen (nonce);
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isgraph (nonce[i]))
      return FALSE;
  return n >= 8 && n <= 64;
}

ChHttpAuth ch_http_hmac_check (ChRequest *request)
{
  ChHttp *http = request->http;
  const char *timestamp = ch_request_header (request, "X-Timestamp");
  const char *nonce = ch_request_header (request, "X-Nonce");
  const char *signature = ch_request_header (request, "X-Signature");
  const GByteArray *bytes = request->bytes;

  if (timestamp == NULL || nonce == NULL || signature == NULL || !is_nonce (nonce)
      || request->key->hmac_secret == NULL)
    return refuse (request, 40301,
                   "a signature is needed: headers X-Timestamp, X-Nonce, X-Signature");
  if (!time_is_near (request, timestamp))
    return refuse (request, 40304, "X-Timestamp is too far from the server's time");
  g_autofree char *expected = ch_http_hmac_sign (
      request->key->hmac_secret, request->method, ch_http_request_raw_path (request),
      timestamp, nonce, bytes != NULL ? bytes->data : NULL,
      bytes != NULL ? bytes->len : 0);
  g_autofree char *lower = g_ascii_strdown (signature, -1);
  if (!ch_http_equal (lower, expected))
    return refuse (request, 40301, "the signature does not fit the request");
  if (http->services->kv == NULL) {
    ch_http_answer_error (request, 50305, "nonces cannot be checked at the moment", NULL);
    return CH_HTTP_AUTH_REFUSED;
  }
  g_autofree char *name
      = g_strdup_printf ("thirdparty:nonce:%s:%s", request->key->id, nonce);
  ChReply *handle = g_new (ChReply, 1);
  *handle = ch_http_exchange_depart (request);
  ch_kv_commandv (http->self, nonce_known, handle, "SET", name, "1", "NX", "EX",
                  NONCE_TTL, NULL);
  return CH_HTTP_AUTH_WAIT;
}
