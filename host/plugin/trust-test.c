/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners and modes, names of files, what is remembered, the crash page. */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <glib/gstdio.h>

#include <string.h>

static void test_modes (void)
{
  static const struct {
    mode_t mode;
    uid_t uid;
    gboolean good;
  } cases[] = {
      {S_IFREG | 0644, 1000, TRUE},  {S_IFREG | 0755, 0, TRUE},
      {S_IFREG | 0644, 1001, FALSE}, {S_IFREG | 0664, 1000, FALSE},
      {S_IFREG | 0646, 1000, FALSE}, {S_IFREG | 0777, 0, FALSE},
      {S_IFDIR | 0755, 0, FALSE},    {S_IFIFO | 0600, 1000, FALSE},
      {S_IFCHR | 0600, 0, FALSE},    {S_IFREG | 0400, 1000, TRUE},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    struct stat st = {.st_mode = cases[i].mode, .st_uid = cases[i].uid};
    g_autoptr (GError) error = NULL;
    g_assert_true (ch_plugin_trust_stat ("x.so", &st, 1000, &error) == cases[i].good);
    if (!cases[i].good)
      g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_UNTRUSTED);
  }
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugin_trust_check ("/nonexistent.so", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND);
}

static void test_names (void)
{
  static const char *const good[] = {"/a/proto-bkv.so", "x.so", "kv-memory", "a1.so"};
  static const char *const bad[]
      = {"/a/Proto.so",
         "/a/.so",
         "a_b.so",
         "1a.so",
         "a.b.so",
         "-a.so",
         "a-name-that-is-longer-than-anything-the-crash-page-can-hold.so"};
  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autofree char *name = ch_plugin_name_of_path (good[i], NULL);
    g_assert_nonnull (name);
  }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (ch_plugin_name_of_path (bad[i], &error));
    g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_WRONG_NAME);
  }
}

static void remove_all (const char *directory)
{
  static const char *const names[] = {"plugins.json", "running-plugin"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (directory, names[i], NULL);
    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (directory), ==, 0);
}

static void test_verdicts (void)
{
  g_autofree char *directory = g_dir_make_tmp ("ch-memory-XXXXXX", NULL);
  ChPluginMemory *memory = ch_plugin_memory_new (directory);
  ChPluginFile file = {100, 1700000000123456789}, larger = {101, 1700000000123456789},
               later = {100, 1700000000123456790};

  g_assert_null (ch_plugin_memory_verdict (memory, "/x.so", &file));
  ch_plugin_memory_set_verdict (memory, "/x.so", &file, "");
  ch_plugin_memory_set_verdict (memory, "/y.so", &file, "it \xff crashed");
  ch_plugin_memory_free (memory);

  memory = ch_plugin_memory_new (directory);
  g_assert_cmpstr (ch_plugin_memory_verdict (memory, "/x.so", &file), ==, "");
  g_assert_cmpstr (ch_plugin_memory_verdict (memory, "/y.so", &file), ==,
                   "it \xef\xbf\xbd crashed");
  g_assert_null (ch_plugin_memory_verdict (memory, "/x.so", &larger));
  g_assert_null (ch_plugin_memory_verdict (memory, "/x.so", &later));
  ch_plugin_memory_set_verdict (memory, "/x.so", &later, "");
  g_assert_null (ch_plugin_memory_verdict (memory, "/x.so", &file));
  ch_plugin_memory_free (memory);

  memory = ch_plugin_memory_new (NULL); /* keeps nothing, works all the same */
  ch_plugin_memory_set_verdict (memory, "/x.so", &file, "bad");
  g_assert_cmpstr (ch_plugin_memory_verdict (memory, "/x.so", &file), ==, "bad");
  ch_plugin_memory_free (memory);
  remove_all (directory);
}

