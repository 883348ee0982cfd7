/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "zset.h"

#include <string.h>

#define MAX_LEVELS 24 /* one in four goes a level up: 4^24 members */
#define FEW_LEVELS 2  /* most sorted sets have a handful of members */

struct _MemZset {
  Mem *mem;
  MemDict dict;
  MemScored *head; /* has no member */
  MemScored *tail;
  guint n_levels;
  guint head_levels; /* that it has room for */
  gsize n_linked;    /* in the list */
};

static MemScored *scored_new (Mem *mem, guint n_levels, MemBytes member)
{
  return mem_node_new (&mem->heap, sizeof (MemScored) + n_levels * sizeof (MemLevel),
                       member);
}

MemZset *mem_zset_new (Mem *mem)
{
  MemZset *zset = mem_alloc0 (&mem->heap, sizeof (MemZset));

  zset->mem = mem;
  mem_dict_init (&zset->dict, &mem->heap, mem->seed);
  zset->head = scored_new (mem, FEW_LEVELS, (MemBytes) {"", 0});
  zset->head_levels = FEW_LEVELS;
  zset->n_levels = 1;
  return zset;
}

void mem_zset_free (MemHeap *heap, MemZset *zset)
{
  if (zset == NULL)
    return;
  mem_dict_clear (&zset->dict, NULL, NULL);
  mem_free (heap, zset->head);
  mem_free (heap, zset);
}

gsize mem_zset_count (const MemZset *zset)
{
  return mem_dict_count (&zset->dict);
}

const MemDict *mem_zset_dict (const MemZset *zset)
{
  return &zset->dict;
}

MemScored *mem_zset_find (const MemZset *zset, MemBytes member)
{
  return (MemScored *) mem_dict_find (&zset->dict, member);
}

static gint compare_members (MemBytes a, MemBytes b)
{
  gsize n = MIN (a.n, b.n);
  gint order = n > 0 ? memcmp (a.p, b.p, n) : 0;
  if (order != 0)
    return order;
  return a.n < b.n ? -1 : a.n > b.n;
}

static gboolean is_before (const MemScored *a, double score, MemBytes member)
{
  if (a->score != score)
    return a->score < score;
  return compare_members (mem_node_key (&a->node), member) < 0;
}

/* On each level the last before (score, member), and its rank counted from the head;
 * returns that of the lowest level. */
static gsize find_path (const MemZset *zset, double score, MemBytes member,
                        MemScored *path[MAX_LEVELS], gsize ranks[MAX_LEVELS])
{
  MemScored *at = zset->head;
  gsize rank = 0;

  for (guint i = zset->n_levels; i-- > 0;) {
    while (at->levels[i].next != NULL && is_before (at->levels[i].next, score, member)) {
      rank += at->levels[i].span;
      at = at->levels[i].next;
    }
    path[i] = at;
    ranks[i] = rank;
  }
  return rank;
}

static guint random_levels (Mem *mem)
{
  guint64 bits = mem_random (mem);
  guint n = 1;

  for (; n < MAX_LEVELS && (bits & 3) == 0; bits >>= 2)
    n++;
  return n;
}

static void raise_head (MemZset *zset, guint n_levels)
{
  guint room = CLAMP (2 * zset->head_levels, n_levels, MAX_LEVELS);

  if (n_levels <= zset->head_levels)
    return;
  zset->head = mem_realloc (&zset->mem->heap, zset->head,
                            sizeof (MemScored) + room * sizeof (MemLevel));
  memset (&zset->head->levels[zset->head_levels], 0,
          (room - zset->head_levels) * sizeof (MemLevel));
  zset->head_levels = room;
}

static void link_in (MemZset *zset, MemScored *scored, guint n_levels)
{
  MemScored *path[MAX_LEVELS];
  gsize ranks[MAX_LEVELS];

  raise_head (zset, n_levels);
  find_path (zset, scored->score, mem_node_key (&scored->node), path, ranks);
  for (guint i = zset->n_levels; i < n_levels; i++) {
    path[i] = zset->head;
    ranks[i] = 0;
    path[i]->levels[i].span = zset->n_linked;
  }
  zset->n_levels = MAX (zset->n_levels, n_levels);
  for (guint i = 0; i < n_levels; i++) {
    MemLevel *before = &path[i]->levels[i];
    scored->levels[i].next = before->next;
    scored->levels[i].span = before->span - (ranks[0] - ranks[i]);
    before->next = scored;
    before->span = ranks[0] - ranks[i] + 1;
  }
  for (guint i = n_levels; i < zset->n_levels; i++)
    path[i]->levels[i].span++;
  scored->back = path[0] != zset->head ? path[0] : NULL;
  if (scored->levels[0].next != NULL)
    scored->levels[0].next->back = scored;
  else
    zset->tail = scored;
  zset->n_linked++;
}

