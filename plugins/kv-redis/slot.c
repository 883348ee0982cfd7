/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hash slot of a key: CRC16 (XMODEM) of it, or of what stands in its first braces. */
#include "redis.h"

#include <string.h>

#define N_SLOTS 16384

/* Of half a byte. */
static const guint16 TABLE[16]
    = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
       0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};

guint slot_of (const char *key, gsize size)
{
  const char *open = size > 0 ? memchr (key, '{', size) : NULL;
  guint16 crc = 0;

  if (open != NULL) {
    gsize left = size - (gsize) (open - key) - 1;
    const char *close = memchr (open + 1, '}', left);
    if (close != NULL && close > open + 1) {
      key = open + 1;
      size = (gsize) (close - key);
    }
  }
  for (gsize i = 0; i < size; i++) {
    guint8 byte = (guint8) key[i];
    crc = (guint16) ((crc << 4) ^ TABLE[((crc >> 12) ^ (byte >> 4)) & 15]);
    crc = (guint16) ((crc << 4) ^ TABLE[((crc >> 12) ^ byte) & 15]);
  }
  return crc % N_SLOTS;
}