static void test_crashes (void)
{
  g_autofree char *directory = g_dir_make_tmp ("ch-memory-XXXXXX", NULL);
  ChPluginMemory *memory = ch_plugin_memory_new (directory);
  const gint64 minute = 60 * 1000, start = 1700000000000;

  g_assert_false (ch_plugin_memory_crashed (memory, "a", start));
  g_assert_false (ch_plugin_memory_crashed (memory, "b", start));
  g_assert_false (ch_plugin_memory_crashed (memory, "a", start + 6 * minute));
  g_assert_false (
      ch_plugin_memory_crashed (memory, "a", start + 11 * minute)); /* first is old */
  g_assert_false (ch_plugin_memory_is_quarantined (memory, "a"));
  ch_plugin_memory_free (memory);
  memory = ch_plugin_memory_new (directory);
  g_assert_true (ch_plugin_memory_crashed (memory, "a", start + 12 * minute));
  g_assert_false (ch_plugin_memory_is_quarantined (memory, "b"));
  ch_plugin_memory_free (memory);

  memory = ch_plugin_memory_new (directory);
  g_assert_true (ch_plugin_memory_is_quarantined (memory, "a"));
  ch_plugin_memory_clear (memory, "a");
  g_assert_false (ch_plugin_memory_is_quarantined (memory, "a"));
  g_assert_false (ch_plugin_memory_crashed (memory, "a", start + 13 * minute));
  ch_plugin_memory_free (memory);
  remove_all (directory);
}

/* A file that somebody damaged is an empty memory. */
static void test_damaged (void)
{
  static const char *const texts[]
      = {"", "[]", "{", "{\"crashes\":7}",
         "{\"verdicts\":[],\"crashes\":{\"a\":{\"times\":{}}}}"};
  g_autofree char *directory = g_dir_make_tmp ("ch-memory-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "plugins.json", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    ChPluginFile file = {1, 2};
    g_assert_true (g_file_set_contents (path, texts[i], -1, NULL));
    ChPluginMemory *memory = ch_plugin_memory_new (directory);
    g_assert_null (ch_plugin_memory_verdict (memory, "/x.so", &file));
    g_assert_false (ch_plugin_memory_crashed (memory, "a", 1700000000000));
    ch_plugin_memory_free (memory);
  }
  remove_all (directory);
}

static void test_page (void)
{
  g_autofree char *directory = g_dir_make_tmp ("ch-page-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "running-plugin", NULL);
  ChPluginPage page = {.fd = -1}, second = {.fd = -1};
  g_autofree char *guilty = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (ch_plugin_page_open (&page, directory, &guilty, &error));
  g_assert_null (guilty);
  g_assert_false (ch_plugin_page_open (&second, directory, &guilty, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED);
  g_clear_error (&error);
  g_strlcpy (page.page, "proto-bkv", CH_RUNNER_MARK_SIZE);
  ch_plugin_page_close (&page); /* a clean end */
  g_assert_true (ch_plugin_page_open (&page, directory, &guilty, &error));
  g_assert_null (guilty);
  ch_plugin_page_close (&page);

  char death[4096] = "proto-bkv\0rest"; /* killed from outside: nobody's fault */
  g_assert_true (g_file_set_contents (path, death, sizeof death, NULL));
  g_assert_true (ch_plugin_page_open (&page, directory, &guilty, &error));
  g_assert_null (guilty);
  ch_plugin_page_close (&page);

  death[sizeof death - 1] = 'X'; /* a signal of a fault came */
  g_assert_true (g_file_set_contents (path, death, sizeof death, NULL));
  g_assert_true (ch_plugin_page_open (&page, directory, &guilty, &error));
  g_assert_cmpstr (guilty, ==, "proto-bkv");
  g_clear_pointer (&guilty, g_free);
  ch_plugin_page_close (&page);

  g_assert_true (g_file_set_contents (path, "\xff\xfe not a name", -1, NULL));
  g_assert_true (ch_plugin_page_open (&page, directory, &guilty, &error));
  g_assert_null (guilty);
  ch_plugin_page_close (&page);
  remove_all (directory);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plugin/trust/modes", test_modes);
  g_test_add_func ("/plugin/trust/names", test_names);
  g_test_add_func ("/plugin/memory/verdicts", test_verdicts);
  g_test_add_func ("/plugin/memory/crashes", test_crashes);
  g_test_add_func ("/plugin/memory/damaged", test_damaged);
  g_test_add_func ("/plugin/page", test_page);
  return g_test_run ();
}
