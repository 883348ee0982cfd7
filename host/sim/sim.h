/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the simulator share: gateways, their sockets, and the run. */
#pragma once

#include "loop.h"
#include "options.h"
#include "outlet.h"
#include <proto-bkv/wire/wire.h>

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define SIM_OUTLETS 2
#define SIM_COMMANDS 8 /* remembered for repeats, per gateway */

typedef struct Sim Sim;
typedef struct SimGateway SimGateway;

/* ---- socket ----------------------------------------------------------------------- */

typedef struct {
  SimOutlet outlets[SIM_OUTLETS];
  SimParams *params; /* NULL = defaults */
  /* Scaled times of status reports, 0 = none: the next one that something asked for,
   * the last one (which shows what an earlier one cannot), and the periodic one. */
  gint64 report_at, report_last, periodic_at;
  guint16 fw;
  guint16 counter; /* business numbers, if sockets count them */
  guint8 number;
  guint8 mac[6];
  gint8 temp;
  guint8 rssi;
  gboolean offline;
} SimSocket;

/* ---- what waits ------------------------------------------------------------------- */

/* An end report that the server has not acknowledged, as the bytes of its first copy. */
typedef struct SimEnd SimEnd;
struct SimEnd {
  SimEnd *next;
  gint64 ready_at;
  guint32 seq; /* in the journal */
  guint32 sends;
  guint16 size;
  guint8 kind;
  guint8 bytes[];
};

/* Bytes to be sent after a delay on the connection for which they were made. */
typedef struct SimDelayed SimDelayed;
struct SimDelayed {
  SimDelayed *next;
  SimGateway *gateway;
  SimTimer timer;
  guint8 kind;
  guint16 size;
  guint8 bytes[];
};

/* A frame of ours that the server owes an answer. */
typedef struct {
  guint32 sent_us; /* real, modulo 2^32 */
  guint8 kind;     /* BkvKind of the answer */
  guint8 socket;
} SimOwed;

/* A command of the server, for repeats (16.3) and rules (16.9). */
typedef struct {
  guint32 serial; /* 0 = empty */
  guint32 hash;
  guint32 first_ms; /* real */
  guint32 last_ms;
  guint8 kind;
  guint8 sends;
  guint8 answer_kind;
  guint16 answer_size;
  guint8 *answer;
} SimCommand;

/* A card in front of an outlet. */
typedef struct {
  guint8 card[6];
  guint8 socket;
  guint8 port;
  guint16 business_no;
  guint8 sends;
  gboolean accepted;
} SimSwipe;

/* An event report under way. */
typedef struct {
  guint8 socket;
  guint8 codes[3]; /* socket, outlet A, outlet B */
  guint8 sends;
} SimEvent;

/* ---- gateway ---------------------------------------------------------------------- */

typedef enum {
  SIM_CLOSED = 0,
  SIM_CONNECTING,
  SIM_OPEN, /* no heartbeat answered yet */
  SIM_READY,
  SIM_AWAY, /* switched off by hand */
} SimPhase;

struct SimGateway {
  Sim *sim;
  guint32 index;
  guint8 id[BKV_GATEWAY_SIZE];
  guint8 phase; /* SimPhase */
  guint8 ready_step;
  guint8 fails;      /* connects in a row */
  guint8 end_copies; /* of the head of the store, on this connection */
  bool connected_before : 1;
  bool answered : 1; /* a heartbeat on this connection */
  guint16 counter;   /* business numbers, if the gateway counts them */
  guint16 split;     /* the next frame goes out in so many pieces */
  guint16 chunk;     /* bytes per piece while that lasts */
  guint32 firmware_step;
  guint32 connection; /* number of the connection in the log */
  guint64 random;
  SimWatch watch;

  guint8 *rest; /* an incomplete frame */
  guint32 rest_size;
  GByteArray *out; /* what the kernel did not take */

  SimTimer link;  /* next step of the connection */
  SimTimer beat;  /* next heartbeat */
  SimTimer dead;  /* a heartbeat stayed unanswered */
  SimTimer ready; /* what follows the first answer */
  SimTimer store; /* end report store */
  SimTimer report;
  SimTimer tick; /* charging */
  SimTimer event;
  SimTimer card;
  SimTimer owed_check;
  SimTimer pace; /* split and held output */

