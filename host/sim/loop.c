/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loop.h"

#include <errno.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 512
#define STEP_WAIT_NS 1000000
#define LAG_WINDOW 2000000

struct SimLoop {
  int epoll;
  double scale;
  gint64 base; /* real time at which the scaled clock was 0 */
  gint64 real;
  gint64 now;
  GPtrArray *heap; /* SimTimer, smallest first; entry 0 is unused */
  GPtrArray *dead;
  gboolean (*settled) (gpointer data); /* NULL: time is real */
  gpointer settled_data;
  gboolean quit;
  gint64 lag[2];    /* longest of the window before, and of this one */
  gint64 lag_since; /* when this window began */
};

static void refresh_clock (SimLoop *loop)
{
  if (loop->settled != NULL)
    return;
  loop->real = g_get_monotonic_time ();
  loop->now = (gint64) ((double) (loop->real - loop->base) * loop->scale);
}

SimLoop *loop_new (double scale)
{
  int epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (epoll < 0)
    return NULL;
  SimLoop *loop = g_new0 (SimLoop, 1);
  loop->epoll = epoll;
  loop->scale = scale;
  loop->base = g_get_monotonic_time ();
  loop->heap = g_ptr_array_new ();
  g_ptr_array_add (loop->heap, NULL);
  loop->dead = g_ptr_array_new_with_free_func (g_free);
  refresh_clock (loop);
  return loop;
}

void loop_free (SimLoop *loop)
{
  if (loop == NULL)
    return;
  close (loop->epoll);
  g_ptr_array_unref (loop->heap);
  g_ptr_array_unref (loop->dead);
  g_free (loop);
}

void loop_use_steps (SimLoop *loop, gboolean (*settled) (gpointer data), gpointer data)
{
  loop->settled = settled;
  loop->settled_data = data;
}

gint64 loop_now (const SimLoop *loop)
{
  return loop->now;
}

gint64 loop_real (const SimLoop *loop)
{
  return loop->real;
}

gint64 loop_lag (const SimLoop *loop)
{
  return MAX (loop->lag[0], loop->lag[1]);
}

static void note_lag (SimLoop *loop, gint64 lag)
{
  if (loop->real - loop->lag_since > LAG_WINDOW) {
    loop->lag[0] = loop->lag[1];
    loop->lag[1] = 0;
    loop->lag_since = loop->real;
  }
  loop->lag[1] = MAX (loop->lag[1], lag);
}

gint64 loop_scaled (const SimLoop *loop, gint64 real_us)
{
  return (gint64) ((double) real_us * loop->scale);
}

/* ---- timers ----------------------------------------------------------------------- */

static SimTimer *heap_at (const SimLoop *loop, guint position)
{
  return g_ptr_array_index (loop->heap, position);
}

static void heap_put (SimLoop *loop, guint position, SimTimer *timer)
{
  g_ptr_array_index (loop->heap, position) = timer;
  timer->position = position;
}

static void sift_up (SimLoop *loop, guint position)
{
  SimTimer *timer = heap_at (loop, position);
  while (position > 1 && heap_at (loop, position / 2)->due > timer->due) {
    heap_put (loop, position, heap_at (loop, position / 2));
    position /= 2;
  }
  heap_put (loop, position, timer);
}

static void sift_down (SimLoop *loop, guint position)
{
  SimTimer *timer = heap_at (loop, position);
  for (;;) {
    guint child = 2 * position;
    if (child >= loop->heap->len)
      break;
    if (child + 1 < loop->heap->len
        && heap_at (loop, child + 1)->due < heap_at (loop, child)->due)
      child++;
    if (heap_at (loop, child)->due >= timer->due)
      break;
    heap_put (loop, position, heap_at (loop, child));
    position = child;
  }
  heap_put (loop, position, timer);
}

void timer_set (SimTimer *timer, SimTimerFunc func, gpointer data)
{
  timer->func = func;
  timer->data = data;
}

void timer_stop (SimLoop *loop, SimTimer *timer)
{
  guint position = timer->position;
  if (position == 0)
    return;
  timer->position = 0;
  SimTimer *last = heap_at (loop, loop->heap->len - 1);
  g_ptr_array_set_size (loop->heap, (int) loop->heap->len - 1);
  if (last == timer)
    return;
  heap_put (loop, position, last);
  sift_down (loop, position);
  sift_up (loop, last->position);
}

