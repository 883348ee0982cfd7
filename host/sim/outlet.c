/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outlet.h"

#include <math.h>
#include <string.h>

#define MWS_PER_WH G_GUINT64_CONSTANT (3600000)
#define START_POWER_MW 400
#define RAMP_S 20.0
#define TAIL_POWER_MW 3000
#define TAIL_S 600.0
#define IDLE_POWER_MW 150
#define MAINS_V 228

/* As in the manufacturer's sample of a parameter answer, but with the longest charge
 * that a start command can ask for. */
const SimParams sim_default_params = {
    .full_delay_s = 7200,
    .no_load_delay_s = 120,
    .full_power = 100,
    .no_load_power = 8,
    .power_limit = 7000,
    .current_limit = 5000,
    .max_minutes = 900,
    .temp_limit = 85,
    .trickle_percent = 20,
    .button_amount = 100,
    .p98 = 1,
};

SimCharge *charge_new (const SimTarget *target, guint16 business_no, gint64 began)
{
  SimCharge *charge = g_new0 (SimCharge, 1);
  charge->target = *target;
  charge->business_no = business_no;
  charge->began = began;
  return charge;
}

void charge_free (SimCharge *charge)
{
  if (charge == NULL)
    return;
  g_free (charge->target.fees);
  g_free (charge);
}

guint32 outlet_power_mw (const SimOutlet *outlet, const SimCharge *charge)
{
  if (!outlet->plugged)
    return IDLE_POWER_MW;
  double rated = outlet->power_dw * 100.0;
  double at = charge->seconds + 0.5;
  if (charge->full_at != 0) {
    double tail = MIN (rated, TAIL_POWER_MW);
    double since = charge->seconds - charge->full_at;
    return (guint32) lround (tail + (rated - tail) * exp (-since / TAIL_S));
  }
  if (at <= 0.5)
    return START_POWER_MW;
  if (at < RAMP_S)
    return (guint32) lround (START_POWER_MW
                             + (rated - START_POWER_MW) * (at - 0.5) / (RAMP_S - 0.5));
  return (guint32) lround (rated);
}

guint charge_energy_wh (const SimCharge *charge)
{
  return (guint) (charge->energy_mws / MWS_PER_WH);
}

guint charge_minutes (const SimCharge *charge, SimEndCause cause)
{
  const SimTarget *target = &charge->target;
  if (cause == SIM_END_TARGET && target->mode == SIM_BY_TIME
      && charge->seconds >= target->minutes * 60u)
    return target->minutes;
  return charge->seconds / 60;
}

guint charge_step_minutes (const SimCharge *charge, guint step)
{
  return step < SIM_STEPS ? charge->step_seconds[step] / 60 : 0;
}

/* The smallest step that reaches up to the power, the last one above all. */
static guint step_of (const SimTarget *target, guint32 power_mw)
{
  guint step = 0;
  while (step + 1 < target->n_steps && target->steps[step].power_limit * 100u < power_mw)
    step++;
  return step;
}

guint fees_electricity (const SimFees *fees)
{
  double cents = 0;
  for (guint i = 0; i < fees->n; i++)
    cents += (double) fees->energy_mws[i] / (double) MWS_PER_WH / 1000.0
             * fees->periods[i].electricity_price;
  return (guint) cents;
}

/* By energy the price is for a kilowatt-hour, by time for an hour. */
guint fees_service (const SimFees *fees)
{
  double cents = 0;
  for (guint i = 0; i < fees->n; i++) {
    double units = fees->type == 1
                       ? (double) fees->energy_mws[i] / (double) MWS_PER_WH / 1000.0
                       : fees->seconds[i] / 3600.0;
    cents += units * fees->periods[i].service_price;
  }
  return (guint) cents;
}

guint charge_amount (const SimCharge *charge)
{
  const SimTarget *target = &charge->target;
  if (target->mode == SIM_BY_FEES && target->fees != NULL)
    return fees_electricity (target->fees) + fees_service (target->fees);
  if (target->mode != SIM_BY_STEPS)
    return 0;
  double cents = 0;
  for (guint i = 0; i < target->n_steps; i++)
    cents += (double) charge_step_minutes (charge, i) * target->steps[i].price
             / MAX (target->steps[i].minutes, 1);
  return (guint) (cents + 1e-9);
}

