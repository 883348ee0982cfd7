/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection: which gateways speak on it, which frame goes to which handler, what is
 * logged and counted on the way.
 */
#include "proto-bkv/bkv.h"
#include <string.h>

#define LOG_GAP_MS 60000 /* between two lines about bad frames of a connection */

/* The one table of what a gateway may say: (command, tag) is the kind (bkv 4.5). */
static const BkvHandler handlers[BKV_KIND_N] = {
    [BKV_HEARTBEAT] = bkv_on_heartbeat,
    [BKV_STATUS_REPORT] = bkv_on_status_report,
    [BKV_SOCKET_STATE] = bkv_on_socket_state,
    [BKV_CONTROL_ACK] = bkv_on_control_ack,
    [BKV_POWER_START_ACK] = bkv_on_control_ack,
    [BKV_FEE_START_ACK] = bkv_on_fee_start_ack,
    [BKV_CHARGE_END] = bkv_on_end,
    [BKV_POWER_CHARGE_END] = bkv_on_end,
    [BKV_CARD_CHARGE_END] = bkv_on_end,
    [BKV_FEE_CHARGE_END] = bkv_on_fee_end,
    [BKV_NET_REFRESH_ACK] = bkv_on_net_ack,
    [BKV_NET_ADD_ACK] = bkv_on_net_ack,
    [BKV_NET_DELETE_ACK] = bkv_on_net_ack,
    [BKV_EVENT_REPORT] = bkv_on_event_report,
    [BKV_EVENT_RECORD] = bkv_on_event_record,
};

/* ---- logging ---------------------------------------------------------------------- */

/* Where a card number stands in a payload: 6 bytes, of which all but 4 digits are hidden.
 */
static gsize card_offset (const BkvFrame *frame)
{
  if (frame->cmd != 0x0015 || !frame->has_sub)
    return 0;
  switch (frame->sub) {
  case 0x0B:
    return frame->up ? 3 + 5 : 0;
  case 0x0C:
    return frame->up ? 3 + 17 : 0;
  case 0x1A:
    return 3 + 2;
  default:
    return 0;
  }
}

static void log_frame (Bkv *bkv, ChConn conn, const char *id, const BkvFrame *frame,
                       const guint8 *payload, gsize size, gboolean success)
{
  gsize card = card_offset (frame);
  gsize hidden = card > 0 && card < size ? MIN (size - card, 4) : 0;
  guint8 masked[BKV_MAX_FRAME];
  ChFrameLog log = {.msg_id = frame->msg_id,
                    .cmd = frame->cmd,
                    .up = frame->up,
                    .success = success,
                    .is_heartbeat = frame->cmd == 0x0000,
                    .payload = payload,
                    .payload_size = size};

  if (hidden > 0) {
    memcpy (masked, payload, size);
    memset (masked + card, '*', hidden);
    log.payload = masked;
  }
  ch_frame_log (bkv->self, conn, id, &log);
  if (G_UNLIKELY (ch_log_level_max >= CH_LOG_DEBUG)) {
    g_autofree char *hex = g_malloc (2 * size + 1);

    bkv_hex (payload, size, hex);
    if (hidden > 0)
      memset (hex + 2 * card, '*', 2 * hidden);
    ch_log (bkv->self, CH_LOG_DEBUG, CH_LOG_FIELDS ("device", id), "%s %s msg %08X %s",
            frame->up ? "up" : "down", bkv_kind_name (frame->kind), frame->msg_id, hex);
  }
}

gboolean bkv_send (Bkv *bkv, ChConn conn, const BkvFrame *frame, ChWriteKind kind)
{
  guint8 out[BKV_MAX_FRAME];
  gsize n = bkv_encode (frame, out, sizeof out);

  if (n == 0 || !ch_conn_write (bkv->self, conn, out, n, kind))
    return FALSE;
  log_frame (bkv, conn, frame->gateway_id, frame, out + 18, n - 21, TRUE);
  return TRUE;
}

