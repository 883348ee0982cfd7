/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts: how a protocol states what a device said (gateway 1.7). The core decides what
 * it means. Facts of one device are handled in the order in which they are stated; the
 * durable ones (with a completion) have one transaction in flight per device, at most
 * 64 wait, then the reads of the device's connection are paused. Integer fields that the
 * device did not report are %CH_UNSET, strings %NULL.
 */
#pragma once

#include <chargehost/command.h>
#include <chargehost/conn.h>
#include <chargehost/store.h>
#include <jansson.h>

G_BEGIN_DECLS

/**
 * ChFactDone:
 * @self: the protocol
 * @conn: connection, may be gone by now (writing is then a no-op)
 * @error: (nullable): %NULL when the fact is durable, so that the wire reply may be sent;
 *   otherwise nothing was stored and nothing may be acknowledged
 * @user_data: as given
 *
 * Called after the commit and before subscribers see the event.
 */
typedef void (*ChFactDone) (ChPlugin *self, ChConn conn, const GError *error,
                            gpointer user_data);

/* Every good frame: the device is alive. Costs next to nothing. */
void ch_device_seen (ChPlugin *self, ChConn conn, const char *device);

typedef enum {
  CH_ONLINE_OK = 0,
  CH_ONLINE_REFUSED, /* blocked, banned, unknown: do not answer its frames */
} ChOnline;

/**
 * ch_device_online:
 * @self: the protocol
 * @conn: connection
 * @device: device id, normalised by the protocol
 * @done: (nullable): called when the device is known to the store; error: refused
 * @user_data: for @done
 *
 * Binds the device to the connection; binding again is cheap and changes nothing. The
 * newest connection wins.
 *
 * Returns: whether its frames should be handled
 */
ChOnline ch_device_online (ChPlugin *self, ChConn conn, const char *device,
                           ChFactDone done, gpointer user_data);

typedef struct {
  const char *iccid;
  const char *imei;
  const char *model;
  const char *device_type;
  const char *firmware;
  gint64 port_count;
} ChRegistered;
void ch_device_registered (ChPlugin *self, ChConn conn, const char *device,
                           const ChRegistered *fact);

typedef struct {
  gint64 temp_dc; /* 0.1 °C */
  gint64 rssi_dbm;
  gint64 voltage_mv;
} ChHeartbeat;
void ch_device_heartbeat (ChPlugin *self, ChConn conn, const char *device,
                          const ChHeartbeat *fact);

/* Port codes (gateway 1.2). Only IDLE may start a charge. */
typedef enum {
  CH_PORT_OFFLINE = 0,
  CH_PORT_IDLE = 1,
  CH_PORT_CHARGING = 2,
  CH_PORT_FAULT = 3,
} ChPortStatus;

enum {
  CH_FAULT_METER = 1,
  CH_FAULT_OVER_TEMP = 2,
  CH_FAULT_OVER_CURRENT = 4,
  CH_FAULT_OVER_POWER = 8,
  CH_FAULT_OVER_VOLTAGE = 16,
  CH_FAULT_UNDER_VOLTAGE = 32,
  CH_FAULT_LEAKAGE = 64,
  CH_FAULT_OTHER = 128,
};

typedef struct {
  gint socket_no;
  gint port_no;
  ChPortStatus status;
  gint64 raw_status;
  guint fault_bits;
  gint64 no_load; /* 0, 1 or CH_UNSET */
  gint64 plugged;
  gint64 reserved;
  gint64 out_of_service;
  gint64 power_mw;
  gint64 current_ma;
  gint64 voltage_mv;
  gint64 temp_dc;
  gint64 business_no;
  const char *wire_order;
  gint64 energy_wh;
  gint64 duration_s;
  gint64 occurred_at_ms; /* wall clock of the device when credible, else CH_UNSET */
} ChPortUpdate;
#define CH_PORT_UPDATE_INIT                                                              \
  {                                                                                      \
    .raw_status = CH_UNSET, .no_load = CH_UNSET, .plugged = CH_UNSET,                    \
    .reserved = CH_UNSET, .out_of_service = CH_UNSET, .power_mw = CH_UNSET,              \
    .current_ma = CH_UNSET, .voltage_mv = CH_UNSET, .temp_dc = CH_UNSET,                 \
    .business_no = CH_UNSET, .energy_wh = CH_UNSET, .duration_s = CH_UNSET,              \
    .occurred_at_ms = CH_UNSET                                                           \
  }
