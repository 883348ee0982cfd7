/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChPlugin as the host sees it: an owner of resources. Plugins have one, and so has
 * each part of the host ("core", "http", …), which registers its things the same way.
 * The life cycle (states, files, loading) is host/plugin's.
 */
#pragma once

#include "base/services.h"
#include <chargehost/plugin.h>
#include <string.h>
#include <time.h>

typedef struct _ChResource ChResource;
typedef struct _ChSlabs ChSlabs;

/**
 * ChResourceKind:
 * @name: in plural, for "3 timers": what is in the way of a stop
 * @revoke: gives the resource back; it is unlinked already
 */
typedef struct {
  const char *name;
  void (*revoke) (ChResource *resource);
} ChResourceKind;

#define CH_RUNNER_MARK_SIZE 48

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
  ChSlabs *slabs;       /* its records; NULL before the first */
  ChResource resources; /* ring head */
  gboolean is_host;     /* reads configuration by whole paths, is always callable */
  gboolean callable;    /* callbacks may run */
  guint in_call;        /* depth of callbacks that run now */
  guint64 failures;     /* callbacks that failed or were slow */
  guint64 calls;
  gint64 slowest_us;
  void (*degraded) (ChPlugin *self, const char *reason, gpointer user_data);
  gpointer degraded_data;
  char mark[CH_RUNNER_MARK_SIZE]; /* what the crash page holds while it runs */
  gint refs;                      /* atomic; what threads posted may outlast the owner */
  gint life; /* atomic; counts revocations: nothing posted in one life runs in the next */
};

/* Makes an owner that may be called. @name is copied; @info is NULL for the host. */
ChPlugin *ch_owner_new (ChServices *services, const char *name, const ChPluginInfo *info);
/* Revokes everything, newest first; then callbacks are no longer made. */
void ch_owner_revoke_all (ChPlugin *self);
/* Revokes and frees; the memory stays as long as somebody holds a reference. */
void ch_owner_free (ChPlugin *self);
/* Any thread. A reference keeps the memory, not the right to call. */
ChPlugin *ch_owner_ref (ChPlugin *self);
void ch_owner_unref (ChPlugin *self);
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

struct _ChRunner {
  ChRunnerFrame *top;
  char *page; /* survives a crash; NULL in tests */
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

/* A few nanoseconds and 4 ms coarse: enough to see 50 ms, cheap enough for every event.
 */
static inline gint64 ch_runner_now_us (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return (gint64) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* Of ch_runner_leave_at(): remembers the longest call, warns of slow ones. */
void ch_runner_took (ChRunnerFrame *frame, gint64 took_us);

static inline void ch_runner_mark (ChRunner *runner, const ChPlugin *plugin)
{
  if (runner->page == NULL)
    return;
  if (plugin == NULL || plugin->is_host)
    runner->page[0] = '\0';
  else
    memcpy (runner->page, plugin->mark, CH_RUNNER_MARK_SIZE);
}

/*
 * The same pair for loops that call many: @now_us is the newest known time, and
 * ch_runner_leave_at() returns a newer one, so that a chain of n calls reads the clock
 * n + 1 times.
 */
static inline gboolean ch_runner_enter_at (ChPlugin *plugin, const char *what,
                                           ChRunnerFrame *frame, gint64 now_us)
{
  ChRunner *runner = plugin->services->runner;

  if (G_UNLIKELY (!plugin->callable))
    return FALSE;
  plugin->in_call++;
  plugin->calls++;
  frame->plugin = plugin;
  frame->what = what;
  frame->started_us = now_us;
  frame->outer = NULL;
  if (G_LIKELY (runner != NULL)) {
    frame->outer = runner->top;
    runner->top = frame;
    ch_runner_mark (runner, plugin);
  }
  return TRUE;
}

static inline gint64 ch_runner_leave_at (ChRunnerFrame *frame)
{
  ChPlugin *plugin = frame->plugin;
  ChRunner *runner = plugin->services->runner;
  gint64 now_us = ch_runner_now_us ();
  gint64 took_us = now_us - frame->started_us;

  plugin->in_call--;
  if (G_LIKELY (runner != NULL)) {
    runner->top = frame->outer;
    ch_runner_mark (runner, frame->outer != NULL ? frame->outer->plugin : NULL);
  }
  if (G_UNLIKELY (took_us > 0))
    ch_runner_took (frame, took_us);
  return now_us;
}

/* Turns "failed without an error" into one and prefixes the plugin's name. */
gboolean ch_runner_check (ChPlugin *plugin, const char *what, gboolean ok,
                          GError **error);

/* Whose code runs now, NULL for the host's own; safe in a signal handler. */
ChPlugin *ch_runner_current (ChRunner *runner);
/*
 * A page shared with a file that outlives a crash: holds the running plugin's name. At
 * least %CH_RUNNER_MARK_SIZE bytes.
 */
void ch_runner_set_crash_page (ChRunner *runner, char *page, gsize size);
