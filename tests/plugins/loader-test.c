/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real files through the real loader: what is right runs, what is not is refused and why.
 */
#include "harness.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static void assert_not_started (Harness *harness, const char *name, gint code)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugins_start (harness->plugins, name, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, code);
  g_assert_null (ch_plugins_peek (harness->plugins, name));
}

/* Whatever was refused, the next one must still work. */
static void assert_host_goes_on (Harness *harness)
{
  g_autoptr (GError) error = NULL;
  harness_add (harness, "test-good");
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", &error));
  g_assert_no_error (error);
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpuint (harness->answers, ==, 1);
}

static void test_good (Harness *harness, gconstpointer data)
{
  ChPluginView view;
  harness_add (harness, "test-good");
  harness_assert_state (harness, "test-good", CH_PLUGIN_FOUND, "");
  g_assert_true (ch_plugins_load (harness->plugins, "test-good", NULL));
  harness_assert_state (harness, "test-good", CH_PLUGIN_LOADED, "");
  g_assert_false (ch_plugins_has (harness->plugins, "greeting"));
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
  g_assert_true (ch_plugins_has (harness->plugins, "greeting"));
  g_assert_nonnull (ch_plugins_peek (harness->plugins, "test-good"));
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpuint (harness->answers, ==, 1);
  g_assert_cmpint (harness->heard.number, ==, 42);
  g_assert_true (ch_plugins_view (harness->plugins, "test-good", &view));
  g_assert_cmpstr (view.version, ==, "1.0.0");
  g_assert_cmpstr (view.license, ==, "LGPL-2.1-or-later");
  g_assert_cmpstr (view.provides[0], ==, "greeting");
  g_assert_cmpuint (view.generation, ==, 1);
  g_assert_cmpuint (view.calls, ==, 2); /* start, one poke */

  g_assert_true (ch_plugins_stop (harness->plugins, "test-good", NULL));
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPED, "");
  harness_poke (harness, POKE_ANSWER);
  harness_advance (harness, 100);
  g_assert_cmpuint (harness->answers, ==, 1);
  assert_not_started (harness, "nobody", CH_PLUGIN_ERROR_NOT_FOUND);
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpuint (harness->answers, ==, 2);
  g_assert_cmpint (harness->heard.heard, ==, 1); /* a fresh life */
  g_assert_cmpstr (
      harness->changes->str, ==,
      "test-good:found>loaded test-good:loaded>starting test-good:starting>running "
      "test-good:running>stopping test-good:stopping>stopped "
      "test-good:stopped>starting test-good:starting>running ");
  g_assert_cmpuint (ch_plugins_images (harness->plugins), ==, 1);
}

static void test_degraded (Harness *harness, gconstpointer data)
{
  harness_add (harness, "test-good");
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
  harness_poke (harness, POKE_DEGRADE);
  harness_assert_state (harness, "test-good", CH_PLUGIN_DEGRADED, "poked");
  g_assert_true (ch_plugins_has (harness->plugins, "greeting"));
  harness_poke (harness, POKE_RECOVER);
  harness_assert_state (harness, "test-good", CH_PLUGIN_RUNNING, "");
}

/* [file, whether the file is refused at once, code, part of the reason] */
static const struct {
  const char *name;
  gboolean at_once;
  gint code;
  const char *reason;
} refused[] = {
    {"test-abi-major", TRUE, CH_PLUGIN_ERROR_ABI_MAJOR, "built for ABI 99.0"},
    {"test-abi-minor", TRUE, CH_PLUGIN_ERROR_ABI_MINOR, "needs a newer host"},
    {"test-wrong-name", FALSE, CH_PLUGIN_ERROR_WRONG_NAME, "calls itself another-name"},
    {"test-no-symbol", FALSE, CH_PLUGIN_ERROR_NO_SYMBOL,
     "must be ch_plugin_test_no_symbol_query; it has ch_plugin_another_symbol_query"},
    {"test-unresolved", FALSE, CH_PLUGIN_ERROR_UNRESOLVED, "ch_function_of_another_time"},
    {"test-no-fields", FALSE, CH_PLUGIN_ERROR_BAD_DESCRIPTOR, "lacks version, license"},
    {"test-crash-load", FALSE, CH_PLUGIN_ERROR_CRASHED, "crashed when it was loaded"},
};

static void test_refused (Harness *harness, gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autofree char *path = harness_path (refused[i].name);
  g_autoptr (GError) error = NULL;

  gboolean added = ch_plugins_add_file (harness->plugins, path, &error);
  g_assert_true (added == !refused[i].at_once);
  assert_not_started (harness, refused[i].name, refused[i].code);
  harness_assert_state (harness, refused[i].name, CH_PLUGIN_BLOCKED, refused[i].reason);
  assert_not_started (harness, refused[i].name, refused[i].code); /* and again */
  assert_host_goes_on (harness);
}

