/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "out.h"
#include "number.h"

#include <stdarg.h>
#include <string.h>

#define SMALLEST 512
#define KEPT (1024 * 1024)
#define HEAD 9 /* kind and a 64-bit number */

static guint8 *extend (MemOut *out, gsize size)
{
  if (out->used + size > out->size) {
    gsize larger = MAX (out->size * 2, SMALLEST);
    out->size = MAX (larger, out->used + size);
    out->bytes = g_realloc (out->bytes, out->size);
  }
  guint8 *at = out->bytes + out->used;
  out->used += size;
  return at;
}

static void put_head (guint8 *at, ChKvReplyKind kind, gint64 number)
{
  at[0] = (guint8) kind;
  memcpy (at + 1, &number, sizeof number);
}

static void put_text (MemOut *out, ChKvReplyKind kind, const char *p, gsize n)
{
  guint8 *at = extend (out, HEAD + n);
  put_head (at, kind, (gint64) n);
  if (n > 0)
    memcpy (at + HEAD, p, n);
}

void mem_out_clear (MemOut *out)
{
  out->used = 0;
  if (out->size > KEPT) {
    g_free (out->bytes);
    out->bytes = NULL;
    out->size = 0;
  }
}

void mem_out_nil (MemOut *out)
{
  put_head (extend (out, HEAD), CH_KV_REPLY_NIL, 0);
}

void mem_out_integer (MemOut *out, gint64 value)
{
  put_head (extend (out, HEAD), CH_KV_REPLY_INTEGER, value);
}

void mem_out_bytes (MemOut *out, const char *p, gsize n)
{
  put_text (out, CH_KV_REPLY_STRING, p, n);
}

void mem_out_text (MemOut *out, const char *text)
{
  put_text (out, CH_KV_REPLY_STRING, text, strlen (text));
}

void mem_out_number (MemOut *out, gint64 value)
{
  char text[MEM_NUMBER_SIZE];
  gsize size = mem_format_int (text, value);
  mem_out_bytes (out, text, size);
}

void mem_out_double (MemOut *out, double value)
{
  char text[MEM_NUMBER_SIZE];
  gsize size = mem_format_double (text, value);
  mem_out_bytes (out, text, size);
}

void mem_out_status (MemOut *out, const char *text)
{
  put_text (out, CH_KV_REPLY_STATUS, text, strlen (text));
}

void mem_out_ok (MemOut *out)
{
  put_text (out, CH_KV_REPLY_STATUS, "OK", 2);
}

void mem_out_error (MemOut *out, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  mem_out_error_bytes (out, text, strlen (text));
}

/* Errors and statuses are one line, whatever went into them. */
static void put_line (MemOut *out, ChKvReplyKind kind, const char *p, gsize n)
{
  gsize at = out->used + HEAD;
  put_text (out, kind, p, n);
  for (; at < out->used; at++)
    if (out->bytes[at] == '\r' || out->bytes[at] == '\n')
      out->bytes[at] = ' ';
}

void mem_out_error_bytes (MemOut *out, const char *p, gsize n)
{
  put_line (out, CH_KV_REPLY_ERROR, p, n);
}

void mem_out_status_bytes (MemOut *out, const char *p, gsize n)
{
  put_line (out, CH_KV_REPLY_STATUS, p, n);
}

void mem_out_array (MemOut *out, gsize n_items)
{
  put_head (extend (out, HEAD), CH_KV_REPLY_ARRAY, (gint64) n_items);
}

gsize mem_out_open (MemOut *out)
{
  gsize opened = out->used;
  mem_out_array (out, 0);
  return opened;
}

void mem_out_close (MemOut *out, gsize opened, gsize n_items)
{
  put_head (out->bytes + opened, CH_KV_REPLY_ARRAY, (gint64) n_items);
}

void mem_out_append (MemOut *out, const MemOut *values)
{
  if (values->used > 0)
    memcpy (extend (out, values->used), values->bytes, values->used);
}

MemValue mem_out_read (const MemOut *out, gsize *at)
{
  const guint8 *p = out->bytes + *at;
  MemValue value = {.kind = (ChKvReplyKind) p[0]};

  memcpy (&value.integer, p + 1, sizeof value.integer);
  *at += HEAD;
  if (value.kind == CH_KV_REPLY_STRING || value.kind == CH_KV_REPLY_STATUS
      || value.kind == CH_KV_REPLY_ERROR) {
    value.text = (MemBytes) {(const char *) p + HEAD, (gsize) value.integer};
    *at += value.text.n;
  }
  return value;
}

static ChKvReply *line_reply (const MemValue *value)
{
  g_autofree char *text = g_strndup (value->text.p, value->text.n);
  return value->kind == CH_KV_REPLY_STATUS ? ch_kv_reply_status (text)
                                           : ch_kv_reply_error ("%s", text);
}

ChKvReply *mem_out_reply (const MemOut *out, gsize *at)
{
  MemValue value = mem_out_read (out, at);

  switch (value.kind) {
  case CH_KV_REPLY_INTEGER:
    return ch_kv_reply_integer (value.integer);
  case CH_KV_REPLY_STRING:
    return ch_kv_reply_string (value.text.p, (gssize) value.text.n);
  case CH_KV_REPLY_STATUS:
    if (value.text.n == 2 && memcmp (value.text.p, "OK", 2) == 0)
      return ch_kv_reply_status ("OK");
    return line_reply (&value);
  case CH_KV_REPLY_ERROR:
    return line_reply (&value);
  case CH_KV_REPLY_ARRAY: {
    ChKvReply *reply = ch_kv_reply_array ((gsize) value.integer);
    for (gsize i = 0; i < reply->n_items; i++)
      reply->items[i] = mem_out_reply (out, at);
    return reply;
  }
  case CH_KV_REPLY_NIL:
  default:
    return ch_kv_reply_nil ();
  }
}
