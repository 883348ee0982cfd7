/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of the reactor, shared by its files. */
#pragma once

#include "base/clock-private.h"
#include "net/reactor.h"

#include <pthread.h>

/*
 * Levels of 64 slots with one bit each. A timer sits at the level of the highest group
 * of six bits in which its tick differs from the wheel's, so the lowest level that is
 * not empty holds the next ones, and its lowest bit is the next slot.
 */
#define WHEEL_BITS 6
#define WHEEL_SLOTS (1 << WHEEL_BITS)
#define WHEEL_LEVELS 7

/* Head of a ring of timers; begins as ChWheelTimer does. */
typedef struct {
  ChWheelTimer *next, *prev;
} WheelRing;

typedef struct {
  guint64 now; /* tick up to which everything has fired */
  gint64 tick_us;
  guint64 programmed; /* tick of the timerfd, 0 when it is not armed */
  int fd;             /* timerfd, −1 with a fake clock */
  guint64 used[WHEEL_LEVELS];
  WheelRing slots[WHEEL_LEVELS][WHEEL_SLOTS];
  WheelRing overdue; /* armed for a tick that is past: the next run */
  WheelRing firing;  /* left over by a run that took too long */
  WheelRing cascade; /* on the way to lower levels; empty between runs */
} Wheel;

typedef struct _PluginTimer PluginTimer;
typedef struct {
  PluginTimer *timer; /* NULL when it is free */
  guint32 generation;
  guint32 vacant; /* number of the next free one, from 1; 0 for none */
} TimerSlot;
typedef struct _Post Post;

#define EVENTS_MAX 256

typedef struct {
  GSource source;
  ChReactor *reactor;
} ReactorSource;

struct _ChReactor {
  ChServices *services;
  ReactorSource *source;
  gpointer tag;
  int epoll_fd;

  struct epoll_event *events;
  guint n_events, next_event;
  ChDeferred deferred; /* ring head */

  gboolean in_turn;
  gint64 now_us;
  gint64 woke_us; /* when poll returned; 0 while the loop sleeps */
  gint64 decayed_us;
  ChReactorStats stats;
  void (*observer) (gint64 us, gpointer data);
  gpointer observer_data;

  Wheel wheel;
  ChWatch wheel_watch;
  GArray *timers;       /* of TimerSlot, never shrinks */
  guint32 vacant_timer; /* number of the first free one, from 1; 0 for none */
  GPtrArray *streams;   /* of Stream, never shrinks */
  struct _Stream *vacant_streams;
  GHashTable *tls_contexts; /* what was asked for → SSL_CTX; NULL before the first */

  pthread_mutex_t post_lock; /* for posted_first, posted_last, closed */
  Post *posted_first, *posted_last;
  Post *posts; /* taken, being run */
  ChWatch post_watch;
};

/* How long a turn may go on before other sources have theirs. */
#define TURN_BUDGET_US 5000

/* Whether the turn has used up its time; real time also with a fake clock. */
static inline gboolean reactor_is_late (gint64 deadline_us)
{
  return g_get_monotonic_time () >= deadline_us;
}

gboolean wheel_open (ChReactor *reactor, GError **error);
void wheel_close (ChReactor *reactor);
/* Arms the timerfd for the next tick that has something. */
void wheel_program (ChReactor *reactor);
/* Fires what is due, until @deadline_us of real time (0: all). */
guint wheel_turn (ChReactor *reactor, gint64 deadline_us);
gboolean wheel_has_left (const Wheel *wheel);

gboolean posts_open (ChReactor *reactor, GError **error);
void posts_close (ChReactor *reactor);
void posts_run (ChReactor *reactor, gint64 deadline_us);

void timers_close (ChReactor *reactor);
void streams_close (ChReactor *reactor);
