/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting a charge (gateway 1.5.3), whoever asks. Steps: what memory can check; a look
 * into the store for the order number; a fresh snapshot of the port if there is none;
 * then, in the device's queue, the final checks and one transaction with the order, its
 * command and its event. The unique index on active orders has the last word.
 */
#include "core/order/order-start.h"
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-flow.h"
#include "core/order/order-number.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/peer/peer.h"
#include "core/session/session.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/log.h>

#include <string.h>

/* ---- step 6: a fresh snapshot ---- */

static gboolean has_snapshot (ChStart *start)
{
  ChDevice *device = start->device;
  const ChStartRequest *r = &start->request;
  for (guint i = 0; i < device->n_ports; i++) {
    const ChPort *port = &device->ports[i];
    if (port->socket_no == r->socket_no && (r->port_no < 0 || port->port_no == r->port_no)
        && ((port->snapshot_ms != 0 && port->status != CH_PORT_OFFLINE)
            || ch_start_trusts (device, port)))
      return TRUE;
  }
  return FALSE;
}

static void snapshot_missing (ChPlugin *self, gpointer data)
{
  ChStart *start = data;
  start->timer = 0;
  g_ptr_array_remove_fast (start->core->starts_waiting, start);
  ch_start_enqueue (start); /* the final checks word the refusal */
}

void ch_order_starts_snapshot (ChDevice *device, const ChPort *port)
{
  GPtrArray *waiting = device->core->starts_waiting;
  for (guint i = 0; i < waiting->len;) {
    ChStart *start = g_ptr_array_index (waiting, i);
    if (start->device == device && start->request.socket_no == port->socket_no
        && (start->request.port_no == port->port_no || start->request.port_no < 0)) {
      g_ptr_array_remove_index_fast (waiting, i);
      ch_timer_cancel (device->core->self, &start->timer);
      ch_start_enqueue (start);
    } else
      i++;
  }
}

static void ask_port (ChStart *start)
{
  const ChProtocolProperties *props = ch_device_props (start->device);
  if (has_snapshot (start) || !props->idle_reports) {
    ch_start_enqueue (start);
    return;
  }
  if (start->core->starts_waiting->len >= 1000) {
    CH_START_REFUSE (start, OVERLOADED, NULL, "too many starts wait for their devices");
    return;
  }
  g_ptr_array_add (start->core->starts_waiting, start);
  start->timer = ch_timer_add (start->core->self, (guint64) props->query_wait_s * 1000,
                               snapshot_missing, start);
  ch_order_query_port (start->device, (gint) start->request.socket_no, 2);
}

/* ---- step 2: the order number ---- */

/* The same request again? Then it gets the same order. */
void ch_start_answer_existing (ChStart *start, const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  const ChStartRequest *r = &start->request;
  gboolean same
      = order->device == start->device && (r->port_no < 0 || d->port_no == r->port_no)
        && d->charge_mode == r->charge_mode && d->amount_limit_cent == r->amount_cent
        && (r->socket_no == CH_UNSET || d->socket_no == r->socket_no)
        && (r->duration_minutes == CH_UNSET
            || d->target_duration_s == r->duration_minutes * 60)
        && (r->energy_wh == CH_UNSET || d->target_energy_wh == r->energy_wh);
  if (!same) {
    CH_START_REFUSE (start, ORDER_NO_CONFLICT, NULL, "order %s exists with other data",
                     d->order_no);
    return;
  }
  start->duplicate = TRUE;
  ch_start_answer_order (start, order);
}

