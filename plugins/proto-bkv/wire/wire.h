/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The wire format of BKV gateways: bytes to structs and back, and their JSON form. Pure
 * functions without input, output or state; the plugin, the simulator, the command line
 * and the fuzzer share them. Numbers are as on the wire; the helpers at the end convert.
 */
#pragma once

#include <chargehost/protocol.h>
#include <glib.h>
#include <jansson.h>

G_BEGIN_DECLS

#define BKV_MIN_LENGTH 17 /* value of the length field of a frame without payload */
#define BKV_MAX_LENGTH 4092
#define BKV_MAX_FRAME 4096
#define BKV_GATEWAY_SIZE 7
#define BKV_GATEWAY_TEXT_SIZE 15 /* 14 hexadecimal digits and NUL */

#define BKV_MAX_NODES 250
#define BKV_MAX_SOCKETS 64 /* containers of one status report that are decoded */
#define BKV_MAX_PORTS 2
#define BKV_MAX_STEPS 16  /* steps of a power tariff; the devices use 5 */
#define BKV_MAX_PERIODS 4 /* voice periods; the devices use 2 */
#define BKV_MAX_FEES 42   /* what fits into one item */

typedef enum {
  BKV_UNKNOWN = 0,
  BKV_HEARTBEAT,
  BKV_HEARTBEAT_ACK,
  BKV_STATUS_REPORT,
  BKV_STATUS_ACK,
  BKV_CHARGE_END,
  BKV_CHARGE_END_ACK_ECHO,
  BKV_CONTROL,
  BKV_CONTROL_ACK,
  BKV_SOCKET_STATE,
  BKV_QUERY_SOCKET,
  BKV_CARD_SWIPE,
  BKV_CARD_CHARGE,
  BKV_CARD_CHARGE_END,
  BKV_CHARGE_END_ACK,
  BKV_CARD_ORDER_ACK,
  BKV_POWER_START,
  BKV_POWER_START_ACK,
  BKV_POWER_CHARGE_END,
  BKV_POWER_CHARGE_END_ACK_ECHO,
  BKV_BALANCE_QUERY,
  BKV_BALANCE_REPLY,
  BKV_SET_VOICE,
  BKV_SET_VOICE_ACK,
  BKV_NET_REFRESH,
  BKV_NET_REFRESH_ACK,
  BKV_NET_ADD,
  BKV_NET_ADD_ACK,
  BKV_NET_DELETE,
  BKV_NET_DELETE_ACK,
  BKV_OTA_START,
  BKV_OTA_ACK,
  BKV_FEE_CHARGE_END,
  BKV_FEE_CHARGE_END_ACK,
  BKV_FEE_START,
  BKV_FEE_START_ACK,
  BKV_EVENT_REPORT,
  BKV_EVENT_ACK,
  BKV_PARAM_SET,
  BKV_PARAM_SET_ACK,
  BKV_PARAM_QUERY,
  BKV_PARAM_QUERY_REPLY,
  BKV_EVENT_RECORD,
  BKV_KIND_N,
} BkvKind;

/* What is wrong with a frame whose boundaries are right. */
typedef enum {
  BKV_OK = 0,
  BKV_BAD_DIRECTION,
  BKV_SHORT_PAYLOAD,
  BKV_TLV_LENGTH,
} BkvError;

/* ---- fixed payloads --------------------------------------------------------------- */

typedef struct {
  char iccid[21];
  char fw[33];
  guint8 signal;
} BkvHeartbeat;

typedef struct {
  guint8 time[7];
} BkvHeartbeatAck;

typedef struct {
  guint8 result;
} BkvResult; /* net_*_ack */

typedef struct {
  guint8 socket;
} BkvSocketNo; /* net_delete, query_socket */

typedef struct {
  guint8 socket;
  guint8 mac[6];
} BkvNode; /* net_add */

typedef struct {
  guint8 channel;
  guint16 n_nodes;
  BkvNode nodes[BKV_MAX_NODES];
} BkvNetRefresh;

typedef struct {
  guint8 target;
  guint8 ftp_ip[4];
  guint16 ftp_port;
  char file[14];
} BkvOtaStart;

typedef struct {
  guint8 socket;
  guint8 port;
  guint8 switch_on;
  guint8 mode; /* 1 by time, 0 by energy */
  guint16 minutes;
  guint16 energy;
} BkvControl;

