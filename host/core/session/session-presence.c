/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Liveness, presence and its events, the weighted score (gateway 3.5). */
#include "core/fact/facts.h"
#include "core/order/order.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

static ChReactor *reactor_of (ChSessions *sessions)
{
  return sessions->core->services->reactor;
}

void ch_session_read_config (ChSessions *sessions)
{
  ChPlugin *self = sessions->self;
  sessions->config.heartbeat_timeout_ms
      = ch_config_int (self, "sessions.heartbeat_timeout_s") * 1000;
  sessions->config.min_timeout_ms = ch_config_int (self, "sessions.min_timeout_s") * 1000;
  sessions->config.grace_ms = ch_config_int (self, "sessions.offline_grace_s") * 1000;
  sessions->config.flush_ms = ch_config_int (self, "sessions.redis_flush_s") * 1000;
  sessions->config.last_seen_ms
      = ch_config_int (self, "sessions.last_seen_flush_s") * 1000;
  sessions->config.weighted = ch_config_bool (self, "sessions.weighted.enabled");
  sessions->config.tcp_window_ms
      = ch_config_int (self, "sessions.weighted.tcp_down_window_s") * 1000;
  sessions->config.ack_window_ms
      = ch_config_int (self, "sessions.weighted.ack_window_s") * 1000;
  sessions->config.tcp_penalty
      = (gint) (ch_config_double (self, "sessions.weighted.tcp_down_penalty") * 1000
                + 0.5);
  sessions->config.ack_penalty
      = (gint) (ch_config_double (self, "sessions.weighted.ack_timeout_penalty") * 1000
                + 0.5);
  sessions->config.threshold
      = (gint) (ch_config_double (self, "sessions.weighted.threshold") * 1000 + 0.5);
}

gint64 ch_session_timeout_of (gint64 fixed_ms, gint64 min_ms, guint32 offline_after_s,
                              guint32 heartbeat_s)
{
  if (fixed_ms > 0)
    return fixed_ms;
  gint64 declared_s
      = offline_after_s > 0 ? offline_after_s : ((gint64) heartbeat_s * 5 + 1) / 2;
  return MAX (min_ms, declared_s * 1000);
}

gint64 ch_session_timeout_ms (ChSessions *sessions, const ChDevice *device)
{
  const ChProtocolProperties *props = device->props;
  return ch_session_timeout_of (sessions->config.heartbeat_timeout_ms,
                                sessions->config.min_timeout_ms,
                                props != NULL ? props->offline_after_s : 0,
                                props != NULL ? props->heartbeat_s : 60);
}

static gint64 grace_ms (ChSessions *sessions, const ChDevice *device)
{
  return device->props != NULL ? (gint64) device->props->offline_grace_s * 1000
                               : sessions->config.grace_ms;
}

/* ---- what is computed ---- */

ChPresence ch_session_presence (const ChDevice *device, gint64 now_ms)
{
  ChSessions *sessions = device->core->sessions;

  if (device->conn == 0)
    return (ChPresence) device->presence; /* unstable until the grace time is over */
  if (now_ms - device->seen_ms > ch_session_timeout_ms (sessions, device))
    return CH_PRESENCE_OFFLINE;
  gboolean unsure = device->ack_timeout_ms != 0
                    && now_ms - device->ack_timeout_ms <= sessions->config.ack_window_ms;
  return unsure ? CH_PRESENCE_UNSTABLE : CH_PRESENCE_ONLINE;
}

gint ch_session_score_of (const ChSessionPolicy *policy, gint64 now_ms, gint64 seen_ms,
                          gint64 down_ms, gint64 ack_timeout_ms, gboolean connected)
{
  gint score = seen_ms != 0 && now_ms - seen_ms <= policy->timeout_ms ? 1000 : 0;

  /* While nothing is bound the drop is not forgotten. One that came back is worth less
   * for a while, but the drop alone does not make it absent. */
  if (down_ms != 0 && !connected)
    score -= policy->tcp_penalty;
  else if (down_ms != 0 && now_ms - down_ms <= policy->tcp_window_ms)
    score -= MIN (policy->tcp_penalty, 1000 - policy->threshold);
  if (ack_timeout_ms != 0 && now_ms - ack_timeout_ms <= policy->ack_window_ms)
    score -= policy->ack_penalty;
  return score;
}

gint ch_session_score (ChSessions *sessions, const ChDevice *device, gint64 now_ms)
{
  const ChSessionPolicy policy = {
      .timeout_ms = ch_session_timeout_ms (sessions, device),
      .tcp_window_ms = sessions->config.tcp_window_ms,
      .ack_window_ms = sessions->config.ack_window_ms,
      .tcp_penalty = sessions->config.tcp_penalty,
      .ack_penalty = sessions->config.ack_penalty,
      .threshold = sessions->config.threshold,
  };
  return ch_session_score_of (&policy, now_ms, device->seen_ms, device->dropped_ms,
                              device->ack_timeout_ms, device->conn != 0);
}

gboolean ch_session_is_online (ChSessions *sessions, const ChDevice *device,
                               gint64 now_ms)
{
  if (!sessions->config.weighted)
    return ch_session_presence (device, now_ms) != CH_PRESENCE_OFFLINE;
  return ch_session_score (sessions, device, now_ms) >= sessions->config.threshold;
}

/* ---- events ---- */

static void init_event (ChSessions *sessions, const ChDevice *device, ChEvent *event)
{
  event->time_ms = ch_wall_ms (sessions->self);
  event->socket_no = event->port_no = -1;
  g_strlcpy (event->device, device->id, sizeof event->device);
}

