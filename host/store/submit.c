/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From ch_tx_submit() to the call of done: queue, deadline, order, repetition. */
#include "base/clock-private.h"
#include "store/store-private.h"

#include <string.h>

/* The driver's own answer at the deadline is better than the front's: it knows more. */
#define DEADLINE_GRACE_MS 250
/* Completions delivered before other work gets its turn. */
#define DELIVER_MAX 256
#define REPEAT_MAX 3
/* After a write found no room; longer than the time between two looks at the health. */
#define NO_ROOM_US (10 * G_USEC_PER_SEC)

#define RUN_OF(pointer, member)                                                          \
  ((ChTxRun *) ((guint8 *) (pointer) -G_STRUCT_OFFSET (ChTxRun, member)))

/* ---- lists ------------------------------------------------------------------------- */

static void list_add (ChStore *store, ChTxRun *run)
{
  run->next = NULL;
  run->prev = store->last;
  if (store->last != NULL)
    store->last->next = run;
  else
    store->first = run;
  store->last = run;
}

static void list_remove (ChStore *store, ChTxRun *run)
{
  if (run->prev != NULL)
    run->prev->next = run->next;
  else
    store->first = run->next;
  if (run->next != NULL)
    run->next->prev = run->prev;
  else
    store->last = run->prev;
}

static gboolean is_in_order (const ChTxRun *run)
{
  return run->next_write != NULL || run->prev_write != NULL
         || (run->owner != NULL && run->owner->first_write == run);
}

static void order_add (ChTxRun *run)
{
  ChStoreOwner *owner = run->owner;

  run->prev_write = owner->last_write;
  if (owner->last_write != NULL)
    owner->last_write->next_write = run;
  else
    owner->first_write = run;
  owner->last_write = run;
}

static void order_remove (ChTxRun *run)
{
  ChStoreOwner *owner = run->owner;

  if (!is_in_order (run))
    return;
  if (run->prev_write != NULL)
    run->prev_write->next_write = run->next_write;
  else
    owner->first_write = run->next_write;
  if (run->next_write != NULL)
    run->next_write->prev_write = run->prev_write;
  else
    owner->last_write = run->prev_write;
  run->next_write = run->prev_write = NULL;
}

static void discard (ChTxRun *run)
{
  list_remove (run->store, run);
  ch_tx_run_free (run);
}

/* ---- delivery ---------------------------------------------------------------------- */

/* Takes done away from the run, so that nobody calls it twice. */
static void call_done (ChTxRun *run, const ChTxResult *result, const GError *error)
{
  ChTxDone done = run->done;
  ChPlugin *plugin = run->owner->plugin;
  ChRunnerFrame frame;

  run->done = NULL;
  ch_owner_unlink (&run->resource);
  if (done == NULL || plugin == NULL)
    return;
  if (ch_runner_enter (plugin, "transaction done", &frame)) {
    done (plugin, result, error, run->user_data);
    ch_runner_leave (&frame);
  }
}

static void deliver (ChTxRun *run)
{
  order_remove (run);
  call_done (run, &run->result, run->error);
  discard (run);
}

/* Writes are delivered in the order of submission; the callbacks may end the owner. */
static void deliver_writes (ChStoreOwner *owner)
{
  ch_store_owner_ref (owner);
  while (owner->first_write != NULL && owner->first_write->finished)
    deliver (owner->first_write);
  ch_store_owner_unref (owner);
}

void ch_store_owner_orphan (ChStoreOwner *owner)
{
  owner->plugin = NULL;
}

/* The owner stops: what is submitted still runs, but nobody is told. */
static void revoke_run (ChResource *resource)
{
  ChTxRun *run = (ChTxRun *) resource;

  order_remove (run);
  run->done = NULL;
  if (run->finished)
    discard (run);
}

static const ChResourceKind run_kind = {"transactions", revoke_run};

/* ---- deadline and repetition --------------------------------------------------------
 */

static void at_deadline (ChWheelTimer *timer)
{
  ChTxRun *run = RUN_OF (timer, timer);
  ChStoreOwner *owner = ch_store_owner_ref (run->owner);
  static const ChTxResult nothing = {.failed = -1};
  g_autoptr (GError) error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_TIMEOUT,
                                          "no answer within %u ms", run->timeout_ms);

  run->abandoned = TRUE;
  order_remove (run);
  call_done (run, &nothing, error);
  deliver_writes (owner); /* those behind it */
  ch_store_owner_unref (owner);
}

static void arm (ChTxRun *run, guint64 delay_ms, void (*func) (ChWheelTimer *))
{
  ChReactor *reactor = run->store->services->reactor;

  run->timer.func = func;
  if (reactor != NULL)
    ch_wheel_arm (reactor, &run->timer, delay_ms);
}

