/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Topics, patterns, filters, nesting, and everything that ends inside a handler. */
#include "bus/bus-fixture.h"
#include <chargehost/error.h>

#include <string.h>

static void assert_heard (Bed *bed, const char *text)
{
  g_assert_cmpstr (bed->heard->str, ==, text);
  g_string_truncate (bed->heard, 0);
}

static void test_patterns (Bed *bed, gconstpointer data)
{
  g_assert_false (ch_topic_is_heard (bed->changed));
  say (bed->changed, 1, ""); /* nobody listens */
  ChSubscription exact = ch_subscribe (bed->listener, "thing.changed", NULL, hear, bed);
  g_assert_cmpuint (exact, !=, 0);
  g_assert_true (ch_topic_is_heard (bed->changed));
  g_assert_false (ch_topic_is_heard (bed->failed));
  say (bed->changed, 2, "");
  say (bed->failed, 3, "");
  assert_heard (bed, "c2 ");

  ChSubscription prefix = ch_subscribe (bed->listener, "thing.*", NULL, hear, bed);
  say (bed->changed, 4, "");
  say (bed->failed, 5, "");
  assert_heard (bed, "c4 c4 f5 ");

  ch_unsubscribe (bed->listener, &exact);
  g_assert_cmpuint (exact, ==, 0);
  ch_unsubscribe (bed->listener, &exact); /* nothing happens */
  ChSubscription all = ch_subscribe (bed->listener, "*", NULL, hear, bed);
  say (bed->measured, 6, "");
  assert_heard (bed, "m6 m6 ");

  ch_unsubscribe (bed->listener, &prefix);
  ch_unsubscribe (bed->listener, &all);
  say (bed->measured, 7, "");
  assert_heard (bed, "");
}

static void test_bad_pattern (Bed *bed, gconstpointer data)
{
  static const char *const bad[]
      = {"", "thing", "thing*", "thing.*.x", "**", "Thing.changed", "thing.", "a b.c"};
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_cmpuint (ch_subscribe (bed->listener, bad[i], NULL, hear, bed), ==, 0);
  g_assert_cmpuint (bed->services.bus->order->len, ==, 3);
}

static void test_names_of_nobody (Bed *bed, gconstpointer data)
{
  for (guint i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf ("client.chose_%u", i);
    ChSubscription subscription = ch_subscribe (bed->listener, name, NULL, hear, bed);
    g_assert_cmpuint (bed->services.bus->order->len, ==, 4);
    ch_unsubscribe (bed->listener, &subscription);
  }
  g_assert_cmpuint (bed->services.bus->order->len, ==, 3);
}

static void test_later_topic (Bed *bed, gconstpointer data)
{
  static const ChTopic late
      = {sizeof (ChTopic), "other.late",    sizeof (Thing), thing_fields,
         CH_LANE_STATE,    CH_TOPIC_SHARED, "late"};
  ch_subscribe (bed->listener, "other.late", NULL, hear, bed);
  ch_subscribe (bed->listener, "other.*", NULL, hear, bed);
  ch_subscribe (bed->listener, "*", NULL, hear, bed);

  ChTopicHandle *topic = ch_topic_register (bed->publisher, &late, NULL);
  say (topic, 1, "");
  assert_heard (bed, "l1 l1 l1 ");
}

static void publish_thing (ChTopicHandle *topic, gint number, const char *device,
                           const char *station, const char *order_no)
{
  Thing thing = {.number = number};
  g_strlcpy (thing.event.device, device, sizeof thing.event.device);
  g_strlcpy (thing.station_id, station, sizeof thing.station_id);
  g_strlcpy (thing.order_no, order_no, sizeof thing.order_no);
  ch_publish (topic, &thing.event);
}

