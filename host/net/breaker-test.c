/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every edge between the three states of gateway 2.5. */
#include "net/breaker.h"

#define TIMEOUT (30 * G_USEC_PER_SEC)

static void count (ChBreaker *breaker, gpointer data)
{
  (*(guint *) data)++;
}

static void trip (ChBreaker *breaker, gint64 now)
{
  for (guint i = 0; i < 5; i++)
    ch_breaker_failure (breaker, now);
  g_assert_cmpint (breaker->state, ==, CH_BREAKER_OPEN);
}

static void test_table (void)
{
  ChBreaker breaker;
  guint changes = 0, trial;
  gint64 now = 5;

  ch_breaker_init (&breaker, 5, TIMEOUT, 5);
  breaker.changed = count;
  breaker.data = &changes;

  for (guint i = 0; i < 4; i++) {
    ch_breaker_failure (&breaker, now);
    g_assert_true (ch_breaker_admit (&breaker, now, &trial));
    g_assert_cmpuint (trial, ==, 0);
  }
  ch_breaker_failure (&breaker, now); /* the fifth */
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_OPEN);
  g_assert_cmpuint (breaker.failures, ==, 5);
  g_assert_cmpuint (breaker.trips, ==, 1);

  g_assert_false (ch_breaker_admit (&breaker, now, &trial));
  g_assert_false (ch_breaker_admit (&breaker, now + TIMEOUT, &trial)); /* not more than */
  ch_breaker_success (&breaker); /* of an old connection: no effect */
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_OPEN);

  now += TIMEOUT + 1;
  for (guint i = 0; i < 5; i++) {
    g_assert_true (ch_breaker_admit (&breaker, now, &trial));
    g_assert_cmpint (breaker.state, ==, CH_BREAKER_HALF_OPEN);
    g_assert_cmpuint (trial, !=, 0);
  }
  g_assert_cmpuint (breaker.failures, ==, 0);
  g_assert_false (ch_breaker_admit (&breaker, now, &trial)); /* five trials, no more */
  ch_breaker_success (&breaker);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_HALF_OPEN);
  ch_breaker_success (&breaker);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_CLOSED);
  g_assert_true (ch_breaker_admit (&breaker, now, &trial));
  g_assert_cmpuint (changes, ==, 3);

  trip (&breaker, now);
  now += TIMEOUT + 1;
  g_assert_true (ch_breaker_admit (&breaker, now, &trial));
  ch_breaker_success (&breaker);
  ch_breaker_failure (&breaker, now); /* the first failure opens it again */
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_OPEN);
  g_assert_false (ch_breaker_admit (&breaker, now + TIMEOUT, &trial));

  ch_breaker_reset (&breaker);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_CLOSED);
  g_assert_cmpuint (breaker.failures, ==, 0);
}

/* A failure while open puts the next attempt off. */
static void test_last_failure (void)
{
  ChBreaker breaker;
  guint trial;
  ch_breaker_init (&breaker, 5, TIMEOUT, 5);
  trip (&breaker, 0);
  ch_breaker_failure (&breaker, 20 * G_USEC_PER_SEC);
  g_assert_false (ch_breaker_admit (&breaker, 40 * G_USEC_PER_SEC, &trial));
  g_assert_true (ch_breaker_admit (&breaker, 50 * G_USEC_PER_SEC + 1, &trial));
}

static void test_half_of_twenty (void)
{
  ChBreaker breaker;
  ch_breaker_init (&breaker, 5, TIMEOUT, 5);
  for (guint i = 0; i < 20; i++)
    ch_breaker_success (&breaker);
  for (guint i = 0; i < 9; i++) {
    ch_breaker_failure (&breaker, 0);
    g_assert_cmpint (breaker.state, ==, CH_BREAKER_CLOSED);
  }
  g_assert_cmpuint (breaker.failures, ==, 9); /* more than enough, but 9 of 20 */
  ch_breaker_failure (&breaker, 0);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_OPEN);
}

static void test_hundredth_success (void)
{
  ChBreaker breaker;
  ch_breaker_init (&breaker, 5, TIMEOUT, 5);
  for (guint i = 0; i < 4; i++)
    ch_breaker_failure (&breaker, 0);
  for (guint i = 0; i < 99; i++)
    ch_breaker_success (&breaker);
  g_assert_cmpuint (breaker.failures, ==, 4);
  ch_breaker_success (&breaker);
  g_assert_cmpuint (breaker.failures, ==, 0);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_CLOSED);
}

/* Trials that end without an outcome do not block the door for ever. */
static void test_empty_trials (void)
{
  ChBreaker breaker;
  guint trials[5], trial, old;
  gint64 now = TIMEOUT + 1;

  ch_breaker_init (&breaker, 5, TIMEOUT, 5);
  trip (&breaker, 0);
  for (guint i = 0; i < 5; i++)
    g_assert_true (ch_breaker_admit (&breaker, now, &trials[i]));
  g_assert_false (ch_breaker_admit (&breaker, now, &trial));
  ch_breaker_end_trial (&breaker, trials[0]);
  g_assert_true (ch_breaker_admit (&breaker, now, &trial));
  g_assert_false (ch_breaker_admit (&breaker, now, &trial));

  old = trials[1];
  ch_breaker_failure (&breaker, now);
  now += TIMEOUT + 1;
  for (guint i = 0; i < 5; i++)
    g_assert_true (ch_breaker_admit (&breaker, now, &trials[i]));
  ch_breaker_end_trial (&breaker, old); /* of the round before */
  g_assert_false (ch_breaker_admit (&breaker, now, &trial));
}

/* As stores use it: one trial, closed by one success. */
static void test_one_trial (void)
{
  ChBreaker breaker;
  guint trial;
  ch_breaker_init (&breaker, 5, 5 * G_USEC_PER_SEC, 1);
  trip (&breaker, 0);
  g_assert_true (ch_breaker_admit (&breaker, 5 * G_USEC_PER_SEC + 1, &trial));
  g_assert_false (ch_breaker_admit (&breaker, 5 * G_USEC_PER_SEC + 1, &trial));
  ch_breaker_success (&breaker);
  g_assert_cmpint (breaker.state, ==, CH_BREAKER_CLOSED);
  g_assert_cmpstr (ch_breaker_state_name (breaker.state), ==, "closed");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/breaker/table", test_table);
  g_test_add_func ("/net/breaker/last-failure", test_last_failure);
  g_test_add_func ("/net/breaker/half-of-twenty", test_half_of_twenty);
  g_test_add_func ("/net/breaker/hundredth-success", test_hundredth_success);
  g_test_add_func ("/net/breaker/empty-trials", test_empty_trials);
  g_test_add_func ("/net/breaker/one-trial", test_one_trial);
  return g_test_run ();
}
