/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Registering, changing, retiring and importing devices (gateway 1.1, 7.7). */
#include "http/routes/api.h"
#include "http/routes/device-wish.h"

#include <string.h>

#define IMPORT_BODY (16 * 1024 * 1024)
#define PROBLEMS_MAX 100

/* ---- one device ----------------------------------------------------------------------
 */

static void reply_problem (ChPlugin *self, ChReply reply, const json_t *object,
                           const ChWishProblem *problem)
{
  ch_http_reply_invalid (self, reply, problem->field, problem->rule,
                         json_object_get (object, problem->field));
}

/* What of a device an operator may change. */
static json_t *state_of (const json_t *device)
{
  static const char *const names[]
      = {"lifecycle", "enrolment", "tags", "iccid", "imei", "model", "port_count"};
  json_t *state = json_object ();
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    json_t *value = json_object_get (device, names[i]);
    if (value != NULL && !json_is_null (value))
      json_object_set (state, names[i], value);
  }
  return state;
}

static void written (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error != NULL) {
    ch_http_core_read (self, data, error, call);
    return;
  }
  json_t *before = json_object_get (data, "before");
  json_t *device = json_object_get (data, "device");
  ch_http_audit_change (self->services->http, call->reply, json_incref (before),
                        state_of (device));
  ch_reply_data (self, call->reply, ch_json_get_bool (data, "created", FALSE) ? 201 : 200,
                 NULL, json_incref (device));
  g_free (call);
}

static void register_device (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  ChOrigin origin = ch_http_origin (request);
  ChWishProblem problem;
  ChDeviceWish wish;
  if (!ch_device_wish_read (body, &wish, &problem))
    reply_problem (self, reply, body, &problem);
  else
    ch_core_register_device (self, &wish, &origin, written,
                             ch_http_call_new (reply, 200));
}

static void change_device (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  g_autoptr (json_t) body = json_copy ((json_t *) (guintptr) ch_request_body (request));
  ChOrigin origin = ch_http_origin (request);
  ChWishProblem problem;
  ChDeviceWish wish;
  json_object_set_new (body, "device_id", json_string (ch_request_path (request, "id")));
  if (!ch_device_wish_read (body, &wish, &problem))
    reply_problem (self, reply, body, &problem);
  else
    ch_core_change_device (self, &wish, &origin, written, ch_http_call_new (reply, 200));
}

static void retired (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error != NULL) {
    ch_http_core_read (self, data, error, call);
    return;
  }
  json_t *shown = json_copy ((json_t *) (guintptr) data);
  json_object_del (shown, "before");
  ch_http_audit_change (self->services->http, call->reply,
                        json_incref (json_object_get (data, "before")),
                        json_incref (shown));
  ch_reply_data (self, call->reply, 200, NULL, shown);
  g_free (call);
}

static void retire_device (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  ch_core_retire_device (self, ch_request_path (request, "id"), &origin, retired,
                         ch_http_call_new (reply, 200));
}

/* ---- many ----------------------------------------------------------------------------
 */

/* As a validation error of gateway 7.1, with the line. @value (nullable) */
static void add_problem (json_t *fields, const ChWishProblem *problem,
                         const json_t *value)
{
  json_t *item = json_object ();
  json_object_set_new (item, "field", json_string (problem->field));
  json_object_set_new (item, "rule", json_string (problem->rule));
  if (problem->line > 0)
    json_object_set_new (item, "line", json_integer (problem->line));
  if (json_is_string (value) && json_string_length (value) <= 64)
    json_object_set (item, "value", (json_t *) (guintptr) value);
  json_array_append_new (fields, item);
}

/* @fields (transfer full) */
static void reply_fields (ChPlugin *self, ChReply reply, json_t *fields)
{
  const json_t *first = json_array_get (fields, 0);
  g_autofree char *message = g_strdup_printf (
      "nothing was imported: line %d: %s (%s)", (gint) ch_json_get_int (first, "line", 1),
      ch_json_get_string (first, "field", ""), ch_json_get_string (first, "rule", ""));
  json_t *data = json_object ();
  json_object_set_new (data, "fields", fields);
  ch_reply_error (self, reply, CH_CORE_ERROR_INVALID_PARAMETER, message, data);
}

/* NULL: 41500 or 40010 was answered. (transfer full) */
static json_t *read_lines (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *type = ch_request_header (request, "Content-Type");
  gsize n = type != NULL ? strcspn (type, "; ") : 0;
  const char *text = request->bytes != NULL ? (const char *) request->bytes->data : "";
  gsize size = request->bytes != NULL ? request->bytes->len : 0;
  ChWishProblem problem = {0};
  json_t *lines;

  if (n == strlen ("text/csv") && g_ascii_strncasecmp (type, "text/csv", n) == 0)
    lines = ch_import_read_csv (text, size, &problem);
  else if ((n == strlen ("application/x-ndjson")
            && g_ascii_strncasecmp (type, "application/x-ndjson", n) == 0)
           || (n == strlen ("application/jsonl")
               && g_ascii_strncasecmp (type, "application/jsonl", n) == 0))
    lines = ch_import_read_lines (text, size, &problem);
  else {
    ch_reply_error (self, reply, 41500,
                    "the body has to be text/csv or application/x-ndjson", NULL);
    return NULL;
  }
  if (lines == NULL) {
    json_t *fields = json_array ();
    add_problem (fields, &problem, NULL);
    reply_fields (self, reply, fields);
  }
  return lines;
}