static void test_filters (Bed *bed, gconstpointer data)
{
  static const struct {
    ChFilter filter;
    const char *heard;
  } cases[] = {
      {{NULL, NULL, NULL}, "c1 c2 c3 c4 "},
      {{"d1", NULL, NULL}, "c1 c2 "},
      {{NULL, "s1", NULL}, "c1 c3 "},
      {{NULL, NULL, "o1"}, "c1 c4 "},
      {{"d1", "s1", NULL}, "c1 "},
      {{"d1", "s1", "o2"}, ""},
      {{"d", NULL, NULL}, ""},
      {{NULL, "s11", NULL}, ""},
      {{NULL, "a station id that is longer than the field itself", NULL}, ""},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    ChSubscription subscription
        = ch_subscribe (bed->listener, "thing.changed", &cases[i].filter, hear, bed);
    publish_thing (bed->changed, 1, "d1", "s1", "o1");
    publish_thing (bed->changed, 2, "d1", "s2", "o2");
    publish_thing (bed->changed, 3, "d2", "s1", "o2");
    publish_thing (bed->changed, 4, "d2", "s2", "o1");
    assert_heard (bed, cases[i].heard);
    ch_unsubscribe (bed->listener, &subscription);
  }
}

/* A topic without the field never passes a filter on it. */
static void test_filter_without_field (Bed *bed, gconstpointer data)
{
  static const ChField fields[] = {{.name = NULL}};
  static const ChTopic bare
      = {sizeof (ChTopic),    "thing.bare", sizeof (ChEvent), fields, CH_LANE_STATE,
         CH_TOPIC_FLAGS_NONE, "bare"};
  ChFilter station = {.station = ""}, order = {.order_no = ""};
  ChTopicHandle *topic = ch_topic_register (bed->publisher, &bare, NULL);
  ch_subscribe (bed->listener, "thing.bare", &station, hear, bed);
  ch_subscribe (bed->listener, "thing.bare", &order, hear, bed);
  ChEvent event = {0};
  ch_publish (topic, &event);
  assert_heard (bed, "");
}

/* Handlers that publish: 1 → 2 and 3 → each once more. */
static void hear_and_say (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                          gpointer user_data)
{
  Bed *bed = user_data;
  const Thing *thing = (const Thing *) event;
  g_string_append_printf (bed->heard, "<%d", thing->number);
  if (thing->number < 4) {
    say (bed->changed, thing->number * 2, "");
    say (bed->changed, thing->number * 2 + 1, "");
  }
  g_string_append (bed->heard, ">");
}

static void test_nesting (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "thing.changed", NULL, hear_and_say, bed);
  say (bed->changed, 1, "");
  assert_heard (bed, "<1><2><3><4><5><6><7>");
  g_assert_cmpuint (ch_bus_length (bed->services.bus), ==, 0);
}

typedef struct {
  Bed *bed;
  ChSubscription subscriptions[4];
} Several;

static void end_all (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                     gpointer user_data)
{
  Several *several = user_data;
  hear (self, topic, event, several->bed);
  for (guint i = 0; i < G_N_ELEMENTS (several->subscriptions); i++)
    ch_unsubscribe (self, &several->subscriptions[i]);
}

static void test_unsubscribe_in_handler (Bed *bed, gconstpointer data)
{
  Several several = {.bed = bed};
  for (guint i = 0; i < G_N_ELEMENTS (several.subscriptions); i++)
    several.subscriptions[i] = ch_subscribe (bed->listener, i % 2 ? "*" : "thing.changed",
                                             NULL, end_all, &several);
  ch_subscribe (bed->listener, "thing.changed", NULL, hear, bed);
  say (bed->changed, 1, "");
  assert_heard (bed, "c1 c1 "); /* the first of the four, and the one beside them */
  say (bed->changed, 2, "");
  assert_heard (bed, "c2 ");
}

static void subscribe_more (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                            gpointer user_data)
{
  Bed *bed = user_data;
  const Thing *thing = (const Thing *) event;
  hear (self, topic, event, bed);
  if (thing->number != 1)
    return;
  say (bed->changed, 2, ""); /* before the newcomers: they must not hear it */
  for (guint i = 0; i < 100; i++)
    ch_subscribe (self, "thing.changed", NULL, hear, bed);
}

