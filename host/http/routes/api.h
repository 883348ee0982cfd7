/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the handlers of the core's routes share. */
#pragma once

#include "http/http-private.h"
#include <chargehost/core.h>

#define CH_HTTP_ID_CHARS                                                                 \
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:*=+|@ -"
#define CH_HTTP_ORDER_CHARS                                                              \
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define CH_HTTP_PARAM(param_name, where, what, must, low, high, allowed, text)           \
  {                                                                                      \
    .name = param_name, .place = CH_PARAM_##where, .kind = CH_PARAM_##what,              \
    .required = must, .min = low, .max = high, .pattern = allowed, .summary = text       \
  }
#define CH_HTTP_PARAM_DEVICE                                                             \
  CH_HTTP_PARAM ("id", PATH, STRING, TRUE, 1, 64, CH_HTTP_ID_CHARS, "Device id")
#define CH_HTTP_PARAM_ORDER                                                              \
  CH_HTTP_PARAM ("order_no", PATH, STRING, TRUE, 1, 32, CH_HTTP_ORDER_CHARS,             \
                 "Order number")
#define CH_HTTP_PARAM_SOCKET                                                             \
  CH_HTTP_PARAM ("socket_no", BODY, INT, FALSE, 0, 250, NULL, "Socket")
#define CH_HTTP_PARAM_WAIT                                                               \
  CH_HTTP_PARAM ("wait_ms", BODY, INT, FALSE, 0, 10000, NULL,                            \
                 "Hold the answer until the command is final, at most so long")
#define CH_HTTP_PARAM_PAGING                                                             \
  CH_HTTP_PARAM ("page", QUERY, INT, FALSE, 1, 1000000, NULL, "Page, from 1"),           \
      CH_HTTP_PARAM ("page_size", QUERY, INT, FALSE, 1, 100, NULL, "Default 20"),        \
      CH_HTTP_PARAM ("limit", QUERY, INT, FALSE, 1, 1000, NULL, "Instead of page_size"), \
      CH_HTTP_PARAM ("offset", QUERY, INT, FALSE, 0, 1000000, NULL, "Instead of page")

/* Where the routes of customers' programs are. */
#define CH_HTTP_THIRD "/api/v1/third"
/* A route that reads; @class: who may. */
#define CH_HTTP_GET(route_path, class, table, text, func)                                \
  {                                                                                      \
    .method = "GET", .path = route_path, .auth = class, .params = table,                 \
    .summary = text, .handler = func                                                     \
  }
/* A route that makes a device do something. */
#define CH_HTTP_CONTROL(verb, route_path, how, table, text, func)                        \
  {                                                                                      \
    .method = verb, .path = route_path, .auth = CH_AUTH_THIRD, .scope = "control",       \
    .flags = how, .params = table, .summary = text, .handler = func                      \
  }
/* A route for administrators; its path is behind /api/v1/admin. */
#define CH_HTTP_ADMIN(verb, route_path, table, text, func)                               \
  {                                                                                      \
    .method = verb, .path = "/api/v1/admin" route_path, .auth = CH_AUTH_ADMIN,           \
    .params = table, .summary = text, .handler = func                                    \
  }

/* Carries a reply through an operation of the core. (transfer full) by the done */
typedef struct {
  ChReply reply;
  guint status; /* when it is not final */
} ChHttpCall;
ChHttpCall *ch_http_call_new (ChReply reply, guint status);

/* A #ChCoreDone: answers 200 with the data, or the error. */
void ch_http_core_read (ChPlugin *self, const json_t *data, const GError *error,
                        gpointer call);
/* The same for commands: 202, or 200 when what was asked for is final already. */
void ch_http_core_commanded (ChPlugin *self, const json_t *data, const GError *error,
                             gpointer call);
/* 200 with @data (transfer full), or 404 `40401` for %NULL. */
void ch_http_reply_device (ChPlugin *self, ChReply reply, json_t *data);

/* Strings live as long as the request. */
ChOrigin ch_http_origin (const ChRequest *request);
guint ch_http_wait_ms (const ChRequest *request);
void ch_http_page (const ChRequest *request, gint64 *limit, gint64 *offset);
/* Milliseconds, or RFC 3339; answers 40010 and returns FALSE when it is neither. */
gboolean ch_http_query_time (ChPlugin *self, const ChRequest *request, ChReply reply,
                             const char *name, gint64 *wall_ms);
/* 40010 with one field. */
void ch_http_reply_invalid (ChPlugin *self, ChReply reply, const char *field,
                            const char *rule, const json_t *value);

/* The same with entry @at of the list @field. */
void ch_http_reply_invalid_entry (ChPlugin *self, ChReply reply, const char *field,
                                  gsize at, const char *rule);

/* Handlers that several tables name. */
void ch_http_get_device (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_get_ports (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_get_online (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_get_session (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_list_devices (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_get_order (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_list_device_orders (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_start_charge (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_stop_charge (ChPlugin *self, const ChRequest *request, ChReply reply);
void ch_http_reboot (ChPlugin *self, const ChRequest *request, ChReply reply);
extern const ChParam ch_http_device_params[], ch_http_order_params[],
    ch_http_list_devices_params[], ch_http_list_orders_params[],
    ch_http_device_orders_params[], ch_http_start_params[], ch_http_stop_params[],
    ch_http_reboot_params[];
