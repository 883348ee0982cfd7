/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orders whose port the device chooses (`auto_port`, gateway 1.2). Until the device names
 * the port the order has the number −1 and holds the whole device.
 */
#pragma once

#include "core/order/order-change.h"
#include "core/order/order-start.h"

/* The active order that has no port yet; NULL when there is none. */
ChOrder *ch_order_unplaced (const ChDevice *device);
/* @next takes @port_no if it has none yet and no other order holds that port. */
void ch_order_place (const ChOrder *order, ChOrderData *next, gint port_no);
/* Whether a report of a port can only be of the order without port. */
ChOrder *ch_order_unplaced_of (ChDevice *device, const ChPortUpdate *fact);

/* Steps 6 and 7 of a start that leaves the port to the device. FALSE: refused, and @start
 * is gone. */
gboolean ch_start_check_any_port (ChStart *start);
