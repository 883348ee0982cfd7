/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver: a kv in Redis, one primary, or a Redis Cluster for what keeps to slots. */
#include "redis.h"

#include <string.h>

void redis_set_up (Redis *redis, gboolean up)
{
  if (!redis->is_open)
    return;
  if (!up)
    blocking_moved (redis->blocking);
  ch_kv_set_up (redis->self, up);
}

static void announce (Redis *redis)
{
  if (redis->cluster == NULL)
    return;
  if (redis->primary == NULL)
    ch_warning (redis->self, "only redis.cluster_nodes are given: libraries whose keys "
                             "span slots (chargehost_core) need one primary, redis.url");
  else
    ch_notice (redis->self,
               "chargehost_core and whatever spans slots go to %s; plugins "
               "whose keys share a slot go to the cluster",
               redis->primary->name);
}

static gboolean driver_open (ChPlugin *self, GError **error)
{
  Redis *redis = ch_plugin_data (self);

  if (!settings_read (self, &redis->settings, error))
    return FALSE;
  redis->is_open = TRUE;
  redis->libraries = g_ptr_array_new_with_free_func ((GDestroyNotify) library_free);
  redis->blocking = blocking_new (redis);
  redis->pubsub = pubsub_new (redis);
  if (redis->settings.sentinels->len > 0)
    redis->sentinel = sentinel_new (redis);
  if (redis->settings.cluster->len > 0)
    redis->cluster = cluster_new (redis);
  if (redis->settings.endpoint != NULL)
    redis->primary = node_new (redis, redis->settings.endpoint, FALSE);
  announce (redis);
  if (redis->cluster != NULL)
    cluster_open (redis->cluster);
  if (redis->primary != NULL)
    node_open (redis->primary);
  return TRUE;
}

static void driver_close (ChPlugin *self)
{
  Redis *redis = ch_plugin_data (self);

  redis->is_open = FALSE;
  g_clear_pointer (&redis->primary, node_free);
  g_clear_pointer (&redis->cluster, cluster_free);
  g_clear_pointer (&redis->sentinel, sentinel_free);
  g_clear_pointer (&redis->blocking, blocking_free);
  g_clear_pointer (&redis->pubsub, pubsub_free);
  g_clear_pointer (&redis->libraries, g_ptr_array_unref);
  settings_clear (&redis->settings);
  ch_kv_set_up (self, FALSE);
}

static gboolean is_publish (const ChKvRun *run)
{
  gsize size;
  const char *name = ch_kv_run_arg (run, 0, &size);
  return size == 7 && g_ascii_strcasecmp (name, "PUBLISH") == 0;
}

/* Channels live where subscriptions are: at the primary when there is one. */
static gboolean goes_to_cluster (const Redis *redis, const ChKvRun *run)
{
  if (redis->cluster == NULL)
    return FALSE;
  return redis->primary == NULL || (ch_kv_run_is_slotted (run) && !is_publish (run));
}

static void submit_blocking (Redis *redis, ChKvRun *run, gboolean to_cluster)
{
  const Endpoint *endpoint = NULL;

  if (to_cluster)
    endpoint = cluster_endpoint (redis->cluster, run);
  else if (redis->primary->state == NODE_READY)
    endpoint = redis->primary->link->endpoint;
  if (endpoint != NULL)
    blocking_submit (redis->blocking, run, endpoint);
  else
    ch_kv_run_complete (run, NULL,
                        g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE,
                                             "no connection to Redis"));
}

static void driver_submit (ChPlugin *self, ChKvRun *run)
{
  Redis *redis = ch_plugin_data (self);
  gboolean to_cluster = goes_to_cluster (redis, run);

  if (G_UNLIKELY (ch_kv_run_blocks (run))) {
    submit_blocking (redis, run, to_cluster);
    return;
  }
  Request *request = g_new0 (Request, 1);
  request->run = run;
  if (to_cluster)
    cluster_submit (redis->cluster, request);
  else
    node_submit (redis->primary, request);
}

