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
  guint8 alarms;                                    /* ChPortAlarm that are raised */
  gint32 raw_status;                                /* −1 unknown */
  gint32 power_mw, current_ma, voltage_mv, temp_dc; /* G_MININT32 unknown */
  gint64 reported_at;                               /* wall ms, 0 never */
  gint64 snapshot_ms; /* monotonic time of the newest report since the bind, 0 none */
  gint64 idle_ms;     /* monotonic time of the newest report if that said idle, 0 none */
  gint64 updated_at;  /* wall ms */
  gint64 settle_until_ms; /* monotonic: PORT-04 */
  gint64 unsolicited_ms;  /* monotonic: first charging report without an order, 0 none */
  gint64 last_ended_no;   /* business number of the last ended charge, −1 none */
  ChOrder *order;         /* active order that holds it, borrowed */
  gboolean dirty;         /* to be written with the next batch */
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

/*
 * Records live as long as the daemon and there are many: they come from slabs
 * (slab.h), and what most of them do not have is allocated when it is there.
 */
struct _ChDevice {
  ChCore *core;
  gint64 db_id; /* 0 until its row is committed */
  /* identity */
  const char *protocol;                                /* interned; "" unknown */
  char *iccid, *imei, *model, *firmware, *device_type; /* ch_device_set_text() */
  char *tags;        /* JSON object, NULL = {}; the same */
  gint16 rssi;       /* dBm, G_MININT16 unknown */
  gint16 port_count; /* −1 unknown */
  guint8 lifecycle, enrolment;
  gint64 created_at;   /* wall ms */
  gint64 last_seen_at; /* wall ms, 0 never */
  /* session (session.c) */
  ChPlugin *driver; /* the protocol's plugin while bound */
  const ChProtocol *proto;
  const ChProtocolProperties *props; /* of the newest session; NULL never connected */
  ChConn conn;                       /* 0 = not connected */
  guint64 generation;
  gint64 connected_at;    /* wall ms */
  gint64 seen_ms;         /* monotonic: newest good frame */
  gint64 down_ms;         /* monotonic: connection lost, 0 = connected or never */
  gint64 ack_timeout_ms;  /* monotonic: newest ACK time-out, 0 never */
  guint8 presence;        /* ChPresence as last published */
  gboolean session_dirty; /* its kv entry waits for the next batch */
  guint8 offline_reason;  /* ChCloseReason of the newest loss */
  ChWheelTimer liveness;  /* silence and grace */
  gint64 touched_ms;      /* kv written */
  gint64 seen_event_ms;   /* device.seen published */
  guint32 takeovers;      /* in the window that began at … */
  gint64 takeover_window_ms;
  gint64 refused_until_ms;
  gint64 takeover_alarm_ms; /* newest alarm duplicate_identity */
  guint32 flaps;            /* binds in the window that began at … (gateway 2.11) */
  gint64 flap_window_ms;
  gint64 dropped_ms;     /* newest loss, kept after the next bind, for the score */
  gint64 seen_marked_ms; /* last_seen marked for the database */
  ChConn took_from;      /* connection that this session was taken over from, 0 none */
  ChConn silent_conn;    /* unbound from it by silence: its next frame binds again */
  char *elsewhere; /* server that holds it, "" unknown which; NULL: none, or this one */
  guint8 elsewhere_round; /* session-elsewhere.c: newest look that found it there */
  gboolean orders_known;  /* memory has its active orders (order-home.h) */
  /* parts */
  ChPort *ports; /* sorted by socket and port */
  guint n_ports;
  ChSocket *sockets; /* sorted by number */
  guint n_sockets;
  GPtrArray *orders; /* active orders, borrowed; NULL when none */
  /* facts in order (facts.c) */
  GQueue facts;          /* of ChFact */
  ChFact *fact_current;  /* the one that waits for the store */
  gboolean fact_running; /* one transaction in flight */
  gint64 fact_said_ms;   /* wall clock, of a report that was in the journal; else 0 */
  ChConn paused_conn;    /* connection whose reads are paused for it, 0 none */
  /* commands (outbound.c) */
  guint32 next_msg_id;
  guint in_flight, in_flight_urgent;
  guint waiting;
  gint64 last_sent_ms; /* monotonic */
  ChWheelTimer ready;  /* when its queue is to be served again */
  gpointer outbound; /* what outbound.c keeps of its commands; NULL when there are none */
  guint32 heartbeats_logged; /* frame-log.c: for sampling */
  gboolean last_seen_dirty;
  gboolean identity_dirty; /* the whole row is to be written */
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
