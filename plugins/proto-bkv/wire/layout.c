/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables: what stands where in which frame. */
#include "proto-bkv/wire/layout.h"

/* Rows of a table; S is the record. */
#define ROW(S, type_, size_, label, member)                                              \
  {                                                                                      \
    .name = label, .type = type_, .size = size_, .offset = G_STRUCT_OFFSET (S, member)   \
  }
#define U8(S, member) ROW (S, BKV_TYPE_U8, 1, #member, member)
#define S8(S, member) ROW (S, BKV_TYPE_S8, 1, #member, member)
#define U16(S, member) ROW (S, BKV_TYPE_U16, 2, #member, member)
#define SWITCH(S) ROW (S, BKV_TYPE_U8, 1, "switch", switch_on)
#define HEX(S, member, size) ROW (S, BKV_TYPE_HEX, size, #member, member)
#define LIST(S, member, list_)                                                           \
  {                                                                                      \
    .name = #member, .type = BKV_TYPE_LIST, .offset = G_STRUCT_OFFSET (S, member),       \
    .list = &list_                                                                       \
  }
#define END                                                                              \
  {                                                                                      \
    .name = NULL                                                                         \
  }

#define ITEM_ROW(S, tag_, label, type_, size_, member)                                   \
  {.name = label,                                                                        \
   .type = BKV_TYPE_##type_,                                                             \
   .tag = tag_,                                                                          \
   .size = size_,                                                                        \
   .offset = G_STRUCT_OFFSET (S, member)},
#define PORT_ROW(tag, name, type, size, ctype, member, array)                            \
  ITEM_ROW (BkvPort, tag, name, type, size, member)
#define SOCKET_ROW(tag, name, type, size, ctype, member, array)                          \
  ITEM_ROW (BkvSocket, tag, name, type, size, member)
#define TOP_ROW(tag, name, type, size, ctype, member, array)                             \
  ITEM_ROW (BkvItems, tag, name, type, size, member)
#define PORT_TAG(tag, name, type, size, ctype, member, array)                            \
  [tag] = BKV_PORT_##member + 1,
#define SOCKET_TAG(tag, name, type, size, ctype, member, array)                          \
  [tag] = BKV_SOCKET_##member + 1,
#define TOP_TAG(tag, name, type, size, ctype, member, array)                             \
  [tag] = BKV_ITEM_##member + 1,

/* ---- lists ------------------------------------------------------------------------ */

static const BkvField node_fields[] = {
    U8 (BkvNode, socket),
    HEX (BkvNode, mac, 6),
    END,
};
static const BkvList node_list = {
    .max = BKV_MAX_NODES,
    .size = sizeof (BkvNode),
    .wire_size = 7,
    .count_offset = G_STRUCT_OFFSET (BkvNetRefresh, n_nodes),
    .fields = node_fields,
};

static const BkvField step_fields[] = {
    U16 (BkvStep, power_limit),
    U16 (BkvStep, price),
    U16 (BkvStep, minutes),
    END,
};
static const BkvList power_start_steps = {
    .counted = TRUE,
    .max = BKV_MAX_STEPS,
    .size = sizeof (BkvStep),
    .wire_size = 6,
    .count_offset = G_STRUCT_OFFSET (BkvPowerStart, n_levels),
    .fields = step_fields,
};
static const BkvList card_charge_steps = {
    .counted = TRUE,
    .max = BKV_MAX_STEPS,
    .size = sizeof (BkvStep),
    .wire_size = 6,
    .count_offset = G_STRUCT_OFFSET (BkvCardCharge, n_levels),
    .fields = step_fields,
};
static const BkvList end_minutes = {
    .counted = TRUE,
    .max = BKV_MAX_STEPS,
    .size = 2,
    .wire_size = 2,
    .count_offset = G_STRUCT_OFFSET (BkvEnd, n_levels),
};

static const BkvField period_fields[] = {
    U8 (BkvPeriod, start_hour),
    U8 (BkvPeriod, start_min),
    U8 (BkvPeriod, end_hour),
    U8 (BkvPeriod, end_min),
    END,
};
static const BkvList period_list = {
    .counted = TRUE,
    .max = BKV_MAX_PERIODS,
    .size = sizeof (BkvPeriod),
    .wire_size = 4,
    .count_offset = G_STRUCT_OFFSET (BkvSetVoice, n_periods),
    .fields = period_fields,
};

