/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charges on the wire: start, repeats, progress, stop, end, cards, fees (bkv 16.3
 * to 16.5). */
#include "fake-server.h"

#include <string.h>

static void assert_same (const guint8 *a, const guint8 *b, gsize size)
{
  g_assert_cmpint (memcmp (a, b, size), ==, 0);
}

static const BkvPort *await_status (FakePair *f, guint port)
{
  const FakeFrame *frame = fake_await (f->server, BKV_STATUS_REPORT);
  return &frame->frame.items.sockets[0].ports[port];
}

/* The sequence of the captured device: bkv 14.1. */
static void test_by_time (FakePair *f, gconstpointer args)
{
  fake_start (f->server, 1, 0, 1);
  gint64 sent = loop_now (f->sim->loop);
  const FakeFrame *ack = fake_await (f->server, BKV_CONTROL_ACK);
  g_assert_cmpuint (ack->frame.msg_id, ==, f->server->serial);
  g_assert_cmpuint (ack->frame.control_ack.result, ==, 1);
  g_assert_cmpuint (ack->frame.control_ack.business_no, ==, 1);
  g_assert_cmpint (ack->at - sent, >=, SIM_SECOND);
  const BkvPort *port = await_status (f, 0);
  g_assert_cmphex (port->status, ==, 0x90);
  g_assert_cmpuint (port->business_no, ==, 1);
  g_assert_cmpuint (port->power, ==, 4);
  g_assert_cmpuint (port->current, ==, 42);
  const FakeFrame *end = fake_await (f->server, BKV_CHARGE_END);
  g_assert_cmpint (end->at - ack->at, >=, 60 * SIM_SECOND);
  g_assert_cmpint (end->at - ack->at, <=, 62 * SIM_SECOND);
  g_assert_cmpuint (end->frame.msg_id, ==, 0);
  g_assert_cmphex (end->frame.end.status, ==, 0xB0);
  g_assert_cmpuint (end->frame.end.business_no, ==, 1);
  g_assert_cmpuint (end->frame.end.duration, ==, 1);
  g_assert_cmpuint (end->frame.end.energy, ==, 1);
  const FakeFrame *status = fake_await (f->server, BKV_STATUS_REPORT);
  g_assert_cmpint (status->at - end->at, >=, SIM_SECOND);
  g_assert_cmphex (status->frame.items.sockets[0].ports[0].status, ==, 0x80);
  g_assert_cmpuint (status->frame.items.sockets[0].ports[0].business_no, ==, 0);
  g_assert_cmpuint (f->sim->counters.ends_acked, ==, 1);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
}

/* Each start shows in a report of its own, however near another report is. */
static void test_two_starts (FakePair *f, gconstpointer args)
{
  fake_pass (f->server, 299); /* the periodic report comes soon */
  fake_start (f->server, 1, 0, 60);
  fake_pass (f->server, 0.6);
  fake_start (f->server, 1, 1, 60);
  fake_pass (f->server, 10);
  guint reports = 0, first = 0, both = 0;
  for (; f->server->next < f->server->frames->len; f->server->next++) {
    const FakeFrame *frame = f->server->frames->pdata[f->server->next];
    const BkvSocket *socket = &frame->frame.items.sockets[0];
    if (frame->frame.kind != BKV_STATUS_REPORT || socket->socket != 1)
      continue;
    reports++;
    first += socket->ports[0].status == 0x90 && socket->ports[1].status == 0x80;
    both += socket->ports[0].status == 0x90 && socket->ports[1].status == 0x90;
  }
  g_assert_cmpuint (reports, ==, 3);
  g_assert_cmpuint (first, >=, 1);
  g_assert_cmpuint (both, >=, 1);
}

