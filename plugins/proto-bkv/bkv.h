/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plugin's own state. It is small and may be lost at a restart: orders, keys of end
 * reports and sockets are the core's (bkv 10.4, 13.2). A gateway's record outlives its
 * connections, an outlet lives in its gateway.
 */
#pragma once

#include "proto-bkv/wire/wire.h"
#include <chargehost/chargehost.h>

#define BKV_MAX_SOCKET_NO 250
#define BKV_MAX_PORT_NO 1
#define BKV_MAX_CONN_GATEWAYS 8 /* ids that one connection may carry */
#ifndef BKV_MAX_RECORDS
#define BKV_MAX_RECORDS 200000 /* gateways remembered at once */
#endif
#define BKV_KEEP_MS (8 * 86400000LL) /* a record without connection */

typedef struct _Bkv Bkv;
typedef struct _BkvGateway BkvGateway;
typedef struct _BkvSession BkvSession;

/* ---- configuration ---------------------------------------------------------------- */

typedef enum { BKV_END_AUTO = 0, BKV_END_0C, BKV_END_ECHO, BKV_END_BOTH } BkvEndForm;
typedef enum { BKV_POWER_0015 = 0, BKV_POWER_0005, BKV_POWER_AUTO } BkvPowerCmd;

typedef struct {
  ChAlarmLevel level;
  char name[33]; /* "" = bkv_event_<n> */
} BkvEventMap;

typedef struct {
  int utc_offset_min;
  guint energy_unit_wh;
  guint8 meter_fault_mask;
  gboolean refresh_on_connect;
  gboolean delete_by_command;
  guint n_steps;
  BkvStep steps[5];
  BkvPowerCmd power_start_cmd;
  gboolean fee_start;
  BkvEndForm end_ack;
  gint64 missing_end_wait_ms;
  gboolean ack_event_record;
  gint16 reasons[256]; /* neutral end reason, −1 not mapped */
  BkvEventMap events[256];
} BkvSettings;

extern const ChConfigKey bkv_config_keys[];
gboolean bkv_settings_read (ChPlugin *self, BkvSettings *settings, GError **error);

/* ---- metrics ---------------------------------------------------------------------- */

typedef enum {
  BKV_BAD_DIRECTION_ERROR = 0,
  BKV_WRONG_DIRECTION,
  BKV_SHORT,
  BKV_BROKEN_ITEMS,
  BKV_UNKNOWN_COMMAND,
  BKV_BAD_N,
} BkvBad;
const char *bkv_bad_name (BkvBad bad);

typedef enum {
  BKV_QUIRK_LEN_COUNTS_SUB = 0,
  BKV_QUIRK_UNKNOWN_TAG,
  BKV_QUIRK_ANSWER_MISMATCH,
  BKV_QUIRK_INNER_GATEWAY_ID,
  BKV_QUIRK_GATEWAY_ID_CHANGED,
  BKV_QUIRK_N,
} BkvQuirk;

typedef enum {
  BKV_END_NEW = 0,
  BKV_END_DUPLICATE,
  BKV_END_CONFLICT,
  BKV_END_UNREADABLE,
  BKV_END_INFERRED,
  BKV_END_N,
} BkvEndCount;

typedef enum {
  BKV_ROUTE_0000 = 0,
  BKV_ROUTE_0005,
  BKV_ROUTE_0007,
  BKV_ROUTE_0015,
  BKV_ROUTE_1000,
  BKV_ROUTE_OTHER,
  BKV_ROUTE_N,
} BkvRouteCount;

typedef struct {
  ChSeries *route[BKV_ROUTE_N];
  ChSeries *bad[BKV_BAD_N];
  ChSeries *quirk[BKV_QUIRK_N];
  ChSeries *end[BKV_END_N];
} BkvMetrics;
void bkv_metrics_register (ChPlugin *self, BkvMetrics *metrics);

/* ---- state ------------------------------------------------------------------------ */

/* The newest start command of an outlet: its answers may come late or twice. */
typedef struct {
  char order_no[CH_ORDER_NO_SIZE];
  char command_id[CH_COMMAND_ID_SIZE];
  guint32 msg_id;     /* 0 = none */
  guint32 alt_msg_id; /* second serial, of the other command of power steps */
  gint64 written_ms;  /* first sending */
  guint16 number;     /* by which it was acknowledged, 0 not yet */
  guint16 alias;      /* an earlier acknowledgement, 0 none */
} BkvStart;

/* What came of the newest end report of an outlet. */
typedef struct {
  gint32 number;      /* business number, −1 none */
  guint hash;         /* of its de-duplication key, 0 none */
  gint64 answered_ms; /* 0 = not yet */
} BkvEnded;

