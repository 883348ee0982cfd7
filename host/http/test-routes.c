/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Routes that the tests of the server ask. */
#include "http/test-http.h"

static void hello (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL, json_pack ("{s:s}", "hello", "world"));
}

static void echo (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_data (self, reply, 200, NULL,
                 json_deep_copy ((json_t *) (guintptr) ch_request_body (request)));
}

static void later (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  World *world = ch_plugin_data (self);
  g_assert_cmpuint (world->n_owed, <, G_N_ELEMENTS (world->owed));
  world->owed[world->n_owed++] = reply;
}

static void large (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  gsize size = (gsize) ch_request_query_int (request, "size", 0);
  g_autofree char *bytes = g_strnfill (size, 'x');
  ch_reply_bytes (self, reply, 200, "text/plain", bytes, size);
}

static void none (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  ch_reply_bytes (self, reply, 204, NULL, NULL, 0);
}

static const ChParam ECHO_PARAMS[] = {
    {.name = "n", .place = CH_PARAM_BODY, .kind = CH_PARAM_INT},
    {.name = NULL},
};
static const ChRoute ROUTES[] = {
    {.method = "GET", .path = "/hello", .handler = hello},
    {.method = "GET", .path = "/large", .handler = large},
    {.method = "GET", .path = "/none", .handler = none},
    {.method = "POST", .path = "/echo", .params = ECHO_PARAMS, .handler = echo},
    {.method = "POST",
     .path = "/small",
     .params = ECHO_PARAMS,
     .max_body = 16,
     .handler = echo},
    {.method = "GET", .path = "/later", .timeout_ms = 5000, .handler = later},
    {.method = NULL},
};

void world_open_routes (World *world, const char *const *options)
{
  g_autoptr (GError) error = NULL;
  world_open (world, options);
  ch_http_add_routes (world->plugin, ROUTES, &error);
  g_assert_no_error (error);
}
