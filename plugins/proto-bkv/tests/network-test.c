/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network list (bkv 7), events and records (12.3, 12.4). */
#include "bkv-test.h"
#include <string.h>

static const char three[]
    = "[{\"socket_no\":1,\"socket_mac\":\"a1b2c3d4e5f1\",\"channel\":4},"
      "{\"socket_no\":2,\"socket_mac\":\"a1b2c3d4e5f2\",\"channel\":4},"
      "{\"socket_no\":3,\"socket_mac\":\"a1b2c3d4e5f3\",\"channel\":4}]";

static void test_configure (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_CONFIGURE_NETWORK, 0, -1, 0x6921C2B8, 1,
                "{\"channel\":1,\"nodes\":[{\"socket_no\":1,"
                "\"socket_mac\":\"85:41:21:80:08:89\"}]}");
  fake_expectf (fake, "command %s", fake_vector ("cap-net-refresh-down"));
  fake_feed (fake, conn, fake_vector ("cap-net-refresh-ack-up"));
  fake_expect (fake, "topology refresh ok channel=1 "
                     "[{\"socket_mac\":\"854121800889\",\"socket_no\":1}]");
  fake_expect (fake, "result 1763820216 acked");
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  fake_expect_none (fake);
  /* A second answer is late. */
  fake_feed (fake, conn, fake_vector ("cap-net-refresh-ack-up"));
  fake_expect (fake, "result 1763820216 acked late");
  fake_expect_none (fake);
}

static void test_failed (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_command (fake, conn, CH_COMMAND_CONFIGURE_NETWORK, 0, -1, 0x22, 1,
                "{\"channel\":1,\"nodes\":[{\"socket_no\":1,"
                "\"socket_mac\":\"854121800889\"}]}");
  fake_skip (fake, NULL);
  fake_feed (fake, conn, fake_vector ("con-net-refresh-refused-up"));
  fake_expect_part (fake, "topology refresh failed channel=1");
  fake_expect (fake, "result 34 rejected code=0");
  fake_expect_none (fake);
}

static void test_largest (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  g_autoptr (GString) payload = g_string_new ("{\"channel\":1,\"nodes\":[");

  for (guint i = 1; i <= 250; i++)
    g_string_append_printf (payload,
                            "%s{\"socket_no\":%u,\"socket_mac\":\"8541218008%02X\"}",
                            i > 1 ? "," : "", i, i);
  g_string_append (payload, "]}");
  fake_command (fake, conn, CH_COMMAND_CONFIGURE_NETWORK, 0, -1, 0x24, 1, payload->str);
  fake_expectf (fake, "command %s", fake_vector ("con-net-refresh-250-down"));
}

static void test_refused (void)
{
  static const char *const bad[] = {
      "{\"channel\":0,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"854121800889\"}]}",
      "{\"channel\":16,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"854121800889\"}]}",
      "{\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"854121800889\"}]}",
      "{\"channel\":1,\"nodes\":[]}",
      "{\"channel\":1}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":0,\"socket_mac\":\"854121800889\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":251,\"socket_mac\":\"854121800889\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"85412180088\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"8541218008890\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"85412180088x\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"854121800889\"},"
      "{\"socket_no\":1,\"socket_mac\":\"854121800888\"}]}",
      "{\"channel\":1,\"nodes\":[{\"socket_no\":1,\"socket_mac\":\"854121800889\"},"
      "{\"socket_no\":2,\"socket_mac\":\"854121800889\"}]}",
  };
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_cmpint (
        fake_command (fake, conn, CH_COMMAND_CONFIGURE_NETWORK, 0, -1, 1, 1, bad[i]), ==,
        CH_COMMAND_REJECTED);
  g_assert_cmpint (
      fake_command (fake, conn, CH_COMMAND_NETWORK_REFRESH, 0, -1, 1, 1, NULL), ==,
      CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_NETWORK_ADD_NODE, 0, -1, 1, 1,
                                 "{\"socket_no\":3}"),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 0, -1, 1, 1,
                                 "{\"socket_no\":3}"),
                   ==, CH_COMMAND_REJECTED);
  fake_expect_none (fake);
}

