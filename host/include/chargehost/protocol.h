/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChProtocol: what a device protocol on a byte stream implements. `sniff` and `frame`
 * are pure, so the host knows frame boundaries without the plugin's state: the same two
 * functions serve identification, fuzzing, recording and replay.
 */
#pragma once

#include <chargehost/command.h>
#include <chargehost/conn.h>

G_BEGIN_DECLS

typedef enum { CH_SNIFF_NO = 0, CH_SNIFF_MORE, CH_SNIFF_YES } ChSniff;

/**
 * ChAckRule:
 * @type: command
 * @ack_ms: answer expected within this time after sending
 * @sends: sends at most
 * @expires_ms: life in the queue
 * @resend_safe: whether a repeat without asking first is safe
 * @ack_item_ms: added to @ack_ms for each entry of the payload's `nodes`
 *
 * How one command type is acknowledged (gateway 1.6). A type without a rule is
 * unsupported and refused before it is queued. A table ends with type 0.
 */
typedef struct {
  ChCommandType type;
  guint32 ack_ms;
  guint8 sends;
  guint32 expires_ms;
  gboolean resend_safe;
  guint32 ack_item_ms;
} ChAckRule;

typedef enum { CH_CLOSES_ALWAYS = 0, CH_CLOSES_IF_EMPTY } ChClosesRule;
typedef enum { CH_ORDER_KEY_CORE = 0, CH_ORDER_KEY_DEVICE } ChOrderKey;
typedef enum {
  CH_TAKEOVER_REFUSE = 0, /* newcomer refused for the window */
  CH_TAKEOVER_ALARM,      /* alarm only */
  CH_TAKEOVER_DELAY,      /* newest wins, accept delayed 5 s */
} ChTakeoverAction;

/**
 * ChProtocolProperties:
 *
 * In what protocols differ: the rows of gateway 0.4, where each is explained and from
 * which the names come. Begin with %CH_PROTOCOL_DEFAULTS and change what differs; an
 * operator may override each as `proto-{name}.{property}`.
 */
typedef struct {
  guint32 heartbeat_s;
  guint32
      offline_after_s; /* 0 = ceil (2.5 × heartbeat), at least sessions.min_timeout_s */
  guint32 offline_grace_s;
  guint32 bind_timeout_s; /* 0 = none */
  guint32 idle_timeout_s; /* 0 = none */
  gboolean multi_device;
  gboolean silence_closes;
  ChClosesRule refuse_closes;
  ChClosesRule takeover_closes;
  guint32 takeover_limit;
  guint32 takeover_window_s;
  ChTakeoverAction takeover_action;
  gboolean flapping_ban;
  guint32 frames_per_s;
  guint32 frames_burst;
  gint32 flood_close_after_s; /* −1 = never closed */
  guint32 max_frame_bytes;
  guint32 min_spacing_ms;
  gboolean replies_are_spaced; /* replies to reports count for min_spacing_ms */
  guint32 window;
  guint32 window_urgent;
  guint32 msg_id_bits; /* 0 = the protocol numbers by itself */
  guint32 pending_timeout_s;
  guint32 confirmed_timeout_s;
  guint32 cancelling_timeout_s;
  guint32 stopping_timeout_s;
  guint32 stop_wait_end_s;
  guint32 stop_max_s;
  guint32 recover_wait_end_s;
  guint32 interrupted_max_s;
  guint32 abandoned_s; /* 0 = never */
  guint32 progress_stale_s;
  guint32 query_wait_s;
  guint32 snapshot_max_age_s;
  gboolean charges_offline;
  gboolean ack_means_on;
  gboolean idle_reports;
  gboolean auto_port;
  ChOrderKey order_key;
  guint32 order_no_max;
  gboolean stops_unreported;
  gboolean card_second_swipe;
} ChProtocolProperties;

/* Column "default" of gateway 0.4. */
#define CH_PROTOCOL_DEFAULTS                                                             \
  .heartbeat_s = 60, .offline_grace_s = 60, .bind_timeout_s = 30, .idle_timeout_s = 300, \
  .silence_closes = TRUE, .takeover_limit = 5, .takeover_window_s = 60,                  \
  .flapping_ban = TRUE, .frames_per_s = 20, .frames_burst = 60, .max_frame_bytes = 4096, \
  .min_spacing_ms = 500, .window = 1, .window_urgent = 1, .msg_id_bits = 16,             \
  .pending_timeout_s = 20, .confirmed_timeout_s = 60, .cancelling_timeout_s = 30,        \
  .stopping_timeout_s = 30, .stop_wait_end_s = 30, .stop_max_s = 180,                    \
  .recover_wait_end_s = 30, .interrupted_max_s = 86400, .progress_stale_s = 600,         \
  .query_wait_s = 3, .idle_reports = TRUE, .order_no_max = 32, .stops_unreported = TRUE

/**
 * ChProtocol:
 * @size: sizeof (ChProtocol)
 * @name: name in devices, configuration and labels: `bkv`
 * @properties: in what it differs
 * @acks: supported commands, closed by type 0
 * @sniff: (not nullable): does a stream that begins with these bytes belong to this
 *   protocol? Pure; sees at most 64 bytes; MORE asks for more
 * @frame: (not nullable): length of the frame at @p when positive; 0 needs more bytes;
 *   negative skips −n bytes and sets @error to a constant name; `garbage` right after
 *   another error is the rest of the same bad frame and is not counted again. Pure.
 *   Never asks for more than @max bytes
 * @opened: (nullable): a connection was identified; returns the session
 * @input: (not nullable): one whole frame
 * @command: (not nullable): write one attempt of a command with ch_conn_write() and
 *   report what comes of it with ch_command_result(); answers `CH_COMMAND_SENT` when the
 *   frame was taken, `CH_COMMAND_NOT_SENT` when the queue is full, or another final state
 *   at once (`CH_COMMAND_UNSUPPORTED`, `CH_COMMAND_REJECTED`)
 * @closed: (nullable): the connection is gone; free the session
 * @describe: (nullable): what a frame says, for people who look at a connection: an
 * object of (transfer full), of whole frames in both directions. Pure
 */
typedef struct {
  guint32 size;
  const char *name;
  ChProtocolProperties properties;
  const ChAckRule *acks;
  ChSniff (*sniff) (const guint8 *p, gsize n);
  gssize (*frame) (const guint8 *p, gsize n, gsize max, const char **error);
  gpointer (*opened) (ChPlugin *self, ChConn conn, const ChPeer *peer);
  void (*input) (ChPlugin *self, gpointer session, ChConn conn, const guint8 *frame,
                 gsize n);
  ChCommandState (*command) (ChPlugin *self, gpointer session, ChConn conn,
                             const ChCommand *command);
  void (*closed) (ChPlugin *self, gpointer session, ChConn conn, ChCloseReason reason);
  json_t *(*describe) (const guint8 *frame, gsize n);
} ChProtocol;

G_END_DECLS
