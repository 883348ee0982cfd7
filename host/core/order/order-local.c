/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-local.h"
#include "core/fact/facts.h"
#include "core/order/order-change.h"
#include "core/order/order-store.h"
#include <chargehost/clock.h>
#include <chargehost/id.h>
#include <chargehost/json.h>

gint64 ch_order_credible_start (const ChDevice *device, const ChOrderStarted *fact)
{
  gint64 now = ch_fact_said_ms (device), said = fact->started_at_ms;
  return said != CH_UNSET && ABS (said - now) <= 300000 ? said : now;
}

static ChOrder *make (ChDevice *device, gint socket_no, gint port_no, gint64 business_no,
                      const char *wire_order)
{
  ChPlugin *self = device->core->self;
  ChOrder *order = ch_order_new (device);
  ChOrderData *d = &order->d;
  char ulid[CH_ULID_SIZE];

  g_snprintf (d->order_no, sizeof d->order_no, "CH%s", ch_ulid (self, ulid));
  d->source = CH_SOURCE_LOCAL;
  d->socket_no = (gint16) socket_no;
  d->port_no = (gint8) port_no;
  d->price_per_kwh_cent = ch_config_int (self, "tariff.price_per_kwh_cent");
  d->service_fee_permille = ch_config_int (self, "tariff.service_fee_permille");
  d->created_at = d->updated_at = ch_wall_ms (self);
  d->business_no = business_no == CH_UNSET ? 0 : (guint16) business_no;
  g_strlcpy (d->wire_order, wire_order != NULL ? wire_order : "", sizeof d->wire_order);
  order->state_ms = order->progress_ms = order->duration_ms = ch_now_ms (self);
  order->number_is_device = TRUE;
  return order;
}

static ChOrder *make_started (ChDevice *device, const ChOrderStarted *fact)
{
  ChOrder *order = make (device, fact->socket_no, fact->port_no, fact->business_no,
                         fact->wire_order);
  ChOrderData *d = &order->d;

  d->status = CH_ORDER_CHARGING;
  d->start_time = ch_order_credible_start (device, fact);
  d->target_duration_s = fact->target_duration_s;
  d->target_energy_wh = fact->target_energy_wh;
  if (fact->charge_mode != CH_UNSET && fact->charge_mode >= 1 && fact->charge_mode <= 4)
    d->charge_mode = (guint8) fact->charge_mode;
  order->card_no = g_strdup (fact->card_no);
  order->metadata = fact->metadata != NULL ? ch_json_dump (fact->metadata) : NULL;
  return order;
}

static ChOrder *make_ended (ChDevice *device, const ChOrderEnded *fact)
{
  ChOrder *order = make (device, fact->socket_no, fact->port_no, fact->business_no,
                         fact->wire_order);
  ChOrderData *d = &order->d;

  d->status = CH_ORDER_COMPLETED;
  g_strlcpy (d->lookup_source, "none", sizeof d->lookup_source);
  order->card_no = g_strdup (fact->card_no);
  order->metadata = fact->metadata != NULL ? ch_json_dump (fact->metadata) : NULL;
  ch_order_settle_report (order, d, fact, ch_fact_said_ms (device));
  g_strlcpy (d->failure_reason, "no_matching_order", sizeof d->failure_reason);
  ch_core_alarm (device->core, device->id, d->socket_no, d->port_no, "no_matching_order",
                 CH_ALARM_WARNING, TRUE, "A charge ended that no order asked for", NULL,
                 NULL);
  return order;
}

ChOrder *ch_order_local_new (ChDevice *device, const ChOrderStarted *started,
                             const ChOrderEnded *ended)
{
  return started != NULL ? make_started (device, started) : make_ended (device, ended);
}

void ch_order_local_store (ChOrder *order, const ChOrderEnded *ended, ChTx *tx)
{
  ch_device_store (order->device, tx);
  ch_order_insert (order, tx);
  ch_order_created_rows (order, tx);
  if (ended != NULL && ended->statements != NULL)
    ch_tx_append (tx, g_steal_pointer (&((ChOrderEnded *) ended)->statements));
}
