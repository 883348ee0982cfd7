/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The front's own structures: kv.c, kv-command.c, kv-deliver.c, kv-subscribe.c share
 * them. */
#pragma once

#include "kv/kv-keys.h"
#include "kv/kv.h"
#include "net/reactor.h"
#include <chargehost/error.h>
#include <chargehost/metrics.h>

typedef struct _ChKvCaller ChKvCaller;
typedef struct _ChKvMessageItem ChKvMessageItem;

/* A command in flight; arguments follow in the same allocation. */
struct _ChKvRun {
  ChKvRun *prev, *next; /* in a list of its caller */
  ChKv *kv;
  ChKvCaller *caller; /* NULL once the answer was given or its owner stopped */
  ChKvDone done;
  gpointer user_data;
  ChKvReply *reply;
  GError *error;
  ChWheelTimer deadline;
  gint64 started_us;
  gint64 deadline_us;          /* monotonic; G_MAXINT64: none */
  guint64 turn;                /* in which it was completed */
  const ChKvCommandInfo *info; /* NULL for a command that the table does not know */
  gboolean in_driver;          /* the driver will complete it */
  gboolean completed;          /* the answer is there, perhaps a time-out */
  gboolean blocking;           /* answered on its own, out of the caller's order */
  gboolean slotted;            /* its keys share one slot of a cluster */
  gsize argc;
  char **argv;
  gsize *sizes;
};

typedef struct {
  ChKvRun *head, *tail;
} ChKvRunList;

/* Everything that one plugin has in flight. */
struct _ChKvCaller {
  ChResource resource;
  ChKv *kv;
  ChPlugin *plugin;
  ChKvRunList ordered;    /* answered first in, first out */
  ChKvRunList blocking;   /* BLMOVE and the like, not answered yet */
  ChKvRunList finished;   /* those of them whose answer is there */
  ChKvCaller *next_ready; /* in the list of those who can be answered */
  gint64 timeout_us;      /* 0: kv.timeout */
  gboolean slotted;       /* the keys of each command share one slot */
  guint in_use;           /* being delivered to */
  gboolean is_ready;
  gboolean is_dead;
};

/* A library that is loaded again into every driver and after every reconnect. */
typedef struct {
  ChResource resource;
  ChKv *kv;
  char *name;
  char *lua;
} ChKvLibrary;

struct _ChKv {
  ChServices *services;
  ChPlugin *owner;
  ChPlugin *driver_plugin;
  const ChKvDriver *driver;
  gboolean up;
  void (*back) (gpointer data);
  gpointer back_data;
  char *prefix;
  gsize prefix_size;
  char *pattern_prefix; /* the same with its glob characters escaped */
  gsize queue_max;
  gint64 timeout_us;
  ChKvCommandIndex commands;

  gsize pending;
  guint64 turn;
  GHashTable *callers; /* ChPlugin → ChKvCaller */
  ChKvCaller *last_caller;
  ChKvCaller *ready_head, *ready_tail;
  guint n_ready;
  ChKvRun *submitted; /* the driver has it just now */
  ChDeferred deferred;

  GPtrArray *libraries; /* ChKvLibrary, in order of registration */

  GHashTable *channels; /* prefixed name → ChKvChannel */
  GHashTable *patterns;
  GArray *slots; /* of subscriptions */
  GArray *free_slots;
  ChKvMessageItem *message_head, *message_tail;
  gsize n_messages;

  ChMetric *up_metric;
  ChSeries *memory_series;
  ChSeries *pending_series;
  ChSeries *dropped_series;
  ChMetric *seconds;
  ChSeries **seconds_by_command; /* by number in the table; the last is `other` */
};

/* kv-metrics.c */
void ch_kv_metrics_init (ChKv *kv);
void ch_kv_metrics_clear (ChKv *kv);
void ch_kv_metrics_up (ChKv *kv);
void ch_kv_metrics_dropped (ChKv *kv);
void ch_kv_observe (ChKvRun *run);

/* kv-deliver.c */
ChKvCaller *ch_kv_caller (ChKv *kv, ChPlugin *plugin);
void ch_kv_caller_push (ChKvCaller *caller, ChKvRun *run);
/* Gives an answer that the front itself has. */
void ch_kv_run_fail (ChKvRun *run, ChKvError code, const char *message);
void ch_kv_run_arm (ChKvRun *run);
void ch_kv_deliver_init (ChKv *kv);
void ch_kv_deliver_clear (ChKv *kv);

/* kv-subscribe.c */
void ch_kv_subscribe_init (ChKv *kv);
void ch_kv_subscribe_clear (ChKv *kv);
/* Tells the driver all channels again. */
void ch_kv_subscribe_all (ChKv *kv);
/* Hands out the messages that came before this turn. Returns: whether some are left */
gboolean ch_kv_subscribe_dispatch (ChKv *kv);
