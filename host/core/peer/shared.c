/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/peer/shared.h"
#include "bus/bus.h"
#include "core/order/order-home.h"
#include "core/session/session-private.h"
#include "net/reactor.h"
#include <chargehost/json.h>

#include <string.h>

#define CHANNEL "core:events"
#define FLUSH_MS 20
#define LOOK_MS 1000 /* whether there are others */
#define MAX_EVENTS 500
#define MAX_BYTES (512 * 1024)
#define MAX_MESSAGE (1024 * 1024)

/*
 * What waits for the next message: ["topic", {…}] each, newest last. Of a sampled topic
 * only the newest of a place waits.
 */
struct _ChShared {
  ChCore *core;
  ChWheelTimer flush;
  json_t *events;
  GHashTable *samples; /* topic and place → index in events + 1 */
  gsize bytes;
  ChSubscription subscription;
  gboolean started, subscribed;
  ChSeries *sent, *received, *dropped;
};

/* ---- from here ---- */

static void flush_now (ChShared *shared)
{
  ChPlugin *self = shared->core->self;
  if (json_array_size (shared->events) == 0)
    return;
  g_autoptr (json_t) message = json_object ();
  json_object_set_new (message, "from", json_string (shared->core->services->server_id));
  json_object_set_new (message, "events", g_steal_pointer (&shared->events));
  shared->events = json_array ();
  shared->bytes = 0;
  g_hash_table_remove_all (shared->samples);
  if (!ch_kv_is_up (self))
    return;
  g_autofree char *text = ch_json_dump (message);
  ch_kv_commandv (self, NULL, NULL, "PUBLISH", CHANNEL, text, NULL);
}

static void flush_fired (ChWheelTimer *timer)
{
  flush_now ((ChShared *) ((char *) timer - G_STRUCT_OFFSET (ChShared, flush)));
}

/* TRUE when the event took the place of an older one. */
static gboolean replaces (ChShared *shared, const ChTopic *topic, const ChEvent *event,
                          json_t *entry)
{
  if (topic->lane != CH_LANE_SAMPLE)
    return FALSE;
  g_autofree char *key = g_strdup_printf ("%s %d %d %s", topic->name, event->socket_no,
                                          event->port_no, event->device);
  guint at = GPOINTER_TO_UINT (g_hash_table_lookup (shared->samples, key));
  if (at > 0) {
    json_array_set (shared->events, at - 1, entry);
    return TRUE;
  }
  g_hash_table_insert (shared->samples, g_steal_pointer (&key),
                       GUINT_TO_POINTER (json_array_size (shared->events) + 1));
  return FALSE;
}

static void happened (ChPlugin *self, const ChTopic *topic, const ChEvent *event,
                      gpointer user_data)
{
  ChShared *shared = user_data;

  if ((topic->flags & CH_TOPIC_SHARED) == 0 || ch_event_is_foreign (self))
    return;
  gsize size = (gsize) topic->event_size + event->blob_size;
  gboolean full = json_array_size (shared->events) >= MAX_EVENTS
                  || shared->bytes + size > MAX_BYTES;
  if (full && topic->lane == CH_LANE_SAMPLE) {
    ch_series_inc (shared->dropped);
    return;
  }
  if (full)
    flush_now (shared);
  g_autoptr (json_t) entry = json_array ();
  json_array_append_new (entry, json_string (topic->name));
  json_array_append_new (entry, ch_event_to_json (topic, event));
  if (replaces (shared, topic, event, entry))
    return;
  json_array_append (shared->events, entry);
  shared->bytes += size;
  ch_series_inc (shared->sent);
  if (!ch_wheel_is_armed (&shared->flush))
    ch_wheel_arm (shared->core->services->reactor, &shared->flush, FLUSH_MS);
}

/* Nothing is built while this instance is alone. */
void ch_shared_look (ChShared *shared)
{
  ChPlugin *self = shared->core->self;
  gboolean wanted = shared->started && ch_sessions_servers (shared->core->sessions) > 1;

  if (wanted && !shared->subscribed)
    shared->subscription = ch_subscribe (self, "*", NULL, happened, shared);
  else if (!wanted && shared->subscribed)
    ch_unsubscribe (self, &shared->subscription);
  shared->subscribed = wanted;
}

static void look (ChPlugin *self, gpointer data)
{
  ch_shared_look (data);
  ch_timer_add (self, LOOK_MS, look, data);
}

