/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the host consists of. Made by the daemon (or a test), reached through every
 * ChPlugin, so there are no globals. Each part fills its own slot; a slot is NULL until
 * its phase of the start, and in tests that do without it.
 */
#pragma once

#include <chargehost/types.h>

typedef struct _ChClock ChClock;
typedef struct _ChConfig ChConfig;
typedef struct _ChMetrics ChMetrics;
typedef struct _ChRunner ChRunner;
typedef struct _ChReplies ChReplies;
typedef struct _ChBus ChBus;
typedef struct _ChReactor ChReactor;
typedef struct _ChGateway ChGateway;
typedef struct _ChPlugins ChPlugins;
typedef struct _ChStore ChStore;
typedef struct _ChKv ChKv;
typedef struct _ChCore ChCore;
typedef struct _ChHttp ChHttp;
typedef struct _ChDbus ChDbus;
typedef struct _ChServices ChServices;

struct _ChServices {
  ChClock *clock;
  ChConfig *config;
  ChMetrics *metrics;
  ChRunner *runner;
  ChReplies *replies;
  ChBus *bus;
  ChReactor *reactor; /* and the timer wheel in it */
  ChGateway *gateway;
  ChPlugins *plugins;
  ChStore *store;
  ChKv *kv;
  ChCore *core;
  ChHttp *http;
  ChDbus *dbus;

  char server_id[CH_SERVER_ID_SIZE];
  guint phase;       /* 1 to 9 of the start (gateway 2.14); 9 = ready */
  gboolean draining; /* no new work */
  guint overload;    /* level 0 to 3 (gateway 2.13) */

  /* Ends the process in order, as a failure; NULL in tests that do without. */
  void (*fail) (gpointer data, const char *why);
  gpointer fail_data;
};
