/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Types that every other header of the SDK uses. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * ChPlugin:
 *
 * One running instance of a plugin, or a component of the host itself. It is the first
 * argument of every callback and of every host function that registers something:
 * whatever is registered belongs to it and is revoked when it stops.
 */
typedef struct _ChPlugin ChPlugin;

/**
 * ChConn: handle of a device connection. 0 is no connection.
 * ChReply: handle of an answer that is owed, given exactly once. 0 is none.
 * ChTimer: handle of a timer. 0 is none.
 * ChSubscription: handle of a subscription on the bus. 0 is none.
 *
 * Handles are slot and generation in 64 bits and are checked at every use: using one
 * whose object is gone is a counted no-op.
 */
typedef guint64 ChConn;
typedef guint64 ChReply;
typedef guint64 ChTimer;
typedef guint64 ChSubscription;

/**
 * CH_UNSET: the value of an integer field that the device did not report.
 * CH_UNSET_DOUBLE: the same for a double; test with isnan().
 */
#define CH_UNSET G_MININT64
#define CH_UNSET_DOUBLE ((double) NAN)

/* Longest identifiers with their closing NUL (gateway 0.2). */
#define CH_DEVICE_ID_SIZE 72  /* 64 characters */
#define CH_ORDER_NO_SIZE 40   /* 32 characters */
#define CH_WIRE_ORDER_SIZE 72 /* 64 characters */
#define CH_COMMAND_ID_SIZE 32 /* "cmd_" and 26 characters */
#define CH_EVENT_ID_SIZE 32   /* "evt_" and 26 characters */
#define CH_SERVER_ID_SIZE 72  /* 64 characters */
#define CH_CARD_NO_SIZE 256   /* 255 characters */
#define CH_ADDRESS_SIZE 64    /* "[ipv6]:port" */

/* ABI of the SDK. A plugin needs the same major and at most the host's minor. */
#define CH_ABI_MAJOR 1
#define CH_ABI_MINOR 0

G_END_DECLS
