/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver: a kv inside the process, with the semantics of Redis 7.0. */
#include "blocking.h"
#include "engine.h"
#include "memory.h"
#include "pubsub.h"
#include "snapshot.h"
#include <chargehost/error.h>
#include <chargehost/plugin.h>

#include <string.h>

static const ChConfigKey config_keys[]
    = {{"max_memory", CH_CONFIG_SIZE, CH_CONFIG_FLAGS_NONE, "0", 0, 1e15, NULL, NULL,
        "Bytes of data beyond which writes are refused; 0 sets no limit."},
       {"lua_max_memory", CH_CONFIG_SIZE, CH_CONFIG_FLAGS_NONE, "256M", 4e6, 1e12, NULL,
        NULL, "Bytes that Lua functions may use together."},
       {"lua_time_limit_ms", CH_CONFIG_INT, CH_CONFIG_FLAGS_NONE, "5000", 10, 3600000,
        NULL, NULL, "Milliseconds after which a Lua function is stopped with an error."},
       {"snapshot_path", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, "", 0, 0, NULL, NULL,
        "File that keeps the data over a restart; empty keeps nothing."},
       {"snapshot_interval", CH_CONFIG_DURATION_MS, CH_CONFIG_FLAGS_NONE, "5m", 0,
        86400000, NULL, NULL,
        "How often changed data is written to the file; 0 writes only at the end."},
       {NULL}};

static void load_snapshot (Mem *mem)
{
  const char *path = ch_config_string (mem->self, "snapshot_path");
  g_autofree char *problem = NULL;

  if (path == NULL || path[0] == '\0')
    return;
  mem->now_ms = ch_wall_ms (mem->self);
  if (!mem_snapshot_load (mem, path, &problem))
    ch_warning (mem->self, "the snapshot %s is not usable, the kv starts empty: %s", path,
                problem);
  else if (mem_dict_count (&mem->keys) > 0)
    ch_notice (mem->self, "%" G_GSIZE_FORMAT " keys from the snapshot %s",
               mem_dict_count (&mem->keys), path);
  mem->snapshot = mem_snapshot_new (
      mem, path, ch_config_duration_ms (mem->self, "snapshot_interval"));
}

static gboolean driver_open (ChPlugin *self, GError **error)
{
  Mem *mem = ch_plugin_data (self);

  mem->max_memory = (gsize) ch_config_int (self, "max_memory");
  mem->engine = mem_engine_new (mem, (gsize) ch_config_int (self, "lua_max_memory"),
                                ch_config_int (self, "lua_time_limit_ms"));
  if (mem->engine == NULL) {
    g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_FAILED, "Lua does not start");
    return FALSE;
  }
  load_snapshot (mem);
  ch_kv_set_up (self, TRUE);
  return TRUE;
}

static void driver_close (ChPlugin *self)
{
  Mem *mem = ch_plugin_data (self);

  mem_blocking_fail_all (mem, "the kv is being closed");
  if (mem->snapshot != NULL)
    mem_snapshot_finish (mem->snapshot);
  g_clear_pointer (&mem->snapshot, mem_snapshot_free);
  mem_delete_all (mem);
  g_clear_pointer (&mem->engine, mem_engine_free);
  ch_kv_set_up (self, FALSE);
}

static void driver_submit (ChPlugin *self, ChKvRun *run)
{
  mem_submit (ch_plugin_data (self), run);
}

static void driver_cancel (ChPlugin *self, ChKvRun *run)
{
  mem_blocking_cancel (ch_plugin_data (self), run);
}

static gboolean driver_library (ChPlugin *self, const char *lua, GError **error)
{
  Mem *mem = ch_plugin_data (self);
  g_autofree char *text = NULL;

  if (mem_library_load (mem->engine, (MemBytes) {lua, strlen (lua)}, TRUE, &text) != NULL)
    return TRUE;
  g_set_error_literal (error, CH_KV_ERROR, CH_KV_ERROR_SERVER, text);
  return FALSE;
}

static void driver_subscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  Mem *mem = ch_plugin_data (self);
  mem_pubsub_subscribe (mem->pubsub, channel, is_pattern);
}

static void driver_unsubscribe (ChPlugin *self, const char *channel, gboolean is_pattern)
{
  Mem *mem = ch_plugin_data (self);
  mem_pubsub_unsubscribe (mem->pubsub, channel, is_pattern);
}

static gint64 driver_used_memory (ChPlugin *self)
{
  Mem *mem = ch_plugin_data (self);
  return (gint64) (mem->heap.used
                   + (mem->engine != NULL ? mem_engine_used (mem->engine) : 0));
}

static const ChKvDriver driver = {
    .size = sizeof (ChKvDriver),
    .name = "memory",
    .open = driver_open,
    .close = driver_close,
    .submit = driver_submit,
    .library = driver_library,
    .subscribe = driver_subscribe,
    .unsubscribe = driver_unsubscribe,
    .used_memory = driver_used_memory,
    .cancel = driver_cancel,
};

static gboolean start (ChPlugin *self, GError **error)
{
  ch_plugin_set_data (self, mem_new (self));
  return TRUE;
}

static void stop (ChPlugin *self)
{
  Mem *mem = ch_plugin_data (self);

  mem_blocking_fail_all (mem, "the kv stops");
  g_clear_pointer (&mem->engine, mem_engine_free);
  mem_unref_all (mem);
  ch_plugin_set_data (self, NULL);
}

/* clang-format off */
CH_PLUGIN_DEFINE (kv_memory,
  .name = "kv-memory",
  .summary = "Redis semantics in process, with Lua functions",
  .version = "1.0.0",
  .license = "LGPL-2.1-or-later",
  .config = config_keys,
  .kv_driver = &driver,
  .start = start,
  .stop = stop)
/* clang-format on */
