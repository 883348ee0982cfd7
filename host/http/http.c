/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP part as a whole: its life, its routes' registration. */
#include "http/http-private.h"

#include <sys/socket.h>
#include <unistd.h>

/* ---- routes --------------------------------------------------------------------------
 */

static guint64 scopes_of (ChHttp *http, const ChRoute *route)
{
  guint64 admin = ch_http_keys_scope (http->keys, "admin");
  if (route->scope != NULL)
    return ch_http_keys_scopes (http->keys, route->scope) | admin;
  switch (route->auth) {
  case CH_AUTH_READ:
    return ch_http_keys_scope (http->keys, "read") | admin;
  case CH_AUTH_THIRD:
    /* Who may control may look, too. */
    return ch_http_keys_scope (http->keys, "control") | admin
           | (g_str_equal (route->method, "GET") ? ch_http_keys_scope (http->keys, "read")
                                                 : 0);
  case CH_AUTH_NONE:
  case CH_AUTH_USER:
  case CH_AUTH_VENDOR:
  case CH_AUTH_ADMIN:
    break;
  }
  return admin;
}

gboolean ch_http_add_routes (ChPlugin *self, const ChRoute *routes, GError **error)
{
  ChHttp *http = self->services->http;
  g_autoptr (GPtrArray) added = g_ptr_array_new ();

  if (http == NULL) {
    g_set_error_literal (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_STATE,
                         "there is no HTTP server");
    return FALSE;
  }
  for (; routes->method != NULL; routes++) {
    ChHttpRoute *route = ch_http_router_add (http->router, self, routes, error);
    if (route == NULL)
      break;
    route->scopes = scopes_of (http, routes);
    g_ptr_array_add (added, route);
  }
  if (routes->method == NULL)
    return TRUE;
  /* All or none. */
  for (guint i = 0; i < added->len; i++) {
    ChHttpRoute *route = g_ptr_array_index (added, i);
    ch_owner_unlink (&route->resource);
    route->resource.kind->revoke (&route->resource);
  }
  return FALSE;
}

/* ---- life ----------------------------------------------------------------------------
 */

/*
 * libsoup closes every connection after one request unless it believes that it listens.
 * It gets one end of a pair of sockets to which nobody can connect.
 */
static gboolean pretend_to_listen (ChHttp *http, GError **error)
{
  int pair[2];
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_FAILED, "no pair of sockets");
    return FALSE;
  }
  g_autoptr (GSocket) ours = g_socket_new_from_fd (ch_reactor_move_fd (pair[0]), error);
  http->mute = g_socket_new_from_fd (ch_reactor_move_fd (pair[1]), error);
  return ours != NULL && http->mute != NULL
         && soup_server_listen_socket (http->server, ours, 0, error);
}

static void config_reloaded (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                             gpointer data)
{
  ChHttp *http = data;
  ch_http_settings_load (http);
  ch_http_rate_init (http);
}

ChHttp *ch_http_new (ChServices *services)
{
  ChHttp *http = g_new0 (ChHttp, 1);
  http->services = services;
  services->http = http;
  http->self = ch_owner_new (services, "http", NULL);
  http->router = ch_http_router_new ();
  http->keys = ch_http_keys_new ();
  http->levels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  http->listeners
      = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_http_listener_free);
  http->conn_quark = g_quark_from_static_string ("ch-http-conn");
  http->server = soup_server_new ("raw-paths", TRUE, NULL);
  ch_http_settings_load (http);
  ch_http_rate_init (http);
  ch_http_traffic_init (http);
  http->health = ch_http_health_new (http);
  ch_http_exchange_watch (http, http->server);
  if (services->bus != NULL)
    ch_subscribe (http->self, "config.reloaded", NULL, config_reloaded, http);
  return http;
}

void ch_http_free (ChHttp *http)
{
  if (http == NULL)
    return;
  g_ptr_array_unref (http->listeners);
  /* Whoever still owes an answer finds its handle gone. */
  while (http->conns.head != NULL)
    ch_http_conn_close (http->conns.head->data);
  ch_http_conn_trim (http, 0);
  soup_server_disconnect (http->server);
  g_signal_handlers_disconnect_by_data (http->server, http);
  g_clear_object (&http->server);
  g_clear_object (&http->mute);
  ch_http_router_free (http->router);
  ch_owner_free (http->self);
  ch_http_health_free (http->health);
  ch_http_keys_free (http->keys);
  g_hash_table_unref (http->levels);
  ch_http_rate_clear (http);
  ch_http_settings_clear (&http->settings);
  g_free (http->traffic);
  g_free (http->debug_path);
  http->services->http = NULL;
  g_free (http);
}

static gboolean add_listener (ChHttp *http, const char *address, gboolean metrics_only,
                              GError **error)
{
  ChHttpListener *listener = ch_http_listener_new (http, address, metrics_only, error);
  if (listener == NULL)
    return FALSE;
  g_ptr_array_add (http->listeners, listener);
  return TRUE;
}

gboolean ch_http_listen (ChHttp *http, GError **error)
{
  const char *metrics = ch_config_string (http->self, "metrics.addr");
  if (!pretend_to_listen (http, error)
      || !add_listener (http, ch_config_string (http->self, "http.addr"), FALSE, error))
    return FALSE;
  if (metrics != NULL && *metrics != '\0' && !add_listener (http, metrics, TRUE, error))
    return FALSE;
  http->draining = FALSE;
  ch_info (http->self, "REST on %s, %u routes", ch_http_url (http),
           ch_http_router_size (http->router));
  return TRUE;
}

const char *ch_http_url (ChHttp *http)
{
  return http->listeners->len > 0
             ? ch_http_listener_url (g_ptr_array_index (http->listeners, 0))
             : "";
}

void ch_http_drain (ChHttp *http)
{
  http->draining = TRUE;
  g_ptr_array_set_size (http->listeners, 0);
  while (http->idle.head != NULL)
    ch_http_conn_close (http->idle.head->data);
  for (GList *at = http->conns.head; at != NULL; at = at->next)
    if (((ChHttpConn *) at->data)->request.gone != NULL)
      ch_http_conn_end (at->data);
}

/* Connections with a request or an answer on the way. */
guint ch_http_active (ChHttp *http)
{
  return http->conns.length;
}

gboolean ch_http_has_keys (ChHttp *http)
{
  return ch_http_keys_count (http->keys) > 0;
}
