/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of one simulated gateway, by file. */
#pragma once

#include "sim.h"

/* ---- gateway.c: connection state machine ------------------------------------------ */

void gateway_init (Sim *sim, SimGateway *gateway, guint32 index);
void gateway_clear (SimGateway *gateway);
/* Begins to connect after @delay. */
void gateway_start (SimGateway *gateway, gint64 delay);

typedef enum {
  SIM_HANG_UP, /* FIN */
  SIM_RESET,   /* RST */
  SIM_ABANDON, /* nothing at all: the descriptor stays open, unread */
} SimClose;

/* Gives the connection up and comes back after @wait; never, when @wait is negative. */
void gateway_close (SimGateway *gateway, SimClose how, const char *why, gint64 wait);
/* The usual wait before the next connect. */
#define SIM_RECONNECT (4 * SIM_SECOND)
void gateway_connected (SimGateway *gateway);
void gateway_connect_failed (SimGateway *gateway, const char *why);
void gateway_heartbeat (SimGateway *gateway);
/* One whole frame from the server. */
void gateway_input (SimGateway *gateway, const guint8 *bytes, gsize size);
void gateway_name (const SimGateway *gateway, char text[BKV_GATEWAY_TEXT_SIZE]);
void gateway_firmware (const SimGateway *gateway, char text[9]);
/* Local time of the device; that of this machine before the server gave one. */
gint64 gateway_clock_ms (const SimGateway *gateway);

/* ---- link.c: TCP ------------------------------------------------------------------ */

void link_init (SimGateway *gateway);
void link_connect (SimGateway *gateway);
void link_close (SimGateway *gateway, SimClose how);
void link_write (SimGateway *gateway, const guint8 *bytes, gsize size);
/* Whether bytes of the server wait to be read. */
gboolean link_unread (const SimGateway *gateway);
/* Keeps output back until the next write, at most for @delay. */
void link_hold (SimGateway *gateway, gint64 delay);
/* Sends the next write in @pieces, with pauses. */
void link_split (SimGateway *gateway, guint pieces);

/* ---- flood.c: heartbeats back to back --------------------------------------------- */

void flood_begin (SimGateway *gateway);
void flood_end (SimGateway *gateway);
/* Takes what it can of a read buffer; returns the bytes used. */
gsize flood_input (SimGateway *gateway, const guint8 *bytes, gsize size);

/* ---- frames.c: sending ------------------------------------------------------------ */

/* A report or another frame of the device's own, now. */
void frame_send (SimGateway *gateway, const BkvFrame *frame);
void frame_send_bytes (SimGateway *gateway, BkvKind kind, const guint8 *bytes,
                       gsize size);
/* The same after a delay, unless the connection is gone by then. */
void frame_send_later (SimGateway *gateway, BkvKind kind, const guint8 *bytes, gsize size,
                       gint64 delay);
void frame_drop_delayed (SimGateway *gateway);
/* An answer to a command: with the disturbances of answers. */
void frame_answer (SimGateway *gateway, BkvKind kind, const guint8 *bytes, gsize size,
                   gint64 delay);

/* ---- socket.c: sockets and their reports ------------------------------------------ */

void sockets_preset (SimGateway *gateway);
void sockets_clear (SimGateway *gateway);
SimSocket *socket_find (const SimGateway *gateway, guint number);
SimSocket *socket_add (SimGateway *gateway, guint8 number, const guint8 mac[6]);
void socket_remove (SimGateway *gateway, SimSocket *socket);
void sockets_replace (SimGateway *gateway, const BkvNetRefresh *list);
guint socket_outlets (const SimGateway *gateway);
const SimParams *socket_params (const SimSocket *socket);
guint8 socket_status (const SimGateway *gateway, const SimSocket *socket, guint port);
void socket_fill (SimGateway *gateway, const SimSocket *socket, BkvSocket *out);
/* A status report after @delay at the latest. */
void socket_report (SimGateway *gateway, SimSocket *socket, gint64 delay);
void sockets_report_all (SimGateway *gateway);
void sockets_report_timer (gpointer gateway);
guint sockets_charging (const SimGateway *gateway);

/* ---- charging.c: charges from start to end report --------------------------------- */

