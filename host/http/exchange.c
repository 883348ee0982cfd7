/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's way from libsoup's signals to its handler: route, who asks, limits, body,
 * parameters, idempotency. Any step answers an error itself; some wait.
 */
#include "http/http-private.h"

#include <string.h>

#define THROWN_MAX (1024 * 1024)
#define STEP_MS 5000
#define HANDLER_MS 30000

/* The connection of a message, NULL when it is closed already. */
static ChHttpConn *conn_of (ChHttp *http, SoupServerMessage *msg)
{
  ChHttpConn *conn = g_object_get_qdata (
      G_OBJECT (soup_server_message_get_remote_address (msg)), http->conn_quark);
  return conn != NULL && conn->http != NULL ? conn : NULL;
}

/* ---- forgetting ----------------------------------------------------------------------
 */

static void drop_reply (ChRequest *request)
{
  if (request->reply == 0)
    return;
  ch_replies_take (request->http->services->replies, request->reply, request->reply_kind);
  request->reply = 0;
}

void ch_http_exchange_clear (ChRequest *request)
{
  drop_reply (request);
  ch_http_chunks_left (request);
  if (request->query != NULL)
    g_ptr_array_set_size (request->query, 0);
  if (request->bytes != NULL && request->bytes->len > 0) {
    if (request->bytes->len > 16 * 1024)
      g_clear_pointer (&request->bytes, g_byte_array_unref);
    else
      g_byte_array_set_size (request->bytes, 0);
  }
  g_clear_pointer (&request->body, json_decref);
  g_clear_pointer (&request->route, ch_http_route_unref);
  g_clear_pointer (&request->key, ch_http_key_unref);
  g_clear_pointer (&request->audit_before, g_free);
  g_clear_pointer (&request->audit_after, g_free);
  request->id[0] = '\0';
  request->client[0] = '\0';
  request->method = "";
  request->looked_up = request->answered = request->paused = FALSE;
  request->has_query = request->keeps = FALSE;
  request->thrown = 0;
  request->status = 0;
  request->code = 0;
  request->match.node = NULL;
}

/* ---- asynchronous steps --------------------------------------------------------------
 */

/* Until somebody answers; libsoup does not look at the socket meanwhile. */
static void wait_for (ChRequest *request, guint64 limit_ms)
{
  if (request->local != NULL)
    return; /* it has its own limit */
  ch_http_conn_set_phase (request->conn, CH_HTTP_WORK, limit_ms);
  if (!request->paused) {
    request->paused = TRUE;
    soup_server_message_pause (request->msg);
  }
}

static void step_failed (gpointer data, const char *reason)
{
  ChRequest *request = data;
  request->reply = 0;
  ch_http_answer_error (request, 50306, reason, NULL);
}

ChReply ch_http_exchange_depart (ChRequest *request)
{
  request->reply_kind = CH_HTTP_STEP;
  request->reply = ch_replies_add (request->http->services->replies, request->http->self,
                                   CH_HTTP_STEP, request, step_failed);
  wait_for (request, STEP_MS);
  return request->reply;
}

ChRequest *ch_http_exchange_arrived (ChHttp *http, ChReply reply)
{
  ChRequest *request = ch_replies_take (http->services->replies, reply, CH_HTTP_STEP);
  if (request != NULL)
    request->reply = 0;
  return request;
}

/* ---- the route -----------------------------------------------------------------------
 */

static gboolean is_request_id (const char *text)
{
  gsize n = 0;
  for (; text[n] != '\0'; n++)
    if (n == 128
        || (!g_ascii_isalnum (text[n]) && text[n] != '.' && text[n] != '_'
            && text[n] != '-'))
      return FALSE;
  return n > 0;
}

static void take_id (ChRequest *request)
{
  const char *given = ch_request_header (request, "X-Request-ID");
  if (given != NULL && is_request_id (given)) {
    g_strlcpy (request->id, given, sizeof request->id);
    return;
  }
  memcpy (request->id, "req-", 4);
  ch_ulid (request->http->self, request->id + 4);
}

/* Finds the route, at the first byte of the body or when all is read. */
static ChHttpLookup look_up (ChRequest *request)
{
  ChHttpRoute *route;
  request->looked_up = TRUE;
  request->method = soup_server_message_get_method (request->msg);
  take_id (request);
  ChHttpLookup result
      = ch_http_router_find (request->http->router, request->method,
                             ch_http_request_raw_path (request), &request->match, &route);
  if (route != NULL && request->conn->metrics_only && route->table.auth != CH_AUTH_NONE) {
    route = NULL;
    result = CH_HTTP_NO_ROUTE;
  }
  if (route != NULL)
    request->route = ch_http_route_ref (route);
  request->lookup = result;
  return result;
}

