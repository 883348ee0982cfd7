/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Start and stop (bkv 9). A start carries nothing by which a device could recognise a
 * repeat, and the device makes the order's number, so an answer may come late, twice or
 * as a status report; what is known of the newest start stays with the outlet.
 */
#include "proto-bkv/bkv.h"
#include <string.h>

#define MAX_MINUTES 900
#define ADOPT_MS                                                                         \
  60000 /* a report may acknowledge a start that was written so long ago                 \
         */

/* ---- acknowledged ----------------------------------------------------------------- */

static void state_started (BkvOutlet *outlet, ChConn conn, const char *order_no,
                           guint16 number)
{
  BkvGateway *g = outlet->gateway;
  char wire_order[BKV_WIRE_ORDER_SIZE];
  ChOrderStarted fact = CH_ORDER_STARTED_INIT;

  fact.socket_no = outlet->socket;
  fact.port_no = outlet->port;
  fact.order_no = order_no;
  if (number != 0) {
    bkv_wire_order (outlet->socket, outlet->port, number, wire_order);
    fact.business_no = number;
    fact.wire_order = wire_order;
  }
  ch_order_started (g->bkv->self, conn, g->id, &fact, NULL, NULL);
}

/* The newest start of an outlet has a number: of its answer or of a report. */
static void take_number (BkvOutlet *outlet, guint16 number)
{
  BkvStart *start = outlet->start;

  if (start->number != 0 && start->number != number)
    start->alias = start->number; /* it was executed twice: the last one counts */
  start->number = number;
  outlet->stop_written_ms = 0;
  if (outlet->charge.number != number)
    outlet->charge = (BkvCharge) {.number = number};
  /* The counter of the device may have begun anew. */
  if (outlet->ended.number == number)
    bkv_set_ended (outlet, -1, 0);
}

static const char *number_text (guint16 number, char text[5])
{
  g_snprintf (text, 5, "%04X", number);
  return text;
}

void bkv_adopt (BkvOutlet *outlet, ChConn conn, guint16 number)
{
  BkvGateway *g = outlet->gateway;
  ChPlugin *self = g->bkv->self;
  const BkvStart *start = bkv_start (outlet);
  gboolean ours;
  ChOrderView order;
  char text[5];

  if (outlet->ended.number == number
      || !ch_port_order (self, g->id, outlet->socket, outlet->port, &order)
      || (order.number_is_device && order.business_no != 0)
      || order.start_written_ms == CH_UNSET
      || ch_now_ms (self) - order.start_written_ms > ADOPT_MS)
    return;
  ours = start->msg_id != 0 && strcmp (start->order_no, order.order_no) == 0;
  if (ours && start->number == number)
    return; /* stated already */
  if (ours)
    take_number (outlet, number);
  state_started (outlet, conn, order.order_no, number);
  if (ours)
    bkv_result (g, start->msg_id, start->command_id, CH_COMMAND_ACKED,
                number_text (number, text));
}

static void remember_start (BkvOutlet *outlet, const ChCommand *command)
{
  BkvStart *start;

  if (strcmp (bkv_start (outlet)->command_id, command->id) == 0)
    return;
  if (outlet->start == NULL)
    outlet->start = ch_slab_new0 (outlet->gateway->bkv->self, BkvStart);
  start = outlet->start;
  *start = (BkvStart) {.msg_id = command->msg_id,
                       .written_ms = ch_now_ms (outlet->gateway->bkv->self)};
  g_strlcpy (start->order_no, command->order_no != NULL ? command->order_no : "",
             sizeof start->order_no);
  g_strlcpy (start->command_id, command->id, sizeof start->command_id);
}

/* ---- answers ---------------------------------------------------------------------- */

static BkvOutlet *find_start (BkvGateway *g, guint32 msg_id)
{
  for (guint i = 0; msg_id != 0 && i < g->n_outlets; i++) {
    const BkvStart *start = bkv_start (g->outlets[i]);

    if (start->msg_id == msg_id || start->alt_msg_id == msg_id)
      return g->outlets[i];
  }
  return NULL;
}

static gboolean is_mismatch (BkvGateway *g, const BkvControlAck *ack, gint socket,
                             gint port)
{
  if (ack->socket == socket && ack->port == port)
    return FALSE;
  ch_series_inc (g->bkv->metrics.quirk[BKV_QUIRK_ANSWER_MISMATCH]);
  return TRUE;
}

