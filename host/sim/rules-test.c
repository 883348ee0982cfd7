/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the simulator says about a server that breaks the rules (bkv 16.9), and the
 * commands that do not charge. */
#include "fake-server.h"

#include <string.h>

static guint64 broken (const FakePair *f, SimRule rule)
{
  return f->sim->counters.rules[rule];
}

static gsize query (FakePair *f, guint32 serial, guint8 socket, guint8 *bytes)
{
  BkvFrame frame;

  bkv_init (&frame, BKV_QUERY_SOCKET, f->sim->gateways[0].id, serial);
  frame.socket_no.socket = socket;
  return bkv_encode (&frame, bytes, BKV_MAX_FRAME);
}

static void test_bad_frames (FakePair *f, gconstpointer args)
{
  guint8 good[BKV_MAX_FRAME], bytes[BKV_MAX_FRAME];
  gsize size = query (f, 5, 1, good);

  memcpy (bytes, good, size);
  bytes[size - 3] ^= 1;
  fake_send_bytes (f->server, bytes, size);
  memcpy (bytes, good, size);
  bytes[size - 1] = 0;
  fake_send_bytes (f->server, bytes, size);
  memcpy (bytes, good, size);
  bytes[3] = 3;
  fake_send_bytes (f->server, bytes, size);
  fake_pass (f->server, 0.1);
  fake_send_bytes (f->server, (const guint8 *) "hello", 5);
  fake_pass (f->server, 0.1);
  memcpy (bytes, good, size);
  bytes[10] = 1;
  bytes[size - 3]++;
  fake_send_bytes (f->server, bytes, size);
  memcpy (bytes, good, size);
  bytes[1] = 0xFE;
  fake_send_bytes (f->server, bytes, size);
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_CHECKSUM), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_TAIL), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_LENGTH), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_GARBAGE), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_DIRECTION), ==, 2);
  g_assert_cmpuint (fake_count (f->server, BKV_SOCKET_STATE), ==, 0);
  /* After all that a good one is understood, in pieces too. */
  for (gsize i = 0; i < size; i++) {
    fake_send_bytes (f->server, good + i, 1);
    fake_pass (f->server, 0.01);
  }
  fake_await (f->server, BKV_SOCKET_STATE);
}

static void test_answers (FakePair *f, gconstpointer args)
{
  BkvFrame frame;
  guint8 bytes[BKV_MAX_FRAME];
  static const guint8 confirmation[] = {0x00, 0x02, 0x0F, 0x01, 0x01};

  bkv_init (&frame, BKV_QUERY_SOCKET, f->sim->gateways[0].id, 77);
  gsize size = bkv_wrap (&frame, confirmation, sizeof confirmation, bytes, sizeof bytes);
  fake_send_bytes (f->server, bytes, size);
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_ANSWERED_ANSWER), ==, 1);

  bkv_init (&frame, BKV_PARAM_SET, f->sim->gateways[0].id, 78);
  BKV_SET (&frame.items, ITEM, socket, 1);
  BKV_SET (&frame.items, ITEM, result, 1);
  fake_send (f->server, &frame);
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_ANSWERED_ANSWER), ==, 2);

  bkv_init (&frame, BKV_QUERY_SOCKET, f->sim->gateways[0].id, 79);
  frame.sub = 0x55;
  fake_send (f->server, &frame);
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_PAYLOAD), ==, 1);
  /* A frame for somebody else is nobody's fault here. */
  static const guint8 other[] = {1, 2, 3, 4, 5, 6, 7};
  bkv_init (&frame, BKV_QUERY_SOCKET, other, 80);
  frame.socket_no.socket = 1;
  fake_send (f->server, &frame);
  fake_pass (f->server, 1);
  g_assert_cmpuint (sim_violations (f->sim), ==, 3);
}

