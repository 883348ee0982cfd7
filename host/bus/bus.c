/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus itself: its life, and the delivery of one event. Nothing nests: while a
 * handler runs, what it publishes waits in the lanes and is delivered by whoever
 * published outermost. Main loop only.
 */
#include "bus/bus-private.h"
#include <chargehost/log.h>

#define DEFAULT_QUEUE_MAX 20000
#define DEFAULT_QUEUE_BYTES (64 * 1024 * 1024)

const ChConfigKey ch_bus_config[] = {
    {.name = "queue_max",
     .type = CH_CONFIG_INT,
     .def = "20000",
     .min = 16,
     .max = 10000000,
     .summary = "Events that may wait in the lanes of the bus"},
    {.name = "queue_bytes",
     .type = CH_CONFIG_SIZE,
     .def = "64M",
     .min = 65536,
     .max = 4.0 * 1024 * 1024 * 1024,
     .summary = "Bytes of events that may wait in the lanes of the bus"},
    {.name = NULL},
};

static void collect (ChPlugin *self, gpointer user_data)
{
  ChBus *bus = user_data;
  ch_series_set (bus->gauge, bus->length);
}

ChBus *ch_bus_new (ChServices *services)
{
  static const char *const labels[] = {"topic", NULL};
  ChBus *bus = g_new0 (ChBus, 1);

  bus->services = services;
  bus->owner = ch_owner_new (services, "bus", NULL);
  bus->topics = g_hash_table_new (g_str_hash, g_str_equal);
  bus->order = g_ptr_array_new_with_free_func ((GDestroyNotify) ch_bus_topic_free);
  bus->slots = g_array_new (FALSE, FALSE, sizeof (ChBusSlot));
  bus->vacant = g_array_new (FALSE, FALSE, sizeof (guint32));
  bus->dead = g_ptr_array_new ();
  bus->max_length = DEFAULT_QUEUE_MAX;
  bus->max_bytes = DEFAULT_QUEUE_BYTES;
  if (services->config != NULL) {
    bus->max_length = (guint) ch_config_int (bus->owner, "bus.queue_max");
    bus->max_bytes = (gsize) ch_config_int (bus->owner, "bus.queue_bytes");
  }
  if (services->metrics != NULL) {
    bus->dropped = ch_metric_register (
        bus->owner, CH_METRIC_COUNTER, "chargehost_bus_dropped_total",
        "Events that were dropped because the lanes were full", labels);
    ChMetric *length
        = ch_metric_register (bus->owner, CH_METRIC_GAUGE, "chargehost_bus_queue_length",
                              "Events that wait in the lanes of the bus", NULL);
    bus->gauge = ch_metric_with (length, NULL);
    ch_metrics_add_collector (bus->owner, collect, bus);
  }
  return bus;
}

void ch_bus_free (ChBus *bus)
{
  if (bus == NULL)
    return;
  for (guint i = 0; i < bus->slots->len; i++) {
    ChBusSub *sub = g_array_index (bus->slots, ChBusSlot, i).sub;
    if (sub != NULL && !sub->dead)
      ch_bus_sub_free (sub);
  }
  ch_bus_sub_sweep (bus);
  ch_bus_lanes_clear (bus);
  g_hash_table_unref (bus->topics);
  g_ptr_array_unref (bus->order);
  g_array_unref (bus->slots);
  g_array_unref (bus->vacant);
  g_ptr_array_unref (bus->dead);
  ch_owner_free (bus->owner);
  g_free (bus);
}

/*
 * Handlers may subscribe (the array grows, perhaps elsewhere: it is read anew for each)
 * and unsubscribe (marked, swept when nothing runs). @number is 0 for an event that did
 * not wait: everybody who is there hears it.
 */
static void deliver (const ChTopicHandle *handle, const ChEvent *event, guint64 number,
                     gboolean foreign)
{
  const ChBusTopic *node = handle->node;
  const ChTopic *topic = handle->topic;
  guint n = node->listeners->len;
  gint64 now_us = ch_runner_now_us ();

  handle->bus->foreign = foreign;
  for (guint i = 0; i < n; i++) {
    ChBusSub *sub = g_array_index (node->listeners, ChBusListener, i).sub;
    ChPlugin *owner = sub->resource.owner;
    ChRunnerFrame frame;
    if (G_UNLIKELY (sub->dead))
      continue;
    if (sub->filtered && !ch_bus_sub_matches (sub, handle, event))
      continue;
    if (number != 0 && number < sub->since)
      continue;
    if (!ch_runner_enter_at (owner, "event handler", &frame, now_us))
      continue;
    sub->func (owner, topic, event, sub->user_data);
    now_us = ch_runner_leave_at (&frame);
  }
}

