/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Start and stop, their answers, repeats and adoption (bkv 9, 10.4). */
#include "bkv-test.h"

#define START(payload)                                                                   \
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, 1, payload)

/* ---- what is sent -------------------------------------------------------------------
 */

static void test_by_time (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  g_assert_cmpint (START ("{\"charge_mode\":1,\"target_duration_s\":3601}"), ==,
                   CH_COMMAND_SENT);
  bkv_expect (fake, "command", "control", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':1,'minutes':61,'energy':0}");
  g_assert_cmpint (START ("{\"charge_mode\":1,\"target_duration_s\":54000}"), ==,
                   CH_COMMAND_SENT);
  bkv_expect (fake, "command", "control", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':1,'minutes':900,'energy':0}");
  /* A stand-alone device is socket 0. */
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 0, 1, 0x13, 1,
                "{\"target_duration_s\":3600}");
  fake_expectf (fake, "command %s", fake_vector ("con-control-standalone-down"));
}

static void test_by_energy (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 3, 1, 0x12, 1,
                "{\"charge_mode\":2,\"target_energy_wh\":500}");
  fake_expectf (fake, "command %s", fake_vector ("con-control-energy-down"));
  /* The order's time limit, if it is shorter than 900 minutes. */
  START ("{\"charge_mode\":2,\"target_energy_wh\":65535,\"target_duration_s\":7200}");
  bkv_expect (fake, "command", "control", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':0,'minutes':120,'energy':65535}");
}

static void test_energy_unit (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"energy_unit_wh", "10", NULL});
  ChConn conn = bkv_greet (fake);

  START ("{\"charge_mode\":2,\"target_energy_wh\":501}");
  bkv_expect (fake, "command", "control", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':0,'minutes':900,'energy':51}");
}

static void test_until_full (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* A power limit cannot be expressed and does not hinder. */
  START ("{\"charge_mode\":4,\"target_power_w\":500}");
  bkv_expect (fake, "command", "control", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':1,'minutes':900,'energy':0}");
}

static void test_by_power (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  START ("{\"charge_mode\":3,\"max_fee_cent\":100}");
  bkv_expect (fake, "command", "power_start", 0x12,
              "{'socket':1,'port':0,'switch':1,'amount':100,'levels':["
              "{'power_limit':2000,'price':25,'minutes':60},"
              "{'power_limit':4000,'price':50,'minutes':60},"
              "{'power_limit':6000,'price':100,'minutes':60},"
              "{'power_limit':8000,'price':150,'minutes':60},"
              "{'power_limit':20000,'price':500,'minutes':120}]}");
  START ("{\"charge_mode\":3,\"max_fee_cent\":500,\"power_steps\":["
         "{\"power_w\":300,\"price_cent\":30,\"minutes\":90}]}");
  bkv_expect (fake, "command", "power_start", 0x12,
              "{'socket':1,'port':0,'switch':1,'amount':500,'levels':["
              "{'power_limit':3000,'price':30,'minutes':90}]}");
}

static void test_power_0005 (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"power_start_cmd", "0005", NULL});
  ChConn conn = bkv_greet (fake);

  START ("{\"charge_mode\":3,\"max_fee_cent\":100}");
  fake_expect_part (fake, "command FCFF0038000500000012");
}

/* 0x0015 first; the last sending tries 0x0005 with another serial, and that is kept. */
static void test_power_auto (void)
{
  static const char payload[] = "{\"charge_mode\":3,\"max_fee_cent\":100}";
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"power_start_cmd", "auto", NULL});
  ChConn conn = bkv_greet (fake);

  for (guint attempt = 1; attempt <= 3; attempt++)
    fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, attempt, payload);
  fake_expect_part (fake, "command FCFF0038001500000012");
  fake_expect_part (fake, "command FCFF0038001500000012");
  fake_expect_part (fake, "command FCFF0038000580000012");
  bkv_feed (fake, conn, "power_start_ack", 0x80000012u,
            "{'result':1,'socket':1,'port':0,'business_no':23}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0017 wire=01000017");
  fake_expect (fake, "result 18 acked detail=0017");
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 1, 0x13, 1, payload);
  fake_expect_part (fake, "command FCFF0038000500000013");
}

