/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the tests of this folder: a bus without configuration, and a topic of each lane. */
#pragma once

#include "base/clock-private.h"
#include "base/metrics-private.h"
#include "bus/bus-private.h"

typedef struct {
  ChEvent event;
  gint number;
  char station_id[32];
  char order_no[CH_ORDER_NO_SIZE];
} Thing;

static const ChField thing_fields[] = {
    CH_FIELD (Thing, number, CH_FIELD_INT, NULL),
    CH_FIELD (Thing, station_id, CH_FIELD_STRING, NULL),
    CH_FIELD (Thing, order_no, CH_FIELD_STRING, NULL),
    {.name = NULL},
};

static const ChTopic thing_changed
    = {sizeof (ChTopic), "thing.changed",     sizeof (Thing),   thing_fields,
       CH_LANE_STATE,    CH_TOPIC_FLAGS_NONE, "a thing changed"};
static const ChTopic thing_failed
    = {sizeof (ChTopic), "thing.failed",      sizeof (Thing),  thing_fields,
       CH_LANE_ALARM,    CH_TOPIC_FLAGS_NONE, "a thing failed"};
static const ChTopic thing_measured
    = {sizeof (ChTopic), "thing.measured",    sizeof (Thing),        thing_fields,
       CH_LANE_SAMPLE,   CH_TOPIC_FLAGS_NONE, "a thing was measured"};

/* A bus with two owners, and what they heard, as text. */
typedef struct {
  ChServices services;
  ChPlugin *publisher;
  ChPlugin *listener;
  ChTopicHandle *changed, *failed, *measured;
  GString *heard;
} Bed;

static inline void bed_setup (Bed *bed, gconstpointer data)
{
  (void) data;
  bed->services.clock = ch_clock_new_fake (1700000000000);
  bed->services.runner = ch_runner_new ();
  bed->services.metrics = ch_metrics_new ();
  bed->services.bus = ch_bus_new (&bed->services);
  bed->publisher = ch_owner_new (&bed->services, "things", NULL);
  bed->listener = ch_owner_new (&bed->services, "listener", NULL);
  bed->changed = ch_topic_register (bed->publisher, &thing_changed, NULL);
  bed->failed = ch_topic_register (bed->publisher, &thing_failed, NULL);
  bed->measured = ch_topic_register (bed->publisher, &thing_measured, NULL);
  bed->heard = g_string_new (NULL);
  g_assert_nonnull (bed->changed);
  g_assert_nonnull (bed->failed);
  g_assert_nonnull (bed->measured);
}

static inline void bed_teardown (Bed *bed, gconstpointer data)
{
  (void) data;
  g_clear_pointer (&bed->publisher, ch_owner_free);
  g_clear_pointer (&bed->listener, ch_owner_free);
  ch_bus_free (bed->services.bus);
  ch_metrics_free (bed->services.metrics);
  ch_runner_free (bed->services.runner);
  ch_clock_free (bed->services.clock);
  g_string_free (bed->heard, TRUE);
}

static inline void say (ChTopicHandle *topic, gint number, const char *device)
{
  Thing thing = {.event = {.socket_no = -1, .port_no = -1}, .number = number};
  g_strlcpy (thing.event.device, device, sizeof thing.event.device);
  ch_publish (topic, &thing.event);
}

/* A handler that notes the topic's first letter after the dot and the number. */
static inline void hear (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                         gpointer user_data)
{
  Bed *bed = user_data;
  const Thing *thing = (const Thing *) event;
  (void) self;
  g_string_append_printf (bed->heard, "%c%d ", topic->name[6], thing->number);
}