typedef struct {
  guint8 result;
  guint8 socket;
  guint8 port;
  guint16 business_no;
} BkvControlAck; /* control_ack, power_start_ack */

typedef struct {
  guint16 power_limit;
  guint16 price;
  guint16 minutes;
} BkvStep;

typedef struct {
  guint8 socket;
  guint8 port;
  guint8 switch_on;
  guint16 amount;
  guint16 n_levels;
  BkvStep levels[BKV_MAX_STEPS];
} BkvPowerStart;

/* charge_end, power_charge_end, card_charge_end; what a form lacks is 0. */
typedef struct {
  guint8 socket;
  guint16 fw;
  gint8 temp;
  guint8 rssi;
  guint8 port;
  guint8 status;
  guint16 business_no;
  guint16 power;
  guint16 current;
  guint16 energy;
  guint16 duration;
  guint8 end_time[7];
  guint8 reason;
  guint8 card[6];
  guint8 card_type;
  guint8 mode; /* 1 time, 2 energy, 3 power steps */
  guint16 amount;
  guint16 settle_power;
  guint16 n_levels;
  guint16 levels[BKV_MAX_STEPS];
} BkvEnd;

typedef struct {
  guint8 socket;
  guint8 result;
} BkvEndAck; /* charge_end_ack and both echo forms */

typedef struct {
  guint8 socket;
  guint8 port;
  guint16 business_no;
  guint8 status;
  guint8 card[6];
  guint8 offline[20];
} BkvCardSwipe;

typedef struct {
  guint8 socket;
  guint8 port;
  guint16 business_no;
  guint8 switch_on;
  guint8 mode; /* 1 time, 2 energy, 3 power steps */
  guint16 minutes;
  guint16 energy;
  guint16 amount; /* this and the steps: mode 3 only */
  guint16 n_levels;
  BkvStep levels[BKV_MAX_STEPS];
} BkvCardCharge;

typedef struct {
  guint8 socket;
  guint8 port;
  guint8 result;
} BkvPortResult; /* card_order_ack, set_voice_ack */

typedef struct {
  guint8 socket;
  guint8 port;
  guint8 card[6];
  guint32 balance; /* of the reply */
} BkvBalance;

typedef struct {
  guint8 start_hour;
  guint8 start_min;
  guint8 end_hour;
  guint8 end_min;
} BkvPeriod;

typedef struct {
  guint8 socket;
  guint8 port;
  guint8 buzzer;
  guint8 voice;
  guint16 n_periods;
  BkvPeriod periods[BKV_MAX_PERIODS];
} BkvSetVoice;

/* ---- records of items: each field may be absent ----------------------------------- */

/*
 * The one declaration of the fields: tag, name, type, size on the wire, C type, member,
 * array. From it come the struct, the numbers of the presence bits and the tables that
 * decode, encode and print. The order is the one in which they are written.
 */
/* clang-format off */
#define BKV_PORT_FIELDS(X)                                  \
  X (0x08, "port",        U8,  1, guint8,  port,        )   \
  X (0x09, "status",      U8,  1, guint8,  status,      )   \
  X (0x0A, "business_no", U16, 2, guint16, business_no, )   \
  X (0x95, "voltage",     U16, 2, guint16, voltage,     )   \
  X (0x0B, "power",       U16, 2, guint16, power,       )   \
  X (0x0C, "current",     U16, 2, guint16, current,     )   \
  X (0x0D, "energy",      U16, 2, guint16, energy,      )   \
  X (0x0E, "duration",    U16, 2, guint16, duration,    )

#define BKV_SOCKET_FIELDS(X)                                \
  X (0x4A, "socket",      U8,  1, guint8,  socket,      )   \
  X (0x3E, "fw",          U16, 2, guint16, fw,          )   \
  X (0x07, "temp",        S8,  1, gint8,   temp,        )   \
  X (0x96, "rssi",        U8,  1, guint8,  rssi,        )

