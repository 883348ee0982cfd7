/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocking.h"
#include "list.h"
#include "number.h"
#include "zset.h"
#include <chargehost/error.h>

#include <string.h>

#define LONGEST_MS ((guint64) 49 * 86400 * 1000) /* of a timer; longer is for ever */

typedef enum { POP, MOVE, ZPOP } Kind;

/* The keys stay in the run, which is not given back before its answer. */
typedef struct {
  GList link; /* among all that wait */
  Mem *mem;
  ChKvRun *run;
  Kind kind;
  gboolean from_head; /* POP, MOVE; ZPOP: from the lowest */
  gboolean to_head;
  gsize n_keys; /* arguments from 1 */
  ChTimer timer;
} Waiter;

/* Who waits for a key, in order of arrival. */
typedef struct {
  MemNode node;
  GQueue waiters;
} Queue;

struct _MemBlocking {
  MemDict queues;
  GQueue all;
  GQueue signalled; /* GBytes: keys */
};

MemBlocking *mem_blocking_new (Mem *mem)
{
  MemBlocking *blocking = g_new0 (MemBlocking, 1);
  mem_dict_init (&blocking->queues, &mem->heap, mem->seed);
  g_queue_init (&blocking->all);
  g_queue_init (&blocking->signalled);
  return blocking;
}

void mem_blocking_free (MemBlocking *blocking)
{
  mem_dict_clear (&blocking->queues, NULL, NULL);
  g_queue_clear_full (&blocking->signalled, (GDestroyNotify) g_bytes_unref);
  g_free (blocking);
}

static MemBytes key_of (const Waiter *waiter, gsize index)
{
  MemBytes key;
  key.p = ch_kv_run_arg (waiter->run, 1 + index, &key.n);
  return key;
}

static void leave_queue (Mem *mem, Waiter *waiter, MemBytes key)
{
  Queue *queue = (Queue *) mem_dict_find (&mem->blocking->queues, key);

  if (queue == NULL)
    return;
  g_queue_remove (&queue->waiters, waiter);
  if (g_queue_is_empty (&queue->waiters)) {
    mem_dict_unlink (&mem->blocking->queues, &queue->node);
    mem_free (&mem->heap, queue);
  }
}

static void waiter_end (Waiter *waiter)
{
  Mem *mem = waiter->mem;

  for (gsize i = 0; i < waiter->n_keys; i++)
    leave_queue (mem, waiter, key_of (waiter, i));
  g_queue_unlink (&mem->blocking->all, &waiter->link);
  ch_timer_cancel (mem->self, &waiter->timer);
  g_free (waiter);
}

static void answer (Waiter *waiter, ChKvReply *reply, GError *error)
{
  ChKvRun *run = waiter->run;
  waiter_end (waiter);
  ch_kv_run_complete (run, reply, error);
}

static void timed_out (ChPlugin *self, gpointer user_data)
{
  Waiter *waiter = user_data;
  waiter->timer = 0;
  answer (waiter, ch_kv_reply_nil (), NULL);
}

static void wait_for (Mem *mem, MemCall *call, Waiter *options, gint64 timeout_ms)
{
  Waiter *waiter = g_memdup2 (options, sizeof *options);

  waiter->mem = mem;
  waiter->run = call->run;
  waiter->link = (GList) {.data = waiter};
  g_queue_push_tail_link (&mem->blocking->all, &waiter->link);
  for (gsize i = 0; i < waiter->n_keys; i++) {
    MemBytes key = key_of (waiter, i);
    Queue *queue = (Queue *) mem_dict_find (&mem->blocking->queues, key);
    if (queue == NULL) {
      queue = mem_node_new (&mem->heap, sizeof (Queue), key);
      g_queue_init (&queue->waiters);
      mem_dict_insert (&mem->blocking->queues, &queue->node);
    }
    g_queue_push_tail (&queue->waiters, waiter);
  }
  if (timeout_ms > 0 && (guint64) timeout_ms <= LONGEST_MS)
    waiter->timer = ch_timer_add (mem->self, (guint64) timeout_ms, timed_out, waiter);
  call->deferred = TRUE;
}

void mem_blocking_signal (Mem *mem, MemBytes key)
{
  MemBlocking *blocking = mem->blocking;

  if (mem_dict_find (&blocking->queues, key) != NULL)
    g_queue_push_tail (&blocking->signalled, g_bytes_new (key.p, key.n));
}

static MemType type_for (const Waiter *waiter)
{
  return waiter->kind == ZPOP ? MEM_ZSET : MEM_LIST;
}

/* The one at the head of the queue that can take from what the key holds. */
static Waiter *next_waiter (Mem *mem, MemBytes key, const MemEntry *entry)
{
  Queue *queue = (Queue *) mem_dict_find (&mem->blocking->queues, key);

  for (GList *at = queue != NULL ? queue->waiters.head : NULL; at != NULL;
       at = at->next) {
    Waiter *waiter = at->data;
    if (type_for (waiter) == entry->type)
      return waiter;
  }
  return NULL;
}

