/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Circuit breaker (gateway 2.5): closed, open after too many failures, half-open for a
 * few trials. Pure: time is passed in. The listener has one, and so have stores, kv and
 * webhook endpoints.
 */
#pragma once

#include <glib.h>

typedef enum {
  CH_BREAKER_CLOSED = 0,
  CH_BREAKER_HALF_OPEN = 1,
  CH_BREAKER_OPEN = 2,
} ChBreakerState;

typedef struct _ChBreaker ChBreaker;
struct _ChBreaker {
  guint threshold;   /* failures that open it */
  gint64 timeout_us; /* open for so long after the last failure */
  guint trials;      /* at once in half-open; closed after half as many successes */
  void (*changed) (ChBreaker *breaker, gpointer data); /* nullable */
  gpointer data;
  /* read only: */
  ChBreakerState state;
  guint failures;
  guint64 trips;
  /* private: */
  guint successes;
  guint running; /* trials without outcome */
  guint round;   /* counts half-open phases: trials of an older one do not count */
  gint64 failed_us;
  guint32 recent; /* newest 20 outcomes, 1 = failure */
  guint n_recent;
};

void ch_breaker_init (ChBreaker *breaker, guint threshold, gint64 timeout_us,
                      guint trials);
/*
 * Whether a new attempt may be made. @trial: receives 0, or the number to give to
 * ch_breaker_end_trial() if the attempt ends without success or failure.
 */
gboolean ch_breaker_admit (ChBreaker *breaker, gint64 now_us, guint *trial);
void ch_breaker_success (ChBreaker *breaker);
void ch_breaker_failure (ChBreaker *breaker, gint64 now_us);
/* A trial that came to no outcome leaves its place to another. */
void ch_breaker_end_trial (ChBreaker *breaker, guint trial);
void ch_breaker_reset (ChBreaker *breaker);
const char *ch_breaker_state_name (ChBreakerState state);
