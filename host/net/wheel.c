/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hashed hierarchical timer wheel. */
#include "net/reactor-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_US (10 * 1000)
/* Tests see every millisecond of their own clock. */
#define FAKE_TICK_US 1000
#define TIMERS_PER_LOOK 64

static void ring_init (WheelRing *ring)
{
  ring->next = ring->prev = (ChWheelTimer *) ring;
}

static gboolean ring_is_empty (const WheelRing *ring)
{
  return ring->next == (const ChWheelTimer *) ring;
}

static void ring_append (WheelRing *ring, ChWheelTimer *timer)
{
  timer->next = (ChWheelTimer *) ring;
  timer->prev = ring->prev;
  ring->prev->next = timer;
  ring->prev = timer;
}

static void ring_unlink (ChWheelTimer *timer)
{
  timer->prev->next = timer->next;
  timer->next->prev = timer->prev;
  timer->next = timer->prev = NULL;
}

/* Appends all of @from to @to. */
static void ring_move (WheelRing *from, WheelRing *to)
{
  if (ring_is_empty (from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = (ChWheelTimer *) to;
  to->prev = from->prev;
  ring_init (from);
}

static guint64 wheel_clock (ChReactor *reactor)
{
  return (guint64) (ch_clock_monotonic_us (reactor->services->clock)
                    / reactor->wheel.tick_us);
}

static void insert (Wheel *wheel, ChWheelTimer *timer, WheelRing *past)
{
  if (timer->due <= wheel->now) {
    ring_append (past, timer);
    return;
  }
  guint highest = 63u - (guint) __builtin_clzll (timer->due ^ wheel->now);
  guint level = MIN (highest / WHEEL_BITS, WHEEL_LEVELS - 1);
  guint slot = (guint) (timer->due >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
  ring_append (&wheel->slots[level][slot], timer);
  wheel->used[level] |= G_GUINT64_CONSTANT (1) << slot;
}

/* First slot that is not empty; its first tick is a lower bound of what is in it. */
static gboolean find_next (Wheel *wheel, guint *level, guint *slot, guint64 *tick)
{
  for (guint l = 0; l < WHEEL_LEVELS; l++) {
    while (wheel->used[l] != 0) {
      guint s = (guint) __builtin_ctzll (wheel->used[l]);
      if (ring_is_empty (&wheel->slots[l][s])) { /* all of it was cancelled */
        wheel->used[l] &= ~(G_GUINT64_CONSTANT (1) << s);
        continue;
      }
      guint shift = l * WHEEL_BITS;
      *level = l;
      *slot = s;
      *tick = (wheel->now >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS))
              | (guint64) s << shift;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean is_idle (const Wheel *wheel)
{
  for (guint l = 0; l < WHEEL_LEVELS; l++)
    if (wheel->used[l] != 0)
      return FALSE;
  return ring_is_empty (&wheel->overdue) && ring_is_empty (&wheel->firing);
}

gboolean wheel_has_left (const Wheel *wheel)
{
  return !ring_is_empty (&wheel->firing);
}

/* Fires the ring; FALSE when the time is over before it is empty. */
static gboolean fire (Wheel *wheel, gint64 deadline_us, guint *fired)
{
  while (!ring_is_empty (&wheel->firing)) {
    if (deadline_us != 0 && *fired % TIMERS_PER_LOOK == TIMERS_PER_LOOK - 1
        && reactor_is_late (deadline_us)) {
      return FALSE;
    }
    ChWheelTimer *timer = wheel->firing.next;
    ring_unlink (timer);
    (*fired)++;
    timer->func (timer);
  }
  return TRUE;
}

guint wheel_turn (ChReactor *reactor, gint64 deadline_us)
{
  Wheel *wheel = &reactor->wheel;
  guint64 target = wheel_clock (reactor), tick;
  guint fired = 0, level, slot;

  ring_move (&wheel->overdue, &wheel->firing);
  while (fire (wheel, deadline_us, &fired)) {
    if (!find_next (wheel, &level, &slot, &tick) || tick > target) {
      wheel->now = MAX (wheel->now, target);
      break;
    }
    ring_move (&wheel->slots[level][slot], &wheel->cascade);
    wheel->used[level] &= ~(G_GUINT64_CONSTANT (1) << slot);
    wheel->now = tick;
    while (!ring_is_empty (&wheel->cascade)) {
      ChWheelTimer *timer = wheel->cascade.next;
      ring_unlink (timer);
      insert (wheel, timer, &wheel->firing);
    }
  }
  return fired;
}

static void timerfd_ready (ChWatch *watch, guint32 events)
{
  ChReactor *reactor
      = (ChReactor *) ((char *) watch - G_STRUCT_OFFSET (ChReactor, wheel_watch));
  guint64 times;

  if (read (watch->fd, &times, sizeof times) < 0 && errno == EAGAIN)
    return;
  reactor->wheel.programmed = 0;
  wheel_turn (reactor, g_get_monotonic_time () + TURN_BUDGET_US);
}

void wheel_program (ChReactor *reactor)
{
  Wheel *wheel = &reactor->wheel;
  guint level, slot;
  guint64 tick;

  if (wheel->fd < 0)
    return;
  if (!ring_is_empty (&wheel->overdue))
    tick = wheel->now;
  else if (!find_next (wheel, &level, &slot, &tick))
    return;
  /* Armed too early is one idle turn; it costs less than to arm anew at each cancel. */
  if (wheel->programmed != 0 && wheel->programmed <= tick)
    return;
  gint64 at_us = (gint64) tick * wheel->tick_us;
  struct itimerspec when = {
      .it_value
      = {.tv_sec = at_us / G_USEC_PER_SEC, .tv_nsec = at_us % G_USEC_PER_SEC * 1000},
  };
  if (timerfd_settime (wheel->fd, TFD_TIMER_ABSTIME, &when, NULL) == 0)
    wheel->programmed = tick;
}

gboolean wheel_open (ChReactor *reactor, GError **error)
{
  Wheel *wheel = &reactor->wheel;
  gboolean fake = ch_clock_is_fake (reactor->services->clock);

  for (guint l = 0; l < WHEEL_LEVELS; l++)
    for (guint s = 0; s < WHEEL_SLOTS; s++)
      ring_init (&wheel->slots[l][s]);
  ring_init (&wheel->overdue);
  ring_init (&wheel->firing);
  ring_init (&wheel->cascade);
  wheel->tick_us = fake ? FAKE_TICK_US : TICK_US;
  wheel->now = wheel_clock (reactor);
  if (fake)
    return TRUE;

  wheel->fd = timerfd_create (CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (wheel->fd < 0) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno),
                 "timerfd: %s", g_strerror (errno));
    return FALSE;
  }
  return ch_reactor_add (reactor, &reactor->wheel_watch, wheel->fd, EPOLLIN,
                         timerfd_ready, error);
}

void wheel_close (ChReactor *reactor)
{
  ch_reactor_remove (reactor, &reactor->wheel_watch);
  if (reactor->wheel.fd >= 0)
    close (reactor->wheel.fd);
}

void ch_wheel_arm (ChReactor *reactor, ChWheelTimer *timer, guint64 delay_ms)
{
  Wheel *wheel = &reactor->wheel;
  guint64 tick_us = (guint64) wheel->tick_us;
  guint64 now_us = (guint64) ch_clock_monotonic_us (reactor->services->clock);

  if (ch_wheel_is_armed (timer))
    ring_unlink (timer);
  if (is_idle (wheel)) /* nothing to step over: later slots are found at once */
    wheel->now = MAX (wheel->now, now_us / tick_us);
  delay_ms = MIN (delay_ms, (guint64) G_MAXUINT32);
  timer->due = (now_us + delay_ms * 1000 + tick_us - 1) / tick_us;
  insert (wheel, timer, &wheel->overdue);
}

void ch_wheel_cancel (ChReactor *reactor, ChWheelTimer *timer)
{
  if (ch_wheel_is_armed (timer))
    ring_unlink (timer);
}

guint ch_wheel_run (ChReactor *reactor)
{
  return wheel_turn (reactor, 0);
}

gint64 ch_wheel_next_ms (ChReactor *reactor)
{
  Wheel *wheel = &reactor->wheel;
  guint level, slot;
  guint64 next;

  if (!ring_is_empty (&wheel->overdue) || !ring_is_empty (&wheel->firing))
    return 0;
  if (!find_next (wheel, &level, &slot, &next))
    return -1;
  const WheelRing *ring = &wheel->slots[level][slot];
  next = G_MAXUINT64;
  for (ChWheelTimer *t = ring->next; t != (const ChWheelTimer *) ring; t = t->next)
    next = MIN (next, t->due);
  gint64 left_us
      = (gint64) next * wheel->tick_us - ch_clock_monotonic_us (reactor->services->clock);
  return MAX (0, (left_us + 999) / 1000);
}
