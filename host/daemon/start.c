/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The nine phases of the start (gateway 2.14); listeners for devices come last. */
#include "base/config-private.h"
#include "base/log-private.h"
#include "base/metrics-private.h"
#include "bus/bus.h"
#include "ch-build.h"
#include "core/core.h"
#include "daemon/daemon.h"
#include "dbus/dbus.h"
#include "http/http.h"
#include "kv/kv.h"
#include "net/gateway.h"
#include "plugin/plugins.h"
#include "store/store.h"
#include <chargehost/json.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_AGAIN_MS 250
#define LEAVE_MS 2000

static const char *const EMBEDDED[] = {"store-sqlite", "kv-memory", "proto-bkv", NULL};
static const char *const PRODUCTION[] = {"store-pgsql", "kv-redis", "proto-bkv", NULL};

/* ---- before the phases ---- */

static gboolean is_production (ChDaemon *daemon)
{
  return g_str_equal (ch_config_get_string (daemon->services.config, "profile"),
                      "production");
}

const char *const *ch_daemon_wanted_plugins (ChDaemon *daemon)
{
  ChConfig *config = daemon->services.config;
  if (ch_config_get_is_set (config, "plugins.start"))
    return ch_config_get_list (config, "plugins.start");
  return is_production (daemon) ? PRODUCTION : EMBEDDED;
}

static gboolean make_state_dir (ChDaemon *daemon, GError **error)
{
  daemon->state_dir
      = g_strdup (ch_config_get_string (daemon->services.config, "app.state_dir"));
  if (g_mkdir_with_parents (daemon->state_dir, 0700) == 0
      && access (daemon->state_dir, W_OK | X_OK) == 0)
    return TRUE;
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO,
               "the state directory %s cannot be used: %s (key app.state_dir)",
               daemon->state_dir, g_strerror (errno));
  return FALSE;
}

static void name_server (ChDaemon *daemon)
{
  const char *id = ch_config_get_string (daemon->services.config, "server.id");
  if (id != NULL && *id != '\0')
    g_strlcpy (daemon->services.server_id, id, sizeof daemon->services.server_id);
  else
    g_snprintf (daemon->services.server_id, sizeof daemon->services.server_id,
                "chargehost-%.40s-%08x", g_get_host_name (), g_random_int ());
}

/* Plugins declare keys, so they are found and loaded before all keys can be checked. */
static gboolean load_plugins (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  s->plugins = ch_plugins_new (s, daemon->state_dir);
  ch_plugins_set_protocol_keys (s->plugins, ch_gateway_property_keys ());
  ch_plugins_scan_configured (s->plugins);
  return ch_plugins_load_list (s->plugins, ch_daemon_wanted_plugins (daemon),
                               ch_config_get_list (s->config, "plugins.required"), error)
         && ch_daemon_load_stores (daemon, error);
}

static void phase (ChDaemon *daemon, guint number, const char *what)
{
  daemon->services.phase = number;
  ch_debug (daemon->self, "phase %u: %s, %" G_GINT64_FORMAT " ms after the start", number,
            what, (g_get_monotonic_time () - daemon->started_us) / 1000);
  ch_notify ("STATUS=%s", what);
}

/* ---- the phases ---- */

static const ChField STATE_FIELDS[] = {
    CH_FIELD (ChStateChangedEvent, name, CH_FIELD_STRING, NULL),
    CH_FIELD (ChStateChangedEvent, old_value, CH_FIELD_STRING, NULL),
    CH_FIELD (ChStateChangedEvent, new_value, CH_FIELD_STRING, NULL),
    {.name = NULL},
};
static const ChField RELOAD_FIELDS[] = {
    CH_FIELD (ChConfigReloadedEvent, keys, CH_FIELD_STRING, NULL),
    CH_FIELD (ChConfigReloadedEvent, by, CH_FIELD_STRING, NULL),
    {.name = NULL},
};
static const ChTopic OVERLOAD_TOPIC = {
    .size = sizeof (ChTopic),
    .name = "overload.changed",
    .event_size = sizeof (ChStateChangedEvent),
    .fields = STATE_FIELDS,
    .lane = CH_LANE_STATE,
    .summary = "The overload level changed.",
};
static const ChTopic RELOAD_TOPIC = {
    .size = sizeof (ChTopic),
    .name = "config.reloaded",
    .event_size = sizeof (ChConfigReloadedEvent),
    .fields = RELOAD_FIELDS,
    .lane = CH_LANE_STATE,
    .summary = "A changed configuration was accepted.",
};

