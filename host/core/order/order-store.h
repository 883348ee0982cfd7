/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of orders and of the event outbox. */
#pragma once

#include "core/order/order.h"

extern const ChStatement ch_order_statements[];

/* Appends the insert of a new order. Its unique indexes are the last word on the port. */
guint ch_order_insert (const ChOrder *order, ChTx *tx);

/**
 * ch_order_update:
 * @order: as stored
 * @next: as it shall be; its version must be one higher
 * @history: (nullable): entry for status_history, JSON text
 * @tx: gets the update, guarded by status and version of @order
 *
 * Returns: index of the statement
 */
guint ch_order_update (const ChOrder *order, const ChOrderData *next, const char *history,
                       ChTx *tx);
/* Appends the progress figures; no transition, no version. */
void ch_order_store_progress (const ChOrder *order, ChTx *tx);

/* {"status":2,"timestamp":"…","reason":"…","by":"device"} (transfer full) */
char *ch_order_history (gint status, gint64 wall_ms, const char *reason, const char *by);
