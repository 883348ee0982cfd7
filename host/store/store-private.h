/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the store share. */
#pragma once

#include "net/reactor.h"
#include "store/arena.h"
#include "store/store.h"
#include <chargehost/error.h>
#include <chargehost/log.h>
#include <chargehost/metrics.h>

#include <pthread.h>

/* Name of the pseudo statement of rows of ch_store_bulk_insert(). */
#define CH_STORE_ROW "row"
/* Largest text or blob of one parameter. */
#define CH_STORE_VALUE_MAX (64u * 1024 * 1024)

/* ---- statements ------------------------------------------------------------------ */

/* Lives as long as the store: a run may use it after its owner has stopped. */
typedef struct {
  ChPrepared prepared; /* first */
  const char **params; /* names by number */
  char *name;          /* of prepared */
  char *sql;
  ChSeries *seconds;
} ChStoreStatement;

/* Whoever uses the store. */
typedef struct _ChStoreOwner ChStoreOwner;
struct _ChStoreOwner {
  ChResource resource;
  ChStore *store;
  ChPlugin *plugin; /* NULL once it stopped */
  guint refs;
  guint lane;
  GHashTable *statements; /* name → ChStoreStatement */
  GPtrArray *tables;      /* of const ChStatement *: first of each table */
  const ChMigration *migrations;
  guint version;        /* newest that is applied */
  ChTxRun *first_write; /* in order of submission, until done was called */
  ChTxRun *last_write;
};

/* Makes the owner's entry at its first use. */
ChStoreOwner *ch_store_owner (ChStore *store, ChPlugin *plugin);
ChStoreOwner *ch_store_owner_ref (ChStoreOwner *owner);
void ch_store_owner_unref (ChStoreOwner *owner);
/* NULL when there is none. */
ChStoreStatement *ch_store_find_statement (ChStoreOwner *owner, const char *name);
/* Finds or makes the statement of a text in the driver's dialect. */
ChStoreStatement *ch_store_intern (ChStore *store, const char *name, const char *sql,
                                   gboolean read_only, GError **error);
/* Translates all tables of an owner for the driver that is open. */
gboolean ch_store_translate_owner (ChStoreOwner *owner, GError **error);
void ch_store_statements_init (ChStore *store);
void ch_store_statements_clear (ChStore *store);

/* ---- transactions ---------------------------------------------------------------- */

typedef struct {
  guint n_columns;
  guint n_rows;
  guint room;
  guint guess; /* column that is asked for next, probably */
  const char **names;
  ChValue **rows;
  guint64 changes;
  gint64 ended_us;
} ChTxRows;

struct _ChTxResult {
  ChTxRun *run; /* NULL: nothing to read */
  ChTxRows *statements;
  guint n;
  gint failed;
};

/* Rows of a bulk insert while they are collected. */
typedef struct {
  const char **names; /* by first appearance */
  guint n;
  guint next;
} ChTxColumns;

/* What is to be said when it is committed, by the front. */
typedef struct _ChTxNote ChTxNote;
struct _ChTxNote {
  ChTxNote *next;
  const char *channel;
  const char *payload;
};

/* A transaction from the first statement to the end of its completion. */
struct _ChTxRun {
  ChResource resource; /* of the owner, while done is owed */
  ChPlugin *plugin;    /* only to be used before it is submitted */
  ChStore *store;
  ChStoreOwner *owner; /* a reference */
  ChTxRun *swallowed;  /* appended transactions, whose memory is in use */

  /* building */
  ChArena args;
  ChTxStatement *statements;
  ChValue *params; /* of the last statement, NULL when there is none to bind to */
  guint n;
  guint room;
  guint next_param;
  guint unbound;
  gboolean writes;
  gboolean is_rows;
  ChTxColumns columns;
  ChTxNote *notes, *last_note;
  GError *error; /* first mistake; later the outcome */

  /* running: the driver's thread */
  ChArena rows;
  ChTxResult result;
  gint64 started_us;
  gint64 ended_us;
  gboolean too_large;
  gint64 result_max;
  guint lane;

  /* running: the main loop */
  ChTxDone done;
  gpointer user_data;
  gint64 submitted_us;
  gint64 deadline_us;
  guint timeout_ms;
  guint attempts;
  gboolean at_driver;
  gboolean finished;  /* completed, perhaps waiting for an earlier one */
  gboolean abandoned; /* done was called at the deadline */
  gboolean is_sync;   /* ch_store_run_now() waits for it */
  gboolean is_bulk;
  const char *table;
  const char **bulk_columns;
  ChWheelTimer timer;               /* deadline, or pause before a repetition */
  ChTxRun *next, *prev;             /* all that are submitted */
  ChTxRun *next_write, *prev_write; /* of the owner */
  ChTxRun *next_completed;
};

