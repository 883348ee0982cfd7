/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers to callers: at the end of the turn, never inside the call, each caller's in
 * the order of its commands. What a callback starts is answered in a later turn, so a
 * chain of commands does not keep the loop.
 */
#include "base/clock-private.h"
#include "kv/kv-private.h"
#include <chargehost/log.h>

#include <string.h>

#define ANSWERS_PER_TURN 4096

static void list_push (ChKvRunList *list, ChKvRun *run)
{
  run->next = NULL;
  run->prev = list->tail;
  if (list->tail != NULL)
    list->tail->next = run;
  else
    list->head = run;
  list->tail = run;
}

static void list_remove (ChKvRunList *list, ChKvRun *run)
{
  if (run->prev != NULL)
    run->prev->next = run->next;
  else
    list->head = run->next;
  if (run->next != NULL)
    run->next->prev = run->prev;
  else
    list->tail = run->prev;
  run->prev = run->next = NULL;
}

static void run_free (ChKvRun *run)
{
  run->kv->pending--;
  if (ch_wheel_is_armed (&run->deadline))
    ch_wheel_cancel (run->kv->services->reactor, &run->deadline);
  ch_kv_reply_free (run->reply);
  g_clear_error (&run->error);
  g_free (run);
}

static gboolean can_answer (const ChKvCaller *caller)
{
  return caller->finished.head != NULL
         || (caller->ordered.head != NULL && caller->ordered.head->completed);
}

static void mark_ready (ChKvCaller *caller)
{
  ChKv *kv = caller->kv;

  if (caller->is_ready)
    return;
  caller->is_ready = TRUE;
  caller->next_ready = NULL;
  if (kv->ready_tail != NULL)
    kv->ready_tail->next_ready = caller;
  else
    kv->ready_head = caller;
  kv->ready_tail = caller;
  kv->n_ready++;
  ch_reactor_defer (kv->services->reactor, &kv->deferred);
}

static void drop_ready (ChKvCaller *caller)
{
  ChKv *kv = caller->kv;
  ChKvCaller *before = NULL;

  for (ChKvCaller *at = kv->ready_head; at != NULL; before = at, at = at->next_ready) {
    if (at != caller)
      continue;
    if (before != NULL)
      before->next_ready = at->next_ready;
    else
      kv->ready_head = at->next_ready;
    if (kv->ready_tail == at)
      kv->ready_tail = before;
    kv->n_ready--;
    break;
  }
  caller->is_ready = FALSE;
}

/* Its owner stops: what is with the driver is left to it, the rest is dropped. */
static void abandon (ChKvCaller *caller, ChKvRunList *list)
{
  ChKv *kv = caller->kv;
  ChKvRun *run;

  while ((run = list->head) != NULL) {
    list_remove (list, run);
    run->caller = NULL;
    if (!run->in_driver)
      run_free (run);
    else if (kv->driver != NULL && kv->driver->cancel != NULL)
      kv->driver->cancel (kv->driver_plugin, run);
  }
}

static void caller_revoke (ChResource *resource)
{
  ChKvCaller *caller = (ChKvCaller *) resource;
  ChKv *kv = caller->kv;

  caller->is_dead = TRUE;
  if (caller->is_ready)
    drop_ready (caller);
  g_hash_table_remove (kv->callers, caller->plugin);
  if (kv->last_caller == caller)
    kv->last_caller = NULL;
  abandon (caller, &caller->ordered);
  abandon (caller, &caller->blocking);
  abandon (caller, &caller->finished);
  if (caller->in_use == 0)
    g_free (caller);
}

static const ChResourceKind caller_kind = {"kv callers", caller_revoke};

ChKvCaller *ch_kv_caller (ChKv *kv, ChPlugin *plugin)
{
  if (G_LIKELY (kv->last_caller != NULL && kv->last_caller->plugin == plugin))
    return kv->last_caller;
  ChKvCaller *caller = g_hash_table_lookup (kv->callers, plugin);
  if (caller == NULL) {
    caller = g_new0 (ChKvCaller, 1);
    caller->kv = kv;
    caller->plugin = plugin;
    ch_owner_link (plugin, &caller->resource, &caller_kind);
    g_hash_table_insert (kv->callers, plugin, caller);
  }
  kv->last_caller = caller;
  return caller;
}

