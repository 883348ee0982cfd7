/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Administration (gateway 7.7): connections, breakers, servers, audit. */
#include "core/core-admin.h"
#include "core/core.h"
#include "core/device/device.h"
#include "core/session/session.h"
#include "http/routes/api.h"
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
  ChOrigin origin = ch_http_origin (request);
  ch_core_kick_device (self, ch_request_path (request, "id"), &origin, ch_http_core_read,
                       ch_http_call_new (reply, 200));
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

/* ---- the table -----------------------------------------------------------------------
 */

static void list_servers (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_list_servers (self, ch_http_core_read, ch_http_call_new (reply, 200));
}

static const ChParam BREAKER_PARAMS[] = {
    CH_HTTP_PARAM ("name", PATH, STRING, TRUE, 1, 64, CH_HTTP_ORDER_CHARS, "Breaker"),
    {.name = NULL},
};
static const ChParam LIST_PARAMS[] = {CH_HTTP_PARAM_PAGING, {.name = NULL}};
static const ChParam CONN_PARAMS[] = {
    CH_HTTP_PARAM ("conn_id", PATH, STRING, TRUE, 1, 32, CH_HTTP_ORDER_CHARS,
                   "Connection"),
    {.name = NULL},
};

const ChRoute ch_http_admin_routes[] = {
    CH_HTTP_ADMIN ("GET", "/connections", LIST_PARAMS, "Live connections",
                   list_connections),
    CH_HTTP_ADMIN ("GET", "/connections/{conn_id}", CONN_PARAMS, "A connection",
                   get_connection),
    CH_HTTP_ADMIN ("DELETE", "/connections/{conn_id}", CONN_PARAMS, "Close a connection",
                   close_connection),
    CH_HTTP_ADMIN ("POST", "/devices/{id}/kick", ch_http_device_params,
                   "Close the connection of a device", kick_device),
    CH_HTTP_ADMIN ("GET", "/breakers", NULL, "Circuit breakers", list_breakers),
    CH_HTTP_ADMIN ("POST", "/breakers/{name}/reset", BREAKER_PARAMS,
                   "Close a circuit breaker", reset_breaker),
    CH_HTTP_ADMIN ("GET", "/servers", NULL, "Instances and their load", list_servers),
    {.method = NULL},
};