static void drain_bus (ChPlugin *self, gpointer data)
{
  if (ch_bus_drain (self->services->bus, 1000) > 0)
    ch_timer_add (self, 0, drain_bus, NULL);
}

static void wake_bus (gpointer data)
{
  ChDaemon *daemon = data;
  ch_timer_add (daemon->self, 0, drain_bus, NULL);
}

static void bus_pressure (gboolean on, gpointer data)
{
  ChDaemon *daemon = data;
  if (daemon->services.gateway != NULL)
    ch_gateway_pause_all (daemon->services.gateway, on);
}

/* 1: metrics, reactor, bus, gateway, core: all that needs nobody else. */
static gboolean start_base (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  ch_log_set_name (ch_config_get_string (s->config, "app.name"));
  if (!ch_log_apply_config (s->config, error))
    return FALSE;
  name_server (daemon);
  ch_reactor_raise_fd_limit ();
  s->reactor = ch_reactor_new (s, NULL, error);
  if (s->reactor == NULL)
    return FALSE;
  s->bus = ch_bus_new (s);
  ch_bus_set_wake (s->bus, wake_bus, daemon);
  ch_bus_set_pressure (s->bus, bus_pressure, daemon);
  ch_metrics_add_process (daemon->self);
  daemon->overload_topic = ch_topic_register (daemon->self, &OVERLOAD_TOPIC, error);
  if (daemon->overload_topic == NULL)
    return FALSE;
  daemon->config_topic = ch_topic_register (daemon->self, &RELOAD_TOPIC, error);
  if (daemon->config_topic == NULL)
    return FALSE;
  s->gateway = ch_gateway_new (s);
  s->kv = s->kv != NULL ? s->kv : ch_kv_new (s);
  s->store = ch_store_new (s);
  ch_store_set_auto_migrate (s->store, !is_production (daemon));
  ch_core_new (s);
  return TRUE;
}

/* Starts the first wanted plugin that is a driver of this kind. */
static gboolean start_driver (ChDaemon *daemon, const char *prefix, GError **error)
{
  const char *const *names = ch_daemon_wanted_plugins (daemon);
  for (guint i = 0; names[i] != NULL; i++)
    if (g_str_has_prefix (names[i], prefix))
      return ch_plugins_start (daemon->services.plugins, names[i], error);
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE,
               "plugins.start names no %s* plugin: one is needed", prefix);
  return FALSE;
}

static void waited_enough (ChPlugin *self, gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* F1: a kv that is another process has some time to come up; without it the daemon does
   not run, or only for what needs no devices. */
static gboolean wait_for_kv (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  gint64 retry_s = ch_config_get_int (s->config, "startup.retry_s");
  gboolean enough = FALSE;

  if (ch_kv_up (s->kv))
    return TRUE;
  ChTimer limit
      = ch_timer_add (daemon->self, (guint64) retry_s * 1000, waited_enough, &enough);
  while (!ch_kv_up (s->kv) && !enough)
    g_main_context_iteration (NULL, TRUE);
  ch_timer_cancel (daemon->self, &limit);
  if (ch_kv_up (s->kv))
    return TRUE;
  if (!ch_config_get_bool (s->config, "redis.required")) {
    ch_warning (daemon->self, "no kv within %" G_GINT64_FORMAT " s: going on without",
                retry_s);
    return TRUE;
  }
  g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE,
               "the kv %s was not there within %" G_GINT64_FORMAT
               " s (keys redis.url, startup.retry_s; redis.required false goes without)",
               ch_kv_driver_name (s->kv), retry_s);
  return FALSE;
}

/* 2 and 3: kv, sessions. */
static gboolean start_kv (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  const ChKvDriver *driver = NULL;
  if (!start_driver (daemon, "kv-", error))
    return FALSE;
  ChPlugin *plugin = ch_plugins_find_kv (s->plugins, &driver);
  if (plugin == NULL || !ch_kv_open (s->kv, plugin, driver, error)
      || !wait_for_kv (daemon, error))
    return FALSE;
  ch_plugins_provide (s->plugins, "kv");
  phase (daemon, 3, "sessions");
  return ch_core_open_sessions (s->core, error);
}