struct _ChTx {
  ChTxRun run;
};

void ch_tx_run_free (ChTxRun *run);
/* Remembers the first mistake. */
void ch_tx_run_fail (ChTxRun *run, GError *error);
/* Forgets results, for a repetition. */
void ch_tx_run_reset (ChTxRun *run);
/* Appends a statement whose parameters are filled in by the caller. */
ChValue *ch_tx_run_append (ChTxRun *run, const ChPrepared *prepared);
/* Checks that nothing is missing. */
gboolean ch_tx_run_check_complete (ChTxRun *run, GError **error);
/* Whether it may stand for a table or a column. */
gboolean ch_store_is_identifier (const char *name);

/* ---- the store ------------------------------------------------------------------- */

typedef struct {
  gint64 statement_timeout_ms;
  gint64 lock_timeout_ms;
  gint64 slow_statement_ms;
  gint64 result_max;
  gint64 queue_max;
  int log_level; /* −1 silent */
  gboolean auto_migrate;
} ChStoreKeys;

struct _ChStore {
  ChServices *services;
  ChPlugin *self; /* "store": owner of what the front registers */
  ChStoreKeys keys;
  char *dsn;         /* NULL: as configured */
  gboolean migrates; /* when the configuration does not say */
  char *not_empty;   /* why it must not be; NULL: it may */

  ChPlugin *driver_plugin; /* NULL: not open */
  const ChStoreDriver *driver;
  ChResource driver_use; /* tells when the driver's plugin stops */

  GHashTable *owners; /* ChPlugin → ChStoreOwner */
  GPtrArray *listeners;
  GPtrArray *partitions; /* tables that are looked after */
  guint next_partitions;
  GPtrArray *in_order;    /* of ChStoreOwner with migrations */
  GPtrArray *applied;     /* what the database had at the last look; of migrate.c */
  GHashTable *statements; /* "name\ntext" → ChStoreStatement */
  GHashTable *texts;      /* text → number */
  guint next_lane;

  ChTxRun *first, *last; /* submitted, oldest first */
  guint at_driver;
  ChTxRun *ready, *ready_last; /* taken from completed; main loop only */

  pthread_mutex_t lock; /* for the rest */
  ChTxRun *completed, *completed_last;
  gboolean posted;

  char *write_failure; /* why the newest write was not taken; NULL: it was */
  gint64 no_room_us;   /* until then others that are taken do not count */
  gint backing_up;     /* atomic */
  gboolean has_backup_thread;
  pthread_t backup_thread;
  gint64 slow_logged_us;
  guint64 slow_unlogged;

  ChMetric *query_seconds;
  ChSeries *wait_seconds;
  ChSeries *idle, *busy, *connecting;
  ChSeries *pending, *oldest;
  ChSeries *retries, *deadlocks;
};

/* Delivers what is completed, a bounded number at a time. */
void ch_store_drain (ChPlugin *self, gpointer store);
/* Delivers everything that is completed; for close. Returns: whether there was anything
 */
gboolean ch_store_drain_all (ChStore *store);
/* The store is closed: what pauses before a repetition fails. */
void ch_store_fail_waiting (ChStore *store);
/* Drops all without telling; for the end. */
void ch_store_discard_all (ChStore *store);
/* Deadline and room for results of a run that is about to be submitted. */
void ch_store_prepare_run (ChTxRun *run, guint timeout_ms);
/* From now on done is owed. */
void ch_store_enlist (ChTxRun *run, ChTxDone done, gpointer user_data);
void ch_store_join_backup (ChStore *store);
void ch_store_partitions_all (ChStore *store);
void ch_store_partitions_clear (ChStore *store);
void ch_store_listen_all (ChStore *store);
void ch_store_listeners_clear (ChStore *store);
void ch_store_deliver_notes (ChTxRun *run);
void ch_store_read_keys (ChStore *store);
void ch_store_add_metrics (ChStore *store);
/* Counts, observes and logs a finished transaction. */
void ch_store_note (ChStore *store, ChTxRun *run);
/* Registered migrations of one owner, or the check that none is missing. */
gboolean ch_store_migrate (ChStore *store, ChStoreOwner *owner, GError **error);
gboolean ch_store_migrate_all (ChStore *store, GError **error);
void ch_store_forget_applied (ChStore *store);
/* The owner stops. */
void ch_store_owner_orphan (ChStoreOwner *owner);
