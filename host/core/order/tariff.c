/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/tariff.h"

#include <chargehost/types.h>

/* a × b / 1000, rounded half up, without overflow for any figure a device can send. */
static gint64 permille (gint64 a, gint64 b)
{
  return (gint64) (((__int128) a * b + 500) / 1000);
}

ChAmount ch_tariff_amount (gint64 energy_wh, gint64 price_per_kwh_cent,
                           gint64 service_fee_permille, gint64 min_charge_cent,
                           gint64 limit_cent)
{
  ChAmount amount = {0};
  if (energy_wh <= 0)
    return amount;
  amount.electricity_cent = permille (energy_wh, MAX (price_per_kwh_cent, 0));
  amount.service_cent = permille (amount.electricity_cent, MAX (service_fee_permille, 0));
  amount.total_cent
      = MAX (amount.electricity_cent + amount.service_cent, min_charge_cent);
  if (limit_cent != CH_UNSET && amount.total_cent > limit_cent)
    amount.total_cent = limit_cent;
  return amount;
}
