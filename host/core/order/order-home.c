/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-home.h"
#include "core/device/device-admin.h"
#include "core/device/device-store.h"
#include "core/order/order-flow.h"
#include "core/order/order-store.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/log.h>

#include <string.h>

#define TICK_MS 2000
#define LATER_TICKS 2
#define ORPHAN_AGE_MS 10000
#define SWEEP_ROWS 100
#define UNKNOWN_TRIES 5
#define UNKNOWN_MAX 10000

struct _ChHomes {
  ChCore *core;
  GHashTable *retry;   /* ids of devices whose orders could not be read */
  GHashTable *later;   /* id → ticks until its orders are read once more */
  GHashTable *unknown; /* id → how often its row was not there yet */
  GHashTable *reads;   /* of Read, as a set: nothing leaks at the end */
  guint ticks;
  guint sweep_ticks; /* from one sweep to the next */
  gint64 after;      /* keyset of the sweep */
  gboolean sweeping, first_done;
};

/* ---- merging what the store has ---- */

static gboolean is_in (const ChOrder *order, const ChTxResult *result)
{
  for (guint row = 0; row < ch_tx_result_rows (result, 3); row++)
    if (g_strcmp0 (order->d.order_no, ch_tx_result_text (result, 3, row, "order_no"))
        == 0)
      return TRUE;
  return FALSE;
}

/* Ended by somebody else. */
static void drop_ended (ChDevice *device, const ChTxResult *result)
{
  for (guint i = device->orders != NULL ? device->orders->len : 0; i > 0; i--) {
    ChOrder *order = g_ptr_array_index (device->orders, i - 1);
    if (!is_in (order, result))
      ch_orders_remove_active (device->core->orders, order);
    if (device->orders == NULL)
      break;
  }
}

static void take_row (ChDevice *device, const ChTxResult *result, guint row)
{
  ChOrders *orders = device->core->orders;
  ChOrder *order
      = ch_orders_find (orders, ch_tx_result_text (result, 3, row, "order_no"));
  gint64 now_ms = ch_now_ms (device->core->self);

  if (order != NULL
      && (order->device != device
          || order->d.version >= ch_tx_result_int (result, 3, row, "version")))
    return; /* memory knows more: its figures are newer than their row */
  gboolean fresh = order == NULL;
  if (fresh)
    order = ch_order_new (device);
  gint before = fresh ? -1 : order->d.status;
  ch_order_read (order, result, 3, row);
  if (fresh)
    order->progress_ms = order->duration_ms = now_ms;
  if (before != order->d.status) {
    order->state_ms = now_ms;
    order->idle_ms = order->fault_ms = 0;
    order->bound_ms = device->conn != 0 ? now_ms : 0;
    ch_order_recall_writes (order);
  }
  if (fresh)
    ch_orders_add_active (orders, order);
}

static void merge_orders (ChDevice *device, const ChTxResult *result)
{
  drop_ended (device, result); /* first: a new order may hold the same port */
  for (guint row = 0; row < ch_tx_result_rows (result, 3); row++)
    take_row (device, result, row);
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++)
    ch_order_arm (g_ptr_array_index (device->orders, i));
}

static void drop_all (ChDevice *device)
{
  while (device->orders != NULL)
    ch_orders_remove_active (device->core->orders, g_ptr_array_index (device->orders, 0));
}

static ChTx *read_tx (ChCore *core, const char *id)
{
  static const char *const names[]
      = {"devices.one", "ports.one", "sockets.one", "orders.active_of_device"};
  ChTx *tx = ch_tx_new (core->self);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    ch_tx_add (tx, core->self, names[i]);
    ch_tx_bind_text (tx, "phy_id", id);
  }
  return tx;
}

/* ---- loading, as a job of the device's queue ---- */

typedef struct {
  ChFact fact;
  gboolean is_bind;
} LoadJob;

static void free_job (ChFact *fact)
{
  g_free (fact);
}

static void read_again (ChDevice *device)
{
  device->orders_known = FALSE;
  g_hash_table_add (device->core->homes->retry, g_strdup (device->id));
}

