/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection state machine (bkv 16.2). */
#include "report.h"

#include <string.h>

#define CONNECT_TIMEOUT (30 * SIM_SECOND)
#define FIRST_HEARTBEAT (2 * SIM_SECOND)
#define SECOND_HEARTBEAT (40 * SIM_MS)
#define SECOND_PROBABILITY 0.3
#define HEARTBEAT 60.0
#define HEARTBEAT_SPREAD 2.0
#define UNANSWERED (60 * SIM_SECOND)
#define EVENT_RECORD (400 * SIM_MS)
#define AFTER_RECORD (100 * SIM_MS)
#define MAX_BACKOFF_S 60
#define UPGRADE_AWAY (30 * SIM_SECOND)

static void link_timer (gpointer data);
static void beat_timer (gpointer data);
static void dead_timer (gpointer data);
static void ready_timer (gpointer data);

/* ---- identity --------------------------------------------------------------------- */

void gateway_init (Sim *sim, SimGateway *gateway, guint32 index)
{
  guint64 number = sim->options.first_id + index;

  gateway->sim = sim;
  gateway->index = index;
  for (int i = BKV_GATEWAY_SIZE - 1; i >= 0; i--, number /= 100)
    gateway->id[i] = (guint8) (number / 10 % 10 << 4 | number % 10);
  gateway->random
      = (guint64) sim->options.seed * G_GUINT64_CONSTANT (0x9E3779B97F4A7C15) + index;
  gateway->counter = (guint16) (sim->options.first_number - 1);
  link_init (gateway);
  timer_set (&gateway->link, link_timer, gateway);
  timer_set (&gateway->beat, beat_timer, gateway);
  timer_set (&gateway->dead, dead_timer, gateway);
  timer_set (&gateway->ready, ready_timer, gateway);
  timer_set (&gateway->store, ends_timer, gateway);
  timer_set (&gateway->report, sockets_report_timer, gateway);
  timer_set (&gateway->tick, charging_tick, gateway);
  timer_set (&gateway->event, faults_event_timer, gateway);
  timer_set (&gateway->card, cards_timer, gateway);
  timer_set (&gateway->owed_check, owed_timer, gateway);
  sockets_preset (gateway);
}

static void stop_timers (SimGateway *gateway)
{
  SimTimer *timers[] = {&gateway->link,  &gateway->beat,  &gateway->dead,
                        &gateway->ready, &gateway->store, &gateway->report};
  for (gsize i = 0; i < G_N_ELEMENTS (timers); i++)
    timer_stop (gateway->sim->loop, timers[i]);
}

/* What belongs to the connection goes with it. */
static void leave_connection (SimGateway *gateway)
{
  if (gateway->phase == SIM_READY)
    gateway->sim->n_ready--;
  stop_timers (gateway);
  frame_drop_delayed (gateway);
  flood_end (gateway);
  owed_clear (gateway);
  cards_clear (gateway);
  timer_stop (gateway->sim->loop, &gateway->event);
  g_clear_pointer (&gateway->event_report, g_free);
  gateway->end_copies = 0;
  gateway->last_command_ms = 0;
  gateway->answered = FALSE;
}

void gateway_clear (SimGateway *gateway)
{
  leave_connection (gateway);
  link_close (gateway, SIM_HANG_UP);
  timer_stop (gateway->sim->loop, &gateway->tick);
  commands_clear (gateway);
  sockets_clear (gateway);
  ends_clear (gateway);
}

void gateway_name (const SimGateway *gateway, char text[BKV_GATEWAY_TEXT_SIZE])
{
  bkv_gateway_text (gateway->id, text);
}

/* Fills the # of a pattern with the digits of a number, the last first. */
static void fill_pattern (const char *pattern, guint32 number, char *text, gsize size)
{
  gsize n = strlen (pattern);
  memset (text, 0, size);
  for (gsize i = n; i-- > 0;) {
    char c = pattern[i];
    if (c == '#') {
      c = (char) ('0' + number % 10);
      number /= 10;
    }
    if (i < size - 1)
      text[i] = c;
  }
}

void gateway_firmware (const SimGateway *gateway, char text[9])
{
  fill_pattern (gateway->sim->options.firmware, gateway->index, text, 9);
  for (gsize i = strlen (text); i-- > 0 && gateway->firmware_step > 0;)
    if (g_ascii_isdigit (text[i])) {
      text[i] = (char) ('0' + ((guint32) (text[i] - '0') + gateway->firmware_step) % 10);
      return;
    }
}

