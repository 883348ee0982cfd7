/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands to devices other than start and stop (gateway 7.5). */
#include "http/routes/api.h"

#include <string.h>

static const ChParam COMMAND_PARAMS[] = {
    CH_HTTP_PARAM ("command_id", PATH, STRING, TRUE, 1, 31, CH_HTTP_ORDER_CHARS,
                   "Command id"),
    {.name = NULL},
};
const ChParam ch_http_reboot_params[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("target", BODY, STRING, FALSE, 1, 16, NULL,
                   "gateway (default), socket or module"),
    CH_HTTP_PARAM ("mode", BODY, STRING, FALSE, 1, 8, NULL, "soft or hard"),
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM ("force", BODY, BOOL, FALSE, 0, 0, NULL, "Also with active orders"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam QUERY_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam SET_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("params", BODY, ARRAY, TRUE, 1, 64, NULL,
                   "{id, value, encoding: text or hex}"),
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam READ_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("ids", BODY, ARRAY, TRUE, 1, 64, NULL, "Numbers of parameters"),
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam NETWORK_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("channel", BODY, INT, TRUE, 1, 15, NULL, "Radio channel"),
    CH_HTTP_PARAM ("nodes", BODY, ARRAY, TRUE, 1, 250, NULL, "{socket_no, socket_mac}"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam NODE_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("socket_no", BODY, INT, TRUE, 1, 250, NULL, "Socket"),
    CH_HTTP_PARAM ("socket_mac", BODY, STRING, TRUE, 12, 12, "0123456789abcdefABCDEF",
                   "Its address"),
    CH_HTTP_PARAM ("channel", BODY, INT, FALSE, 1, 15, NULL, "Radio channel"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam NODE_DELETE_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("socket_no", PATH, INT, TRUE, 1, 250, NULL, "Socket"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam REFRESH_PARAMS[]
    = {CH_HTTP_PARAM_DEVICE, CH_HTTP_PARAM_WAIT, {.name = NULL}};
static const ChParam SEND_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("type", BODY, STRING, TRUE, 1, 32, NULL, "Type of the command"),
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM ("port_no", BODY, INT, FALSE, 0, 15, NULL, "Port"),
    CH_HTTP_PARAM ("payload", BODY, OBJECT, FALSE, 0, 0, NULL, "Fields of the command"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};

/* @payload (transfer full) (nullable) */
static void send_command (ChPlugin *self, const ChRequest *request, ChReply reply,
                          ChCommandType type, json_t *payload)
{
  const json_t *body = ch_request_body (request);
  ChOrigin origin = ch_http_origin (request);

  ch_core_send (self, ch_request_path (request, "id"), type,
                (gint) ch_json_get_int (body, "socket_no", 0),
                (gint) ch_json_get_int (body, "port_no", -1), payload,
                ch_json_get_bool (body, "force", FALSE), &origin,
                ch_http_wait_ms (request), ch_http_core_commanded,
                ch_http_call_new (reply, 202));
  json_decref (payload);
}

static void copy_member (json_t *to, const json_t *from, const char *name)
{
  json_t *value = json_object_get (from, name);
  if (value != NULL && !json_is_null (value))
    json_object_set (to, name, value);
}

static void get_command (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_get_command (self, ch_request_path (request, "command_id"), ch_http_core_read,
                       ch_http_call_new (reply, 200));
}

/* ---- reboot, query -------------------------------------------------------------------
 */

static gboolean is_one_of (const char *text, const char *const *choices)
{
  return text == NULL || g_strv_contains (choices, text);
}

void ch_http_reboot (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  static const char *const targets[] = {"gateway", "socket", "module", NULL};
  static const char *const modes[] = {"soft", "hard", NULL};
  const json_t *body = ch_request_body (request);

  if (!is_one_of (ch_json_get_string (body, "target", NULL), targets)) {
    ch_http_reply_invalid (self, reply, "target", "enum",
                           json_object_get (body, "target"));
    return;
  }
  if (!is_one_of (ch_json_get_string (body, "mode", NULL), modes)) {
    ch_http_reply_invalid (self, reply, "mode", "enum", json_object_get (body, "mode"));
    return;
  }
  json_t *payload = json_object ();
  json_object_set_new (payload, "target",
                       json_string (ch_json_get_string (body, "target", "gateway")));
  copy_member (payload, body, "mode");
  send_command (self, request, reply, CH_COMMAND_REBOOT, payload);
}

typedef struct {
  ChReply reply;
  char device[CH_DEVICE_ID_SIZE];
} Query;

/* 200 with the ports once the device has answered. */
static void queried (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  g_autofree Query *query = user_data;
  json_t *ports
      = g_strcmp0 (ch_json_get_string (data, "state", ""), "acked") == 0 && error == NULL
            ? ch_core_ports_json (self, query->device)
            : NULL;
  if (ports == NULL) {
    ch_http_core_commanded (self, data, error, ch_http_call_new (query->reply, 202));
    return;
  }
  json_object_update_missing (ports, (json_t *) (guintptr) data);
  ch_reply_data (self, query->reply, 200, NULL, ports);
}

static void query_ports (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  Query *query = g_new0 (Query, 1);
  query->reply = reply;
  g_strlcpy (query->device, ch_request_path (request, "id"), sizeof query->device);
  ch_core_send (self, query->device, CH_COMMAND_QUERY_PORT_STATUS,
                (gint) ch_json_get_int (ch_request_body (request), "socket_no", 0), -1,
                NULL, FALSE, &origin, ch_http_wait_ms (request), queried, query);
}

/* ---- parameters ----------------------------------------------------------------------
 */

static gboolean is_hex (const char *text)
{
  gsize n = strlen (text);
  return n % 2 == 0 && n == strspn (text, "0123456789abcdefABCDEF");
}

/* What is wrong with an entry, NULL when nothing is. */
static const char *param_rule (const json_t *item)
{
  const json_t *id = json_object_get (item, "id");
  const json_t *value = json_object_get (item, "value");
  const char *encoding = ch_json_get_string (item, "encoding", "text");

  if (!json_is_integer (id) || !json_is_string (value))
    return "type";
  if (json_integer_value (id) < 0 || json_integer_value (id) > 65535)
    return "range";
  if (g_str_equal (encoding, "hex")) {
    if (!is_hex (json_string_value (value)))
      return "hex";
  } else if (!g_str_equal (encoding, "text"))
    return "enum";
  gsize bytes = json_string_length (value) / (g_str_equal (encoding, "hex") ? 2 : 1);
  return bytes > 255 ? "max" : NULL;
}

static void set_params (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  json_t *list = json_object_get (ch_request_body (request), "params");
  size_t i;
  json_t *item;

  json_array_foreach (list, i, item)
  {
    const char *rule = param_rule (item);
    if (rule != NULL) {
      ch_http_reply_invalid_entry (self, reply, "params", i, rule);
      return;
    }
  }
  json_t *payload = json_object ();
  json_object_set (payload, "params", list);
  send_command (self, request, reply, CH_COMMAND_SET_PARAMS, payload);
}

static void read_params (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  json_t *list = json_object_get (ch_request_body (request), "ids");
  size_t i;
  json_t *item;

  json_array_foreach (list, i, item) if (!json_is_integer (item)
                                         || json_integer_value (item) < 0
                                         || json_integer_value (item) > 65535)
  {
    ch_http_reply_invalid_entry (self, reply, "ids", i, "range");
    return;
  }
  json_t *payload = json_object ();
  json_object_set (payload, "ids", list);
  send_command (self, request, reply, CH_COMMAND_READ_PARAMS, payload);
}

/* ---- the network of sockets ----------------------------------------------------------
 */

static const char *node_rule (const json_t *item, GHashTable *numbers, GHashTable *macs)
{
  gint64 number = ch_json_get_int (item, "socket_no", 0);
  const char *mac = ch_json_get_string (item, "socket_mac", "");
  if (number < 1 || number > 250)
    return "range";
  if (strlen (mac) != 12 || !is_hex (mac))
    return "hex";
  gboolean is_new = g_hash_table_add (numbers, GINT_TO_POINTER ((gint) number));
  is_new &= g_hash_table_add (macs, g_ascii_strdown (mac, -1));
  return is_new ? NULL : "unique";
}

static void configure_network (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  json_t *list = json_object_get (body, "nodes");
  g_autoptr (GHashTable) numbers = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) macs
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  size_t i;
  json_t *item;

  json_array_foreach (list, i, item)
  {
    const char *rule = node_rule (item, numbers, macs);
    if (rule != NULL) {
      ch_http_reply_invalid_entry (self, reply, "nodes", i, rule);
      return;
    }
  }
  json_t *payload = json_object ();
  copy_member (payload, body, "channel");
  copy_member (payload, body, "nodes");
  send_command (self, request, reply, CH_COMMAND_CONFIGURE_NETWORK, payload);
}

static void add_node (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  json_t *payload = json_object ();
  copy_member (payload, body, "socket_no");
  copy_member (payload, body, "socket_mac");
  copy_member (payload, body, "channel");
  send_command (self, request, reply, CH_COMMAND_NETWORK_ADD_NODE, payload);
}

static void delete_node (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  gint64 number = 0;
  g_ascii_string_to_signed (ch_request_path (request, "socket_no"), 10, 1, 250, &number,
                            NULL);
  g_autoptr (json_t) payload = json_object ();
  json_object_set_new (payload, "socket_no", json_integer (number));
  ch_core_send (self, ch_request_path (request, "id"), CH_COMMAND_NETWORK_DELETE_NODE,
                (gint) number, -1, payload, FALSE, &origin, ch_http_wait_ms (request),
                ch_http_core_commanded, ch_http_call_new (reply, 202));
}

static void refresh_network (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  send_command (self, request, reply, CH_COMMAND_NETWORK_REFRESH, NULL);
}

/* ---- any other -----------------------------------------------------------------------
 */

static void send_any (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  const char *name = ch_json_get_string (body, "type", "");
  ChCommandType type = ch_command_type_parse (name);
  json_t *payload = json_object ();

  if (json_object_get (body, "payload") != NULL)
    json_object_update (payload, json_object_get (body, "payload"));
  switch ((gint) type) {
  case CH_COMMAND_START_CHARGE:
  case CH_COMMAND_STOP_CHARGE:
  case CH_COMMAND_CANCEL_SESSION:
    json_decref (payload);
    ch_http_reply_invalid (self, reply, "type", "enum", json_object_get (body, "type"));
    return;
  case 0: /* the driver's own */
    type = CH_COMMAND_CUSTOM;
    json_object_set_new (payload, "name", json_string (name));
    break;
  default:
    break;
  }
  send_command (self, request, reply, type, payload);
}

const ChRoute ch_http_command_routes[] = {
    {.method = "GET",
     .path = "/api/v1/third/commands/{command_id}",
     .auth = CH_AUTH_THIRD,
     .params = COMMAND_PARAMS,
     .summary = "What became of a command",
     .handler = get_command},
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/reboot", CH_ROUTE_MUTATES,
                     ch_http_reboot_params, "Restart it", ch_http_reboot),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/query", CH_ROUTE_MUTATES,
                     QUERY_PARAMS, "Ask it for its ports", query_ports),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/params", CH_ROUTE_MUTATES,
                     SET_PARAMS, "Set parameters", set_params),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/params/read", CH_ROUTE_MUTATES,
                     READ_PARAMS, "Read parameters", read_params),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/network/configure",
                     CH_ROUTE_MUTATES, NETWORK_PARAMS, "Set the whole network of sockets",
                     configure_network),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/network/nodes",
                     CH_ROUTE_MUTATES, NODE_PARAMS, "Add a socket", add_node),
    CH_HTTP_CONTROL ("DELETE", CH_HTTP_THIRD "/devices/{id}/network/nodes/{socket_no}",
                     CH_ROUTE_MUTATES, NODE_DELETE_PARAMS, "Remove a socket",
                     delete_node),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/network/refresh",
                     CH_ROUTE_MUTATES, REFRESH_PARAMS, "Let it report its sockets",
                     refresh_network),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/commands", CH_ROUTE_MUTATES,
                     SEND_PARAMS, "Any other command", send_any),
    {.method = NULL},
};
