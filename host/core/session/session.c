/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bind, unbind, take-over. Everything goes by the handle of the connection, never by the
 * device's id alone: the close of an old connection cannot harm a newer session.
 */
#include "core/fact/facts.h"
#include "core/order/order-home.h"
#include "core/order/orders.h"
#include "core/outbound/outbound.h"
#include "core/session/session-private.h"
#include "core/session/trace.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>
#include <chargehost/log.h>
#include <chargehost/slab.h>

#include <string.h>

static ChGateway *gateway_of (ChSessions *sessions)
{
  return sessions->core->services->gateway;
}

/* ---- what a connection carries ---- */

ChSessionConn *ch_session_conn (ChSessions *sessions, ChConn conn)
{
  return conn != 0 ? ch_gateway_core_data (gateway_of (sessions), conn) : NULL;
}

static ChSessionConn *ensure_conn (ChSessions *sessions, const ChConnInfo *info)
{
  ChSessionConn *sc = ch_session_conn (sessions, info->conn);
  if (sc != NULL)
    return sc;
  sc = ch_slab_new0 (sessions->self, ChSessionConn);
  sc->conn = info->conn;
  sc->conn_id = info->conn_id;
  sc->remote = info->remote;
  sc->room = 1;
  ch_gateway_set_core_data (gateway_of (sessions), info->conn, sc);
  return sc;
}

static void conn_free (ChSessions *sessions, ChSessionConn *sc)
{
  if (sc->room > 1)
    g_free (sc->many);
  ch_device_set_text (sessions->core, &sc->iccid, NULL);
  ch_slab_free (sessions->self, sc, sizeof *sc);
}

static void join_conn (ChDevice *device, ChSessionConn *sc)
{
  if (sc->n_devices == sc->room) {
    ChDevice **larger = g_new (ChDevice *, 2 * sc->room);
    memcpy (larger, ch_session_devices (sc), sc->n_devices * sizeof *larger);
    if (sc->room > 1)
      g_free (sc->many);
    sc->many = larger;
    sc->room *= 2;
  }
  ch_session_devices (sc)[sc->n_devices++] = device;
}

static void leave_conn (ChSessions *sessions, ChDevice *device, ChSessionConn *sc)
{
  if (sc == NULL)
    return;
  ChDevice **devices = ch_session_devices (sc);
  for (guint i = 0; i < sc->n_devices; i++)
    if (devices[i] == device) {
      devices[i] = devices[--sc->n_devices];
      break;
    }
  if (sc->n_devices == 0)
    ch_gateway_set_bound (gateway_of (sessions), sc->conn, FALSE);
}

ChDevice *const *ch_session_conn_devices (gpointer core_data, guint *n_devices)
{
  const ChSessionConn *sc = core_data;
  *n_devices = sc != NULL ? sc->n_devices : 0;
  return sc != NULL ? ch_session_devices (sc) : NULL;
}

/* ---- take-over ---- */

ChContest *ch_session_contest (ChDevice *device)
{
  if (device->contest == NULL)
    device->contest = ch_slab_new0 (device->core->self, ChContest);
  return device->contest;
}

static gboolean closes_old (const ChSessionConn *old, const ChSessionConn *fresh,
                            const ChProtocolProperties *props)
{
  if (old->n_devices == 0 || props->takeover_closes == CH_CLOSES_ALWAYS)
    return TRUE;
  return old->iccid != NULL && g_strcmp0 (old->iccid, fresh->iccid) == 0;
}

/* The newest connection wins (TCP-40); what was in flight on the old one is judged first.
 */
static void leave_old (ChSessions *sessions, ChDevice *device, const ChSessionConn *fresh,
                       const ChProtocolProperties *props)
{
  ChConn conn = device->conn;
  ChSessionConn *old = ch_session_conn (sessions, conn);

  ch_series_inc (sessions->metrics.takeover_local);
  ch_facts_resume (device); /* the old one may carry other devices */
  device->conn = 0;
  ch_session_contest (device)->took_from = conn;
  device->dropped_ms = ch_now_ms (sessions->self);
  sessions->connected--;
  ch_outbound_device_lost (sessions->core->outbound, device, conn);
  if (old == NULL)
    return;
  leave_conn (sessions, device, old);
  ch_session_kv_unbind (sessions, device, old);
  ch_log (sessions->self, CH_LOG_INFO,
          CH_LOG_FIELDS ("device", device->id, "remote", fresh->remote),
          "device %s moved here from %s", device->id, old->remote);
  if (closes_old (old, fresh, props))
    ch_conn_close (sessions->self, conn, CH_CLOSE_TAKEOVER);
}