static void driver_cancel (ChPlugin *self, ChKvRun *run)
{
  Redis *redis = ch_plugin_data (self);

  if (ch_kv_run_blocks (run)) {
    blocking_cancel (redis->blocking, run);
    return;
  }
  if (redis->cluster != NULL && cluster_cancel (redis->cluster, run))
    return;
  Request *request = redis->primary != NULL && redis->primary->waiting.n > 0
                         ? request_take (&redis->primary->waiting, run)
                         : NULL;
  if (request != NULL)
    request_fail (request, CH_KV_ERROR_CANCELLED, "nobody waits for it");
}

static gboolean driver_library (ChPlugin *self, const char *lua, GError **error)
{
  Redis *redis = ch_plugin_data (self);
  Library *library = library_new (lua);

  if (redis->primary == NULL && !library->slotted) {
    g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_FAILED,
                 "the library %s needs one primary (redis.url), a cluster cannot hold "
                 "its keys",
                 library->name);
    library_free (library);
    return FALSE;
  }
  for (guint i = 0; i < redis->libraries->len; i++) {
    const Library *old = g_ptr_array_index (redis->libraries, i);
    if (!g_str_equal (old->name, library->name))
      continue;
    if (g_str_equal (old->lua, library->lua)) { /* every fresh connection has it */
      library_free (library);
      return TRUE;
    }
    g_ptr_array_remove_index (redis->libraries, i);
    break;
  }
  g_ptr_array_add (redis->libraries, library);
  if (redis->primary != NULL)
    node_load (redis->primary, library);
  if (redis->cluster != NULL)
    cluster_library (redis->cluster, library);
  return TRUE;
}

static void driver_subscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  Redis *redis = ch_plugin_data (self);
  pubsub_subscribe (redis->pubsub, channel, is_pattern);
}

static void driver_unsubscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  Redis *redis = ch_plugin_data (self);
  pubsub_unsubscribe (redis->pubsub, channel, is_pattern);
}

static gint64 driver_used_memory (ChPlugin *self)
{
  Redis *redis = ch_plugin_data (self);
  return redis->primary != NULL ? redis->primary->used_memory : -1;
}

static const ChKvDriver driver = {
    .size = sizeof (ChKvDriver),
    .name = "redis",
    .open = driver_open,
    .close = driver_close,
    .submit = driver_submit,
    .library = driver_library,
    .subscribe = driver_subscribe,
    .unsubscribe = driver_unsubscribe,
    .used_memory = driver_used_memory,
    .cancel = driver_cancel,
};

static ChSeries *counter (ChPlugin *self, const char *name, const char *help)
{
  return ch_metric_with (ch_metric_register (self, CH_METRIC_COUNTER, name, help, NULL),
                         NULL);
}

static gboolean start (ChPlugin *self, GError **error)
{
  Redis *redis = g_new0 (Redis, 1);

  redis->self = self;
  redis->connects = counter (self, "chargehost_redis_connects_total",
                             "Connections that were logged in and found good");
  redis->lost = counter (self, "chargehost_redis_connections_lost_total",
                         "Connections that ended while they were in use");
  redis->reloads = counter (self, "chargehost_redis_library_repairs_total",
                            "Times that function libraries had to be loaded again");
  redis->unknown = counter (self, "chargehost_redis_outcome_unknown_total",
                            "Commands whose answer was lost with their connection");
  redis->redirects = counter (self, "chargehost_redis_cluster_redirects_total",
                              "Answers MOVED and ASK of a cluster");
  ch_plugin_set_data (self, redis);
  return TRUE;
}

static void stop (ChPlugin *self)
{
  Redis *redis = ch_plugin_data (self);

  if (redis->is_open)
    driver_close (self);
  g_free (redis);
  ch_plugin_set_data (self, NULL);
}

/* clang-format off */
CH_PLUGIN_DEFINE (kv_redis,
  .name = "kv-redis",
  .summary = "Redis 7: one primary, Sentinel, and Redis Cluster for what keeps to slots",
  .version = "1.0.0",
  .license = "LGPL-2.1-or-later",
  .config = redis_config_keys,
  .kv_driver = &driver,
  .start = start,
  .stop = stop)
/* clang-format on */
