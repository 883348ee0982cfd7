/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/slab.h"

typedef struct {
  ChServices services;
  ChPlugin *self;
} Fixture;

static void set_up (Fixture *f, gconstpointer data)
{
  f->self = ch_owner_new (&f->services, "test", NULL);
}

static void tear_down (Fixture *f, gconstpointer data)
{
  ch_owner_free (f->self);
}

/* Blocks of every size at once, each with its own contents. */
static void test_sizes (Fixture *f, gconstpointer data)
{
  enum { N = 3000 };
  guint8 **blocks = g_new (guint8 *, N);
  gsize used, held;

  for (guint round = 0; round < 2; round++) {
    for (gsize i = 0; i < N; i++) {
      blocks[i] = ch_slab_alloc (f->self, i);
      g_assert_cmpuint ((gsize) blocks[i] % 16, ==, 0);
      memset (blocks[i], (int) i, i);
    }
    for (gsize i = 0; i < N; i++) {
      for (gsize j = 0; j < i; j += 7)
        g_assert_cmpuint (blocks[i][j], ==, (guint8) i);
      ch_slab_free (f->self, blocks[i], i);
    }
  }
  ch_slabs_count (f->self->slabs, &used, &held);
  g_assert_cmpuint (used, ==, 0);
  g_assert_cmpuint (held, ==, 0);
  g_free (blocks);
}

static void test_cleared (Fixture *f, gconstpointer data)
{
  guint64 *block = ch_slab_alloc (f->self, 64);

  memset (block, 0xff, 64);
  ch_slab_free (f->self, block, 64);
  block = ch_slab_alloc0 (f->self, 64);
  for (guint i = 0; i < 8; i++)
    g_assert_cmpuint (block[i], ==, 0);
  ch_slab_free (f->self, block, 64);
  ch_slab_free (f->self, NULL, 64);
}

static void test_resized (Fixture *f, gconstpointer data)
{
  static const gsize sizes[] = {10, 1000, 100, 1024, 1025, 5000, 2000, 16, 17};
  gsize old = 0;
  guint8 *block = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    block = ch_slab_realloc (f->self, block, old, sizes[i]);
    for (gsize j = 0; j < MIN (old, sizes[i]); j++)
      g_assert_cmpuint (block[j], ==, (guint8) (i - 1));
    memset (block, (int) i, sizes[i]);
    old = sizes[i];
  }
  ch_slab_free (f->self, block, old);
}

static void test_text (Fixture *f, gconstpointer data)
{
  char *text = ch_slab_strdup (f->self, "89860855102400000000");

  g_assert_cmpstr (text, ==, "89860855102400000000");
  ch_slab_strfree (f->self, text);
  g_assert_null (ch_slab_strdup (f->self, NULL));
  ch_slab_strfree (f->self, NULL);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/base/slab/sizes", Fixture, NULL, set_up, test_sizes, tear_down);
  g_test_add ("/base/slab/cleared", Fixture, NULL, set_up, test_cleared, tear_down);
  g_test_add ("/base/slab/resized", Fixture, NULL, set_up, test_resized, tear_down);
  g_test_add ("/base/slab/text", Fixture, NULL, set_up, test_text, tear_down);
  return g_test_run ();
}
