/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server serves in a whole host: rows, keys, the core's routes, health. */
#include "base/config-tables.h"
#include "core/core.h"
#include "core/fact/journal.h"
#include "core/outbound/outbound.h"
#include "http/routes/api.h"
#include "http/routes/health.h"

#include <string.h>

static gint64 count_online (ChPlugin *self)
{
  g_autoptr (json_t) stats = ch_core_stats_json (self);
  return ch_json_get_int (json_object_get (stats, "devices"), "online", 0);
}

/* gateway 10: more waits than `outbound.warning`. */
static ChHealthStatus check_outbound (ChPlugin *self, json_t *details,
                                      const char **message)
{
  ChOutbound *outbound = ch_core_of (self)->outbound;
  gboolean has_limit
      = ch_config_lookup (self->services->config, "outbound.warning") != NULL;
  g_autoptr (json_t) stats = ch_outbound_stats_json (outbound);
  json_object_update (details, stats);
  if (!has_limit
      || ch_outbound_depth (outbound) <= (guint) ch_config_int (self, "outbound.warning"))
    return CH_HEALTH_HEALTHY;
  *message = "many commands wait";
  return CH_HEALTH_DEGRADED;
}

static ChHealthStatus check_journal (ChPlugin *self, json_t *details,
                                     const char **message)
{
  return ch_journal_health (ch_core_of (self)->journal, details, message);
}

static gboolean may_store_secrets (ChHttp *http, GError **error)
{
  const char *master = ch_config_string (http->self, "security.master_key");
  if (!http->settings.production || (master != NULL && strlen (master) >= 16))
    return TRUE;
  g_set_error_literal (
      error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
      "app.env is production: security.master_key has to be set, at least "
      "16 characters");
  return FALSE;
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
      ch_http_queue_routes,
      ch_http_drain_routes,
      ch_http_order_admin_routes,
      ch_http_record_routes,
      ch_http_device_admin_routes,
      ch_http_ban_routes,
      ch_http_config_routes,
      ch_http_audit_routes,
      ch_http_frame_routes,
      ch_config_bool (self, "http.aliases.seed") ? ch_http_seed_routes : NULL,
      ch_config_bool (self, "http.aliases.legacy") ? ch_http_legacy_routes : NULL,
  };
  if (!may_store_secrets (http, error) || !ch_http_store_open (http, error)
      || !ch_http_monitor_open (http, error) || !ch_http_debug_open (http, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (tables[i] != NULL && !ch_http_add_routes (self, tables[i], error))
      return FALSE;
  http->health->count_online = count_online;
  ch_http_add_check (self, "outbound", check_outbound);
  ch_http_add_check (self, "journal", check_journal);
  ch_http_health_init (http);
  return TRUE;
}