void ch_kv_caller_push (ChKvCaller *caller, ChKvRun *run)
{
  run->caller = caller;
  caller->kv->pending++;
  list_push (run->blocking ? &caller->blocking : &caller->ordered, run);
}

/* The answer is there; whose turn it is depends on what the caller asked before. */
static void finish (ChKvRun *run)
{
  ChKvCaller *caller = run->caller;

  run->completed = TRUE;
  run->turn = run->kv->turn;
  if (run->blocking) {
    list_remove (&caller->blocking, run);
    list_push (&caller->finished, run);
    mark_ready (caller);
  } else if (caller->ordered.head == run) {
    mark_ready (caller);
  }
}

void ch_kv_run_fail (ChKvRun *run, ChKvError code, const char *message)
{
  run->error = g_error_new_literal (CH_KV_ERROR, (gint) code, message);
  finish (run);
}

static void deadline_passed (ChWheelTimer *timer)
{
  ChKvRun *run = (ChKvRun *) ((char *) timer - G_STRUCT_OFFSET (ChKvRun, deadline));
  ChKv *kv = run->kv;

  if (run->caller == NULL || run->completed)
    return;
  ch_kv_run_fail (run, CH_KV_ERROR_TIMEOUT, "no answer of the kv in time");
  if (kv->driver != NULL && kv->driver->cancel != NULL)
    kv->driver->cancel (kv->driver_plugin, run);
}

void ch_kv_run_arm (ChKvRun *run)
{
  if (run->deadline_us == G_MAXINT64)
    return;
  gint64 left_us = run->deadline_us - run->started_us;
  run->deadline.func = deadline_passed;
  ch_wheel_arm (run->kv->services->reactor, &run->deadline,
                (guint64) (left_us / 1000) + 1);
}

/* Keys in replies lose the prefix that the front put before them. */
static void strip (const ChKv *kv, ChKvReply *reply)
{
  if (reply->kind != CH_KV_REPLY_STRING || reply->size < kv->prefix_size
      || memcmp (reply->text, kv->prefix, kv->prefix_size) != 0)
    return;
  reply->text += kv->prefix_size;
  reply->size -= kv->prefix_size;
}

static void strip_items (const ChKv *kv, ChKvReply *reply)
{
  for (gsize i = 0; i < reply->n_items; i++)
    strip (kv, reply->items[i]);
}

static void strip_reply (const ChKv *kv, ChKvCommandFlags flags, ChKvReply *reply)
{
  if ((flags & CH_KV_KEYS_REPLY) != 0)
    strip_items (kv, reply);
  else if ((flags & CH_KV_SCAN_REPLY) != 0 && reply->n_items == 2)
    strip_items (kv, reply->items[1]);
  else if ((flags & CH_KV_KEY_REPLY) != 0)
    strip (kv, reply->n_items > 0 ? reply->items[0] : reply);
}

/* What a caller can do about an error that the server answered. */
static ChKvError code_of (const char *text)
{
  static const struct {
    const char *word;
    ChKvError code;
  } words[] = {
      {"BUSY ", CH_KV_ERROR_BUSY},
      {"OOM ", CH_KV_ERROR_BUSY},
      {"CLUSTERDOWN ", CH_KV_ERROR_UNAVAILABLE},
      {"LOADING ", CH_KV_ERROR_UNAVAILABLE},
      {"MASTERDOWN ", CH_KV_ERROR_UNAVAILABLE},
      {"MISCONF ", CH_KV_ERROR_UNAVAILABLE},
      {"NOREPLICAS ", CH_KV_ERROR_UNAVAILABLE},
      {"READONLY ", CH_KV_ERROR_UNAVAILABLE},
      {"TRYAGAIN ", CH_KV_ERROR_UNAVAILABLE},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_has_prefix (text, words[i].word))
      return words[i].code;
  return CH_KV_ERROR_SERVER;
}

