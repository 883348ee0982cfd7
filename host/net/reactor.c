/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One epoll set as one GSource. */
#include "net/reactor-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Looking at the clock costs as much as a small event. */
#define EVENTS_PER_LOOK 32
#define DECAY_US (100 * 1000)

static void decay (ChReactor *reactor, gint64 now_us)
{
  while (reactor->stats.lag_us > 0 && now_us - reactor->decayed_us >= DECAY_US) {
    reactor->stats.lag_us -= (reactor->stats.lag_us + 7) / 8;
    reactor->decayed_us += DECAY_US;
  }
  if (reactor->stats.lag_us == 0)
    reactor->decayed_us = now_us;
}

/* The loop is about to sleep: the turn that began when poll returned is over. */
static void turn_ended (ChReactor *reactor, gint64 now_us)
{
  if (reactor->woke_us == 0)
    return;
  gint64 took_us = now_us - reactor->woke_us;
  decay (reactor, now_us);
  if (took_us > reactor->stats.lag_us) {
    reactor->stats.lag_us = took_us;
    reactor->decayed_us = now_us;
  }
  reactor->stats.turns++;
  if (reactor->observer != NULL)
    reactor->observer (took_us, reactor->observer_data);
  reactor->woke_us = 0;
}

static gboolean has_work (ChReactor *reactor)
{
  return reactor->deferred.next != &reactor->deferred
         || reactor->next_event < reactor->n_events || reactor->posts != NULL
         || (reactor->wheel.fd >= 0 && wheel_has_left (&reactor->wheel));
}

static gboolean source_prepare (GSource *source, gint *timeout)
{
  ChReactor *reactor = ((ReactorSource *) source)->reactor;
  gint64 now_us = g_get_monotonic_time ();

  turn_ended (reactor, now_us);
  wheel_program (reactor);
  if (has_work (reactor)) {
    reactor->woke_us = now_us;
    *timeout = 0;
    return TRUE;
  }
  *timeout = -1;
  return FALSE;
}

static gboolean source_check (GSource *source)
{
  ChReactor *reactor = ((ReactorSource *) source)->reactor;
  reactor->woke_us = g_get_monotonic_time ();
  return (g_source_query_unix_fd (source, reactor->tag) & G_IO_IN) != 0;
}

/* Asks the kernel once; returns whether there may be more. */
static gboolean fetch_events (ChReactor *reactor)
{
  int n = epoll_wait (reactor->epoll_fd, reactor->events, EVENTS_MAX, 0);
  reactor->next_event = 0;
  reactor->n_events = n > 0 ? (guint) n : 0;
  for (guint i = 0; i < reactor->n_events; i++)
    ((ChWatch *) reactor->events[i].data.ptr)->pending = i + 1;
  return n == EVENTS_MAX;
}

/*
 * What is not handled when the time is over keeps its place and is first in the next
 * turn; asking the kernel again would give the same first ones for ever.
 */
static gboolean handle_events (ChReactor *reactor, gint64 deadline_us)
{
  while (reactor->next_event < reactor->n_events) {
    struct epoll_event *event = &reactor->events[reactor->next_event++];
    ChWatch *watch = event->data.ptr;
    if (watch != NULL) {
      watch->pending = 0;
      watch->func (watch, event->events);
    }
    if (reactor->next_event % EVENTS_PER_LOOK == 0 && reactor_is_late (deadline_us))
      return FALSE;
  }
  return TRUE;
}

static void run_deferred (ChReactor *reactor)
{
  ChDeferred *head = &reactor->deferred;
  if (head->next == head)
    return;
  /* What is deferred meanwhile belongs to the next turn. */
  ChDeferred turn = {.next = head->next, .prev = head->prev};
  turn.next->prev = turn.prev->next = &turn;
  head->next = head->prev = head;
  while (turn.next != &turn) {
    ChDeferred *first = turn.next;
    ch_reactor_undefer (reactor, first);
    first->func (first);
  }
}

static gboolean source_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  ChReactor *reactor = ((ReactorSource *) source)->reactor;
  gint64 deadline_us = g_get_monotonic_time () + TURN_BUDGET_US;
  gboolean more;

  reactor->now_us = ch_clock_monotonic_us (reactor->services->clock);
  reactor->stats.last_turn_us = reactor->now_us;
  reactor->in_turn = TRUE;
  if (reactor->wheel.fd >= 0 && wheel_has_left (&reactor->wheel))
    wheel_turn (reactor, deadline_us);
  do {
    more = FALSE;
    if (reactor->next_event >= reactor->n_events)
      more = fetch_events (reactor);
    if (!handle_events (reactor, deadline_us))
      break;
  } while (more && !reactor_is_late (deadline_us));
  posts_run (reactor, deadline_us);
  run_deferred (reactor);
  reactor->in_turn = FALSE;
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs SOURCE_FUNCS = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

