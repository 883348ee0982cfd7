/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Heartbeat: answered at once with the time; tells who the gateway is (bkv 6). */
#include "proto-bkv/bkv.h"
#include <string.h>

static void answer (BkvSession *session, const BkvFrame *frame)
{
  Bkv *bkv = session->bkv;
  BkvFrame reply;

  bkv_init (&reply, BKV_HEARTBEAT_ACK, frame->gateway, frame->msg_id);
  bkv_time_to_bcd (ch_wall_ms (bkv->self), bkv->settings.utc_offset_min,
                   reply.heartbeat_ack.time);
  bkv_send (bkv, session->conn, &reply, CH_WRITE_REPLY);
}

static gboolean is_printable (const char *text)
{
  for (; *text != 0; text++)
    if (*text < 0x20 || *text > 0x7E)
      return FALSE;
  return TRUE;
}

/* FNV-1a, of SIM card and firmware: what the core has been told. */
static guint64 identity_of (const BkvHeartbeat *heartbeat)
{
  const char *const texts[] = {heartbeat->iccid, heartbeat->fw};
  guint64 hash = G_GUINT64_CONSTANT (14695981039346656037);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    for (gsize k = 0; k == 0 || texts[i][k - 1] != 0; k++)
      hash = (hash ^ (guint8) texts[i][k]) * G_GUINT64_CONSTANT (1099511628211);
  return hash;
}

static void state_identity (BkvSession *session, BkvGateway *g,
                            const BkvHeartbeat *heartbeat)
{
  gint sockets[256];
  gsize n = bkv_gateway_sockets (g, sockets, G_N_ELEMENTS (sockets));
  ChRegistered fact = {.model = "bkv-gateway", .port_count = 2 * (gint64) n};

  if (strlen (heartbeat->iccid) == 20 && is_printable (heartbeat->iccid))
    fact.iccid = heartbeat->iccid;
  if (*heartbeat->fw != 0 && is_printable (heartbeat->fw))
    fact.firmware = heartbeat->fw;
  ch_device_registered (session->bkv->self, session->conn, g->id, &fact);
}

/* A device that reconnects does not necessarily report by itself: it is asked. */
static void greet (BkvGateway *g)
{
  Bkv *bkv = g->bkv;
  gint sockets[256];
  gsize n = bkv_gateway_sockets (g, sockets, G_N_ELEMENTS (sockets));
  gint first;

  if (bkv->settings.refresh_on_connect
      && ch_device_sockets (bkv->self, g->id, &first, 1) > 0)
    ch_command_request (bkv->self, g->id, CH_COMMAND_NETWORK_REFRESH, 0, -1, 3, NULL);
  for (gsize i = 0; i < n; i++)
    bkv_ask (g, (guint) sockets[i], 2);
}

gboolean bkv_on_heartbeat (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvHeartbeat *heartbeat = &frame->heartbeat;
  ChHeartbeat fact = {.temp_dc = CH_UNSET, .rssi_dbm = CH_UNSET, .voltage_mv = CH_UNSET};
  gboolean first = !g->greeted;

  answer (session, frame);
  g->greeted = TRUE;
  if (frame->error == BKV_OK) {
    fact.rssi_dbm = bkv_signal_dbm (heartbeat->signal);
    guint64 identity = identity_of (heartbeat);
    if (first || identity != g->identity) {
      g->identity = identity;
      state_identity (session, g, heartbeat);
    }
  }
  ch_device_heartbeat (session->bkv->self, session->conn, g->id, &fact);
  if (first)
    greet (g);
  return TRUE;
}
