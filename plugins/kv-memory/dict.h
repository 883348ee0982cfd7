/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table of byte strings for everything: keys, fields, members. Nodes are made by
 * the user (the dict's part first, its own fields, then the key's bytes), so an element
 * is one allocation. Grows and shrinks in small steps; the hash is keyed, so that no one
 * can choose names that collide.
 */
#pragma once

#include "heap.h"

typedef struct {
  const char *p;
  gsize n;
} MemBytes;

typedef struct _MemNode MemNode;
struct _MemNode {
  MemNode *next;
  guint32 hash;
  guint32 key_size;
  guint32 key_at; /* from the node's first byte */
  guint32 extra;  /* the user's */
};

typedef struct {
  MemHeap *heap;
  const guint64 *seed; /* two words */
  MemNode **tables[2];
  gsize sizes[2]; /* powers of two; 0: no table */
  gsize used[2];
  gssize moving; /* next bucket of table 0 that goes to table 1, −1: none */
} MemDict;

static inline MemBytes mem_node_key (const MemNode *node)
{
  return (MemBytes) {(const char *) node + node->key_at, node->key_size};
}

static inline gsize mem_dict_count (const MemDict *dict)
{
  return dict->used[0] + dict->used[1];
}

guint64 mem_hash (const guint64 seed[2], const char *p, gsize n);

void mem_dict_init (MemDict *dict, MemHeap *heap, const guint64 *seed);
/* @release frees a node; NULL: mem_free(). */
typedef void (*MemRelease) (gpointer user_data, MemNode *node);
void mem_dict_clear (MemDict *dict, MemRelease release, gpointer user_data);

/* A node of @size bytes, then the key, then @room bytes that are not cleared. */
gpointer mem_node_new_with (MemHeap *heap, gsize size, MemBytes key, gsize room);
gpointer mem_node_new (MemHeap *heap, gsize size, MemBytes key);

MemNode *mem_dict_find (const MemDict *dict, MemBytes key);
/* The key must not be there yet. */
void mem_dict_insert (MemDict *dict, MemNode *node);
/* Unlinks; the node is the caller's afterwards. (nullable) */
MemNode *mem_dict_take (MemDict *dict, MemBytes key);
void mem_dict_unlink (MemDict *dict, MemNode *node);

/* Any element; @random is a random number. NULL when it is empty. */
MemNode *mem_dict_random (const MemDict *dict, guint64 (*random) (gpointer),
                          gpointer data);

/* Between first and the last next the dict must not change. */
typedef struct {
  const MemDict *dict;
  gsize bucket;
  MemNode *node;
  guint table;
} MemDictIter;
MemNode *mem_dict_first (MemDictIter *iter, const MemDict *dict);
MemNode *mem_dict_next (MemDictIter *iter);

/*
 * Visits some elements and returns the next cursor, 0 at the end. Every element that is
 * there from begin to end is visited at least once, whatever happens to the size.
 */
typedef void (*MemVisit) (gpointer user_data, MemNode *node);
guint64 mem_dict_scan (const MemDict *dict, guint64 cursor, MemVisit visit,
                       gpointer user_data);
