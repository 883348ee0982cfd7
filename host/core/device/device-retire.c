/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a device out of operation, and deleting what nobody needs any more. */
#include "core/device/device-admin-private.h"
#include "core/fact/facts.h"
#include "core/order/order-home.h"
#include "core/order/order.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"

#define DELETED 2 /* place of devices.delete in its transaction */

/*
 * What holds a pointer to the record may be under way, so it is only
 * taken out of the table. A device that came back meanwhile is a new one.
 */
void ch_device_forget (ChDevice *device)
{
  ChCore *core = device->core;
  if (device->conn != 0 || device->fact_running || device->facts != NULL
      || device->orders != NULL || core->starts_waiting->len > 0) {
    device->db_id = 0;
    device->identity_dirty = TRUE;
    ch_device_seen_dirty (device);
    return;
  }
  ch_outbound_forget (core->outbound, device);
  ch_session_forget (core->sessions, device);
  g_ptr_array_remove_fast (core->dirty_devices, device);
  g_hash_table_steal (core->devices, device->id);
  g_ptr_array_add (core->gone_devices, device);
}

static void retired (ChPlugin *self, const ChTxResult *result, const GError *error,
                     gpointer user_data)
{
  ChDeviceJob *job = user_data;
  const ChDeviceTarget *target = &g_array_index (job->targets, ChDeviceTarget, 0);
  ChDevice *device = ch_device_find (job->admin->core, target->id);

  if (g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_GUARD))
    ch_ask_refuse (job->ask, CH_CORE_ERROR_PORT_OCCUPIED,
                   "the device has active orders: end them first");
  else if (error != NULL)
    ch_ask_store_failed (job->ask, error);
  else {
    gboolean deleted = target->changed && ch_tx_result_changes (result, DELETED) > 0;
    g_autoptr (json_t) data = json_object ();
    json_object_set_new (data, "device_id", json_string (target->id));
    json_object_set_new (data, "deleted", json_boolean (deleted));
    json_object_set_new (data, "lifecycle",
                         deleted ? json_null () : json_string ("decommissioned"));
    json_object_set (data, "before", target->before);
    ch_device_tell (device, "lifecycle", ch_lifecycle_name (device->lifecycle),
                    "decommissioned", job->by);
    device->lifecycle = deleted ? CH_LIFECYCLE_ACTIVE : CH_LIFECYCLE_DECOMMISSIONED;
    device->enrolment = deleted ? CH_ENROLMENT_AUTO : device->enrolment;
    if (deleted)
      ch_device_forget (device);
    ch_ask_answer (job->ask, data, NULL);
  }
  ch_device_job_finish (job);
}

gboolean ch_device_retire_run (ChDeviceJob *job)
{
  ChCore *core = job->admin->core;
  ChDeviceTarget *target = &g_array_index (job->targets, ChDeviceTarget, 0);
  ChDevice *device = ch_device_find (core, target->id);

  if (device->orders != NULL && device->orders->len > 0) {
    const ChOrder *order = g_ptr_array_index (device->orders, 0);
    g_autoptr (json_t) data = json_pack ("{s:s}", "current_order", order->d.order_no);
    g_autoptr (GError) error
        = g_error_new_literal (CH_CORE_ERROR, CH_CORE_ERROR_PORT_OCCUPIED,
                               "the device has active orders: end them first");
    ch_ask_answer (job->ask, data, error);
    return FALSE;
  }
  target->before = ch_device_state_json (device);
  /* One that is connected, here or elsewhere, would come again. */
  target->changed = device->conn == 0 && !ch_home_is_elsewhere (device);
  ChTx *tx = ch_tx_new (core->self);
  ch_device_store (device, tx); /* it may have none yet */
  ch_tx_add (tx, core->self, "devices.decommission");
  ch_tx_bind_text (tx, "phy_id", target->id);
  ch_tx_bind_time (tx, "now", ch_wall_ms (core->self));
  ch_tx_guard (tx, 1, 1);
  if (target->changed) {
    ch_tx_add (tx, core->self, "devices.delete"); /* statement DELETED */
    ch_tx_bind_text (tx, "phy_id", target->id);
    ch_tx_add (tx, core->self, "sockets.delete_all");
    ch_tx_bind_text (tx, "phy_id", target->id);
  }
  ch_tx_submit (tx, 0, retired, job);
  return TRUE;
}
