/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sorted sets: adding, removing, looking at members. */
#include "blocking.h"
#include "number.h"
#include "zset.h"

#include <math.h>

/* ---- ZADD ---------------------------------------------------------------------------
 */

typedef struct {
  gboolean nx, xx, gt, lt, ch, incr;
  gsize first; /* argument with the first score */
} AddOptions;

typedef struct {
  gint64 added, changed;
  gboolean done; /* the last one was written */
  double score;
} AddResult;

static void read_add_options (const MemCall *call, AddOptions *options)
{
  gsize i = 2;

  /* Most often there are none and a score begins here. */
  for (; i < call->argc && !g_ascii_isdigit (call->argv[i].p[0]); i++) {
    if (mem_arg_is (call->argv[i], "NX"))
      options->nx = TRUE;
    else if (mem_arg_is (call->argv[i], "XX"))
      options->xx = TRUE;
    else if (mem_arg_is (call->argv[i], "GT"))
      options->gt = TRUE;
    else if (mem_arg_is (call->argv[i], "LT"))
      options->lt = TRUE;
    else if (mem_arg_is (call->argv[i], "CH"))
      options->ch = TRUE;
    else if (mem_arg_is (call->argv[i], "INCR"))
      options->incr = TRUE;
    else
      break;
  }
  options->first = i;
}

static gboolean check_add_options (MemCall *call, const AddOptions *options)
{
  gsize n = call->argc - options->first;

  if (n == 0 || n % 2 == 1) {
    mem_syntax_error (call);
    return FALSE;
  }
  if (options->nx && options->xx) {
    mem_out_error (call->out,
                   "ERR XX and NX options at the same time are not compatible");
    return FALSE;
  }
  if ((options->gt && options->nx) || (options->lt && options->nx)
      || (options->gt && options->lt)) {
    mem_out_error (call->out,
                   "ERR GT, LT, and/or NX options at the same time are not compatible");
    return FALSE;
  }
  if (options->incr && n > 2) {
    mem_out_error (call->out, "ERR INCR option supports a single increment-element pair");
    return FALSE;
  }
  return TRUE;
}

/* FALSE: the sum is not a number, and that was replied. */
static gboolean add_one (MemCall *call, MemZset *zset, const AddOptions *options,
                         MemBytes member, double score, AddResult *result)
{
  MemScored *old = mem_zset_find (zset, member);

  result->done = FALSE;
  if (old == NULL) {
    if (options->xx)
      return TRUE;
    mem_zset_set (zset, member, score);
    result->added++;
    result->done = TRUE;
    result->score = score;
    return TRUE;
  }
  if (options->nx)
    return TRUE;
  if (options->incr)
    score += old->score;
  if (isnan (score)) {
    mem_out_error (call->out, "ERR resulting score is not a number (NaN)");
    return FALSE;
  }
  if ((options->lt && score >= old->score) || (options->gt && score <= old->score))
    return TRUE;
  if (score != old->score) {
    mem_zset_set (zset, member, score);
    result->changed++;
  }
  result->done = TRUE;
  result->score = score;
  return TRUE;
}

static void add_generic (Mem *mem, MemCall *call, const AddOptions *options)
{
  gsize n = (call->argc - options->first) / 2;
  double few[8];
  g_autofree double *many = n > G_N_ELEMENTS (few) ? g_new (double, n) : NULL;
  double *scores = many != NULL ? many : few;
  AddResult result = {0};
  MemEntry *entry;

  for (gsize i = 0; i < n; i++)
    if (!mem_arg_double (call, options->first + 2 * i, &scores[i], NULL))
      return;
  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  gboolean is_new = entry == NULL && !options->xx;
  if (is_new)
    entry = mem_create (mem, call->argv[1], MEM_ZSET);
  for (gsize i = 0; entry != NULL && i < n; i++)
    if (!add_one (call, entry->zset, options, call->argv[options->first + 2 * i + 1],
                  scores[i], &result))
      return;
  if (result.added + result.changed > 0)
    mem_changed (mem);
  if (!options->incr)
    mem_out_integer (call->out, result.added + (options->ch ? result.changed : 0));
  else if (result.done)
    mem_out_double (call->out, result.score);
  else
    mem_out_nil (call->out);
  if (is_new)
    mem_blocking_signal (mem, call->argv[1]);
}

static void zadd (Mem *mem, MemCall *call)
{
  AddOptions options = {FALSE};

  read_add_options (call, &options);
  if (check_add_options (call, &options))
    add_generic (mem, call, &options);
}

static void zincrby (Mem *mem, MemCall *call)
{
  AddOptions options = {.incr = TRUE, .first = 2};
  add_generic (mem, call, &options);
}

