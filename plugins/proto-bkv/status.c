/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a gateway says about outlets: status reports (bkv 8.4) and answers to queries
 * (8.5), which carry the same record. Also the query itself and sockets that stay silent.
 */
#include "proto-bkv/bkv.h"
#include <string.h>

#define GUESS_MS 2200
#define LOADED_POWER 200 /* 20 W: counts for the check of the energy unit */

static const struct {
  guint bit;
  const char *code;
  const char *title;
} faults[] = {
    {CH_FAULT_METER, "meter_fault", "Metering fault"},
    {CH_FAULT_OVER_TEMP, "over_temp", "Over-temperature"},
    {CH_FAULT_OVER_CURRENT, "over_current", "Over-current"},
    {CH_FAULT_OVER_POWER, "over_power", "Over-power"},
};

/* The first report after a start of the plugin states every bit, also those that are 0.
 */
static void state_faults (BkvOutlet *outlet, ChConn conn, guint bits)
{
  BkvGateway *g = outlet->gateway;
  ChPlugin *self = g->bkv->self;
  guint changed = outlet->fault_bits ^ bits;

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    ChAlarm alarm = {.socket_no = outlet->socket,
                     .port_no = outlet->port,
                     .code = faults[i].code,
                     .title = faults[i].title,
                     .level = CH_ALARM_MAJOR};

    if ((changed & faults[i].bit) == 0)
      continue;
    if (bits & faults[i].bit)
      ch_alarm_raised (self, conn, g->id, &alarm);
    else
      ch_alarm_cleared (self, conn, g->id, outlet->socket, outlet->port, faults[i].code);
  }
  outlet->fault_bits = (guint8) bits;
}

static void state_port (const BkvOutlet *outlet, ChConn conn, const BkvPort *port,
                        const BkvSocket *socket)
{
  const Bkv *bkv = outlet->gateway->bkv;
  const BkvSettings *settings = &bkv->settings;
  char wire_order[BKV_WIRE_ORDER_SIZE];
  ChPortUpdate fact = CH_PORT_UPDATE_INIT;

  fact.socket_no = outlet->socket;
  fact.port_no = outlet->port;
  fact.status = bkv_port_status (port->status, settings->meter_fault_mask);
  fact.raw_status = port->status;
  fact.fault_bits = bkv_fault_bits (port->status, settings->meter_fault_mask);
  fact.no_load = (port->status & BKV_STATUS_NO_LOAD) != 0;
  if (BKV_HAS (port, PORT, power))
    fact.power_mw = bkv_mw (port->power);
  if (BKV_HAS (port, PORT, current))
    fact.current_ma = port->current;
  if (BKV_HAS (port, PORT, voltage))
    fact.voltage_mv = bkv_mv (port->voltage);
  if (BKV_HAS (socket, SOCKET, temp))
    fact.temp_dc = bkv_temp_dc (socket->temp);
  if (BKV_HAS (port, PORT, energy))
    fact.energy_wh = (gint64) port->energy * settings->energy_unit_wh;
  if (BKV_HAS (port, PORT, duration))
    fact.duration_s = bkv_seconds (port->duration);
  if (port->business_no != 0) {
    bkv_wire_order (outlet->socket, outlet->port, port->business_no, wire_order);
    fact.business_no = port->business_no;
    fact.wire_order = wire_order;
  }
  ch_port_update (bkv->self, conn, outlet->gateway->id, &fact);
}

