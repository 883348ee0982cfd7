/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lanes: events that wait. Alarms go first; state changes and samples keep the order
 * in which they were published, so that the progress of an order is never heard after
 * its end. Only samples are dropped. State changes push back instead: whoever reads the
 * devices hears of it at three quarters of the limit and again below one quarter.
 */
#include "bus/bus-private.h"
#include <chargehost/log.h>

#include <string.h>

static ChBusNode *pop (ChBus *bus, ChBusLane *lane)
{
  ChBusNode *node = lane->head;

  lane->head = node->next;
  if (lane->head == NULL)
    lane->tail = NULL;
  lane->length--;
  lane->bytes -= node->size;
  bus->length--;
  bus->bytes -= node->size;
  return node;
}

static void push (ChBus *bus, ChBusLane *lane, ChBusNode *node)
{
  if (lane->tail != NULL)
    lane->tail->next = node;
  else
    lane->head = node;
  lane->tail = node;
  lane->length++;
  lane->bytes += node->size;
  bus->length++;
  bus->bytes += node->size;
}

/* The state lane counts against the whole limit, in events and in bytes. */
static void press (ChBus *bus)
{
  const ChBusLane *lane = &bus->lanes[CH_LANE_STATE];
  gboolean pressed = bus->pressed;

  if (!pressed)
    pressed = lane->length > bus->max_length - bus->max_length / 4
              || lane->bytes > bus->max_bytes - bus->max_bytes / 4;
  else
    pressed = lane->length >= bus->max_length / 4 || lane->bytes >= bus->max_bytes / 4;
  if (G_LIKELY (pressed == bus->pressed))
    return;
  bus->pressed = pressed;
  if (bus->pressure != NULL)
    bus->pressure (pressed, bus->pressure_data);
}

static void drop (ChBus *bus, const ChTopicHandle *handle)
{
  if (handle->node->dropped != NULL)
    ch_series_inc (handle->node->dropped);
  handle->node->dropped_count++;
}

/* Makes room; FALSE when only dropping the new event itself would. */
static gboolean make_room (ChBus *bus, ChLane lane, gsize size)
{
  ChBusLane *samples = &bus->lanes[CH_LANE_SAMPLE];

  if (lane == CH_LANE_SAMPLE && size > bus->max_bytes)
    return FALSE;
  while (bus->length >= bus->max_length || bus->bytes + size > bus->max_bytes) {
    if (samples->head == NULL) {
      if (lane != CH_LANE_SAMPLE && !bus->over) {
        bus->over = TRUE;
        ch_error (bus->owner, "%u events wait in the bus, more than its limit of %u",
                  bus->length, bus->max_length);
      }
      return FALSE;
    }
    ChBusNode *oldest = pop (bus, samples);
    drop (bus, oldest->handle);
    g_free (oldest);
  }
  return TRUE;
}

gboolean ch_bus_lanes_put (ChBus *bus, ChTopicHandle *handle, const ChEvent *event,
                           gboolean foreign)
{
  const ChTopic *topic = handle->topic;
  gsize bytes = (gsize) topic->event_size + event->blob_size;
  ChLane lane = topic->lane;

  if (event->blob_size > CH_BUS_MAX_BLOB) {
    ch_error (bus->owner, "%s: a blob of %u bytes is too large", topic->name,
              event->blob_size);
    drop (bus, handle);
    return FALSE;
  }
  gsize size = sizeof (ChBusNode) + bytes;
  if (!make_room (bus, lane, size) && lane == CH_LANE_SAMPLE) {
    drop (bus, handle);
    return FALSE;
  }
  ChBusNode *node = g_malloc (size);
  node->next = NULL;
  node->handle = handle;
  node->number = ++bus->number;
  node->size = size;
  node->foreign = foreign;
  memcpy (CH_BUS_NODE_EVENT (node), event, bytes);
  push (bus, &bus->lanes[lane], node);
  press (bus);
  return TRUE;
}

ChBusNode *ch_bus_lanes_take (ChBus *bus)
{
  ChBusLane *alarms = &bus->lanes[CH_LANE_ALARM];
  ChBusLane *states = &bus->lanes[CH_LANE_STATE];
  ChBusLane *samples = &bus->lanes[CH_LANE_SAMPLE];
  ChBusLane *lane = states;

  if (alarms->head != NULL)
    lane = alarms;
  else if (states->head == NULL
           || (samples->head != NULL && samples->head->number < states->head->number))
    lane = samples;

  ChBusNode *node = pop (bus, lane);
  if (bus->length < bus->max_length / 2)
    bus->over = FALSE;
  press (bus);
  return node;
}

void ch_bus_lanes_clear (ChBus *bus)
{
  while (bus->length > 0) {
    for (guint i = 0; i < CH_BUS_LANES; i++)
      if (bus->lanes[i].head != NULL)
        g_free (pop (bus, &bus->lanes[i]));
  }
}