/* Progress of the charge that runs, by its number. */
typedef struct {
  guint16 number; /* 0 none */
  guint16 energy;
  guint16 duration;
  guint n_reports;
  guint n_loaded;    /* reports above 20 W */
  guint64 power_sum; /* 0.1 W, over n_reports */
} BkvCharge;

typedef struct {
  BkvGateway *gateway;
  guint8 socket;
  guint8 port;
  guint8 status;
  guint8 reported; /* since the plugin started */
  guint16 business_no;
  guint8 fault_bits;
  guint8 end_inferred; /* `ended` was concluded, not reported */
  gint64 reported_ms;
  BkvStart *start; /* NULL: never started; read it through bkv_start() */
  BkvCharge charge;
  BkvEnded ended;
  gint64 stop_written_ms; /* 0 = no stop for the charge that runs */
  ChTimer missing;        /* end report is missing (10.7) */
  gint64 asked_until_ms;  /* its query is out until then; 0 = it is not */
} BkvOutlet;

/* A query that may also be answered by a status report (8.5). */
typedef struct {
  guint32 msg_id;
  guint8 socket;
  guint attempt;
  char command_id[CH_COMMAND_ID_SIZE];
  ChTimer silence;
} BkvQuery;

/* What was sent to change the network list. */
typedef struct {
  guint32 msg_id;
  const char *action;
  gint64 channel;
  gint64 socket_no;
  json_t *nodes;
} BkvNetwork;

/* An end report that cannot be read, and how often it came (3.4). */
typedef struct {
  GBytes *bytes;
  guint copies;
} BkvUnreadable;

/* A set of small numbers; NULL is the empty one. */
typedef struct {
  guint32 words[8];
} BkvBits;

/* One per known device: what not each of them has is allocated when it is there. */
struct _BkvGateway {
  Bkv *bkv;
  char id[BKV_GATEWAY_TEXT_SIZE];
  guint8 raw[BKV_GATEWAY_SIZE];
  ChConn conn;          /* newest connection, 0 none */
  guint n_sessions;     /* connections that have spoken for it */
  guint greeted : 1;    /* a heartbeat came on this connection */
  guint end_both : 1;   /* answers end reports in both forms */
  guint power_0005 : 1; /* power steps work under 0x0005 */
  gint64 lost_ms;       /* when the connection went */
  guint64 identity;     /* hash of what its newest heartbeat told of it */
  BkvOutlet **outlets;  /* sorted */
  guint n_outlets;
  guint event_hash;          /* newest event report */
  gint64 event_ms;           /* and when it came */
  BkvBits *silent;           /* sockets that did not answer */
  BkvBits *heard;            /* sockets that reported since the plugin started */
  BkvBits *unclear;          /* sockets that may have been silent before it started */
  BkvBits *event_codes;      /* event codes that were raised */
  BkvQuery *query;           /* NULL: none is out */
  BkvNetwork *network;       /* NULL: no change is under way */
  BkvUnreadable *unreadable; /* NULL: none came */
  gint64 scale_alarm_ms;     /* 0 = never */
};

struct _BkvSession {
  GList link; /* in the plugin's list */
  Bkv *bkv;
  ChConn conn;
  BkvGateway **gateways;
  guint n_gateways;
  gboolean id_alarm;
  gint64 warned_ms; /* newest line about a bad frame, 0 none */
};

/* An end report that waits for the store. */
typedef struct _BkvPendingEnd BkvPendingEnd;

struct _Bkv {
  ChPlugin *self;
  BkvSettings settings;
  BkvMetrics metrics;
  GHashTable *gateways; /* id → BkvGateway */
  GQueue sessions;      /* of BkvSession */
  GHashTable *ends;     /* number → BkvPendingEnd */
  gsize next_end;
  gsize oldest_end;
  GQueue echoes; /* second answers that wait 100 ms */
};

/* ---- session.c -------------------------------------------------------------------- */

gpointer bkv_opened (ChPlugin *self, ChConn conn, const ChPeer *peer);
void bkv_input (ChPlugin *self, gpointer session, ChConn conn, const guint8 *p, gsize n);
void bkv_session_free (BkvSession *session);
void bkv_closed (ChPlugin *self, gpointer session, ChConn conn, ChCloseReason reason);

/* A frame of the device. Returns: FALSE when its payload lacks what is required */
typedef gboolean (*BkvHandler) (BkvSession *session, BkvGateway *gateway,
                                const BkvFrame *frame);

/* Encodes, writes and logs a frame to a gateway. */
gboolean bkv_send (Bkv *bkv, ChConn conn, const BkvFrame *frame, ChWriteKind kind);

/* ---- gateway.c -------------------------------------------------------------------- */

