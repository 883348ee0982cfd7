/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocation that is counted, so that a limit can be kept and told. What is small comes
 * from the host's slabs: there may be millions of entries.
 */
#pragma once

#include <chargehost/slab.h>

typedef struct {
  ChPlugin *self;
  gsize used;
} MemHeap;

gpointer mem_alloc (MemHeap *heap, gsize size);
gpointer mem_alloc0 (MemHeap *heap, gsize size);
gpointer mem_realloc (MemHeap *heap, gpointer block, gsize size);
void mem_free (MemHeap *heap, gpointer block); /* NULL is fine */
