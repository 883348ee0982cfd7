/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <glib/gstdio.h>
#include <string.h>

static const ChTopic poked_topic = {
    .size = sizeof (ChTopic),
    .name = "test.poked",
    .event_size = sizeof (PokeEvent),
    .fields = (const ChField[]) {{.name = NULL}},
    .lane = CH_LANE_STATE,
    .summary = "the test asks for something",
};

static void on_heard (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                      gpointer user_data)
{
  Harness *harness = user_data;
  harness->heard = *(const HeardEvent *) event;
  harness->answers++;
}

static void on_changed (const ChPluginView *view, ChPluginState old, gpointer data)
{
  Harness *harness = data;
  g_string_append_printf (harness->changes, "%s:%s>%s ", view->name,
                          ch_plugin_state_name (old), ch_plugin_state_name (view->state));
}

static void on_line (ChLogLevel level, const char *line, gpointer data)
{
  Harness *harness = data;
  if (level <= CH_LOG_WARNING)
    g_string_append_printf (harness->log, "%s\n", line);
  g_test_message ("%s", line);
}

static void open_registry (Harness *harness)
{
  harness->plugins = harness->services.plugins
      = ch_plugins_new (&harness->services, harness->state_dir);
  ch_plugins_set_changed (harness->plugins, on_changed, harness);
}

void harness_setup (Harness *harness, gconstpointer data)
{
  ChServices *services = &harness->services;
  g_autoptr (GError) error = NULL;

  harness->log = g_string_new (NULL);
  harness->changes = g_string_new (NULL);
  ch_log_set_sink (on_line, harness);
  harness->context = g_main_context_ref (g_main_context_default ());
  if (harness->state_dir == NULL)
    harness->state_dir = g_dir_make_tmp ("ch-plugins-XXXXXX", &error);
  g_assert_no_error (error);
  services->clock = ch_clock_new_fake (1700000000000);
  services->config = ch_config_new ();
  ch_config_declare (services->config, "plugins", ch_plugins_config);
  ch_config_declare (services->config, "bus", ch_bus_config);
  ch_config_declare (services->config, "", ch_gateway_config);
  g_assert_true (ch_config_resolve (services->config, NULL, &error));
  services->metrics = ch_metrics_new ();
  services->runner = ch_runner_new ();
  services->replies = ch_replies_new ();
  services->reactor = ch_reactor_new (services, harness->context, &error);
  g_assert_no_error (error);
  services->gateway = ch_gateway_new (services);
  open_registry (harness);
  services->bus = ch_bus_new (services); /* after the registry, as in the daemon */
  harness->tester = ch_owner_new (services, "tester", NULL);
  harness->poked = ch_topic_register (harness->tester, &poked_topic, &error);
  g_assert_no_error (error);
  ch_subscribe (harness->tester, "good.heard", NULL, on_heard, harness);
}

static void remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *child = g_build_filename (path, name, NULL);
    remove_tree (child);
  }
  g_remove (path);
}

void harness_teardown (Harness *harness, gconstpointer data)
{
  ChServices *services = &harness->services;

  ch_plugins_free (harness->plugins);
  ch_owner_free (harness->tester);
  ch_gateway_free (services->gateway);
  ch_reactor_free (services->reactor);
  ch_bus_free (services->bus);
  ch_replies_free (services->replies);
  ch_runner_free (services->runner);
  ch_metrics_free (services->metrics);
  ch_config_free (services->config);
  ch_clock_free (services->clock);
  g_main_context_unref (harness->context);
  remove_tree (harness->state_dir);
  g_free (harness->state_dir);
  g_string_free (harness->changes, TRUE);
  ch_log_set_sink (NULL, NULL);
  g_string_free (harness->log, TRUE);
}

void harness_restart (Harness *harness)
{
  ch_plugins_free (harness->plugins);
  open_registry (harness);
}

void harness_turn (Harness *harness)
{
  for (guint i = 0; i < 10 && g_main_context_iteration (harness->context, FALSE); i++)
    continue;
}

void harness_advance (Harness *harness, gint64 ms)
{
  ch_clock_advance_ms (harness->services.clock, ms);
  ch_wheel_run (harness->services.reactor);
}

void harness_poke (Harness *harness, gint number)
{
  PokeEvent poke = {.event = {.socket_no = -1, .port_no = -1}, .number = number};
  ch_publish (harness->poked, &poke.event);
}

char *harness_path (const char *name)
{
  const char *build = g_getenv ("CHARGEHOST_TEST_BUILD");
  g_autofree char *file = g_strconcat (name, ".so", NULL);
  g_assert_nonnull (build);
  return g_build_filename (build, "tests", "plugins", file, NULL);
}

void harness_add (Harness *harness, const char *name)
{
  g_autofree char *path = harness_path (name);
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_plugins_add_file (harness->plugins, path, &error));
  g_assert_no_error (error);
}

void harness_assert_state (Harness *harness, const char *name, ChPluginState state,
                           const char *reason_part)
{
  ChPluginView view;
  g_assert_true (ch_plugins_view (harness->plugins, name, &view));
  g_assert_cmpstr (ch_plugin_state_name (view.state), ==, ch_plugin_state_name (state));
  if (strstr (view.reason, reason_part) == NULL)
    g_assert_cmpstr (view.reason, ==, reason_part);
}
