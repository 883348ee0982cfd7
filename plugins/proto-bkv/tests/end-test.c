/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* End reports: facts, answers, repeats, reasons, missing and unreadable ones (bkv
 * 10, 3.4). */
#include "bkv-test.h"

static void feed_end (Fake *fake, ChConn conn, guint status, guint number, guint energy,
                      guint duration)
{
  g_autofree char *fields = g_strdup_printf (
      "{'socket':1,'fw':1,'temp':20,'rssi':30,'port':0,'status':%u,'business_no':%u,"
      "'power':0,'current':0,'energy':%u,'duration':%u}",
      status, number, energy, duration);

  bkv_feed (fake, conn, "charge_end", 0, fields);
}

static void expect_ack (Fake *fake)
{
  fake_expectf (fake, "reply %s", fake_vector ("cap-charge-end-ack-down"));
}

/* ---- the fact -----------------------------------------------------------------------
 */

static void test_captured (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
  fake_expect (fake, "ended 1/0 no=0009 wire=01000009 energy=0 duration=60 reason=0 "
                     "raw_reason=176 raw=B0 power=40400 next=1 "
                     "key=end:" GATEWAY ":1:0:0009:0:1");
  expect_ack (fake);
  fake_expect_none (fake);
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "new"), ==,
                     1);
}

static void test_power_steps (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-power-end-up"));
  fake_expect (fake, "ended 2/1 no=0031 wire=02010031 energy=250 duration=4320 reason=0 "
                     "raw_reason=2 raw=90 power=90000 amount=30 next=1 "
                     "key=end:" GATEWAY ":2:1:0031:250:72:07EA021C173B3B");
  fake_expect_part (fake, "reply FCFF001600150000000000822412180003820002"
                          "0C0201");
}

static void test_card (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("doc-card-charge-end-up"));
  fake_skip (fake, "online");
  fake_skip (fake, "raise -1/-1 gateway_id_changed");
  fake_expect (fake, "ended 1/0 no=001A wire=0100001A energy=2 duration=1860 reason=2 "
                     "raw_reason=152 raw=98 power=0 card=000000000002 next=1 "
                     "key=end:86004459453005:1:0:001A:2:31");
  fake_expectf (fake, "reply %s", fake_vector ("doc-charge-end-ack-down"));
  /* By steps: with the device's amount; an off-line card is worth an alarm. */
  bkv_feed (
      fake, conn, "card_charge_end", 0,
      "{'socket':1,'fw':1,'temp':20,'rssi':2,'port':0,'status':152,'business_no':27,"
      "'power':0,'current':2,'energy':2,'duration':31,'card':'000000000002',"
      "'card_type':1,'mode':3,'amount':7,'settle_power':5000,'levels':[31,0,0]}");
  fake_expect_part (fake, "raise 1/0 offline_card_charge warning");
  fake_expect_part (fake, "power=0 amount=7 card=000000000002");
}

static void test_fees (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("doc-fee-charge-end-up"));
  fake_skip (fake, "online");
  fake_skip (fake, "raise -1/-1 gateway_id_changed");
  fake_expect (fake, "ended 1/0 no=0033 wire=01000033 energy=0 duration=60 reason=2 "
                     "raw_reason=8 raw=98 power=0 amount=0 next=1 "
                     "key=end:82210225000520:1:0:0033:0:1:20240823101729");
  fake_expect_part (fake, "reply FCFF00371000");
  /* Status and power may be missing; what identifies the charge may not. */
  bkv_feed (fake, conn, "fee_charge_end", 0,
            "{'socket':1,'port':0,'business_no':52,'energy':7,'duration':2}");
  fake_expect (fake,
               "ended 1/0 no=0034 wire=01000034 energy=7 duration=120 reason=0 next=1 "
               "key=end:" GATEWAY ":1:0:0034:7:2");
  bkv_expect (fake, "reply", "fee_charge_end_ack", 0, "{'result':1,'socket':1,'port':0}");
  bkv_feed (fake, conn, "fee_charge_end", 0, "{'socket':1,'port':0,'energy':7}");
  fake_expect (fake, "bad short_payload");
  fake_expect_none (fake);
}

static void test_no_number (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  feed_end (fake, conn, 0xB0, 0, 5, 2);
  fake_expect (fake,
               "ended 1/0 energy=5 duration=120 reason=0 raw_reason=176 raw=B0 power=0 "
               "next=1 key=end:" GATEWAY ":1:0:0000:5:2");
  expect_ack (fake);
}