static void test_with_fees (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"fee_start", "true", NULL});
  ChConn conn = bkv_greet (fake);

  START ("{\"charge_mode\":4,\"max_fee_cent\":100,\"price_per_kwh_cent\":50,"
         "\"service_fee_permille\":1000}");
  bkv_expect (fake, "command", "fee_start", 0x12,
              "{'socket':1,'port':0,'switch':1,'mode':4,'control_type':1,'pf4':2,"
              "'fee_amount':100,'fee_type':1,'fee_levels':1,'fee_periods':["
              "{'end_hour':23,'end_min':59,'electricity_price':50,'service_price':50}]}");
  bkv_feed (fake, conn, "fee_start_ack", 0x12,
            "{'socket':1,'port':0,'business_no':51,'result':1}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0033 wire=01000033");
  fake_expect (fake, "result 18 acked detail=0033");
  /* An order by time stays one. */
  START ("{\"charge_mode\":1,\"target_duration_s\":60,\"max_fee_cent\":100,"
         "\"price_per_kwh_cent\":50}");
  fake_expect_part (fake, "command FCFF001C0015");
}

/* Without a number in the answer, the next report's is adopted (9.7). */
static void test_fees_without_number (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"fee_start", "true", NULL});
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 0);

  START ("{\"charge_mode\":3,\"max_fee_cent\":100,\"price_per_kwh_cent\":50}");
  order.start_written_ms = fake_now (fake);
  fake_set_order (fake, 1, 0, &order);
  fake_skip (fake, "command");
  bkv_feed (fake, conn, "fee_start_ack", 0x12, "{'result':1}");
  fake_expect (fake, "started 1/0 order=ORD10");
  fake_expect (fake, "result 18 acked detail=0000");
  bkv_status (fake, conn, 0x90, 52, 10, 0, 0);
  fake_expect (fake, "started 1/0 order=ORD10 no=0034 wire=01000034");
  fake_expect (fake, "result 18 acked detail=0034 late");
  bkv_feed (fake, conn, "fee_start_ack", 0x12, "{'socket':1}");
  g_assert_cmpuint (fake_lines (fake, "bad short_payload"), ==, 1);
}

static void test_refused (void)
{
  static const char *const payloads[] = {
      "{\"charge_mode\":1}",
      "{\"charge_mode\":1,\"target_duration_s\":54001}",
      "{\"charge_mode\":2,\"target_energy_wh\":0}",
      "{\"charge_mode\":2,\"target_energy_wh\":65536}",
      "{\"charge_mode\":3}",
      "{\"charge_mode\":3,\"max_fee_cent\":65536}",
      "{\"charge_mode\":3,\"max_fee_cent\":9,\"power_steps\":[]}",
      "{\"charge_mode\":3,\"max_fee_cent\":9,\"power_steps\":"
      "[{\"power_w\":300,\"price_cent\":30,\"minutes\":90},"
      "{\"power_w\":300,\"price_cent\":30,\"minutes\":90}]}",
      "{\"charge_mode\":9,\"target_duration_s\":60}",
  };
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  const char *good = "{\"charge_mode\":4}";

  for (gsize i = 0; i < G_N_ELEMENTS (payloads); i++)
    g_assert_cmpint (START (payloads[i]), ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_START_CHARGE, 251, 0, 1, 1, good),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 2, 1, 1, good),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, -1, 1, 1, good),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_STOP_CHARGE, 1, 2, 1, 1, NULL),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_REBOOT, 1, 0, 1, 1, NULL), ==,
                   CH_COMMAND_UNSUPPORTED);
  fake_expect_none (fake);
  fake_block_writes (fake, TRUE);
  g_assert_cmpint (START (good), ==, CH_COMMAND_NOT_SENT);
  fake_block_writes (fake, FALSE);
  fake_close (fake, conn, CH_CLOSE_PEER);
  g_assert_cmpint (START (good), ==, CH_COMMAND_NOT_SENT);
}

