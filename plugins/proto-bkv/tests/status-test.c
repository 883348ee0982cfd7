/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Status reports, queries and what they say about sockets and outlets (bkv 8). */
#include "bkv-test.h"

/* ---- status reports -----------------------------------------------------------------
 */

static void test_status_idle (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-status-idle-up"));
  fake_expect (fake, "socket 1 signal=30 status=1");
  fake_expect (fake, "port 1/0 status=1 raw=80 faults=0 no_load=0 power=200 current=2 "
                     "voltage=229700 temp=290 energy=0 duration=0");
  fake_expect (fake, "port 1/1 status=1 raw=80 faults=0 no_load=0 power=100 current=1 "
                     "voltage=229700 temp=290 energy=0 duration=0");
  fake_expectf (fake, "reply %s", fake_vector ("cap-status-ack-down"));
  fake_expect_none (fake);
}

static void test_status_charging (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-status-charging-up"));
  fake_expect (fake, "socket 1 signal=30 status=1");
  fake_expect (fake, "port 1/0 status=2 raw=90 faults=0 no_load=0 power=400 current=42 "
                     "voltage=229500 temp=290 no=0009 wire=01000009 energy=0 duration=0");
  fake_expect (fake, "progress 1/0 no=0009 wire=01000009 energy=0 duration=0 power=400 "
                     "voltage=229500 current=42 temp=290 raw=90");
  fake_expect_part (fake, "port 1/1 status=1 raw=80");
  fake_expect_part (fake, "reply FCFF002F");
  fake_expect_none (fake);
}

/* Several sockets, no load, off line, temperature below zero. */
static void test_status_cluster (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"energy_unit_wh", "10", NULL});
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-status-two-sockets-up"));
  fake_expect (fake, "socket 1 fw=5136 signal=28 status=1");
  fake_expect_part (fake, "energy=6400 duration=7680"); /* 0.01 kWh */
  fake_expect_part (fake, "progress 1/0 no=1234 wire=01001234 energy=6400");
  fake_expect_part (fake, "port 1/1 ");
  fake_expect (fake, "socket 2 fw=5136 signal=20 status=1");
  fake_expect (fake,
               "port 2/0 status=2 raw=98 faults=0 no_load=1 power=300 current=20 "
               "voltage=229000 temp=-50 no=0007 wire=02000007 energy=120 duration=540");
  fake_expect_part (fake, "progress 2/0");
  fake_expect_part (fake, "port 2/1 status=0 raw=00");
  fake_expect_part (fake, "reply FCFF002F");
  fake_expect_none (fake);
}

/* Absent fields stay as they were, outlets without port or status are not used. */
static void test_status_partial (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-status-type-2-up"));
  fake_expect (fake, "socket 6 status=1");
  fake_expect (fake, "port 6/0 status=1 raw=80 faults=0 no_load=0");
  fake_expect_part (fake, "reply ");
}

static void test_status_unusable (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Without containers, without socket, or with numbers that cannot be: answered. */
  bkv_feed (fake, conn, "status_report", 0, "{}");
  fake_expect_part (fake, "reply FCFF002F");
  bkv_feed (fake, conn, "status_report", 0,
            "{'sockets':[{'ports':[{'port':0,'status':128}]},"
            "{'socket':251,'ports':[{'port':0,'status':128}]}]}");
  fake_expect_part (fake, "reply FCFF002F");
  bkv_feed (
      fake, conn, "status_report", 0,
      "{'sockets':[{'socket':9,'ports':[{'port':2,'status':128},{'status':128}]}]}");
  fake_expect_part (fake, "socket 9");
  fake_expect_part (fake, "reply FCFF002F");
  fake_expect_none (fake);
}

