/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ABI is frozen: what plugins were compiled with must stay as it is. abi-1.txt is the
 * list for 64 bits; a line of it that changes or goes needs a new major, a line that
 * comes a new minor. CHARGEHOST_ABI_UPDATE=1 writes the list anew.
 */
#include "abi.h"

#include <string.h>

static GString *list;

void size (const char *name, gsize bytes)
{
  g_string_append_printf (list, "%s %" G_GSIZE_FORMAT "\n", name, bytes);
}

void offset (const char *name, const char *member, gsize bytes)
{
  g_string_append_printf (list, "%s.%s @%" G_GSIZE_FORMAT "\n", name, member, bytes);
}

void value (const char *name, const char *enumerator, gint64 number)
{
  g_string_append_printf (list, "%s %s = %" G_GINT64_FORMAT "\n", name, enumerator,
                          number);
}

static char *golden_path (void)
{
  return g_build_filename (g_getenv ("CHARGEHOST_TEST_SOURCE"), "tests", "lint",
                           "abi-1.txt", NULL);
}

/* Says which lines differ; the order of headers does not matter. */
static guint compare (const char *was, const char *is, const char *what)
{
  g_auto (GStrv) before = g_strsplit (was, "\n", -1), after = g_strsplit (is, "\n", -1);
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  guint differ = 0;

  for (guint i = 0; after[i] != NULL; i++)
    g_hash_table_add (known, after[i]);
  for (guint i = 0; before[i] != NULL; i++)
    if (!g_hash_table_contains (known, before[i])) {
      g_test_message ("%s: %s", what, before[i]);
      differ++;
    }
  return differ;
}

static void test_frozen (void)
{
  g_autofree char *path = golden_path ();
  g_autofree char *golden = NULL;

  if (sizeof (gpointer) != 8) {
    g_test_skip ("the list is of 64 bits");
    return;
  }
  if (g_strcmp0 (g_getenv ("CHARGEHOST_ABI_UPDATE"), "1") == 0)
    g_assert_true (g_file_set_contents (path, list->str, -1, NULL));
  g_assert_true (g_file_get_contents (path, &golden, NULL, NULL));
  guint gone = compare (golden, list->str, "gone or changed, needs a new major");
  guint come = compare (list->str, golden, "new, needs a new minor and a new list");
  g_assert_cmpuint (gone, ==, 0);
  g_assert_cmpuint (come, ==, 0);
}

static void test_plausible (void)
{
  g_assert_nonnull (strstr (list->str, "ChPluginInfo.magic @0\n"));
  g_assert_nonnull (strstr (list->str, "ChEvent.device @"));
  g_assert_nonnull (strstr (list->str, "ChFieldKind CH_FIELD_BOOL = 1\n"));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  list = g_string_new (NULL);
  abi_list ();
  g_test_add_func ("/abi/plausible", test_plausible);
  g_test_add_func ("/abi/frozen", test_frozen);
  int result = g_test_run ();
  g_string_free (list, TRUE);
  return result;
}
