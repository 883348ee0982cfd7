/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The final checks and the transaction of a start, as a job of the device's queue: the
 * order, its command and its event are stored together or not at all.
 */
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-auto.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include "core/order/order-number.h"
#include "core/order/order-start.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

/* ---- the transaction, in the device's queue ---- */

typedef struct {
  ChFact fact;
  ChStart *start;
} StartJob;

static gboolean number_taken (ChStart *start, guint16 number)
{
  for (guint i = 0; start->device->orders != NULL && i < start->device->orders->len; i++)
    if (((ChOrder *) g_ptr_array_index (start->device->orders, i))->d.business_no
        == number)
      return TRUE;
  for (guint i = 0; start->numbers != NULL && i < start->numbers->len; i++)
    if (g_array_index (start->numbers, guint16, i) == number)
      return TRUE;
  return FALSE;
}

static ChOrder *make_order (ChStart *start)
{
  const ChStartRequest *r = &start->request;
  ChPlugin *self = start->core->self;
  ChOrder *order = ch_order_new (start->device);
  ChOrderData *d = &order->d;

  g_strlcpy (d->order_no, start->order_no, sizeof d->order_no);
  d->business_no = r->business_no != CH_UNSET ? (guint16) r->business_no
                                              : ch_business_no_derive (start->order_no);
  if (r->business_no == CH_UNSET)
    for (guint tries = 0; tries < G_MAXUINT16 && number_taken (start, d->business_no);
         tries++)
      d->business_no = ch_business_no_next (d->business_no);
  d->source = (guint8) r->source;
  d->socket_no = (gint16) r->socket_no;
  d->port_no = (gint8) r->port_no;
  d->charge_mode = (guint8) r->charge_mode;
  if (r->duration_minutes != CH_UNSET)
    d->target_duration_s = r->duration_minutes * 60;
  d->target_energy_wh = r->energy_wh;
  d->max_power_w = r->power_w != CH_UNSET ? r->power_w : r->max_power_w;
  d->amount_limit_cent = r->amount_cent;
  d->price_per_kwh_cent = r->price_per_kwh_cent != CH_UNSET
                              ? r->price_per_kwh_cent
                              : ch_config_int (self, "tariff.price_per_kwh_cent");
  d->service_fee_permille = r->service_fee_permille != CH_UNSET
                                ? r->service_fee_permille
                                : ch_config_int (self, "tariff.service_fee_permille");
  d->created_at = d->updated_at = ch_wall_ms (self);
  order->card_no = g_strdup (start->card_no);
  order->metadata = g_strdup (start->metadata);
  order->state_ms = order->progress_ms = order->duration_ms = ch_now_ms (self);
  return order;
}

static json_t *start_payload (const ChOrder *order)
{
  const ChOrderData *d = &order->d;
  json_t *payload = json_object ();
  json_object_set_new_nocheck (payload, "charge_mode", json_integer (d->charge_mode));
  if (d->target_duration_s != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_duration_s",
                                 json_integer (d->target_duration_s));
  if (d->target_energy_wh != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_energy_wh",
                                 json_integer (d->target_energy_wh));
  if (d->amount_limit_cent != CH_UNSET)
    json_object_set_new_nocheck (payload, "max_fee_cent",
                                 json_integer (d->amount_limit_cent));
  if (d->max_power_w != CH_UNSET)
    json_object_set_new_nocheck (payload, "target_power_w",
                                 json_integer (d->max_power_w));
  json_object_set_new_nocheck (payload, "price_per_kwh_cent",
                               json_integer (d->price_per_kwh_cent));
  json_object_set_new_nocheck (payload, "service_fee_permille",
                               json_integer (d->service_fee_permille));
  if (order->card_no != NULL)
    json_object_set_new_nocheck (payload, "card_no", json_string (order->card_no));
  return payload;
}

