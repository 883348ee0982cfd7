/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Money: integer cents, half up (gateway 1.4, Tariff). Pure. */
#pragma once

#include <glib.h>

typedef struct {
  gint64 electricity_cent;
  gint64 service_cent;
  gint64 total_cent;
} ChAmount;

/**
 * ch_tariff_amount:
 * @energy_wh: energy, ≥ 0
 * @price_per_kwh_cent: price
 * @service_fee_permille: fee on the electricity
 * @min_charge_cent: applies only when there was energy
 * @limit_cent: upper bound of the total, CH_UNSET for none
 */
ChAmount ch_tariff_amount (gint64 energy_wh, gint64 price_per_kwh_cent,
                           gint64 service_fee_permille, gint64 min_charge_cent,
                           gint64 limit_cent);
