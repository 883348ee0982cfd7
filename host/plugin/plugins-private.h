/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of host/plugin share. */
#pragma once

#include "base/config-private.h"
#include "net/reactor.h"
#include "plugin/plugins.h"
#include <chargehost/bus.h>

#include <sys/stat.h>

/* ---- state.c: the life cycle as a table ------------------------------------------- */

typedef enum {
  CH_PLUGIN_EVENT_BLOCK = 0,  /* the file was refused */
  CH_PLUGIN_EVENT_LOAD,       /* its image is in memory and its descriptor is good */
  CH_PLUGIN_EVENT_START,      /* somebody wants it to run */
  CH_PLUGIN_EVENT_STARTED,    /* `start` came back well */
  CH_PLUGIN_EVENT_FAIL,       /* `start` failed, or what it needs is missing */
  CH_PLUGIN_EVENT_DEGRADE,    /* it works only in part */
  CH_PLUGIN_EVENT_RECOVER,    /* it is well again */
  CH_PLUGIN_EVENT_STOP,       /* somebody wants it to stop */
  CH_PLUGIN_EVENT_STOPPED,    /* everything is revoked */
  CH_PLUGIN_EVENT_QUARANTINE, /* it crashed too often */
  CH_PLUGIN_EVENT_RESET,      /* a new file, or a person cleared it */
  CH_PLUGIN_EVENT_N,
} ChPluginEvent;

const char *ch_plugin_event_name (ChPluginEvent event);
/* Returns: whether @event is possible in @state; then @next is where it leads */
gboolean ch_plugin_state_step (ChPluginState state, ChPluginEvent event,
                               ChPluginState *next);

/* ---- note.c ----------------------------------------------------------------------- */

/* Smallest ChPluginInfo of ABI 1: what 1.0 had. */
#define CH_PLUGIN_INFO_SIZE_1_0                                                          \
  (G_STRUCT_OFFSET (ChPluginInfo, migrations) + sizeof (gpointer))

/* Magic, major, minor, size: one rule for the note and for the descriptor. */
gboolean ch_plugin_abi_check (guint32 magic, guint32 info_size, guint16 major,
                              guint16 minor, const char *path, GError **error);

/* ---- trust.c ---------------------------------------------------------------------- */

/* Which contents a path had: a change of any of them is another file. */
typedef struct {
  gint64 size;
  gint64 mtime_ns;
} ChPluginFile;

gboolean ch_plugin_file_stat (const char *path, ChPluginFile *file, GError **error);
/* Regular, owned by root or by us, not writable by others. */
gboolean ch_plugin_trust_stat (const char *path, const struct stat *st, uid_t us,
                               GError **error);
gboolean ch_plugin_trust_check (const char *path, GError **error);

/* ---- image.c ---------------------------------------------------------------------- */

/* Loads and finds the descriptor; the image stays for good. Also the scanner's work. */
const ChPluginInfo *ch_plugin_image_load (const char *path, const char *name,
                                          void **image, GError **error);
/* `proto-bkv` of `/…/proto-bkv.so`; NULL with an error when it is no name. */
char *ch_plugin_name_of_path (const char *path, GError **error);
gboolean ch_plugin_name_is_valid (const char *name);
/* A private copy, so that a second image of the same path is a second image. */
char *ch_plugin_image_copy (const char *path, const char *directory, const char *name,
                            guint number, GError **error);

/* Copies of earlier processes; only for the one that holds the crash page's lock. */
void ch_plugin_image_forget_copies (const char *directory);

/* ---- descriptor.c ----------------------------------------------------------------- */

/* Everything that a plugin must say; the error names all that is missing. */
gboolean ch_plugin_descriptor_check (const ChPluginInfo *info, const char *name,
                                     const char *path, GError **error);

/* ---- scanner.c -------------------------------------------------------------------- */

/* First load in a child. A missing scanner program is a warning, not a refusal. */
gboolean ch_plugin_scanner_run (const char *path, const char *name, GError **error);

/* ---- memory.c: what outlives the process ------------------------------------------ */

typedef struct _ChPluginMemory ChPluginMemory;

/* @state_dir (nullable): nothing is kept. */
ChPluginMemory *ch_plugin_memory_new (const char *state_dir);
void ch_plugin_memory_free (ChPluginMemory *memory);

/* The verdict of the scanner on these contents: NULL unknown, "" good, else a reason. */
const char *ch_plugin_memory_verdict (ChPluginMemory *memory, const char *path,
                                      const ChPluginFile *file);
void ch_plugin_memory_set_verdict (ChPluginMemory *memory, const char *path,
                                   const ChPluginFile *file, const char *verdict);

