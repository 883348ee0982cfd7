/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap.h"

/* Stands before every block. */
typedef struct {
  gsize size; /* with the head */
} Head;

static Head *head_of (gpointer block)
{
  return (Head *) block - 1;
}

static gpointer begin (MemHeap *heap, Head *head, gsize whole)
{
  head->size = whole;
  heap->used += whole;
  return head + 1;
}

gpointer mem_alloc (MemHeap *heap, gsize size)
{
  gsize whole = size + sizeof (Head);
  return begin (heap, ch_slab_alloc (heap->self, whole), whole);
}

gpointer mem_alloc0 (MemHeap *heap, gsize size)
{
  gsize whole = size + sizeof (Head);
  return begin (heap, ch_slab_alloc0 (heap->self, whole), whole);
}

void mem_free (MemHeap *heap, gpointer block)
{
  if (block == NULL)
    return;
  Head *head = head_of (block);
  heap->used -= head->size;
  ch_slab_free (heap->self, head, head->size);
}

gpointer mem_realloc (MemHeap *heap, gpointer block, gsize size)
{
  if (block == NULL)
    return mem_alloc (heap, size);
  Head *head = head_of (block);
  gsize whole = size + sizeof (Head), old = head->size;
  heap->used -= old;
  return begin (heap, ch_slab_realloc (heap->self, head, old, whole), whole);
}
