/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What administrators do to orders and ports by hand (gateway 7.7). */
#include "core/core-admin.h"
#include "http/routes/api.h"
#include <chargehost/facts.h>

#include <string.h>

#define MAX_COMMENT 255

/* ---- closing an order ----------------------------------------------------------------
 */

/* The audit row shows what it was and what became of it, and why. */
static void forced (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error == NULL)
    ch_http_audit_after (self->services->http, call->reply,
                         json_deep_copy ((json_t *) (guintptr) data));
  ch_http_core_read (self, data, error, call);
}

/* Why, in at most 255 bytes; the table of parameters counts characters. */
static const char *comment_of (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const char *comment = ch_json_get_string (ch_request_body (request), "comment", "");
  gboolean blank = TRUE;
  for (const char *p = comment; *p != '\0'; p++)
    blank &= g_ascii_isspace (*p) != 0;
  if (!blank && strlen (comment) <= MAX_COMMENT)
    return comment;
  ch_http_reply_invalid (self, reply, "comment", blank ? "required" : "max", NULL);
  return NULL;
}

/* A number or a name of gateway 1.5.7; FALSE when it is neither. */
static gboolean read_end_reason (const json_t *value, gint64 *reason)
{
  *reason = CH_UNSET;
  if (value == NULL || json_is_null (value))
    return TRUE;
  for (gint i = 0; i <= CH_END_UNKNOWN; i++) {
    const char *name = ch_end_reason_name ((ChEndReason) i);
    gboolean known = i == CH_END_UNKNOWN || !g_str_equal (name, "unknown");
    if (!known
        || (json_is_integer (value) ? json_integer_value (value) != i
                                    : g_strcmp0 (json_string_value (value), name) != 0))
      continue;
    *reason = i;
    return TRUE;
  }
  return FALSE;
}

static void force (ChPlugin *self, const ChRequest *request, ChReply reply,
                   gboolean settle)
{
  const json_t *body = ch_request_body (request);
  ChOrigin origin = ch_http_origin (request);
  ChForceRequest wish = {
      .order_no = ch_request_path (request, "order_no"),
      .settle = settle,
      .energy_wh = settle ? ch_json_get_int (body, "energy_wh", CH_UNSET) : CH_UNSET,
      .duration_s = settle ? ch_json_get_int (body, "duration_s", CH_UNSET) : CH_UNSET,
      .end_reason = CH_UNSET,
      .comment = comment_of (self, request, reply),
  };
  if (wish.comment == NULL)
    return;
  const json_t *reason = settle ? json_object_get (body, "end_reason") : NULL;
  if (!read_end_reason (reason, &wish.end_reason)) {
    ch_http_reply_invalid (self, reply, "end_reason", "enum", reason);
    return;
  }
  ch_core_force_order (self, &wish, &origin, forced, ch_http_call_new (reply, 200));
}

static void force_settle (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  force (self, request, reply, TRUE);
}

static void force_fail (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  force (self, request, reply, FALSE);
}

/* ---- stopping a port -----------------------------------------------------------------
 */

static gint path_int (const ChRequest *request, const char *name)
{
  gint64 number = 0;
  g_ascii_string_to_signed (ch_request_path (request, name), 10, 0, 250, &number, NULL);
  return (gint) number;
}

static void stopped (ChPlugin *self, const json_t *data, const GError *error,
                     gpointer user_data)
{
  ChHttpCall *call = user_data;
  if (error == NULL)
    ch_http_audit_after (self->services->http, call->reply,
                         json_deep_copy ((json_t *) (guintptr) data));
  ch_http_core_commanded (self, data, error, call);
}

static void stop_port (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  ch_core_stop_port (self, ch_request_path (request, "id"),
                     path_int (request, "socket_no"), path_int (request, "port_no"),
                     ch_json_get_string (ch_request_body (request), "comment", ""),
                     &origin, ch_http_wait_ms (request), stopped,
                     ch_http_call_new (reply, 202));
}

/* ---- looking -------------------------------------------------------------------------
 */

static void get_timeline (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_order_timeline (self, ch_request_path (request, "order_no"), ch_http_core_read,
                          ch_http_call_new (reply, 200));
}

static const ChParam SETTLE_PARAMS[] = {
    CH_HTTP_PARAM_ORDER,
    CH_HTTP_PARAM ("comment", BODY, STRING, TRUE, 1, MAX_COMMENT, NULL,
                   "Why; stands in the order's history and in the audit log"),
    CH_HTTP_PARAM ("energy_wh", BODY, INT, FALSE, 0, 10000000, NULL,
                   "Energy in Wh; what is known when missing"),
    CH_HTTP_PARAM ("duration_s", BODY, INT, FALSE, 0, 2592000, NULL,
                   "Seconds; what is known when missing"),
    CH_HTTP_PARAM ("end_reason", BODY, ANY, FALSE, 0, 0, NULL,
                   "Number or name of an end reason"),
    {.name = NULL},
};
static const ChParam FAIL_PARAMS[] = {
    CH_HTTP_PARAM_ORDER,
    CH_HTTP_PARAM ("comment", BODY, STRING, TRUE, 1, MAX_COMMENT, NULL,
                   "Why; stands in the order's history and in the audit log"),
    {.name = NULL},
};
static const ChParam PORT_PARAMS[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("socket_no", PATH, INT, TRUE, 0, 250, NULL, "Socket; 0: the device"),
    CH_HTTP_PARAM ("port_no", PATH, INT, TRUE, 0, 15, NULL, "Port; 0 is the first"),
    CH_HTTP_PARAM ("comment", BODY, STRING, FALSE, 0, MAX_COMMENT, NULL, "Why"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};

const ChRoute ch_http_order_admin_routes[] = {
    CH_HTTP_ADMIN ("POST", "/orders/{order_no}/force-settle", SETTLE_PARAMS,
                   "Complete an order by hand", force_settle),
    CH_HTTP_ADMIN ("POST", "/orders/{order_no}/force-fail", FAIL_PARAMS,
                   "Fail an order by hand", force_fail),
    CH_HTTP_ADMIN ("GET", "/orders/{order_no}/timeline", ch_http_order_params,
                   "All that is kept of an order, by time", get_timeline),
    CH_HTTP_ADMIN ("POST", "/devices/{id}/ports/{socket_no}/{port_no}/stop", PORT_PARAMS,
                   "Stop a port that no order holds", stop_port),
    {.method = NULL},
};
