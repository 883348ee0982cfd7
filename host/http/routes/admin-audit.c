/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the audit log (gateway 7.7). */
#include "http/routes/api.h"

#include <string.h>

#define FOREVER_MS G_GINT64_CONSTANT (4102444800000)

static json_t *json_or_null (const char *text)
{
  json_t *json = text != NULL ? ch_json_parse (text, strlen (text), NULL) : NULL;
  return json != NULL ? json : json_null ();
}

static json_t *text_or_null (const char *text)
{
  return text != NULL ? json_string (text) : json_null ();
}

typedef struct {
  ChReply reply;
  gint64 limit, offset;
} Listing;

static void got_audit (ChPlugin *self, const ChTxResult *r, const GError *error,
                       gpointer user_data)
{
  g_autofree Listing *call = user_data;
  if (error != NULL) {
    ch_reply_gerror (self, call->reply, error);
    return;
  }
  json_t *list = json_array ();
  guint rows = ch_tx_result_rows (r, 0);
  for (guint row = 0; row < rows; row++) {
    json_t *item = json_object ();
    static const char *const texts[] = {"actor", "ip", "action", "object", "request_id"};
    json_object_set_new (item, "id", json_integer (ch_tx_result_int (r, 0, row, "id")));
    json_object_set_new (item, "at", ch_json_time (ch_tx_result_time (r, 0, row, "at")));
    for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
      json_object_set_new (item, texts[i],
                           text_or_null (ch_tx_result_text (r, 0, row, texts[i])));
    json_object_set_new (item, "before",
                         json_or_null (ch_tx_result_text (r, 0, row, "before")));
    json_object_set_new (item, "after",
                         json_or_null (ch_tx_result_text (r, 0, row, "after")));
    json_array_append_new (list, item);
  }
  json_t *data = json_object ();
  json_object_set_new (data, "audit", list);
  json_object_set_new (data, "total", json_integer (ch_tx_result_int (r, 1, 0, "total")));
  json_object_set_new (data, "page", json_integer (call->offset / call->limit + 1));
  json_object_set_new (data, "page_size", json_integer (call->limit));
  if (rows > 0 && rows == (guint) call->limit)
    json_object_set_new (data, "next",
                         json_integer (ch_tx_result_int (r, 0, rows - 1, "id")));
  ch_reply_data (self, call->reply, 200, NULL, data);
}

static void bind_filter (ChTx *tx, const ChRequest *request, gint64 from_ms, gint64 to_ms)
{
  static const char *const names[] = {"actor", "action", "object"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const char *text = ch_request_query (request, names[i]);
    ch_tx_bind_text (tx, names[i], text != NULL ? text : "");
  }
  ch_tx_bind_time (tx, "from_at", from_ms == CH_UNSET ? 0 : from_ms);
  ch_tx_bind_time (tx, "to_at", to_ms == CH_UNSET ? FOREVER_MS : to_ms);
}

static void get_audit (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  gint64 from_ms, to_ms;
  if (!ch_http_query_time (self, request, reply, "from", &from_ms)
      || !ch_http_query_time (self, request, reply, "to", &to_ms))
    return;
  if (!ch_http_has_store (self->services->http)) {
    ch_reply_error (self, reply, 50305, "there is no database", NULL);
    return;
  }
  Listing *listing = g_new0 (Listing, 1);
  ChTx *tx = ch_tx_new (self);
  listing->reply = reply;
  ch_http_page (request, &listing->limit, &listing->offset);
  ch_tx_add (tx, NULL, "audit.list");
  bind_filter (tx, request, from_ms, to_ms);
  ch_tx_bind_int (tx, "before_id", ch_request_query_int (request, "after", G_MAXINT64));
  ch_tx_bind_int (tx, "count", listing->limit);
  ch_tx_bind_int (tx, "skip", listing->offset);
  ch_tx_add (tx, NULL, "audit.count");
  bind_filter (tx, request, from_ms, to_ms);
  ch_tx_submit (tx, 0, got_audit, listing);
}

static const ChParam AUDIT_PARAMS[] = {
    CH_HTTP_PARAM ("actor", QUERY, STRING, FALSE, 1, 64, NULL, "Key that did it"),
    CH_HTTP_PARAM ("action", QUERY, STRING, FALSE, 1, 128, NULL,
                   "Part of method and path, such as force-settle"),
    CH_HTTP_PARAM ("object", QUERY, STRING, FALSE, 1, 128, NULL,
                   "Part of what it was done to"),
    CH_HTTP_PARAM ("from", QUERY, STRING, FALSE, 1, 40, NULL, "Not before"),
    CH_HTTP_PARAM ("to", QUERY, STRING, FALSE, 1, 40, NULL, "Not after"),
    CH_HTTP_PARAM ("after", QUERY, INT, FALSE, 1, 9e18, NULL, "Value of `next`"),
    CH_HTTP_PARAM_PAGING,
    {.name = NULL},
};

const ChRoute ch_http_audit_routes[] = {
    CH_HTTP_ADMIN ("GET", "/audit", AUDIT_PARAMS, "Who changed what", get_audit),
    {.method = NULL},
};