gboolean charging_possible (const SimGateway *gateway, const SimSocket *socket,
                            guint port);
guint16 charging_number (SimGateway *gateway, SimSocket *socket, guint port);
void charging_start (SimGateway *gateway, SimSocket *socket, guint port,
                     const SimTarget *target, guint16 business_no, gint64 delay);
void charging_stop (SimGateway *gateway, SimSocket *socket, guint port, SimEndCause cause,
                    gint64 report_delay);
void charging_tick (gpointer gateway);
/* All charges are gone, their end reports wait in the store. */
void charging_power_cut (SimGateway *gateway);

/* ---- ends.c: end reports until they are acknowledged ------------------------------ */

void ends_add (SimGateway *gateway, const BkvFrame *report, gint64 delay);
/* From the journal. */
gboolean ends_restore (SimGateway *gateway, guint32 seq, const guint8 *bytes, gsize size);
void ends_kick (SimGateway *gateway);
void ends_timer (gpointer gateway);
void ends_acknowledged (SimGateway *gateway, const BkvFrame *frame);
guint ends_waiting (const SimGateway *gateway);
void ends_clear (SimGateway *gateway);
/* One line of the acknowledgement log. */
void ends_log (SimGateway *gateway, const guint8 *bytes, gsize size, gboolean acked);

/* ---- journal.c: what survives a restart of the simulator -------------------------- */

SimJournal *journal_open (Sim *sim, const char *dir, GError **error);
void journal_close (SimJournal *journal);
guint32 journal_end (SimGateway *gateway, const guint8 *bytes, gsize size);
void journal_acked (SimGateway *gateway, guint32 seq);
/* @socket -1: the gateway counts; @port -1: the socket counts. */
void journal_number (SimGateway *gateway, int socket, int port, guint16 value);

/* ---- commands.c, settings.c: what the server asks --------------------------------- */

void commands_input (SimGateway *gateway, const BkvFrame *frame, const guint8 *bytes,
                     gsize size);
void commands_clear (SimGateway *gateway);
gboolean settings_net_refresh (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_net_add (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_net_delete (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_voice (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_param_set (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_param_query (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_upgrade (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
gboolean settings_query (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);

/* ---- cards.c ---------------------------------------------------------------------- */

gboolean cards_swipe (SimGateway *gateway, SimSocket *socket, guint port,
                      const guint8 card[6]);
void cards_balance (SimGateway *gateway, guint socket, guint port, const guint8 card[6]);
void cards_timer (gpointer gateway);
/* Answer to a swipe; returns whether @out is to be sent. */
gboolean cards_charge (SimGateway *gateway, const BkvFrame *in, BkvFrame *out);
void cards_balance_reply (SimGateway *gateway, const BkvFrame *in);
void cards_clear (SimGateway *gateway);

/* ---- faults.c --------------------------------------------------------------------- */

/* `over-temp`, `over-current`, `over-power`, `relay-stuck`, `clear`. */
gboolean faults_set (SimGateway *gateway, SimSocket *socket, guint port,
                     const char *name);
void faults_offline (SimGateway *gateway, SimSocket *socket, gboolean offline);
void faults_event (SimGateway *gateway, guint8 socket, const guint8 codes[3]);
void faults_event_timer (gpointer gateway);
void faults_event_acknowledged (SimGateway *gateway, const BkvFrame *frame);
void faults_power_cut (SimGateway *gateway, gint64 wait);

/* ---- disturb.c -------------------------------------------------------------------- */

/* Whether it happens this time. */
gboolean disturb_now (SimGateway *gateway, SimDisturb disturb);

typedef struct {
  gboolean spoiled;   /* the server cannot be expected to answer */
  gboolean half;      /* send half, then close */
  gboolean reconnect; /* connect again without closing */
  guint garbage;      /* stray bytes before it */
  guint pieces;       /* 0 = in one piece */
  gboolean hold;      /* with the next frame */
} SimEffects;

/* Changes a frame of ours; @bytes has room for BKV_MAX_FRAME. */
SimEffects disturb_bytes (SimGateway *gateway, BkvKind kind, guint8 *bytes, gsize *size);