gint64 gateway_clock_ms (const SimGateway *gateway)
{
  gint64 now = sim_now (gateway);
  if (gateway->clock_ms == 0)
    return g_get_real_time () / 1000;
  return gateway->clock_ms + (now - gateway->clock_at) / 1000;
}

/* ---- connecting ------------------------------------------------------------------- */

void gateway_start (SimGateway *gateway, gint64 delay)
{
  gateway->phase = SIM_CLOSED;
  timer_arm (gateway->sim->loop, &gateway->link, delay);
}

static void begin_connect (SimGateway *gateway)
{
  gateway->phase = SIM_CONNECTING;
  timer_arm (gateway->sim->loop, &gateway->link, CONNECT_TIMEOUT);
  link_connect (gateway);
}

void gateway_connect_failed (SimGateway *gateway, const char *why)
{
  guint wait_s = MIN (4u << MIN (gateway->fails, 4), MAX_BACKOFF_S);

  gateway->sim->counters.connect_failures++;
  if (gateway->fails < G_MAXUINT8)
    gateway->fails++;
  gateway->phase = SIM_CLOSED;
  timer_arm (gateway->sim->loop, &gateway->link, wait_s * SIM_SECOND);
  report_note (gateway->sim, gateway, "cannot connect: %s; again in %u s", why, wait_s);
}

void gateway_connected (SimGateway *gateway)
{
  Sim *sim = gateway->sim;
  sim->counters.connects++;
  gateway->fails = 0;
  gateway->phase = SIM_OPEN;
  timer_arm (sim->loop, &gateway->link, sim->options.flood > 0 ? 0 : FIRST_HEARTBEAT);
  report_note (sim, gateway, "connected to %s", sim->options.server);
}

void gateway_close (SimGateway *gateway, SimClose how, const char *why, gint64 wait)
{
  if (gateway->phase >= SIM_OPEN && gateway->phase != SIM_AWAY)
    report_note (gateway->sim, gateway, "connection gone: %s", why);
  leave_connection (gateway);
  link_close (gateway, how);
  gateway->phase = wait < 0 ? SIM_AWAY : SIM_CLOSED;
  if (wait >= 0)
    timer_arm (gateway->sim->loop, &gateway->link, wait);
}

/* ---- heartbeats ------------------------------------------------------------------- */

void gateway_heartbeat (SimGateway *gateway)
{
  const SimOptions *options = &gateway->sim->options;
  SimLoop *loop = gateway->sim->loop;
  BkvFrame frame;

  bkv_init (&frame, BKV_HEARTBEAT, gateway->id, 0);
  fill_pattern (options->iccid, gateway->index, frame.heartbeat.iccid,
                sizeof frame.heartbeat.iccid);
  gateway_firmware (gateway, frame.heartbeat.fw);
  frame.heartbeat.signal = (guint8) options->signal;
  gateway->sim->counters.heartbeats_sent++;
  if (!timer_armed (&gateway->dead))
    timer_arm (loop, &gateway->dead, UNANSWERED);
  timer_arm (loop, &gateway->beat,
             (gint64) (random_between (gateway, HEARTBEAT - HEARTBEAT_SPREAD,
                                       HEARTBEAT + HEARTBEAT_SPREAD)
                       * (double) SIM_SECOND));
  frame_send (gateway, &frame);
}

static void beat_timer (gpointer data)
{
  gateway_heartbeat (data);
}

static void dead_timer (gpointer data)
{
  SimGateway *gateway = data;

  if (link_unread (gateway)) { /* it may be here, and we are late */
    timer_arm (gateway->sim->loop, &gateway->dead, 0);
    return;
  }
  gateway->sim->counters.closed_by_us++;
  gateway_close (gateway, SIM_HANG_UP, "no answer to a heartbeat for 60 s",
                 SIM_RECONNECT);
}

static void first_heartbeat (SimGateway *gateway)
{
  const SimOptions *options = &gateway->sim->options;
  gateway_heartbeat (gateway);
  if (options->flood == 0 && random_unit (gateway) < SECOND_PROBABILITY
      && timer_armed (&gateway->beat))
    timer_arm (gateway->sim->loop, &gateway->beat, SECOND_HEARTBEAT);
}

