/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sockets behind a gateway: the list, their state in wire terms, status reports. */
#include "report.h"

#include <string.h>

#define PERIOD (300 * SIM_SECOND)
#define REPORT_GAP (200 * SIM_MS)
#define VOLTAGE_DV 2280
#define VOLTAGE_SPREAD 30
#define START_CURRENT_MA 42

/* ---- the list --------------------------------------------------------------------- */

static void socket_init (SimGateway *gateway, SimSocket *socket, guint8 number,
                         const guint8 mac[6])
{
  const SimOptions *options = &gateway->sim->options;

  memset (socket, 0, sizeof *socket);
  socket->number = number;
  memcpy (socket->mac, mac, 6);
  socket->fw = 0x5136;
  socket->temp = (gint8) random_between (gateway, 24, 32);
  socket->rssi = (guint8) random_between (gateway, 20, 32);
  socket->counter = (guint16) (options->first_number - 1);
  for (guint port = 0; port < SIM_OUTLETS; port++) {
    SimOutlet *outlet = &socket->outlets[port];
    outlet->plugged = random_unit (gateway) < options->plug;
    outlet->power_dw = (guint16) (options->power_w * 10);
    outlet->battery_wh = (guint32) options->battery_wh;
    outlet->counter = socket->counter;
  }
}

void sockets_preset (SimGateway *gateway)
{
  const SimOptions *options = &gateway->sim->options;
  guint n = options->sockets > 0 ? (guint) options->sockets : 1;

  if (options->variant.list != 0)
    return;
  gateway->sockets = g_new (SimSocket, n);
  gateway->n_sockets = (guint16) n;
  for (guint i = 0; i < n; i++) {
    guint8 number = (guint8) (options->sockets > 0 ? i + 1 : 0);
    guint32 index = gateway->index;
    guint8 mac[6] = {0x85,           0x41,  (guint8) (index >> 16), (guint8) (index >> 8),
                     (guint8) index, number};
    socket_init (gateway, &gateway->sockets[i], number, mac);
  }
}

static void socket_clear (SimSocket *socket)
{
  for (guint port = 0; port < SIM_OUTLETS; port++)
    charge_free (socket->outlets[port].charge);
  g_free (socket->params);
}

void sockets_clear (SimGateway *gateway)
{
  for (guint i = 0; i < gateway->n_sockets; i++)
    socket_clear (&gateway->sockets[i]);
  g_clear_pointer (&gateway->sockets, g_free);
  gateway->n_sockets = 0;
}

SimSocket *socket_find (const SimGateway *gateway, guint number)
{
  for (guint i = 0; i < gateway->n_sockets; i++)
    if (gateway->sockets[i].number == number)
      return &gateway->sockets[i];
  return NULL;
}

SimSocket *socket_add (SimGateway *gateway, guint8 number, const guint8 mac[6])
{
  SimSocket *socket = socket_find (gateway, number);
  if (socket != NULL) {
    memcpy (socket->mac, mac, 6);
    return socket;
  }
  gateway->sockets = g_renew (SimSocket, gateway->sockets, gateway->n_sockets + 1u);
  socket = &gateway->sockets[gateway->n_sockets++];
  socket_init (gateway, socket, number, mac);
  return socket;
}

/* A socket off the list is out of reach: what it charges counts as cut off. */
void socket_remove (SimGateway *gateway, SimSocket *socket)
{
  for (guint port = 0; port < SIM_OUTLETS; port++)
    if (socket->outlets[port].charge != NULL)
      charging_stop (gateway, socket, port, SIM_END_POWER_CUT, 0);
  socket_clear (socket);
  guint at = (guint) (socket - gateway->sockets);
  gateway->n_sockets--;
  memmove (socket, socket + 1, (gateway->n_sockets - at) * sizeof *socket);
}

void sockets_replace (SimGateway *gateway, const BkvNetRefresh *list)
{
  gboolean listed[256] = {FALSE};

  for (guint i = 0; i < list->n_nodes; i++)
    listed[list->nodes[i].socket] = TRUE;
  for (guint i = gateway->n_sockets; i-- > 0;)
    if (!listed[gateway->sockets[i].number])
      socket_remove (gateway, &gateway->sockets[i]);
  for (guint i = 0; i < list->n_nodes; i++)
    socket_add (gateway, list->nodes[i].socket, list->nodes[i].mac);
}

guint socket_outlets (const SimGateway *gateway)
{
  return gateway->sim->options.variant.outlets == 0 ? 2 : 1;
}

const SimParams *socket_params (const SimSocket *socket)
{
  return socket->params != NULL ? socket->params : &sim_default_params;
}

guint sockets_charging (const SimGateway *gateway)
{
  guint n = 0;
  for (guint i = 0; i < gateway->n_sockets; i++)
    for (guint port = 0; port < SIM_OUTLETS; port++)
      n += gateway->sockets[i].outlets[port].charge != NULL;
  return n;
}

/* ---- state in wire terms ---------------------------------------------------------- */

/* The relay closes when the start is answered. */
static const SimCharge *running (const SimGateway *gateway, const SimOutlet *outlet)
{
  return outlet->charge != NULL && sim_now (gateway) >= outlet->charge->began
             ? outlet->charge
             : NULL;
}

guint8 socket_status (const SimGateway *gateway, const SimSocket *socket, guint port)
{
  const SimOutlet *outlet = &socket->outlets[port];
  const SimCharge *charge = running (gateway, outlet);

  if (socket->offline)
    return 0;
  return charge != NULL ? charge_status (charge, outlet)
                        : (guint8) (BKV_STATUS_ONLINE | outlet->faults);
}

