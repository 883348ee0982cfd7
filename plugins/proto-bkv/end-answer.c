/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The answer to an end report. The captured device takes sub-command 0x0C for all of
 * them; one that goes on repeating gets the report's own sub-command as well (10.3).
 * Also reports that cannot be read (3.4).
 */
#include "proto-bkv/charge-end.h"
#include <string.h>

#define ECHO_MS 100

static BkvKind echo_kind (BkvKind report)
{
  switch (report) {
  case BKV_CHARGE_END:
    return BKV_CHARGE_END_ACK_ECHO;
  case BKV_POWER_CHARGE_END:
    return BKV_POWER_CHARGE_END_ACK_ECHO;
  default:
    return BKV_CHARGE_END_ACK; /* of cards: the report's own is 0x0C already */
  }
}

static void build (BkvFrame *frame, BkvKind kind, const BkvPendingEnd *report)
{
  bkv_init (frame, kind, report->gateway, report->msg_id);
  frame->end_ack = (BkvEndAck) {report->socket, 1};
}

static void on_echo (ChPlugin *self, gpointer data)
{
  Bkv *bkv = ch_plugin_data (self);
  BkvPendingEnd *report = data;
  BkvFrame frame;

  g_queue_remove (&bkv->echoes, report);
  build (&frame, echo_kind (report->kind), report);
  bkv_send (bkv, report->conn, &frame, CH_WRITE_REPLY);
  g_free (report);
}

static void answer_fees (BkvGateway *g, ChConn conn, const BkvPendingEnd *report)
{
  BkvFrame frame;

  bkv_init (&frame, BKV_FEE_CHARGE_END_ACK, report->gateway, report->msg_id);
  frame.bkv_seq = report->bkv_seq;
  BKV_SET (&frame.items, ITEM, result, 1);
  BKV_SET (&frame.items, ITEM, socket, report->socket);
  BKV_SET (&frame.items, ITEM, port, report->port);
  bkv_send (g->bkv, conn, &frame, CH_WRITE_REPLY);
}

void bkv_answer_end (BkvGateway *g, ChConn conn, const BkvPendingEnd *report)
{
  Bkv *bkv = g->bkv;
  BkvEndForm form = bkv->settings.end_ack;
  BkvKind echo = echo_kind (report->kind);
  BkvPendingEnd *second;
  BkvFrame frame;

  if (report->kind == BKV_FEE_CHARGE_END) {
    answer_fees (g, conn, report);
    return;
  }
  if (form == BKV_END_AUTO)
    form = g->end_both ? BKV_END_BOTH : BKV_END_0C;
  build (&frame, form == BKV_END_ECHO ? echo : BKV_CHARGE_END_ACK, report);
  bkv_send (bkv, conn, &frame, CH_WRITE_REPLY);
  if (form != BKV_END_BOTH || echo == BKV_CHARGE_END_ACK)
    return;
  second = g_memdup2 (report, sizeof *report);
  second->conn = conn;
  g_queue_push_tail (&bkv->echoes, second);
  ch_timer_add (bkv->self, ECHO_MS, on_echo, second);
}

/* ---- unreadable ------------------------------------------------------------------- */

gboolean bkv_is_end_report (const BkvFrame *frame)
{
  if (frame->cmd == 0x0015 && frame->has_sub)
    return frame->sub == 0x02 || frame->sub == 0x18 || frame->sub == 0x0C;
  return frame->kind == BKV_FEE_CHARGE_END;
}

static BkvKind kind_of_report (const BkvFrame *frame)
{
  return frame->has_sub ? bkv_kind_of (frame->cmd, frame->sub, TRUE) : frame->kind;
}

static void raise_unreadable (BkvGateway *g, ChConn conn, const BkvFrame *frame,
                              guint socket)
{
  gsize shown = MIN (frame->payload_size, 256);
  g_autofree char *hex = g_malloc (2 * shown + 1);
  g_autoptr (json_t) metadata = NULL;
  ChAlarm alarm = {.socket_no = socket <= BKV_MAX_SOCKET_NO ? (gint) socket : -1,
                   .port_no = -1,
                   .code = "end_report_unreadable",
                   .title = "End report cannot be read",
                   .level = CH_ALARM_MAJOR};

  bkv_hex (frame->payload, shown, hex);
  /* Whatever stands where a card number would. */
  if (frame->has_sub && frame->sub == 0x0C && shown > 20)
    memset (hex + 40, '*', 2 * MIN (shown - 20, 4));
  metadata = json_pack ("{s:s}", "payload", hex);
  alarm.metadata = metadata;
  ch_alarm_raised (g->bkv->self, conn, g->id, &alarm);
}

/* Three times the same bytes: it will never get better, so it is reported and answered.
 */
void bkv_on_short_end (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  if (g->unreadable == NULL)
    g->unreadable = ch_slab_new0 (session->bkv->self, BkvUnreadable);
  BkvUnreadable *unreadable = g->unreadable;
  g_autoptr (GBytes) bytes = g_bytes_new (frame->payload, frame->payload_size);
  BkvPendingEnd report = {
      .kind = kind_of_report (frame), .msg_id = frame->msg_id, .bkv_seq = frame->bkv_seq};

  if (unreadable->bytes == NULL || !g_bytes_equal (unreadable->bytes, bytes)) {
    g_clear_pointer (&unreadable->bytes, g_bytes_unref);
    unreadable->bytes = g_bytes_ref (bytes);
    unreadable->copies = 0;
  }
  if (++unreadable->copies < 3)
    return;
  memcpy (report.gateway, g->raw, BKV_GATEWAY_SIZE);
  if (frame->has_sub && frame->payload_size > 3) {
    report.socket = frame->payload[3];
  } else if (frame->has_bkv_cmd) {
    report.socket = BKV_HAS (&frame->items, ITEM, socket) ? frame->items.socket : 0;
    report.port = BKV_HAS (&frame->items, ITEM, port) ? frame->items.port : 0;
  }
  if (unreadable->copies == 3) {
    ch_series_inc (g->bkv->metrics.end[BKV_END_UNREADABLE]);
    raise_unreadable (g, session->conn, frame, report.socket);
  }
  bkv_answer_end (g, session->conn, &report);
}
