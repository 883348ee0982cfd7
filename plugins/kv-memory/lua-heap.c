/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lua-heap.h"

#include <stdlib.h>
#include <string.h>

#define STEP 16
#define SLAB (64 * 1024)

/* Address sanitizer sees each block only when it comes from malloc. */
#ifdef __SANITIZE_ADDRESS__
#define IS_SMALL(size) FALSE
#else
#define IS_SMALL(size) ((size) <= MEM_LUA_CLASSES * STEP)
#endif

struct _MemLuaBlock {
  MemLuaBlock *next;
};
struct _MemLuaSlab {
  MemLuaSlab *next;
  gsize pad;
};

static gsize class_of (gsize size)
{
  return (size - 1) / STEP;
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

static gpointer take_fresh (MemLuaHeap *heap, gsize class)
{
  gsize rounded = (class + 1) * STEP;

  if (heap->fresh_size < rounded && !add_slab (heap))
    return NULL;
  gpointer fresh = heap->fresh;
  heap->fresh += rounded;
  heap->fresh_size -= rounded;
  return fresh;
}

static inline gpointer take (MemLuaHeap *heap, gsize size)
{
  if (!IS_SMALL (size))
    return malloc (size);
  gsize class = class_of (size);
  MemLuaBlock *block = heap->free[class];
  if (G_UNLIKELY (block == NULL))
    return take_fresh (heap, class);
  heap->free[class] = block->next;
  return block;
}

static inline void give_back (MemLuaHeap *heap, gpointer block, gsize size)
{
  if (!IS_SMALL (size)) {
    free (block);
    return;
  }
  gsize class = class_of (size);
  MemLuaBlock *free_block = block;
  free_block->next = heap->free[class];
  heap->free[class] = free_block;
}

static G_GNUC_NO_INLINE gpointer resize (MemLuaHeap *heap, gpointer block, gsize old_size,
                                         gsize size)
{
  if (!IS_SMALL (old_size) && !IS_SMALL (size))
    return realloc (block, size);
  if (IS_SMALL (old_size) && IS_SMALL (size) && class_of (old_size) == class_of (size))
    return block;
  gpointer larger = take (heap, size);
  if (larger == NULL)
    return NULL;
  memcpy (larger, block, MIN (old_size, size));
  give_back (heap, block, old_size);
  return larger;
}

/* Lua 5.1 tells the old size of every block: 0 when there is none. */
gpointer mem_lua_allocate (gpointer user_data, gpointer block, gsize old_size, gsize size)
{
  MemLuaHeap *heap = user_data;

  if (size == 0) {
    if (old_size > 0)
      give_back (heap, block, old_size);
    heap->used -= old_size;
    return NULL;
  }
  gsize used = heap->used - old_size + size;
  if (size > old_size && heap->max > 0 && used > heap->max)
    return NULL;
  gpointer result
      = old_size == 0 ? take (heap, size) : resize (heap, block, old_size, size);
  if (G_LIKELY (result != NULL))
    heap->used = used;
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
