/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose active orders are in this process's memory, when there are many instances. The
 * instance that holds a device's connection is its home: only that one moves its orders
 * by what the device says. Orders of a device that nobody holds are kept by whoever lost
 * or adopted them; two keepers are harmless, as every change is a compare-and-set.
 */
#pragma once

#include "core/device/device.h"

ChHomes *ch_homes_new (ChCore *core);
void ch_homes_free (ChHomes *homes);
/* Adopts what nobody holds, now and in rounds. */
void ch_homes_start (ChHomes *homes);

/* Whether another instance holds it, as far as is known here. */
static inline gboolean ch_home_is_elsewhere (const ChDevice *device)
{
  return device->conn == 0 && device->elsewhere != NULL;
}

/*
 * The device is bound here: its row and its active orders are read as the first work in
 * its queue, unless memory surely has them; then ch_orders_device_bound().
 */
void ch_home_bound (ChDevice *device);
/* It was bound all the time, but others had taken this instance for dead: what they did
   to its orders is read, and once more when they have heard of this one. */
void ch_home_taken_back (ChDevice *device);
/* Another instance has the device: its orders leave memory without any transition. */
void ch_home_left (ChDevice *device);
/* Nobody holds the device (any more): its orders are read and their timers run here. */
void ch_home_adopt (ChDevice *device);
/*
 * A change of one of its orders was stored by another instance, or some may be missing in
 * memory. @order_no NULL looks in any case. Nothing for a device that is elsewhere.
 */
void ch_home_look (ChDevice *device, const char *order_no, gint64 version);
/*
 * Whether @result, rows of orders found for a report, holds an active one that memory
 * has not: another instance made or moved it while the device came here. Then it is read.
 */
gboolean ch_home_misses (ChDevice *device, const ChTxResult *result, GError **error);
/* Reads the device's row when only another instance knew it until now. */
void ch_home_know (ChCore *core, const char *id);

/* The record of a device of which a row was read: it may be new to this instance. */
ChDevice *ch_home_device (ChCore *core, const char *id);

typedef void (*ChHomeKnown) (ChCore *core, const char *id, const GError *error,
                             gpointer data);
/*
 * Reads the row and, of a device that is not elsewhere, the orders; @known is called when
 * the device's record (if there is such a device) is as the store has it.
 */
void ch_home_read (ChCore *core, const char *id, ChHomeKnown known, gpointer data);
