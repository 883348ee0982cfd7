/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A charge that ends without a report (bkv 8.4 number 4, 10.7): the outlet is watched for
 * a while, then asked; only what it says after that counts.
 */
#include "proto-bkv/bkv.h"

#define ANSWER_MS 40000 /* life of the query and a little more */

static void on_missing (ChPlugin *self, gpointer data)
{
  BkvOutlet *outlet = data;
  BkvGateway *g = outlet->gateway;

  outlet->missing = 0;
  if (g->conn == 0)
    return;
  outlet->asked_until_ms = ch_now_ms (self) + ANSWER_MS;
  bkv_ask (g, outlet->socket, 2);
}

void bkv_charge_missing_begin (BkvOutlet *outlet)
{
  const Bkv *bkv = outlet->gateway->bkv;

  if (outlet->missing == 0 && outlet->asked_until_ms == 0)
    outlet->missing = ch_timer_add (
        bkv->self, (guint64) bkv->settings.missing_end_wait_ms, on_missing, outlet);
}

void bkv_charge_missing_end (BkvOutlet *outlet)
{
  ch_timer_cancel (outlet->gateway->bkv->self, &outlet->missing);
  outlet->asked_until_ms = 0;
}

static void conclude (BkvOutlet *outlet, ChConn conn, const ChOrderView *order)
{
  BkvGateway *g = outlet->gateway;
  ChPlugin *self = g->bkv->self;
  const BkvCharge *charge = &outlet->charge;
  gboolean known = charge->number == order->business_no && charge->number != 0;
  guint energy = known ? charge->energy : 0;
  guint duration = known ? charge->duration : 0;
  char wire_order[BKV_WIRE_ORDER_SIZE];
  ChOrderEnded fact = CH_ORDER_ENDED_INIT;
  ChAlarm alarm = {.socket_no = outlet->socket,
                   .port_no = outlet->port,
                   .code = "end_report_missing",
                   .title = "A charge ended without a report",
                   .level = CH_ALARM_WARNING};
  g_autofree char *key = g_strdup_printf (
      "end:%s:%u:%u:%04X:%u:%u:inferred", g->id, outlet->socket, outlet->port,
      (guint) order->business_no & 0xFFFFu, energy, duration);

  fact.socket_no = outlet->socket;
  fact.port_no = outlet->port;
  fact.order_no = order->order_no;
  if (order->business_no > 0 && order->business_no <= G_MAXUINT16) {
    bkv_wire_order (outlet->socket, outlet->port, (guint16) order->business_no,
                    wire_order);
    fact.business_no = order->business_no;
    fact.wire_order = wire_order;
  }
  fact.energy_wh = (gint64) energy * g->bkv->settings.energy_unit_wh;
  fact.duration_s = (gint64) duration * 60;
  fact.end_reason = CH_END_UNKNOWN;
  fact.inferred = TRUE;
  fact.dedup_key = key; /* not the report's: that one still corrects the figures */
  bkv_set_ended (outlet, (gint32) order->business_no, 0);
  outlet->end_inferred = TRUE;
  ch_series_inc (g->bkv->metrics.end[BKV_END_INFERRED]);
  ch_order_ended (self, conn, g->id, &fact, NULL, NULL);
  ch_alarm_raised (self, conn, g->id, &alarm);
}

gboolean bkv_charge_missing_report (BkvOutlet *outlet, ChConn conn,
                                    const ChOrderView *order)
{
  gint64 until = outlet->asked_until_ms;

  if (until == 0)
    return FALSE;
  outlet->asked_until_ms = 0;
  if (ch_now_ms (outlet->gateway->bkv->self) > until)
    return FALSE; /* nobody answered: nothing is inferred, it begins anew */
  conclude (outlet, conn, order);
  return TRUE;
}
