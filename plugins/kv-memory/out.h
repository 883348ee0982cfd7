/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where commands write their replies: a flat record that is used again and again. From
 * it come the caller's ChKvReply or the values that a script gets, so that a command
 * knows neither and cannot be interrupted by either.
 */
#pragma once

#include "dict.h"
#include <chargehost/kv.h>

typedef struct {
  guint8 *bytes;
  gsize used;
  gsize size;
} MemOut;

/* One value as it is read back. Of an array only the number of items, which follow. */
typedef struct {
  ChKvReplyKind kind;
  gint64 integer; /* INTEGER, or the number of items */
  MemBytes text;
} MemValue;

void mem_out_clear (MemOut *out);
void mem_out_nil (MemOut *out);
void mem_out_integer (MemOut *out, gint64 value);
void mem_out_bytes (MemOut *out, const char *p, gsize n);
void mem_out_text (MemOut *out, const char *text);
void mem_out_number (MemOut *out, gint64 value); /* an integer as text */
void mem_out_double (MemOut *out, double value);
void mem_out_status (MemOut *out, const char *text);
void mem_out_ok (MemOut *out);
void mem_out_error (MemOut *out, const char *format, ...) G_GNUC_PRINTF (2, 3);
void mem_out_error_bytes (MemOut *out, const char *p, gsize n);
void mem_out_status_bytes (MemOut *out, const char *p, gsize n);
void mem_out_array (MemOut *out, gsize n_items);
/* An array whose length is known only after its items. */
gsize mem_out_open (MemOut *out);
void mem_out_close (MemOut *out, gsize opened, gsize n_items);

void mem_out_append (MemOut *out, const MemOut *values);

/* Reads the value at *@at and moves behind it (an array: to its first item). */
MemValue mem_out_read (const MemOut *out, gsize *at);
/* (transfer full): the value at *@at with all its items */
ChKvReply *mem_out_reply (const MemOut *out, gsize *at);
