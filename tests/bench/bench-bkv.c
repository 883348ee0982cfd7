/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many BKV frames one core takes off a stream and decodes per second. */
#include "proto-bkv/wire/wire.h"
#include <string.h>

/* Captured from a device. */
static const char heartbeat[]
    = "FCFE002E0000000000000182241218000382383938363038353531303234443139383831"
      "39363230302E312E31371152FCEE";
static const char charge_end[] = "FCFE0025001500000000018224121800038200110201FFFF1D1E00B"
                                 "00009019401590000000186FCEE";
static const char status[] = "FCFE0091100000000000018224121800038204010110170A01020000000"
                             "0000000000901038224121800"
                             "038265019403014A0104013EFFFF0301071D0301961E28015B030108000"
                             "301099004010A00090401950"
                             "8F704010B000404010C002A04010D000004010E000028015B0301080103"
                             "01098004010A000004019508"
                             "F704010B000104010C000104010D000004010E00005DFCEE";

static double run (const char *name, const char *hex, gint64 microseconds)
{
  gsize size = strlen (hex) / 2;
  const guint copies = 64;
  g_autofree guint8 *stream = g_malloc (copies * size);
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  guint64 frames = 0;
  gint64 start, spent;
  double rate;

  if (!bkv_hex_parse (hex, stream, size))
    g_error ("%s: bad bytes", name);
  for (guint i = 1; i < copies; i++)
    memcpy (stream + i * size, stream, size);
  start = g_get_monotonic_time ();
  do {
    for (guint round = 0; round < 1024; round++) {
      const guint8 *p = stream;
      gsize left = copies * size;
      const char *error;
      gssize n;

      while ((n = bkv_frame (p, left, BKV_MAX_FRAME, &error)) > 0) {
        if (!bkv_decode (p, (gsize) n, frame) || frame->error != BKV_OK)
          g_error ("%s: not decoded", name);
        frames++;
        p += n;
        left -= (gsize) n;
      }
    }
    spent = g_get_monotonic_time () - start;
  } while (spent < microseconds);
  rate = (double) frames / ((double) spent / 1e6);
  g_print ("bkv decode %-14s %3u bytes: %7.2f million frames/s, %6.1f MB/s\n", name,
           (guint) size, rate / 1e6, rate * (double) size / 1e6);
  return rate;
}

int main (int argc, char **argv)
{
  gint64 microseconds = argc > 1 ? g_ascii_strtoll (argv[1], NULL, 10) * 1000 : 1000000;

  run ("heartbeat", heartbeat, microseconds);
  run ("charge_end", charge_end, microseconds);
  run ("status_report", status, microseconds);
  return 0;
}