void ch_port_update (ChPlugin *self, ChConn conn, const char *device,
                     const ChPortUpdate *fact);

typedef struct {
  gint socket_no;
  gint port_no;
  gint64 business_no;
  const char *wire_order;
  const char *order_no; /* when the protocol knows which start this answers */
  gint64 charge_mode;   /* 1 to 4 */
  gint64 target_duration_s;
  gint64 target_energy_wh;
  const char *card_no;
  gint64 started_at_ms;
  gint64 meter_start_wh;
  const json_t *metadata;
} ChOrderStarted;
#define CH_ORDER_STARTED_INIT                                                            \
  {                                                                                      \
    .business_no = CH_UNSET, .charge_mode = CH_UNSET, .target_duration_s = CH_UNSET,     \
    .target_energy_wh = CH_UNSET, .started_at_ms = CH_UNSET, .meter_start_wh = CH_UNSET  \
  }
void ch_order_started (ChPlugin *self, ChConn conn, const char *device,
                       const ChOrderStarted *fact, ChFactDone done, gpointer user_data);

typedef struct {
  gint socket_no;
  gint port_no;
  gint64 business_no;
  const char *wire_order;
  gint64 energy_wh;
  gint64 duration_s;
  gint64 power_mw;
  gint64 voltage_mv;
  gint64 current_ma;
  gint64 temp_dc;
  gint64 soc; /* percent */
  gint64 amount_cent;
  gint64 raw_status;
} ChOrderProgress;
#define CH_ORDER_PROGRESS_INIT                                                           \
  {                                                                                      \
    .business_no = CH_UNSET, .energy_wh = CH_UNSET, .duration_s = CH_UNSET,              \
    .power_mw = CH_UNSET, .voltage_mv = CH_UNSET, .current_ma = CH_UNSET,                \
    .temp_dc = CH_UNSET, .soc = CH_UNSET, .amount_cent = CH_UNSET,                       \
    .raw_status = CH_UNSET                                                               \
  }
void ch_order_progress (ChPlugin *self, ChConn conn, const char *device,
                        const ChOrderProgress *fact);

/* Neutral end reasons (gateway 1.5.7). */
typedef enum {
  CH_END_NORMAL = 0,
  CH_END_USER_STOP = 1,
  CH_END_NO_LOAD = 2,
  CH_END_OVER_CURRENT = 3,
  CH_END_OVER_TEMP = 4,
  CH_END_OVER_POWER = 5,
  CH_END_POWER_OFF = 6,
  CH_END_FAULT = 7,
  CH_END_LIMIT_REACHED = 8,
  CH_END_REMOTE_STOP = 9,
  CH_END_OVER_VOLTAGE = 10,
  CH_END_UNDER_VOLTAGE = 11,
  CH_END_COMM_FAULT = 12,
  CH_END_EMERGENCY_STOP = 13,
  CH_END_LEAKAGE = 14,
  CH_END_TIMER_EXPIRED = 15,
  CH_END_CARD_REMOVED = 16,
  CH_END_DOOR_OR_SMOKE_ALARM = 17,
  CH_END_UNKNOWN = 99,
} ChEndReason;
const char *ch_end_reason_name (ChEndReason reason);

/**
 * ChOrderEnded:
 * @dedup_key: (nullable): recognises copies of this report; default
 *   `end:{device}:{socket}:{port}:{key}:{energy}:{duration}` (gateway DUP-01)
 * @statements: (nullable) (transfer full): statements of the protocol's own tables, run
 *   in the same transaction
 * @inferred: the protocol concluded the end by itself; the order ends provisionally
 *
 * The report that ends a charge. The device repeats it until it is answered: answer it
 * from the completion, and answer every copy.
 */
typedef struct {
  gint socket_no;
  gint port_no;
  gint64 business_no;
  const char *wire_order;
  const char *order_no;
  gint64 energy_wh;
  gint64 duration_s;
  ChEndReason end_reason;
  gint64 raw_reason;
  gint64 raw_status;
  gint64 power_mw;
  gint64 amount_cent; /* the device's own figure */
  const char *card_no;
  gint64 next_port_status; /* ChPortStatus or CH_UNSET */
  gint64 occurred_at_ms;
  gboolean inferred;
  const char *dedup_key;
  const json_t *metadata;
  ChTx *statements;
} ChOrderEnded;
#define CH_ORDER_ENDED_INIT                                                              \
  {                                                                                      \
    .business_no = CH_UNSET, .raw_reason = CH_UNSET, .raw_status = CH_UNSET,             \
    .power_mw = CH_UNSET, .amount_cent = CH_UNSET, .next_port_status = CH_UNSET,         \
    .occurred_at_ms = CH_UNSET                                                           \
  }
