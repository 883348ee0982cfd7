/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Life of the front: its keys, the driver, the libraries that every driver must have. */
#include "base/config-private.h"
#include "kv/kv-private.h"
#include <chargehost/log.h>

#include <string.h>

#define QUEUE_MAX 100000
#define TIMEOUT_MS 3000
#define MAX_LIBRARY_NAME 64

const ChConfigKey ch_kv_config[]
    = {{"kv.queue_max", CH_CONFIG_INT, CH_CONFIG_FLAGS_NONE, "100000", 100, 10000000,
        NULL, NULL, "Commands that may wait for the kv; more are refused as busy."},
       {"kv.timeout", CH_CONFIG_DURATION_MS, CH_CONFIG_FLAGS_NONE, "3s", 10, 600000, NULL,
        NULL, "How long a command may take before its caller hears of a time-out."},
       {"redis.key_prefix", CH_CONFIG_STRING, CH_CONFIG_FLAGS_NONE, "", 0, 0, NULL, NULL,
        "Text before every key and channel, in whatever kv they are."},
       {NULL}};

/* Glob characters of the prefix stand for themselves in patterns. */
static char *escape_glob (const char *text)
{
  GString *escaped = g_string_new (NULL);
  for (; *text != '\0'; text++) {
    if (strchr ("*?[]\\", *text) != NULL)
      g_string_append_c (escaped, '\\');
    g_string_append_c (escaped, *text);
  }
  return g_string_free (escaped, FALSE);
}

void ch_kv_set_prefix (ChKv *kv, const char *prefix)
{
  g_free (kv->prefix);
  g_free (kv->pattern_prefix);
  kv->prefix = g_strdup (prefix != NULL ? prefix : "");
  kv->prefix_size = strlen (kv->prefix);
  kv->pattern_prefix = escape_glob (kv->prefix);
}

void ch_kv_set_queue_max (ChKv *kv, gsize queue_max)
{
  kv->queue_max = queue_max;
}

ChKv *ch_kv_new (ChServices *services)
{
  ChKv *kv = g_new0 (ChKv, 1);

  kv->services = services;
  kv->owner = ch_owner_new (services, "kv", NULL);
  kv->queue_max = QUEUE_MAX;
  kv->timeout_us = TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
  kv->libraries = g_ptr_array_new ();
  ch_kv_set_prefix (kv, NULL);
  ch_kv_command_index_init (&kv->commands);
  if (services->config != NULL)
    ch_config_declare (services->config, "", ch_kv_config);
  services->kv = kv;
  ch_kv_deliver_init (kv);
  ch_kv_subscribe_init (kv);
  ch_kv_metrics_init (kv);
  return kv;
}

static void library_free (ChKvLibrary *library)
{
  g_ptr_array_remove (library->kv->libraries, library);
  g_free (library->name);
  g_free (library->lua);
  g_free (library);
}

static void library_revoke (ChResource *resource)
{
  library_free ((ChKvLibrary *) resource);
}

static const ChResourceKind library_kind = {"kv libraries", library_revoke};

void ch_kv_free (ChKv *kv)
{
  if (kv == NULL)
    return;
  ch_kv_close (kv);
  ch_kv_deliver_clear (kv);
  ch_kv_subscribe_clear (kv);
  while (kv->libraries->len > 0) {
    ChKvLibrary *library = g_ptr_array_index (kv->libraries, kv->libraries->len - 1);
    ch_owner_unlink (&library->resource);
    library_free (library);
  }
  g_ptr_array_unref (kv->libraries);
  ch_owner_free (kv->owner);
  ch_kv_metrics_clear (kv);
  g_free (kv->prefix);
  g_free (kv->pattern_prefix);
  kv->services->kv = NULL;
  g_free (kv);
}

static gboolean load (ChKv *kv, const char *lua, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean ok = kv->driver->library (kv->driver_plugin, lua, &local);

  if (ok)
    return TRUE;
  if (local == NULL)
    local = g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_FAILED,
                                 "the library was refused");
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* What the driver must know to be of use: again after each reconnect. */
static void tell_all (ChKv *kv)
{
  for (guint i = 0; i < kv->libraries->len; i++) {
    ChKvLibrary *library = g_ptr_array_index (kv->libraries, i);
    g_autoptr (GError) error = NULL;
    if (!load (kv, library->lua, &error))
      ch_error (kv->owner, "library %s is not there: %s", library->name, error->message);
  }
  ch_kv_subscribe_all (kv);
}

