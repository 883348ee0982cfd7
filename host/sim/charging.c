/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charges of a gateway: start, the seconds, the end and its report. */
#include "report.h"

#include <string.h>

#define STATUS_AFTER_START (500 * SIM_MS)
#define STATUS_AFTER_END (1100 * SIM_MS)
#define END_REPORT (300 * SIM_MS)
/* Shorter than this (real time) the seconds of a charge are counted in groups. */
#define SHORTEST_TICK_US 10000

gboolean charging_possible (const SimGateway *gateway, const SimSocket *socket,
                            guint port)
{
  return socket != NULL && !socket->offline && port < socket_outlets (gateway)
         && socket->outlets[port].charge == NULL && socket->outlets[port].faults == 0;
}

/* ---- numbers ---------------------------------------------------------------------- */

guint16 charging_number (SimGateway *gateway, SimSocket *socket, guint port)
{
  SimNumbering numbering = gateway->sim->options.variant.number;
  guint16 *counter = numbering == SIM_NUMBER_GATEWAY  ? &gateway->counter
                     : numbering == SIM_NUMBER_SOCKET ? &socket->counter
                                                      : &socket->outlets[port].counter;

  if (disturb_now (gateway, SIM_DISTURB_NUMBER_RESTART))
    *counter = 0;
  *counter = *counter == G_MAXUINT16 ? 1 : (guint16) (*counter + 1);
  journal_number (gateway, numbering == SIM_NUMBER_GATEWAY ? -1 : socket->number,
                  numbering == SIM_NUMBER_OUTLET ? (int) port : -1, *counter);
  return *counter;
}

/* ---- start ------------------------------------------------------------------------ */

static void arm_tick (SimGateway *gateway)
{
  SimLoop *loop = gateway->sim->loop;
  if (!timer_armed (&gateway->tick))
    timer_arm (loop, &gateway->tick,
               MAX (SIM_SECOND, loop_scaled (loop, SHORTEST_TICK_US)));
}

static void repeat_previous_end (SimGateway *gateway)
{
  if (gateway->last_end != NULL && disturb_now (gateway, SIM_DISTURB_END_PREVIOUS))
    frame_send_later (gateway, gateway->last_end_kind, gateway->last_end,
                      gateway->last_end_size, 5 * SIM_SECOND);
}

void charging_start (SimGateway *gateway, SimSocket *socket, guint port,
                     const SimTarget *target, guint16 business_no, gint64 delay)
{
  SimOutlet *outlet = &socket->outlets[port];

  outlet->charge = charge_new (target, business_no, sim_now (gateway) + delay);
  gateway->sim->counters.starts++;
  report_note (gateway->sim, gateway, "outlet %u%c starts, number %u%s", socket->number,
               'A' + (int) port, business_no,
               outlet->plugged ? "" : ", nothing plugged in");
  socket_report (gateway, socket, delay + STATUS_AFTER_START);
  arm_tick (gateway);
  repeat_previous_end (gateway);
}

/* ---- end report ------------------------------------------------------------------- */

static BkvKind end_kind (const SimTarget *target)
{
  if (target->card)
    return BKV_CARD_CHARGE_END;
  if (target->mode == SIM_BY_STEPS)
    return BKV_POWER_CHARGE_END;
  return target->mode == SIM_BY_FEES ? BKV_FEE_CHARGE_END : BKV_CHARGE_END;
}

static void fill_end (SimGateway *gateway, const SimSocket *socket, guint port,
                      SimEndCause cause, BkvEnd *end)
{
  const SimOutlet *outlet = &socket->outlets[port];
  const SimCharge *charge = outlet->charge;
  const SimTarget *target = &charge->target;
  guint unit = gateway->sim->options.variant.energy_unit == 0 ? 1 : 10;

  end->socket = socket->number;
  end->fw = socket->fw;
  end->temp = socket->temp;
  end->rssi = socket->rssi;
  end->port = (guint8) port;
  end->status = end_status (cause);
  end->business_no = charge->business_no;
  end->power = (guint16) MIN (charge->power_mw / 100, G_MAXUINT16);
  end->current = (guint16) MIN (charge->power_mw / 228, G_MAXUINT16);
  end->energy = (guint16) MIN (charge_energy_wh (charge) / unit, G_MAXUINT16);
  end->duration = (guint16) MIN (charge_minutes (charge, cause), G_MAXUINT16);
  end->reason = end_reason (cause);
  bkv_time_to_dt7 (gateway_clock_ms (gateway), 0, end->end_time);
  memcpy (end->card, target->card_no, sizeof end->card);
  end->mode = target->mode == SIM_BY_STEPS ? 3 : target->mode == SIM_BY_ENERGY ? 2 : 1;
  if (target->mode != SIM_BY_STEPS)
    return;
  end->amount = (guint16) MIN (charge_amount (charge), G_MAXUINT16);
  end->settle_power = (guint16) MIN (charge->max_power_mw / 100, G_MAXUINT16);
  end->n_levels = SIM_STEPS;
  for (guint i = 0; i < SIM_STEPS; i++)
    end->levels[i] = (guint16) charge_step_minutes (charge, i);
}

