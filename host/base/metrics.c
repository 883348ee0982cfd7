/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Families and series. A family outlives its owner, since a counter that vanishes with
 * a reload would look like a restart of the process; collectors do not.
 */
#include "base/metrics-series.h"
#include <chargehost/log.h>

#include <math.h>
#include <string.h>

typedef struct {
  ChResource resource;
  ChMetrics *metrics;
  ChMetricsCollect collect;
  gpointer user_data;
} Collector;

static const double DEFAULT_BOUNDS[]
    = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

static void series_free (gpointer data)
{
  ChSeries *series = data;
  g_free (series->labels);
  g_free (series->buckets);
  g_free (series);
}

static void family_free (gpointer data)
{
  ChMetric *family = data;
  for (guint i = 0; i < family->n_labels; i++)
    g_free (family->labels[i]);
  g_hash_table_unref (family->by_labels);
  g_ptr_array_unref (family->series);
  g_free (family->bounds);
  g_free (family->name);
  g_free (family->help);
  g_free (family);
}

ChMetrics *ch_metrics_new (void)
{
  ChMetrics *metrics = g_new0 (ChMetrics, 1);
  metrics->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  metrics->families = g_ptr_array_new_with_free_func (family_free);
  metrics->refused = g_ptr_array_new_with_free_func (family_free);
  metrics->collectors = g_ptr_array_new ();
  return metrics;
}

static void revoke_collector (ChResource *resource)
{
  Collector *collector = (Collector *) resource;
  g_ptr_array_remove (collector->metrics->collectors, collector);
  g_free (collector);
}

static const ChResourceKind COLLECTOR_KIND = {"metrics collectors", revoke_collector};

void ch_metrics_free (ChMetrics *metrics)
{
  if (metrics == NULL)
    return;
  while (metrics->collectors->len > 0) {
    Collector *collector = g_ptr_array_index (metrics->collectors, 0);
    ch_owner_unlink (&collector->resource);
    revoke_collector (&collector->resource);
  }
  g_ptr_array_unref (metrics->collectors);
  g_hash_table_unref (metrics->by_name);
  g_ptr_array_unref (metrics->families);
  g_ptr_array_unref (metrics->refused);
  g_free (metrics);
}

/* ---- families ---------------------------------------------------------------------- */

static gboolean is_name (const char *name, gboolean colon)
{
  if (name == NULL || *name == '\0' || g_ascii_isdigit (*name))
    return FALSE;
  for (const char *p = name; *p != '\0'; p++)
    if (!g_ascii_isalnum (*p) && *p != '_' && !(colon && *p == ':'))
      return FALSE;
  return TRUE;
}

/* NULL when everything is right. */
static const char *what_is_wrong (ChMetricKind kind, const char *name,
                                  const char *const *labels)
{
  guint n = 0;

  if (!is_name (name, TRUE))
    return "its name is not one of Prometheus'";
  if (kind == CH_METRIC_COUNTER && !g_str_has_suffix (name, "_total"))
    return "the name of a counter ends in _total";
  for (; labels != NULL && labels[n] != NULL; n++) {
    if (!is_name (labels[n], FALSE) || g_str_has_prefix (labels[n], "__")
        || (kind == CH_METRIC_HISTOGRAM && g_str_equal (labels[n], "le")))
      return "a label name is not allowed";
    for (guint i = 0; i < n; i++)
      if (g_str_equal (labels[i], labels[n]))
        return "a label name occurs twice";
  }
  return n > CH_METRIC_MAX_LABELS ? "it has more than four labels" : NULL;
}

static gboolean is_same (const ChMetric *family, ChMetricKind kind,
                         const char *const *labels)
{
  guint n = 0;

  if (family->kind != kind)
    return FALSE;
  for (; labels != NULL && labels[n] != NULL; n++)
    if (n >= family->n_labels || !g_str_equal (family->labels[n], labels[n]))
      return FALSE;
  return n == family->n_labels;
}

static ChSeries *series_new (ChMetric *family, char *labels)
{
  ChSeries *series = g_new0 (ChSeries, 1);
  series->family = family;
  series->labels = labels;
  if (family->kind == CH_METRIC_HISTOGRAM)
    series->buckets = g_new0 (guint64, family->n_bounds + 1);
  g_ptr_array_add (family->series, series);
  if (labels != NULL)
    g_hash_table_insert (family->by_labels, labels, series);
  return series;
}

static ChMetric *family_new (ChMetricKind kind, const char *name, const char *help,
                             const char *const *labels)
{
  ChMetric *family = g_new0 (ChMetric, 1);
  family->kind = kind;
  family->name = g_strdup (name != NULL ? name : "");
  family->help = g_utf8_make_valid (help != NULL ? help : "", -1);
  for (guint i = 0; labels != NULL && labels[i] != NULL && i < CH_METRIC_MAX_LABELS; i++)
    family->labels[family->n_labels++] = g_strdup (labels[i]);
  family->by_labels = g_hash_table_new (g_str_hash, g_str_equal);
  family->series = g_ptr_array_new_with_free_func (series_free);
  return family;
}

static void set_bounds (ChMetric *family, const double *bounds)
{
  guint n = 0;
  double last = -INFINITY;

  /* Only those that rise and are finite; +Inf is there anyway. */
  family->bounds = g_new (double, CH_METRIC_MAX_BUCKETS);
  for (; *bounds > last && isfinite (*bounds) && n < CH_METRIC_MAX_BUCKETS; bounds++)
    family->bounds[n++] = last = *bounds;
  family->n_bounds = n;
}