/* A place that cannot be: no event, but an answer. */
static void test_impossible_place (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  bkv_feed (
      fake, conn, "charge_end", 0,
      "{'socket':251,'port':0,'status':176,'business_no':1,'energy':1,'duration':1}");
  bkv_expect (fake, "reply", "charge_end_ack", 0, "{'socket':251,'result':1}");
  bkv_feed (fake, conn, "charge_end", 0,
            "{'socket':1,'port':2,'status':176,'business_no':1,'energy':1,'duration':1}");
  expect_ack (fake);
  fake_expect_none (fake);
}

/* ---- reasons ------------------------------------------------------------------------
 */

static void test_reasons (void)
{
  static const struct {
    guint status;
    const char *line;
  } rows[] = {
      {0xBE, "reason=4 "}, /* over-temperature before all */
      {0x9A, "reason=3 "}, {0x99, "reason=5 "}, {0xD8, "reason=7 "},
      {0x18, "reason=6 "}, /* not on line */
      {0x98, "reason=2 "}, {0xB0, "reason=0 "}, {0x90, "reason=0 "},
  };
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    feed_end (fake, conn, rows[i].status, 100 + i, 5, 2);
    g_assert_cmpuint (fake_lines (fake, "ended"), ==, 1);
    fake_expect_part (fake, rows[i].line);
    expect_ack (fake);
  }
  /* A fault bit leaves the outlet faulty. */
  feed_end (fake, conn, 0x94, 200, 5, 2);
  fake_expect_part (fake, "next=3");
}

static void test_remote_stop (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_STOPPING, 9);

  order.stop_written = TRUE;
  fake_set_order (fake, 1, 0, &order);
  feed_end (fake, conn, 0x98, 9, 5, 2);
  fake_expect_part (fake, "reason=9 ");
  expect_ack (fake);
  /* The report of another charge was not stopped by it. */
  feed_end (fake, conn, 0x90, 8, 5, 2);
  fake_expect_part (fake, "reason=0 ");
  expect_ack (fake);
  /* A stop without an order: of the charge that the plugin stopped. */
  fake_set_order (fake, 1, 0, NULL);
  fake_command (fake, conn, CH_COMMAND_STOP_CHARGE, 1, 0, 0x11, 1, NULL);
  fake_skip (fake, NULL);
  feed_end (fake, conn, 0x90, 10, 5, 2);
  fake_expect_part (fake, "reason=9 ");
  expect_ack (fake);
  feed_end (fake, conn, 0x90, 11, 5, 2);
  fake_expect_part (fake, "reason=0 ");
}

static void test_reason_map (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"reason_map", "2=8,9=10", NULL});
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-power-end-up"));
  fake_expect_part (fake, "reason=8 raw_reason=2 ");
}

static void test_reason_file (void)
{
  g_autofree char *path
      = g_build_filename (g_getenv ("CHARGEHOST_TEST_SOURCE"), "plugins", "proto-bkv",
                          "bkv_reason_map.yaml", NULL);
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"reason_map_path", path, NULL});
  ChConn conn = bkv_greet (fake);

  bkv_feed (fake, conn, "fee_charge_end", 0,
            "{'socket':1,'port':0,'business_no':52,'energy':7,'duration':2,'reason':8}");
  fake_expect_part (fake, "reason=2 raw_reason=8 ");
}

/* ---- times --------------------------------------------------------------------------
 */

static void feed_timed (Fake *fake, ChConn conn, guint number, const char *time)
{
  g_autofree char *fields = g_strdup_printf (
      "{'socket':1,'port':0,'business_no':%u,'energy':7,'duration':2,'end_time':'%s'}",
      number, time);

  bkv_feed (fake, conn, "fee_charge_end", 0, fields);
}

static void test_times (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake); /* 22:03:36 */
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 3);

  feed_timed (fake, conn, 1, "20251122220000");
  fake_expect_part (fake, "ago=216 ");
  fake_skip (fake, NULL);
  feed_timed (fake, conn, 2, "20251122214336"); /* 20 min: not credible by itself */
  g_assert_cmpuint (fake_lines (fake, "ended 1/0 no=0002"), ==, 1);
  fake_expect_part (fake, "next=1 key=");
  fake_skip (fake, NULL);
  /* Older, but after the start of its order. */
  fake_advance (fake, 3600000);
  order.start_written_ms = fake_now (fake) - 7200000;
  fake_set_order (fake, 1, 0, &order);
  feed_timed (fake, conn, 3, "20251122214336");
  fake_expect_part (fake, "ago=4800 ");
  fake_skip (fake, NULL);
  feed_timed (fake, conn, 3, "20251122194336");
  fake_expect_part (fake, "next=1 key=");
  fake_skip (fake, NULL);
  feed_timed (fake, conn, 4, "20259922194336");
  fake_expect_part (fake, "next=1 key=");
}

