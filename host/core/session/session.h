/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions: which connection a device has (gateway 3). The local table is the truth for
 * connections of this server; the kv is the directory for others, written in batches.
 */
#pragma once

#include "core/device/device.h"

ChSessions *ch_sessions_new (ChCore *core);
void ch_sessions_free (ChSessions *sessions);
/*
 * Loads the library chargehost_core, registers the server (refuses when a live one has
 * the same id) and cleans left-overs of this server id. Runs the main context meanwhile.
 */
gboolean ch_sessions_open (ChSessions *sessions, GError **error);

/**
 * ch_session_bind:
 * Binds @device to @conn: take-over of an older connection, generation, kv, presence,
 * device.online. Calls ch_orders_device_bound() and ch_outbound_device_bound().
 *
 * Returns: FALSE when refused (TCP-42, TCP-43, ban): @reason is set to a constant
 */
gboolean ch_session_bind (ChSessions *sessions, ChDevice *device, ChConn conn,
                          const char **reason);
/*
 * A good frame came on this connection: cheap. Binds again what silence had unbound from
 * it (SES-02). FALSE when the device is not bound to it: its frames do not count.
 */
gboolean ch_session_touch (ChSessions *sessions, ChDevice *device, ChConn conn);
/* Ends the session when @conn is still its connection (never by device id alone). */
void ch_session_unbind (ChSessions *sessions, ChDevice *device, ChConn conn,
                        ChCloseReason reason);
/**
 * ch_session_identity:
 * @iccid: (nullable): SIM card that @device presented on @conn
 *
 * To be called with each registration, before the record of the device takes @iccid:
 * the same card on a new connection means that the old one is dead (TCP-41), and with
 * `devices.bind_policy` same_iccid another card than the stored one is refused.
 *
 * Returns: FALSE when the device was refused and its connection is being closed
 */
gboolean ch_session_identity (ChSessions *sessions, ChDevice *device, ChConn conn,
                              const char *iccid);

/*
 * Ends the session of a device that is not wanted any more; its connection, too, unless
 * wanted ones share it and the protocol lets them (`refuse_closes`).
 */
void ch_session_cut (ChSessions *sessions, ChDevice *device);

/* The gateway's hooks: all devices of a connection. The data are this part's own. */
void ch_session_conn_closed (ChSessions *sessions, ChConn conn, gpointer core_data,
                             ChCloseReason reason);
void ch_session_conn_writable (ChSessions *sessions, ChConn conn, gpointer core_data);
/* Devices bound to a connection, for alarms and lists; valid until something is bound. */
ChDevice *const *ch_session_conn_devices (gpointer core_data, guint *n_devices);
/* The gateway's hook: an alarm of the connection, reported for each of its devices. */
void ch_session_conn_alarm (ChSessions *sessions, ChConn conn, gpointer core_data,
                            const char *code, const char *message);
/* A command was not acknowledged in time: counts in the weighted score. */
void ch_session_ack_timeout (ChSessions *sessions, ChDevice *device);

ChPresence ch_session_presence (const ChDevice *device, gint64 now_ms);
/*
 * Another server that holds the device, as far as is known here: "" when none does. The
 * answer is at most 5 s old; ch_sessions_locate() asks the kv.
 */
const char *ch_session_remote_owner (ChSessions *sessions, const char *device);
/* Calls back at once when the device is connected here or no other server is alive. */
typedef void (*ChSessionLocated) (ChCore *core, const char *device, gpointer user_data);
void ch_sessions_locate (ChSessions *sessions, const char *device, ChSessionLocated done,
                         gpointer user_data);

/* Whether other instances share the kv, or have since this one started. */
gboolean ch_sessions_are_several (ChSessions *sessions);

/* What the kv knows of a device's connection. */
typedef enum {
  CH_SESSION_NEW = 0, /* nothing so far */
  CH_SESSION_REGISTERED,
  CH_SESSION_AGAIN, /* it may have another owner by now: that is being asked */
} ChSessionKnown;
/* @server says, or its silence, that it does not hold the device. */
void ch_sessions_disown (ChSessions *sessions, const char *device, const char *server);
/* A record was made from a row that another instance wrote. */
void ch_sessions_meet (ChSessions *sessions, ChDevice *device);

/* SES-04, in thousandths. */
gint ch_session_score (ChSessions *sessions, const ChDevice *device, gint64 now_ms);
gboolean ch_session_is_online (ChSessions *sessions, const ChDevice *device,
                               gint64 now_ms);
/* T of gateway 3.5 in ms. */
gint64 ch_session_timeout_ms (ChSessions *sessions, const ChDevice *device);
json_t *ch_session_json (ChSessions *sessions, const ChDevice *device);
/* Releases all sessions in the kv and signs off the server, at shutdown. */
void ch_sessions_release (ChSessions *sessions);
guint ch_sessions_connected (ChSessions *sessions);
/* A device's record is about to be freed. */
void ch_session_forget (ChSessions *sessions, ChDevice *device);