static void drain (ChBus *bus, guint max)
{
  for (guint i = 0; i < max && bus->length > 0; i++) {
    ChBusNode *node = ch_bus_lanes_take (bus);
    deliver (node->handle, CH_BUS_NODE_EVENT (node), node->number, node->foreign);
    g_free (node);
  }
}

static void finish (ChBus *bus)
{
  bus->busy = FALSE;
  if (G_UNLIKELY (bus->dead->len > 0))
    ch_bus_sub_sweep (bus);
}

guint ch_bus_drain (ChBus *bus, guint max)
{
  if (!bus->busy) {
    bus->busy = TRUE;
    drain (bus, max);
    finish (bus);
  }
  bus->woken = bus->length > 0; /* the caller knows and comes again */
  return bus->length;
}

/* Up to a batch is the publisher's work, the rest is somebody's later turn. */
static void wake_if_left (ChBus *bus)
{
  if (bus->length == 0)
    bus->woken = FALSE;
  else if (!bus->woken && bus->wake != NULL) {
    bus->woken = TRUE;
    bus->wake (bus->wake_data);
  }
}

static void publish (ChTopicHandle *handle, const ChEvent *event, gboolean foreign)
{
  ChBus *bus = handle->bus;

  if (handle->node->listeners->len == 0)
    return;
  if (G_UNLIKELY (!handle->alive)) {
    ch_debug (bus->owner, "%s was published by somebody who has stopped",
              handle->node->name);
    return;
  }
  if (G_UNLIKELY (bus->busy)) {
    ch_bus_lanes_put (bus, handle, event, foreign);
    return;
  }
  bus->busy = TRUE;
  if (G_UNLIKELY (bus->length > 0))
    ch_bus_lanes_put (bus, handle, event, foreign);
  else
    deliver (handle, event, 0, foreign);
  if (G_UNLIKELY (bus->length > 0))
    drain (bus, CH_BUS_BATCH);
  finish (bus);
  if (G_UNLIKELY (bus->length > 0 || bus->woken))
    wake_if_left (bus);
}

void ch_publish (ChTopicHandle *handle, const ChEvent *event)
{
  publish (handle, event, FALSE);
}

gboolean ch_bus_publish_foreign (ChBus *bus, const char *topic, const json_t *object,
                                 GError **error)
{
  ChBusTopic *node = g_hash_table_lookup (bus->topics, topic);
  ChTopicHandle *handle = NULL;

  for (guint i = node != NULL ? node->publishers->len : 0; i > 0 && handle == NULL; i--) {
    ChTopicHandle *one = g_ptr_array_index (node->publishers, i - 1);
    if (one->alive && (one->topic->flags & CH_TOPIC_SHARED) != 0)
      handle = one;
  }
  if (handle == NULL)
    return TRUE; /* of a plugin that does not run here */
  g_autofree ChEvent *event = ch_event_from_json (handle->topic, object, error);
  if (event == NULL)
    return FALSE;
  publish (handle, event, TRUE);
  return TRUE;
}

gboolean ch_event_is_foreign (ChPlugin *self)
{
  const ChBus *bus = self->services->bus;
  return bus->busy && bus->foreign;
}

gboolean ch_topic_is_heard (ChTopicHandle *handle)
{
  return handle->node->listeners->len > 0;
}

guint ch_bus_length (ChBus *bus)
{
  return bus->length;
}

void ch_bus_set_pressure (ChBus *bus, void (*pressure) (gboolean on, gpointer data),
                          gpointer data)
{
  bus->pressure = pressure;
  bus->pressure_data = data;
}

void ch_bus_set_wake (ChBus *bus, void (*wake) (gpointer data), gpointer data)
{
  bus->wake = wake;
  bus->wake_data = data;
}