static void fill_usage (const SimFees *fees, BkvItems *items)
{
  items->n_fee_usage = (guint16) fees->n;
  items->has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_fee_usage;
  for (guint i = 0; i < fees->n; i++) {
    guint wh = (guint) MIN (fees->energy_mws[i] / 3600000, G_MAXUINT16);
    items->fee_usage[i] = (BkvFeeUsage) {.minutes = (guint16) (fees->seconds[i] / 60),
                                         .rest = {(guint8) (wh >> 8), (guint8) wh}};
  }
}

static void fill_fee_end (SimGateway *gateway, const BkvEnd *end, const SimFees *fees,
                          BkvItems *items)
{
  BKV_SET (items, ITEM, temp, end->temp);
  BKV_SET (items, ITEM, socket, end->socket);
  BKV_SET (items, ITEM, port, end->port);
  BKV_SET (items, ITEM, status, end->status);
  BKV_SET (items, ITEM, business_no, end->business_no);
  BKV_SET (items, ITEM, power, end->power);
  BKV_SET (items, ITEM, current, end->current);
  BKV_SET (items, ITEM, energy, end->energy);
  BKV_SET (items, ITEM, duration, end->duration);
  bkv_time_to_bcd (gateway_clock_ms (gateway), 0, items->end_time);
  items->has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_end_time;
  BKV_SET (items, ITEM, reason, end->reason);
  BKV_SET (items, ITEM, mode, fees->mode);
  BKV_SET (items, ITEM, electricity_amount,
           (guint16) MIN (fees_electricity (fees), G_MAXUINT16));
  BKV_SET (items, ITEM, service_amount, (guint16) MIN (fees_service (fees), G_MAXUINT16));
  BKV_SET (items, ITEM, fee_levels, (guint8) fees->n);
  fill_usage (fees, items);
}

static void store_end (SimGateway *gateway, const SimSocket *socket, guint port,
                       SimEndCause cause, gint64 delay)
{
  const SimCharge *charge = socket->outlets[port].charge;
  BkvFrame frame;
  BkvEnd end = {0};

  fill_end (gateway, socket, port, cause, &end);
  if (disturb_now (gateway, SIM_DISTURB_END_OTHER_NUMBER))
    end.business_no = (guint16) (end.business_no + 1000);
  bkv_init (&frame, end_kind (&charge->target), gateway->id, 0);
  if (frame.kind == BKV_FEE_CHARGE_END)
    fill_fee_end (gateway, &end, charge->target.fees, &frame.items);
  else
    frame.end = end;
  gateway->sim->counters.ends++;
  if (disturb_now (gateway, SIM_DISTURB_END_LOST)) {
    gateway->sim->counters.ends_lost++;
    return;
  }
  ends_add (gateway, &frame, delay);
}

void charging_stop (SimGateway *gateway, SimSocket *socket, guint port, SimEndCause cause,
                    gint64 report_delay)
{
  SimOutlet *outlet = &socket->outlets[port];

  if (outlet->charge == NULL)
    return;
  gint64 late = gateway->late;
  gateway->late = 0;
  report_note (gateway->sim, gateway, "outlet %u%c ends: %s, %u Wh in %u min",
               socket->number, 'A' + (int) port, end_cause_name (cause),
               charge_energy_wh (outlet->charge), charge_minutes (outlet->charge, cause));
  store_end (gateway, socket, port, cause, report_delay + late);
  charge_free (g_steal_pointer (&outlet->charge));
  if (cause != SIM_END_POWER_CUT)
    socket_report (gateway, socket, report_delay + STATUS_AFTER_END);
}

/* ---- the seconds ------------------------------------------------------------------ */

static guint minute_of_day (const SimGateway *gateway)
{
  return (guint) (gateway_clock_ms (gateway) / 60000 % 1440);
}

static void advance (SimGateway *gateway, SimSocket *socket, guint port)
{
  SimOutlet *outlet = &socket->outlets[port];
  SimCharge *charge = outlet->charge;
  gint64 elapsed = (sim_now (gateway) - charge->began) / SIM_SECOND;
  guint8 before = charge_status (charge, outlet);
  SimEndCause cause = SIM_END_NONE;
  guint minute = charge->target.fees != NULL ? minute_of_day (gateway) : 0;

  while (cause == SIM_END_NONE && charge->seconds < elapsed)
    cause = charge_second (charge, outlet, socket_params (socket), socket->temp, minute);
  if (cause != SIM_END_NONE)
    charging_stop (gateway, socket, port, cause, END_REPORT);
  else if (charge_status (charge, outlet) != before)
    socket_report (gateway, socket, 0);
}

void charging_tick (gpointer data)
{
  SimGateway *gateway = data;

  for (guint i = 0; i < gateway->n_sockets; i++)
    for (guint port = 0; port < SIM_OUTLETS; port++)
      if (gateway->sockets[i].outlets[port].charge != NULL)
        advance (gateway, &gateway->sockets[i], port);
  if (sockets_charging (gateway) > 0)
    arm_tick (gateway);
}

void charging_power_cut (SimGateway *gateway)
{
  for (guint i = 0; i < gateway->n_sockets; i++)
    for (guint port = 0; port < SIM_OUTLETS; port++)
      if (gateway->sockets[i].outlets[port].charge != NULL)
        charging_stop (gateway, &gateway->sockets[i], port, SIM_END_POWER_CUT, 0);
}
