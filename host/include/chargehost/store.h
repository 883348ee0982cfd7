/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChStore: SQL written by hand, asynchronous, the same text on SQLite and PostgreSQL
 * wherever both allow it. A transaction is a submitted list of statements with guards,
 * never a conversation: what one statement needs from another it takes by a sub-select.
 * Parameters are named (`:order_no`) and bound by name.
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

typedef enum {
  CH_STATEMENT_FLAGS_NONE = 0,
  CH_STATEMENT_READ_ONLY = 1 << 0, /* may run on a reader or a replica */
} ChStatementFlags;

/**
 * ChStatement:
 * @name: `orders.insert`; unique within its owner; a metric label
 * @sql: text for every dialect, or %NULL when both variants are given
 * @sqlite: (nullable): variant for SQLite
 * @pgsql: (nullable): variant for PostgreSQL
 * @flags: flags
 *
 * A table ends with a %NULL name. `:name` outside of literals, comments and `::` is a
 * parameter.
 */
typedef struct {
  const char *name;
  const char *sql;
  const char *sqlite;
  const char *pgsql;
  ChStatementFlags flags;
} ChStatement;

/**
 * ChMigration:
 * @version: 1, 2, 3 …
 * @name: `orders`
 * @sqlite: script for SQLite
 * @pgsql: script for PostgreSQL
 *
 * Forward only; each runs in its own transaction. A table ends with version 0.
 */
typedef struct {
  guint version;
  const char *name;
  const char *sqlite;
  const char *pgsql;
} ChMigration;

/**
 * ch_store_register:
 * @self: the owner; its name is the component in `schema_migrations`
 * @migrations: (nullable): its migrations; applied at once when the store is open,
 *   else when it opens; of a plugin those of its descriptor
 * @statements: (nullable): its statements
 * @error: return location
 *
 * Blocks while migrations run; only called during start. Both tables live as long as
 * @self.
 *
 * Returns: whether all is applied and every statement has a text
 */
gboolean ch_store_register (ChPlugin *self, const ChMigration *migrations,
                            const ChStatement *statements, GError **error);

/* ---- a transaction -------------------------------------------------------------- */

typedef struct _ChTx ChTx;
typedef struct _ChTxResult ChTxResult;

/* Returns: (transfer full): an empty transaction of @self */
ChTx *ch_tx_new (ChPlugin *self);
void ch_tx_free (ChTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChTx, ch_tx_free)

/**
 * ch_tx_add:
 * @tx: a transaction
 * @owner: (nullable): whose statement it is; %NULL is the transaction's owner
 * @statement: a name
 *
 * Appends a statement; the following binds belong to it.
 *
 * Returns: its index in the result
 */
guint ch_tx_add (ChTx *tx, ChPlugin *owner, const char *statement);

/*
 * Binds: @name without colon; text and bytes are copied. CH_UNSET and NaN bind NULL.
 * What is not UTF-8 in a text is replaced by U+FFFD: no database would take it, and a
 * device's garbage must not cost an order. A parameter that is not bound or not known
 * makes the transaction fail with %CH_STORE_ERROR_USAGE.
 */
void ch_tx_bind_int (ChTx *tx, const char *name, gint64 value);
void ch_tx_bind_double (ChTx *tx, const char *name, double value);
void ch_tx_bind_bool (ChTx *tx, const char *name, gboolean value);
void ch_tx_bind_text (ChTx *tx, const char *name, const char *value); /* NULL → NULL */
void ch_tx_bind_blob (ChTx *tx, const char *name, const void *bytes, gsize size);
void ch_tx_bind_time (ChTx *tx, const char *name, gint64 wall_ms); /* timestamptz / ms */
void ch_tx_bind_json (ChTx *tx, const char *name, const char *json); /* jsonb / text */
void ch_tx_bind_null (ChTx *tx, const char *name);

/**
 * ch_tx_guard:
 * @min: fewest rows changed or returned by the last added statement
 * @max: most rows
 *
 * If the count does not hold, everything is rolled back and the transaction fails with
 * %CH_STORE_ERROR_GUARD; ch_tx_result_failed() tells which statement.
 */
void ch_tx_guard (ChTx *tx, guint64 min, guint64 max);

