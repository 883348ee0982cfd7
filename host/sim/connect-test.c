/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection state machine (bkv 16.2) against a scripted server. */
#include "fake-server.h"

static void assert_between (gint64 value, double low_s, double high_s)
{
  g_assert_cmpint (value, >=, (gint64) (low_s * (double) SIM_SECOND));
  g_assert_cmpint (value, <=, (gint64) (high_s * (double) SIM_SECOND));
}

static void test_first_minute (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, "--first-id 82241218000382 --iccid 898608551024D1988196 "
                               "--signal 17 --sockets 2");

  const FakeFrame *beat = fake_await (server, BKV_HEARTBEAT);
  gint64 began = beat->at;
  assert_between (began, 2, 2.1);
  g_assert_cmpstr (beat->frame.gateway_id, ==, "82241218000382");
  g_assert_cmpstr (beat->frame.heartbeat.iccid, ==, "898608551024D1988196");
  g_assert_cmpstr (beat->frame.heartbeat.fw, ==, "200.1.17");
  g_assert_cmpuint (beat->frame.heartbeat.signal, ==, 17);
  g_assert_cmpuint (beat->frame.msg_id, ==, 0);

  const FakeFrame *record = fake_await (server, BKV_EVENT_RECORD);
  assert_between (record->at - began, 0.4, 0.45);
  g_assert_cmphex (record->frame.items.record, ==, 0x3111);
  g_assert_cmphex (record->frame.items.port, ==, 0x7F);
  /* Set from the answer, about four seconds earlier. */
  g_assert_cmphex (record->frame.items.time[0], ==, 0x20);
  g_assert_cmphex (record->frame.items.time[5], ==, 0x03);
  g_assert_cmphex (record->frame.items.time[6], ==, 0x32);

  for (guint i = 1; i <= 2; i++) {
    const FakeFrame *status = fake_await (server, BKV_STATUS_REPORT);
    assert_between (status->at - record->at, 0.1 + 0.2 * i, 0.15 + 0.2 * i);
    const BkvSocket *socket = &status->frame.items.sockets[0];
    g_assert_cmpuint (status->frame.items.n_sockets, ==, 1);
    g_assert_cmpuint (socket->socket, ==, i);
    g_assert_cmpuint (socket->n_ports, ==, 2);
    g_assert_cmphex (socket->ports[0].status, ==, 0x80);
    g_assert_cmpuint (socket->ports[1].business_no, ==, 0);
    g_assert_cmpuint (ABS (socket->ports[0].voltage - 2280), <=, 30);
    g_assert_cmpuint (socket->ports[0].power, <=, 2);
  }
  const FakeFrame *next = fake_await (server, BKV_HEARTBEAT);
  assert_between (next->at - began, 58, 62);
  for (guint i = 1; i <= 2; i++) {
    const FakeFrame *status = fake_await (server, BKV_STATUS_REPORT);
    assert_between (status->at - began, 300, 302);
  }
  g_assert_cmpuint (sim_violations (sim), ==, 0);
  fake_sim_end (server, sim);
  fake_free (server);
}

/* 60 s without an answer: hang up, 4 s later again, with another record. */
static void test_unanswered (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, "--answer-limit 0");

  server->silent = TRUE;
  const FakeFrame *beat = fake_await (server, BKV_HEARTBEAT);
  gint64 began = beat->at;
  while (beat->connection == 1)
    beat = fake_await (server, BKV_HEARTBEAT);
  assert_between (beat->at - began, 66, 67);
  server->silent = FALSE;
  g_assert_cmphex (fake_await (server, BKV_EVENT_RECORD)->frame.items.record, ==, 0x3111);
  fake_sim_end (server, sim);
  fake_free (server);
}