static void fees_count (SimFees *fees, guint32 power_mw, guint minute_of_day)
{
  guint i = 0;
  while (i + 1 < fees->n
         && fees->periods[i].end_hour * 60u + fees->periods[i].end_min <= minute_of_day)
    i++;
  fees->seconds[i]++;
  fees->energy_mws[i] += power_mw;
}

static gboolean target_reached (const SimCharge *charge, const SimParams *params)
{
  const SimTarget *target = &charge->target;
  if (target->minutes != 0 && charge->seconds >= target->minutes * 60u)
    return TRUE;
  if (target->mode == SIM_BY_ENERGY && charge_energy_wh (charge) >= target->energy)
    return TRUE;
  if (target->amount != 0 && charge_amount (charge) >= target->amount)
    return TRUE;
  return charge->seconds >= params->max_minutes * 60u;
}

SimEndCause charge_second (SimCharge *charge, const SimOutlet *outlet,
                           const SimParams *params, int temp, guint minute_of_day)
{
  guint32 power = outlet_power_mw (outlet, charge);

  charge->power_mw = power;
  charge->max_power_mw = MAX (charge->max_power_mw, power);
  charge->energy_mws += power;
  charge->seconds++;
  if (charge->target.mode == SIM_BY_STEPS)
    charge->step_seconds[step_of (&charge->target, power)]++;
  if (charge->target.fees != NULL)
    fees_count (charge->target.fees, power, minute_of_day);
  if (charge->full_at == 0 && charge_energy_wh (charge) >= outlet->battery_wh)
    charge->full_at = charge->seconds;
  charge->no_load_s = power < params->no_load_power * 100u ? charge->no_load_s + 1 : 0;
  charge->full_s = power < params->full_power * 100u ? charge->full_s + 1 : 0;

  if (temp > params->temp_limit || (outlet->faults & BKV_STATUS_OVER_TEMP) != 0)
    return SIM_END_OVER_TEMP;
  if (power / MAINS_V > params->current_limit
      || (outlet->faults & BKV_STATUS_OVER_CURRENT) != 0)
    return SIM_END_OVER_CURRENT;
  if (power > params->power_limit * 100u || (outlet->faults & BKV_STATUS_OVER_POWER) != 0)
    return SIM_END_OVER_POWER;
  if (target_reached (charge, params))
    return SIM_END_TARGET;
  if (charge->no_load_s > 0 && charge->no_load_s >= params->no_load_delay_s)
    return SIM_END_NO_LOAD;
  if (charge->full_s > 0 && charge->full_s >= params->full_delay_s)
    return SIM_END_FULL;
  return SIM_END_NONE;
}

/* The relay's first second is never reported as no load: a charger needs a moment. */
guint8 charge_status (const SimCharge *charge, const SimOutlet *outlet)
{
  guint8 status = BKV_STATUS_ONLINE | BKV_STATUS_CHARGING | outlet->faults;
  if (charge->no_load_s > 1)
    status |= BKV_STATUS_NO_LOAD;
  return status;
}

static const struct {
  guint8 status;
  guint8 reason;
  const char *name;
} ends[] = {
    [SIM_END_NONE] = {0x90, 0, "charging"},
    [SIM_END_OVER_TEMP] = {0x94, 3, "over-temperature"},
    [SIM_END_OVER_CURRENT] = {0x92, 2, "over-current"},
    [SIM_END_OVER_POWER] = {0x91, 2, "over-power"},
    [SIM_END_STOPPED] = {0x90, 1, "stopped by the server"},
    [SIM_END_TARGET] = {0xB0, 0, "target reached"},
    [SIM_END_NO_LOAD] = {0x98, 8, "no load"},
    [SIM_END_FULL] = {0xB0, 0, "full"},
    [SIM_END_POWER_CUT] = {0x10, 4, "power cut"},
};

guint8 end_status (SimEndCause cause)
{
  return ends[cause].status;
}

guint8 end_reason (SimEndCause cause)
{
  return ends[cause].reason;
}

const char *end_cause_name (SimEndCause cause)
{
  return ends[cause].name;
}
