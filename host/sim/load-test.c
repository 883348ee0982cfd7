/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many gateways: two thousand connect, memory per gateway, the load mode, the console. */
#include "fake-server.h"

#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#define MANY 2000
#define DESCRIPTORS (2 * MANY + 200)

static gboolean enough_descriptors (void)
{
  struct rlimit limit;
  return getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= DESCRIPTORS;
}

static void test_many (void)
{
  if (!enough_descriptors ()) {
    g_test_skip ("not enough descriptors");
    return;
  }
  FakeServer *server = fake_new ();
  server->keep = FALSE;
  Sim *sim = fake_sim (server, "--gateways 2000 --sockets 1 --bind-range "
                               "127.0.0.2-127.0.0.5");
  while (sim->n_ready < MANY)
    loop_turn (sim->loop, 10);
  fake_pass (server, 120);
  g_assert_cmpuint (sim->n_ready, ==, MANY);
  g_assert_cmpuint (sim->counters.connects, ==, MANY);
  g_assert_cmpuint (sim->counters.first_answer.n, ==, MANY);
  g_assert_cmpuint (sim->counters.heartbeats_sent, ==, sim->counters.heartbeats_answered);
  g_assert_cmpuint (sim->counters.heartbeats_sent, >=, 2 * MANY);
  g_assert_cmpuint (sim->counters.statuses_answered, ==, MANY);
  g_assert_cmpuint (sim_violations (sim), ==, 0);
  for (guint i = 0; i < MANY; i += 100) { /* idle gateways own no buffers */
    g_assert_null (sim->gateways[i].rest);
    g_assert_null (sim->gateways[i].out);
    g_assert_null (sim->gateways[i].owed);
    g_assert_null (sim->gateways[i].delayed);
  }
  fake_sim_end (server, sim);
  fake_free (server);
}

/* A gateway with ten sockets, all that it owns while idle and while all charge. */
static void test_memory (void)
{
  g_assert_cmpuint (sizeof (SimGateway) + 10 * sizeof (SimSocket), <, 2048);
  g_assert_cmpuint (sizeof (SimCharge), <, 256);
  g_test_message ("gateway %zu, socket %zu, charge %zu bytes", sizeof (SimGateway),
                  sizeof (SimSocket), sizeof (SimCharge));
}

static void test_flood (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, "--heartbeat-flood 80");

  server->keep = FALSE;
  while (sim->flood_answers < 10000)
    loop_turn (sim->loop, 10);
  guint64 in_flight = sim->counters.heartbeats_sent - sim->counters.heartbeats_answered;
  g_assert_cmpuint (in_flight, ==, 80);
  g_assert_cmpuint (sim->counters.answer.n, ==, sim->counters.heartbeats_answered);
  /* A query in between is answered all the same, and none is lost. */
  BkvFrame frame;
  bkv_init (&frame, BKV_QUERY_SOCKET, sim->gateways[0].id, 7);
  frame.socket_no.socket = 1;
  for (guint i = 0; i < 10; i++)
    fake_send (server, &frame);
  guint64 before = sim->flood_answers;
  while (sim->flood_answers < before + 10000)
    loop_turn (sim->loop, 10);
  in_flight = sim->counters.heartbeats_sent - sim->counters.heartbeats_answered;
  g_assert_cmpuint (in_flight, ==, 80);
  fake_sim_end (server, sim);
  fake_free (server);
}

/* The same seed gives the same run, another one does not. */
static guint64 fingerprint (const char *args)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, args);
  guint64 hash = 0;

  fake_pass (server, 2000);
  for (guint i = 0; i < server->frames->len; i++) {
    const FakeFrame *frame = server->frames->pdata[i];
    for (gsize b = 0; b < frame->size; b++)
      if (frame->frame.kind == BKV_STATUS_REPORT)
        hash = hash * 31 + frame->bytes[b];
    hash = hash * 31 + (guint64) (frame->at / SIM_SECOND);
  }
  fake_sim_end (server, sim);
  fake_free (server);
  return hash;
}

static void test_seed (void)
{
  guint64 one = fingerprint ("--seed 1 --rate 1");
  g_assert_cmpuint (one, ==, fingerprint ("--seed 1 --rate 1"));
  g_assert_cmpuint (one, !=, fingerprint ("--seed 2 --rate 1"));
}

static void test_console (void)
{
  static const char *const wrong[] = {
      "fly #1",        "plug",
      "plug #1 1",     "plug #9 1 A",
      "plug #1 7 A",   "plug #1 1 C",
      "plug #1 1 A x", "fault #1 1 A smoke",
      "late #1 -1",    "swipe #1 1 A 12",
      "split #1 1",    "drop 1234567890",
      "wait",          "offline #0",
  };
  static const char *const right[] = {
      "",
      "help",
      "status",
      "status #1",
      "status *",
      "plug * 1 A",
      "plug #1 1 B 80.5 300",
      "unplug 82000000000001 2 a",
      "split #2 4",
      "garbage *",
      "temperature #1 1 30",
      "balance 000000298352",
      "dup *",
      "late * 10",
      "balance #1 1 0 000000298352",
  };
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, "--gateways 2");
  g_autoptr (GString) out = g_string_new (NULL);

  fake_await (server, BKV_STATUS_REPORT);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_test_message ("%s", wrong[i]);
    g_string_truncate (out, 0);
    g_assert_false (console_execute (sim, wrong[i], out));
    g_assert_cmpuint (out->len, >, 3);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (right); i++) {
    g_test_message ("%s", right[i]);
    g_assert_true (console_execute (sim, right[i], out));
  }
  g_assert_cmpuint (sim->gateways[0].sockets[0].outlets[1].power_dw, ==, 805);
  g_assert_false (sim->gateways[0].sockets[1].outlets[0].plugged);
  g_assert_true (console_execute (sim, "status", out));
  g_assert_nonnull (strstr (out->str, "nothing plugged in"));
  fake_pass (server, 60);
  g_assert_cmpuint (server->errors, >=, 1);
  g_assert_true (console_execute (sim, "quit", out));
  g_assert_true (loop_quitting (sim->loop));
  fake_sim_end (server, sim);
  fake_free (server);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/load/many", test_many);
  g_test_add_func ("/sim/load/memory", test_memory);
  g_test_add_func ("/sim/load/flood", test_flood);
  g_test_add_func ("/sim/load/seed", test_seed);
  g_test_add_func ("/sim/load/console", test_console);
  return g_test_run ();
}
