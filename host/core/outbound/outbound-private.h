/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands inside the queue. Files: outbound.c front, outbound-life.c start and stop,
 * outbound-sdk.c what services ask, outbound-admit.c what may enter, outbound-record.c
 * lists, outbound-kv.c calls of the functions, outbound-dispatch.c sending,
 * outbound-result.c what becomes of an attempt, outbound-final.c the end,
 * outbound-store.c rows, outbound-relay.c what is left over from before,
 * outbound-lookup.c what the store knows of that, outbound-stray.c what other instances
 * left.
 */
#pragma once

#include "base/reply.h"
#include "core/outbound/outbound.h"
#include <chargehost/id.h>
#include <chargehost/metrics.h>

/* What gateway 1.6 says of a type where a protocol says nothing. */
typedef struct {
  const char *name;
  guint8 priority;
  gboolean waits;    /* may wait for the next bind (SES-12) */
  gboolean is_query; /* duplicates are merged for 60 s only */
  ChAckRule rule;
} ChCommandDefault;
const ChCommandDefault *ch_command_default (ChCommandType type);

/* Where a command is. */
typedef enum {
  CH_OUT_PREPARED = 0, /* accepted, its transaction runs */
  CH_OUT_WAITING,      /* in the device's queue */
  CH_OUT_TAKING,       /* asked of the kv */
  CH_OUT_FLIGHT,       /* sent, waits for its acknowledgement */
  CH_OUT_DELAYED,      /* waits for its next attempt */
  CH_OUT_UNKNOWN,      /* a start that may have been executed: the port is asked */
  CH_OUT_FINAL,
} ChOutPhase;

/* Outcome of one attempt. */
typedef enum {
  CH_ATTEMPT_OPEN = 0,
  CH_ATTEMPT_ACKED,
  CH_ATTEMPT_REJECTED,
  CH_ATTEMPT_NO_ACK,
  CH_ATTEMPT_LOST, /* connection lost after it was handed over */
} ChAttemptOutcome;
const char *ch_attempt_outcome_name (ChAttemptOutcome outcome);

typedef struct {
  gint64 sent_at; /* wall ms */
  guint8 outcome;
} ChAttempt;

#define CH_OUT_MAX_ATTEMPTS 16
#define CH_OUT_DETAIL_MAX (16 * 1024)

typedef struct _ChOutCommand ChOutCommand;
typedef struct _ChOutDevice ChOutDevice;

struct _ChOutCommand {
  ChWheelTimer timer; /* first: expiry, deadline or delay, by phase */
  gint refs;
  ChOutbound *outbound;
  ChDevice *device; /* NULL once final and forgotten */
  ChOutPhase phase;
  ChCommandState state;
  ChCommandType type;
  gint socket_no, port_no;
  guint priority;
  guint16 business_no;
  gboolean durable;
  gboolean local;         /* the kv is not told of it */
  gboolean pushed;        /* the kv was told of it */
  gboolean kv_dirty;      /* the kv does not know its present phase */
  gboolean from_row;      /* restored: its row may be behind the truth */
  gboolean maybe_sent;    /* restored: an attempt that no row tells of is possible */
  guint8 hidden_sends;    /* 1: that attempt would have been the first */
  gboolean no_repeat;     /* taken back while in flight */
  gboolean remote;        /* another server holds the device and sends it */
  gboolean unwanted;      /* restored: its order is over */
  gboolean taken_up;      /* from before or from a dead server: may have been sent */
  gboolean seen_charging; /* a start: the port reports charging since it was sent */
  gboolean found_idle;    /* UNKNOWN: its port is idle, it is repeated when due */
  gboolean urgent_slot;   /* in flight beyond the window */
  gboolean late;
  guint8 gone; /* how often the kv did not know it */
  guint32 msg_id;
  guint32 ack_ms;
  guint32 expires_ms;
  guint8 max_sends;
  gboolean resend_safe;
  guint sends;
  guint n_attempts;
  ChAttempt attempts[CH_OUT_MAX_ATTEMPTS];
  gint64 created_at; /* wall ms */
  gint64 updated_at;
  gint64 expires_at;
  gint64 finished_at;
  gint64 deadline_ms;   /* monotonic: when it expires */
  gint64 due_ms;        /* monotonic: acknowledgement or next attempt */
  gint64 queued_ms;     /* monotonic: since when it waits */
  gint64 first_sent_ms; /* monotonic; CH_UNSET */
  gint64 sent_ms;       /* monotonic, newest attempt */
  guint64 sent_mark;    /* bytes the connection has written when it is through */
  gint64 device_code;
  gint64 row_id;
  char id[CH_COMMAND_ID_SIZE];
  char order_no[CH_ORDER_NO_SIZE];
  char wire_order[CH_WIRE_ORDER_SIZE];
  char device_id[CH_DEVICE_ID_SIZE];
  char *dedup_key;
  char *detail;                   /* nullable */
  char *by, *key_id, *request_id; /* nullable */
  char *origin_server; /* nullable: server that accepted it and wants to hear the end */
  json_t *payload;     /* nullable */
  GSList *waiters;     /* of Waiter (outbound-final.c) */
};

