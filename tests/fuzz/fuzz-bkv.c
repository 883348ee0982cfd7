/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target of the BKV codec. Build with clang's -fsanitize=fuzzer, or with
 * fuzz-runner.c, which feeds the vectors and mutations of them.
 *
 * Contract: every step consumes or waits; a frame decodes; what decodes without error
 * encodes, and that decodes to the same again.
 */
#include "fuzz.h"
#include "proto-bkv/wire/wire.h"
#include <string.h>

static void check_encode (const BkvFrame *frame)
{
  static const char *const ignored[]
      = {"extra_hex", "unknown_tags", "tlvs",          "length",
         "checksum",  "inner_len",    "len_counts_sub"};
  guint8 first[BKV_MAX_FRAME], second[BKV_MAX_FRAME];
  g_autofree BkvFrame *again = g_new (BkvFrame, 1);
  gsize n = bkv_encode (frame, first, sizeof first);
  gsize m;
  json_t *a, *b;

  if (n == 0)
    return; /* a heartbeat is always written with 8 bytes of firmware, which may not fit
             */
  g_assert_cmpint (bkv_frame (first, n, BKV_MAX_FRAME, &(const char *) {NULL}), ==,
                   (gssize) n);
  g_assert_true (bkv_decode (first, n, again));
  g_assert_cmpint (again->error, ==, BKV_OK);
  m = bkv_encode (again, second, sizeof second);
  g_assert_cmpuint (m, ==, n);
  g_assert_true (memcmp (first, second, n) == 0);

  /* The meaning survives too; text of the firmware may have been longer than 8 bytes. */
  if (frame->kind == BKV_HEARTBEAT || frame->kind == BKV_UNKNOWN)
    return;
  a = bkv_frame_json (first, n);
  b = bkv_frame_json (second, m);
  for (gsize i = 0; i < G_N_ELEMENTS (ignored); i++) {
    json_object_del (a, ignored[i]);
    json_object_del (b, ignored[i]);
  }
  g_assert_true (json_equal (a, b));
  json_decref (a);
  json_decref (b);
}

static void check_frame (const guint8 *p, gsize n)
{
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);

  g_assert_true (bkv_decode (p, n, frame));
  g_assert_nonnull (bkv_kind_name (frame->kind));
  if (frame->error == BKV_OK)
    check_encode (frame);
}

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  gsize at = 0;
  json_t *json;

  while (at < size) {
    const char *error = NULL;
    gssize n = bkv_frame (data + at, size - at, BKV_MAX_FRAME, &error);

    if (n == 0)
      break;
    g_assert_cmpuint ((gsize) ABS (n), <=, size - at);
    if (n > 0)
      check_frame (data + at, (gsize) n);
    else
      g_assert_nonnull (error);
    at += (gsize) ABS (n);
  }
  (void) bkv_sniff (data, MIN (size, 64));
  json = bkv_decode_json (data, size);
  g_assert_nonnull (json);
  json_decref (json);
  return 0;
}

/* Makes the sum and the length right again, so that mutations reach the payload. */
void fuzz_repair (guint8 *data, gsize size)
{
  if (size < BKV_MIN_LENGTH + 4 || size > BKV_MAX_FRAME)
    return;
  data[0] = 0xFC;
  data[1] = data[1] == 0xFF ? 0xFF : 0xFE;
  data[2] = (guint8) ((size - 4) >> 8);
  data[3] = (guint8) (size - 4);
  data[10] = data[1] == 0xFE;
  /* By the mutated serial: the inner length too, or left wrong. */
  if (size >= BKV_MIN_LENGTH + 7 && (data[9] & 1) != 0
      && (data[5] == 0x05 || data[5] == 0x15)) {
    data[18] = (guint8) ((size - 24) >> 8);
    data[19] = (guint8) (size - 24);
  }
  data[size - 3] = bkv_checksum (data + 2, size - 5);
  data[size - 2] = 0xFC;
  data[size - 1] = 0xEE;
}