void ch_kv_run_complete (ChKvRun *run, ChKvReply *reply, GError *error)
{
  ChKv *kv = run->kv;

  if (kv->submitted == run)
    kv->submitted = NULL;
  run->in_driver = FALSE;
  ch_kv_observe (run);
  if (G_UNLIKELY (run->caller == NULL || run->completed)) {
    ch_kv_reply_free (reply);
    g_clear_error (&error);
    if (run->caller == NULL)
      run_free (run);
    return;
  }
  if (ch_wheel_is_armed (&run->deadline))
    ch_wheel_cancel (kv->services->reactor, &run->deadline);
  run->reply = reply;
  run->error = error;
  if (kv->prefix_size > 0 && run->info != NULL && reply != NULL)
    strip_reply (kv, run->info->flags, reply);
  if (reply != NULL && reply->kind == CH_KV_REPLY_ERROR && error == NULL)
    run->error
        = g_error_new_literal (CH_KV_ERROR, (gint) code_of (reply->text), reply->text);
  finish (run);
}

static ChKvRun *next_answer (ChKvCaller *caller)
{
  ChKvRunList *list
      = caller->finished.head != NULL ? &caller->finished : &caller->ordered;
  ChKvRun *run = list->head;

  if (run == NULL || !run->completed || run->turn >= caller->kv->turn)
    return NULL;
  list_remove (list, run);
  run->caller = NULL;
  return run;
}

static void answer (ChKvCaller *caller, ChKvRun *run)
{
  ChRunnerFrame frame;

  if (run->done != NULL && ch_runner_enter (caller->plugin, "kv answer", &frame)) {
    run->done (caller->plugin, run->reply, run->error, run->user_data);
    ch_runner_leave (&frame);
  }
  if (run->in_driver) { /* timed out: the driver still has it */
    run->done = NULL;
    g_clear_error (&run->error);
  } else {
    run_free (run);
  }
}

static guint deliver_to (ChKvCaller *caller, guint budget)
{
  guint n = 0;
  ChKvRun *run;

  caller->in_use++;
  while (n < budget && !caller->is_dead && (run = next_answer (caller)) != NULL) {
    answer (caller, run);
    n++;
  }
  caller->in_use--;
  if (!caller->is_dead && can_answer (caller))
    mark_ready (caller);
  else if (caller->is_dead && caller->in_use == 0)
    g_free (caller);
  return n;
}

static void deliver (ChDeferred *deferred)
{
  ChKv *kv = (ChKv *) ((char *) deferred - G_STRUCT_OFFSET (ChKv, deferred));
  guint budget = ANSWERS_PER_TURN;

  kv->turn++;
  gboolean more = ch_kv_subscribe_dispatch (kv);
  /* Those who become ready meanwhile stand behind these and wait for the next turn. */
  for (guint n = kv->n_ready; n > 0 && budget > 0 && kv->ready_head != NULL; n--) {
    ChKvCaller *caller = kv->ready_head;
    kv->ready_head = caller->next_ready;
    if (kv->ready_head == NULL)
      kv->ready_tail = NULL;
    caller->is_ready = FALSE;
    kv->n_ready--;
    budget -= deliver_to (caller, budget);
  }
  if (more || kv->ready_head != NULL)
    ch_reactor_defer (kv->services->reactor, &kv->deferred);
}

void ch_kv_deliver_init (ChKv *kv)
{
  kv->callers = g_hash_table_new (NULL, NULL);
  kv->deferred.func = deliver;
}

void ch_kv_deliver_clear (ChKv *kv)
{
  ch_reactor_undefer (kv->services->reactor, &kv->deferred);
  while (g_hash_table_size (kv->callers) > 0) {
    GHashTableIter iter;
    gpointer caller;
    g_hash_table_iter_init (&iter, kv->callers);
    g_hash_table_iter_next (&iter, NULL, &caller);
    ch_owner_unlink (caller);
    caller_revoke (caller);
  }
  g_hash_table_unref (kv->callers);
  if (kv->pending > 0)
    ch_error (kv->owner,
              "%" G_GSIZE_FORMAT " commands were never completed by the driver",
              kv->pending);
}
