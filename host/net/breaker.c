/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/breaker.h"

#include <string.h>

#define RECENT 20
/* Failures long ago are forgotten when so many attempts went well. */
#define SUCCESSES_THAT_CLEAR 100

void ch_breaker_init (ChBreaker *breaker, guint threshold, gint64 timeout_us,
                      guint trials)
{
  memset (breaker, 0, sizeof *breaker);
  breaker->threshold = threshold;
  breaker->timeout_us = timeout_us;
  breaker->trials = trials;
}

static void enter (ChBreaker *breaker, ChBreakerState state)
{
  breaker->state = state;
  if (state != CH_BREAKER_OPEN) {
    breaker->failures = breaker->successes = breaker->running = 0;
    breaker->recent = 0;
    breaker->n_recent = 0;
  }
  if (state == CH_BREAKER_HALF_OPEN)
    breaker->round++;
  if (state == CH_BREAKER_OPEN)
    breaker->trips++;
  if (breaker->changed != NULL)
    breaker->changed (breaker, breaker->data);
}

static void remember (ChBreaker *breaker, gboolean failed)
{
  breaker->recent = (breaker->recent << 1 | (failed ? 1 : 0)) & ((1u << RECENT) - 1);
  if (breaker->n_recent < RECENT)
    breaker->n_recent++;
}

gboolean ch_breaker_admit (ChBreaker *breaker, gint64 now_us, guint *trial)
{
  *trial = 0;
  if (breaker->state == CH_BREAKER_CLOSED)
    return TRUE;
  if (breaker->state == CH_BREAKER_OPEN) {
    if (now_us - breaker->failed_us <= breaker->timeout_us)
      return FALSE;
    enter (breaker, CH_BREAKER_HALF_OPEN);
  }
  if (breaker->running >= breaker->trials)
    return FALSE;
  breaker->running++;
  *trial = breaker->round;
  return TRUE;
}

void ch_breaker_success (ChBreaker *breaker)
{
  if (breaker->state == CH_BREAKER_OPEN)
    return;
  remember (breaker, FALSE);
  breaker->successes++;
  if (breaker->state == CH_BREAKER_HALF_OPEN) {
    if (breaker->successes >= MAX (1, breaker->trials / 2))
      enter (breaker, CH_BREAKER_CLOSED);
  } else if (breaker->successes >= SUCCESSES_THAT_CLEAR) {
    breaker->successes = 0;
    breaker->failures = 0;
  }
}

void ch_breaker_failure (ChBreaker *breaker, gint64 now_us)
{
  breaker->failed_us = now_us;
  breaker->failures++;
  if (breaker->state == CH_BREAKER_OPEN)
    return;
  remember (breaker, TRUE);
  if (breaker->state == CH_BREAKER_HALF_OPEN) {
    enter (breaker, CH_BREAKER_OPEN);
    return;
  }
  /* A few faults among many good connections are no reason to refuse everybody. */
  guint failed = (guint) __builtin_popcount (breaker->recent);
  if (breaker->failures >= breaker->threshold && failed * 2 >= breaker->n_recent)
    enter (breaker, CH_BREAKER_OPEN);
}

void ch_breaker_end_trial (ChBreaker *breaker, guint trial)
{
  if (breaker->state == CH_BREAKER_HALF_OPEN && trial == breaker->round
      && breaker->running > 0)
    breaker->running--;
}

void ch_breaker_reset (ChBreaker *breaker)
{
  if (breaker->state != CH_BREAKER_CLOSED) {
    enter (breaker, CH_BREAKER_CLOSED);
    return;
  }
  breaker->failures = breaker->successes = 0;
  breaker->recent = 0;
  breaker->n_recent = 0;
}

const char *ch_breaker_state_name (ChBreakerState state)
{
  static const char *const names[] = {"closed", "half-open", "open"};
  return names[state];
}
