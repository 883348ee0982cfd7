/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a charge (bkv 10): the reports, which are repeated until they are answered,
 * and are answered only when the store has them.
 */
#include "proto-bkv/charge-end.h"
#include <string.h>

#define STORE_MS 8000 /* later the device repeats anyway */
#define FORGET_MS 60000
#define CREDIBLE_MS 300000

/* ---- what a report says ----------------------------------------------------------- */

static void from_fixed (const BkvFrame *frame, int offset_min, BkvEndReport *r)
{
  const BkvEnd *end = &frame->end;

  r->socket = end->socket;
  r->port = end->port;
  r->has_status = TRUE;
  r->status = end->status;
  r->number = end->business_no;
  r->power = end->power;
  r->has_power = TRUE;
  r->energy = end->energy;
  r->duration = end->duration;
  r->amount = CH_UNSET;
  r->reason = -1;
  if (frame->kind == BKV_POWER_CHARGE_END) {
    r->reason = end->reason;
    r->amount = end->amount;
    r->has_time = bkv_time_from_dt7 (end->end_time, offset_min, &r->end_ms);
    bkv_hex (end->end_time, 7, r->time_text);
  } else if (frame->kind == BKV_CARD_CHARGE_END) {
    bkv_hex (end->card, sizeof end->card, r->card);
    r->card_type = end->card_type;
    if (end->mode == 3)
      r->amount = end->amount;
  }
}

static gboolean from_items (const BkvItems *items, int offset_min, BkvEndReport *r)
{
  if (!BKV_HAS (items, ITEM, socket) || !BKV_HAS (items, ITEM, port)
      || !BKV_HAS (items, ITEM, business_no) || !BKV_HAS (items, ITEM, energy)
      || !BKV_HAS (items, ITEM, duration))
    return FALSE;
  r->socket = items->socket;
  r->port = items->port;
  r->has_status = BKV_HAS (items, ITEM, status);
  r->status = r->has_status ? items->status : BKV_STATUS_ONLINE;
  r->number = items->business_no;
  r->has_power = BKV_HAS (items, ITEM, power);
  r->power = items->power;
  r->energy = items->energy;
  r->duration = items->duration;
  r->reason = BKV_HAS (items, ITEM, reason) ? items->reason : -1;
  r->amount = CH_UNSET;
  if (BKV_HAS (items, ITEM, electricity_amount) || BKV_HAS (items, ITEM, service_amount))
    r->amount = (gint64) items->electricity_amount + items->service_amount;
  if (BKV_HAS (items, ITEM, end_time)) {
    r->has_time = bkv_time_from_bcd (items->end_time, offset_min, &r->end_ms);
    bkv_hex (items->end_time, 7, r->time_text);
  }
  return TRUE;
}

/* First rule that fits (10.6). */
static ChEndReason end_reason (const BkvSettings *settings, const BkvEndReport *r,
                               gboolean stopped)
{
  if (r->status & BKV_STATUS_OVER_TEMP)
    return CH_END_OVER_TEMP;
  if (r->status & BKV_STATUS_OVER_CURRENT)
    return CH_END_OVER_CURRENT;
  if (r->status & BKV_STATUS_OVER_POWER)
    return CH_END_OVER_POWER;
  if (r->status & settings->meter_fault_mask)
    return CH_END_FAULT;
  if ((r->status & BKV_STATUS_ONLINE) == 0)
    return CH_END_POWER_OFF;
  if (stopped)
    return CH_END_REMOTE_STOP;
  if (r->status & BKV_STATUS_NO_LOAD)
    return CH_END_NO_LOAD;
  if (r->reason >= 0 && settings->reasons[r->reason] >= 0)
    return (ChEndReason) settings->reasons[r->reason];
  return CH_END_NORMAL; /* target reached, or full by the device's own judgement */
}

/* Momentary values are not part of it: they change between copies. */
static char *dedup_key (const BkvGateway *g, const BkvEndReport *r)
{
  return g_strdup_printf ("end:%s:%u:%u:%04X:%u:%u%s%s", g->id, r->socket, r->port,
                          r->number, r->energy, r->duration,
                          *r->time_text != 0 ? ":" : "", r->time_text);
}

