/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hash table against GLib's, and what a scan promises. */
#include "dict.h"

#include "base/owner.h"

#include <stdlib.h>
#include <string.h>

static const guint64 seed[2] = {1, 2};

static MemBytes bytes_of (const char *text)
{
  return (MemBytes) {text, strlen (text)};
}

static void add (MemDict *dict, const char *name)
{
  mem_dict_insert (dict, mem_node_new (dict->heap, sizeof (MemNode), bytes_of (name)));
}

static void drop (MemDict *dict, const char *name)
{
  MemNode *node = mem_dict_take (dict, bytes_of (name));
  g_assert_nonnull (node);
  mem_free (dict->heap, node);
}

static void name_of (char name[16], gint i)
{
  g_snprintf (name, 16, "n%d", i);
}

/* Grows and shrinks with the same contents as a table that is known to be right. */
static void test_random (void)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "test", NULL);
  MemHeap heap = {.self = owner};
  MemDict dict;
  g_autoptr (GHashTable) model
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  char name[16];

  mem_dict_init (&dict, &heap, seed);
  for (guint step = 0; step < 60000; step++) {
    gint range = step < 30000 ? 5000 : 50; /* first many, then few */
    name_of (name, g_rand_int_range (random, 0, 5000));
    gboolean there = g_hash_table_contains (model, name);
    g_assert_cmpint (mem_dict_find (&dict, bytes_of (name)) != NULL, ==, there);
    gboolean grow = g_rand_int_range (random, 0, 5000) < range;
    if (there && !grow) {
      drop (&dict, name);
      g_hash_table_remove (model, name);
    } else if (!there && grow) {
      add (&dict, name);
      g_hash_table_add (model, g_strdup (name));
    }
    g_assert_cmpuint (mem_dict_count (&dict), ==, g_hash_table_size (model));
  }
  guint n = 0;
  MemDictIter iter;
  for (MemNode *node = mem_dict_first (&iter, &dict); node != NULL;
       node = mem_dict_next (&iter)) {
    g_autofree char *text = g_strndup (mem_node_key (node).p, mem_node_key (node).n);
    g_assert_true (g_hash_table_contains (model, text));
    n++;
  }
  g_assert_cmpuint (n, ==, g_hash_table_size (model));
  mem_dict_clear (&dict, NULL, NULL);
  g_assert_cmpuint (heap.used, ==, 0);
}

static void see (gpointer user_data, MemNode *node)
{
  g_hash_table_add (user_data, g_strndup (mem_node_key (node).p, mem_node_key (node).n));
}

/* Whoever stays is seen, though the table grows or shrinks between the calls. */
static void scan_while (gint before, gint after)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "test", NULL);
  MemHeap heap = {.self = owner};
  MemDict dict;
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint64 cursor = 0;
  char name[16];
  gint n = before;
  guint calls = 0;

  mem_dict_init (&dict, &heap, seed);
  for (gint i = 0; i < before; i++) {
    name_of (name, i);
    add (&dict, name);
  }
  do {
    cursor = mem_dict_scan (&dict, cursor, see, seen);
    for (gint k = 0; k < 20 && n != after; k++) {
      name_of (name, n < after ? n : n - 1);
      if (n < after)
        add (&dict, name);
      else
        drop (&dict, name);
      n += n < after ? 1 : -1;
    }
    calls++;
    g_assert_cmpuint (calls, <, 1000000);
  } while (cursor != 0);
  for (gint i = 0; i < MIN (before, after); i++) {
    name_of (name, i);
    g_assert_true (g_hash_table_contains (seen, name));
  }
  mem_dict_clear (&dict, NULL, NULL);
}

static void test_scan (void)
{
  scan_while (1000, 1000);
  scan_while (100, 5000);
  scan_while (5000, 100);
  scan_while (0, 0);
}

static guint64 draw (gpointer random)
{
  return g_rand_int (random);
}

static void test_random_element (void)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "test", NULL);
  MemHeap heap = {.self = owner};
  MemDict dict;
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  char name[16];

  mem_dict_init (&dict, &heap, seed);
  g_assert_null (mem_dict_random (&dict, draw, random));
  for (gint i = 0; i < 10; i++) {
    name_of (name, i);
    add (&dict, name);
  }
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < 1000; i++)
    see (seen, mem_dict_random (&dict, draw, random));
  g_assert_cmpuint (g_hash_table_size (seen), ==, 10);
  mem_dict_clear (&dict, NULL, NULL);
}

/* Test vectors of SipHash-1-3's reference implementation are for 64-bit results. */
static void test_hash (void)
{
  const guint64 key[2] = {G_GUINT64_CONSTANT (0x0706050403020100),
                          G_GUINT64_CONSTANT (0x0f0e0d0c0b0a0908)};
  char text[64];

  for (guint i = 0; i < sizeof text; i++)
    text[i] = (char) i;
  g_assert_cmphex (mem_hash (key, text, 0), ==, G_GUINT64_CONSTANT (0xabac0158050fc4dc));
  g_assert_cmphex (mem_hash (key, text, 1), ==, G_GUINT64_CONSTANT (0xc9f49bf37d57ca93));
  g_assert_cmphex (mem_hash (key, text, 8), ==, G_GUINT64_CONSTANT (0x369095118d299a8e));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-memory/dict/random", test_random);
  g_test_add_func ("/kv-memory/dict/scan", test_scan);
  g_test_add_func ("/kv-memory/dict/random-element", test_random_element);
  g_test_add_func ("/kv-memory/dict/hash", test_hash);
  return g_test_run ();
}