void ch_start_refuse_store (ChStart *start, const GError *error)
{
  if (g_error_matches (error, CH_STORE_ERROR, CH_STORE_ERROR_UNIQUE))
    CH_START_REFUSE (start, PORT_OCCUPIED, NULL, "another order holds the port");
  else
    CH_START_REFUSE (start, STORE_UNAVAILABLE, NULL, "the order could not be stored: %s",
                     error->message);
}

static void inserted (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  ChStart *start = data;
  ChDevice *device = start->device;
  ChCore *core = start->core;

  if (error != NULL) {
    if (ch_order_is_doubtful (error))
      ch_order_doubt (g_steal_pointer (&start->order), !start->generated, start->by);
    else
      ch_outbound_discard (core->outbound, start->command_id);
    ch_start_refuse_store (start, error);
    ch_fact_finish (device);
    return;
  }
  ChOrder *order = g_steal_pointer (&start->order);
  ch_orders_add_active (core->orders, order);
  ch_order_arm (order);
  ch_outbound_push (core->outbound, order->d.start_command_id);
  ch_log (self, CH_LOG_INFO,
          CH_LOG_FIELDS ("order_no", order->d.order_no, "device", device->id),
          "start of port %d/%d by %s", order->d.socket_no, order->d.port_no, start->by);
  ch_order_publish_changed (order, -1, 1, start->by);
  if (start->wait_ms > 0)
    ch_outbound_wait (core->outbound, start->command_id, start->wait_ms, ch_start_waited,
                      start);
  else
    ch_start_answer_order (start, order);
  ch_fact_finish (device);
}

static gboolean submit (ChStart *start)
{
  ChCore *core = start->core;
  ChOrder *order = make_order (start);
  g_autoptr (json_t) payload = start_payload (order);
  g_autoptr (GError) error = NULL;
  g_autofree char *dedup
      = g_strdup_printf ("start:%s:%d:%d:%s", start->device->id, order->d.socket_no,
                         order->d.port_no, order->d.order_no);
  ChOrigin origin = {.by = start->by, .request_id = start->request_id};
  ChOutboundRequest request = {.type = CH_COMMAND_START_CHARGE,
                               .device = start->device,
                               .socket_no = order->d.socket_no,
                               .port_no = order->d.port_no,
                               .order_no = order->d.order_no,
                               .business_no = order->d.business_no,
                               .payload = payload,
                               .dedup_key = dedup,
                               .durable = TRUE,
                               .origin = &origin};
  gboolean deduplicated;
  ChTx *tx = ch_tx_new (core->self), *command_tx = ch_tx_new (core->self);

  start->order = order;
  if (!ch_outbound_prepare (core->outbound, &request, command_tx, start->command_id,
                            &deduplicated, &error)) {
    ch_tx_free (tx);
    ch_tx_free (command_tx);
    ch_start_refuse (start, g_steal_pointer (&error), NULL);
    return TRUE;
  }
  g_strlcpy (order->d.start_command_id, start->command_id,
             sizeof order->d.start_command_id);
  if (start->device->db_id == 0)
    ch_device_store (start->device, tx); /* before the rows that refer to it */
  ChPort *port
      = ch_device_port (start->device, order->d.socket_no, order->d.port_no, TRUE);
  if (start->device->db_id == 0) /* the store was away when it came */
    ch_device_store (start->device, tx);
  if (port != NULL)
    ch_port_store (start->device, port, tx);
  ch_order_insert (order, tx);
  ch_tx_append (tx, command_tx);
  ch_order_created_rows (order, tx);
  ch_tx_submit (tx, 0, inserted, start);
  return FALSE;
}

/* R4: a missing end report never blocks a port that is known to be idle. One in the
 * journal is not missing. */