static void test_unanswered (FakePair *f, gconstpointer args)
{
  g_autoptr (GString) out = g_string_new (NULL);

  f->server->no_status = f->server->no_events = f->server->no_ends = TRUE;
  fake_start (f->server, 1, 0, 1);
  fake_await (f->server, BKV_CHARGE_END);
  f->server->silent = TRUE;
  g_assert_true (console_execute (f->sim, "event #1 1", out));
  gateway_heartbeat (&f->sim->gateways[0]);
  g_assert_cmpuint (broken (f, SIM_RULE_END_UNANSWERED), ==, 0);
  fake_pass (f->server, 15);
  g_assert_cmpuint (broken (f, SIM_RULE_HEARTBEAT_UNANSWERED), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_EVENT_UNANSWERED), ==, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_STATUS_UNANSWERED), ==, 2);
  g_assert_cmpuint (broken (f, SIM_RULE_END_UNANSWERED), ==, 1);
}

static void test_serials (FakePair *f, gconstpointer args)
{
  guint8 bytes[BKV_MAX_FRAME];
  BkvFrame frame;

  fake_send_bytes (f->server, bytes, query (f, 0, 1, bytes));
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_SERIAL_ZERO), ==, 1);
  fake_send_bytes (f->server, bytes, query (f, 10, 1, bytes));
  fake_pass (f->server, 1);
  fake_send_bytes (f->server, bytes, query (f, 10, 2, bytes));
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_REPEAT_DIFFERS), ==, 1);
  bkv_init (&frame, BKV_PARAM_QUERY, f->sim->gateways[0].id, 10);
  BKV_SET (&frame.items, ITEM, socket, 1);
  fake_send (f->server, &frame);
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_SERIAL_REUSED), ==, 1);
  /* Twice is right for a query, a third time is not. */
  for (guint i = 0; i < 3; i++) {
    g_assert_cmpuint (broken (f, SIM_RULE_SENDS), ==, 0);
    fake_send_bytes (f->server, bytes, query (f, 11, 1, bytes));
    fake_pass (f->server, 5);
  }
  g_assert_cmpuint (broken (f, SIM_RULE_SENDS), ==, 1);
  g_assert_cmpuint (sim_violations (f->sim), ==, 4);
}

static void test_gap (FakePair *f, gconstpointer args)
{
  guint8 bytes[BKV_MAX_FRAME];

  fake_send_bytes (f->server, bytes, query (f, 10, 1, bytes));
  fake_pass (f->server, 0.2);
  fake_stop (f->server, 1, 0); /* a stop need not wait */
  fake_pass (f->server, 0.3);
  fake_send_bytes (f->server, bytes, query (f, 11, 1, bytes));
  fake_pass (f->server, 0.1);
  g_assert_cmpuint (broken (f, SIM_RULE_GAP), ==, 0);
  fake_send_bytes (f->server, bytes, query (f, 12, 1, bytes));
  fake_pass (f->server, 1);
  g_assert_cmpuint (broken (f, SIM_RULE_GAP), ==, 1);
}

static void test_network_list (FakePair *f, gconstpointer args)
{
  BkvFrame frame;

  fake_command (f->server, &frame, BKV_NET_REFRESH);
  frame.net_refresh.channel = 4;
  frame.net_refresh.n_nodes = 3;
  for (guint8 i = 0; i < 3; i++)
    frame.net_refresh.nodes[i] = (BkvNode) {.socket = (guint8) (i + 2), .mac = {i}};
  fake_send (f->server, &frame);
  gint64 sent = loop_now (f->sim->loop);
  const FakeFrame *ack = fake_await (f->server, BKV_NET_REFRESH_ACK);
  g_assert_cmpuint (ack->frame.result.result, ==, 1);
  g_assert_cmpint (ack->at - sent, >=, 1150 * SIM_MS);
  for (guint i = 2; i <= 4; i++) {
    const FakeFrame *status = fake_await (f->server, BKV_STATUS_REPORT);
    g_assert_cmpuint (status->frame.items.sockets[0].socket, ==, i);
  }
  g_assert_null (socket_find (&f->sim->gateways[0], 1));

  frame.msg_id = ++f->server->serial;
  frame.net_refresh.nodes[2].socket = 2;
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_NET_REFRESH_ACK)->frame.result.result, ==,
                    0);
  g_assert_cmpuint (broken (f, SIM_RULE_LIST_NUMBERS), ==, 1);
  g_assert_cmpuint (f->sim->gateways[0].n_sockets, ==, 3);

  fake_command (f->server, &frame, BKV_NET_ADD);
  frame.node.socket = 9;
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_NET_ADD_ACK)->frame.result.result, ==, 1);
  fake_pass (f->server, 1);
  for (guint8 result = 1; result <= 1; result--) {
    fake_command (f->server, &frame, BKV_NET_DELETE);
    frame.socket_no.socket = 9;
    fake_send (f->server, &frame);
    g_assert_cmpuint (fake_await (f->server, BKV_NET_DELETE_ACK)->frame.result.result, ==,
                      result);
    fake_pass (f->server, 1);
  }
}

