/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames for people: the main fields in one line. */
#include "report.h"

#include <string.h>

static void put_status (GString *text, guint8 status)
{
  static const struct {
    guint8 bit;
    const char *word;
  } words[] = {{BKV_STATUS_NO_LOAD, " without load"},
               {BKV_STATUS_OVER_TEMP, " over-temperature"},
               {BKV_STATUS_OVER_CURRENT, " over-current"},
               {BKV_STATUS_OVER_POWER, " over-power"},
               {BKV_STATUS_METER, " meter fault"}};

  if ((status & BKV_STATUS_ONLINE) == 0)
    g_string_append (text, "off line");
  else
    g_string_append (text, (status & BKV_STATUS_CHARGING) != 0 ? "charging" : "idle");
  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if ((status & words[i].bit) != 0)
      g_string_append (text, words[i].word);
}

static void put_outlet (GString *text, guint socket, guint port)
{
  if (port <= 1)
    g_string_append_printf (text, "%u%c", socket, 'A' + (int) port);
  else
    g_string_append_printf (text, "%u/%u", socket, port);
}

static void put_tenths (GString *text, guint value, const char *unit)
{
  g_string_append_printf (text, "  %u.%u %s", value / 10, value % 10, unit);
}

static void put_figures (GString *text, guint power, guint current, guint energy,
                         guint duration)
{
  put_tenths (text, power, "W");
  g_string_append_printf (text, "  %u mA  %u Wh  %u min", current, energy, duration);
}

static void put_socket (GString *text, const BkvSocket *socket)
{
  g_string_append_printf (text, "socket %u:", socket->socket);
  for (guint i = 0; i < socket->n_ports; i++) {
    const BkvPort *port = &socket->ports[i];
    g_string_append_printf (text, "%s %c ", i > 0 ? " |" : "", 'A' + port->port % 26);
    put_status (text, port->status);
    if ((port->status & BKV_STATUS_CHARGING) == 0)
      continue;
    g_string_append_printf (text, " #%u", port->business_no);
    put_figures (text, port->power, port->current, port->energy, port->duration);
    put_tenths (text, port->voltage, "V");
  }
}

static void put_bcd (GString *text, const guint8 *t)
{
  g_string_append_printf (text, "%02X%02X-%02X-%02X %02X:%02X:%02X", t[0], t[1], t[2],
                          t[3], t[4], t[5], t[6]);
}

static void put_steps (GString *text, const BkvStep *steps, guint n)
{
  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s %u W %u/%u", i > 0 ? "," : "",
                            steps[i].power_limit / 10u, steps[i].price, steps[i].minutes);
}

static const char *done (guint result)
{
  return result == 1 ? "done" : "refused";
}

static void put_card (GString *text, const guint8 *card)
{
  char hex[13];
  bkv_hex (card, 6, hex);
  g_string_append_printf (text, "  card %s", hex);
}

static void put_end (GString *text, const BkvFrame *frame)
{
  const BkvEnd *end = &frame->end;

  put_outlet (text, end->socket, end->port);
  g_string_append_printf (text, " #%u  ended, status %02X", end->business_no,
                          end->status);
  put_figures (text, end->power, end->current, end->energy, end->duration);
  if (frame->kind == BKV_POWER_CHARGE_END)
    g_string_append_printf (text, "  %u cent  reason %u", end->amount, end->reason);
  if (frame->kind == BKV_CARD_CHARGE_END)
    put_card (text, end->card);
}

static void put_control (GString *text, const BkvControl *control)
{
  put_outlet (text, control->socket, control->port);
  if (control->switch_on == 0)
    g_string_append (text, " off");
  else if (control->mode == 1)
    g_string_append_printf (text, " on for %u min", control->minutes);
  else
    g_string_append_printf (text, " on for %u Wh, at most %u min", control->energy,
                            control->minutes);
}

static void put_items (GString *text, const BkvFrame *frame)
{
  const BkvItems *items = &frame->items;

  if (BKV_HAS (items, ITEM, socket)) {
    if (BKV_HAS (items, ITEM, port) && items->port <= 1)
      put_outlet (text, items->socket, items->port);
    else
      g_string_append_printf (text, "socket %u", items->socket);
  }
  if (BKV_HAS (items, ITEM, business_no))
    g_string_append_printf (text, " #%u", items->business_no);
  if (BKV_HAS (items, ITEM, result))
    g_string_append_printf (text, " %s", done (items->result));
  if (frame->kind == BKV_FEE_CHARGE_END) {
    put_figures (text, items->power, items->current, items->energy, items->duration);
    g_string_append_printf (text, "  %u + %u cent", items->electricity_amount,
                            items->service_amount);
  }
  if (BKV_HAS (items, ITEM, record)) {
    g_string_append_printf (text, "  record %04X at ", items->record);
    put_bcd (text, items->time);
  }
  if (frame->kind == BKV_EVENT_REPORT)
    g_string_append_printf (text, "  events: socket %u, A %u, B %u", items->socket_event,
                            items->port_a_event, items->port_b_event);
  for (guint i = 0; i < items->n_sockets && BKV_HAS (items, ITEM, sockets); i++)
    put_socket (text, &items->sockets[i]);
}

