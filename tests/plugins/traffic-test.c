/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops in the middle of everything: under events and timers, inside callbacks, by crash.
 */
#include "harness.h"

#include <string.h>
#include <sys/wait.h>

static void start_plugin (Harness *harness, const char *name)
{
  g_autoptr (GError) error = NULL;
  harness_add (harness, name);
  g_assert_true (ch_plugins_start (harness->plugins, name, &error));
  g_assert_no_error (error);
}

/* 200 times: events and timers run while it is stopped, started, restarted. */
static void test_traffic (Harness *harness, gconstpointer data)
{
  start_plugin (harness, "test-good");
  start_plugin (harness, "test-careless");
  for (guint i = 0; i < 200; i++) {
    g_autoptr (GError) error = NULL;
    const char *name = i % 3 ? "test-good" : "test-careless";
    harness_poke (harness, POKE_ANSWER);
    harness_advance (harness, 7);
    if (i % 2 == 0) {
      g_assert_true (ch_plugins_stop (harness->plugins, name, &error));
      harness_poke (harness, POKE_ANSWER);
      harness_advance (harness, 13);
      g_assert_true (ch_plugins_start (harness->plugins, name, &error));
    } else {
      g_assert_true (ch_plugins_restart (harness->plugins, name, &error));
    }
    g_assert_no_error (error);
    harness_poke (harness, POKE_ANSWER);
    harness_turn (harness);
  }
  ChPluginView view;
  g_assert_true (ch_plugins_view (harness->plugins, "test-good", &view));
  g_assert_cmpuint (view.generation, >, 100);
  g_assert_cmpuint (view.failures, ==, 0);
  g_assert_cmpuint (harness->answers, >, 400);
  g_assert_cmpuint (ch_plugins_images (harness->plugins), ==, 2);
  g_assert_cmpuint (ch_bus_length (harness->services.bus), ==, 0);
}

typedef struct {
  Harness *harness;
  gboolean restart;
  guint left;
} Stopper;

/* Hears the plugin's answer, published inside its own handler, and stops it there. */
static void stop_it (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                     gpointer user_data)
{
  Stopper *stopper = user_data;
  g_autoptr (GError) error = NULL;
  if (stopper->left == 0)
    return;
  stopper->left--;
  g_assert_true (stopper->restart
                     ? ch_plugins_restart (stopper->harness->plugins, "test-good", &error)
                     : ch_plugins_stop (stopper->harness->plugins, "test-good", &error));
  g_assert_no_error (error);
  if (!stopper->restart)
    g_assert_false (ch_plugins_stop (stopper->harness->plugins, "test-good", NULL));
}

static void test_stop_in_answer (Harness *harness, gconstpointer data)
{
  Stopper stopper = {harness, FALSE, 1};
  start_plugin (harness, "test-good");
  ch_subscribe (harness->tester, "good.heard", NULL, stop_it, &stopper);
  harness_poke (harness, POKE_ANSWER);
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPED, "");
  stopper.restart = TRUE;
  for (guint i = 0; i < 20; i++) {
    g_autoptr (GError) error = NULL;
    stopper.left = 1;
    if (i == 0)
      g_assert_true (ch_plugins_start (harness->plugins, "test-good", &error));
    harness_poke (harness, POKE_ANSWER);
    harness_turn (harness);
    harness_assert_state (harness, "test-good", CH_PLUGIN_RUNNING, "");
  }
}

/* The tester's subscription of plugin.changed runs inside the plugin's
 * ch_plugin_degraded(). */
static void stop_degraded (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                           gpointer user_data)
{
  Stopper *stopper = user_data;
  const ChPluginChangedEvent *changed = (const ChPluginChangedEvent *) event;
  if (!g_str_equal (changed->new_state, "degraded"))
    return;
  Harness *harness = stopper->harness;
  g_assert_true (stopper->restart
                     ? ch_plugins_restart (harness->plugins, "test-good", NULL)
                     : ch_plugins_stop (harness->plugins, "test-good", NULL));
}

/* The same through the hook of the registry, which is called on the plugin's own stack.
 */
static void stop_on_stack (const ChPluginView *view, ChPluginState old, gpointer data)
{
  Stopper *stopper = data;
  Harness *harness = stopper->harness;
  if (view->state != CH_PLUGIN_DEGRADED)
    return;
  g_assert_true (stopper->restart
                     ? ch_plugins_restart (harness->plugins, "test-good", NULL)
                     : ch_plugins_stop (harness->plugins, "test-good", NULL));
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPING, "");
}

static void test_stop_on_stack (Harness *harness, gconstpointer data)
{
  Stopper stopper = {harness, FALSE, 0};
  start_plugin (harness, "test-good");
  ch_plugins_set_changed (harness->plugins, stop_on_stack, &stopper);
  harness_poke (harness, POKE_DEGRADE);
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPING, "");
  g_assert_cmpuint (harness->answers, ==, 1); /* it ended what it was doing */
  harness_turn (harness);
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPED, "");

  stopper.restart = TRUE;
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
  harness_poke (harness, POKE_DEGRADE);
  harness_turn (harness);
  harness_assert_state (harness, "test-good", CH_PLUGIN_RUNNING, "");
  harness_poke (harness, POKE_ANSWER);
  g_assert_cmpint (harness->heard.heard, ==, 1); /* the new life */
}