/* The device's time when it is credible, else the core takes the time of receipt. */
static gint64 occurred_at (ChPlugin *self, const BkvEndReport *r,
                           const ChOrderView *order)
{
  gint64 now = ch_wall_ms (self);

  if (!r->has_time)
    return CH_UNSET;
  if (ABS (r->end_ms - now) <= CREDIBLE_MS)
    return r->end_ms;
  if (order != NULL && order->start_written_ms != CH_UNSET && r->end_ms < now
      && r->end_ms > now - (ch_now_ms (self) - order->start_written_ms))
    return r->end_ms;
  return CH_UNSET;
}

static json_t *raw_data (const BkvFrame *frame, const BkvEndReport *r)
{
  json_t *raw
      = json_pack ("{s:s, s:i, s:i, s:i, s:i}", "report", bkv_kind_name (frame->kind),
                   "status", (int) r->status, "business_no", (int) r->number, "energy",
                   (int) r->energy, "duration", (int) r->duration);

  if (r->reason >= 0)
    json_object_set_new (raw, "reason", json_integer (r->reason));
  if (*r->time_text != 0)
    json_object_set_new (raw, "end_time_hex", json_string (r->time_text));
  if (frame->kind == BKV_POWER_CHARGE_END || frame->kind == BKV_CARD_CHARGE_END) {
    json_t *levels = json_array ();

    for (guint i = 0; i < frame->end.n_levels; i++)
      json_array_append_new (levels, json_integer (frame->end.levels[i]));
    json_object_set_new (raw, "settle_power", json_integer (frame->end.settle_power));
    json_object_set_new (raw, "levels", levels);
  }
  return raw;
}

/* ---- answers ---------------------------------------------------------------------- */

/* Adds the report to those that wait for the store, and forgets what waited too long. */
static gpointer remember (BkvGateway *g, const BkvFrame *frame, const BkvEndReport *r,
                          guint hash)
{
  Bkv *bkv = g->bkv;
  BkvPendingEnd *pending = g_new0 (BkvPendingEnd, 1);
  gint64 now = ch_now_ms (bkv->self);

  pending->stated_ms = now;
  pending->hash = hash;
  memcpy (pending->gateway, g->raw, BKV_GATEWAY_SIZE);
  pending->kind = frame->kind;
  pending->msg_id = frame->msg_id;
  pending->bkv_seq = frame->bkv_seq;
  pending->socket = r->socket;
  pending->port = r->port;
  for (; bkv->oldest_end < bkv->next_end; bkv->oldest_end++) {
    gpointer id = GSIZE_TO_POINTER (bkv->oldest_end);
    const BkvPendingEnd *old = g_hash_table_lookup (bkv->ends, id);

    if (old != NULL && now - old->stated_ms < FORGET_MS)
      break;
    g_hash_table_remove (bkv->ends, id);
  }
  g_hash_table_insert (bkv->ends, GSIZE_TO_POINTER (bkv->next_end), pending);
  return GSIZE_TO_POINTER (bkv->next_end++);
}

/* The transaction is committed: answer, unless the device repeats by now. */
static void on_stored (ChPlugin *self, ChConn conn, const GError *error, gpointer data)
{
  Bkv *bkv = ch_plugin_data (self);
  g_autofree BkvPendingEnd *pending = NULL;
  char id[BKV_GATEWAY_TEXT_SIZE];
  BkvGateway *g;
  BkvOutlet *outlet;

  if (bkv == NULL
      || !g_hash_table_steal_extended (bkv->ends, data, NULL, (gpointer *) &pending))
    return;
  if (error != NULL || ch_now_ms (self) - pending->stated_ms > STORE_MS)
    return;
  bkv_gateway_text (pending->gateway, id);
  g = bkv_gateway_get (bkv, id);
  if (g == NULL)
    return;
  outlet = bkv_outlet (g, pending->socket, pending->port, FALSE);
  if (outlet != NULL && outlet->ended.hash == pending->hash)
    outlet->ended.answered_ms = ch_now_ms (self);
  bkv_answer_end (g, conn, pending);
}

/* ---- checks ----------------------------------------------------------------------- */

