/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log-private.h"
#include "base/metrics-private.h"

#include <math.h>
#include <string.h>

typedef struct {
  ChServices services;
  ChPlugin *owner;
} Fixture;

static void set_up (Fixture *f, gconstpointer data)
{
  f->services.metrics = ch_metrics_new ();
  f->owner = ch_owner_new (&f->services, "core", NULL);
}

static void tear_down (Fixture *f, gconstpointer data)
{
  ch_owner_free (f->owner);
  ch_metrics_free (f->services.metrics);
}

static char *render (Fixture *f)
{
  return g_string_free (ch_metrics_render (f->services.metrics), FALSE);
}

static void check (Fixture *f, const char *expected)
{
  g_autofree char *text = render (f);
  g_assert_cmpstr (text, ==, expected);
}

static void test_text (Fixture *f, gconstpointer data)
{
  const char *const labels[] = {"reason", "type", NULL};
  ChMetric *closed = ch_metric_register (f->owner, CH_METRIC_COUNTER, "x_closed_total",
                                         "Why \\ closed,\nin words.", labels);
  ChMetric *gauge
      = ch_metric_register (f->owner, CH_METRIC_GAUGE, "x_active", "Active.", NULL);

  ch_series_inc (ch_metric_with (closed, "peer", "a\\b\"c\nd", NULL));
  ch_series_add (ch_metric_with (closed, "peer", "a\\b\"c\nd", NULL), 2);
  ch_series_add (ch_metric_with (closed, "idle", "", NULL), 0.25);
  ch_series_set (ch_metric_with (gauge, NULL), -0.1);
  check (f, "# HELP x_active Active.\n"
            "# TYPE x_active gauge\n"
            "x_active -0.1\n"
            "# HELP x_closed_total Why \\\\ closed,\\nin words.\n"
            "# TYPE x_closed_total counter\n"
            "x_closed_total{reason=\"peer\",type=\"a\\\\b\\\"c\\nd\"} 3\n"
            "x_closed_total{reason=\"idle\",type=\"\"} 0.25\n");
}

static void test_numbers (Fixture *f, gconstpointer data)
{
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0, "0"},
               {1e15, "1000000000000000"},
               {1e300, "1e+300"},
               {0.1, "0.1"},
               {1.0 / 3, "0.33333333333333331"},
               {NAN, "NaN"},
               {INFINITY, "+Inf"},
               {-INFINITY, "-Inf"}};
  ChMetric *gauge = ch_metric_register (f->owner, CH_METRIC_GAUGE, "g", "", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    ch_series_set (ch_metric_with (gauge, NULL), cases[i].value);
    g_autofree char *expected
        = g_strdup_printf ("# HELP g \n# TYPE g gauge\ng %s\n", cases[i].text);
    check (f, expected);
  }
}

static void test_histogram (Fixture *f, gconstpointer data)
{
  const char *const labels[] = {"op", NULL};
  const double bounds[] = {0.1, 1, INFINITY};
  ChMetric *metric
      = ch_metric_register_histogram (f->owner, "x_seconds", "Time.", labels, bounds);
  ChSeries *series = ch_metric_with (metric, "get", NULL);

  ch_series_observe (series, 0.1); /* a bound belongs to its bucket */
  ch_series_observe (series, 0.5);
  ch_series_observe (series, 7);
  ch_series_observe (series, NAN);
  ch_series_set (series, 99); /* no such thing for histograms */
  ch_series_add (series, 99);
  g_assert_cmpfloat (ch_series_value (series), ==, 7.6);
  check (f, "# HELP x_seconds Time.\n"
            "# TYPE x_seconds histogram\n"
            "x_seconds_bucket{op=\"get\",le=\"0.1\"} 1\n"
            "x_seconds_bucket{op=\"get\",le=\"1\"} 2\n"
            "x_seconds_bucket{op=\"get\",le=\"+Inf\"} 3\n"
            "x_seconds_sum{op=\"get\"} 7.6\n"
            "x_seconds_count{op=\"get\"} 3\n");
}

