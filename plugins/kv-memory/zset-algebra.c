/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ZUNION, ZINTER, ZDIFF and their STORE forms. Plain sets count as scores of 1. */
#include "blocking.h"
#include "zset.h"

#include <math.h>

typedef enum { UNION, INTER, DIFF } Operation;
typedef enum { SUM, MIN_OF, MAX_OF } Aggregate;

typedef struct {
  gsize n;
  MemEntry **sources; /* NULL: not there */
  double *weights;
  Aggregate aggregate;
  gboolean with_scores;
  gint64 limit;
} Plan;

static void plan_clear (Plan *plan)
{
  g_free (plan->sources);
  g_free (plan->weights);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Plan, plan_clear)

void mem_zset_store (Mem *mem, MemBytes key, MemZset *zset)
{
  MemEntry *old = mem_peek (mem, key);

  if (old != NULL)
    mem_delete (mem, old);
  if (zset != NULL && mem_zset_count (zset) > 0) {
    MemEntry *entry = mem_create (mem, key, MEM_ZSET);
    mem_zset_free (&mem->heap, entry->zset);
    entry->zset = zset;
    mem_blocking_signal (mem, key);
  } else {
    mem_zset_free (&mem->heap, zset);
  }
  mem_changed (mem);
}

static const MemDict *dict_of (const MemEntry *entry)
{
  return entry->type == MEM_ZSET ? mem_zset_dict (entry->zset) : entry->dict;
}

static gboolean score_in (const MemEntry *entry, MemBytes member, double *score)
{
  const MemNode *node = entry != NULL ? mem_dict_find (dict_of (entry), member) : NULL;

  if (node == NULL)
    return FALSE;
  *score = entry->type == MEM_ZSET ? ((const MemScored *) node)->score : 1;
  return TRUE;
}

static double weigh (double score, double weight)
{
  double value = score * weight;
  return isnan (value) ? 0 : value;
}

static double combine (Aggregate aggregate, double a, double b)
{
  if (aggregate == MIN_OF)
    return MIN (a, b);
  if (aggregate == MAX_OF)
    return MAX (a, b);
  double sum = a + b;
  return isnan (sum) ? 0 : sum; /* inf − inf */
}

/* The member's score over all sources; FALSE: it does not belong to the result. */
static gboolean total (const Plan *plan, Operation operation, MemBytes member,
                       double *result)
{
  gboolean any = FALSE;

  for (gsize i = 0; i < plan->n; i++) {
    double score = 0;
    if (!score_in (plan->sources[i], member, &score)) {
      if (operation == INTER)
        return FALSE;
      continue;
    }
    score = weigh (score, plan->weights[i]);
    *result = any ? combine (plan->aggregate, *result, score) : score;
    any = TRUE;
  }
  return any;
}

static gboolean in_others (const Plan *plan, MemBytes member)
{
  double score;
  for (gsize i = 1; i < plan->n; i++)
    if (score_in (plan->sources[i], member, &score))
      return TRUE;
  return FALSE;
}

static void collect (const Plan *plan, Operation operation, const MemEntry *source,
                     MemZset *result)
{
  MemDictIter iter;
  double score = 0;

  if (source == NULL)
    return;
  for (MemNode *node = mem_dict_first (&iter, dict_of (source)); node != NULL;
       node = mem_dict_next (&iter)) {
    MemBytes member = mem_node_key (node);
    if (plan->limit > 0 && mem_zset_count (result) == (gsize) plan->limit)
      return;
    if (operation == DIFF) {
      if (!in_others (plan, member) && score_in (source, member, &score))
        mem_zset_set (result, member, score);
    } else if (mem_zset_find (result, member) == NULL
               && total (plan, operation, member, &score)) {
      mem_zset_set (result, member, score);
    }
  }
}

static MemZset *compute (Mem *mem, const Plan *plan, Operation operation)
{
  MemZset *result = mem_zset_new (mem);
  gsize n = operation == UNION ? plan->n : 1;

  for (gsize i = 0; i < n; i++)
    collect (plan, operation, plan->sources[i], result);
  return result;
}

/* ---- arguments ----------------------------------------------------------------------
 */

static gboolean read_sources (Mem *mem, MemCall *call, gsize at, Plan *plan)
{
  gint64 n;

  if (!mem_arg_int (call, at, &n))
    return FALSE;
  if (n < 1) {
    mem_out_error (call->out, "ERR at least 1 input key is needed for '%s' command",
                   call->command->name);
    return FALSE;
  }
  if ((guint64) n > call->argc - at - 1) {
    mem_syntax_error (call);
    return FALSE;
  }
  plan->n = (gsize) n;
  plan->sources = g_new0 (MemEntry *, plan->n);
  plan->weights = g_new (double, plan->n);
  for (gsize i = 0; i < plan->n; i++)
    mem_peek (mem, call->argv[at + 1 + i]); /* those that are over go now, not later */
  for (gsize i = 0; i < plan->n; i++) {
    MemEntry *entry = mem_peek (mem, call->argv[at + 1 + i]);
    if (entry != NULL && entry->type != MEM_ZSET && entry->type != MEM_SET) {
      mem_out_error (call->out,
                     "WRONGTYPE Operation against a key holding the wrong kind of value");
      return FALSE;
    }
    plan->sources[i] = entry;
    plan->weights[i] = 1;
  }
  return TRUE;
}