static void test_faults (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  fake_skip (fake, NULL);
  /* Newly set: an alarm whatever the code is; once. */
  bkv_status (fake, conn, 0x94, 5, 0, 0, 0);
  fake_expect (fake, "raise 1/0 over_temp major");
  fake_expect_part (fake, "port 1/0 status=2 raw=94 faults=2");
  fake_expect_part (fake, "progress");
  bkv_status (fake, conn, 0x86, 0, 0, 0, 0);
  fake_expect (fake, "raise 1/0 over_current major");
  fake_expect_part (fake, "port 1/0 status=3 raw=86 faults=6");
  fake_expect_none (fake);
  bkv_feed (fake, conn, "status_report", 0,
            "{'sockets':[{'socket':1,'ports':[{'port':0,'status':192}]}]}");
  fake_skip (fake, "socket");
  fake_expect (fake, "raise 1/0 meter_fault major");
  fake_expect (fake, "clear 1/0 over_temp");
  fake_expect (fake, "clear 1/0 over_current");
  fake_expect_part (fake, "port 1/0 status=3 raw=C0 faults=1");
}

/* Alarms that were open when the plugin stopped are cleared after it has started. */
static void test_recall (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn;

  fake_set_ports (fake, "[{\"socket_no\":1,\"port_no\":0,\"raw_status\":130},"
                        "{\"socket_no\":1,\"port_no\":1,\"raw_status\":132},"
                        "{\"socket_no\":2,\"port_no\":0,\"raw_status\":null}]");
  fake_set_sockets (fake,
                    "[{\"socket_no\":1,\"status\":0},{\"socket_no\":2,\"status\":1}]");
  conn = bkv_greet (fake);
  bkv_feed (fake, conn, "status_report", 0,
            "{'sockets':[{'socket':1,'ports':[{'port':0,'status':128},"
            "{'port':1,'status':132}]},{'socket':2,'ports':[]}]}");
  fake_expect (fake, "socket 1 status=1");
  fake_expect (fake, "clear 1/-1 socket_silent");
  fake_expect (fake, "clear 1/0 over_current");
  fake_expect_part (fake, "port 1/0");
  fake_expect_part (fake, "port 1/1");
  fake_expect (fake, "socket 2");
  fake_expect_part (fake, "reply");
  fake_expect_none (fake);
}

static void test_meter_mask (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"meter_fault_mask", "0", NULL});
  ChConn conn = bkv_greet (fake);

  bkv_status (fake, conn, 0xC0, 0, 0, 0, 0);
  fake_expect_part (fake, "port 1/0 status=1 raw=C0 faults=0");
}

/* ---- queries ------------------------------------------------------------------------
 */

static void test_query (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 0, -1, 0x25, 1, NULL), ==,
      CH_COMMAND_SENT);
  fake_expectf (fake, "command %s", fake_vector ("con-query-socket-0-down"));
  fake_feed (fake, conn, fake_vector ("con-socket-state-1d-up"));
  fake_expect (fake, "socket 0 fw=5136 signal=26 status=1");
  fake_expect (fake,
               "port 0/0 status=2 raw=90 faults=0 no_load=0 power=50000 current=220 "
               "voltage=229500 temp=300 no=0009 wire=00000009 energy=50 duration=300");
  fake_expect_part (fake, "progress 0/0");
  fake_expect_part (fake, "port 0/1");
  fake_expect (fake, "result 37 acked");
  fake_expect_none (fake);

  /* Again: late, its figures count all the same. */
  fake_feed (fake, conn, fake_vector ("con-socket-state-1d-up"));
  g_assert_cmpuint (fake_lines (fake, "port 0/0"), ==, 1);
  g_assert_cmpuint (fake_lines (fake, "result 37 acked late"), ==, 1);
}

/* Captured: a status report that contains the socket answers the query. */
static void test_query_by_report (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 1,
                "{\"socket_no\":1}");
  fake_feed (fake, conn, fake_vector ("con-status-type-2-up")); /* socket 6 */
  g_assert_cmpuint (fake_lines (fake, "result"), ==, 0);
  fake_feed (fake, conn, fake_vector ("cap-status-idle-up"));
  g_assert_cmpuint (fake_lines (fake, "result 99 acked"), ==, 1);
}

