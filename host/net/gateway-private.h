/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of the gateway, shared by its files. */
#pragma once

#include "base/clock-private.h"
#include "net/breaker.h"
#include "net/gateway.h"
#include "net/limiter.h"
#include "net/record.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <sys/socket.h>

typedef struct _Connection Connection;
typedef struct _Listener Listener;
typedef struct _Protocol Protocol;
typedef struct _NetMetrics NetMetrics;

/* ---- settings --------------------------------------------------------------------- */

typedef struct {
  gint64 idle_us, bind_us, identify_us, write_us, frame_us;
  gsize sniff_max;
  gsize garbage_max;
  guint queue_frames;
  gsize queue_bytes;
  gint backlog;
  gint keepalive_idle_s, keepalive_interval_s, keepalive_count;
  gint user_timeout_ms;
  gboolean reuse_port;
  gboolean limiting;
  guint max_connections;
  double rate, burst;
  guint per_ip_rate, per_ip_max;
  guint breaker_threshold;
  gint64 breaker_us;
  ChPace bytes;
} Settings;

void settings_read (ChGateway *gateway);
/* What the types of the keys cannot tell. */
gboolean settings_check (ChGateway *gateway, GError **error);

/* ---- networks --------------------------------------------------------------------- */

/* Who may connect: empty = everybody. */
typedef struct {
  guint8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
  guint bits;
} Network;

gboolean network_parse (const char *text, Network *network);
gboolean network_has (const Network *network, const guint8 address[16]);
/* "10.1.2.3:7000", "[2001:db8::1]:7000"; IPv4 also when mapped. Returns: length without
 * port */
gsize address_text (const struct sockaddr_storage *address, char text[CH_ADDRESS_SIZE]);
void address_bytes (const struct sockaddr_storage *address, guint8 bytes[16]);
/* ":7000", "127.0.0.1:0", "[::1]:7000" */
gboolean address_parse (const char *text, struct sockaddr_storage *address,
                        socklen_t *size, gboolean *any, GError **error);

/* ---- protocols -------------------------------------------------------------------- */

#define FAULTS_KEPT 3

struct _Protocol {
  ChResource resource;
  ChGateway *gateway;
  ChPlugin
      *plugin; /* NULL when it has stopped; the rest stays for who still points here */
  const ChProtocol *table;
  ChProtocolProperties properties;
  guint connections;
  /* made of the properties: */
  gint64 idle_us, bind_us;
  gsize max_frame;
  ChPace frames;
  /* faults with the same name within ten minutes degrade the plugin (F29) */
  const char *fault;
  gint64 faults_us[FAULTS_KEPT];
  guint n_faults;
  /* counters, read by the metrics when they are scraped */
  guint64 frames_in, frames_out, bytes_out, queue_full, read_paused, checksum_errors;
  struct _ProtocolSeries *series;
};

void protocol_update (Protocol *protocol);

/* ---- listeners -------------------------------------------------------------------- */

struct _Listener {
  ChWatch watch;
  ChGateway *gateway;
  char address[CH_ADDRESS_SIZE]; /* bound, with the real port */
  char **protocols;              /* names that are served here; NULL = all */
  ChWheelTimer timer;            /* until when it pauses */
  gboolean paused;
  guint active;
};

gboolean listeners_open (ChGateway *gateway, GError **error);
void listeners_close (ChGateway *gateway);
gboolean listener_serves (const Listener *listener, const ChProtocol *protocol);

typedef enum {
  REJECT_RATE = 0,
  REJECT_ADDRESS_RATE,
  REJECT_ADDRESS_CONNS,
  REJECT_MAX_CONNECTIONS,
  REJECT_BREAKER,
  REJECT_OVERLOAD,
  REJECT_BANNED,
  REJECT_DRAINING,
  REJECT_FD_LIMIT,
  REJECT_N,
} RejectReason;

typedef enum {
  UNIDENTIFIED_NO_MATCH = 0,
  UNIDENTIFIED_FOREIGN,
  UNIDENTIFIED_TOO_LONG,
  UNIDENTIFIED_TIMEOUT,
  UNIDENTIFIED_N,
} UnidentifiedReason;

/* ---- connections ------------------------------------------------------------------ */

typedef enum {
  CONN_FREE = 0,
  CONN_IDENTIFYING,
  CONN_OPEN,
  CONN_CLOSING, /* nothing is read or written; finished at the end of the turn */
} ConnState;

