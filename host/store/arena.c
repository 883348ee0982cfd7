/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/arena.h"

#include <string.h>

#define FIRST_CHUNK 2048
#define LARGEST_CHUNK (64 * 1024)

struct _ChArenaChunk {
  ChArenaChunk *next;
  gsize size;
  guint64 bytes[];
};

static ChArenaChunk *add_chunk (ChArena *arena, gsize size)
{
  ChArenaChunk *chunk = g_malloc (sizeof (ChArenaChunk) + size);
  chunk->size = size;
  chunk->next = arena->chunks;
  arena->chunks = chunk;
  arena->total += size;
  return chunk;
}

gpointer ch_arena_grow (ChArena *arena, gsize size)
{
  gsize wanted = CLAMP (arena->total, FIRST_CHUNK, LARGEST_CHUNK);

  if (size > wanted / 4) /* a piece of its own; the present chunk goes on being filled */
    return add_chunk (arena, size)->bytes;
  ChArenaChunk *chunk = add_chunk (arena, wanted);
  arena->at = (guint8 *) chunk->bytes + size;
  arena->end = (guint8 *) chunk->bytes + wanted;
  return chunk->bytes;
}

char *ch_arena_text (ChArena *arena, const void *bytes, gsize size)
{
  char *copy = ch_arena_alloc (arena, size + 1);
  if (size > 0)
    memcpy (copy, bytes, size);
  copy[size] = '\0';
  return copy;
}

void ch_arena_clear (ChArena *arena)
{
  while (arena->chunks != NULL) {
    ChArenaChunk *chunk = arena->chunks;
    arena->chunks = chunk->next;
    g_free (chunk);
  }
  arena->at = arena->end = NULL;
  arena->total = 0;
}
