/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Administration (gateway 7.7): connections, configuration, log level, audit, breaker. */
#include "base/config-private.h"
#include "base/log-private.h"
#include "core/core.h"
#include "core/device.h"
#include "core/session.h"
#include "http/api.h"
#include "net/breaker.h"
#include "net/gateway.h"

#include <string.h>

/* ---- connections ---------------------------------------------------------------------
 */

static json_t *devices_of (ChPlugin *self, ChConn conn)
{
  json_t *list = json_array ();
  gpointer core_data = ch_gateway_core_data (self->services->gateway, conn);
  guint n = 0;
  if (core_data == NULL || self->services->core == NULL)
    return list;
  ChDevice *const *devices = ch_session_conn_devices (core_data, &n);
  for (guint i = 0; i < n; i++)
    json_array_append_new (list, json_string (devices[i]->id));
  return list;
}

static json_t *conn_json (ChPlugin *self, const ChConnInfo *info)
{
  json_t *object = json_object ();
  gint64 offset = ch_wall_ms (self) - ch_now_ms (self);
  json_object_set_new (object, "conn_id", json_string (info->conn_id));
  json_object_set_new (object, "remote", json_string (info->remote));
  json_object_set_new (object, "server_id", json_string (self->services->server_id));
  json_object_set_new (object, "protocol",
                       info->protocol != NULL ? json_string (info->protocol->name)
                                              : json_null ());
  json_object_set_new (object, "devices", devices_of (self, info->conn));
  json_object_set_new (object, "opened_at", ch_json_time (info->opened_at_ms));
  json_object_set_new (
      object, "last_rx_at",
      ch_json_time (info->last_rx_ms > 0 ? info->last_rx_ms + offset : 0));
  json_object_set_new (
      object, "last_tx_at",
      ch_json_time (info->last_tx_ms > 0 ? info->last_tx_ms + offset : 0));
  json_object_set_new (object, "rx_bytes", json_integer ((json_int_t) info->rx_bytes));
  json_object_set_new (object, "tx_bytes", json_integer ((json_int_t) info->tx_bytes));
  json_object_set_new (object, "rx_frames", json_integer ((json_int_t) info->rx_frames));
  json_object_set_new (object, "tx_frames", json_integer ((json_int_t) info->tx_frames));
  json_object_set_new (object, "bad_frames",
                       json_integer ((json_int_t) info->bad_frames));
  json_object_set_new (object, "write_queue",
                       json_pack ("{s:I,s:I}", "frames", (json_int_t) info->queue_frames,
                                  "bytes", (json_int_t) info->queue_bytes));
  json_object_set_new (object, "paused", json_boolean (info->paused));
  return object;
}

typedef struct {
  ChPlugin *self;
  json_t *list;
  gint64 limit, offset;
  gint64 n;
} Listing;

static void add_conn (const ChConnInfo *info, gpointer data)
{
  Listing *listing = data;
  gint64 at = listing->n++;
  if (at >= listing->offset && at < listing->offset + listing->limit)
    json_array_append_new (listing->list, conn_json (listing->self, info));
}

static void list_connections (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  Listing listing = {.self = self, .list = json_array ()};
  ch_http_page (request, &listing.limit, &listing.offset);
  ch_gateway_foreach (self->services->gateway, add_conn, &listing);
  json_t *data = json_object ();
  json_object_set_new (data, "connections", listing.list);
  json_object_set_new (data, "total", json_integer (listing.n));
  json_object_set_new (data, "page", json_integer (listing.offset / listing.limit + 1));
  json_object_set_new (data, "page_size", json_integer (listing.limit));
  ch_reply_data (self, reply, 200, NULL, data);
}

typedef struct {
  const char *conn_id;
  ChConn conn;
} Search;

static void match_conn (const ChConnInfo *info, gpointer data)
{
  Search *search = data;
  if (g_str_equal (info->conn_id, search->conn_id))
    search->conn = info->conn;
}

