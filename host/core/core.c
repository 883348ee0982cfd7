/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's making, its phases of start and stop, and what ties its parts together. */
#include "core/core.h"
#include "core/core-admin.h"
#include "core/device/bans.h"
#include "core/device/device-admin.h"
#include "core/device/device-store.h"
#include "core/fact/facts.h"
#include "core/fact/journal.h"
#include "core/frame-log.h"
#include "core/metrics.h"
#include "core/order/order-conflict.h"
#include "core/order/order-flow.h"
#include "core/order/order-home.h"
#include "core/order/order-start.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include "core/peer/shared.h"
#include "core/session/session.h"
#include "core/session/trace.h"
#include "core/topics.h"
#include "store/store.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define PROGRESS_MS 2000
#define TROUBLE_MS 60000

extern const char ch_embed_0001_core_sqlite_sql[];
extern const char ch_embed_0001_core_pgsql_sql[];
extern const char ch_embed_0002_order_reports_sqlite_sql[];
extern const char ch_embed_0002_order_reports_pgsql_sql[];

ChCore *ch_core_new (ChServices *services)
{
  ChCore *core = g_new0 (ChCore, 1);
  core->services = services;
  core->self = ch_owner_new (services, "core", NULL);
  core->devices = g_hash_table_new_full (g_str_hash, g_str_equal, NULL,
                                         (GDestroyNotify) ch_device_free);
  core->gone_devices = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_device_free);
  core->guards = g_ptr_array_new ();
  core->starts_waiting = g_ptr_array_new ();
  core->dirty_devices = g_ptr_array_new ();
  core->dirty_orders = g_ptr_array_new_with_free_func (g_free);
  services->core = core;

  g_autoptr (GError) error = NULL;
  if (!ch_core_topics_register (core, &error))
    g_error ("core topics: %s", error->message); /* lint: a programming error */
  ch_core_metrics_new (core);
  core->device_admin = ch_device_admin_new (core);
  core->bans = ch_bans_new (core);
  core->sessions = ch_sessions_new (core);
  core->outbound = ch_outbound_new (core);
  core->frame_logs = ch_frame_logs_new (core);
  core->orders = ch_orders_new (core);
  core->homes = ch_homes_new (core);
  core->peers = ch_peers_new (core);
  core->shared = ch_shared_new (core);
  core->journal = ch_journal_new (core);
  core->traces = g_ptr_array_new ();
  ch_orders_connect_commands (core->orders);
  return core;
}

void ch_core_free (ChCore *core)
{
  if (core == NULL)
    return;
  ch_traces_free (core);
  ch_orders_free (core->orders);
  ch_homes_free (core->homes);
  ch_peers_free (core->peers);
  ch_shared_free (core->shared);
  ch_frame_logs_free (core->frame_logs);
  ch_outbound_free (core->outbound);
  ch_device_admin_free (core->device_admin);
  ch_bans_free (core->bans);
  g_hash_table_unref (core->devices);
  g_ptr_array_unref (core->gone_devices);
  ch_journal_free (core->journal);
  ch_sessions_free (core->sessions);
  g_ptr_array_unref (core->guards);
  g_ptr_array_unref (core->starts_waiting);
  g_ptr_array_unref (core->dirty_devices);
  g_ptr_array_unref (core->dirty_orders);
  core->services->core = NULL;
  ch_owner_free (core->self);
  g_free (core->metrics);
  g_free (core);
}

/* ---- phases ---- */

void ch_core_trouble (ChCore *core, ChTrouble trouble, const char *const *fields,
                      const char *what, const GError *error)
{
  gint64 now_ms = ch_now_ms (core->self);
  gint64 said_ms = core->troubles[trouble].said_ms;
  gboolean again = said_ms != 0 && now_ms - said_ms < TROUBLE_MS
                   && core->troubles[trouble].code == error->code;

  if (!again) {
    core->troubles[trouble].said_ms = now_ms;
    core->troubles[trouble].code = error->code;
  }
  ch_log (core->self, again ? CH_LOG_DEBUG : CH_LOG_WARNING, fields, "%s: %s", what,
          error->message);
}

