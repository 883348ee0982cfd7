/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the database and the kv are, for chargehostctl store status and kv status. */
#include "dbus/dbus-private.h"
#include "kv/kv.h"
#include "store/store.h"
#include <chargehost/json.h>

void ch_dbus_store_status (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  ChStore *store = dbus->services->store;
  ChStoreStats stats = {0};
  const char *driver = ch_store_driver_name (store);
  g_autofree char *versions = ch_store_versions (store);

  ch_store_stats (store, &stats);
  g_autoptr (json_t) status = json_pack (
      "{s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I}", "driver",
      driver != NULL ? driver : "none", "up", stats.up != FALSE, "migrations", versions,
      "connections", (json_int_t) stats.connections, "idle", (json_int_t) stats.idle,
      "busy", (json_int_t) (stats.connections - stats.idle), "queued",
      (json_int_t) stats.queued, "oldest_ms", (json_int_t) stats.oldest_ms);
  ch_dbus_return_json (dbus->self, status, NULL, invocation);
}

void ch_dbus_kv_status (ChDbus *dbus, GDBusMethodInvocation *invocation, gpointer data)
{
  ChKv *kv = dbus->services->kv;
  const char *driver = ch_kv_driver_name (kv);
  gint64 memory = ch_kv_used_memory (kv);
  g_autoptr (json_t) status
      = json_pack ("{s:s, s:b, s:I}", "driver", driver != NULL ? driver : "none", "up",
                   ch_kv_up (kv) != FALSE, "pending", (json_int_t) ch_kv_pending (kv));

  if (memory >= 0)
    json_object_set_new (status, "used_memory_bytes", json_integer (memory));
  ch_dbus_return_json (dbus->self, status, NULL, invocation);
}
