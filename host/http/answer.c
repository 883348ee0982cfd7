/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers: the envelope of gateway 7.1, headers, handing over to libsoup. */
#include "http/http-private.h"

#include <string.h>

/* ---- the envelope --------------------------------------------------------------------
 */

gboolean ch_http_wants_chinese (const ChRequest *request)
{
  const char *language = ch_request_header (request, "Accept-Language");
  return language != NULL && g_ascii_strncasecmp (language, "zh", 2) == 0;
}

static void begin (ChText *out, gint code, const char *message)
{
  out->size = 0;
  ch_text_literal (out, "{\"code\":");
  ch_text_number (out, code);
  ch_text_literal (out, ",\"message\":");
  ch_text_string (out, message, strlen (message));
}

static void end (ChRequest *request, ChText *out)
{
  ch_text_literal (out, ",\"request_id\":\"");
  ch_text_add (out, request->id, strlen (request->id));
  ch_text_literal (out, "\",\"timestamp\":");
  ch_text_number (out, ch_wall_ms (request->http->self) / 1000);
  ch_text_char (out, '}');
}

void ch_http_envelope (ChRequest *request, gint code, const char *message,
                       const json_t *data)
{
  ChText *out = &request->conn->out;

  if (code != 0 && ch_http_wants_chinese (request)) {
    const char *chinese = ch_http_error_chinese (code);
    message = chinese != NULL ? chinese : message;
  }
  begin (out, code, message);
  if (data != NULL && !json_is_null (data)) {
    ch_text_literal (out, ",\"data\":");
    ch_text_json (out, data);
  }
  end (request, out);
}

/* ---- answering -----------------------------------------------------------------------
 */

void ch_http_header (ChRequest *request, const char *name, const char *value)
{
  if (request->answered || request->local != NULL)
    return;
  soup_message_headers_replace (soup_server_message_get_response_headers (request->msg),
                                name, value);
}

/* libsoup takes a 204 for an answer that only the end of the connection ends. */
static void on_wrote_headers (SoupServerMessage *msg, gpointer data)
{
  soup_message_headers_set_encoding (soup_server_message_get_response_headers (msg),
                                     SOUP_ENCODING_NONE);
}

/* What is in the connection's own buffer stays there until the next answer. */
static void release (ChRequest *request, char *body)
{
  if (body != request->conn->out.bytes)
    g_free (body);
}

static void set_body (ChRequest *request, const char *type, char *body, gsize size)
{
  gboolean is_own = body == request->conn->out.bytes;
  g_autoptr (GBytes) bytes
      = is_own ? g_bytes_new_static (body, size) : g_bytes_new_take (body, size);
  soup_message_headers_replace (soup_server_message_get_response_headers (request->msg),
                                "Content-Type", type);
  soup_message_body_append_bytes (soup_server_message_get_response_body (request->msg),
                                  bytes);
}

void ch_http_answer_now (ChRequest *request, guint status, const char *type, char *body,
                         gsize size)
{
  SoupServerMessage *msg = request->msg;
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (msg);
  ChHttpConn *conn = request->conn;

  request->answered = TRUE;
  request->status = status;
  soup_server_message_set_status (msg, status, NULL);
  soup_message_headers_append (headers, "X-Request-ID", request->id);
  soup_message_headers_append (headers, "X-Content-Type-Options", "nosniff");
  if (soup_message_headers_get_one (headers, "Cache-Control") == NULL)
    soup_message_headers_append (headers, "Cache-Control", "no-store");
  if (request->http->draining)
    soup_message_headers_append (headers, "Connection", "close");
  if (body != NULL && size > 0) {
    set_body (request, type, body, size);
    conn->hold = strcmp (request->method, "HEAD") != 0 && status != 204 && status != 304;
  } else
    release (request, body);
  if (status == 204)
    g_signal_connect (msg, "wrote-headers", G_CALLBACK (on_wrote_headers), NULL);
  ch_http_conn_set_phase (conn, CH_HTTP_WRITE, request->http->settings.write_ms);
  if (request->paused) {
    request->paused = FALSE;
    soup_server_message_unpause (msg);
  }
}

/* Nobody else answers it. */
static void take_reply (ChRequest *request)
{
  if (request->reply == 0)
    return;
  ch_replies_take (request->http->services->replies, request->reply, request->reply_kind);
  request->reply = 0;
}

void ch_http_answer (ChRequest *request, guint status, const char *type, char *body,
                     gsize size)
{
  if (request->answered || request->conn->http == NULL) {
    release (request, body);
    return;
  }
  take_reply (request);
  ch_http_audit_answer (request, status);
  if (request->keeps && ch_http_idempotency_keep (request, status, type, body, size))
    return;
  ch_http_answer_now (request, status, type, body, size);
}

void ch_http_answer_data (ChRequest *request, guint status, gint code,
                          const char *message, json_t *data)
{
  if (request->answered) {
    json_decref (data);
    return;
  }
  request->code = code;
  take_reply (request);
  if (request->local != NULL) {
    ch_http_local_answer (request, status, message, data);
    return;
  }
  ChText *out = &request->conn->out;
  ch_http_envelope (request, code, message, data);
  json_decref (data);
  ch_http_answer (request, status, "application/json", out->bytes, out->size);
}

ChText *ch_http_answer_begin (ChRequest *request)
{
  ChText *out = &request->conn->out;
  begin (out, 0, "success");
  ch_text_literal (out, ",\"data\":");
  return out;
}

void ch_http_answer_end (ChRequest *request, guint status)
{
  ChText *out = &request->conn->out;
  request->code = 0;
  end (request, out);
  ch_http_answer (request, status, "application/json", out->bytes, out->size);
}

void ch_http_answer_error (ChRequest *request, gint code, const char *message,
                           json_t *data)
{
  guint status = (guint) code / 100;
  if (status < 400 || status > 599) {
    code = 50001;
    status = 500;
  }
  if ((status == 429 || status == 503) && !request->answered && request->local == NULL
      && soup_message_headers_get_one (
             soup_server_message_get_response_headers (request->msg), "Retry-After")
             == NULL)
    ch_http_header (request, "Retry-After", code == 50306 ? "5" : "1");
  if (status >= 500)
    ch_log (request->http->self, status == 503 ? CH_LOG_INFO : CH_LOG_WARNING,
            CH_LOG_FIELDS ("request_id", request->id, "remote",
                           request->local == NULL ? request->conn->remote : ""),
            "%s %s answered %d: %s", request->method,
            request->route != NULL ? request->route->table.path : "?", code, message);
  ch_http_answer_data (request, status, code, message, data);
}