static void test_subscribe_in_handler (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "thing.changed", NULL, subscribe_more, bed);
  say (bed->changed, 1, "");
  assert_heard (bed, "c1 c2 ");
  say (bed->changed, 3, "");
  g_assert_cmpuint (bed->heard->len, ==, 101 * 3);
}

static void stop_owner (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                        gpointer user_data)
{
  Bed *bed = user_data;
  hear (self, topic, event, bed);
  ch_owner_revoke_all (bed->listener);
  ch_owner_revoke_all (bed->publisher);
  say (bed->changed, 9, ""); /* its publisher has stopped */
}

static void test_owner_stop_in_handler (Bed *bed, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&bed->services, "other", NULL);
  ch_subscribe (bed->listener, "thing.*", NULL, stop_owner, bed);
  ch_subscribe (bed->listener, "thing.changed", NULL, hear, bed);
  ch_subscribe (other, "thing.changed", NULL, hear, bed);
  say (bed->changed, 1, "");
  assert_heard (bed, "c1 c1 ");
  g_assert_cmpuint (bed->listener->in_call, ==, 0);
  say (bed->changed, 2, ""); /* not heard: no publisher */
  assert_heard (bed, "");
  ch_owner_free (other);
}

static void test_not_callable (Bed *bed, gconstpointer data)
{
  ch_subscribe (bed->listener, "*", NULL, hear, bed);
  bed->listener->callable = FALSE;
  say (bed->changed, 1, "");
  assert_heard (bed, "");
  bed->listener->callable = TRUE;
  say (bed->changed, 2, "");
  assert_heard (bed, "c2 ");
  g_assert_cmpuint (bed->listener->calls, ==, 1);
}

static void test_foreign_handle (Bed *bed, gconstpointer data)
{
  ChSubscription mine = ch_subscribe (bed->listener, "*", NULL, hear, bed), stolen = mine;
  ch_unsubscribe (bed->publisher, &stolen); /* not its own */
  say (bed->changed, 1, "");
  assert_heard (bed, "c1 ");
  ChSubscription copy = mine;
  ch_unsubscribe (bed->listener, &mine);
  ChSubscription next = ch_subscribe (bed->listener, "*", NULL, hear, bed);
  ch_unsubscribe (bed->listener, &copy); /* the slot is another's by now */
  say (bed->changed, 2, "");
  assert_heard (bed, "c2 ");
  ch_unsubscribe (bed->listener, &next);
}

