/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One event to its subscribers, beside a plain call through a pointer and g_signal_emit
 * in the same run. Prints nanoseconds per event and the ratios; fails nothing.
 */
#include "base/clock-private.h"
#include "bus/bus.h"
#include <chargehost/events.h>

#include <glib-object.h>

#define ROUNDS 5
#define EVENTS 2000000

static guint64 heard;

static void handler (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                     gpointer user_data)
{
  heard += (guint64) event->port_no;
}

/* Kept from being inlined, as a handler in another image is. */
static void (*volatile plain) (ChPlugin *, const ChTopic *, const ChEvent *, gpointer)
    = handler;

static void on_signal (GObject *object, gpointer event, gpointer user_data)
{
  heard += (guint64) ((const ChEvent *) event)->port_no;
}

typedef struct {
  ChTopicHandle *topic;
  ChPortChangedEvent event;
  GObject *object;
  guint signal;
} Bench;

static void run_plain (Bench *bench, guint n)
{
  for (guint i = 0; i < n; i++)
    plain (NULL, NULL, &bench->event.event, bench);
}

static void run_publish (Bench *bench, guint n)
{
  for (guint i = 0; i < n; i++)
    ch_publish (bench->topic, &bench->event.event);
}

static void run_signal (Bench *bench, guint n)
{
  for (guint i = 0; i < n; i++)
    g_signal_emit (bench->object, bench->signal, 0, &bench->event.event);
}

static void run_json (Bench *bench, guint n)
{
  static const ChField fields[] = {
      CH_FIELD (ChPortChangedEvent, old_status, CH_FIELD_INT, NULL),
      CH_FIELD (ChPortChangedEvent, new_status, CH_FIELD_INT, NULL),
      CH_FIELD (ChPortChangedEvent, raw_status, CH_FIELD_INT64, NULL),
      {.name = NULL},
  };
  static const ChTopic topic = {.event_size = sizeof (ChPortChangedEvent),
                                .fields = fields,
                                .name = "port.changed"};
  for (guint i = 0; i < n; i++)
    json_decref (ch_event_to_json (&topic, &bench->event.event));
}

/* The best of several rounds: the machine is not ours alone. */
static double measure (Bench *bench, void (*run) (Bench *, guint), guint n)
{
  double best = G_MAXDOUBLE;
  for (guint round = 0; round < ROUNDS; round++) {
    gint64 started = g_get_monotonic_time ();
    run (bench, n);
    double ns = (double) (g_get_monotonic_time () - started) * 1000.0 / n;
    best = MIN (best, ns);
  }
  return best;
}

static const ChField no_fields[] = {{.name = NULL}};
static const ChTopic bench_topic
    = {sizeof (ChTopic), "bench.done",  sizeof (ChPortChangedEvent),
       no_fields,        CH_LANE_STATE, CH_TOPIC_FLAGS_NONE,
       "bench"};

int main (void)
{
  ChServices services = {.clock = ch_clock_new (), .runner = ch_runner_new ()};
  services.bus = ch_bus_new (&services);
  ChPlugin *owner = ch_owner_new (&services, "bench", NULL);
  Bench bench = {
      .topic = ch_topic_register (owner, &bench_topic, NULL),
      .event = {.event = {.port_no = 1, .device = "861234567890123"}},
      .object = g_object_new (G_TYPE_OBJECT, NULL),
      .signal = g_signal_new ("bench-done", G_TYPE_OBJECT, G_SIGNAL_RUN_LAST, 0, NULL,
                              NULL, NULL, G_TYPE_NONE, 1, G_TYPE_POINTER),
  };

  double call = measure (&bench, run_plain, EVENTS);
  double none = measure (&bench, run_publish, EVENTS);
  ch_subscribe (owner, "bench.done", NULL, handler, &bench);
  g_signal_connect (bench.object, "bench-done", G_CALLBACK (on_signal), &bench);
  double one = measure (&bench, run_publish, EVENTS);
  double signal = measure (&bench, run_signal, EVENTS);
  for (guint i = 0; i < 9; i++)
    ch_subscribe (owner, "bench.*", NULL, handler, &bench);
  double ten = measure (&bench, run_publish, EVENTS / 4);
  ChFilter other = {.device = "861234567890124"};
  for (guint i = 0; i < 90; i++)
    ch_subscribe (owner, "bench.done", &other, handler, &bench);
  double filtered = measure (&bench, run_publish, EVENTS / 20);
  double json = measure (&bench, run_json, EVENTS / 20);

  g_print ("bus: call through a pointer        %8.1f ns\n", call);
  g_print ("bus: publish, nobody listens       %8.1f ns\n", none);
  g_print ("bus: publish, 1 subscriber         %8.1f ns\n", one);
  g_print ("bus: publish, 10 subscribers       %8.1f ns  %.1f each\n", ten, ten / 10);
  g_print ("bus: and 90 whose filter says no   %8.1f ns  %.1f each\n", filtered,
           (filtered - ten) / 90);
  g_print ("bus: g_signal_emit, 1 handler      %8.1f ns  %.1f times publish\n", signal,
           signal / one);
  g_print ("bus: ch_event_to_json              %8.1f ns\n", json);

  g_object_unref (bench.object);
  ch_owner_free (owner);
  ch_bus_free (services.bus);
  ch_runner_free (services.runner);
  ch_clock_free (services.clock);
  return heard > 0 ? 0 : 1;
}
