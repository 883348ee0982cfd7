/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests: a driver that keeps what it gets until the test completes it. */
#pragma once

#include "base/clock-private.h"
#include "base/metrics-private.h"
#include "store/store-private.h"

typedef struct {
  ChServices services;
  ChPlugin *driver_plugin;
  ChPlugin *user; /* "orders" */
  ChStoreDriver driver;
  GPtrArray *runs;    /* of ChTxRun, not completed yet */
  GPtrArray *scripts; /* of char * */
  GPtrArray *applied; /* rows of schema_migrations: "component version checksum" */
  gboolean has_table;
  guint locks;
  guint locked; /* how often, in all */
  guint open;
  const char *fail_script; /* a script that contains this fails */
  GError *fail_now;        /* run_now answers this once */
  GString *heard;          /* what record_done() was told */
} Fake;

extern const ChStatement fake_statements[];

/* Opens the store, unless @closed. */
void fake_set_up (Fake *fake, gboolean closed);
void fake_tear_down (Fake *fake);
gboolean fake_open (Fake *fake, GError **error);
/* Lets the main loop run until @fake->heard says @text. */
void fake_expect (Fake *fake, const char *text);
/* Lets the main loop run until the driver has @n runs. */
void fake_expect_runs (Fake *fake, guint n);
/* Completes the run at @index of those that wait. */
void fake_complete (Fake *fake, guint index, GError *error);

/* A ChTxDone that appends its user data, a text, and `!` and the code of an error. */
void fake_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                gpointer text);
extern Fake *fake_current;