/* ---- bind ---- */

/* Seconds without a session, for device.online. */
static gint64 absence_s (ChSessions *sessions, const ChDevice *device)
{
  if (device->down_ms != 0)
    return (ch_now_ms (sessions->self) - device->down_ms) / 1000;
  if (device->conn != 0 || device->last_seen_at == 0)
    return 0;
  return MAX (ch_wall_ms (sessions->self) - device->last_seen_at, 0) / 1000;
}

static void set_session (ChSessions *sessions, ChDevice *device, const ChConnInfo *info,
                         const ChProtocolProperties *props)
{
  device->driver = info->plugin;
  device->proto = info->protocol;
  device->props = props;
  device->protocol = g_intern_string (info->protocol->name);
  device->conn = info->conn;
  device->silent_conn = 0;
  g_clear_pointer (&device->elsewhere, g_free);
  g_hash_table_remove (sessions->owners, device->id);
  device->generation++;
  device->connected_at = ch_wall_ms (sessions->self);
  device->seen_ms = device->touched_ms = ch_now_ms (sessions->self);
  device->down_ms = 0;
  device->last_seen_at = MAX (device->last_seen_at, device->connected_at);
  for (guint i = 0; i < device->n_ports; i++)
    device->ports[i].snapshot_ms = 0;
  ch_traces_bound (sessions->core, device);
}

gboolean ch_session_bind (ChSessions *sessions, ChDevice *device, ChConn conn,
                          const char **reason)
{
  ChConnInfo info;

  *reason = NULL;
  if (device->conn == conn && conn != 0)
    return TRUE;
  if (!ch_gateway_conn_info (gateway_of (sessions), conn, &info)
      || info.protocol == NULL) {
    *reason = "connection_gone";
    return FALSE;
  }
  *reason = ch_session_refusal (sessions, device, conn, info.remote);
  if (*reason != NULL)
    return FALSE;
  const ChProtocolProperties *props
      = ch_gateway_properties (gateway_of (sessions), info.protocol);
  ChSessionConn *sc = ensure_conn (sessions, &info);
  gint64 absent_s = absence_s (sessions, device);
  if (device->contest != NULL)
    device->contest->took_from = 0;
  if (device->conn != 0)
    leave_old (sessions, device, sc, props);

  set_session (sessions, device, &info, props);
  join_conn (device, sc);
  sessions->connected++;
  if (sc->n_devices == 1)
    ch_gateway_set_bound (gateway_of (sessions), conn, TRUE);
  device->session_known = CH_SESSION_NEW;
  ch_session_kv_bind (sessions, device);
  ch_session_bound (sessions, device, info.remote, absent_s);
  if (sc->n_devices == 2 && !props->multi_device)
    ch_core_alarm (sessions->core, device->id, -1, -1, "several_devices",
                   CH_ALARM_WARNING, TRUE, "Several devices on one connection",
                   info.remote, NULL);
  ch_outbound_device_bound (sessions->core->outbound, device);
  ch_home_bound (device);
  return TRUE;
}

/* ---- the end ---- */

void ch_session_end (ChSessions *sessions, ChDevice *device, ChCloseReason reason,
                     gboolean silent)
{
  ChConn conn = device->conn;
  ChSessionConn *sc = ch_session_conn (sessions, conn);

  ch_facts_resume (device); /* the connection may stay */
  device->conn = 0;
  device->silent_conn = silent ? conn : 0;
  device->driver = NULL;
  device->down_ms = device->dropped_ms = ch_now_ms (sessions->self);
  device->last_seen_at
      = MAX (device->last_seen_at,
             ch_wall_ms (sessions->self) - (device->down_ms - device->seen_ms));
  device->offline_reason = (guint8) reason;
  sessions->connected--;
  leave_conn (sessions, device, sc);
  if (sc != NULL)
    ch_session_kv_unbind (sessions, device, sc);
  ch_series_inc (
      ch_metric_with (sessions->metrics.offline, ch_close_reason_name (reason), NULL));
  ch_outbound_device_lost (sessions->core->outbound, device, conn);
  if (device->elsewhere != NULL) { /* another instance has it: nothing was lost */
    ch_wheel_cancel (sessions->core->services->reactor, &device->liveness);
    ch_home_left (device);
    return;
  }
  ch_session_tell (sessions, "lost", sessions->core->services->server_id, device->id);
  ch_device_session_lost (device);
  ch_orders_device_lost (sessions->core->orders, device);
  ch_session_lost (sessions, device);
}

