/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dict.h"

#include <string.h>

#define SMALLEST 4
#define STEP_BUCKETS 2        /* moved at each change while the size changes */
#define STEP_EMPTY_BUCKETS 20 /* looked at for them */
#define SPARSE 8              /* shrinks when fewer than one in so many is used */

void mem_dict_init (MemDict *dict, MemHeap *heap, const guint64 *seed)
{
  *dict = (MemDict) {.heap = heap, .seed = seed, .moving = -1};
}

void mem_dict_clear (MemDict *dict, MemRelease release, gpointer user_data)
{
  for (guint t = 0; t < 2; t++) {
    for (gsize i = 0; i < dict->sizes[t]; i++) {
      MemNode *next;
      for (MemNode *node = dict->tables[t][i]; node != NULL; node = next) {
        next = node->next;
        if (release != NULL)
          release (user_data, node);
        else
          mem_free (dict->heap, node);
      }
    }
    mem_free (dict->heap, dict->tables[t]);
  }
  mem_dict_init (dict, dict->heap, dict->seed);
}

gpointer mem_node_new_with (MemHeap *heap, gsize size, MemBytes key, gsize room)
{
  MemNode *node = mem_alloc (heap, size + key.n + room);

  memset (node, 0, size);
  node->key_at = (guint32) size;
  node->key_size = (guint32) key.n;
  if (key.n > 0)
    memcpy ((char *) node + size, key.p, key.n);
  return node;
}

gpointer mem_node_new (MemHeap *heap, gsize size, MemBytes key)
{
  return mem_node_new_with (heap, size, key, 0);
}

static gboolean has_key (const MemNode *node, guint32 hash, MemBytes key)
{
  return node->hash == hash && node->key_size == key.n
         && memcmp ((const char *) node + node->key_at, key.p, key.n) == 0;
}

/* Where the pointer to the node is, or NULL. */
static MemNode **find_link (const MemDict *dict, MemBytes key, guint *table)
{
  if (mem_dict_count (dict) == 0)
    return NULL;
  guint32 hash = (guint32) mem_hash (dict->seed, key.p, key.n);
  for (guint t = 0; t < 2 && dict->sizes[t] > 0; t++) {
    MemNode **link = &dict->tables[t][hash & (dict->sizes[t] - 1)];
    for (; *link != NULL; link = &(*link)->next) {
      if (has_key (*link, hash, key)) {
        *table = t;
        return link;
      }
    }
  }
  return NULL;
}

MemNode *mem_dict_find (const MemDict *dict, MemBytes key)
{
  guint table;
  MemNode **link = find_link (dict, key, &table);
  return link != NULL ? *link : NULL;
}

static void begin_move (MemDict *dict, gsize size)
{
  MemNode **table = mem_alloc0 (dict->heap, size * sizeof (MemNode *));

  if (dict->sizes[0] == 0) {
    dict->tables[0] = table;
    dict->sizes[0] = size;
    return;
  }
  dict->tables[1] = table;
  dict->sizes[1] = size;
  dict->moving = 0;
}

static void end_move (MemDict *dict)
{
  mem_free (dict->heap, dict->tables[0]);
  dict->tables[0] = dict->tables[1];
  dict->sizes[0] = dict->sizes[1];
  dict->used[0] = dict->used[1];
  dict->tables[1] = NULL;
  dict->sizes[1] = dict->used[1] = 0;
  dict->moving = -1;
}

static void move_some (MemDict *dict, guint buckets, guint empty)
{
  while (buckets > 0 && dict->used[0] > 0) {
    MemNode *node = dict->tables[0][dict->moving];
    if (node == NULL) {
      dict->moving++;
      if (--empty == 0)
        return;
      continue;
    }
    dict->tables[0][dict->moving++] = NULL;
    while (node != NULL) {
      MemNode *next = node->next;
      MemNode **bucket = &dict->tables[1][node->hash & (dict->sizes[1] - 1)];
      node->next = *bucket;
      *bucket = node;
      dict->used[0]--;
      dict->used[1]++;
      node = next;
    }
    buckets--;
  }
  if (dict->used[0] == 0)
    end_move (dict);
}

static void adapt (MemDict *dict)
{
  gsize count = dict->used[0];

  if (dict->moving >= 0) {
    move_some (dict, STEP_BUCKETS, STEP_EMPTY_BUCKETS);
    return;
  }
  if (count >= dict->sizes[0])
    begin_move (dict, MAX (dict->sizes[0] * 2, SMALLEST));
  else if (dict->sizes[0] > SMALLEST && count < dict->sizes[0] / SPARSE)
    begin_move (dict, MAX (dict->sizes[0] / (SPARSE / 2), SMALLEST));
}

