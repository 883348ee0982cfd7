/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits: transactions of the start; and the backup on a thread of its own. */
#include "store/store-private.h"

static gboolean run_once (ChStore *store, ChTxRun *run, GError **error)
{
  ChRunnerFrame frame;

  run->finished = FALSE;
  if (!ch_runner_enter (store->driver_plugin, "run_now", &frame)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                 "the driver does not run");
    return FALSE;
  }
  store->driver->run_now (store->driver_plugin, run);
  ch_runner_leave (&frame);
  pthread_mutex_lock (&store->lock); /* it may have been completed by another thread */
  gboolean finished = run->finished;
  pthread_mutex_unlock (&store->lock);
  if (!finished) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED,
                 "%s returned without an answer", store->driver_plugin->name);
    return FALSE;
  }
  if (run->error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&run->error));
  return FALSE;
}

gboolean ch_store_run_now (ChPlugin *self, ChTx *tx, ChTxDone done, gpointer user_data,
                           GError **error)
{
  ChTxRun *run = &tx->run;
  ChStore *store = run->store;
  g_autoptr (GError) failure = NULL;
  ChRunnerFrame frame;
  gboolean ok = FALSE;

  if (store == NULL || store->driver == NULL) {
    g_set_error (&failure, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                 "the store is not open");
  } else {
    ch_store_prepare_run (run, 0);
    run->is_sync = TRUE;
    ok = ch_tx_run_check_complete (run, &failure);
    if (ok && run->n > 0)
      ok = run_once (store, run, &failure);
    if (ok)
      ch_store_note (store, run);
  }
  if (done != NULL && ch_runner_enter (self, "transaction done", &frame)) {
    done (self, &run->result, failure, user_data);
    ch_runner_leave (&frame);
  }
  ch_tx_free (tx);
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&failure));
  return ok;
}

/* ---- backup
 * ---------------------------------------------------------------------------- */

typedef struct {
  ChStore *store;
  ChTxRun *run;
  const ChStoreDriver *driver;
  ChPlugin *driver_plugin;
  char *path;
} Backup;

static void *backup_thread (void *data)
{
  Backup *backup = data;
  GError *error = NULL;

  if (!backup->driver->backup (backup->driver_plugin, backup->path, &error)
      && error == NULL)
    error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_FAILED,
                         "the backup failed without saying why");
  g_atomic_int_set (&backup->store->backing_up, FALSE);
  ch_tx_run_complete (backup->run, -1, error);
  g_free (backup->path);
  g_free (backup);
  return NULL;
}

void ch_store_join_backup (ChStore *store)
{
  if (!store->has_backup_thread)
    return;
  pthread_join (store->backup_thread, NULL);
  store->has_backup_thread = FALSE;
}

static gboolean start_backup (ChStore *store, ChTxRun *run, const char *path,
                              GError **error)
{
  if (store->driver == NULL || store->driver->backup == NULL) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                 store->driver == NULL ? "the store is not open"
                                       : "this database has a backup program of its own");
    return FALSE;
  }
  if (g_atomic_int_get (&store->backing_up)) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_BUSY, "a backup is being made");
    return FALSE;
  }
  ch_store_join_backup (store);
  Backup *backup = g_new0 (Backup, 1);
  backup->store = store;
  backup->run = run;
  backup->driver = store->driver;
  backup->driver_plugin = store->driver_plugin;
  backup->path = g_strdup (path);
  g_atomic_int_set (&store->backing_up, TRUE);
  if (pthread_create (&store->backup_thread, NULL, backup_thread, backup) != 0) {
    g_atomic_int_set (&store->backing_up, FALSE);
    g_free (backup->path);
    g_free (backup);
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED,
                 "no thread for the backup");
    return FALSE;
  }
  store->has_backup_thread = TRUE;
  return TRUE;
}

void ch_store_backup (ChPlugin *self, const char *path, ChTxDone done, gpointer user_data)
{
  ChTxRun *run = &ch_tx_new (self)->run;
  GError *error = NULL;

  if (run->store == NULL) {
    ch_tx_submit ((ChTx *) run, 0, done, user_data);
    return;
  }
  ch_store_prepare_run (run, 0);
  ch_store_enlist (run, done, user_data);
  if (!start_backup (run->store, run, path, &error))
    ch_tx_run_complete (run, -1, error);
}
