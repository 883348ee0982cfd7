/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disturbances (bkv 16.8): what each does on the wire, and that all together neither
 * break the simulator nor lose an end report for good. */
#include "fake-server.h"

#include <string.h>

/* The first heartbeat is spoiled; the connection goes on with the next one. */
static void test_spoiled (FakePair *f, gconstpointer args)
{
  fake_await (f->server, BKV_EVENT_RECORD);
  g_assert_cmpuint (f->sim->counters.disturbed, ==, 1);
  /* A length that promises more keeps the server waiting, until the device hangs up. */
  g_assert_true (f->server->errors >= 1 || f->sim->counters.connects == 2);
  g_assert_cmpuint (f->sim->counters.heartbeats_answered, <,
                    f->sim->counters.heartbeats_sent);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
}

static void test_direction (FakePair *f, gconstpointer args)
{
  const FakeFrame *frame = NULL;

  fake_pass (f->server, 2.5);
  for (guint i = 0; i < f->server->frames->len && frame == NULL; i++)
    frame = f->server->frames->pdata[i];
  g_assert_true (frame != NULL && frame->frame.error == BKV_BAD_DIRECTION);
}

static void test_garbage (FakePair *f, gconstpointer args)
{
  fake_pair_ready (f);
  g_assert_cmpuint (f->server->errors, ==, 1);
  g_assert_cmpuint (f->sim->counters.disturbed, ==, 1);
}

/* Cut or joined, the frames are the same. */
static void test_segments (FakePair *f, gconstpointer args)
{
  fake_pair_ready (f);
  fake_pass (f->server, 400);
  g_assert_cmpuint (f->server->errors, ==, 0);
  g_assert_cmpuint (f->sim->counters.disturbed, >, 5);
  g_assert_cmpuint (sim_violations (f->sim), ==, 0);
  guint64 lost = f->sim->counters.frames_up - f->server->frames->len;
  g_assert_cmpuint (lost, <=, 1); /* one may wait for the next */
}

static void test_half_frame (FakePair *f, gconstpointer args)
{
  const FakeFrame *beat = fake_await (f->server, BKV_HEARTBEAT);
  g_assert_cmpuint (beat->connection, ==, 2);
}

static void test_second_connection (FakePair *f, gconstpointer args)
{
  const FakeFrame *first = fake_await (f->server, BKV_HEARTBEAT);
  const FakeFrame *second = fake_await (f->server, BKV_HEARTBEAT);
  while (second->connection == first->connection)
    second = fake_await (f->server, BKV_HEARTBEAT);
  g_assert_cmpuint (f->sim->abandoned->len, ==, 1);
  fake_pair_ready (f);
}

static void test_change_id (FakePair *f, gconstpointer args)
{
  const FakeFrame *first = fake_await (f->server, BKV_HEARTBEAT);
  g_assert_cmpstr (first->frame.gateway_id, ==, "92000000000001");
  const FakeFrame *record = fake_await (f->server, BKV_EVENT_RECORD);
  g_assert_cmpuint (record->connection, ==, 1);
  g_assert_cmpstr (record->frame.gateway_id, ==, "82000000000001");
}

static void test_answers (FakePair *f, gconstpointer args)
{
  fake_pair_ready (f);
  fake_start (f->server, 1, 0, 1);
  gint64 sent = loop_now (f->sim->loop);
  if (strstr (args, "lost") != NULL || strstr (args, "no-answer") != NULL) {
    const FakeFrame *status = fake_await (f->server, BKV_STATUS_REPORT);
    g_assert_cmphex (status->frame.items.sockets[0].ports[0].status, ==, 0x90);
    fake_await (f->server, BKV_CHARGE_END);
    return;
  }
  const FakeFrame *ack = fake_await (f->server, BKV_CONTROL_ACK);
  if (strstr (args, "twice") != NULL) {
    const FakeFrame *again = fake_await (f->server, BKV_CONTROL_ACK);
    g_assert_cmpint (memcmp (ack->bytes, again->bytes, ack->size), ==, 0);
  } else if (strstr (args, "serial") != NULL)
    g_assert_cmpuint (ack->frame.msg_id, !=, f->server->serial);
  else
    g_assert_cmpint (ack->at - sent, >=, 7 * SIM_SECOND);
}

static void test_ends (FakePair *f, gconstpointer args)
{
  fake_pair_ready (f);
  fake_start (f->server, 1, 0, 1);
  guint16 number = fake_await (f->server, BKV_CONTROL_ACK)->frame.control_ack.business_no;
  if (strstr (args, "end-lost") != NULL) {
    fake_pass (f->server, 120);
    g_assert_cmpuint (fake_count (f->server, BKV_CHARGE_END), ==, 0);
    g_assert_cmpuint (f->sim->counters.ends_lost, ==, 1);
    return;
  }
  const FakeFrame *end = fake_await (f->server, BKV_CHARGE_END);
  if (strstr (args, "other") != NULL) {
    g_assert_cmpuint (end->frame.end.business_no, !=, number);
    return;
  }
  fake_pass (f->server, 5);
  fake_start (f->server, 1, 0, 10);
  const FakeFrame *ack = fake_await (f->server, BKV_CONTROL_ACK);
  if (strstr (args, "restart") != NULL) {
    g_assert_cmpuint (ack->frame.control_ack.business_no, ==, 1);
    return;
  }
  const FakeFrame *again = fake_await (f->server, BKV_CHARGE_END);
  g_assert_cmpint (memcmp (end->bytes, again->bytes, end->size), ==, 0);
  g_assert_cmpint (again->at - ack->at, <, 10 * SIM_SECOND);
}