/* Writes the answer that a waiter gets from @entry. */
static void take (Mem *mem, const Waiter *waiter, MemBytes key, MemEntry *entry,
                  MemOut *out)
{
  if (waiter->kind == MOVE) {
    MemBytes to = key_of (waiter, 1);
    MemEntry *target = mem_peek (mem, to);
    if (target != NULL && target->type != MEM_LIST)
      mem_out_error (out,
                     "WRONGTYPE Operation against a key holding the wrong kind of value");
    else
      mem_list_move (mem, entry, to, waiter->from_head, waiter->to_head, out);
    return;
  }
  mem_out_array (out, waiter->kind == ZPOP ? 3 : 2);
  mem_out_bytes (out, key.p, key.n);
  if (waiter->kind == ZPOP) {
    mem_zset_reply_pop (mem, out, entry, 1, !waiter->from_head);
    return;
  }
  MemItem *item = mem_list_pop (entry->list, waiter->from_head);
  mem_out_bytes (out, item->bytes, item->size);
  mem_free (&mem->heap, item);
  mem_delete_if_empty (mem, entry);
  mem_changed (mem);
}

void mem_blocking_serve (Mem *mem)
{
  GBytes *bytes;

  while ((bytes = g_queue_pop_head (&mem->blocking->signalled)) != NULL) {
    MemBytes key;
    MemEntry *entry;
    Waiter *waiter;
    key.p = g_bytes_get_data (bytes, &key.n);
    while ((entry = mem_peek (mem, key)) != NULL
           && (waiter = next_waiter (mem, key, entry)) != NULL) {
      gsize at = 0;
      mem_out_clear (&mem->out);
      take (mem, waiter, key, entry, &mem->out);
      answer (waiter, mem_out_reply (&mem->out, &at), NULL);
    }
    g_bytes_unref (bytes);
  }
}

void mem_blocking_cancel (Mem *mem, ChKvRun *run)
{
  for (GList *at = mem->blocking->all.head; at != NULL; at = at->next) {
    Waiter *waiter = at->data;
    if (waiter->run != run)
      continue;
    answer (waiter, ch_kv_reply_nil (), NULL);
    return;
  }
}

void mem_blocking_fail_all (Mem *mem, const char *reason)
{
  while (mem->blocking->all.head != NULL)
    answer (mem->blocking->all.head->data, NULL,
            g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE, reason));
}

/* ---- the commands -------------------------------------------------------------------
 */

static gboolean read_timeout (MemCall *call, gint64 *timeout_ms)
{
  double seconds;

  if (!mem_parse_double (call->argv[call->argc - 1], &seconds)) {
    mem_out_error (call->out, "ERR timeout is not a float or out of range");
    return FALSE;
  }
  if (seconds > (double) G_MAXINT64 / 1000) {
    mem_out_error (call->out, "ERR timeout is out of range");
    return FALSE;
  }
  if (seconds < 0) {
    mem_out_error (call->out, "ERR timeout is negative");
    return FALSE;
  }
  *timeout_ms = (gint64) (seconds * 1000);
  if (seconds > 0 && *timeout_ms == 0)
    *timeout_ms = 1;
  return TRUE;
}

static void wait_or_take (Mem *mem, MemCall *call, Waiter *options)
{
  gint64 timeout_ms;

  if (!read_timeout (call, &timeout_ms))
    return;
  options->run = call->run;
  for (gsize i = 0; i < options->n_keys; i++) {
    MemEntry *entry;
    if (!mem_find (mem, call, call->argv[1 + i], type_for (options), &entry))
      return;
    if (entry == NULL)
      continue;
    take (mem, options, call->argv[1 + i], entry, call->out);
    return;
  }
  wait_for (mem, call, options, timeout_ms);
}

static void blpop (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = POP, .from_head = TRUE, .n_keys = call->argc - 2};
  wait_or_take (mem, call, &options);
}

static void brpop (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = POP, .from_head = FALSE, .n_keys = call->argc - 2};
  wait_or_take (mem, call, &options);
}

static void bzpopmin (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = ZPOP, .from_head = TRUE, .n_keys = call->argc - 2};
  wait_or_take (mem, call, &options);
}

static void bzpopmax (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = ZPOP, .from_head = FALSE, .n_keys = call->argc - 2};
  wait_or_take (mem, call, &options);
}

static void blmove (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = MOVE, .n_keys = 1};

  if (mem_list_read_side (call, 3, &options.from_head)
      && mem_list_read_side (call, 4, &options.to_head))
    wait_or_take (mem, call, &options);
}

static void brpoplpush (Mem *mem, MemCall *call)
{
  Waiter options = {.kind = MOVE, .from_head = FALSE, .to_head = TRUE, .n_keys = 1};
  wait_or_take (mem, call, &options);
}

const MemCommand mem_blocking_commands[]
    = {{"blpop", -3, MEM_WRITE | MEM_NO_SCRIPT, blpop},
       {"brpop", -3, MEM_WRITE | MEM_NO_SCRIPT, brpop},
       {"bzpopmin", -3, MEM_WRITE | MEM_NO_SCRIPT, bzpopmin},
       {"bzpopmax", -3, MEM_WRITE | MEM_NO_SCRIPT, bzpopmax},
       {"blmove", 6, MEM_WRITE | MEM_GROWS | MEM_NO_SCRIPT, blmove},
       {"brpoplpush", 4, MEM_WRITE | MEM_GROWS | MEM_NO_SCRIPT, brpoplpush},
       {NULL}};