static gboolean end_left_over (ChPort *port)
{
  ChOrder *order = port->order;
  if (order->is_journalled)
    return FALSE;
  gint64 since = order->d.status == CH_ORDER_INTERRUPTED ? MAX (order->bound_ms, 1)
                 : order->stop_written_ms != 0           ? order->stop_written_ms
                                                         : order->state_ms;
  if (port->status != CH_PORT_IDLE || port->snapshot_ms < since)
    return FALSE;
  if (order->d.status == CH_ORDER_INTERRUPTED)
    return ch_order_apply (order, CH_ORDER_EVENT_RECOVER_TIMEOUT, "api", "new_start");
  if (order->d.status == CH_ORDER_STOPPING)
    return ch_order_apply (order, CH_ORDER_EVENT_STOP_WAIT, "api", "new_start");
  return FALSE;
}

/* Steps 6 and 7 once more, where nothing can come between. */
static gboolean run_start (ChDevice *device, ChFact *fact)
{
  ChStart *start = g_steal_pointer (&((StartJob *) fact)->start);
  ChPort *port = ch_device_port (device, (gint) start->request.socket_no,
                                 (gint) start->request.port_no, FALSE);
  ChOrder *twin = ch_orders_find (device->core->orders, start->order_no);
  if (twin != NULL) { /* the same request was quicker (F38) */
    ch_start_answer_existing (start, twin);
    return TRUE;
  }
  if (!ch_start_check_device (start))
    return TRUE;
  if (start->request.business_no != CH_UNSET
      && number_taken (start, (guint16) start->request.business_no))
    return CH_START_REFUSE (start, ORDER_NO_CONFLICT, NULL, "business_no is in use"),
           TRUE;
  if (ch_doubt_holds_port (device, start->request.socket_no, start->request.port_no))
    return CH_START_REFUSE (start, STORE_UNAVAILABLE, NULL,
                            "it is not known yet whether an order holds the port"),
           TRUE;
  ChOrder *holder
      = port != NULL && port->order != NULL ? port->order : ch_order_unplaced (device);
  if (start->request.port_no < 0) {
    if (!ch_start_check_any_port (start))
      return TRUE;
  } else if (holder != NULL) {
    if (port != NULL && port->order != NULL && !start->freed_port
        && end_left_over (port)) {
      start->freed_port = TRUE;
      ch_start_enqueue (start);
      return FALSE;
    }
    json_t *data = json_object ();
    json_object_set_new_nocheck (data, "current_order", json_string (holder->d.order_no));
    CH_START_REFUSE (start, PORT_OCCUPIED, data, "another order holds the port");
    return TRUE;
  }
  ChPortStatus status = ch_start_port_status (device, port);
  if (status == CH_PORT_CHARGING)
    return CH_START_REFUSE (start, PORT_STATE_INCONSISTENT, NULL,
                            "the port charges without an order"),
           TRUE;
  if (status == CH_PORT_FAULT)
    return CH_START_REFUSE (start, PORT_FAULT, NULL, "the port has a fault"), TRUE;
  if (port != NULL && port->out_of_service == 1)
    return CH_START_REFUSE (start, DEVICE_FAULT, NULL, "the port is out of service"),
           TRUE;
  if (port != NULL && port->reserved == 1)
    return CH_START_REFUSE (start, PORT_RESERVED, NULL, "the port is reserved"), TRUE;
  if (status == CH_PORT_OFFLINE && start->request.port_no >= 0
      && ch_device_props (device)->idle_reports)
    return CH_START_REFUSE (start, DEVICE_OFFLINE, NULL,
                            "the device has not reported this port"),
           TRUE;
  if (!ch_start_check_guards (start))
    return TRUE;
  return submit (start);
}

/* It did not come to run when there is still a start: nobody waits any more. */
static void free_job (ChFact *fact)
{
  g_clear_pointer (&((StartJob *) fact)->start, ch_start_free);
  g_free (fact);
}

void ch_start_enqueue (ChStart *start)
{
  StartJob *job = g_new0 (StartJob, 1);
  job->fact.run = run_start;
  job->fact.free = free_job;
  job->start = start;
  ch_fact_enqueue (start->device, &job->fact);
}