static void test_publishers (Bed *bed, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  ch_subscribe (bed->listener, "thing.changed", NULL, hear, bed);
  ChPlugin *thief = ch_owner_new (&bed->services, "thief", NULL);
  g_assert_null (ch_topic_register (thief, &thing_changed, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE);
  g_clear_error (&error);
  g_assert_null (ch_topic_register (bed->publisher, &thing_changed, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE);
  g_clear_error (&error);

  /* A second generation beside the first; both may speak. */
  ChPlugin *second = ch_owner_new (&bed->services, "things", NULL);
  ChTopicHandle *again = ch_topic_register (second, &thing_changed, &error);
  g_assert_no_error (error);
  say (bed->changed, 1, "");
  say (again, 2, "");
  assert_heard (bed, "c1 c2 ");
  g_clear_pointer (&bed->publisher, ch_owner_free);
  say (bed->changed, 3, "");
  say (again, 4, "");
  assert_heard (bed, "c4 ");

  /* When all are gone, anybody may; the subscription is still there. */
  ch_owner_free (second);
  g_assert_nonnull (ch_topic_register (thief, &thing_changed, &error));
  ch_owner_free (thief);
}

static void test_bad_topics (Bed *bed, gconstpointer data)
{
  static const ChField none[] = {{.name = NULL}};
  static const ChField outside[]
      = {{"x", CH_FIELD_INT64, sizeof (ChEvent), 8, NULL}, {.name = NULL}};
  static const ChField head[] = {{"x", CH_FIELD_INT64, 0, 8, NULL}, {.name = NULL}};
  static const ChField size[]
      = {{"x", CH_FIELD_INT64, sizeof (ChEvent), 4, NULL}, {.name = NULL}};
  static const ChField kind[] = {{"x", 0, sizeof (ChEvent), 4, NULL}, {.name = NULL}};
  static const ChField odd[]
      = {{"x", CH_FIELD_INT, sizeof (ChEvent) + 1, 4, NULL}, {.name = NULL}};
  static const ChField twice[] = {{"x", CH_FIELD_INT, sizeof (ChEvent), 4, NULL},
                                  {"x", CH_FIELD_INT, sizeof (ChEvent), 4, NULL},
                                  {.name = NULL}};
  static const ChField blob[] = {{"b", CH_FIELD_JSON, 0, 0, NULL},
                                 {"x", CH_FIELD_INT, sizeof (ChEvent), 4, NULL},
                                 {.name = NULL}};
  const guint32 z = sizeof (ChTopic), e = sizeof (ChEvent);
  const ChTopic bad[] = {
      {z - 1, "a.b", e, none, 0, 0, "s"}, {z, NULL, e, none, 0, 0, "s"},
      {z, "ab", e, none, 0, 0, "s"},      {z, "a.B", e, none, 0, 0, "s"},
      {z, "a..b", e, none, 0, 0, "s"},    {z, "a.", e, none, 0, 0, "s"},
      {z, "a.b", e - 1, none, 0, 0, "s"}, {z, "a.b", 1 << 20, none, 0, 0, "s"},
      {z, "a.b", e, NULL, 0, 0, "s"},     {z, "a.b", e, none, 7, 0, "s"},
      {z, "a.b", e, none, 0, 0, ""},      {z, "a.b", e, none, 0, 0, NULL},
      {z, "a.b", e, outside, 0, 0, "s"},  {z, "a.b", e + 8, head, 0, 0, "s"},
      {z, "a.b", e + 8, size, 0, 0, "s"}, {z, "a.b", e + 8, kind, 0, 0, "s"},
      {z, "a.b", e + 8, odd, 0, 0, "s"},  {z, "a.b", e + 8, twice, 0, 0, "s"},
      {z, "a.b", e + 8, blob, 0, 0, "s"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (ch_topic_register (bed->publisher, &bad[i], &error));
    g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR);
  }
}

static void test_bus_freed_first (void)
{
  Bed bed = {0};
  bed_setup (&bed, NULL);
  ch_subscribe (bed.listener, "*", NULL, hear, &bed);
  ch_bus_free (g_steal_pointer (&bed.services.bus));
  bed_teardown (&bed, NULL);
}

#define ADD(path, func)                                                                  \
  g_test_add ("/bus/" path, Bed, NULL, bed_setup, func, bed_teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("patterns", test_patterns);
  ADD ("bad-pattern", test_bad_pattern);
  ADD ("names-of-nobody", test_names_of_nobody);
  ADD ("later-topic", test_later_topic);
  ADD ("filters", test_filters);
  ADD ("filter-without-field", test_filter_without_field);
  ADD ("nesting", test_nesting);
  ADD ("unsubscribe-in-handler", test_unsubscribe_in_handler);
  ADD ("subscribe-in-handler", test_subscribe_in_handler);
  ADD ("owner-stop-in-handler", test_owner_stop_in_handler);
  ADD ("not-callable", test_not_callable);
  ADD ("foreign-handle", test_foreign_handle);
  ADD ("publishers", test_publishers);
  ADD ("bad-topics", test_bad_topics);
  g_test_add_func ("/bus/bus-freed-first", test_bus_freed_first);
  return g_test_run ();
}
