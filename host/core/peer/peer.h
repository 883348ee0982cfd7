/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations on a device that another instance holds (gateway SES-10): they are done
 * there, by the same function, and answered with the same data or error. A request goes
 * over the kv's channel `core:ask:SERVER`, its answer over `core:answer:SERVER`; both are
 * lost with either instance, so what is asked must bear to be asked again.
 */
#pragma once

#include "core/core.h"

ChPeers *ch_peers_new (ChCore *core);
void ch_peers_free (ChPeers *peers);
/* Subscribes; before REST and D-Bus ask. */
void ch_peers_open (ChPeers *peers);

/* @server has ended or begun anew: what was asked of it has no answer. NULL: all. */
void ch_peers_give_up (ChPeers *peers, const char *server);

#define CH_PEER_IDS_MAX 50 /* devices that are read by one message */

typedef enum {
  CH_PEER_START = 0,
  CH_PEER_STOP,
  CH_PEER_CANCEL,
  CH_PEER_FORCE,
  CH_PEER_SEND,
  CH_PEER_KICK,
  CH_PEER_STOP_PORT,
  CH_PEER_READ,
  CH_PEER_READ_MANY,
  CH_PEER_N,
} ChPeerOp;

/* Whether an operation on it may belong to another instance, so must go by ch_peer_run().
 */
gboolean ch_peer_may_be_elsewhere (ChCore *core, const char *device);
gboolean ch_peer_order_may_be_elsewhere (ChCore *core, const char *order_no);

/**
 * ch_peer_run:
 * @device: (nullable): the device, or NULL: that of @order_no
 * @args: (transfer full): what peer-calls.c makes of the request
 *
 * Does it where the device is, or here when nobody holds it.
 */
void ch_peer_run (ChPlugin *caller, ChPeerOp op, const char *device, const char *order_no,
                  json_t *args, const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                  gpointer user_data);

/**
 * ch_peer_ask:
 * @op: one that names no device
 * @args: (transfer full):
 *
 * Does it on @server, and nowhere else.
 */
void ch_peer_ask (ChPlugin *caller, ChPeerOp op, const char *server, json_t *args,
                  guint answer_ms, ChCoreDone done, gpointer user_data);

/* peer-answer.c: says it until it is heard. @text: (transfer full); @set: of what is
   being said, with the function that frees it. */
void ch_peer_answer_send (ChCore *core, GHashTable *set, const char *to, char *text);
void ch_peer_answer_free (gpointer answer);

/* peer-calls.c: does it here. */
const char *ch_peer_op_name (ChPeerOp op);
void ch_peer_do (ChPlugin *caller, ChPeerOp op, const char *device, const json_t *args,
                 const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                 gpointer user_data);

/* The functions of the SDK, for a device that is here or nowhere. */
void ch_start_charge_here (ChPlugin *self, const ChStartRequest *request,
                           const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                           gpointer user_data);
void ch_stop_charge_here (ChPlugin *self, const ChStopRequest *request,
                          const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                          gpointer user_data);
void ch_cancel_order_here (ChPlugin *self, const char *order_no, const char *reason,
                           const ChOrigin *origin, ChCoreDone done, gpointer user_data);
void ch_force_order_here (ChPlugin *self, const ChForceRequest *request,
                          const ChOrigin *origin, ChCoreDone done, gpointer user_data);
void ch_stop_port_here (ChPlugin *self, const char *device, gint socket_no, gint port_no,
                        const char *comment, const ChOrigin *origin, guint wait_ms,
                        ChCoreDone done, gpointer user_data);
void ch_send_here (ChPlugin *self, const char *device, ChCommandType type, gint socket_no,
                   gint port_no, const json_t *payload, gboolean force,
                   const ChOrigin *origin, guint wait_ms, ChCoreDone done,
                   gpointer user_data);
