/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Orders: reading, starting, stopping, cancelling (gateway 7.4, 7.5). */
#include "http/routes/api.h"

#include <string.h>

const ChParam ch_http_order_params[] = {CH_HTTP_PARAM_ORDER, {.name = NULL}};

#define LIST_ORDERS                                                                      \
  CH_HTTP_PARAM ("status", QUERY, STRING, FALSE, 1, 16, NULL, "Name or number"),         \
      CH_HTTP_PARAM ("from", QUERY, STRING, FALSE, 1, 40, NULL, "Created not before"),   \
      CH_HTTP_PARAM ("to", QUERY, STRING, FALSE, 1, 40, NULL, "Created before"),         \
      CH_HTTP_PARAM ("after", QUERY, INT, FALSE, 1, 9e18, NULL, "Value of `next`"),      \
      CH_HTTP_PARAM_PAGING

const ChParam ch_http_list_orders_params[] = {
    CH_HTTP_PARAM ("device_id", QUERY, STRING, FALSE, 1, 64, CH_HTTP_ID_CHARS,
                   "Device id"),
    LIST_ORDERS,
    {.name = NULL},
};
const ChParam ch_http_device_orders_params[]
    = {CH_HTTP_PARAM_DEVICE, LIST_ORDERS, {.name = NULL}};