gboolean ch_kv_open (ChKv *kv, ChPlugin *driver_plugin, const ChKvDriver *driver,
                     GError **error)
{
  ChConfig *config = kv->services->config;

  if (kv->driver != NULL) {
    g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_USAGE, "the kv %s is open already",
                 kv->driver->name);
    return FALSE;
  }
  if (config != NULL) {
    kv->queue_max = (gsize) ch_config_get_int (config, "kv.queue_max");
    kv->timeout_us = ch_config_get_duration_ms (config, "kv.timeout") * 1000;
    ch_kv_set_prefix (kv, ch_config_get_string (config, "redis.key_prefix"));
  }
  kv->driver_plugin = driver_plugin;
  kv->driver = driver;
  gboolean ok = driver->open == NULL || driver->open (driver_plugin, error);
  if (!ch_runner_check (driver_plugin, "open", ok, error)) {
    kv->driver = NULL;
    kv->driver_plugin = NULL;
    return FALSE;
  }
  ch_kv_metrics_up (kv);
  if (!kv->up) /* else ch_kv_set_up() has told it all */
    tell_all (kv);
  return TRUE;
}

void ch_kv_close (ChKv *kv)
{
  if (kv->driver == NULL)
    return;
  kv->up = FALSE;
  ch_kv_metrics_up (kv);
  if (kv->driver->close != NULL)
    kv->driver->close (kv->driver_plugin);
  kv->driver = NULL;
  kv->driver_plugin = NULL;
}

void ch_kv_set_up (ChPlugin *driver, gboolean up)
{
  ChKv *kv = driver->services->kv;

  if (kv == NULL || kv->driver_plugin != driver || kv->up == !!up)
    return;
  kv->up = !!up;
  ch_kv_metrics_up (kv);
  ch_notice (kv->owner, "the kv %s is %s", kv->driver->name, up ? "up" : "down");
  if (!up)
    return;
  tell_all (kv);
  if (kv->back != NULL)
    kv->back (kv->back_data);
}

void ch_kv_set_back (ChKv *kv, void (*back) (gpointer data), gpointer data)
{
  if (kv == NULL)
    return;
  kv->back = back;
  kv->back_data = data;
}

gboolean ch_kv_up (ChKv *kv)
{
  return kv->up;
}

gboolean ch_kv_is_up (ChPlugin *self)
{
  return self->services->kv != NULL && self->services->kv->up;
}

const char *ch_kv_prefix (ChPlugin *self)
{
  return self->services->kv->prefix;
}

const char *ch_kv_driver_name (ChKv *kv)
{
  return kv->driver != NULL ? kv->driver->name : NULL;
}

gint64 ch_kv_used_memory (ChKv *kv)
{
  if (kv->driver == NULL || kv->driver->used_memory == NULL)
    return -1;
  return kv->driver->used_memory (kv->driver_plugin);
}

gsize ch_kv_pending (ChKv *kv)
{
  return kv->pending;
}

/* `#!lua name=chargehost_core`: the name, %NULL when the line is not like this. */
static char *library_name (const char *lua)
{
  const char *end = strchr (lua, '\n');
  gsize size = end != NULL ? (gsize) (end - lua) : strlen (lua);
  g_autofree char *line = g_strndup (lua, size);

  if (!g_str_has_prefix (line, "#!lua"))
    return NULL;
  char *name = strstr (line, " name=");
  if (name == NULL)
    return NULL;
  name += strlen (" name=");
  size = strspn (name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  if (size == 0 || size > MAX_LIBRARY_NAME)
    return NULL;
  return g_strndup (name, size);
}

gboolean ch_kv_library (ChPlugin *self, const char *lua, GError **error)
{
  ChKv *kv = self->services->kv;
  g_autofree char *name = library_name (lua);

  if (name == NULL) {
    g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_USAGE,
                 "a library begins with a line #!lua name=NAME");
    return FALSE;
  }
  if (kv->driver != NULL && !load (kv, lua, error))
    return FALSE;
  for (guint i = 0; i < kv->libraries->len; i++) {
    ChKvLibrary *old = g_ptr_array_index (kv->libraries, i);
    if (strcmp (old->name, name) != 0)
      continue;
    ch_owner_unlink (&old->resource);
    library_free (old);
    break;
  }
  ChKvLibrary *library = g_new0 (ChKvLibrary, 1);
  library->kv = kv;
  library->name = g_steal_pointer (&name);
  library->lua = g_strdup (lua);
  ch_owner_link (self, &library->resource, &library_kind);
  g_ptr_array_add (kv->libraries, library);
  return TRUE;
}
