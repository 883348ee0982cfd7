/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writer: one thread, one connection. It takes all transactions that wait, runs each
 * as a savepoint and commits them together, so that one sync to the disk serves many.
 * Only then are they completed.
 */
#include "batch.h"

#include <time.h>

/* Something that a caller waits for. */
typedef struct _Job Job;
struct _Job {
  Job *next;
  const char *sql; /* a script, or */
  ChTxRun *run;    /* a transaction */
  gboolean done;
  gboolean ok;
  GError **error;
};

struct _SqWriter {
  ChPlugin *self;
  pthread_t thread;
  SqBatch batch; /* the thread's, with the connection */

  pthread_mutex_t lock; /* for the rest */
  pthread_cond_t wake;
  pthread_cond_t done;
  SqQueue queue; /* of ChTxRun */
  Job *jobs;
  gboolean held;
  gboolean stopping;
  gboolean busy;
  guint expected; /* transactions that will soon wait, as it was of late */
};

/* Longest pause for others to come. */
#define GATHER_US 2000
/* After so long without work the memory of the page cache goes back. */
#define IDLE_S 1

static gboolean has_work (const SqWriter *writer)
{
  return writer->jobs != NULL || (writer->queue.n > 0 && !writer->held);
}

/*
 * Those whose transactions were just committed often submit the next ones at once.
 * Without a pause the first of them would get a commit of its own, and the others wait
 * for it: a moment, short beside the commit, lets one commit serve all. Who comes alone
 * never waits. With @lock held.
 */
static void gather (SqWriter *writer)
{
  gint64 pause_us = MIN (writer->batch.commit_us / 4, GATHER_US);
  struct timespec until;

  if (writer->queue.n >= writer->expected || pause_us < 20)
    return;
  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_nsec += pause_us * 1000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  while (writer->queue.n < writer->expected && writer->jobs == NULL && !writer->stopping
         && !writer->held)
    if (pthread_cond_timedwait (&writer->wake, &writer->lock, &until) != 0)
      break;
}

/* Waits for a while; FALSE: nothing came. With @lock held. */
static gboolean wait_a_while (SqWriter *writer)
{
  struct timespec until;

  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_sec += IDLE_S;
  return pthread_cond_timedwait (&writer->wake, &writer->lock, &until) == 0;
}

/* Waits; FALSE when everything is done and it should end. With @lock held. */
static gboolean wait_for_work (SqWriter *writer)
{
  gboolean slim = FALSE;

  writer->busy = FALSE;
  while (!has_work (writer)) {
    if (writer->stopping)
      return FALSE;
    if (slim) {
      pthread_cond_wait (&writer->wake, &writer->lock);
    } else if (!wait_a_while (writer)) {
      sqlite3_db_release_memory (
          writer->batch.db.handle); /* the kernel still has the pages */
      slim = TRUE;
    }
  }
  if (writer->jobs == NULL)
    gather (writer);
  writer->busy = TRUE;
  return TRUE;
}

/* Takes what waits and commits it. Called and left with @lock held. */
static void do_batch (SqWriter *writer)
{
  while (sq_batch_has_room (&writer->batch) && writer->queue.n > 0)
    sq_batch_add (&writer->batch, sq_queue_pop (&writer->queue));
  guint taken = writer->batch.n;
  pthread_mutex_unlock (&writer->lock);
  sq_batch_commit (&writer->batch);
  pthread_mutex_lock (&writer->lock);
  writer->expected = MIN (taken + writer->queue.n, writer->batch.max);
}

/* Called and left with @lock held. */
static void do_job (SqWriter *writer, Job *job)
{
  pthread_mutex_unlock (&writer->lock);
  if (job->run != NULL) {
    sq_batch_add (&writer->batch, job->run);
    sq_batch_commit (&writer->batch);
    job->ok = TRUE;
  } else {
    job->ok = sq_batch_script (&writer->batch, job->sql, job->error);
  }
  pthread_mutex_lock (&writer->lock);
  job->done = TRUE;
  pthread_cond_broadcast (&writer->done);
}