#define BKV_ITEM_FIELDS(X)                                                         \
  X (0x06, "time",               BCD7, 7, guint8,  time,               [7])        \
  X (0x07, "temp",               S8,   1, gint8,   temp,               )           \
  X (0x08, "port",               U8,   1, guint8,  port,               )           \
  X (0x09, "status",             U8,   1, guint8,  status,             )           \
  X (0x0A, "business_no",        U16,  2, guint16, business_no,        )           \
  X (0x0B, "power",              U16,  2, guint16, power,              )           \
  X (0x0C, "current",            U16,  2, guint16, current,            )           \
  X (0x0D, "energy",             U16,  2, guint16, energy,             )           \
  X (0x0E, "duration",           U16,  2, guint16, duration,           )           \
  X (0x0F, "result",             U8,   1, guint8,  result,             )           \
  X (0x10, "current_limit",      U16,  2, guint16, current_limit,      )           \
  X (0x11, "power_limit",        U16,  2, guint16, power_limit,        )           \
  X (0x12, "mode",               U8,   1, guint8,  mode,               )           \
  X (0x13, "switch",             U8,   1, guint8,  switch_on,          )           \
  X (0x21, "full_delay_s",       U16,  2, guint16, full_delay_s,       )           \
  X (0x22, "no_load_delay_s",    U16,  2, guint16, no_load_delay_s,    )           \
  X (0x23, "full_power",         U16,  2, guint16, full_power,         )           \
  X (0x24, "no_load_power",      U16,  2, guint16, no_load_power,      )           \
  X (0x25, "temp_limit",         U8,   1, guint8,  temp_limit,         )           \
  X (0x2E, "end_time",           BCD7, 7, guint8,  end_time,           [7])        \
  X (0x2F, "reason",             U8,   1, guint8,  reason,             )           \
  X (0x3E, "fw",                 U16,  2, guint16, fw,                 )           \
  X (0x47, "control_type",       U8,   1, guint8,  control_type,       )           \
  X (0x4A, "socket",             U8,   1, guint8,  socket,             )           \
  X (0x4B, "socket_event_state", U8,   1, guint8,  socket_event_state, )           \
  X (0x4C, "port_a_event_state", U8,   1, guint8,  port_a_event_state, )           \
  X (0x4D, "port_b_event_state", U8,   1, guint8,  port_b_event_state, )           \
  X (0x4E, "over_voltage",       U16,  2, guint16, over_voltage,       )           \
  X (0x4F, "under_voltage",      U16,  2, guint16, under_voltage,      )           \
  X (0x50, "leak_a",             U16,  2, guint16, leak_a,             )           \
  X (0x51, "leak_b",             U16,  2, guint16, leak_b,             )           \
  X (0x52, "over_temp_a",        U8,   1, guint8,  over_temp_a,        )           \
  X (0x53, "over_temp_b",        U8,   1, guint8,  over_temp_b,        )           \
  X (0x54, "socket_event",       U8,   1, guint8,  socket_event,       )           \
  X (0x55, "port_a_event",       U8,   1, guint8,  port_a_event,       )           \
  X (0x56, "port_b_event",       U8,   1, guint8,  port_b_event,       )           \
  X (0x57, "status_a",           U8,   1, guint8,  status_a,           )           \
  X (0x58, "status_b",           U8,   1, guint8,  status_b,           )           \
  X (0x59, "max_minutes",        U16,  2, guint16, max_minutes,        )           \
  X (0x5A, "record",             U16,  2, guint16, record,             )           \
  X (0x60, "trickle_percent",    U8,   1, guint8,  trickle_percent,    )           \
  X (0x68, "button_amount",      U32,  4, guint32, button_amount,      )           \
  X (0x80, "fee_type",           U8,   1, guint8,  fee_type,           )           \
  X (0x85, "electricity_amount", U16,  2, guint16, electricity_amount, )           \
  X (0x86, "service_amount",     U16,  2, guint16, service_amount,     )           \
  X (0x88, "fee_amount",         U16,  2, guint16, fee_amount,         )           \
  X (0x89, "fee_levels",         U8,   1, guint8,  fee_levels,         )           \
  X (0x93, "anti_pulse",         U16,  2, guint16, anti_pulse,         )           \
  X (0x98, "p98",                U8,   1, guint8,  p98,                )           \
  X (0x99, "p99",                U8,   1, guint8,  p99,                )           \
  X (0x9A, "p9a",                U8,   1, guint8,  p9a,                )           \
  X (0x9B, "p9b",                U8,   1, guint8,  p9b,                )           \
  X (0xF4, "pf4",                U8,   1, guint8,  pf4,                )
