/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command queue (gateway 4): admission, durable rows, the queue in the kv (functions
 * of chargehost_core), dispatch per device, acknowledgement, retries, results.
 *
 * What this process accepted or sends is also in memory, and what memory says about a
 * device that is connected here is the truth: so commands go on while the kv is away.
 *
 * Of the SDK, the files outbound*.c implement ch_command_result(),
 * ch_command_in_flight(), ch_command_request(), ch_core_send() and ch_core_get_command(),
 * session*.c ch_core_session_json(), frame-log.c ch_frame_log().
 */
#pragma once

#include "core/device/device.h"

/* A command to be queued; strings are copied. */
typedef struct {
  ChCommandType type;
  ChDevice *device;
  gint socket_no;
  gint port_no;
  const char *order_no; /* nullable */
  guint16 business_no;
  const char *wire_order; /* nullable */
  guint priority;         /* 0 = by type (gateway 1.6) */
  const json_t *payload;  /* nullable */
  const char *dedup_key;  /* nullable: made from type, place and order or payload */
  guint32 expires_ms;     /* 0 = by type or protocol */
  gboolean durable;       /* has a row in outbound_queue */
  const ChOrigin *origin; /* nullable */
} ChOutboundRequest;

ChOutbound *ch_outbound_new (ChCore *core);
void ch_outbound_free (ChOutbound *outbound);
/* Statements and rows of the store: what was waiting or in flight when we stopped. */
gboolean ch_outbound_open (ChOutbound *outbound, GError **error);
void ch_outbound_start (ChOutbound *outbound);
/* F31: the kv is away for so long that others may own this instance's devices. */
gboolean ch_outbound_is_cut_off (ChOutbound *outbound);
/* No new command is sent; waits for those in flight. */
void ch_outbound_drain (ChOutbound *outbound, guint limit_ms, void (*done) (gpointer),
                        gpointer data);

/**
 * ch_outbound_prepare:
 * @tx: (nullable): gets the durable row when @request says so
 * @command_id: (out caller-allocates): the new id, or that of the same command already
 *   waiting (then @deduplicated)
 *
 * Checks support (CH_CORE_ERROR_UNSUPPORTED_BY_DEVICE), connection rules (SES-12) and
 * admission (CH_CORE_ERROR_QUEUE_OVERLOADED). Nothing is sent before
 * ch_outbound_push(); ch_outbound_discard() takes it back when @tx failed.
 */
gboolean ch_outbound_prepare (ChOutbound *outbound, const ChOutboundRequest *request,
                              ChTx *tx, char command_id[CH_COMMAND_ID_SIZE],
                              gboolean *deduplicated, GError **error);
void ch_outbound_push (ChOutbound *outbound, const char *command_id);
void ch_outbound_discard (ChOutbound *outbound, const char *command_id);
/* prepare and push of a command without an own transaction (durable: makes one). */
gboolean ch_outbound_send (ChOutbound *outbound, const ChOutboundRequest *request,
                           char command_id[CH_COMMAND_ID_SIZE], gboolean *deduplicated,
                           GError **error);

/* Data of gateway 4.6 for an answer 42901 to a command of @priority. (transfer full) */
json_t *ch_outbound_refusal_json (ChOutbound *outbound, const ChDevice *device,
                                  guint priority);

/**
 * ch_outbound_cancel:
 * Takes a command back: it will not be sent (again). The hook `finished` is not called
 * for it; waiters and command.finished hear `cancelled`. One that is in flight stays
 * until its acknowledgement or its deadline, but is not repeated.
 *
 * Returns: TRUE when it was never handed to the kernel and never will be; FALSE when it
 *   was sent, may have been sent before a restart, or is not known
 */
gboolean ch_outbound_cancel (ChOutbound *outbound, const char *command_id);
/* Whether any attempt of it was handed to the kernel. */
gboolean ch_outbound_was_sent (ChOutbound *outbound, const char *command_id);