static void *writer_thread (void *data)
{
  SqWriter *writer = data;

  pthread_mutex_lock (&writer->lock);
  while (wait_for_work (writer)) {
    Job *job = writer->jobs;
    if (job != NULL) {
      writer->jobs = job->next;
      do_job (writer, job);
    } else if (!writer->held) {
      do_batch (writer);
    }
  }
  pthread_mutex_unlock (&writer->lock);
  return NULL;
}

static void init_conds (SqWriter *writer)
{
  pthread_condattr_t attributes;

  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&writer->wake, &attributes);
  pthread_cond_init (&writer->done, &attributes);
  pthread_condattr_destroy (&attributes);
}

SqWriter *sq_writer_new (ChPlugin *self, const SqOptions *options, GError **error)
{
  SqWriter *writer = g_new0 (SqWriter, 1);

  writer->self = self;
  pthread_mutex_init (&writer->lock, NULL);
  init_conds (writer);
  if (sq_batch_open (&writer->batch, self, options, error)) {
    if (pthread_create (&writer->thread, NULL, writer_thread, writer) == 0)
      return writer;
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED, "no thread for writing");
    sq_batch_close (&writer->batch);
  }
  pthread_mutex_destroy (&writer->lock);
  pthread_cond_destroy (&writer->wake);
  pthread_cond_destroy (&writer->done);
  g_free (writer);
  return NULL;
}

void sq_writer_free (SqWriter *writer)
{
  pthread_mutex_lock (&writer->lock);
  writer->stopping = TRUE;
  writer->held = FALSE;
  pthread_cond_signal (&writer->wake);
  pthread_mutex_unlock (&writer->lock);
  pthread_join (writer->thread, NULL);
  sq_batch_close (&writer->batch);
  sq_queue_clear (&writer->queue);
  pthread_mutex_destroy (&writer->lock);
  pthread_cond_destroy (&writer->wake);
  pthread_cond_destroy (&writer->done);
  g_free (writer);
}

void sq_writer_submit (SqWriter *writer, ChTxRun *run)
{
  pthread_mutex_lock (&writer->lock);
  sq_queue_push (&writer->queue, run);
  if (!writer->busy && (writer->queue.n == 1 || writer->queue.n >= writer->expected))
    pthread_cond_signal (&writer->wake);
  pthread_mutex_unlock (&writer->lock);
}

static gboolean wait_for (SqWriter *writer, Job *job)
{
  pthread_mutex_lock (&writer->lock);
  Job **last = &writer->jobs;
  while (*last != NULL)
    last = &(*last)->next;
  *last = job;
  pthread_cond_signal (&writer->wake);
  while (!job->done)
    pthread_cond_wait (&writer->done, &writer->lock);
  pthread_mutex_unlock (&writer->lock);
  return job->ok;
}

gboolean sq_writer_script (SqWriter *writer, const char *sql, GError **error)
{
  Job job = {.sql = sql, .error = error};
  return wait_for (writer, &job);
}

void sq_writer_run_now (SqWriter *writer, ChTxRun *run)
{
  Job job = {.run = run};
  wait_for (writer, &job);
}

void sq_writer_hold (SqWriter *writer, gboolean hold)
{
  pthread_mutex_lock (&writer->lock);
  writer->held = hold;
  pthread_cond_signal (&writer->wake);
  pthread_mutex_unlock (&writer->lock);
}

gboolean sq_writer_is_busy (SqWriter *writer)
{
  pthread_mutex_lock (&writer->lock);
  gboolean busy = writer->busy;
  pthread_mutex_unlock (&writer->lock);
  return busy;
}

gboolean sq_writer_is_well (SqWriter *writer)
{
  return g_atomic_int_get (&writer->batch.corrupt) == 0;
}
