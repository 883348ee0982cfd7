/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command queue and its dead letters, for operators (gateway 4.10, 7.7). */
#include "core/device/device.h"
#include "core/outbound/outbound.h"
#include "http/routes/api.h"

static ChOutbound *outbound_of (ChPlugin *self)
{
  return ch_core_of (self)->outbound;
}

static guint limit_of (const ChRequest *request)
{
  return (guint) ch_request_query_int (request, "limit", 100);
}

/* The page that is wanted. */
static json_t *queue_page (ChPlugin *self, const ChRequest *request,
                           const ChDevice *device)
{
  gint64 limit, offset;
  ch_http_page (request, &limit, &offset);
  json_t *data
      = ch_outbound_queue_json (outbound_of (self), device, (guint) (offset + limit));
  json_t *all = json_object_get (data, "queue"), *page = json_array ();
  for (size_t i = (size_t) offset; i < json_array_size (all); i++)
    json_array_append (page, json_array_get (all, i));
  json_object_set_new (data, "queue", page);
  json_object_set_new (data, "page", json_integer (offset / limit + 1));
  json_object_set_new (data, "page_size", json_integer (limit));
  return data;
}

static void reply_device_queue (ChPlugin *self, const ChRequest *request, ChReply reply,
                                const char *id)
{
  const ChDevice *device = ch_device_find (ch_core_of (self), id);
  ch_http_reply_device (self, reply,
                        device != NULL ? queue_page (self, request, device) : NULL);
}

static void get_queue (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *id = ch_request_query (request, "device_id");
  if (id != NULL)
    reply_device_queue (self, request, reply, id);
  else
    ch_reply_data (self, reply, 200, NULL, queue_page (self, request, NULL));
}

static void get_device_queue (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  reply_device_queue (self, request, reply, ch_request_path (request, "id"));
}

static void cancel_command (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *id = ch_request_path (request, "command_id");
  if (ch_outbound_cancel_by_hand (outbound_of (self), id))
    ch_reply_data (self, reply, 200, NULL,
                   json_pack ("{s:s,s:s}", "command_id", id, "state", "cancelled"));
  else
    ch_reply_error (self, reply, CH_CORE_ERROR_COMMAND_NOT_FOUND,
                    "no such command waits: unknown, sent or final already", NULL);
}

static void got_dead (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer user_data)
{
  g_autoptr (json_t) stats = ch_outbound_stats_json (outbound_of (self));
  g_autoptr (json_t) shown
      = data != NULL ? json_copy ((json_t *) (guintptr) data) : json_object ();
  const json_t *list = json_object_get (shown, "dead");
  const json_t *last = json_array_get (list, json_array_size (list) - 1);
  json_object_set (shown, "total", json_object_get (stats, "dead"));
  json_object_set_new (shown, "next",
                       last != NULL ? json_incref (json_object_get (last, "id"))
                                    : json_null ());
  ch_http_core_read (self, error == NULL ? shown : data, error, user_data);
}

static void get_dead (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_outbound_dead_list (outbound_of (self), self,
                         ch_request_query_int (request, "after", 0), limit_of (request),
                         got_dead, ch_http_call_new (reply, 200));
}

static void resend_dead (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  gint64 id = 0;
  g_ascii_string_to_signed (ch_request_path (request, "id"), 10, 1, G_MAXINT64, &id,
                            NULL);
  ch_outbound_dead_resend (outbound_of (self), self, id, &origin, ch_http_core_commanded,
                           ch_http_call_new (reply, 202));
}

static void delete_dead (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  gint64 before;
  if (!ch_http_query_time (self, request, reply, "before", &before))
    return;
  ch_outbound_dead_delete (outbound_of (self), self, before, ch_http_core_read,
                           ch_http_call_new (reply, 200));
}

#define LIMIT CH_HTTP_PARAM ("limit", QUERY, INT, FALSE, 1, 1000, NULL, "Default 100")

static const ChParam LIST_PARAMS[] = {
    CH_HTTP_PARAM ("device_id", QUERY, STRING, FALSE, 1, 64, CH_HTTP_ID_CHARS,
                   "Only this device"),
    CH_HTTP_PARAM_PAGING,
    {.name = NULL},
};
static const ChParam DEVICE_PARAMS[]
    = {CH_HTTP_PARAM_DEVICE, CH_HTTP_PARAM_PAGING, {.name = NULL}};
static const ChParam COMMAND_PARAMS[] = {
    CH_HTTP_PARAM ("command_id", PATH, STRING, TRUE, 1, 31, CH_HTTP_ORDER_CHARS,
                   "Command id"),
    {.name = NULL},
};
static const ChParam DEAD_PARAMS[] = {
    LIMIT,
    CH_HTTP_PARAM ("after", QUERY, INT, FALSE, 1, 9e18, NULL, "Older than this one"),
    {.name = NULL},
};
static const ChParam RESEND_PARAMS[] = {
    CH_HTTP_PARAM ("id", PATH, INT, TRUE, 1, 9e18, NULL, "Dead letter"),
    {.name = NULL},
};
static const ChParam DELETE_PARAMS[] = {
    CH_HTTP_PARAM ("before", QUERY, STRING, TRUE, 1, 40, NULL, "Failed before this time"),
    {.name = NULL},
};

const ChRoute ch_http_queue_routes[] = {
    CH_HTTP_ADMIN ("GET", "/queue", LIST_PARAMS, "Waiting commands and those in flight",
                   get_queue),
    CH_HTTP_ADMIN ("GET", "/queue/{id}", DEVICE_PARAMS, "Those of a device",
                   get_device_queue),
    CH_HTTP_ADMIN ("DELETE", "/commands/{command_id}", COMMAND_PARAMS,
                   "Take a command back", cancel_command),
    CH_HTTP_ADMIN ("GET", "/queue/dead", DEAD_PARAMS, "Commands that failed for good",
                   get_dead),
    CH_HTTP_ADMIN ("POST", "/queue/dead/{id}/resend", RESEND_PARAMS, "Try once more",
                   resend_dead),
    CH_HTTP_ADMIN ("DELETE", "/queue/dead", DELETE_PARAMS, "Forget old ones",
                   delete_dead),
    {.method = NULL},
};
