/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers: the envelope of gateway 7.1, headers, handing over to libsoup. */
#include "http/http-private.h"

#include <chargehost/bus.h>
#include <string.h>

/* ---- the envelope --------------------------------------------------------------------
 */

static int append (const char *buffer, size_t size, void *data)
{
  g_string_append_len (data, buffer, (gssize) size);
  return 0;
}

static void append_text (GString *out, const char *text)
{
  for (const char *p = text; *p != '\0'; p++)
    if ((guchar) *p < 0x20 || *p == '"' || *p == '\\' || (guchar) *p >= 0x7f) {
      g_autofree char *valid = g_utf8_make_valid (text, -1);
      g_autoptr (json_t) string = json_string (valid);
      json_dump_callback (string, append, out, JSON_ENCODE_ANY | JSON_COMPACT);
      return;
    }
  g_string_append_c (out, '"');
  g_string_append (out, text);
  g_string_append_c (out, '"');
}

static void append_number (GString *out, gint64 number)
{
  char digits[24], *p = digits + sizeof digits;
  guint64 left = number < 0 ? (guint64) -number : (guint64) number;
  do
    *--p = (char) ('0' + left % 10);
  while ((left /= 10) > 0);
  if (number < 0)
    *--p = '-';
  g_string_append_len (out, p, digits + sizeof digits - p);
}

static gboolean wants_chinese (const ChRequest *request)
{
  const char *language = ch_request_header (request, "Accept-Language");
  return language != NULL && g_ascii_strncasecmp (language, "zh", 2) == 0;
}

char *ch_http_envelope (ChRequest *request, gint code, const char *message,
                        const json_t *data, gsize *size)
{
  GString *out = g_string_sized_new (data != NULL ? 1024 : 256);

  if (code != 0 && wants_chinese (request)) {
    const char *chinese = ch_http_error_chinese (code);
    message = chinese != NULL ? chinese : message;
  }
  g_string_append (out, "{\"code\":");
  append_number (out, code);
  g_string_append (out, ",\"message\":");
  append_text (out, message);
  if (data != NULL && !json_is_null (data)) {
    g_string_append (out, ",\"data\":");
    json_dump_callback (data, append, out,
                        JSON_COMPACT | JSON_REAL_PRECISION (15) | JSON_ENCODE_ANY);
  }
  g_string_append (out, ",\"request_id\":\"");
  g_string_append (out, request->id);
  g_string_append (out, "\",\"timestamp\":");
  append_number (out, ch_wall_ms (request->http->self) / 1000);
  g_string_append_c (out, '}');
  if (size != NULL)
    *size = out->len;
  return g_string_free (out, FALSE);
}

/* ---- answering -----------------------------------------------------------------------
 */

void ch_http_header (ChRequest *request, const char *name, const char *value)
{
  if (request->answered)
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
    soup_server_message_set_response (msg, type, SOUP_MEMORY_TAKE, body, size);
    conn->hold = strcmp (request->method, "HEAD") != 0 && status != 204 && status != 304;
  } else
    g_free (body);
  if (status == 204)
    g_signal_connect (msg, "wrote-headers", G_CALLBACK (on_wrote_headers), NULL);
  ch_http_conn_set_phase (conn, CH_HTTP_WRITE, request->http->settings.write_ms);
  if (request->paused) {
    request->paused = FALSE;
    soup_server_message_unpause (msg);
  }
}

void ch_http_answer (ChRequest *request, guint status, const char *type, char *body,
                     gsize size)
{
  if (request->answered || request->conn->http == NULL) {
    g_free (body);
    return;
  }
  if (request->reply != 0) {
    ch_replies_take (request->http->services->replies, request->reply,
                     request->reply_kind);
    request->reply = 0;
  }
  ch_http_audit_answer (request, status);
  if (request->keeps && ch_http_idempotency_keep (request, status, type, body, size))
    return;
  ch_http_answer_now (request, status, type, body, size);
}

void ch_http_answer_data (ChRequest *request, guint status, gint code,
                          const char *message, json_t *data)
{
  gsize size;
  if (request->answered) {
    json_decref (data);
    return;
  }
  request->code = code;
  char *body = ch_http_envelope (request, code, message, data, &size);
  json_decref (data);
  ch_http_answer (request, status, "application/json", body, size);
}

void ch_http_answer_error (ChRequest *request, gint code, const char *message,
                           json_t *data)
{
  guint status = (guint) code / 100;
  if (status < 400 || status > 599) {
    code = 50001;
    status = 500;
  }
  if ((status == 429 || status == 503) && !request->answered
      && soup_message_headers_get_one (
             soup_server_message_get_response_headers (request->msg), "Retry-After")
             == NULL)
    ch_http_header (request, "Retry-After", code == 50306 ? "5" : "1");
  if (status >= 500)
    ch_log (request->http->self, status == 503 ? CH_LOG_INFO : CH_LOG_WARNING,
            CH_LOG_FIELDS ("request_id", request->id, "remote", request->conn->remote),
            "%s %s answered %d: %s", request->method,
            request->route != NULL ? request->route->table.path : "?", code, message);
  ch_http_answer_data (request, status, code, message, data);
}
