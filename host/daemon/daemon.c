/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process: its configuration, its parts, its signals. */
#include "daemon/daemon.h"
#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/log-private.h"
#include "base/metrics-private.h"
#include "base/reply.h"
#include "bus/bus.h"
#include "ch-build.h"
#include "core/core.h"
#include "dbus/dbus.h"
#include "http/http.h"
#include "kv/kv.h"
#include "net/gateway.h"
#include "plugin/plugins.h"
#include "store/store.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>

const ChConfigKey ch_daemon_config[] = {
    {.name = "app.name",
     .type = CH_CONFIG_STRING,
     .def = "chargehost",
     .summary = "Name in logs."},
    {.name = "app.env",
     .type = CH_CONFIG_CHOICE,
     .def = "dev",
     .choices = (const char *const[]) {"dev", "test", "production", NULL},
     .summary = "production forbids what is only for development."},
    {.name = "app.state_dir",
     .type = CH_CONFIG_STRING,
     .def = CH_STATE_DIR,
     .summary = "Directory for the database and other state; made with mode 0700."},
    {.name = "profile",
     .type = CH_CONFIG_CHOICE,
     .def = "embedded",
     .choices = (const char *const[]) {"embedded", "production", NULL},
     .summary = "embedded: SQLite and memory; production: PostgreSQL and Redis."},
    {.name = "server.id",
     .type = CH_CONFIG_STRING,
     .aliases = (const char *const[]) {"SERVER_ID", NULL},
     .summary = "Name of this instance; default chargehost-HOST-RANDOM."},
    {.name = "limits.memory_mb",
     .type = CH_CONFIG_INT,
     .def = "0",
     .min = 0,
     .max = 16777216,
     .summary = "Memory from which the overload levels are counted; 0 = off."},
    {.name = "startup.retry_s",
     .type = CH_CONFIG_INT,
     .def = "30",
     .min = 0,
     .max = 3600,
     .summary = "How long to wait for kv and store at the start."},
    {.name = "redis.required",
     .type = CH_CONFIG_BOOL,
     .def = "true",
     .summary = "Whether to give up when Redis is not there at the start."},
    {.name = "shutdown.timeout",
     .type = CH_CONFIG_DURATION_MS,
     .def = "30s",
     .min = 0,
     .max = 600000,
     .summary = "Budget of an orderly stop."},
    {.name = "shutdown.lb_grace",
     .type = CH_CONFIG_DURATION_MS,
     .def = "5s",
     .min = 0,
     .max = 600000,
     .summary = "Time for a balancer to notice that we are not ready."},
    {.name = "shutdown.evict_rate",
     .type = CH_CONFIG_INT,
     .def = "200",
     .min = 1,
     .max = 1000000,
     .summary = "Device connections closed per second when stopping."},
    {.name = NULL},
};

/* ---- configuration ---- */

static void declare_all (ChConfig *config)
{
  ch_config_declare (config, "", ch_daemon_config);
  ch_config_declare (config, "", ch_log_config);
  ch_config_declare (config, "bus", ch_bus_config);
  ch_config_declare (config, "", ch_gateway_config);
  ch_config_declare (config, "plugins", ch_plugins_config);
  ch_config_declare (config, "", ch_store_config);
  ch_config_declare (config, "", ch_core_config);
  ch_config_declare (config, "", ch_http_config);
  ch_config_declare (config, "", ch_dbus_config);
}

