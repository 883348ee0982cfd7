/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frames of a device, live: a line of JSON each (gateway 7.7). */
#include "core/session/trace.h"
#include "http/routes/api.h"

#include <string.h>

typedef struct {
  ChRequest *request;
  ChTrace *trace;
  guint left_out; /* since the newest line: the client reads too slowly */
} Watching;

static void client_left (gpointer data)
{
  g_autofree Watching *watching = data;
  ch_trace_end (watching->trace);
}

static void on_frame (const json_t *frame, gpointer data)
{
  Watching *watching = data;
  if (frame == NULL) {
    ch_http_chunks_end (watching->request);
    g_free (watching);
    return;
  }
  g_autoptr (json_t) shown = json_copy ((json_t *) (guintptr) frame);
  if (watching->left_out > 0)
    json_object_set_new (shown, "left_out", json_integer (watching->left_out));
  g_autofree char *text = ch_json_dump (shown);
  char *line = g_strconcat (text, "\n", NULL);
  if (ch_http_chunks_add (watching->request, line, strlen (line)))
    watching->left_out = 0;
  else
    watching->left_out++;
}

static void watch_frames (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *id = ch_request_path (request, "id");
  guint seconds = (guint) ch_request_query_int (request, "seconds", CH_TRACE_MAX_S);
  g_autoptr (GError) error = NULL;
  Watching *watching = g_new0 (Watching, 1);

  watching->request = (ChRequest *) (guintptr) request;
  watching->trace
      = ch_trace_begin (ch_core_of (self), id, seconds, on_frame, watching, &error);
  if (watching->trace == NULL) {
    ch_reply_gerror (self, reply, error);
    g_free (watching);
    return;
  }
  ch_http_audit (self->services->http, ch_request_key_id (request),
                 ch_request_remote (request), "GET /api/v1/admin/devices/{id}/frames", id,
                 ch_request_id (request), NULL, NULL);
  if (!ch_http_chunks_begin (watching->request, "application/x-ndjson", client_left,
                             watching))
    client_left (watching);
}

static const ChParam FRAMES_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("seconds", QUERY, INT, FALSE, 1, CH_TRACE_MAX_S, NULL,
                   "For so long; 600"),
    {.name = NULL},
};

const ChRoute ch_http_frame_routes[] = {
    CH_HTTP_ADMIN ("GET", "/devices/{id}/frames", FRAMES_PARAMS,
                   "Frames of its connection as they come and go, a line of JSON each",
                   watch_frames),
    {.method = NULL},
};
