/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Redis Cluster: which node serves a slot, and what to do when another one does. A
 * command that a node would not run (MOVED, ASK, TRYAGAIN, CLUSTERDOWN) was not run: it
 * is sent again until its deadline. One that was under way when a node ended is not.
 */
#include "redis.h"

#include <string.h>

#define N_SLOTS 16384
#define TICK_MS 100
#define ASK_AGAIN_MS 100
#define REFRESH_MS 10000
#define MAX_REDIRECTS 16
#define MAX_NODES 1000

struct _Cluster {
  Redis *redis;
  GHashTable *nodes; /* address → Node */
  Node **slots;
  RequestList waiting; /* no node yet, or told to try again */
  gboolean has_map, is_stale, is_asking;
  gint64 asked_ms;
  ChTimer tick;
};

static void ask_map (Cluster *cluster, Node *node);

static Node *node_at (Cluster *cluster, const Endpoint *endpoint)
{
  g_autofree char *name = endpoint_text (endpoint);
  Node *node = g_hash_table_lookup (cluster->nodes, name);

  if (node != NULL)
    return node;
  if (g_hash_table_size (cluster->nodes) >= MAX_NODES)
    return NULL;
  node = node_new (cluster->redis, endpoint, TRUE);
  g_hash_table_insert (cluster->nodes, g_steal_pointer (&name), node);
  node_open (node);
  return node;
}

/* ---- sending ---------------------------------------------------------------------- */

/* A command without a key goes where the prefix would: then a prefix with a hash tag
   makes one key space of it. */
static guint slot_of_run (Cluster *cluster, const ChKvRun *run)
{
  gsize index = ch_kv_run_first_key (run);
  gsize size;

  if (index == 0) {
    const char *prefix = ch_kv_prefix (cluster->redis->self);
    return slot_of (prefix, strlen (prefix));
  }
  const char *key = ch_kv_run_arg (run, index, &size);
  return slot_of (key, size);
}

void cluster_submit (Cluster *cluster, Request *request)
{
  Node *node = cluster->slots[slot_of_run (cluster, request->run)];

  if (node != NULL)
    node_submit (node, request);
  else
    request_push (&cluster->waiting, request);
}

/* All that waits looks for its node again. */
static void submit_again (Cluster *cluster)
{
  RequestList all = cluster->waiting;
  GHashTableIter iter;
  gpointer value;
  Request *request;

  cluster->waiting = (RequestList) {0};
  g_hash_table_iter_init (&iter, cluster->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Node *node = value;
    while (node->state != NODE_READY && (request = request_pop (&node->waiting)) != NULL)
      request_push (&all, request);
  }
  while ((request = request_pop (&all)) != NULL)
    cluster_submit (cluster, request);
}

gboolean cluster_cancel (Cluster *cluster, const ChKvRun *run)
{
  GHashTableIter iter;
  gpointer value;
  Request *request = request_take (&cluster->waiting, run);

  g_hash_table_iter_init (&iter, cluster->nodes);
  while (request == NULL && g_hash_table_iter_next (&iter, NULL, &value))
    request = request_take (&((Node *) value)->waiting, run);
  if (request == NULL)
    return FALSE;
  request_fail (request, CH_KV_ERROR_CANCELLED, "nobody waits for it");
  return TRUE;
}

const Endpoint *cluster_endpoint (Cluster *cluster, const ChKvRun *run)
{
  const Node *node = cluster->slots[slot_of_run (cluster, run)];
  return node != NULL && node->state == NODE_READY ? node->link->endpoint : NULL;
}

/* ---- redirections ----------------------------------------------------------------- */

static void want_map (Cluster *cluster, Node *node)
{
  cluster->is_stale = TRUE;
  if (node->state == NODE_READY)
    ask_map (cluster, node);
}

/* `MOVED 3999 127.0.0.1:6381`, `ASK …`: no host means that of who says it. */
static Node *named_node (Cluster *cluster, const Node *node, const char *text,
                         guint *slot)
{
  g_auto (GStrv) words = g_strsplit (text, " ", 4);
  guint64 number;

  if (g_strv_length (words) != 3
      || !g_ascii_string_to_unsigned (words[1], 10, 0, N_SLOTS - 1, &number, NULL))
    return NULL;
  *slot = (guint) number;
  g_autofree char *full = words[2][0] == ':' && node->endpoint->host != NULL
                              ? g_strconcat (node->endpoint->host, words[2], NULL)
                              : g_strdup (words[2]);
  g_autoptr (Endpoint) endpoint = endpoint_parse (full, 0, NULL);
  return endpoint != NULL ? node_at (cluster, endpoint) : NULL;
}

