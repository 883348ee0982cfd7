/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and ending the sessions, their metrics, the JSON for callers. */
#include "core/session/session-private.h"
#include "kv/kv.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- metrics ---- */

typedef struct {
  ChSessions *sessions;
  gint64 now_ms, wall_ms;
  guint zombies;
} Look;

/* Identified, and still without a device after its time: must be none. */
static void look_at_conn (const ChConnInfo *info, gpointer data)
{
  Look *look = data;
  const ChSessionConn *sc = ch_session_conn (look->sessions, info->conn);

  if (info->protocol == NULL || (sc != NULL && sc->n_devices > 0))
    return;
  const ChProtocolProperties *props
      = ch_gateway_properties (look->sessions->core->services->gateway, info->protocol);
  gint64 limit_ms = (gint64) props->bind_timeout_s * 1000;
  if (limit_ms > 0 && look->wall_ms - info->opened_at_ms > limit_ms && sc == NULL)
    look->zombies++;
}

static void collect (ChPlugin *self, gpointer user_data)
{
  ChSessions *sessions = user_data;
  Look look
      = {.sessions = sessions, .now_ms = ch_now_ms (self), .wall_ms = ch_wall_ms (self)};
  GHashTableIter iter;
  gpointer value;
  guint online = 0;

  g_hash_table_iter_init (&iter, sessions->core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const ChDevice *device = value;
    if (device->conn != 0 && ch_session_is_online (sessions, device, look.now_ms))
      online++;
  }
  if (sessions->core->services->gateway != NULL)
    ch_gateway_foreach (sessions->core->services->gateway, look_at_conn, &look);
  ch_series_set (sessions->metrics.online, online);
  ch_series_set (sessions->metrics.zombies, look.zombies);
  ch_series_set (sessions->metrics.heartbeats, (double) sessions->touches);
}

static ChSeries *single (ChSessions *sessions, ChMetricKind kind, const char *name,
                         const char *help)
{
  return ch_metric_with (ch_metric_register (sessions->self, kind, name, help, NULL),
                         NULL);
}

static void register_metrics (ChSessions *s)
{
  static const char *const by_reason[] = {"reason", NULL};
  static const char *const by_place[] = {"where", NULL};

  s->metrics.online = single (s, CH_METRIC_GAUGE, "session_online_count",
                              "Devices of this server that count as on line.");
  s->metrics.heartbeats = single (s, CH_METRIC_COUNTER, "session_heartbeat_total",
                                  "Good frames of bound devices.");
  s->metrics.zombies
      = single (s, CH_METRIC_GAUGE, "session_zombie_connections",
                "Identified connections without a device after their time.");
  s->metrics.banned = single (s, CH_METRIC_COUNTER, "chargehost_device_banned_total",
                              "Binds refused because the device is banned.");
  s->metrics.offline
      = ch_metric_register (s->self, CH_METRIC_COUNTER, "session_offline_total",
                            "Sessions that ended, by reason.", by_reason);
  ChMetric *takeover = ch_metric_register (
      s->self, CH_METRIC_COUNTER, "chargehost_device_takeover_total",
      "Sessions that a newer connection took over.", by_place);
  s->metrics.takeover_local = ch_metric_with (takeover, "local", NULL);
  s->metrics.takeover_remote = ch_metric_with (takeover, "remote", NULL);
  ch_metrics_add_collector (s->self, collect, s);
}

/* ---- life ---- */

ChSessions *ch_sessions_new (ChCore *core)
{
  ChSessions *sessions = g_new0 (ChSessions, 1);
  char ulid[CH_ULID_SIZE];

  sessions->core = core;
  sessions->self = core->self;
  sessions->dirty = g_ptr_array_new ();
  sessions->again = g_hash_table_new (NULL, NULL);
  sessions->calls = g_hash_table_new_full (NULL, NULL, ch_session_call_free, NULL);
  sessions->owners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  sessions->flush.func = ch_session_kv_flush_fired;
  sessions->beat.func = ch_session_beat_fired;
  sessions->n_servers = 1;
  sessions->started_at = ch_wall_ms (core->self);
  g_snprintf (sessions->token, sizeof sessions->token, "%s-%d",
              ch_ulid (core->self, ulid), (int) getpid ());
  ch_session_read_config (sessions);
  register_metrics (sessions);
  return sessions;
}

gboolean ch_sessions_open (ChSessions *sessions, GError **error)
{
  return sessions->core->services->kv == NULL
         || ch_session_servers_open (sessions, error);
}

void ch_sessions_free (ChSessions *sessions)
{
  if (sessions == NULL)
    return;
  ChReactor *reactor = sessions->core->services->reactor;
  ch_kv_set_back (sessions->core->services->kv, NULL, NULL);
  ch_wheel_cancel (reactor, &sessions->flush);
  ch_wheel_cancel (reactor, &sessions->beat);
  g_ptr_array_unref (sessions->dirty);
  g_hash_table_unref (sessions->again);
  g_hash_table_unref (sessions->calls);
  g_hash_table_unref (sessions->owners);
  g_free (sessions);
}

void ch_sessions_release (ChSessions *sessions)
{
  GHashTableIter iter;
  gpointer value;

  if (sessions->released)
    return;
  g_hash_table_iter_init (&iter, sessions->core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    ChDevice *device = value;
    const ChSessionConn *sc = ch_session_conn (sessions, device->conn);
    if (sc != NULL)
      ch_session_kv_unbind (sessions, device, sc);
  }
  ch_session_servers_close (sessions);
  sessions->released = TRUE;
}

guint ch_sessions_connected (ChSessions *sessions)
{
  return sessions->connected;
}

/* ---- JSON ---- */

json_t *ch_session_json (ChSessions *sessions, const ChDevice *device)
{
  gint64 now_ms = ch_now_ms (sessions->self);
  const ChSessionConn *sc = ch_session_conn (sessions, device->conn);
  const char *remote_owner = ch_session_remote_owner (sessions, device->id);
  const char *server = sc != NULL ? sessions->core->services->server_id : remote_owner;
  gint64 seen_at = device->conn != 0
                       ? ch_wall_ms (sessions->self) - (now_ms - device->seen_ms)
                       : device->last_seen_at;
  json_t *s = json_object ();

  json_object_set_new (s, "phy_id", json_string (device->id));
  json_object_set_new (s, "online",
                       json_boolean (ch_session_is_online (sessions, device, now_ms)));
  json_object_set_new (s, "connected", json_boolean (device->conn != 0));
  json_object_set_new (
      s, "presence",
      json_string (ch_presence_name (ch_session_presence (device, now_ms))));
  json_object_set_new (s, "score",
                       ch_json_milli (ch_session_score (sessions, device, now_ms)));
  json_object_set_new (s, "server_id",
                       *server != '\0' ? json_string (server) : json_null ());
  json_object_set_new (s, "protocol", json_string (device->protocol));
  json_object_set_new (s, "conn_id",
                       sc != NULL ? json_string (sc->conn_id) : json_null ());
  json_object_set_new (s, "remote", sc != NULL ? json_string (sc->remote) : json_null ());
  json_object_set_new (s, "connected_at",
                       ch_json_time (device->conn != 0 ? device->connected_at : 0));
  json_object_set_new (s, "last_seen_at", ch_json_time (seen_at));
  return s;
}

json_t *ch_core_session_json (ChPlugin *self, const char *device)
{
  ChCore *core = self->services->core;
  const ChDevice *record = g_hash_table_lookup (core->devices, device);
  return record != NULL ? ch_session_json (core->sessions, record) : NULL;
}
