/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets. */
#include "memory.h"

gboolean mem_set_add (Mem *mem, MemEntry *entry, MemBytes member)
{
  if (mem_dict_find (entry->dict, member) != NULL)
    return FALSE;
  mem_dict_insert (entry->dict, mem_node_new (&mem->heap, sizeof (MemNode), member));
  return TRUE;
}

static gboolean remove_member (Mem *mem, MemEntry *entry, MemBytes member)
{
  MemNode *node = mem_dict_take (entry->dict, member);
  mem_free (&mem->heap, node);
  return node != NULL;
}

static gboolean has (const MemEntry *entry, MemBytes member)
{
  return entry != NULL && mem_dict_find (entry->dict, member) != NULL;
}

static void sadd (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  gint64 n = 0;

  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  if (entry == NULL)
    entry = mem_create (mem, call->argv[1], MEM_SET);
  for (gsize i = 2; i < call->argc; i++)
    n += mem_set_add (mem, entry, call->argv[i]);
  if (n > 0)
    mem_changed (mem);
  mem_out_integer (call->out, n);
}

static void srem (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  gint64 n = 0;

  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  for (gsize i = 2; entry != NULL && i < call->argc; i++)
    n += remove_member (mem, entry, call->argv[i]);
  if (n > 0) {
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, n);
}

static void smove (Mem *mem, MemCall *call)
{
  MemEntry *from, *to;

  if (!mem_find (mem, call, call->argv[1], MEM_SET, &from))
    return;
  if (from == NULL) {
    mem_out_integer (call->out, 0);
    return;
  }
  if (!mem_find (mem, call, call->argv[2], MEM_SET, &to))
    return;
  if (from == to || !remove_member (mem, from, call->argv[3])) {
    mem_out_integer (call->out, from == to && has (from, call->argv[3]) ? 1 : 0);
    return;
  }
  if (to == NULL)
    to = mem_create (mem, call->argv[2], MEM_SET);
  mem_set_add (mem, to, call->argv[3]);
  mem_delete_if_empty (mem, from);
  mem_changed (mem);
  mem_out_integer (call->out, 1);
}

static void sismember (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    mem_out_integer (call->out, has (entry, call->argv[2]) ? 1 : 0);
}

static void smismember (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++)
    mem_out_integer (call->out, has (entry, call->argv[i]) ? 1 : 0);
}

static void scard (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    mem_out_integer (call->out,
                     entry != NULL ? (gint64) mem_dict_count (entry->dict) : 0);
}

static void reply_member (MemCall *call, const MemNode *node)
{
  MemBytes member = mem_node_key (node);
  mem_out_bytes (call->out, member.p, member.n);
}

static void reply_members (MemCall *call, const MemEntry *entry)
{
  MemDictIter iter;

  mem_out_array (call->out, mem_dict_count (entry->dict));
  for (MemNode *node = mem_dict_first (&iter, entry->dict); node != NULL;
       node = mem_dict_next (&iter))
    reply_member (call, node);
}

static void smembers (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  if (entry != NULL)
    reply_members (call, entry);
  else
    mem_out_array (call->out, 0);
}

static gboolean read_count (MemCall *call, gint64 *count)
{
  if (call->argc > 3) {
    mem_syntax_error (call);
    return FALSE;
  }
  return mem_arg_draws (call, 2, count);
}

static void pop_one (Mem *mem, MemCall *call, MemEntry *entry)
{
  MemNode *node = mem_dict_random (entry->dict, mem_random, mem);
  reply_member (call, node);
  mem_dict_unlink (entry->dict, node);
  mem_free (&mem->heap, node);
}

static void spop (Mem *mem, MemCall *call)
{
  gint64 count = 1;
  MemEntry *entry;

  if (call->argc > 3) {
    mem_syntax_error (call);
    return;
  }
  if (call->argc == 3 && !mem_arg_count (call, 2, &count))
    return;
  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  if (call->argc == 3) {
    gsize n = entry != NULL ? MIN ((gsize) count, mem_dict_count (entry->dict)) : 0;
    mem_out_array (call->out, n);
    for (; n > 0; n--)
      pop_one (mem, call, entry);
  } else if (entry != NULL) {
    pop_one (mem, call, entry);
  } else {
    mem_out_nil (call->out);
  }
  if (entry != NULL && count > 0) {
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
}

/* Every element once: draws @wanted of those that are left with equal chances. */
static void reply_sample (Mem *mem, MemCall *call, const MemEntry *entry, gsize wanted)
{
  gsize left = mem_dict_count (entry->dict);
  MemDictIter iter;

  wanted = MIN (wanted, left);
  mem_out_array (call->out, wanted);
  for (MemNode *node = mem_dict_first (&iter, entry->dict); wanted > 0;
       node = mem_dict_next (&iter), left--) {
    if (mem_random (mem) % left >= wanted)
      continue;
    reply_member (call, node);
    wanted--;
  }
}

static void srandmember (Mem *mem, MemCall *call)
{
  gint64 count = 1;
  MemEntry *entry;

  if (call->argc >= 3 && !read_count (call, &count))
    return;
  if (count < -MEM_RANDOM_MAX) {
    mem_out_error (call->out, "ERR value is out of range");
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    return;
  if (call->argc == 2) {
    if (entry != NULL)
      reply_member (call, mem_dict_random (entry->dict, mem_random, mem));
    else
      mem_out_nil (call->out);
  } else if (entry == NULL) {
    mem_out_array (call->out, 0);
  } else if (count >= 0) {
    reply_sample (mem, call, entry, (gsize) count);
  } else {
    mem_out_array (call->out, (gsize) -count);
    for (; count < 0; count++)
      reply_member (call, mem_dict_random (entry->dict, mem_random, mem));
  }
}

static guint emit_member (MemOut *out, MemNode *node)
{
  MemBytes member = mem_node_key (node);
  mem_out_bytes (out, member.p, member.n);
  return 1;
}

static void sscan (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_SET, &entry))
    mem_scan_dict (mem, call, entry != NULL ? entry->dict : NULL, 3, emit_member);
}

const MemCommand mem_set_commands[] = {{"sadd", -3, MEM_WRITE | MEM_GROWS, sadd},
                                       {"srem", -3, MEM_WRITE, srem},
                                       {"smove", 4, MEM_WRITE, smove},
                                       {"sismember", 3, MEM_READ, sismember},
                                       {"smismember", -3, MEM_READ, smismember},
                                       {"scard", 2, MEM_READ, scard},
                                       {"smembers", 2, MEM_READ, smembers},
                                       {"spop", -2, MEM_WRITE, spop},
                                       {"srandmember", -2, MEM_READ, srandmember},
                                       {"sscan", -3, MEM_READ, sscan},
                                       {NULL}};
