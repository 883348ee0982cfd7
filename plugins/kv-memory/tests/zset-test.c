/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The skip list against a sorted array. */
#include "helpers/kv-fixture.h"
#include "zset.h"

#include <string.h>

const ChPluginInfo *ch_plugin_kv_memory_query (void);

#define MEMBERS 400

typedef struct {
  gboolean there[MEMBERS];
  double scores[MEMBERS];
  gint order[MEMBERS]; /* of those that are there */
  gsize n;
} Model;

static char names[MEMBERS][8];

static MemBytes member_of (gint i)
{
  return (MemBytes) {names[i], strlen (names[i])};
}

static gint compare (gconstpointer a, gconstpointer b, gpointer data)
{
  const Model *model = data;
  gint x = *(const gint *) a, y = *(const gint *) b;
  if (model->scores[x] != model->scores[y])
    return model->scores[x] < model->scores[y] ? -1 : 1;
  return strcmp (names[x], names[y]);
}

static void sort (Model *model)
{
  model->n = 0;
  for (gint i = 0; i < MEMBERS; i++)
    if (model->there[i])
      model->order[model->n++] = i;
  g_qsort_with_data (model->order, (gint) model->n, sizeof (gint), compare, model);
}

static void check (const MemZset *zset, Model *model)
{
  sort (model);
  g_assert_cmpuint (mem_zset_count (zset), ==, model->n);
  MemScored *before = NULL;
  for (gsize rank = 0; rank < model->n; rank++) {
    MemScored *scored = mem_zset_find (zset, member_of (model->order[rank]));
    g_assert_nonnull (scored);
    g_assert_cmpfloat (scored->score, ==, model->scores[model->order[rank]]);
    g_assert_true (mem_zset_at (zset, rank) == scored);
    g_assert_cmpuint (mem_zset_rank (zset, scored), ==, rank);
    g_assert_true (scored->back == before);
    if (before != NULL)
      g_assert_true (mem_zset_next (before) == scored);
    before = scored;
  }
  g_assert_null (mem_zset_at (zset, model->n));
}

static void check_range (const MemZset *zset, const Model *model, double min, double max,
                         gboolean open)
{
  MemRange range = {.min = min, .max = max, .min_open = open, .max_open = open};
  gsize first, last, n = 0;

  for (gsize i = 0; i < model->n; i++) {
    double score = model->scores[model->order[i]];
    n += open ? score > min && score < max : score >= min && score <= max;
  }
  gboolean some = mem_zset_range (zset, &range, &first, &last);
  g_assert_cmpint (some, ==, n > 0);
  if (some)
    g_assert_cmpuint (last - first + 1, ==, n);
}

static void test_random (void)
{
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_memory_query, NULL, NULL);
  Mem *mem = ch_plugin_data (kv->driver);
  gsize used = mem->heap.used;
  MemZset *zset = mem_zset_new (mem);
  g_autofree Model *model = g_new0 (Model, 1);
  g_autoptr (GRand) random = g_rand_new_with_seed (11);

  for (gint i = 0; i < MEMBERS; i++)
    g_snprintf (names[i], sizeof names[i], "m%d", i);
  for (guint step = 0; step < 4000; step++) {
    gint i = g_rand_int_range (random, 0, MEMBERS);
    if (model->there[i] && g_rand_boolean (random)) {
      mem_zset_remove (zset, mem_zset_find (zset, member_of (i)));
      model->there[i] = FALSE;
    } else {
      double score = g_rand_int_range (random, 0, 40);
      g_assert_cmpint (mem_zset_set (zset, member_of (i), score), ==, !model->there[i]);
      model->there[i] = TRUE;
      model->scores[i] = score;
    }
    if (step % 50 == 0) {
      check (zset, model);
      double min = g_rand_int_range (random, -2, 42);
      check_range (zset, model, min, min + g_rand_int_range (random, -1, 9),
                   step % 100 == 0);
    }
  }
  mem_zset_free (&mem->heap, zset);
  g_assert_cmpuint (mem->heap.used, ==, used);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-memory/zset/random", test_random);
  return g_test_run ();
}
