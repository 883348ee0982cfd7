/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of host/bus share: topics, subscriptions, lanes. */
#pragma once

#include "bus/bus.h"
#include <chargehost/metrics.h>

#define CH_BUS_MAX_EVENT (64 * 1024)       /* bytes of a struct */
#define CH_BUS_MAX_BLOB (16 * 1024 * 1024) /* bytes behind it */
#define CH_BUS_MAX_FIELDS 64
#define CH_BUS_BATCH 128 /* events that one publisher delivers */
#define CH_BUS_LANES 3

typedef struct _ChBusTopic ChBusTopic;
typedef struct _ChBusSub ChBusSub;

/* A topic's place in a subscription, so that both sides unlink in O(1). */
typedef struct {
  ChBusTopic *topic;
  guint index; /* in topic->listeners */
} ChBusBinding;

/* A subscription's place in a topic. */
typedef struct {
  ChBusSub *sub;
  guint binding; /* in sub->bindings */
} ChBusListener;

/*
 * One name. Made by the first subscriber or publisher and kept as long as the bus, so
 * listeners outlive publishers.
 */
struct _ChBusTopic {
  char *name;
  GArray *listeners;     /* of ChBusListener */
  GPtrArray *publishers; /* of ChTopicHandle, living and dead */
  ChSeries *dropped;
  guint64 dropped_count;
};

/* Where a filter finds its text in the struct; offset 0: there is no such field. */
typedef struct {
  guint16 offset;
  guint16 size;
} ChBusText;

/*
 * One registration. Queued events point to it, because only it knows the layout of
 * their struct; so it lives as long as the bus, and the same image reuses it.
 */
struct _ChTopicHandle {
  ChResource resource;
  ChBus *bus;
  ChBusTopic *node;
  const ChTopic *topic;
  gboolean alive;
  ChBusText station;
  ChBusText order_no;
};

struct _ChBusSub {
  ChResource resource;
  ChBus *bus;
  guint32 slot;
  gboolean dead;
  gboolean filtered;
  guint64 since; /* hears events published from this number on */
  ChEventFunc func;
  gpointer user_data;
  char *pattern;
  char *device;
  char *station;
  char *order_no;
  GArray *bindings; /* of ChBusBinding */
};

typedef struct {
  ChBusSub *sub;
  guint32 generation;
} ChBusSlot;

/* One event that waits; the struct and its blob follow. */
typedef struct _ChBusNode ChBusNode;
struct _ChBusNode {
  ChBusNode *next;
  ChTopicHandle *handle;
  guint64 number;
  gsize size;
  gboolean foreign;
  gint32 unused;
};
#define CH_BUS_NODE_EVENT(node) ((ChEvent *) (void *) ((node) + 1))
G_STATIC_ASSERT (sizeof (ChBusNode) % 8 == 0);

typedef struct {
  ChBusNode *head, *tail;
  guint length;
  gsize bytes;
} ChBusLane;

struct _ChBus {
  ChServices *services;
  ChPlugin *owner;    /* of the metrics */
  GHashTable *topics; /* name → ChBusTopic */
  GPtrArray *order;   /* the same, as they came */
  GArray *slots;      /* of ChBusSlot */
  GArray *vacant;     /* of guint32 */
  GPtrArray *dead;    /* subscriptions that end when nothing runs */
  gboolean busy;      /* somebody delivers: what is published waits */
  gboolean foreign;   /* the event being delivered is of another instance */

  guint64 number; /* of the newest event */
  ChBusLane lanes[CH_BUS_LANES];
  guint length; /* of all lanes */
  gsize bytes;
  guint max_length;
  gsize max_bytes;
  gboolean pressed;
  gboolean over; /* said that the limit is exceeded */
  gboolean woken;
  void (*pressure) (gboolean on, gpointer data);
  gpointer pressure_data;
  void (*wake) (gpointer data);
  gpointer wake_data;

  ChMetric *dropped;
  ChSeries *gauge;
};

/* topic.c */
ChBusTopic *ch_bus_topic_get (ChBus *bus, const char *name);
void ch_bus_topic_free (ChBusTopic *topic);
void ch_bus_topic_forget_unused (ChBus *bus, ChBusTopic *topic);
gboolean ch_bus_topic_name_is_valid (const char *name);

/* subscription.c */
void ch_bus_sub_bind_topic (ChBus *bus, ChBusTopic *topic);
void ch_bus_sub_free (ChBusSub *sub);
void ch_bus_sub_sweep (ChBus *bus);
gboolean ch_bus_sub_matches (const ChBusSub *sub, const ChTopicHandle *handle,
                             const ChEvent *event);

/* lanes.c */
gboolean ch_bus_lanes_put (ChBus *bus, ChTopicHandle *handle, const ChEvent *event,
                           gboolean foreign);
ChBusNode *ch_bus_lanes_take (ChBus *bus);
void ch_bus_lanes_clear (ChBus *bus);
