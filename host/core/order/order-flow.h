/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How orders are moved: events as jobs of the device's queue, and what commands tell. */
#pragma once

#include "core/fact/facts.h"
#include "core/order/order-change.h"

/* Applies an event to an order when the device's queue comes to it; refused events are
 * no-ops. */
void ch_order_enqueue (ChOrder *order, ChOrderEvent event, const char *by,
                       const char *reason);

/* Runs an event now, inside a job. Returns: TRUE when a change was committed (job goes
 * on) */
gboolean ch_order_apply (ChOrder *order, ChOrderEvent event, const char *by,
                         const char *reason);

/* Fills what the event itself means for @next: settlement, failure reason. */
void ch_order_prepare_event (ChOrder *order, ChChange *change);

/* Asks the device for its ports (bkv: one query per socket). */
void ch_order_query_port (ChDevice *device, gint socket_no, guint priority);
/* A StopCharge that belongs to no active order any more (C2, C4). */
void ch_order_compensate (ChDevice *device, gint socket_no, gint port_no,
                          const char *order_no, guint16 business_no,
                          const char *wire_order, const char *reason);
/*
 * order-reports.c: an order that had ended provisionally is being charged (T32, C4).
 * Takes
 * @order, which is not in memory; decides as a job of its own.
 */
void ch_order_charges_again (ChOrder *order);
/*
 * order-late.c: the device acknowledged the start of @order, which has ended and is not
 * in memory (taken). Within the running job, which it finishes after @next.
 */
void ch_order_started_late (ChOrder *order, const ChOrderStarted *fact, ChFactNext next,
                            gpointer data);
/* The same, as a job of its own, when a report of the port tells it. */
void ch_order_charges_late (ChOrder *order, const char *wire_order, gint64 business_no);
/* The same when only the end of the command tells it. */
void ch_order_acked_late (ChDevice *device, const char *order_no);
/* Durations are in whole minutes, and nobody knows when exactly a start was executed. */
#define CH_REPORT_SLACK_S 90
/* It has ended, and a report of its charge still settles it. */
gboolean ch_order_may_yet_be_settled (const ChOrder *order);
/*
 * The order that ended provisionally before the number of its charge was known, when a
 * charge of a number unknown may be its own: of rows of `orders.last_of_port`, without
 * @holder. Returns: (transfer full) (nullable)
 */
ChOrder *ch_order_unnumbered_of (ChDevice *device, const ChOrder *holder,
                                 gint64 duration_s, const ChTxResult *result,
                                 guint statement);
/* Writes the figures of charging orders now. */
void ch_orders_flush_progress (ChOrders *orders);
/* order-commands.c: what the outbound queue tells. */
void ch_orders_connect_commands (ChOrders *orders);
/* order-timer.c */
void ch_order_check_timers (ChOrder *order);
/* order-start.c: a snapshot of a port came; starts may wait for it. */
void ch_order_starts_snapshot (ChDevice *device, const ChPort *port);
