/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Health (gateway 10): what the checks found last; a request never starts a check. */
#include "http/routes/health.h"

#include "ch-build.h"

#include <string.h>

static ChHttpHealth *health_of (ChPlugin *self)
{
  return self->services->http->health;
}

/* No reply is given twice: NULL when the parts are not there. */
static json_t *number (gint64 value)
{
  return json_integer (value);
}

static void answer (ChPlugin *self, ChReply reply, guint status, json_t *json)
{
  g_autofree char *text = ch_json_dump (json);
  json_decref (json);
  ch_reply_bytes (self, reply, status, "application/json", text, strlen (text));
}

/* ---- ready ---------------------------------------------------------------------------
 */

/* Why this server should get no traffic, NULL when it should. */
static json_t *reasons (ChPlugin *self)
{
  const ChServices *s = self->services;
  const ChHttpHealth *health = health_of (self);
  gint64 now_ms = ch_now_ms (self);
  json_t *list = json_array ();

  if (s->phase < 9)
    json_array_append_new (list, json_string ("starting"));
  if (s->draining)
    json_array_append_new (list, json_string ("draining"));
  if (health->store_down_ms > 0 && now_ms - health->store_down_ms > CH_HEALTH_PATIENCE_MS)
    json_array_append_new (list, json_string ("database"));
  if (health->kv_matters && health->kv_down_ms > 0
      && now_ms - health->kv_down_ms > CH_HEALTH_PATIENCE_MS)
    json_array_append_new (list, json_string ("redis"));
  if (s->overload >= 3)
    json_array_append_new (list, json_string ("overload"));
  if (json_array_size (list) > 0)
    return list;
  json_decref (list);
  return NULL;
}

static void ready (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  json_t *why = reasons (self);
  json_t *body = json_object ();
  char time[CH_TIME_TEXT_SIZE];

  json_object_set_new (body, "status", json_string (why == NULL ? "ok" : "unhealthy"));
  json_object_set_new (body, "ready", json_boolean (why == NULL));
  if (why != NULL) {
    json_object_set_new (body, "reasons", why);
    ch_reply_header (self, reply, "Retry-After", "5");
    answer (self, reply, 503, body);
    return;
  }
  json_object_set_new (body, "server_id", json_string (self->services->server_id));
  json_object_set_new (body, "online_devices", number (health_of (self)->online_devices));
  json_object_set_new (body, "time",
                       json_string (ch_format_time (ch_wall_ms (self), time)));
  answer (self, reply, 200, body);
}

static void readyz (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  g_autoptr (json_t) why = reasons (self);
  const char *text = why == NULL ? "ready" : "not-ready";
  ch_reply_bytes (self, reply, why == NULL ? 200 : 503, "text/plain", text,
                  strlen (text));
}

/* ---- live: this loop turns, or nobody would answer -----------------------------------
 */

static void live (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_bytes (self, reply, 200, "application/json", "{\"alive\":true}", 14);
}

static void healthz (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_bytes (self, reply, 200, "text/plain", "ok", 2);
}

/* ---- detail --------------------------------------------------------------------------
 */

static void health (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChHttpHealth *health = health_of (self);
  json_t *body = json_object (), *checks = json_object ();
  ChHealthStatus worst = CH_HEALTH_HEALTHY;
  char time[CH_TIME_TEXT_SIZE];

  for (guint i = 0; i < health->checks->len; i++) {
    const ChHttpCheck *check = g_ptr_array_index (health->checks, i);
    if (check->result == NULL)
      continue;
    worst = MAX (worst, check->status);
    json_object_set (checks, check->name, check->result);
  }
  json_object_set_new (body, "status", json_string (ch_http_health_name (worst)));
  json_object_set_new (body, "timestamp",
                       json_string (ch_format_time (ch_wall_ms (self), time)));
  json_object_set_new (body, "version", json_string (CH_VERSION));
  json_object_set_new (body, "uptime_s",
                       number ((ch_now_ms (self) - health->started_ms) / 1000));
  json_object_set_new (body, "server_id", json_string (self->services->server_id));
  json_object_set_new (body, "phase", number (self->services->phase));
  json_object_set_new (body, "checks", checks);
  answer (self, reply, worst == CH_HEALTH_UNHEALTHY ? 503 : 200, body);
}

#define GET(route_path, text, func)                                                      \
  {                                                                                      \
    .method = "GET", .path = route_path, .summary = text, .handler = func                \
  }

const ChRoute ch_http_health_routes[] = {
    GET ("/health", "State of all parts", health),
    GET ("/health/ready", "Whether a balancer may send traffic here", ready),
    GET ("/ready", "Whether a balancer may send traffic here", ready),
    GET ("/readyz", "The same as text", readyz),
    GET ("/health/live", "Whether the process lives", live),
    GET ("/live", "Whether the process lives", live),
    GET ("/healthz", "The same as text", healthz),
    {.method = NULL},
};
