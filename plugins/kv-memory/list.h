/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list is a ring of pointers: both ends and every index are at hand. */
#pragma once

#include "memory.h"

typedef struct {
  guint32 size;
  char bytes[];
} MemItem;

MemList *mem_list_new (MemHeap *heap);
void mem_list_free (MemHeap *heap, MemList *list);
gsize mem_list_count (const MemList *list);
MemItem *mem_list_at (const MemList *list, gsize index);
MemItem *mem_item_new (MemHeap *heap, MemBytes value);
/* Takes the item. */
void mem_list_push (MemHeap *heap, MemList *list, MemItem *item, gboolean at_head);
/* The item is the caller's afterwards. */
MemItem *mem_list_pop (MemList *list, gboolean from_head);
void mem_list_replace (MemHeap *heap, MemList *list, gsize index, MemItem *item);
void mem_list_insert (MemHeap *heap, MemList *list, gsize index, MemItem *item);
/* Removes and frees those whose mark is set; @marks has one byte per item. */
void mem_list_remove_marked (MemHeap *heap, MemList *list, const guint8 *marks);

/* list-commands.c: moves one element of a list that is not empty and replies it; the
   destination is a list or nothing. */
void mem_list_move (Mem *mem, MemEntry *from, MemBytes to, gboolean from_head,
                    gboolean to_head, MemOut *out);
/* LEFT or RIGHT; FALSE: an error was replied. */
gboolean mem_list_read_side (MemCall *call, gsize index, gboolean *is_left);
