/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host without the daemon: clock, configuration, metrics, bus, reactor, gateway and the
 * registry of plugins over a state directory of its own.
 */
#pragma once

#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/log-private.h"
#include "base/metrics-private.h"
#include "base/reply.h"
#include "bus/bus.h"
#include "net/gateway.h"
#include "plugin/plugins.h"
#include "poke.h"

typedef struct {
  ChServices services;
  GMainContext *context;
  char *state_dir; /* made by the setup unless it is set */
  ChPlugins *plugins;
  ChPlugin *tester; /* publishes test.poked */
  ChTopicHandle *poked;
  GString *changes; /* "name:old>new " */
  HeardEvent heard; /* the newest answer */
  guint answers;
  GString *log;
} Harness;

void harness_setup (Harness *harness, gconstpointer data);
void harness_teardown (Harness *harness, gconstpointer data);
/* The registry ends and begins again over the same state, as after a new start. */
void harness_restart (Harness *harness);
/* One more turn of the main loop than there is work for. */
void harness_turn (Harness *harness);
void harness_advance (Harness *harness, gint64 ms);
void harness_poke (Harness *harness, gint number);
/* Path of a test plugin in the build tree. */
char *harness_path (const char *name);
void harness_add (Harness *harness, const char *name);
void harness_assert_state (Harness *harness, const char *name, ChPluginState state,
                           const char *reason_part);
