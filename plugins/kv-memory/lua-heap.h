/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the Lua state: counted and bounded. Small blocks come from slabs, one list of
 * free ones per size, since Lua tells the size when it gives a block back.
 */
#pragma once

#include <glib.h>

#define MEM_LUA_CLASSES 16 /* of 16 bytes each */

typedef struct _MemLuaBlock MemLuaBlock;
typedef struct _MemLuaSlab MemLuaSlab;
typedef struct {
  gsize used;
  gsize max; /* 0: no limit */
  MemLuaBlock *free[MEM_LUA_CLASSES];
  MemLuaSlab *slabs;
  char *fresh; /* of the newest slab */
  gsize fresh_size;
} MemLuaHeap;

/* A lua_Alloc; @heap is a MemLuaHeap. */
gpointer mem_lua_allocate (gpointer heap, gpointer block, gsize old_size, gsize size);
/* After lua_close(). */
void mem_lua_heap_clear (MemLuaHeap *heap);