static const BkvField fee_period_fields[] = {
    U8 (BkvFeePeriod, end_hour),
    U8 (BkvFeePeriod, end_min),
    U16 (BkvFeePeriod, electricity_price),
    U16 (BkvFeePeriod, service_price),
    END,
};
static const BkvList fee_period_list = {
    .max = BKV_MAX_FEES,
    .size = sizeof (BkvFeePeriod),
    .wire_size = 6,
    .count_offset = G_STRUCT_OFFSET (BkvItems, n_fee_periods),
    .fields = fee_period_fields,
};
static const BkvField fee_usage_fields[] = {
    U16 (BkvFeeUsage, minutes),
    ROW (BkvFeeUsage, BKV_TYPE_HEX, 4, "rest_hex", rest),
    END,
};
static const BkvList fee_usage_list = {
    .max = BKV_MAX_FEES,
    .size = sizeof (BkvFeeUsage),
    .wire_size = 6,
    .count_offset = G_STRUCT_OFFSET (BkvItems, n_fee_usage),
    .fields = fee_usage_fields,
};

/* ---- records of items ------------------------------------------------------------- */

static const BkvField port_fields[] = {BKV_PORT_FIELDS (PORT_ROW) END};
static const guint8 port_tags[256] = {BKV_PORT_FIELDS (PORT_TAG)};
const BkvRecord bkv_port_record = {port_fields, port_tags};

static const BkvList port_containers = {
    .masked = TRUE,
    .max = BKV_MAX_PORTS,
    .size = sizeof (BkvPort),
    .count_offset = G_STRUCT_OFFSET (BkvSocket, n_ports),
    .fields = port_fields,
};
static const BkvField socket_fields[] = {
    BKV_SOCKET_FIELDS (SOCKET_ROW) {.name = "ports",
                                    .type = BKV_TYPE_LIST,
                                    .tag = 0x5B,
                                    .offset = G_STRUCT_OFFSET (BkvSocket, ports),
                                    .list = &port_containers},
    END,
};
static const guint8 socket_tags[256] = {
    BKV_SOCKET_FIELDS (SOCKET_TAG)[0x5B] = BKV_SOCKET_ports + 1,
};
const BkvRecord bkv_socket_record = {socket_fields, socket_tags};

static const BkvList socket_containers = {
    .masked = TRUE,
    .max = BKV_MAX_SOCKETS,
    .size = sizeof (BkvSocket),
    .count_offset = G_STRUCT_OFFSET (BkvItems, n_sockets),
    .fields = socket_fields,
};
static const BkvField item_fields[] = {
    BKV_ITEM_FIELDS (TOP_ROW) {.name = "fee_periods",
                               .type = BKV_TYPE_LIST,
                               .tag = 0x83,
                               .offset = G_STRUCT_OFFSET (BkvItems, fee_periods),
                               .list = &fee_period_list},
    {.name = "fee_usage",
     .type = BKV_TYPE_LIST,
     .tag = 0x84,
     .offset = G_STRUCT_OFFSET (BkvItems, fee_usage),
     .list = &fee_usage_list},
    {.name = "sockets",
     .type = BKV_TYPE_LIST,
     .tag = 0x94,
     .offset = G_STRUCT_OFFSET (BkvItems, sockets),
     .list = &socket_containers},
    END,
};
static const guint8 item_tags[256] = {
    BKV_ITEM_FIELDS (TOP_TAG)[0x83] = BKV_ITEM_fee_periods + 1,
    [0x84] = BKV_ITEM_fee_usage + 1,
    [0x94] = BKV_ITEM_sockets + 1,
};
const BkvRecord bkv_item_record = {item_fields, item_tags};

/* ---- fixed payloads --------------------------------------------------------------- */