static void test_settings (FakePair *f, gconstpointer args)
{
  BkvFrame frame;

  fake_command (f->server, &frame, BKV_PARAM_SET);
  BKV_SET (&frame.items, ITEM, socket, 2);
  BKV_SET (&frame.items, ITEM, full_power, 123);
  BKV_SET (&frame.items, ITEM, temp_limit, 70);
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_PARAM_SET_ACK)->frame.items.result, ==, 1);
  fake_pass (f->server, 1);
  fake_command (f->server, &frame, BKV_PARAM_QUERY);
  BKV_SET (&frame.items, ITEM, socket, 2);
  fake_send (f->server, &frame);
  const BkvItems *items = &fake_await (f->server, BKV_PARAM_QUERY_REPLY)->frame.items;
  g_assert_cmpuint (items->full_power, ==, 123);
  g_assert_cmpuint (items->temp_limit, ==, 70);
  g_assert_cmpuint (items->no_load_power, ==, 8);
  g_assert_true (BKV_HAS (items, ITEM, p9b));
  fake_pass (f->server, 1);

  fake_command (f->server, &frame, BKV_PARAM_SET);
  BKV_SET (&frame.items, ITEM, socket, 2);
  BKV_SET (&frame.items, ITEM, record, 1);
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_PARAM_SET_ACK)->frame.items.result, ==, 0);
  fake_pass (f->server, 1);

  fake_command (f->server, &frame, BKV_SET_VOICE);
  frame.set_voice.socket = 254;
  frame.set_voice.n_periods = 1;
  frame.set_voice.periods[0] = (BkvPeriod) {7, 0, 22, 0};
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_SET_VOICE_ACK)->frame.port_result.result,
                    ==, 1);
  fake_pass (f->server, 1);
  frame.msg_id = ++f->server->serial;
  frame.set_voice.periods[0].end_hour = 24;
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_SET_VOICE_ACK)->frame.port_result.result,
                    ==, 0);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
}

static void test_upgrade (FakePair *f, gconstpointer args)
{
  BkvFrame frame;

  fake_command (f->server, &frame, BKV_OTA_START);
  g_strlcpy (frame.ota_start.file, "GV.8r12.OTA", sizeof frame.ota_start.file);
  frame.ota_start.target = 1;
  fake_send (f->server, &frame);
  const FakeFrame *ack = fake_await (f->server, BKV_OTA_ACK);
  const FakeFrame *beat = fake_await (f->server, BKV_HEARTBEAT);
  while (beat->connection == ack->connection)
    beat = fake_await (f->server, BKV_HEARTBEAT);
  g_assert_cmpint (beat->at - ack->at, >=, 51 * SIM_SECOND);
  g_assert_cmpint (beat->at - ack->at, <=, 53 * SIM_SECOND);
  g_assert_cmpstr (beat->frame.heartbeat.fw, ==, "200.1.18");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                  \
  g_test_add ("/sim/rules/" name, FakePair, NULL, fake_pair_set_up_ready, func,          \
              fake_pair_tear_down)
  ADD ("bad-frames", test_bad_frames);
  ADD ("answers", test_answers);
  ADD ("unanswered", test_unanswered);
  ADD ("serials", test_serials);
  ADD ("gap", test_gap);
  ADD ("network-list", test_network_list);
  ADD ("settings", test_settings);
  ADD ("upgrade", test_upgrade);
  return g_test_run ();
}
