/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as they happen. */
#include "ctl/ctl.h"

#include <glib-unix.h>
#include <string.h>

typedef struct {
  Ctl *ctl;
  GMainLoop *loop;
  CtlExit status;
} Monitor;

static json_t *value_json (GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return json_string (g_variant_get_string (value, NULL));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    return json_boolean (g_variant_get_boolean (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT32))
    return json_integer (g_variant_get_int32 (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    return json_integer (g_variant_get_int64 (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    return json_integer (g_variant_get_uint32 (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_DOUBLE))
    return json_real (g_variant_get_double (value));
  g_autofree char *text = g_variant_print (value, FALSE);
  return json_string (text);
}

static void print_human (const char *topic, const char *device, json_t *fields)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *time = g_date_time_format (now, "%H:%M:%S");
  const char *key;
  json_t *value;

  g_print ("%s  %-18s %-15s", time, topic, device);
  json_object_foreach (fields, key, value)
  {
    char *text = json_is_string (value)
                     ? NULL
                     : json_dumps (value, JSON_ENCODE_ANY | JSON_REAL_PRECISION (6));
    if (!g_str_equal (key, "time") && !g_str_equal (key, "device_id"))
      g_print (" %s=%s", key, text != NULL ? text : json_string_value (value));
    free (text);
  }
  g_print ("\n");
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
    json_object_set_new (fields, key, value_json (value));
  g_variant_iter_free (iter);
  if (monitor->ctl->json) {
    json_t *line = json_pack ("{s:s, s:s, s:o}", "topic", topic, "device_id", device,
                              "fields", json_incref (fields));
    char *text = json_dumps (line, JSON_COMPACT | JSON_REAL_PRECISION (15));
    g_print ("%s\n", text);
    free (text);
    json_decref (line);
  } else
    print_human (topic, device, fields);
  json_decref (fields);
}

static gboolean on_signal (gpointer data)
{
  Monitor *monitor = data;
  g_main_loop_quit (monitor->loop);
  return G_SOURCE_CONTINUE;
}

static void on_owner (GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *signal, GVariant *parameters,
                      gpointer data)
{
  Monitor *monitor = data;
  const char *name, *owner;
  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &owner);
  if (g_str_equal (name, "org.chargehost.Host1") && *owner == '\0') {
    g_printerr ("chargehostctl: chargehostd has left the bus\n");
    monitor->status = CTL_NO_HOST;
    g_main_loop_quit (monitor->loop);
  }
}

static void on_closed (GDBusConnection *connection, gboolean vanished, GError *error,
                       gpointer data)
{
  Monitor *monitor = data;
  monitor->status = CTL_NO_HOST;
  g_main_loop_quit (monitor->loop);
}

static CtlExit follow (Ctl *ctl, const char *pattern, const char *device)
{
  Monitor monitor = {.ctl = ctl};
  if (!ctl_connect (ctl, &monitor.status))
    return monitor.status;
  g_dbus_connection_set_exit_on_close (ctl->connection, FALSE);
  g_dbus_connection_signal_subscribe (ctl->connection, NULL, "org.chargehost.Host1",
                                      "Event", "/org/chargehost", NULL,
                                      G_DBUS_SIGNAL_FLAGS_NONE, on_event, &monitor, NULL);
  g_dbus_connection_signal_subscribe (ctl->connection, "org.freedesktop.DBus",
                                      "org.freedesktop.DBus", "NameOwnerChanged",
                                      "/org/freedesktop/DBus", "org.chargehost.Host1",
                                      G_DBUS_SIGNAL_FLAGS_NONE, on_owner, &monitor, NULL);
  g_signal_connect (ctl->connection, "closed", G_CALLBACK (on_closed), &monitor);
  g_autoptr (GVariant) answer = ctl_host_call (
      ctl, "Subscribe", g_variant_new ("(ss)", pattern, device), NULL, &monitor.status);
  if (answer == NULL)
    return monitor.status;
  setvbuf (stdout, NULL, _IOLBF, 0);
  monitor.loop = g_main_loop_new (NULL, FALSE);
  g_unix_signal_add (SIGINT, on_signal, &monitor);
  g_unix_signal_add (SIGTERM, on_signal, &monitor);
  g_main_loop_run (monitor.loop);
  g_main_loop_unref (monitor.loop);
  return monitor.status;
}

CtlExit ctl_monitor (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *device = NULL;
  GOptionEntry entries[] = {
      {"device", 0, 0, G_OPTION_ARG_STRING, &device, "only of one device", "ID"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 0, "[TOPIC]");
  if (status != CTL_OK)
    return status;
  return follow (ctl, argc > 1 ? argv[1] : "*", device != NULL ? device : "");
}

CtlExit ctl_devices_watch (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "[DEVICE]");
  if (status != CTL_OK)
    return status;
  return argc > 1 ? follow (ctl, "*", argv[1]) : follow (ctl, "device.*", "");
}