/* A socket with an active order cannot be removed. */
static void test_active_order (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  ChOrderView order = bkv_order (CH_ORDER_CHARGING, 9);

  fake_set_sockets (fake, three);
  fake_set_order (fake, 2, 1, &order);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_CONFIGURE_NETWORK, 0, -1, 1, 1,
                                 "{\"channel\":1,\"nodes\":[{\"socket_no\":1,"
                                 "\"socket_mac\":\"854121800889\"}]}"),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 2, -1, 1, 1,
                                 "{\"socket_no\":2}"),
                   ==, CH_COMMAND_REJECTED);
  g_assert_cmpint (fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 3, -1, 1, 1,
                                 "{\"socket_no\":3}"),
                   ==, CH_COMMAND_SENT);
}

static void test_refresh (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_set_sockets (fake, three);
  fake_command (fake, conn, CH_COMMAND_NETWORK_REFRESH, 0, -1, 0x22, 1, NULL);
  bkv_expect (fake, "command", "net_refresh", 0x22,
              "{'channel':4,'nodes':[{'socket':1,'mac':'A1B2C3D4E5F1'},"
              "{'socket':2,'mac':'A1B2C3D4E5F2'},{'socket':3,'mac':'A1B2C3D4E5F3'}]}");
  /* All of them are known: nobody is asked. */
  bkv_feed (fake, conn, "net_refresh_ack", 0x22, "{'result':1}");
  fake_expect_part (fake, "topology refresh ok channel=4");
  fake_expect (fake, "result 34 acked");
  fake_expect_none (fake);
}

static void test_add (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_set_sockets (fake, three);
  fake_command (fake, conn, CH_COMMAND_NETWORK_ADD_NODE, 0, -1, 0x22, 1,
                "{\"nodes\":[{\"socket_no\":4,\"socket_mac\":\"350030701247\"}]}");
  bkv_expect (fake, "command", "net_add", 0x22, "{'socket':4,'mac':'350030701247'}");
  /* The answer of another command under this serial is none. */
  bkv_feed (fake, conn, "net_refresh_ack", 0x22, "{'result':1}");
  fake_expect_none (fake);
  bkv_feed (fake, conn, "net_add_ack", 0x22, "{'result':1}");
  fake_expect (fake, "topology add ok socket=4 "
                     "[{\"socket_mac\":\"350030701247\",\"socket_no\":4}]");
  fake_expect (fake, "result 34 acked");
  fake_expect (fake, "request QueryPortStatus 4/-1 2");
}

static void test_delete (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_set_sockets (fake, three);
  fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 2, -1, 0x22, 1,
                "{\"socket_no\":2}");
  bkv_expect (fake, "command", "net_refresh", 0x22,
              "{'channel':4,'nodes':[{'socket':1,'mac':'A1B2C3D4E5F1'},"
              "{'socket':3,'mac':'A1B2C3D4E5F3'}]}");
  bkv_feed (fake, conn, "net_refresh_ack", 0x22, "{'result':1}");
  fake_expect_part (fake, "topology delete ok socket=2 channel=4");
  fake_expect (fake, "result 34 acked");
  fake_expect_none (fake);
  /* The last one: an empty list. */
  fake_set_sockets (fake,
                    "[{\"socket_no\":1,\"socket_mac\":\"a1b2c3d4e5f1\",\"channel\":15}]");
  fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 1, -1, 0x23, 1,
                "{\"socket_no\":1}");
  fake_expectf (fake, "command %s", fake_vector ("con-net-refresh-empty-down"));
}

static void test_delete_by_command (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"delete_via", "0a", NULL});
  ChConn conn = bkv_greet (fake);

  fake_set_sockets (fake, three);
  fake_command (fake, conn, CH_COMMAND_NETWORK_DELETE_NODE, 3, -1, 0x21, 1,
                "{\"socket_no\":3}");
  fake_expectf (fake, "command %s", fake_vector ("con-net-delete-down"));
  bkv_feed (fake, conn, "net_delete_ack", 0x21, "{'result':1}");
  fake_expect_part (fake, "topology delete ok socket=3");
  fake_expect (fake, "result 33 acked");
}

/* The gateway took the list after the core had given up: it is still its list. */
static void test_late (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_set_sockets (fake, three);
  fake_command (fake, conn, CH_COMMAND_NETWORK_REFRESH, 0, -1, 0x22, 1, NULL);
  fake_give_up (fake, 0x22);
  fake_skip (fake, NULL);
  bkv_feed (fake, conn, "net_refresh_ack", 0x22, "{'result':1}");
  fake_expect_part (fake, "topology refresh ok");
  fake_expect (fake, "result 34 acked late");
}

