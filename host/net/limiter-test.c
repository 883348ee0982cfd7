/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Buckets and limits per address: the vector of gateway 2.3 and its edges. */
#include "net/limiter.h"

static void test_vector (void)
{
  ChBucket bucket;
  gint64 now = 1000000;

  ch_bucket_init (&bucket, 10, 20, now);
  for (guint i = 0; i < 20; i++)
    g_assert_true (ch_bucket_take (&bucket, 1, now));
  g_assert_false (ch_bucket_take (&bucket, 1, now));
  g_assert_cmpint (ch_bucket_wait_us (&bucket, 1, now), ==, 100000);
  now += 150000;
  g_assert_true (ch_bucket_take (&bucket, 1, now));
  g_assert_false (ch_bucket_take (&bucket, 1, now));
  g_assert_cmpint (ch_bucket_wait_us (&bucket, 1, now), ==, 50000);
  now += 50000;
  g_assert_cmpint (ch_bucket_wait_us (&bucket, 1, now), ==, 0);
  g_assert_true (ch_bucket_take (&bucket, 1, now));
  /* Not more than its size, however long it rests; time does not go back. */
  now += (gint64) G_USEC_PER_SEC * 3600;
  g_assert_false (ch_bucket_take (&bucket, 21, now));
  g_assert_true (ch_bucket_take (&bucket, 20, now));
  g_assert_false (ch_bucket_take (&bucket, 1, now - (gint64) G_USEC_PER_SEC * 60));
}

/* Refilled in many small steps it gives what it gives in one. */
static void test_small_steps (void)
{
  ChBucket bucket;
  guint passed = 0;

  ch_bucket_init (&bucket, 7, 1, 0);
  for (gint64 now = 0; now <= 10 * G_USEC_PER_SEC; now += 997)
    passed += ch_bucket_take (&bucket, 1, now) ? 1 : 0;
  g_assert_cmpuint (passed, >=, 70);
  g_assert_cmpuint (passed, <=, 71);
}

static void test_change (void)
{
  ChBucket bucket;
  ch_bucket_init (&bucket, 100, 200, 0);
  ch_bucket_set (&bucket, 10, 20, 0);
  g_assert_false (ch_bucket_take (&bucket, 21, 0));
  g_assert_true (ch_bucket_take (&bucket, 20, 0));
  ch_bucket_set (&bucket, 0, 20, 0);
  g_assert_cmpint (ch_bucket_wait_us (&bucket, 1, 0), ==, G_MAXINT64);
}

static void test_pace (void)
{
  ChPace pace = ch_pace (10, 20);
  gint64 state = 0, now = 77000000;

  for (guint i = 0; i < 20; i++) {
    g_assert_cmpint (ch_pace_wait_us (pace, state, 1, now), ==, 0);
    ch_pace_take (pace, &state, 1, now);
  }
  g_assert_cmpint (ch_pace_wait_us (pace, state, 1, now), ==, 100000);
  now += 150000;
  g_assert_cmpint (ch_pace_wait_us (pace, state, 1, now), ==, 0);
  ch_pace_take (pace, &state, 1, now);
  g_assert_cmpint (ch_pace_wait_us (pace, state, 1, now), ==, 50000);

  /* On credit: 40 at once on a full bucket of 20 is 20 tokens of debt. */
  state = 0;
  ch_pace_take (pace, &state, 40, now);
  g_assert_cmpint (ch_pace_wait_us (pace, state, 0, now), ==, 2000000);
  g_assert_cmpint (ch_pace_wait_us (pace, state, 0, now + 2000000), ==, 0);

  g_assert_cmpint (ch_pace (0, 20).interval_ns, ==, 0);
}

static void test_addresses (void)
{
  ChAddressLimits *limits = ch_address_limits_new ();
  gint64 now = 0;

  for (guint i = 0; i < 100; i++) /* off */
    g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==,
                     CH_ADDRESS_OK);

  ch_address_limits_set (limits, 5, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==,
                     CH_ADDRESS_OK);
  g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==,
                   CH_ADDRESS_CONNS);
  g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.2", now), ==, CH_ADDRESS_OK);
  ch_address_limits_leave (limits, "10.0.0.1");
  g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==, CH_ADDRESS_OK);
  for (guint i = 0; i < 5; i++) { /* the burst is twice the rate: 10 attempts in all */
    ch_address_limits_leave (limits, "10.0.0.1");
    g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==,
                     CH_ADDRESS_OK);
  }
  ch_address_limits_leave (limits, "10.0.0.1");
  g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==,
                   CH_ADDRESS_RATE);
  now += 200000;
  g_assert_cmpint (ch_address_limits_enter (limits, "10.0.0.1", now), ==, CH_ADDRESS_OK);
  ch_address_limits_leave (limits, "10.9.9.9"); /* never seen */
  ch_address_limits_free (limits);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/limiter/vector", test_vector);
  g_test_add_func ("/net/limiter/small-steps", test_small_steps);
  g_test_add_func ("/net/limiter/change", test_change);
  g_test_add_func ("/net/limiter/pace", test_pace);
  g_test_add_func ("/net/limiter/addresses", test_addresses);
  return g_test_run ();
}
