/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of orders (gateway 1.5). Active orders are in memory, all others in the store.
 */
#pragma once

#include "core/device/device.h"
#include "core/order/order.h"

ChOrders *ch_orders_new (ChCore *core);
void ch_orders_free (ChOrders *orders);
/* Loads active orders; arms nothing yet. Blocks. */
gboolean ch_orders_open (ChOrders *orders, GError **error);
void ch_orders_start (ChOrders *orders);

ChCore *ch_orders_core (ChOrders *orders);
/* Active order by number, NULL when there is none in memory. */
ChOrder *ch_orders_find (ChOrders *orders, const char *order_no);

/* From session.c. */
void ch_orders_device_bound (ChOrders *orders, ChDevice *device);
/* The device is here: what do the ports of its interrupted orders do? */
void ch_orders_ask_interrupted (ChDevice *device);
void ch_orders_device_lost (ChOrders *orders, ChDevice *device);
/* From the facts: a port report, before and after the port's record changed. */
void ch_orders_port_snapshot (ChOrders *orders, ChDevice *device, ChPort *port,
                              const ChPortUpdate *fact);
void ch_orders_progress (ChOrders *orders, ChDevice *device, const ChOrderProgress *fact);

/*
 * Durable facts: call @next exactly once, when the transaction has committed (error
 * NULL) or failed; memory has changed by then, events are published after @next.
 */
typedef void (*ChFactNext) (ChDevice *device, const GError *error, gpointer data);
/* The order in memory that a report is about, NULL when there is none; one is given. */
ChOrder *ch_orders_reported (ChDevice *device, const ChOrderStarted *started,
                             const ChOrderEnded *ended);
void ch_orders_started (ChOrders *orders, ChDevice *device, const ChOrderStarted *fact,
                        ChFactNext next, gpointer data);
void ch_orders_ended (ChOrders *orders, ChDevice *device, const ChOrderEnded *fact,
                      ChFactNext next, gpointer data);
