/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXPIRE and its relatives. */
#include "memory.h"

typedef enum { ALWAYS = 0, NX = 1, XX = 2, GT = 4, LT = 8 } Condition;

static gboolean read_conditions (MemCall *call, guint *conditions)
{
  *conditions = ALWAYS;
  for (gsize i = 3; i < call->argc; i++) {
    MemBytes arg = call->argv[i];
    if (mem_arg_is (arg, "NX")) {
      *conditions |= NX;
    } else if (mem_arg_is (arg, "XX")) {
      *conditions |= XX;
    } else if (mem_arg_is (arg, "GT")) {
      *conditions |= GT;
    } else if (mem_arg_is (arg, "LT")) {
      *conditions |= LT;
    } else {
      g_autofree char *option = g_strndup (arg.p, arg.n);
      mem_out_error (call->out, "ERR Unsupported option %s", option);
      return FALSE;
    }
  }
  if ((*conditions & NX) != 0 && *conditions != NX) {
    mem_out_error (call->out,
                   "ERR NX and XX, GT or LT options at the same time are not compatible");
    return FALSE;
  }
  if ((*conditions & GT) != 0 && (*conditions & LT) != 0) {
    mem_out_error (call->out,
                   "ERR GT and LT options at the same time are not compatible");
    return FALSE;
  }
  return TRUE;
}

static gboolean holds (guint conditions, const MemEntry *entry, gint64 when_ms)
{
  gint64 now_ms = entry->expire_ms;

  if ((conditions & NX) != 0 && now_ms != 0)
    return FALSE;
  if ((conditions & XX) != 0 && now_ms == 0)
    return FALSE;
  if ((conditions & GT) != 0 && (now_ms == 0 || when_ms <= now_ms))
    return FALSE;
  return (conditions & LT) == 0 || now_ms == 0 || when_ms < now_ms;
}

static void invalid_time (MemCall *call)
{
  mem_out_error (call->out, "ERR invalid expire time in '%s' command",
                 call->command->name);
}

static void expire_generic (Mem *mem, MemCall *call, gint64 unit_ms, gint64 base_ms)
{
  gint64 when;
  guint conditions;

  if (!read_conditions (call, &conditions) || !mem_arg_int (call, 2, &when))
    return;
  if (when > G_MAXINT64 / unit_ms || when < G_MININT64 / unit_ms
      || when * unit_ms > G_MAXINT64 - base_ms) {
    invalid_time (call);
    return;
  }
  when = when * unit_ms + base_ms;
  MemEntry *entry = mem_peek (mem, call->argv[1]);
  if (entry == NULL || !holds (conditions, entry, when)) {
    mem_out_integer (call->out, 0);
    return;
  }
  if (when <= mem->now_ms)
    mem_delete (mem, entry);
  else
    mem_expire_set (mem, entry, when);
  mem_changed (mem);
  mem_out_integer (call->out, 1);
}

static void expire (Mem *mem, MemCall *call)
{
  expire_generic (mem, call, 1000, mem->now_ms);
}

static void pexpire (Mem *mem, MemCall *call)
{
  expire_generic (mem, call, 1, mem->now_ms);
}

static void expireat (Mem *mem, MemCall *call)
{
  expire_generic (mem, call, 1000, 0);
}

static void pexpireat (Mem *mem, MemCall *call)
{
  expire_generic (mem, call, 1, 0);
}

/* −2 without key, −1 without expiry; seconds are rounded. */
static void ttl_generic (Mem *mem, MemCall *call, gboolean seconds, gint64 base_ms)
{
  MemEntry *entry = mem_peek (mem, call->argv[1]);

  if (entry == NULL) {
    mem_out_integer (call->out, -2);
  } else if (entry->expire_ms == 0) {
    mem_out_integer (call->out, -1);
  } else {
    gint64 ms = MAX (entry->expire_ms - base_ms, 0);
    mem_out_integer (call->out, seconds ? (ms + 500) / 1000 : ms);
  }
}

static void ttl (Mem *mem, MemCall *call)
{
  ttl_generic (mem, call, TRUE, mem->now_ms);
}

static void pttl (Mem *mem, MemCall *call)
{
  ttl_generic (mem, call, FALSE, mem->now_ms);
}

static void expiretime (Mem *mem, MemCall *call)
{
  ttl_generic (mem, call, TRUE, 0);
}

static void pexpiretime (Mem *mem, MemCall *call)
{
  ttl_generic (mem, call, FALSE, 0);
}

static void persist (Mem *mem, MemCall *call)
{
  MemEntry *entry = mem_peek (mem, call->argv[1]);
  gboolean had = entry != NULL && entry->expire_ms != 0;

  if (had) {
    mem_expire_clear (entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, had ? 1 : 0);
}

const MemCommand mem_expire_commands[] = {{"expire", -3, MEM_WRITE, expire},
                                          {"pexpire", -3, MEM_WRITE, pexpire},
                                          {"expireat", -3, MEM_WRITE, expireat},
                                          {"pexpireat", -3, MEM_WRITE, pexpireat},
                                          {"ttl", 2, MEM_READ, ttl},
                                          {"pttl", 2, MEM_READ, pttl},
                                          {"expiretime", 2, MEM_READ, expiretime},
                                          {"pexpiretime", 2, MEM_READ, pexpiretime},
                                          {"persist", 2, MEM_WRITE, persist},
                                          {NULL}};
