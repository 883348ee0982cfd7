/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Order among lanes, limits, drops, pressure, copies of blobs. */
#include "bus/bus-fixture.h"

#include <string.h>

static void assert_heard (Bed *bed, const char *text)
{
  g_assert_cmpstr (bed->heard->str, ==, text);
  g_string_truncate (bed->heard, 0);
}

typedef void (*Burst) (Bed *bed);

/* Runs a burst inside of a handler, so that all of it waits. */
static void burst_handler (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                           gpointer user_data)
{
  Bed *bed = g_array_index ((GArray *) user_data, gpointer, 0);
  Burst burst = (Burst) g_array_index ((GArray *) user_data, gpointer, 1);
  burst (bed);
}

static void run_burst (Bed *bed, Burst burst)
{
  static const ChField fields[] = {{.name = NULL}};
  static const ChTopic start
      = {sizeof (ChTopic), "burst.started",     sizeof (ChEvent), fields,
         CH_LANE_STATE,    CH_TOPIC_FLAGS_NONE, "start"};
  ChPlugin *owner = ch_owner_new (&bed->services, "burst", NULL);
  ChTopicHandle *topic = ch_topic_register (owner, &start, NULL);
  g_autoptr (GArray) arguments = g_array_new (FALSE, FALSE, sizeof (gpointer));
  gpointer function = (gpointer) burst;
  ChEvent event = {0};

  g_array_append_val (arguments, bed);
  g_array_append_val (arguments, function);
  ch_subscribe (owner, "burst.started", NULL, burst_handler, arguments);
  ch_publish (topic, &event);
  ch_owner_free (owner);
}

static void burst_mixed (Bed *bed)
{
  say (bed->measured, 1, "");
  say (bed->changed, 2, "");
  say (bed->failed, 3, "");
  say (bed->measured, 4, "");
  say (bed->changed, 5, "");
  say (bed->failed, 6, "");
  g_assert_cmpuint (ch_bus_length (bed->services.bus), ==, 6);
}

static void test_order (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "thing.*", NULL, hear, bed);
  run_burst (bed, burst_mixed);
  assert_heard (bed, "f3 f6 m1 c2 m4 c5 ");
}

static void burst_samples (Bed *bed)
{
  for (gint i = 0; i < 20; i++)
    say (bed->measured, i, "");
  for (gint i = 0; i < 12; i++)
    say (bed->changed, i, "");
  say (bed->failed, 99, "");
  say (bed->measured, 98, ""); /* pushes out the last but one of its kind */
}

static void test_drop (Bed *bed, gconstpointer data)
{
  bed->services.bus->max_length = 16;
  ch_subscribe (bed->listener, "thing.*", NULL, hear, bed);
  run_burst (bed, burst_samples);
  assert_heard (bed, "f99 m18 m19 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 m98 ");
  g_assert_cmpuint (bed->measured->node->dropped_count, ==, 18);
  g_assert_cmpuint (bed->changed->node->dropped_count, ==, 0);
  g_assert_cmpfloat (ch_series_value (bed->measured->node->dropped), ==, 18);
}

static void burst_states (Bed *bed)
{
  for (gint i = 0; i < 40; i++)
    say (bed->changed, i, "");
  say (bed->measured, 1, ""); /* no room, and no older sample */
  for (gint i = 0; i < 4; i++)
    say (bed->failed, i, "");
  g_assert_cmpuint (ch_bus_length (bed->services.bus), ==, 44);
}

static void press (gboolean on, gpointer data)
{
  Bed *bed = data;
  g_string_append (bed->heard, on ? "[on] " : "[off] ");
}

static void count (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                   gpointer user_data)
{
  guint *n = user_data;
  (*n)++;
}

static void test_never_dropped (Bed *bed, gconstpointer data)
{
  guint n = 0;
  bed->services.bus->max_length = 16;
  ch_bus_set_pressure (bed->services.bus, press, bed);
  ch_subscribe (bed->listener, "thing.*", NULL, count, &n);
  run_burst (bed, burst_states);
  g_assert_cmpuint (n, ==, 44);
  assert_heard (bed, "[on] [off] ");
  g_assert_cmpuint (bed->measured->node->dropped_count, ==, 1);
}

static void burst_twelve (Bed *bed)
{
  for (gint i = 0; i < 12; i++)
    say (bed->changed, i, "");
}

static void burst_thirteen (Bed *bed)
{
  burst_twelve (bed);
  say (bed->changed, 12, "");
}

static void test_pressure_edges (Bed *bed, gconstpointer data)
{
  bed->services.bus->max_length = 16;
  ch_bus_set_pressure (bed->services.bus, press, bed);
  ch_subscribe (bed->listener, "thing.*", NULL, hear, bed);
  run_burst (bed, burst_twelve); /* three quarters, not more */
  g_assert_null (strstr (bed->heard->str, "[on]"));
  g_string_truncate (bed->heard, 0);
  run_burst (bed, burst_thirteen);
  assert_heard (bed, "[on] c0 c1 c2 c3 c4 c5 c6 c7 c8 [off] c9 c10 c11 c12 ");
}

static void wake (gpointer data)
{
  Bed *bed = data;
  g_string_append (bed->heard, "[wake] ");
}

static void burst_many (Bed *bed)
{
  for (gint i = 0; i < CH_BUS_BATCH * 2 + 10; i++)
    say (bed->changed, i, "");
}

