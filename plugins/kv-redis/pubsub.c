/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscriptions have a connection of their own. It is opened with the first channel and
 * subscribes to all of them again whenever it has come back.
 */
#include "redis.h"

#include <string.h>

#define RETRY_MIN_MS 50u
#define RETRY_MAX_MS 1000u
#define PING_MS 2000

struct _PubSub {
  Redis *redis;
  Link *link;
  Endpoint *endpoint; /* NULL before the server was there */
  GHashTable *channels, *patterns;
  ChTimer retry, ping;
  guint failures;
};

static void retry (ChPlugin *self, gpointer data);

static void subscribe_all (PubSub *pubsub, GHashTable *names, const char *command)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, names);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    link_push (pubsub->link, command, name);
}

static void ready (gpointer owner, Link *link)
{
  PubSub *pubsub = owner;

  pubsub->failures = 0;
  subscribe_all (pubsub, pubsub->channels, "SUBSCRIBE");
  subscribe_all (pubsub, pubsub->patterns, "PSUBSCRIBE");
}

static const char *text_at (const ChKvReply *reply, gsize index)
{
  if (index >= reply->n_items || reply->items[index]->kind != CH_KV_REPLY_STRING)
    return "";
  return reply->items[index]->text;
}

static void pushed (gpointer owner, Link *link, const ChKvReply *reply)
{
  PubSub *pubsub = owner;
  ChPlugin *self = pubsub->redis->self;
  const char *kind = text_at (reply, 0);

  if (reply->kind == CH_KV_REPLY_ERROR)
    ch_error (self, "Redis refuses a subscription: %s", reply->text);
  else if (g_str_equal (kind, "message") && reply->n_items == 3)
    ch_kv_deliver (self, NULL, text_at (reply, 1), text_at (reply, 2),
                   reply->items[2]->size);
  else if (g_str_equal (kind, "pmessage") && reply->n_items == 4)
    ch_kv_deliver (self, text_at (reply, 1), text_at (reply, 2), text_at (reply, 3),
                   reply->items[3]->size);
}

static void retry_later (PubSub *pubsub)
{
  guint ms = MIN (RETRY_MIN_MS << MIN (pubsub->failures, 8), RETRY_MAX_MS);

  pubsub->failures++;
  ch_timer_cancel (pubsub->redis->self, &pubsub->retry);
  pubsub->retry = ch_timer_add (
      pubsub->redis->self, ms / 2 + (guint) g_random_int_range (0, (gint32) ms / 2 + 1),
      retry, pubsub);
}

static void lost (gpointer owner, Link *link, const char *why)
{
  PubSub *pubsub = owner;

  if (link->is_ready)
    ch_warning (pubsub->redis->self, "subscriptions: %s; messages may be missed", why);
  pubsub->link = NULL;
  link_free (link);
  retry_later (pubsub);
}

static const LinkFuncs LINK_FUNCS = {.ready = ready, .pushed = pushed, .lost = lost};

static void connect_now (PubSub *pubsub)
{
  if (pubsub->link != NULL || pubsub->endpoint == NULL
      || g_hash_table_size (pubsub->channels) + g_hash_table_size (pubsub->patterns) == 0)
    return;
  pubsub->link
      = link_new (pubsub->redis, pubsub->endpoint, "channels", &LINK_FUNCS, pubsub);
}

static void retry (ChPlugin *self, gpointer data)
{
  PubSub *pubsub = data;
  pubsub->retry = 0;
  connect_now (pubsub);
}

void pubsub_connect (PubSub *pubsub, const Endpoint *endpoint)
{
  if (pubsub->endpoint == NULL || !endpoint_equal (pubsub->endpoint, endpoint)) {
    endpoint_free (pubsub->endpoint);
    pubsub->endpoint = endpoint_copy (endpoint);
    link_free (g_steal_pointer (&pubsub->link));
  }
  ch_timer_cancel (pubsub->redis->self, &pubsub->retry);
  connect_now (pubsub);
}

void pubsub_subscribe (PubSub *pubsub, const char *channel, gboolean is_pattern)
{
  if (!g_hash_table_add (is_pattern ? pubsub->patterns : pubsub->channels,
                         g_strdup (channel)))
    return;
  if (pubsub->link != NULL && pubsub->link->is_ready)
    link_push (pubsub->link, is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE", channel);
  else if (pubsub->retry == 0)
    connect_now (pubsub);
}

void pubsub_unsubscribe (PubSub *pubsub, const char *channel, gboolean is_pattern)
{
  if (g_hash_table_remove (is_pattern ? pubsub->patterns : pubsub->channels, channel)
      && pubsub->link != NULL && pubsub->link->is_ready)
    link_push (pubsub->link, is_pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE", channel);
}

/* A server that is gone without a word is found by its silence. */
static void ping (ChPlugin *self, gpointer data)
{
  PubSub *pubsub = data;
  Link *link = pubsub->link;

  pubsub->ping = ch_timer_add (self, PING_MS, ping, pubsub);
  if (link == NULL)
    return;
  if (ch_now_ms (self) - link->input_ms
      > (gint64) pubsub->redis->settings.read_ms + 2 * PING_MS) {
    link->is_dead = TRUE;
    lost (pubsub, link, "no answer in time");
  } else if (link->is_ready) {
    link_push (link, "PING", NULL);
  }
}

PubSub *pubsub_new (Redis *redis)
{
  PubSub *pubsub = g_new0 (PubSub, 1);
  pubsub->redis = redis;
  pubsub->channels = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  pubsub->patterns = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  pubsub->ping = ch_timer_add (redis->self, PING_MS, ping, pubsub);
  return pubsub;
}

void pubsub_free (PubSub *pubsub)
{
  if (pubsub == NULL)
    return;
  ch_timer_cancel (pubsub->redis->self, &pubsub->retry);
  ch_timer_cancel (pubsub->redis->self, &pubsub->ping);
  link_free (pubsub->link);
  endpoint_free (pubsub->endpoint);
  g_hash_table_unref (pubsub->channels);
  g_hash_table_unref (pubsub->patterns);
  g_free (pubsub);
}

gboolean pubsub_is_connected (const PubSub *pubsub)
{
  return pubsub->link != NULL;
}