/* What a device with commands has; hangs on ChDevice.outbound. */
struct _ChOutDevice {
  ChDevice *device;
  ChOutbound *outbound;
  GPtrArray *waiting; /* of ChOutCommand, by score and id */
  GPtrArray *others;  /* every other phase but PREPARED and FINAL */
  gboolean taking;    /* one take runs */
  gboolean peeking;
  gboolean foreign;     /* the kv may hold commands that are not in memory */
  gboolean kicked;      /* stands in the list of the next turn */
  gint64 not_before_ms; /* the connection took nothing: again then */
  gint64 held_ms;       /* since when answers to reports hold it back, 0 = not */
  ChWheelTimer ready;   /* when its queue is to be served again */
};

struct _ChOutbound {
  ChCore *core;
  ChPlugin *self;       /* the owner "core" */
  GHashTable *commands; /* id → ChOutCommand, owned */
  GHashTable *dedup;    /* key → ChOutCommand, borrowed */
  GQueue finals;        /* of ChOutCommand, borrowed: oldest first */
  GQueue kicked;        /* of ChOutDevice */
  GHashTable *devices;  /* of ChOutDevice, as a set */
  GHashTable *calls;    /* of ChOutCall, as a set: what waits for the kv or the store */
  GPtrArray *restored;  /* rows found at start, of ChOutCommand, owned */
  ChDeferred run;
  ChWheelTimer tick;  /* the safety net, once a second */
  ChWheelTimer flush; /* row updates */
  ChTx *rows;         /* gathered row updates, nullable */
  guint n_rows, rows_in_flight;
  gboolean rows_behind, rows_lost;
  const ChOutboundHooks *hooks;
  ChOutCommand *sending; /* inside the protocol's command() */
  gboolean started, draining;
  void (*drained) (gpointer data);
  gpointer drained_data;
  ChWheelTimer drain_limit, drain_soon;
  guint n_waiting, n_flight; /* PREPARED, WAITING and DELAYED; TAKING and FLIGHT */
  guint waiting_by_priority[6];
  gint64 kv_depth;   /* of the installation, as last heard */
  gint64 kv_down_ms; /* monotonic, 0 = up */
  gboolean kv_stale; /* it missed something */
  guint kv_failures;
  guint ticks;
  gint64 dead_count;
  gint64 row_counts[4]; /* rows by status: 2 and 3 by what was written since the count */
  gint64 relay_after;   /* keyset of the relay */
  gboolean relay_running, alarmed, overdue_running;
  struct {
    ChMetric *total, *queue_wait, *ack, *pending, *refused, *late, *failure, *ack_timeout;
    ChMetric *queue_size;
    ChSeries *inflight, *dead, *resend, *timeout, *dead_cleanup, *lag;
  } metrics;
};

/* A call that waits for its answer; in a set so that nothing leaks at the end. */
typedef struct {
  ChOutbound *outbound;
  ChOutCommand *cmd; /* nullable, owned reference */
  char id[CH_COMMAND_ID_SIZE];
  char device[CH_DEVICE_ID_SIZE]; /* or a server's id */
  ChReply reply;
  GPtrArray *ids; /* nullable: the commands that are gone through, and how far */
  guint at;
} ChOutCall;

/* ---- outbound-sdk.c ---- */
/* An answer that is owed to a caller; dropped when the caller stops. */
typedef struct {
  ChPlugin *self;
  ChCoreDone done;
  gpointer user_data;
  char id[CH_COMMAND_ID_SIZE];
} ChOutAnswer;
ChOutAnswer *ch_out_answer_new (ChPlugin *self, ChCoreDone done, gpointer user_data);
/* Gives it into the care of the table of replies; what it returns is for a callback … */
gpointer ch_out_answer_owe (ChOutbound *outbound, ChOutAnswer *answer);
/* … which takes it back: NULL when the caller has stopped. */
ChOutAnswer *ch_out_answer_take (ChOutbound *outbound, gpointer owed);
void ch_out_answer_give (ChOutAnswer *answer, const json_t *data, const GError *error);

/* ---- outbound.c ---- */
/* Puts a command that comes from elsewhere (row, kv) into the lists. Takes @cmd. */
void ch_out_enter (ChOutCommand *cmd, ChDevice *device, ChOutPhase phase);

