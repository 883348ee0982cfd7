/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cards in front of an outlet (bkv 16.5). */
#include "report.h"

#include <string.h>

#define ANSWER_WITHIN (10 * SIM_SECOND)
#define SWIPES 3
#define START_ANSWER (1 * SIM_SECOND)
#define BALANCE_AFTER (1 * SIM_SECOND)

static void send_swipe (SimGateway *gateway)
{
  SimSwipe *swipe = gateway->swipe;
  BkvFrame frame;

  bkv_init (&frame, BKV_CARD_SWIPE, gateway->id, 0);
  frame.card_swipe.socket = swipe->socket;
  frame.card_swipe.port = swipe->port;
  frame.card_swipe.business_no = swipe->business_no;
  frame.card_swipe.status = 0x90; /* as in the manufacturer's sample */
  memcpy (frame.card_swipe.card, swipe->card, sizeof swipe->card);
  swipe->sends++;
  gateway->sim->counters.swipes++;
  timer_arm (gateway->sim->loop, &gateway->card, ANSWER_WITHIN);
  frame_send (gateway, &frame);
}

gboolean cards_swipe (SimGateway *gateway, SimSocket *socket, guint port,
                      const guint8 card[6])
{
  if (gateway->phase != SIM_READY)
    return FALSE;
  cards_clear (gateway);
  gateway->swipe = g_new0 (SimSwipe, 1);
  gateway->swipe->socket = socket->number;
  gateway->swipe->port = (guint8) port;
  gateway->swipe->business_no = charging_number (gateway, socket, port);
  memcpy (gateway->swipe->card, card, sizeof gateway->swipe->card);
  send_swipe (gateway);
  return TRUE;
}

void cards_balance (SimGateway *gateway, guint socket, guint port, const guint8 card[6])
{
  BkvFrame frame;

  bkv_init (&frame, BKV_BALANCE_QUERY, gateway->id, 0);
  frame.balance.socket = (guint8) socket;
  frame.balance.port = (guint8) port;
  memcpy (frame.balance.card, card, sizeof frame.balance.card);
  frame_send (gateway, &frame);
}

/* No answer to a swipe; or the moment for the balance after an accepted one. */
void cards_timer (gpointer data)
{
  SimGateway *gateway = data;
  SimSwipe *swipe = gateway->swipe;

  if (swipe == NULL)
    return;
  if (swipe->accepted) {
    SimSwipe done = *swipe;
    cards_clear (gateway);
    cards_balance (gateway, done.socket, done.port, done.card);
  } else if (swipe->sends < SWIPES)
    send_swipe (gateway);
  else {
    report_note (gateway->sim, gateway, "the swipe was never answered");
    cards_clear (gateway);
  }
}

void cards_clear (SimGateway *gateway)
{
  timer_stop (gateway->sim->loop, &gateway->card);
  g_clear_pointer (&gateway->swipe, g_free);
}

static gboolean read_target (const BkvCardCharge *in, SimTarget *target)
{
  *target = (SimTarget) {.mode = in->mode == 3   ? SIM_BY_STEPS
                                 : in->mode == 2 ? SIM_BY_ENERGY
                                                 : SIM_BY_TIME,
                         .card = TRUE};
  if (in->mode == 1)
    target->minutes = in->minutes;
  else if (in->mode == 2)
    target->energy = in->energy;
  else if (in->mode == 3 && in->n_levels <= SIM_STEPS) {
    target->amount = in->amount;
    target->n_steps = in->n_levels;
    memcpy (target->steps, in->levels, in->n_levels * sizeof *in->levels);
  }
  return target->minutes > 0 || target->energy > 0
         || (target->amount > 0 && target->n_steps > 0);
}

static gboolean begin (SimGateway *gateway, const BkvCardCharge *in)
{
  SimSwipe *swipe = gateway->swipe;
  SimSocket *socket = socket_find (gateway, in->socket);
  SimTarget target;

  if (swipe == NULL || swipe->accepted || swipe->socket != in->socket
      || swipe->port != in->port || swipe->business_no != in->business_no
      || !read_target (in, &target) || !charging_possible (gateway, socket, in->port))
    return FALSE;
  memcpy (target.card_no, swipe->card, sizeof target.card_no);
  swipe->accepted = TRUE;
  charging_start (gateway, socket, in->port, &target, in->business_no, START_ANSWER);
  timer_arm (gateway->sim->loop, &gateway->card, START_ANSWER + BALANCE_AFTER);
  return TRUE;
}

gboolean cards_charge (SimGateway *gateway, const BkvFrame *in, BkvFrame *out)
{
  const BkvCardCharge *charge = &in->card_charge;

  if (charge->switch_on == 0) {
    gateway->sim->counters.swipes_refused++;
    report_note (gateway->sim, gateway, "the card was refused");
    if (gateway->swipe != NULL && !gateway->swipe->accepted)
      cards_clear (gateway);
    return FALSE;
  }
  gboolean ok = begin (gateway, charge);
  gateway->sim->counters.swipes_accepted += ok ? 1 : 0;
  out->port_result = (BkvPortResult) {
      .socket = charge->socket, .port = charge->port, .result = ok ? 1 : 0};
  return TRUE;
}

void cards_balance_reply (SimGateway *gateway, const BkvFrame *in)
{
  char card[13];
  bkv_hex (in->balance.card, 6, card);
  report_note (gateway->sim, gateway, "card %s has %u.%02u yuan", card,
               in->balance.balance / 100, in->balance.balance % 100);
}