static gboolean add_sources (ChDaemon *daemon, GError **error)
{
  ChConfig *config = daemon->services.config;
  const char *path = daemon->options.config_path;
  g_auto (GStrv) environment = g_get_environ ();

  if (path == NULL)
    path = g_environ_getenv (environment, "CHARGEHOST_CONFIG");
  if (path != NULL) {
    if (!ch_config_add_file (config, path, error))
      return FALSE;
  } else if (g_file_test (CH_SYSCONF_DIR "/chargehost.yaml", G_FILE_TEST_EXISTS)
             && !ch_config_add_file (config, CH_SYSCONF_DIR "/chargehost.yaml", error))
    return FALSE;

  g_autofree char *directory
      = path != NULL ? g_path_get_dirname (path) : g_strdup (CH_SYSCONF_DIR);
  g_autofree char *fragments = g_build_filename (directory, "conf.d", NULL);
  if (!ch_config_add_directory (config, fragments, error))
    return FALSE;
  ch_config_set_environment (config, (const char *const *) environment);
  for (char **a = daemon->options.assignments; a != NULL && *a != NULL; a++)
    if (!ch_config_add_option (config, *a, error))
      return FALSE;
  /* Who asks for the tables gets them; who asks for a look changes nothing. */
  if (daemon->options.migrate_only || daemon->options.copy_to != NULL)
    return ch_config_add_option (config, "database.auto_migrate=true", error);
  if (daemon->options.migrate_check)
    return ch_config_add_option (config, "database.auto_migrate=false", error);
  return TRUE;
}

/* Tells everybody which of their keys have changed. */
static gboolean announce (ChDaemon *daemon, char **keys, const char *by, GError **error)
{
  if (!ch_log_apply_config (daemon->services.config, error))
    return FALSE;
  if (daemon->services.gateway != NULL)
    ch_gateway_reconfigure (daemon->services.gateway);
  g_autofree char *names = g_strjoinv (", ", keys);
  ch_notice (daemon->self, "configuration reloaded: %s",
             *names != '\0' ? names : "no change");
  if (daemon->config_topic != NULL && ch_topic_is_heard (daemon->config_topic)) {
    ChConfigReloadedEvent event = {
        .event = {.time_ms = ch_wall_ms (daemon->self), .socket_no = -1, .port_no = -1}};
    g_strlcpy (event.keys, names, sizeof event.keys);
    g_strlcpy (event.by, by, sizeof event.by);
    ch_publish (daemon->config_topic, &event.event);
  }
  return TRUE;
}

void ch_daemon_reconfigured (ChDaemon *daemon, char **keys, const char *by)
{
  g_autoptr (GError) error = NULL;
  if (!announce (daemon, keys, by, &error))
    ch_error (daemon->self, "the log stays as it was: %s", error->message);
}

gboolean ch_daemon_reload (ChDaemon *daemon, GError **error)
{
  ch_notify ("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time ());
  g_auto (GStrv) keys = ch_config_reload (daemon->services.config, error);
  ChMetric *family = ch_metric_register (
      daemon->self, CH_METRIC_COUNTER, "chargehost_config_reload_total",
      "Reloads of the configuration.", (const char *const[]) {"result", NULL});
  ch_series_inc (ch_metric_with (family, keys != NULL ? "ok" : "refused", NULL));
  ch_notify ("READY=1");
  return keys != NULL && announce (daemon, keys, "", error);
}

/* ---- signals ---- */

static gboolean on_stop (gpointer data)
{
  ch_daemon_stop (data);
  return G_SOURCE_CONTINUE;
}

static gboolean on_reload (gpointer data)
{
  ChDaemon *daemon = data;
  g_autoptr (GError) error = NULL;
  if (!ch_daemon_reload (daemon, &error))
    ch_error (daemon->self, "configuration not reloaded, the old one stays: %s",
              error->message);
  return G_SOURCE_CONTINUE;
}

void ch_daemon_watch_signals (ChDaemon *daemon)
{
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    daemon->signals[i] = g_unix_signal_source_new (numbers[i]);
    g_source_set_callback (daemon->signals[i], numbers[i] == SIGHUP ? on_reload : on_stop,
                           daemon, NULL);
    g_source_attach (daemon->signals[i], NULL);
  }
  signal (SIGPIPE, SIG_IGN);
}

/* ---- making and ending ---- */