static void test_default_buckets (Fixture *f, gconstpointer data)
{
  static const char *const bounds[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                       "0.5",   "1",    "2.5",   "5",    "10",  "+Inf"};
  ch_metric_register (f->owner, CH_METRIC_HISTOGRAM, "h_seconds", "", NULL);
  g_autofree char *text = render (f);
  const char *p = text;

  for (guint i = 0; i < G_N_ELEMENTS (bounds); i++) {
    g_autofree char *line
        = g_strdup_printf ("h_seconds_bucket{le=\"%s\"} 0\n", bounds[i]);
    p = strstr (p, line);
    g_assert_nonnull (p);
  }
  g_assert_nonnull (strstr (text, "\nh_seconds_sum 0\nh_seconds_count 0\n"));
}

static void test_counters_only_rise (Fixture *f, gconstpointer data)
{
  ChMetric *metric
      = ch_metric_register (f->owner, CH_METRIC_COUNTER, "c_total", "", NULL);
  ChSeries *series = ch_metric_with (metric, NULL);

  ch_series_inc (series);
  ch_series_add (series, -5);
  ch_series_add (series, NAN);
  ch_series_add (series, INFINITY);
  ch_series_observe (series, 5);
  g_assert_cmpfloat (ch_series_value (series), ==, 1);
  ch_series_set (series, 12); /* from a sum that is kept elsewhere */
  g_assert_cmpfloat (ch_series_value (series), ==, 12);
}

/* A counter must not vanish or begin anew because its plugin was reloaded. */
static void test_shared (Fixture *f, gconstpointer data)
{
  const char *const labels[] = {"a", NULL};
  ChPlugin *plugin = ch_owner_new (&f->services, "plugin", NULL);
  ChMetric *first
      = ch_metric_register (plugin, CH_METRIC_COUNTER, "s_total", "Help.", labels);

  ch_series_inc (ch_metric_with (first, "x", NULL));
  ch_owner_free (plugin);
  check (f, "# HELP s_total Help.\n# TYPE s_total counter\ns_total{a=\"x\"} 1\n");
  plugin = ch_owner_new (&f->services, "plugin", NULL);
  g_assert_true (
      ch_metric_register (plugin, CH_METRIC_COUNTER, "s_total", "Help.", labels)
      == first);
  ch_series_inc (ch_metric_with (first, "x", NULL));
  ch_owner_free (plugin);
  check (f, "# HELP s_total Help.\n# TYPE s_total counter\ns_total{a=\"x\"} 2\n");
}

static void drop_line (ChLogLevel level, const char *line, gpointer data)
{
  (*(guint *) data)++;
}

static void test_refused (Fixture *f, gconstpointer data)
{
  static const char *const twice[] = {"a", "a", NULL};
  static const char *const le[] = {"le", NULL};
  static const char *const many[] = {"a", "b", "c", "d", "e", NULL};
  static const char *const dash[] = {"a-b", NULL};
  static const struct {
    ChMetricKind kind;
    const char *name;
    const char *const *labels;
  } bad[] = {{CH_METRIC_GAUGE, "a b", NULL},       {CH_METRIC_GAUGE, "1a", NULL},
             {CH_METRIC_GAUGE, "", NULL},          {CH_METRIC_GAUGE, NULL, NULL},
             {CH_METRIC_COUNTER, "a_count", NULL}, {CH_METRIC_GAUGE, "a", twice},
             {CH_METRIC_HISTOGRAM, "a", le},       {CH_METRIC_GAUGE, "a", many},
             {CH_METRIC_GAUGE, "a", dash},         {CH_METRIC_COUNTER, "known", NULL}};
  guint lines = 0;

  ch_metric_register (f->owner, CH_METRIC_GAUGE, "known", "", NULL);
  ch_log_set_sink (drop_line, &lines);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    ChMetric *metric
        = ch_metric_register (f->owner, bad[i].kind, bad[i].name, "", bad[i].labels);
    g_assert_nonnull (metric);
    ch_series_inc (ch_metric_with (metric, "1", "2", "3", "4", NULL));
  }
  ch_log_set_sink (NULL, NULL);
  g_assert_cmpuint (lines, ==, G_N_ELEMENTS (bad));
  check (f, "# HELP known \n# TYPE known gauge\nknown 0\n");
}

