/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The instances that there are, for operators (gateway 3.7, 7.7). */
#include "ch-build.h"
#include "core/core-admin.h"
#include "core/outbound/outbound.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

#define SERVERS_MAX 256
#define DEAD_MS 15000

typedef struct {
  ChCore *core;
  ChAsk *ask;
  json_t *list;
  guint waiting; /* answers that are still to come */
} Listing;

typedef struct {
  Listing *listing;
  json_t *server; /* borrowed from the list */
} Detail;

static void set (json_t *object, const char *name, json_t *value)
{
  json_object_set_new_nocheck (object, name, value);
}

/* What this process knows of itself. */
static json_t *own_json (ChCore *core)
{
  const ChServices *s = core->services;
  json_t *server = json_object ();
  ChGatewayStats stats;

  ch_gateway_stats (s->gateway, &stats);
  set (server, "server_id", json_string (s->server_id));
  set (server, "self", json_true ());
  set (server, "alive", json_true ());
  set (server, "address", json_string (g_get_host_name ()));
  set (server, "pid", json_integer (getpid ()));
  set (server, "version", json_string (CH_VERSION));
  set (server, "started_at", ch_json_time (core->sessions->started_at));
  set (server, "last_beat_at", ch_json_time (ch_wall_ms (core->self)));
  set (server, "devices_online",
       json_integer ((json_int_t) ch_sessions_connected (core->sessions)));
  set (server, "connections", json_integer (stats.active));
  set (server, "max_connections", json_integer (stats.max));
  set (server, "queue", ch_outbound_stats_json (core->outbound));
  set (server, "overload", json_integer (s->overload));
  set (server, "draining", json_boolean (s->draining));
  return server;
}

static void answer (Listing *listing, gboolean directory)
{
  g_autoptr (json_t) data = json_object ();
  set (data, "total", json_integer ((json_int_t) json_array_size (listing->list)));
  set (data, "servers", listing->list);
  set (data, "directory", json_boolean (directory));
  ch_ask_answer (listing->ask, data, NULL);
  g_free (listing);
}

static json_t *field (const ChKvReply *reply, gsize i, gboolean is_number)
{
  const char *text = i < reply->n_items ? reply->items[i]->text : NULL;
  if (text == NULL)
    return json_null ();
  return is_number ? json_integer (g_ascii_strtoll (text, NULL, 10)) : json_string (text);
}

static void got_detail (ChPlugin *self, const ChKvReply *reply, const GError *error,
                        gpointer user_data)
{
  g_autofree Detail *detail = user_data;
  Listing *listing = detail->listing;
  if (error == NULL && reply->kind == CH_KV_REPLY_ARRAY) {
    set (detail->server, "address", field (reply, 0, FALSE));
    set (detail->server, "pid", field (reply, 1, TRUE));
    set (detail->server, "version", field (reply, 2, FALSE));
    set (detail->server, "started_at", field (reply, 3, FALSE));
    set (detail->server, "devices_online", field (reply, 4, TRUE));
  }
  if (--listing->waiting == 0)
    answer (listing, TRUE);
}

static void ask_detail (Listing *listing, const char *id, gint64 beat_ms)
{
  ChPlugin *self = listing->core->self;
  Detail *detail = g_new0 (Detail, 1);
  g_autofree char *key = g_strconcat ("server:", id, NULL);
  json_t *server = json_object ();

  set (server, "server_id", json_string (id));
  set (server, "self", json_false ());
  set (server, "alive", json_boolean (ch_wall_ms (self) - beat_ms < DEAD_MS));
  set (server, "last_beat_at", ch_json_time (beat_ms));
  json_array_append_new (listing->list, server);
  detail->listing = listing;
  detail->server = server;
  listing->waiting++;
  ch_kv_commandv (self, got_detail, detail, "HMGET", key, "address", "pid", "version",
                  "started_at", "connections", NULL);
}

static void got_names (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  Listing *listing = user_data;
  gboolean good = error == NULL && reply->kind == CH_KV_REPLY_ARRAY;

  for (gsize i = 0; good && i + 1 < reply->n_items && i < SERVERS_MAX * 2; i += 2) {
    const char *id = reply->items[i]->text;
    const char *beat = reply->items[i + 1]->text;
    if (id != NULL && beat != NULL && strlen (id) < CH_SERVER_ID_SIZE
        && g_utf8_validate (id, -1, NULL)
        && !g_str_equal (id, listing->core->services->server_id))
      ask_detail (listing, id, (gint64) g_ascii_strtod (beat, NULL));
  }
  if (listing->waiting == 0)
    answer (listing, good);
}

void ch_core_list_servers (ChPlugin *self, ChCoreDone done, gpointer user_data)
{
  ChCore *core = ch_core_of (self);
  Listing *listing = g_new0 (Listing, 1);

  listing->core = core;
  listing->ask = ch_ask_new (self, done, user_data);
  listing->list = json_array ();
  json_array_append_new (listing->list, own_json (core));
  if (ch_session_kv_ok (core->sessions))
    ch_kv_commandv (core->self, got_names, listing, "ZRANGE", "servers", "0", "-1",
                    "WITHSCORES", NULL);
  else
    answer (listing, FALSE);
}
