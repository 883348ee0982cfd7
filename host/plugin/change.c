/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of state: made by the table only, with a reason, and told to everybody. */
#include "base/clock-private.h"
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/events.h>
#include <chargehost/log.h>

static const ChField changed_fields[] = {
    CH_FIELD (ChPluginChangedEvent, plugin, CH_FIELD_STRING, NULL),
    {.name = "old",
     .kind = CH_FIELD_STRING,
     .offset = G_STRUCT_OFFSET (ChPluginChangedEvent, old_state),
     .size = sizeof (((ChPluginChangedEvent *) 0)->old_state)},
    {.name = "new",
     .kind = CH_FIELD_STRING,
     .offset = G_STRUCT_OFFSET (ChPluginChangedEvent, new_state),
     .size = sizeof (((ChPluginChangedEvent *) 0)->new_state)},
    CH_FIELD (ChPluginChangedEvent, reason, CH_FIELD_STRING, NULL),
    {.name = NULL},
};

static const ChTopic changed_topic = {
    .size = sizeof (ChTopic),
    .name = "plugin.changed",
    .event_size = sizeof (ChPluginChangedEvent),
    .fields = changed_fields,
    .lane = CH_LANE_STATE,
    .summary = "A plugin is in another state",
};

void ch_plugins_register_topic (ChPlugins *plugins)
{
  g_autoptr (GError) error = NULL;

  if (plugins->changed_topic != NULL || plugins->services->bus == NULL)
    return;
  plugins->changed_topic = ch_topic_register (plugins->host, &changed_topic, &error);
  if (plugins->changed_topic == NULL)
    ch_error (plugins->host, "%s", error->message);
}

static void publish (ChPluginRecord *record, ChPluginState old)
{
  ChPlugins *plugins = record->plugins;
  ChPluginChangedEvent event = {.event = {.socket_no = -1, .port_no = -1}};

  ch_plugins_register_topic (plugins);
  if (plugins->changed_topic == NULL || !ch_topic_is_heard (plugins->changed_topic))
    return;
  event.event.time_ms = ch_clock_wall_ms (plugins->services->clock);
  g_strlcpy (event.plugin, record->name, sizeof event.plugin);
  g_strlcpy (event.old_state, ch_plugin_state_name (old), sizeof event.old_state);
  g_strlcpy (event.new_state, ch_plugin_state_name (record->state),
             sizeof event.new_state);
  g_strlcpy (event.reason, record->reason, sizeof event.reason);
  ch_publish (plugins->changed_topic, &event.event);
}

static ChLogLevel level_of (ChPluginState state)
{
  switch (state) {
  case CH_PLUGIN_BLOCKED:
  case CH_PLUGIN_FAILED:
  case CH_PLUGIN_QUARANTINED:
    return CH_LOG_ERROR;
  case CH_PLUGIN_DEGRADED:
    return CH_LOG_WARNING;
  case CH_PLUGIN_RUNNING:
  case CH_PLUGIN_STOPPED:
    return CH_LOG_NOTICE;
  case CH_PLUGIN_FOUND:
  case CH_PLUGIN_LOADED:
  case CH_PLUGIN_STARTING:
  case CH_PLUGIN_STOPPING:
  default:
    return CH_LOG_DEBUG;
  }
}

gboolean ch_plugins_step (ChPluginRecord *record, ChPluginEvent event, const char *reason)
{
  ChPlugins *plugins = record->plugins;
  ChPluginState old = record->state, next;
  gboolean same_reason = g_str_equal (record->reason, reason);

  if (!ch_plugin_state_step (old, event, &next))
    return FALSE;
  record->state = next;
  if (!same_reason) {
    g_free (record->reason);
    record->reason = g_utf8_make_valid (reason, -1);
  }
  if (next == old && same_reason)
    return TRUE;
  ch_log (plugins->host, level_of (next), NULL, "plugin %s is %s%s%s", record->name,
          ch_plugin_state_name (next), *reason != '\0' ? ": " : "", reason);
  publish (record, old);
  if (plugins->changed != NULL) {
    ChPluginView view;
    ch_plugins_view (plugins, record->name, &view);
    plugins->changed (&view, old, plugins->changed_data);
  }
  return TRUE;
}

void ch_plugins_refuse (ChPluginRecord *record, ChPluginEvent event, GError *problem,
                        GError **error)
{
  g_clear_error (&record->error);
  record->error = problem;
  if (error != NULL)
    *error = g_error_copy (problem);
  ch_plugins_step (record, event, problem->message);
}

gboolean ch_plugins_impossible (const ChPluginRecord *record, const char *what,
                                GError **error)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE,
               "%s cannot be %s: it is %s%s%s", record->name, what,
               ch_plugin_state_name (record->state), *record->reason != '\0' ? ", " : "",
               record->reason);
  return FALSE;
}
