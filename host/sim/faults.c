/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Faults of sockets, outlets and gateways (bkv 16.7). */
#include "report.h"

#include <string.h>

#define EVENT_AGAIN (10 * SIM_SECOND)
#define EVENT_SENDS 3
#define EVENT_VOLTAGE 2236

gboolean faults_set (SimGateway *gateway, SimSocket *socket, guint port, const char *name)
{
  static const struct {
    const char *name;
    guint8 bit;
  } names[] = {{"over-temp", BKV_STATUS_OVER_TEMP},
               {"over-current", BKV_STATUS_OVER_CURRENT},
               {"over-power", BKV_STATUS_OVER_POWER}};
  SimOutlet *outlet = &socket->outlets[port];
  gboolean known = FALSE;

  if (strcmp (name, "relay-stuck") == 0) {
    outlet->stuck = TRUE;
    return TRUE;
  }
  if (strcmp (name, "clear") == 0) {
    outlet->faults = 0;
    outlet->stuck = FALSE;
    known = TRUE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i].name) == 0) {
      outlet->faults |= names[i].bit;
      known = TRUE;
    }
  /* A running charge ends within its next second and reports the fault itself. */
  if (known && outlet->charge == NULL)
    socket_report (gateway, socket, 0);
  return known;
}

void faults_offline (SimGateway *gateway, SimSocket *socket, gboolean offline)
{
  socket->offline = offline;
  socket_report (gateway, socket, 0);
}

/* ---- events ----------------------------------------------------------------------- */

static void send_event (SimGateway *gateway)
{
  SimEvent *event = gateway->event_report;
  const SimSocket *socket = socket_find (gateway, event->socket);
  BkvFrame frame;
  BkvItems *items = &frame.items;

  bkv_init (&frame, BKV_EVENT_REPORT, gateway->id, 0);
  BKV_SET (items, ITEM, socket, event->socket);
  BKV_SET (items, ITEM, socket_event, event->codes[0]);
  BKV_SET (items, ITEM, socket_event_state, event->codes[0] != 0);
  BKV_SET (items, ITEM, port_a_event, event->codes[1]);
  BKV_SET (items, ITEM, port_a_event_state, event->codes[1] != 0);
  BKV_SET (items, ITEM, port_b_event, event->codes[2]);
  BKV_SET (items, ITEM, port_b_event_state, event->codes[2] != 0);
  BKV_SET (items, ITEM, over_voltage, EVENT_VOLTAGE);
  BKV_SET (items, ITEM, under_voltage, EVENT_VOLTAGE);
  BKV_SET (items, ITEM, leak_a, 0);
  BKV_SET (items, ITEM, leak_b, 0);
  BKV_SET (items, ITEM, over_temp_a, 0);
  BKV_SET (items, ITEM, over_temp_b, 0);
  BKV_SET (items, ITEM, status_a,
           socket != NULL ? socket_status (gateway, socket, 0) : 0);
  BKV_SET (items, ITEM, status_b,
           socket != NULL ? socket_status (gateway, socket, 1) : 0);
  event->sends++;
  timer_arm (gateway->sim->loop, &gateway->event, EVENT_AGAIN);
  frame_send (gateway, &frame);
}

void faults_event (SimGateway *gateway, guint8 socket, const guint8 codes[3])
{
  if (gateway->phase != SIM_READY)
    return;
  g_free (gateway->event_report);
  gateway->event_report = g_new0 (SimEvent, 1);
  gateway->event_report->socket = socket;
  memcpy (gateway->event_report->codes, codes, 3);
  send_event (gateway);
}

void faults_event_timer (gpointer data)
{
  SimGateway *gateway = data;

  if (gateway->event_report == NULL)
    return;
  if (gateway->event_report->sends < EVENT_SENDS)
    send_event (gateway);
  else
    g_clear_pointer (&gateway->event_report, g_free);
}

void faults_event_acknowledged (SimGateway *gateway, const BkvFrame *frame)
{
  if (owed_take (gateway, BKV_EVENT_ACK, frame->items.socket, NULL))
    gateway->sim->counters.events_answered++;
  if (gateway->event_report == NULL || !BKV_HAS (&frame->items, ITEM, result)
      || gateway->event_report->socket != frame->items.socket)
    return;
  timer_stop (gateway->sim->loop, &gateway->event);
  g_clear_pointer (&gateway->event_report, g_free);
}

/* ---- power cut -------------------------------------------------------------------- */

/* The gateway falls silent without a FIN, nothing is counted, and when the power is back
 * the end reports of what charged wait in the store. */
void faults_power_cut (SimGateway *gateway, gint64 wait)
{
  gateway_close (gateway, SIM_ABANDON, "power cut", wait);
  charging_power_cut (gateway);
}
