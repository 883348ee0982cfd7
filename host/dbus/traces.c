/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trace of Device1: frames as signals to the caller alone, while it is on the bus. */
#include "core/session/trace.h"
#include "dbus/dbus-private.h"
#include "http/http.h"
#include <chargehost/json.h>

typedef struct {
  ChDbus *dbus;
  char *sender, *path;
  ChTrace *trace; /* NULL: it has ended */
  guint left_out;
} Watching;

static void watching_free (gpointer data)
{
  Watching *watching = data;
  if (watching->trace != NULL)
    ch_trace_end (watching->trace);
  g_free (watching->sender);
  g_free (watching->path);
  g_free (watching);
}

static void emit (Watching *watching, const char *text)
{
  g_dbus_connection_emit_signal (watching->dbus->connection, watching->sender,
                                 watching->path, "org.chargehost.Device1", "Frame",
                                 g_variant_new ("(s)", text), NULL);
}

static void on_frame (const json_t *frame, gpointer data)
{
  Watching *watching = data;
  if (frame == NULL) {
    watching->trace = NULL;
    emit (watching, "");
    g_ptr_array_remove_fast (watching->dbus->traces, watching);
    return;
  }
  if (!ch_dbus_has_room (watching->dbus)) {
    watching->left_out++;
    return;
  }
  g_autoptr (json_t) shown = json_copy ((json_t *) (guintptr) frame);
  if (watching->left_out > 0)
    json_object_set_new (shown, "left_out", json_integer (watching->left_out));
  watching->left_out = 0;
  g_autofree char *text = ch_json_dump (shown);
  emit (watching, text);
  ch_dbus_sent (watching->dbus);
}

/* @path (nullable): only of this object */
static void forget (ChDbus *dbus, const char *sender, const char *path)
{
  for (guint i = dbus->traces->len; i-- > 0;) {
    const Watching *watching = g_ptr_array_index (dbus->traces, i);
    if (g_str_equal (watching->sender, sender)
        && (path == NULL || g_str_equal (watching->path, path)))
      g_ptr_array_remove_index_fast (dbus->traces, i);
  }
}

void ch_dbus_forget_traces (ChDbus *dbus, const char *sender)
{
  if (sender == NULL)
    g_ptr_array_set_size (dbus->traces, 0);
  else
    forget (dbus, sender, NULL);
}

void ch_dbus_trace (ChDbus *dbus, ChDevice *device, GDBusMethodInvocation *invocation)
{
  const char *sender = g_dbus_method_invocation_get_sender (invocation);
  const char *path = g_dbus_method_invocation_get_object_path (invocation);
  g_autoptr (GError) error = NULL;
  guint seconds;

  g_variant_get (g_dbus_method_invocation_get_parameters (invocation), "(u)", &seconds);
  if (seconds > CH_TRACE_MAX_S) {
    ch_dbus_return_invalid (invocation, "seconds must be 0 to %d", CH_TRACE_MAX_S);
    return;
  }
  forget (dbus, sender, path);
  if (seconds > 0) {
    Watching *watching = g_new0 (Watching, 1);
    watching->dbus = dbus;
    watching->sender = g_strdup (sender);
    watching->path = g_strdup (path);
    watching->trace = ch_trace_begin (dbus->services->core, device->id, seconds, on_frame,
                                      watching, &error);
    if (watching->trace == NULL) {
      watching_free (watching);
      ch_dbus_return_error (invocation, error);
      return;
    }
    g_ptr_array_add (dbus->traces, watching);
    ch_dbus_audit (dbus, invocation, device->id);
  }
  g_dbus_method_invocation_return_value (invocation, NULL);
}

GPtrArray *ch_dbus_traces_new (void)
{
  return g_ptr_array_new_with_free_func (watching_free);
}
