/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a plugin is. It exports one function, made by CH_PLUGIN_DEFINE(), and an ELF note
 * that tells the ABI before the file is loaded. Loading has no side effects. A plugin
 * registers no GTypes and keeps no static mutable data: two generations of it may run
 * at once; what it keeps hangs on its ChPlugin.
 */
#pragma once

#include <chargehost/config.h>
#include <chargehost/kv.h>
#include <chargehost/protocol.h>
#include <chargehost/store.h>
#include <chargehost/types.h>

G_BEGIN_DECLS

#define CH_PLUGIN_MAGIC 0x31504843u /* "CHP1" */

/**
 * ChPluginInfo:
 * @magic: %CH_PLUGIN_MAGIC
 * @size: sizeof (ChPluginInfo)
 * @abi_major: major of the SDK it was built with
 * @abi_minor: minor
 * @name: `proto-bkv`: also the Meson option, the file name and the configuration section
 * @summary: a few words
 * @version: of the plugin
 * @license: SPDX expression
 * @requires: (nullable): interfaces it needs: `store`, `kv`, `core`, …, never plugins
 * @provides: (nullable): interfaces it offers
 * @config: (nullable): its keys
 * @protocol: (nullable): a device protocol
 * @store_driver: (nullable): a database
 * @kv_driver: (nullable): a kv
 * @start: (not nullable): register and begin; on %FALSE @error is set and all that was
 *   registered is revoked
 * @stop: (nullable): end; afterwards all that is still registered is revoked
 * @migrations: (nullable): its tables; @start hands the same to ch_store_register().
 *   They stand here so that `chargehostctl store migrate` and `copy` know them without
 *   starting the plugin
 *
 * Static and constant. Grows only at its end.
 */
typedef struct {
  guint32 magic;
  guint32 size;
  guint16 abi_major;
  guint16 abi_minor;
  const char *name;
  const char *summary;
  const char *version;
  const char *license;
  const char *const *requires;
  const char *const *provides;
  const ChConfigKey *config;
  const ChProtocol *protocol;
  const ChStoreDriver *store_driver;
  const ChKvDriver *kv_driver;
  gboolean (*start) (ChPlugin *self, GError **error);
  void (*stop) (ChPlugin *self);
  const ChMigration *migrations;
} ChPluginInfo;

typedef const ChPluginInfo *(*ChPluginQuery) (void);

/*
 * The note: name "Chargehost", type 1, description = magic, size of ChPluginInfo,
 * major and minor, read from the file before dlopen().
 */
#define CH_PLUGIN_NOTE_NAME "Chargehost"
#define CH_PLUGIN_NOTE_TYPE 1
typedef struct {
  guint32 name_size;
  guint32 desc_size;
  guint32 type;
  char name[12];
  guint32 magic;
  guint32 info_size;
  guint16 abi_major;
  guint16 abi_minor;
} ChPluginNote;

#ifndef CH_PLUGIN_ABI_MAJOR /* tests pretend to be of another time */
#define CH_PLUGIN_ABI_MAJOR CH_ABI_MAJOR
#define CH_PLUGIN_ABI_MINOR CH_ABI_MINOR
#endif

/**
 * CH_PLUGIN_DEFINE:
 * @ident: name of the plugin with `_` for `-`
 * @...: designated initialisers of a #ChPluginInfo, at file scope, so that lists may be
 *   written in place: `.requires = (const char *const[]) { "store", NULL }`
 */
#define CH_PLUGIN_DEFINE(ident, ...)                                                     \
  __attribute__ ((used, section (".note.chargehost"),                                    \
                  aligned (4))) static const ChPluginNote ch_plugin_##ident##_note       \
      = {sizeof (CH_PLUGIN_NOTE_NAME),                                                   \
         12,                                                                             \
         CH_PLUGIN_NOTE_TYPE,                                                            \
         CH_PLUGIN_NOTE_NAME,                                                            \
         CH_PLUGIN_MAGIC,                                                                \
         sizeof (ChPluginInfo),                                                          \
         CH_PLUGIN_ABI_MAJOR,                                                            \
         CH_PLUGIN_ABI_MINOR};                                                           \
  static const ChPluginInfo ch_plugin_##ident##_info                                     \
      = {.magic = CH_PLUGIN_MAGIC,                                                       \
         .size = sizeof (ChPluginInfo),                                                  \
         .abi_major = CH_PLUGIN_ABI_MAJOR,                                               \
         .abi_minor = CH_PLUGIN_ABI_MINOR,                                               \
         __VA_ARGS__};                                                                   \
  __attribute__ ((visibility ("default")))                                               \
  const ChPluginInfo *ch_plugin_##ident##_query (void);                                  \
  const ChPluginInfo *ch_plugin_##ident##_query (void)                                   \
  {                                                                                      \
    return &ch_plugin_##ident##_info;                                                    \
  }

/* Returns: (transfer none): the plugin's name */
const char *ch_plugin_name (ChPlugin *self);

/* The plugin's own data, set in start. Freed by the plugin in stop. */
void ch_plugin_set_data (ChPlugin *self, gpointer data);
gpointer ch_plugin_data (ChPlugin *self);

/**
 * ch_plugin_degraded:
 * @self: the plugin
 * @reason: (nullable): why it works only in part; %NULL when it is well again
 */
void ch_plugin_degraded (ChPlugin *self, const char *reason);

typedef void (*ChPostFunc) (ChPlugin *self, gpointer data);

/**
 * ch_post:
 * @self: the plugin
 * @func: called on the main loop; not called any more once the plugin has stopped, then
 *   @free_data is
 * @data: (transfer full): for @func, which takes it
 * @free_data: (nullable): frees @data when @func is not called
 *
 * The only SDK function that any thread may call.
 */
void ch_post (ChPlugin *self, ChPostFunc func, gpointer data, GDestroyNotify free_data);

G_END_DECLS
