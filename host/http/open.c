/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server serves in a whole host: rows, keys, the core's routes, health. */
#include "http/api.h"
#include "http/health.h"

static gint64 count_online (ChPlugin *self)
{
  g_autoptr (json_t) stats = ch_core_stats_json (self);
  return ch_json_get_int (json_object_get (stats, "devices"), "online", 0);
}

gboolean ch_http_open (ChHttp *http, GError **error)
{
  ChPlugin *self = http->self;
  const ChRoute *tables[] = {
      ch_http_device_routes,
      ch_http_order_routes,
      ch_http_command_routes,
      ch_http_key_routes,
      ch_http_admin_routes,
      ch_config_bool (self, "http.aliases.seed") ? ch_http_seed_routes : NULL,
      ch_config_bool (self, "http.aliases.legacy") ? ch_http_legacy_routes : NULL,
  };
  if (!ch_http_store_open (http, error) || !ch_http_monitor_open (http, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (tables[i] != NULL && !ch_http_add_routes (self, tables[i], error))
      return FALSE;
  http->health->count_online = count_online;
  ch_http_health_init (http);
  return TRUE;
}
