/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a report of a port tells of an order: where it charges, and under which number. */
#pragma once

#include "core/order/orders.h"

/* @order charges at @port_no: of one whose port the device chooses, as a job of its own.
 */
void ch_order_place_later (ChOrder *order, gint port_no);
/*
 * The port of @order charges under the number of @fact. Takes it, as a job of its own,
 * when the order runs without a number of the device, and the charge can be its own:
 * then TRUE.
 */
gboolean ch_order_number_later (ChOrder *order, const ChPortUpdate *fact);
