/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscriptions. The driver knows channels with their prefix and hears of each only
 * once; who listens to it is the front's. Messages wait for the end of the turn, so
 * that a publisher's call never runs a subscriber.
 */
#include "kv/kv-private.h"
#include <chargehost/log.h>

#include <string.h>

#define MESSAGES_PER_TURN 4096

typedef struct _Channel Channel;
typedef struct _Subscription Subscription;

struct _Subscription {
  ChResource resource;
  Subscription *prev, *next; /* of the channel */
  Channel *channel;
  ChKvMessage func;
  gpointer user_data;
  guint slot;
};

struct _Channel {
  ChKv *kv;
  char *name; /* with the prefix */
  gboolean is_pattern;
  Subscription *head, *tail;
};

typedef struct {
  Subscription *subscription; /* NULL when free */
  guint32 generation;
} Slot;

struct _ChKvMessageItem {
  ChKvMessageItem *next;
  guint64 turn;
  const char *pattern; /* NULL: of a channel */
  const char *channel;
  const char *message;
  gsize size;
};

static ChSubscription handle_of (const ChKv *kv, guint slot)
{
  guint32 generation = g_array_index (kv->slots, Slot, slot).generation;
  return ((guint64) generation << 32) | (slot + 1);
}

static Subscription *peek (const ChKv *kv, ChSubscription handle)
{
  guint64 slot = (handle & G_MAXUINT32) - 1;

  if (slot >= kv->slots->len)
    return NULL;
  const Slot *at = &g_array_index (kv->slots, Slot, slot);
  return at->generation == handle >> 32 ? at->subscription : NULL;
}

static guint take_slot (ChKv *kv, Subscription *subscription)
{
  guint slot;

  if (kv->free_slots->len > 0) {
    slot = g_array_index (kv->free_slots, guint, kv->free_slots->len - 1);
    g_array_set_size (kv->free_slots, kv->free_slots->len - 1);
  } else {
    slot = kv->slots->len;
    g_array_set_size (kv->slots, slot + 1);
  }
  Slot *at = &g_array_index (kv->slots, Slot, slot);
  at->subscription = subscription;
  at->generation++;
  return slot;
}

static void tell_driver (Channel *channel, gboolean subscribe)
{
  ChKv *kv = channel->kv;

  if (kv->driver == NULL)
    return;
  if (subscribe)
    kv->driver->subscribe (kv->driver_plugin, channel->name, channel->is_pattern);
  else
    kv->driver->unsubscribe (kv->driver_plugin, channel->name, channel->is_pattern);
}

static void channel_free (gpointer data)
{
  Channel *channel = data;
  g_free (channel->name);
  g_free (channel);
}

static void unlink_from_channel (Subscription *subscription)
{
  Channel *channel = subscription->channel;

  if (subscription->prev != NULL)
    subscription->prev->next = subscription->next;
  else
    channel->head = subscription->next;
  if (subscription->next != NULL)
    subscription->next->prev = subscription->prev;
  else
    channel->tail = subscription->prev;
  if (channel->head == NULL) {
    ChKv *kv = channel->kv;
    tell_driver (channel, FALSE);
    g_hash_table_remove (channel->is_pattern ? kv->patterns : kv->channels,
                         channel->name);
  }
}

static void subscription_revoke (ChResource *resource)
{
  Subscription *subscription = (Subscription *) resource;
  ChKv *kv = subscription->channel->kv;

  g_array_index (kv->slots, Slot, subscription->slot).subscription = NULL;
  g_array_append_val (kv->free_slots, subscription->slot);
  unlink_from_channel (subscription);
  g_free (subscription);
}

static const ChResourceKind subscription_kind = {"kv subscriptions", subscription_revoke};

static Channel *channel_get (ChKv *kv, const char *name, gboolean is_pattern)
{
  GHashTable *table = is_pattern ? kv->patterns : kv->channels;
  g_autofree char *full
      = g_strconcat (is_pattern ? kv->pattern_prefix : kv->prefix, name, NULL);
  Channel *channel = g_hash_table_lookup (table, full);

  if (channel != NULL)
    return channel;
  channel = g_new0 (Channel, 1);
  channel->kv = kv;
  channel->name = g_steal_pointer (&full);
  channel->is_pattern = is_pattern;
  g_hash_table_insert (table, channel->name, channel);
  return channel;
}

ChSubscription ch_kv_subscribe (ChPlugin *self, const char *name, ChKvMessage func,
                                gpointer user_data)
{
  ChKv *kv = self->services->kv;
  Channel *channel = channel_get (kv, name, strchr (name, '*') != NULL);
  Subscription *subscription = g_new0 (Subscription, 1);

  subscription->channel = channel;
  subscription->func = func;
  subscription->user_data = user_data;
  subscription->prev = channel->tail;
  if (channel->tail != NULL)
    channel->tail->next = subscription;
  else
    channel->head = subscription;
  channel->tail = subscription;
  subscription->slot = take_slot (kv, subscription);
  ch_owner_link (self, &subscription->resource, &subscription_kind);
  if (channel->head == subscription)
    tell_driver (channel, TRUE);
  return handle_of (kv, subscription->slot);
}