static void state_progress (const BkvOutlet *outlet, ChConn conn, const BkvPort *port,
                            const BkvSocket *socket)
{
  const Bkv *bkv = outlet->gateway->bkv;
  char wire_order[BKV_WIRE_ORDER_SIZE];
  ChOrderProgress fact = CH_ORDER_PROGRESS_INIT;

  bkv_wire_order (outlet->socket, outlet->port, port->business_no, wire_order);
  fact.socket_no = outlet->socket;
  fact.port_no = outlet->port;
  fact.business_no = port->business_no;
  fact.wire_order = wire_order;
  fact.raw_status = port->status;
  if (BKV_HAS (port, PORT, energy))
    fact.energy_wh = (gint64) port->energy * bkv->settings.energy_unit_wh;
  if (BKV_HAS (port, PORT, duration))
    fact.duration_s = bkv_seconds (port->duration);
  if (BKV_HAS (port, PORT, power))
    fact.power_mw = bkv_mw (port->power);
  if (BKV_HAS (port, PORT, voltage))
    fact.voltage_mv = bkv_mv (port->voltage);
  if (BKV_HAS (port, PORT, current))
    fact.current_ma = port->current;
  if (BKV_HAS (socket, SOCKET, temp))
    fact.temp_dc = bkv_temp_dc (socket->temp);
  ch_order_progress (bkv->self, conn, outlet->gateway->id, &fact);
}

/* Figures of the charge that runs: for a missing end and the check of the energy unit. */
static void keep_charge (BkvOutlet *outlet, const BkvPort *port)
{
  BkvCharge *charge = &outlet->charge;

  if (charge->number != port->business_no)
    *charge = (BkvCharge) {.number = port->business_no};
  if (BKV_HAS (port, PORT, energy))
    charge->energy = port->energy;
  if (BKV_HAS (port, PORT, duration))
    charge->duration = port->duration;
  if (BKV_HAS (port, PORT, power)) {
    charge->n_reports++;
    charge->power_sum += port->power;
    charge->n_loaded += port->power > LOADED_POWER;
  }
}

/* Does the outlet charge for the order that holds it? (8.4 number 4, 10.7) */
static void check_order (BkvOutlet *outlet, ChConn conn, gboolean charging,
                         guint16 number)
{
  BkvGateway *g = outlet->gateway;
  ChOrderView order;

  if (!ch_port_order (g->bkv->self, g->id, outlet->socket, outlet->port, &order)
      || order.status != CH_ORDER_CHARGING
      || (charging && number != 0 && order.business_no == number)) {
    bkv_charge_missing_end (outlet);
    return;
  }
  if (!bkv_charge_missing_report (outlet, conn, &order))
    bkv_charge_missing_begin (outlet);
}

static void take_port (BkvGateway *g, ChConn conn, const BkvSocket *socket,
                       const BkvPort *port)
{
  gboolean charging = (port->status & BKV_STATUS_CHARGING) != 0
                      && (port->status & BKV_STATUS_ONLINE) != 0;
  BkvOutlet *outlet = bkv_outlet (g, socket->socket, port->port, TRUE);

  if (outlet == NULL)
    return; /* a number that cannot be: kept in the log only */
  state_faults (outlet, conn,
                bkv_fault_bits (port->status, g->bkv->settings.meter_fault_mask));
  outlet->reported = TRUE;
  outlet->status = port->status;
  outlet->business_no = port->business_no;
  outlet->reported_ms = ch_now_ms (g->bkv->self);
  if (charging && port->business_no != 0)
    bkv_adopt (outlet, conn, port->business_no);
  state_port (outlet, conn, port, socket);
  if (charging && port->business_no != 0) {
    keep_charge (outlet, port);
    state_progress (outlet, conn, port, socket);
  }
  check_order (outlet, conn, charging, port->business_no);
}

void bkv_state_status (BkvGateway *g, ChConn conn, guint socket, guint port,
                       guint8 status)
{
  BkvOutlet *outlet = bkv_outlet (g, socket, port, TRUE);
  const BkvSocket nothing = {0};
  BkvPort record = {0};

  if (outlet == NULL)
    return;
  BKV_SET (&record, PORT, status, status);
  state_faults (outlet, conn, bkv_fault_bits (status, g->bkv->settings.meter_fault_mask));
  state_port (outlet, conn, &record, &nothing);
}