static void put_commands (GString *text, const BkvFrame *frame)
{
  switch (frame->kind) {
  case BKV_NET_REFRESH:
    g_string_append_printf (text, "channel %u, %u sockets", frame->net_refresh.channel,
                            frame->net_refresh.n_nodes);
    break;
  case BKV_NET_ADD:
    g_string_append_printf (text, "socket %u", frame->node.socket);
    break;
  case BKV_NET_DELETE:
  case BKV_QUERY_SOCKET:
    g_string_append_printf (text, "socket %u", frame->socket_no.socket);
    break;
  case BKV_CONTROL:
    put_control (text, &frame->control);
    break;
  case BKV_POWER_START:
    put_outlet (text, frame->power_start.socket, frame->power_start.port);
    g_string_append_printf (text, " on for %u cent:", frame->power_start.amount);
    put_steps (text, frame->power_start.levels, frame->power_start.n_levels);
    break;
  case BKV_SET_VOICE:
    g_string_append_printf (text, "socket %u  buzzer %u voice %u, %u periods",
                            frame->set_voice.socket, frame->set_voice.buzzer,
                            frame->set_voice.voice, frame->set_voice.n_periods);
    break;
  case BKV_OTA_START:
    g_string_append_printf (text, "%s from %u.%u.%u.%u", frame->ota_start.file,
                            frame->ota_start.ftp_ip[0], frame->ota_start.ftp_ip[1],
                            frame->ota_start.ftp_ip[2], frame->ota_start.ftp_ip[3]);
    break;
  default:
    break;
  }
}

static void put_cards (GString *text, const BkvFrame *frame)
{
  switch (frame->kind) {
  case BKV_CARD_SWIPE:
    put_outlet (text, frame->card_swipe.socket, frame->card_swipe.port);
    g_string_append_printf (text, " #%u", frame->card_swipe.business_no);
    put_card (text, frame->card_swipe.card);
    break;
  case BKV_CARD_CHARGE:
    put_outlet (text, frame->card_charge.socket, frame->card_charge.port);
    g_string_append_printf (
        text, " #%u %s  mode %u  %u min  %u Wh", frame->card_charge.business_no,
        frame->card_charge.switch_on != 0 ? "on" : "refused", frame->card_charge.mode,
        frame->card_charge.minutes, frame->card_charge.energy);
    break;
  case BKV_BALANCE_QUERY:
  case BKV_BALANCE_REPLY:
    put_outlet (text, frame->balance.socket, frame->balance.port);
    put_card (text, frame->balance.card);
    if (frame->kind == BKV_BALANCE_REPLY)
      g_string_append_printf (text, "  %u cent", frame->balance.balance);
    break;
  default:
    break;
  }
}

static void put_answers (GString *text, const BkvFrame *frame)
{
  switch (frame->kind) {
  case BKV_HEARTBEAT:
    g_string_append_printf (text, "iccid %s  firmware %s  signal %u",
                            frame->heartbeat.iccid, frame->heartbeat.fw,
                            frame->heartbeat.signal);
    break;
  case BKV_HEARTBEAT_ACK:
    put_bcd (text, frame->heartbeat_ack.time);
    break;
  case BKV_NET_REFRESH_ACK:
  case BKV_NET_ADD_ACK:
  case BKV_NET_DELETE_ACK:
    g_string_append (text, done (frame->result.result));
    break;
  case BKV_CONTROL_ACK:
  case BKV_POWER_START_ACK:
    put_outlet (text, frame->control_ack.socket, frame->control_ack.port);
    g_string_append_printf (text, " %s #%u", done (frame->control_ack.result),
                            frame->control_ack.business_no);
    break;
  case BKV_CARD_ORDER_ACK:
  case BKV_SET_VOICE_ACK:
    put_outlet (text, frame->port_result.socket, frame->port_result.port);
    g_string_append_printf (text, " %s", done (frame->port_result.result));
    break;
  case BKV_CHARGE_END_ACK:
  case BKV_CHARGE_END_ACK_ECHO:
  case BKV_POWER_CHARGE_END_ACK_ECHO:
    g_string_append_printf (text, "socket %u %s", frame->end_ack.socket,
                            done (frame->end_ack.result));
    break;
  case BKV_SOCKET_STATE:
    put_socket (text, &frame->socket_state);
    break;
  case BKV_CHARGE_END:
  case BKV_POWER_CHARGE_END:
  case BKV_CARD_CHARGE_END:
    put_end (text, frame);
    break;
  default:
    break;
  }
}

void human_fields (const BkvFrame *frame, GString *text)
{
  if (frame->error != BKV_OK && frame->error != BKV_TLV_LENGTH) {
    g_string_append (text, bkv_error_name (frame->error));
    return;
  }
  if (frame->cmd == 0x1000)
    put_items (text, frame);
  else {
    put_answers (text, frame);
    put_commands (text, frame);
    put_cards (text, frame);
  }
}