static void test_repeat (FakePair *f, gconstpointer args)
{
  BkvFrame start;

  fake_command (f->server, &start, BKV_CONTROL);
  start.control = (BkvControl) {
      .socket = 2, .port = 1, .switch_on = 1, .mode = 0, .minutes = 900, .energy = 500};
  fake_send (f->server, &start);
  const FakeFrame *first = fake_await (f->server, BKV_CONTROL_ACK);
  fake_pass (f->server, 5);
  fake_send (f->server, &start);
  const FakeFrame *again = fake_await (f->server, BKV_CONTROL_ACK);
  g_assert_cmpuint (first->size, ==, again->size);
  assert_same (first->bytes, again->bytes, first->size);
  g_assert_cmpuint (f->sim->counters.starts, ==, 1);
  g_assert_cmpuint (f->sim->counters.commands_repeated, ==, 1);
  /* Another serial is another command, and the outlet is taken. */
  fake_pass (f->server, 1);
  start.msg_id++;
  fake_send (f->server, &start);
  g_assert_cmpuint (fake_await (f->server, BKV_CONTROL_ACK)->frame.control_ack.result, ==,
                    0);
  g_assert_cmpuint (f->sim->counters.starts, ==, 1);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
}

static void test_no_dedup (FakePair *f, gconstpointer args)
{
  fake_start (f->server, 1, 0, 10);
  f->server->serial--;
  g_assert_cmpuint (fake_await (f->server, BKV_CONTROL_ACK)->frame.control_ack.result, ==,
                    1);
  fake_pass (f->server, 5);
  fake_start (f->server, 1, 0, 10);
  g_assert_cmpuint (fake_await (f->server, BKV_CONTROL_ACK)->frame.control_ack.result, ==,
                    0);
}

static void test_refused (FakePair *f, gconstpointer args)
{
  const BkvControl wrong[] = {
      {.socket = 9, .port = 0, .switch_on = 1, .mode = 1, .minutes = 10},
      {.socket = 1, .port = 2, .switch_on = 1, .mode = 1, .minutes = 10},
      {.socket = 1, .port = 0, .switch_on = 1, .mode = 1, .minutes = 0},
      {.socket = 1, .port = 0, .switch_on = 1, .mode = 1, .minutes = 901},
      {.socket = 1, .port = 0, .switch_on = 1, .mode = 0, .minutes = 900},
      {.socket = 1, .port = 0, .switch_on = 0, .mode = 1},
      {.socket = 2, .port = 0, .switch_on = 1, .mode = 1, .minutes = 10},
      {.socket = 1, .port = 1, .switch_on = 1, .mode = 1, .minutes = 10},
  };
  g_autoptr (GString) out = g_string_new (NULL);

  g_assert_true (console_execute (f->sim, "offline #1 2", out));
  g_assert_cmphex (await_status (f, 0)->status, ==, 0x00);
  g_assert_true (console_execute (f->sim, "fault #1 1 B over-current", out));
  g_assert_cmphex (await_status (f, 1)->status, ==, 0x82);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    BkvFrame frame;
    fake_command (f->server, &frame, BKV_CONTROL);
    frame.control = wrong[i];
    fake_send (f->server, &frame);
    const FakeFrame *ack = fake_await (f->server, BKV_CONTROL_ACK);
    g_assert_cmpuint (ack->frame.control_ack.result, ==, 0);
    g_assert_cmpuint (ack->frame.control_ack.business_no, ==, 0);
    fake_pass (f->server, 1);
  }
  g_assert_cmpuint (f->sim->counters.starts, ==, 0);
}