static gboolean read_aggregate (MemBytes arg, Aggregate *aggregate)
{
  if (mem_arg_is (arg, "SUM"))
    *aggregate = SUM;
  else if (mem_arg_is (arg, "MIN"))
    *aggregate = MIN_OF;
  else if (mem_arg_is (arg, "MAX"))
    *aggregate = MAX_OF;
  else
    return FALSE;
  return TRUE;
}

static gboolean read_weights (MemCall *call, gsize at, Plan *plan)
{
  for (gsize i = 0; i < plan->n; i++)
    if (!mem_arg_double (call, at + i, &plan->weights[i],
                         "ERR weight value is not a float"))
      return FALSE;
  return TRUE;
}

static gboolean read_limit (MemCall *call, gsize at, Plan *plan)
{
  if (!mem_arg_int_error (call, at, &plan->limit, "ERR LIMIT can't be negative"))
    return FALSE;
  if (plan->limit >= 0)
    return TRUE;
  mem_out_error (call->out, "ERR LIMIT can't be negative");
  return FALSE;
}

typedef enum { STORES = 1, WEIGHS = 2, ONLY_COUNTS = 4 } Form;

static gboolean read_options (MemCall *call, gsize at, Form form, Plan *plan)
{
  while (at < call->argc) {
    gsize left = call->argc - at;
    if ((form & WEIGHS) != 0 && left >= plan->n + 1
        && mem_arg_is (call->argv[at], "WEIGHTS")) {
      if (!read_weights (call, at + 1, plan))
        return FALSE;
      at += plan->n + 1;
    } else if ((form & WEIGHS) != 0 && left >= 2
               && mem_arg_is (call->argv[at], "AGGREGATE")
               && read_aggregate (call->argv[at + 1], &plan->aggregate)) {
      at += 2;
    } else if ((form & ONLY_COUNTS) != 0 && left >= 2
               && mem_arg_is (call->argv[at], "LIMIT")) {
      if (!read_limit (call, at + 1, plan))
        return FALSE;
      at += 2;
    } else if ((form & (STORES | ONLY_COUNTS)) == 0
               && mem_arg_is (call->argv[at], "WITHSCORES")) {
      plan->with_scores = TRUE;
      at++;
    } else {
      mem_syntax_error (call);
      return FALSE;
    }
  }
  return TRUE;
}

static void reply_all (MemCall *call, const MemZset *zset, gboolean with_scores)
{
  gsize n = mem_zset_count (zset);

  mem_out_array (call->out, n * (with_scores ? 2 : 1));
  for (MemScored *at = n > 0 ? mem_zset_at (zset, 0) : NULL; at != NULL;
       at = mem_zset_next (at)) {
    MemBytes member = mem_node_key (&at->node);
    mem_out_bytes (call->out, member.p, member.n);
    if (with_scores)
      mem_out_double (call->out, at->score);
  }
}

static void generic (Mem *mem, MemCall *call, Operation operation, Form form)
{
  gsize numbers_at = (form & STORES) != 0 ? 2 : 1;
  g_auto (Plan) plan = {.aggregate = SUM};

  if (operation != DIFF && (form & ONLY_COUNTS) == 0)
    form |= WEIGHS;
  if (!read_sources (mem, call, numbers_at, &plan)
      || !read_options (call, numbers_at + 1 + plan.n, form, &plan))
    return;
  MemZset *result = compute (mem, &plan, operation);
  gint64 count = (gint64) mem_zset_count (result);
  if ((form & STORES) != 0) {
    mem_zset_store (mem, call->argv[1], result);
    mem_out_integer (call->out, count);
    return;
  }
  if ((form & ONLY_COUNTS) != 0)
    mem_out_integer (call->out, count);
  else
    reply_all (call, result, plan.with_scores);
  mem_zset_free (&mem->heap, result);
}

static void zunion (Mem *mem, MemCall *call)
{
  generic (mem, call, UNION, 0);
}

static void zinter (Mem *mem, MemCall *call)
{
  generic (mem, call, INTER, 0);
}

static void zdiff (Mem *mem, MemCall *call)
{
  generic (mem, call, DIFF, 0);
}

static void zunionstore (Mem *mem, MemCall *call)
{
  generic (mem, call, UNION, STORES);
}

static void zinterstore (Mem *mem, MemCall *call)
{
  generic (mem, call, INTER, STORES);
}

static void zdiffstore (Mem *mem, MemCall *call)
{
  generic (mem, call, DIFF, STORES);
}

static void zintercard (Mem *mem, MemCall *call)
{
  generic (mem, call, INTER, ONLY_COUNTS);
}

const MemCommand mem_zset_algebra_commands[]
    = {{"zunion", -3, MEM_READ, zunion},
       {"zinter", -3, MEM_READ, zinter},
       {"zdiff", -3, MEM_READ, zdiff},
       {"zunionstore", -4, MEM_WRITE | MEM_GROWS, zunionstore},
       {"zinterstore", -4, MEM_WRITE | MEM_GROWS, zinterstore},
       {"zdiffstore", -4, MEM_WRITE | MEM_GROWS, zdiffstore},
       {"zintercard", -3, MEM_READ, zintercard},
       {NULL}};