static void count_bad (BkvSession *session, const BkvFrame *frame, BkvBad bad)
{
  Bkv *bkv = session->bkv;
  gint64 now = ch_now_ms (bkv->self);

  ch_series_inc (bkv->metrics.bad[bad]);
  if (bad != BKV_UNKNOWN_COMMAND)
    ch_conn_bad_frame (bkv->self, session->conn, bkv_bad_name (bad));
  if (session->warned_ms != 0 && now - session->warned_ms < LOG_GAP_MS)
    return;
  session->warned_ms = now;
  ch_log (bkv->self, CH_LOG_WARNING, CH_LOG_FIELDS ("device", frame->gateway_id),
          "%s: command %04X, sub %02X, inner %04X, %" G_GSIZE_FORMAT " bytes of payload",
          bkv_bad_name (bad), frame->cmd, frame->sub, frame->bkv_cmd,
          frame->payload_size);
}

/* ---- binding ---------------------------------------------------------------------- */

static void second_id (BkvSession *session, BkvGateway *gateway)
{
  Bkv *bkv = session->bkv;
  g_autoptr (json_t) metadata = NULL;
  ChAlarm alarm = {.socket_no = -1,
                   .port_no = -1,
                   .code = "gateway_id_changed",
                   .title = "Another gateway id on one connection",
                   .level = CH_ALARM_WARNING};

  ch_series_inc (bkv->metrics.quirk[BKV_QUIRK_GATEWAY_ID_CHANGED]);
  if (session->id_alarm)
    return;
  session->id_alarm = TRUE;
  metadata
      = json_pack ("{s:s, s:s}", "first_id", session->gateways[0]->id, "id", gateway->id);
  alarm.metadata = metadata;
  ch_alarm_raised (bkv->self, session->conn, gateway->id, &alarm);
}

static BkvGateway *find_bound (const BkvSession *session, const BkvFrame *frame)
{
  for (guint i = 0; i < session->n_gateways; i++)
    if (memcmp (session->gateways[i]->raw, frame->gateway, BKV_GATEWAY_SIZE) == 0)
      return session->gateways[i];
  return NULL;
}

/* Takes a gateway to this connection; FALSE when the core does not want it. */
static gboolean take (BkvSession *session, BkvGateway *gateway)
{
  ChConn old = gateway->conn;

  gateway->conn = session->conn;
  if (ch_device_online (session->bkv->self, session->conn, gateway->id, NULL, NULL)
      == CH_ONLINE_OK) {
    bkv_gateway_reset (gateway);
    return TRUE;
  }
  gateway->conn = old; /* a refused newcomer disturbs nothing */
  return FALSE;
}

static BkvGateway *bind_new (BkvSession *session, const BkvFrame *frame)
{
  Bkv *bkv = session->bkv;
  BkvGateway *gateway = bkv_gateway_get (bkv, frame->gateway_id);
  gboolean fresh = gateway == NULL;

  if (session->n_gateways == BKV_MAX_CONN_GATEWAYS) {
    ch_conn_close (bkv->self, session->conn, CH_CLOSE_BAD_FRAMES);
    return NULL;
  }
  if (fresh)
    gateway = bkv_gateway_add (bkv, frame->gateway);
  if (gateway == NULL)
    return NULL;
  if (!take (session, gateway)) {
    if (fresh)
      g_hash_table_remove (bkv->gateways, gateway->id);
    return NULL;
  }
  if (fresh)
    bkv_gateway_recall (gateway);
  session->gateways = bkv_insert (bkv, session->gateways, session->n_gateways,
                                  session->n_gateways, gateway);
  session->n_gateways++;
  gateway->n_sessions++;
  if (session->n_gateways > 1)
    second_id (session, gateway);
  return gateway;
}

/* The gateway of a frame, bound to this connection; NULL when it is not wanted. */
static BkvGateway *bind_frame (BkvSession *session, const BkvFrame *frame)
{
  BkvGateway *gateway = find_bound (session, frame);

  if (gateway == NULL)
    return bind_new (session, frame);
  if (gateway->conn == session->conn)
    return gateway;
  /* A newer connection has it: what still comes here is late. */
  return gateway->conn == 0 && take (session, gateway) ? gateway : NULL;
}

/* ---- frames ----------------------------------------------------------------------- */

static void count_route (Bkv *bkv, const BkvFrame *frame)
{
  BkvRouteCount route = BKV_ROUTE_OTHER;

  switch (frame->cmd) {
  case 0x0000:
    route = BKV_ROUTE_0000;
    break;
  case 0x0005:
    route = BKV_ROUTE_0005;
    break;
  case 0x0007:
    route = BKV_ROUTE_0007;
    break;
  case 0x0015:
    route = BKV_ROUTE_0015;
    break;
  case 0x1000:
    route = BKV_ROUTE_1000;
    break;
  default:
    break;
  }
  ch_series_inc (bkv->metrics.route[route]);
}