/* ---- answers ------------------------------------------------------------------------
 */

static const char by_time[] = "{\"charge_mode\":1,\"target_duration_s\":60}";

/* Captured: command, answer, and the report that follows. */
static void test_captured (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 9);

  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x6921C2BC, 1, by_time);
  fake_expect_part (fake, "command FCFF001C00156921C2BC008224121800038200080701000101");
  fake_advance (fake, 1050);
  fake_feed (fake, conn, fake_vector ("stream-bytewise"));
  fake_expect (fake, "started 1/0 order=ORD10 no=0009 wire=01000009");
  fake_expect (fake, "result 1763820220 acked detail=0009");
  fake_set_order (fake, 1, 0, &order);
  fake_feed (fake, conn, fake_vector ("cap-status-charging-up"));
  g_assert_cmpuint (fake_lines (fake, "started"), ==, 0);
  g_assert_cmpuint (fake_lines (fake, "progress 1/0 no=0009"), ==, 1);
}

static void test_rejected (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  START (by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':0,'socket':1,'port':0,'business_no':0}");
  fake_expect (fake, "result 18 rejected code=0");
  fake_expect_none (fake);
}

/* Another socket or outlet in the answer: like a refusal, and the socket is asked. */
static void test_mismatch (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  START (by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':1,'business_no':4}");
  fake_expect (fake, "result 18 rejected code=0");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  fake_expect_none (fake);
  fake_command (fake, conn, CH_COMMAND_STOP_CHARGE, 1, 0, 0x14, 1, NULL);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x14,
            "{'result':1,'socket':2,'port':0,'business_no':4}");
  fake_expect (fake, "result 20 rejected code=0");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_quirks_total", "answer_mismatch"), ==, 2);
}

/* A serial that belongs to a command of another kind, or to none. */
static void test_wrong_serial (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 0x12, 1, NULL);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect_none (fake);
  bkv_feed (fake, conn, "control_ack", 0x77,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "result 119 acked late");
  bkv_feed (fake, conn, "control_ack", 0x78,
            "{'result':0,'socket':1,'port':0,'business_no':0}");
  fake_expect (fake, "result 120 rejected code=0 late");
  bkv_feed (fake, conn, "control_ack", 0,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect_none (fake);
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x15, 1, by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "socket_state", 0x15, "{'socket':2,'ports':[]}");
  g_assert_cmpuint (fake_lines (fake, "result"), ==, 0);
}

/* 0x07 is accepted for 0x17 and the other way round. */
static void test_crossed_answers (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  START ("{\"charge_mode\":3,\"max_fee_cent\":100}");
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0004 wire=01000004");
  fake_expect (fake, "result 18 acked detail=0004");
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 1, 0x13, 1, by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "power_start_ack", 0x13,
            "{'result':1,'socket':1,'port':1,'business_no':5}");
  fake_expect (fake, "started 1/1 order=ORD11 no=0005 wire=01010005");
}

/* The core has given up: the number is stated all the same, so that it can be stopped. */
static void test_late_answer (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  START (by_time);
  fake_skip (fake, NULL);
  fake_advance (fake, 20000);
  fake_give_up (fake, 0x12);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0004 wire=01000004");
  fake_expect (fake, "result 18 acked detail=0004 late");
}

/* Two answers with different numbers: the last counts, the first is an alias (9.4). */
static void test_executed_twice (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 5);

  START (by_time);
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, 2, by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0004 wire=01000004");
  fake_expect (fake, "result 18 acked detail=0004");
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':5}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0005 wire=01000005");
  fake_expect (fake, "result 18 acked detail=0005 late");
  fake_set_order (fake, 1, 0, &order);
  bkv_feed (
      fake, conn, "charge_end", 0,
      "{'socket':1,'fw':1,'temp':20,'rssi':30,'port':0,'status':176,'business_no':4,"
      "'power':0,'current':0,'energy':1,'duration':1}");
  fake_expect_part (fake, "raise 1/0 start_executed_twice warning");
  fake_expect_part (fake, "ended 1/0 no=0004");
  fake_expect_part (fake, "reply FCFF00160015");
}

