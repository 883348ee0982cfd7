/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the numbers mean: status byte, units, times, ids (bkv 2.6 to 2.8, 5.2). */
#include "proto-bkv/wire/layout.h"

ChPortStatus bkv_port_status (guint8 status, guint8 meter_fault_mask)
{
  const guint8 faults = BKV_STATUS_OVER_TEMP | BKV_STATUS_OVER_CURRENT
                        | BKV_STATUS_OVER_POWER | meter_fault_mask;

  if ((status & BKV_STATUS_ONLINE) == 0)
    return CH_PORT_OFFLINE;
  if (status & BKV_STATUS_CHARGING)
    return CH_PORT_CHARGING;
  return (status & faults) != 0 ? CH_PORT_FAULT : CH_PORT_IDLE;
}

guint bkv_fault_bits (guint8 status, guint8 meter_fault_mask)
{
  guint bits = 0;

  if (status & meter_fault_mask)
    bits |= CH_FAULT_METER;
  if (status & BKV_STATUS_OVER_TEMP)
    bits |= CH_FAULT_OVER_TEMP;
  if (status & BKV_STATUS_OVER_CURRENT)
    bits |= CH_FAULT_OVER_CURRENT;
  if (status & BKV_STATUS_OVER_POWER)
    bits |= CH_FAULT_OVER_POWER;
  return bits;
}

gint64 bkv_signal_dbm (guint8 signal)
{
  return signal > 31 ? CH_UNSET : 2 * (gint64) signal - 113;
}

static const char digits[] = "0123456789ABCDEF";

void bkv_hex (const guint8 *p, gsize n, char *text)
{
  for (gsize i = 0; i < n; i++) {
    *text++ = digits[p[i] >> 4];
    *text++ = digits[p[i] & 15];
  }
  *text = 0;
}

gboolean bkv_hex_parse (const char *text, guint8 *bytes, gsize size)
{
  for (gsize i = 0; i < 2 * size; i++) {
    int digit = g_ascii_xdigit_value (text[i]);

    if (digit < 0)
      return FALSE;
    bytes[i / 2] = (guint8) (i % 2 == 0 ? digit << 4 : (bytes[i / 2] | digit));
  }
  return text[2 * size] == 0;
}

void bkv_gateway_text (const guint8 gateway[BKV_GATEWAY_SIZE],
                       char text[BKV_GATEWAY_TEXT_SIZE])
{
  bkv_hex (gateway, BKV_GATEWAY_SIZE, text);
}

gboolean bkv_gateway_parse (const char *text, guint8 gateway[BKV_GATEWAY_SIZE])
{
  return text != NULL && bkv_hex_parse (text, gateway, BKV_GATEWAY_SIZE);
}

void bkv_wire_order (guint socket, guint port, guint16 business_no,
                     char text[BKV_WIRE_ORDER_SIZE])
{
  const guint8 bytes[4] = {(guint8) socket, (guint8) port, (guint8) (business_no >> 8),
                           (guint8) business_no};

  bkv_hex (bytes, sizeof bytes, text);
}

/* ---- times ------------------------------------------------------------------------ */

typedef struct {
  int year, month, day, hour, minute, second;
} Civil;

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
static gint64 days_from_civil (gint64 y, int m, int d)
{
  gint64 era, yoe, doy;

  y -= m <= 2;
  era = (y >= 0 ? y : y - 399) / 400;
  yoe = y - era * 400;
  doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days (gint64 days, Civil *civil)
{
  gint64 z = days + 719468;
  gint64 era = (z >= 0 ? z : z - 146096) / 146097;
  gint64 doe = z - era * 146097;
  gint64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  gint64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  gint64 mp = (5 * doy + 2) / 153;

  civil->day = (int) (doy - (153 * mp + 2) / 5 + 1);
  civil->month = (int) (mp < 10 ? mp + 3 : mp - 9);
  civil->year = (int) (yoe + era * 400 + (civil->month <= 2));
}

static void to_civil (gint64 wall_ms, int offset_min, Civil *civil)
{
  gint64 seconds = wall_ms / 1000 + (gint64) offset_min * 60;
  gint64 days, rest;

  seconds = CLAMP (seconds, 0, G_GINT64_CONSTANT (253402300799)); /* year 9999 */
  days = seconds / 86400;
  rest = seconds % 86400;
  civil_from_days (days, civil);
  civil->hour = (int) (rest / 3600);
  civil->minute = (int) (rest / 60 % 60);
  civil->second = (int) (rest % 60);
}

static gboolean from_civil (const Civil *c, int offset_min, gint64 *wall_ms)
{
  static const guint8 lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  gboolean leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
  int length;

  if (c->year < 1970 || c->year > 9999 || c->month < 1 || c->month > 12)
    return FALSE;
  length = c->month == 2 && leap ? 29 : lengths[c->month - 1];
  if (c->day < 1 || c->day > length || c->hour > 23 || c->minute > 59 || c->second > 59)
    return FALSE;
  *wall_ms = ((days_from_civil (c->year, c->month, c->day) * 86400 + c->hour * 3600
               + c->minute * 60 + c->second)
              - (gint64) offset_min * 60)
             * 1000;
  return TRUE;
}

static guint8 to_bcd (int value)
{
  return (guint8) (value / 10 << 4 | value % 10);
}

static int from_bcd (guint8 byte)
{
  return (byte >> 4) > 9 || (byte & 15) > 9 ? 1000 : (byte >> 4) * 10 + (byte & 15);
}

void bkv_time_to_bcd (gint64 wall_ms, int offset_min, guint8 bcd[7])
{
  Civil c;

  to_civil (wall_ms, offset_min, &c);
  bcd[0] = to_bcd (c.year / 100);
  bcd[1] = to_bcd (c.year % 100);
  bcd[2] = to_bcd (c.month);
  bcd[3] = to_bcd (c.day);
  bcd[4] = to_bcd (c.hour);
  bcd[5] = to_bcd (c.minute);
  bcd[6] = to_bcd (c.second);
}

void bkv_time_to_dt7 (gint64 wall_ms, int offset_min, guint8 dt7[7])
{
  Civil c;

  to_civil (wall_ms, offset_min, &c);
  bkv_put16 (dt7, (guint) c.year);
  dt7[2] = (guint8) c.month;
  dt7[3] = (guint8) c.day;
  dt7[4] = (guint8) c.hour;
  dt7[5] = (guint8) c.minute;
  dt7[6] = (guint8) c.second;
}

gboolean bkv_time_from_bcd (const guint8 bcd[7], int offset_min, gint64 *wall_ms)
{
  Civil c = {.year = from_bcd (bcd[0]) * 100 + from_bcd (bcd[1]),
             .month = from_bcd (bcd[2]),
             .day = from_bcd (bcd[3]),
             .hour = from_bcd (bcd[4]),
             .minute = from_bcd (bcd[5]),
             .second = from_bcd (bcd[6])};

  return from_bcd (bcd[1]) < 100 && from_civil (&c, offset_min, wall_ms);
}

gboolean bkv_time_from_dt7 (const guint8 dt7[7], int offset_min, gint64 *wall_ms)
{
  Civil c = {.year = bkv_get16 (dt7),
             .month = dt7[2],
             .day = dt7[3],
             .hour = dt7[4],
             .minute = dt7[5],
             .second = dt7[6]};

  return from_civil (&c, offset_min, wall_ms);
}