void timer_arm (SimLoop *loop, SimTimer *timer, gint64 delay)
{
  timer_stop (loop, timer);
  timer->due = loop->now + MAX (delay, 0);
  g_ptr_array_add (loop->heap, timer);
  timer->position = loop->heap->len - 1;
  sift_up (loop, timer->position);
}

gboolean timer_armed (const SimTimer *timer)
{
  return timer->position != 0;
}

guint loop_timers (const SimLoop *loop)
{
  return loop->heap->len - 1;
}

/* What becomes due while the timers run waits for the next turn, so that sockets get
 * their share however short the scaled intervals are. */
static void run_timers (SimLoop *loop)
{
  gint64 until = loop->now;
  guint budget = loop->heap->len;
  while (budget-- > 0 && loop->heap->len > 1 && heap_at (loop, 1)->due <= until) {
    SimTimer *timer = heap_at (loop, 1);
    timer_stop (loop, timer);
    timer->func (timer->data);
  }
}

/* ---- descriptors ------------------------------------------------------------------ */

gboolean loop_watch (SimLoop *loop, SimWatch *watch, int fd, guint32 events)
{
  struct epoll_event event = {.events = events, .data.ptr = watch};
  if (epoll_ctl (loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
    return FALSE;
  watch->fd = fd;
  return TRUE;
}

gboolean loop_rewatch (SimLoop *loop, SimWatch *watch, guint32 events)
{
  struct epoll_event event = {.events = events, .data.ptr = watch};
  return epoll_ctl (loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0;
}

void loop_unwatch (SimLoop *loop, SimWatch *watch)
{
  if (watch->fd < 0)
    return;
  epoll_ctl (loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->fd = -1;
}

void loop_free_later (SimLoop *loop, gpointer memory)
{
  g_ptr_array_add (loop->dead, memory);
}

static int wait_events (SimLoop *loop, struct epoll_event *events, int max_wait_ms)
{
  gint64 wait_us = (gint64) max_wait_ms * 1000;
  if (loop->heap->len > 1) {
    double until = (double) (heap_at (loop, 1)->due - loop->now) / loop->scale;
    wait_us = (gint64) CLAMP (ceil (until), 0.0, (double) wait_us);
  }
  struct timespec wait
      = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
  int n = epoll_pwait2 (loop->epoll, events, EVENTS_PER_TURN, &wait, NULL);
  if (n < 0 && errno == ENOSYS) /* before Linux 5.11 */
    n = epoll_wait (loop->epoll, events, EVENTS_PER_TURN, (int) ((wait_us + 999) / 1000));
  if (n == 0)
    note_lag (loop, g_get_monotonic_time () - loop->real - wait_us);
  return n;
}

static int step (SimLoop *loop, struct epoll_event *events)
{
  const struct timespec wait = {.tv_nsec = STEP_WAIT_NS};
  int n = epoll_wait (loop->epoll, events, EVENTS_PER_TURN, 0);

  while (n == 0 && !loop->settled (loop->settled_data))
    n = epoll_pwait2 (loop->epoll, events, EVENTS_PER_TURN, &wait, NULL);
  if (n == 0 && loop->heap->len > 1) {
    loop->now = MAX (loop->now, heap_at (loop, 1)->due);
    loop->real = loop->base + (gint64) ((double) loop->now / loop->scale);
  }
  return n;
}

void loop_turn (SimLoop *loop, int max_wait_ms)
{
  struct epoll_event events[EVENTS_PER_TURN];

  refresh_clock (loop);
  int n = loop->settled != NULL ? step (loop, events)
                                : wait_events (loop, events, max_wait_ms);
  refresh_clock (loop);
  for (int i = 0; i < n; i++) {
    SimWatch *watch = events[i].data.ptr;
    if (watch->fd >= 0)
      watch->func (watch->data, events[i].events);
  }
  run_timers (loop);
  if (loop->settled == NULL)
    note_lag (loop, g_get_monotonic_time () - loop->real);
  g_ptr_array_set_size (loop->dead, 0);
}

void loop_run (SimLoop *loop)
{
  while (!loop->quit)
    loop_turn (loop, 1000);
}

void loop_quit (SimLoop *loop)
{
  loop->quit = TRUE;
}

gboolean loop_quitting (const SimLoop *loop)
{
  return loop->quit;
}