/* The counter of the device has begun anew: the number of the last end runs again. */
static void test_number_again (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  bkv_feed (fake, conn, "charge_end", 0,
            "{'socket':1,'port':0,'status':176,'business_no':4,'energy':1,'duration':1}");
  START (by_time);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0004 wire=01000004");
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "charge_end", 0,
            "{'socket':1,'port':0,'status':176,'business_no':4,'energy':1,'duration':1}");
  fake_advance (fake, 1000);
  g_assert_cmpuint (fake_lines (fake, "reply"), ==, 1); /* no doubt about the answer */
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "new"), ==,
                     2);
}

/* The command was written by an earlier run of the plugin. */
static void test_earlier_run (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_in_flight (fake, CH_COMMAND_START_CHARGE, 1, 0, 0x12);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':1,'socket':1,'port':0,'business_no':4}");
  fake_expect (fake, "started 1/0 order=ORD10 no=0004 wire=01000004");
  fake_expect (fake, "result 18 acked detail=0004");
}

/* ---- repeats and adoption ------------------------------------------------------------
 */

static ChOrderView pending (Fake *fake)
{
  ChOrderView order = bkv_order (CH_ORDER_PENDING, 0);

  order.start_written_ms = fake_now (fake);
  return order;
}

static void test_adoption (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order;

  START (by_time);
  order = pending (fake);
  fake_set_order (fake, 1, 0, &order);
  fake_skip (fake, NULL);
  fake_advance (fake, 1500);
  bkv_status (fake, conn, 0x90, 9, 4, 0, 0);
  fake_expect (fake, "started 1/0 order=ORD10 no=0009 wire=01000009");
  fake_expect (fake, "result 18 acked detail=0009");
  fake_expect_part (fake, "port 1/0 status=2");
  fake_expect_part (fake, "progress 1/0");
  fake_expect_none (fake);
  /* Stated once, also while the core has not taken it yet. */
  bkv_status (fake, conn, 0x90, 9, 4, 0, 0);
  g_assert_cmpuint (fake_lines (fake, "started"), ==, 0);
  fake_skip (fake, NULL);
  /* And the core's repeat finds it executed: nothing is written. */
  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, 2, by_time), ==,
      CH_COMMAND_ACKED);
  g_assert_cmpuint (fake_lines (fake, "command"), ==, 0);
}

static void test_no_adoption (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order;

  bkv_feed (
      fake, conn, "charge_end", 0,
      "{'socket':1,'fw':1,'temp':20,'rssi':30,'port':0,'status':176,'business_no':8,"
      "'power':0,'current':0,'energy':1,'duration':1}");
  order = pending (fake);
  fake_set_order (fake, 1, 0, &order);
  START (by_time);
  fake_skip (fake, NULL);
  /* The number of the last ended charge of this outlet. */
  bkv_status (fake, conn, 0x90, 8, 4, 0, 0);
  g_assert_cmpuint (fake_lines (fake, "started"), ==, 0);
  fake_skip (fake, NULL);
  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, 2, by_time), ==,
      CH_COMMAND_SENT);
  /* Not charging, no number, too late, or the order has a number already. */
  bkv_status (fake, conn, 0x80, 9, 4, 0, 0);
  bkv_status (fake, conn, 0x90, 0, 4, 0, 0);
  fake_advance (fake, 60001);
  bkv_status (fake, conn, 0x90, 9, 4, 0, 0);
  order = bkv_order (CH_ORDER_CONFIRMED, 3);
  order.start_written_ms = fake_now (fake);
  fake_set_order (fake, 1, 0, &order);
  bkv_status (fake, conn, 0x90, 9, 4, 0, 0);
  order = bkv_order (CH_ORDER_PENDING, 0);
  fake_set_order (fake, 1, 0, &order);
  bkv_status (fake, conn, 0x90, 9, 4, 0, 0);
  g_assert_cmpuint (fake_lines (fake, "started"), ==, 0);
}