static void test_steps_query_stop (FakePair *f, gconstpointer args)
{
  BkvFrame frame;

  fake_command (f->server, &frame, BKV_POWER_START);
  frame.power_start.socket = 1;
  frame.power_start.port = 1;
  frame.power_start.switch_on = 1;
  frame.power_start.amount = 100;
  frame.power_start.n_levels = 2;
  frame.power_start.levels[0] = (BkvStep) {1000, 60, 60};
  frame.power_start.levels[1] = (BkvStep) {3000, 120, 60};
  fake_send (f->server, &frame);
  const FakeFrame *ack = fake_await (f->server, BKV_POWER_START_ACK);
  g_assert_cmpuint (ack->frame.control_ack.result, ==, 1);
  guint16 number = ack->frame.control_ack.business_no;
  fake_pass (f->server, 605);

  fake_command (f->server, &frame, BKV_QUERY_SOCKET);
  frame.socket_no.socket = 1;
  fake_send (f->server, &frame);
  const FakeFrame *state = fake_await (f->server, BKV_SOCKET_STATE);
  const BkvPort *port = &state->frame.socket_state.ports[1];
  g_assert_cmphex (state->frame.sub, ==, 0x1C);
  g_assert_cmphex (port->status, ==, 0x90);
  g_assert_cmpuint (port->business_no, ==, number);
  g_assert_cmpuint (port->power, ==, 1200);
  g_assert_cmpuint (port->duration, ==, 10);
  g_assert_cmpuint (port->energy, ==, 19);
  g_assert_cmphex (state->frame.socket_state.ports[0].status, ==, 0x80);

  fake_pass (f->server, 1);
  fake_stop (f->server, 1, 1);
  ack = fake_await (f->server, BKV_CONTROL_ACK);
  g_assert_cmpuint (ack->frame.control_ack.result, ==, 1);
  g_assert_cmpuint (ack->frame.control_ack.business_no, ==, number);
  const FakeFrame *end = fake_await (f->server, BKV_POWER_CHARGE_END);
  g_assert_cmpint (end->at - ack->at, >=, 250 * SIM_MS);
  g_assert_cmpuint (end->frame.end.n_levels, ==, 5);
  g_assert_cmpuint (end->frame.end.levels[0], ==, 0);
  g_assert_cmpuint (end->frame.end.levels[1], ==, 9);
  g_assert_cmpuint (end->frame.end.amount, ==, 18);
  g_assert_cmpuint (end->frame.end.settle_power, ==, 1200);
  g_assert_cmpuint (end->frame.end.reason, ==, 1);
  g_assert_cmphex (end->frame.end.status, ==, 0x90);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
}

static void test_fees (FakePair *f, gconstpointer args)
{
  BkvFrame frame;
  BkvItems *items = &frame.items;

  fake_command (f->server, &frame, BKV_FEE_START);
  BKV_SET (items, ITEM, socket, 1);
  BKV_SET (items, ITEM, port, 0);
  BKV_SET (items, ITEM, switch_on, 1);
  BKV_SET (items, ITEM, mode, 4);
  BKV_SET (items, ITEM, fee_amount, 10);
  BKV_SET (items, ITEM, fee_type, 1);
  BKV_SET (items, ITEM, fee_levels, 1);
  items->has |= G_GUINT64_CONSTANT (1) << BKV_ITEM_fee_periods;
  items->n_fee_periods = 1;
  items->fee_periods[0] = (BkvFeePeriod) {23, 58, 50, 50};
  fake_send (f->server, &frame);
  g_assert_cmpuint (fake_await (f->server, BKV_FEE_START_ACK)->frame.items.result, ==, 0);
  fake_pass (f->server, 1);
  frame.msg_id = ++f->server->serial;
  frame.bkv_seq = frame.msg_id;
  items->fee_periods[0].end_min = 59;
  fake_send (f->server, &frame);
  const FakeFrame *ack = fake_await (f->server, BKV_FEE_START_ACK);
  g_assert_cmpuint (ack->frame.items.result, ==, 1);
  g_assert_cmpuint (ack->frame.bkv_seq, ==, frame.msg_id);
  const FakeFrame *end = fake_await (f->server, BKV_FEE_CHARGE_END);
  g_assert_cmpuint (end->frame.items.business_no, ==, ack->frame.items.business_no);
  /* 10 cent at twice 50 cent a kilowatt-hour. */
  g_assert_cmpuint (end->frame.items.energy, >=, 100);
  g_assert_cmpuint (end->frame.items.energy, <=, 121);
  g_assert_cmpuint (end->frame.items.electricity_amount + end->frame.items.service_amount,
                    ==, 10);
  g_assert_cmpuint (end->frame.items.n_fee_usage, ==, 1);
  fake_pass (f->server, 1);
  g_assert_cmpuint (f->sim->counters.ends_acked, ==, 1);
}

