/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin that does everything right: a topic, a subscription, a timer, a metric, a key.
 * Built several times with another name or version, for reloading.
 */
#include "poke.h"

#ifndef GOOD_IDENT
#define GOOD_IDENT test_good
#define GOOD_NAME "test-good"
#define GOOD_VERSION "1.0.0"
#endif

typedef struct {
  ChTopicHandle *heard;
  ChSeries *pokes;
  gint64 count;
  gint64 ticks;
} Good;

static const ChTopic heard_topic = {
    .size = sizeof (ChTopic),
    .name = "good.heard",
    .event_size = sizeof (HeardEvent),
    .fields = heard_fields,
    .lane = CH_LANE_STATE,
    .summary = "a poke was heard",
};

static const ChConfigKey config_keys[] = {
    {.name = "answer",
     .type = CH_CONFIG_INT,
     .def = "42",
     .min = 0,
     .max = 100,
     .summary = "What it answers"},
    {.name = NULL},
};

static void tick (ChPlugin *self, gpointer user_data)
{
  Good *good = user_data;
  good->ticks++;
  ch_timer_add (self, 10, tick, good);
}

static void poked (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                   gpointer user_data)
{
  Good *good = user_data;
  const PokeEvent *poke = (const PokeEvent *) event;

  good->count++;
  ch_series_inc (good->pokes);
  if (poke->number == POKE_DEGRADE)
    ch_plugin_degraded (self, "poked");
  if (poke->number == POKE_RECOVER)
    ch_plugin_degraded (self, NULL);
  HeardEvent heard = {
      .event = {.time_ms = ch_wall_ms (self), .socket_no = -1, .port_no = -1},
      .number = (gint) ch_config_int (self, "answer"),
      .heard = good->count,
      .version = GOOD_VERSION,
  };
  ch_publish (good->heard, &heard.event);
}

static gboolean start (ChPlugin *self, GError **error)
{
  ChTopicHandle *heard = ch_topic_register (self, &heard_topic, error);
  if (heard == NULL)
    return FALSE;
  Good *good = g_new0 (Good, 1);
  good->heard = heard;
  good->pokes
      = ch_metric_with (ch_metric_register (self, CH_METRIC_COUNTER,
                                            "chargehost_test_pokes_total", "pokes", NULL),
                        NULL);
  ch_plugin_set_data (self, good);
  ch_subscribe (self, "test.poked", NULL, poked, good);
  ch_timer_add (self, 10, tick, good);
  return TRUE;
}

static void stop (ChPlugin *self)
{
  g_free (ch_plugin_data (self));
}

static const char *const provided[] = {"greeting", NULL};

#define DEFINE(ident, ...) CH_PLUGIN_DEFINE (ident, __VA_ARGS__)
DEFINE (GOOD_IDENT, .name = GOOD_NAME, .summary = "Does everything right",
        .version = GOOD_VERSION, .license = "LGPL-2.1-or-later", .provides = provided,
        .config = config_keys, .start = start, .stop = stop)
