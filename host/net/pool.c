/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks for bytes that wait in connections; most connections have none. */
#include "net/gateway-private.h"

#include <string.h>

#define CLASS_BITS 6 /* the smallest: 64 bytes */
/* Unused blocks that are kept per class: about 256 KiB. */
#define KEEP_BYTES (256 * 1024)

static guint class_of (gsize size)
{
  guint class = 0;
  while (class < POOL_CLASSES && ((gsize) 1 << (CLASS_BITS + 2 * class)) < size)
    class ++;
  return class;
}

guint8 *pool_take (Pool *pool, gsize size, guint32 *room)
{
  guint class = class_of (size);
  if (class >= POOL_CLASSES) { /* rare: longer than any class */
    *room = (guint32) size;
    return g_malloc (size);
  }
  *room = 1u << (CLASS_BITS + 2 * class);
  guint8 *block = pool->free[class];
  if (block == NULL)
    return g_malloc (*room);
  memcpy (&pool->free[class], block, sizeof (gpointer));
  pool->n[class]--;
  return block;
}

void pool_give (Pool *pool, guint8 *block, guint32 room)
{
  guint class = class_of (room);
  if (class >= POOL_CLASSES || (gsize) pool->n[class] * room >= KEEP_BYTES) {
    g_free (block);
    return;
  }
  memcpy (block, &pool->free[class], sizeof (gpointer));
  pool->free[class] = block;
  pool->n[class]++;
}

void pool_clear (Pool *pool)
{
  for (guint class = 0; class < POOL_CLASSES; class ++) {
    while (pool->free[class] != NULL) {
      guint8 *block = pool->free[class];
      memcpy (&pool->free[class], block, sizeof (gpointer));
      g_free (block);
    }
    pool->n[class] = 0;
  }
}