/* Appends all statements of @other (transfer full) to @tx. */
void ch_tx_append (ChTx *tx, ChTx *other);

/* Returns: whether it has no statement */
gboolean ch_tx_is_empty (ChTx *tx);

/**
 * ChTxDone:
 * @self: the owner
 * @result: results; valid during the call; on an error only ch_tx_result_failed()
 * @error: (nullable): %NULL when committed, and durable
 * @user_data: as given
 */
typedef void (*ChTxDone) (ChPlugin *self, const ChTxResult *result, const GError *error,
                          gpointer user_data);

/**
 * ch_tx_submit:
 * @tx: (transfer full): the transaction; when all its statements are read-only it runs
 *   on a reader
 * @timeout_ms: deadline from now, 0 = the store's default
 * @done: (nullable): called exactly once on the main loop, never inside this call
 * @user_data: for @done
 *
 * Order: transactions with writes of one owner are executed in the order in which they
 * are submitted. When the queue is full @done gets %CH_STORE_ERROR_BUSY. When the owner
 * has stopped, a transaction that was submitted still runs, but @done is not called.
 */
void ch_tx_submit (ChTx *tx, guint timeout_ms, ChTxDone done, gpointer user_data);

/* ---- results --------------------------------------------------------------------- */

/* Returns: rows changed (or returned) by a statement */
guint64 ch_tx_result_changes (const ChTxResult *result, guint statement);
/* Returns: rows returned by a statement */
guint ch_tx_result_rows (const ChTxResult *result, guint statement);
/* Returns: index of the statement that failed, −1 if none did */
gint ch_tx_result_failed (const ChTxResult *result);
/* Returns: column number of a name, −1 when there is none */
gint ch_tx_result_column (const ChTxResult *result, guint statement, const char *name);

/*
 * Typed reading by row and column name; a missing column is a programming error. NULL
 * reads as CH_UNSET, NaN, FALSE, %NULL. Text is owned by the result.
 */
gboolean ch_tx_result_is_null (const ChTxResult *r, guint st, guint row, const char *col);
gint64 ch_tx_result_int (const ChTxResult *r, guint st, guint row, const char *col);
double ch_tx_result_double (const ChTxResult *r, guint st, guint row, const char *col);
gboolean ch_tx_result_bool (const ChTxResult *r, guint st, guint row, const char *col);
gint64 ch_tx_result_time (const ChTxResult *r, guint st, guint row, const char *col);
const char *ch_tx_result_text (const ChTxResult *r, guint st, guint row, const char *col);
const guint8 *ch_tx_result_blob (const ChTxResult *r, guint st, guint row,
                                 const char *col, gsize *size);

/**
 * ch_store_bulk_insert:
 * @self: the owner
 * @table: table
 * @columns: NULL-terminated column names
 * @rows: (transfer full): a transaction used as a container: each ch_tx_add() with the
 *   name "row" begins a row, binds are by column
 * @done: (nullable): called once
 *
 * Inserts many rows at once, ignoring conflicts; for logs and histories.
 */
void ch_store_bulk_insert (ChPlugin *self, const char *table, const char *const *columns,
                           ChTx *rows, ChTxDone done, gpointer user_data);

/* ---- tables that grow with time ------------------------------------------------- */

typedef enum {
  CH_PARTITION_DAY,
  CH_PARTITION_MONTH,
} ChPartitionUnit;

typedef enum {
  CH_PARTITIONS_DROP,   /* what is too old is gone */
  CH_PARTITIONS_DETACH, /* it becomes a table of its own, for whoever archives it */
} ChPartitionsOld;

/**
 * ch_store_partitions:
 * @self: the owner; the table is looked after until it stops
 * @table: small letters, digits and `_`, at most 50
 * @column: time by which it is partitioned, of the same letters
 * @unit: how long a partition is, in UTC
 * @ahead: how many partitions after the present one are made beforehand, at most 366
 * @keep: whole units that rows are kept, at most 36500; 0 = for ever
 * @old: what becomes of older partitions
 *
 * Looks after the table now, or as soon as the store is open, and every hour. On
 * PostgreSQL the migration makes it with `PARTITION BY RANGE (column)`, a default
 * partition for strays and the column in its primary key; partitions are called
 * `table_p20240106` or `table_p202401`, others are left alone. One instance does it at a
 * time, none waits. Strays move when their partition is made; those that are too old are
 * deleted unless @old says to detach. On SQLite, which has no partitions, rows are
 * deleted by time, 1000 at once, whatever @old is; there @column needs an index.
 */