static gboolean answer_lookup (ChRequest *request)
{
  switch (request->lookup) {
  case CH_HTTP_FOUND:
    return FALSE;
  case CH_HTTP_BAD_PATH:
    ch_http_answer_error (request, 40000, "the path cannot be read", NULL);
    return TRUE;
  case CH_HTTP_NO_METHOD: {
    g_autofree char *allowed = ch_http_router_allowed (&request->match);
    ch_http_header (request, "Allow", allowed);
    if (g_str_equal (request->method, "OPTIONS"))
      ch_http_answer (request, 204, NULL, NULL, 0);
    else
      ch_http_answer_error (request, 40500, "this path has no such method", NULL);
    return TRUE;
  }
  case CH_HTTP_NO_ROUTE:
  default:
    ch_http_answer_error (request, 40400, "no such route", NULL);
    return TRUE;
  }
}

/* ---- the body comes in ---------------------------------------------------------------
 */

static gsize body_limit (const ChRequest *request)
{
  return request->route != NULL && request->route->table.max_body > 0
             ? request->route->table.max_body
             : request->http->settings.max_body;
}

static void refuse (ChRequest *request, gint code, const char *message)
{
  request->code = code;
  ch_http_envelope (request, code, message, NULL);
  ch_text_char (&request->conn->out, '\0');
  ch_http_conn_refuse (request->conn, (guint) code / 100, request->conn->out.bytes);
}

/*
 * A length that is no number, or two of them, is how requests are smuggled past a proxy;
 * libsoup would read it in its own way.
 */
static gboolean length_is_good (SoupMessageHeaders *headers)
{
  const char *length = soup_message_headers_get_list (headers, "Content-Length");
  return length == NULL
         || (g_ascii_isdigit (*length) && length[strspn (length, "0123456789")] == '\0'
             && strlen (length) < 19
             && soup_message_headers_get_one (headers, "Transfer-Encoding") == NULL);
}

static void on_got_chunk (SoupServerMessage *msg, GBytes *chunk, ChHttpConn *conn)
{
  ChRequest *request = &conn->request;
  gsize size = g_bytes_get_size (chunk);

  if (conn->http == NULL)
    return;
  if (conn->phase == CH_HTTP_REFUSED) {
    request->thrown += size;
    if (request->thrown > THROWN_MAX)
      ch_http_conn_end (conn);
    return;
  }
  goffset announced = soup_message_headers_get_content_length (
      soup_server_message_get_request_headers (msg));
  gsize have = request->bytes != NULL ? request->bytes->len : 0;
  if (announced > (goffset) body_limit (request) || have + size > body_limit (request)) {
    refuse (request, 41300, "the body is too large");
    return;
  }
  if (request->bytes == NULL)
    request->bytes = g_byte_array_new ();
  g_byte_array_append (request->bytes, g_bytes_get_data (chunk, NULL), (guint) size);
}

/* Only requests with a body cost their connection to its chunks. */
static void on_headers (SoupServer *server, SoupServerMessage *msg, const char *path,
                        GHashTable *query, gpointer data)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (msg);
  ChHttpConn *conn = conn_of (data, msg);

  if (conn == NULL || soup_message_headers_get_encoding (headers) == SOUP_ENCODING_NONE)
    return;
  soup_message_body_set_accumulate (soup_server_message_get_request_body (msg), FALSE);
  g_signal_connect (msg, "got-chunk", G_CALLBACK (on_got_chunk), conn);
  look_up (&conn->request);
  if (length_is_good (headers))
    return;
  refuse (&conn->request, 40000, "the length of the body cannot be read");
  soup_server_message_pause (msg);
  ch_http_conn_end (conn);
}

void ch_http_exchange_rejected (ChHttpConn *conn, guint status)
{
  ChRequest *request = &conn->request;
  if (status < 400 || status > 599)
    status = 400;
  ch_http_rate_malformed (conn);
  if (request->id[0] == '\0') {
    memcpy (request->id, "req-", 4);
    ch_ulid (conn->http->self, request->id + 4);
  }
  refuse (request, (gint) status * 100, "this is not an HTTP request that can be read");
}

/* ---- the handler ---------------------------------------------------------------------
 */

static void handler_failed (gpointer data, const char *reason)
{
  ChRequest *request = data;
  request->reply = 0;
  ch_http_answer_error (request, 50001, reason, NULL);
}

static void call_handler (ChRequest *request)
{
  ChHttpRoute *route = request->route;
  ChPlugin *owner = route->resource.owner;
  ChRunnerFrame frame;

  if (route->node == NULL || owner == NULL
      || !ch_runner_enter (owner, route->table.path, &frame)) {
    ch_http_answer_error (request, 50306, "the part that serves this has stopped", NULL);
    return;
  }
  request->reply_kind = CH_HTTP_REPLY;
  request->reply = ch_replies_add (request->http->services->replies, owner, CH_HTTP_REPLY,
                                   request, handler_failed);
  route->table.handler (owner, request, request->reply);
  ch_runner_leave (&frame);
  if (request->reply != 0)
    wait_for (request,
              route->table.timeout_ms > 0 ? route->table.timeout_ms : HANDLER_MS);
}

