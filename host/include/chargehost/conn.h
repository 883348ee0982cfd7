/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a protocol may do with a connection. Nothing here blocks. */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/* Why a connection was closed (gateway 2.10). */
typedef enum {
  CH_CLOSE_PEER = 0,
  CH_CLOSE_IDLE,
  CH_CLOSE_HEARTBEAT,
  CH_CLOSE_TAKEOVER,
  CH_CLOSE_KICK,
  CH_CLOSE_BAD_FRAMES,
  CH_CLOSE_FRAMING,
  CH_CLOSE_FLOOD,
  CH_CLOSE_WRITE_TIMEOUT,
  CH_CLOSE_IDENTIFY,
  CH_CLOSE_BIND,
  CH_CLOSE_SHUTDOWN,
  CH_CLOSE_ERROR,
  CH_CLOSE_REFUSED,
  CH_CLOSE_N,
} ChCloseReason;

/* Returns: (transfer none): the reason's name, `peer`, `idle`, … */
const char *ch_close_reason_name (ChCloseReason reason);

/**
 * ChPeer:
 * @remote: address and port as text
 * @local: listener's address and port as text
 * @tls: whether the connection is encrypted
 *
 * Who is at the other end. Valid during the callback.
 */
typedef struct {
  const char *remote;
  const char *local;
  gboolean tls;
} ChPeer;

typedef enum {
  CH_WRITE_REPLY = 0, /* immediate answer to a frame; has 32 reserved places */
  CH_WRITE_COMMAND,   /* one attempt of a command */
} ChWriteKind;

/**
 * ch_conn_write:
 * @self: the caller
 * @conn: a connection; one that is gone is a counted no-op
 * @bytes: (array length=size): one whole frame, copied or sent at once
 * @size: bytes
 * @kind: what it is
 *
 * Returns: whether it was taken; %FALSE when the write queue (128 frames, 256 KiB by
 *   default) is full or the connection is gone
 */
gboolean ch_conn_write (ChPlugin *self, ChConn conn, const void *bytes, gsize size,
                        ChWriteKind kind);

/**
 * ch_conn_close:
 * @self: the caller
 * @conn: a connection
 * @reason: why
 *
 * `closed` of the protocol is called before this returns to the main loop, never inside.
 */
void ch_conn_close (ChPlugin *self, ChConn conn, ChCloseReason reason);

/**
 * ch_conn_session:
 *
 * Returns: (transfer none) (nullable): what the protocol's `opened` returned
 */
gpointer ch_conn_session (ChPlugin *self, ChConn conn);

/**
 * ch_conn_bad_frame:
 * @error: (not nullable): short constant name, `short_payload`; becomes a label
 *
 * A frame whose boundaries were right and whose content is not. Counted toward the
 * limit of gateway TCP-26 (20 in 60 s). What `frame` skips is counted by the host itself.
 */
void ch_conn_bad_frame (ChPlugin *self, ChConn conn, const char *error);

G_END_DECLS
