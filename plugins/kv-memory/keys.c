/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on keys of any type. */
#include "blocking.h"
#include "glob.h"
#include "memory.h"

static void del (Mem *mem, MemCall *call)
{
  gint64 n = 0;

  for (gsize i = 1; i < call->argc; i++) {
    MemEntry *entry = mem_peek (mem, call->argv[i]);
    if (entry == NULL)
      continue;
    mem_delete (mem, entry);
    n++;
  }
  if (n > 0)
    mem_changed (mem);
  mem_out_integer (call->out, n);
}

static void exists (Mem *mem, MemCall *call)
{
  gint64 n = 0;
  for (gsize i = 1; i < call->argc; i++)
    n += mem_peek (mem, call->argv[i]) != NULL;
  mem_out_integer (call->out, n);
}

static const char *type_name (MemType type)
{
  static const char *const names[] = {"string", "list", "set", "zset", "hash"};
  return names[type];
}

static void type (Mem *mem, MemCall *call)
{
  MemEntry *entry = mem_peek (mem, call->argv[1]);
  mem_out_status (call->out, entry != NULL ? type_name (entry->type) : "none");
}

static void rename_key (Mem *mem, MemCall *call, gboolean only_new)
{
  MemEntry *from = mem_peek (mem, call->argv[1]);

  if (from == NULL) {
    mem_out_error (call->out, "ERR no such key");
    return;
  }
  MemEntry *to = mem_peek (mem, call->argv[2]);
  if (only_new && to != NULL) {
    mem_out_integer (call->out, 0);
    return;
  }
  MemType kind = from->type;
  mem_rename (mem, from, call->argv[2]);
  mem_changed (mem);
  if (kind == MEM_LIST || kind == MEM_ZSET)
    mem_blocking_signal (mem, call->argv[2]);
  if (only_new)
    mem_out_integer (call->out, 1);
  else
    mem_out_ok (call->out);
}

static void rename_any (Mem *mem, MemCall *call)
{
  rename_key (mem, call, FALSE);
}

static void renamenx (Mem *mem, MemCall *call)
{
  rename_key (mem, call, TRUE);
}

static gboolean is_over (const Mem *mem, const MemEntry *entry)
{
  return entry->expire_ms != 0 && entry->expire_ms <= mem->now_ms;
}

static void keys (Mem *mem, MemCall *call)
{
  gsize opened = mem_out_open (call->out);
  gsize n = 0;
  MemDictIter iter;

  for (MemNode *node = mem_dict_first (&iter, &mem->keys); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes key = mem_node_key (node);
    if (is_over (mem, (MemEntry *) node) || !mem_glob_match (call->argv[1], key))
      continue;
    mem_out_bytes (call->out, key.p, key.n);
    n++;
  }
  mem_out_close (call->out, opened, n);
}

/* One that is over is removed by being looked at, so this ends. */
static void randomkey (Mem *mem, MemCall *call)
{
  MemNode *node;

  while ((node = mem_dict_random (&mem->keys, mem_random, mem)) != NULL) {
    MemBytes key = mem_node_key (node);
    if (mem_peek (mem, key) == NULL)
      continue;
    mem_out_bytes (call->out, key.p, key.n);
    return;
  }
  mem_out_nil (call->out);
}

static const char *encoding_name (const MemEntry *entry)
{
  static const char *const names[]
      = {"raw", "quicklist", "hashtable", "skiplist", "hashtable"};
  return names[entry->type];
}

static void object (Mem *mem, MemCall *call)
{
  if (call->argc != 3 || !mem_arg_is (call->argv[1], "ENCODING")) {
    mem_syntax_error (call);
    return;
  }
  MemEntry *entry = mem_peek (mem, call->argv[2]);
  if (entry != NULL)
    mem_out_text (call->out, encoding_name (entry));
  else
    mem_out_nil (call->out);
}

const MemCommand mem_key_commands[] = {{"del", -2, MEM_WRITE, del},
                                       {"unlink", -2, MEM_WRITE, del},
                                       {"exists", -2, MEM_READ, exists},
                                       {"touch", -2, MEM_READ, exists},
                                       {"type", 2, MEM_READ, type},
                                       {"rename", 3, MEM_WRITE, rename_any},
                                       {"renamenx", 3, MEM_WRITE, renamenx},
                                       {"keys", 2, MEM_READ, keys},
                                       {"randomkey", 1, MEM_READ, randomkey},
                                       {"object", -2, MEM_READ, object},
                                       {NULL}};