/* clang-format on */

#define BKV_MEMBER(tag, name, type, size, ctype, member, array) ctype member array;
#define BKV_PORT_BIT(tag, name, type, size, ctype, member, array) BKV_PORT_##member,
#define BKV_SOCKET_BIT(tag, name, type, size, ctype, member, array) BKV_SOCKET_##member,
#define BKV_ITEM_BIT(tag, name, type, size, ctype, member, array) BKV_ITEM_##member,

enum { BKV_PORT_FIELDS (BKV_PORT_BIT) BKV_PORT_N };
enum { BKV_SOCKET_FIELDS (BKV_SOCKET_BIT) BKV_SOCKET_ports, BKV_SOCKET_N };
enum {
  BKV_ITEM_FIELDS (BKV_ITEM_BIT) BKV_ITEM_fee_periods,
  BKV_ITEM_fee_usage,
  BKV_ITEM_sockets,
  BKV_ITEM_N,
};
G_STATIC_ASSERT (BKV_ITEM_N <= 64);

/* An outlet: container 5B, and an entry of socket_state. */
typedef struct {
  guint64 has;
  BKV_PORT_FIELDS (BKV_MEMBER)
} BkvPort;

/* A socket: container 94, and socket_state as a whole. */
typedef struct {
  guint64 has;
  BKV_SOCKET_FIELDS (BKV_MEMBER)
  guint16 n_ports;
  BkvPort ports[BKV_MAX_PORTS];
} BkvSocket;

typedef struct {
  guint8 end_hour;
  guint8 end_min;
  guint16 electricity_price;
  guint16 service_price;
} BkvFeePeriod;

typedef struct {
  guint16 minutes;
  guint8 rest[4];
} BkvFeeUsage;

/* Every frame of command 0x1000. */
typedef struct {
  guint64 has;
  BKV_ITEM_FIELDS (BKV_MEMBER)
  guint16 n_fee_periods;
  guint16 n_fee_usage;
  guint16 n_sockets;
  BkvFeePeriod fee_periods[BKV_MAX_FEES];
  BkvFeeUsage fee_usage[BKV_MAX_FEES];
  BkvSocket sockets[BKV_MAX_SOCKETS];
} BkvItems;

