/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wheel against a model, and timers of plugins. */
#include "net/reactor-private.h"

#include <chargehost/clock.h>

typedef struct {
  ChServices services;
  GMainContext *context;
} World;

static void world_open (World *world, gboolean fake)
{
  g_autoptr (GError) error = NULL;
  *world = (World) {0};
  world->services.clock = fake ? ch_clock_new_fake (1700000000000) : ch_clock_new ();
  world->services.runner = ch_runner_new ();
  world->context = g_main_context_new ();
  ch_reactor_new (&world->services, world->context, &error);
  g_assert_no_error (error);
}

static void world_close (World *world)
{
  ch_reactor_free (world->services.reactor);
  g_assert_null (world->services.reactor);
  g_main_context_unref (world->context);
  ch_runner_free (world->services.runner);
  ch_clock_free (world->services.clock);
}

/* ---- random arms and cancels against a model -------------------------------------- */

#define N_TIMERS 400

typedef struct {
  ChWheelTimer timer;
  gint64 due_us; /* of the model; 0 = idle */
  gboolean fired;
  World *world;
} Modelled;

static void modelled_fired (ChWheelTimer *timer)
{
  Modelled *m = (Modelled *) timer;
  gint64 now_us = ch_clock_monotonic_us (m->world->services.clock);
  g_assert_cmpint (m->due_us, !=, 0);
  g_assert_cmpint (now_us, >=, m->due_us); /* never early */
  m->due_us = 0;
  m->fired = TRUE;
}

static guint64 random_delay (GRand *rand)
{
  switch (g_rand_int_range (rand, 0, 6)) {
  case 0:
    return 0;
  case 1:
    return (guint64) g_rand_int_range (rand, 0, 64);
  case 2:
    return (guint64) g_rand_int_range (rand, 0, 5000);
  case 3:
    return (guint64) g_rand_int_range (rand, 0, 300000);
  case 4:
    return (guint64) g_rand_int_range (rand, 0, 86400000);
  default:
    return (guint64) g_rand_int_range (rand, 0, G_MAXINT32) * 2; /* 49 days */
  }
}

static gint64 random_step (GRand *rand)
{
  switch (g_rand_int_range (rand, 0, 5)) {
  case 0:
    return 0;
  case 1:
    return 1;
  case 2:
    return g_rand_int_range (rand, 0, 1000);
  case 3:
    return g_rand_int_range (rand, 0, 600000);
  default:
    return g_rand_int_range (rand, 0, G_MAXINT32);
  }
}

static void check_next (World *world, const Modelled *all)
{
  gint64 next_us = G_MAXINT64;
  gint64 now_us = ch_clock_monotonic_us (world->services.clock);
  for (guint i = 0; i < N_TIMERS; i++)
    if (all[i].due_us != 0)
      next_us = MIN (next_us, all[i].due_us);
  gint64 expected = next_us == G_MAXINT64 ? -1 : MAX (0, (next_us - now_us) / 1000);
  g_assert_cmpint (ch_wheel_next_ms (world->services.reactor), ==, expected);
}

static void test_model (void)
{
  World world;
  world_open (&world, TRUE);
  g_autofree Modelled *all = g_new0 (Modelled, N_TIMERS);
  g_autoptr (GRand) rand = g_rand_new_with_seed (20240106);
  ChReactor *reactor = world.services.reactor;
  guint fired = 0, counted = 0;

  for (guint i = 0; i < N_TIMERS; i++) {
    all[i].world = &world;
    all[i].timer.func = modelled_fired;
  }
  for (guint round = 0; round < 20000; round++) {
    Modelled *m = &all[g_rand_int_range (rand, 0, N_TIMERS)];
    if (g_rand_int_range (rand, 0, 4) == 0) {
      ch_wheel_cancel (reactor, &m->timer);
      m->due_us = 0;
    } else {
      guint64 delay = random_delay (rand);
      ch_wheel_arm (reactor, &m->timer, delay);
      m->due_us = ch_clock_monotonic_us (world.services.clock) + (gint64) delay * 1000;
    }
    g_assert_true (ch_wheel_is_armed (&m->timer) == (m->due_us != 0));
    if (round % 16 != 0)
      continue;
    ch_clock_advance_ms (world.services.clock, random_step (rand));
    counted += ch_wheel_run (reactor);
    gint64 now_us = ch_clock_monotonic_us (world.services.clock);
    for (guint i = 0; i < N_TIMERS; i++) {
      fired += all[i].fired ? 1 : 0;
      all[i].fired = FALSE;
      /* With ticks of 1 ms nothing that is due waits. */
      g_assert_true (all[i].due_us == 0 || all[i].due_us > now_us);
    }
    check_next (&world, all);
  }
  g_assert_cmpuint (fired, ==, counted);
  g_assert_cmpuint (fired, >, 1000);
  world_close (&world);
}

/* ---- callbacks that arm and cancel ------------------------------------------------ */

typedef struct {
  ChWheelTimer timer;
  World *world;
  ChWheelTimer *victim;
  guint fired;
} Chain;

