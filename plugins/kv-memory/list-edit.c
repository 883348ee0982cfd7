/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists: changes in the middle, and searching. */
#include "list.h"

#include <string.h>

static gboolean is_item (const MemItem *item, MemBytes value)
{
  return item->size == value.n && memcmp (item->bytes, value.p, value.n) == 0;
}

static void lset (Mem *mem, MemCall *call)
{
  gint64 index;
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL) {
    mem_out_error (call->out, "ERR no such key");
    return;
  }
  if (!mem_arg_int (call, 2, &index))
    return;
  gint64 count = (gint64) mem_list_count (entry->list);
  if (index < 0)
    index += count;
  if (index < 0 || index >= count) {
    mem_out_error (call->out, "ERR index out of range");
    return;
  }
  mem_list_replace (&mem->heap, entry->list, (gsize) index,
                    mem_item_new (&mem->heap, call->argv[3]));
  mem_changed (mem);
  mem_out_ok (call->out);
}

static void linsert (Mem *mem, MemCall *call)
{
  gboolean after = mem_arg_is (call->argv[2], "AFTER");
  MemEntry *entry;

  if (!after && !mem_arg_is (call->argv[2], "BEFORE")) {
    mem_syntax_error (call);
    return;
  }
  if (!mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry == NULL) {
    mem_out_integer (call->out, 0);
    return;
  }
  for (gsize i = 0; i < mem_list_count (entry->list); i++) {
    if (!is_item (mem_list_at (entry->list, i), call->argv[3]))
      continue;
    mem_list_insert (&mem->heap, entry->list, i + (after ? 1 : 0),
                     mem_item_new (&mem->heap, call->argv[4]));
    mem_changed (mem);
    mem_out_integer (call->out, (gint64) mem_list_count (entry->list));
    return;
  }
  mem_out_integer (call->out, -1);
}

static void lrem (Mem *mem, MemCall *call)
{
  gint64 wanted, removed = 0;
  MemEntry *entry;

  if (!mem_arg_int (call, 2, &wanted)
      || !mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  gsize count = entry != NULL ? mem_list_count (entry->list) : 0;
  g_autofree guint8 *marks = g_malloc0 (count + 1);
  guint64 most = wanted == 0  ? G_MAXUINT64
                 : wanted > 0 ? (guint64) wanted
                              : 0 - (guint64) wanted;
  for (gsize i = 0; i < count && (guint64) removed < most; i++) {
    gsize at = wanted < 0 ? count - 1 - i : i;
    if (!is_item (mem_list_at (entry->list, at), call->argv[3]))
      continue;
    marks[at] = 1;
    removed++;
  }
  if (removed > 0) {
    mem_list_remove_marked (&mem->heap, entry->list, marks);
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, removed);
}

static void drop (Mem *mem, MemList *list, gsize n, gboolean from_head)
{
  for (; n > 0; n--)
    mem_free (&mem->heap, mem_list_pop (list, from_head));
}

static void ltrim (Mem *mem, MemCall *call)
{
  gint64 first, last;
  MemEntry *entry;

  if (!mem_arg_int (call, 2, &first) || !mem_arg_int (call, 3, &last)
      || !mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  if (entry != NULL) {
    gsize count = mem_list_count (entry->list);
    if (!mem_clip (&first, &last, count)) {
      first = (gint64) count;
      last = first - 1;
    }
    drop (mem, entry->list, count - 1 - (gsize) last, FALSE);
    drop (mem, entry->list, (gsize) first, TRUE);
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_ok (call->out);
}

typedef struct {
  gint64 rank;
  gint64 count; /* −1: only one is wanted, and not as an array */
  gint64 most;
} Search;

static gboolean read_search (MemCall *call, Search *search)
{
  *search = (Search) {.rank = 1, .count = -1};
  for (gsize i = 3; i < call->argc; i += 2) {
    gboolean has_value = i + 1 < call->argc;
    if (has_value && mem_arg_is (call->argv[i], "RANK")) {
      if (!mem_arg_int (call, i + 1, &search->rank))
        return FALSE;
      if (search->rank == 0) {
        mem_out_error (
            call->out,
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from "
            "the second ... or use negative to start from the end of the list");
        return FALSE;
      }
      if (search->rank == G_MININT64) {
        mem_out_error (call->out, "ERR value is out of range");
        return FALSE;
      }
    } else if (has_value && mem_arg_is (call->argv[i], "COUNT")) {
      if (!mem_arg_int_error (call, i + 1, &search->count, "ERR COUNT can't be negative"))
        return FALSE;
      if (search->count < 0) {
        mem_out_error (call->out, "ERR COUNT can't be negative");
        return FALSE;
      }
    } else if (has_value && mem_arg_is (call->argv[i], "MAXLEN")) {
      if (!mem_arg_int_error (call, i + 1, &search->most, "ERR MAXLEN can't be negative"))
        return FALSE;
      if (search->most < 0) {
        mem_out_error (call->out, "ERR MAXLEN can't be negative");
        return FALSE;
      }
    } else {
      mem_syntax_error (call);
      return FALSE;
    }
  }
  return TRUE;
}

static void lpos (Mem *mem, MemCall *call)
{
  Search search;
  MemEntry *entry;
  gsize found = 0;

  if (!read_search (call, &search)
      || !mem_find (mem, call, call->argv[1], MEM_LIST, &entry))
    return;
  gboolean many = search.count >= 0;
  gsize opened = many ? mem_out_open (call->out) : 0;
  gsize count = entry != NULL ? mem_list_count (entry->list) : 0;
  gsize most = search.most > 0 ? MIN ((gsize) search.most, count) : count;
  gint64 skip = ABS (search.rank) - 1;
  for (gsize i = 0; i < most; i++) {
    gsize at = search.rank < 0 ? count - 1 - i : i;
    if (!is_item (mem_list_at (entry->list, at), call->argv[2]) || skip-- > 0)
      continue;
    mem_out_integer (call->out, (gint64) at);
    found++;
    if (!many || (search.count > 0 && found == (gsize) search.count))
      break;
  }
  if (many)
    mem_out_close (call->out, opened, found);
  else if (found == 0)
    mem_out_nil (call->out);
}

const MemCommand mem_list_edit_commands[]
    = {{"lset", 4, MEM_WRITE | MEM_GROWS, lset},
       {"linsert", 5, MEM_WRITE | MEM_GROWS, linsert},
       {"lrem", 4, MEM_WRITE, lrem},
       {"ltrim", 4, MEM_WRITE, ltrim},
       {"lpos", -3, MEM_READ, lpos},
       {NULL}};