static void disarm (ChTxRun *run)
{
  if (ch_wheel_is_armed (&run->timer))
    ch_wheel_cancel (run->store->services->reactor, &run->timer);
}

static void hand_over (ChTxRun *run)
{
  ChStore *store = run->store;
  ChRunnerFrame frame;
  gint64 left_ms = (run->deadline_us - g_get_monotonic_time ()) / 1000;

  if (store->driver == NULL
      || !ch_runner_enter (store->driver_plugin, "submit", &frame)) {
    ch_tx_run_complete (
        run, -1,
        g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "the store is closed"));
    return;
  }
  run->at_driver = TRUE;
  store->at_driver++;
  arm (run, (guint64) MAX (left_ms, 0) + DEADLINE_GRACE_MS, at_deadline);
  if (run->is_bulk && store->driver->bulk != NULL)
    store->driver->bulk (store->driver_plugin, run->table, run->bulk_columns, run);
  else
    store->driver->submit (store->driver_plugin, run);
  ch_runner_leave (&frame);
}

static void again (ChWheelTimer *timer)
{
  hand_over (RUN_OF (timer, timer));
}

/* Only failures that are certain to have left nothing behind may be repeated. */
static guint repetitions (const GError *error)
{
  if (error == NULL || error->domain != CH_STORE_ERROR)
    return 0;
  switch ((ChStoreError) error->code) {
  case CH_STORE_ERROR_SERIALIZATION:
  case CH_STORE_ERROR_DEADLOCK:
    return REPEAT_MAX;
  case CH_STORE_ERROR_LOCKED:
    return 1;
  default:
    return 0;
  }
}

static gboolean repeat (ChStore *store, ChTxRun *run)
{
  guint64 pause_ms = (guint64) g_random_int_range (20, 101);

  if (run->attempts >= repetitions (run->error) || run->abandoned || store->driver == NULL
      || store->services->reactor == NULL)
    return FALSE;
  if (g_get_monotonic_time () + (gint64) pause_ms * 1000 >= run->deadline_us)
    return FALSE;
  run->attempts++;
  if (store->retries != NULL)
    ch_series_inc (store->retries);
  g_clear_error (&run->error);
  ch_tx_run_reset (run);
  run->started_us = 0;
  arm (run, pause_ms, again);
  return TRUE;
}

/* ---- completion ----------------------------------------------------------------------
 */

/* However many statements the front made of the rows, the caller sees one count. */
static void sum_bulk (ChTxRun *run)
{
  for (guint i = 1; i < run->n; i++)
    run->result.statements[0].changes += run->result.statements[i].changes;
}

/* Without room the one finds none, and the next does not need any: it stays in mind. */
static void note_write (ChStore *store, const ChTxRun *run)
{
  gint64 now_us = ch_clock_monotonic_us (store->services->clock);

  if (g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_DISK_FULL)
      || g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT))
    store->no_room_us = now_us + NO_ROOM_US;
  else if (now_us < store->no_room_us)
    return;
  if (run->error != NULL
      && !g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_DISK_FULL)
      && !g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_CORRUPT)
      && !g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE))
    return;
  g_clear_pointer (&store->write_failure, g_free);
  if (run->error != NULL)
    store->write_failure = g_strdup (run->error->message);
}

const char *ch_store_write_failure (ChStore *store)
{
  return store->write_failure;
}

static void finish (ChStore *store, ChTxRun *run)
{
  disarm (run);
  if (run->at_driver) {
    run->at_driver = FALSE;
    store->at_driver--;
  }
  if (g_error_matches (run->error, CH_STORE_ERROR, CH_STORE_ERROR_DEADLOCK)
      && store->deadlocks != NULL)
    ch_series_inc (store->deadlocks);
  if (run->error != NULL && repeat (store, run))
    return;
  ch_store_note (store, run);
  if (!ch_tx_run_read_only (run))
    note_write (store, run);
  if (run->is_bulk && run->table == NULL)
    sum_bulk (run);
  run->finished = TRUE;
  if (run->error == NULL)
    ch_store_deliver_notes (run);
  if (run->abandoned || run->done == NULL) {
    ChStoreOwner *owner = ch_store_owner_ref (run->owner);
    order_remove (run);
    ch_owner_unlink (&run->resource);
    discard (run);
    deliver_writes (owner);
    ch_store_owner_unref (owner);
  } else if (is_in_order (run)) {
    deliver_writes (run->owner);
  } else {
    deliver (run);
  }
}

static void take_completed (ChStore *store)
{
  pthread_mutex_lock (&store->lock);
  if (store->completed != NULL) {
    if (store->ready == NULL)
      store->ready = store->completed;
    else
      store->ready_last->next_completed = store->completed;
    store->ready_last = store->completed_last;
    store->completed = store->completed_last = NULL;
  }
  store->posted = FALSE;
  pthread_mutex_unlock (&store->lock);
}