static void looked_up (ChPlugin *self, const ChTxResult *result, const GError *error,
                       gpointer data)
{
  ChStart *start = data;
  if (error != NULL) {
    ch_start_refuse_store (start, error);
    return;
  }
  if (ch_tx_result_rows (result, 0) > 0) {
    ChDevice *device
        = ch_device_find (start->core, ch_tx_result_text (result, 0, 0, "phy_id"));
    ChOrder *order = ch_order_new (device != NULL ? device : start->device);
    ch_order_read (order, result, 0, 0);
    ch_start_answer_existing (start, order);
    ch_order_free (order);
    return;
  }
  start->numbers = g_array_new (FALSE, FALSE, sizeof (guint16));
  for (guint row = 0; row < ch_tx_result_rows (result, 1); row++) {
    guint16 number = (guint16) ch_tx_result_int (result, 1, row, "business_no");
    g_array_append_val (start->numbers, number);
  }
  if (!ch_start_check_device (start) || !ch_start_check_place (start))
    return;
  ask_port (start);
}

static void look_up (ChStart *start)
{
  ChCore *core = start->core;
  gint64 reuse_ms = ch_config_int (core->self, "orders.business_no_reuse_s") * 1000;
  ChTx *tx = ch_tx_new (core->self);
  ch_tx_add (tx, core->self, "orders.by_no");
  ch_tx_bind_text (tx, "order_no", start->order_no);
  ch_tx_add (tx, core->self, "orders.recent_numbers");
  ch_tx_bind_text (tx, "phy_id", start->device->id);
  ch_tx_bind_time (tx, "since", ch_wall_ms (core->self) - reuse_ms);
  ch_tx_submit (tx, 0, looked_up, start);
}

/* ---- the door
 * --------------------------------------------------------------------------------------
 */

static ChStart *start_new (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data)
{
  ChStart *start = g_new0 (ChStart, 1);
  start->core = ch_core_of (self);
  start->caller = self;
  start->request = *request;
  start->request.order_no = start->order_no = g_strdup (request->order_no);
  start->request.socket_uid = start->socket_uid = g_strdup (request->socket_uid);
  start->request.card_no = start->card_no = g_strdup (request->card_no);
  start->metadata = request->metadata != NULL ? ch_json_dump (request->metadata) : NULL;
  start->request_id = g_strdup (origin != NULL ? origin->request_id : NULL);
  g_strlcpy (start->by, origin != NULL && origin->by != NULL ? origin->by : "api",
             sizeof start->by);
  start->wait_ms = MIN (wait_ms, 10000);
  start->done = done;
  start->user_data = user_data;
  return start;
}

void ch_start_charge_here (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data)
{
  ChStart *start = start_new (self, request, origin, wait_ms, done, user_data);
  ChCore *core = start->core;
  const char *problem = ch_start_invalid (core, request);

  if (problem == NULL && start->metadata != NULL && strlen (start->metadata) > 1024)
    problem = "metadata is longer than 1 KiB";
  if (problem != NULL) {
    CH_START_REFUSE (start, INVALID_PARAMETER, NULL, "%s", problem);
    return;
  }
  if (core->services->draining || core->services->overload >= 3) {
    CH_START_REFUSE (start, STARTING_OR_DRAINING, NULL, "not taking new charges now");
    return;
  }
  start->device = ch_device_find (core, request->device);
  if (start->device == NULL) {
    CH_START_REFUSE (start, DEVICE_NOT_FOUND, NULL, "no such device");
    return;
  }
  start->request.device = start->device->id;
  start->request.metadata = NULL; /* kept as text */
  if (start->order_no != NULL) {
    ChOrder *order = ch_orders_find (core->orders, start->order_no);
    if (order != NULL)
      ch_start_answer_existing (start, order);
    else
      look_up (start);
    return;
  }
  if (!ch_start_check_device (start) || !ch_start_check_place (start))
    return;
  char ulid[CH_ULID_SIZE];
  start->order_no = g_strdup_printf ("CH%s", ch_ulid (core->self, ulid));
  start->request.order_no = start->order_no;
  start->generated = TRUE;
  if (ch_device_props (start->device)->order_key == CH_ORDER_KEY_CORE)
    look_up (start);
  else
    ask_port (start);
}