static gboolean follow (Cluster *cluster, Node *node, Request *request,
                        const ChKvReply *reply, gboolean is_ask)
{
  guint slot;
  Node *to = named_node (cluster, node, reply->text, &slot);

  if (to == NULL || request->tries > MAX_REDIRECTS)
    return FALSE;
  ch_series_inc (cluster->redis->redirects);
  request->asking = is_ask;
  if (!is_ask) {
    cluster->slots[slot] = to;
    want_map (cluster, node);
  }
  node_submit (to, request);
  return TRUE;
}

gboolean cluster_redirect (Cluster *cluster, Node *node, Request *request,
                           ChKvReply *reply)
{
  static const char *const later[]
      = {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"};
  gboolean taken = FALSE;

  if (ch_kv_run_deadline_us (request->run) / 1000 <= ch_now_ms (cluster->redis->self))
    return FALSE;
  if (reply_is_error (reply, "MOVED "))
    taken = follow (cluster, node, request, reply, FALSE);
  else if (reply_is_error (reply, "ASK "))
    taken = follow (cluster, node, request, reply, TRUE);
  for (gsize i = 0; !taken && i < G_N_ELEMENTS (later); i++) {
    if (!reply_is_error (reply, later[i]))
      continue;
    request->asking = FALSE;
    request_push (&cluster->waiting, request);
    want_map (cluster, node);
    taken = TRUE;
  }
  if (taken)
    ch_kv_reply_free (reply);
  return taken;
}

/* ---- the map ---------------------------------------------------------------------- */

/* [first, last, [host, port, …], replicas …] */
static void read_range (Cluster *cluster, const Node *from, const ChKvReply *range)
{
  if (range->n_items < 3 || range->items[2]->n_items < 2)
    return;
  gint64 first = range->items[0]->integer, last = range->items[1]->integer;
  const char *host = range->items[2]->items[0]->text;
  gint64 port = range->items[2]->items[1]->integer;
  if (first < 0 || last >= N_SLOTS || port < 1 || port > G_MAXUINT16)
    return;
  if (host == NULL || host[0] == '\0' || host[0] == '?')
    host = from->endpoint->host;
  if (host == NULL)
    return;
  g_autoptr (Endpoint) endpoint = endpoint_new (host, (guint16) port);
  Node *node = node_at (cluster, endpoint);
  if (node != NULL && node->state == NODE_READY && node->is_replica) {
    node->is_replica = FALSE; /* it has taken over */
    for (guint i = 0; i < cluster->redis->libraries->len; i++)
      node_load (node, g_ptr_array_index (cluster->redis->libraries, i));
  }
  for (gint64 slot = first; slot <= last; slot++)
    cluster->slots[slot] = node;
}

/* In a cluster without a primary beside it this is what "up" means. */
static void look_at_health (Cluster *cluster)
{
  const Node *last = NULL;
  gboolean up = cluster->has_map;

  if (cluster->redis->primary != NULL)
    return;
  for (guint slot = 0; up && slot < N_SLOTS; slot++) {
    const Node *node = cluster->slots[slot];
    up = node != NULL && (node == last || node->state == NODE_READY);
    last = node;
  }
  redis_set_up (cluster->redis, up);
}

static void map_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Cluster *cluster = data;
  Node *node = owner;

  cluster->is_asking = FALSE;
  if (reply == NULL || reply->kind != CH_KV_REPLY_ARRAY || reply->n_items == 0)
    return;
  memset (cluster->slots, 0, N_SLOTS * sizeof (Node *));
  for (gsize i = 0; i < reply->n_items; i++)
    read_range (cluster, node, reply->items[i]);
  cluster->has_map = TRUE;
  cluster->is_stale = FALSE;
  submit_again (cluster);
  look_at_health (cluster);
}

static void ask_map (Cluster *cluster, Node *node)
{
  gint64 now_ms = ch_now_ms (cluster->redis->self);

  if (cluster->is_asking
      || (cluster->has_map && now_ms - cluster->asked_ms < ASK_AGAIN_MS))
    return;
  cluster->is_asking = TRUE;
  cluster->asked_ms = now_ms;
  link_ask (node->link, map_came, cluster, "CLUSTER", "SLOTS", NULL);
}