void mem_dict_insert (MemDict *dict, MemNode *node)
{
  MemBytes key = mem_node_key (node);

  adapt (dict);
  node->hash = (guint32) mem_hash (dict->seed, key.p, key.n);
  guint t = dict->moving >= 0 ? 1 : 0;
  MemNode **bucket = &dict->tables[t][node->hash & (dict->sizes[t] - 1)];
  node->next = *bucket;
  *bucket = node;
  dict->used[t]++;
}

MemNode *mem_dict_take (MemDict *dict, MemBytes key)
{
  guint table;
  MemNode **link = find_link (dict, key, &table);

  if (link == NULL)
    return NULL;
  MemNode *node = *link;
  *link = node->next;
  node->next = NULL;
  dict->used[table]--;
  adapt (dict);
  return node;
}

void mem_dict_unlink (MemDict *dict, MemNode *node)
{
  for (guint t = 0; t < 2 && dict->sizes[t] > 0; t++) {
    MemNode **link = &dict->tables[t][node->hash & (dict->sizes[t] - 1)];
    while (*link != NULL && *link != node)
      link = &(*link)->next;
    if (*link == NULL)
      continue;
    *link = node->next;
    node->next = NULL;
    dict->used[t]--;
    adapt (dict);
    return;
  }
}

MemNode *mem_dict_random (const MemDict *dict, guint64 (*random) (gpointer),
                          gpointer data)
{
  gsize buckets = dict->sizes[0] + dict->sizes[1];
  MemNode *node = NULL;
  guint length = 0;

  if (mem_dict_count (dict) == 0)
    return NULL;
  while (node == NULL) {
    gsize bucket = (gsize) (random (data) % buckets);
    node = bucket < dict->sizes[0] ? dict->tables[0][bucket]
                                   : dict->tables[1][bucket - dict->sizes[0]];
  }
  for (MemNode *at = node; at != NULL; at = at->next)
    length++;
  for (guint n = (guint) (random (data) % length); n > 0; n--)
    node = node->next;
  return node;
}

static MemNode *settle (MemDictIter *iter)
{
  const MemDict *dict = iter->dict;

  while (iter->node == NULL) {
    if (iter->bucket < dict->sizes[iter->table]) {
      iter->node = dict->tables[iter->table][iter->bucket++];
    } else if (iter->table == 0) {
      iter->table = 1;
      iter->bucket = 0;
    } else {
      return NULL;
    }
  }
  return iter->node;
}

MemNode *mem_dict_first (MemDictIter *iter, const MemDict *dict)
{
  *iter = (MemDictIter) {.dict = dict};
  return settle (iter);
}

MemNode *mem_dict_next (MemDictIter *iter)
{
  iter->node = iter->node->next;
  return settle (iter);
}

static guint64 reverse (guint64 bits)
{
  guint64 mask = ~(guint64) 0;
  for (guint shift = 32; shift > 0; shift >>= 1) {
    mask ^= mask << shift;
    bits = ((bits >> shift) & mask) | ((bits << shift) & ~mask);
  }
  return bits;
}

static void visit_bucket (const MemDict *dict, guint table, guint64 bucket,
                          MemVisit visit, gpointer user_data)
{
  MemNode *next;
  for (MemNode *node = dict->tables[table][bucket]; node != NULL; node = next) {
    next = node->next;
    visit (user_data, node);
  }
}

/* Counts the high bits of the bucket's number up, so that a change of size keeps order.
 */
static guint64 advance (guint64 cursor, guint64 mask)
{
  return reverse (reverse (cursor | ~mask) + 1);
}

guint64 mem_dict_scan (const MemDict *dict, guint64 cursor, MemVisit visit,
                       gpointer user_data)
{
  if (mem_dict_count (dict) == 0)
    return 0;
  if (dict->moving < 0) {
    guint64 mask = dict->sizes[0] - 1;
    visit_bucket (dict, 0, cursor & mask, visit, user_data);
    return advance (cursor, mask);
  }
  guint small = dict->sizes[0] <= dict->sizes[1] ? 0 : 1;
  guint64 small_mask = dict->sizes[small] - 1;
  guint64 large_mask = dict->sizes[1 - small] - 1;
  visit_bucket (dict, small, cursor & small_mask, visit, user_data);
  do {
    visit_bucket (dict, 1 - small, cursor & large_mask, visit, user_data);
    cursor = advance (cursor, large_mask);
  } while ((cursor & (small_mask ^ large_mask)) != 0);
  return cursor;
}