static void test_lost_and_back (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, NULL);
  g_autoptr (GString) out = g_string_new (NULL);

  gint64 first = fake_await (server, BKV_STATUS_REPORT)->at;
  g_assert_true (console_execute (sim, "drop * rst", out));
  const FakeFrame *beat = fake_await (server, BKV_HEARTBEAT);
  while (beat->connection == 1)
    beat = fake_await (server, BKV_HEARTBEAT);
  assert_between (beat->at - first, 6, 6.3);
  g_assert_cmphex (fake_await (server, BKV_EVENT_RECORD)->frame.items.record, ==, 0x3112);
  g_assert_cmpuint (sim->counters.connects, ==, 2);
  fake_sim_end (server, sim);
  fake_free (server);
}

/* 4, 8, 16, 32 and then always 60 s between the attempts. */
static void test_back_off (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, NULL);
  SimGateway *gateway = &sim->gateways[0];
  const guint waits[] = {4, 8, 16, 32, 60, 60};

  gateway_close (gateway, SIM_HANG_UP, "test", -1);
  for (gsize i = 0; i < G_N_ELEMENTS (waits); i++) {
    gateway_connect_failed (gateway, "test");
    g_assert_cmpint (gateway->link.due - sim_now (gateway), ==, waits[i] * SIM_SECOND);
  }
  fake_await (server, BKV_HEARTBEAT);
  g_assert_cmpuint (gateway->fails, ==, 0);
  fake_sim_end (server, sim);
  fake_free (server);
}

static void test_half_open_and_power_cut (void)
{
  FakeServer *server = fake_new ();
  Sim *sim = fake_sim (server, "--answer-limit 0");
  g_autoptr (GString) out = g_string_new (NULL);

  fake_await (server, BKV_STATUS_REPORT);
  g_assert_true (console_execute (sim, "halfopen #1", out));
  fake_pass (server, 600);
  g_assert_cmpuint (fake_count (server, BKV_HEARTBEAT), ==, 0);
  g_assert_cmpuint (sim->abandoned->len, ==, 1); /* still open on this side */
  g_assert_true (console_execute (sim, "online #1", out));
  g_assert_cmpuint (fake_await (server, BKV_HEARTBEAT)->connection, ==, 2);
  fake_await (server, BKV_EVENT_RECORD);

  fake_start (server, 1, 0, 60);
  fake_await (server, BKV_CONTROL_ACK);
  fake_pass (server, 600);
  g_assert_true (console_execute (sim, "restart #1 30", out));
  server->next = server->frames->len;
  const FakeFrame *end = fake_await (server, BKV_CHARGE_END);
  g_assert_cmpuint (end->connection, ==, 3);
  g_assert_cmphex (end->frame.end.status, ==, 0x10);
  g_assert_cmpuint (end->frame.end.duration, ==, 10);
  g_assert_cmpuint (end->frame.end.energy, ==, 19);
  fake_sim_end (server, sim);
  fake_free (server);
}

static void test_standalone (void)
{
  FakeServer *server = fake_new ();
  Sim *sim
      = fake_sim (server, "--sockets 0 --variant outlets=1 --variant event-record=off "
                          "--variant periodic=off");

  const FakeFrame *status = fake_await (server, BKV_STATUS_REPORT);
  g_assert_cmpuint (status->frame.items.sockets[0].socket, ==, 0);
  g_assert_cmpuint (status->frame.items.sockets[0].n_ports, ==, 1);
  fake_pass (server, 1000);
  g_assert_cmpuint (fake_count (server, BKV_STATUS_REPORT), ==, 0);
  g_assert_cmpuint (fake_count (server, BKV_EVENT_RECORD), ==, 0);
  g_assert_cmpuint (fake_count (server, BKV_HEARTBEAT), >=, 15);
  fake_sim_end (server, sim);
  fake_free (server);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/connect/first-minute", test_first_minute);
  g_test_add_func ("/sim/connect/unanswered", test_unanswered);
  g_test_add_func ("/sim/connect/lost-and-back", test_lost_and_back);
  g_test_add_func ("/sim/connect/back-off", test_back_off);
  g_test_add_func ("/sim/connect/half-open", test_half_open_and_power_cut);
  g_test_add_func ("/sim/connect/standalone", test_standalone);
  return g_test_run ();
}
