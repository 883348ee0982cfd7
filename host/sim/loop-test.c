/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop: order of timers, scaled and stepped time, descriptors. */
#include "loop.h"

#include <unistd.h>

#define TIMERS 500

typedef struct {
  SimTimer timer;
  SimLoop *loop;
  GArray *fired;
  gint64 due;
} Probe;

static void fired (gpointer data)
{
  Probe *probe = data;
  gint64 now = loop_now (probe->loop);
  g_assert_cmpint (now, >=, probe->due);
  g_array_append_val (probe->fired, probe->due);
}

static gboolean settled (gpointer data)
{
  return TRUE;
}

static void test_order (void)
{
  SimLoop *loop = loop_new (1);
  GArray *order = g_array_new (FALSE, FALSE, sizeof (gint64));
  Probe probes[TIMERS];
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  loop_use_steps (loop, settled, NULL);
  memset (probes, 0, sizeof probes);
  for (int i = 0; i < TIMERS; i++) {
    gint64 delay = g_rand_int_range (rand, 0, 1000000);
    probes[i].loop = loop;
    probes[i].fired = order;
    probes[i].due = loop_now (loop) + delay;
    timer_set (&probes[i].timer, fired, &probes[i]);
    timer_arm (loop, &probes[i].timer, delay);
  }
  for (int i = 0; i < TIMERS; i += 3)
    timer_stop (loop, &probes[i].timer);
  for (int i = 1; i < TIMERS; i += 6) { /* moved */
    probes[i].due = loop_now (loop) + 2000000;
    timer_arm (loop, &probes[i].timer, 2000000);
  }
  while (loop_timers (loop) > 0)
    loop_turn (loop, 10);
  guint stopped = (TIMERS + 2) / 3;
  g_assert_cmpuint (order->len, ==, TIMERS - stopped);
  for (guint i = 1; i < order->len; i++)
    g_assert_cmpint (g_array_index (order, gint64, i - 1), <=,
                     g_array_index (order, gint64, i));
  g_array_unref (order);
  loop_free (loop);
}

/* A timer that re-arms itself at once must not starve the descriptors. */
static void again (gpointer data)
{
  Probe *probe = data;
  timer_arm (probe->loop, &probe->timer, 0);
}

static void readable (gpointer data, guint32 events)
{
  loop_quit (data);
}

static void test_fair (void)
{
  SimLoop *loop = loop_new (1000);
  Probe probe = {.loop = loop};
  int ends[2];

  g_assert_cmpint (pipe (ends), ==, 0);
  SimWatch watch = {.func = readable, .data = loop, .fd = -1};
  g_assert_true (loop_watch (loop, &watch, ends[0], EPOLLIN));
  timer_set (&probe.timer, again, &probe);
  timer_arm (loop, &probe.timer, 0);
  g_assert_cmpint (write (ends[1], "x", 1), ==, 1);
  loop_run (loop);
  g_assert_true (loop_quitting (loop));
  loop_unwatch (loop, &watch);
  g_assert_cmpint (watch.fd, ==, -1);
  close (ends[0]);
  close (ends[1]);
  loop_free (loop);
}

static void test_scale (void)
{
  SimLoop *loop = loop_new (60);

  g_assert_cmpint (loop_scaled (loop, 1000), ==, 60000);
  gint64 real = loop_real (loop);
  gint64 now = loop_now (loop);
  loop_turn (loop, 5);
  gint64 passed = loop_real (loop) - real;
  g_assert_cmpint (passed, >, 0);
  g_assert_cmpint (ABS (loop_now (loop) - now - 60 * passed), <=, 60);
  loop_free (loop);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/loop/order", test_order);
  g_test_add_func ("/sim/loop/fair", test_fair);
  g_test_add_func ("/sim/loop/scale", test_scale);
  return g_test_run ();
}