static void test_no_load (FakePair *f, gconstpointer args)
{
  g_autoptr (GString) out = g_string_new (NULL);

  fake_start (f->server, 1, 0, 60);
  await_status (f, 0);
  fake_pass (f->server, 100);
  g_assert_true (console_execute (f->sim, "unplug #1 1 A", out));
  g_assert_cmphex (await_status (f, 0)->status, ==, 0x98);
  const FakeFrame *end = fake_await (f->server, BKV_CHARGE_END);
  g_assert_cmphex (end->frame.end.status, ==, 0x98);
  g_assert_cmpuint (end->frame.end.duration, ==, 3);
}

static void test_faults (FakePair *f, gconstpointer args)
{
  g_autoptr (GString) out = g_string_new (NULL);

  fake_start (f->server, 1, 0, 60);
  await_status (f, 0);
  g_assert_true (console_execute (f->sim, "fault #1 1 A over-temp", out));
  g_assert_cmphex (fake_await (f->server, BKV_CHARGE_END)->frame.end.status, ==, 0x94);
  g_assert_cmphex (await_status (f, 0)->status, ==, 0x84);
  g_assert_true (console_execute (f->sim, "fault #1 1 A clear", out));
  g_assert_cmphex (await_status (f, 0)->status, ==, 0x80);

  g_assert_true (console_execute (f->sim, "fault #1 1 A relay-stuck", out));
  fake_start (f->server, 1, 0, 5);
  fake_await (f->server, BKV_CONTROL_ACK);
  fake_pass (f->server, 20);
  fake_stop (f->server, 1, 0);
  g_assert_cmpuint (fake_await (f->server, BKV_CONTROL_ACK)->frame.control_ack.result, ==,
                    1);
  g_assert_cmphex (fake_await (f->server, BKV_CHARGE_END)->frame.end.status, ==, 0xB0);

  fake_pass (f->server, 5);
  f->server->no_events = TRUE;
  g_assert_true (console_execute (f->sim, "event #1 2 3 4 5", out));
  const FakeFrame *event = fake_await (f->server, BKV_EVENT_REPORT);
  g_assert_cmpuint (event->frame.items.port_b_event, ==, 5);
  fake_pass (f->server, 100);
  g_assert_cmpuint (fake_count (f->server, BKV_EVENT_REPORT), ==, 2);
}

static void answer_card (FakePair *f, const FakeFrame *swipe, guint8 on)
{
  BkvFrame frame;

  fake_command (f->server, &frame, BKV_CARD_CHARGE);
  frame.card_charge.socket = swipe->frame.card_swipe.socket;
  frame.card_charge.port = swipe->frame.card_swipe.port;
  frame.card_charge.business_no = swipe->frame.card_swipe.business_no;
  frame.card_charge.switch_on = on;
  frame.card_charge.mode = 1;
  frame.card_charge.minutes = 10;
  fake_send (f->server, &frame);
}

