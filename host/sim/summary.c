/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures: histograms, progress, the summary at exit. */
#include "report.h"

#include <string.h>

#define SUB_BITS 5 /* 32 buckets per power of two */

/* ---- histogram -------------------------------------------------------------------- */

static guint bucket_of (guint64 us)
{
  if (us < 2u << SUB_BITS)
    return (guint) us;
  guint shift = (guint) g_bit_storage ((gulong) us) - SUB_BITS - 1;
  guint bucket = (shift << SUB_BITS) + (guint) (us >> shift);
  return MIN (bucket, SIM_BUCKETS - 1);
}

static guint64 bucket_low (guint bucket)
{
  if (bucket < 2u << SUB_BITS)
    return bucket;
  guint shift = (bucket >> SUB_BITS) - 1;
  return ((guint64) bucket - ((guint64) shift << SUB_BITS)) << shift;
}

void histogram_add (SimHistogram *histogram, guint64 us)
{
  if (histogram->n == 0 || us < histogram->min)
    histogram->min = us;
  histogram->max = MAX (histogram->max, us);
  histogram->n++;
  histogram->buckets[bucket_of (us)]++;
}

/* Microseconds; 0 when empty. */
static guint64 histogram_at (const SimHistogram *histogram, double fraction)
{
  guint64 rank = (guint64) ((double) histogram->n * fraction);
  guint64 seen = 0;

  if (histogram->n == 0)
    return 0;
  for (guint i = 0; i < SIM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen > rank)
      return CLAMP (bucket_low (i), histogram->min, histogram->max);
  }
  return histogram->max;
}

/* ---- text ------------------------------------------------------------------------- */

static double elapsed_s (const Sim *sim)
{
  return (double) (g_get_monotonic_time () - sim->began) / 1e6;
}

static double flood_rate (const Sim *sim)
{
  double seconds = sim->flood_began == 0
                       ? 0
                       : (double) (g_get_monotonic_time () - sim->flood_began) / 1e6;
  return seconds > 0 ? (double) sim->flood_answers / seconds : 0;
}

static guint64 ends_left (const Sim *sim)
{
  guint64 n = 0;
  for (guint i = 0; i < sim->n_gateways; i++)
    n += ends_waiting (&sim->gateways[i]);
  return n;
}

static void print_latency (FILE *file, const char *name, const SimHistogram *histogram)
{
  if (histogram->n == 0)
    return;
  fprintf (
      file,
      "%-16s min %.2f  median %.2f  p99 %.2f  max %.2f ms  (%" G_GUINT64_FORMAT ")\n",
      name, (double) histogram->min / 1e3, (double) histogram_at (histogram, 0.5) / 1e3,
      (double) histogram_at (histogram, 0.99) / 1e3, (double) histogram->max / 1e3,
      histogram->n);
}

#define U G_GUINT64_FORMAT

void summary_print (const Sim *sim, FILE *file)
{
  const SimCounters *c = &sim->counters;

  fprintf (file, "\nGateways         %u, ready %u, after %.1f s\n", sim->n_gateways,
           sim->n_ready, elapsed_s (sim));
  fprintf (file,
           "Connections      %" U " made, %" U " failed, %" U " closed by the server, %" U
           " by us\n",
           c->connects, c->connect_failures, c->closed_by_server, c->closed_by_us);
  print_latency (file, "First answer", &c->first_answer);
  print_latency (file, "Every answer", &c->answer);
  fprintf (file, "Heartbeats       %" U " sent, %" U " answered\n", c->heartbeats_sent,
           c->heartbeats_answered);
  if (sim->options.flood > 0)
    fprintf (file, "Rate             %.0f heartbeats answered per second\n",
             flood_rate (sim));
  fprintf (file, "Status reports   %" U " sent, %" U " answered\n", c->statuses_sent,
           c->statuses_answered);
  fprintf (file,
           "Commands         %" U ", repeated %" U "; starts %" U ", refused %" U
           "; stops %" U "\n",
           c->commands, c->commands_repeated, c->starts, c->starts_refused, c->stops);
  fprintf (file,
           "End reports      %" U " made, %" U " sent, %" U " of them repeats, %" U
           " acknowledged, %" U " left\n",
           c->ends, c->ends_sent, c->ends_repeated, c->ends_acked, ends_left (sim));
  if (c->swipes > 0)
    fprintf (file, "Swipes           %" U ", accepted %" U ", refused %" U "\n",
             c->swipes, c->swipes_accepted, c->swipes_refused);
  if (c->disturbed > 0)
    fprintf (file, "Disturbances     %" U "\n", c->disturbed);
  fprintf (file, "Rules broken     %" U "\n", sim_violations (sim));
  for (int i = 0; i < SIM_RULE_N; i++)
    if (c->rules[i] > 0)
      fprintf (file, "  %-22s %" U "\n", check_rule_name ((SimRule) i), c->rules[i]);
}

