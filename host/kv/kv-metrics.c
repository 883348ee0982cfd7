/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of the front. A host without metrics (tests) has none. */
#include "base/clock-private.h"
#include "kv/kv-private.h"

static ChSeries *seconds_of (ChKv *kv, const ChKvCommandInfo *info)
{
  gsize other = ch_kv_command_info_count ();
  gsize number = info != NULL ? ch_kv_command_info_number (info) : other;

  if (kv->seconds_by_command[number] == NULL) {
    g_autofree char *op
        = info != NULL ? g_ascii_strdown (info->name, -1) : g_strdup ("other");
    kv->seconds_by_command[number] = ch_metric_with (kv->seconds, op, NULL);
  }
  return kv->seconds_by_command[number];
}

/* Commands that wait for data say nothing about the kv's speed. */
void ch_kv_observe (ChKvRun *run)
{
  ChKv *kv = run->kv;

  if (kv->seconds == NULL || run->blocking)
    return;
  gint64 us = ch_clock_monotonic_us (kv->services->clock) - run->started_us;
  ch_series_observe (seconds_of (kv, run->info), (double) us / (double) G_USEC_PER_SEC);
}

void ch_kv_metrics_up (ChKv *kv)
{
  if (kv->up_metric == NULL)
    return;
  if (kv->driver != NULL)
    ch_series_set (ch_metric_with (kv->up_metric, kv->driver->name, NULL),
                   kv->up ? 1 : 0);
}

void ch_kv_metrics_dropped (ChKv *kv)
{
  if (kv->dropped_series != NULL)
    ch_series_inc (kv->dropped_series);
}

static void collect (ChPlugin *self, gpointer user_data)
{
  ChKv *kv = user_data;

  ch_series_set (kv->memory_series, (double) MAX (ch_kv_used_memory (kv), 0));
  ch_series_set (kv->pending_series, (double) kv->pending);
}

void ch_kv_metrics_init (ChKv *kv)
{
  static const char *const by_op[] = {"op", NULL};
  static const char *const by_driver[] = {"driver", NULL};
  ChMetric *metric;

  if (kv->services->metrics == NULL)
    return;
  kv->seconds_by_command = g_new0 (ChSeries *, ch_kv_command_info_count () + 1);
  kv->seconds = ch_metric_register (kv->owner, CH_METRIC_HISTOGRAM,
                                    "chargehost_kv_command_seconds",
                                    "Time from a kv command to its answer", by_op);
  kv->up_metric = ch_metric_register (kv->owner, CH_METRIC_GAUGE, "chargehost_kv_up",
                                      "Whether the kv answers", by_driver);
  metric
      = ch_metric_register (kv->owner, CH_METRIC_GAUGE, "chargehost_kv_used_memory_bytes",
                            "Memory that the kv uses", NULL);
  kv->memory_series = ch_metric_with (metric, NULL);
  metric
      = ch_metric_register (kv->owner, CH_METRIC_GAUGE, "chargehost_kv_pending_commands",
                            "Commands that were not answered yet", NULL);
  kv->pending_series = ch_metric_with (metric, NULL);
  metric = ch_metric_register (
      kv->owner, CH_METRIC_COUNTER, "chargehost_kv_messages_dropped_total",
      "Messages of subscriptions that found the queue full", NULL);
  kv->dropped_series = ch_metric_with (metric, NULL);
  ch_metrics_add_collector (kv->owner, collect, kv);
}

void ch_kv_metrics_clear (ChKv *kv)
{
  g_free (kv->seconds_by_command);
}