static void test_status (FakePair *f, gconstpointer args)
{
  const FakeFrame *status = fake_await (f->server, BKV_STATUS_REPORT);
  const BkvItems *items = &status->frame.items;
  const BkvSocket *socket = &items->sockets[0];

  g_assert_cmpint (status->frame.error, ==, BKV_OK);
  if (strstr (args, "twin") != NULL) {
    g_assert_cmpuint (items->n_sockets, ==, 2);
    g_assert_cmpuint (items->sockets[1].socket, ==, socket->socket);
  } else if (strstr (args, "empty") != NULL)
    g_assert_cmpuint (items->n_sockets, ==, 0);
  else if (strstr (args, "unknown") != NULL)
    g_assert_cmpuint (status->frame.unknown_tags, ==, 1);
  else
    g_assert_cmpuint (socket->socket, ==, 1);
}

static void test_reverse (FakePair *f, gconstpointer args)
{
  const FakeFrame *record = fake_await (f->server, BKV_EVENT_RECORD);
  g_assert_cmpint (record->frame.error, ==, BKV_OK);
  g_assert_cmphex (record->frame.items.record, ==, 0x3111);
  g_assert_cmphex (record->bytes[18 + 26 + 2], ==, 0x5A); /* the last item comes first */
}

static void test_inner (FakePair *f, gconstpointer args)
{
  fake_pair_ready (f);
  fake_start (f->server, 1, 0, 1);
  if (strstr (args, "large") != NULL) {
    const FakeFrame *ack = fake_await (f->server, BKV_CONTROL_ACK);
    g_assert_true (ack->frame.len_counts_sub);
    g_assert_cmpuint (ack->frame.control_ack.business_no, ==, 1);
    return;
  }
  fake_pass (f->server, 2);
  const FakeFrame *ack = NULL;
  for (guint i = f->server->next; i < f->server->frames->len; i++) {
    const FakeFrame *frame = f->server->frames->pdata[i];
    if (frame->frame.cmd == 0x0015)
      ack = frame;
  }
  g_assert_true (ack != NULL && ack->frame.error == BKV_SHORT_PAYLOAD);
}

/* Everything at once for a few simulated days. */
static void test_all (FakePair *f, gconstpointer args)
{
  Sim *sim = f->sim;

  f->server->keep = FALSE;
  for (guint i = 0; i < 200; i++) {
    if (f->server->peers->len > 0)
      fake_start (f->server, 1 + i % 2, i / 2 % 2, 1 + i % 7);
    fake_pass (f->server, 1200);
  }
  g_assert_cmpuint (sim->counters.starts, >, 60);
  g_assert_cmpuint (sim->counters.disturbed, >, 200);
  g_assert_cmpuint (sim->counters.ends_acked, >, 40);
  for (guint i = 0; i < SIM_DISTURB_N; i++)
    sim->options.disturb[i].probability = 0;
  fake_pass (f->server, 1200);
  g_assert_cmpuint (ends_waiting (&sim->gateways[0]), ==, 0);
  g_assert_cmpuint (sim->counters.ends_acked + sim->counters.ends_lost, ==,
                    sim->counters.ends);
}

static char *everything (void)
{
  GString *text = g_string_new ("--answer-limit 0 --min-gap 0 --time-scale 60");
  for (int i = 0; i < SIM_DISTURB_N; i++)
    g_string_append_printf (text, " --disturb %s=0.03", disturb_name ((SimDisturb) i));
  return g_string_free (text, FALSE);
}

int main (int argc, char **argv)
{
  g_autofree char *all = everything ();

  g_test_init (&argc, &argv, NULL);
#define ADD(name, args, func)                                                            \
  g_test_add ("/sim/disturb/" name, FakePair, args, fake_pair_set_up, func,              \
              fake_pair_tear_down)
  ADD ("checksum", "--disturb bad-checksum=@1", test_spoiled);
  ADD ("tail", "--disturb bad-tail=@1", test_spoiled);
  ADD ("length", "--disturb bad-length=@1", test_spoiled);
  ADD ("direction", "--disturb wrong-direction=@1", test_direction);
  ADD ("garbage", "--disturb garbage=@1", test_garbage);
  ADD ("split", "--disturb split=1", test_segments);
  ADD ("merge", "--disturb merge=0.7", test_segments);
  ADD ("half-frame", "--disturb half-frame=@1", test_half_frame);
  ADD ("second", "--disturb second-connection=@1", test_second_connection);
  ADD ("change-id", "--disturb change-id=@1 --seed 2", test_change_id);
  ADD ("no-answer", "--disturb no-answer=@1", test_answers);
  ADD ("start-lost", "--disturb start-answer-lost=@1", test_answers);
  ADD ("late", "--disturb late-answer=@1", test_answers);
  ADD ("twice", "--disturb answer-twice=@1", test_answers);
  ADD ("serial", "--disturb wrong-serial=@1", test_answers);
  ADD ("end-lost", "--disturb end-lost=@1", test_ends);
  ADD ("end-other", "--disturb end-other-number=@1", test_ends);
  ADD ("end-previous", "--disturb end-previous=@1", test_ends);
  ADD ("number", "--disturb number-restart=@2", test_ends);
  ADD ("twin", "--disturb twin-sockets=@1", test_status);
  ADD ("empty", "--disturb empty-status=@1", test_status);
  ADD ("unknown", "--disturb unknown-items=@2", test_status);
  ADD ("reverse", "--disturb reverse-items=@1", test_reverse);
  ADD ("inner-large", "--disturb inner-too-large=@1", test_inner);
  ADD ("inner-small", "--disturb inner-too-small=@1", test_inner);
  ADD ("all", all, test_all);
  return g_test_run ();
}
