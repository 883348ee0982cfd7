/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces and the order of starting, with plugins that are linked in. */
#include "base/clock-private.h"
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <string.h>

typedef struct {
  ChServices services;
  ChPlugins *plugins;
  GString *started;
} Bed;

/* Plugins keep no static data, tests may: who started, in order. */
static GString *started;

static gboolean start (ChPlugin *self, GError **error)
{
  g_string_append_printf (started, "%s ", ch_plugin_name (self));
  return TRUE;
}

static void stop (ChPlugin *self)
{
  g_string_append_printf (started, "-%s ", ch_plugin_name (self));
}

static gboolean fail (ChPlugin *self, GError **error)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "no");
  return FALSE;
}

static gboolean start_degraded (ChPlugin *self, GError **error)
{
  ch_plugin_degraded (self, "half of it");
  return TRUE;
}

#define NAMES(...) ((const char *const[]) {__VA_ARGS__, NULL})
#define PLUGIN(ident, text, needs, offers, start_func)                                   \
  static const ChPluginInfo ident##_info = {.magic = CH_PLUGIN_MAGIC,                    \
                                            .size = sizeof (ChPluginInfo),               \
                                            .abi_major = CH_ABI_MAJOR,                   \
                                            .abi_minor = CH_ABI_MINOR,                   \
                                            .name = text,                                \
                                            .summary = "s",                              \
                                            .version = "1",                              \
                                            .license = "MIT",                            \
                                            .requires = needs,                           \
                                            .provides = offers,                          \
                                            .start = start_func,                         \
                                            .stop = stop};                               \
  static const ChPluginInfo *ident (void)                                                \
  {                                                                                      \
    return &ident##_info;                                                                \
  }

PLUGIN (db, "db", NULL, NAMES ("store"), start)
PLUGIN (cache, "cache", NAMES ("store"), NAMES ("kv"), start)
PLUGIN (meter, "meter", NAMES ("kv", "core"), NULL, start)
PLUGIN (alone, "alone", NULL, NULL, start)
PLUGIN (broken, "broken", NULL, NAMES ("broken"), fail)
PLUGIN (orphan, "orphan", NAMES ("broken"), NULL, start)
PLUGIN (one, "one", NAMES ("c"), NAMES ("a"), start)
PLUGIN (two, "two", NAMES ("a"), NAMES ("b"), start)
PLUGIN (three, "three", NAMES ("b"), NAMES ("c"), start)
PLUGIN (selfish, "selfish", NAMES ("mine"), NAMES ("mine"), start)
PLUGIN (half, "half", NULL, NAMES ("half"), start_degraded)

static void never (void)
{
  g_assert_not_reached ();
}

static const ChKvDriver kv_driver = {
    .size = sizeof (ChKvDriver),
    .name = "test",
    .open = (gpointer) never,
    .close = (gpointer) never,
    .submit = (gpointer) never,
    .library = (gpointer) never,
    .subscribe = (gpointer) never,
    .unsubscribe = (gpointer) never,
    .used_memory = (gpointer) never,
};

static const ChPluginInfo *kv (void)
{
  static ChPluginInfo info;
  info = *db ();
  info.name = "kv";
  info.provides = NULL;
  info.kv_driver = &kv_driver;
  return &info;
}

static void setup (Bed *bed, gconstpointer data)
{
  static const ChPluginQuery all[]
      = {db, cache, meter, alone, broken, orphan, one, two, three, selfish, half, kv};
  bed->services.clock = ch_clock_new_fake (1700000000000);
  bed->services.runner = ch_runner_new ();
  bed->plugins = bed->services.plugins = ch_plugins_new (&bed->services, NULL);
  bed->started = started = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    g_assert_true (ch_plugins_add_builtin (bed->plugins, all[i], NULL));
}

static void teardown (Bed *bed, gconstpointer data)
{
  ch_plugins_free (bed->plugins);
  ch_runner_free (bed->services.runner);
  ch_clock_free (bed->services.clock);
  g_string_free (bed->started, TRUE);
}

static const char *reason (Bed *bed, const char *name, ChPluginState state)
{
  ChPluginView view;
  g_assert_true (ch_plugins_view (bed->plugins, name, &view));
  g_assert_cmpstr (ch_plugin_state_name (view.state), ==, ch_plugin_state_name (state));
  return view.reason;
}

