/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store's front: statements, migrations, transactions, deadlines, bounded queue. */
#pragma once

#include "base/owner.h"
#include <chargehost/store.h>

ChStore *ch_store_new (ChServices *services);
void ch_store_free (ChStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChStore, ch_store_free)

/* The keys of section `database`. */
extern const ChConfigKey ch_store_config[];

/* Where to open it, instead of where the configuration says; before ch_store_open(). */
void ch_store_set_dsn (ChStore *store, const char *dsn);
/* @reason: why an empty database is refused; before ch_store_open(). */
void ch_store_expect_tables (ChStore *store, const char *reason);
/* What database.dsn names when it is not given. */
#define CH_STORE_DEFAULT_DSN "chargehost.db"
/* What database.auto_migrate is when it is not given; TRUE at first. */
void ch_store_set_auto_migrate (ChStore *store, gboolean migrates);
/* Opens the driver and applies all registered migrations (or checks, by configuration).
 */
gboolean ch_store_open (ChStore *store, ChPlugin *driver_plugin,
                        const ChStoreDriver *driver, GError **error);
/* Finishes what is submitted, then closes the driver. */
void ch_store_close (ChStore *store);
gboolean ch_store_is_up (ChStore *store);
const char *ch_store_driver_name (ChStore *store); /* NULL when none is open */
/* Why the newest write was not taken when the disk, not its text, was the cause. */
const char *ch_store_write_failure (ChStore *store);
void ch_store_stats (ChStore *store, ChStoreStats *stats);
/* "core 3, http 1": newest version per component. (transfer full) */
char *ch_store_versions (ChStore *store);
/* A table has been copied. */
typedef void (*ChStoreCopyNote) (const char *table, guint64 rows, gpointer data);
/*
 * Copies all rows of @from into @to, which are open, are of different kinds and have the
 * same migrations; compares what it has written with what it has read. All or nothing.
 * @replace: delete what is in @to, instead of refusing when there is anything. Blocks.
 */
gboolean ch_store_copy (ChStore *from, ChStore *to, gboolean replace,
                        ChStoreCopyNote note, gpointer data, GError **error);
/* The prepared text of a statement, for tests with EXPLAIN. */
const ChPrepared *ch_store_prepared (ChStore *store, ChPlugin *owner,
                                     const char *statement);
void ch_store_foreach_prepared (ChStore *store,
                                void (*func) (const ChPrepared *p, gpointer data),
                                gpointer data);

/* Runs a transaction of @self and waits; only during start and in tests. */
gboolean ch_store_run_now (ChPlugin *self, ChTx *tx, ChTxDone done, gpointer user_data,
                           GError **error);
/* Writes a consistent copy of the database, on a worker thread. */
void ch_store_backup (ChPlugin *self, const char *path, ChTxDone done,
                      gpointer user_data);

/* `:name` → `?1` or `$1`; NULL with an error. For tests. */
char *ch_store_translate (const char *sql, const char *dialect, GPtrArray *names,
                          GError **error);