/* ---- JSON ------------------------------------------------------------------------- */

static json_t *latency_json (const SimHistogram *histogram)
{
  return json_pack ("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t) histogram->n,
                    "min_ms", (double) histogram->min / 1e3, "median_ms",
                    (double) histogram_at (histogram, 0.5) / 1e3, "p99_ms",
                    (double) histogram_at (histogram, 0.99) / 1e3, "max_ms",
                    (double) histogram->max / 1e3);
}

static void put_counters (json_t *object, const SimCounters *c)
{
  const struct {
    const char *name;
    guint64 value;
  } rows[] = {
      {"connects", c->connects},
      {"connect_failures", c->connect_failures},
      {"closed_by_server", c->closed_by_server},
      {"closed_by_us", c->closed_by_us},
      {"frames_up", c->frames_up},
      {"frames_down", c->frames_down},
      {"bytes_up", c->bytes_up},
      {"bytes_down", c->bytes_down},
      {"heartbeats_sent", c->heartbeats_sent},
      {"heartbeats_answered", c->heartbeats_answered},
      {"statuses_sent", c->statuses_sent},
      {"statuses_answered", c->statuses_answered},
      {"events_sent", c->events_sent},
      {"events_answered", c->events_answered},
      {"commands", c->commands},
      {"commands_repeated", c->commands_repeated},
      {"starts", c->starts},
      {"starts_refused", c->starts_refused},
      {"stops", c->stops},
      {"ends", c->ends},
      {"ends_sent", c->ends_sent},
      {"ends_repeated", c->ends_repeated},
      {"ends_acknowledged", c->ends_acked},
      {"ends_lost", c->ends_lost},
      {"swipes", c->swipes},
      {"swipes_accepted", c->swipes_accepted},
      {"swipes_refused", c->swipes_refused},
      {"disturbances", c->disturbed},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    json_object_set_new (object, rows[i].name, json_integer ((json_int_t) rows[i].value));
}

gboolean summary_write_json (const Sim *sim, const char *path, GError **error)
{
  const SimCounters *c = &sim->counters;
  json_t *object = json_pack ("{s:i, s:i, s:f}", "gateways", (int) sim->n_gateways,
                              "ready", (int) sim->n_ready, "seconds", elapsed_s (sim));
  json_t *rules = json_object ();

  put_counters (object, c);
  json_object_set_new (object, "ends_left", json_integer ((json_int_t) ends_left (sim)));
  json_object_set_new (object, "first_answer", latency_json (&c->first_answer));
  json_object_set_new (object, "answer", latency_json (&c->answer));
  json_object_set_new (object, "answers_per_second", json_real (flood_rate (sim)));
  json_object_set_new (object, "rules_broken",
                       json_integer ((json_int_t) sim_violations (sim)));
  for (int i = 0; i < SIM_RULE_N; i++)
    if (c->rules[i] > 0)
      json_object_set_new (rules, check_rule_name ((SimRule) i),
                           json_integer ((json_int_t) c->rules[i]));
  json_object_set_new (object, "rules", rules);
  char *text = json_dumps (object, JSON_INDENT (2));
  g_autofree char *line = g_strconcat (text, "\n", NULL);
  free (text);
  json_decref (object);
  return g_file_set_contents (path, line, -1, error);
}

/* ---- progress --------------------------------------------------------------------- */

/* A line per second while many connect or flood; silent when there is nothing new. */
void summary_progress (gpointer data)
{
  Sim *sim = data;
  guint64 answers = sim->flood_answers;

  if (sim->options.flood > 0)
    fprintf (stderr, "%.0f s: %u of %u ready, %" U " heartbeats answered per second\n",
             elapsed_s (sim), sim->n_ready, sim->n_gateways, answers - sim->flood_last);
  else if (sim->n_ready != sim->last_ready)
    fprintf (stderr, "%.0f s: %u of %u ready\n", elapsed_s (sim), sim->n_ready,
             sim->n_gateways);
  sim->flood_last = answers;
  sim->last_ready = sim->n_ready;
  timer_arm (sim->loop, &sim->progress, loop_scaled (sim->loop, SIM_SECOND));
}