/* ---- outbound-record.c ---- */
ChOutCommand *ch_out_command_new (ChOutbound *outbound, const char *id);
ChOutCommand *ch_out_command_ref (ChOutCommand *cmd);
void ch_out_command_unref (ChOutCommand *cmd);
ChOutDevice *ch_out_device (ChDevice *device); /* NULL when idle */
ChOutDevice *ch_out_device_ensure (ChOutbound *outbound, ChDevice *device);
/* Gives the place back once nothing is left of it. */
void ch_out_device_settle (ChOutDevice *od);
/* Counts a new command (PREPARED). */
void ch_out_count_new (ChOutCommand *cmd);
/* Moves a command; keeps lists, counters and the device's figures. */
void ch_out_set_phase (ChOutCommand *cmd, ChOutPhase phase);
double ch_out_score (guint priority, gint64 created_at);
ChOutCommand *ch_out_find (ChOutbound *outbound, const char *id);
/* By number among commands that were sent; @final also looks at finished ones. */
ChOutCommand *ch_out_find_msg (ChOutbound *outbound, const char *device, guint32 msg_id,
                               gboolean final);
guint32 ch_out_next_msg_id (ChOutDevice *od);
gboolean ch_out_expired (const ChOutCommand *cmd);
void ch_out_view (const ChOutCommand *cmd, ChCommandView *view);
/* Forgets finished commands beyond the limit of age and number. */
/* Made by the core or a protocol for itself: its result is not kept. */
gboolean ch_out_is_internal (const ChOutCommand *cmd);
void ch_out_trim_finals (ChOutbound *outbound);

/* ---- command-json.c ---- */
char *ch_out_message_json (const ChOutCommand *cmd); /* gateway 4.4 */
json_t *ch_out_state_json (const ChOutCommand *cmd); /* gateway 7.5 */
char *ch_out_attempt_json (const ChOutCommand *cmd, const char *server_id);
char *ch_out_dead_json (const ChOutCommand *cmd); /* gateway 4.10 */
json_t *ch_out_attempts_json (const ChOutCommand *cmd, const char *server_id);
/* Fills @cmd from a message; FALSE when it is none. Device and id are not touched. */
gboolean ch_out_message_parse (ChOutCommand *cmd, const char *text, gsize size);
/* As protocols see it; strings are @cmd's. */
ChCommand ch_out_shown (const ChOutCommand *cmd);
char *ch_out_dump (json_t *json); /* takes @json; compact text */

/* ---- outbound-admit.c ---- */
typedef struct {
  gint64 warning, critical, emergency;
} ChOutLimits;
/* Highest depth at which @priority is admitted. */
gint64 ch_out_limit_of (const ChOutLimits *limits, guint priority);
void ch_out_scale_limits (ChOutLimits *limits, guint online);
gboolean ch_out_admit (ChOutbound *outbound, const ChDevice *device, guint priority,
                       ChCommandType type, GError **error);
/* The rule of a type on a device; FALSE when its protocol does not know the type. */
gboolean ch_out_rule (ChOutbound *outbound, const ChDevice *device, ChCommandType type,
                      ChAckRule *rule);
char *ch_out_dedup_key (const ChOutboundRequest *request);
guint ch_out_dedup_s (const ChOutCommand *cmd);
/* Withdraws what a new command makes needless (C1, newer parameters). */
void ch_out_supersede (ChOutCommand *cmd);

/* ---- outbound-kv.c ---- */
gboolean ch_out_kv_ok (ChOutbound *outbound);
void ch_out_kv_push (ChOutCommand *cmd);
void ch_out_kv_take (ChOutCommand *cmd);
void ch_out_kv_finish (ChOutCommand *cmd);
void ch_out_kv_requeue (ChOutCommand *cmd, guint ready_in_ms);
void ch_out_kv_peek (ChOutDevice *od);
void ch_out_kv_fetch (ChOutbound *outbound, const char *device, const char *id);
/* Asks for the result that another server wrote. */
void ch_out_kv_result (ChOutCommand *cmd);
/* Takes a command back that another server should have sent by now. */
void ch_out_kv_remove (ChOutCommand *cmd, const char *result);
ChOutCall *ch_out_call_new (ChOutbound *outbound, ChOutCommand *cmd);
void ch_out_call_done (ChOutCall *call);
void ch_out_call_free (gpointer call);
/* Tells the kv again what memory says, after an outage. */
void ch_out_kv_resync (ChOutbound *outbound);

/* ---- outbound-dispatch.c ---- */
void ch_out_kick (ChOutDevice *od);
void ch_out_run (ChDeferred *deferred);
void ch_out_tick (ChWheelTimer *timer);
/* Answers of the kv. */
void ch_out_fetched (ChOutbound *outbound, const char *id, const char *device_id,
                     const char *text, gsize size);