static guint16 wire16 (double value)
{
  return (guint16) CLAMP (value, 0, G_MAXUINT16);
}

static void fill_charge (SimGateway *gateway, const SimOutlet *outlet,
                         const SimCharge *charge, BkvPort *out)
{
  guint unit = gateway->sim->options.variant.energy_unit == 0 ? 1 : 10;
  double power_mw = outlet_power_mw (outlet, charge);

  out->business_no = charge->business_no;
  out->power = wire16 (power_mw / 100);
  out->current = charge->seconds == 0 && outlet->plugged
                     ? START_CURRENT_MA
                     : wire16 (power_mw * 10 / out->voltage);
  guint energy = charge_energy_wh (charge) / unit;
  out->energy = wire16 (energy);
  out->duration = wire16 (charge_minutes (charge, SIM_END_NONE));
}

static void fill_port (SimGateway *gateway, const SimSocket *socket, guint port,
                       guint16 voltage, BkvPort *out)
{
  const SimOutlet *outlet = &socket->outlets[port];
  const SimCharge *charge = running (gateway, outlet);

  memset (out, 0, sizeof *out);
  out->has = (G_GUINT64_CONSTANT (1) << BKV_PORT_N) - 1;
  out->port = (guint8) port;
  out->status = socket_status (gateway, socket, port);
  if (socket->offline)
    return;
  out->voltage = voltage;
  if (charge != NULL) {
    fill_charge (gateway, outlet, charge, out);
    return;
  }
  out->power = (guint16) (1 + random_next (gateway) % 2);
  out->current = (guint16) (1 + random_next (gateway) % 2);
}

void socket_fill (SimGateway *gateway, const SimSocket *socket, BkvSocket *out)
{
  guint16 voltage = (guint16) random_between (gateway, VOLTAGE_DV - VOLTAGE_SPREAD,
                                              VOLTAGE_DV + VOLTAGE_SPREAD);

  memset (out, 0, sizeof *out);
  out->has = (G_GUINT64_CONSTANT (1) << BKV_SOCKET_N) - 1;
  out->socket = socket->number;
  out->fw = socket->fw;
  out->temp = socket->temp;
  out->rssi = socket->offline ? 0 : socket->rssi;
  out->n_ports = (guint16) socket_outlets (gateway);
  for (guint port = 0; port < out->n_ports; port++)
    fill_port (gateway, socket, port, voltage, &out->ports[port]);
}

/* ---- status reports --------------------------------------------------------------- */

static void mark_sockets (BkvFrame *frame, guint16 n)
{
  frame->items.n_sockets = n;
  if (n > 0)
    frame->items.has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_sockets;
}

static void send_report (SimGateway *gateway, const SimSocket *socket)
{
  BkvFrame frame;

  bkv_init (&frame, BKV_STATUS_REPORT, gateway->id, 0);
  socket_fill (gateway, socket, &frame.items.sockets[0]);
  mark_sockets (&frame, 1);
  if (disturb_now (gateway, SIM_DISTURB_EMPTY_STATUS))
    frame.items.has = frame.items.n_sockets = 0;
  else if (disturb_now (gateway, SIM_DISTURB_TWIN_SOCKETS)) {
    frame.items.sockets[1] = frame.items.sockets[0];
    frame.items.sockets[1].temp++;
    mark_sockets (&frame, 2);
  }
  frame_send (gateway, &frame);
}

static gint64 sooner (gint64 a, gint64 b)
{
  return a == 0 || (b != 0 && b < a) ? b : a;
}

static void arm_report (SimGateway *gateway)
{
  gint64 next = 0;
  for (guint i = 0; i < gateway->n_sockets; i++) {
    const SimSocket *socket = &gateway->sockets[i];
    next = sooner (next, sooner (socket->report_at, socket->periodic_at));
  }
  if (next == 0 || gateway->phase != SIM_READY)
    timer_stop (gateway->sim->loop, &gateway->report);
  else
    timer_arm (gateway->sim->loop, &gateway->report, next - sim_now (gateway));
}

void socket_report (SimGateway *gateway, SimSocket *socket, gint64 delay)
{
  gint64 at = sim_now (gateway) + delay;
  if (gateway->phase != SIM_READY) /* all are reported after the next connect */
    return;
  socket->report_at = sooner (socket->report_at, at);
  socket->report_last = MAX (socket->report_last, at);
  arm_report (gateway);
}

void sockets_report_all (SimGateway *gateway)
{
  gint64 now = sim_now (gateway);
  for (guint i = 0; i < gateway->n_sockets; i++) {
    SimSocket *socket = &gateway->sockets[i];
    socket->report_at = socket->report_last = now + (i + 1) * REPORT_GAP;
  }
  arm_report (gateway);
}

void sockets_report_timer (gpointer data)
{
  SimGateway *gateway = data;
  gboolean periodic = gateway->sim->options.variant.periodic == 0;
  gint64 now = sim_now (gateway);

  for (guint i = 0; i < gateway->n_sockets && gateway->phase == SIM_READY; i++) {
    SimSocket *socket = &gateway->sockets[i];
    gint64 due = sooner (socket->report_at, socket->periodic_at);
    if (due == 0 || due > now)
      continue;
    if (socket->report_at <= now)
      socket->report_at = socket->report_last > now ? socket->report_last : 0;
    socket->periodic_at = periodic ? now + PERIOD : 0;
    send_report (gateway, socket);
  }
  arm_report (gateway);
}