/* An answer to a start: in time, late, or a second one. */
static void start_answered (BkvOutlet *outlet, ChConn conn, const BkvControlAck *ack)
{
  BkvGateway *g = outlet->gateway;
  const BkvStart *start = bkv_start (outlet);
  gboolean mismatch = is_mismatch (g, ack, outlet->socket, outlet->port);
  char text[5];

  if (ack->result != 1 || mismatch) {
    bkv_result (g, start->msg_id, start->command_id, CH_COMMAND_REJECTED, NULL);
    if (mismatch)
      bkv_ask (g, outlet->socket, 2);
    return;
  }
  if (ack->business_no != 0)
    take_number (outlet, ack->business_no);
  state_started (outlet, conn, start->order_no, ack->business_no);
  bkv_result (g, start->msg_id, start->command_id, CH_COMMAND_ACKED,
              number_text (ack->business_no, text));
}

static void stop_answered (BkvGateway *g, const ChCommand *command,
                           const BkvControlAck *ack)
{
  char text[5];

  if (ack->result == 1 && !is_mismatch (g, ack, command->socket_no, command->port_no)) {
    bkv_result (g, command->msg_id, command->id, CH_COMMAND_ACKED,
                number_text (ack->business_no, text));
    return;
  }
  /* Nothing to stop, it says: the outlet is looked at, the core decides. */
  bkv_result (g, command->msg_id, command->id, CH_COMMAND_REJECTED, NULL);
  bkv_ask (g, (guint) command->socket_no, 2);
}

static gboolean answered (BkvSession *session, BkvGateway *g, const BkvFrame *frame,
                          const BkvControlAck *ack)
{
  BkvOutlet *outlet = find_start (g, frame->msg_id);
  ChCommand command;

  if (ch_command_in_flight (session->bkv->self, g->id, frame->msg_id, &command)) {
    if (command.type == CH_COMMAND_STOP_CHARGE
        || command.type == CH_COMMAND_CANCEL_SESSION) {
      stop_answered (g, &command, ack);
      return TRUE;
    }
    if (command.type == CH_COMMAND_START_CHARGE && outlet == NULL) {
      /* Written by an earlier run of the plugin. */
      outlet = bkv_outlet (g, (guint) command.socket_no, (guint) command.port_no, TRUE);
      if (outlet != NULL)
        remember_start (outlet, &command);
    }
    if (command.type != CH_COMMAND_START_CHARGE || outlet == NULL) {
      ch_series_inc (session->bkv->metrics.quirk[BKV_QUIRK_ANSWER_MISMATCH]);
      return TRUE;
    }
  }
  if (outlet == NULL) {
    bkv_late_result (g, frame->msg_id,
                     ack->result == 1 ? CH_COMMAND_ACKED : CH_COMMAND_REJECTED, NULL);
    return TRUE;
  }
  if (bkv_start (outlet)->alt_msg_id == frame->msg_id)
    g->power_0005 = TRUE;
  start_answered (outlet, session->conn, ack);
  return TRUE;
}

gboolean bkv_on_control_ack (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  return answered (session, g, frame, &frame->control_ack);
}

/* Without a number in it, that of the next status report is adopted. */
gboolean bkv_on_fee_start_ack (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvItems *items = &frame->items;
  const BkvOutlet *outlet = find_start (g, frame->msg_id);
  BkvControlAck ack = {.result = items->result,
                       .socket = outlet != NULL ? outlet->socket : 0,
                       .port = outlet != NULL ? outlet->port : 0,
                       .business_no = items->business_no};

  if (!BKV_HAS (items, ITEM, result))
    return FALSE;
  if (BKV_HAS (items, ITEM, socket))
    ack.socket = items->socket;
  if (BKV_HAS (items, ITEM, port))
    ack.port = items->port;
  return answered (session, g, frame, &ack);
}

/* ---- writing ---------------------------------------------------------------------- */

static gint64 minutes_of (gint64 seconds)
{
  return seconds <= 0 || seconds > MAX_MINUTES * 60 ? 0 : (seconds + 59) / 60;
}