/* Why reading pauses; any of them. */
enum {
  PAUSE_PACE = 1 << 0,  /* too many frames or bytes */
  PAUSE_QUEUE = 1 << 1, /* the write queue is full */
  PAUSE_CORE = 1 << 2,
  PAUSE_ALL = 1 << 3,
};

#define ERRORS_MAX 20 /* in 60 s (TCP-26) */
#define PAUSE_MINUTES 5

/* What only connections that paused or misbehaved have. */
typedef struct {
  gint64 resumed_us; /* end of the newest pause: silence before it does not count */
  gint64 resume_us;  /* when a pause for its rate ends */
  guint32 bad_frames;
  gint64 errors_us[ERRORS_MAX + 1];
  guint next_error;
  gint64 overflow_us;
  gint64 logged_us;
  gint64 paused_us; /* when the running pause began */
  gint64 minute;
  guint32 paused_ms[PAUSE_MINUTES];
  gint64 flood_us; /* newest alarm */
} Trouble;

typedef struct _OutFrame OutFrame;
struct _OutFrame {
  OutFrame *next;
  gsize size, done;
  char command_id[CH_COMMAND_ID_SIZE];
  guint8 bytes[];
};

/* Exists only while something waits. */
typedef struct {
  OutFrame *first, *last;
  guint n;
  gsize bytes;
  gint64 progress_us;
  gboolean high; /* the high mark was passed: `writable` is owed */
} OutQueue;

/*
 * Ordered by use: a frame touches the first two or three lines of the cache, and ten
 * thousand connections do not fit into it.
 */
struct _Connection {
  ChWatch watch; /* first */
  ChConn handle; /* when it is free that of the next one */
  guint8 state;
  guint8 reason;
  guint8 pauses;
  guint parked : 1; /* out of the epoll set: hung up while paused */
  guint bound : 1;
  guint opened : 1;    /* the protocol has a session */
  guint skipping : 1;  /* no frame since the newest error */
  guint counted : 1;   /* stands in the limits per address */
  guint succeeded : 1; /* the breaker has heard of it */
  guint traced : 1;    /* the core looks at its frames */
  guint32 rest_size;
  Protocol *protocol;
  guint8 *rest; /* bytes that wait, from the pool; NULL when none do */
  OutQueue *out;

  gpointer session;
  gint64 last_rx_us, last_tx_us;
  gint64 frame_from_us; /* newest byte of the frame that is not complete */
  guint64 rx_bytes, tx_bytes;
  guint32 rx_frames, tx_frames;
  ChRecorder *recorder;

  ChGateway *gateway;
  gint64 frame_pace, byte_pace;
  guint32 garbage; /* bytes skipped since the newest frame */
  guint32 rest_room;
  gint64 armed_us;    /* when the timer is due, 0 = not armed */
  guint32 trial;      /* of the breaker */
  guint32 shed_bytes; /* of rx_bytes, as of the newest shedding */
  gpointer core_data;
  Listener *listener; /* NULL: adopted */

  ChDeferred deferred;
  ChWheelTimer timer;

  Trouble *trouble; /* NULL: none */
  char *remote;
  gint64 opened_us;
  gint64 bind_from_us;
  guint32 core_pauses;
  char conn_id[27]; /* made when it is asked for */
} __attribute__ ((aligned (64)));

#define CHUNK_BITS 7
#define CHUNK_SIZE (1u << CHUNK_BITS)

/* Read buffers that are not in use, by size class. */
#define POOL_CLASSES 7 /* 64 B to 256 KiB in steps of 4 */
typedef struct {
  gpointer free[POOL_CLASSES]; /* linked through their first bytes */
  guint n[POOL_CLASSES];
} Pool;

guint8 *pool_take (Pool *pool, gsize size, guint32 *room);
void pool_give (Pool *pool, guint8 *block, guint32 room);
void pool_clear (Pool *pool);

/* ---- the gateway ------------------------------------------------------------------ */

#define GATHER_FRAMES 128
#define GATHER_BYTES (64 * 1024)
#define READ_SIZE 4096
#define FRAME_MAX (1024 * 1024)
/* A rest is less than a frame, or what a pause left of a frame and one read. */
#define RX_SIZE (FRAME_MAX + 2 * READ_SIZE)

/* Frames written while one connection's bytes are handled: one send for all. */
typedef struct {
  Connection *conn;
  gsize used;
  guint n;
  struct {
    gsize end;
    char command_id[CH_COMMAND_ID_SIZE];
  } frames[GATHER_FRAMES];
  guint8 bytes[GATHER_BYTES];
} Gather;