/* ---- from the others ---- */

static ChDevice *device_in (ChCore *core, const json_t *event)
{
  const char *id = ch_json_get_string (event, "device_id", "");
  return g_hash_table_lookup (core->devices, id);
}

static void port_changed (ChDevice *device, const json_t *event)
{
  gint64 status = ch_json_get_int (event, "new_status", CH_PORT_OFFLINE);
  ChPort *port = ch_device_port (device, (gint) ch_json_get_int (event, "socket_no", -1),
                                 (gint) ch_json_get_int (event, "port_no", -1), TRUE);
  if (port == NULL || status < CH_PORT_OFFLINE || status > CH_PORT_FAULT)
    return;
  port->status = (guint8) status;
  port->updated_at = ch_wall_ms (device->core->self);
}

/* What memory keeps of devices that are elsewhere. */
static void take_note (ChCore *core, const char *topic, const json_t *event)
{
  ChDevice *device = device_in (core, event);

  if (device == NULL) {
    if (g_str_equal (topic, "device.online") || g_str_equal (topic, "device.registered")
        || g_str_equal (topic, "device.changed")) /* made by hand, perhaps */
      ch_home_know (core, ch_json_get_string (event, "device_id", ""));
    return;
  }
  if (g_str_equal (topic, "order.changed")) {
    ch_home_look (device, ch_json_get_string (event, "order_no", ""),
                  ch_json_get_int (event, "version", 0));
    return;
  }
  gboolean changed = g_str_equal (topic, "device.changed");
  if (device->conn != 0) {
    if (changed)
      ch_home_look (device, NULL, 0);
    return;
  }
  if (changed)
    ch_home_read (core, device->id, NULL, NULL);
  else if (g_str_equal (topic, "port.changed"))
    port_changed (device, event);
  else if (g_str_equal (topic, "device.online"))
    device->presence = CH_PRESENCE_ONLINE;
  else if (g_str_equal (topic, "device.offline") && device->elsewhere == NULL)
    device->presence = CH_PRESENCE_OFFLINE;
}

static void heard (ChPlugin *self, const char *channel, const char *text, gsize size,
                   gpointer user_data)
{
  ChShared *shared = user_data;
  ChCore *core = shared->core;
  gsize i;
  json_t *entry;

  if (size > MAX_MESSAGE)
    return;
  g_autoptr (json_t) message = ch_json_parse (text, size, NULL);
  const char *from = ch_json_get_string (message, "from", "");
  if (*from == '\0' || g_str_equal (from, core->services->server_id))
    return;
  json_array_foreach (json_object_get (message, "events"), i, entry)
  {
    const char *topic = json_string_value (json_array_get (entry, 0));
    const json_t *event = json_array_get (entry, 1);
    g_autoptr (GError) error = NULL;
    if (topic == NULL || !json_is_object (event))
      continue;
    ch_series_inc (shared->received);
    take_note (core, topic, event);
    if (!ch_bus_publish_foreign (core->services->bus, topic, event, &error))
      ch_debug (self, "an event of %s is not usable: %s", from, error->message);
  }
}

/* ---- life ---- */

void ch_shared_start (ChShared *shared)
{
  ChPlugin *self = shared->core->self;
  if (shared->core->services->kv == NULL)
    return;
  ch_kv_subscribe (self, CHANNEL, heard, shared);
  shared->started = TRUE;
  look (self, shared);
}

ChShared *ch_shared_new (ChCore *core)
{
  static const char *const labels[] = {"what", NULL};
  ChShared *shared = g_new0 (ChShared, 1);
  ChMetric *family = ch_metric_register (
      core->self, CH_METRIC_COUNTER, "chargehost_shared_events_total",
      "Events of shared topics between instances.", labels);

  shared->core = core;
  shared->flush.func = flush_fired;
  shared->events = json_array ();
  shared->samples = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  shared->sent = ch_metric_with (family, "sent", NULL);
  shared->received = ch_metric_with (family, "received", NULL);
  shared->dropped = ch_metric_with (family, "dropped", NULL);
  return shared;
}

void ch_shared_free (ChShared *shared)
{
  ch_wheel_cancel (shared->core->services->reactor, &shared->flush);
  g_hash_table_unref (shared->samples);
  json_decref (shared->events);
  g_free (shared);
}