static void count_quirks (Bkv *bkv, const BkvFrame *frame)
{
  ChSeries **quirk = bkv->metrics.quirk;

  if (frame->len_counts_sub)
    ch_series_inc (quirk[BKV_QUIRK_LEN_COUNTS_SUB]);
  if (frame->unknown_tags > 0)
    ch_series_add (quirk[BKV_QUIRK_UNKNOWN_TAG], frame->unknown_tags);
  if (frame->has_bkv_gateway
      && memcmp (frame->bkv_gateway, frame->gateway, BKV_GATEWAY_SIZE) != 0)
    ch_series_inc (quirk[BKV_QUIRK_INNER_GATEWAY_ID]);
}

static gboolean handle_short (BkvSession *session, BkvGateway *gateway,
                              const BkvFrame *frame)
{
  count_bad (session, frame, BKV_SHORT);
  if (bkv_is_end_report (frame))
    bkv_on_short_end (session, gateway, frame);
  else if (frame->kind == BKV_HEARTBEAT)
    bkv_on_heartbeat (session, gateway, frame);
  return FALSE;
}

/* Returns: whether the frame could be used */
static gboolean handle (BkvSession *session, BkvGateway *gateway, const BkvFrame *frame)
{
  BkvHandler handler = handlers[frame->kind];

  if (frame->error == BKV_SHORT_PAYLOAD)
    return handle_short (session, gateway, frame);
  if (frame->error == BKV_TLV_LENGTH)
    count_bad (session, frame, BKV_BROKEN_ITEMS);
  if (handler == NULL) {
    count_bad (session, frame, BKV_UNKNOWN_COMMAND);
    return FALSE;
  }
  return handler (session, gateway, frame) || handle_short (session, gateway, frame);
}

/* Contradicting headers are not answered, bind nothing and are no sign of life. */
static gboolean right_direction (BkvSession *session, const BkvFrame *frame)
{
  if (frame->error == BKV_BAD_DIRECTION)
    count_bad (session, frame, BKV_BAD_DIRECTION_ERROR);
  else if (!frame->up)
    count_bad (session, frame, BKV_WRONG_DIRECTION);
  else
    return TRUE;
  return FALSE;
}

void bkv_input (ChPlugin *self, gpointer data, ChConn conn, const guint8 *p, gsize n)
{
  BkvSession *session = data;
  Bkv *bkv = ch_plugin_data (self);
  BkvGateway *gateway;
  BkvFrame frame;
  gboolean success;

  if (bkv == NULL || !bkv_decode (p, n, &frame) || !right_direction (session, &frame))
    return;
  gateway = bind_frame (session, &frame);
  if (gateway == NULL)
    return;
  ch_device_seen (self, conn, gateway->id);
  count_route (bkv, &frame);
  count_quirks (bkv, &frame);
  success = handle (session, gateway, &frame);
  log_frame (bkv, conn, frame.gateway_id, &frame, frame.payload, frame.payload_size,
             success);
}

void bkv_session_free (BkvSession *session)
{
  ChPlugin *self = session->bkv->self;

  ch_slab_free (self, session->gateways, session->n_gateways * sizeof (gpointer));
  ch_slab_free (self, session, sizeof *session);
}

gpointer bkv_opened (ChPlugin *self, ChConn conn, const ChPeer *peer)
{
  BkvSession *session = ch_slab_new0 (self, BkvSession);

  session->bkv = ch_plugin_data (self);
  session->conn = conn;
  session->link.data = session;
  g_queue_push_tail_link (&session->bkv->sessions, &session->link);
  return session;
}

void bkv_closed (ChPlugin *self, gpointer data, ChConn conn, ChCloseReason reason)
{
  BkvSession *session = data;
  Bkv *bkv = ch_plugin_data (self);

  if (bkv == NULL)
    return;
  for (guint i = 0; i < session->n_gateways; i++) {
    session->gateways[i]->n_sessions--;
    if (session->gateways[i]->conn == conn)
      bkv_gateway_lost (session->gateways[i]);
  }
  g_queue_unlink (&bkv->sessions, &session->link);
  bkv_session_free (session);
}