void ch_store_partitions (ChPlugin *self, const char *table, const char *column,
                          ChPartitionUnit unit, guint ahead, guint keep,
                          ChPartitionsOld old);

/* ---- notifications ------------------------------------------------------------------
 */

/**
 * ChStoreNotified:
 * @self: who listens
 * @channel: the channel
 * @payload: (nullable): what was said; %NULL: something may have been missed, look for
 *   what is new
 * @user_data: as given
 */
typedef void (*ChStoreNotified) (ChPlugin *self, const char *channel, const char *payload,
                                 gpointer user_data);

/**
 * ch_store_listen:
 * @self: who listens; until it stops
 * @channel: small letters, digits and `_`, at most 63
 * @func: called on the main loop for each ch_tx_notify() of a committed transaction, of
 *   any instance when the database carries them (PostgreSQL)
 * @user_data: for @func
 */
void ch_store_listen (ChPlugin *self, const char *channel, ChStoreNotified func,
                      gpointer user_data);

/**
 * ch_tx_notify:
 * @tx: a transaction
 * @channel: the channel
 * @payload: UTF-8, at most 7999 bytes
 *
 * When @tx has been committed, all that listen hear it; a transaction needs a statement
 * besides. Equal ones of one transaction may arrive once.
 */
void ch_tx_notify (ChTx *tx, const char *channel, const char *payload);

/* ---- the driver's side ------------------------------------------------------------ */

typedef enum {
  CH_VALUE_NULL = 0,
  CH_VALUE_INT,
  CH_VALUE_DOUBLE,
  CH_VALUE_BOOL,
  CH_VALUE_TEXT,
  CH_VALUE_BLOB,
  CH_VALUE_TIME, /* i: wall-clock ms */
  CH_VALUE_JSON, /* text */
} ChValueKind;

typedef struct {
  ChValueKind kind;
  guint32 size; /* TEXT, JSON, BLOB: bytes without the NUL that always follows */
  union {
    gint64 i;
    double d;
    const char *text;
    const guint8 *blob;
  };
} ChValue;

/**
 * ChPrepared:
 * @id: small number, the same for the same text as long as the store is open: index
 *   for a cache of prepared statements
 * @name: `owner.statement`, for logs and metrics
 * @sql: text in the driver's dialect with `?1…` (sqlite) or `$1…` (pgsql)
 * @n_params: how many parameters
 * @read_only: whether it only reads
 */
typedef struct {
  guint id;
  const char *name;
  const char *sql;
  guint n_params;
  gboolean read_only;
} ChPrepared;

/* One statement of a submitted transaction as the driver sees it. */
typedef struct {
  const ChPrepared *prepared;
  const ChValue *params; /* n_params of them, in the order of the placeholders */
  guint64 guard_min;
  guint64 guard_max; /* G_MAXUINT64 when there is no guard */
} ChTxStatement;

/* A submitted transaction as the driver sees it; may be used on another thread. */
typedef struct _ChTxRun ChTxRun;
guint ch_tx_run_n_statements (const ChTxRun *run);
const ChTxStatement *ch_tx_run_statement (const ChTxRun *run, guint index);
gboolean ch_tx_run_read_only (const ChTxRun *run);
gint64 ch_tx_run_deadline_us (const ChTxRun *run); /* g_get_monotonic_time() scale */
/* Transactions with writes of one lane are executed in the order of submission. */
guint ch_tx_run_lane (const ChTxRun *run);

/*
 * Filling in results, on the thread that runs it. Values are copied. ch_tx_run_begin()
 * when it begins and again when it begins anew: what was filled in is forgotten. For
 * each statement rows first, if any, then its count, which ends the statement.
 */
void ch_tx_run_begin (ChTxRun *run);
void ch_tx_run_begin_rows (ChTxRun *run, guint index, guint n_columns,
                           const char *const *names);