/* Others must not take this process for an instance that has died. */
static void leave (ChDaemon *daemon)
{
  ChServices *s = &daemon->services;
  gboolean enough = FALSE;

  ch_core_flush (s->core);
  ChTimer limit = ch_timer_add (daemon->self, LEAVE_MS, waited_enough, &enough);
  while (ch_kv_up (s->kv) && ch_kv_pending (s->kv) > 0 && !enough)
    g_main_context_iteration (NULL, TRUE);
  ch_timer_cancel (daemon->self, &limit);
}

/* It runs for good, not for one thing that somebody waits for. */
static gboolean is_service (const ChDaemon *daemon)
{
  const ChOptions *o = &daemon->options;
  return o->key_name == NULL && !o->migrate_only && !o->migrate_check
         && o->copy_to == NULL;
}

static void pause_start (ChDaemon *daemon, guint64 delay_ms)
{
  gboolean enough = FALSE;
  ch_timer_add (daemon->self, delay_ms, waited_enough, &enough);
  while (!enough)
    g_main_context_iteration (NULL, TRUE);
}

/* A database that is another process has some time to come up, as the kv has; whoever
   waits for an answer on a terminal is told at once. */
static gboolean open_store (ChDaemon *daemon, ChPlugin *plugin,
                            const ChStoreDriver *driver, GError **error)
{
  ChServices *s = &daemon->services;
  gint64 retry_s = ch_config_get_int (s->config, "startup.retry_s");
  gint64 until_ms = ch_now_ms (daemon->self) + retry_s * 1000;
  gboolean is_told = FALSE;

  for (;;) {
    g_autoptr (GError) problem = NULL;
    if (ch_store_open (s->store, plugin, driver, &problem))
      return TRUE;
    if (!g_error_matches (problem, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE)
        || !is_service (daemon) || ch_now_ms (daemon->self) >= until_ms) {
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
    if (!is_told)
      ch_warning (daemon->self, "the store is not there yet, waiting for it: %s",
                  problem->message);
    is_told = TRUE;
    pause_start (daemon, STORE_AGAIN_MS);
  }
}

/* 4: store and migrations. */
static gboolean start_store (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  const ChStoreDriver *driver = NULL;
  if (!start_driver (daemon, "store-", error))
    return FALSE;
  ChPlugin *plugin = ch_plugins_find_store (s->plugins, &driver);
  ch_daemon_expect_database (daemon);
  if (plugin == NULL || !open_store (daemon, plugin, driver, error))
    return FALSE;
  ch_plugins_provide (s->plugins, "store");
  s->http = s->http != NULL ? s->http : ch_http_new (s);
  if (!ch_core_open_store (s->core, error) || !ch_http_open (s->http, error))
    return FALSE;
  ch_daemon_remember_database (daemon);
  return TRUE;
}

static gboolean start_services (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  static const ChDbusDaemon table = {
      .shutdown = (void (*) (gpointer)) ch_daemon_stop,
      .drain = (void (*) (gpointer, gboolean)) ch_daemon_drain,
      .reload_config = (gboolean (*) (gpointer, GError **)) ch_daemon_reload,
  };

  phase (daemon, 5, "plugins");
  ch_plugins_provide (s->plugins, "core");
  if (!ch_plugins_start_list (s->plugins, ch_daemon_wanted_plugins (daemon),
                              ch_config_get_list (s->config, "plugins.required"), error))
    return FALSE;
  phase (daemon, 6, "http");
  if (!ch_http_listen (s->http, error))
    return FALSE;
  s->dbus = ch_dbus_new (s);
  ch_dbus_set_daemon (s->dbus, &table, daemon);
  ch_http_set_daemon (s->http, table.drain, daemon);
  ch_http_set_reconfigured (
      s->http, (void (*) (gpointer, char **, const char *)) ch_daemon_reconfigured,
      daemon);
  ch_dbus_open (s->dbus);
  phase (daemon, 7, "commands");
  ch_core_start_outbound (s->core);
  phase (daemon, 8, "monitors");
  ch_core_start_monitors (s->core);
  phase (daemon, 9, "listeners");
  return ch_gateway_listen (s->gateway, error);
}

static void announce (ChDaemon *daemon)
{
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (daemon->services.gateway);
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < addresses->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "",
                            (const char *) g_ptr_array_index (addresses, i));
  ch_notice (daemon->self,
             "chargehost %s ready after %" G_GINT64_FORMAT
             " ms: devices on %s, REST on %s, server %s",
             CH_VERSION, (g_get_monotonic_time () - daemon->started_us) / 1000, text->str,
             ch_http_url (daemon->services.http), daemon->services.server_id);
  if (!ch_http_has_keys (daemon->services.http))
    ch_warning (daemon->self, "no API key yet: REST answers only health; make one with "
                              "'chargehostctl key create NAME'");
  ch_notify ("READY=1\nSTATUS=Devices on %s", text->str);
}