/* The same bytes and the same serial again. */
static void test_repeat (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  const char *bytes = "{'socket':1,'port':0,'switch':1,'mode':1,'minutes':1,'energy':0}";

  bkv_status (fake, conn, 0x90, 9, 4, 0, 0); /* before: is no answer */
  fake_skip (fake, NULL);
  fake_advance (fake, 10);
  START (by_time);
  bkv_expect (fake, "command", "control", 0x12, bytes);
  fake_command (fake, conn, CH_COMMAND_START_CHARGE, 1, 0, 0x12, 2, by_time);
  bkv_expect (fake, "command", "control", 0x12, bytes);
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':0,'socket':1,'port':0,'business_no':0}");
  fake_expect (fake, "result 18 rejected code=0");
}

/* ---- stop ---------------------------------------------------------------------------
 */

static void test_stop (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_STOP_CHARGE, 1, 0, 0x11, 1, "{}");
  fake_expectf (fake, "command %s", fake_vector ("con-control-stop-down"));
  fake_feed (fake, conn, fake_vector ("con-control-stop-ack-up"));
  fake_expect (fake, "result 17 acked detail=0009");
  fake_expect_none (fake);
  fake_command (fake, conn, CH_COMMAND_CANCEL_SESSION, 1, 0, 0x12, 1, NULL);
  fake_skip (fake, NULL);
  /* Nothing to stop: the outlet is asked, the core decides. */
  bkv_feed (fake, conn, "control_ack", 0x12,
            "{'result':0,'socket':1,'port':0,'business_no':0}");
  fake_expect (fake, "result 18 rejected code=0");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
}

/* A stop may go out while another command is open. */
static void test_stop_beside (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 0x30, 1, NULL);
  fake_command (fake, conn, CH_COMMAND_STOP_CHARGE, 1, 0, 0x31, 1, NULL);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "control_ack", 0x31,
            "{'result':1,'socket':1,'port':0,'business_no':9}");
  fake_expect (fake, "result 49 acked detail=0009");
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  g_assert_cmpuint (fake_lines (fake, "result 48 acked"), ==, 1);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/start/time", test_by_time);
  g_test_add_func ("/bkv/start/energy", test_by_energy);
  g_test_add_func ("/bkv/start/energy-unit", test_energy_unit);
  g_test_add_func ("/bkv/start/full", test_until_full);
  g_test_add_func ("/bkv/start/power", test_by_power);
  g_test_add_func ("/bkv/start/power-0005", test_power_0005);
  g_test_add_func ("/bkv/start/power-auto", test_power_auto);
  g_test_add_func ("/bkv/start/fees", test_with_fees);
  g_test_add_func ("/bkv/start/fees-without-number", test_fees_without_number);
  g_test_add_func ("/bkv/start/refused", test_refused);
  g_test_add_func ("/bkv/answer/captured", test_captured);
  g_test_add_func ("/bkv/answer/rejected", test_rejected);
  g_test_add_func ("/bkv/answer/mismatch", test_mismatch);
  g_test_add_func ("/bkv/answer/wrong-serial", test_wrong_serial);
  g_test_add_func ("/bkv/answer/crossed", test_crossed_answers);
  g_test_add_func ("/bkv/answer/late", test_late_answer);
  g_test_add_func ("/bkv/answer/twice", test_executed_twice);
  g_test_add_func ("/bkv/answer/number-again", test_number_again);
  g_test_add_func ("/bkv/answer/earlier-run", test_earlier_run);
  g_test_add_func ("/bkv/repeat/adoption", test_adoption);
  g_test_add_func ("/bkv/repeat/no-adoption", test_no_adoption);
  g_test_add_func ("/bkv/repeat/same-bytes", test_repeat);
  g_test_add_func ("/bkv/stop/answers", test_stop);
  g_test_add_func ("/bkv/stop/beside", test_stop_beside);
  return g_test_run ();
}