#define CH_PLUGIN_CRASHES 3
#define CH_PLUGIN_CRASH_WINDOW_MS (10 * 60 * 1000)

/* Books one crash; returns TRUE when it is one too many. */
gboolean ch_plugin_memory_crashed (ChPluginMemory *memory, const char *name,
                                   gint64 wall_ms);
gboolean ch_plugin_memory_is_quarantined (ChPluginMemory *memory, const char *name);
void ch_plugin_memory_clear (ChPluginMemory *memory, const char *name);

/* ---- page.c: who was running ------------------------------------------------------- */

typedef struct {
  char *page; /* NULL when there is none */
  char *path;
  int fd;
} ChPluginPage;

/* Maps the page of @state_dir; @guilty receives whom the last process died in. */
gboolean ch_plugin_page_open (ChPluginPage *page, const char *state_dir, char **guilty,
                              GError **error);
/* A clean end: nobody is guilty. */
void ch_plugin_page_close (ChPluginPage *page);

/* ---- the registry ----------------------------------------------------------------- */

typedef struct _ChPluginRecord ChPluginRecord;
struct _ChPluginRecord {
  ChPlugins *plugins;
  char *name;
  char *path;          /* NULL: linked into the program */
  ChPluginQuery query; /* of a linked one */
  const ChPluginInfo *info;
  ChPluginFile file; /* contents that were judged last */
  guint loads;       /* images of this plugin */
  ChPlugin *owner;   /* NULL when it does not run */
  ChPluginState state;
  char *reason;
  GError *error; /* why it is blocked or failed */
  guint generation;
  guint64 calls, failures; /* of owners that are gone */
  gint64 slowest_us;
  const ChPluginInfo *previous; /* of the older image, while the newer one is tried */
  gboolean unresolved;  /* its keys were declared after the configuration was read */
  gboolean stop_waits;  /* its callback is on the stack */
  gboolean start_waits; /* and then it starts again */
};

/* Work for the end of the turn; what the reactor hands back leads to the registry. */
typedef struct {
  ChDeferred deferred;
  ChPlugins *plugins;
} ChPluginsLater;

struct _ChPlugins {
  ChServices *services;
  ChPlugin *host; /* publishes plugin.changed */
  ChTopicHandle *changed_topic;
  char *state_dir; /* NULL: nothing is kept */
  ChPluginMemory *memory;
  ChPluginPage page;
  GPtrArray *records;     /* of ChPluginRecord, in order of finding */
  GPtrArray *running;     /* borrowed, in order of starting */
  GPtrArray *retired;     /* owners that ended, freed at the end of the turn */
  GHashTable *interfaces; /* names that the host offers */
  const ChConfigKey *protocol_keys;
  gboolean configured; /* the configuration was resolved once */
  guint images;
  ChPluginsLater later;
  ChPluginsChanged changed;
  gpointer changed_data;
};

/* plugins.c */
ChPluginRecord *ch_plugins_find (ChPlugins *plugins, const char *name, GError **error);
gboolean ch_plugins_is_up (const ChPluginRecord *record); /* running or degraded */

/* change.c */
/* As soon as there is a bus: plugins are found before that. Idempotent. */
void ch_plugins_register_topic (ChPlugins *plugins);
/* Makes the step, remembers the reason, tells everybody. FALSE: not possible. */
gboolean ch_plugins_step (ChPluginRecord *record, ChPluginEvent event,
                          const char *reason);
/* A step that keeps @problem (transfer full) as the reason and gives it to the caller. */
void ch_plugins_refuse (ChPluginRecord *record, ChPluginEvent event, GError *problem,
                        GError **error);
gboolean ch_plugins_impossible (const ChPluginRecord *record, const char *what,
                                GError **error);

/* load.c */
gboolean ch_plugins_load_record (ChPluginRecord *record, GError **error);
gboolean ch_plugins_file_changed (const ChPluginRecord *record);
/* Loads the changed file beside what runs; on success @info is new, @previous the old. */
gboolean ch_plugins_load_beside (ChPluginRecord *record, GError **error);

/* interface.c */
gboolean ch_plugins_check_requires (ChPluginRecord *record, GError **error);
/* Whether a running plugin needs what only this one offers: then it may not stop. */
gboolean ch_plugins_check_needed (ChPluginRecord *record, GError **error);

/* run.c */
gboolean ch_plugins_run (ChPluginRecord *record, GError **error);
void ch_plugins_end (ChPluginRecord *record);
void ch_plugins_defer (ChPlugins *plugins);

/* control.c */
gboolean ch_plugins_start_record (ChPluginRecord *record, GError **error);