static void test_stop_by_event (Harness *harness, gconstpointer data)
{
  Stopper stopper = {harness, FALSE, 0};
  start_plugin (harness, "test-good");
  ch_subscribe (harness->tester, "plugin.*", NULL, stop_degraded, &stopper);
  harness_poke (harness, POKE_DEGRADE);
  harness_turn (harness);
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPED, "");
  stopper.restart = TRUE;
  g_assert_true (ch_plugins_start (harness->plugins, "test-good", NULL));
  harness_poke (harness, POKE_DEGRADE);
  harness_turn (harness);
  harness_assert_state (harness, "test-good", CH_PLUGIN_RUNNING, "");
}

/* Freed while it waits for the end of the turn. */
static void test_free_while_waiting (Harness *harness, gconstpointer data)
{
  Stopper stopper = {harness, TRUE, 0};
  start_plugin (harness, "test-good");
  ch_plugins_set_changed (harness->plugins, stop_on_stack, &stopper);
  harness_poke (harness, POKE_DEGRADE);
  harness_assert_state (harness, "test-good", CH_PLUGIN_STOPPING, "");
}

static void test_leaks (Harness *harness, gconstpointer data)
{
  start_plugin (harness, "test-careless");
  ChPlugin *owner = ch_plugins_peek (harness->plugins, "test-careless");
  g_autofree char *left = ch_owner_describe (owner);
  g_assert_nonnull (strstr (left, "100 subscriptions"));
  g_assert_nonnull (strstr (left, "100 timers"));
  g_assert_true (ch_plugins_stop (harness->plugins, "test-careless", NULL));
  g_assert_false (ch_topic_is_heard (harness->poked));
  harness_advance (harness, 1000);
  GString *text = ch_metrics_render (harness->services.metrics);
  g_assert_nonnull (
      strstr (text->str, "careless_total{number=\"1\"} 1")); /* no collector */
  g_string_free (text, TRUE);
}

static void test_slow (Harness *harness, gconstpointer data)
{
  ChPluginView view;
  start_plugin (harness, "test-careless");
  g_string_truncate (harness->log, 0);
  PokeEvent poke = {.event = {.socket_no = -1, .port_no = -1}, .number = POKE_SLOW};
  ch_publish (harness->poked, &poke.event);
  g_assert_true (ch_plugins_view (harness->plugins, "test-careless", &view));
  g_assert_cmpuint (view.failures, ==, 1);
  g_assert_cmpint (view.slowest_us, >, 50000);
  g_assert_nonnull (strstr (harness->log->str, "event handler of test-careless took"));
}

/* Runs the host in a child that dies in the plugin's callback. */
static void crash_once (const char *state_dir)
{
  pid_t child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    Harness harness = {.state_dir = g_strdup (state_dir)};
    harness_setup (&harness, NULL);
    start_plugin (&harness, "test-careless");
    harness_poke (&harness, POKE_CRASH);
    _exit (0);
  }
  int status;
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFSIGNALED (status));
}

static void test_crash (Harness *harness, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 3; i++) {
    ch_plugins_free (g_steal_pointer (&harness->plugins));
    crash_once (harness->state_dir);
    harness->plugins = ch_plugins_new (&harness->services, harness->state_dir);
    g_assert_nonnull (strstr (harness->log->str, "the last run ended inside the plugin "
                                                 "test-careless"));
    g_string_truncate (harness->log, 0);
    harness_add (harness, "test-careless");
    if (i < 2)
      harness_assert_state (harness, "test-careless", CH_PLUGIN_FOUND, "");
    harness_advance (harness, 60000);
  }
  harness_assert_state (harness, "test-careless", CH_PLUGIN_QUARANTINED,
                        "crashed three times");
  g_assert_false (ch_plugins_start (harness->plugins, "test-careless", &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_QUARANTINED);
  g_clear_error (&error);
  start_plugin (harness, "test-good"); /* the rest of the system comes up */

  harness_restart (harness); /* it stays so */
  harness_add (harness, "test-careless");
  harness_assert_state (harness, "test-careless", CH_PLUGIN_QUARANTINED, "");
  g_assert_true (ch_plugins_restart (harness->plugins, "test-careless", &error));
  g_assert_no_error (error);
  harness_assert_state (harness, "test-careless", CH_PLUGIN_RUNNING, "");
}

#define ADD(path, func)                                                                  \
  g_test_add ("/plugins/" path, Harness, NULL, harness_setup, func, harness_teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("traffic", test_traffic);
  ADD ("stop-in-answer", test_stop_in_answer);
  ADD ("stop-on-stack", test_stop_on_stack);
  ADD ("stop-by-event", test_stop_by_event);
  ADD ("free-while-waiting", test_free_while_waiting);
  ADD ("leaks", test_leaks);
  ADD ("slow", test_slow);
  ADD ("crash", test_crash);
  return g_test_run ();
}
