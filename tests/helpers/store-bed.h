/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host with nothing but a store, for tests and benchmarks: loads a driver's module,
 * starts it, opens the database in a folder of its own.
 */
#pragma once

#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/log-private.h"
#include "base/metrics-private.h"
#include "net/reactor.h"
#include "store/store.h"
#include <chargehost/chargehost.h>

typedef struct {
  ChServices services;
  const ChPluginInfo *info;
  ChPlugin *driver; /* the plugin's owner, started */
  ChPlugin *user;   /* "contract" */
  char *folder;     /* removed at the end, unless kept */
  gboolean keep;
  GString *heard; /* what bed_done() was told */
  guint pending;  /* transactions of bed_submit() that are owed */
} Bed;

/*
 * @module: path of the driver; @options: NULL-terminated `key=value` of the
 * configuration, in which %f is the folder's name;
 * @folder: (nullable): an existing one, kept. The store is not opened yet.
 */
void bed_set_up (Bed *bed, const char *module, const char *const *options,
                 const char *folder);
gboolean bed_open (Bed *bed, GError **error);
void bed_tear_down (Bed *bed);
/* Removes a folder and the files in it. */
void bed_remove_folder (const char *folder);

/* Submits with bed_done(); @text outlives it. */
void bed_submit (Bed *bed, ChTx *tx, const char *text);
/* A ChTxDone: appends "text " or "text!code " to heard. */
void bed_done (ChPlugin *self, const ChTxResult *result, const GError *error,
               gpointer text);
/* Lets the main loop run until nothing of bed_submit() is owed. */
void bed_wait (Bed *bed);
/* Waits and compares what was heard, then forgets it. */
void bed_expect (Bed *bed, const char *heard);
/* Lets the main loop run until *@flag. */
void bed_wait_for (Bed *bed, const gboolean *flag);
/* Runs a read-only statement without parameters and gives the number in column `n`. */
gint64 bed_number (Bed *bed, const char *statement);
/* The value of a series, with its labels, as /metrics shows it. */
double bed_metric (Bed *bed, const char *series);
Bed *bed_of (ChPlugin *self);