ChReactor *ch_reactor_new (ChServices *services, GMainContext *context, GError **error)
{
  g_autoptr (ChReactor) reactor = g_new0 (ChReactor, 1);
  reactor->services = services;
  reactor->deferred.next = reactor->deferred.prev = &reactor->deferred;
  reactor->events = g_new0 (struct epoll_event, EVENTS_MAX);
  reactor->timers = g_array_new (FALSE, FALSE, sizeof (TimerSlot));
  reactor->streams = g_ptr_array_new_with_free_func (g_free);
  reactor->wheel.fd = reactor->wheel_watch.fd = reactor->post_watch.fd = -1;
  pthread_mutex_init (&reactor->post_lock, NULL);

  reactor->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  if (reactor->epoll_fd < 0) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno), "epoll: %s",
                 g_strerror (errno));
    return NULL;
  }
  if (!wheel_open (reactor, error) || !posts_open (reactor, error))
    return NULL;

  GSource *source = g_source_new (&SOURCE_FUNCS, sizeof (ReactorSource));
  reactor->source = (ReactorSource *) source;
  reactor->source->reactor = reactor;
  g_source_set_static_name (source, "chargehost reactor");
  reactor->tag = g_source_add_unix_fd (source, reactor->epoll_fd, G_IO_IN);
  g_source_attach (source, context);
  services->reactor = reactor;
  return g_steal_pointer (&reactor);
}

void ch_reactor_free (ChReactor *reactor)
{
  if (reactor == NULL)
    return;
  if (reactor->source != NULL) {
    g_source_destroy (&reactor->source->source);
    g_source_unref (&reactor->source->source);
  }
  posts_close (reactor);
  streams_close (reactor);
  timers_close (reactor);
  wheel_close (reactor);
  if (reactor->epoll_fd >= 0)
    close (reactor->epoll_fd);
  if (reactor->services->reactor == reactor)
    reactor->services->reactor = NULL;
  pthread_mutex_destroy (&reactor->post_lock);
  g_array_unref (reactor->timers);
  g_ptr_array_unref (reactor->streams);
  g_free (reactor->events);
  g_free (reactor);
}

gboolean ch_reactor_add (ChReactor *reactor, ChWatch *watch, int fd, guint32 events,
                         ChWatchFunc func, GError **error)
{
  struct epoll_event event = {.events = events, .data.ptr = watch};

  if (epoll_ctl (reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno),
                 "cannot watch descriptor %d: %s", fd, g_strerror (errno));
    return FALSE;
  }
  watch->fd = fd;
  watch->events = events;
  watch->func = func;
  watch->added = TRUE;
  watch->pending = 0;
  return TRUE;
}

void ch_reactor_modify (ChReactor *reactor, ChWatch *watch, guint32 events)
{
  if (!watch->added || watch->events == events)
    return;
  struct epoll_event event = {.events = events, .data.ptr = watch};
  if (epoll_ctl (reactor->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0)
    watch->events = events;
  /* An event of this turn that is not wanted any more must not arrive. */
  if (watch->pending > 0)
    reactor->events[watch->pending - 1].events &= events | EPOLLERR | EPOLLHUP;
}

void ch_reactor_remove (ChReactor *reactor, ChWatch *watch)
{
  if (!watch->added)
    return;
  epoll_ctl (reactor->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->added = FALSE;
  if (watch->pending > 0) {
    reactor->events[watch->pending - 1].data.ptr = NULL;
    watch->pending = 0;
  }
}

gint64 ch_reactor_now_us (ChReactor *reactor)
{
  if (reactor->in_turn && reactor->wheel.fd >= 0)
    return reactor->now_us;
  return ch_clock_monotonic_us (reactor->services->clock);
}

void ch_reactor_defer (ChReactor *reactor, ChDeferred *deferred)
{
  if (deferred->queued)
    return;
  ChDeferred *head = &reactor->deferred;
  deferred->queued = TRUE;
  deferred->next = head;
  deferred->prev = head->prev;
  head->prev->next = deferred;
  head->prev = deferred;
}

void ch_reactor_undefer (ChReactor *reactor, ChDeferred *deferred)
{
  if (!deferred->queued)
    return;
  deferred->queued = FALSE;
  deferred->prev->next = deferred->next;
  deferred->next->prev = deferred->prev;
  deferred->next = deferred->prev = NULL;
}

void ch_reactor_stats (ChReactor *reactor, ChReactorStats *stats)
{
  decay (reactor, g_get_monotonic_time ());
  *stats = reactor->stats;
}

void ch_reactor_set_observer (ChReactor *reactor, void (*turn) (gint64 us, gpointer data),
                              gpointer data)
{
  reactor->observer = turn;
  reactor->observer_data = data;
}
