/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event reports (0x1010) and the record at connect (0x1013): alarms (bkv 12.3, 12.4). */
#include "proto-bkv/bkv.h"
#include <string.h>

#define COPY_MS 60000 /* the same report within this time is a repeat */

static void answer (BkvSession *session, const BkvFrame *frame)
{
  BkvFrame reply;

  bkv_init (&reply, BKV_EVENT_ACK, frame->gateway, frame->msg_id);
  reply.bkv_cmd = frame->bkv_cmd;
  reply.bkv_seq = frame->bkv_seq;
  BKV_SET (&reply.items, ITEM, socket, frame->items.socket);
  BKV_SET (&reply.items, ITEM, result, 1);
  bkv_send (session->bkv, session->conn, &reply, CH_WRITE_REPLY);
}

/* All fields of the report; voltages in V. (transfer full) */
static json_t *event_data (const BkvItems *items)
{
  json_t *data = json_object ();

#define ADD(member)                                                                      \
  if (BKV_HAS (items, ITEM, member))                                                     \
  json_object_set_new (data, #member, json_integer (items->member))
#define ADD_VOLT(member)                                                                 \
  if (BKV_HAS (items, ITEM, member))                                                     \
  json_object_set_new (data, #member, ch_json_milli (bkv_mv (items->member)))
  ADD (socket_event);
  ADD (socket_event_state);
  ADD (port_a_event);
  ADD (port_a_event_state);
  ADD (port_b_event);
  ADD (port_b_event_state);
  ADD_VOLT (over_voltage);
  ADD_VOLT (under_voltage);
  ADD (leak_a);
  ADD (leak_b);
  ADD (over_temp_a);
  ADD (over_temp_b);
  ADD (status_a);
  ADD (status_b);
#undef ADD
#undef ADD_VOLT
  return data;
}

static const char *event_code (const Bkv *bkv, guint event, char code[33])
{
  if (*bkv->settings.events[event].name != 0)
    return bkv->settings.events[event].name;
  g_snprintf (code, 33, "bkv_event_%u", event);
  return code;
}

static void raise_event (BkvSession *session, BkvGateway *g, gint socket, gint port,
                         guint8 event, const json_t *data)
{
  char code[33];
  ChAlarm alarm = {.socket_no = socket,
                   .port_no = port,
                   .code = event_code (session->bkv, event, code),
                   .title = "Event of a socket",
                   .level = session->bkv->settings.events[event].level,
                   .metadata = data};

  ch_alarm_raised (session->bkv->self, session->conn, g->id, &alarm);
  bkv_set_bit (g->bkv, &g->event_codes, event, TRUE);
}

/* All is well again: whatever event this gateway raised is cleared at this socket. */
static void clear_events (BkvSession *session, BkvGateway *g, gint socket)
{
  for (guint event = 1; event < 256; event++) {
    char code[33];

    if (!bkv_bit (g->event_codes, event))
      continue;
    for (gint port = -1; port <= BKV_MAX_PORT_NO; port++)
      ch_alarm_cleared (session->bkv->self, session->conn, g->id, socket, port,
                        event_code (session->bkv, event, code));
  }
}

static gboolean is_copy (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  gint64 now = ch_now_ms (session->bkv->self);
  g_autoptr (GBytes) bytes = g_bytes_new_static (frame->payload, frame->payload_size);
  guint hash = MAX (g_bytes_hash (bytes), 1);
  gboolean copy = g->event_hash == hash && now - g->event_ms < COPY_MS;

  if (!copy)
    g->event_ms = now;
  g->event_hash = hash;
  return copy;
}

gboolean bkv_on_event_report (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvItems *items = &frame->items;
  gint socket = items->socket;
  g_autoptr (json_t) data = NULL;

  if (!BKV_HAS (items, ITEM, socket))
    return FALSE;
  answer (session, frame);
  if (socket > BKV_MAX_SOCKET_NO || is_copy (session, g, frame))
    return TRUE;
  data = event_data (items);
  if (items->socket_event != 0)
    raise_event (session, g, socket, -1, items->socket_event, data);
  if (items->port_a_event != 0)
    raise_event (session, g, socket, 0, items->port_a_event, data);
  if (items->port_b_event != 0)
    raise_event (session, g, socket, 1, items->port_b_event, data);
  if (items->socket_event == 0 && items->port_a_event == 0 && items->port_b_event == 0)
    clear_events (session, g, socket);
  if (BKV_HAS (items, ITEM, status_a))
    bkv_state_status (g, session->conn, items->socket, 0, items->status_a);
  if (BKV_HAS (items, ITEM, status_b))
    bkv_state_status (g, session->conn, items->socket, 1, items->status_b);
  return TRUE;
}

gboolean bkv_on_event_record (BkvSession *session, BkvGateway *g, const BkvFrame *frame)
{
  const BkvItems *items = &frame->items;
  g_autoptr (json_t) data = json_object ();
  char code[32], time[CH_TIME_TEXT_SIZE];
  gint64 wall_ms;
  ChAlarm alarm = {.socket_no = -1,
                   .port_no = -1,
                   .code = code,
                   .title = "Record of the gateway",
                   .level = CH_ALARM_INFO,
                   .metadata = data};

  if (!BKV_HAS (items, ITEM, record))
    return FALSE;
  if (BKV_HAS (items, ITEM, socket) && items->socket <= BKV_MAX_SOCKET_NO)
    alarm.socket_no = items->socket;
  if (BKV_HAS (items, ITEM, port) && items->port <= BKV_MAX_PORT_NO)
    alarm.port_no = items->port; /* 7F is the whole socket */
  if (BKV_HAS (items, ITEM, time)
      && bkv_time_from_bcd (items->time, session->bkv->settings.utc_offset_min, &wall_ms))
    json_object_set_new (data, "time", json_string (ch_format_time (wall_ms, time)));
  g_snprintf (code, sizeof code, "bkv_record_%04x", items->record);
  ch_alarm_raised (session->bkv->self, session->conn, g->id, &alarm);
  if (session->bkv->settings.ack_event_record)
    answer (session, frame);
  return TRUE;
}
