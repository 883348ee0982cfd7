/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's own event loop: one epoll set, one heap of timers, one scaled clock.
 * All delays and times here are scaled microseconds: with a scale of 60 a second of the
 * simulated world takes a sixtieth of a real one.
 */
#pragma once

#include <glib.h>
#include <sys/epoll.h>

#define SIM_MS ((gint64) 1000)
#define SIM_SECOND ((gint64) 1000000)

typedef struct SimLoop SimLoop;

typedef void (*SimTimerFunc) (gpointer data);
typedef void (*SimWatchFunc) (gpointer data, guint32 events);

/* Lives inside its owner; all zero is a timer that is not armed. */
typedef struct {
  gint64 due;
  SimTimerFunc func;
  gpointer data;
  guint32 position; /* in the heap, from 1; 0 = not armed */
} SimTimer;

/* Lives inside its owner, which must outlive the turn: see loop_free_later(). */
typedef struct {
  SimWatchFunc func;
  gpointer data;
  int fd; /* -1 = not watched */
} SimWatch;

SimLoop *loop_new (double scale);
void loop_free (SimLoop *loop);

/* For tests: time stands still while anything happens, and jumps to the next timer when
 * nothing does and @settled says that no bytes are under way. No result depends on the
 * speed of the machine then. */
void loop_use_steps (SimLoop *loop, gboolean (*settled) (gpointer data), gpointer data);

/* Scaled time at the beginning of this turn. */
gint64 loop_now (const SimLoop *loop);
/* Monotonic microseconds, not scaled, at the beginning of this turn. */
gint64 loop_real (const SimLoop *loop);
/* How late this side has been lately, in real microseconds: the longest turn, or waking
 * from a wait, of the last seconds. What was measured here may be wrong by that much. */
gint64 loop_lag (const SimLoop *loop);
/* A real interval as a scaled one. */
gint64 loop_scaled (const SimLoop *loop, gint64 real_us);

void timer_set (SimTimer *timer, SimTimerFunc func, gpointer data);
/* Arms or re-arms. */
void timer_arm (SimLoop *loop, SimTimer *timer, gint64 delay);
void timer_stop (SimLoop *loop, SimTimer *timer);
gboolean timer_armed (const SimTimer *timer);
guint loop_timers (const SimLoop *loop);

gboolean loop_watch (SimLoop *loop, SimWatch *watch, int fd, guint32 events);
gboolean loop_rewatch (SimLoop *loop, SimWatch *watch, guint32 events);
/* Leaves the descriptor open. */
void loop_unwatch (SimLoop *loop, SimWatch *watch);
/* Frees when no event of this turn can point to it any more. */
void loop_free_later (SimLoop *loop, gpointer memory);

/* One turn; waits at most @max_wait_ms real milliseconds. */
void loop_turn (SimLoop *loop, int max_wait_ms);
void loop_run (SimLoop *loop);
void loop_quit (SimLoop *loop);
gboolean loop_quitting (const SimLoop *loop);