/* ---- the steps -----------------------------------------------------------------------
 */

static gboolean may_mutate (ChRequest *request)
{
  const ChServices *services = request->http->services;
  if (!(request->route->table.flags & CH_ROUTE_MUTATES))
    return TRUE;
  if (services->phase < 9 || services->draining) {
    ch_http_answer_error (request, 50306,
                          services->draining ? "this server is about to stop"
                                             : "this server is starting",
                          NULL);
    return FALSE;
  }
  return TRUE;
}

static gboolean is_list (const ChRoute *route)
{
  for (const ChParam *p = route->params; p != NULL && p->name != NULL; p++)
    if (p->place == CH_PARAM_QUERY && g_str_equal (p->name, "limit"))
      return TRUE;
  return FALSE;
}

/* Overload (gateway 2.13): no lists but for operators, who want to see what goes on. */
static gboolean may_list (ChRequest *request)
{
  const ChRoute *route = &request->route->table;
  if (G_LIKELY (request->http->services->overload < 2) || route->auth == CH_AUTH_ADMIN
      || !g_str_equal (request->method, "GET") || !is_list (route))
    return TRUE;
  ch_http_answer_error (request, 50307, "this server has too much to do for lists", NULL);
  return FALSE;
}

void ch_http_exchange_resume (ChRequest *request, ChHttpStep step)
{
  switch (step) {
  case CH_HTTP_STEP_AUTH:
    if (ch_http_auth_check (request) != CH_HTTP_AUTH_OK)
      return;
    G_GNUC_FALLTHROUGH;
  case CH_HTTP_STEP_CHECK:
    if (!ch_http_rate_check (request) || !may_mutate (request) || !may_list (request)
        || !ch_http_request_read_body (request) || !ch_http_params_check (request))
      return;
    if (ch_http_idempotency_begin (request) != CH_HTTP_IDEM_GO_ON)
      return;
    G_GNUC_FALLTHROUGH;
  case CH_HTTP_STEP_HANDLER:
  default:
    call_handler (request);
    return;
  }
}

static void on_request_read (SoupServer *server, SoupServerMessage *msg, ChHttp *http)
{
  ChHttpConn *conn = conn_of (http, msg);
  if (conn == NULL)
    return;
  ChRequest *request = &conn->request;

  if (request->msg != msg)
    return;
  /* libsoup would cut any answer into the ranges, copied as often as they are named. */
  soup_message_headers_remove (soup_server_message_get_request_headers (msg), "Range");
  request->started_us = ch_clock_monotonic_us (http->services->clock);
  if (conn->phase == CH_HTTP_REFUSED) {
    soup_server_message_set_status (msg, request->status, NULL);
    soup_message_headers_replace (soup_server_message_get_response_headers (msg),
                                  "Connection", "close");
    return;
  }
  if (!request->looked_up)
    look_up (request);
  if (soup_server_message_get_status (msg) != 0) {
    ch_http_answer_error (request, 40000, "this server does not serve that address",
                          NULL);
    return;
  }
  if (ch_http_cors (request) || answer_lookup (request))
    return;
  ch_http_exchange_resume (request, CH_HTTP_STEP_AUTH);
}

/* ---- libsoup's signals ---------------------------------------------------------------
 */

static void on_request_started (SoupServer *server, SoupServerMessage *msg, ChHttp *http)
{
  ChHttpConn *conn = conn_of (http, msg);
  if (conn == NULL)
    return;
  g_set_object (&conn->request.msg, msg);
}

static void on_request_ended (SoupServer *server, SoupServerMessage *msg, ChHttp *http)
{
  ChHttpConn *conn = conn_of (http, msg);
  if (conn == NULL || conn->request.msg != msg)
    return;
  ch_http_stream_flush (conn);
  if (conn->request.looked_up)
    ch_http_traffic_answered (&conn->request);
  ch_http_exchange_clear (&conn->request);
  soup_message_body_truncate (soup_server_message_get_response_body (msg));
  ch_text_reset (&conn->out);
  if (conn->phase == CH_HTTP_REFUSED)
    return;
  ch_http_conn_set_phase (conn, CH_HTTP_IDLE, http->settings.idle_ms);
  if (http->draining)
    ch_http_conn_end (conn);
}

void ch_http_exchange_watch (ChHttp *http, SoupServer *server)
{
  soup_server_add_early_handler (server, NULL, on_headers, http, NULL);
  g_signal_connect (server, "request-started", G_CALLBACK (on_request_started), http);
  g_signal_connect (server, "request-read", G_CALLBACK (on_request_read), http);
  g_signal_connect (server, "request-finished", G_CALLBACK (on_request_ended), http);
  g_signal_connect (server, "request-aborted", G_CALLBACK (on_request_ended), http);
}