static const BkvField heartbeat_fields[] = {
    ROW (BkvHeartbeat, BKV_TYPE_ASCII, 20, "iccid", iccid),
    ROW (BkvHeartbeat, BKV_TYPE_FW, 8, "fw", fw),
    U8 (BkvHeartbeat, signal),
    END,
};
static const BkvField heartbeat_ack_fields[] = {
    ROW (BkvHeartbeatAck, BKV_TYPE_BCD7, 7, "time", time),
    END,
};
static const BkvField result_fields[] = {U8 (BkvResult, result), END};
static const BkvField socket_no_fields[] = {U8 (BkvSocketNo, socket), END};
static const BkvField net_refresh_fields[] = {
    U8 (BkvNetRefresh, channel),
    LIST (BkvNetRefresh, nodes, node_list),
    END,
};
static const BkvField ota_start_fields[] = {
    U8 (BkvOtaStart, target),
    ROW (BkvOtaStart, BKV_TYPE_IP4, 4, "ftp_ip", ftp_ip),
    U16 (BkvOtaStart, ftp_port),
    ROW (BkvOtaStart, BKV_TYPE_ASCII, 13, "file", file),
    END,
};
static const BkvField control_fields[] = {
    U8 (BkvControl, socket),
    U8 (BkvControl, port),
    SWITCH (BkvControl),
    U8 (BkvControl, mode),
    U16 (BkvControl, minutes),
    U16 (BkvControl, energy),
    END,
};
static const BkvField control_ack_fields[] = {
    U8 (BkvControlAck, result),
    U8 (BkvControlAck, socket),
    U8 (BkvControlAck, port),
    U16 (BkvControlAck, business_no),
    END,
};
static const BkvField power_start_fields[] = {
    U8 (BkvPowerStart, socket),
    U8 (BkvPowerStart, port),
    SWITCH (BkvPowerStart),
    U16 (BkvPowerStart, amount),
    LIST (BkvPowerStart, levels, power_start_steps),
    END,
};

#define END_HEAD                                                                         \
  U8 (BkvEnd, socket), U16 (BkvEnd, fw), S8 (BkvEnd, temp), U8 (BkvEnd, rssi),           \
      U8 (BkvEnd, port), U8 (BkvEnd, status), U16 (BkvEnd, business_no),                 \
      U16 (BkvEnd, power), U16 (BkvEnd, current), U16 (BkvEnd, energy),                  \
      U16 (BkvEnd, duration)
#define END_TAIL                                                                         \
  U16 (BkvEnd, amount), U16 (BkvEnd, settle_power), LIST (BkvEnd, levels, end_minutes)

static const BkvField charge_end_fields[] = {END_HEAD, END};
static const BkvField power_charge_end_fields[] = {
    END_HEAD,
    ROW (BkvEnd, BKV_TYPE_DT7, 7, "end_time", end_time),
    U8 (BkvEnd, reason),
    END_TAIL,
    END,
};
static const BkvField card_charge_end_fields[] = {
    END_HEAD, HEX (BkvEnd, card, 6), U8 (BkvEnd, card_type), U8 (BkvEnd, mode), END_TAIL,
    END,
};
static const BkvField end_ack_fields[] = {
    U8 (BkvEndAck, socket),
    U8 (BkvEndAck, result),
    END,
};
static const BkvField card_swipe_fields[] = {
    U8 (BkvCardSwipe, socket),
    U8 (BkvCardSwipe, port),
    U16 (BkvCardSwipe, business_no),
    U8 (BkvCardSwipe, status),
    HEX (BkvCardSwipe, card, 6),
    ROW (BkvCardSwipe, BKV_TYPE_HEX, 20, "offline_hex", offline),
    END,
};
static const BkvField card_charge_fields[] = {
    U8 (BkvCardCharge, socket),
    U8 (BkvCardCharge, port),
    U16 (BkvCardCharge, business_no),
    SWITCH (BkvCardCharge),
    U8 (BkvCardCharge, mode),
    U16 (BkvCardCharge, minutes),
    U16 (BkvCardCharge, energy),
    {.name = "amount",
     .type = BKV_TYPE_U16,
     .size = 2,
     .offset = G_STRUCT_OFFSET (BkvCardCharge, amount),
     .steps_only = TRUE},
    {.name = "levels",
     .type = BKV_TYPE_LIST,
     .offset = G_STRUCT_OFFSET (BkvCardCharge, levels),
     .steps_only = TRUE,
     .list = &card_charge_steps},
    END,
};
static const BkvField port_result_fields[] = {
    U8 (BkvPortResult, socket),
    U8 (BkvPortResult, port),
    U8 (BkvPortResult, result),
    END,
};
static const BkvField balance_query_fields[] = {
    U8 (BkvBalance, socket),
    U8 (BkvBalance, port),
    HEX (BkvBalance, card, 6),
    END,
};
static const BkvField balance_reply_fields[] = {
    U8 (BkvBalance, socket),
    U8 (BkvBalance, port),
    HEX (BkvBalance, card, 6),
    ROW (BkvBalance, BKV_TYPE_U32, 4, "balance", balance),
    END,
};
static const BkvField set_voice_fields[] = {
    U8 (BkvSetVoice, socket),
    U8 (BkvSetVoice, port),
    U8 (BkvSetVoice, buzzer),
    U8 (BkvSetVoice, voice),
    LIST (BkvSetVoice, periods, period_list),
    END,
};
static const BkvList port_entries = {
    .masked = TRUE,
    .max = BKV_MAX_PORTS,
    .size = sizeof (BkvPort),
    .wire_size = 14,
    .count_offset = G_STRUCT_OFFSET (BkvSocket, n_ports),
    .fields = port_fields,
};
static const BkvField socket_state_fields[] = {
    BKV_SOCKET_FIELDS (SOCKET_ROW) LIST (BkvSocket, ports, port_entries),
    END,
};

