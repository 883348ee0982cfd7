/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the metrics share. */
#pragma once

#include "base/metrics-private.h"

#define CH_METRIC_MAX_LABELS 4
#define CH_METRIC_MAX_SERIES 1000
#define CH_METRIC_MAX_BUCKETS 32
#define CH_METRIC_MAX_LABEL_BYTES 128

struct _ChSeries {
  ChMetric *family;
  char *labels;     /* `a="x",b="y"`, escaped; NULL without labels */
  double value;     /* counter, gauge; sum of a histogram */
  guint64 count;    /* histogram */
  guint64 *buckets; /* histogram: observations per bucket, not cumulated */
};

struct _ChMetric {
  ChMetricKind kind;
  char *name;
  char *help;
  char *labels[CH_METRIC_MAX_LABELS];
  guint n_labels;
  double *bounds;
  guint n_bounds;
  GHashTable *by_labels; /* label text → ChSeries */
  GPtrArray *series;     /* of ChSeries, as they were made */
  ChSeries *other;       /* what came beyond the limit */
};

struct _ChMetrics {
  GHashTable *by_name;   /* → ChMetric */
  GPtrArray *families;   /* of ChMetric, owned */
  GPtrArray *refused;    /* of ChMetric that are counted but never shown */
  GPtrArray *collectors; /* of Collector, owned by their owners */
};

/* Calls every collector through the runner. */
void ch_metrics_collect (ChMetrics *metrics);