/* One publisher delivers a batch; the rest is left to somebody who is woken once. */
static void test_wake (Bed *bed, gconstpointer data)
{
  guint n = 0;
  ChBus *bus = bed->services.bus;
  ch_bus_set_wake (bus, wake, bed);
  ch_subscribe (bed->listener, "thing.changed", NULL, count, &n);
  run_burst (bed, burst_many);
  g_assert_cmpuint (n, ==, CH_BUS_BATCH);
  g_assert_cmpuint (ch_bus_length (bus), ==, CH_BUS_BATCH + 10);
  say (bed->changed, 1, ""); /* waits behind the others */
  g_assert_cmpuint (n, ==, CH_BUS_BATCH * 2);
  assert_heard (bed, "[wake] ");
  g_assert_cmpuint (ch_bus_drain (bus, 5), ==, 6);
  g_assert_cmpuint (ch_bus_drain (bus, 100), ==, 0);
  g_assert_cmpuint (n, ==, CH_BUS_BATCH * 2 + 11);
  run_burst (bed, burst_many);
  assert_heard (bed, "[wake] ");
  g_assert_cmpuint (ch_bus_drain (bus, G_MAXUINT), ==, 0);
}

static void drain_inside (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                          gpointer user_data)
{
  Bed *bed = user_data;
  const Thing *thing = (const Thing *) event;
  hear (self, topic, event, bed);
  if (thing->number == 1) {
    say (bed->changed, 2, "");
    g_assert_cmpuint (ch_bus_drain (bed->services.bus, 10), ==, 1);
  }
}

static void test_drain_inside (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "thing.changed", NULL, drain_inside, bed);
  say (bed->changed, 1, "");
  assert_heard (bed, "c1 c2 ");
}

static void publish_blob (Bed *bed, const char *text, gsize size)
{
  gsize whole = sizeof (Thing) + size;
  g_autofree Thing *thing = g_malloc0 (whole);
  thing->event.blob_size = (guint32) size;
  memcpy (thing + 1, text, size);
  ch_publish (bed->measured, &thing->event);
}

static void burst_blobs (Bed *bed)
{
  publish_blob (bed, "{\"a\":1}", 7);
  publish_blob (bed, "[]", 2);
}

static void hear_blob (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                       gpointer user_data)
{
  Bed *bed = user_data;
  g_string_append_len (bed->heard, (const char *) event + topic->event_size,
                       event->blob_size);
}

static void test_blobs (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "thing.measured", NULL, hear_blob, bed);
  run_burst (bed, burst_blobs);
  assert_heard (bed, "{\"a\":1}[]");
}

static void burst_bytes (Bed *bed)
{
  g_autofree char *large = g_malloc0 (3000);
  for (guint i = 0; i < 5; i++)
    publish_blob (bed, large, 3000);
  g_assert_cmpuint (ch_bus_length (bed->services.bus), ==, 3);
  g_assert_cmpuint (bed->services.bus->bytes, <=, 10000);
  g_autofree char *huge = g_malloc0 (20000);
  publish_blob (bed, huge, 20000); /* could never fit */
  g_assert_cmpuint (ch_bus_length (bed->services.bus), ==, 3);
}

static void test_byte_limit (Bed *bed, gconstpointer data)
{
  bed->services.bus->max_bytes = 10000;
  ch_subscribe (bed->listener, "thing.measured", NULL, hear, bed);
  run_burst (bed, burst_bytes);
  assert_heard (bed, "m0 m0 m0 ");
  g_assert_cmpuint (bed->measured->node->dropped_count, ==, 3);
  g_assert_cmpuint (bed->services.bus->bytes, ==, 0);
}

static void burst_left (Bed *bed)
{
  burst_many (bed);
  ch_owner_revoke_all (bed->publisher); /* what was said stays said */
}

static void test_publisher_gone (Bed *bed, gconstpointer data)
{
  guint n = 0;
  ch_subscribe (bed->listener, "thing.changed", NULL, count, &n);
  run_burst (bed, burst_left);
  ch_bus_drain (bed->services.bus, G_MAXUINT);
  g_assert_cmpuint (n, ==, CH_BUS_BATCH * 2 + 10);
}

static void test_freed_with_events (Bed *bed, gconstpointer data)
{
  guint n = 0;
  ch_subscribe (bed->listener, "thing.changed", NULL, count, &n);
  run_burst (bed, burst_many); /* the rest goes with the bus */
}

static void test_metrics (Bed *bed, gconstpointer data)
{
  g_autoptr (GString) none = ch_metrics_render (bed->services.metrics);
  g_assert_nonnull (strstr (none->str, "chargehost_bus_queue_length 0"));
  guint n = 0;
  ch_subscribe (bed->listener, "thing.changed", NULL, count, &n);
  run_burst (bed, burst_many);
  GString *some = ch_metrics_render (bed->services.metrics);
  g_assert_nonnull (strstr (some->str, "chargehost_bus_queue_length 138"));
  g_string_free (some, TRUE);
}

#define ADD(path, func)                                                                  \
  g_test_add ("/lanes/" path, Bed, NULL, bed_setup, func, bed_teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("order", test_order);
  ADD ("drop", test_drop);
  ADD ("never-dropped", test_never_dropped);
  ADD ("pressure-edges", test_pressure_edges);
  ADD ("wake", test_wake);
  ADD ("drain-inside", test_drain_inside);
  ADD ("blobs", test_blobs);
  ADD ("byte-limit", test_byte_limit);
  ADD ("publisher-gone", test_publisher_gone);
  ADD ("freed-with-events", test_freed_with_events);
  ADD ("metrics", test_metrics);
  return g_test_run ();
}
