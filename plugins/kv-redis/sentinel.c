/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the primary is: Sentinels are asked one after the other, the one that answered
 * last comes first the next time.
 */
#include "redis.h"

struct _Sentinel {
  Redis *redis;
  Link *link;
  GPtrArray *addresses; /* Endpoint; the first answered last */
  guint at;
  ChTimer limit;
  char *problem;
};

static void ask_next (Sentinel *sentinel);

static void stop_asking (Sentinel *sentinel)
{
  ch_timer_cancel (sentinel->redis->self, &sentinel->limit);
  link_free (g_steal_pointer (&sentinel->link));
}

static void failed (Sentinel *sentinel, const char *why)
{
  const Endpoint *endpoint = g_ptr_array_index (sentinel->addresses, sentinel->at);
  g_autofree char *name = endpoint_text (endpoint);

  g_free (sentinel->problem);
  sentinel->problem = g_strdup_printf ("Sentinel %s: %s", name, why);
  stop_asking (sentinel);
  sentinel->at++;
  ask_next (sentinel);
}

static void address_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Sentinel *sentinel = owner;
  guint64 port;

  if (reply == NULL)
    return;
  if (reply->kind != CH_KV_REPLY_ARRAY || reply->n_items != 2
      || reply->items[0]->text == NULL || reply->items[1]->text == NULL
      || !g_ascii_string_to_unsigned (reply->items[1]->text, 10, 1, G_MAXUINT16, &port,
                                      NULL)) {
    failed (sentinel, reply->kind == CH_KV_REPLY_ERROR
                          ? reply->text
                          : "it does not know redis.sentinel_master");
    return;
  }
  g_autoptr (Endpoint) found = endpoint_new (reply->items[0]->text, (guint16) port);
  if (sentinel->at > 0) {
    gpointer first = g_ptr_array_steal_index (sentinel->addresses, sentinel->at);
    g_ptr_array_insert (sentinel->addresses, 0, first);
  }
  stop_asking (sentinel);
  node_found (sentinel->redis->primary, found, NULL);
}

static void ready (gpointer owner, Link *link)
{
  Sentinel *sentinel = owner;
  link_ask (link, address_came, NULL, "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
            sentinel->redis->settings.master_name, NULL);
}

static void lost (gpointer owner, Link *link, const char *why)
{
  Sentinel *sentinel = owner;
  g_autofree char *copy = g_strdup (why);

  sentinel->link = NULL;
  link_free (link);
  failed (sentinel, copy);
}

static const LinkFuncs LINK_FUNCS = {.ready = ready, .lost = lost};

static void too_late (ChPlugin *self, gpointer data)
{
  Sentinel *sentinel = data;
  sentinel->limit = 0;
  failed (sentinel, "no answer in time");
}

static void ask_next (Sentinel *sentinel)
{
  Redis *redis = sentinel->redis;

  if (sentinel->at >= sentinel->addresses->len) {
    node_found (redis->primary, NULL, sentinel->problem);
    return;
  }
  const Endpoint *endpoint = g_ptr_array_index (sentinel->addresses, sentinel->at);
  sentinel->limit
      = ch_timer_add (redis->self, redis->settings.dial_ms, too_late, sentinel);
  sentinel->link = link_new (redis, endpoint, "sentinel", &LINK_FUNCS, sentinel);
}

void sentinel_find (Sentinel *sentinel)
{
  stop_asking (sentinel);
  sentinel->at = 0;
  ask_next (sentinel);
}

Sentinel *sentinel_new (Redis *redis)
{
  Sentinel *sentinel = g_new0 (Sentinel, 1);
  sentinel->redis = redis;
  sentinel->addresses = g_ptr_array_new_with_free_func ((GDestroyNotify) endpoint_free);
  for (guint i = 0; i < redis->settings.sentinels->len; i++)
    g_ptr_array_add (sentinel->addresses,
                     endpoint_copy (g_ptr_array_index (redis->settings.sentinels, i)));
  return sentinel;
}

void sentinel_free (Sentinel *sentinel)
{
  if (sentinel == NULL)
    return;
  stop_asking (sentinel);
  g_ptr_array_unref (sentinel->addresses);
  g_free (sentinel->problem);
  g_free (sentinel);
}