static void state_socket (BkvGateway *g, ChConn conn, const BkvSocket *socket)
{
  char firmware[5];
  ChSocketSeen fact = {.socket_no = socket->socket,
                       .signal = BKV_HAS (socket, SOCKET, rssi) ? socket->rssi : CH_UNSET,
                       .status = CH_UNSET,
                       .channel = CH_UNSET};

  if (BKV_HAS (socket, SOCKET, fw) && socket->fw != 0xFFFF) {
    g_snprintf (firmware, sizeof firmware, "%04X", socket->fw);
    fact.firmware = firmware;
  }
  for (guint i = 0; i < socket->n_ports; i++)
    if (BKV_HAS (&socket->ports[i], PORT, status))
      fact.status
          = (fact.status == 1 || (socket->ports[i].status & BKV_STATUS_ONLINE) != 0) ? 1
                                                                                     : 0;
  ch_socket_seen (g->bkv->self, conn, g->id, &fact);
  if (bkv_bit (g->unclear, socket->socket) || bkv_bit (g->silent, socket->socket))
    ch_alarm_cleared (g->bkv->self, conn, g->id, socket->socket, -1, "socket_silent");
  bkv_set_bit (g->bkv, &g->heard, socket->socket, TRUE);
  bkv_set_bit (g->bkv, &g->unclear, socket->socket, FALSE);
  bkv_set_bit (g->bkv, &g->silent, socket->socket, FALSE);
}

/* A gateway that has said nothing yet is asked for socket 0: only a guess (1.2). */
static gboolean is_guess (BkvGateway *g, guint socket)
{
  return socket == 0 && !bkv_bit (g->heard, 0);
}

void bkv_query_done (BkvGateway *g)
{
  BkvQuery *query = g_steal_pointer (&g->query);

  if (query == NULL)
    return;
  ch_timer_cancel (g->bkv->self, &query->silence);
  g_free (query);
}

/* A query that was written before is answered by a report of its socket. The guess was
   wrong when another one reports; so that nobody waits for it, it ends. */
static void answer_query (BkvGateway *g, guint socket)
{
  if (g->query == NULL)
    return;
  BkvQuery query = *g->query;
  gboolean wrong = query.socket != socket && is_guess (g, query.socket);

  if (query.socket != socket && !wrong)
    return;
  bkv_query_done (g);
  bkv_result (g, query.msg_id, query.command_id,
              wrong ? CH_COMMAND_REJECTED : CH_COMMAND_ACKED,
              wrong ? "no socket 0" : NULL);
}

/* A socket's record. */
static void take_socket (BkvGateway *g, ChConn conn, const BkvSocket *socket)
{
  if (!BKV_HAS (socket, SOCKET, socket) || socket->socket > BKV_MAX_SOCKET_NO)
    return;
  state_socket (g, conn, socket);
  for (guint i = 0; i < socket->n_ports; i++) {
    const BkvPort *port = &socket->ports[i];

    if (BKV_HAS (port, PORT, port) && BKV_HAS (port, PORT, status))
      take_port (g, conn, socket, port);
  }
  answer_query (g, socket->socket);
}

/* ---- frames ----------------------------------------------------------------------- */

gboolean bkv_on_status_report (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvItems *items = &frame->items;
  BkvFrame reply;

  if (frame->error != BKV_OK && items->n_sockets == 0)
    return FALSE;
  for (guint i = 0; i < items->n_sockets; i++)
    take_socket (g, session->conn, &items->sockets[i]);

  bkv_init (&reply, BKV_STATUS_ACK, frame->gateway, frame->msg_id);
  reply.has_bkv_seq = frame->has_bkv_seq;
  reply.bkv_seq = frame->bkv_seq;
  BKV_SET (&reply.items, ITEM, result, 1);
  bkv_send (session->bkv, session->conn, &reply, CH_WRITE_REPLY);
  return TRUE;
}

