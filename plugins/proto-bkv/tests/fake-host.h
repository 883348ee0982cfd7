/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host for one plugin, without anything behind it: what the plugin states and writes
 * becomes lines of text in order, time and answers of the core are the test's.
 *
 * Lines: `reply HEX`, `command HEX`, `close REASON`, `bad ERROR`, `online`, `registered
 * …`, `heartbeat …`, `port S/P …`, `progress S/P …`, `started S/P …`, `ended S/P …`,
 * `raise S/P CODE LEVEL …`, `clear S/P CODE`, `socket S …`, `topology …`, `result …`,
 * `request TYPE S/P priority`. Absent members are left out.
 */
#pragma once

#include <chargehost/chargehost.h>

typedef struct _Fake Fake;

/* @config: name, value, … closed by NULL; over the defaults of the plugin's table. */
Fake *fake_new (const ChPluginInfo *info, const char *const *config);
/* A start that must fail. Returns: the message (transfer full) */
char *fake_start_error (const ChPluginInfo *info, const char *const *config);
/* Stops the plugin; its connections are still open. */
void fake_stop (Fake *fake);
void fake_free (Fake *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fake, fake_free)

/* Connections. Bytes go through the protocol's sniff and frame, as in the host. */
ChConn fake_open (Fake *fake);
void fake_feed (Fake *fake, ChConn conn, const char *hex);
void fake_close (Fake *fake, ChConn conn, ChCloseReason reason);

/* Moves both clocks, firing what is due on the way. */
void fake_advance (Fake *fake, gint64 ms);
gint64 fake_now (Fake *fake);

/* ---- what the core says ------------------------------------------------------------ */

/* The order that holds a port; NULL for none. */
void fake_set_order (Fake *fake, gint socket, gint port, const ChOrderView *view);
/* Rows of gateway_sockets: JSON array of {socket_no, socket_mac, channel}. */
void fake_set_sockets (Fake *fake, const char *json);
/* Ports that the core knows: JSON array of {socket_no, port_no, raw_status}. */
void fake_set_ports (Fake *fake, const char *json);
void fake_refuse (Fake *fake, gboolean refuse);
/* The write queue of every connection is full. */
void fake_block_writes (Fake *fake, gboolean blocked);
/* Whether end reports are stored at once (default) or by fake_store(). */
void fake_hold_store (Fake *fake, gboolean hold);
/* Completes what waits; @failed: with an error. */
void fake_store (Fake *fake, gboolean failed);

/* One attempt of a command; when sent it is in flight until a result comes. */
ChCommandState fake_command (Fake *fake, ChConn conn, ChCommandType type, gint socket,
                             gint port, guint32 msg_id, guint attempt,
                             const char *payload);
/* A command that was sent before the plugin started. */
void fake_in_flight (Fake *fake, ChCommandType type, gint socket, gint port,
                     guint32 msg_id);
/* The core waits no more for it. */
void fake_give_up (Fake *fake, guint32 msg_id);

/* ---- what the plugin did ------------------------------------------------------------
 */

/* The next line; fails the test when it is another one. */
void fake_expect (Fake *fake, const char *line);
void fake_expectf (Fake *fake, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* The next line begins so, or a part of it. */
void fake_expect_part (Fake *fake, const char *part);
/* There is no further line. */
void fake_expect_none (Fake *fake);
/* Forgets the lines that begin so, wherever they are; NULL forgets all. */
void fake_skip (Fake *fake, const char *prefix);
/* How many lines begin so. */
guint fake_lines (Fake *fake, const char *prefix);

/* `name{label}` */
double fake_counter (Fake *fake, const char *name, const char *label);
guint fake_seen (Fake *fake);
/* Frame log: rows, and the newest row of a direction as `cmd success payload`. */
guint fake_logged (Fake *fake, gboolean up);
const char *fake_log_row (Fake *fake, gboolean up);
/* Text of a vector: its bytes in hexadecimal. */
const char *fake_vector (const char *name);
