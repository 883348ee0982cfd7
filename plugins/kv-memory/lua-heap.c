/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lua-heap.h"

#include <stdlib.h>
#include <string.h>

#define STEP 16
#define SLAB (64 * 1024)

/* Address sanitizer sees each block only when it comes from malloc. */
#ifdef __SANITIZE_ADDRESS__
#define SMALL 0
#else
#define SMALL (MEM_LUA_CLASSES * STEP)
#endif

struct _MemLuaBlock {
  MemLuaBlock *next;
};
struct _MemLuaSlab {
  MemLuaSlab *next;
  gsize pad;
};

static guint class_of (gsize size)
{
  return (guint) ((size - 1) / STEP);
}

static gboolean add_slab (MemLuaHeap *heap)
{
  MemLuaSlab *slab = malloc (SLAB);

  if (slab == NULL)
    return FALSE;
  slab->next = heap->slabs;
  heap->slabs = slab;
  heap->fresh = (char *) (slab + 1);
  heap->fresh_size = SLAB - sizeof *slab;
  return TRUE;
}

static gpointer take_small (MemLuaHeap *heap, gsize size)
{
  guint class = class_of (size);
  gsize rounded = (class + 1) * STEP;
  MemLuaBlock *block = heap->free[class];

  if (block != NULL) {
    heap->free[class] = block->next;
    return block;
  }
  if (heap->fresh_size < rounded && !add_slab (heap))
    return NULL;
  gpointer fresh = heap->fresh;
  heap->fresh += rounded;
  heap->fresh_size -= rounded;
  return fresh;
}

static gpointer take (MemLuaHeap *heap, gsize size)
{
  return size <= SMALL ? take_small (heap, size) : malloc (size);
}

static void give_back (MemLuaHeap *heap, gpointer block, gsize size)
{
  if (size > SMALL) {
    free (block);
    return;
  }
  guint class = class_of (size);
  MemLuaBlock *free_block = block;
  free_block->next = heap->free[class];
  heap->free[class] = free_block;
}

static gpointer resize (MemLuaHeap *heap, gpointer block, gsize old_size, gsize size)
{
  if (old_size > SMALL && size > SMALL)
    return realloc (block, size);
  if (old_size <= SMALL && size <= SMALL && class_of (old_size) == class_of (size))
    return block;
  gpointer larger = take (heap, size);
  if (larger == NULL)
    return NULL;
  memcpy (larger, block, MIN (old_size, size));
  give_back (heap, block, old_size);
  return larger;
}

gpointer mem_lua_allocate (gpointer user_data, gpointer block, gsize old_size, gsize size)
{
  MemLuaHeap *heap = user_data;
  gpointer result;

  if (block == NULL)
    old_size = 0;
  if (size == 0) {
    if (old_size > 0)
      give_back (heap, block, old_size);
    heap->used -= old_size;
    return NULL;
  }
  if (size > old_size && heap->max > 0 && heap->used + (size - old_size) > heap->max)
    return NULL;
  result = old_size == 0 ? take (heap, size) : resize (heap, block, old_size, size);
  if (result != NULL)
    heap->used = heap->used - old_size + size;
  return result;
}

void mem_lua_heap_clear (MemLuaHeap *heap)
{
  MemLuaSlab *next;
  for (MemLuaSlab *slab = heap->slabs; slab != NULL; slab = next) {
    next = slab->next;
    free (slab);
  }
  memset (heap, 0, sizeof *heap);
}