void cluster_node_ready (Cluster *cluster, Node *node)
{
  if (!cluster->has_map || cluster->is_stale)
    ask_map (cluster, node);
  if (cluster->redis->primary == NULL && !pubsub_is_connected (cluster->redis->pubsub))
    pubsub_connect (cluster->redis->pubsub, node->link->endpoint);
  look_at_health (cluster);
}

void cluster_node_lost (Cluster *cluster, Node *node)
{
  cluster->is_stale = TRUE;
  look_at_health (cluster);
}

/* ---- time ------------------------------------------------------------------------- */

static gboolean is_seed (const Cluster *cluster, const Node *node)
{
  const GPtrArray *seeds = cluster->redis->settings.cluster;

  for (guint i = 0; i < seeds->len; i++)
    if (endpoint_equal (g_ptr_array_index (seeds, i), node->endpoint))
      return TRUE;
  return FALSE;
}

static gboolean serves (const Cluster *cluster, const Node *node)
{
  for (guint slot = 0; slot < N_SLOTS; slot++)
    if (cluster->slots[slot] == node)
      return TRUE;
  return FALSE;
}

/* Nodes that serve nothing any more, once they owe no answer. */
static void prune (Cluster *cluster)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, cluster->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Node *node = value;
    if (!is_seed (cluster, node) && !serves (cluster, node) && node->waiting.n == 0
        && (node->link == NULL || node->link->flight.n == 0))
      g_hash_table_iter_remove (&iter);
  }
}

static Node *any_ready (Cluster *cluster)
{
  guint n = g_hash_table_size (cluster->nodes);
  guint skip = n > 0 ? (guint) g_random_int_range (0, (gint32) n) : 0;
  Node *found = NULL;
  GHashTableIter iter;
  gpointer value;

  /* Not always the same: one that is cut off tells an old map. */
  g_hash_table_iter_init (&iter, cluster->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Node *node = value;
    if (node->state == NODE_READY && !node->slow)
      found = node;
    if (found != NULL && skip-- == 0)
      break;
  }
  return found;
}

static void tick (ChPlugin *self, gpointer data)
{
  Cluster *cluster = data;
  gint64 since_ms = ch_now_ms (self) - cluster->asked_ms;

  cluster->tick = ch_timer_add (self, TICK_MS, tick, cluster);
  if (cluster->is_stale || !cluster->has_map || since_ms > REFRESH_MS) {
    Node *node = any_ready (cluster);
    if (node != NULL)
      ask_map (cluster, node);
  }
  if (cluster->has_map && cluster->waiting.n > 0)
    submit_again (cluster);
  if (cluster->redis->primary == NULL && !pubsub_is_connected (cluster->redis->pubsub)) {
    Node *node = any_ready (cluster);
    if (node != NULL)
      pubsub_connect (cluster->redis->pubsub, node->link->endpoint);
  }
  if (cluster->has_map && !cluster->is_stale)
    prune (cluster);
}

void cluster_library (Cluster *cluster, const Library *library)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, cluster->nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    node_load (value, library);
}

void cluster_open (Cluster *cluster)
{
  const GPtrArray *seeds = cluster->redis->settings.cluster;

  for (guint i = 0; i < seeds->len; i++)
    node_at (cluster, g_ptr_array_index (seeds, i));
  cluster->tick = ch_timer_add (cluster->redis->self, TICK_MS, tick, cluster);
}

static void free_node (gpointer node)
{
  node_free (node);
}

Cluster *cluster_new (Redis *redis)
{
  Cluster *cluster = g_new0 (Cluster, 1);
  cluster->redis = redis;
  cluster->nodes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_node);
  cluster->slots = g_new0 (Node *, N_SLOTS);
  return cluster;
}

void cluster_free (Cluster *cluster)
{
  if (cluster == NULL)
    return;
  ch_timer_cancel (cluster->redis->self, &cluster->tick);
  request_fail_all (&cluster->waiting, CH_KV_ERROR_UNAVAILABLE, "the kv is being closed");
  g_hash_table_unref (cluster->nodes);
  g_free (cluster->slots);
  g_free (cluster);
}