void ch_order_ended (ChPlugin *self, ChConn conn, const char *device,
                     const ChOrderEnded *fact, ChFactDone done, gpointer user_data);

/* Levels of the one alarm model (ems 4.1). */
typedef enum {
  CH_ALARM_INFO = 0,
  CH_ALARM_WARNING,
  CH_ALARM_MINOR,
  CH_ALARM_MAJOR,
  CH_ALARM_CRITICAL,
} ChAlarmLevel;

typedef struct {
  gint socket_no; /* −1: the device */
  gint port_no;   /* −1: the socket */
  const char *code;
  const char *title;
  const char *message;
  ChAlarmLevel level;
  const json_t *metadata;
} ChAlarm;
void ch_alarm_raised (ChPlugin *self, ChConn conn, const char *device,
                      const ChAlarm *fact);
void ch_alarm_cleared (ChPlugin *self, ChConn conn, const char *device, gint socket_no,
                       gint port_no, const char *code);

typedef struct {
  gint socket_no;
  const char *mac; /* 12 hex digits, lower case; NULL = unchanged */
  const char *firmware;
  gint64 signal;
  gint64 status; /* 0 off line, 1 on line, 2 fault */
  gint64 channel;
} ChSocketSeen;
/* A socket behind a gateway was seen (gateway 1.3). */
void ch_socket_seen (ChPlugin *self, ChConn conn, const char *device,
                     const ChSocketSeen *fact);

typedef struct {
  const char *action; /* refresh, add, delete, list */
  const char *result; /* ok, failed */
  gint64 socket_no;
  gint64 channel;
  const json_t *nodes; /* array of {socket_no, socket_mac}; for refresh the whole list */
} ChTopology;
void ch_network_topology (ChPlugin *self, ChConn conn, const char *device,
                          const ChTopology *fact);

typedef struct {
  guint32 msg_id;
  gint64 cmd; /* opcode on the wire */
  gboolean up;
  gboolean success;
  gboolean is_heartbeat; /* sampled */
  const guint8 *payload; /* card numbers already masked */
  gsize payload_size;
} ChFrameLog;
/* One row of the command log; batched, never waited for (gateway 6.2). */
void ch_frame_log (ChPlugin *self, ChConn conn, const char *device,
                   const ChFrameLog *fact);

/**
 * ch_device_sockets:
 * @self: the protocol
 * @device: device id
 * @sockets: (out caller-allocates) (array length=max): socket numbers, rising
 * @max: room in @sockets
 *
 * Returns: how many sockets the core knows for the device (rows of gateway_sockets)
 */
gsize ch_device_sockets (ChPlugin *self, const char *device, gint *sockets, gsize max);

/**
 * ChOrderView: what a protocol may know about the order that holds a port.
 */
typedef struct {
  char order_no[CH_ORDER_NO_SIZE];
  char wire_order[CH_WIRE_ORDER_SIZE];
  gint status; /* gateway 1.5.4 */
  gint charge_mode;
  gint64 business_no;        /* 0 = none */
  gboolean number_is_device; /* the device gave the number */
  gint64 target_duration_s;
  gint64 target_energy_wh;
  gint64 amount_limit_cent;
  gint64 start_written_ms; /* monotonic; CH_UNSET when not written yet */
  gboolean stop_written;   /* a stop of the server was written */
} ChOrderView;
/* Returns: whether an active order holds the port; fills @view. */
gboolean ch_port_order (ChPlugin *self, const char *device, gint socket_no, gint port_no,
                        ChOrderView *view);

/**
 * ch_command_request:
 * @self: the protocol
 * @device: device id
 * @type: QUERY_PORT_STATUS and the like
 * @socket_no: socket
 * @port_no: port, −1 for none
 * @priority: 1 to 5
 * @payload: (nullable) (transfer none): payload
 *
 * Asks the core to queue a command, as a protocol does after a connect (bkv 6.3).
 */
void ch_command_request (ChPlugin *self, const char *device, ChCommandType type,
                         gint socket_no, gint port_no, guint priority,
                         const json_t *payload);

G_END_DECLS
