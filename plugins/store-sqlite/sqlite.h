/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the SQLite driver share. */
#pragma once

#include <chargehost/chargehost.h>

#include <pthread.h>
#include <sqlite3.h>

/* ---- options (options.c) --------------------------------------------------------------
 */

typedef struct {
  char *path;       /* absolute or relative to the working directory */
  char *vfs;        /* NULL: the default one */
  char *vfs_module; /* NULL */
  gint64 busy_ms;
  gint64 cache_bytes;
  gint64 mmap_bytes;
  gint64 checkpoint_pages;
  guint readers;
  guint batch_max;
  gboolean sync_full;
  enum { SQ_CHECK_OFF, SQ_CHECK_QUICK, SQ_CHECK_FULL } check;
} SqOptions;

extern const ChConfigKey sq_config[];

gboolean sq_options_read (SqOptions *options, ChPlugin *self,
                          const ChStoreSettings *settings, GError **error);
void sq_options_clear (SqOptions *options);

/* ---- errors (errors.c)
 * ----------------------------------------------------------------- */

/* Makes the store's error of what @db failed with; @what begins the message. */
void sq_set_error (GError **error, sqlite3 *db, int rc, const char *what);
/* Whether nothing else can work either: disk full, input or output, corrupt. */
gboolean sq_is_fatal (const GError *error);

/* ---- a connection (db.c, statement.c)
 * ----------------------------------------------------- */

typedef enum { SQ_WRITER, SQ_READER, SQ_COPY } SqRole;

typedef struct {
  sqlite3 *handle;
  sqlite3_stmt **statements; /* by ChPrepared.id */
  guint n_statements;
  gboolean guarded;   /* a plugin's text is being prepared */
  gint64 deadline_us; /* 0 = none */
  ChValue *row;       /* scratch */
  const char **names;
  int n_row;
} SqDb;

gboolean sq_db_open (SqDb *db, const SqOptions *options, SqRole role, GError **error);
void sq_db_close (SqDb *db);
gboolean sq_db_exec (SqDb *db, const char *sql, GError **error);
/* First column of the first row. (transfer full) */
char *sq_db_text (SqDb *db, const char *sql, GError **error);
/* Frees the prepared statements. */
void sq_db_forget (SqDb *db);

/*
 * Runs all statements and checks the guards; the caller rolls back on an error. @failed
 * gets the index of the statement, −1 when it was none.
 */
gboolean sq_db_run (SqDb *db, ChTxRun *run, gint *failed, GError **error);

/* ---- the lock file (lock.c)
 * ------------------------------------------------------------------ */

typedef struct {
  int fd;           /* −1 */
  gboolean unclean; /* the last user did not close the database */
} SqLock;

gboolean sq_lock_take (SqLock *lock, const char *database, GError **error);
/* @clean: the database was closed. */
void sq_lock_release (SqLock *lock, gboolean clean);

/* ---- threads
 * ---------------------------------------------------------------------------------- */

/* A ring of pointers. */
typedef struct {
  gpointer *items;
  guint first, n, room;
} SqQueue;
void sq_queue_push (SqQueue *queue, gpointer item);
gpointer sq_queue_pop (SqQueue *queue); /* NULL when empty */
void sq_queue_clear (SqQueue *queue);

typedef struct _SqWriter SqWriter;
typedef struct _SqReaders SqReaders;

SqWriter *sq_writer_new (ChPlugin *self, const SqOptions *options, GError **error);
/* Finishes what was submitted. */
void sq_writer_free (SqWriter *writer);
void sq_writer_submit (SqWriter *writer, ChTxRun *run);
/* On the writer's thread, while the caller waits. */
gboolean sq_writer_script (SqWriter *writer, const char *sql, GError **error);
void sq_writer_run_now (SqWriter *writer, ChTxRun *run);
/* While it is held, only scripts and run_now get through. */
void sq_writer_hold (SqWriter *writer, gboolean hold);
gboolean sq_writer_is_busy (SqWriter *writer);
/* Not after the database was found corrupt. */
gboolean sq_writer_is_well (SqWriter *writer);

SqReaders *sq_readers_new (ChPlugin *self, const SqOptions *options, GError **error);
void sq_readers_free (SqReaders *readers);
void sq_readers_submit (SqReaders *readers, ChTxRun *run);
guint sq_readers_busy (SqReaders *readers);

/* ---- copies and checks (copy.c, check.c)
 * ---------------------------------------------------------- */

gboolean sq_copy (const SqOptions *options, const char *path, GError **error);
gboolean sq_check_log (const char *path, GError **error);
gboolean sq_check (ChPlugin *self, const SqOptions *options, GError **error);