void ch_session_unbind (ChSessions *sessions, ChDevice *device, ChConn conn,
                        ChCloseReason reason)
{
  if (conn == 0 || device->conn != conn)
    return;
  ch_session_end (sessions, device, reason, FALSE);
}

void ch_session_conn_closed (ChSessions *sessions, ChConn conn, gpointer core_data,
                             ChCloseReason reason)
{
  ChSessionConn *sc = core_data;

  if (sc == NULL)
    return;
  while (sc->n_devices > 0) {
    ChDevice *device = ch_session_devices (sc)[sc->n_devices - 1];
    if (device->conn == conn)
      ch_session_end (sessions, device, reason, FALSE);
    else
      sc->n_devices--;
  }
  ch_gateway_set_core_data (gateway_of (sessions), conn, NULL);
  conn_free (sessions, sc);
}

void ch_session_conn_writable (ChSessions *sessions, ChConn conn, gpointer core_data)
{
  ChSessionConn *sc = core_data;
  for (guint i = 0; sc != NULL && i < sc->n_devices; i++)
    ch_outbound_writable (sessions->core->outbound, ch_session_devices (sc)[i]);
}

void ch_session_conn_alarm (ChSessions *sessions, ChConn conn, gpointer core_data,
                            const char *code, const char *message)
{
  const ChSessionConn *sc = core_data;

  for (guint i = 0; sc != NULL && i < sc->n_devices; i++) {
    const ChDevice *device = ch_session_devices (sc)[i];
    ch_core_alarm (sessions->core, device->id, -1, -1, code, CH_ALARM_WARNING, TRUE,
                   message, sc->remote, NULL);
  }
}

/* ---- SIM cards ---- */

/* The same modem dialled again: the rest of its devices are on a dead connection. */
static void close_dead_twin (ChSessions *sessions, const ChSessionConn *sc,
                             const ChDevice *device)
{
  ChSessionConn *old = device->contest != NULL
                           ? ch_session_conn (sessions, device->contest->took_from)
                           : NULL;

  if (old != NULL && old != sc && old->iccid != NULL
      && g_strcmp0 (old->iccid, sc->iccid) == 0)
    ch_conn_close (sessions->self, old->conn, CH_CLOSE_TAKEOVER);
}

gboolean ch_session_identity (ChSessions *sessions, ChDevice *device, ChConn conn,
                              const char *iccid)
{
  ChSessionConn *sc = ch_session_conn (sessions, conn);

  if (sc == NULL || device->conn != conn || iccid == NULL || iccid[0] == '\0')
    return TRUE;
  ch_device_set_text (sessions->core, &sc->iccid, iccid);
  close_dead_twin (sessions, sc, device);
  const char *policy = ch_config_string (sessions->self, "devices.bind_policy");
  if (g_strcmp0 (policy, "same_iccid") != 0 || device->iccid == NULL
      || g_str_equal (device->iccid, iccid))
    return TRUE;
  ch_core_alarm (sessions->core, device->id, -1, -1, "duplicate_identity", CH_ALARM_MAJOR,
                 TRUE, "A device presents another SIM card than is stored", sc->remote,
                 NULL);
  ch_conn_close (sessions->self, conn, CH_CLOSE_REFUSED);
  ch_session_unbind (sessions, device, conn, CH_CLOSE_REFUSED);
  return FALSE;
}

void ch_session_forget (ChSessions *sessions, ChDevice *device)
{
  if (device->conn != 0) {
    ChConn conn = device->conn;
    ch_session_end (sessions, device, CH_CLOSE_KICK, FALSE);
    ch_conn_close (sessions->self, conn, CH_CLOSE_KICK);
  }
  ch_wheel_cancel (sessions->core->services->reactor, &device->liveness);
  g_ptr_array_remove_fast (sessions->dirty, device);
  g_hash_table_remove (sessions->again, device);
}