static void imported (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error != NULL) {
    ch_http_core_read (self, data, error, call);
    return;
  }
  json_t *shown = json_copy ((json_t *) (guintptr) data);
  json_object_set_new (shown, "dry_run", json_boolean (call->status == 0));
  ch_http_audit_change (self->services->http, call->reply, NULL, json_incref (shown));
  ch_reply_data (self, call->reply, 200, NULL, shown);
  g_free (call);
}

static void import_devices (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *dry = ch_request_query (request, "dry_run");
  gboolean dry_run = dry == NULL || g_str_equal (dry, "true") || g_str_equal (dry, "1");
  ChOrigin origin = ch_http_origin (request);
  g_autoptr (json_t) lines = read_lines (self, request, reply);
  g_autoptr (GArray) wishes = g_array_new (FALSE, FALSE, sizeof (ChDeviceWish));
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (json_t) fields = json_array ();
  size_t i;
  json_t *object;

  if (lines == NULL)
    return;
  json_array_foreach (lines, i, object)
  {
    ChWishProblem problem = {0};
    ChDeviceWish wish;
    gboolean ok = ch_device_wish_read (object, &wish, &problem);
    const char *id = ch_json_get_string (object, "device_id", "");
    if (ok && !g_hash_table_add (ids, (gpointer) (guintptr) id)) {
      problem.rule = "unique";
      g_strlcpy (problem.field, "device_id", sizeof problem.field);
      ok = FALSE;
    }
    if (ok)
      g_array_append_val (wishes, wish);
    else if (json_array_size (fields) < PROBLEMS_MAX)
      add_problem (fields, &problem, json_object_get (object, problem.field));
  }
  if (json_array_size (fields) > 0)
    reply_fields (self, reply, g_steal_pointer (&fields));
  else
    ch_core_import_devices (self, (const ChDeviceWish *) (gpointer) wishes->data,
                            wishes->len, dry_run, &origin, imported,
                            ch_http_call_new (reply, dry_run ? 0 : 200));
}

/* ---- the table -----------------------------------------------------------------------
 */

#define DEVICE_FIELDS                                                                    \
  CH_HTTP_PARAM ("iccid", BODY, STRING, FALSE, 1, 32, NULL, "SIM card"),                 \
      CH_HTTP_PARAM ("imei", BODY, STRING, FALSE, 1, 32, NULL, "Modem"),                 \
      CH_HTTP_PARAM ("model", BODY, STRING, FALSE, 1, 64, NULL, "Model"),                \
      CH_HTTP_PARAM ("port_count", BODY, INT, FALSE, 1, 502, NULL, "Number of ports"),   \
      CH_HTTP_PARAM ("lifecycle", BODY, STRING, FALSE, 1, 16, NULL,                      \
                     "active, maintenance or decommissioned"),                           \
      CH_HTTP_PARAM ("enrolment", BODY, STRING, FALSE, 1, 16, NULL,                      \
                     "auto, registered or blocked"),                                     \
      CH_HTTP_PARAM ("tags", BODY, OBJECT, FALSE, 0, 0, NULL,                            \
                     "Labels; merged with those there are, null removes one")

static const ChParam REGISTER_PARAMS[] = {
    CH_HTTP_PARAM ("device_id", BODY, STRING, TRUE, 1, 64, CH_HTTP_ID_CHARS,
                   "The id that the device reports"),
    CH_HTTP_PARAM ("protocol", BODY, STRING, FALSE, 1, 32, CH_HTTP_ORDER_CHARS,
                   "What it will speak"),
    DEVICE_FIELDS,
    {.name = NULL},
};
static const ChParam CHANGE_PARAMS[]
    = {CH_HTTP_PARAM_DEVICE, DEVICE_FIELDS, {.name = NULL}};
static const ChParam IMPORT_PARAMS[] = {
    CH_HTTP_PARAM ("dry_run", QUERY, BOOL, FALSE, 0, 0, NULL,
                   "false does it; by default it is only checked"),
    {.name = NULL},
};

const ChRoute ch_http_device_admin_routes[] = {
    CH_HTTP_ADMIN ("POST", "/devices", REGISTER_PARAMS,
                   "Register a device; one that is known is changed", register_device),
    CH_HTTP_ADMIN ("PATCH", "/devices/{id}", CHANGE_PARAMS, "Change a device",
                   change_device),
    CH_HTTP_ADMIN ("DELETE", "/devices/{id}", ch_http_device_params,
                   "Retire a device; without orders and connection it is deleted",
                   retire_device),
    {.method = "POST",
     .path = "/api/v1/admin/devices/import",
     .auth = CH_AUTH_ADMIN,
     .max_body = IMPORT_BODY,
     .params = IMPORT_PARAMS,
     .summary = "Register many devices: CSV or JSON lines, all or none",
     .handler = import_devices},
    {.method = NULL},
};
