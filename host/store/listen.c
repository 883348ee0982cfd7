/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notifications between transactions and listeners. With a driver that listens they go
 * through the database, to all instances; else to this process's listeners, when the
 * transaction has been committed.
 */
#include "store/store-private.h"

#include <string.h>

/* What PostgreSQL takes. */
#define PAYLOAD_MAX 7999
#define CHANNEL_MAX 63

typedef struct {
  ChResource resource;
  ChStore *store;
  ChPlugin *plugin;
  char *channel;
  ChStoreNotified func;
  gpointer user_data;
} Listener;

static gboolean is_channel (const char *name)
{
  gsize n = strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789_");
  return n > 0 && n <= CHANNEL_MAX && name[n] == '\0';
}

static gboolean has_listener (ChStore *store, const char *channel)
{
  for (guint i = 0; i < store->listeners->len; i++)
    if (g_str_equal (((Listener *) g_ptr_array_index (store->listeners, i))->channel,
                     channel))
      return TRUE;
  return FALSE;
}

static void tell_driver (ChStore *store, const char *channel, gboolean on)
{
  ChRunnerFrame frame;

  if (store->driver == NULL || store->driver->listen == NULL
      || !ch_runner_enter (store->driver_plugin, "listen", &frame))
    return;
  store->driver->listen (store->driver_plugin, channel, on);
  ch_runner_leave (&frame);
}

static void listener_free (Listener *listener)
{
  g_free (listener->channel);
  g_free (listener);
}

static void revoke_listener (ChResource *resource)
{
  Listener *listener = (Listener *) resource;
  ChStore *store = listener->store;

  g_ptr_array_remove (store->listeners, listener);
  if (!has_listener (store, listener->channel))
    tell_driver (store, listener->channel, FALSE);
  listener_free (listener);
}

static const ChResourceKind listener_kind = {"listeners of the store", revoke_listener};

void ch_store_listen (ChPlugin *self, const char *channel, ChStoreNotified func,
                      gpointer user_data)
{
  ChStore *store = self->services->store;

  g_return_if_fail (store != NULL && is_channel (channel));
  gboolean first = !has_listener (store, channel);
  Listener *listener = g_new0 (Listener, 1);
  listener->store = store;
  listener->plugin = self;
  listener->channel = g_strdup (channel);
  listener->func = func;
  listener->user_data = user_data;
  g_ptr_array_add (store->listeners, listener);
  ch_owner_link (self, &listener->resource, &listener_kind);
  if (first)
    tell_driver (store, channel, TRUE);
}

void ch_store_listen_all (ChStore *store)
{
  for (guint i = 0; i < store->listeners->len; i++)
    tell_driver (store, ((Listener *) g_ptr_array_index (store->listeners, i))->channel,
                 TRUE);
}

void ch_store_listeners_clear (ChStore *store)
{
  while (store->listeners->len > 0) {
    Listener *listener
        = g_ptr_array_steal_index_fast (store->listeners, store->listeners->len - 1);
    ch_owner_unlink (&listener->resource);
    listener_free (listener);
  }
  g_ptr_array_unref (store->listeners);
}

/* ---- delivery ---------------------------------------------------------------------- */

/* Each that listens now, once; one may stop another meanwhile. */
static void deliver (ChStore *store, const char *channel, const char *payload)
{
  g_autoptr (GPtrArray) all = g_ptr_array_copy (store->listeners, NULL, NULL);
  ChRunnerFrame frame;

  for (guint i = 0; i < all->len; i++) {
    Listener *listener = g_ptr_array_index (all, i);
    if (!g_ptr_array_find (store->listeners, listener, NULL)
        || (channel != NULL && !g_str_equal (listener->channel, channel))
        || !ch_runner_enter (listener->plugin, "notification", &frame))
      continue;
    listener->func (listener->plugin, listener->channel, payload, listener->user_data);
    ch_runner_leave (&frame);
  }
}

void ch_store_notified (ChPlugin *driver, const char *channel, const char *payload)
{
  deliver (driver->services->store, channel, payload);
}

void ch_tx_notify (ChTx *tx, const char *channel, const char *payload)
{
  static const char sql[] = "SELECT pg_notify (:channel, :payload)";
  ChTxRun *run = &tx->run;
  ChStore *store = run->store;
  gsize size = strlen (payload);

  run->params = NULL;
  if (!is_channel (channel) || size > PAYLOAD_MAX || run->is_rows) {
    ch_tx_run_fail (run,
                    g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_USAGE,
                                 "not a notification: %.64s, %" G_GSIZE_FORMAT " bytes",
                                 channel, size));
    return;
  }
  if (store == NULL || store->driver == NULL || store->driver->listen == NULL) {
    ChTxNote *note = ch_arena_alloc (&run->args, sizeof *note);
    note->channel = ch_arena_text (&run->args, channel, strlen (channel));
    note->payload = ch_arena_text (&run->args, payload, size);
    note->next = NULL;
    *(run->last_note != NULL ? &run->last_note->next : &run->notes) = note;
    run->last_note = note;
    return;
  }
  GError *error = NULL;
  ChStoreStatement *statement
      = ch_store_intern (store, "store.notify", sql, FALSE, &error);
  if (statement == NULL) {
    ch_tx_run_fail (run, error);
    return;
  }
  const char *texts[] = {channel, payload};
  ChValue *params = ch_tx_run_append (run, &statement->prepared);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    params[i].kind = CH_VALUE_TEXT;
    params[i].size = (guint32) strlen (texts[i]);
    params[i].text = ch_arena_text (&run->args, texts[i], params[i].size);
  }
}

void ch_store_deliver_notes (ChTxRun *run)
{
  for (const ChTxNote *note = run->notes; note != NULL; note = note->next)
    deliver (run->store, note->channel, note->payload);
}
