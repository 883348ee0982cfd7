/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals of the daemon as they come; events among them. */
#include "ctl/ctl.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  CtlStream stream; /* first */
  const char *const *patterns;
  const char *device;
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

static void on_event (CtlStream *stream, GVariant *parameters)
{
  const char *topic, *device, *key;
  GVariantIter *iter;
  GVariant *value;
  json_t *fields = json_object ();

  g_variant_get (parameters, "(&s&sa{sv})", &topic, &device, &iter);
  while (g_variant_iter_loop (iter, "{&sv}", &key, &value))
    json_object_set_new (fields, key, ctl_variant_json (value));
  g_variant_iter_free (iter);
  if (stream->ctl->json) {
    json_t *line = json_pack ("{s:s, s:s, s:o}", "topic", topic, "device_id", device,
                              "fields", json_incref (fields));
    char *text = json_dumps (line, JSON_COMPACT | JSON_REAL_PRECISION (15));
    ctl_print ("%s\n", text);
    free (text);
    json_decref (line);
  } else
    print_human (topic, device, fields);
  json_decref (fields);
}

static void subscribe (CtlStream *stream)
{
  const Monitor *monitor = (Monitor *) stream;
  const char *const *pattern = monitor->patterns;
  for (; *pattern != NULL && stream->status == CTL_OK; pattern++) {
    g_autoptr (GVariant) answer = ctl_call (
        stream->ctl, stream->kind, NULL, "Subscribe",
        g_variant_new ("(ss)", *pattern, monitor->device), NULL, &stream->status);
  }
}

/* ---- signals ---- */

void ctl_stream_end (CtlStream *stream)
{
  g_main_loop_quit (stream->loop);
}

static void got_signal (GDBusConnection *connection, const char *sender, const char *path,
                        const char *interface, const char *signal, GVariant *parameters,
                        gpointer data)
{
  CtlStream *stream = data;
  stream->got (stream, parameters);
  if (!ctl_flush ())
    ctl_stream_end (stream);
}

static gboolean on_signal (gpointer data)
{
  ctl_stream_end (data);
  return G_SOURCE_CONTINUE;
}

static void on_owner (GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *signal, GVariant *parameters,
                      gpointer data)
{
  CtlStream *stream = data;
  const char *name, *owner;
  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &owner);
  if (!g_str_equal (name, stream->name))
    return;
  if (*owner != '\0') { /* another instance has it now, and knows nothing of us */
    stream->begin (stream);
  } else {
    g_printerr ("chargehostctl: chargehostd has left the bus\n");
    stream->status = CTL_NO_HOST;
  }
  if (stream->status != CTL_OK)
    ctl_stream_end (stream);
}

static void on_closed (GDBusConnection *connection, gboolean vanished, GError *error,
                       gpointer data)
{
  CtlStream *stream = data;
  stream->status = CTL_NO_HOST;
  ctl_stream_end (stream);
}

/* Nobody reads what we write any more: a pager was closed, head has enough. */
static gboolean on_reader_gone (int fd, GIOCondition condition, gpointer data)
{
  ctl_stream_end (data);
  return G_SOURCE_REMOVE;
}

static void watch_bus (CtlStream *stream)
{
  GDBusConnection *connection = stream->ctl->connection;
  g_autofree char *path = ctl_path (stream->kind, stream->object);
  g_dbus_connection_set_exit_on_close (connection, FALSE);
  g_dbus_connection_signal_subscribe (connection, NULL, ctl_interface (stream->kind),
                                      stream->signal, path, NULL,
                                      G_DBUS_SIGNAL_FLAGS_NONE, got_signal, stream, NULL);
  g_dbus_connection_signal_subscribe (connection, "org.freedesktop.DBus",
                                      "org.freedesktop.DBus", "NameOwnerChanged",
                                      "/org/freedesktop/DBus", stream->name,
                                      G_DBUS_SIGNAL_FLAGS_NONE, on_owner, stream, NULL);
  g_signal_connect (connection, "closed", G_CALLBACK (on_closed), stream);
}

CtlExit ctl_stream_run (CtlStream *stream)
{
  Ctl *ctl = stream->ctl;
  if (!ctl_connect (ctl, &stream->status))
    return stream->status;
  stream->loop = g_main_loop_new (NULL, FALSE);
  stream->name = ctl_name (ctl);
  watch_bus (stream);
  stream->begin (stream);
  if (stream->status == CTL_OK) {
    guint sources[] = {g_unix_signal_add (SIGINT, on_signal, stream),
                       g_unix_signal_add (SIGTERM, on_signal, stream),
                       g_unix_fd_add (STDOUT_FILENO, G_IO_ERR, on_reader_gone, stream)};
    g_main_loop_run (stream->loop);
    for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
      if (g_main_context_find_source_by_id (NULL, sources[i]) != NULL)
        g_source_remove (sources[i]);
  }
  g_signal_handlers_disconnect_by_data (ctl->connection, stream);
  g_main_loop_unref (stream->loop);
  g_free (stream->name);
  return stream->status;
}

/* ---- commands ---- */

static CtlExit follow (Ctl *ctl, const char *const *patterns, const char *device)
{
  Monitor monitor = {.stream = {.ctl = ctl,
                                .kind = CTL_HOST,
                                .signal = "Event",
                                .begin = subscribe,
                                .got = on_event},
                     .patterns = patterns,
                     .device = device};
  return ctl_stream_run (&monitor.stream);
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