const ChParam ch_http_start_params[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("socket_uid", BODY, STRING, FALSE, 1, 64, NULL, "Socket by its uid"),
    CH_HTTP_PARAM_SOCKET,
    CH_HTTP_PARAM ("port_no", BODY, INT, TRUE, -1, 15, NULL, "Port; 0 is the first"),
    CH_HTTP_PARAM ("charge_mode", BODY, INT, TRUE, 1, 4, NULL,
                   "1 time, 2 energy, 3 power, 4 until full"),
    CH_HTTP_PARAM ("amount", BODY, INT, TRUE, 1, 10000000, NULL, "Cents that were paid"),
    CH_HTTP_PARAM ("duration_minutes", BODY, INT, FALSE, 1, 525600, NULL,
                   "Mode 1: how long; else an upper limit"),
    CH_HTTP_PARAM ("duration", BODY, INT, FALSE, 1, 525600, NULL,
                   "Older name of duration_minutes"),
    CH_HTTP_PARAM ("energy_wh", BODY, INT, FALSE, 10, 1000000, NULL, "Mode 2: how much"),
    CH_HTTP_PARAM ("power", BODY, INT, FALSE, 1, 65535, NULL, "Mode 3: W"),
    CH_HTTP_PARAM ("price_per_kwh", BODY, INT, FALSE, 0, 100000, NULL, "Cents"),
    CH_HTTP_PARAM ("service_fee", BODY, INT, FALSE, 0, 1000, NULL, "In thousandths"),
    CH_HTTP_PARAM ("order_no", BODY, STRING, FALSE, 1, 32, CH_HTTP_ORDER_CHARS,
                   "Order number; made when missing"),
    CH_HTTP_PARAM ("business_no", BODY, ANY, FALSE, 0, 0, NULL,
                   "Four hex digits or a number"),
    CH_HTTP_PARAM ("max_power_w", BODY, INT, FALSE, 1, 1000000, NULL, "Limit in W"),
    CH_HTTP_PARAM ("card_no", BODY, STRING, FALSE, 1, 255, NULL, "Card"),
    CH_HTTP_PARAM ("metadata", BODY, OBJECT, FALSE, 0, 0, NULL,
                   "At most 1 KiB; comes back in events"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
const ChParam ch_http_stop_params[] = {
    CH_HTTP_PARAM_DEVICE,
    CH_HTTP_PARAM ("order_no", BODY, STRING, FALSE, 1, 32, CH_HTTP_ORDER_CHARS,
                   "Order, or …"),
    CH_HTTP_PARAM ("socket_no", BODY, INT, FALSE, 0, 250, NULL, "… socket and"),
    CH_HTTP_PARAM ("socket_uid", BODY, STRING, FALSE, 1, 64, NULL, "… (or its uid)"),
    CH_HTTP_PARAM ("port_no", BODY, INT, FALSE, 0, 15, NULL, "… port"),
    CH_HTTP_PARAM ("reason", BODY, STRING, FALSE, 0, 128, NULL, "Why"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};
static const ChParam END_PARAMS[] = {
    CH_HTTP_PARAM_ORDER,
    CH_HTTP_PARAM ("reason", BODY, STRING, FALSE, 0, 128, NULL, "Why"),
    CH_HTTP_PARAM_WAIT,
    {.name = NULL},
};

/* ---- reading -------------------------------------------------------------------------
 */

void ch_http_get_order (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_get_order (self, ch_request_path (request, "order_no"), ch_http_core_read,
                     ch_http_call_new (reply, 200));
}

static void list_orders (ChPlugin *self, const ChRequest *request, ChReply reply,
                         const char *device)
{
  ChOrderQuery query = {.device = device, .status = CH_UNSET};
  const char *text = ch_request_query (request, "status");
  ChOrderStatus status;

  if (text != NULL) {
    if (!ch_order_status_parse (text, &status)) {
      g_autoptr (json_t) value = json_string (text);
      ch_http_reply_invalid (self, reply, "status", "enum", value);
      return;
    }
    query.status = status;
  }
  if (!ch_http_query_time (self, request, reply, "from", &query.from_ms)
      || !ch_http_query_time (self, request, reply, "to", &query.to_ms))
    return;
  query.after = ch_request_query_int (request, "after", CH_UNSET);
  ch_http_page (request, &query.limit, &query.offset);
  ch_core_list_orders (self, &query, ch_http_core_read, ch_http_call_new (reply, 200));
}

static void list_all_orders (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  list_orders (self, request, reply, ch_request_query (request, "device_id"));
}

void ch_http_list_device_orders (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  list_orders (self, request, reply, ch_request_path (request, "id"));
}

/* ---- starting ------------------------------------------------------------------------
 */

/* Four hex digits as text, or a number. */
static gboolean read_business_no (const json_t *value, gint64 *number)
{
  guint64 parsed;
  *number = CH_UNSET;
  if (value == NULL || json_is_null (value))
    return TRUE;
  if (json_is_integer (value)) {
    *number = json_integer_value (value);
    return *number >= 1 && *number <= 65535;
  }
  if (!json_is_string (value) || json_string_length (value) != 4
      || !g_ascii_string_to_unsigned (json_string_value (value), 16, 1, 65535, &parsed,
                                      NULL))
    return FALSE;
  *number = (gint64) parsed;
  return TRUE;
}

/* What the table of parameters cannot say. */
static const char *missing_field (const ChStartRequest *start)
{
  if (start->charge_mode == 1 && start->duration_minutes == CH_UNSET)
    return "duration_minutes";
  if (start->charge_mode == 2 && start->energy_wh == CH_UNSET)
    return "energy_wh";
  if (start->charge_mode == 3 && start->power_w == CH_UNSET)
    return "power";
  return NULL;
}

static gboolean metadata_fits (const json_t *metadata)
{
  return metadata == NULL || json_dumpb (metadata, NULL, 0, JSON_COMPACT) <= 1024;
}

void ch_http_read_start (ChStartRequest *start, const json_t *fields)
{
  start->socket_uid = ch_json_get_string (fields, "socket_uid", NULL);
  start->amount_cent = ch_json_get_int (fields, "amount", CH_UNSET);
  start->duration_minutes = ch_json_get_int (fields, "duration_minutes", CH_UNSET);
  start->energy_wh = ch_json_get_int (fields, "energy_wh", CH_UNSET);
  start->power_w = ch_json_get_int (fields, "power", CH_UNSET);
  start->price_per_kwh_cent = ch_json_get_int (fields, "price_per_kwh", CH_UNSET);
  start->service_fee_permille = ch_json_get_int (fields, "service_fee", CH_UNSET);
  start->order_no = ch_json_get_string (fields, "order_no", NULL);
  start->max_power_w = ch_json_get_int (fields, "max_power_w", CH_UNSET);
  start->card_no = ch_json_get_string (fields, "card_no", NULL);
  start->metadata = json_object_get (fields, "metadata");
}

void ch_http_start_charge (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  ChOrigin origin = ch_http_origin (request);
  ChStartRequest start = CH_START_REQUEST_INIT;

  start.device = ch_request_path (request, "id");
  ch_http_read_start (&start, body);
  start.socket_no = ch_json_get_int (body, "socket_no", CH_UNSET);
  start.port_no = ch_json_get_int (body, "port_no", CH_UNSET);
  start.charge_mode = ch_json_get_int (body, "charge_mode", CH_UNSET);
  if (start.duration_minutes == CH_UNSET)
    start.duration_minutes = ch_json_get_int (body, "duration", CH_UNSET);
  start.source = CH_SOURCE_API;

  const json_t *number = json_object_get (body, "business_no");
  const char *missing = missing_field (&start);
  if (!read_business_no (number, &start.business_no))
    ch_http_reply_invalid (self, reply, "business_no", "type", NULL);
  else if (missing != NULL)
    ch_http_reply_invalid (self, reply, missing, "required", NULL);
  else if (!metadata_fits (start.metadata))
    ch_http_reply_invalid (self, reply, "metadata", "max", NULL);
  else
    ch_core_start_charge (self, &start, &origin, ch_http_wait_ms (request),
                          ch_http_core_commanded, ch_http_call_new (reply, 202));
}

/* ---- ending --------------------------------------------------------------------------
 */

void ch_http_stop_charge (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const json_t *body = ch_request_body (request);
  ChOrigin origin = ch_http_origin (request);
  ChStopRequest stop = {
      .device = ch_request_path (request, "id"),
      .order_no = ch_json_get_string (body, "order_no", NULL),
      .socket_no = ch_json_get_int (body, "socket_no", CH_UNSET),
      .socket_uid = ch_json_get_string (body, "socket_uid", NULL),
      .port_no = ch_json_get_int (body, "port_no", CH_UNSET),
      .reason = ch_json_get_string (body, "reason", NULL),
  };
  if (stop.order_no == NULL && stop.port_no == CH_UNSET) {
    ch_http_reply_invalid (self, reply, "port_no", "required", NULL);
    return;
  }
  ch_core_stop_charge (self, &stop, &origin, ch_http_wait_ms (request),
                       ch_http_core_commanded, ch_http_call_new (reply, 202));
}

static void stop_order (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  ChStopRequest stop = {
      .order_no = ch_request_path (request, "order_no"),
      .socket_no = CH_UNSET,
      .port_no = CH_UNSET,
      .reason = ch_json_get_string (ch_request_body (request), "reason", NULL),
  };
  ch_core_stop_charge (self, &stop, &origin, ch_http_wait_ms (request),
                       ch_http_core_commanded, ch_http_call_new (reply, 202));
}

static void cancel_order (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ChOrigin origin = ch_http_origin (request);
  ch_core_cancel_order (self, ch_request_path (request, "order_no"),
                        ch_json_get_string (ch_request_body (request), "reason", NULL),
                        &origin, ch_http_core_commanded, ch_http_call_new (reply, 202));
}

/* A stop is taken also while the server drains: it only ends what runs. */
const ChRoute ch_http_order_routes[] = {
    CH_HTTP_GET ("/api/v1/orders", CH_AUTH_READ, ch_http_list_orders_params, "Orders",
                 list_all_orders),
    CH_HTTP_GET ("/api/v1/orders/{order_no}", CH_AUTH_READ, ch_http_order_params,
                 "An order", ch_http_get_order),
    CH_HTTP_GET ("/api/v1/devices/{id}/orders", CH_AUTH_READ,
                 ch_http_device_orders_params, "Orders of a device",
                 ch_http_list_device_orders),
    CH_HTTP_GET (CH_HTTP_THIRD "/orders", CH_AUTH_THIRD, ch_http_list_orders_params,
                 "Orders", list_all_orders),
    CH_HTTP_GET (CH_HTTP_THIRD "/orders/{order_no}", CH_AUTH_THIRD, ch_http_order_params,
                 "An order", ch_http_get_order),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/start_charge", CH_ROUTE_MUTATES,
                     ch_http_start_params, "Start a charge", ch_http_start_charge),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/charge", CH_ROUTE_MUTATES,
                     ch_http_start_params, "Start a charge (older name)",
                     ch_http_start_charge),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/stop_charge", CH_ROUTE_NO_LIMIT,
                     ch_http_stop_params, "Stop a charge", ch_http_stop_charge),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/devices/{id}/stop", CH_ROUTE_NO_LIMIT,
                     ch_http_stop_params, "Stop a charge (older name)",
                     ch_http_stop_charge),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/orders/{order_no}/stop", CH_ROUTE_NO_LIMIT,
                     END_PARAMS, "Stop an order", stop_order),
    CH_HTTP_CONTROL ("POST", CH_HTTP_THIRD "/orders/{order_no}/cancel", CH_ROUTE_NO_LIMIT,
                     END_PARAMS, "Cancel an order that does not charge yet",
                     cancel_order),
    {.method = NULL},
};