static void publish_online (ChSessions *sessions, const ChDevice *device,
                            const char *remote, gint64 absent_s)
{
  ChTopicHandle *topic = sessions->core->topics.device_online;
  ChDeviceOnlineEvent event = {0};

  if (topic == NULL || !ch_topic_is_heard (topic))
    return;
  init_event (sessions, device, &event.event);
  g_strlcpy (event.protocol, device->protocol, sizeof event.protocol);
  g_strlcpy (event.remote, remote, sizeof event.remote);
  g_strlcpy (event.server_id, sessions->core->services->server_id,
             sizeof event.server_id);
  event.connected_at = device->connected_at;
  event.offline_seconds = absent_s;
  ch_publish (topic, &event.event);
}

/* JSON array of the device's active orders. */
static char *orders_json (const ChDevice *device)
{
  g_autoptr (json_t) list = json_array ();
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++)
    json_array_append_new (
        list,
        json_string (((ChOrder *) g_ptr_array_index (device->orders, i))->d.order_no));
  return ch_json_dump (list);
}

static void publish_offline (ChSessions *sessions, const ChDevice *device)
{
  ChTopicHandle *topic = sessions->core->topics.device_offline;

  if (topic == NULL || !ch_topic_is_heard (topic))
    return;
  g_autofree char *orders = orders_json (device);
  gsize size = strlen (orders);
  g_autofree ChDeviceOfflineEvent *event = g_malloc0 (sizeof *event + size);
  init_event (sessions, device, &event->event);
  event->event.blob_size = (guint32) size;
  event->last_seen_at = device->last_seen_at;
  g_strlcpy (event->reason, ch_close_reason_name ((ChCloseReason) device->offline_reason),
             sizeof event->reason);
  memcpy (event + 1, orders, size);
  ch_publish (topic, &event->event);
}

/* ---- timers ---- */

static void silence (ChSessions *sessions, ChDevice *device)
{
  ChConn conn = device->conn;
  gboolean closes = device->props->silence_closes;

  ch_log (sessions->self, CH_LOG_INFO, CH_LOG_FIELDS ("device", device->id),
          "device %s is silent", device->id);
  ch_session_end (sessions, device, CH_CLOSE_HEARTBEAT, !closes);
  if (closes)
    ch_conn_close (sessions->self, conn, CH_CLOSE_HEARTBEAT);
}

static void gone (ChSessions *sessions, ChDevice *device)
{
  if (device->presence == CH_PRESENCE_OFFLINE)
    return;
  device->presence = CH_PRESENCE_OFFLINE;
  publish_offline (sessions, device);
}

static void liveness_fired (ChWheelTimer *timer)
{
  ChDevice *device = (ChDevice *) ((char *) timer - G_STRUCT_OFFSET (ChDevice, liveness));
  ChSessions *sessions = device->core->sessions;

  if (device->conn == 0) {
    gone (sessions, device);
    return;
  }
  gint64 quiet_ms = ch_now_ms (sessions->self) - device->seen_ms;
  gint64 timeout_ms = ch_session_timeout_ms (sessions, device);
  if (quiet_ms > timeout_ms)
    silence (sessions, device);
  else
    ch_wheel_arm (reactor_of (sessions), timer, (guint64) (timeout_ms - quiet_ms + 1));
}

void ch_session_bound (ChSessions *sessions, ChDevice *device, const char *remote,
                       gint64 absent_s)
{
  gboolean was_offline = device->presence == CH_PRESENCE_OFFLINE;

  device->presence = CH_PRESENCE_ONLINE;
  device->liveness.func = liveness_fired;
  ch_wheel_arm (reactor_of (sessions), &device->liveness,
                (guint64) ch_session_timeout_ms (sessions, device) + 1);
  if (was_offline)
    publish_online (sessions, device, remote, absent_s);
}

void ch_session_lost (ChSessions *sessions, ChDevice *device)
{
  gint64 grace = grace_ms (sessions, device);

  if (grace == 0 || device->offline_reason == CH_CLOSE_HEARTBEAT) {
    ch_wheel_cancel (reactor_of (sessions), &device->liveness);
    gone (sessions, device);
    return;
  }
  device->presence = CH_PRESENCE_UNSTABLE;
  device->liveness.func = liveness_fired;
  ch_wheel_arm (reactor_of (sessions), &device->liveness, (guint64) grace);
}

void ch_session_ack_timeout (ChSessions *sessions, ChDevice *device)
{
  device->ack_timeout_ms = ch_now_ms (sessions->self);
  if (device->conn != 0)
    ch_session_kv_dirty (sessions, device);
}

/* ---- good frames ---- */

/* Once per device and sessions.redis_flush_s. */
static void note_seen (ChSessions *sessions, ChDevice *device, gint64 now_ms)
{
  device->last_seen_at = MAX (device->last_seen_at, ch_wall_ms (sessions->self));
  ch_session_kv_dirty (sessions, device);
  if (now_ms - device->seen_marked_ms >= sessions->config.last_seen_ms) {
    device->seen_marked_ms = now_ms;
    ch_device_seen_dirty (device);
  }
}

gboolean ch_session_touch (ChSessions *sessions, ChDevice *device, ChConn conn)
{
  const char *reason;

  if (G_UNLIKELY (device->conn != conn || conn == 0)) {
    if (device->conn != 0 || conn == 0 || device->silent_conn != conn)
      return FALSE;
    return ch_session_bind (sessions, device, conn, &reason);
  }
  gint64 now_ms = ch_now_ms (sessions->self);
  device->seen_ms = now_ms;
  sessions->touches++;
  if (G_UNLIKELY (now_ms - device->touched_ms >= sessions->config.flush_ms))
    note_seen (sessions, device, now_ms);
  return TRUE;
}