/* By time, by energy or until full (9.1). */
static gboolean fill_control (BkvGateway *g, const ChCommand *command, BkvFrame *frame)
{
  gint64 mode = ch_json_get_int (command->payload, "charge_mode", 1);
  gint64 seconds = ch_json_get_int (command->payload, "target_duration_s", 0);
  gint64 wh = ch_json_get_int (command->payload, "target_energy_wh", 0);
  gint64 unit = g->bkv->settings.energy_unit_wh;
  BkvControl *control = &frame->control;

  bkv_init (frame, BKV_CONTROL, g->raw, command->msg_id);
  control->socket = (guint8) command->socket_no;
  control->port = (guint8) command->port_no;
  control->switch_on = 1;
  control->mode = 1;
  switch (mode) {
  case 1:
    control->minutes = (guint16) minutes_of (seconds);
    return control->minutes > 0;
  case 2:
    if (wh < 1 || wh > G_MAXUINT16)
      return FALSE;
    control->mode = 0;
    control->energy = (guint16) ((wh + unit - 1) / unit);
    control->minutes = (guint16) (seconds > 0 ? minutes_of (seconds) : MAX_MINUTES);
    if (control->minutes == 0)
      control->minutes = MAX_MINUTES;
    return TRUE;
  case 4:
    control->minutes = MAX_MINUTES;
    return TRUE;
  default:
    return FALSE;
  }
}

/* Steps of the order: [{"power_w", "price_cent", "minutes"}], rising. */
static gboolean read_steps (const json_t *array, BkvPowerStart *start)
{
  gsize n = json_array_size (array);

  if (n < 1 || n > 5)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    const json_t *step = json_array_get (array, i);
    gint64 watts = ch_json_get_int (step, "power_w", 0);
    gint64 price = ch_json_get_int (step, "price_cent", 0);
    gint64 minutes = ch_json_get_int (step, "minutes", 0);

    if (watts < 1 || watts > 6553 || price < 1 || price > G_MAXUINT16 || minutes < 1
        || minutes > G_MAXUINT16
        || (i > 0 && watts * 10 <= start->levels[i - 1].power_limit))
      return FALSE;
    start->levels[i]
        = (BkvStep) {(guint16) (watts * 10), (guint16) price, (guint16) minutes};
  }
  start->n_levels = (guint16) n;
  return TRUE;
}

/* By power steps (9.5). */
static gboolean fill_power (BkvGateway *g, const ChCommand *command, BkvFrame *frame)
{
  const BkvSettings *settings = &g->bkv->settings;
  const json_t *steps = json_object_get (command->payload, "power_steps");
  gint64 amount = ch_json_get_int (command->payload, "max_fee_cent", 0);
  BkvPowerStart *start = &frame->power_start;

  bkv_init (frame, BKV_POWER_START, g->raw, command->msg_id);
  start->socket = (guint8) command->socket_no;
  start->port = (guint8) command->port_no;
  start->switch_on = 1;
  start->amount = (guint16) amount;
  if (amount < 1 || amount > G_MAXUINT16)
    return FALSE;
  if (steps != NULL && !json_is_null (steps))
    return read_steps (steps, start);
  start->n_levels = (guint16) settings->n_steps;
  memcpy (start->levels, settings->steps, settings->n_steps * sizeof (BkvStep));
  return TRUE;
}

/* With electricity and service fee of the order's tariff (9.7). */
static gboolean fill_fees (BkvGateway *g, const ChCommand *command, BkvFrame *frame)
{
  gint64 price = ch_json_get_int (command->payload, "price_per_kwh_cent", -1);
  gint64 permille = ch_json_get_int (command->payload, "service_fee_permille", 0);
  gint64 amount = ch_json_get_int (command->payload, "max_fee_cent", 0);
  gint64 service;
  BkvItems *items = &frame->items;

  if (price < 0 || price > G_MAXUINT16 || permille < 0 || permille > 100000 || amount < 1
      || amount > G_MAXUINT16)
    return FALSE;
  service = (price * permille + 500) / 1000;
  if (service > G_MAXUINT16)
    return FALSE;
  bkv_init (frame, BKV_FEE_START, g->raw, command->msg_id);
  BKV_SET (items, ITEM, socket, (guint8) command->socket_no);
  BKV_SET (items, ITEM, port, (guint8) command->port_no);
  BKV_SET (items, ITEM, switch_on, 1);
  BKV_SET (items, ITEM, mode, 4);
  BKV_SET (items, ITEM, control_type, 1);
  BKV_SET (items, ITEM, pf4, 2);
  BKV_SET (items, ITEM, fee_amount, (guint16) amount);
  BKV_SET (items, ITEM, fee_type, 1);
  BKV_SET (items, ITEM, fee_levels, 1);
  items->has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_fee_periods;
  items->n_fee_periods = 1;
  items->fee_periods[0] = (BkvFeePeriod) {23, 59, (guint16) price, (guint16) service};
  return TRUE;
}