static void test_card (FakePair *f, gconstpointer args)
{
  g_autoptr (GString) out = g_string_new (NULL);
  static const guint8 card[] = {0x00, 0x00, 0x00, 0x29, 0x83, 0x52};

  g_assert_true (console_execute (f->sim, "swipe #1 1 B 000000298352", out));
  const FakeFrame *first = fake_await (f->server, BKV_CARD_SWIPE);
  assert_same (first->frame.card_swipe.card, card, 6);
  const FakeFrame *again = fake_await (f->server, BKV_CARD_SWIPE);
  g_assert_cmpint (again->at - first->at, >=, 10 * SIM_SECOND);
  answer_card (f, again, 1);
  const FakeFrame *ack = fake_await (f->server, BKV_CARD_ORDER_ACK);
  g_assert_cmpuint (ack->frame.port_result.result, ==, 1);
  g_assert_cmpuint (ack->frame.msg_id, ==, f->server->serial);
  const FakeFrame *balance = fake_await (f->server, BKV_BALANCE_QUERY);
  assert_same (balance->frame.balance.card, card, 6);
  const FakeFrame *end = fake_await (f->server, BKV_CARD_CHARGE_END);
  assert_same (end->frame.end.card, card, 6);
  g_assert_cmpuint (end->frame.end.business_no, ==, first->frame.card_swipe.business_no);
  g_assert_cmpuint (end->frame.end.mode, ==, 1);
  g_assert_cmpuint (end->frame.end.duration, ==, 10);

  g_assert_true (console_execute (f->sim, "swipe #1 1 B 000000298352", out));
  answer_card (f, fake_await (f->server, BKV_CARD_SWIPE), 0);
  fake_pass (f->server, 60);
  g_assert_cmpuint (fake_count (f->server, BKV_CARD_SWIPE), ==, 0);
  g_assert_cmpuint (fake_count (f->server, BKV_CARD_ORDER_ACK), ==, 0);
  g_assert_cmpuint (f->sim->counters.swipes_refused, ==, 1);
}

/* A charge goes on without the server, and its number comes back with it. */
static void test_offline_charge (FakePair *f, gconstpointer args)
{
  g_autoptr (GString) out = g_string_new (NULL);

  fake_start (f->server, 1, 0, 60);
  fake_await (f->server, BKV_CONTROL_ACK);
  g_assert_true (console_execute (f->sim, "offline #1", out));
  fake_pass (f->server, 1800);
  g_assert_true (console_execute (f->sim, "online #1", out));
  f->server->next = f->server->frames->len;
  const BkvPort *port = await_status (f, 0);
  g_assert_cmphex (port->status, ==, 0x90);
  g_assert_cmpuint (port->duration, ==, 30);
  g_assert_cmpuint (port->business_no, ==, 1);
  g_assert_cmpuint (fake_await (f->server, BKV_CHARGE_END)->frame.end.duration, ==, 60);
}

/* Eight hours, mostly tail, with time running a thousand times faster. */
static void test_scaled (FakePair *f, gconstpointer args)
{
  fake_start (f->server, 1, 0, 900);
  const FakeFrame *end = fake_await (f->server, BKV_CHARGE_END);
  g_assert_cmphex (end->frame.end.status, ==, 0xB0);
  /* 600 Wh at 120 W, ten minutes of tail, two hours below 10 W. */
  g_assert_cmpuint (end->frame.end.energy, >=, 600 + 19);
  g_assert_cmpuint (end->frame.end.energy, <=, 600 + 30);
  g_assert_cmpuint (end->frame.end.duration, ==, 448);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, args, func)                                                            \
  g_test_add ("/sim/charge/" name, FakePair, args, fake_pair_set_up_ready, func,         \
              fake_pair_tear_down)
  ADD ("by-time", NULL, test_by_time);
  ADD ("two-starts", NULL, test_two_starts);
  ADD ("repeat", NULL, test_repeat);
  ADD ("no-dedup", "--variant dedup=off", test_no_dedup);
  ADD ("refused", NULL, test_refused);
  ADD ("steps-query-stop", NULL, test_steps_query_stop);
  ADD ("fees", "--time-scale 10", test_fees);
  ADD ("no-load", NULL, test_no_load);
  ADD ("faults", NULL, test_faults);
  ADD ("card", NULL, test_card);
  ADD ("offline", "--time-scale 10", test_offline_charge);
  ADD ("scaled", "--time-scale 1000 --answer-limit 0 --min-gap 0", test_scaled);
  return g_test_run ();
}
