/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics in Prometheus' text format. A family is registered once with its label
 * names; a series is looked up once and then kept, so counting costs one addition.
 * Main loop only, except where a comment says otherwise.
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

typedef struct _ChMetric ChMetric; /* a family */
typedef struct _ChSeries ChSeries; /* one set of label values */

typedef enum { CH_METRIC_COUNTER, CH_METRIC_GAUGE, CH_METRIC_HISTOGRAM } ChMetricKind;

/**
 * ch_metric_register:
 * @self: the owner
 * @kind: kind
 * @name: `chargehost_…` or a name that gateway 9.1 gives; counters end in `_total`
 * @help: one sentence
 * @labels: (nullable): NULL-terminated label names, at most 4; never an id of a
 *   device, order or card
 *
 * Registering a family again with the same kind and labels returns the same family.
 *
 * Returns: (transfer none): the family
 */
ChMetric *ch_metric_register (ChPlugin *self, ChMetricKind kind, const char *name,
                              const char *help, const char *const *labels);

/**
 * ch_metric_register_histogram:
 * @self: the owner
 * @name: name
 * @help: one sentence
 * @labels: (nullable): NULL-terminated label names, at most 4
 * @bounds: upper bounds of the buckets, rising, at most 32, closed by `INFINITY`
 *
 * As ch_metric_register() for a histogram whose buckets are not the default ones
 * (0.005 to 10 seconds).
 *
 * Returns: (transfer none): the family
 */
ChMetric *ch_metric_register_histogram (ChPlugin *self, const char *name,
                                        const char *help, const char *const *labels,
                                        const double *bounds);

/**
 * ch_metric_with:
 * @metric: a family
 * @...: one value per label, closed by %NULL
 *
 * At most 1000 series per family; beyond that the series `other`.
 *
 * Returns: (transfer none): the series, valid as long as its family
 */
ChSeries *ch_metric_with (ChMetric *metric, ...) G_GNUC_NULL_TERMINATED;

void ch_series_add (ChSeries *series, double value);     /* counter, gauge */
void ch_series_set (ChSeries *series, double value);     /* gauge; counter from a sum */
void ch_series_observe (ChSeries *series, double value); /* histogram; base units */
double ch_series_value (ChSeries *series);               /* histogram: the sum */

static inline void ch_series_inc (ChSeries *series)
{
  ch_series_add (series, 1);
}

/**
 * ChMetricsCollect: called before each scrape, to set gauges that cost something.
 */
typedef void (*ChMetricsCollect) (ChPlugin *self, gpointer user_data);
void ch_metrics_add_collector (ChPlugin *self, ChMetricsCollect collect,
                               gpointer user_data);

G_END_DECLS
