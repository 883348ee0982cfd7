/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the numbers on the wire mean: status byte, units, times, ids. */
#pragma once

#include "proto-bkv/wire/wire.h"
#include <chargehost/facts.h>

G_BEGIN_DECLS

#define BKV_STATUS_ONLINE 0x80
#define BKV_STATUS_METER 0x40
#define BKV_STATUS_END 0x20
#define BKV_STATUS_CHARGING 0x10
#define BKV_STATUS_NO_LOAD 0x08
#define BKV_STATUS_OVER_TEMP 0x04
#define BKV_STATUS_OVER_CURRENT 0x02
#define BKV_STATUS_OVER_POWER 0x01

ChPortStatus bkv_port_status (guint8 status, guint8 meter_fault_mask);
guint bkv_fault_bits (guint8 status, guint8 meter_fault_mask);

/* dBm of the gateway's signal; CH_UNSET when unknown. */
gint64 bkv_signal_dbm (guint8 signal);

static inline gint64 bkv_mv (guint16 raw)
{
  return (gint64) raw * 100;
}
static inline gint64 bkv_mw (guint16 raw)
{
  return (gint64) raw * 100;
}
static inline gint64 bkv_seconds (guint16 minutes)
{
  return (gint64) minutes * 60;
}
static inline gint64 bkv_temp_dc (gint8 raw)
{
  return (gint64) raw * 10;
}

/* Local times; @offset_min is that of the installation. */
void bkv_time_to_bcd (gint64 wall_ms, int offset_min, guint8 bcd[7]);
void bkv_time_to_dt7 (gint64 wall_ms, int offset_min, guint8 dt7[7]);
gboolean bkv_time_from_bcd (const guint8 bcd[7], int offset_min, gint64 *wall_ms);
gboolean bkv_time_from_dt7 (const guint8 dt7[7], int offset_min, gint64 *wall_ms);

/* `82241218000382` and back; @text must be 14 hexadecimal digits. */
void bkv_gateway_text (const guint8 gateway[BKV_GATEWAY_SIZE],
                       char text[BKV_GATEWAY_TEXT_SIZE]);
gboolean bkv_gateway_parse (const char *text, guint8 gateway[BKV_GATEWAY_SIZE]);
/* Exactly @size bytes of hexadecimal digits. */
gboolean bkv_hex_parse (const char *text, guint8 *bytes, gsize size);
/* Upper case; @text has room for 2 * @n + 1. */
void bkv_hex (const guint8 *p, gsize n, char *text);

/* `01000009`: socket, port, business number. */
#define BKV_WIRE_ORDER_SIZE 9
void bkv_wire_order (guint socket, guint port, guint16 business_no,
                     char text[BKV_WIRE_ORDER_SIZE]);

G_END_DECLS