static void loaded (ChPlugin *self, const ChTxResult *result, const GError *error,
                    gpointer data)
{
  ChDevice *device = data;
  const LoadJob *job = (const LoadJob *) device->fact_current;
  gboolean is_bind = job->is_bind;

  if (error != NULL) {
    ch_log (self, CH_LOG_WARNING, CH_LOG_FIELDS ("device", device->id),
            "active orders not read, going on with those in memory: %s", error->message);
    read_again (device);
  } else {
    ch_device_take_rows (device, result);
    if (ch_home_is_elsewhere (device))
      drop_all (device);
    else {
      merge_orders (device, result);
      device->orders_known = TRUE;
    }
  }
  if (is_bind && device->conn != 0)
    ch_orders_device_bound (device->core->orders, device);
  else if (device->conn != 0)
    ch_orders_ask_interrupted (device); /* by the instance that had the device before */
  ch_fact_finish (device);
}

static gboolean run_load (ChDevice *device, ChFact *fact)
{
  if (ch_home_is_elsewhere (device)) {
    drop_all (device);
    return TRUE;
  }
  ch_tx_submit (read_tx (device->core, device->id), 0, loaded, device);
  return FALSE;
}

static void enqueue_load (ChDevice *device, gboolean is_bind)
{
  LoadJob *job = g_new0 (LoadJob, 1);
  job->fact.run = run_load;
  job->fact.free = free_job;
  job->is_bind = is_bind;
  ch_fact_enqueue (device, &job->fact);
}

void ch_home_bound (ChDevice *device)
{
  ChCore *core = device->core;
  if (device->orders_known && !ch_sessions_are_several (core->sessions))
    ch_orders_device_bound (core->orders, device);
  else
    enqueue_load (device, TRUE);
}

void ch_home_taken_back (ChDevice *device)
{
  enqueue_load (device, TRUE);
  g_hash_table_insert (device->core->homes->later, g_strdup (device->id),
                       GUINT_TO_POINTER (LATER_TICKS));
}

void ch_home_adopt (ChDevice *device)
{
  if (device->conn == 0 && device->elsewhere == NULL && !device->orders_known)
    enqueue_load (device, FALSE);
}

void ch_home_look (ChDevice *device, const char *order_no, gint64 version)
{
  const ChOrder *order = ch_orders_find (device->core->orders, order_no);
  if (ch_home_is_elsewhere (device) || (order != NULL && order->d.version >= version))
    return;
  if (device->conn != 0 || order != NULL || order_no == NULL)
    enqueue_load (device, FALSE);
}

gboolean ch_home_misses (ChDevice *device, const ChTxResult *result, GError **error)
{
  if (!ch_sessions_are_several (device->core->sessions))
    return FALSE;
  for (guint row = 0; row < ch_tx_result_rows (result, 0); row++) {
    gint64 status = ch_tx_result_int (result, 0, row, "status");
    const char *order_no = ch_tx_result_text (result, 0, row, "order_no");
    if (!ch_order_status_is_active ((ChOrderStatus) status)
        || ch_orders_find (device->core->orders, order_no) != NULL)
      continue;
    g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_ORDER_STATE_CHANGED,
                 "order %s was moved by another instance", order_no);
    ch_home_look (device, NULL, 0);
    return TRUE;
  }
  return FALSE;
}

/* ---- leaving ---- */

static gboolean run_leave (ChDevice *device, ChFact *fact)
{
  if (ch_home_is_elsewhere (device))
    drop_all (device);
  return TRUE;
}

void ch_home_left (ChDevice *device)
{
  device->orders_known = FALSE;
  if (device->orders == NULL && !device->fact_running)
    return;
  ChFact *fact = g_new0 (ChFact, 1);
  fact->run = run_leave;
  fact->free = free_job;
  ch_fact_enqueue_first (device, fact);
}

/* ---- devices that only the store knows ---- */

typedef struct {
  ChHomes *homes;
  char id[CH_DEVICE_ID_SIZE];
  ChHomeKnown known;
  gpointer data;
} Read;

