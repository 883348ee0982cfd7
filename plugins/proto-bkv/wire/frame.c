/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a frame begins and ends in a stream (bkv 3.1), and how a protocol is recognised.
 */
#include "proto-bkv/wire/layout.h"

/* Sums eight bytes at a time in four 16-bit lanes; 64 rounds cannot overflow a lane. */
guint8 bkv_checksum (const guint8 *p, gsize n)
{
  const guint64 even = G_GUINT64_CONSTANT (0x00FF00FF00FF00FF);
  guint32 sum = 0;

  while (n >= 8) {
    guint64 lanes = 0;

    for (guint round = 0; round < 64 && n >= 8; round++, p += 8, n -= 8) {
      guint64 word;

      memcpy (&word, p, 8);
      lanes += (word & even) + ((word >> 8) & even);
    }
    sum += (guint32) (lanes & 0xFFFF) + (guint32) (lanes >> 16 & 0xFFFF)
           + (guint32) (lanes >> 32 & 0xFFFF) + (guint32) (lanes >> 48);
  }
  for (gsize i = 0; i < n; i++)
    sum += p[i];
  return (guint8) sum;
}

static inline gboolean may_begin (const guint8 *p, gsize n)
{
  return p[0] == 0xFC && (n < 2 || p[1] == 0xFE || p[1] == 0xFF);
}

/* The next place after the first byte where a frame may begin: one error, one skip. */
static gssize skip (const guint8 *p, gsize n)
{
  gsize i = 1;

  while (i < n && !may_begin (p + i, n - i))
    i++;
  return -(gssize) i;
}

gssize bkv_frame (const guint8 *p, gsize n, gsize max, const char **error)
{
  gsize length, size;

  if (n == 0)
    return 0;
  if (G_UNLIKELY (!may_begin (p, n))) {
    *error = "garbage";
    return skip (p, n);
  }
  if (G_UNLIKELY (n < 4))
    return 0;
  length = bkv_get16 (p + 2);
  size = length + 4;
  if (G_UNLIKELY (length < BKV_MIN_LENGTH || length > BKV_MAX_LENGTH || size > max)) {
    *error = "bad_length";
    return skip (p, n);
  }
  if (n < size)
    return 0;
  if (G_UNLIKELY (p[size - 2] != 0xFC || p[size - 1] != 0xEE)) {
    *error = "bad_tail";
    return skip (p, n);
  }
  if (G_UNLIKELY (bkv_checksum (p + 2, length - 1) != p[size - 3])) {
    *error = "bad_checksum";
    return skip (p, n);
  }
  return (gssize) size;
}

ChSniff bkv_sniff (const guint8 *p, gsize n)
{
  if (n == 0)
    return CH_SNIFF_MORE;
  if (p[0] != 0xFC)
    return CH_SNIFF_NO;
  if (n == 1)
    return CH_SNIFF_MORE;
  return p[1] == 0xFE || p[1] == 0xFF ? CH_SNIFF_YES : CH_SNIFF_NO;
}
