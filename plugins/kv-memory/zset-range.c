/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ZRANGE in all its forms, counting and removing ranges. */
#include "number.h"
#include "zset.h"

#include <math.h>

typedef enum { BY_RANK, BY_SCORE, BY_LEX } Kind;

typedef struct {
  Kind kind;
  gboolean reverse;
  gboolean with_scores;
  gint64 offset, limit; /* limit −1: all */
  gint64 start, stop;   /* BY_RANK */
  MemRange range;
} Query;

static gboolean read_score_end (MemBytes arg, double *score, gboolean *open)
{
  *open = arg.n > 0 && arg.p[0] == '(';
  if (*open)
    arg = (MemBytes) {arg.p + 1, arg.n - 1};
  return mem_parse_loose_double (arg, score);
}

static gboolean read_scores (MemCall *call, gsize min_at, gsize max_at, MemRange *range)
{
  range->by_member = FALSE;
  if (read_score_end (call->argv[min_at], &range->min, &range->min_open)
      && read_score_end (call->argv[max_at], &range->max, &range->max_open))
    return TRUE;
  mem_out_error (call->out, "ERR min or max is not a float");
  return FALSE;
}

static gboolean read_member_end (MemBytes arg, gint *end, MemBytes *member,
                                 gboolean *open)
{
  if (arg.n == 0)
    return FALSE;
  *open = arg.p[0] == '(';
  *end = 0;
  if (arg.n == 1 && (arg.p[0] == '-' || arg.p[0] == '+')) {
    *end = arg.p[0] == '-' ? -1 : 1;
    return TRUE;
  }
  *member = (MemBytes) {arg.p + 1, arg.n - 1};
  return *open || arg.p[0] == '[';
}

static gboolean read_members (MemCall *call, gsize min_at, gsize max_at, MemRange *range)
{
  range->by_member = TRUE;
  if (read_member_end (call->argv[min_at], &range->min_end, &range->min_member,
                       &range->min_open)
      && read_member_end (call->argv[max_at], &range->max_end, &range->max_member,
                          &range->max_open))
    return TRUE;
  mem_out_error (call->out, "ERR min or max not valid string range item");
  return FALSE;
}

/* WITHSCORES, LIMIT and, for ZRANGE and ZRANGESTORE, the kind and the direction. */
static gboolean read_options (MemCall *call, gsize at, gboolean fixed, gboolean store,
                              Query *query)
{
  for (gsize i = at; i < call->argc; i++) {
    MemBytes arg = call->argv[i];
    if (!store && mem_arg_is (arg, "WITHSCORES")) {
      query->with_scores = TRUE;
    } else if (mem_arg_is (arg, "LIMIT") && i + 2 < call->argc) {
      if (!mem_arg_int (call, i + 1, &query->offset)
          || !mem_arg_int (call, i + 2, &query->limit))
        return FALSE;
      i += 2;
    } else if (!fixed && mem_arg_is (arg, "REV")) {
      query->reverse = TRUE;
    } else if (!fixed && mem_arg_is (arg, "BYLEX")) {
      query->kind = BY_LEX;
    } else if (!fixed && mem_arg_is (arg, "BYSCORE")) {
      query->kind = BY_SCORE;
    } else {
      mem_syntax_error (call);
      return FALSE;
    }
  }
  if (query->limit != -1 && query->kind == BY_RANK) {
    mem_out_error (call->out, "ERR syntax error, LIMIT is only supported in combination "
                              "with either BYSCORE or BYLEX");
    return FALSE;
  }
  if (query->with_scores && query->kind == BY_LEX) {
    mem_out_error (
        call->out,
        "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return FALSE;
  }
  return TRUE;
}

/* Where the range begins and ends; the higher end comes first when it is reversed. */
static gboolean read_ends (MemCall *call, gsize at, Query *query)
{
  gsize min_at = query->reverse && query->kind != BY_RANK ? at + 1 : at;
  gsize max_at = 2 * at + 1 - min_at;

  if (query->kind == BY_SCORE)
    return read_scores (call, min_at, max_at, &query->range);
  if (query->kind == BY_LEX)
    return read_members (call, min_at, max_at, &query->range);
  return mem_arg_int (call, at, &query->start)
         && mem_arg_int (call, at + 1, &query->stop);
}

/* The first rank in order of the reply, and how many. */
static gsize resolve (const MemZset *zset, const Query *query, gsize *rank)
{
  gsize count = mem_zset_count (zset);
  gsize first, last;

  if (query->kind == BY_RANK) {
    gint64 start = query->start, stop = query->stop;
    if (!mem_clip (&start, &stop, count))
      return 0;
    *rank = query->reverse ? count - 1 - (gsize) start : (gsize) start;
    return (gsize) (stop - start) + 1;
  }
  if (!mem_zset_range (zset, &query->range, &first, &last))
    return 0;
  gsize n = last - first + 1;
  if (query->offset < 0 || (guint64) query->offset >= n)
    return 0;
  n -= (gsize) query->offset;
  if (query->limit >= 0)
    n = MIN (n, (gsize) query->limit);
  *rank = query->reverse ? last - (gsize) query->offset : first + (gsize) query->offset;
  return n;
}

static MemScored *step (MemScored *scored, gboolean reverse)
{
  return reverse ? scored->back : mem_zset_next (scored);
}

static void reply_query (MemCall *call, const MemEntry *entry, const Query *query)
{
  gsize rank = 0;
  gsize n = entry != NULL ? resolve (entry->zset, query, &rank) : 0;

  mem_out_array (call->out, n * (query->with_scores ? 2 : 1));
  if (n == 0)
    return;
  for (MemScored *at = mem_zset_at (entry->zset, rank); n > 0;
       at = step (at, query->reverse), n--) {
    MemBytes member = mem_node_key (&at->node);
    mem_out_bytes (call->out, member.p, member.n);
    if (query->with_scores)
      mem_out_double (call->out, at->score);
  }
}

static void range_generic (Mem *mem, MemCall *call, Kind kind, gboolean reverse,
                           gboolean fixed)
{
  Query query = {.kind = kind, .reverse = reverse, .limit = -1};
  MemEntry *entry;

  if (read_options (call, 4, fixed, FALSE, &query) && read_ends (call, 2, &query)
      && mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    reply_query (call, entry, &query);
}

static void zrange (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_RANK, FALSE, FALSE);
}

static void zrevrange (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_RANK, TRUE, TRUE);
}

