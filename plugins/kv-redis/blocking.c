/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that wait for data have connections of their own, one each, at most
 * `redis.pool_size`; more of them wait for a free one. A command that nobody wants any
 * more ends with its connection, so that it takes nothing later.
 */
#include "redis.h"

#define IDLE_MS 60000
#define LOOK_MS 5000

typedef struct {
  Blocking *blocking;
  Link *link;
  ChKvRun *run; /* NULL: idle */
  gboolean is_sent;
  gint64 idle_ms; /* since when */
} Place;

typedef struct {
  ChKvRun *run;
  Endpoint *endpoint;
} Waiting;

struct _Blocking {
  Redis *redis;
  GPtrArray *places; /* Place */
  GQueue waiting;    /* Waiting */
  ChTimer look;
};

static void next (Blocking *blocking);

static void place_free (gpointer data)
{
  Place *place = data;
  link_free (place->link);
  g_free (place);
}

static void complete (Place *place, ChKvReply *reply, GError *error)
{
  ChKvRun *run = g_steal_pointer (&place->run);

  place->is_sent = FALSE;
  place->idle_ms = ch_now_ms (place->blocking->redis->self);
  if (run != NULL) {
    ch_kv_run_complete (run, reply, error);
    return;
  }
  ch_kv_reply_free (reply);
  g_clear_error (&error);
}

static void send_run (Place *place)
{
  Request *request = g_new0 (Request, 1);

  request->run = place->run;
  if (link_send (place->link, request)) {
    place->is_sent = TRUE;
    return;
  }
  g_free (request);
  complete (place, NULL,
            g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_BUSY,
                                 "too much waits to be sent to Redis"));
}

static void ready (gpointer owner, Link *link)
{
  Place *place = owner;
  if (place->run != NULL)
    send_run (place);
}

static void remove_place (Place *place)
{
  GPtrArray *places = place->blocking->places;
  guint index;

  if (g_ptr_array_find (places, place, &index))
    g_ptr_array_remove_index_fast (places, index);
}

static void reply_came (gpointer owner, Link *link, Request *request, ChKvReply *reply)
{
  Place *place = owner;
  Blocking *blocking = place->blocking;
  gboolean is_old = reply_is_error (reply, "READONLY") || reply_is_error (reply, "MOVED")
                    || reply_is_error (reply, "UNBLOCKED");

  g_free (request);
  complete (place, reply, NULL);
  if (is_old)
    remove_place (place);
  next (blocking);
}

static void lost (gpointer owner, Link *link, const char *why)
{
  Place *place = owner;
  Blocking *blocking = place->blocking;
  Request *request = place->is_sent ? request_pop (&link->flight) : NULL;

  g_free (request);
  if (place->run != NULL)
    complete (place, NULL,
              g_error_new (CH_KV_ERROR,
                           place->is_sent ? CH_KV_ERROR_OUTCOME_UNKNOWN
                                          : CH_KV_ERROR_UNAVAILABLE,
                           "%s", why));
  remove_place (place);
  next (blocking);
}

static const LinkFuncs LINK_FUNCS = {.ready = ready, .reply = reply_came, .lost = lost};

static Place *idle_place (Blocking *blocking, const Endpoint *endpoint)
{
  for (guint i = 0; i < blocking->places->len; i++) {
    Place *place = g_ptr_array_index (blocking->places, i);
    if (place->run == NULL && endpoint_equal (place->link->endpoint, endpoint))
      return place;
  }
  return NULL;
}

/* Room for another: an idle one that goes elsewhere makes place. */
static gboolean has_room (Blocking *blocking)
{
  if (blocking->places->len < blocking->redis->settings.pool_size)
    return TRUE;
  for (guint i = 0; i < blocking->places->len; i++) {
    Place *place = g_ptr_array_index (blocking->places, i);
    if (place->run != NULL)
      continue;
    g_ptr_array_remove_index_fast (blocking->places, i);
    return TRUE;
  }
  return FALSE;
}

static gboolean place_run (Blocking *blocking, ChKvRun *run, const Endpoint *endpoint)
{
  Place *place = idle_place (blocking, endpoint);

  if (place != NULL) {
    place->run = run;
    if (place->link->is_ready)
      send_run (place);
    return TRUE;
  }
  if (!has_room (blocking))
    return FALSE;
  place = g_new0 (Place, 1);
  place->blocking = blocking;
  place->run = run;
  g_ptr_array_add (blocking->places, place);
  place->link = link_new (blocking->redis, endpoint, "waiting", &LINK_FUNCS, place);
  return TRUE;
}

