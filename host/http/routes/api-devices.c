/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading devices (gateway 7.4, 7.5): from memory, or where the device is. */
#include "core/device/device-json.h"
#include "http/routes/api.h"

const ChParam ch_http_device_params[] = {CH_HTTP_PARAM_DEVICE, {.name = NULL}};
const ChParam ch_http_list_devices_params[] = {
    CH_HTTP_PARAM ("presence", QUERY, STRING, FALSE, 0, 0, NULL,
                   "online, unstable or offline"),
    CH_HTTP_PARAM ("protocol", QUERY, STRING, FALSE, 1, 32, NULL, "Protocol"),
    CH_HTTP_PARAM ("tag", QUERY, STRING, FALSE, 1, 64, NULL, "Has this tag"),
    CH_HTTP_PARAM ("q", QUERY, STRING, FALSE, 1, 64, NULL, "Part of the id"),
    CH_HTTP_PARAM ("after", QUERY, STRING, FALSE, 1, 64, NULL, "Id after which to begin"),
    CH_HTTP_PARAM_PAGING,
    {.name = NULL},
};

/* The answer is written as text: devices are asked for most often of all. */
static void answer_text (ChPlugin *self, const ChRequest *request, ChReply reply,
                         gboolean (*write) (ChPlugin *self, const char *id, ChText *text))
{
  ChRequest *own = (ChRequest *) (guintptr) request;
  if (write (self, ch_request_path (request, "id"), ch_http_answer_begin (own)))
    ch_http_answer_end (own, 200);
  else
    ch_http_reply_device (self, reply, NULL);
}

/* TRUE: another instance may hold the device, and is asked for what it knows. */
static gboolean ask_elsewhere (ChPlugin *self, const ChRequest *request, ChReply reply,
                               ChCoreView view)
{
  const char *id = ch_request_path (request, "id");
  if (!ch_core_may_be_elsewhere (self, id))
    return FALSE;
  ch_core_read_device (self, id, view, ch_http_core_read, ch_http_call_new (reply, 200));
  return TRUE;
}

void ch_http_get_device (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (!ask_elsewhere (self, request, reply, CH_VIEW_DEVICE))
    answer_text (self, request, reply, ch_core_device_text);
}

void ch_http_get_ports (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (!ask_elsewhere (self, request, reply, CH_VIEW_PORTS))
    answer_text (self, request, reply, ch_core_ports_text);
}

static void get_sockets (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (ask_elsewhere (self, request, reply, CH_VIEW_SOCKETS))
    return;
  ch_http_reply_device (self, reply,
                        ch_core_sockets_json (self, ch_request_path (request, "id")));
}

void ch_http_get_session (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  if (ask_elsewhere (self, request, reply, CH_VIEW_SESSION))
    return;
  ch_http_reply_device (self, reply,
                        ch_core_session_json (self, ch_request_path (request, "id")));
}

void ch_http_get_online (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *id = ch_request_path (request, "id");
  g_autoptr (json_t) session = ch_core_session_json (self, id);
  if (session == NULL) {
    ch_http_reply_device (self, reply, NULL);
    return;
  }
  json_t *data = json_object ();
  json_object_set_new (data, "device_id", json_string (id));
  static const char *const names[] = {"online", "presence", "last_seen_at", "server_id"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    json_t *value = json_object_get (session, names[i]);
    json_object_set (data, names[i], value != NULL ? value : json_null ());
  }
  ch_reply_data (self, reply, 200, NULL, data);
}

static gint presence_of (const char *text)
{
  for (gint i = CH_PRESENCE_OFFLINE; i <= CH_PRESENCE_ONLINE; i++)
    if (g_strcmp0 (text, ch_presence_name ((ChPresence) i)) == 0)
      return i;
  return -1;
}

void ch_http_list_devices (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *presence = ch_request_query (request, "presence");
  ChDeviceQuery query = {
      .q = ch_request_query (request, "q"),
      .protocol = ch_request_query (request, "protocol"),
      .tag = ch_request_query (request, "tag"),
      .after = ch_request_query (request, "after"),
      .presence = presence_of (presence),
  };
  if (presence != NULL && query.presence < 0) {
    g_autoptr (json_t) value = json_string (presence);
    ch_http_reply_invalid (self, reply, "presence", "enum", value);
    return;
  }
  ch_http_page (request, &query.limit, &query.offset);
  if (ch_core_may_be_elsewhere (self, NULL)) {
    ch_core_read_devices (self, &query, ch_http_core_read, ch_http_call_new (reply, 200));
    return;
  }
  ChRequest *own = (ChRequest *) (guintptr) request;
  ch_core_list_devices_text (self, &query, ch_http_answer_begin (own));
  ch_http_answer_end (own, 200);
}

static void stats (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL, ch_core_stats_json (self));
}

static void definitions (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  json_t *data = ch_core_definitions_json (self);
  if (json_object_get (data, "error_codes") == NULL)
    json_object_set_new (data, "error_codes", ch_http_error_list ());
  if (ch_http_wants_chinese (request))
    ch_http_definitions_chinese (data);
  ch_reply_data (self, reply, 200, NULL, data);
}

const ChRoute ch_http_device_routes[] = {
    CH_HTTP_GET ("/api/v1/devices", CH_AUTH_READ, ch_http_list_devices_params, "Devices",
                 ch_http_list_devices),
    CH_HTTP_GET ("/api/v1/devices/{id}", CH_AUTH_READ, ch_http_device_params, "A device",
                 ch_http_get_device),
    CH_HTTP_GET ("/api/v1/devices/{id}/ports", CH_AUTH_READ, ch_http_device_params,
                 "Its ports", ch_http_get_ports),
    CH_HTTP_GET ("/api/v1/devices/{id}/sockets", CH_AUTH_READ, ch_http_device_params,
                 "Sockets behind it", get_sockets),
    CH_HTTP_GET ("/api/v1/sessions/{id}", CH_AUTH_READ, ch_http_device_params,
                 "Its connection", ch_http_get_session),
    CH_HTTP_GET ("/api/v1/stats", CH_AUTH_READ, NULL,
                 "Counts of devices, ports, orders, queues", stats),
    CH_HTTP_GET ("/api/v1/status/definitions", CH_AUTH_READ, NULL, "What codes mean",
                 definitions),
    CH_HTTP_GET (CH_HTTP_THIRD "/devices", CH_AUTH_THIRD, ch_http_list_devices_params,
                 "Devices", ch_http_list_devices),
    CH_HTTP_GET (CH_HTTP_THIRD "/devices/{id}", CH_AUTH_THIRD, ch_http_device_params,
                 "A device", ch_http_get_device),
    CH_HTTP_GET (CH_HTTP_THIRD "/devices/{id}/ports", CH_AUTH_THIRD,
                 ch_http_device_params, "Its ports", ch_http_get_ports),
    CH_HTTP_GET (CH_HTTP_THIRD "/devices/{id}/online", CH_AUTH_THIRD,
                 ch_http_device_params, "Whether it is on line", ch_http_get_online),
    CH_HTTP_GET (CH_HTTP_THIRD "/status/definitions", CH_AUTH_THIRD, NULL,
                 "What codes mean", definitions),
    {.method = NULL},
};
