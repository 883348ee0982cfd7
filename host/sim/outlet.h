/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The charging model of one outlet: load curve, energy, end conditions. Pure functions
 * of the charge's own seconds; nothing here knows of clocks, sockets or frames.
 */
#pragma once

#include <proto-bkv/wire/wire.h>

#include <glib.h>
#include <stdbool.h>

#define SIM_STEPS 5
#define SIM_FEE_PERIODS 12

/* Parameters of a socket (0x1012), in wire units. */
typedef struct {
  guint32 button_amount;
  guint16 full_delay_s;
  guint16 no_load_delay_s;
  guint16 full_power;
  guint16 no_load_power;
  guint16 power_limit;
  guint16 current_limit;
  guint16 max_minutes;
  guint16 anti_pulse;
  guint8 temp_limit;
  guint8 trickle_percent;
  guint8 p98, p99, p9a, p9b;
} SimParams;

extern const SimParams sim_default_params;

typedef enum { SIM_BY_TIME, SIM_BY_ENERGY, SIM_BY_STEPS, SIM_BY_FEES } SimMode;

typedef enum {
  SIM_END_NONE = 0,
  SIM_END_OVER_TEMP,
  SIM_END_OVER_CURRENT,
  SIM_END_OVER_POWER,
  SIM_END_STOPPED,
  SIM_END_TARGET,
  SIM_END_NO_LOAD,
  SIM_END_FULL,
  SIM_END_POWER_CUT,
} SimEndCause;

/* Tariff of a charge with electricity and service fee. */
typedef struct {
  guint n;
  guint8 type; /* service fee 0 by time, 1 by energy */
  guint8 mode;
  BkvFeePeriod periods[SIM_FEE_PERIODS];
  guint32 seconds[SIM_FEE_PERIODS];
  guint64 energy_mws[SIM_FEE_PERIODS];
} SimFees;

/* What a start command asks for. */
typedef struct {
  SimMode mode;
  gboolean card; /* by a card: ends with 0x0C */
  guint8 card_no[6];
  guint16 minutes; /* 0 = no limit */
  guint16 energy;  /* Wh */
  guint16 amount;  /* cent */
  guint n_steps;
  BkvStep steps[SIM_STEPS];
  SimFees *fees; /* taken by the charge */
} SimTarget;

typedef struct {
  SimTarget target;
  guint16 business_no;
  gint64 began; /* scaled time at which the relay closes */
  guint32 seconds;
  guint32 power_mw; /* now */
  guint32 max_power_mw;
  guint64 energy_mws;
  guint32 full_at; /* second in which the battery was full */
  guint32 no_load_s;
  guint32 full_s;
  guint32 step_seconds[SIM_STEPS];
} SimCharge;

/* What hangs on the outlet, and its faults. */
typedef struct {
  SimCharge *charge; /* NULL = relay open */
  guint32 battery_wh;
  guint16 power_dw; /* rated, 0.1 W */
  guint16 counter;  /* business numbers, if outlets count them */
  guint8 faults;    /* bits of the status byte: over-temperature, -current, -power */
  bool plugged : 1;
  bool stuck : 1; /* relay stays closed after a stop */
} SimOutlet;

/* Takes over @target's fees. */
SimCharge *charge_new (const SimTarget *target, guint16 business_no, gint64 began);
void charge_free (SimCharge *charge);

/**
 * charge_second:
 * @temp: of the socket
 * @minute_of_day: of the device's clock, for tariff periods
 *
 * One second of charging, then the end conditions in their order.
 *
 * Returns: why it ends, or %SIM_END_NONE
 */
SimEndCause charge_second (SimCharge *charge, const SimOutlet *outlet,
                           const SimParams *params, int temp, guint minute_of_day);

guint32 outlet_power_mw (const SimOutlet *outlet, const SimCharge *charge);
guint charge_energy_wh (const SimCharge *charge);
/* Whole minutes, the target if that is why it ended. */
guint charge_minutes (const SimCharge *charge, SimEndCause cause);
guint charge_step_minutes (const SimCharge *charge, guint step);
/* Cents used: by power steps, or the two parts of a fee charge. */
guint charge_amount (const SimCharge *charge);
guint fees_electricity (const SimFees *fees);
guint fees_service (const SimFees *fees);

/* Status byte while charging, and of the report of the end. */
guint8 charge_status (const SimCharge *charge, const SimOutlet *outlet);
guint8 end_status (SimEndCause cause);
guint8 end_reason (SimEndCause cause);
const char *end_cause_name (SimEndCause cause);