/* ---- events ---------------------------------------------------------------------------
 */

static void test_event (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("con-event-leak-up"));
  bkv_expect (fake, "reply", "event_ack", 0, "{'socket':3,'result':1}");
  fake_expect_part (fake, "raise 3/0 bkv_event_4 warning {\"leak_a\":35,\"leak_b\":0,"
                          "\"over_temp_a\":90,\"over_temp_b\":0,\"over_voltage\":285.6");
  fake_expect (fake, "raise 3/0 over_temp major");
  fake_expect (fake, "port 3/0 status=3 raw=84 faults=2 no_load=0");
  fake_expect (fake, "port 3/1 status=1 raw=80 faults=0 no_load=0");
  fake_expect_none (fake);
  /* A copy is answered only; after a minute it is a new event. */
  fake_advance (fake, 10000);
  fake_feed (fake, conn, fake_vector ("con-event-leak-up"));
  fake_expect_part (fake, "reply");
  fake_expect_none (fake);
  fake_advance (fake, 60000);
  fake_feed (fake, conn, fake_vector ("con-event-leak-up"));
  g_assert_cmpuint (fake_lines (fake, "raise 3/0 bkv_event_4"), ==, 1);
  fake_skip (fake, NULL);
  /* All reasons 0: what was raised is cleared at this socket. */
  bkv_feed (fake, conn, "event_report", 0,
            "{'socket':3,'socket_event':0,'port_a_event':0,'port_b_event':0}");
  fake_expect_part (fake, "reply");
  fake_expect (fake, "clear 3/-1 bkv_event_4");
  fake_expect (fake, "clear 3/0 bkv_event_4");
  fake_expect (fake, "clear 3/1 bkv_event_4");
  fake_expect_none (fake);
}

static void test_event_map (void)
{
  g_autoptr (Fake) fake = bkv_fake (
      (const char *[]) {"event_map", "8=major:over_voltage,4=critical", NULL});
  ChConn conn = bkv_greet (fake);

  bkv_feed (fake, conn, "event_report", 0,
            "{'socket':2,'socket_event':8,'port_b_event':4}");
  fake_expect_part (fake, "reply");
  fake_expect_part (fake, "raise 2/-1 over_voltage major");
  fake_expect_part (fake, "raise 2/1 bkv_event_4 critical");
}

static void test_event_without_socket (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  bkv_feed (fake, conn, "event_report", 0, "{'socket_event':8}");
  fake_expect (fake, "bad short_payload");
  bkv_feed (fake, conn, "event_report", 0, "{'socket':255,'socket_event':8}");
  fake_expect_part (fake, "reply");
  fake_expect_none (fake);
}

static void test_record (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-event-record-up"));
  fake_expect (fake,
               "raise 1/-1 bkv_record_3111 info {\"time\":\"2025-11-24T03:23:25.000Z\"}");
  fake_expect_none (fake);
  bkv_feed (fake, conn, "event_record", 0, "{'socket':1}");
  fake_expect (fake, "bad short_payload");
}

static void test_record_answered (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"ack_event_record", "true", NULL});
  ChConn conn = bkv_greet (fake);

  fake_feed (fake, conn, fake_vector ("cap-event-record-up"));
  fake_expect_part (fake, "raise 1/-1 bkv_record_3111");
  fake_expect_part (fake, "04010110130A0102000000000000000009010382241218000382"
                          "03014A0103010F01");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/network/configure", test_configure);
  g_test_add_func ("/bkv/network/failed", test_failed);
  g_test_add_func ("/bkv/network/largest", test_largest);
  g_test_add_func ("/bkv/network/refused", test_refused);
  g_test_add_func ("/bkv/network/active-order", test_active_order);
  g_test_add_func ("/bkv/network/refresh", test_refresh);
  g_test_add_func ("/bkv/network/add", test_add);
  g_test_add_func ("/bkv/network/delete", test_delete);
  g_test_add_func ("/bkv/network/delete-0a", test_delete_by_command);
  g_test_add_func ("/bkv/network/late", test_late);
  g_test_add_func ("/bkv/event/report", test_event);
  g_test_add_func ("/bkv/event/map", test_event_map);
  g_test_add_func ("/bkv/event/no-socket", test_event_without_socket);
  g_test_add_func ("/bkv/event/record", test_record);
  g_test_add_func ("/bkv/event/record-answered", test_record_answered);
  return g_test_run ();
}
