/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prometheus' text format 0.0.4. */
#include "base/metrics-series.h"

#include <math.h>
#include <string.h>

static const char *const KIND_NAMES[] = {"counter", "gauge", "histogram"};

static void append_number (GString *out, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (isnan (value)) {
    g_string_append (out, "NaN");
  } else if (isinf (value)) {
    g_string_append (out, value > 0 ? "+Inf" : "-Inf");
  } else if (fabs (value) < 9007199254740992.0 && value == trunc (value)) {
    g_string_append_printf (out, "%" G_GINT64_FORMAT, (gint64) value);
  } else {
    /* The shortest of the exact forms. */
    g_ascii_formatd (text, sizeof text, "%.15g", value);
    if (g_ascii_strtod (text, NULL) < value || g_ascii_strtod (text, NULL) > value)
      g_ascii_dtostr (text, sizeof text, value);
    g_string_append (out, text);
  }
}

static void append_help (GString *out, const ChMetric *family)
{
  g_string_append_printf (out, "# HELP %s ", family->name);
  for (const char *p = family->help; *p != '\0'; p++) {
    if (*p == '\\')
      g_string_append (out, "\\\\");
    else if (*p == '\n')
      g_string_append (out, "\\n");
    else
      g_string_append_c (out, *p);
  }
  g_string_append_printf (out, "\n# TYPE %s %s\n", family->name,
                          KIND_NAMES[family->kind]);
}

static void append_sample (GString *out, const ChSeries *series, const char *suffix,
                           double value)
{
  g_string_append (out, series->family->name);
  g_string_append (out, suffix);
  if (series->labels != NULL)
    g_string_append_printf (out, "{%s}", series->labels);
  g_string_append_c (out, ' ');
  append_number (out, value);
  g_string_append_c (out, '\n');
}

static void append_histogram (GString *out, const ChSeries *series)
{
  const ChMetric *family = series->family;
  guint64 sum = 0;

  for (guint i = 0; i <= family->n_bounds; i++) {
    sum += series->buckets[i];
    g_string_append_printf (out, "%s_bucket{", family->name);
    if (series->labels != NULL)
      g_string_append_printf (out, "%s,", series->labels);
    g_string_append (out, "le=\"");
    append_number (out, i < family->n_bounds ? family->bounds[i] : INFINITY);
    g_string_append_printf (out, "\"} %" G_GUINT64_FORMAT "\n", sum);
  }
  append_sample (out, series, "_sum", series->value);
  append_sample (out, series, "_count", (double) series->count);
}

static gint by_name (gconstpointer a, gconstpointer b)
{
  const ChMetric *const *x = a, *const *y = b;
  return strcmp ((*x)->name, (*y)->name);
}

GString *ch_metrics_render (ChMetrics *metrics)
{
  GString *out = g_string_sized_new (16384);

  ch_metrics_collect (metrics);
  g_ptr_array_sort (metrics->families, by_name);
  for (guint i = 0; i < metrics->families->len; i++) {
    const ChMetric *family = g_ptr_array_index (metrics->families, i);
    append_help (out, family);
    for (guint j = 0; j < family->series->len; j++) {
      const ChSeries *series = g_ptr_array_index (family->series, j);
      if (family->kind == CH_METRIC_HISTOGRAM)
        append_histogram (out, series);
      else
        append_sample (out, series, "", series->value);
    }
  }
  return out;
}