typedef enum {
  CH_TAKE_OK = 0,
  CH_TAKE_GONE,
  CH_TAKE_FINAL,
  CH_TAKE_OWNER,
  CH_TAKE_BETTER,
  CH_TAKE_FAILED
} ChTakeWord;
void ch_out_taken (ChOutCommand *cmd, ChTakeWord word, const char *detail);
/* A message of outbound:wake. */
void ch_out_woken (ChPlugin *self, const char *channel, const char *message, gsize size,
                   gpointer user_data);

/* ---- outbound-result.c ---- */
void ch_out_timer_fired (ChWheelTimer *timer);
/* (Re-)arms the timer of a command that waits. */
void ch_out_arm_expiry (ChOutCommand *cmd);
/* The attempt was not handed to the kernel: it does not count. */
void ch_out_not_written (ChOutCommand *cmd);
/* A start that may have been executed: kept until its port was asked or it expires. */
void ch_out_keep_unknown (ChOutCommand *cmd);
/* Takes a command back; TRUE when no attempt of it was ever handed over. */
gboolean ch_out_withdraw (ChOutCommand *cmd, const char *detail);
guint ch_out_retry_delay_ms (guint sends, guint32 random);

/* ---- outbound-final.c ---- */
typedef enum {
  CH_FINAL_NONE = 0,
  CH_FINAL_NO_HOOK = 1 << 0,   /* the caller knows */
  CH_FINAL_ELSEWHERE = 1 << 1, /* another server has written kv and row */
  CH_FINAL_TOLD = 1 << 2,      /* and has told orders and subscribers */
} ChOutFinalFlags;
void ch_out_finish (ChOutCommand *cmd, ChCommandState state, gint64 device_code,
                    const char *detail, ChOutFinalFlags flags);
/* Ends a command by the result JSON that another server, or this one before, wrote. */
void ch_out_take_result (ChOutCommand *cmd, const char *text, gsize size);
/* Whether it is a dead letter. */
gboolean ch_out_is_dead (const ChOutCommand *cmd);
void ch_out_drop_waiters (ChOutCommand *cmd);
void ch_out_answer_waiters (ChOutCommand *cmd);
/* An answer after the end. */
void ch_out_late (ChOutCommand *cmd, const ChCommandResult *result);
void ch_out_check_drained (ChOutbound *outbound);

/* ---- outbound-store.c, outbound-relay.c ---- */
void ch_out_row_insert (ChOutCommand *cmd, ChTx *tx);
void ch_out_row_sent (ChOutCommand *cmd);
void ch_out_row_finished (ChOutCommand *cmd);
void ch_out_row_dead (ChOutCommand *cmd);
void ch_out_rows_flush (ChOutbound *outbound);
void ch_out_rows_flush_fired (ChWheelTimer *timer);
void ch_out_rows_resync (ChOutbound *outbound);
void ch_out_retention (ChOutbound *outbound);
/* @all: also ended ones and dead letters, which are many. */
void ch_out_count_rows (ChOutbound *outbound, gboolean all);
gboolean ch_out_rows_load (ChOutbound *outbound, GError **error);
ChOutCommand *ch_out_row_read (ChOutbound *outbound, const ChTxResult *result, guint row,
                               gint *row_status);
/* Takes up a command from before (and the reference): sent ones count as handed over
   without an answer. */
void ch_out_adopt (ChOutCommand *cmd);
void ch_out_adopt_restored (ChOutbound *outbound);
/* Goes on with a command that was taken up, once the store has told of it. */
void ch_out_resume (ChOutCommand *cmd);
void ch_out_relay_tick (ChOutbound *outbound);

/* ---- outbound-reap.c ---- */
/* Takes up a command whose message the kv has, as sent without an answer. */
void ch_out_take_kept (ChOutbound *outbound, const char *id);

/* ---- outbound-lookup.c ---- */
/* Asks the store of a command that is PREPARED, then goes on with it, or ends it. */
void ch_out_look_up (ChOutCommand *cmd);
/* A start whose order is over by now: nobody wants it. Nor the stop of one that is
   settled for good: the next charge of the port would end by it. */
gboolean ch_out_is_unwanted (ChCommandType type, const ChTxResult *result,
                             guint statement, guint row);

/* ---- outbound-stray.c: several instances ---- */
/* Gives a command in memory to the instance that holds its device, or to the next. */
void ch_out_hand_over (ChOutCommand *cmd);
/* Takes up what the kv has of a device that is connected here. */
void ch_out_look (ChOutbound *outbound, const char *device_id);
void ch_out_stray_tick (ChOutbound *outbound);
