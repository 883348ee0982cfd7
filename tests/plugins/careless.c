/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin that starts well: it crashes or dawdles when poked and never cleans up. */
#include "poke.h"

#include <stdlib.h>

static void poked (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                   gpointer user_data)
{
  const PokeEvent *poke = (const PokeEvent *) event;

  if (user_data == NULL)
    return;
  if (poke->number == POKE_CRASH)
    abort ();
  if (poke->number == POKE_SLOW)
    for (gint64 end = g_get_monotonic_time () + 80000; g_get_monotonic_time () < end;)
      continue;
}

static void tick (ChPlugin *self, gpointer user_data)
{
  ch_timer_add (self, 10, tick, NULL);
}

static void collect (ChPlugin *self, gpointer user_data) {}

static gboolean start (ChPlugin *self, GError **error)
{
  static const char *const labels[] = {"number", NULL};
  ChMetric *metric = ch_metric_register (
      self, CH_METRIC_COUNTER, "chargehost_test_careless_total", "left behind", labels);

  for (guint i = 0; i < 100; i++) {
    ch_subscribe (self, i % 2 ? "test.*" : "test.poked", NULL, poked,
                  i == 0 ? self : NULL);
    ch_timer_add (self, 10 + i, tick, NULL);
  }
  ChSeries *series = ch_metric_with (metric, "1", NULL);
  ch_series_inc (series);
  ch_metrics_add_collector (self, collect, series);
  return TRUE;
}

CH_PLUGIN_DEFINE (test_careless, .name = "test-careless", .summary = "Never cleans up",
                  .version = "1.0.0", .license = "LGPL-2.1-or-later", .start = start)
