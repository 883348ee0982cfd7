/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Idempotency-Key (gateway 7.1): the row is inserted before the request runs, so the
 * insert is the lock; the answer is stored before it is sent.
 */
#include "http/http-private.h"

#include <string.h>

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))
#define TAKE_OVER_MS 60000
#define MAX_STORED (1024 * 1024)

static const char *scope_of (const ChRequest *request)
{
  return request->key != NULL ? request->key->id : "open";
}

static void bind_place (ChTx *tx, const ChRequest *request)
{
  ch_tx_bind_text (tx, "scope", scope_of (request));
  ch_tx_bind_text (tx, "key", request->idem_key);
}

/* ---- the lock ------------------------------------------------------------------------
 */

/* Bare or as a quoted string, 1 to 255 printable characters. */
static gboolean read_key (ChRequest *request, const char *text)
{
  gsize n = strlen (text);
  if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
    text++;
    n -= 2;
  }
  if (n == 0 || n >= sizeof request->idem_key)
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isprint (text[i]))
      return FALSE;
  memcpy (request->idem_key, text, n);
  request->idem_key[n] = '\0';
  return TRUE;
}

static void take_fingerprint (ChRequest *request)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  const char *query = g_uri_get_query (soup_server_message_get_uri (request->msg));
  const char *parts[] = {request->method,
                         "\n",
                         ch_http_request_raw_path (request),
                         "?",
                         query != NULL ? query : "",
                         "\n"};
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    g_checksum_update (sum, (const guchar *) parts[i], -1);
  if (request->bytes != NULL)
    g_checksum_update (sum, request->bytes->data, request->bytes->len);
  g_strlcpy (request->fingerprint, g_checksum_get_string (sum),
             sizeof request->fingerprint);
}

/* Another request has the row. */
static void answer_taken (ChRequest *request, const ChTxResult *result)
{
  if (!g_str_equal (ch_tx_result_text (result, 1, 0, "fingerprint"),
                    request->fingerprint)) {
    ch_http_answer_error (request, 42201,
                          "this Idempotency-Key was used with another request", NULL);
    return;
  }
  const char *body = ch_tx_result_text (result, 1, 0, "response_body");
  if (!g_str_equal (ch_tx_result_text (result, 1, 0, "state"), "done") || body == NULL) {
    ch_http_answer_error (request, 40907,
                          "the first request with this Idempotency-Key still runs", NULL);
    return;
  }
  ch_http_header (request, "Idempotent-Replay", "true");
  ch_http_answer (request, (guint) ch_tx_result_int (result, 1, 0, "response_status"),
                  "application/json", g_strdup (body), strlen (body));
}

static void locked (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  g_autofree ChReply *handle = data;
  ChRequest *request = ch_http_exchange_arrived (self->services->http, *handle);
  if (request == NULL)
    return; /* the row is taken over when the client comes again */
  if (error != NULL) {
    ch_http_answer_error (request, 50305, "the store is not available", NULL);
    return;
  }
  if (ch_tx_result_changes (result, 0) == 0 && ch_tx_result_rows (result, 1) > 0) {
    answer_taken (request, result);
    return;
  }
  request->keeps = TRUE;
  ch_http_exchange_resume (request, CH_HTTP_STEP_HANDLER);
}

static gboolean is_write (const char *method)
{
  return g_str_equal (method, "POST") || g_str_equal (method, "PUT")
         || g_str_equal (method, "PATCH") || g_str_equal (method, "DELETE");
}

ChHttpIdem ch_http_idempotency_begin (ChRequest *request)
{
  ChHttp *http = request->http;
  const char *text
      = request->route->table.auth != CH_AUTH_NONE && is_write (request->method)
            ? ch_request_header (request, "Idempotency-Key")
            : NULL;
  if (text == NULL)
    return CH_HTTP_IDEM_GO_ON;
  if (!read_key (request, text)) {
    ch_http_answer_error (
        request, 40010, "Idempotency-Key has to be 1 to 255 printable characters", NULL);
    return CH_HTTP_IDEM_ANSWERED;
  }
  if (!ch_http_has_store (http)) {
    /* A stop must reach the device also without a database. */
    if (request->route->table.flags & CH_ROUTE_NO_LIMIT)
      return CH_HTTP_IDEM_GO_ON;
    ch_http_answer_error (request, 50305, "the store is not available", NULL);
    return CH_HTTP_IDEM_ANSWERED;
  }
  take_fingerprint (request);
  gint64 now_ms = ch_wall_ms (http->self);
  ChTx *tx = ch_tx_new (http->self);
  ch_tx_add (tx, NULL, "idempotency.lock");
  bind_place (tx, request);
  ch_tx_bind_text (tx, "fingerprint", request->fingerprint);
  ch_tx_bind_time (tx, "at", now_ms);
  ch_tx_bind_time (tx, "day_ago", now_ms - DAY_MS);
  ch_tx_bind_time (tx, "minute_ago", now_ms - TAKE_OVER_MS);
  ch_tx_add (tx, NULL, "idempotency.get");
  bind_place (tx, request);
  ChReply *handle = g_new (ChReply, 1);
  *handle = ch_http_exchange_depart (request);
  ch_tx_submit (tx, 0, locked, handle);
  return CH_HTTP_IDEM_WAIT;
}

/* ---- the answer ----------------------------------------------------------------------
 */

typedef struct {
  ChReply handle;
  guint status;
  char *type;
  char *body;
  gsize size;
} Kept;

static void stored (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  Kept *kept = data;
  ChRequest *request = ch_http_exchange_arrived (self->services->http, kept->handle);
  if (error != NULL)
    ch_warning (self, "an answer was not kept for its Idempotency-Key: %s",
                error->message);
  if (request != NULL)
    ch_http_answer_now (request, kept->status, kept->type, g_steal_pointer (&kept->body),
                        kept->size);
  g_free (kept->type);
  g_free (kept->body);
  g_free (kept);
}

/* What may be different next time is not kept. */
static gboolean is_worth_keeping (const ChRequest *request, guint status, gsize size)
{
  return status < 500 && status != 401 && status != 429 && status != 415
         && request->code != 40010 && request->code != 40000 && size <= MAX_STORED;
}

gboolean ch_http_idempotency_keep (ChRequest *request, guint status, const char *type,
                                   char *body, gsize size)
{
  ChHttp *http = request->http;
  ChTx *tx = ch_tx_new (http->self);

  request->keeps = FALSE;
  if (!is_worth_keeping (request, status, size) || body == NULL) {
    ch_tx_add (tx, NULL, "idempotency.release");
    bind_place (tx, request);
    ch_tx_bind_text (tx, "fingerprint", request->fingerprint);
    ch_tx_submit (tx, 0, NULL, NULL);
    return FALSE;
  }
  g_autofree char *text = g_strndup (body, size);
  ch_tx_add (tx, NULL, "idempotency.done");
  bind_place (tx, request);
  ch_tx_bind_text (tx, "fingerprint", request->fingerprint);
  ch_tx_bind_int (tx, "status", status);
  ch_tx_bind_text (tx, "body", text);
  Kept *kept = g_new0 (Kept, 1);
  kept->status = status;
  kept->type = g_strdup (type);
  kept->body = g_steal_pointer (&text);
  kept->size = size;
  if (body != request->conn->out.bytes)
    g_free (body);
  kept->handle = ch_http_exchange_depart (request);
  ch_tx_submit (tx, 0, stored, kept);
  return TRUE;
}