static void chain_fired (ChWheelTimer *timer)
{
  Chain *chain = (Chain *) timer;
  chain->fired++;
  if (chain->victim != NULL)
    ch_wheel_cancel (chain->world->services.reactor, chain->victim);
  else
    ch_wheel_arm (chain->world->services.reactor, timer, 0);
}

static void test_inside (void)
{
  World world;
  world_open (&world, TRUE);
  ChReactor *reactor = world.services.reactor;
  Chain a = {.timer.func = chain_fired, .world = &world};
  Chain b = {.timer.func = chain_fired, .world = &world};
  Chain again = {.timer.func = chain_fired, .world = &world};
  a.victim = &b.timer; /* whichever is first takes the other away */
  b.victim = &a.timer;

  ch_wheel_arm (reactor, &a.timer, 10);
  ch_wheel_arm (reactor, &b.timer, 10);
  ch_clock_advance_ms (world.services.clock, 9);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 0);
  ch_clock_advance_ms (world.services.clock, 1);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 1);
  g_assert_cmpuint (a.fired + b.fired, ==, 1);

  /* Re-arming without delay is once per run, not for ever. */
  ch_wheel_arm (reactor, &again.timer, 5);
  ch_clock_advance_ms (world.services.clock, 5);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 1);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 1);
  ch_wheel_cancel (reactor, &again.timer);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 0);
  world_close (&world);
}

/* ---- the timerfd ------------------------------------------------------------------ */

typedef struct {
  ChWheelTimer timer;
  gint64 fired_us;
} Real;

static void real_fired (ChWheelTimer *timer)
{
  ((Real *) timer)->fired_us = g_get_monotonic_time ();
}

static void test_real (void)
{
  World world;
  world_open (&world, FALSE);
  ChReactorStats before, after;
  Real soon = {.timer.func = real_fired}, late = {.timer.func = real_fired};
  gint64 begin_us = g_get_monotonic_time ();

  ch_wheel_arm (world.services.reactor, &late.timer, 3600 * 1000);
  ch_wheel_arm (world.services.reactor, &soon.timer, 150);
  ch_reactor_stats (world.services.reactor, &before);
  while (soon.fired_us == 0)
    g_main_context_iteration (world.context, TRUE);
  g_main_context_iteration (world.context, FALSE);
  ch_reactor_stats (world.services.reactor, &after);
  g_assert_cmpint (soon.fired_us - begin_us, >=, 150 * 1000);
  /* Not one turn per tick: only for the timer and for the slots above it. */
  g_assert_cmpuint (after.turns - before.turns, <=, 6);
  g_assert_true (ch_wheel_is_armed (&late.timer));
  ch_wheel_cancel (world.services.reactor, &late.timer);
  world_close (&world);
}

/* ---- timers of plugins ------------------------------------------------------------ */

static void count (ChPlugin *self, gpointer user_data)
{
  (*(guint *) user_data)++;
}

static void test_plugin (void)
{
  World world;
  world_open (&world, TRUE);
  ChReactor *reactor = world.services.reactor;
  g_autoptr (ChPlugin) a = ch_owner_new (&world.services, "a", NULL);
  g_autoptr (ChPlugin) b = ch_owner_new (&world.services, "b", NULL);
  guint fired_a = 0, fired_b = 0;

  ChTimer first = ch_timer_add (a, 100, count, &fired_a);
  ChTimer second = ch_timer_add (a, 200, count, &fired_a);
  ch_timer_add (b, 100, count, &fired_b);
  g_assert_cmpuint (first, !=, 0);
  g_autofree char *text = ch_owner_describe (a);
  g_assert_cmpstr (text, ==, "2 timers");

  ChTimer foreign = second; /* another's handle does nothing */
  ch_timer_cancel (b, &foreign);
  g_assert_cmpuint (foreign, ==, 0);
  ch_clock_advance_ms (world.services.clock, 99);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 0);
  ch_clock_advance_ms (world.services.clock, 1);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 2);
  g_assert_cmpuint (fired_a, ==, 1);
  g_assert_cmpuint (fired_b, ==, 1);

  /* The slot of a timer that fired is used again; its old handle is stale. */
  ChTimer third = ch_timer_add (a, 100, count, &fired_a);
  ch_timer_cancel (a, &first);
  ch_clock_advance_ms (world.services.clock, 100);
  ch_wheel_run (reactor);
  g_assert_cmpuint (fired_a, ==, 3);
  ch_timer_cancel (a, &third);

  ch_timer_add (a, 10, count, &fired_a);
  ch_owner_revoke_all (a);
  ch_clock_advance_ms (world.services.clock, 1000);
  g_assert_cmpuint (ch_wheel_run (reactor), ==, 0);
  g_assert_cmpuint (fired_a, ==, 3);

  ch_timer_add (b, 10, count, &fired_b); /* left behind when the reactor goes */
  world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/wheel/model", test_model);
  g_test_add_func ("/net/wheel/inside", test_inside);
  g_test_add_func ("/net/wheel/real", test_real);
  g_test_add_func ("/net/wheel/plugin", test_plugin);
  return g_test_run ();
}