/* Once a day: does the energy fit the power that was reported (10.9 number 6)? */
static void check_scale (BkvOutlet *outlet, ChConn conn, const BkvEndReport *r)
{
  BkvGateway *g = outlet->gateway;
  ChPlugin *self = g->bkv->self;
  const BkvCharge *charge = &outlet->charge;
  double energy = (double) r->energy * g->bkv->settings.energy_unit_wh;
  gint64 now = ch_now_ms (self);
  g_autoptr (json_t) metadata = NULL;
  double expected;
  ChAlarm alarm = {.socket_no = outlet->socket,
                   .port_no = outlet->port,
                   .code = "energy_scale_suspect",
                   .title = "Energy does not fit the power",
                   .message = "The unit of energy may be another one (energy_unit_wh).",
                   .level = CH_ALARM_WARNING};

  if (charge->number != r->number || charge->n_loaded < 3 || r->duration == 0
      || (g->scale_alarm_ms != 0 && now - g->scale_alarm_ms < 86400000))
    return;
  expected = (double) charge->power_sum / charge->n_reports / 10 * r->duration / 60;
  if (energy >= 0.2 * expected && energy <= 5 * expected)
    return;
  g->scale_alarm_ms = now;
  metadata = json_pack ("{s:f, s:f}", "energy_wh", energy, "expected_wh", expected);
  alarm.metadata = metadata;
  ch_alarm_raised (self, conn, g->id, &alarm);
}

static void raise_end_alarm (BkvOutlet *outlet, ChConn conn, const char *code,
                             const char *title, ChAlarmLevel level, const BkvEndReport *r)
{
  BkvGateway *g = outlet->gateway;
  char number[5];
  g_autoptr (json_t) metadata = NULL;
  ChAlarm alarm = {.socket_no = outlet->socket,
                   .port_no = outlet->port,
                   .code = code,
                   .title = title,
                   .level = level};

  g_snprintf (number, sizeof number, "%04X", r->number);
  metadata = json_pack ("{s:s, s:i, s:i}", "business_no", number, "energy",
                        (int) r->energy, "duration", (int) r->duration);
  alarm.metadata = metadata;
  ch_alarm_raised (g->bkv->self, conn, g->id, &alarm);
}

/* What the plugin still knows of the last end of this outlet; the core knows the rest. */
static BkvEndCount classify (BkvOutlet *outlet, const BkvFrame *frame,
                             const BkvEndReport *r, guint hash, gboolean is_active)
{
  BkvGateway *g = outlet->gateway;
  const BkvEnded *ended = &outlet->ended;

  if (r->number == 0 || ended->number != r->number || outlet->end_inferred || is_active)
    return BKV_END_NEW;
  if (ended->hash != hash)
    return BKV_END_CONFLICT; /* the core raises the alarm: it has the older ones too */
  /* A copy after an answer: perhaps this firmware wants the other form. */
  if (ended->answered_ms != 0 && frame->kind != BKV_CARD_CHARGE_END
      && frame->kind != BKV_FEE_CHARGE_END
      && ch_now_ms (g->bkv->self) - ended->answered_ms <= BKV_REPEAT_MS)
    g->end_both = TRUE;
  return BKV_END_DUPLICATE;
}

static void count_end (BkvOutlet *outlet, ChConn conn, const BkvFrame *frame,
                       const BkvEndReport *r, guint hash, gboolean is_active)
{
  const BkvStart *start = bkv_start (outlet);
  BkvEndCount count = classify (outlet, frame, r, hash, is_active);

  ch_series_inc (outlet->gateway->bkv->metrics.end[count]);
  if (count != BKV_END_NEW)
    return;
  check_scale (outlet, conn, r);
  if (r->number != 0 && r->number == start->alias && r->number != start->number)
    raise_end_alarm (outlet, conn, "start_executed_twice", "A start was executed twice",
                     CH_ALARM_WARNING, r);
  if (r->card_type != 0)
    raise_end_alarm (outlet, conn, "offline_card_charge", "Charge by an off-line card",
                     CH_ALARM_WARNING, r);
}

/* ---- the report ------------------------------------------------------------------- */