/* BKV_HAS (port, PORT, business_no), BKV_SET (&frame.items, ITEM, socket, 1) */
#define BKV_HAS(record, RECORD, member)                                                  \
  (((record)->has >> BKV_##RECORD##_##member & 1) != 0)
#define BKV_SET(record, RECORD, member_, value)                                          \
  ((record)->has |= G_GUINT64_CONSTANT (1) << BKV_##RECORD##_##member_,                  \
   (record)->member_ = (value))

/* ---- the frame -------------------------------------------------------------------- */

/**
 * BkvFrame:
 * @kind: which union member holds
 * @error: what is wrong with it
 * @up: header FC FE
 * @length: length field
 * @sub: sub-command of 0x0005 and 0x0015, when @has_sub
 * @inner_len: inner length field, when @has_sub
 * @len_counts_sub: the sender's inner length is larger by one
 * @bkv_cmd: inner command of 0x1000, when @has_bkv_cmd
 * @unknown_tags: items that are kept for the log only
 * @missing: first field that a short payload lacks
 * @payload: bytes between gateway id and checksum, borrowed from the input
 * @extra: bytes after the last known field
 * @tlv_rest: bytes from the broken item on
 *
 * One decoded frame. Without error the union member of @kind is filled; with
 * %BKV_TLV_LENGTH the items before the broken one are.
 */
typedef struct {
  BkvKind kind;
  BkvError error;
  gboolean up;
  guint8 dir;
  guint8 checksum;
  guint16 length;
  guint16 cmd;
  guint32 msg_id;
  guint8 gateway[BKV_GATEWAY_SIZE];
  char gateway_id[BKV_GATEWAY_TEXT_SIZE];
  gboolean has_sub;
  guint8 sub;
  guint16 inner_len;
  gboolean len_counts_sub;
  gboolean has_bkv_cmd;
  gboolean has_bkv_seq;
  gboolean has_bkv_gateway;
  guint16 bkv_cmd;
  guint64 bkv_seq;
  guint8 bkv_gateway[BKV_GATEWAY_SIZE];
  guint16 unknown_tags;
  const char *missing;
  const guint8 *payload;
  gsize payload_size;
  const guint8 *extra;
  gsize extra_size;
  const guint8 *tlv_rest;
  gsize tlv_rest_size;
  union {
    BkvHeartbeat heartbeat;
    BkvHeartbeatAck heartbeat_ack;
    BkvResult result;
    BkvSocketNo socket_no;
    BkvNode node;
    BkvNetRefresh net_refresh;
    BkvOtaStart ota_start;
    BkvControl control;
    BkvControlAck control_ack;
    BkvPowerStart power_start;
    BkvEnd end;
    BkvEndAck end_ack;
    BkvCardSwipe card_swipe;
    BkvCardCharge card_charge;
    BkvPortResult port_result;
    BkvBalance balance;
    BkvSetVoice set_voice;
    BkvSocket socket_state;
    BkvItems items;
  };
} BkvFrame;

/**
 * bkv_frame:
 * @p: bytes of the stream
 * @n: how many
 * @max: largest frame accepted, at most %BKV_MAX_FRAME counts
 * @error: (out): constant name of what was skipped: `garbage`, `bad_length`,
 *   `bad_tail`, `bad_checksum`
 *
 * The stream decoder, without state: the result does not depend on how the stream is
 * cut into pieces.
 *
 * Returns: size of the good frame at @p; 0 for more bytes; −n to skip n bytes
 */
gssize bkv_frame (const guint8 *p, gsize n, gsize max, const char **error);

/* Whether a stream that begins so is BKV. */
ChSniff bkv_sniff (const guint8 *p, gsize n);

/* Low 8 bits of the sum. */
guint8 bkv_checksum (const guint8 *p, gsize n);

/**
 * bkv_decode:
 * @p: a frame as bkv_frame() found it
 * @n: its size
 * @frame: (out caller-allocates): borrows from @p
 *
 * Returns: %FALSE when @p is not one whole frame; otherwise see @frame's error
 */
gboolean bkv_decode (const guint8 *p, gsize n, BkvFrame *frame);

/**
 * bkv_init:
 * @frame: (out caller-allocates): an empty frame to fill in and encode
 * @kind: what to send
 * @gateway: id
 * @msg_id: serial, also of the items
 *
 * A caller may change cmd and sub afterwards (power_start under 0x0005).
 */
void bkv_init (BkvFrame *frame, BkvKind kind, const guint8 gateway[BKV_GATEWAY_SIZE],
               guint32 msg_id);

/**
 * bkv_encode:
 * @frame: filled frame; kinds without layout take @payload
 * @out: (out) (array length=max): receives the bytes
 *
 * Returns: size, 0 when it does not fit
 */
gsize bkv_encode (const BkvFrame *frame, guint8 *out, gsize max);

/* Name of the vector files: `heartbeat`; `unknown`. Kinds and their names. */
const char *bkv_kind_name (BkvKind kind);
BkvKind bkv_kind_parse (const char *name);
BkvKind bkv_kind_of (guint16 cmd, guint16 sub, gboolean up);
const char *bkv_error_name (BkvError error); /* NULL for BKV_OK */

/* ---- JSON, as in the vector files ------------------------------------------------- */

/* One good frame. (transfer full) */
json_t *bkv_frame_json (const guint8 *p, gsize n);
/* Any bytes: a frame, or a stream of frames, garbage and a rest. (transfer full) */
json_t *bkv_decode_json (const guint8 *p, gsize n);

/**
 * bkv_from_json:
 * @decoded: object with `name`, `gateway_id`, `msg_id` and `fields`
 * @frame: (out caller-allocates): ready for bkv_encode()
 * @error: (out): constant or interned text, what could not be taken
 *
 * `cmd`, `sub` and `bkv_seq` are taken when they are there.
 */
gboolean bkv_from_json (const json_t *decoded, BkvFrame *frame, const char **error);

/* Writes `tlvs`; returns the size, 0 when it is malformed or too long. */
gsize bkv_tlvs_from_json (const json_t *tlvs, guint8 *out, gsize max);
/* Adds header, length, checksum and tail around a payload; 0 when it does not fit. */
gsize bkv_wrap (const BkvFrame *frame, const guint8 *payload, gsize size, guint8 *out,
                gsize max);

G_END_DECLS

#include "proto-bkv/wire/units.h"
