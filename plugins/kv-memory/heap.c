/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap.h"

#include <malloc.h>

gpointer mem_alloc (MemHeap *heap, gsize size)
{
  gpointer block = g_malloc (size);
  heap->used += malloc_usable_size (block);
  return block;
}

gpointer mem_alloc0 (MemHeap *heap, gsize size)
{
  gpointer block = g_malloc0 (size);
  heap->used += malloc_usable_size (block);
  return block;
}

gpointer mem_realloc (MemHeap *heap, gpointer block, gsize size)
{
  if (block != NULL)
    heap->used -= malloc_usable_size (block);
  block = g_realloc (block, size);
  heap->used += malloc_usable_size (block);
  return block;
}

void mem_free (MemHeap *heap, gpointer block)
{
  if (block == NULL)
    return;
  heap->used -= malloc_usable_size (block);
  g_free (block);
}