/* ---- frames ----------------------------------------------------------------------- */

/* Zeroed before decoding: all of a small record, the head of one with long lists. */
#define FIXED(kind, label, cmd_, sub_, up_, form_, S, member, clear_, fields_)           \
  [kind] = {.name = label,                                                               \
            .cmd = cmd_,                                                                 \
            .sub = sub_,                                                                 \
            .up = up_,                                                                   \
            .form = form_,                                                               \
            .offset = G_STRUCT_OFFSET (BkvFrame, member),                                \
            .clear = clear_,                                                             \
            .fields = fields_}
#define PLAIN(kind, label, cmd, up, S, member, fields)                                   \
  FIXED (kind, label, cmd, 0, up, BKV_FORM_PLAIN, S, member, sizeof (S), fields)
#define INNER(kind, label, cmd, sub, up, S, member, fields)                              \
  FIXED (kind, label, cmd, sub, up, BKV_FORM_INNER, S, member, sizeof (S), fields)
#define ITEMS(kind, label, sub_, up_, order_)                                            \
  [kind] = {.name = label,                                                               \
            .cmd = 0x1000,                                                               \
            .sub = sub_,                                                                 \
            .up = up_,                                                                   \
            .form = BKV_FORM_ITEMS,                                                      \
            .offset = G_STRUCT_OFFSET (BkvFrame, items),                                 \
            .clear = G_STRUCT_OFFSET (BkvItems, fee_periods),                            \
            .masked = TRUE,                                                              \
            .fields = item_fields,                                                       \
            .order = order_}

