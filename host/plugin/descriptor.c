/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The descriptor of a plugin: the version first, then every pointer that must be there.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#define NEED(text, present)                                                              \
  if (!(present))                                                                        \
  g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", text)

static gboolean has_text (const char *text)
{
  return text != NULL && *text != '\0';
}

static void check_protocol (const ChProtocol *protocol, GString *missing)
{
  if (protocol == NULL)
    return;
  NEED ("protocol.size", protocol->size >= G_STRUCT_OFFSET (ChProtocol, closed));
  if (protocol->size < G_STRUCT_OFFSET (ChProtocol, closed))
    return;
  NEED ("protocol.name", has_text (protocol->name));
  NEED ("protocol.sniff", protocol->sniff != NULL);
  NEED ("protocol.frame", protocol->frame != NULL);
  NEED ("protocol.input", protocol->input != NULL);
  NEED ("protocol.command", protocol->command != NULL);
}

static void check_store (const ChStoreDriver *driver, GString *missing)
{
  if (driver == NULL)
    return;
  NEED ("store_driver.size", driver->size >= sizeof *driver);
  if (driver->size < sizeof *driver)
    return;
  NEED ("store_driver.dialect", has_text (driver->dialect));
  NEED ("store_driver.open", driver->open != NULL);
  NEED ("store_driver.close", driver->close != NULL);
  NEED ("store_driver.script", driver->script != NULL);
  NEED ("store_driver.run_now", driver->run_now != NULL);
  NEED ("store_driver.submit", driver->submit != NULL);
  NEED ("store_driver.lock", driver->lock != NULL);
  NEED ("store_driver.unlock", driver->unlock != NULL);
  NEED ("store_driver.stats", driver->stats != NULL);
}

static void check_kv (const ChKvDriver *driver, GString *missing)
{
  if (driver == NULL)
    return;
  NEED ("kv_driver.size", driver->size >= sizeof *driver);
  if (driver->size < sizeof *driver)
    return;
  NEED ("kv_driver.name", has_text (driver->name));
  NEED ("kv_driver.open", driver->open != NULL);
  NEED ("kv_driver.close", driver->close != NULL);
  NEED ("kv_driver.submit", driver->submit != NULL);
  NEED ("kv_driver.library", driver->library != NULL);
  NEED ("kv_driver.subscribe", driver->subscribe != NULL);
  NEED ("kv_driver.unsubscribe", driver->unsubscribe != NULL);
  NEED ("kv_driver.used_memory", driver->used_memory != NULL);
}

static void check_config (const ChConfigKey *keys, GString *missing)
{
  for (; keys != NULL && keys->name != NULL; keys++) {
    g_autofree char *type = g_strdup_printf ("config.%s.type", keys->name);
    g_autofree char *summary = g_strdup_printf ("config.%s.summary", keys->name);
    g_autofree char *choices = g_strdup_printf ("config.%s.choices", keys->name);
    NEED (type, keys->type >= CH_CONFIG_BOOL && keys->type <= CH_CONFIG_SECRET);
    NEED (summary, has_text (keys->summary));
    NEED (choices, keys->type != CH_CONFIG_CHOICE || keys->choices != NULL);
  }
}

gboolean ch_plugin_descriptor_check (const ChPluginInfo *info, const char *name,
                                     const char *path, GError **error)
{
  g_autoptr (GString) missing = g_string_new (NULL);

  if (!ch_plugin_abi_check (info->magic, info->size, info->abi_major, info->abi_minor,
                            path, error))
    return FALSE;
  NEED ("name", has_text (info->name));
  NEED ("summary", has_text (info->summary));
  NEED ("version", has_text (info->version));
  NEED ("license", has_text (info->license));
  NEED ("start", info->start != NULL);
  check_config (info->config, missing);
  check_protocol (info->protocol, missing);
  check_store (info->store_driver, missing);
  check_kv (info->kv_driver, missing);
  if (missing->len > 0) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
                 "%s: the descriptor lacks %s", path, missing->str);
    return FALSE;
  }
  if (name != NULL && !g_str_equal (info->name, name)) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_WRONG_NAME,
                 "%s: the file is named %s, the plugin in it calls itself %s", path, name,
                 info->name);
    return FALSE;
  }
  return TRUE;
}
