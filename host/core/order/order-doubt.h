/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes of orders of which nobody knows whether they were stored: read back until it is
 * known. */
#pragma once

#include "core/order/orders.h"

typedef struct _ChDoubt ChDoubt;

/* Whether a transaction that failed like this may have been committed all the same. */
gboolean ch_order_is_doubtful (const GError *error);
/*
 * @order: (transfer full): what was to be inserted; a start's command is prepared
 * @wanted: its start is sent if that is still in time, because the caller can ask again
 *   by its number; else the order fails
 */
void ch_order_doubt (ChOrder *order, gboolean wanted, const char *by);
/*
 * A change of an order. @order: (transfer full) (nullable): as it was, when it is not in
 * memory and the change revives it
 */
void ch_order_doubt_change (ChDevice *device, const char *order_no, ChOrder *order);
/* Such a new order may hold this port. */
gboolean ch_doubt_holds_port (ChDevice *device, gint64 socket_no, gint64 port_no);
gboolean ch_doubt_knows (ChOrders *orders, const char *order_no);
void ch_doubt_free (ChDoubt *doubt);
/* orders.c: those of all devices */
GPtrArray *ch_orders_doubts (ChOrders *orders);
