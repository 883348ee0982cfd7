/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash-1-3 of Aumasson and Bernstein: a keyed hash for tables. */
#include "dict.h"

#include <string.h>

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

#define ROUND                                                                            \
  do {                                                                                   \
    v0 += v1;                                                                            \
    v2 += v3;                                                                            \
    v1 = ROTATE (v1, 13) ^ v0;                                                           \
    v3 = ROTATE (v3, 16) ^ v2;                                                           \
    v0 = ROTATE (v0, 32);                                                                \
    v2 += v1;                                                                            \
    v0 += v3;                                                                            \
    v1 = ROTATE (v1, 17) ^ v2;                                                           \
    v3 = ROTATE (v3, 21) ^ v0;                                                           \
    v2 = ROTATE (v2, 32);                                                                \
  } while (0)

static guint64 load (const char *p)
{
  guint64 word;
  memcpy (&word, p, sizeof word);
  return GUINT64_FROM_LE (word);
}

guint64 mem_hash (const guint64 seed[2], const char *p, gsize n)
{
  guint64 v0 = seed[0] ^ G_GUINT64_CONSTANT (0x736f6d6570736575);
  guint64 v1 = seed[1] ^ G_GUINT64_CONSTANT (0x646f72616e646f6d);
  guint64 v2 = seed[0] ^ G_GUINT64_CONSTANT (0x6c7967656e657261);
  guint64 v3 = seed[1] ^ G_GUINT64_CONSTANT (0x7465646279746573);
  guint64 last = (guint64) n << 56;
  const char *end = p + (n & ~(gsize) 7);

  for (; p != end; p += 8) {
    guint64 word = load (p);
    v3 ^= word;
    ROUND;
    v0 ^= word;
  }
  for (gsize i = 0; i < (n & 7); i++)
    last |= (guint64) (guint8) p[i] << (8 * i);
  v3 ^= last;
  ROUND;
  v0 ^= last;
  v2 ^= 0xff;
  ROUND;
  ROUND;
  ROUND;
  return v0 ^ v1 ^ v2 ^ v3;
}
