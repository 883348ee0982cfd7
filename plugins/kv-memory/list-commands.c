/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists: the ends, and looking. */
#include "blocking.h"
#include "list.h"

#include <string.h>

static void push_generic (Mem *mem, MemCall *call, gboolean at_head, gboolean must_exist)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL && must_exist) {
    mem_out_integer (call->out, 0);
    return;
  }
  gboolean is_new = entry == NULL;
  if (is_new)
    entry = mem_create (mem, call->argv[1], MEM_LIST);
  for (gsize i = 2; i < call->argc; i++)
    mem_list_push (&mem->heap, entry->list, mem_item_new (&mem->heap, call->argv[i]),
                   at_head);
  mem_changed (mem);
  mem_out_integer (call->out, (gint64) mem_list_count (entry->list));
  if (is_new)
    mem_blocking_signal (mem, call->argv[1]);
}

static void lpush (Mem *mem, MemCall *call)
{
  push_generic (mem, call, TRUE, FALSE);
}

static void rpush (Mem *mem, MemCall *call)
{
  push_generic (mem, call, FALSE, FALSE);
}

static void lpushx (Mem *mem, MemCall *call)
{
  push_generic (mem, call, TRUE, TRUE);
}

static void rpushx (Mem *mem, MemCall *call)
{
  push_generic (mem, call, FALSE, TRUE);
}

static void reply_and_free (Mem *mem, MemOut *out, MemItem *item)
{
  mem_out_bytes (out, item->bytes, item->size);
  mem_free (&mem->heap, item);
}

/* Replies up to @count elements as an array and deletes an emptied list. */
static void reply_pop (Mem *mem, MemOut *out, MemEntry *entry, gsize count,
                       gboolean from_head)
{
  count = MIN (count, mem_list_count (entry->list));
  mem_out_array (out, count);
  for (; count > 0; count--)
    reply_and_free (mem, out, mem_list_pop (entry->list, from_head));
  mem_delete_if_empty (mem, entry);
  mem_changed (mem);
}

static void pop_generic (Mem *mem, MemCall *call, gboolean from_head)
{
  gint64 count = 1;
  MemEntry *entry;

  if (call->argc > 3) {
    mem_wrong_arguments (call);
    return;
  }
  if (call->argc == 3 && !mem_arg_count (call, 2, &count))
    return;
  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL) {
    mem_out_nil (call->out);
  } else if (call->argc == 3 && count == 0) {
    mem_out_array (call->out, 0);
  } else if (call->argc == 3) {
    reply_pop (mem, call->out, entry, (gsize) count, from_head);
  } else {
    reply_and_free (mem, call->out, mem_list_pop (entry->list, from_head));
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
}

static void lpop (Mem *mem, MemCall *call)
{
  pop_generic (mem, call, TRUE);
}

static void rpop (Mem *mem, MemCall *call)
{
  pop_generic (mem, call, FALSE);
}

static void llen (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    mem_out_integer (call->out,
                     entry != NULL ? (gint64) mem_list_count (entry->list) : 0);
}

static void lrange (Mem *mem, MemCall *call)
{
  gint64 first, last;
  MemEntry *entry;

  if (!mem_arg_int (call, 2, &first) || !mem_arg_int (call, 3, &last)
      || !mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL || !mem_clip (&first, &last, mem_list_count (entry->list))) {
    mem_out_array (call->out, 0);
    return;
  }
  mem_out_array (call->out, (gsize) (last - first) + 1);
  for (; first <= last; first++) {
    const MemItem *item = mem_list_at (entry->list, (gsize) first);
    mem_out_bytes (call->out, item->bytes, item->size);
  }
}

static void lindex (Mem *mem, MemCall *call)
{
  gint64 index;
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL) {
    mem_out_nil (call->out);
    return;
  }
  if (!mem_arg_int (call, 2, &index))
    return;
  gint64 count = (gint64) mem_list_count (entry->list);
  if (index < 0)
    index += count;
  if (index < 0 || index >= count) {
    mem_out_nil (call->out);
    return;
  }
  const MemItem *item = mem_list_at (entry->list, (gsize) index);
  mem_out_bytes (call->out, item->bytes, item->size);
}

/* ---- from list to list --------------------------------------------------------------
 */

void mem_list_move (Mem *mem, MemEntry *from, MemBytes to, gboolean from_head,
                    gboolean to_head, MemOut *out)
{
  MemEntry *entry = mem_peek (mem, to);
  MemItem *item = mem_list_pop (from->list, from_head);
  gboolean is_new = entry == NULL;

  if (is_new)
    entry = mem_create (mem, to, MEM_LIST);
  mem_list_push (&mem->heap, entry->list, item, to_head);
  mem_out_bytes (out, item->bytes, item->size);
  mem_delete_if_empty (mem, from);
  mem_changed (mem);
  if (is_new)
    mem_blocking_signal (mem, to);
}

gboolean mem_list_read_side (MemCall *call, gsize index, gboolean *is_left)
{
  *is_left = mem_arg_is (call->argv[index], "LEFT");
  if (*is_left || mem_arg_is (call->argv[index], "RIGHT"))
    return TRUE;
  mem_syntax_error (call);
  return FALSE;
}

static void move_generic (Mem *mem, MemCall *call, gboolean from_head, gboolean to_head)
{
  MemEntry *from, *to;

  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &from))
    return;
  if (from == NULL)
    mem_out_nil (call->out);
  else if (mem_find (mem, call, call->argv[2], MEM_LIST, &to))
    mem_list_move (mem, from, call->argv[2], from_head, to_head, call->out);
}

static void lmove (Mem *mem, MemCall *call)
{
  gboolean from_head, to_head;
  if (mem_list_read_side (call, 3, &from_head) && mem_list_read_side (call, 4, &to_head))
    move_generic (mem, call, from_head, to_head);
}

static void rpoplpush (Mem *mem, MemCall *call)
{
  move_generic (mem, call, FALSE, TRUE);
}

const MemCommand mem_list_commands[]
    = {{"lpush", -3, MEM_WRITE | MEM_GROWS, lpush},
       {"rpush", -3, MEM_WRITE | MEM_GROWS, rpush},
       {"lpushx", -3, MEM_WRITE | MEM_GROWS, lpushx},
       {"rpushx", -3, MEM_WRITE | MEM_GROWS, rpushx},
       {"lpop", -2, MEM_WRITE, lpop},
       {"rpop", -2, MEM_WRITE, rpop},
       {"llen", 2, MEM_READ, llen},
       {"lrange", 4, MEM_READ, lrange},
       {"lindex", 3, MEM_READ, lindex},
       {"lmove", 5, MEM_WRITE | MEM_GROWS, lmove},
       {"rpoplpush", 3, MEM_WRITE | MEM_GROWS, rpoplpush},
       {NULL}};