static void state_end (BkvOutlet *outlet, ChConn conn, const BkvFrame *frame,
                       const BkvEndReport *r, const ChOrderView *order, gboolean stopped,
                       const char *key, guint hash)
{
  BkvGateway *g = outlet->gateway;
  const BkvSettings *settings = &g->bkv->settings;
  char wire_order[BKV_WIRE_ORDER_SIZE];
  g_autoptr (json_t) metadata = raw_data (frame, r);
  ChOrderEnded fact = CH_ORDER_ENDED_INIT;

  fact.socket_no = r->socket;
  fact.port_no = r->port;
  if (r->number != 0) {
    bkv_wire_order (r->socket, r->port, r->number, wire_order);
    fact.business_no = r->number;
    fact.wire_order = wire_order;
  }
  fact.energy_wh = (gint64) r->energy * settings->energy_unit_wh;
  fact.duration_s = bkv_seconds (r->duration);
  fact.end_reason = end_reason (settings, r, stopped);
  fact.raw_reason = r->reason >= 0 ? r->reason : r->has_status ? r->status : CH_UNSET;
  fact.raw_status = r->has_status ? r->status : CH_UNSET;
  fact.power_mw = r->has_power ? bkv_mw (r->power) : CH_UNSET;
  fact.amount_cent = r->amount;
  fact.card_no = *r->card != 0 ? r->card : NULL;
  fact.next_port_status = bkv_fault_bits (r->status, settings->meter_fault_mask) != 0
                              ? CH_PORT_FAULT
                              : CH_PORT_IDLE;
  fact.occurred_at_ms = occurred_at (g->bkv->self, r, order);
  fact.dedup_key = key;
  fact.metadata = metadata;
  ch_order_ended (g->bkv->self, conn, g->id, &fact, on_stored,
                  remember (g, frame, r, hash));
}

/* A place that cannot be: no event, but the device would repeat for ever. */
static void answer_at_once (BkvGateway *g, ChConn conn, const BkvFrame *frame,
                            const BkvEndReport *r)
{
  BkvPendingEnd pending = {.kind = frame->kind,
                           .msg_id = frame->msg_id,
                           .bkv_seq = frame->bkv_seq,
                           .socket = r->socket,
                           .port = r->port};

  memcpy (pending.gateway, g->raw, BKV_GATEWAY_SIZE);
  bkv_answer_end (g, conn, &pending);
}

static void take_end (BkvSession *session, BkvGateway *g, const BkvFrame *frame,
                      const BkvEndReport *r)
{
  ChPlugin *self = session->bkv->self;
  BkvOutlet *outlet = bkv_outlet (g, r->socket, r->port, TRUE);
  g_autofree char *key = dedup_key (g, r);
  guint hash = MAX (g_str_hash (key), 1);
  gboolean held, has_number, is_active, stopped;
  ChOrderView order;

  if (outlet == NULL) {
    answer_at_once (g, session->conn, frame, r);
    return;
  }
  held = ch_port_order (self, g->id, outlet->socket, outlet->port, &order);
  has_number = held && order.number_is_device && order.business_no != 0;
  is_active = has_number && order.business_no == r->number;
  /* An order with another number is not meant, and so its stop is not. */
  held = is_active || (held && (!has_number || r->number == 0));
  stopped = held ? order.stop_written : !has_number && outlet->stop_written_ms != 0;

  count_end (outlet, session->conn, frame, r, hash, is_active);
  if (outlet->ended.hash != hash)
    bkv_set_ended (outlet, r->number, hash);
  bkv_charge_missing_end (outlet);
  state_end (outlet, session->conn, frame, r, held ? &order : NULL, stopped, key, hash);
  if (held || !has_number)
    outlet->stop_written_ms = 0;
}

gboolean bkv_on_end (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  BkvEndReport report = {0};

  from_fixed (frame, session->bkv->settings.utc_offset_min, &report);
  take_end (session, g, frame, &report);
  return TRUE;
}

gboolean bkv_on_fee_end (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  BkvEndReport report = {0};

  if (!from_items (&frame->items, session->bkv->settings.utc_offset_min, &report))
    return FALSE;
  take_end (session, g, frame, &report);
  return TRUE;
}