static gboolean find_conn (ChPlugin *self, const ChRequest *request, ChReply reply,
                           ChConnInfo *info)
{
  Search search = {ch_request_path (request, "conn_id"), 0};
  ch_gateway_foreach (self->services->gateway, match_conn, &search);
  if (search.conn != 0
      && ch_gateway_conn_info (self->services->gateway, search.conn, info))
    return TRUE;
  ch_reply_error (self, reply, 40400, "no such connection", NULL);
  return FALSE;
}

static void get_connection (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChConnInfo info;
  if (find_conn (self, request, reply, &info))
    ch_reply_data (self, reply, 200, NULL,
                   json_pack ("{s:o}", "connection", conn_json (self, &info)));
}

static void close_connection (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChConnInfo info;
  if (!find_conn (self, request, reply, &info))
    return;
  ch_conn_close (self, info.conn, CH_CLOSE_KICK);
  ch_reply_data (self, reply, 200, NULL, NULL);
}

static void kick_device (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChDevice *device = ch_device_find (ch_core_of (self), ch_request_path (request, "id"));
  if (device == NULL)
    ch_http_reply_device (self, reply, NULL);
  else if (device->conn == 0)
    ch_reply_error (self, reply, CH_CORE_ERROR_DEVICE_OFFLINE,
                    "the device is not connected here", NULL);
  else {
    ch_conn_close (self, device->conn, CH_CLOSE_KICK);
    ch_reply_data (self, reply, 200, NULL, NULL);
  }
}

/* ---- breakers ------------------------------------------------------------------------
 */

static void list_breakers (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChGatewayStats stats;
  ch_gateway_stats (self->services->gateway, &stats);
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:[{s:s,s:s,s:I}]}", "breakers", "name", "tcp", "state",
                            ch_breaker_state_name ((ChBreakerState) stats.breaker),
                            "failures", (json_int_t) stats.breaker_failures));
}

static void reset_breaker (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (!g_str_equal (ch_request_path (request, "name"), "tcp")) {
    ch_reply_error (self, reply, 40400, "no such breaker", NULL);
    return;
  }
  ch_gateway_reset_breaker (self->services->gateway);
  list_breakers (self, request, reply);
}

/* ---- configuration, log level --------------------------------------------------------
 */

json_t *ch_http_describe_config (ChPlugin *self)
{
  static const char *const secrets[]
      = {"api.auth.api_keys", "thirdparty.auth.api_keys", "admin.api_keys", NULL};
  json_t *keys = ch_config_describe (self->services->config);
  for (guint i = 0; secrets[i] != NULL; i++) {
    json_t *entry = json_object_get (keys, secrets[i]);
    if (json_array_size (json_object_get (entry, "value")) > 0)
      json_object_set_new (entry, "value", json_pack ("[s]", "****"));
  }
  return keys;
}

static void get_config (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:o}", "config", ch_http_describe_config (self)));
}

/* @data: a key of the table, which it leaves */
static void level_over (ChPlugin *self, gpointer data)
{
  const char *module = data;
  g_autoptr (GError) error = NULL;
  if (*module != '\0')
    ch_log_set_module_level (module, CH_LOG_TRACE + 1);
  else if (!ch_log_apply_config (self->services->config, &error))
    ch_warning (self, "the log level stays: %s", error->message);
  ch_notice (self, "the log level of %s is as configured again",
             *module != '\0' ? module : "everything");
  g_hash_table_remove (self->services->http->levels, module);
}

static void remember_level (ChPlugin *self, const char *module, gint64 minutes)
{
  GHashTable *levels = self->services->http->levels;
  ChTimer *before = g_hash_table_lookup (levels, module);
  if (before != NULL)
    ch_timer_cancel (self, before);
  char *name = g_strdup (module);
  ChTimer *timer = g_new (ChTimer, 1);
  *timer = ch_timer_add (self, (guint64) minutes * 60000, level_over, name);
  g_hash_table_replace (levels, name, timer);
}

static void put_log_level (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  const char *module = ch_json_get_string (body, "module", "");
  gint64 minutes = ch_json_get_int (body, "minutes", 15);
  ChLogLevel level;

  if (!ch_log_level_parse (ch_json_get_string (body, "level", ""), &level)) {
    ch_http_reply_invalid (self, reply, "level", "enum", json_object_get (body, "level"));
    return;
  }
  if (*module != '\0')
    ch_log_set_module_level (module, (int) level);
  else
    ch_log_set_level (level);
  remember_level (self, module, minutes);
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:s,s:s,s:I}", "module", module, "level",
                            ch_log_level_name (level), "minutes", (json_int_t) minutes));
}

