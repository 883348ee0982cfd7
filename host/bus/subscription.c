/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscriptions: a pattern, an optional filter, and a place in each topic that the
 * pattern matches. Places are swapped on removal, because no order is promised.
 */
#include "bus/bus-private.h"
#include <chargehost/log.h>

#include <string.h>

static gboolean pattern_matches (const char *pattern, const char *name)
{
  gsize n = strlen (pattern);

  if (n > 0 && pattern[n - 1] == '*') /* "*" and "order.*" */
    return strncmp (pattern, name, n - 1) == 0;
  return g_str_equal (pattern, name);
}

static gboolean pattern_is_valid (const char *pattern)
{
  const char *star = strchr (pattern, '*');

  if (star == NULL)
    return ch_bus_topic_name_is_valid (pattern);
  return star[1] == '\0' && star - pattern < 64 && (star == pattern || star[-1] == '.');
}

static void bind_one (ChBusSub *sub, ChBusTopic *topic)
{
  ChBusListener listener = {sub, sub->bindings->len};
  ChBusBinding binding = {topic, topic->listeners->len};

  g_array_append_val (topic->listeners, listener);
  g_array_append_val (sub->bindings, binding);
}

static void unbind_all (ChBusSub *sub)
{
  for (guint i = 0; i < sub->bindings->len; i++) {
    ChBusBinding *binding = &g_array_index (sub->bindings, ChBusBinding, i);
    GArray *listeners = binding->topic->listeners;
    guint last = listeners->len - 1;
    if (binding->index != last) {
      ChBusListener moved = g_array_index (listeners, ChBusListener, last);
      g_array_index (listeners, ChBusListener, binding->index) = moved;
      g_array_index (moved.sub->bindings, ChBusBinding, moved.binding).index
          = binding->index;
    }
    g_array_set_size (listeners, last);
    ch_bus_topic_forget_unused (sub->bus, binding->topic);
  }
  g_array_set_size (sub->bindings, 0);
}

void ch_bus_sub_bind_topic (ChBus *bus, ChBusTopic *topic)
{
  for (guint i = 0; i < bus->slots->len; i++) {
    ChBusSub *sub = g_array_index (bus->slots, ChBusSlot, i).sub;
    if (sub != NULL && !sub->dead && pattern_matches (sub->pattern, topic->name))
      bind_one (sub, topic);
  }
}

void ch_bus_sub_free (ChBusSub *sub)
{
  ChBusSlot *slot = &g_array_index (sub->bus->slots, ChBusSlot, sub->slot);

  ch_owner_unlink (&sub->resource);
  unbind_all (sub);
  if (!sub->dead)
    slot->generation++;
  slot->sub = NULL;
  g_array_append_val (sub->bus->vacant, sub->slot);
  g_array_unref (sub->bindings);
  g_free (sub->pattern);
  g_free (sub->device);
  g_free (sub->station);
  g_free (sub->order_no);
  g_free (sub);
}

/* Its handle is void at once; its places go when no loop stands on them. */
static void end (ChBusSub *sub)
{
  ChBus *bus = sub->bus;

  if (!bus->busy) {
    ch_bus_sub_free (sub);
    return;
  }
  g_array_index (bus->slots, ChBusSlot, sub->slot).generation++;
  sub->dead = TRUE;
  g_ptr_array_add (bus->dead, sub);
}

void ch_bus_sub_sweep (ChBus *bus)
{
  for (guint i = 0; i < bus->dead->len; i++)
    ch_bus_sub_free (g_ptr_array_index (bus->dead, i));
  g_ptr_array_set_size (bus->dead, 0);
}

static void revoke_subscription (ChResource *resource)
{
  end ((ChBusSub *) resource);
}

static const ChResourceKind SUBSCRIPTION_KIND = {"subscriptions", revoke_subscription};

static guint32 take_slot (ChBus *bus)
{
  if (bus->vacant->len > 0) {
    guint32 slot = g_array_index (bus->vacant, guint32, bus->vacant->len - 1);
    g_array_set_size (bus->vacant, bus->vacant->len - 1);
    return slot;
  }
  ChBusSlot fresh = {NULL, 1};
  g_array_append_val (bus->slots, fresh);
  return bus->slots->len - 1;
}

static void bind_pattern (ChBus *bus, ChBusSub *sub)
{
  if (strchr (sub->pattern, '*') == NULL) {
    bind_one (sub, ch_bus_topic_get (bus, sub->pattern));
    return;
  }
  for (guint i = 0; i < bus->order->len; i++) {
    ChBusTopic *topic = g_ptr_array_index (bus->order, i);
    if (pattern_matches (sub->pattern, topic->name))
      bind_one (sub, topic);
  }
}

ChSubscription ch_subscribe (ChPlugin *self, const char *pattern, const ChFilter *filter,
                             ChEventFunc func, gpointer user_data)
{
  ChBus *bus = self->services->bus;

  g_return_val_if_fail (pattern != NULL && func != NULL, 0);
  if (!pattern_is_valid (pattern)) {
    ch_error (self, "\"%s\" is not a topic, not like order.* and not *", pattern);
    return 0;
  }
  ChBusSub *sub = g_new0 (ChBusSub, 1);
  sub->bus = bus;
  sub->since = bus->number + 1;
  sub->func = func;
  sub->user_data = user_data;
  sub->pattern = g_strdup (pattern);
  sub->bindings = g_array_new (FALSE, FALSE, sizeof (ChBusBinding));
  if (filter != NULL) {
    sub->device = g_strdup (filter->device);
    sub->station = g_strdup (filter->station);
    sub->order_no = g_strdup (filter->order_no);
    sub->filtered = sub->device != NULL || sub->station != NULL || sub->order_no != NULL;
  }
  bind_pattern (bus, sub);
  sub->slot = take_slot (bus);
  ChBusSlot *slot = &g_array_index (bus->slots, ChBusSlot, sub->slot);
  slot->sub = sub;
  ch_owner_link (self, &sub->resource, &SUBSCRIPTION_KIND);
  return (guint64) slot->generation << 32 | sub->slot;
}

void ch_unsubscribe (ChPlugin *self, ChSubscription *subscription)
{
  ChBus *bus = self->services->bus;
  guint32 slot = (guint32) *subscription, generation = (guint32) (*subscription >> 32);

  *subscription = 0;
  if (generation == 0 || slot >= bus->slots->len)
    return;
  ChBusSlot *found = &g_array_index (bus->slots, ChBusSlot, slot);
  if (found->sub == NULL || found->generation != generation
      || found->sub->resource.owner != self)
    return;
  ChBusSub *sub = found->sub;
  ch_owner_unlink (&sub->resource);
  end (sub);
}

static gboolean text_is (const ChEvent *event, ChBusText text, const char *wanted)
{
  gsize n = strlen (wanted);

  return text.offset != 0 && n < text.size
         && memcmp ((const char *) event + text.offset, wanted, n + 1) == 0;
}

gboolean ch_bus_sub_matches (const ChBusSub *sub, const ChTopicHandle *handle,
                             const ChEvent *event)
{
  if (sub->device != NULL && strncmp (sub->device, event->device, CH_DEVICE_ID_SIZE) != 0)
    return FALSE;
  if (sub->station != NULL && !text_is (event, handle->station, sub->station))
    return FALSE;
  return sub->order_no == NULL || text_is (event, handle->order_no, sub->order_no);
}
