/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sending: encoding, disturbing, logging, and who owes an answer. */
#include "report.h"

#include <string.h>

#define HALF_FRAME_AWAY SIM_RECONNECT
#define HOLD (1 * SIM_SECOND)
#define LATE_SHORT (6 * SIM_SECOND)
#define LATE_LONG (20 * SIM_SECOND)

/* What the server must answer, by what was sent; the number of the socket is needed
 * where answers name it. */
static void expect_answer (SimGateway *gateway, BkvKind kind, const guint8 *bytes,
                           gsize size)
{
  BkvFrame frame;
  BkvKind answer = BKV_UNKNOWN;
  guint8 socket = 0;

  switch (kind) {
  case BKV_HEARTBEAT:
    answer = BKV_HEARTBEAT_ACK;
    break;
  case BKV_STATUS_REPORT:
    answer = BKV_STATUS_ACK;
    break;
  case BKV_CHARGE_END:
  case BKV_POWER_CHARGE_END:
  case BKV_CARD_CHARGE_END:
    answer = BKV_CHARGE_END_ACK;
    if (bkv_decode (bytes, size, &frame))
      socket = frame.end.socket;
    break;
  case BKV_FEE_CHARGE_END:
  case BKV_EVENT_REPORT:
    answer = kind == BKV_EVENT_REPORT ? BKV_EVENT_ACK : BKV_FEE_CHARGE_END_ACK;
    if (bkv_decode (bytes, size, &frame))
      socket = frame.items.socket;
    break;
  default:
    return;
  }
  owed_add (gateway, answer, socket);
}

static void count (SimGateway *gateway, BkvKind kind)
{
  SimCounters *counters = &gateway->sim->counters;
  counters->frames_up++;
  if (kind == BKV_STATUS_REPORT)
    counters->statuses_sent++;
  else if (kind == BKV_EVENT_REPORT)
    counters->events_sent++;
}

static void write_garbage (SimGateway *gateway, guint size)
{
  guint8 bytes[256];
  size = MIN (size, (guint) sizeof bytes);
  for (guint i = 0; i < size; i++)
    bytes[i] = (guint8) (random_next (gateway) % 0xFC);
  report_stray (gateway, TRUE, "garbage", bytes, size);
  link_write (gateway, bytes, size);
}

static void apply_effects (SimGateway *gateway, const SimEffects *effects)
{
  if (effects->garbage > 0)
    write_garbage (gateway, effects->garbage);
  if (effects->pieces > 1)
    link_split (gateway, effects->pieces);
}

void frame_send_bytes (SimGateway *gateway, BkvKind kind, const guint8 *bytes, gsize size)
{
  guint8 copy[BKV_MAX_FRAME];

  if (gateway->phase != SIM_OPEN && gateway->phase != SIM_READY)
    return;
  memcpy (copy, bytes, size);
  SimEffects effects = disturb_bytes (gateway, kind, copy, &size);
  count (gateway, kind);
  apply_effects (gateway, &effects);
  report_frame (gateway, TRUE, copy, size);
  if (effects.half) {
    link_write (gateway, copy, size / 2);
    gateway_close (gateway, SIM_HANG_UP, "half a frame was sent", HALF_FRAME_AWAY);
    return;
  }
  link_write (gateway, copy, size);
  if (effects.hold)
    link_hold (gateway, HOLD);
  if (!effects.spoiled && gateway->watch.fd >= 0)
    expect_answer (gateway, kind, copy, size);
  if (effects.reconnect)
    gateway_close (gateway, SIM_ABANDON, "left open for a second connection", 0);
}

void frame_send (SimGateway *gateway, const BkvFrame *frame)
{
  guint8 bytes[BKV_MAX_FRAME];
  gsize size = bkv_encode (frame, bytes, sizeof bytes);
  if (size > 0)
    frame_send_bytes (gateway, frame->kind, bytes, size);
}

/* ---- later ------------------------------------------------------------------------ */

static void unlink_delayed (SimDelayed *delayed)
{
  SimDelayed **at = &delayed->gateway->delayed;
  while (*at != delayed)
    at = &(*at)->next;
  *at = delayed->next;
}

static void delayed_timer (gpointer data)
{
  g_autofree SimDelayed *delayed = data;
  unlink_delayed (delayed);
  frame_send_bytes (delayed->gateway, delayed->kind, delayed->bytes, delayed->size);
}

void frame_send_later (SimGateway *gateway, BkvKind kind, const guint8 *bytes, gsize size,
                       gint64 delay)
{
  SimDelayed *delayed = g_malloc0 (sizeof *delayed + size);
  delayed->gateway = gateway;
  delayed->kind = (guint8) kind;
  delayed->size = (guint16) size;
  memcpy (delayed->bytes, bytes, size);
  delayed->next = gateway->delayed;
  gateway->delayed = delayed;
  timer_set (&delayed->timer, delayed_timer, delayed);
  timer_arm (gateway->sim->loop, &delayed->timer, delay);
}

void frame_drop_delayed (SimGateway *gateway)
{
  while (gateway->delayed != NULL) {
    SimDelayed *delayed = gateway->delayed;
    gateway->delayed = delayed->next;
    timer_stop (gateway->sim->loop, &delayed->timer);
    g_free (delayed);
  }
}

/* ---- answers ---------------------------------------------------------------------- */

static gboolean is_start_answer (BkvKind kind)
{
  return kind == BKV_CONTROL_ACK || kind == BKV_POWER_START_ACK
         || kind == BKV_FEE_START_ACK;
}

static void change_serial (guint8 *bytes, gsize size)
{
  bytes[9] = (guint8) (bytes[9] + 101);
  bytes[size - 3] = bkv_checksum (bytes + 2, size - 5);
}

void frame_answer (SimGateway *gateway, BkvKind kind, const guint8 *bytes, gsize size,
                   gint64 delay)
{
  guint8 copy[BKV_MAX_FRAME];

  if (disturb_now (gateway, SIM_DISTURB_NO_ANSWER)
      || (is_start_answer (kind) && disturb_now (gateway, SIM_DISTURB_START_ANSWER_LOST)))
    return;
  if (disturb_now (gateway, SIM_DISTURB_LATE_ANSWER))
    delay += random_unit (gateway) < 0.5 ? LATE_SHORT : LATE_LONG;
  memcpy (copy, bytes, size);
  if (disturb_now (gateway, SIM_DISTURB_WRONG_SERIAL))
    change_serial (copy, size);
  frame_send_later (gateway, kind, copy, size, delay);
  if (disturb_now (gateway, SIM_DISTURB_ANSWER_TWICE))
    frame_send_later (gateway, kind, copy, size, delay);
}