static void test_query_refused (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 251, -1, 1, 1, NULL), ==,
      CH_COMMAND_REJECTED);
  fake_block_writes (fake, TRUE);
  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 1, 1, NULL), ==,
      CH_COMMAND_NOT_SENT);
  fake_expect_none (fake);
}

/* Two queries without answer: the socket is off line, with an alarm; port codes stay. */
static void test_silent_socket (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 1, NULL);
  fake_advance (fake, 6000);
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 2, NULL);
  fake_skip (fake, "command");
  fake_advance (fake, 4999);
  fake_expect_none (fake);
  fake_advance (fake, 1);
  fake_expect (fake, "socket 1 status=0");
  fake_expect (fake, "raise 1/-1 socket_silent warning");
  fake_give_up (fake, 99);
  /* Once, until it is heard again. */
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 100, 2, NULL);
  fake_advance (fake, 10000);
  fake_skip (fake, "command");
  fake_expect_none (fake);
  fake_feed (fake, conn, fake_vector ("cap-status-idle-up"));
  fake_expect_part (fake, "socket 1 signal=30 status=1");
  fake_expect (fake, "clear 1/-1 socket_silent");
}

/* Socket 0 of a gateway that has said nothing yet was only a guess. */
static void test_silent_guess (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Asked twice and ended before the core would take it for a bad connection. */
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 0, -1, 99, 1, NULL);
  fake_skip (fake, NULL);
  fake_advance (fake, 2200);
  fake_expect_part (fake, "command ");
  fake_advance (fake, 2200);
  fake_expect (fake, "result 99 rejected code=0 detail=no socket 0");
  fake_advance (fake, 10000);
  fake_expect_none (fake);
  /* Another socket reports: nobody needs to wait for it. */
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 0, -1, 100, 1, NULL);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "status_report", 0, "{'sockets':[{'socket':1,'ports':[]}]}");
  fake_expect (fake, "socket 1");
  fake_expect (fake, "result 100 rejected code=0 detail=no socket 0");
  fake_expect_part (fake, "reply");
  fake_expect_none (fake);
}

/* The core ends the last attempt a moment before the plugin does. */
static void test_silent_by_next (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 2, NULL);
  fake_advance (fake, 4999);
  fake_give_up (fake, 99);
  fake_skip (fake, NULL);
  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 2, -1, 100, 1, NULL);
  fake_expect_part (fake, "command");
  fake_expect (fake, "socket 1 status=0");
  fake_expect (fake, "raise 1/-1 socket_silent warning");
  /* Its own answer names another socket: none. */
  bkv_feed (fake, conn, "socket_state", 100, "{'socket':3,'ports':[]}");
  fake_expect_part (fake, "socket 3 ");
  fake_expect_none (fake);
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_quirks_total", "answer_mismatch"), ==, 1);
}

static void test_lost_query (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_QUERY_PORT_STATUS, 1, -1, 99, 2, NULL);
  fake_skip (fake, NULL);
  fake_close (fake, conn, CH_CLOSE_PEER);
  fake_advance (fake, 60000);
  fake_expect_none (fake);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/status-idle", test_status_idle);
  g_test_add_func ("/bkv/status-charging", test_status_charging);
  g_test_add_func ("/bkv/status-cluster", test_status_cluster);
  g_test_add_func ("/bkv/status-partial", test_status_partial);
  g_test_add_func ("/bkv/status-unusable", test_status_unusable);
  g_test_add_func ("/bkv/faults", test_faults);
  g_test_add_func ("/bkv/recall", test_recall);
  g_test_add_func ("/bkv/meter-mask", test_meter_mask);
  g_test_add_func ("/bkv/query", test_query);
  g_test_add_func ("/bkv/query-by-report", test_query_by_report);
  g_test_add_func ("/bkv/query-refused", test_query_refused);
  g_test_add_func ("/bkv/silent-socket", test_silent_socket);
  g_test_add_func ("/bkv/silent-guess", test_silent_guess);
  g_test_add_func ("/bkv/silent-by-next", test_silent_by_next);
  g_test_add_func ("/bkv/lost-query", test_lost_query);
  return g_test_run ();
}
