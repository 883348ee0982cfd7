/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http-fixture.h"

#include <string.h>

static void open_http (Api *api)
{
  g_autoptr (GError) error = NULL;
  ch_http_new (api->services);
  ch_http_open (api->services->http, &error);
  g_assert_no_error (error);
  world_listen (api->services, &api->port);
  queue_settle (api->queue);
}

/* Properties of the protocol are read when it is added, before there is HTTP. */
static Queue *make_queue (Queue *(*make) (const char *const *options),
                          const char *const *options)
{
  g_autoptr (GPtrArray) early = g_ptr_array_new ();
  for (guint i = 0; options != NULL && options[i] != NULL; i++)
    if (g_str_has_prefix (options[i], "proto-"))
      g_ptr_array_add (early, (gpointer) (guintptr) options[i]);
  g_ptr_array_add (early, NULL);
  return make ((const char *const *) early->pdata);
}

static void open_on (Api *api, Queue *queue, const char *const *options)
{
  static const char *const defaults[]
      = {"http.addr=127.0.0.1:0", "admin.api_keys=boss-key-0123456789",
         "thirdparty.auth.api_keys=driver-key-0123456789",
         "api.auth.api_keys=reader-key-0123456789", NULL};
  g_autoptr (GError) error = NULL;

  api->queue = queue;
  api->services = &api->queue->services;
  ChConfig *config = api->services->config;
  ch_config_declare (config, "", ch_http_config);
  for (guint i = 0; defaults[i] != NULL; i++)
    ch_config_add_option (config, defaults[i], &error);
  for (guint i = 0; options != NULL && options[i] != NULL; i++)
    ch_config_add_option (config, options[i], &error);
  g_assert_no_error (error);
  ch_config_resolve (config, NULL, &error);
  g_assert_no_error (error);
  open_http (api);
}

void api_open (Api *api, const char *const *options)
{
  open_on (api, make_queue (queue_new, options), options);
}

void api_open_orders (Api *api, const char *const *options)
{
  open_on (api, make_queue (queue_new_orders, options), options);
}

void api_restart (Api *api)
{
  ch_http_free (api->services->http);
  queue_restart (api->queue);
  open_http (api);
}

void api_close (Api *api)
{
  ch_http_free (api->services->http);
  queue_settle (api->queue);
  queue_free (api->queue);
}

int api_device (Api *api, const char *id)
{
  int fd = queue_connect (api->queue);
  queue_say (api->queue, fd, "@on %s", id);
  queue_say (api->queue, fd, "@port %s 0 1", id);
  g_autofree char *heard = queue_heard (api->queue, fd);
  return fd;
}

guint api_ask (Api *api, const char *method, const char *path, const char *headers,
               const char *body, json_t **json)
{
  return ask (api->services, api->port, method, path, headers, body, json);
}

json_t *api_ok (Api *api, const char *method, const char *path, const char *headers,
                const char *body, guint status)
{
  g_autoptr (json_t) json = NULL;
  guint got = ask (api->services, api->port, method, path, headers, body, &json);
  if (got != status) {
    g_autofree char *text = json_dumps (json, JSON_COMPACT);
    g_error ("%s %s: %u instead of %u: %s", method, path, got, status, text);
  }
  json_t *data = json_object_get (json, "data");
  return data != NULL ? json_incref (data) : json_object ();
}

gint api_code (Api *api, const char *method, const char *path, const char *headers,
               const char *body)
{
  g_autoptr (json_t) json = NULL;
  ask (api->services, api->port, method, path, headers, body, &json);
  return (gint) ch_json_get_int (json, "code", -1);
}

const char *api_text (Client *client, const char *name)
{
  return ch_json_get_string (json_object_get (client->json, "data"), name, "");
}

char *api_sql_time (gint64 wall_ms)
{
  return g_strdup_printf (queue_is_pgsql () ? "to_timestamp (%" G_GINT64_FORMAT
                                              " / 1000.0)"
                                            : "%" G_GINT64_FORMAT,
                          wall_ms);
}

char *api_sql_bytes (const char *hex)
{
  return g_strdup_printf (queue_is_pgsql () ? "'\\x%s'::bytea" : "x'%s'", hex);
}
