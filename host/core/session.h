/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions: which connection a device has (gateway 3). The local table is the truth for
 * connections of this server; the kv is the directory for others, written in batches.
 */
#pragma once

#include "core/device.h"

ChSessions *ch_sessions_new (ChCore *core);
void ch_sessions_free (ChSessions *sessions);
/* Loads the library, registers the server, cleans left-overs of this server id. */
gboolean ch_sessions_open (ChSessions *sessions, GError **error);

/**
 * ch_session_bind:
 * Binds @device to @conn: take-over of an older connection, generation, kv, presence,
 * device.online. Calls ch_orders_device_bound() and ch_outbound_device_bound().
 *
 * Returns: FALSE when refused (TCP-42, TCP-43, ban): @reason is set to a constant
 */
gboolean ch_session_bind (ChSessions *sessions, ChDevice *device, ChConn conn, const char **reason);
/* A good frame came on this connection: cheap; FALSE when the device is bound elsewhere. */
gboolean ch_session_touch (ChSessions *sessions, ChDevice *device, ChConn conn);
/* Ends the session when @conn is still its connection (never by device id alone). */
void ch_session_unbind (ChSessions *sessions, ChDevice *device, ChConn conn, ChCloseReason reason);
/* The gateway's hook: all devices of a connection. */
void ch_session_conn_closed (ChSessions *sessions, ChConn conn, gpointer core_data,
                             ChCloseReason reason);
/* A command was not acknowledged in time: counts in the weighted score. */
void ch_session_ack_timeout (ChSessions *sessions, ChDevice *device);

ChPresence ch_session_presence (const ChDevice *device, gint64 now_ms);
/* SES-04, in thousandths. */
gint ch_session_score (ChSessions *sessions, const ChDevice *device, gint64 now_ms);
/* T of gateway 3.5 in ms. */
gint64 ch_session_timeout_ms (ChSessions *sessions, const ChDevice *device);
json_t *ch_session_json (ChSessions *sessions, const ChDevice *device);
/* Releases all sessions in the kv at shutdown. */
void ch_sessions_release (ChSessions *sessions);
guint ch_sessions_connected (ChSessions *sessions);
