/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may bind: white list, flapping (gateway 2.11), take-over limits (TCP-42, TCP-43).
 */
#include "core/device/bans.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/log.h>

#define DELAY_MS 5000
#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))

static gboolean is_listed (ChSessions *sessions, const char *id)
{
  const char *const *list = ch_config_list (sessions->self, "gateway.device_whitelist");
  return list == NULL || list[0] == NULL || g_strv_contains (list, id);
}

/* Counts binds; a device that comes too often is banned before any take-over. */
static gboolean flaps (ChSessions *sessions, ChDevice *device, gint64 now_ms)
{
  ChPlugin *self = sessions->self;

  if (!ch_config_bool (self, "tcp.flapping.enabled"))
    return FALSE;
  if (now_ms - device->flap_window_ms
          >= ch_config_duration_ms (self, "tcp.flapping.window")
      || device->flaps == 0) {
    device->flap_window_ms = now_ms;
    device->flaps = 0;
  }
  device->flaps++;
  if (device->flaps <= ch_config_int (self, "tcp.flapping.max_count"))
    return FALSE;
  gint64 ban_ms = ch_config_duration_ms (self, "tcp.flapping.ban");
  ch_bans_put_device (sessions->core->bans, device->id, "flapping", ban_ms);
  device->flaps = 0;
  ch_log (self, CH_LOG_WARNING, CH_LOG_FIELDS ("device", device->id),
          "device %s connects again and again: refused for %" G_GINT64_FORMAT " s",
          device->id, ban_ms / 1000);
  return TRUE;
}

static void raise_duplicate (ChSessions *sessions, ChDevice *device, const char *remote)
{
  const ChSessionConn *old = ch_session_conn (sessions, device->conn);
  json_t *addresses = json_array ();
  json_array_append_new (addresses, json_string (old != NULL ? old->remote : ""));
  json_array_append_new (addresses, json_string (remote));
  json_t *metadata = json_object ();
  json_object_set_new (metadata, "addresses", addresses);
  ch_core_alarm (sessions->core, device->id, -1, -1, "duplicate_identity", CH_ALARM_MAJOR,
                 TRUE, "Two devices use one identity", NULL, metadata);
  json_decref (metadata);
}

static gboolean too_many (ChContest *contest, const ChProtocolProperties *props,
                          gint64 now_ms)
{
  gint64 window_ms = (gint64) props->takeover_window_s * 1000;

  if (props->takeover_limit == 0)
    return FALSE;
  if (contest->takeovers == 0 || now_ms - contest->window_ms >= window_ms) {
    contest->window_ms = now_ms;
    contest->takeovers = 0;
  }
  return ++contest->takeovers > props->takeover_limit;
}

/* A take-over is asked for while the older session is alive. */
static const char *ping_pong (ChSessions *sessions, ChDevice *device, const char *remote,
                              const ChProtocolProperties *props, gint64 now_ms)
{
  ChContest *contest = ch_session_contest (device);

  if (now_ms < contest->refused_until_ms)
    return "duplicate_identity";
  gboolean waited
      = contest->refused_until_ms != 0 && now_ms - contest->refused_until_ms < DELAY_MS;
  contest->refused_until_ms = 0;
  if (!too_many (contest, props, now_ms))
    return NULL;
  switch (props->takeover_action) {
  case CH_TAKEOVER_ALARM:
    if (contest->alarm_ms == 0 || now_ms - contest->alarm_ms >= DAY_MS) {
      contest->alarm_ms = now_ms;
      raise_duplicate (sessions, device, remote);
    }
    return NULL;
  case CH_TAKEOVER_DELAY: /* the newest wins, but it has to wait */
    if (waited)
      return NULL;
    contest->refused_until_ms = now_ms + DELAY_MS;
    return "duplicate_identity";
  default:
    contest->refused_until_ms = now_ms + (gint64) props->takeover_window_s * 1000;
    contest->takeovers = 0;
    raise_duplicate (sessions, device, remote);
    return "duplicate_identity";
  }
}

const char *ch_session_refusal (ChSessions *sessions, ChDevice *device, ChConn conn,
                                const char *remote)
{
  gint64 now_ms = ch_now_ms (sessions->self);
  ChGateway *gateway = sessions->core->services->gateway;
  ChConnInfo info;

  if (!ch_gateway_conn_info (gateway, conn, &info))
    return "connection_gone";
  const ChProtocolProperties *props = ch_gateway_properties (gateway, info.protocol);
  if (!is_listed (sessions, device->id))
    return "not_listed";
  if (device->enrolment == CH_ENROLMENT_BLOCKED)
    return "blocked";
  if (ch_bans_has_device (sessions->core->bans, device->id)) {
    ch_series_inc (sessions->metrics.banned);
    return "banned";
  }
  if (device->conn != 0) {
    if (g_strcmp0 (ch_config_string (sessions->self, "devices.bind_policy"), "oldest")
        == 0)
      return "bound_elsewhere";
    const char *reason = ping_pong (sessions, device, remote, props, now_ms);
    if (reason != NULL)
      return reason;
  } else if (device->contest != NULL) {
    device->contest->refused_until_ms = 0;
  }
  if (props->flapping_ban && flaps (sessions, device, now_ms)) {
    ch_series_inc (sessions->metrics.banned);
    return "banned";
  }
  return NULL;
}

void ch_session_cut (ChSessions *sessions, ChDevice *device)
{
  ChGateway *gateway = sessions->core->services->gateway;
  ChConn conn = device->conn;
  guint n = 0;

  if (conn == 0)
    return;
  ch_session_conn_devices (ch_gateway_core_data (gateway, conn), &n);
  if (n <= 1 || ch_device_props (device)->refuse_closes == CH_CLOSES_ALWAYS)
    ch_conn_close (sessions->self, conn, CH_CLOSE_REFUSED);
  ch_session_unbind (sessions, device, conn, CH_CLOSE_REFUSED);
}
