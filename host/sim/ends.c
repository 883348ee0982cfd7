/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end report store (bkv 16.6): a queue per gateway. The head is sent until the server
 * acknowledges it; three copies on one connection, silence, and the device hangs up.
 */
#include "report.h"

#include <string.h>
#include <unistd.h>

#define COPIES 3
#define COPY_EVERY 10.5
#define COPY_SPREAD 0.5
#define SILENCE (17 * SIM_SECOND)
#define NEXT_REPORT (500 * SIM_MS)

/* ---- the queue -------------------------------------------------------------------- */

static SimEnd *append (SimGateway *gateway, guint32 seq, BkvKind kind,
                       const guint8 *bytes, gsize size)
{
  SimEnd *end = g_malloc0 (sizeof *end + size);
  SimEnd **at = &gateway->ends;

  end->seq = seq;
  end->kind = (guint8) kind;
  end->size = (guint16) size;
  memcpy (end->bytes, bytes, size);
  while (*at != NULL)
    at = &(*at)->next;
  *at = end;
  return end;
}

static void remember_last (SimGateway *gateway, BkvKind kind, const guint8 *bytes,
                           gsize size)
{
  g_free (gateway->last_end);
  gateway->last_end = g_memdup2 (bytes, size);
  gateway->last_end_size = (guint16) size;
  gateway->last_end_kind = (guint8) kind;
}

void ends_add (SimGateway *gateway, const BkvFrame *report, gint64 delay)
{
  guint8 bytes[BKV_MAX_FRAME];
  gsize size = bkv_encode (report, bytes, sizeof bytes);

  if (size == 0)
    return;
  guint32 seq = journal_end (gateway, bytes, size);
  SimEnd *end = append (gateway, seq, report->kind, bytes, size);
  end->ready_at = sim_now (gateway) + delay;
  remember_last (gateway, report->kind, bytes, size);
  if (gateway->ready_step > 1)
    ends_kick (gateway);
}

gboolean ends_restore (SimGateway *gateway, guint32 seq, const guint8 *bytes, gsize size)
{
  BkvFrame frame;

  if (!bkv_decode (bytes, size, &frame) || frame.error != BKV_OK)
    return FALSE;
  append (gateway, seq, frame.kind, bytes, size);
  return TRUE;
}

guint ends_waiting (const SimGateway *gateway)
{
  guint n = 0;
  for (const SimEnd *end = gateway->ends; end != NULL; end = end->next)
    n++;
  return n;
}

void ends_clear (SimGateway *gateway)
{
  while (gateway->ends != NULL) {
    SimEnd *end = gateway->ends;
    gateway->ends = end->next;
    g_free (end);
  }
  g_clear_pointer (&gateway->last_end, g_free);
}

/* ---- sending ---------------------------------------------------------------------- */

void ends_kick (SimGateway *gateway)
{
  if (gateway->phase != SIM_READY || gateway->ends == NULL || gateway->end_copies > 0
      || timer_armed (&gateway->store))
    return;
  timer_arm (gateway->sim->loop, &gateway->store,
             gateway->ends->ready_at - sim_now (gateway));
}

/* A copy on a later connection shows what the outlet draws at that moment. */
static gsize copy_of (SimGateway *gateway, const SimEnd *end, guint8 *bytes, gsize max)
{
  BkvFrame frame;

  if (end->sends == 0 || gateway->end_copies > 0
      || !bkv_decode (end->bytes, end->size, &frame)) {
    memcpy (bytes, end->bytes, end->size);
    return end->size;
  }
  guint16 power = (guint16) (random_next (gateway) % 3);
  guint16 current = (guint16) (1 + random_next (gateway) % 2);
  if (end->kind == BKV_FEE_CHARGE_END) {
    frame.items.power = power;
    frame.items.current = current;
  } else {
    frame.end.power = power;
    frame.end.current = current;
  }
  return bkv_encode (&frame, bytes, max);
}

/* Later copies on the same connection must equal the first one there. */
static void send_copy (SimGateway *gateway, SimEnd *end)
{
  SimCounters *counters = &gateway->sim->counters;
  guint8 bytes[BKV_MAX_FRAME];
  gsize size = copy_of (gateway, end, bytes, sizeof bytes);

  if (size == end->size)
    memcpy (end->bytes, bytes, size);
  counters->ends_sent++;
  counters->ends_repeated += end->sends > 0;
  end->sends++;
  gateway->end_copies++;
  frame_send_bytes (gateway, end->kind, end->bytes, end->size);
}