static gboolean fill_start (BkvGateway *g, const ChCommand *command, BkvFrame *frame)
{
  gint64 mode = ch_json_get_int (command->payload, "charge_mode", 1);

  if (mode >= 3 && g->bkv->settings.fee_start && fill_fees (g, command, frame))
    return TRUE;
  return mode == 3 ? fill_power (g, command, frame) : fill_control (g, command, frame);
}

/* 0x0017 under which command, and with which serial (9.6). */
static void choose_power_command (const BkvGateway *g, const ChCommand *command,
                                  BkvFrame *frame)
{
  BkvPowerCmd choice = g->bkv->settings.power_start_cmd;

  if (choice == BKV_POWER_0005 || (choice == BKV_POWER_AUTO && g->power_0005)) {
    frame->cmd = 0x0005;
  } else if (choice == BKV_POWER_AUTO && command->attempt >= 3) {
    frame->cmd = 0x0005;
    frame->msg_id = command->msg_id ^ 0x80000000u;
    if (frame->msg_id == 0)
      frame->msg_id = 1;
  }
}

/* Whether a report that came after the first sending shows that it was executed (9.4). */
static gboolean is_executed (const BkvOutlet *outlet, const ChCommand *command)
{
  return command->attempt > 1 && strcmp (bkv_start (outlet)->command_id, command->id) == 0
         && outlet->reported && outlet->reported_ms >= outlet->start->written_ms
         && (outlet->status & BKV_STATUS_CHARGING) != 0 && outlet->business_no != 0
         && outlet->business_no != outlet->ended.number;
}

/* NULL when there cannot be one. */
static BkvOutlet *outlet_of (BkvGateway *g, const ChCommand *command)
{
  if (command->socket_no < 0 || command->port_no < 0)
    return NULL;
  return bkv_outlet (g, (guint) command->socket_no, (guint) command->port_no, TRUE);
}

ChCommandState bkv_start_charge (BkvGateway *g, const ChCommand *command)
{
  BkvOutlet *outlet = outlet_of (g, command);
  BkvFrame frame;
  ChCommandState state;

  if (outlet == NULL || !fill_start (g, command, &frame))
    return bkv_refuse (g, command, "invalid_target");
  if (is_executed (outlet, command)) {
    take_number (outlet, outlet->business_no);
    state_started (outlet, g->conn, outlet->start->order_no, outlet->business_no);
    return CH_COMMAND_ACKED;
  }
  if (command->attempt <= 1 && frame.kind != BKV_POWER_START
      && ch_json_get_int (command->payload, "target_power_w", 0) > 0)
    ch_log (g->bkv->self, CH_LOG_INFO,
            CH_LOG_FIELDS ("device", g->id, "order_no", command->order_no),
            "the power limit cannot be expressed and is ignored");
  if (frame.kind == BKV_POWER_START)
    choose_power_command (g, command, &frame);
  state = bkv_attempt (g, &frame);
  if (state == CH_COMMAND_SENT) {
    remember_start (outlet, command);
    if (frame.msg_id != command->msg_id)
      outlet->start->alt_msg_id = frame.msg_id;
  }
  return state;
}

ChCommandState bkv_stop_charge (BkvGateway *g, const ChCommand *command)
{
  BkvOutlet *outlet = outlet_of (g, command);
  BkvFrame frame;
  ChCommandState state;

  if (outlet == NULL)
    return bkv_refuse (g, command, "invalid_target");
  bkv_init (&frame, BKV_CONTROL, g->raw, command->msg_id);
  frame.control.socket = outlet->socket;
  frame.control.port = outlet->port;
  frame.control.mode = 1;
  state = bkv_attempt (g, &frame);
  if (state == CH_COMMAND_SENT)
    outlet->stop_written_ms = ch_now_ms (g->bkv->self);
  return state;
}
