/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /metrics and the documents that describe the routes. */
#include "base/metrics-private.h"
#include "http/http-private.h"
#include "http/routes/openapi.h"

#include <string.h>

/* ---- metrics -------------------------------------------------------------------------
 */

static gboolean may_scrape (ChPlugin *self, const ChRequest *request)
{
  const char *token = self->services->http->settings.metrics_token;
  if (token == NULL || *token == '\0')
    return TRUE;
  const char *given = ch_request_header (request, "Authorization");
  return given != NULL && g_ascii_strncasecmp (given, "Bearer ", 7) == 0
         && ch_http_equal (given + 7, token);
}

static void metrics (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (!may_scrape (self, request)) {
    ch_reply_header (self, reply, "WWW-Authenticate", "Bearer realm=\"chargehost\"");
    ch_reply_error (self, reply, 40101, "metrics need the token of metrics.token", NULL);
    return;
  }
  GString *text = ch_metrics_render (self->services->metrics);
  ch_reply_bytes (self, reply, 200, "text/plain; version=0.0.4; charset=utf-8", text->str,
                  text->len);
  g_string_free (text, TRUE);
}

/* ---- documents -----------------------------------------------------------------------
 */

static void openapi (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  g_autoptr (json_t) document = ch_http_openapi (self->services->http);
  g_autofree char *text = ch_json_dump (document);
  ch_reply_bytes (self, reply, 200, "application/json", text, strlen (text));
}

/* Works without scripts of anybody else: the document becomes a list. */
static const char PAGE[]
    = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<title>Chargehost REST</title><style>body{font:15px/1.4 sans-serif;margin:2em "
      "auto;"
      "max-width:60em}code{background:#eee;padding:.1em .3em}li{margin:.3em 0}"
      "</style></head><body><h1>Chargehost REST</h1><p>The whole description: "
      "<a href=\"/openapi.json\">openapi.json</a></p><ul id=\"l\"></ul><script>"
      "fetch('/openapi.json').then(r=>r.json()).then(d=>{const l=document."
      "getElementById('l');for(const p of Object.keys(d.paths).sort())for(const m in "
      "d.paths[p]){const e=document.createElement('li'),c=document.createElement('code');"
      "c.textContent=m.toUpperCase()+' '+p;e.append(c,' '+d.paths[p][m].summary);"
      "l.append(e)}})</script></body></html>\n";

static void page (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_header (self, reply, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; script-src "
                   "'unsafe-inline'; connect-src 'self'");
  ch_reply_bytes (self, reply, 200, "text/html; charset=utf-8", PAGE, sizeof PAGE - 1);
}

static const ChRoute DOCUMENTS[] = {
    {.method = "GET",
     .path = "/openapi.json",
     .summary = "This description",
     .handler = openapi},
    {.method = "GET",
     .path = "/api/v1/openapi.json",
     .summary = "This description",
     .handler = openapi},
    {.method = "GET",
     .path = "/api/docs-json",
     .summary = "This description",
     .handler = openapi},
    {.method = "GET",
     .path = "/api/docs",
     .summary = "A page that shows it",
     .handler = page},
    {.method = NULL},
};

gboolean ch_http_monitor_open (ChHttp *http, GError **error)
{
  if (!ch_http_add_routes (http->self, ch_http_health_routes, error)
      || !ch_http_add_routes (http->self, DOCUMENTS, error))
    return FALSE;
  if (!ch_config_bool (http->self, "metrics.enable"))
    return TRUE;
  ChRoute routes[] = {
      {.method = "GET",
       .path = ch_config_string (http->self, "metrics.path"),
       .summary = "Metrics in Prometheus' text format",
       .handler = metrics},
      {.method = NULL},
  };
  return ch_http_add_routes (http->self, routes, error);
}
