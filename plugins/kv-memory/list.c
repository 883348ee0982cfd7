/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "list.h"

#include <string.h>

#define SMALLEST 4

struct _MemList {
  MemItem **ring;
  gsize size; /* a power of two, 0 at first */
  gsize head; /* place of the first item */
  gsize count;
};

MemList *mem_list_new (MemHeap *heap)
{
  return mem_alloc0 (heap, sizeof (MemList));
}

static MemItem **place (const MemList *list, gsize index)
{
  return &list->ring[(list->head + index) & (list->size - 1)];
}

void mem_list_free (MemHeap *heap, MemList *list)
{
  if (list == NULL)
    return;
  for (gsize i = 0; i < list->count; i++)
    mem_free (heap, *place (list, i));
  mem_free (heap, list->ring);
  mem_free (heap, list);
}

gsize mem_list_count (const MemList *list)
{
  return list->count;
}

MemItem *mem_list_at (const MemList *list, gsize index)
{
  return *place (list, index);
}

MemItem *mem_item_new (MemHeap *heap, MemBytes value)
{
  MemItem *item = mem_alloc (heap, sizeof (MemItem) + value.n);
  item->size = (guint32) value.n;
  if (value.n > 0)
    memcpy (item->bytes, value.p, value.n);
  return item;
}

static void resize (MemHeap *heap, MemList *list, gsize size)
{
  MemItem **ring = mem_alloc (heap, size * sizeof (MemItem *));

  for (gsize i = 0; i < list->count; i++)
    ring[i] = *place (list, i);
  mem_free (heap, list->ring);
  list->ring = ring;
  list->size = size;
  list->head = 0;
}

void mem_list_push (MemHeap *heap, MemList *list, MemItem *item, gboolean at_head)
{
  if (list->count == list->size)
    resize (heap, list, MAX (list->size * 2, SMALLEST));
  if (at_head)
    list->head = (list->head + list->size - 1) & (list->size - 1);
  list->count++;
  *place (list, at_head ? 0 : list->count - 1) = item;
}

MemItem *mem_list_pop (MemList *list, gboolean from_head)
{
  MemItem *item = *place (list, from_head ? 0 : list->count - 1);

  if (from_head)
    list->head = (list->head + 1) & (list->size - 1);
  list->count--;
  return item;
}

void mem_list_replace (MemHeap *heap, MemList *list, gsize index, MemItem *item)
{
  mem_free (heap, *place (list, index));
  *place (list, index) = item;
}

void mem_list_insert (MemHeap *heap, MemList *list, gsize index, MemItem *item)
{
  mem_list_push (heap, list, item, FALSE);
  for (gsize i = list->count - 1; i > index; i--)
    *place (list, i) = *place (list, i - 1);
  *place (list, index) = item;
}

void mem_list_remove_marked (MemHeap *heap, MemList *list, const guint8 *marks)
{
  gsize kept = 0;

  for (gsize i = 0; i < list->count; i++) {
    MemItem *item = *place (list, i);
    if (marks[i])
      mem_free (heap, item);
    else
      *place (list, kept++) = item;
  }
  list->count = kept;
}
