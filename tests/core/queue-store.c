/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer over the store's driver that can hold writes back, or lose them. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

static void hold_or_submit (ChPlugin *self, ChTxRun *run)
{
  Queue *queue = (Queue *) self->services; /* its first member */
  if (queue->is_away)
    ch_tx_run_complete (run, -1,
                        g_error_new_literal (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                             "there is no connection"));
  else if (queue->hold && !ch_tx_run_read_only (run))
    g_ptr_array_add (queue->held, run);
  else
    self->info->store_driver->submit (self, run);
}

void queue_store_layer (Queue *queue, const ChStoreDriver *driver)
{
  queue->store_layer = *driver;
  queue->store_layer.submit = hold_or_submit;
}

void queue_away (Queue *queue, gboolean is_away)
{
  queue_settle (queue);
  queue->is_away = is_away;
}

void queue_hold (Queue *queue)
{
  queue_settle (queue);
  queue->hold = TRUE;
}

void queue_release (Queue *queue, gboolean lost)
{
  ChPlugin *driver = queue->store_driver;

  queue->hold = FALSE;
  for (guint i = 0; i < queue->held->len; i++) {
    ChTxRun *run = g_ptr_array_index (queue->held, i);
    if (lost)
      ch_tx_run_complete (run, -1,
                          g_error_new_literal (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE,
                                               "the connection was lost"));
    else
      driver->info->store_driver->submit (driver, run);
  }
  g_ptr_array_set_size (queue->held, 0);
  queue_settle (queue);
}
