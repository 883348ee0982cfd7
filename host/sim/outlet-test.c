/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The charging model: energy, curve, end conditions, money. */
#include "outlet.h"

#include <math.h>

static SimOutlet loaded (guint watts, guint wh)
{
  return (SimOutlet) {
      .plugged = TRUE, .power_dw = (guint16) (watts * 10), .battery_wh = wh};
}

/* Runs to the end or for @seconds. */
static SimEndCause run (SimCharge *charge, const SimOutlet *outlet,
                        const SimParams *params, guint seconds)
{
  SimEndCause cause = SIM_END_NONE;
  while (seconds-- > 0 && cause == SIM_END_NONE)
    cause = charge_second (charge, outlet, params, 25, 0);
  return cause;
}

static void test_time (void)
{
  SimTarget target = {.mode = SIM_BY_TIME, .minutes = 45};
  SimOutlet outlet = loaded (120, 600);
  SimCharge *charge = charge_new (&target, 9, 0);

  g_assert_cmpint (run (charge, &outlet, &sim_default_params, 100000), ==,
                   SIM_END_TARGET);
  g_assert_cmpuint (charge->seconds, ==, 45 * 60);
  g_assert_cmpuint (charge_minutes (charge, SIM_END_TARGET), ==, 45);
  /* 120 W for 45 min less the ramp of 20 s, which costs about 1,200 Ws. */
  g_assert_cmpuint (charge_energy_wh (charge), ==, 89);
  g_assert_cmpuint (charge->max_power_mw, ==, 120000);
  g_assert_cmphex (end_status (SIM_END_TARGET), ==, 0xB0);
  charge_free (charge);
}

static void test_energy_is_exact (void)
{
  SimTarget target = {.mode = SIM_BY_ENERGY, .energy = 500, .minutes = 900};
  SimOutlet outlet = loaded (300, 5000);
  SimCharge *charge = charge_new (&target, 1, 0);
  guint64 sum = 0;

  while (TRUE) {
    sum += outlet_power_mw (&outlet, charge);
    if (charge_second (charge, &outlet, &sim_default_params, 25, 0) != SIM_END_NONE)
      break;
  }
  g_assert_cmpuint (charge->energy_mws, ==, sum);
  g_assert_cmpuint (charge_energy_wh (charge), ==, 500);
  g_assert_cmpuint (sum, >=, G_GUINT64_CONSTANT (500) * 3600000);
  g_assert_cmpuint (sum, <, G_GUINT64_CONSTANT (500) * 3600000 + 300000);
  charge_free (charge);
}

static void test_curve (void)
{
  SimTarget target = {.mode = SIM_BY_TIME, .minutes = 900};
  SimOutlet outlet = loaded (120, 100);
  SimCharge *charge = charge_new (&target, 1, 0);
  guint32 before = 0;

  g_assert_cmpuint (outlet_power_mw (&outlet, charge), ==, 400);
  for (guint i = 0; i < 20; i++) {
    g_assert_cmpuint (outlet_power_mw (&outlet, charge), >, before);
    before = outlet_power_mw (&outlet, charge);
    run (charge, &outlet, &sim_default_params, 1);
  }
  g_assert_cmpuint (outlet_power_mw (&outlet, charge), ==, 120000);
  while (charge->full_at == 0)
    run (charge, &outlet, &sim_default_params, 1);
  g_assert_cmpuint (charge_energy_wh (charge), ==, 100);
  guint full_at = charge->seconds;
  g_assert_cmpuint (outlet_power_mw (&outlet, charge), ==, 120000);
  run (charge, &outlet, &sim_default_params, 600);
  double expected = 3000 + 117000 * exp (-1);
  g_assert_cmpuint (outlet_power_mw (&outlet, charge), ==, (guint) lround (expected));
  /* Below 10 W for two hours: full. */
  g_assert_cmpint (run (charge, &outlet, &sim_default_params, 100000), ==, SIM_END_FULL);
  double below = log (117000.0 / 7000.0) * 600;
  g_assert_cmpfloat_with_epsilon (charge->seconds, full_at + below + 7200, 2);
  charge_free (charge);
}

static void test_no_load (void)
{
  SimTarget target = {.mode = SIM_BY_TIME, .minutes = 60};
  SimOutlet outlet = {.plugged = FALSE};
  SimParams params = sim_default_params;
  SimCharge *charge = charge_new (&target, 1, 0);

  run (charge, &outlet, &params, 1);
  g_assert_cmphex (charge_status (charge, &outlet), ==, 0x90);
  run (charge, &outlet, &params, 1);
  g_assert_cmphex (charge_status (charge, &outlet), ==, 0x98);
  g_assert_cmpint (run (charge, &outlet, &params, 1000), ==, SIM_END_NO_LOAD);
  g_assert_cmpuint (charge->seconds, ==, 120);
  charge_free (charge);

  /* Pulled in the middle, with another waiting time. */
  params.no_load_delay_s = 30;
  outlet = loaded (200, 600);
  charge = charge_new (&target, 2, 0);
  g_assert_cmpint (run (charge, &outlet, &params, 100), ==, SIM_END_NONE);
  outlet.plugged = FALSE;
  g_assert_cmpint (run (charge, &outlet, &params, 1000), ==, SIM_END_NO_LOAD);
  g_assert_cmpuint (charge->seconds, ==, 130);
  g_assert_cmphex (end_status (SIM_END_NO_LOAD), ==, 0x98);
  charge_free (charge);
}

