/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One server: connecting and again connecting, what waits for it, what it answers. While
 * the first attempt after a loss is under way commands wait for it; once an attempt has
 * failed they are refused at once until the server is back.
 */
#include "redis.h"

#include <stdarg.h>
#include <string.h>

#define RETRY_MIN_MS 50u
#define RETRY_MAX_MS 1000u
#define STABLE_MS 1000
#define WATCH_MS 250
#define ASK_MS 5000
#define MAX_TRIES 3

static void attempt (ChPlugin *self, gpointer data);
static void watch (ChPlugin *self, gpointer data);

Node *node_new (Redis *redis, const Endpoint *endpoint, gboolean in_cluster)
{
  Node *node = g_new0 (Node, 1);
  node->redis = redis;
  node->endpoint = endpoint_copy (endpoint);
  node->name = endpoint_text (endpoint);
  node->in_cluster = in_cluster;
  node->used_memory = -1;
  return node;
}

void node_free (Node *node)
{
  if (node == NULL)
    return;
  node->is_open = FALSE;
  ch_timer_cancel (node->redis->self, &node->retry);
  ch_timer_cancel (node->redis->self, &node->watch);
  link_free (g_steal_pointer (&node->link));
  request_fail_all (&node->waiting, CH_KV_ERROR_UNAVAILABLE, "the kv is being closed");
  endpoint_free (node->endpoint);
  endpoint_free (node->detour);
  g_free (node->name);
  g_free (node->problem);
  g_free (node);
}

static void set_up (Node *node, gboolean up)
{
  if (!node->in_cluster)
    redis_set_up (node->redis, up);
}

/* Half of the time is chance, so that many instances do not come at once. */
static void retry_in (Node *node, guint ms)
{
  ch_timer_cancel (node->redis->self, &node->retry);
  ms = ms / 2 + (guint) g_random_int_range (0, (gint32) ms / 2 + 1);
  node->retry = ch_timer_add (node->redis->self, ms, attempt, node);
}

static guint backoff_ms (const Node *node)
{
  guint ms = RETRY_MIN_MS << MIN (node->failures, 8);
  return MIN (ms, RETRY_MAX_MS);
}

G_GNUC_PRINTF (2, 3)
static void attempt_failed (Node *node, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *why = g_strdup_vprintf (format, args);
  va_end (args);
  if (node->failures == 0 && !node->in_cluster)
    ch_warning (node->redis->self, "no Redis: %s; trying again", why);
  else
    ch_debug (node->redis->self, "no Redis: %s", why);
  link_free (g_steal_pointer (&node->link));
  node->state = NODE_IDLE;
  node->failures++;
  /* Of a cluster another node takes over: what waits may go there before its deadline. */
  if (!node->in_cluster && node->detour == NULL) {
    node->patient = FALSE;
    request_fail_all (&node->waiting, CH_KV_ERROR_UNAVAILABLE, why);
  }
  if (node->is_open)
    retry_in (node, node->detour != NULL ? 1 : backoff_ms (node));
  if (node->in_cluster)
    cluster_node_lost (node->redis->cluster, node);
}

/* ---- answers ---------------------------------------------------------------------- */

static void say (Node *node, ChKvReply *reply, Request *request)
{
  ChKvRun *run = request->run;
  g_free (request);
  ch_kv_run_complete (run, reply, NULL);
}

/* Nobody waits any more: it must have no effect. */
static gboolean is_late (const Node *node, const Request *request)
{
  return ch_kv_run_deadline_us (request->run) / 1000 <= ch_now_ms (node->redis->self);
}

/* It was the primary, and is not now: nothing of what it refuses was done. */
static void demoted (Node *node, Request *request, ChKvReply *reply)
{
  if (!node->draining)
    ch_notice (node->redis->self, "%s: %s", node->name, reply->text);
  node->draining = TRUE;
  node->patient = TRUE;
  set_up (node, FALSE);
  ch_kv_reply_free (reply);
  request_push (&node->waiting, request);
}