/* ---- answers ------------------------------------------------------------------------
 */

static void test_answer_waits_for_store (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_hold_store (fake, TRUE);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
  fake_expect_part (fake, "ended 1/0 no=0009");
  fake_expect_none (fake);
  fake_advance (fake, 7999);
  fake_store (fake, FALSE);
  expect_ack (fake);
  fake_expect_none (fake);

  /* Too late, or not stored: nothing; the device repeats. */
  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_skip (fake, NULL);
  fake_advance (fake, 8001);
  fake_store (fake, FALSE);
  fake_expect_none (fake);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_skip (fake, NULL);
  fake_store (fake, TRUE);
  fake_expect_none (fake);
}

static void test_answer_without_connection (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_hold_store (fake, TRUE);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
  fake_skip (fake, NULL);
  fake_close (fake, conn, CH_CLOSE_PEER);
  fake_store (fake, FALSE);
  fake_expect_none (fake);
}

/* What the store never answers is forgotten; a late word of it is harmless. */
static void test_store_never_answers (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_hold_store (fake, TRUE);
  for (guint i = 0; i < 20; i++) {
    feed_end (fake, conn, 0xB0, 1 + i, 5, 2);
    fake_advance (fake, 10500);
  }
  fake_skip (fake, NULL);
  fake_store (fake, FALSE);
  fake_expect_none (fake);
}

/* Captured: repeated after 10.5 s, momentary values differ; every copy is answered, and
   a copy after an answer brings the second form. */
static void test_copies (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_expect_part (fake, "key=end:" GATEWAY ":1:0:000F:0:1");
  expect_ack (fake);
  fake_advance (fake, 10500);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up-2"));
  fake_expect_part (fake, "key=end:" GATEWAY ":1:0:000F:0:1");
  expect_ack (fake);
  fake_expect_none (fake);
  fake_advance (fake, 99);
  fake_expect_none (fake);
  fake_advance (fake, 1);
  fake_expectf (fake, "reply %s", fake_vector ("con-charge-end-ack-echo-down"));
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "duplicate"),
                     ==, 1);

  /* From then on both for this gateway, also for other charges. */
  bkv_feed (fake, conn, "power_charge_end", 0,
            "{'socket':1,'port':1,'status':176,'business_no':77,'energy':1,'duration':1,"
            "'end_time':'20251122220000','levels':[]}");
  fake_expect_part (fake, "ended 1/1");
  expect_ack (fake);
  fake_advance (fake, 100);
  bkv_expect (fake, "reply", "power_charge_end_ack_echo", 0, "{'socket':1,'result':1}");
  /* A card's own form is the first one already. */
  bkv_feed (fake, conn, "card_charge_end", 0,
            "{'socket':1,'port':0,'status':176,'business_no':78,'energy':1,'duration':1,"
            "'card':'000000000002','levels':[]}");
  fake_expect_part (fake, "ended 1/0");
  expect_ack (fake);
  fake_advance (fake, 1000);
  fake_expect_none (fake);
}

/* Half a minute after the answer it is no doubt about the answer any more. */
static void test_late_copy (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_advance (fake, 30001);
  fake_skip (fake, NULL);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_expect_part (fake, "ended");
  expect_ack (fake);
  fake_advance (fake, 1000);
  fake_expect_none (fake);
}

/* Equal figures, but an order runs with this number: a new charge (10.5). */
static void test_number_again (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 15);

  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_set_order (fake, 1, 0, &order);
  fake_feed (fake, conn, fake_vector ("cap-charge-end-repeat-up"));
  fake_advance (fake, 1000);
  g_assert_cmpuint (fake_lines (fake, "ended"), ==, 2);
  g_assert_cmpuint (fake_lines (fake, "reply"), ==, 2);
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "new"), ==,
                     2);
}

static void test_conflict (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  feed_end (fake, conn, 0xB0, 9, 5, 2);
  feed_end (fake, conn, 0xB0, 9, 6, 2);
  g_assert_cmpuint (fake_lines (fake, "reply"), ==, 2);
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "conflict"),
                     ==, 1);
}

