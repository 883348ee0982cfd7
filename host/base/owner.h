/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChPlugin as the host sees it: an owner of resources. Plugins have one, and so has
 * each part of the host ("core", "http", …), which registers its things the same way.
 * The life cycle (states, files, loading) is host/plugin's.
 */
#pragma once

#include "base/services.h"
#include <chargehost/plugin.h>

typedef struct _ChResource ChResource;

/**
 * ChResourceKind:
 * @name: in plural, for "3 timers": what is in the way of a stop
 * @revoke: gives the resource back; it is unlinked already
 */
typedef struct {
  const char *name;
  void (*revoke) (ChResource *resource);
} ChResourceKind;

/* First member of whatever belongs to a plugin. */
struct _ChResource {
  ChResource *prev, *next;
  ChPlugin *owner; /* NULL when unlinked */
  const ChResourceKind *kind;
};

struct _ChPlugin {
  ChServices *services;
  char *name;
  const ChPluginInfo *info; /* NULL for parts of the host */
  gpointer data;
  ChResource resources;     /* ring head */
  gboolean is_host;         /* reads configuration by whole paths, is always callable */
  gboolean callable;        /* callbacks may run */
  guint in_call;            /* depth of callbacks that run now */
  guint64 failures;         /* callbacks that failed or were slow */
  guint64 calls;
  gint64 slowest_us;
  void (*degraded) (ChPlugin *self, const char *reason, gpointer user_data);
  gpointer degraded_data;
};

/* Makes an owner that may be called. @name is copied; @info is NULL for the host. */
ChPlugin *ch_owner_new (ChServices *services, const char *name, const ChPluginInfo *info);
/* Revokes everything, newest first; then callbacks are no longer made. */
void ch_owner_revoke_all (ChPlugin *self);
/* Revokes and frees. */
void ch_owner_free (ChPlugin *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChPlugin, ch_owner_free)

void ch_owner_link (ChPlugin *self, ChResource *resource, const ChResourceKind *kind);
void ch_owner_unlink (ChResource *resource); /* idempotent */

/* Text such as "3 timers, 1 subscription", for logs. (transfer full) */
char *ch_owner_describe (ChPlugin *self);

/* ---- the runner: around every callback ------------------------------------------- */

/* One callback that runs; lives on the stack of the caller. */
typedef struct _ChRunnerFrame ChRunnerFrame;
struct _ChRunnerFrame {
  ChRunnerFrame *outer;
  ChPlugin *plugin;
  const char *what;
  gint64 started_us; /* coarse clock */
};

ChRunner *ch_runner_new (void);
void ch_runner_free (ChRunner *runner);

/**
 * ch_runner_enter:
 * @plugin: whose code is about to run
 * @what: constant name of the callback
 * @frame: (out caller-allocates): kept until ch_runner_leave()
 *
 * Returns: %FALSE when the plugin may not be called (stopping, failed): skip the call
 */
gboolean ch_runner_enter (ChPlugin *plugin, const char *what, ChRunnerFrame *frame);
/* Measures; above 50 ms a warning names the plugin and the callback. */
void ch_runner_leave (ChRunnerFrame *frame);

/* Turns "failed without an error" into one and prefixes the plugin's name. */
gboolean ch_runner_check (ChPlugin *plugin, const char *what, gboolean ok, GError **error);

/* Whose code runs now, NULL for the host's own; safe in a signal handler. */
ChPlugin *ch_runner_current (ChRunner *runner);
/* A page shared with a file that outlives a crash: holds the running plugin's name. */
void ch_runner_set_crash_page (ChRunner *runner, char *page, gsize size);
