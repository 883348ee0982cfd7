/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers: order, time, refusals, owners that stop. */
#include "kv/test-world.h"
#include <chargehost/error.h>

/* ---- answers ------------------------------------------------------------------------
 */

static void test_never_inside (World *world, gconstpointer data)
{
  world_open (world);
  world->at_once = TRUE;
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "x", NULL);
  assert_heard (world, "");
  world_turn (world);
  assert_heard (world, "a=x;");
  ch_kv_commandv (world->caller, NULL, NULL, "GET", "x", NULL); /* nobody listens */
  world_turn (world);
  g_assert_cmpuint (ch_kv_pending (world->services.kv), ==, 0);
}

static void test_order (World *world, gconstpointer data)
{
  world_open (world);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "b", "GET", "2", NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "pop", "BLPOP", "l", "0",
                  NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "c", "GET", "3", NULL);
  world_complete (world, 1, "second");
  world_turn (world);
  assert_heard (world, "");
  world_complete (world, 2, "third");
  world_complete (world, 0, "first");
  world_turn (world);
  assert_heard (world,
                "a=first;b=second;c=third;"); /* the one that blocks keeps nobody */
  world_complete (world, 0, "popped");
  world_turn (world);
  assert_heard (world, "pop=popped;");
}

static void ask_again (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  World *world = ch_plugin_data (self);
  g_string_append (world->heard, "again;");
  ch_kv_commandv (self, ask_again, NULL, "GET", "x", NULL);
}

/* A chain of commands is one step per turn. */
static void test_chain (World *world, gconstpointer data)
{
  world_open (world);
  world->at_once = TRUE;
  ch_kv_commandv (world->caller, ask_again, NULL, "GET", "x", NULL);
  world_turn (world);
  assert_heard (world, "again;");
  world_turn (world);
  assert_heard (world, "again;");
}

static void test_many_callers (World *world, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&world->services, "other", NULL);

  ch_plugin_set_data (other, world);
  world_open (world);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_commandv (other, world_answered, (gpointer) "b", "GET", "2", NULL);
  world_complete (world, 1, "other");
  world_turn (world);
  assert_heard (world, "b=other;");
  world_complete (world, 0, "mine");
  world_turn (world);
  assert_heard (world, "a=mine;");
  ch_owner_free (other);
}

static void test_refusals (World *world, gconstpointer data)
{
  ch_kv_commandv (world->caller, world_answered, (gpointer) "none", "GET", "x", NULL);
  world_turn (world);
  assert_heard (world, "none=!1;"); /* UNAVAILABLE */
  world_open (world);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "sub", "subscribe", "x",
                  NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "multi", "MULTI", NULL);
  ch_kv_command (world->caller, world_answered, (gpointer) "empty", NULL, NULL, 0);
  world_turn (world);
  assert_heard (world, "sub=!5;multi=!5;empty=!5;"); /* USAGE */
  ch_kv_set_queue_max (world->services.kv, 2);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "b", "GET", "2", NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "c", "GET", "3", NULL);
  world_turn (world);
  assert_heard (world, ""); /* its refusal waits for the answers before it */
  world_complete (world, 0, "1");
  world_complete (world, 0, "2");
  world_turn (world);
  assert_heard (world, "a=1;b=2;c=!2;"); /* BUSY */
}

static void test_server_error (World *world, gconstpointer data)
{
  world_open (world);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_run_complete (g_ptr_array_steal_index (world->runs, 0),
                      ch_kv_reply_error ("ERR no"), NULL);
  world_turn (world);
  assert_heard (world, "a=!4ERR no;"); /* SERVER, and the reply */
}

/* ---- time, stopping -----------------------------------------------------------------
 */

static void test_deadline (World *world, gconstpointer data)
{
  world_open (world);
  ch_kv_set_timeout (world->caller, 100);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_commandv (world->caller, world_answered, (gpointer) "pop", "BLPOP", "l", "1",
                  NULL);
  ch_clock_advance_ms (world->services.clock, 90);
  ch_wheel_run (world->services.reactor);
  world_turn (world);
  assert_heard (world, "");
  ch_clock_advance_ms (world->services.clock, 50);
  ch_wheel_run (world->services.reactor);
  world_turn (world);
  assert_heard (world, "a=!3;"); /* TIMEOUT; the other has its own second besides */
  world_assert_told (world, "GET 1; BLPOP l 1; cancel GET 1");
  world_complete (world, 0, "late");
  world_turn (world);
  assert_heard (world, "");
  world_complete (world, 0, "in time");
  world_turn (world);
  assert_heard (world, "pop=in time;");
}

static void test_owner_stops (World *world, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&world->services, "other", NULL);

  ch_plugin_set_data (other, world);
  world_open (world);
  ch_kv_commandv (other, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_commandv (other, world_answered, (gpointer) "pop", "BLPOP", "l", "0", NULL);
  ch_kv_commandv (other, world_answered, (gpointer) "done", "GET", "2", NULL);
  world_complete (world, 2, "2");
  ch_owner_free (other);
  world_assert_told (world, "GET 1; BLPOP l 0; GET 2; cancel GET 1; cancel BLPOP l 0");
  world_complete (world, 0, "1");
  world_complete (world, 0, "x");
  world_turn (world);
  assert_heard (world, "");
  g_assert_cmpuint (ch_kv_pending (world->services.kv), ==, 0);
}

static void stop_owner (ChPlugin *self, const ChKvReply *reply, const GError *error,
                        gpointer user_data)
{
  World *world = ch_plugin_data (self);
  g_string_append (world->heard, "stopped;");
  ch_owner_revoke_all (self);
}

static void test_stops_in_answer (World *world, gconstpointer data)
{
  ChPlugin *other = ch_owner_new (&world->services, "other", NULL);

  ch_plugin_set_data (other, world);
  world_open (world);
  world->at_once = TRUE;
  ch_kv_commandv (other, stop_owner, NULL, "GET", "1", NULL);
  ch_kv_commandv (other, world_answered, (gpointer) "b", "GET", "2", NULL);
  world_turn (world);
  world_turn (world);
  assert_heard (world, "stopped;");
  ch_owner_free (other);
}

static void test_close (World *world, gconstpointer data)
{
  world_open (world);
  g_assert_true (ch_kv_is_up (world->caller));
  ch_kv_commandv (world->caller, world_answered, (gpointer) "a", "GET", "1", NULL);
  ch_kv_close (world->services.kv);
  g_assert_false (ch_kv_is_up (world->caller));
  world_turn (world);
  assert_heard (world, "a=!1;");
}

int main (int argc, char **argv)
{
  static const WorldTest tests[] = {
      {"never-inside", test_never_inside},
      {"order", test_order},
      {"chain", test_chain},
      {"many-callers", test_many_callers},
      {"refusals", test_refusals},
      {"server-error", test_server_error},
      {"deadline", test_deadline},
      {"owner-stops", test_owner_stops},
      {"stops-in-answer", test_stops_in_answer},
      {"close", test_close},
  };

  g_test_init (&argc, &argv, NULL);
  return world_run_tests (tests, G_N_ELEMENTS (tests));
}