/* ---- members ------------------------------------------------------------------------
 */

static void zrem (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  gint64 n = 0;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  for (gsize i = 2; entry != NULL && i < call->argc; i++) {
    MemScored *scored = mem_zset_find (entry->zset, call->argv[i]);
    if (scored == NULL)
      continue;
    mem_zset_remove (entry->zset, scored);
    n++;
  }
  if (n > 0) {
    mem_delete_if_empty (mem, entry);
    mem_changed (mem);
  }
  mem_out_integer (call->out, n);
}

static void reply_score (MemCall *call, const MemEntry *entry, MemBytes member)
{
  MemScored *scored = entry != NULL ? mem_zset_find (entry->zset, member) : NULL;
  if (scored != NULL)
    mem_out_double (call->out, scored->score);
  else
    mem_out_nil (call->out);
}

static void zscore (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    reply_score (call, entry, call->argv[2]);
}

static void zmscore (Mem *mem, MemCall *call)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++)
    reply_score (call, entry, call->argv[i]);
}

static void zcard (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    mem_out_integer (call->out,
                     entry != NULL ? (gint64) mem_zset_count (entry->zset) : 0);
}

static void rank_generic (Mem *mem, MemCall *call, gboolean reverse)
{
  MemEntry *entry;

  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  MemScored *scored = entry != NULL ? mem_zset_find (entry->zset, call->argv[2]) : NULL;
  if (scored == NULL) {
    mem_out_nil (call->out);
    return;
  }
  gsize rank = mem_zset_rank (entry->zset, scored);
  if (reverse)
    rank = mem_zset_count (entry->zset) - 1 - rank;
  mem_out_integer (call->out, (gint64) rank);
}

static void zrank (Mem *mem, MemCall *call)
{
  rank_generic (mem, call, FALSE);
}

static void zrevrank (Mem *mem, MemCall *call)
{
  rank_generic (mem, call, TRUE);
}

void mem_zset_reply_pop (Mem *mem, MemOut *out, MemEntry *entry, gsize count,
                         gboolean max)
{
  for (; count > 0; count--) {
    gsize rank = max ? mem_zset_count (entry->zset) - 1 : 0;
    MemScored *scored = mem_zset_at (entry->zset, rank);
    MemBytes member = mem_node_key (&scored->node);
    mem_out_bytes (out, member.p, member.n);
    mem_out_double (out, scored->score);
    mem_zset_remove (entry->zset, scored);
  }
  mem_delete_if_empty (mem, entry);
  mem_changed (mem);
}

static void pop_generic (Mem *mem, MemCall *call, gboolean max)
{
  gint64 count = 1;
  MemEntry *entry;

  if (call->argc > 3) {
    mem_syntax_error (call);
    return;
  }
  if (call->argc == 3 && !mem_arg_count (call, 2, &count))
    return;
  if (!mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    return;
  gsize n = entry != NULL ? MIN ((gsize) count, mem_zset_count (entry->zset)) : 0;
  mem_out_array (call->out, 2 * n);
  if (n > 0)
    mem_zset_reply_pop (mem, call->out, entry, n, max);
}

static void zpopmin (Mem *mem, MemCall *call)
{
  pop_generic (mem, call, FALSE);
}

static void zpopmax (Mem *mem, MemCall *call)
{
  pop_generic (mem, call, TRUE);
}

static guint emit_scored (MemOut *out, MemNode *node)
{
  MemBytes member = mem_node_key (node);
  mem_out_bytes (out, member.p, member.n);
  mem_out_double (out, ((MemScored *) node)->score);
  return 2;
}

static void zscan (Mem *mem, MemCall *call)
{
  MemEntry *entry;
  if (mem_find (mem, call, call->argv[1], MEM_ZSET, &entry))
    mem_scan_dict (mem, call, entry != NULL ? mem_zset_dict (entry->zset) : NULL, 3,
                   emit_scored);
}

const MemCommand mem_zset_commands[] = {{"zadd", -4, MEM_WRITE | MEM_GROWS, zadd},
                                        {"zincrby", 4, MEM_WRITE | MEM_GROWS, zincrby},
                                        {"zrem", -3, MEM_WRITE, zrem},
                                        {"zscore", 3, MEM_READ, zscore},
                                        {"zmscore", -3, MEM_READ, zmscore},
                                        {"zcard", 2, MEM_READ, zcard},
                                        {"zrank", 3, MEM_READ, zrank},
                                        {"zrevrank", 3, MEM_READ, zrevrank},
                                        {"zpopmin", -2, MEM_WRITE, zpopmin},
                                        {"zpopmax", -2, MEM_WRITE, zpopmax},
                                        {"zscan", -3, MEM_READ, zscan},
                                        {NULL}};