gboolean ch_core_register_store (ChCore *core, GError **error)
{
  static const ChMigration migrations[] = {
      {1, "core", ch_embed_0001_core_sqlite_sql, ch_embed_0001_core_pgsql_sql},
      {2, "order_reports", ch_embed_0002_order_reports_sqlite_sql,
       ch_embed_0002_order_reports_pgsql_sql},
      {0},
  };
  const ChStatement *const tables[]
      = {ch_device_statements, ch_order_statements,        ch_outbound_statements,
         ch_record_statements, ch_device_admin_statements, ch_order_report_statements,
         ch_ban_statements};

  if (!ch_store_register (core->self, migrations, NULL, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!ch_store_register (core->self, NULL, tables[i], error))
      return FALSE;
  return TRUE;
}

gboolean ch_core_open_store (ChCore *core, GError **error)
{
  if (!ch_core_register_store (core, error) || !ch_devices_load (core, error)
      || !ch_bans_open (core->bans, error) || !ch_orders_open (core->orders, error)
      || !ch_outbound_open (core->outbound, error))
    return FALSE;
  ch_journal_open (core->journal);
  return TRUE;
}

gboolean ch_core_open_sessions (ChCore *core, GError **error)
{
  if (!ch_sessions_open (core->sessions, error))
    return FALSE;
  ch_peers_open (core->peers);
  return TRUE;
}

static void conn_closed (ChCore *core, ChConn conn, gpointer core_data,
                         ChCloseReason reason)
{
  ch_session_conn_closed (core->sessions, conn, core_data, reason);
}

static void conn_writable (ChCore *core, ChConn conn, gpointer core_data)
{
  ch_session_conn_writable (core->sessions, conn, core_data);
}

static gboolean is_banned (ChCore *core, const char *host)
{
  return ch_bans_has_host (core->bans, host);
}

static void conn_alarm (ChCore *core, ChConn conn, gpointer core_data, const char *code,
                        const char *message)
{
  ch_session_conn_alarm (core->sessions, conn, core_data, code, message);
}

void ch_core_start_outbound (ChCore *core)
{
  static const ChGatewayHooks hooks = {.closed = conn_closed,
                                       .writable = conn_writable,
                                       .alarm = conn_alarm,
                                       .banned = is_banned,
                                       .frame = ch_traces_frame};
  ch_gateway_set_hooks (core->services->gateway, core, &hooks);
  ch_outbound_start (core->outbound);
}

static void flush_progress (ChPlugin *self, gpointer data)
{
  ChCore *core = data;
  ch_orders_flush_progress (core->orders);
  ch_timer_add (self, PROGRESS_MS, flush_progress, core);
}

void ch_core_start_monitors (ChCore *core)
{
  ch_facts_start (core);
  ch_orders_start (core->orders);
  ch_journal_start (core->journal);
  ch_homes_start (core->homes);
  ch_shared_start (core->shared);
  ch_port_sync_start (core);
  ch_frame_logs_start (core->frame_logs);
  ch_timer_add (core->self, PROGRESS_MS, flush_progress, core);
}

void ch_core_drain (ChCore *core, guint limit_ms, void (*done) (gpointer data),
                    gpointer data)
{
  ch_outbound_drain (core->outbound, limit_ms, done, data);
}

void ch_core_flush (ChCore *core)
{
  ch_peers_give_up (core->peers, NULL);
  ch_orders_flush_progress (core->orders);
  ch_facts_flush (core);
  ch_frame_logs_flush (core->frame_logs);
  ch_sessions_release (core->sessions);
}

void ch_core_store_closed (ChCore *core)
{
  ch_journal_close (core->journal);
}

guint ch_core_pending (ChCore *core)
{
  guint pending = core->starts_waiting->len + ch_journal_pending (core->journal);
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, core->devices);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    pending += ((ChDevice *) value)->fact_running ? 1 : 0;
  return pending;
}

/* ---- start guards ---- */

static void revoke_guard (ChResource *resource)
{
  ChGuardEntry *entry = (ChGuardEntry *) resource;
  g_ptr_array_remove (entry->core->guards, entry);
  g_free (entry);
}

static const ChResourceKind GUARD_KIND = {"start guards", revoke_guard};

void ch_core_add_start_guard (ChPlugin *self, ChStartGuard guard)
{
  ChCore *core = ch_core_of (self);
  ChGuardEntry *entry = g_new0 (ChGuardEntry, 1);
  entry->guard = guard;
  entry->core = core;
  ch_owner_link (self, &entry->resource, &GUARD_KIND);
  g_ptr_array_add (core->guards, entry);
}
