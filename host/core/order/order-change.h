/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One transition of one order: prepared on a copy, written with its events and commands
 * in one transaction guarded by state and version, and only then made true in memory.
 * Runs inside the device's queue, so that no two changes of an order overlap.
 */
#pragma once

#include "core/order/order-events.h"
#include "core/order/order-machine.h"
#include "core/order/order.h"
#include "core/order/orders.h"

typedef struct _ChChange ChChange;

/**
 * ChChangeDone:
 * @change: what happened; the order has its new state when @error is NULL
 * @error: (nullable): nothing has changed
 *
 * Called before subscribers hear of it.
 */
typedef void (*ChChangeDone) (ChChange *change, const GError *error, gpointer data);

struct _ChChange {
  ChOrder *order;   /* may be freed after the done function when it became terminal */
  ChOrderData next; /* edit between begin and commit */
  const ChOrderCell *cell;
  ChOrderEvent event;
  const char *by;     /* interned: device, api, timer, admin */
  const char *reason; /* for the history; has to live until the commit */
  ChTx *tx;           /* append more to it */
  gint from;
  gboolean first_end; /* publish order.ended */
  gboolean stop_prepared;
  /* private */
  ChChangeDone done;
  gpointer data;
};

/**
 * ch_change_begin:
 * Returns: (nullable): NULL when the machine refuses the event (counted and logged)
 */
ChChange *ch_change_begin (ChOrder *order, ChOrderEvent event, const char *by,
                           const char *reason);
/* A change of data in the same state; @cell has transition 0. */
ChChange *ch_change_amend (ChOrder *order, const ChOrderCell *cell, const char *by,
                           const char *reason);
/* Puts StopCharge into the transaction (effects SEND_STOP and compensation). */
void ch_change_add_stop (ChChange *change, const char *reason);
/*
 * Submits; takes @change. Called by the running job of the device's queue, which returns
 * FALSE: the change finishes the job when all is told. An order that is not in memory
 * (late reports) is taken as well: freed, or added when it became active.
 */
void ch_change_commit (ChChange *change, ChChangeDone done, gpointer data);

/* Final figures of @next from its progress, without a report. */
void ch_order_settle (const ChOrder *order, ChOrderData *next, gint64 end_wall_ms);
/* Whether the device counts from zero again. */
gboolean ch_order_counter_restarted (const ChOrderData *d, gint64 energy_wh);
/* The same from a report. */
void ch_order_settle_report (const ChOrder *order, ChOrderData *next,
                             const ChOrderEnded *fact, gint64 now_wall_ms);

/* orders.c: memory of active orders. */
void ch_orders_add_active (ChOrders *orders, ChOrder *order);
void ch_orders_remove_active (ChOrders *orders, ChOrder *order); /* frees it */
/* Of an order just read: when its start and its stop may have been written. */
void ch_order_recall_writes (ChOrder *order);
/*
 * The row of @order is not what memory has: it is taken, and what follows of a change
 * that was stored unheard is done. Frees @order when it has ended. Within a job.
 */
void ch_order_take_row (ChOrder *order, const ChOrder *row);
/* Its start was acknowledged: the port charges. */
void ch_order_port_on (const ChOrder *order);
/* order-timer.c: (re)arms the order's timer for its state. */
void ch_order_arm (ChOrder *order);
