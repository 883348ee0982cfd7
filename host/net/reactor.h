/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reactor: one epoll set that is one GSource of the main context. Sockets are not
 * GSources (GLib polls every source on every turn), timers are not either: they sit in
 * the wheel, whose timerfd is in the same epoll set. Each turn drains a bounded number
 * of ready descriptors, so no connection and no other source starves.
 */
#pragma once

#include "base/owner.h"

/* A watched descriptor; embed it, zeroed. */
typedef struct _ChWatch ChWatch;
typedef void (*ChWatchFunc) (ChWatch *watch, guint32 events); /* EPOLLIN, … */
struct _ChWatch {
  int fd;
  guint32 events;
  ChWatchFunc func;
  /* private: */
  gboolean added;
  guint32 pending; /* place of its event in this turn, 0 for none */
};

/* Becomes services->reactor. */
ChReactor *ch_reactor_new (ChServices *services, GMainContext *context, GError **error);
void ch_reactor_free (ChReactor *reactor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChReactor, ch_reactor_free)

gboolean ch_reactor_add (ChReactor *reactor, ChWatch *watch, int fd, guint32 events,
                         ChWatchFunc func, GError **error);
void ch_reactor_modify (ChReactor *reactor, ChWatch *watch, guint32 events);
/*
 * Safe inside a callback, also for a watch whose event waits in this turn; idempotent.
 * Does not close the descriptor.
 */
void ch_reactor_remove (ChReactor *reactor, ChWatch *watch);
/*
 * Monotonic microseconds. Inside a turn the time when it began, which costs nothing;
 * else the clock's. For statistics and lazy time-outs, not for arming.
 */
gint64 ch_reactor_now_us (ChReactor *reactor);

/* Runs at the end of the turn, once, before sleeping: gathered writes, deferred work. */
typedef struct _ChDeferred ChDeferred;
struct _ChDeferred {
  ChDeferred *next, *prev;
  void (*func) (ChDeferred *deferred);
  gboolean queued;
};
void ch_reactor_defer (ChReactor *reactor, ChDeferred *deferred); /* idempotent */
void ch_reactor_undefer (ChReactor *reactor, ChDeferred *deferred);

/* Turn statistics for the watchdog and the overload level. */
typedef struct {
  guint64 turns;
  gint64 lag_us;       /* decaying maximum of the length of a turn */
  gint64 last_turn_us; /* monotonic time of the newest turn */
} ChReactorStats;
void ch_reactor_stats (ChReactor *reactor, ChReactorStats *stats);
/* Hears the length of every turn of the main loop, for a histogram. */
void ch_reactor_set_observer (ChReactor *reactor, void (*turn) (gint64 us, gpointer data),
                              gpointer data);

/* ---- the timer wheel -------------------------------------------------------------- */

/* A timer embedded in its object: no allocation, O(1) to arm and cancel. */
typedef struct _ChWheelTimer ChWheelTimer;
struct _ChWheelTimer {
  ChWheelTimer *next, *prev; /* NULL when idle */
  guint64 due;               /* tick */
  void (*func) (ChWheelTimer *timer);
};

static inline gboolean ch_wheel_is_armed (const ChWheelTimer *timer)
{
  return timer->next != NULL;
}

/* Arms or re-arms: fires once, never early, at most 10 ms late plus the turn. */
void ch_wheel_arm (ChReactor *reactor, ChWheelTimer *timer, guint64 delay_ms);
void ch_wheel_cancel (ChReactor *reactor, ChWheelTimer *timer);
/*
 * With a fake clock there is no timerfd and a tick is 1 ms: a test advances the clock,
 * then calls this. Returns: how many timers fired
 */
guint ch_wheel_run (ChReactor *reactor);
/* Milliseconds until the next timer, −1 for none. */
gint64 ch_wheel_next_ms (ChReactor *reactor);

/* Raises the soft limit of descriptors to the hard one. Returns: the limit */
guint64 ch_reactor_raise_fd_limit (void);
/*
 * Moves a descriptor to ≥ 1024, so that low numbers stay free for libraries that use
 * select(). Returns: the new descriptor (the old one is closed), or @fd itself when
 * that is not possible.
 */
int ch_reactor_move_fd (int fd);
