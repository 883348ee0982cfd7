/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory of one transaction: many small pieces, given back together. */
#pragma once

#include <glib.h>

typedef struct _ChArenaChunk ChArenaChunk;

typedef struct {
  ChArenaChunk
      *chunks; /* newest first; the memory an arena began with is not among them */
  guint8 *at;
  guint8 *end;
  gsize total; /* bytes in chunks */
} ChArena;

/* Slow path of ch_arena_alloc(). */
gpointer ch_arena_grow (ChArena *arena, gsize size);
/* A copy with a closing NUL. */
char *ch_arena_text (ChArena *arena, const void *bytes, gsize size);
void ch_arena_clear (ChArena *arena);

/* Room for @size bytes, aligned for any value here; never NULL, not cleared. */
static inline gpointer ch_arena_alloc (ChArena *arena, gsize size)
{
  size = (size + 7) & ~(gsize) 7;
  if (G_UNLIKELY ((gsize) (arena->end - arena->at) < size))
    return ch_arena_grow (arena, size);
  gpointer room = arena->at;
  arena->at += size;
  return room;
}