static void test_limits (void)
{
  SimTarget target = {.mode = SIM_BY_TIME, .minutes = 60};
  SimParams params = sim_default_params;
  SimOutlet outlet = loaded (800, 600);

  SimCharge *charge = charge_new (&target, 1, 0);
  g_assert_cmpint (run (charge, &outlet, &params, 100), ==, SIM_END_OVER_POWER);
  charge_free (charge);

  outlet = loaded (1200, 6000);
  params.power_limit = 20000;
  charge = charge_new (&target, 1, 0);
  g_assert_cmpint (run (charge, &outlet, &params, 100), ==, SIM_END_OVER_CURRENT);
  charge_free (charge);

  outlet = loaded (100, 600);
  charge = charge_new (&target, 1, 0);
  g_assert_cmpint (charge_second (charge, &outlet, &params, 86, 0), ==,
                   SIM_END_OVER_TEMP);
  g_assert_cmpint (charge_second (charge, &outlet, &params, 85, 0), ==, SIM_END_NONE);
  outlet.faults = BKV_STATUS_OVER_CURRENT;
  g_assert_cmpint (run (charge, &outlet, &params, 1), ==, SIM_END_OVER_CURRENT);
  charge_free (charge);

  outlet = loaded (100, 60000);
  params.max_minutes = 2;
  charge = charge_new (&target, 1, 0);
  g_assert_cmpint (run (charge, &outlet, &params, 1000), ==, SIM_END_TARGET);
  g_assert_cmpuint (charge_minutes (charge, SIM_END_TARGET), ==, 2);
  charge_free (charge);
}

static void test_steps (void)
{
  const BkvStep steps[SIM_STEPS] = {{2000, 25, 60},
                                    {4000, 50, 60},
                                    {6000, 100, 60},
                                    {8000, 150, 60},
                                    {20000, 500, 120}};
  SimTarget target = {.mode = SIM_BY_STEPS, .amount = 15, .n_steps = SIM_STEPS};
  SimOutlet outlet = loaded (150, 6000);

  memcpy (target.steps, steps, sizeof steps);
  /* 36 min at 25 cent an hour are 15 cent, as in the manufacturer's sample. */
  SimCharge *charge = charge_new (&target, 1, 0);
  g_assert_cmpint (run (charge, &outlet, &sim_default_params, 100000), ==,
                   SIM_END_TARGET);
  g_assert_cmpuint (charge->seconds, ==, 36 * 60);
  g_assert_cmpuint (charge_step_minutes (charge, 0), ==, 36);
  g_assert_cmpuint (charge_amount (charge), ==, 15);
  charge_free (charge);

  target.amount = 1000;
  outlet = loaded (450, 6000);
  charge = charge_new (&target, 1, 0);
  run (charge, &outlet, &sim_default_params, 6 * 60 + 30);
  g_assert_cmpuint (charge_step_minutes (charge, 2), ==, 6);
  g_assert_cmpuint (charge_amount (charge), ==, 10);
  outlet = loaded (150, 6000);
  run (charge, &outlet, &sim_default_params, 6 * 60);
  g_assert_cmpuint (charge_amount (charge), ==, 12); /* 10 + 2.5 */
  charge_free (charge);
}

static void test_fees (void)
{
  SimTarget target = {.mode = SIM_BY_FEES, .amount = 100};
  SimOutlet outlet = loaded (600, 60000);

  target.fees = g_new0 (SimFees, 1);
  target.fees->n = 2;
  target.fees->type = 1;
  target.fees->periods[0] = (BkvFeePeriod) {8, 0, 50, 50};
  target.fees->periods[1] = (BkvFeePeriod) {23, 59, 100, 100};
  SimCharge *charge = charge_new (&target, 1, 0);
  for (guint i = 0; i < 3600; i++) /* 07:30 to 08:30 */
    g_assert_cmpint (
        charge_second (charge, &outlet, &sim_default_params, 25, 450 + i / 60), ==,
        SIM_END_NONE);
  g_assert_cmpuint (charge->target.fees->seconds[0], ==, 1800);
  g_assert_cmpuint (charge->target.fees->seconds[1], ==, 1800);
  /* 0.3 kWh at 50 and 0.3 kWh at 100 cent, both parts alike, less the ramp. */
  g_assert_cmpuint (fees_electricity (charge->target.fees), ==, 44);
  g_assert_cmpuint (charge_amount (charge), ==, 88);
  while (charge_amount (charge) < 100)
    charge_second (charge, &outlet, &sim_default_params, 25, 600);
  g_assert_cmpint (charge_second (charge, &outlet, &sim_default_params, 25, 600), ==,
                   SIM_END_TARGET);
  charge_free (charge);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/outlet/time", test_time);
  g_test_add_func ("/sim/outlet/energy", test_energy_is_exact);
  g_test_add_func ("/sim/outlet/curve", test_curve);
  g_test_add_func ("/sim/outlet/no-load", test_no_load);
  g_test_add_func ("/sim/outlet/limits", test_limits);
  g_test_add_func ("/sim/outlet/steps", test_steps);
  g_test_add_func ("/sim/outlet/fees", test_fees);
  return g_test_run ();
}