static ChMetric *register_family (ChPlugin *self, ChMetricKind kind, const char *name,
                                  const char *help, const char *const *labels,
                                  const double *bounds)
{
  ChMetrics *metrics = self->services->metrics;
  if (metrics == NULL)
    return NULL;

  const char *wrong = what_is_wrong (kind, name, labels);
  ChMetric *family = NULL;
  if (wrong == NULL) {
    family = g_hash_table_lookup (metrics->by_name, name);
    if (family != NULL && is_same (family, kind, labels))
      return family;
    if (family != NULL)
      wrong = "it exists with another kind or other labels";
  }

  family = family_new (kind, name, help, labels);
  if (kind == CH_METRIC_HISTOGRAM)
    set_bounds (family, bounds);
  if (wrong != NULL) {
    ch_error (self, "metric %s of %s is not shown: %s", family->name, self->name, wrong);
    g_ptr_array_add (metrics->refused, family);
  } else {
    g_ptr_array_add (metrics->families, family);
    g_hash_table_insert (metrics->by_name, family->name, family);
  }
  if (family->n_labels == 0)
    series_new (family, NULL);
  return family;
}

ChMetric *ch_metric_register (ChPlugin *self, ChMetricKind kind, const char *name,
                              const char *help, const char *const *labels)
{
  double bounds[G_N_ELEMENTS (DEFAULT_BOUNDS) + 1];

  memcpy (bounds, DEFAULT_BOUNDS, sizeof DEFAULT_BOUNDS);
  bounds[G_N_ELEMENTS (DEFAULT_BOUNDS)] = INFINITY;
  return register_family (self, kind, name, help, labels, bounds);
}

ChMetric *ch_metric_register_histogram (ChPlugin *self, const char *name,
                                        const char *help, const char *const *labels,
                                        const double *bounds)
{
  return register_family (self, CH_METRIC_HISTOGRAM, name, help, labels, bounds);
}

/* ---- series ------------------------------------------------------------------------ */

static void append_label (GString *text, const char *name, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);
  gsize n = 0;

  g_string_append_printf (text, "%s%s=\"", text->len > 0 ? "," : "", name);
  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gsize size = (gsize) (g_utf8_next_char (p) - p);
    if ((n += size) > CH_METRIC_MAX_LABEL_BYTES)
      break;
    if (*p == '\\')
      g_string_append (text, "\\\\");
    else if (*p == '"')
      g_string_append (text, "\\\"");
    else if (*p == '\n')
      g_string_append (text, "\\n");
    else
      g_string_append_len (text, p, (gssize) size);
  }
  g_string_append_c (text, '"');
}

static ChSeries *other_series (ChMetric *family)
{
  if (family->other == NULL) {
    g_autoptr (GString) text = g_string_new (NULL);
    for (guint i = 0; i < family->n_labels; i++)
      append_label (text, family->labels[i], "other");
    family->other = g_hash_table_lookup (family->by_labels, text->str);
    if (family->other == NULL)
      family->other = series_new (family, g_strdup (text->str));
  }
  return family->other;
}

ChSeries *ch_metric_with (ChMetric *metric, ...)
{
  if (metric == NULL)
    return NULL;
  if (metric->n_labels == 0)
    return g_ptr_array_index (metric->series, 0);

  g_autoptr (GString) text = g_string_sized_new (64);
  va_list values;
  gboolean ended = FALSE;
  va_start (values, metric);
  for (guint i = 0; i < metric->n_labels; i++) {
    const char *value = ended ? NULL : va_arg (values, const char *);
    ended = ended || value == NULL;
    append_label (text, metric->labels[i], value != NULL ? value : "");
  }
  va_end (values);

  ChSeries *series = g_hash_table_lookup (metric->by_labels, text->str);
  if (series != NULL)
    return series;
  if (metric->series->len >= CH_METRIC_MAX_SERIES)
    return other_series (metric);
  return series_new (metric, g_strdup (text->str));
}

void ch_series_add (ChSeries *series, double value)
{
  if (series == NULL || !isfinite (value))
    return;
  if (series->family->kind == CH_METRIC_GAUGE
      || (series->family->kind == CH_METRIC_COUNTER && value >= 0))
    series->value += value;
}

void ch_series_set (ChSeries *series, double value)
{
  if (series != NULL && series->family->kind != CH_METRIC_HISTOGRAM)
    series->value = value;
}

void ch_series_observe (ChSeries *series, double value)
{
  if (series == NULL || series->buckets == NULL || isnan (value))
    return;
  const ChMetric *family = series->family;
  guint i = 0;
  while (i < family->n_bounds && value > family->bounds[i])
    i++;
  series->buckets[i]++;
  series->count++;
  series->value += value;
}

double ch_series_value (ChSeries *series)
{
  return series != NULL ? series->value : 0;
}

/* ---- collectors -------------------------------------------------------------------- */

void ch_metrics_add_collector (ChPlugin *self, ChMetricsCollect collect,
                               gpointer user_data)
{
  ChMetrics *metrics = self->services->metrics;
  if (metrics == NULL)
    return;
  Collector *collector = g_new0 (Collector, 1);
  collector->metrics = metrics;
  collector->collect = collect;
  collector->user_data = user_data;
  g_ptr_array_add (metrics->collectors, collector);
  ch_owner_link (self, &collector->resource, &COLLECTOR_KIND);
}

void ch_metrics_collect (ChMetrics *metrics)
{
  /* Backwards: a collector that stops its owner removes itself. */
  for (guint i = metrics->collectors->len; i-- > 0;) {
    if (i >= metrics->collectors->len)
      continue;
    Collector *collector = g_ptr_array_index (metrics->collectors, i);
    ChPlugin *owner = collector->resource.owner;
    ChRunnerFrame frame;
    if (!ch_runner_enter (owner, "metrics collector", &frame))
      continue;
    collector->collect (owner, collector->user_data);
    ch_runner_leave (&frame);
  }
}