static void waiting_free (gpointer data)
{
  Waiting *waiting = data;
  endpoint_free (waiting->endpoint);
  g_free (waiting);
}

static void next (Blocking *blocking)
{
  Waiting *first;

  while ((first = g_queue_peek_head (&blocking->waiting)) != NULL
         && place_run (blocking, first->run, first->endpoint)) {
    g_queue_pop_head (&blocking->waiting);
    waiting_free (first);
  }
}

void blocking_submit (Blocking *blocking, ChKvRun *run, const Endpoint *endpoint)
{
  if (g_queue_is_empty (&blocking->waiting) && place_run (blocking, run, endpoint))
    return;
  Waiting *waiting = g_new0 (Waiting, 1);
  waiting->run = run;
  waiting->endpoint = endpoint_copy (endpoint);
  g_queue_push_tail (&blocking->waiting, waiting);
}

static GError *cancelled (void)
{
  return g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_CANCELLED, "nobody waits for it");
}

gboolean blocking_cancel (Blocking *blocking, ChKvRun *run)
{
  for (guint i = 0; i < blocking->places->len; i++) {
    Place *place = g_ptr_array_index (blocking->places, i);
    if (place->run != run)
      continue;
    Request *request = place->is_sent ? request_take (&place->link->flight, run) : NULL;
    g_free (request);
    complete (place, NULL, cancelled ());
    g_ptr_array_remove_index_fast (blocking->places, i);
    next (blocking);
    return TRUE;
  }
  for (GList *at = blocking->waiting.head; at != NULL; at = at->next) {
    Waiting *waiting = at->data;
    if (waiting->run != run)
      continue;
    g_queue_delete_link (&blocking->waiting, at);
    waiting_free (waiting);
    ch_kv_run_complete (run, NULL, cancelled ());
    return TRUE;
  }
  return FALSE;
}

void blocking_moved (Blocking *blocking)
{
  for (guint i = blocking->places->len; i-- > 0;) {
    Place *place = g_ptr_array_index (blocking->places, i);
    if (place->run == NULL)
      g_ptr_array_remove_index_fast (blocking->places, i);
  }
}

static void look (ChPlugin *self, gpointer data)
{
  Blocking *blocking = data;
  gint64 now_ms = ch_now_ms (self);
  guint idle = 0;

  blocking->look = ch_timer_add (self, LOOK_MS, look, blocking);
  for (guint i = blocking->places->len; i-- > 0;) {
    Place *place = g_ptr_array_index (blocking->places, i);
    if (place->run == NULL && ++idle > blocking->redis->settings.min_idle
        && now_ms - place->idle_ms > IDLE_MS)
      g_ptr_array_remove_index_fast (blocking->places, i);
  }
}

Blocking *blocking_new (Redis *redis)
{
  Blocking *blocking = g_new0 (Blocking, 1);
  blocking->redis = redis;
  blocking->places = g_ptr_array_new_with_free_func (place_free);
  g_queue_init (&blocking->waiting);
  blocking->look = ch_timer_add (redis->self, LOOK_MS, look, blocking);
  return blocking;
}

void blocking_free (Blocking *blocking)
{
  Waiting *waiting;

  if (blocking == NULL)
    return;
  ch_timer_cancel (blocking->redis->self, &blocking->look);
  while ((waiting = g_queue_pop_head (&blocking->waiting)) != NULL) {
    ch_kv_run_complete (waiting->run, NULL,
                        g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE,
                                             "the kv is being closed"));
    waiting_free (waiting);
  }
  while (blocking->places->len > 0) {
    Place *place = g_ptr_array_index (blocking->places, 0);
    g_free (place->is_sent ? request_pop (&place->link->flight) : NULL);
    complete (place, NULL,
              g_error_new_literal (CH_KV_ERROR, CH_KV_ERROR_OUTCOME_UNKNOWN,
                                   "the kv is being closed"));
    g_ptr_array_remove_index_fast (blocking->places, 0);
  }
  g_ptr_array_unref (blocking->places);
  g_free (blocking);
}
