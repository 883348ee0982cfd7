/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of other origins: off unless `http.cors_origins` names them. */
#include "http/http-private.h"

#include <string.h>

static gboolean is_allowed (const ChHttp *http, const char *origin)
{
  char **origins = http->settings.cors_origins;
  for (guint i = 0; origins != NULL && origins[i] != NULL; i++)
    if (g_str_equal (origins[i], "*") || g_str_equal (origins[i], origin))
      return TRUE;
  return FALSE;
}

gboolean ch_http_cors (ChRequest *request)
{
  ChHttp *http = request->http;
  if (http->settings.cors_origins == NULL || http->settings.cors_origins[0] == NULL)
    return FALSE;
  ch_http_header (request, "Vary", "Origin");
  const char *origin = ch_request_header (request, "Origin");
  if (origin == NULL || !is_allowed (http, origin))
    return FALSE;
  ch_http_header (request, "Access-Control-Allow-Origin", origin);
  ch_http_header (request, "Access-Control-Expose-Headers",
                  "X-Request-ID, Retry-After, RateLimit-Limit, RateLimit-Remaining, "
                  "RateLimit-Reset, Idempotent-Replay");
  if (!g_str_equal (request->method, "OPTIONS")
      || ch_request_header (request, "Access-Control-Request-Method") == NULL
      || request->match.node == NULL)
    return FALSE;
  g_autofree char *allowed = ch_http_router_allowed (&request->match);
  ch_http_header (request, "Access-Control-Allow-Methods", allowed);
  ch_http_header (request, "Access-Control-Allow-Headers",
                  "Authorization, Content-Type, Idempotency-Key, X-API-Key, "
                  "X-Internal-API-Key, X-Request-ID, X-Timestamp, X-Nonce, X-Signature");
  ch_http_header (request, "Access-Control-Max-Age", "600");
  ch_http_answer (request, 204, NULL, NULL, 0);
  return TRUE;
}