gboolean bkv_on_socket_state (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvSocket *socket = &frame->socket_state;
  gboolean expected = g->query != NULL && g->query->msg_id == frame->msg_id;

  /* The serial decides; a socket other than the one asked for is no answer. */
  if (expected && g->query->socket != socket->socket)
    ch_series_inc (session->bkv->metrics.quirk[BKV_QUIRK_ANSWER_MISMATCH]);
  take_socket (g, session->conn, socket);
  if (!expected)
    bkv_late_result (g, frame->msg_id, CH_COMMAND_ACKED, NULL);
  return TRUE;
}

/* ---- the query -------------------------------------------------------------------- */

static void silent_socket (BkvGateway *g, guint socket)
{
  ChSocketSeen fact = {
      .socket_no = (gint) socket, .signal = CH_UNSET, .status = 0, .channel = CH_UNSET};
  ChAlarm alarm = {.socket_no = (gint) socket,
                   .port_no = -1,
                   .code = "socket_silent",
                   .title = "Socket does not answer",
                   .message = "Two queries stayed without answer.",
                   .level = CH_ALARM_WARNING};

  if (bkv_bit (g->silent, socket) || is_guess (g, socket))
    return;
  bkv_set_bit (g->bkv, &g->silent, socket, TRUE);
  ch_socket_seen (g->bkv->self, g->conn, g->id, &fact);
  ch_alarm_raised (g->bkv->self, g->conn, g->id, &alarm);
}

static void on_silence (ChPlugin *self, gpointer data)
{
  BkvGateway *g = data;
  guint8 socket = g->query->socket;

  bkv_query_done (g);
  silent_socket (g, socket);
}

/* Nobody may be there: that is no sign of a bad connection, so the core does not get to
   wait in vain. The plugin asks a second time and ends the query before the core's time
   is up (5 s). */
static void on_guess_silence (ChPlugin *self, gpointer data)
{
  BkvGateway *g = data;
  const BkvQuery query = *g->query;
  BkvFrame frame;

  if (query.attempt < 2) {
    g->query->attempt++;
    g->query->silence = ch_timer_add (self, GUESS_MS, on_guess_silence, g);
    bkv_init (&frame, BKV_QUERY_SOCKET, g->raw, query.msg_id);
    bkv_attempt (g, &frame);
    return;
  }
  bkv_query_done (g);
  bkv_result (g, query.msg_id, query.command_id, CH_COMMAND_REJECTED, "no socket 0");
}

ChCommandState bkv_query_port (BkvGateway *g, const ChCommand *command)
{
  gint64 socket = ch_json_get_int (command->payload, "socket_no", command->socket_no);
  ChPlugin *self = g->bkv->self;
  ChCommandState state;
  BkvFrame frame;

  if (socket < 0 || socket > BKV_MAX_SOCKET_NO)
    return bkv_refuse (g, command, "invalid_target");
  bkv_init (&frame, BKV_QUERY_SOCKET, g->raw, command->msg_id);
  frame.socket_no.socket = (guint8) socket;
  state = bkv_attempt (g, &frame);
  if (state != CH_COMMAND_SENT)
    return state;
  /* The core may end the last attempt a moment before the timer here does. */
  if (g->query != NULL && g->query->silence != 0 && g->query->msg_id != command->msg_id)
    silent_socket (g, g->query->socket);
  bkv_query_done (g);
  BkvQuery *query = g->query = g_new0 (BkvQuery, 1);
  query->msg_id = command->msg_id;
  query->socket = (guint8) socket;
  query->attempt = command->attempt;
  g_strlcpy (query->command_id, command->id, sizeof query->command_id);
  if (is_guess (g, query->socket)) {
    query->attempt = 1;
    query->silence = ch_timer_add (self, GUESS_MS, on_guess_silence, g);
  } else if (command->attempt >= 2)
    query->silence = ch_timer_add (self, 5000, on_silence, g);
  return state;
}