static void key_created (const char *key_id, const char *key, const GError *error,
                         gpointer data)
{
  ChDaemon *daemon = data;
  if (error != NULL) {
    g_printerr ("chargehostd: %s\n", error->message);
    daemon->exit_status = 1;
  } else
    g_print ("%s\n", key);
  g_main_loop_quit (daemon->loop);
}

static void create_key (ChDaemon *daemon)
{
  const char *scopes = daemon->options.key_scopes;
  ch_http_key_create (daemon->services.http, daemon->options.key_name,
                      scopes != NULL ? scopes : "read,control", key_created, daemon);
  g_main_loop_run (daemon->loop);
}

/* About the configuration: any user may ask, and nothing is written. */
static gboolean only_tells (const ChDaemon *daemon)
{
  const ChOptions *o = &daemon->options;
  return o->check_config || o->print_config || o->describe_config;
}

/* For people the default file, for programs all that is declared. */
static void tell_config (ChDaemon *daemon)
{
  ChConfig *config = daemon->services.config;
  if (daemon->options.check_config) {
    g_print ("The configuration is good.\n");
    return;
  }
  if (daemon->options.print_config) {
    g_autofree char *text = ch_config_default_file (config);
    fputs (text, stdout);
    return;
  }
  g_autoptr (json_t) keys = ch_config_describe (config);
  json_dumpf (keys, stdout, JSON_INDENT (1) | JSON_REAL_PRECISION (15));
  fputc ('\n', stdout);
}

gboolean ch_daemon_start (ChDaemon *daemon, GError **error)
{
  ChServices *s = &daemon->services;
  /* Sections of plugins are not known yet: a first, lenient look at the host's keys. */
  static const char *const everything[] = {"*", NULL};

  s->kv = ch_kv_new (s); /* declares its keys */
  if (!ch_config_resolve (s->config, everything, error)
      || (!only_tells (daemon) && !make_state_dir (daemon, error))
      || !load_plugins (daemon, error))
    return FALSE;
  g_auto (GStrv) unloaded = ch_plugins_unloaded (s->plugins);
  if (!ch_config_resolve (s->config, (const char *const *) unloaded, error))
    return FALSE;
  if (only_tells (daemon)) {
    if (daemon->options.check_config && daemon->options.workers > 0
        && !ch_workers_check (daemon, error))
      return FALSE;
    tell_config (daemon);
    return TRUE;
  }
  phase (daemon, 1, "metrics");
  if (!is_service (daemon) && !ch_daemon_is_right_user (daemon, error))
    return FALSE;
  if (!start_base (daemon, error))
    return FALSE;
  if (ch_daemon_wants_tables (daemon))
    return ch_daemon_do_tables (daemon, error);
  phase (daemon, 2, "kv");
  if (!start_kv (daemon, error))
    return FALSE;
  phase (daemon, 4, "store");
  if (!start_store (daemon, error))
    return FALSE;
  if (daemon->options.key_name != NULL) {
    create_key (daemon);
    leave (daemon);
    return TRUE;
  }
  if (!start_services (daemon, error))
    return FALSE;
  s->fail = (void (*) (gpointer, const char *)) ch_daemon_fail;
  s->fail_data = daemon;
  daemon->state = CH_DAEMON_RUNNING;
  ch_daemon_watch_signals (daemon); /* who hears of it may end it at once */
  announce (daemon);
  return TRUE;
}