static const BkvLayout layouts[BKV_KIND_N] = {
    [BKV_UNKNOWN] = {.name = "unknown"},
    PLAIN (BKV_HEARTBEAT, "heartbeat", 0x0000, TRUE, BkvHeartbeat, heartbeat,
           heartbeat_fields),
    PLAIN (BKV_HEARTBEAT_ACK, "heartbeat_ack", 0x0000, FALSE, BkvHeartbeatAck,
           heartbeat_ack, heartbeat_ack_fields),
    ITEMS (BKV_STATUS_REPORT, "status_report", 0x1017, TRUE, "\x4A\x94"),
    ITEMS (BKV_STATUS_ACK, "status_ack", 0x1017, FALSE, "\x0F"),
    INNER (BKV_CHARGE_END, "charge_end", 0x0015, 0x02, TRUE, BkvEnd, end,
           charge_end_fields),
    INNER (BKV_CHARGE_END_ACK_ECHO, "charge_end_ack_echo", 0x0015, 0x02, FALSE, BkvEndAck,
           end_ack, end_ack_fields),
    INNER (BKV_CONTROL, "control", 0x0015, 0x07, FALSE, BkvControl, control,
           control_fields),
    INNER (BKV_CONTROL_ACK, "control_ack", 0x0015, 0x07, TRUE, BkvControlAck, control_ack,
           control_ack_fields),
    [BKV_SOCKET_STATE] = {.name = "socket_state",
                          .cmd = 0x0015,
                          .sub = 0x1C,
                          .up = TRUE,
                          .form = BKV_FORM_INNER,
                          .offset = G_STRUCT_OFFSET (BkvFrame, socket_state),
                          .clear = sizeof (BkvSocket),
                          .masked = TRUE,
                          .fields = socket_state_fields},
    INNER (BKV_QUERY_SOCKET, "query_socket", 0x0015, 0x1D, FALSE, BkvSocketNo, socket_no,
           socket_no_fields),
    INNER (BKV_CARD_SWIPE, "card_swipe", 0x0015, 0x0B, TRUE, BkvCardSwipe, card_swipe,
           card_swipe_fields),
    INNER (BKV_CARD_CHARGE, "card_charge", 0x0015, 0x0B, FALSE, BkvCardCharge,
           card_charge, card_charge_fields),
    INNER (BKV_CARD_CHARGE_END, "card_charge_end", 0x0015, 0x0C, TRUE, BkvEnd, end,
           card_charge_end_fields),
    INNER (BKV_CHARGE_END_ACK, "charge_end_ack", 0x0015, 0x0C, FALSE, BkvEndAck, end_ack,
           end_ack_fields),
    INNER (BKV_CARD_ORDER_ACK, "card_order_ack", 0x0015, 0x0F, TRUE, BkvPortResult,
           port_result, port_result_fields),
    INNER (BKV_POWER_START, "power_start", 0x0015, 0x17, FALSE, BkvPowerStart,
           power_start, power_start_fields),
    INNER (BKV_POWER_START_ACK, "power_start_ack", 0x0015, 0x17, TRUE, BkvControlAck,
           control_ack, control_ack_fields),
    INNER (BKV_POWER_CHARGE_END, "power_charge_end", 0x0015, 0x18, TRUE, BkvEnd, end,
           power_charge_end_fields),
    INNER (BKV_POWER_CHARGE_END_ACK_ECHO, "power_charge_end_ack_echo", 0x0015, 0x18,
           FALSE, BkvEndAck, end_ack, end_ack_fields),
    INNER (BKV_BALANCE_QUERY, "balance_query", 0x0015, 0x1A, TRUE, BkvBalance, balance,
           balance_query_fields),
    INNER (BKV_BALANCE_REPLY, "balance_reply", 0x0015, 0x1A, FALSE, BkvBalance, balance,
           balance_reply_fields),
    INNER (BKV_SET_VOICE, "set_voice", 0x0015, 0x1B, FALSE, BkvSetVoice, set_voice,
           set_voice_fields),
    INNER (BKV_SET_VOICE_ACK, "set_voice_ack", 0x0015, 0x1B, TRUE, BkvPortResult,
           port_result, port_result_fields),
    FIXED (BKV_NET_REFRESH, "net_refresh", 0x0005, 0x08, FALSE, BKV_FORM_INNER,
           BkvNetRefresh, net_refresh, G_STRUCT_OFFSET (BkvNetRefresh, nodes),
           net_refresh_fields),
    INNER (BKV_NET_REFRESH_ACK, "net_refresh_ack", 0x0005, 0x08, TRUE, BkvResult, result,
           result_fields),
    INNER (BKV_NET_ADD, "net_add", 0x0005, 0x09, FALSE, BkvNode, node, node_fields),
    INNER (BKV_NET_ADD_ACK, "net_add_ack", 0x0005, 0x09, TRUE, BkvResult, result,
           result_fields),
    INNER (BKV_NET_DELETE, "net_delete", 0x0005, 0x0A, FALSE, BkvSocketNo, socket_no,
           socket_no_fields),
    INNER (BKV_NET_DELETE_ACK, "net_delete_ack", 0x0005, 0x0A, TRUE, BkvResult, result,
           result_fields),
    PLAIN (BKV_OTA_START, "ota_start", 0x0007, FALSE, BkvOtaStart, ota_start,
           ota_start_fields),
    [BKV_OTA_ACK] = {.name = "ota_ack", .cmd = 0x0007, .up = TRUE},
    ITEMS (BKV_FEE_CHARGE_END, "fee_charge_end", 0x1004, TRUE,
           "\x07\x4A\x08\x09\x0A\x0B\x0C\x0D\x0E\x2E\x2F\x12\x85\x86\x89\x84"),
    ITEMS (BKV_FEE_CHARGE_END_ACK, "fee_charge_end_ack", 0x1004, FALSE, "\x0F\x4A\x08"),
    ITEMS (BKV_FEE_START, "fee_start", 0x1007, FALSE,
           "\x4A\x08\x13\x12\x47\xF4\x88\x80\x89\x83"),
    ITEMS (BKV_FEE_START_ACK, "fee_start_ack", 0x1007, TRUE, "\x4A\x08\x0A\x0F"),
    ITEMS (BKV_EVENT_REPORT, "event_report", 0x1010, TRUE,
           "\x4A\x54\x4B\x55\x4C\x56\x4D\x4E\x4F\x50\x51\x52\x53\x57\x58"),
    ITEMS (BKV_EVENT_ACK, "event_ack", 0x1010, FALSE, "\x4A\x0F"),
    ITEMS (BKV_PARAM_SET, "param_set", 0x1011, FALSE, "\x4A\x21\x22\x23\x24\x25\x11\x59"),
    ITEMS (BKV_PARAM_SET_ACK, "param_set_ack", 0x1011, TRUE, "\x4A\x0F"),
    ITEMS (BKV_PARAM_QUERY, "param_query", 0x1012, FALSE, "\x4A"),
    ITEMS (BKV_PARAM_QUERY_REPLY, "param_query_reply", 0x1012, TRUE,
           "\x4A\x0F\x23\x60\x21\x24\x22\x59\x25\x11\x10\x68\x93\x98\x99\x9A\x9B"),
    ITEMS (BKV_EVENT_RECORD, "event_record", 0x1013, TRUE, "\x4A\x08\x06\x5A"),
};

