/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of devices, ports and orders (gateway 9); commands and sessions have their
 * own. */
#pragma once

#include "core/core.h"
#include <chargehost/metrics.h>

struct _ChCoreMetrics {
  ChSeries *device_unknown;
  ChSeries *port_snapshot_stale;
  ChSeries *report_charging, *report_idle, *report_abnormal;
  ChSeries *order_inconsistent_transition, *order_inconsistent_duplicate;
  ChMetric *order_transition; /* from, to, by */
  ChMetric *duplicate_report; /* type */
  ChMetric *order_timeout;    /* order_status */
  ChMetric *mapping;          /* operation, status */
  ChMetric *start_seconds;    /* protocol */
  ChSeries *settlement_revised;
  ChSeries *guard_timeout;
  ChSeries *power, *current;   /* sums */
  ChMetric *energy_total;      /* protocol */
  ChMetric *orders_active;     /* status */
  ChMetric *devices_presence;  /* presence */
  ChMetric *devices_connected; /* protocol */
};

ChCoreMetrics *ch_core_metrics_new (ChCore *core);
