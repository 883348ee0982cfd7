/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SINTER, SUNION, SDIFF and their STORE forms. */
#include "memory.h"

typedef enum { INTER, UNION, DIFF } Operation;

/* What the members of a result go to: the reply, or a new set. */
typedef struct {
  Mem *mem;
  MemDict members;
} Result;

static void result_add (Result *result, MemBytes member)
{
  if (mem_dict_find (&result->members, member) == NULL)
    mem_dict_insert (&result->members,
                     mem_node_new (&result->mem->heap, sizeof (MemNode), member));
}

static gboolean in_all_others (MemEntry *const *sets, gsize n, gsize but, MemBytes member)
{
  for (gsize i = 0; i < n; i++)
    if (i != but && mem_dict_find (sets[i]->dict, member) == NULL)
      return FALSE;
  return TRUE;
}

static gboolean in_any_other (MemEntry *const *sets, gsize n, MemBytes member)
{
  for (gsize i = 1; i < n; i++)
    if (sets[i] != NULL && mem_dict_find (sets[i]->dict, member) != NULL)
      return TRUE;
  return FALSE;
}

static void intersect (Result *result, MemEntry *const *sets, gsize n, gsize limit)
{
  gsize smallest = 0;
  MemDictIter iter;

  for (gsize i = 0; i < n; i++) {
    if (sets[i] == NULL)
      return;
    if (mem_dict_count (sets[i]->dict) < mem_dict_count (sets[smallest]->dict))
      smallest = i;
  }
  for (MemNode *node = mem_dict_first (&iter, sets[smallest]->dict); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes member = mem_node_key (node);
    if (!in_all_others (sets, n, smallest, member))
      continue;
    result_add (result, member);
    if (limit > 0 && mem_dict_count (&result->members) == limit)
      return;
  }
}

static void unite (Result *result, MemEntry *const *sets, gsize n)
{
  MemDictIter iter;

  for (gsize i = 0; i < n; i++) {
    if (sets[i] == NULL)
      continue;
    for (MemNode *node = mem_dict_first (&iter, sets[i]->dict); node != NULL;
         node = mem_dict_next (&iter))
      result_add (result, mem_node_key (node));
  }
}

static void subtract (Result *result, MemEntry *const *sets, gsize n)
{
  MemDictIter iter;

  if (sets[0] == NULL)
    return;
  for (MemNode *node = mem_dict_first (&iter, sets[0]->dict); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes member = mem_node_key (node);
    if (!in_any_other (sets, n, member))
      result_add (result, member);
  }
}

/* The sets named by @n arguments from @first; NULL: an error was replied. */
static MemEntry **read_sets (Mem *mem, MemCall *call, gsize first, gsize n)
{
  g_autofree MemEntry **sets = g_new0 (MemEntry *, n);
  for (gsize i = 0; i < n; i++)
    mem_peek (mem, call->argv[first + i]); /* those that are over go now, not later */
  for (gsize i = 0; i < n; i++)
    if (!mem_find (mem, call, call->argv[first + i], MEM_SET, &sets[i]))
      return NULL;
  return g_steal_pointer (&sets);
}

static gboolean compute (Mem *mem, MemCall *call, Operation operation, gsize first,
                         gsize n, gsize limit, Result *result)
{
  g_autofree MemEntry **sets = read_sets (mem, call, first, n);

  if (sets == NULL)
    return FALSE;
  result->mem = mem;
  mem_dict_init (&result->members, &mem->heap, mem->seed);
  if (operation == INTER)
    intersect (result, sets, n, limit);
  else if (operation == UNION)
    unite (result, sets, n);
  else
    subtract (result, sets, n);
  return TRUE;
}

static void reply_generic (Mem *mem, MemCall *call, Operation operation)
{
  Result result;
  MemDictIter iter;

  if (!compute (mem, call, operation, 1, call->argc - 1, 0, &result))
    return;
  mem_out_array (call->out, mem_dict_count (&result.members));
  for (MemNode *node = mem_dict_first (&iter, &result.members); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes member = mem_node_key (node);
    mem_out_bytes (call->out, member.p, member.n);
  }
  mem_dict_clear (&result.members, NULL, NULL);
}

static void store_generic (Mem *mem, MemCall *call, Operation operation)
{
  Result result;

  if (!compute (mem, call, operation, 2, call->argc - 2, 0, &result))
    return;
  gsize count = mem_dict_count (&result.members);
  MemEntry *old = mem_peek (mem, call->argv[1]);
  if (old != NULL)
    mem_delete (mem, old);
  if (count > 0) {
    MemEntry *entry = mem_create (mem, call->argv[1], MEM_SET);
    *entry->dict = result.members;
  } else {
    mem_dict_clear (&result.members, NULL, NULL);
  }
  if (count > 0 || old != NULL)
    mem_changed (mem);
  mem_out_integer (call->out, (gint64) count);
}

static void sinter (Mem *mem, MemCall *call)
{
  reply_generic (mem, call, INTER);
}

static void sunion (Mem *mem, MemCall *call)
{
  reply_generic (mem, call, UNION);
}

static void sdiff (Mem *mem, MemCall *call)
{
  reply_generic (mem, call, DIFF);
}

static void sinterstore (Mem *mem, MemCall *call)
{
  store_generic (mem, call, INTER);
}

static void sunionstore (Mem *mem, MemCall *call)
{
  store_generic (mem, call, UNION);
}

static void sdiffstore (Mem *mem, MemCall *call)
{
  store_generic (mem, call, DIFF);
}

static void sintercard (Mem *mem, MemCall *call)
{
  gint64 n, limit = 0;
  Result result;

  if (!mem_arg_int_error (call, 1, &n, "ERR numkeys should be greater than 0"))
    return;
  if (n <= 0) {
    mem_out_error (call->out, "ERR numkeys should be greater than 0");
    return;
  }
  if ((guint64) n > call->argc - 2) {
    mem_out_error (call->out, "ERR Number of keys can't be greater than number of args");
    return;
  }
  for (gsize i = (gsize) n + 2; i < call->argc; i += 2) {
    if (i + 1 >= call->argc || !mem_arg_is (call->argv[i], "LIMIT")) {
      mem_syntax_error (call);
      return;
    }
    if (!mem_arg_int_error (call, i + 1, &limit, "ERR LIMIT can't be negative"))
      return;
    if (limit < 0) {
      mem_out_error (call->out, "ERR LIMIT can't be negative");
      return;
    }
  }
  if (!compute (mem, call, INTER, 2, (gsize) n, (gsize) limit, &result))
    return;
  mem_out_integer (call->out, (gint64) mem_dict_count (&result.members));
  mem_dict_clear (&result.members, NULL, NULL);
}

const MemCommand mem_set_algebra_commands[]
    = {{"sinter", -2, MEM_READ, sinter},
       {"sunion", -2, MEM_READ, sunion},
       {"sdiff", -2, MEM_READ, sdiff},
       {"sinterstore", -3, MEM_WRITE | MEM_GROWS, sinterstore},
       {"sunionstore", -3, MEM_WRITE | MEM_GROWS, sunionstore},
       {"sdiffstore", -3, MEM_WRITE | MEM_GROWS, sdiffstore},
       {"sintercard", -3, MEM_READ, sintercard},
       {NULL}};
