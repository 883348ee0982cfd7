/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters (bkv 15). What the host counts for every protocol is not repeated here. */
#include "proto-bkv/bkv.h"

static const char *const routes[BKV_ROUTE_N]
    = {"0000", "0005", "0007", "0015", "1000", "other"};
static const char *const bads[BKV_BAD_N] = {
    "bad_direction", "wrong_direction", "short_payload", "tlv_length", "unknown_command",
};
static const char *const quirks[BKV_QUIRK_N] = {
    "len_counts_sub",           "unknown_tag",        "answer_mismatch",
    "inner_gateway_id_differs", "gateway_id_changed",
};
static const char *const ends[BKV_END_N] = {
    "new", "duplicate", "conflict", "unreadable", "inferred",
};

const char *bkv_bad_name (BkvBad bad)
{
  return bads[bad];
}

static void counter (ChPlugin *self, const char *name, const char *help,
                     const char *label, const char *const *values, guint n,
                     ChSeries **series)
{
  ChMetric *metric = ch_metric_register (self, CH_METRIC_COUNTER, name, help,
                                         (const char *const[]) {label, NULL});

  for (guint i = 0; i < n; i++)
    series[i] = ch_metric_with (metric, values[i], NULL);
}

void bkv_metrics_register (ChPlugin *self, BkvMetrics *metrics)
{
  counter (self, "bkv_route_total", "Frames of BKV gateways by command.", "cmd", routes,
           BKV_ROUTE_N, metrics->route);
  counter (self, "chargehost_bkv_bad_frames_total",
           "Frames whose boundaries were right and whose content was not.", "error", bads,
           BKV_BAD_N, metrics->bad);
  counter (self, "chargehost_bkv_quirks_total", "Tolerated deviations of devices.",
           "kind", quirks, BKV_QUIRK_N, metrics->quirk);
  counter (self, "chargehost_bkv_end_reports_total", "Reports of the end of a charge.",
           "result", ends, BKV_END_N, metrics->end);
}
