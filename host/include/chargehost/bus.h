/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus: typed topics. A topic is a flat struct and a table of its fields; from that
 * one table come JSON, GVariant, filters and documentation. Events are facts in the
 * past tense; a subscriber cannot veto one and must not assume an order among
 * subscribers. An event published inside a handler is queued, not nested.
 */
#pragma once

#include <chargehost/types.h>
#include <jansson.h>

G_BEGIN_DECLS

/**
 * ChEvent:
 * @time_ms: wall clock, when it happened
 * @blob_size: bytes of the trailing blob (after the topic's struct), 0 for none
 * @socket_no: socket, −1 when none is meant
 * @port_no: port, −1 when none is meant
 * @device: device id, empty when none is meant
 *
 * The head of every event struct.
 */
typedef struct {
  gint64 time_ms;
  guint32 blob_size;
  gint16 socket_no;
  gint16 port_no;
  char device[CH_DEVICE_ID_SIZE];
} ChEvent;

typedef enum {
  CH_FIELD_BOOL = 1, /* gboolean */
  CH_FIELD_INT,      /* gint32; %G_MININT32 is absent */
  CH_FIELD_INT64,    /* gint64; %CH_UNSET is absent */
  CH_FIELD_DOUBLE,   /* double; NaN is absent */
  CH_FIELD_STRING,   /* char[size]; empty is absent */
  CH_FIELD_TIME,     /* gint64 wall-clock ms; 0 or %CH_UNSET is absent */
  CH_FIELD_MILLI,    /* gint64 in thousandths; JSON and GVariant show units as a double */
  CH_FIELD_JSON,     /* the trailing blob, JSON text; only as last field */
} ChFieldKind;

/**
 * ChField:
 * @name: name in JSON and GVariant
 * @kind: kind
 * @offset: offset in the struct; 0 for CH_FIELD_JSON
 * @size: bytes, for STRING
 * @unit: (nullable): unit after conversion, for the documentation
 */
typedef struct {
  const char *name;
  ChFieldKind kind;
  guint16 offset;
  guint16 size;
  const char *unit;
} ChField;

#define CH_FIELD(Struct, member, field_kind, field_unit)                                 \
  {                                                                                      \
    .name = #member, .kind = (field_kind),                                               \
    .offset = (guint16) G_STRUCT_OFFSET (Struct, member),                                \
    .size = (guint16) sizeof (((Struct *) 0)->member), .unit = (field_unit)              \
  }

typedef enum {
  CH_LANE_STATE = 0, /* never dropped: pushes back by pausing the reads that cause it */
  CH_LANE_ALARM,     /* never dropped, delivered first */
  CH_LANE_SAMPLE,    /* under overload the oldest are dropped first */
} ChLane;

typedef enum {
  CH_TOPIC_FLAGS_NONE = 0,
  CH_TOPIC_SHARED = 1 << 0, /* carried between instances by the kv's pub/sub */
} ChTopicFlags;

/**
 * ChTopic:
 * @size: sizeof (ChTopic)
 * @name: `device.online`: thing, dot, past participle
 * @event_size: size of the struct, which begins with a #ChEvent
 * @fields: fields beside those of the head, closed by a %NULL name
 * @lane: lane
 * @flags: flags
 * @summary: when it is published
 *
 * Static data of the publisher; two generations of a plugin may both register it.
 */
typedef struct {
  guint32 size;
  const char *name;
  guint32 event_size;
  const ChField *fields;
  ChLane lane;
  ChTopicFlags flags;
  const char *summary;
} ChTopic;

/* A registered topic; kept by its publisher. */
typedef struct _ChTopicHandle ChTopicHandle;

/**
 * ch_topic_register:
 * @self: the publisher; one topic has one
 * @topic: (transfer none): static description
 * @error: return location
 *
 * Returns: (transfer none) (nullable): the topic, or %NULL with
 * %CH_PLUGIN_ERROR_DUPLICATE when another publisher has it or
 * %CH_PLUGIN_ERROR_BAD_DESCRIPTOR
 */
ChTopicHandle *ch_topic_register (ChPlugin *self, const ChTopic *topic, GError **error);

/**
 * ch_topic_is_heard:
 *
 * Returns: whether anybody listens; ask before building something costly
 */
gboolean ch_topic_is_heard (ChTopicHandle *topic);

/**
 * ch_publish:
 * @topic: a topic of the caller
 * @event: the struct, followed by @blob_size bytes of blob if any; copied when it
 *   cannot be delivered at once
 */
void ch_publish (ChTopicHandle *topic, const ChEvent *event);

typedef void (*ChEventFunc) (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                             gpointer user_data);

/**
 * ChFilter:
 * @device: (nullable): only events of this device
 * @station: (nullable): only events whose field `station_id` is this
 * @order_no: (nullable): only events whose field `order_no` is this
 */
typedef struct {
  const char *device;
  const char *station;
  const char *order_no;
} ChFilter;

/**
 * ch_subscribe:
 * @self: the subscriber
 * @pattern: a topic, `order.*`, or `*`; topics registered later are matched too
 * @filter: (nullable): copied
 * @func: called on the main loop; @event is only valid during the call
 * @user_data: for @func
 *
 * Returns: a handle
 */
ChSubscription ch_subscribe (ChPlugin *self, const char *pattern, const ChFilter *filter,
                             ChEventFunc func, gpointer user_data);
void ch_unsubscribe (ChPlugin *self, ChSubscription *subscription);

/**
 * ch_event_is_foreign:
 *
 * Inside a #ChEventFunc: the event happened at another instance and was carried here by
 * its topic's %CH_TOPIC_SHARED. Who only shows events need not ask; who acts on them
 * leaves those to the other one.
 */
gboolean ch_event_is_foreign (ChPlugin *self);

/**
 * ch_event_to_json:
 *
 * Returns: (transfer full): an object with `device_id`, `socket_no`, `port_no`, `time`
 *   (RFC 3339, as every TIME field) and the fields that are present; as text by
 *   ch_json_dump(), which shows no more decimals than there are
 */
json_t *ch_event_to_json (const ChTopic *topic, const ChEvent *event);

/**
 * ch_event_to_variant:
 *
 * Returns: (transfer full) (floating): the same as `a{sv}`: b, i, x, d and s; JSON as
 *   text
 */
GVariant *ch_event_to_variant (const ChTopic *topic, const ChEvent *event);

G_END_DECLS
