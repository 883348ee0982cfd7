/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.chargehost.Plugin1 objects under an ObjectManager. */
#include "dbus/dbus-private.h"
#include "plugin/plugins.h"

static char *path_of (const char *name)
{
  g_autofree char *element = ch_dbus_escape (name);
  return g_strdup_printf (CH_DBUS_PLUGINS "/%s", element);
}

static void show (ChDbusPlugin1 *object, const ChPluginView *view)
{
  static const char *const nothing[] = {NULL};
  ch_dbus_plugin1_set_name (object, view->name);
  ch_dbus_plugin1_set_summary (object, view->summary != NULL ? view->summary : "");
  ch_dbus_plugin1_set_version (object, view->version != NULL ? view->version : "");
  ch_dbus_plugin1_set_state (object, ch_plugin_state_name (view->state));
  ch_dbus_plugin1_set_error (object, view->reason != NULL ? view->reason : "");
  ch_dbus_plugin1_set_provides (object,
                                view->provides != NULL ? view->provides : nothing);
  ch_dbus_plugin1_set_path (object, view->path != NULL ? view->path : "");
  ch_dbus_plugin1_set_generation (object, view->generation);
}

/* ---- methods ---- */

typedef gboolean (*Action) (ChPlugins *plugins, const char *name, GError **error);

typedef struct {
  char *name;
  Action action;
} Wish;

static void wish_free (gpointer data)
{
  Wish *wish = data;
  g_free (wish->name);
  g_free (wish);
}

static void act (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  Wish *wish = data;
  g_autoptr (GError) error = NULL;
  if (wish->action (dbus->services->plugins, wish->name, &error)) {
    ch_dbus_audit (dbus, invocation, wish->name);
    g_dbus_method_invocation_return_value (invocation, NULL);
  } else
    ch_dbus_return_error (invocation, error);
  wish_free (wish);
}

static gboolean on_method (ChDbusPlugin1 *object, GDBusMethodInvocation *invocation,
                           ChDbus *dbus)
{
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  Wish *wish = g_new0 (Wish, 1);
  wish->name = g_strdup (ch_dbus_plugin1_get_name (object));
  wish->action = g_str_equal (method, "Start")  ? ch_plugins_start
                 : g_str_equal (method, "Stop") ? ch_plugins_stop
                                                : ch_plugins_restart;
  ch_dbus_authorize (dbus, invocation, CH_DBUS_CHANGE, act, wish, wish_free);
  return TRUE;
}

/* ---- coming and going ---- */

static void add (ChDbus *dbus, const ChPluginView *view)
{
  g_autofree char *path = path_of (view->name);
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (path);
  g_autoptr (ChDbusPlugin1) plugin = ch_dbus_plugin1_skeleton_new ();

  show (plugin, view);
  g_signal_connect (plugin, "handle-start", G_CALLBACK (on_method), dbus);
  g_signal_connect (plugin, "handle-stop", G_CALLBACK (on_method), dbus);
  g_signal_connect (plugin, "handle-reload", G_CALLBACK (on_method), dbus);
  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (plugin));
  g_dbus_object_manager_server_export (dbus->plugins, object);
}

/* Heard of on the bus of events; the registry's own hook belongs to nobody here. */
void ch_dbus_plugin_changed (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                             gpointer data)
{
  ChDbus *dbus = data;
  const ChPluginChangedEvent *change = (const ChPluginChangedEvent *) event;
  ChPluginView view;
  g_autofree char *path = path_of (change->plugin);

  if (dbus->plugins == NULL
      || !ch_plugins_view (dbus->services->plugins, change->plugin, &view))
    return;
  g_autoptr (GDBusInterface) interface = g_dbus_object_manager_get_interface (
      G_DBUS_OBJECT_MANAGER (dbus->plugins), path, "org.chargehost.Plugin1");
  if (interface != NULL)
    show (CH_DBUS_PLUGIN1 (interface), &view);
  else
    add (dbus, &view);
}

void ch_dbus_export_plugins (ChDbus *dbus)
{
  g_autoptr (GPtrArray) names = ch_plugins_names (dbus->services->plugins);
  dbus->plugins = g_dbus_object_manager_server_new (CH_DBUS_PLUGINS);
  for (guint i = 0; i < names->len; i++) {
    ChPluginView view;
    if (ch_plugins_view (dbus->services->plugins, g_ptr_array_index (names, i), &view))
      add (dbus, &view);
  }
  g_dbus_object_manager_server_set_connection (dbus->plugins, dbus->connection);
}

void ch_dbus_unexport_plugins (ChDbus *dbus)
{
  if (dbus->plugins != NULL)
    g_dbus_object_manager_server_set_connection (dbus->plugins, NULL);
  g_clear_object (&dbus->plugins);
}
