/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that name an outlet or a socket. */
#include "console.h"

#include <string.h>

/* ---- arguments -------------------------------------------------------------------- */

static gboolean port_number (SimCall *call, guint at, guint *port)
{
  const char *text = call->args[at];

  if (strlen (text) == 1 && strchr ("0Aa", *text) != NULL)
    *port = 0;
  else if (strlen (text) == 1 && strchr ("1Bb", *text) != NULL)
    *port = 1;
  else
    return console_wrong (call, "outlet “%s” should be A or B", text);
  return TRUE;
}

/* Calls @func for every outlet meant by “ID S P”. */
typedef gboolean (*EachOutlet) (SimCall *call, SimGateway *gateway, SimSocket *socket,
                                guint port);

static gboolean each_outlet (SimCall *call, gboolean with_port, EachOutlet func)
{
  double socket_no = 0;
  guint port = 0;

  if (!console_number (call, 1, 0, 255, &socket_no)
      || (with_port && !port_number (call, 2, &port)))
    return FALSE;
  for (guint i = call->first; i < call->last; i++) {
    SimGateway *gateway = &call->sim->gateways[i];
    SimSocket *socket = socket_find (gateway, (guint) socket_no);
    if (socket == NULL)
      return console_wrong (call, "no socket %g", socket_no);
    if (!func (call, gateway, socket, port))
      return FALSE;
  }
  return TRUE;
}

/* ---- outlets ---------------------------------------------------------------------- */

static gboolean plug_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                          guint port)
{
  SimOutlet *outlet = &socket->outlets[port];
  double watts = call->sim->options.power_w;
  double wh = call->sim->options.battery_wh;

  if (!console_number (call, 3, 0.1, 6553, &watts)
      || !console_number (call, 4, 1, 1e6, &wh))
    return FALSE;
  outlet->plugged = TRUE;
  outlet->power_dw = (guint16) (watts * 10);
  outlet->battery_wh = (guint32) wh;
  return TRUE;
}

static gboolean unplug_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                            guint port)
{
  socket->outlets[port].plugged = FALSE;
  return TRUE;
}

static gboolean fault_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                           guint port)
{
  if (faults_set (gateway, socket, port, call->args[3]))
    return TRUE;
  return console_wrong (call,
                        "fault “%s” should be over-temp, over-current, over-power, "
                        "relay-stuck or clear",
                        call->args[3]);
}

static gboolean temperature_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                                 guint port)
{
  double degrees = 0;

  if (!console_number (call, 2, -40, 127, &degrees))
    return FALSE;
  socket->temp = (gint8) degrees;
  return TRUE;
}

static gboolean event_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                           guint port)
{
  guint8 codes[3] = {8, 0, 0};

  for (guint i = 0; i < 3; i++) {
    double code = codes[i];
    if (!console_number (call, 2 + i, 0, 255, &code))
      return FALSE;
    codes[i] = (guint8) code;
  }
  faults_event (gateway, socket->number, codes);
  return TRUE;
}

static gboolean read_card (SimCall *call, const char *text, guint8 card[6])
{
  if (strlen (text) == 12 && bkv_hex_parse (text, card, 6))
    return TRUE;
  return console_wrong (call, "card “%s” should be 12 digits", text);
}

static gboolean swipe_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                           guint port)
{
  guint8 card[6];

  if (!read_card (call, call->args[3], card))
    return FALSE;
  return cards_swipe (gateway, socket, port, card)
         || console_wrong (call, "not connected");
}

static gboolean balance_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                             guint port)
{
  guint8 card[6];

  if (!read_card (call, call->args[3], card))
    return FALSE;
  cards_balance (gateway, socket->number, port, card);
  return TRUE;
}

gboolean console_plug (SimCall *call)
{
  return each_outlet (call, TRUE, plug_one);
}

gboolean console_unplug (SimCall *call)
{
  return each_outlet (call, TRUE, unplug_one);
}

gboolean console_fault (SimCall *call)
{
  return each_outlet (call, TRUE, fault_one);
}

gboolean console_temperature (SimCall *call)
{
  return each_outlet (call, FALSE, temperature_one);
}

gboolean console_event (SimCall *call)
{
  return each_outlet (call, FALSE, event_one);
}

gboolean console_swipe (SimCall *call)
{
  return each_outlet (call, TRUE, swipe_one);
}

/* With the card alone: at the first outlet of the first gateway. */
gboolean console_balance (SimCall *call)
{
  if (call->n == 1) {
    SimGateway *gateway = &call->sim->gateways[0];
    guint8 card[6];
    if (!read_card (call, call->args[0], card))
      return FALSE;
    cards_balance (gateway, gateway->n_sockets > 0 ? gateway->sockets[0].number : 0, 0,
                   card);
    return TRUE;
  }
  if (call->n < 4)
    return console_wrong (call, "balance ID S P CARD, or balance CARD");
  return each_outlet (call, TRUE, balance_one);
}

/* ---- off line --------------------------------------------------------------------- */

static gboolean offline_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                             guint port)
{
  faults_offline (gateway, socket, TRUE);
  return TRUE;
}

static gboolean online_one (SimCall *call, SimGateway *gateway, SimSocket *socket,
                            guint port)
{
  faults_offline (gateway, socket, FALSE);
  return TRUE;
}

/* A socket; or the gateway itself, which then stays away. */
gboolean console_offline (SimCall *call)
{
  if (call->n > 1)
    return each_outlet (call, FALSE, offline_one);
  for (guint i = call->first; i < call->last; i++)
    gateway_close (&call->sim->gateways[i], SIM_HANG_UP, "off line by command", -1);
  return TRUE;
}

gboolean console_online (SimCall *call)
{
  if (call->n > 1)
    return each_outlet (call, FALSE, online_one);
  for (guint i = call->first; i < call->last; i++)
    if (call->sim->gateways[i].phase == SIM_AWAY)
      gateway_start (&call->sim->gateways[i], 0);
  return TRUE;
}
