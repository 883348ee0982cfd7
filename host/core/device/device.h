/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of devices, ports and sockets: all known devices are in memory. */
#pragma once

#include "core/core.h"
#include "net/gateway.h"

typedef enum {
  CH_LIFECYCLE_ACTIVE = 0,
  CH_LIFECYCLE_MAINTENANCE,
  CH_LIFECYCLE_DECOMMISSIONED
} ChLifecycle;
typedef enum {
  CH_ENROLMENT_AUTO = 0,
  CH_ENROLMENT_REGISTERED,
  CH_ENROLMENT_BLOCKED
} ChEnrolment;

/* One outlet. */
typedef struct {
  gint16 socket_no;
  gint8 port_no;
  guint8 status; /* ChPortStatus as shown: OFFLINE without a session */
  gint8 no_load, plugged, reserved, out_of_service; /* −1 unknown */
  guint8 fault_bits;
  guint8 alarms;     /* ChPortAlarm that are raised */
  guint dirty : 1;   /* to be written with the next batch */
  gint32 raw_status; /* −1 unknown */
  gint32 power_mw, current_ma, voltage_mv, temp_dc; /* G_MININT32 unknown */
  gint64 reported_at;                               /* wall ms, 0 never */
  gint64 snapshot_ms; /* monotonic time of the newest report since the bind, 0 none */
  gint64 idle_ms;     /* monotonic time of the newest report if that said idle, 0 none */
  gint64 updated_at;  /* wall ms */
  gint64 settle_until_ms; /* monotonic: PORT-04 */
  gint64 unsolicited_ms;  /* monotonic: first charging report without an order, 0 none */
  gint64 last_ended_no;   /* business number of the last ended charge, −1 none */
  ChOrder *order;         /* active order that holds it, borrowed */
} ChPort;

typedef struct {
  gint16 socket_no;
  gint16 channel; /* −1 unknown */
  gint8 status;   /* 0 off line, 1 on line, 2 fault */
  gint16 signal;  /* G_MININT16 unknown */
  char mac[13];
  char firmware[9];
  char *uid;           /* nullable */
  gint64 last_seen_at; /* wall ms */
} ChSocket;

typedef struct _ChFact ChFact;

/* Facts that wait for the one before them (facts.c). */
typedef struct {
  GQueue jobs;   /* of ChFact */
  ChConn paused; /* connection whose reads are paused for it, 0 none */
} ChFactQueue;

/* What a device has for which two connections fought (gateway 2.12). */
typedef struct {
  gint64 window_ms; /* when the window began in which take-overs are counted */
  gint64 refused_until_ms;
  gint64 alarm_ms;  /* newest alarm duplicate_identity */
  ChConn took_from; /* connection that the session was taken over from, 0 none */
  guint32 takeovers;
} ChContest;

/*
 * Records live as long as the daemon and there are many: they come from slabs
 * (slab.h), and what most of them do not have is allocated when it is there. Times in
 * ms are monotonic, those that end in _at wall clock.
 */
