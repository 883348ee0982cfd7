/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as they happen. */
#include "ctl/ctl.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  Ctl *ctl;
  GMainLoop *loop;
  char *name; /* of the daemon on the bus */
  const char *const *patterns;
  const char *device;
  CtlExit status;
} Monitor;

static void print_human (const char *topic, const char *device, json_t *fields)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *time = g_date_time_format (now, "%H:%M:%S");
  const char *key;
  json_t *value;

  ctl_print ("%s  %-18s %-15s", time, topic, device);
  json_object_foreach (fields, key, value)
  {
    if (g_str_equal (key, "time") || g_str_equal (key, "device_id"))
      continue;
    g_autofree char *text
        = json_is_string (value)
              ? g_strdup (json_string_value (value))
              : json_dumps (value, JSON_ENCODE_ANY | JSON_REAL_PRECISION (6));
    g_autofree char *clean = ctl_clean (text);
    ctl_print (" %s=%s", key, clean);
  }
  ctl_print ("\n");
}

static void on_event (GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *signal, GVariant *parameters,
                      gpointer data)
{
  Monitor *monitor = data;
  const char *topic, *device, *key;
  GVariantIter *iter;
  GVariant *value;
  json_t *fields = json_object ();

  g_variant_get (parameters, "(&s&sa{sv})", &topic, &device, &iter);
  while (g_variant_iter_loop (iter, "{&sv}", &key, &value))
    json_object_set_new (fields, key, ctl_variant_json (value));
  g_variant_iter_free (iter);
  if (monitor->ctl->json) {
    json_t *line = json_pack ("{s:s, s:s, s:o}", "topic", topic, "device_id", device,
                              "fields", json_incref (fields));
    char *text = json_dumps (line, JSON_COMPACT | JSON_REAL_PRECISION (15));
    ctl_print ("%s\n", text);
    free (text);
    json_decref (line);
  } else
    print_human (topic, device, fields);
  json_decref (fields);
  if (!ctl_flush ())
    g_main_loop_quit (monitor->loop);
}

static gboolean on_signal (gpointer data)
{
  Monitor *monitor = data;
  g_main_loop_quit (monitor->loop);
  return G_SOURCE_CONTINUE;
}

static void subscribe (Monitor *monitor)
{
  const char *const *pattern = monitor->patterns;
  for (; *pattern != NULL && monitor->status == CTL_OK; pattern++) {
    g_autoptr (GVariant) answer = ctl_call (
        monitor->ctl, CTL_HOST, NULL, "Subscribe",
        g_variant_new ("(ss)", *pattern, monitor->device), NULL, &monitor->status);
  }
}

static void on_owner (GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *signal, GVariant *parameters,
                      gpointer data)
{
  Monitor *monitor = data;
  const char *name, *owner;
  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &owner);
  if (!g_str_equal (name, monitor->name))
    return;
  if (*owner != '\0') { /* another instance has it now, and knows nothing of us */
    subscribe (monitor);
  } else {
    g_printerr ("chargehostctl: chargehostd has left the bus\n");
    monitor->status = CTL_NO_HOST;
  }
  if (monitor->status != CTL_OK)
    g_main_loop_quit (monitor->loop);
}

static void on_closed (GDBusConnection *connection, gboolean vanished, GError *error,
                       gpointer data)
{
  Monitor *monitor = data;
  monitor->status = CTL_NO_HOST;
  g_main_loop_quit (monitor->loop);
}

/* Nobody reads what we write any more: a pager was closed, head has enough. */
static gboolean on_reader_gone (int fd, GIOCondition condition, gpointer data)
{
  Monitor *monitor = data;
  g_main_loop_quit (monitor->loop);
  return G_SOURCE_REMOVE;
}

static void watch_bus (Monitor *monitor)
{
  GDBusConnection *connection = monitor->ctl->connection;
  g_dbus_connection_set_exit_on_close (connection, FALSE);
  g_dbus_connection_signal_subscribe (connection, NULL, "org.chargehost.Host1", "Event",
                                      "/org/chargehost", NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                      on_event, monitor, NULL);
  g_dbus_connection_signal_subscribe (connection, "org.freedesktop.DBus",
                                      "org.freedesktop.DBus", "NameOwnerChanged",
                                      "/org/freedesktop/DBus", monitor->name,
                                      G_DBUS_SIGNAL_FLAGS_NONE, on_owner, monitor, NULL);
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), monitor);
}

/* Events of all @patterns until a signal, the end of the daemon or of the reader. */
static CtlExit follow (Ctl *ctl, const char *const *patterns, const char *device)
{
  Monitor monitor = {.ctl = ctl, .patterns = patterns, .device = device};
  if (!ctl_connect (ctl, &monitor.status))
    return monitor.status;
  monitor.loop = g_main_loop_new (NULL, FALSE);
  monitor.name = ctl_name (ctl);
  watch_bus (&monitor);
  subscribe (&monitor);
  if (monitor.status == CTL_OK) {
    guint sources[] = {g_unix_signal_add (SIGINT, on_signal, &monitor),
                       g_unix_signal_add (SIGTERM, on_signal, &monitor),
                       g_unix_fd_add (STDOUT_FILENO, G_IO_ERR, on_reader_gone, &monitor)};
    g_main_loop_run (monitor.loop);
    for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
      if (g_main_context_find_source_by_id (NULL, sources[i]) != NULL)
        g_source_remove (sources[i]);
  }
  g_signal_handlers_disconnect_by_data (ctl->connection, &monitor);
  g_main_loop_unref (monitor.loop);
  g_free (monitor.name);
  return monitor.status;
}

CtlExit ctl_monitor (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *device = NULL;
  GOptionEntry entries[] = {
      {"device", 0, 0, G_OPTION_ARG_FILENAME, &device, "Only of one device", "ID"},
      {NULL},
  };
  static const char *const all[] = {"*", NULL};
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return follow (ctl, argc > 1 ? (const char *const *) argv + 1 : all,
                 device != NULL ? device : "");
}

CtlExit ctl_devices_watch (Ctl *ctl, int argc, char **argv)
{
  /* What every local user may see. */
  static const char *const patterns[]
      = {"device.*", "port.*", "topology.*", "alarm.*", NULL};
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return follow (ctl, patterns, argc > 1 ? argv[1] : "");
}
