/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replies. One allocation each: the header, then the text or the pointers of an array.
 * The answers that nearly every command gives (nil, OK, small integers, nothing) are
 * shared constants, so they cost nothing.
 */
#include "kv/kv-private.h"

#include <stdarg.h>
#include <string.h>

#define SHARED_MIN (-2)
#define SHARED_MAX 61
#define N_SHARED_INTEGERS (SHARED_MAX - SHARED_MIN + 1)

#define INTEGER(n)                                                                       \
  {                                                                                      \
    .kind = CH_KV_REPLY_INTEGER, .integer = (n)                                          \
  }
#define INTEGERS4(n) INTEGER (n), INTEGER ((n) + 1), INTEGER ((n) + 2), INTEGER ((n) + 3)
#define INTEGERS16(n)                                                                    \
  INTEGERS4 (n), INTEGERS4 ((n) + 4), INTEGERS4 ((n) + 8), INTEGERS4 ((n) + 12)

static const ChKvReply shared_integers[N_SHARED_INTEGERS] = {
    INTEGERS16 (SHARED_MIN),
    INTEGERS16 (SHARED_MIN + 16),
    INTEGERS16 (SHARED_MIN + 32),
    INTEGERS16 (SHARED_MIN + 48),
};

enum { SHARED_NIL, SHARED_OK, SHARED_EMPTY_STRING, SHARED_EMPTY_ARRAY, N_SHARED };
static const ChKvReply shared[N_SHARED] = {
    [SHARED_NIL] = {.kind = CH_KV_REPLY_NIL},
    [SHARED_OK] = {.kind = CH_KV_REPLY_STATUS, .text = "OK", .size = 2},
    [SHARED_EMPTY_STRING] = {.kind = CH_KV_REPLY_STRING, .text = "", .size = 0},
    [SHARED_EMPTY_ARRAY] = {.kind = CH_KV_REPLY_ARRAY},
};

static gboolean is_shared (const ChKvReply *reply)
{
  return (reply >= shared && reply < shared + N_SHARED)
         || (reply >= shared_integers && reply < shared_integers + N_SHARED_INTEGERS);
}

static ChKvReply *with_text (ChKvReplyKind kind, const char *text, gsize size)
{
  ChKvReply *reply = g_malloc (sizeof (ChKvReply) + size + 1);
  char *copy = (char *) (reply + 1);
  if (size > 0)
    memcpy (copy, text, size);
  copy[size] = '\0';
  *reply = (ChKvReply) {.kind = kind, .text = copy, .size = size};
  return reply;
}

ChKvReply *ch_kv_reply_nil (void)
{
  return (ChKvReply *) &shared[SHARED_NIL];
}

ChKvReply *ch_kv_reply_integer (gint64 value)
{
  if (value >= SHARED_MIN && value <= SHARED_MAX)
    return (ChKvReply *) &shared_integers[value - SHARED_MIN];
  ChKvReply *reply = g_malloc (sizeof (ChKvReply));
  *reply = (ChKvReply) {.kind = CH_KV_REPLY_INTEGER, .integer = value};
  return reply;
}

ChKvReply *ch_kv_reply_string (const char *text, gssize size)
{
  gsize n = size < 0 ? strlen (text) : (gsize) size;
  if (n == 0)
    return (ChKvReply *) &shared[SHARED_EMPTY_STRING];
  return with_text (CH_KV_REPLY_STRING, text, n);
}

ChKvReply *ch_kv_reply_status (const char *text)
{
  if (text[0] == 'O' && text[1] == 'K' && text[2] == '\0')
    return (ChKvReply *) &shared[SHARED_OK];
  return with_text (CH_KV_REPLY_STATUS, text, strlen (text));
}

ChKvReply *ch_kv_reply_error (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  return with_text (CH_KV_REPLY_ERROR, text, strlen (text));
}

ChKvReply *ch_kv_reply_array (gsize n_items)
{
  if (n_items == 0)
    return (ChKvReply *) &shared[SHARED_EMPTY_ARRAY];
  ChKvReply *reply = g_malloc0 (sizeof (ChKvReply) + n_items * sizeof (ChKvReply *));
  reply->kind = CH_KV_REPLY_ARRAY;
  reply->n_items = n_items;
  reply->items = (ChKvReply **) (reply + 1);
  return reply;
}

void ch_kv_reply_free (ChKvReply *reply)
{
  if (reply == NULL || is_shared (reply))
    return;
  for (gsize i = 0; i < reply->n_items; i++)
    ch_kv_reply_free (reply->items[i]);
  g_free (reply);
}