void ends_timer (gpointer data)
{
  SimGateway *gateway = data;
  SimEnd *end = gateway->ends;

  if (gateway->phase != SIM_READY || end == NULL)
    return;
  if (gateway->end_copies >= COPIES) {
    gateway->sim->counters.closed_by_us++;
    gateway_close (gateway, SIM_HANG_UP, "no answer to three copies of an end report",
                   SIM_RECONNECT);
    return;
  }
  gint64 wait = gateway->end_copies + 1 >= COPIES
                    ? SILENCE
                    : (gint64) (random_between (gateway, COPY_EVERY - COPY_SPREAD,
                                                COPY_EVERY + COPY_SPREAD)
                                * (double) SIM_SECOND);
  timer_arm (gateway->sim->loop, &gateway->store, wait);
  send_copy (gateway, end);
}

/* ---- acknowledgement -------------------------------------------------------------- */

static gboolean form_accepted (const SimGateway *gateway, const SimEnd *end,
                               const BkvFrame *frame)
{
  SimAckForm form = gateway->sim->options.variant.end_ack;
  BkvKind echo = end->kind == BKV_CHARGE_END         ? BKV_CHARGE_END_ACK_ECHO
                 : end->kind == BKV_POWER_CHARGE_END ? BKV_POWER_CHARGE_END_ACK_ECHO
                                                     : BKV_CHARGE_END_ACK;
  if (end->kind == BKV_FEE_CHARGE_END)
    return frame->kind == BKV_FEE_CHARGE_END_ACK;
  if (frame->kind == BKV_CHARGE_END_ACK)
    return form != SIM_ACK_ECHO || echo == BKV_CHARGE_END_ACK;
  return form != SIM_ACK_0C && frame->kind == echo;
}

static gboolean answers_head (const SimGateway *gateway, const SimEnd *end,
                              const BkvFrame *frame)
{
  BkvFrame report;

  if (gateway->end_copies == 0 || !form_accepted (gateway, end, frame)
      || !bkv_decode (end->bytes, end->size, &report))
    return FALSE;
  if (end->kind == BKV_FEE_CHARGE_END)
    return frame->items.result == 1 && frame->items.socket == report.items.socket
           && frame->items.port == report.items.port;
  return frame->end_ack.result == 1 && frame->end_ack.socket == report.end.socket;
}

void ends_log (SimGateway *gateway, const guint8 *bytes, gsize size, gboolean acked)
{
  Sim *sim = gateway->sim;
  guint unit = sim->options.variant.energy_unit == 0 ? 1 : 10;
  BkvFrame frame;

  if (sim->ack_log < 0 || !bkv_decode (bytes, size, &frame))
    return;
  BkvEnd end = frame.end;
  if (frame.kind == BKV_FEE_CHARGE_END)
    end = (BkvEnd) {.socket = frame.items.socket,
                    .port = frame.items.port,
                    .business_no = frame.items.business_no,
                    .energy = frame.items.energy,
                    .duration = frame.items.duration};
  g_autofree char *line = g_strdup_printf (
      "{\"gateway\":\"%s\",\"socket\":%u,\"port\":%u,\"business_no\":%u,\"energy_wh\":%u,"
      "\"duration_min\":%u,\"kind\":\"%s\",\"acknowledged\":%s}\n",
      frame.gateway_id, end.socket, end.port, end.business_no, end.energy * unit,
      end.duration, bkv_kind_name (frame.kind), acked ? "true" : "false");
  if (write (sim->ack_log, line, strlen (line)) < 0)
    report_note (sim, NULL, "cannot write the acknowledgement log");
}

void ends_acknowledged (SimGateway *gateway, const BkvFrame *frame)
{
  gboolean fees = frame->kind == BKV_FEE_CHARGE_END_ACK;
  guint8 socket = fees ? frame->items.socket : frame->end_ack.socket;
  guint8 result = fees ? frame->items.result : frame->end_ack.result;
  SimEnd *end = gateway->ends;

  owed_take (gateway, fees ? BKV_FEE_CHARGE_END_ACK : BKV_CHARGE_END_ACK, socket, NULL);
  check_end_answer (gateway, socket, result);
  if (end == NULL || !answers_head (gateway, end, frame))
    return;
  ends_log (gateway, end->bytes, end->size, TRUE);
  journal_acked (gateway, end->seq);
  gateway->sim->counters.ends_acked++;
  gateway->ends = end->next;
  gateway->end_copies = 0;
  g_free (end);
  timer_stop (gateway->sim->loop, &gateway->store);
  if (gateway->ends != NULL) {
    gint64 ready = gateway->ends->ready_at - sim_now (gateway);
    timer_arm (gateway->sim->loop, &gateway->store, MAX (ready, NEXT_REPORT));
  }
}