static void zrangebyscore (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_SCORE, FALSE, TRUE);
}

static void zrevrangebyscore (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_SCORE, TRUE, TRUE);
}

static void zrangebylex (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_LEX, FALSE, TRUE);
}

static void zrevrangebylex (Mem *mem, MemCall *call)
{
  range_generic (mem, call, BY_LEX, TRUE, TRUE);
}

static void zrangestore (Mem *mem, MemCall *call)
{
  Query query = {.kind = BY_RANK, .limit = -1};
  MemEntry *entry;
  gsize rank = 0;

  if (!read_options (call, 5, FALSE, TRUE, &query) || !read_ends (call, 3, &query)
      || !mem_find (mem, call, call->argv[2], MEM_ZSET, &entry))
    return;
  gsize n = entry != NULL ? resolve (entry->zset, &query, &rank) : 0;
  MemZset *result = n > 0 ? mem_zset_new (mem) : NULL;
  MemScored *at = n > 0 ? mem_zset_at (entry->zset, rank) : NULL;
  for (gsize i = 0; i < n; i++, at = step (at, query.reverse))
    mem_zset_set (result, mem_node_key (&at->node), at->score);
  mem_zset_store (mem, call->argv[1], result);
  mem_out_integer (call->out, (gint64) n);
}

/* ---- counting and removing ----------------------------------------------------------
 */

static void count_generic (Mem *mem, MemCall *call, const MemRange *range)
{
  MemEntry *entry;
  gsize first, last;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  if (entry != NULL && mem_zset_range (entry->zset, range, &first, &last))
    mem_out_integer (call->out, (gint64) (last - first) + 1);
  else
    mem_out_integer (call->out, 0);
}

static void zcount (Mem *mem, MemCall *call)
{
  MemRange range;
  if (read_scores (call, 2, 3, &range))
    count_generic (mem, call, &range);
}

static void zlexcount (Mem *mem, MemCall *call)
{
  MemRange range;
  if (read_members (call, 2, 3, &range))
    count_generic (mem, call, &range);
}

static void remove_generic (Mem *mem, MemCall *call, Kind kind)
{
  Query query = {.kind = kind, .limit = -1};
  MemEntry *entry;
  gsize rank = 0;

  if (!read_ends (call, 2, &query)
      || !mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  gsize n = entry != NULL ? resolve (entry->zset, &query, &rank) : 0;
  MemScored *at = n > 0 ? mem_zset_at (entry->zset, rank) : NULL;
  for (gsize i = 0; i < n; i++) {
    MemScored *next = mem_zset_next (at);
    mem_zset_remove (entry->zset, at);
    at = next;
  }
  if (n > 0) {
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, (gint64) n);
}

static void zremrangebyrank (Mem *mem, MemCall *call)
{
  remove_generic (mem, call, BY_RANK);
}

static void zremrangebyscore (Mem *mem, MemCall *call)
{
  remove_generic (mem, call, BY_SCORE);
}

static void zremrangebylex (Mem *mem, MemCall *call)
{
  remove_generic (mem, call, BY_LEX);
}

const MemCommand mem_zset_range_commands[]
    = {{"zrange", -4, MEM_READ, zrange},
       {"zrevrange", -4, MEM_READ, zrevrange},
       {"zrangebyscore", -4, MEM_READ, zrangebyscore},
       {"zrevrangebyscore", -4, MEM_READ, zrevrangebyscore},
       {"zrangebylex", -4, MEM_READ, zrangebylex},
       {"zrevrangebylex", -4, MEM_READ, zrevrangebylex},
       {"zrangestore", -5, MEM_WRITE | MEM_GROWS, zrangestore},
       {"zcount", 4, MEM_READ, zcount},
       {"zlexcount", 4, MEM_READ, zlexcount},
       {"zremrangebyrank", 4, MEM_WRITE, zremrangebyrank},
       {"zremrangebyscore", 4, MEM_WRITE, zremrangebyscore},
       {"zremrangebylex", 4, MEM_WRITE, zremrangebylex},
       {NULL}};