static void test_forms (void)
{
  static const struct {
    const char *key;
    guint first, second;
  } rows[] = {{"0c", 1, 0}, {"echo", 0, 1}, {"both", 1, 1}};

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"end_ack", rows[i].key, NULL});
    ChConn conn = bkv_greet (fake);
    g_autofree char *first
        = g_strdup_printf ("reply %s", fake_vector ("cap-charge-end-ack-down"));
    g_autofree char *second
        = g_strdup_printf ("reply %s", fake_vector ("con-charge-end-ack-echo-down"));

    fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
    fake_advance (fake, 200);
    g_assert_cmpuint (fake_lines (fake, first), ==, rows[i].first);
    g_assert_cmpuint (fake_lines (fake, second), ==, rows[i].second);
  }
}

/* The plugin ends while a second answer is on its way. */
static void test_stop_with_echo (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"end_ack", "both", NULL});
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-charge-end-up"));
  g_assert_cmpuint (fake_lines (fake, "reply"), ==, 1);
}

/* ---- the unit of energy
 * ---------------------------------------------------------------- */

static void test_scale (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* 120 W for an hour in units of 10 Wh: 12 instead of 120. */
  for (guint i = 0; i < 3; i++)
    bkv_status (fake, conn, 0x90, 9, 1200, i, 20 * i);
  fake_skip (fake, NULL);
  feed_end (fake, conn, 0xB0, 9, 12, 60);
  fake_expect (fake, "raise 1/0 energy_scale_suspect warning "
                     "{\"energy_wh\":12.0,\"expected_wh\":120.0}");
  fake_expect_part (fake, "ended");
  /* Once a day. */
  for (guint i = 0; i < 3; i++)
    bkv_status (fake, conn, 0x90, 10, 1200, i, 20 * i);
  feed_end (fake, conn, 0xB0, 10, 12, 60);
  g_assert_cmpuint (fake_lines (fake, "raise"), ==, 0);
  fake_advance (fake, 86400000);
  for (guint i = 0; i < 3; i++)
    bkv_status (fake, conn, 0x90, 11, 1200, i, 20 * i);
  feed_end (fake, conn, 0xB0, 11, 12, 60);
  g_assert_cmpuint (fake_lines (fake, "raise"), ==, 1);
}

static void test_scale_fits (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Fits; too few reports; too little power. */
  for (guint i = 0; i < 3; i++)
    bkv_status (fake, conn, 0x90, 9, 1200, i, 20 * i);
  feed_end (fake, conn, 0xB0, 9, 110, 60);
  for (guint i = 0; i < 2; i++)
    bkv_status (fake, conn, 0x90, 10, 1200, i, 20 * i);
  feed_end (fake, conn, 0xB0, 10, 1, 60);
  for (guint i = 0; i < 3; i++)
    bkv_status (fake, conn, 0x90, 11, 200, i, 20 * i);
  feed_end (fake, conn, 0xB0, 11, 1, 60);
  g_assert_cmpuint (fake_lines (fake, "raise"), ==, 0);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/end/captured", test_captured);
  g_test_add_func ("/bkv/end/power-steps", test_power_steps);
  g_test_add_func ("/bkv/end/card", test_card);
  g_test_add_func ("/bkv/end/fees", test_fees);
  g_test_add_func ("/bkv/end/no-number", test_no_number);
  g_test_add_func ("/bkv/end/impossible-place", test_impossible_place);
  g_test_add_func ("/bkv/end/reasons", test_reasons);
  g_test_add_func ("/bkv/end/remote-stop", test_remote_stop);
  g_test_add_func ("/bkv/end/reason-map", test_reason_map);
  g_test_add_func ("/bkv/end/reason-file", test_reason_file);
  g_test_add_func ("/bkv/end/times", test_times);
  g_test_add_func ("/bkv/end/answer-waits", test_answer_waits_for_store);
  g_test_add_func ("/bkv/end/no-connection", test_answer_without_connection);
  g_test_add_func ("/bkv/end/store-silent", test_store_never_answers);
  g_test_add_func ("/bkv/end/copies", test_copies);
  g_test_add_func ("/bkv/end/late-copy", test_late_copy);
  g_test_add_func ("/bkv/end/number-again", test_number_again);
  g_test_add_func ("/bkv/end/conflict", test_conflict);
  g_test_add_func ("/bkv/end/forms", test_forms);
  g_test_add_func ("/bkv/end/stop-with-echo", test_stop_with_echo);
  g_test_add_func ("/bkv/end/scale", test_scale);
  g_test_add_func ("/bkv/end/scale-fits", test_scale_fits);
  return g_test_run ();
}