static void test_failing (Harness *harness, gconstpointer data)
{
  static const struct {
    const char *name;
    gint code;
    const char *reason;
  } cases[] = {
      {"test-fails", CH_PLUGIN_ERROR_FAILED, "test-fails: the meter is not there"},
      {"test-fails-silent", CH_PLUGIN_ERROR_FAILED, "start failed without saying why"},
      {"test-twice", CH_PLUGIN_ERROR_DUPLICATE,
       "failing.never is published by test-twice"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    harness_add (harness, cases[i].name);
    assert_not_started (harness, cases[i].name, cases[i].code);
    harness_assert_state (harness, cases[i].name, CH_PLUGIN_FAILED, cases[i].reason);
    harness_poke (harness, POKE_ANSWER); /* its subscription would abort */
    assert_not_started (harness, cases[i].name, cases[i].code);
  }
  assert_host_goes_on (harness);
}

/* The crash is remembered over a new start, until the file changes. */
static void test_blocked_is_remembered (Harness *harness, gconstpointer data)
{
  g_autofree char *path
      = g_build_filename (harness->state_dir, "test-crash-load.so", NULL);
  g_autofree char *bad = harness_path ("test-crash-load"),
                  *good = harness_path ("test-good");
  g_autofree char *contents = NULL;
  gsize size;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (bad, &contents, &size, NULL));
  g_assert_true (g_file_set_contents_full (path, contents, (gssize) size, 0, 0600, NULL));
  g_assert_true (ch_plugins_add_file (harness->plugins, path, NULL));
  assert_not_started (harness, "test-crash-load", CH_PLUGIN_ERROR_CRASHED);
  harness_restart (harness);
  g_setenv ("CHARGEHOST_TEST_SCANNER", "/bin/false", TRUE); /* must not be asked */
  g_assert_true (ch_plugins_add_file (harness->plugins, path, NULL));
  assert_not_started (harness, "test-crash-load", CH_PLUGIN_ERROR_CRASHED);
  harness_assert_state (harness, "test-crash-load", CH_PLUGIN_BLOCKED, "crashed when");
  g_setenv ("CHARGEHOST_TEST_SCANNER", (const char *) data, TRUE);

  g_clear_pointer (&contents, g_free);
  g_assert_true (g_file_get_contents (good, &contents, &size, NULL));
  g_assert_true (g_file_set_contents_full (path, contents, (gssize) size,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  assert_not_started (harness, "test-crash-load", CH_PLUGIN_ERROR_NO_SYMBOL);
  harness_assert_state (harness, "test-crash-load", CH_PLUGIN_BLOCKED,
                        "it has ch_plugin_test_good_query");
}

static void copy_plugin (Harness *harness, const char *from, const char *to)
{
  g_autofree char *path = harness_path (from);
  g_autofree char *contents = NULL;
  gsize size;
  g_assert_true (g_file_get_contents (path, &contents, &size, NULL));
  g_assert_true (g_file_set_contents_full (to, contents, (gssize) size,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

static void assert_version (Harness *harness, const char *version)
{
  ChPluginView view;
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpstr (harness->heard.version, ==, version);
  g_assert_true (ch_plugins_view (harness->plugins, "test-reload", &view));
  g_assert_cmpstr (view.version, ==, version);
  g_assert_cmpint (view.state, ==, CH_PLUGIN_RUNNING);
}

static void test_reload (Harness *harness, gconstpointer data)
{
  g_autofree char *path = g_build_filename (harness->state_dir, "test-reload.so", NULL);
  g_autoptr (GError) error = NULL;

  copy_plugin (harness, "test-reload-1", path);
  g_assert_true (ch_plugins_add_file (harness->plugins, path, NULL));
  g_assert_true (ch_plugins_start (harness->plugins, "test-reload", &error));
  assert_version (harness, "1.0.0");
  g_assert_true (ch_plugins_restart (harness->plugins, "test-reload", &error));
  assert_version (harness, "1.0.0");
  g_assert_cmpuint (ch_plugins_images (harness->plugins), ==, 1); /* the same image */

  copy_plugin (harness, "test-reload-2", path);
  g_assert_true (ch_plugins_restart (harness->plugins, "test-reload", &error));
  g_assert_no_error (error);
  assert_version (harness, "2.0.0");
  g_assert_cmpuint (ch_plugins_images (harness->plugins), ==, 2);

  /* One that does not start, and one that cannot be loaded: the old one goes on. */
  copy_plugin (harness, "test-reload-3", path);
  g_assert_false (ch_plugins_restart (harness->plugins, "test-reload", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED);
  g_clear_error (&error);
  assert_version (harness, "2.0.0");
  copy_plugin (harness, "test-crash-load", path);
  g_assert_false (ch_plugins_restart (harness->plugins, "test-reload", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_CRASHED);
  g_clear_error (&error);
  assert_version (harness, "2.0.0");

  /* A new file is also taken by a stop and a start. */
  g_assert_true (ch_plugins_stop (harness->plugins, "test-reload", &error));
  copy_plugin (harness, "test-reload-1", path);
  g_assert_true (ch_plugins_start (harness->plugins, "test-reload", &error));
  g_assert_no_error (error);
  assert_version (harness, "1.0.0");
}

static void test_trust (Harness *harness, gconstpointer data)
{
  g_autofree char *path = g_build_filename (harness->state_dir, "test-good.so", NULL);
  g_autoptr (GError) error = NULL;

  copy_plugin (harness, "test-good", path);
  g_assert_cmpint (g_chmod (path, 0666), ==, 0);
  g_assert_true (ch_plugins_add_file (harness->plugins, path, NULL));
  assert_not_started (harness, "test-good", CH_PLUGIN_ERROR_UNTRUSTED);
  harness_assert_state (harness, "test-good", CH_PLUGIN_BLOCKED, "may be written by");

  harness_restart (harness);
  g_assert_true (ch_config_add_option (harness->services.config,
                                       "plugins.development=true", &error));
  g_assert_true (ch_config_resolve (harness->services.config, NULL, &error));
  g_assert_true (ch_plugins_add_file (harness->plugins, path, NULL));
  g_string_truncate (harness->log, 0);
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", &error));
  g_assert_nonnull (strstr (harness->log->str, "plugins.development"));
}

static void test_scan (Harness *harness, gconstpointer data)
{
  g_autofree char *path
      = g_build_filename (g_getenv ("CHARGEHOST_TEST_BUILD"), "tests", "plugins", NULL);
  g_autofree char *text = g_build_filename (harness->state_dir, "text.so", NULL);
  ch_plugins_scan (harness->plugins, path);
  ch_plugins_scan (harness->plugins, path); /* each name once */
  g_assert_true (g_file_set_contents (text, "not ELF", -1, NULL));
  ch_plugins_scan (harness->plugins, harness->state_dir);
  ch_plugins_scan (harness->plugins, "/nonexistent");
  g_autoptr (GPtrArray) names = ch_plugins_names (harness->plugins);
  g_assert_cmpuint (names->len, >=, 16);
  harness_assert_state (harness, "test-good", CH_PLUGIN_FOUND, "");
  harness_assert_state (harness, "test-abi-major", CH_PLUGIN_BLOCKED, "ABI 99.0");
  harness_assert_state (harness, "text", CH_PLUGIN_BLOCKED, "is not an ELF file");
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
}

/* Keys of a plugin that is loaded late get the values that the operator wrote before. */
static void test_late_keys (Harness *harness, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  static const char *const ignored[] = {"test-good", NULL};
  ch_config_add_option (harness->services.config, "test-good.answer=7", NULL);
  harness_add (harness, "test-good");
  g_auto (GStrv) unloaded = ch_plugins_unloaded (harness->plugins);
  g_assert_true (g_strv_equal ((const char *const *) unloaded, ignored));
  g_assert_true (ch_config_resolve (harness->services.config, ignored, &error));
  g_assert_no_error (error);
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", &error));
  g_assert_no_error (error);
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpint (harness->heard.number, ==, 7);
}

static void test_bad_keys (Harness *harness, gconstpointer data)
{
  ch_config_add_option (harness->services.config, "test-good.answer=700", NULL);
  harness_add (harness, "test-good");
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugins_start (harness->plugins, "test-good", &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
  harness_assert_state (harness, "test-good", CH_PLUGIN_FAILED, "answer");
}

/* A constructor that never comes back costs five seconds, not the daemon. */
static void test_hang (Harness *harness, gconstpointer data)
{
  if (!g_test_slow ()) {
    g_test_skip ("waits five seconds; run with -m slow");
    return;
  }
  harness_add (harness, "test-hang-load");
  assert_not_started (harness, "test-hang-load", CH_PLUGIN_ERROR_CRASHED);
  harness_assert_state (harness, "test-hang-load", CH_PLUGIN_BLOCKED, "did not finish");
}

static void test_no_scanner (Harness *harness, gconstpointer data)
{
  g_setenv ("CHARGEHOST_TEST_SCANNER", "/nonexistent", TRUE);
  assert_host_goes_on (harness);
  g_assert_nonnull (strstr (harness->log->str, "without a look at it first"));
  g_setenv ("CHARGEHOST_TEST_SCANNER", (const char *) data, TRUE);
}

#define ADD(path, data, func)                                                            \
  g_test_add ("/plugins/" path, Harness, data, harness_setup, func, harness_teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *scanner = g_strdup (g_getenv ("CHARGEHOST_TEST_SCANNER"));
  ADD ("good", NULL, test_good);
  ADD ("degraded", NULL, test_degraded);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *path = g_strdup_printf ("/plugins/refused/%s", refused[i].name);
    g_test_add (path, Harness, GUINT_TO_POINTER (i), harness_setup, test_refused,
                harness_teardown);
  }
  ADD ("failing", NULL, test_failing);
  ADD ("blocked-is-remembered", scanner, test_blocked_is_remembered);
  ADD ("reload", NULL, test_reload);
  ADD ("trust", NULL, test_trust);
  ADD ("scan", NULL, test_scan);
  ADD ("late-keys", NULL, test_late_keys);
  ADD ("bad-keys", NULL, test_bad_keys);
  ADD ("hang", NULL, test_hang);
  ADD ("no-scanner", scanner, test_no_scanner);
  return g_test_run ();
}
