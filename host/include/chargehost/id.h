/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Identifiers. */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/* 26 characters and NUL. */
#define CH_ULID_SIZE 27

/**
 * ch_ulid:
 * @self: the caller, for its clock
 * @text: (out caller-allocates): receives 26 characters of Crockford base 32
 *
 * A ULID: 48 bits of wall-clock milliseconds and 80 random bits. Within one process
 * they are strictly increasing, also when the wall clock steps back (gateway F22).
 *
 * Returns: @text
 */
const char *ch_ulid (ChPlugin *self, char text[CH_ULID_SIZE]);

/**
 * ch_device_id_is_valid:
 * @text: (nullable): a device id
 *
 * Returns: whether it is 1 to 64 characters of `[A-Za-z0-9._:*=+|@ -]` (gateway 0.2)
 */
gboolean ch_device_id_is_valid (const char *text);

/**
 * ch_order_no_is_valid:
 * @text: (nullable): an order number
 *
 * Returns: whether it is 1 to 32 characters of `[A-Za-z0-9_-]` (gateway 0.2)
 */
gboolean ch_order_no_is_valid (const char *text);

G_END_DECLS
