/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Allocation that is counted, so that a limit can be kept and told. */
#pragma once

#include <glib.h>

typedef struct {
  gsize used;
} MemHeap;

gpointer mem_alloc (MemHeap *heap, gsize size);
gpointer mem_alloc0 (MemHeap *heap, gsize size);
gpointer mem_realloc (MemHeap *heap, gpointer block, gsize size);
void mem_free (MemHeap *heap, gpointer block); /* NULL is fine */