static ChTxRun *pop_ready (ChStore *store)
{
  ChTxRun *run = store->ready;
  if (run != NULL)
    store->ready = run->next_completed;
  return run;
}

void ch_store_drain (ChPlugin *self, gpointer data)
{
  ChStore *store = data;
  ChTxRun *run;
  guint n = 0;

  take_completed (store);
  while (n++ < DELIVER_MAX && (run = pop_ready (store)) != NULL)
    finish (store, run);
  if (store->ready == NULL)
    return;
  pthread_mutex_lock (&store->lock);
  gboolean wake = !store->posted;
  store->posted = TRUE;
  pthread_mutex_unlock (&store->lock);
  if (wake)
    ch_post (store->self, ch_store_drain, store, NULL);
}

/* What callbacks submit meanwhile is not waited for: they might never stop. */
gboolean ch_store_drain_all (ChStore *store)
{
  ChTxRun *run;
  gboolean any = FALSE;

  take_completed (store);
  for (; (run = pop_ready (store)) != NULL; any = TRUE)
    finish (store, run);
  return any;
}

void ch_store_fail_waiting (ChStore *store)
{
  for (ChTxRun *run = store->first; run != NULL; run = run->next) {
    if (!run->at_driver && ch_wheel_is_armed (&run->timer)) {
      disarm (run);
      hand_over (run); /* there is no driver any more */
    }
  }
}

void ch_store_discard_all (ChStore *store)
{
  while (store->first != NULL) {
    ChTxRun *run = store->first;
    disarm (run);
    order_remove (run);
    ch_owner_unlink (&run->resource);
    discard (run);
  }
}

/* ---- submission -----------------------------------------------------------------------
 */

static gboolean admit (ChStore *store, ChTxRun *run, GError **error)
{
  if (store->driver == NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                 "the store is not open");
    return FALSE;
  }
  if (store->at_driver >= store->keys.queue_max) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_BUSY,
                 "%u transactions are waiting", store->at_driver);
    return FALSE;
  }
  return TRUE;
}

void ch_store_prepare_run (ChTxRun *run, guint timeout_ms)
{
  ChStore *store = run->store;
  gsize size = run->n * sizeof (ChTxRows);

  run->timeout_ms
      = timeout_ms != 0 ? timeout_ms : (guint) store->keys.statement_timeout_ms;
  run->submitted_us = g_get_monotonic_time ();
  run->deadline_us = run->submitted_us + (gint64) run->timeout_ms * 1000;
  run->result_max = store->keys.result_max;
  run->lane = run->owner->lane;
  run->result.run = run;
  run->result.n = run->n;
  run->result.statements = ch_arena_alloc (&run->args, size);
  if (size > 0)
    memset (run->result.statements, 0, size);
}

void ch_store_enlist (ChTxRun *run, ChTxDone done, gpointer user_data)
{
  run->done = done;
  run->user_data = user_data;
  list_add (run->store, run);
  if (run->writes)
    order_add (run);
  if (done != NULL)
    ch_owner_link (run->owner->plugin, &run->resource, &run_kind);
}

/* Hands a run to the driver or completes it at once. */
static void submit_run (ChTxRun *run, guint timeout_ms, ChTxDone done, gpointer user_data)
{
  ChStore *store = run->store;
  GError *error = NULL;

  ch_store_prepare_run (run, timeout_ms);
  ch_store_enlist (run, done, user_data);
  if (!ch_tx_run_check_complete (run, &error) || run->n == 0
      || !admit (store, run, &error))
    ch_tx_run_complete (run, -1, error);
  else
    hand_over (run);
}

/* ---- without a store
 * ------------------------------------------------------------------- */

typedef struct {
  ChTxDone done;
  gpointer user_data;
} Refused;

static void refuse (ChPlugin *self, gpointer data)
{
  g_autofree Refused *refused = data;
  static const ChTxResult nothing = {.failed = -1};
  g_autoptr (GError) error
      = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "there is no store");

  refused->done (self, &nothing, error, refused->user_data);
}

void ch_tx_submit (ChTx *tx, guint timeout_ms, ChTxDone done, gpointer user_data)
{
  ChTxRun *run = &tx->run;

  if (run->store != NULL && run->owner->plugin != NULL) {
    submit_run (run, timeout_ms, done, user_data);
    return;
  }
  if (run->store == NULL && done != NULL) {
    Refused *refused = g_new (Refused, 1);
    refused->done = done;
    refused->user_data = user_data;
    ch_post (run->plugin, refuse, refused, g_free);
  }
  ch_tx_run_free (run);
}
