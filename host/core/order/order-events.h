/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What others hear of orders: rows of the outbox (gateway 5.4) and topics (1.11). */
#pragma once

#include "core/order/order-machine.h"
#include "core/order/order.h"

/* Appends the outbox rows of a transition of @order to @next; who asked for it and why
 * stand in the rows of requests. */
void ch_order_event_rows (const ChOrder *order, const ChOrderData *next,
                          const ChOrderCell *cell, const char *by, const char *reason,
                          ChTx *tx);
/* Appends the row of a creation: order.created, and charging.started for a local charge.
 */
void ch_order_created_rows (const ChOrder *order, ChTx *tx);
/* Appends charging.progress when it is due. */
void ch_order_progress_row (ChOrder *order, ChTx *tx);

/* Publishes order.changed. */
void ch_order_publish_changed (const ChOrder *order, gint from, guint transition,
                               const char *by);
void ch_order_publish_started (const ChOrder *order);
void ch_order_publish_updated (const ChOrder *order, gint64 current_ma, gint64 voltage_mv,
                               gint64 temp_dc, gint64 soc, const char *lookup_source);
void ch_order_publish_ended (const ChOrder *order);
