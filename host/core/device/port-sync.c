/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reconciliation of ports (PORT-06): every socket that has not reported within the
 * interval is asked once, as background work. The round is spread over the interval, so
 * that a fleet is never asked at once.
 */
#include "core/fact/facts.h"
#include "core/order/order-flow.h"

#define TICK_MS 1000
#define FRESH_MS 60000 /* only devices that were heard of lately */

typedef struct {
  ChCore *core;
  GPtrArray *round; /* ids of this round; owned */
  gint64 began_ms;  /* the newest round, 0 none: a small fleet is soon through */
} Sync;

static gboolean reported_within (const ChDevice *device, gint socket_no, gint64 since_ms)
{
  for (guint i = 0; i < device->n_ports; i++)
    if (device->ports[i].socket_no == socket_no
        && device->ports[i].snapshot_ms > since_ms)
      return TRUE;
  return FALSE;
}

static void ask (ChDevice *device, gint64 now_ms, gint64 interval_ms)
{
  if (device->conn == 0 || now_ms - device->seen_ms > FRESH_MS)
    return;
  if (device->n_sockets == 0) {
    gint socket_no = device->n_ports > 0 ? device->ports[0].socket_no : 0;
    if (!reported_within (device, socket_no, now_ms - interval_ms))
      ch_order_query_port (device, socket_no, 5);
    return;
  }
  for (guint i = 0; i < device->n_sockets; i++) {
    gint socket_no = device->sockets[i].socket_no;
    if (!reported_within (device, socket_no, now_ms - interval_ms))
      ch_order_query_port (device, socket_no, 5);
  }
}

static void begin_round (Sync *sync)
{
  GHashTableIter iter;
  gpointer id;
  g_hash_table_iter_init (&iter, sync->core->devices);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    g_ptr_array_add (sync->round, g_strdup (id));
}

static void tick (ChPlugin *self, gpointer data)
{
  Sync *sync = data;
  gint64 interval_s = ch_config_int (self, "ports.sync_interval_s");
  gint64 most = ch_config_int (self, "ports.sync_batch");
  gint64 now_ms = ch_now_ms (self);

  ch_timer_add (self, TICK_MS, tick, sync);
  if (interval_s == 0 || self->services->overload > 0 || self->services->draining)
    return;
  if (sync->round->len == 0) {
    if (sync->began_ms != 0 && now_ms - sync->began_ms < interval_s * 1000)
      return;
    sync->began_ms = MAX (now_ms, 1);
    begin_round (sync);
  }
  gint64 share = g_hash_table_size (sync->core->devices) / interval_s + 1;
  for (gint64 n = MIN (share, most); n > 0 && sync->round->len > 0; n--) {
    g_autofree char *id
        = g_ptr_array_steal_index_fast (sync->round, sync->round->len - 1);
    ChDevice *device = ch_device_find (sync->core, id);
    if (device != NULL)
      ask (device, now_ms, interval_s * 1000);
  }
}

typedef struct {
  ChResource resource;
  Sync sync;
} SyncResource;

static void revoke_sync (ChResource *resource)
{
  SyncResource *kept = (SyncResource *) resource;
  g_ptr_array_unref (kept->sync.round);
  g_free (kept);
}

static const ChResourceKind SYNC_KIND = {"reconciliations", revoke_sync};

void ch_port_sync_start (ChCore *core)
{
  SyncResource *kept = g_new0 (SyncResource, 1);
  kept->sync.core = core;
  kept->sync.round = g_ptr_array_new_with_free_func (g_free);
  ch_owner_link (core->self, &kept->resource, &SYNC_KIND);
  ch_timer_add (core->self, TICK_MS, tick, &kept->sync);
}
