/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what is stored beside orders: events, parameters (gateway 7.4, 7.5). */
#include "core/core-admin.h"
#include "http/routes/api.h"

static void get_order_events (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_order_events (self, ch_request_path (request, "order_no"), ch_http_core_read,
                        ch_http_call_new (reply, 200));
}

static void list_events (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_list_events (self, ch_request_query (request, "after"),
                       ch_request_query (request, "types"),
                       ch_request_query_int (request, "limit", 100), ch_http_core_read,
                       ch_http_call_new (reply, 200));
}

static void get_params (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_core_device_params (self, ch_request_path (request, "id"), ch_http_core_read,
                         ch_http_call_new (reply, 200));
}

#define TYPE_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_.,"

static const ChParam EVENT_PARAMS[] = {
    CH_HTTP_PARAM ("after", QUERY, STRING, FALSE, 1, 31, CH_HTTP_ORDER_CHARS,
                   "Event id: those after it; value of `next`"),
    CH_HTTP_PARAM ("types", QUERY, STRING, FALSE, 1, 1000, TYPE_CHARS,
                   "Types of events, with commas"),
    CH_HTTP_PARAM ("limit", QUERY, INT, FALSE, 1, 500, NULL, "Default 100"),
    {.name = NULL},
};

const ChRoute ch_http_record_routes[] = {
    CH_HTTP_GET ("/api/v1/devices/{id}/params", CH_AUTH_READ, ch_http_device_params,
                 "Parameters of a device", get_params),
    CH_HTTP_GET (CH_HTTP_THIRD "/orders/{order_no}/events", CH_AUTH_THIRD,
                 ch_http_order_params, "Events of an order", get_order_events),
    CH_HTTP_GET (CH_HTTP_THIRD "/events", CH_AUTH_THIRD, EVENT_PARAMS,
                 "Events since one that is known", list_events),
    {.method = NULL},
};
