/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The readers: a few threads, each with a connection that cannot write. */
#include "sqlite.h"

typedef struct {
  SqReaders *readers;
  pthread_t thread;
  SqDb db;
} Reader;

struct _SqReaders {
  Reader *all;
  guint n;
  pthread_mutex_t lock; /* for the rest */
  pthread_cond_t wake;
  SqQueue queue; /* of ChTxRun */
  gboolean stopping;
  guint busy;
};

/* Several statements see one state of the database. */
static void run_one (SqDb *db, ChTxRun *run)
{
  gboolean several = ch_tx_run_n_statements (run) > 1;
  GError *error = NULL;
  gint failed = -1;

  if (g_get_monotonic_time () > ch_tx_run_deadline_us (run)) {
    error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                         "not begun before its deadline");
  } else if (!several || sq_db_exec (db, "BEGIN", &error)) {
    sq_db_run (db, run, &failed, &error);
    if (several && !sqlite3_get_autocommit (db->handle))
      sq_db_exec (db, "ROLLBACK", NULL);
  }
  ch_tx_run_complete (run, failed, error);
}

static void *reader_thread (void *data)
{
  Reader *reader = data;
  SqReaders *readers = reader->readers;

  pthread_mutex_lock (&readers->lock);
  for (;;) {
    ChTxRun *run = sq_queue_pop (&readers->queue);
    if (run != NULL) {
      readers->busy++;
      pthread_mutex_unlock (&readers->lock);
      run_one (&reader->db, run);
      pthread_mutex_lock (&readers->lock);
      readers->busy--;
    } else if (readers->stopping) {
      break;
    } else {
      pthread_cond_wait (&readers->wake, &readers->lock);
    }
  }
  pthread_mutex_unlock (&readers->lock);
  return NULL;
}

static gboolean start_reader (Reader *reader, const SqOptions *options, GError **error)
{
  if (!sq_db_open (&reader->db, options, SQ_READER, error))
    return FALSE;
  if (pthread_create (&reader->thread, NULL, reader_thread, reader) == 0)
    return TRUE;
  sq_db_close (&reader->db);
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED, "no thread for reading");
  return FALSE;
}

SqReaders *sq_readers_new (ChPlugin *self, const SqOptions *options, GError **error)
{
  SqReaders *readers = g_new0 (SqReaders, 1);

  readers->all = g_new0 (Reader, options->readers);
  pthread_mutex_init (&readers->lock, NULL);
  pthread_cond_init (&readers->wake, NULL);
  for (guint i = 0; i < options->readers; i++) {
    readers->all[i].readers = readers;
    if (!start_reader (&readers->all[i], options, error)) {
      sq_readers_free (readers);
      return NULL;
    }
    readers->n++;
  }
  return readers;
}

void sq_readers_free (SqReaders *readers)
{
  pthread_mutex_lock (&readers->lock);
  readers->stopping = TRUE;
  pthread_cond_broadcast (&readers->wake);
  pthread_mutex_unlock (&readers->lock);
  for (guint i = 0; i < readers->n; i++) {
    pthread_join (readers->all[i].thread, NULL);
    sq_db_close (&readers->all[i].db);
  }
  sq_queue_clear (&readers->queue);
  pthread_mutex_destroy (&readers->lock);
  pthread_cond_destroy (&readers->wake);
  g_free (readers->all);
  g_free (readers);
}

void sq_readers_submit (SqReaders *readers, ChTxRun *run)
{
  pthread_mutex_lock (&readers->lock);
  sq_queue_push (&readers->queue, run);
  pthread_cond_signal (&readers->wake);
  pthread_mutex_unlock (&readers->lock);
}

guint sq_readers_busy (SqReaders *readers)
{
  pthread_mutex_lock (&readers->lock);
  guint busy = readers->busy;
  pthread_mutex_unlock (&readers->lock);
  return busy;
}
