/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/slab.h"

#include <sys/mman.h>

#define STEP 16
#define LARGEST 1024
#define CLASSES (LARGEST / STEP)
#define CHUNK ((gsize) 16 * 1024)    /* of one class; aligned to its size */
#define REGION ((gsize) 1024 * 1024) /* of it only what is used becomes resident */
#define KEPT 8                       /* empty chunks that stay resident */

/* Address sanitizer sees each block only when it comes from malloc. */
#ifdef __SANITIZE_ADDRESS__
#define IS_SMALL(size) FALSE
#else
#define IS_SMALL(size) ((size) <= LARGEST)
#endif

typedef struct _Block Block;
struct _Block {
  Block *next;
};

/* Stands at the beginning of a chunk. */
typedef struct _Chunk Chunk;
struct _Chunk {
  Chunk *next, *prev; /* among those of its class that have room */
  Block *free;        /* given back */
  guint32 fresh;      /* where what was never used begins */
  guint16 class;
  guint16 used; /* blocks */
};

struct _ChSlabs {
  Chunk *roomy[CLASSES];
  GPtrArray *empty;   /* of chunks, for any class */
  guint n_resident;   /* the last of them: those that were emptied just now */
  GPtrArray *regions; /* as they were mapped */
  gsize used, held;
};

static ChSlabs *slabs_new (void)
{
  ChSlabs *slabs = g_new0 (ChSlabs, 1);

  slabs->empty = g_ptr_array_new ();
  slabs->regions = g_ptr_array_new ();
  return slabs;
}

void ch_slabs_free (ChSlabs *slabs)
{
  if (slabs == NULL)
    return;
  for (guint i = 0; i < slabs->regions->len; i++)
    munmap (g_ptr_array_index (slabs->regions, i), REGION);
  g_ptr_array_unref (slabs->regions);
  g_ptr_array_unref (slabs->empty);
  g_free (slabs);
}

void ch_slabs_count (const ChSlabs *slabs, gsize *used, gsize *held)
{
  *used = slabs != NULL ? slabs->used : 0;
  *held = slabs != NULL ? slabs->held : 0;
}

/* ---- chunks ------------------------------------------------------------------------ */

static void add_region (ChSlabs *slabs)
{
  guint8 *region
      = mmap (NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  g_assert (region != MAP_FAILED); /* no memory ends the process, as g_malloc() does */
  g_ptr_array_add (slabs->regions, region);
  for (gsize at = -(gsize) region % CHUNK; at + CHUNK <= REGION; at += CHUNK)
    g_ptr_array_add (slabs->empty, region + at);
}

static void link_chunk (ChSlabs *slabs, Chunk *chunk)
{
  Chunk **first = &slabs->roomy[chunk->class];

  chunk->prev = NULL;
  chunk->next = *first;
  if (*first != NULL)
    (*first)->prev = chunk;
  *first = chunk;
}

static void unlink_chunk (ChSlabs *slabs, Chunk *chunk)
{
  if (chunk->prev != NULL)
    chunk->prev->next = chunk->next;
  else
    slabs->roomy[chunk->class] = chunk->next;
  if (chunk->next != NULL)
    chunk->next->prev = chunk->prev;
}

static Chunk *begin_chunk (ChSlabs *slabs, gsize class)
{
  if (slabs->empty->len == 0)
    add_region (slabs);
  Chunk *chunk = g_ptr_array_steal_index (slabs->empty, slabs->empty->len - 1);
  if (slabs->n_resident > 0)
    slabs->n_resident--;
  *chunk = (Chunk) {.class = (guint16) class, .fresh = sizeof *chunk};
  slabs->held += CHUNK;
  link_chunk (slabs, chunk);
  return chunk;
}

/* Its memory goes back to the system, unless it is soon wanted again. */
static void end_chunk (ChSlabs *slabs, Chunk *chunk)
{
  unlink_chunk (slabs, chunk);
  g_ptr_array_add (slabs->empty, chunk);
  slabs->held -= CHUNK;
  if (slabs->n_resident < KEPT)
    slabs->n_resident++;
  else
    madvise (g_ptr_array_index (slabs->empty, slabs->empty->len - 1 - KEPT), CHUNK,
             MADV_DONTNEED);
}

/* ---- blocks ------------------------------------------------------------------------ */

static gsize class_of (gsize size)
{
  return size > 0 ? (size - 1) / STEP : 0;
}

static gpointer take (ChSlabs *slabs, gsize class)
{
  gsize rounded = (class + 1) * STEP;
  Chunk *chunk = slabs->roomy[class];
  if (G_UNLIKELY (chunk == NULL))
    chunk = begin_chunk (slabs, class);

  gpointer block = chunk->free;
  if (block != NULL) {
    chunk->free = chunk->free->next;
  } else {
    block = (guint8 *) chunk + chunk->fresh;
    chunk->fresh += (guint32) rounded;
  }
  chunk->used++;
  slabs->used += rounded;
  if (chunk->free == NULL && chunk->fresh + rounded > CHUNK)
    unlink_chunk (slabs, chunk);
  return block;
}

static void give_back (ChSlabs *slabs, Block *block)
{
  Chunk *chunk = (Chunk *) ((gsize) block & ~(CHUNK - 1));
  gsize rounded = (chunk->class + 1u) * STEP;

  if (chunk->free == NULL && chunk->fresh + rounded > CHUNK)
    link_chunk (slabs, chunk);
  block->next = chunk->free;
  chunk->free = block;
  slabs->used -= rounded;
  if (--chunk->used == 0)
    end_chunk (slabs, chunk);
}

/* The store of @self when it serves @size; else the block is an ordinary one. */
static ChSlabs *slabs_for (ChPlugin *self, gsize size)
{
  if (!IS_SMALL (size))
    return NULL;
  if (G_UNLIKELY (self->slabs == NULL))
    self->slabs = slabs_new ();
  return self->slabs;
}

gpointer ch_slab_alloc (ChPlugin *self, gsize size)
{
  ChSlabs *slabs = slabs_for (self, size);

  if (slabs == NULL)
    return g_malloc (MAX (size, 1));
  return take (slabs, class_of (size));
}

gpointer ch_slab_alloc0 (ChPlugin *self, gsize size)
{
  if (slabs_for (self, size) == NULL) /* large ones are lazy */
    return g_malloc0 (MAX (size, 1));
  return memset (ch_slab_alloc (self, size), 0, size);
}

void ch_slab_free (ChPlugin *self, gpointer block, gsize size)
{
  ChSlabs *slabs = slabs_for (self, size);

  if (slabs == NULL)
    g_free (block);
  else if (block != NULL)
    give_back (slabs, block);
}

gpointer ch_slab_realloc (ChPlugin *self, gpointer block, gsize old_size, gsize size)
{
  if (slabs_for (self, old_size) == NULL && slabs_for (self, size) == NULL)
    return g_realloc (block, MAX (size, 1));
  gpointer other = ch_slab_alloc (self, size);
  if (block != NULL)
    memcpy (other, block, MIN (size, old_size));
  ch_slab_free (self, block, old_size);
  return other;
}

char *ch_slab_strdup (ChPlugin *self, const char *text)
{
  if (text == NULL)
    return NULL;
  gsize size = strlen (text) + 1;
  return memcpy (ch_slab_alloc (self, size), text, size);
}

void ch_slab_strfree (ChPlugin *self, char *text)
{
  if (text != NULL)
    ch_slab_free (self, text, strlen (text) + 1);
}