/* Its instance writes the row in a moment, or the store is away. */
static void note_unknown (ChHomes *homes, const char *id)
{
  guint tries = GPOINTER_TO_UINT (g_hash_table_lookup (homes->unknown, id));
  if (tries >= UNKNOWN_TRIES || g_hash_table_size (homes->unknown) >= UNKNOWN_MAX)
    g_hash_table_remove (homes->unknown, id);
  else
    g_hash_table_insert (homes->unknown, g_strdup (id), GUINT_TO_POINTER (tries + 1));
}

static void look_for_unknown (ChHomes *homes)
{
  g_autofree char **ids = (char **) g_hash_table_get_keys_as_array (homes->unknown, NULL);
  g_autoptr (GPtrArray) known = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; ids[i] != NULL; i++) {
    if (ch_device_find (homes->core, ids[i]) != NULL)
      g_ptr_array_add (known, g_strdup (ids[i]));
    else
      ch_home_know (homes->core, ids[i]);
  }
  for (guint i = 0; i < known->len; i++)
    g_hash_table_remove (homes->unknown, g_ptr_array_index (known, i));
}

static void read_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  g_autofree Read *reading = data;
  ChCore *core = reading->homes->core;
  ChDevice *device = ch_device_find (core, reading->id);

  g_hash_table_steal (reading->homes->reads, reading);
  gboolean there = error == NULL && ch_tx_result_rows (result, 0) > 0;
  if (!there && device == NULL && reading->known == NULL)
    note_unknown (reading->homes, reading->id);
  if (there && device == NULL) {
    device = ch_device_add (core, reading->id);
    device->orders_known = FALSE;
    ch_sessions_meet (core->sessions, device);
  }
  /* What had a row and has none was deleted by another instance. */
  if (error == NULL && !there && device != NULL && device->db_id != 0
      && device->elsewhere == NULL) {
    ch_device_forget (device);
    device = ch_device_find (core, reading->id);
  }
  if (error == NULL && device != NULL)
    ch_device_take_rows (device, result);
  /* Between jobs only, as the running one may be changing an order. */
  if (error == NULL && device != NULL && device->conn == 0 && device->elsewhere == NULL
      && !device->fact_running) {
    merge_orders (device, result);
    device->orders_known = TRUE;
  }
  if (reading->known != NULL)
    reading->known (core, reading->id, error, reading->data);
}

void ch_home_read (ChCore *core, const char *id, ChHomeKnown known, gpointer data)
{
  Read *reading = g_new0 (Read, 1);
  reading->homes = core->homes;
  g_strlcpy (reading->id, id, sizeof reading->id);
  reading->known = known;
  reading->data = data;
  g_hash_table_add (core->homes->reads, reading);
  ch_tx_submit (read_tx (core, id), 0, read_done, reading);
}

void ch_home_know (ChCore *core, const char *id)
{
  if (ch_device_id_is_valid (id) && ch_device_find (core, id) == NULL
      && core->services->store != NULL && g_hash_table_size (core->homes->reads) < 1000)
    ch_home_read (core, id, NULL, NULL);
}

ChDevice *ch_home_device (ChCore *core, const char *id)
{
  ChDevice *device = ch_device_find (core, id);
  if (device != NULL || !ch_device_id_is_valid (id))
    return device;
  device = ch_device_add (core, id);
  device->orders_known = FALSE;
  ch_sessions_meet (core->sessions, device);
  ch_home_read (core, id, NULL, NULL);
  return device;
}

/* ---- the sweep ---- */

static void sweep (ChHomes *homes, gint64 age_ms);

static void located (ChCore *core, const char *id, gpointer data)
{
  ChDevice *device = ch_device_find (core, id);
  if (device == NULL)
    ch_home_know (core, id);
  else if (*ch_session_remote_owner (core->sessions, id) == '\0')
    ch_home_adopt (device);
}

/* Whether somebody has to look after its orders, as far as memory can tell. */
static gboolean is_orphan (const ChDevice *device)
{
  if (device->conn != 0)
    return device->orders == NULL && !device->fact_running;
  return device->elsewhere == NULL && !device->orders_known;
}