static void clear (ChDaemon *daemon)
{
  ChServices *s = &daemon->services;

  for (guint i = 0; i < G_N_ELEMENTS (daemon->signals); i++)
    if (daemon->signals[i] != NULL) {
      g_source_destroy (daemon->signals[i]);
      g_source_unref (daemon->signals[i]);
    }
  g_clear_pointer (&s->dbus, ch_dbus_free);
  g_clear_pointer (&s->http, ch_http_free);
  if (s->store != NULL)
    ch_store_close (s->store);
  if (s->core != NULL)
    ch_core_store_closed (s->core);
  if (s->kv != NULL)
    ch_kv_close (s->kv); /* their drivers are plugins: close before these stop */
  if (s->plugins != NULL)
    ch_plugins_stop_all (s->plugins);
  ch_gateway_free (s->gateway); /* its callbacks still look at it */
  s->gateway = NULL;
  g_clear_pointer (&s->core, ch_core_free);
  g_clear_pointer (&s->plugins, ch_plugins_free);
  g_clear_pointer (&s->kv, ch_kv_free);
  g_clear_pointer (&s->store, ch_store_free);
  g_clear_pointer (&daemon->self, ch_owner_free);
  g_clear_pointer (&s->bus, ch_bus_free);
  g_clear_pointer (&s->reactor, ch_reactor_free);
  g_clear_pointer (&s->replies, ch_replies_free);
  g_clear_pointer (&s->runner, ch_runner_free);
  g_clear_pointer (&s->metrics, ch_metrics_free);
  g_clear_pointer (&s->config, ch_config_free);
  g_clear_pointer (&s->clock, ch_clock_free);
  g_clear_pointer (&daemon->loop, g_main_loop_unref);
  g_free (daemon->watch);
  g_free (daemon->state_dir);
  ch_options_clear (&daemon->options);
}

static gboolean prepare (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  s->clock = ch_clock_new ();
  s->runner = ch_runner_new ();
  s->config = ch_config_new ();
  s->metrics = ch_metrics_new ();
  s->replies = ch_replies_new ();
  daemon->self = ch_owner_new (s, "daemon", NULL);
  declare_all (s->config);
  return add_sources (daemon, error);
}

static void fail (ChDaemon *daemon, const GError *error)
{
  /* One clear line; the log may be going elsewhere or not be set up yet. */
  g_printerr ("chargehostd: %s\n", error->message);
  ch_notify ("STATUS=%s\nERRNO=%d", error->message, EINVAL);
  daemon->exit_status = 1;
}

/* Whether this process only runs others that are the instances. */
static gboolean is_supervisor (const ChOptions *options)
{
  return options->workers > 0 && !options->check_config && !options->print_config
         && !options->migrate_only && !options->migrate_check && options->copy_to == NULL
         && options->key_name == NULL;
}

int ch_daemon_main (int argc, char **argv)
{
  g_auto (GStrv) given = g_strdupv (argv); /* the parser takes away what it knows */
  ChDaemon daemon = {.started_us = g_get_monotonic_time ()};
  g_autoptr (GError) error = NULL;
  int exit_status;

  if (!ch_options_parse (&daemon.options, &argc, &argv, &exit_status)) {
    ch_options_clear (&daemon.options);
    return exit_status;
  }
  if (is_supervisor (&daemon.options)) {
    daemon.exit_status
        = prepare (&daemon, &error) ? ch_workers_run (&daemon, given, &error) : 1;
    if (error != NULL)
      fail (&daemon, error);
    clear (&daemon);
    return daemon.exit_status;
  }
  daemon.loop = g_main_loop_new (NULL, FALSE);
  if (!prepare (&daemon, &error) || !ch_daemon_start (&daemon, &error)) {
    fail (&daemon, error);
    clear (&daemon);
    return daemon.exit_status;
  }
  if (daemon.state == CH_DAEMON_RUNNING) {
    ch_daemon_watch (&daemon);
    g_main_loop_run (daemon.loop);
    ch_notice (daemon.self, "stopped");
  }
  clear (&daemon);
  return daemon.exit_status;
}