static void test_order (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  ch_plugins_provide (bed->plugins, "core");
  g_assert_true (ch_plugins_start_list (
      bed->plugins, NAMES ("meter", "alone", "cache", "db", "cache"), NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (bed->started->str, ==, "db cache meter alone ");
  g_assert_true (ch_plugins_has (bed->plugins, "kv"));
  g_string_truncate (bed->started, 0);
  ch_plugins_stop_all (bed->plugins);
  g_assert_cmpstr (bed->started->str, ==, "-alone -meter -cache -db ");
  g_assert_false (ch_plugins_has (bed->plugins, "kv"));
  g_assert_true (ch_plugins_has (bed->plugins, "core"));
}

static void test_missing (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_plugins_start_list (bed->plugins, NAMES ("meter", "alone", "nobody"),
                                        NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (bed->started->str, ==, "alone ");
  g_assert_cmpstr (reason (bed, "meter", CH_PLUGIN_FAILED), ==,
                   "meter needs what nobody offers: kv, core");
  g_assert_false (
      ch_plugins_start_list (bed->plugins, NAMES ("alone"), NAMES ("meter"), &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE);
  g_assert_true (g_str_has_prefix (error->message, "meter is required: "));
  g_clear_error (&error);
  g_assert_false (ch_plugins_load_list (bed->plugins, NULL, NAMES ("nobody"), &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND);
}

static void test_failed_provider (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugins_start_list (
      bed->plugins, NAMES ("orphan", "broken", "alone"), NAMES ("broken"), &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED);
  g_assert_cmpstr (bed->started->str, ==, "alone ");
  reason (bed, "broken", CH_PLUGIN_FAILED);
  g_assert_nonnull (strstr (reason (bed, "orphan", CH_PLUGIN_FAILED), "broken"));
}

static void test_circle (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_plugins_start_list (
      bed->plugins, NAMES ("one", "two", "alone", "three"), NULL, &error));
  g_assert_cmpstr (bed->started->str, ==, "alone ");
  static const char *const circle[] = {"one", "two", "three"};
  for (guint i = 0; i < G_N_ELEMENTS (circle); i++)
    g_assert_cmpstr (reason (bed, circle[i], CH_PLUGIN_FAILED), ==,
                     "plugins wait for each other: one → three → two → one");
  g_assert_false (
      ch_plugins_start_list (bed->plugins, NULL, NAMES ("one", "two", "three"), &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE);
  g_clear_error (&error);

  /* When something else offers one of them, it is no circle. */
  ch_plugins_provide (bed->plugins, "c");
  g_string_truncate (bed->started, 0);
  g_assert_true (
      ch_plugins_start_list (bed->plugins, NAMES ("three", "two", "one"), NULL, &error));
  g_assert_cmpstr (bed->started->str, ==, "one two three ");
}

static void test_selfish (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugins_start (bed->plugins, "selfish", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE);
}

static void test_needed (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_plugins_start_list (bed->plugins, NAMES ("db", "cache"), NULL, NULL));
  g_assert_false (ch_plugins_stop (bed->plugins, "db", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE);
  g_assert_cmpstr (error->message, ==,
                   "db cannot be stopped: cache needs its interface store");
  g_clear_error (&error);
  g_assert_false (ch_plugins_restart (bed->plugins, "db", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE);
  g_clear_error (&error);
  g_assert_true (ch_plugins_stop (bed->plugins, "cache", &error));
  g_assert_true (ch_plugins_stop (bed->plugins, "db", &error));
  g_assert_false (ch_plugins_stop (bed->plugins, "db", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE);
}

/* The driver under the kv's front stays; other plugins do not care. */
static void test_driver_in_use (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const ChKvDriver *driver;
  g_assert_null (ch_plugins_find_kv (bed->plugins, &driver));
  g_assert_true (ch_plugins_start_list (bed->plugins, NAMES ("kv", "alone"), NULL, NULL));
  g_assert_nonnull (ch_plugins_find_kv (bed->plugins, &driver));
  g_assert_cmpstr (driver->name, ==, "test");
  bed->services.kv = (ChKv *) bed; /* the front is there */
  g_assert_false (ch_plugins_stop (bed->plugins, "kv", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE);
  g_assert_false (ch_plugins_restart (bed->plugins, "kv", NULL));
  reason (bed, "kv", CH_PLUGIN_RUNNING);
  g_assert_true (ch_plugins_stop (bed->plugins, "alone", NULL));
  bed->services.kv = NULL;
  g_assert_true (ch_plugins_stop (bed->plugins, "kv", NULL));
}

/* What a plugin says of itself while it starts is not forgotten. */
static void test_degraded_at_start (Bed *bed, gconstpointer data)
{
  g_assert_true (ch_plugins_start (bed->plugins, "half", NULL));
  g_assert_cmpstr (reason (bed, "half", CH_PLUGIN_DEGRADED), ==, "half of it");
  g_assert_true (ch_plugins_has (bed->plugins, "half"));
  ch_plugin_degraded (ch_plugins_peek (bed->plugins, "half"), NULL);
  g_assert_cmpstr (reason (bed, "half", CH_PLUGIN_RUNNING), ==, "");
}

static void test_duplicate (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (ch_plugins_add_builtin (bed->plugins, db, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE);
  g_clear_error (&error);
  g_assert_true (ch_plugins_start (bed->plugins, "alone", &error));
  g_assert_false (ch_plugins_start (bed->plugins, "alone", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE);
}

#define ADD(path, func)                                                                  \
  g_test_add ("/plugin/list/" path, Bed, NULL, setup, func, teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("order", test_order);
  ADD ("missing", test_missing);
  ADD ("failed-provider", test_failed_provider);
  ADD ("circle", test_circle);
  ADD ("selfish", test_selfish);
  ADD ("needed", test_needed);
  ADD ("driver-in-use", test_driver_in_use);
  ADD ("degraded-at-start", test_degraded_at_start);
  ADD ("duplicate", test_duplicate);
  return g_test_run ();
}