static void link_out (MemZset *zset, MemScored *scored)
{
  MemScored *path[MAX_LEVELS];
  gsize ranks[MAX_LEVELS];

  find_path (zset, scored->score, mem_node_key (&scored->node), path, ranks);
  for (guint i = 0; i < zset->n_levels; i++) {
    MemLevel *before = &path[i]->levels[i];
    if (before->next == scored) {
      before->span += scored->levels[i].span - 1;
      before->next = scored->levels[i].next;
    } else {
      before->span--;
    }
  }
  if (scored->levels[0].next != NULL)
    scored->levels[0].next->back = scored->back;
  else
    zset->tail = scored->back;
  zset->n_linked--;
  while (zset->n_levels > 1 && zset->head->levels[zset->n_levels - 1].next == NULL)
    zset->n_levels--;
}

static guint levels_of (const MemScored *scored)
{
  return (guint) ((scored->node.key_at - sizeof (MemScored)) / sizeof (MemLevel));
}

/* A score that does not change its place is only written. */
static gboolean stays (const MemScored *scored, double score)
{
  const MemScored *next = scored->levels[0].next;
  return (scored->back == NULL || scored->back->score < score)
         && (next == NULL || next->score > score);
}

gboolean mem_zset_set (MemZset *zset, MemBytes member, double score)
{
  MemScored *scored = mem_zset_find (zset, member);

  if (score == 0)
    score = 0; /* there is no negative zero */
  if (scored == NULL) {
    guint n_levels = random_levels (zset->mem);
    scored = scored_new (zset->mem, n_levels, member);
    scored->score = score;
    link_in (zset, scored, n_levels);
    mem_dict_insert (&zset->dict, &scored->node);
    return TRUE;
  }
  if (scored->score != score && !stays (scored, score)) {
    link_out (zset, scored);
    scored->score = score;
    link_in (zset, scored, levels_of (scored));
  }
  scored->score = score;
  return FALSE;
}

void mem_zset_remove (MemZset *zset, MemScored *scored)
{
  link_out (zset, scored);
  mem_dict_unlink (&zset->dict, &scored->node);
  mem_free (&zset->mem->heap, scored);
}

MemScored *mem_zset_at (const MemZset *zset, gsize rank)
{
  MemScored *at = zset->head;
  gsize passed = 0;

  for (guint i = zset->n_levels; i-- > 0;) {
    while (at->levels[i].next != NULL && passed + at->levels[i].span <= rank + 1) {
      passed += at->levels[i].span;
      at = at->levels[i].next;
    }
    if (passed == rank + 1)
      return at;
  }
  return NULL;
}

gsize mem_zset_rank (const MemZset *zset, const MemScored *scored)
{
  MemScored *path[MAX_LEVELS];
  gsize ranks[MAX_LEVELS];

  return find_path (zset, scored->score, mem_node_key (&scored->node), path, ranks);
}

/* How a member lies to an end of the range: below 0 before it, above 0 behind it. */
static gint order_to_end (MemBytes member, gint end, MemBytes end_member)
{
  return end != 0 ? -end : compare_members (member, end_member);
}

static gboolean is_below (const MemScored *scored, const MemRange *range)
{
  if (!range->by_member)
    return range->min_open ? scored->score <= range->min : scored->score < range->min;
  gint order
      = order_to_end (mem_node_key (&scored->node), range->min_end, range->min_member);
  return range->min_open ? order <= 0 : order < 0;
}

static gboolean is_above (const MemScored *scored, const MemRange *range)
{
  if (!range->by_member)
    return range->max_open ? scored->score >= range->max : scored->score > range->max;
  gint order
      = order_to_end (mem_node_key (&scored->node), range->max_end, range->max_member);
  return range->max_open ? order >= 0 : order > 0;
}

gboolean mem_zset_range (const MemZset *zset, const MemRange *range, gsize *first,
                         gsize *last)
{
  MemScored *at = zset->head;
  gsize below = 0, up_to = 0;

  for (guint i = zset->n_levels; i-- > 0;) {
    while (at->levels[i].next != NULL && is_below (at->levels[i].next, range)) {
      below += at->levels[i].span;
      at = at->levels[i].next;
    }
  }
  at = zset->head;
  for (guint i = zset->n_levels; i-- > 0;) {
    while (at->levels[i].next != NULL && !is_above (at->levels[i].next, range)) {
      up_to += at->levels[i].span;
      at = at->levels[i].next;
    }
  }
  if (up_to <= below)
    return FALSE;
  *first = below;
  *last = up_to - 1;
  return TRUE;
}
