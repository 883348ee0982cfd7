/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * End reports that contradict an order which is settled for good (bkv 10.5): the order
 * stays as it is, the report is kept in `order_reports`, so that no figure is lost.
 */
#pragma once

#include "core/fact/facts.h"
#include "core/order/order.h"
#include "core/order/orders.h"

/* Why a report is kept beside its order: the alarm that tells of it. */
typedef enum { CH_KEPT_CONFLICT, CH_KEPT_RAN_TWICE } ChKeptReason;

/*
 * Keeps @fact beside @order, which is not in memory (taken). Within the running job,
 * which it finishes after @next: the device is answered when the report is stored.
 */
void ch_order_keep_report (ChOrder *order, const ChOrderEnded *fact, ChKeptReason why,
                           ChFactNext next, gpointer data);
/* Appends the statement that reads the reports of an order. Returns: its index. */
guint ch_order_reports_read (ChCore *core, const char *order_no, ChTx *tx);
/* Adds "end_reports" to the JSON of the order when there are any. */
void ch_order_reports_json (const ChTxResult *result, guint statement, json_t *order);

extern const ChStatement ch_order_report_statements[];