/* Second forms of a kind (bkv 17, numbers 6 and 7). */
static const struct {
  BkvKind kind;
  guint16 cmd, sub;
  gboolean up;
} aliases[] = {
    {BKV_SOCKET_STATE, 0x0015, 0x1D, TRUE},
    {BKV_POWER_START, 0x0005, 0x17, FALSE},
    {BKV_POWER_START_ACK, 0x0005, 0x17, TRUE},
};

const BkvLayout *bkv_layout (BkvKind kind)
{
  return &layouts[(guint) kind < BKV_KIND_N ? kind : BKV_UNKNOWN];
}

const char *bkv_kind_name (BkvKind kind)
{
  return bkv_layout (kind)->name;
}

BkvKind bkv_kind_parse (const char *name)
{
  for (guint i = 1; i < BKV_KIND_N; i++)
    if (strcmp (layouts[i].name, name) == 0)
      return (BkvKind) i;
  return BKV_UNKNOWN;
}

BkvForm bkv_form (guint16 cmd)
{
  switch (cmd) {
  case 0x0005:
  case 0x0015:
    return BKV_FORM_INNER;
  case 0x1000:
    return BKV_FORM_ITEMS;
  case 0x0000:
  case 0x0007:
    return BKV_FORM_PLAIN;
  default:
    return BKV_FORM_RAW;
  }
}

BkvKind bkv_kind_of (guint16 cmd, guint16 sub, gboolean up)
{
  for (guint i = 1; i < BKV_KIND_N; i++)
    if (layouts[i].cmd == cmd && layouts[i].sub == sub && layouts[i].up == (up != FALSE))
      return (BkvKind) i;
  for (guint i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (aliases[i].cmd == cmd && aliases[i].sub == sub && aliases[i].up == (up != FALSE))
      return aliases[i].kind;
  return BKV_UNKNOWN;
}

const char *bkv_error_name (BkvError error)
{
  switch (error) {
  case BKV_BAD_DIRECTION:
    return "bad_direction";
  case BKV_SHORT_PAYLOAD:
    return "short_payload";
  case BKV_TLV_LENGTH:
    return "tlv_length";
  case BKV_OK:
  default:
    return NULL;
  }
}
