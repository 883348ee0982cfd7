/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the inside looks like, for administrators; off unless `http.debug.enable`. */
#include "http/routes/api.h"
#include "net/gateway.h"
#include "plugin/plugins.h"

static json_t *plugins_json (ChPlugin *self)
{
  json_t *list = json_array ();
  if (self->services->plugins == NULL)
    return list;
  g_autoptr (GPtrArray) names = ch_plugins_names (self->services->plugins);
  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    ChPlugin *owner = ch_plugins_peek (self->services->plugins, name);
    ChPluginView view;
    if (!ch_plugins_view (self->services->plugins, name, &view))
      continue;
    g_autofree char *holds = owner != NULL ? ch_owner_describe (owner) : g_strdup ("");
    json_array_append_new (
        list, json_pack ("{s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "name", view.name, "state",
                         ch_plugin_state_name (view.state), "generation",
                         (json_int_t) view.generation, "calls", (json_int_t) view.calls,
                         "failures", (json_int_t) view.failures, "slowest_us",
                         (json_int_t) view.slowest_us, "holds", holds));
  }
  return list;
}

static json_t *http_json (const ChHttp *http)
{
  json_t *list = json_array ();
  static const char *const names[] = {"idle", "read", "work", "write", "refused"};
  for (const GList *at = http->conns.head; at != NULL; at = at->next) {
    const ChHttpConn *conn = at->data;
    json_array_append_new (list, json_pack ("{s:s,s:s,s:s}", "remote", conn->remote,
                                            "phase", names[conn->phase], "request_id",
                                            conn->request.id));
  }
  return json_pack ("{s:I,s:I,s:I,s:I,s:o}", "idle", (json_int_t) http->idle.length,
                    "busy", (json_int_t) http->conns.length, "routes",
                    (json_int_t) ch_http_router_size (http->router), "keys",
                    (json_int_t) ch_http_keys_count (http->keys), "requests", list);
}

static void state (ChPlugin *self, const ChRequest *request, ChReply reply)
{
  const ChServices *s = self->services;
  ChReactorStats loop;
  ch_reactor_stats (s->reactor, &loop);
  ch_reply_data (self, reply, 200, NULL,
                 json_pack ("{s:I,s:b,s:I,s:{s:I,s:I},s:{s:I,s:I},s:o,s:o}", "phase",
                            (json_int_t) s->phase, "draining", s->draining, "overload",
                            (json_int_t) s->overload, "loop", "turns",
                            (json_int_t) loop.turns, "lag_us", (json_int_t) loop.lag_us,
                            "replies", "pending",
                            (json_int_t) ch_replies_pending (s->replies), "stale",
                            (json_int_t) ch_replies_stale (s->replies), "http",
                            http_json (s->http), "plugins", plugins_json (self)));
}

gboolean ch_http_debug_open (ChHttp *http, GError **error)
{
  if (!ch_config_bool (http->self, "http.debug.enable"))
    return TRUE;
  http->debug_path
      = g_strconcat (ch_config_string (http->self, "http.debug.prefix"), "/state", NULL);
  const ChRoute routes[] = {
      {.method = "GET",
       .path = http->debug_path,
       .auth = CH_AUTH_ADMIN,
       .summary = "Internal state",
       .handler = state},
      {.method = NULL},
  };
  return ch_http_add_routes (http->self, routes, error);
}
