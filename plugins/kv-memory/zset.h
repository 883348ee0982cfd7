/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sorted set: a dict by member, and a skip list by score and member with the distance
 * of each link, so that ranges and ranks take O(log n). A member is one allocation in
 * both.
 */
#pragma once

#include "memory.h"

typedef struct _MemScored MemScored;
typedef struct {
  MemScored *next;
  gsize span; /* how far it leads */
} MemLevel;
struct _MemScored {
  MemNode node;
  double score;
  MemScored *back;
  MemLevel levels[]; /* then the member */
};

MemZset *mem_zset_new (Mem *mem);
void mem_zset_free (MemHeap *heap, MemZset *zset);
gsize mem_zset_count (const MemZset *zset);
const MemDict *mem_zset_dict (const MemZset *zset);
MemScored *mem_zset_find (const MemZset *zset, MemBytes member);
/* Adds, or moves to another score. Returns: whether it is new */
gboolean mem_zset_set (MemZset *zset, MemBytes member, double score);
void mem_zset_remove (MemZset *zset, MemScored *scored);
MemScored *mem_zset_at (const MemZset *zset, gsize rank);
gsize mem_zset_rank (const MemZset *zset, const MemScored *scored);
static inline MemScored *mem_zset_next (const MemScored *scored)
{
  return scored->levels[0].next;
}

/* From min to max by score, or by member when all scores are the same. */
typedef struct {
  gboolean by_member;
  double min, max;
  MemBytes min_member, max_member;
  gint min_end, max_end;       /* by member: −1 is `-`, 1 is `+`, 0 the member */
  gboolean min_open, max_open; /* the end itself is outside */
} MemRange;
/* The first and the last in it, and their ranks; FALSE: there is none. */
gboolean mem_zset_range (const MemZset *zset, const MemRange *range, gsize *first,
                         gsize *last);

/* zset-commands.c: replies member and score of @count members, which are there. */
void mem_zset_reply_pop (Mem *mem, MemOut *out, MemEntry *entry, gsize count,
                         gboolean max);
/* zset-algebra.c: the key holds @zset now; NULL or empty: nothing. Takes it. */
void mem_zset_store (Mem *mem, MemBytes key, MemZset *zset);
