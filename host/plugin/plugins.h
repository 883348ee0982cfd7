/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of plugins: files, descriptors, life cycle, interfaces (architecture 3).
 */
#pragma once

#include "base/owner.h"

typedef enum {
  CH_PLUGIN_FOUND = 0,
  CH_PLUGIN_BLOCKED = 10,
  CH_PLUGIN_LOADED = 20,
  CH_PLUGIN_STARTING = 30,
  CH_PLUGIN_RUNNING = 40,
  CH_PLUGIN_DEGRADED = 50,
  CH_PLUGIN_STOPPING = 60,
  CH_PLUGIN_STOPPED = 70,
  CH_PLUGIN_FAILED = 80,
  CH_PLUGIN_QUARANTINED = 90,
} ChPluginState;
const char *ch_plugin_state_name (ChPluginState state);

/* What anybody may know of a plugin; strings live until the registry changes. */
typedef struct {
  const char *name;
  const char *summary;
  const char *version;
  const char *license;
  const char *path;
  ChPluginState state;
  const char *reason; /* of the last change; "" */
  const char *const *provides;
  guint generation; /* how often it was started */
  guint64 calls, failures;
  gint64 slowest_us;
} ChPluginView;

/* @state_dir (nullable): where verdicts, crashes and copies of images are kept. */
ChPlugins *ch_plugins_new (ChServices *services, const char *state_dir);
void ch_plugins_free (ChPlugins *plugins); /* stops all, newest first */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChPlugins, ch_plugins_free)

/* The keys of section `plugins`. */
extern const ChConfigKey ch_plugins_config[];

/* Looks for `*.so` in a directory; reads the notes only. */
void ch_plugins_scan (ChPlugins *plugins, const char *directory);
/* The same for each directory of `plugins.path`. */
void ch_plugins_scan_configured (ChPlugins *plugins);
/* Adds one file, or a plugin that is linked into the program. */
gboolean ch_plugins_add_file (ChPlugins *plugins, const char *path, GError **error);
gboolean ch_plugins_add_builtin (ChPlugins *plugins, ChPluginQuery query, GError **error);

/* Loads (dlopen) without starting, so that its configuration keys are known. */
gboolean ch_plugins_load (ChPlugins *plugins, const char *name, GError **error);
gboolean ch_plugins_start (ChPlugins *plugins, const char *name, GError **error);
/*
 * Stops: its `stop`, then everything it registered is revoked. While one of its
 * callbacks is on the stack it becomes `stopping` and ends at the end of the turn.
 * Refused while a running plugin needs an interface that only this one offers, and for
 * the driver under services->store or services->kv.
 */
gboolean ch_plugins_stop (ChPlugins *plugins, const char *name, GError **error);
/*
 * Stop and start, by hand: also clears a quarantine. A changed file is loaded as a new
 * generation beside the old image; when it cannot be loaded or started, the old one
 * goes on and the error says why.
 */
gboolean ch_plugins_restart (ChPlugins *plugins, const char *name, GError **error);
void ch_plugins_stop_all (ChPlugins *plugins);

/*
 * The list of the configuration. Loading and starting go on after a plugin that fails;
 * it is logged, and only one that is in @required makes the result FALSE. Starting
 * follows the interfaces: who provides comes before who requires; a circle fails with a
 * chain of names. Both lists are NULL-terminated; @required may be NULL and its members
 * need not be repeated in @names.
 */
gboolean ch_plugins_load_list (ChPlugins *plugins, const char *const *names,
                               const char *const *required, GError **error);
gboolean ch_plugins_start_list (ChPlugins *plugins, const char *const *names,
                                const char *const *required, GError **error);
/*
 * Declared for each plugin with a protocol, in its section, beside its own keys;
 * ch_gateway_property_keys() by itself.
 */
void ch_plugins_set_protocol_keys (ChPlugins *plugins, const ChConfigKey *keys);
/* Sections of known plugins that are not loaded, for ch_config_resolve(). (transfer full)
 */
char **ch_plugins_unloaded (ChPlugins *plugins);
/* Images in memory. They are never unmapped: after many, a restart frees memory. */
guint ch_plugins_images (ChPlugins *plugins);
/* What waits for the end of the turn is done now. For callers without a reactor. */
void ch_plugins_settle (ChPlugins *plugins);

gboolean ch_plugins_view (ChPlugins *plugins, const char *name, ChPluginView *view);
/* Names in order of finding. (transfer container) (element-type utf8) */
GPtrArray *ch_plugins_names (ChPlugins *plugins);
/* The running owner of a plugin, NULL when it does not run. */
ChPlugin *ch_plugins_peek (ChPlugins *plugins, const char *name);
/* What it says of itself; NULL when it is not loaded. */
const ChPluginInfo *ch_plugins_info (ChPlugins *plugins, const char *name);
/* Whether an interface is offered by the host or a running plugin. */
gboolean ch_plugins_provide (ChPlugins *plugins,
                             const char *interface_name); /* host side */
gboolean ch_plugins_has (ChPlugins *plugins, const char *interface_name);
/* The running plugins with this driver: first one, or NULL. */
ChPlugin *ch_plugins_find_store (ChPlugins *plugins, const ChStoreDriver **driver);
ChPlugin *ch_plugins_find_kv (ChPlugins *plugins, const ChKvDriver **driver);

/* Heard of every change of state, after it. */
typedef void (*ChPluginsChanged) (const ChPluginView *view, ChPluginState old,
                                  gpointer data);
void ch_plugins_set_changed (ChPlugins *plugins, ChPluginsChanged changed, gpointer data);

/* Reads and checks the ABI note of a file without loading it. */
gboolean ch_plugin_note_read (const char *path, ChPluginNote *note, GError **error);
gboolean ch_plugin_note_check (const ChPluginNote *note, const char *path,
                               GError **error);