struct _ChGateway {
  ChServices *services;
  ChReactor *reactor;
  ChPlugin *self; /* owner "net" */
  ChConfig *config;
  ChConfig *own_config; /* when there is no other */
  Settings settings;
  GArray *allowed; /* of Network */

  ChCore *core;
  ChGatewayHooks hooks;

  GPtrArray *protocols; /* of Protocol, in order */
  GPtrArray *gone;      /* of Protocol: stopped */
  GPtrArray *listeners; /* of Listener; kept until the end, connections point there */
  gboolean listening;
  int reserve_fd; /* given up to close one connection when descriptors run out */

  ChBucket accepts;
  ChAddressLimits *addresses;
  ChBreaker breaker;
  guint max; /* effective limit */
  guint active;

  GPtrArray *chunks; /* of Connection[CHUNK_SIZE] */
  guint n_slots;
  GArray *vacant; /* of guint32 */
  guint evict_cursor;
  gboolean paused_all;

  guint8 *rx; /* where everything is read first: a rest and one read */
  Gather *gather;
  Pool pool;
  gsize pending_bytes;
  const ChCommand *sending; /* command whose `command` callback runs */
  ChConn sending_conn;

  GHashTable *foreigners; /* addresses that were logged in this minute */
  gint64 foreigners_minute;

  guint64 accepted, rejected[REJECT_N], closed[CH_CLOSE_N], unidentified[UNIDENTIFIED_N];
  guint64 rx_bytes, stale;
  NetMetrics *metrics; /* NULL without a registry */
};

static inline Connection *conn_at (ChGateway *gateway, guint32 slot)
{
  Connection *chunk = gateway->chunks->pdata[slot >> CHUNK_BITS];
  return &chunk[slot & (CHUNK_SIZE - 1)];
}

/* NULL when it is gone. */
static inline Connection *conn_find (ChGateway *gateway, ChConn handle)
{
  guint32 slot = (guint32) handle;
  if (G_UNLIKELY (slot >= gateway->n_slots))
    return NULL;
  Connection *conn = conn_at (gateway, slot);
  return G_LIKELY (conn->handle == handle && conn->state != CONN_FREE) ? conn : NULL;
}

/* conn.c: life */
Connection *conn_new (ChGateway *gateway, int fd, Listener *listener, const char *remote,
                      GError **error);
void conn_close (Connection *conn, ChCloseReason reason);
/* The rest of closing, at once. */
void conn_finish (Connection *conn);
Trouble *conn_trouble (Connection *conn);
void conn_alarm (Connection *conn, const char *code, const char *message);
void conn_trace (Connection *conn, gboolean incoming, const void *bytes, gsize size);
void conn_deferred (ChDeferred *deferred);

/* conn-read.c */
void conn_event (ChWatch *watch, guint32 events);
/* Handles the bytes that wait, without reading. */
void conn_continue (Connection *conn);
/* A frame has been incomplete for too long. */
void conn_skip_stuck (Connection *conn);
void conn_set_rest (Connection *conn, const guint8 *bytes, gsize size);

/* conn-identify.c; FALSE when it is not decided or the connection is closing */
gboolean conn_identify (Connection *conn, const guint8 *bytes, gsize size);
void conn_unidentified (Connection *conn, UnidentifiedReason reason);

/* conn-error.c */
void conn_bad (Connection *conn, const char *error, gsize skipped);
void conn_overflow (Connection *conn);
void conn_fault (Connection *conn, const char *name, const guint8 *bytes, gsize size);

/* conn-write.c */
void conn_writable (Connection *conn);
void conn_flush (ChGateway *gateway);
void conn_drop_queue (Connection *conn);

/* conn-timer.c: one timer for all time-outs of a connection, checked when it fires */
void conn_timer_due (ChWheelTimer *timer);
void conn_timer_update (Connection *conn);

/* conn-pause.c */
void conn_pause (Connection *conn, guint8 why);
void conn_resume (Connection *conn, guint8 why);
void conn_pause_until (Connection *conn, gint64 wait_us);
void conn_watch_events (Connection *conn);

/* net-metrics.c */
void net_metrics_open (ChGateway *gateway);
void net_metrics_close (ChGateway *gateway);
void net_metrics_protocol (Protocol *protocol);
void net_metrics_identified (Protocol *protocol, gint64 us);
void net_metrics_handled (Protocol *protocol, gboolean command, gint64 us);
void net_metrics_bad_frame (Protocol *protocol, const char *error);