static void orphans_listed (ChPlugin *self, const ChTxResult *result, const GError *error,
                            gpointer data)
{
  ChHomes *homes = data;
  ChCore *core = homes->core;
  guint rows = error == NULL ? ch_tx_result_rows (result, 0) : 0;

  homes->sweeping = FALSE;
  for (guint row = 0; row < rows; row++) {
    const char *id = ch_tx_result_text (result, 0, row, "phy_id");
    ChDevice *device = ch_device_find (core, id);
    homes->after = ch_tx_result_int (result, 0, row, "device_id");
    if (device != NULL && !is_orphan (device))
      continue;
    if (device != NULL && device->conn != 0)
      ch_home_look (device, NULL, 0);
    else
      ch_sessions_locate (core->sessions, id, located, NULL);
  }
  if (error != NULL)
    return;
  if (rows < SWEEP_ROWS) {
    homes->after = 0;
    homes->first_done = TRUE;
  } else if (!homes->first_done)
    sweep (homes, 0); /* at the start: all there is */
}

static void sweep (ChHomes *homes, gint64 age_ms)
{
  ChPlugin *self = homes->core->self;
  if (homes->sweeping || homes->core->services->draining)
    return;
  homes->sweeping = TRUE;
  ChTx *tx = ch_tx_new (self);
  ch_tx_add (tx, self, "orders.orphans");
  ch_tx_bind_int (tx, "after", homes->after);
  ch_tx_bind_time (tx, "before", ch_wall_ms (self) - age_ms);
  ch_tx_bind_int (tx, "count", SWEEP_ROWS);
  ch_tx_submit (tx, 0, orphans_listed, homes);
}

static void read_later (ChHomes *homes)
{
  GHashTableIter iter;
  gpointer id, left;

  g_hash_table_iter_init (&iter, homes->later);
  while (g_hash_table_iter_next (&iter, &id, &left)) {
    ChDevice *device = ch_device_find (homes->core, id);
    guint ticks = GPOINTER_TO_UINT (left);
    if (ticks > 1) {
      g_hash_table_iter_replace (&iter, GUINT_TO_POINTER (ticks - 1));
      continue;
    }
    if (device != NULL && device->conn != 0)
      enqueue_load (device, TRUE);
    g_hash_table_iter_remove (&iter);
  }
}

static void tick (ChPlugin *self, gpointer data)
{
  ChHomes *homes = data;
  g_autoptr (GHashTable) retry = g_steal_pointer (&homes->retry);
  GHashTableIter iter;
  gpointer id;

  homes->retry = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_hash_table_iter_init (&iter, retry);
  while (g_hash_table_iter_next (&iter, &id, NULL)) {
    ChDevice *device = ch_device_find (homes->core, id);
    if (device != NULL && !device->orders_known && !ch_home_is_elsewhere (device))
      enqueue_load (device, device->conn != 0);
  }
  read_later (homes);
  look_for_unknown (homes);
  if (++homes->ticks % homes->sweep_ticks == 0 && homes->core->services->store != NULL
      && ch_sessions_are_several (homes->core->sessions))
    sweep (homes, homes->first_done ? ORPHAN_AGE_MS : 0);
  ch_timer_add (self, TICK_MS, tick, homes);
}

void ch_homes_start (ChHomes *homes)
{
  gint64 interval_s = ch_config_int (homes->core->self, "orders.sweep_interval_s");
  homes->sweep_ticks = (guint) MAX (1, interval_s * 1000 / TICK_MS);
  if (ch_sessions_are_several (homes->core->sessions)
      && homes->core->services->store != NULL)
    sweep (homes, 0);
  else
    homes->first_done = TRUE;
  ch_timer_add (homes->core->self, TICK_MS, tick, homes);
}

ChHomes *ch_homes_new (ChCore *core)
{
  ChHomes *homes = g_new0 (ChHomes, 1);
  homes->core = core;
  homes->retry = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  homes->later = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  homes->unknown = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  homes->reads = g_hash_table_new_full (NULL, NULL, g_free, NULL);
  return homes;
}

void ch_homes_free (ChHomes *homes)
{
  g_hash_table_unref (homes->retry);
  g_hash_table_unref (homes->later);
  g_hash_table_unref (homes->unknown);
  g_hash_table_unref (homes->reads);
  g_free (homes);
}