static void test_cap (Fixture *f, gconstpointer data)
{
  const char *const labels[] = {"a", "b", NULL};
  ChMetric *metric
      = ch_metric_register (f->owner, CH_METRIC_COUNTER, "m_total", "", labels);
  char text[16];

  for (guint i = 0; i < 1500; i++) {
    g_snprintf (text, sizeof text, "%u", i);
    ch_series_inc (ch_metric_with (metric, text, "x", NULL));
  }
  ch_series_inc (ch_metric_with (metric, "3", "x", NULL)); /* known ones go on */
  g_autofree char *all = render (f);
  g_assert_nonnull (strstr (all, "m_total{a=\"other\",b=\"other\"} 500\n"));
  g_assert_nonnull (strstr (all, "m_total{a=\"3\",b=\"x\"} 2\n"));
  g_assert_nonnull (strstr (all, "m_total{a=\"999\",b=\"x\"} 1\n"));
  g_assert_null (strstr (all, "m_total{a=\"1000\""));
}

static void test_label_values (Fixture *f, gconstpointer data)
{
  const char *const labels[] = {"a", "b", NULL};
  ChMetric *metric = ch_metric_register (f->owner, CH_METRIC_GAUGE, "m", "", labels);
  g_autofree char *longest = g_strnfill (500, 'x'), *kept = g_strnfill (128, 'x');

  ch_metric_with (metric, longest, "\xff", NULL);
  ch_metric_with (metric, "only one", NULL);
  g_autofree char *expected
      = g_strdup_printf ("# HELP m \n# TYPE m gauge\nm{a=\"%s\",b=\"\xef\xbf\xbd\"} "
                         "0\nm{a=\"only one\",b=\"\"} 0\n",
                         kept);
  check (f, expected);
}

static void count_calls (ChPlugin *self, gpointer data)
{
  (*(guint *) data)++;
}

static void stop_self (ChPlugin *self, gpointer data)
{
  (*(guint *) data)++;
  ch_owner_revoke_all (self);
}

static void test_collectors (Fixture *f, gconstpointer data)
{
  ChPlugin *plugin = ch_owner_new (&f->services, "plugin", NULL);
  guint host = 0, stopping = 0, other = 0;

  ch_metrics_add_collector (f->owner, count_calls, &host);
  ch_metrics_add_collector (plugin, count_calls, &other);
  ch_metrics_add_collector (plugin, stop_self, &stopping);
  check (f, "");
  check (f, "");
  g_assert_cmpuint (host, ==, 2);
  g_assert_cmpuint (stopping, ==, 1);
  g_assert_cmpuint (other, ==, 0);
  ch_owner_free (plugin);
}

static void test_process (Fixture *f, gconstpointer data)
{
  ch_metrics_add_process (f->owner);
  g_autofree char *text = render (f);
  static const char *const names[]
      = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
         "process_max_fds", "process_start_time_seconds"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *start = g_strdup_printf ("\n%s ", names[i]);
    const char *line = strstr (text, start);
    g_assert_nonnull (line);
    g_assert_cmpfloat (g_ascii_strtod (line + strlen (start), NULL), >, 0);
  }
  const char *started = strstr (text, "\nprocess_start_time_seconds ");
  double age
      = (double) g_get_real_time () / 1e6
        - g_ascii_strtod (started + strlen ("\nprocess_start_time_seconds "), NULL);
  g_assert_cmpfloat (age, >, -60);
  g_assert_cmpfloat (age, <, 3600);
  g_assert_nonnull (strstr (text, "chargehost_build_info{version=\""));
}

/* Parts are tested without metrics, too. */
static void test_none (void)
{
  ChServices services = {0};
  g_autoptr (ChPlugin) owner = ch_owner_new (&services, "core", NULL);
  ChMetric *metric = ch_metric_register (owner, CH_METRIC_COUNTER, "x_total", "", NULL);
  ChSeries *series = ch_metric_with (metric, NULL);

  ch_series_inc (series);
  ch_series_set (series, 1);
  ch_series_observe (series, 1);
  g_assert_cmpfloat (ch_series_value (series), ==, 0);
  ch_metrics_add_collector (owner, count_calls, NULL);
  ch_metrics_add_process (owner);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/metrics/text", test_text);
  ADD ("/metrics/numbers", test_numbers);
  ADD ("/metrics/histogram", test_histogram);
  ADD ("/metrics/default-buckets", test_default_buckets);
  ADD ("/metrics/counters", test_counters_only_rise);
  ADD ("/metrics/shared", test_shared);
  ADD ("/metrics/refused", test_refused);
  ADD ("/metrics/cap", test_cap);
  ADD ("/metrics/label-values", test_label_values);
  ADD ("/metrics/collectors", test_collectors);
  ADD ("/metrics/process", test_process);
  g_test_add_func ("/metrics/none", test_none);
  return g_test_run ();
}
