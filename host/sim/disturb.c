/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disturbances (bkv 16.8): when they happen, and what they do to the bytes of a frame. */
#include "report.h"

#include <string.h>

#define PAYLOAD 18 /* offset in a frame */
#define TAIL 3     /* checksum and tail */

gboolean disturb_now (SimGateway *gateway, SimDisturb disturb)
{
  Sim *sim = gateway->sim;
  const SimDisturbRate *rate = &sim->options.disturb[disturb];
  gboolean happens;

  if (rate->nth == 0 && rate->probability <= 0)
    return FALSE;
  if (rate->nth != 0)
    happens = ++sim->disturb_seen[disturb] == rate->nth;
  else
    happens = random_unit (gateway) < rate->probability;
  if (happens) {
    sim->counters.disturbed++;
    report_note (sim, gateway, "disturbance: %s", disturb_name (disturb));
  }
  return happens;
}

static void put16 (guint8 *p, gsize value)
{
  p[0] = (guint8) (value >> 8);
  p[1] = (guint8) value;
}

static void put_checksum (guint8 *bytes, gsize size)
{
  bytes[size - 3] = bkv_checksum (bytes + 2, size - 5);
}

/* Another payload between the same header and tail. */
static void replace_payload (guint8 *bytes, gsize *size, const guint8 *payload, gsize n)
{
  memcpy (bytes + PAYLOAD, payload, n);
  *size = PAYLOAD + n + TAIL;
  put16 (bytes + 2, *size - 4);
  bytes[*size - 2] = 0xFC;
  bytes[*size - 1] = 0xEE;
  put_checksum (bytes, *size);
}

/* Header items stay in front: without them the frame is short, not reversed. */
static void reverse_items (guint8 *bytes, gsize *size)
{
  guint8 out[BKV_MAX_FRAME];
  gsize n = *size - PAYLOAD - TAIL;
  const guint8 *payload = bytes + PAYLOAD;
  gsize header = 0;
  gsize to = n;

  while (header < n && payload[header + 2] <= 3)
    header += payload[header] + 1u;
  memcpy (out, payload, header);
  for (gsize at = header; at < n; at += payload[at] + 1u) {
    gsize item = payload[at] + 1u;
    to -= item;
    memcpy (out + to, payload + at, item);
  }
  memcpy (bytes + PAYLOAD, out, n);
  put_checksum (bytes, *size);
}

static void add_unknown_item (guint8 *bytes, gsize *size)
{
  static const guint8 item[] = {0x05, 0x01, 0xEE, 0x01, 0x02, 0x03};
  guint8 payload[BKV_MAX_FRAME];
  gsize n = *size - PAYLOAD - TAIL;

  if (*size + sizeof item > BKV_MAX_FRAME)
    return;
  memcpy (payload, bytes + PAYLOAD, n);
  memcpy (payload + n, item, sizeof item);
  replace_payload (bytes, size, payload, n + sizeof item);
}

static void cut_payload (SimGateway *gateway, guint8 *bytes, gsize *size)
{
  guint8 payload[BKV_MAX_FRAME];
  gsize n = *size - PAYLOAD - TAIL;
  gsize cut = 1 + random_next (gateway) % 3;

  if (n <= cut)
    return;
  memcpy (payload, bytes + PAYLOAD, n);
  replace_payload (bytes, size, payload, n - cut);
}

static void change_inner (guint8 *bytes, gsize size, int by)
{
  gsize inner = (gsize) bytes[PAYLOAD] << 8 | bytes[PAYLOAD + 1];
  put16 (bytes + PAYLOAD, inner + (gsize) by);
  put_checksum (bytes, size);
}

static gboolean content_effects (SimGateway *gateway, guint16 cmd, guint8 *bytes,
                                 gsize *size)
{
  gboolean spoiled = FALSE;

  if (cmd == 0x1000) {
    if (disturb_now (gateway, SIM_DISTURB_UNKNOWN_ITEMS))
      add_unknown_item (bytes, size);
    if (disturb_now (gateway, SIM_DISTURB_REVERSE_ITEMS))
      reverse_items (bytes, size);
  }
  if (cmd == 0x0005 || cmd == 0x0015) {
    if (disturb_now (gateway, SIM_DISTURB_INNER_TOO_LARGE))
      change_inner (bytes, *size, 1);
    if (disturb_now (gateway, SIM_DISTURB_INNER_TOO_SMALL)) {
      change_inner (bytes, *size, -1);
      spoiled = TRUE;
    }
  }
  if (disturb_now (gateway, SIM_DISTURB_CUT_PAYLOAD)) {
    cut_payload (gateway, bytes, size);
    spoiled = TRUE;
  }
  if (disturb_now (gateway, SIM_DISTURB_CHANGE_ID)) {
    bytes[11] ^= 0x10;
    put_checksum (bytes, *size);
    spoiled = TRUE;
  }
  return spoiled;
}

static gboolean frame_effects (SimGateway *gateway, guint8 *bytes, gsize size)
{
  gboolean spoiled = FALSE;

  if (disturb_now (gateway, SIM_DISTURB_WRONG_DIRECTION)) {
    bytes[10] = 0;
    put_checksum (bytes, size);
    spoiled = TRUE;
  }
  if (disturb_now (gateway, SIM_DISTURB_BAD_CHECKSUM)) {
    bytes[size - 3] ^= 0x55;
    spoiled = TRUE;
  }
  if (disturb_now (gateway, SIM_DISTURB_BAD_TAIL)) {
    bytes[size - 1] = 0xED;
    spoiled = TRUE;
  }
  if (disturb_now (gateway, SIM_DISTURB_BAD_LENGTH)) {
    put16 (bytes + 2, size - 4 + 1 + random_next (gateway) % 8);
    spoiled = TRUE;
  }
  return spoiled;
}

SimEffects disturb_bytes (SimGateway *gateway, BkvKind kind, guint8 *bytes, gsize *size)
{
  guint16 cmd = (guint16) (bytes[4] << 8 | bytes[5]);
  SimEffects effects = {.spoiled = content_effects (gateway, cmd, bytes, size)};

  if (frame_effects (gateway, bytes, *size))
    effects.spoiled = TRUE;
  if (disturb_now (gateway, SIM_DISTURB_GARBAGE))
    effects.garbage = 1 + (guint) (random_next (gateway) % 64);
  if (disturb_now (gateway, SIM_DISTURB_SPLIT))
    effects.pieces = 2 + (guint) (random_next (gateway) % 6);
  else if (disturb_now (gateway, SIM_DISTURB_MERGE))
    effects.hold = TRUE;
  effects.half = disturb_now (gateway, SIM_DISTURB_HALF_FRAME);
  effects.reconnect
      = kind == BKV_HEARTBEAT && disturb_now (gateway, SIM_DISTURB_SECOND_CONNECTION);
  return effects;
}