/* FUNCTION FLUSH, or a primary that came up empty: load ours, then the same again. */
static gboolean repair (Node *node, Request *request)
{
  const ChKvRun *run = request->run;
  const char *function = ch_kv_run_argc (run) > 1 ? ch_kv_run_arg (run, 1, NULL) : "";
  GPtrArray *libraries = node->redis->libraries;
  gboolean found = FALSE;

  if (request->tries > 1 || is_late (node, request)
      || g_ascii_strncasecmp (ch_kv_run_arg (run, 0, NULL), "FCALL", 5) != 0)
    return FALSE;
  for (guint i = 0; i < libraries->len; i++) {
    const Library *library = g_ptr_array_index (libraries, i);
    found = found
            || (node_wants (node, library) && library_has_function (library, function));
  }
  if (!found)
    return FALSE;
  /* Those that were sent before the last repair only need to be sent again. */
  if (request->sent_ms >= node->repaired_ms) {
    ch_notice (node->redis->self, "%s has lost its functions; they are loaded again",
               node->name);
    node->repaired_ms = ch_now_ms (node->redis->self) + 1;
    ch_series_inc (node->redis->reloads);
    node->is_replica = FALSE; /* it would have named its primary */
    for (guint i = 0; i < libraries->len; i++)
      node_load (node, g_ptr_array_index (libraries, i));
  }
  return link_send (node->link, request);
}

static void finish_drain (Node *node)
{
  if (!node->draining || node->link->flight.n > 0)
    return;
  link_free (g_steal_pointer (&node->link));
  node->draining = FALSE;
  node->state = NODE_IDLE;
  retry_in (node, RETRY_MIN_MS);
}

static void reply_came (gpointer owner, Link *link, Request *request, ChKvReply *reply)
{
  Node *node = owner;

  if (G_UNLIKELY (reply->kind == CH_KV_REPLY_ERROR)) {
    if (node->in_cluster && cluster_redirect (node->redis->cluster, node, request, reply))
      return;
    if (!node->in_cluster && request->tries < MAX_TRIES && !is_late (node, request)
        && (reply_is_error (reply, "READONLY") || reply_is_error (reply, "LOADING")
            || reply_is_error (reply, "MASTERDOWN"))) {
      demoted (node, request, reply);
      finish_drain (node);
      return;
    }
    if (reply_is_error (reply, "ERR Function not found") && repair (node, request)) {
      ch_kv_reply_free (reply);
      return;
    }
  }
  say (node, reply, request);
  finish_drain (node);
}

/* ---- the connection --------------------------------------------------------------- */

static void link_ready (gpointer owner, Link *link)
{
  node_check (owner);
}

static void link_lost (gpointer owner, Link *link, const char *why)
{
  Node *node = owner;
  gint64 now_ms = ch_now_ms (node->redis->self);

  node->link = NULL;
  gsize n = link->flight.n;
  request_lost_all (&link->flight, node, why);
  link_free (link);
  node->draining = node->slow = FALSE;
  if (node->state != NODE_READY) {
    attempt_failed (node, "%s", why);
    return;
  }
  ch_series_inc (node->redis->lost);
  ch_series_add (node->redis->unknown, (double) n);
  ch_warning (node->redis->self, "%s; %" G_GSIZE_FORMAT " commands were under way", why,
              n);
  node->state = NODE_IDLE;
  set_up (node, FALSE);
  gboolean was_stable = now_ms - node->ready_ms >= STABLE_MS;
  node->failures = was_stable ? 0 : node->failures + 1;
  node->patient = was_stable || node->in_cluster;
  if (!node->patient)
    request_fail_all (&node->waiting, CH_KV_ERROR_UNAVAILABLE, why);
  if (node->is_open)
    retry_in (node, was_stable ? RETRY_MIN_MS : backoff_ms (node));
  if (node->in_cluster)
    cluster_node_lost (node->redis->cluster, node);
}

static const LinkFuncs LINK_FUNCS
    = {.ready = link_ready, .reply = reply_came, .lost = link_lost};

static void start_link (Node *node, const Endpoint *endpoint)
{
  node->state = NODE_CONNECTING;
  node->link = link_new (node->redis, endpoint, node->in_cluster ? "cluster" : "main",
                         &LINK_FUNCS, node);
}

static void attempt (ChPlugin *self, gpointer data)
{
  Node *node = data;

  node->retry = 0;
  if (node->state != NODE_IDLE)
    return;
  if (node->watch == 0)
    node->watch = ch_timer_add (self, WATCH_MS, watch, node);
  if (node->detour != NULL) {
    g_autoptr (Endpoint) detour = g_steal_pointer (&node->detour);
    start_link (node, detour);
  } else if (node->redis->sentinel != NULL && !node->in_cluster) {
    node->state = NODE_CONNECTING;
    sentinel_find (node->redis->sentinel);
  } else {
    start_link (node, node->endpoint);
  }
}