static void link_timer (gpointer data)
{
  SimGateway *gateway = data;

  switch ((SimPhase) gateway->phase) {
  case SIM_CLOSED:
    begin_connect (gateway);
    break;
  case SIM_CONNECTING:
    link_close (gateway, SIM_HANG_UP);
    gateway_connect_failed (gateway, "no answer");
    break;
  case SIM_OPEN:
    first_heartbeat (gateway);
    break;
  case SIM_READY: /* an upgrade command was obeyed */
    gateway->firmware_step++;
    gateway_close (gateway, SIM_HANG_UP, "upgrade", UPGRADE_AWAY);
    break;
  case SIM_AWAY:
    break;
  }
}

static void set_clock (SimGateway *gateway, const BkvHeartbeatAck *ack)
{
  gint64 local_ms;
  if (!bkv_time_from_bcd (ack->time, 0, &local_ms))
    return;
  gateway->clock_ms = local_ms;
  gateway->clock_at = sim_now (gateway);
}

static void heartbeat_answered (SimGateway *gateway, const BkvFrame *frame)
{
  Sim *sim = gateway->sim;
  guint32 latency_us = 0;

  set_clock (gateway, &frame->heartbeat_ack);
  timer_stop (sim->loop, &gateway->dead);
  if (!owed_take (gateway, BKV_HEARTBEAT_ACK, -1, &latency_us))
    return;
  sim->counters.heartbeats_answered++;
  histogram_add (&sim->counters.answer, latency_us);
  if (!gateway->answered)
    histogram_add (&sim->counters.first_answer, latency_us);
  gateway->answered = TRUE;
  if (gateway->phase != SIM_OPEN)
    return;
  gateway->phase = SIM_READY;
  gateway->ready_step = 0;
  timer_stop (sim->loop, &gateway->link);
  sim->n_ready++;
  if (sim->options.flood > 0)
    flood_begin (gateway);
  else
    timer_arm (sim->loop, &gateway->ready, EVENT_RECORD);
}

/* ---- after the first answer ------------------------------------------------------- */

static void send_record (SimGateway *gateway)
{
  gint64 time_ms = gateway_clock_ms (gateway) - 4000;
  BkvFrame frame;

  bkv_init (&frame, BKV_EVENT_RECORD, gateway->id, 0);
  BKV_SET (&frame.items, ITEM, socket, gateway->sim->options.sockets == 0 ? 0 : 1);
  BKV_SET (&frame.items, ITEM, port, 0x7F);
  bkv_time_to_bcd (time_ms, 0, frame.items.time);
  frame.items.has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_time;
  BKV_SET (&frame.items, ITEM, record, gateway->connected_before ? 0x3112 : 0x3111);
  frame_send (gateway, &frame);
}

static void ready_timer (gpointer data)
{
  SimGateway *gateway = data;

  if (gateway->ready_step++ == 0) {
    timer_arm (gateway->sim->loop, &gateway->ready, AFTER_RECORD);
    if (gateway->sim->options.variant.event_record == 0)
      send_record (gateway);
    gateway->connected_before = TRUE;
    return;
  }
  ends_kick (gateway);
  if (gateway->phase == SIM_READY)
    sockets_report_all (gateway);
}

/* ---- input ------------------------------------------------------------------------ */

void gateway_input (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  BkvFrame frame;

  gateway->sim->counters.frames_down++;
  report_frame (gateway, FALSE, bytes, size);
  if (!bkv_decode (bytes, size, &frame) || !check_frame (gateway, &frame))
    return;
  switch (frame.kind) {
  case BKV_HEARTBEAT_ACK:
    heartbeat_answered (gateway, &frame);
    break;
  case BKV_STATUS_ACK:
    if (owed_take (gateway, BKV_STATUS_ACK, -1, NULL))
      gateway->sim->counters.statuses_answered++;
    break;
  case BKV_CHARGE_END_ACK:
  case BKV_CHARGE_END_ACK_ECHO:
  case BKV_POWER_CHARGE_END_ACK_ECHO:
  case BKV_FEE_CHARGE_END_ACK:
    ends_acknowledged (gateway, &frame);
    break;
  case BKV_EVENT_ACK:
    faults_event_acknowledged (gateway, &frame);
    break;
  case BKV_BALANCE_REPLY:
    cards_balance_reply (gateway, &frame);
    break;
  default:
    commands_input (gateway, &frame, bytes, size);
    break;
  }
}
