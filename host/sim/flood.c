/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Load mode: as many heartbeats in flight as asked for, and a count of the answers. */
#include "report.h"

#include <string.h>

#define ANSWER_SIZE 28 /* header to tail of a heartbeat answer */

static gsize encode_heartbeat (SimGateway *gateway, guint8 *bytes, gsize max)
{
  BkvFrame frame;

  bkv_init (&frame, BKV_HEARTBEAT, gateway->id, 0);
  memcpy (frame.heartbeat.iccid, "89860855102400000000", 20);
  gateway_firmware (gateway, frame.heartbeat.fw);
  frame.heartbeat.signal = (guint8) gateway->sim->options.signal;
  return bkv_encode (&frame, bytes, max);
}

static void send_many (SimGateway *gateway, guint n)
{
  Sim *sim = gateway->sim;
  guint size = (guint) sim->options.flood;
  guint8 bytes[4096];
  gsize one = encode_heartbeat (gateway, bytes, sizeof bytes);
  guint fits = (guint) (sizeof bytes / one);

  for (guint i = 1; i < MIN (n, fits); i++)
    memcpy (bytes + i * one, bytes, one);
  sim->counters.heartbeats_sent += n;
  sim->counters.frames_up += n;
  for (guint i = 0; i < n; i++)
    gateway->flood_sent[(gateway->flood_at + gateway->flood_n++) % size]
        = sim_real_us (sim);
  while (n > 0 && gateway->watch.fd >= 0) {
    guint now = MIN (n, fits);
    link_write (gateway, bytes, now * one);
    n -= now;
  }
}

void flood_begin (SimGateway *gateway)
{
  Sim *sim = gateway->sim;
  guint size = (guint) sim->options.flood;

  timer_stop (sim->loop, &gateway->beat);
  timer_stop (sim->loop, &gateway->dead);
  gateway->flood_sent = g_new (guint32, size);
  gateway->flood_at = gateway->flood_n = 0;
  if (sim->flood_began == 0)
    sim->flood_began = loop_real (sim->loop);
  send_many (gateway, size);
}

void flood_end (SimGateway *gateway)
{
  g_clear_pointer (&gateway->flood_sent, g_free);
  gateway->flood_n = 0;
}

static gboolean is_answer (const guint8 *bytes, gsize size)
{
  static const guint8 start[] = {0xFC, 0xFF, 0x00, 0x18, 0x00, 0x00};
  return size >= ANSWER_SIZE && memcmp (bytes, start, sizeof start) == 0
         && bytes[ANSWER_SIZE - 3] == bkv_checksum (bytes + 2, ANSWER_SIZE - 5)
         && bytes[ANSWER_SIZE - 1] == 0xEE;
}

gsize flood_input (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  Sim *sim = gateway->sim;
  guint ring = (guint) sim->options.flood;
  guint answers = 0;
  gsize at = 0;

  for (; is_answer (bytes + at, size - at) && gateway->flood_n > 0; at += ANSWER_SIZE) {
    histogram_add (&sim->counters.answer,
                   sim_real_us (sim) - gateway->flood_sent[gateway->flood_at]);
    gateway->flood_at = (guint16) ((gateway->flood_at + 1) % ring);
    gateway->flood_n--;
    answers++;
  }
  sim->counters.heartbeats_answered += answers;
  sim->counters.frames_down += answers;
  sim->flood_answers += answers;
  if (answers > 0)
    send_many (gateway, answers);
  return at;
}