void ch_tx_run_add_row (ChTxRun *run, guint index, const ChValue *values);
void ch_tx_run_set_changes (ChTxRun *run, guint index, guint64 changes);

/**
 * ch_tx_run_check_guard:
 *
 * Returns: whether the count given to ch_tx_run_set_changes() holds; if not, @error is
 *   %CH_STORE_ERROR_GUARD and the transaction has to be rolled back
 */
gboolean ch_tx_run_check_guard (const ChTxRun *run, guint index, GError **error);

/**
 * ch_tx_run_complete:
 * @run: (transfer full): the transaction
 * @failed: index of the statement that failed, −1
 * @error: (nullable) (transfer full): %NULL when committed
 *
 * From any thread, exactly once.
 */
void ch_tx_run_complete (ChTxRun *run, gint failed, GError *error);

typedef struct {
  gint64 queued;
  gint64 oldest_ms;
  gint64 connections;
  gint64 idle;
  gboolean up;
  gint64 connecting; /* not among @connections */
  gint64 max;        /* connections there may be; 0: there are as many as ever */
} ChStoreStats;

/**
 * ChStoreSettings: what the section `database` says, for the driver. Grows at its end.
 * @size: sizeof (ChStoreSettings)
 * @dsn: where the database is; not empty
 * @state_dir: the daemon's directory, "." when there is none
 * @statement_timeout_ms: longest time of a statement
 * @lock_timeout_ms: longest wait for a lock
 */
typedef struct {
  guint32 size;
  const char *dsn;
  const char *state_dir;
  gint64 statement_timeout_ms;
  gint64 lock_timeout_ms;
} ChStoreSettings;

/**
 * ChStoreDriver:
 * @size: sizeof (ChStoreDriver)
 * @dialect: `sqlite` or `pgsql`
 * @open: open the database; blocks, only at start
 * @close: finish what was submitted and complete it, then close; blocks
 * @script: run a script outside of any transaction of the front, for migrations; blocks.
 *   `BEGIN`, scripts and `COMMIT` come as calls of their own between @lock and @unlock
 *   and use one connection; when a script fails, an open transaction is rolled back
 * @run_now: run a transaction, complete it and return, for migrations and the start
 * @submit: run a transaction; takes @run, completes it later, never inside the call
 * @bulk: (nullable): insert rows, ignoring conflicts; each statement of @run is a row
 *   with its values in the order of @columns, which live as long as @run; statement 0
 *   gets the count of all inserted rows. %NULL: the front makes statements of it
 * @lock: take the migration lock; blocks; @unlock gives it back
 * @stats: figures for health and metrics
 * @backup: (nullable): write a consistent copy to a new file; called on a worker thread
 *
 * @listen: (nullable): begins or ends to listen to a channel; what comes is given to
 *   ch_store_notified(). %NULL: the front delivers within the process
 *
 * Called on the main loop, except @backup. A read-only transaction may go to a reader or
 * a replica; the others of one lane keep their order. The driver keeps to the deadline
 * of a transaction, waiting included.
 */
typedef struct {
  guint32 size;
  const char *dialect;
  gboolean (*open) (ChPlugin *self, const ChStoreSettings *settings, GError **error);
  void (*close) (ChPlugin *self);
  gboolean (*script) (ChPlugin *self, const char *sql, GError **error);
  void (*run_now) (ChPlugin *self, ChTxRun *run);
  void (*submit) (ChPlugin *self, ChTxRun *run);
  void (*bulk) (ChPlugin *self, const char *table, const char *const *columns,
                ChTxRun *run);
  gboolean (*lock) (ChPlugin *self, GError **error);
  void (*unlock) (ChPlugin *self);
  void (*stats) (ChPlugin *self, ChStoreStats *stats);
  gboolean (*backup) (ChPlugin *self, const char *path, GError **error);
  void (*listen) (ChPlugin *self, const char *channel, gboolean on);
} ChStoreDriver;

/**
 * ch_store_notified:
 * @driver: the driver
 * @channel: (nullable): %NULL: all, with a @payload of %NULL
 * @payload: (nullable): %NULL: something may have been missed
 *
 * On the main loop, never inside a function of the driver's table.
 */
void ch_store_notified (ChPlugin *driver, const char *channel, const char *payload);

G_END_DECLS