void node_found (Node *node, const Endpoint *endpoint, const char *why)
{
  if (node->state != NODE_CONNECTING || node->link != NULL)
    return;
  if (endpoint == NULL) {
    attempt_failed (node, "%s", why);
    return;
  }
  endpoint_free (node->endpoint);
  node->endpoint = endpoint_copy (endpoint);
  start_link (node, endpoint);
}

static gboolean send_now (Node *node, Request *request)
{
  if (G_LIKELY (link_send (node->link, request)))
    return TRUE;
  request_fail (request, CH_KV_ERROR_BUSY, "too much waits to be sent to Redis");
  return FALSE;
}

void node_checked (Node *node)
{
  if (node->problem != NULL) {
    g_autofree char *why = g_steal_pointer (&node->problem);
    attempt_failed (node, "%s: %s", node->name, why);
    return;
  }
  g_free (node->name);
  node->name = endpoint_text (node->link->endpoint);
  node->state = NODE_READY;
  node->ready_ms = ch_now_ms (node->redis->self);
  node->failures = 0;
  ch_series_inc (node->redis->connects);
  if (!node->refused)
    ch_plugin_degraded (node->redis->self, NULL);
  if (!node->in_cluster)
    pubsub_connect (node->redis->pubsub, node->link->endpoint);
  RequestList waiting = node->waiting;
  node->waiting = (RequestList) {0};
  Request *request;
  while ((request = request_pop (&waiting)) != NULL)
    send_now (node, request);
  set_up (node, TRUE);
  if (node->in_cluster)
    cluster_node_ready (node->redis->cluster, node);
}

void node_submit (Node *node, Request *request)
{
  if (G_LIKELY (node->state == NODE_READY && !node->slow && !node->draining)) {
    send_now (node, request);
    return;
  }
  if (node->patient && !node->slow)
    request_push (&node->waiting, request);
  else
    request_fail (request, CH_KV_ERROR_UNAVAILABLE, "%s: %s", node->name,
                  node->slow ? "Redis is slow" : "no connection");
}

/* ---- watching --------------------------------------------------------------------- */

static void memory_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Node *node = owner;
  const char *at = reply != NULL && reply->kind == CH_KV_REPLY_STRING
                       ? strstr (reply->text, "used_memory:")
                       : NULL;
  if (at != NULL)
    node->used_memory
        = (gint64) g_ascii_strtoull (at + strlen ("used_memory:"), NULL, 10);
}

static void look (Node *node)
{
  const Settings *settings = &node->redis->settings;
  gint64 now_ms = ch_now_ms (node->redis->self);
  gint64 oldest_ms = link_oldest_ms (node->link);

  if (oldest_ms > settings->read_ms) {
    Link *link = node->link;
    g_autofree char *why = g_strdup_printf ("%s: no answer in time", node->name);
    link->is_dead = TRUE;
    link_lost (node, link, why);
    return;
  }
  if (!node->slow && oldest_ms > settings->breaker_ms) {
    ch_warning (node->redis->self, "%s has not answered for %" G_GINT64_FORMAT " ms",
                node->name, oldest_ms);
    node->slow = TRUE;
    set_up (node, FALSE);
  } else if (node->slow && node->link->flight.n == 0) {
    ch_notice (node->redis->self, "%s answers again", node->name);
    node->slow = FALSE;
    set_up (node, TRUE);
  }
  if (!node->slow && now_ms >= node->asked_ms + ASK_MS) {
    node->asked_ms = now_ms;
    link_ask (node->link, memory_came, NULL, "INFO", "memory", NULL);
  }
}

static void watch (ChPlugin *self, gpointer data)
{
  Node *node = data;

  node->watch = ch_timer_add (self, WATCH_MS, watch, node);
  if (node->state == NODE_READY)
    look (node);
  else if (node->state == NODE_CONNECTING && node->link != NULL
           && link_oldest_ms (node->link) > node->redis->settings.dial_ms)
    attempt_failed (node, "%s: no answer in time", node->name);
}

void node_open (Node *node)
{
  node->is_open = TRUE;
  node->patient = TRUE;
  attempt (node->redis->self, node);
}
