/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of devices, ports and sockets. */
#pragma once

#include "core/device/device.h"

extern const ChStatement ch_device_statements[];

/* Loads all devices, ports and sockets into memory. Blocks. */
gboolean ch_devices_load (ChCore *core, GError **error);

/*
 * Takes a device's row, its ports' and its sockets' (results 0 to 2 of devices.one,
 * ports.one, sockets.one) where the store knows more than memory.
 */
void ch_device_take_rows (ChDevice *device, const ChTxResult *result);

/*
 * Writes the device's row now; @done is called on @self when it is committed. While the
 * store is away the row stays to be written with the next batch.
 */
void ch_device_save (ChDevice *device, ChPlugin *self, ChConn conn, ChFactDone done,
                     gpointer user_data);
/* Appends the upsert of a socket's row. */
void ch_socket_store (ChDevice *device, const ChSocket *socket, ChTx *tx);