void ch_kv_unsubscribe (ChPlugin *self, ChSubscription handle)
{
  Subscription *subscription = peek (self->services->kv, handle);

  if (subscription == NULL)
    return;
  ch_owner_unlink (&subscription->resource);
  subscription_revoke (&subscription->resource);
}

static char *put (char *at, const char *text, gsize size)
{
  memcpy (at, text, size);
  at[size] = '\0';
  return at + size + 1;
}

void ch_kv_deliver (ChPlugin *driver, const char *pattern, const char *channel,
                    const char *message, gsize size)
{
  ChKv *kv = driver->services->kv;
  gsize pattern_size = pattern != NULL ? strlen (pattern) : 0;
  gsize channel_size = strlen (channel);

  if (kv->n_messages >= kv->queue_max) {
    ch_kv_metrics_dropped (kv);
    return;
  }
  ChKvMessageItem *item
      = g_malloc (sizeof (ChKvMessageItem) + pattern_size + channel_size + size + 3);
  char *at = (char *) (item + 1);
  item->next = NULL;
  item->turn = kv->turn;
  item->pattern = pattern != NULL ? at : NULL;
  at = pattern != NULL ? put (at, pattern, pattern_size) : at;
  item->channel = at;
  at = put (at, channel, channel_size);
  item->message = at;
  put (at, message, size);
  item->size = size;
  if (kv->message_tail != NULL)
    kv->message_tail->next = item;
  else
    kv->message_head = item;
  kv->message_tail = item;
  kv->n_messages++;
  ch_reactor_defer (kv->services->reactor, &kv->deferred);
}

/* A subscriber may end this subscription or others meanwhile: handles, not pointers. */
static void hand_out (ChKv *kv, const ChKvMessageItem *item)
{
  Channel *channel = item->pattern != NULL
                         ? g_hash_table_lookup (kv->patterns, item->pattern)
                         : g_hash_table_lookup (kv->channels, item->channel);
  if (channel == NULL)
    return;
  const char *name = item->channel;
  if (kv->prefix_size > 0 && strncmp (name, kv->prefix, kv->prefix_size) == 0)
    name += kv->prefix_size;
  g_autoptr (GArray) handles = g_array_new (FALSE, FALSE, sizeof (ChSubscription));
  for (Subscription *at = channel->head; at != NULL; at = at->next) {
    ChSubscription handle = handle_of (kv, at->slot);
    g_array_append_val (handles, handle);
  }
  for (guint i = 0; i < handles->len; i++) {
    Subscription *at = peek (kv, g_array_index (handles, ChSubscription, i));
    ChRunnerFrame frame;
    if (at == NULL)
      continue;
    ChPlugin *owner = at->resource.owner;
    if (!ch_runner_enter (owner, "kv message", &frame))
      continue;
    at->func (owner, name, item->message, item->size, at->user_data);
    ch_runner_leave (&frame);
  }
}

gboolean ch_kv_subscribe_dispatch (ChKv *kv)
{
  for (guint n = 0; n < MESSAGES_PER_TURN; n++) {
    ChKvMessageItem *item = kv->message_head;
    if (item == NULL || item->turn >= kv->turn)
      break;
    kv->message_head = item->next;
    if (kv->message_head == NULL)
      kv->message_tail = NULL;
    kv->n_messages--;
    hand_out (kv, item);
    g_free (item);
  }
  return kv->message_head != NULL;
}

void ch_kv_subscribe_all (ChKv *kv)
{
  GHashTableIter iter;
  gpointer channel;

  g_hash_table_iter_init (&iter, kv->channels);
  while (g_hash_table_iter_next (&iter, NULL, &channel))
    tell_driver (channel, TRUE);
  g_hash_table_iter_init (&iter, kv->patterns);
  while (g_hash_table_iter_next (&iter, NULL, &channel))
    tell_driver (channel, TRUE);
}

void ch_kv_subscribe_init (ChKv *kv)
{
  kv->channels = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, channel_free);
  kv->patterns = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, channel_free);
  kv->slots = g_array_new (FALSE, TRUE, sizeof (Slot));
  kv->free_slots = g_array_new (FALSE, FALSE, sizeof (guint));
}

void ch_kv_subscribe_clear (ChKv *kv)
{
  ChKvMessageItem *item;

  for (guint i = 0; i < kv->slots->len; i++) {
    Subscription *subscription = g_array_index (kv->slots, Slot, i).subscription;
    if (subscription == NULL)
      continue;
    ch_owner_unlink (&subscription->resource);
    subscription_revoke (&subscription->resource);
  }
  while ((item = kv->message_head) != NULL) {
    kv->message_head = item->next;
    g_free (item);
  }
  g_hash_table_unref (kv->channels);
  g_hash_table_unref (kv->patterns);
  g_array_unref (kv->slots);
  g_array_unref (kv->free_slots);
}