/* ---- audit ---------------------------------------------------------------------------
 */

static json_t *json_or_null (const char *text)
{
  json_t *json = text != NULL ? ch_json_parse (text, strlen (text), NULL) : NULL;
  return json != NULL ? json : json_null ();
}

static json_t *text_or_null (const char *text)
{
  return text != NULL ? json_string (text) : json_null ();
}

static void got_audit (ChPlugin *self, const ChTxResult *r, const GError *error,
                       gpointer user_data)
{
  g_autofree ChHttpCall *call = user_data;
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
  json_t *data = json_pack ("{s:o}", "audit", list);
  if (rows > 0)
    json_object_set_new (data, "next",
                         json_integer (ch_tx_result_int (r, 0, rows - 1, "id")));
  ch_reply_data (self, call->reply, 200, NULL, data);
}

static void get_audit (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (!ch_http_has_store (self->services->http)) {
    ch_reply_error (self, reply, 50305, "there is no database", NULL);
    return;
  }
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, NULL, "audit.list");
  ch_tx_bind_int (tx, "before_id", ch_request_query_int (request, "after", G_MAXINT64));
  ch_tx_bind_int (tx, "count", ch_request_query_int (request, "limit", 100));
  ch_tx_submit (tx, 0, got_audit, ch_http_call_new (reply, 200));
}

/* ---- the table -----------------------------------------------------------------------
 */

static const ChParam LIST_PARAMS[] = {CH_HTTP_PARAM_PAGING, {.name = NULL}};
static const ChParam CONN_PARAMS[] = {
    CH_HTTP_PARAM ("conn_id", PATH, STRING, TRUE, 1, 32, CH_HTTP_ORDER_CHARS,
                   "Connection"),
    {.name = NULL},
};
static const ChParam LEVEL_PARAMS[] = {
    CH_HTTP_PARAM ("level", BODY, STRING, TRUE, 1, 16, NULL, "error … trace"),
    CH_HTTP_PARAM ("module", BODY, STRING, FALSE, 1, 64, NULL, "Only this part"),
    CH_HTTP_PARAM ("minutes", BODY, INT, FALSE, 1, 1440, NULL, "For how long; 15"),
    {.name = NULL},
};
static const ChParam AUDIT_PARAMS[] = {
    CH_HTTP_PARAM ("after", QUERY, INT, FALSE, 1, 9e18, NULL, "Value of `next`"),
    CH_HTTP_PARAM ("limit", QUERY, INT, FALSE, 1, 1000, NULL, "Default 100"),
    {.name = NULL},
};

#define ADMIN(verb, route_path, table, text, func)                                       \
  {                                                                                      \
    .method = verb, .path = "/api/v1/admin" route_path, .auth = CH_AUTH_ADMIN,           \
    .params = table, .summary = text, .handler = func                                    \
  }

const ChRoute ch_http_admin_routes[] = {
    ADMIN ("GET", "/connections", LIST_PARAMS, "Live connections", list_connections),
    ADMIN ("GET", "/connections/{conn_id}", CONN_PARAMS, "A connection", get_connection),
    ADMIN ("DELETE", "/connections/{conn_id}", CONN_PARAMS, "Close a connection",
           close_connection),
    ADMIN ("POST", "/devices/{id}/kick", ch_http_device_params,
           "Close the connection of a device", kick_device),
    ADMIN ("GET", "/breakers", NULL, "Circuit breakers", list_breakers),
    ADMIN ("POST", "/breakers/{name}/reset", NULL, "Close a circuit breaker",
           reset_breaker),
    ADMIN ("GET", "/config", NULL, "Effective configuration, secrets masked", get_config),
    ADMIN ("PUT", "/log-level", LEVEL_PARAMS, "Another log level for a while",
           put_log_level),
    ADMIN ("GET", "/audit", AUDIT_PARAMS, "Who changed what", get_audit),
    {.method = NULL},
};