  SimDelayed *delayed;
  SimSocket *sockets;
  guint16 n_sockets;
  guint16 n_owed;
  guint16 max_owed;
  guint16 flood_at; /* oldest of the ring */
  guint16 flood_n;
  SimOwed *owed;
  guint32 *flood_sent; /* ring of send times, µs */
  SimCommand *commands;
  guint8 command_at;
  guint8 acked_socket; /* the last end report that was answered, */
  guint8 acked_result; /* for the rule on differing answers */
  guint32 acked_ms;
  guint32 last_command_ms; /* real; 0 = none on this connection */
  SimEnd *ends;
  guint8 *last_end; /* bytes of the last finished end report */
  guint16 last_end_size;
  guint8 last_end_kind;
  gint64 late; /* the next end report waits so much longer */
  SimSwipe *swipe;
  SimEvent *event_report;
  gint64 clock_ms; /* local time as the server gave it, at @clock_at; 0 = never */
  gint64 clock_at;
};

/* ---- run -------------------------------------------------------------------------- */

/* Rules of 16.9 that a server can break. */
typedef enum {
  SIM_RULE_GARBAGE = 0,
  SIM_RULE_LENGTH,
  SIM_RULE_TAIL,
  SIM_RULE_CHECKSUM,
  SIM_RULE_DIRECTION,
  SIM_RULE_PAYLOAD,
  SIM_RULE_ANSWERED_ANSWER,
  SIM_RULE_HEARTBEAT_UNANSWERED,
  SIM_RULE_STATUS_UNANSWERED,
  SIM_RULE_EVENT_UNANSWERED,
  SIM_RULE_END_UNANSWERED,
  SIM_RULE_SERIAL_ZERO,
  SIM_RULE_SERIAL_REUSED,
  SIM_RULE_REPEAT_DIFFERS,
  SIM_RULE_GAP,
  SIM_RULE_SENDS,
  SIM_RULE_END_RESULTS,
  SIM_RULE_LIST_NUMBERS,
  SIM_RULE_N
} SimRule;

/* Log-linear histogram of microseconds, about 3 % wide. */
#define SIM_BUCKETS 1024
typedef struct {
  guint64 n;
  guint64 min, max;
  guint64 buckets[SIM_BUCKETS];
} SimHistogram;

typedef struct {
  guint64 connects, connect_failures, closed_by_server, closed_by_us;
  guint64 frames_up, frames_down, bytes_up, bytes_down;
  guint64 heartbeats_sent, heartbeats_answered;
  guint64 statuses_sent, statuses_answered;
  guint64 events_sent, events_answered;
  guint64 commands, commands_repeated;
  guint64 starts, starts_refused, stops;
  guint64 ends, ends_sent, ends_repeated, ends_acked, ends_lost;
  guint64 swipes, swipes_accepted, swipes_refused;
  guint64 disturbed;
  guint64 rules[SIM_RULE_N];
  SimHistogram first_answer; /* first heartbeat of a connection to its answer */
  SimHistogram answer;       /* every heartbeat */
} SimCounters;

typedef struct SimJournal SimJournal;
typedef struct SimConsole SimConsole;

struct Sim {
  SimOptions options;
  SimLoop *loop;
  SimGateway *gateways;
  guint n_gateways;
  guint started; /* gateways that were let go */
  guint n_ready;
  guint32 connections;
  struct sockaddr_storage server;
  socklen_t server_size;
  SimCounters counters;
  guint32 disturb_seen[SIM_DISTURB_N];
  SimJournal *journal;
  SimConsole *console;
  GArray *abandoned; /* descriptors that stay open unread */
  FILE *log;         /* where frames and notes go */
  int ack_log;       /* -1 = none */
  gboolean colour;
  gboolean stopping;
  gint64 began; /* real */
  gint64 flood_began;
  guint64 flood_answers;
  guint64 flood_last; /* at the last progress line */
  guint last_ready;   /* the same */
  SimTimer start;
  SimTimer stop;
  SimTimer progress;
  SimWatch signals;
  guint8 *buffer; /* for reading, shared */
  gsize buffer_size;
};

/* sim.c */
Sim *sim_new (SimOptions *options, GError **error); /* takes @options over */
void sim_free (Sim *sim);
void sim_run (Sim *sim);
/* Power cut for all that charges when there is a store; the last lines of the logs. */
void sim_finish (Sim *sim);
guint64 sim_violations (const Sim *sim);
gint64 sim_now (const SimGateway *gateway);
guint32 sim_real_ms (const Sim *sim); /* modulo 2^32 */
guint32 sim_real_us (const Sim *sim); /* the same */

/* random.c; a stream per gateway, so that order does not matter */
guint64 random_next (SimGateway *gateway);
double random_unit (SimGateway *gateway); /* [0, 1) */
double random_between (SimGateway *gateway, double low, double high);
