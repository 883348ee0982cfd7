/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/routes/api.h"

#include <string.h>

ChHttpCall *ch_http_call_new (ChReply reply, guint status)
{
  ChHttpCall *call = g_new0 (ChHttpCall, 1);
  call->reply = reply;
  call->status = status;
  return call;
}

static json_t *shared (const json_t *data)
{
  return data != NULL ? json_incref ((json_t *) (guintptr) data) : NULL;
}

static void answer_error (ChPlugin *self, ChReply reply, const json_t *data,
                          const GError *error)
{
  if (error->domain == CH_CORE_ERROR)
    ch_reply_error (self, reply, error->code, error->message, shared (data));
  else
    ch_reply_gerror (self, reply, error);
}

void ch_http_core_read (ChPlugin *self, const json_t *data, const GError *error,
                        gpointer user_data)
{
  g_autofree ChHttpCall *call = user_data;
  if (error != NULL)
    answer_error (self, call->reply, data, error);
  else
    ch_reply_data (self, call->reply, 200, NULL, shared (data));
}

/* Whether nothing more will come of this call: waited for, a copy, running already. */
static gboolean is_final (const json_t *data)
{
  const char *old_status = ch_json_get_string (data, "old_status", "");
  ChCommandType type = ch_command_type_parse (ch_json_get_string (data, "type", ""));
  const char *state = ch_json_get_string (data, "state", "");
  return ch_json_get_bool (data, "final", FALSE)
         || ch_json_get_bool (data, "duplicate", FALSE)
         || g_str_equal (old_status, "stopping") || g_str_equal (old_status, "cancelling")
         || (type != 0 && !g_str_equal (state, "queued") && !g_str_equal (state, "sent"));
}

void ch_http_core_commanded (ChPlugin *self, const json_t *data, const GError *error,
                             gpointer user_data)
{
  g_autofree ChHttpCall *call = user_data;
  if (error != NULL) {
    answer_error (self, call->reply, data, error);
    return;
  }
  gboolean final = is_final (data);
  json_t *shown = data != NULL ? json_copy ((json_t *) (guintptr) data) : NULL;
  if (shown != NULL) /* it became the status */
    json_object_del (shown, "final");
  ch_reply_data (self, call->reply, final ? 200 : call->status,
                 final ? "success" : "accepted", shown);
}

void ch_http_reply_device (ChPlugin *self, ChReply reply, json_t *data)
{
  if (data != NULL)
    ch_reply_data (self, reply, 200, NULL, data);
  else
    ch_reply_error (self, reply, CH_CORE_ERROR_DEVICE_NOT_FOUND, "no such device", NULL);
}

ChOrigin ch_http_origin (const ChRequest *request)
{
  return (ChOrigin) {
      .by = request->route->table.auth == CH_AUTH_ADMIN ? "admin" : "api",
      .key_id = ch_request_key_id (request),
      .request_id = ch_request_id (request),
  };
}

guint ch_http_wait_ms (const ChRequest *request)
{
  return (guint) CLAMP (ch_json_get_int (ch_request_body (request), "wait_ms", 0), 0,
                        10000);
}

void ch_http_page (const ChRequest *request, gint64 *limit, gint64 *offset)
{
  if (ch_request_query (request, "limit") != NULL
      || ch_request_query (request, "offset") != NULL) {
    *limit = ch_request_query_int (request, "limit", 100);
    *offset = ch_request_query_int (request, "offset", 0);
    return;
  }
  *limit = ch_request_query_int (request, "page_size", 20);
  *offset = (ch_request_query_int (request, "page", 1) - 1) * *limit;
}

void ch_http_reply_invalid (ChPlugin *self, ChReply reply, const char *field,
                            const char *rule, const json_t *value)
{
  g_autofree char *message = g_strdup_printf ("invalid parameter %s (%s)", field, rule);
  json_t *item = json_object (), *data = json_object (), *fields = json_array ();
  json_object_set_new (item, "field", json_string (field));
  json_object_set_new (item, "rule", json_string (rule));
  if (value != NULL)
    json_object_set (item, "value", (json_t *) (guintptr) value);
  json_array_append_new (fields, item);
  json_object_set_new (data, "fields", fields);
  ch_reply_error (self, reply, CH_CORE_ERROR_INVALID_PARAMETER, message, data);
}

void ch_http_reply_invalid_entry (ChPlugin *self, ChReply reply, const char *field,
                                  gsize at, const char *rule)
{
  g_autofree char *name = g_strdup_printf ("%s[%zu]", field, at);
  ch_http_reply_invalid (self, reply, name, rule, NULL);
}

gboolean ch_http_query_time (ChPlugin *self, const ChRequest *request, ChReply reply,
                             const char *name, gint64 *wall_ms)
{
  const char *text = ch_request_query (request, name);
  *wall_ms = CH_UNSET;
  if (text == NULL
      || g_ascii_string_to_signed (text, 10, 0, G_GINT64_CONSTANT (4102444800000),
                                   wall_ms, NULL)
      || ch_parse_time (text, wall_ms))
    return TRUE;
  g_autoptr (json_t) value = strlen (text) <= 64 ? json_string (text) : NULL;
  ch_http_reply_invalid (self, reply, name, "type", value);
  return FALSE;
}
