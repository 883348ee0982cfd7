/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers that go on: pieces as they come, until their maker ends them, the client goes
 * away or reads too slowly. What waits to be sent is bounded.
 */
#include "http/http-private.h"

#define UNSENT_MAX (256 * 1024)
#define IDLE_MS 900000 /* nothing waits: longer than any of these answers takes */

static void on_wrote (SoupServerMessage *msg, guint size, ChHttpConn *conn)
{
  ChRequest *request = &conn->request;
  if (conn->http == NULL || request->msg != msg || request->gone == NULL)
    return;
  request->unsent -= MIN (size, request->unsent);
  ch_http_conn_set_phase (conn, CH_HTTP_WRITE,
                          request->unsent > 0 ? conn->http->settings.write_ms : IDLE_MS);
}

gboolean ch_http_chunks_begin (ChRequest *request, const char *type, GDestroyNotify gone,
                               gpointer data)
{
  SoupServerMessage *msg = request->msg;
  if (request->local != NULL
      || soup_server_message_get_http_version (msg) == SOUP_HTTP_1_0) {
    ch_http_answer_error (request, 50101, "this answer needs HTTP/1.1", NULL);
    return FALSE;
  }
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);
  soup_message_headers_set_encoding (headers, SOUP_ENCODING_CHUNKED);
  soup_message_headers_replace (headers, "Content-Type", type);
  soup_message_body_set_accumulate (soup_server_message_get_response_body (msg), FALSE);
  g_signal_connect (msg, "wrote-body-data", G_CALLBACK (on_wrote), request->conn);
  request->unsent = 0;
  ch_http_answer (request, 200, type, NULL, 0);
  request->gone = gone;
  request->gone_data = data;
  ch_http_conn_set_phase (request->conn, CH_HTTP_WRITE, IDLE_MS);
  return TRUE;
}

gboolean ch_http_chunks_add (ChRequest *request, char *text, gsize size)
{
  if (request->unsent + size > UNSENT_MAX) {
    g_free (text);
    return FALSE;
  }
  if (request->unsent == 0)
    ch_http_conn_set_phase (request->conn, CH_HTTP_WRITE,
                            request->http->settings.write_ms);
  request->unsent += size;
  g_autoptr (GBytes) bytes = g_bytes_new_take (text, size);
  soup_message_body_append_bytes (soup_server_message_get_response_body (request->msg),
                                  bytes);
  soup_server_message_unpause (request->msg);
  return TRUE;
}

void ch_http_chunks_end (ChRequest *request)
{
  request->gone = NULL;
  ch_http_conn_set_phase (request->conn, CH_HTTP_WRITE, request->http->settings.write_ms);
  soup_message_body_complete (soup_server_message_get_response_body (request->msg));
  soup_server_message_unpause (request->msg);
}

void ch_http_chunks_left (ChRequest *request)
{
  GDestroyNotify gone = g_steal_pointer (&request->gone);
  if (gone != NULL)
    gone (request->gone_data);
}
