/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting and ending one plugin. Each life has a ChPlugin of its own; when it ends,
 * everything it registered is revoked, and its memory goes at the end of the turn, when
 * nothing on the stack knows it any more.
 */
#include "net/gateway.h"
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

static void on_degraded (ChPlugin *self, const char *reason, gpointer user_data)
{
  ChPluginRecord *record = user_data;

  if (record->owner != self)
    return;
  if (reason != NULL)
    ch_plugins_step (record, CH_PLUGIN_EVENT_DEGRADE,
                     *reason != '\0' ? reason : "unknown");
  else
    ch_plugins_step (record, CH_PLUGIN_EVENT_RECOVER, "");
}

void ch_plugins_defer (ChPlugins *plugins)
{
  if (plugins->services->reactor != NULL)
    ch_reactor_defer (plugins->services->reactor, &plugins->later.deferred);
}

static void retire (ChPluginRecord *record)
{
  ChPlugin *owner = g_steal_pointer (&record->owner);

  owner->degraded = NULL;
  ch_owner_revoke_all (owner);
  record->calls += owner->calls;
  record->failures += owner->failures;
  record->slowest_us = MAX (record->slowest_us, owner->slowest_us);
  g_ptr_array_add (record->plugins->retired, owner);
  ch_plugins_defer (record->plugins);
}

static void call_stop (ChPlugin *owner)
{
  ChRunnerFrame frame;

  if (owner->info->stop == NULL || !ch_runner_enter (owner, "stop", &frame))
    return;
  owner->info->stop (owner);
  ch_runner_leave (&frame);
}

static gboolean call_start (ChPlugin *owner, GError **error)
{
  ChRunnerFrame frame;
  GError *problem = NULL;
  gboolean ok = FALSE;

  if (ch_runner_enter (owner, "start", &frame)) {
    ok = owner->info->start (owner, &problem);
    ch_runner_leave (&frame);
  }
  ok = ch_runner_check (owner, "start", ok, &problem);
  if (!ok)
    g_propagate_error (error, problem);
  return ok;
}

/* Bytes reach a protocol only after its start; what it then lacks is its own stop. */
static gboolean add_protocol (ChPlugin *owner, GError **error)
{
  ChGateway *gateway = owner->services->gateway;

  if (owner->info->protocol == NULL || gateway == NULL
      || ch_gateway_add_protocol (gateway, owner, owner->info->protocol, error))
    return TRUE;
  call_stop (owner);
  return FALSE;
}

/* Keys that were declared after the configuration was read get their values now. */
static gboolean resolve_keys (ChPluginRecord *record, GError **error)
{
  ChPlugins *plugins = record->plugins;

  if (!record->unresolved)
    return TRUE;
  g_auto (GStrv) ignored = ch_plugins_unloaded (plugins);
  if (!ch_config_resolve (plugins->services->config, (const char *const *) ignored,
                          error))
    return FALSE;
  record->unresolved = FALSE;
  return TRUE;
}

static void become_running (ChPluginRecord *record)
{
  g_autofree char *degraded = g_strdup (record->reason); /* said while it started */

  ch_plugins_step (record, CH_PLUGIN_EVENT_STARTED, "");
  if (*degraded != '\0')
    ch_plugins_step (record, CH_PLUGIN_EVENT_DEGRADE, degraded);
}

gboolean ch_plugins_run (ChPluginRecord *record, GError **error)
{
  ChPlugins *plugins = record->plugins;
  GError *problem = NULL;

  if (!ch_plugins_step (record, CH_PLUGIN_EVENT_START, ""))
    return ch_plugins_impossible (record, "started", error);
  g_clear_error (&record->error);
  if (!ch_plugins_check_requires (record, &problem) || !resolve_keys (record, &problem)) {
    ch_plugins_refuse (record, CH_PLUGIN_EVENT_FAIL, problem, error);
    return FALSE;
  }
  ChPlugin *owner = ch_owner_new (plugins->services, record->name, record->info);
  owner->degraded = on_degraded;
  owner->degraded_data = record;
  record->owner = owner;
  record->generation++;
  if (!call_start (owner, &problem) || !add_protocol (owner, &problem)) {
    retire (record);
    ch_plugins_refuse (record, CH_PLUGIN_EVENT_FAIL, problem, error);
    return FALSE;
  }
  g_ptr_array_add (plugins->running, record);
  become_running (record);
  return TRUE;
}

void ch_plugins_end (ChPluginRecord *record)
{
  ChPlugin *owner = record->owner;

  record->stop_waits = FALSE;
  if (owner->info->protocol != NULL && owner->services->gateway != NULL)
    ch_gateway_remove_protocol (owner->services->gateway, owner);
  call_stop (owner);
  g_autofree char *left = ch_owner_describe (owner);
  if (*left != '\0')
    ch_debug (owner, "%s left to the host: %s", record->name, left);
  retire (record);
  g_ptr_array_remove (record->plugins->running, record);
  ch_plugins_step (record, CH_PLUGIN_EVENT_STOPPED, "");
}
