/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charges that no order of ours asked for: a button, a coin, or an end report alone. */
#pragma once

#include "core/order/order-events.h"
#include "core/order/order.h"

/* When the charge began: as the device says, if that can be. */
gint64 ch_order_credible_start (const ChDevice *device, const ChOrderStarted *fact);
/* The order of such a charge, from the one fact that tells of it. (transfer full) */
ChOrder *ch_order_local_new (ChDevice *device, const ChOrderStarted *started,
                             const ChOrderEnded *ended);
/* Appends its rows, and the statements that came with the report. */
void ch_order_local_store (ChOrder *order, const ChOrderEnded *ended, ChTx *tx);