BkvGateway *bkv_gateway_get (Bkv *bkv, const char *id);
/* Makes a record; NULL when there are too many. */
BkvGateway *bkv_gateway_add (Bkv *bkv, const guint8 raw[BKV_GATEWAY_SIZE]);
void bkv_gateway_free (gpointer gateway);
/* Takes from the core what alarms may be open since before the plugin started. */
void bkv_gateway_recall (BkvGateway *gateway);
/* Another connection begins: what was under way on the old one is over. */
void bkv_gateway_reset (BkvGateway *gateway);
/* Its connection is gone: nothing is inferred while it is off line. */
void bkv_gateway_lost (BkvGateway *gateway);
/* NULL when there is none and not @create, or out of range. */
BkvOutlet *bkv_outlet (BkvGateway *gateway, guint socket, guint port, gboolean create);
/* Numbers of the sockets: of the core, else those seen, else 0. Returns: how many */
gsize bkv_gateway_sockets (BkvGateway *gateway, gint *sockets, gsize max);
gboolean bkv_bit (const BkvBits *bits, guint n);
void bkv_set_bit (Bkv *bkv, BkvBits **bits, guint n, gboolean value);
/* The newest start of an outlet, an empty one when there was none. */
const BkvStart *bkv_start (const BkvOutlet *outlet);
/* The newest end is another, which was not answered yet. */
static inline void bkv_set_ended (BkvOutlet *outlet, gint32 number, guint hash)
{
  outlet->ended = (BkvEnded) {.number = number, .hash = hash};
  outlet->end_inferred = FALSE;
}
/* Puts a pointer into a sorted array of @n pointers; the old one is freed. */
gpointer bkv_insert (Bkv *bkv, gpointer pointers, guint n, guint at, gpointer pointer);

/* ---- frames up -------------------------------------------------------------------- */

gboolean bkv_on_heartbeat (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_status_report (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_socket_state (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_control_ack (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_fee_start_ack (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_end (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_fee_end (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_net_ack (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_event_report (BkvSession *s, BkvGateway *g, const BkvFrame *f);
gboolean bkv_on_event_record (BkvSession *s, BkvGateway *g, const BkvFrame *f);

/* status.c: the status byte of an outlet without figures, as an event report has it. */
void bkv_state_status (BkvGateway *g, ChConn conn, guint socket, guint port,
                       guint8 status);

/* Whether a broken frame is an end report; then it is counted, and answered at last. */
gboolean bkv_is_end_report (const BkvFrame *frame);
void bkv_on_short_end (BkvSession *s, BkvGateway *g, const BkvFrame *f);

/* ---- commands down ---------------------------------------------------------------- */

ChCommandState bkv_command (ChPlugin *self, gpointer session, ChConn conn,
                            const ChCommand *command);
ChCommandState bkv_start_charge (BkvGateway *g, const ChCommand *command);
ChCommandState bkv_stop_charge (BkvGateway *g, const ChCommand *command);
ChCommandState bkv_query_port (BkvGateway *g, const ChCommand *command);
ChCommandState bkv_configure_network (BkvGateway *g, const ChCommand *command);
ChCommandState bkv_network_add (BkvGateway *g, const ChCommand *command);
ChCommandState bkv_network_delete (BkvGateway *g, const ChCommand *command);

/* Refuses before sending, with a line that says why. */
ChCommandState bkv_refuse (BkvGateway *g, const ChCommand *command, const char *why);
/* Writes one attempt. */
ChCommandState bkv_attempt (BkvGateway *g, const BkvFrame *frame);
/* States the answer to a command; @detail nullable. Returns: it was in flight */
gboolean bkv_result (BkvGateway *g, guint32 msg_id, const char *command_id,
                     ChCommandState state, const char *detail);
/* The same for an answer that matches no open command. */
void bkv_late_result (BkvGateway *g, guint32 msg_id, ChCommandState state,
                      const char *detail);
void bkv_ask (BkvGateway *g, guint socket, guint priority);
/* The query that is out is over. */
void bkv_query_done (BkvGateway *g);
/* What was sent to change the network list is over. */
void bkv_network_done (BkvGateway *g);

/* ---- charge.c, used by status.c and charge-end.c ---------------------------------- */

/* A report shows the outlet charging: may it be the answer to a start (9.4, 10.4)? */
void bkv_adopt (BkvOutlet *outlet, ChConn conn, guint16 number);

/* ---- missing-end.c, used by status.c ---------------------------------------------- */

void bkv_charge_missing_begin (BkvOutlet *outlet);
void bkv_charge_missing_end (BkvOutlet *outlet);
/* A report shows the outlet without the charge: TRUE when the end was concluded. */
gboolean bkv_charge_missing_report (BkvOutlet *outlet, ChConn conn,
                                    const ChOrderView *order);