/* State as in gateway 4.11; @detail nullable. */
typedef struct {
  char command_id[CH_COMMAND_ID_SIZE];
  ChCommandType type;
  ChDevice *device;
  gint socket_no, port_no;
  char order_no[CH_ORDER_NO_SIZE];
  ChCommandState state;
  gint64 device_code;
  guint attempts;    /* sends so far, with the one that a restart may hide */
  gint64 sent_ms;    /* monotonic, of the first sending; CH_UNSET */
  gint64 expires_at; /* wall ms */
  gboolean late;     /* answer after the final result */
  const char *detail;
} ChCommandView;

/* Calls back once when the command is final, or with its present state after @wait_ms. */
typedef void (*ChCommandWaited) (ChCore *core, const ChCommandView *view,
                                 gpointer user_data);
void ch_outbound_wait (ChOutbound *outbound, const char *command_id, guint wait_ms,
                       ChCommandWaited done, gpointer user_data);
/* "data" of gateway 4.11. (transfer full) */
json_t *ch_outbound_accepted_json (ChOutbound *outbound, const char *command_id,
                                   gboolean deduplicated);

/*
 * For operators (gateway 4.10, 7.7). All but the first are asynchronous; @done gets the
 * data of the answer. ch_outbound_cancel_by_hand() is for people: the hook `finished`
 * hears of it.
 */
/* {"queue":[queue_item…],"total"}; of @device or, when NULL, of all. (transfer full) */
json_t *ch_outbound_queue_json (ChOutbound *outbound, const ChDevice *device,
                                guint limit);
gboolean ch_outbound_cancel_by_hand (ChOutbound *outbound, const char *command_id);
/* {"dead":[dead_letter…]}, newest first; @before_id 0 begins. */
void ch_outbound_dead_list (ChOutbound *outbound, ChPlugin *self, gint64 before_id,
                            guint limit, ChCoreDone done, gpointer user_data);
/* A new command like the dead one; refused when its order is over. */
void ch_outbound_dead_resend (ChOutbound *outbound, ChPlugin *self, gint64 id,
                              const ChOrigin *origin, ChCoreDone done,
                              gpointer user_data);
/* {"deleted":n}: those that failed before a wall-clock time. */
void ch_outbound_dead_delete (ChOutbound *outbound, ChPlugin *self, gint64 before_ms,
                              ChCoreDone done, gpointer user_data);

/* From session.c: a device has a (new) connection / lost it. */
void ch_outbound_device_bound (ChOutbound *outbound, ChDevice *device);
void ch_outbound_device_lost (ChOutbound *outbound, ChDevice *device, ChConn conn);
/* From the gateway: the write queue of a connection has room again. */
void ch_outbound_writable (ChOutbound *outbound, ChDevice *device);
/* A fresh snapshot of a port came: answers to start whose outcome is unknown (4.7). */
void ch_outbound_port_snapshot (ChOutbound *outbound, ChDevice *device,
                                const ChPort *port, const ChPortUpdate *fact);

/* The device reports what this start was to begin: it is not sent again. */
void ch_outbound_started (ChOutbound *outbound, const char *command_id);

/* A device's record is about to be freed: its commands are cancelled. */
void ch_outbound_forget (ChOutbound *outbound, ChDevice *device);

/*
 * How orders hear of their commands (implemented by orders). Called inside the fact or
 * timer that causes it; a hook may queue commands. Not called for a command that the
 * caller took back by ch_outbound_cancel().
 */
typedef struct {
  void (*sent) (ChCore *core, const ChCommandView *view); /* each handing to the kernel */
  void (*finished) (ChCore *core,
                    const ChCommandView *view); /* once; and again with late */
} ChOutboundHooks;
void ch_outbound_set_hooks (ChOutbound *outbound, const ChOutboundHooks *hooks);

/* Default priority and life of a type on a device (gateway 1.6, 0.4). */
guint ch_outbound_priority (ChCommandType type);
guint32 ch_outbound_expires_ms (ChOutbound *outbound, const ChDevice *device,
                                ChCommandType type);

/* {"pending","processing","dead"} (transfer full) */
json_t *ch_outbound_stats_json (ChOutbound *outbound);
guint ch_outbound_depth (ChOutbound *outbound);

extern const ChStatement ch_outbound_statements[];