struct _ChDevice {
  ChCore *core;
  gint64 db_id; /* 0 until its row is committed */
  /* identity */
  const char *protocol;                 /* interned; "" unknown */
  char *iccid, *imei;                   /* ch_device_set_text() */
  char *tags;                           /* JSON object, NULL = {}; the same */
  char *model, *firmware, *device_type; /* ch_device_share_text() */
  gint16 rssi;                          /* dBm, G_MININT16 unknown */
  gint16 port_count;                    /* −1 unknown */
  guint8 lifecycle, enrolment;
  /* flags and small figures of what follows */
  guint8 presence;           /* ChPresence as last published */
  guint8 offline_reason;     /* ChCloseReason of the newest loss */
  guint8 elsewhere_round;    /* session-elsewhere.c: newest look that found it there */
  guint session_dirty : 1;   /* its kv entry waits for the next batch */
  guint session_known : 2;   /* ChSessionKnown */
  guint orders_known : 1;    /* memory has its active orders (order-home.h) */
  guint fact_running : 1;    /* one transaction in flight */
  guint last_seen_dirty : 1; /* so is its row */
  guint identity_dirty : 1;  /* and all of it */
  guint32 flaps;             /* binds in the window that began at … (gateway 2.11) */
  gint64 flap_window_ms;
  gint64 created_at;
  gint64 last_seen_at; /* 0 never */
  /* session (session.c) */
  ChPlugin *driver; /* the protocol's plugin while bound */
  const ChProtocol *proto;
  const ChProtocolProperties *props; /* of the newest session; NULL never connected */
  ChConn conn;                       /* 0 = not connected */
  ChConn silent_conn; /* unbound from it by silence: its next frame binds again */
  guint64 generation;
  gint64 connected_at;
  gint64 seen_ms;        /* newest good frame */
  gint64 down_ms;        /* connection lost, 0 = connected or never */
  gint64 dropped_ms;     /* newest loss, kept after the next bind, for the score */
  gint64 ack_timeout_ms; /* newest ACK time-out, 0 never */
  gint64 touched_ms;     /* kv written */
  gint64 seen_event_ms;  /* device.seen published */
  gint64 seen_marked_ms; /* last_seen marked for the database */
  ChWheelTimer liveness; /* silence and grace */
  ChContest *contest;    /* NULL: none */
  char *elsewhere; /* server that holds it, "" unknown which; NULL: none, or this one */
  /* parts */
  ChPort *ports;     /* sorted by socket and port */
  ChSocket *sockets; /* sorted by number */
  guint n_ports, n_sockets;
  GPtrArray *orders; /* active orders, borrowed; NULL when none */
  /* facts in order (facts.c) */
  ChFactQueue *facts;   /* NULL: none waits */
  ChFact *fact_current; /* the one that waits for the store */
  gint64 fact_said_ms;  /* wall clock, of a report that was in the journal; else 0 */
  /* commands (outbound.c) */
  gpointer outbound; /* what outbound.c keeps of its commands; NULL when there are none */
  gint64 last_sent_ms;
  guint32 next_msg_id;
  guint in_flight, in_flight_urgent;
  guint waiting;
  guint32 heartbeats_logged; /* frame-log.c: for sampling */
  char id[];
};

/* From session.c: sets all ports off line (PORT-02). */
void ch_device_session_lost (ChDevice *device);
ChDevice *ch_device_find (ChCore *core, const char *id);
/* Makes a record in memory (not stored yet). */
ChDevice *ch_device_add (ChCore *core, const char *id);
void ch_device_free (ChDevice *device);
/* Replaces a text of a record. @text: (nullable) */
void ch_device_set_text (ChCore *core, char **field, const char *text);
/* The same for what many devices have in common: it exists once. */
void ch_device_share_text (ChCore *core, char **field, const char *text);
typedef void (*ChDeviceSetText) (ChCore *core, char **field, const char *text);
/* Makes room for one element more at @at of an array of @n; the old one is freed. */
gpointer ch_device_insert (ChCore *core, gpointer array, gsize size, guint n, guint at);

/* Returns: the port, made (status offline) when @create; NULL when unknown or out of
 * range */
ChPort *ch_device_port (ChDevice *device, gint socket_no, gint port_no, gboolean create);
ChSocket *ch_device_socket (ChDevice *device, gint socket_no, gboolean create);
/* Properties of its protocol, also before it connects; the defaults when that does not
 * run. */
const ChProtocolProperties *ch_device_props (ChDevice *device);

/*
 * Appends the statement that inserts the device or takes its new identity. Returns: its
 * index in the result, with columns id and phy_id
 */
guint ch_device_store (ChDevice *device, ChTx *tx);
/* Appends the upsert of a port's row. */
void ch_port_store (ChDevice *device, const ChPort *port, ChTx *tx);
/* Sets the shown status and publishes port.changed when something changed. */
void ch_port_set_status (ChDevice *device, ChPort *port, ChPortStatus status,
                         const char *reason);

/* Reports an alarm of a device on the bus (alarm.reported). @port may be −1/−1. */
void ch_core_alarm (ChCore *core, const char *device, gint socket_no, gint port_no,
                    const char *code, ChAlarmLevel level, gboolean active,
                    const char *title, const char *message, const json_t *metadata);
