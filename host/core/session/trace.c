/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/session/trace.h"
#include "core/session/session.h"
#include "net/gateway.h"
#include <chargehost/json.h>

#include <string.h>

struct _ChTrace {
  ChCore *core;
  char device[CH_DEVICE_ID_SIZE];
  ChConn conn; /* 0: waits for one */
  ChTimer limit;
  ChTraceFunc func;
  gpointer user_data;
};

/* A connection costs nothing more when nobody looks at it. */
static void look_at (ChTrace *trace, ChConn conn)
{
  ChCore *core = trace->core;
  ChConn before = trace->conn;
  gboolean is_seen = FALSE;

  if (conn == before)
    return;
  trace->conn = conn;
  for (guint i = 0; i < core->traces->len; i++)
    is_seen |= ((ChTrace *) g_ptr_array_index (core->traces, i))->conn == before;
  if (before != 0 && !is_seen)
    ch_gateway_set_traced (core->services->gateway, before, FALSE);
  if (conn != 0)
    ch_gateway_set_traced (core->services->gateway, conn, TRUE);
}

static void over (ChPlugin *self, gpointer data)
{
  ChTrace *trace = data;
  ChTraceFunc func = trace->func;
  gpointer user_data = trace->user_data;
  trace->limit = 0;
  ch_trace_end (trace);
  func (NULL, user_data);
}

/* NULL and @error when it cannot be looked at here. */
static const ChDevice *find (ChCore *core, const char *id, GError **error)
{
  const ChDevice *device = ch_device_find (core, id);
  if (device == NULL) {
    g_set_error_literal (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_NOT_FOUND,
                         "no such device");
    return NULL;
  }
  const char *owner = ch_session_remote_owner (core->sessions, id);
  if (device->conn == 0 && *owner != '\0') {
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE,
                 "the device is connected at the instance %s: ask there", owner);
    return NULL;
  }
  if (core->traces->len >= CH_TRACES_MAX) {
    g_set_error_literal (error, CH_CORE_ERROR, CH_CORE_ERROR_OVERLOADED,
                         "too many connections are looked at");
    return NULL;
  }
  return device;
}

ChTrace *ch_trace_begin (ChCore *core, const char *id, guint seconds, ChTraceFunc func,
                         gpointer user_data, GError **error)
{
  const ChDevice *device = find (core, id, error);
  if (device == NULL)
    return NULL;
  ChTrace *trace = g_new0 (ChTrace, 1);
  trace->core = core;
  g_strlcpy (trace->device, device->id, sizeof trace->device);
  trace->func = func;
  trace->user_data = user_data;
  trace->limit = ch_timer_add (
      core->self, (guint64) CLAMP (seconds, 1, CH_TRACE_MAX_S) * 1000, over, trace);
  g_ptr_array_add (core->traces, trace);
  look_at (trace, device->conn);
  return trace;
}

void ch_trace_end (ChTrace *trace)
{
  ch_timer_cancel (trace->core->self, &trace->limit);
  look_at (trace, 0);
  g_ptr_array_remove_fast (trace->core->traces, trace);
  g_free (trace);
}

void ch_traces_bound (ChCore *core, const ChDevice *device)
{
  for (guint i = 0; i < core->traces->len; i++) {
    ChTrace *trace = g_ptr_array_index (core->traces, i);
    if (g_str_equal (trace->device, device->id))
      look_at (trace, device->conn);
  }
}

static char *hex_of (const guint8 *bytes, gsize size)
{
  static const char digits[] = "0123456789abcdef";
  char *text = g_malloc (size * 2 + 1);
  for (gsize i = 0; i < size; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * size] = '\0';
  return text;
}

/* What the protocol says that it is; null when it says nothing. */
static json_t *decoded (const ChProtocol *protocol, const guint8 *bytes, gsize size)
{
  json_t *shown = NULL;
  if (protocol != NULL && protocol->describe != NULL)
    shown = protocol->describe (bytes, size);
  return shown != NULL ? shown : json_null ();
}

static json_t *frame_json (ChCore *core, const ChConnInfo *info, gboolean incoming,
                           const guint8 *bytes, gsize size)
{
  g_autofree char *hex = hex_of (bytes, size);
  json_t *frame = json_object ();
  json_object_set_new (frame, "time", ch_json_time (ch_wall_ms (core->self)));
  json_object_set_new (frame, "direction", json_string (incoming ? "in" : "out"));
  json_object_set_new (frame, "conn_id", json_string (info->conn_id));
  json_object_set_new (frame, "hex", json_string (hex));
  json_object_set_new (frame, "decoded", decoded (info->protocol, bytes, size));
  return frame;
}

void ch_traces_frame (ChCore *core, ChConn conn, gboolean incoming, const void *bytes,
                      gsize size)
{
  g_autoptr (json_t) frame = NULL;
  ChConnInfo info;
  /* From the end: one that is told may end itself. */
  for (guint i = core->traces->len; i-- > 0;) {
    ChTrace *trace = g_ptr_array_index (core->traces, i);
    if (trace->conn != conn)
      continue;
    if (frame == NULL) {
      if (!ch_gateway_conn_info (core->services->gateway, conn, &info))
        return;
      frame = frame_json (core, &info, incoming, bytes, size);
    }
    trace->func (frame, trace->user_data);
  }
}

void ch_traces_free (ChCore *core)
{
  while (core->traces->len > 0)
    over (core->self, g_ptr_array_index (core->traces, core->traces->len - 1));
  g_ptr_array_unref (core->traces);
}
