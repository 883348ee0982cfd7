/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* End reports that cannot be read, and those that never come (bkv 3.4, 10.7). */
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

/* ---- unreadable ----------------------------------------------------------------------
 */

static void test_unreadable (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  for (guint i = 0; i < 2; i++) {
    fake_feed (fake, conn, fake_vector ("short-power-end"));
    fake_expect (fake, "bad short_payload");
    fake_expect_none (fake);
  }
  /* Also over a new connection. */
  fake_close (fake, conn, CH_CLOSE_PEER);
  conn = bkv_greet (fake);
  fake_feed (fake, conn, fake_vector ("short-power-end"));
  fake_expect (fake, "bad short_payload");
  fake_expect_part (fake,
                    "raise 2/-1 end_report_unreadable major {\"payload\":\"00261802");
  bkv_expect (fake, "reply", "charge_end_ack", 0, "{'socket':2,'result':1}");
  fake_feed (fake, conn, fake_vector ("short-power-end"));
  fake_expect (fake, "bad short_payload");
  bkv_expect (fake, "reply", "charge_end_ack", 0, "{'socket':2,'result':1}");
  fake_expect_none (fake);
  g_assert_cmpfloat (
      fake_counter (fake, "chargehost_bkv_end_reports_total", "unreadable"), ==, 1);
}

static void test_unreadable_changes (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  /* Other bytes in between begin the count anew; an empty one has no socket. */
  fake_feed (fake, conn, fake_vector ("short-power-end"));
  fake_feed (fake, conn, fake_vector ("short-power-end"));
  for (guint i = 0; i < 2; i++)
    fake_feed (fake, conn, fake_vector ("inner-len-zero"));
  fake_skip (fake, "bad");
  fake_expect_none (fake);
  fake_feed (fake, conn, fake_vector ("inner-len-zero"));
  fake_skip (fake, "bad");
  fake_expect_part (fake, "raise 0/-1 end_report_unreadable major");
  bkv_expect (fake, "reply", "charge_end_ack", 0, "{'socket':0,'result':1}");
}

static void test_unreadable_items (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);

  for (guint i = 0; i < 3; i++)
    fake_feed (fake, conn, fake_vector ("tlv-length-0"));
  fake_skip (fake, "bad");
  fake_expect_part (fake, "raise 1/-1 end_report_unreadable major");
  bkv_expect (fake, "reply", "fee_charge_end_ack", 0, "{'result':1,'socket':1,'port':0}");
}

/* Cut behind the card number: its digits do not show. */
static void test_unreadable_card (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChConn conn = bkv_greet (fake);
  g_autofree BkvFrame *frame = g_new (BkvFrame, 1);
  static const guint8 payload[]
      = {0, 23, 0x0C, 1, 0, 1, 20, 30,   0,    0x98, 0,    9,    0,
         0, 0,  0,    0, 5, 0, 2,  0x12, 0x34, 0x56, 0x78, 0x90, 0x12};
  guint8 gateway[7], bytes[64];
  char hex[129];

  bkv_gateway_parse (GATEWAY, gateway);
  bkv_init (frame, BKV_CARD_CHARGE_END, gateway, 0);
  bkv_hex (bytes, bkv_wrap (frame, payload, sizeof payload, bytes, sizeof bytes), hex);
  for (guint i = 0; i < 3; i++)
    fake_feed (fake, conn, hex);
  fake_skip (fake, "bad");
  fake_expect_part (fake, "00050002********9012\"}");
}

/* ---- missing -------------------------------------------------------------------------
 */

static ChConn charging (Fake *fake, ChOrderView *order)
{
  ChConn conn = bkv_greet (fake);

  *order = bkv_order (CH_ORDER_CHARGING, 9);
  fake_set_order (fake, 1, 0, order);
  bkv_status (fake, conn, 0x90, 9, 500, 33, 20);
  fake_skip (fake, NULL);
  return conn;
}

static void test_missing (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChOrderView order;
  ChConn conn = charging (fake, &order);

  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  fake_skip (fake, NULL);
  fake_advance (fake, 60000);
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0); /* the timer runs already */
  fake_skip (fake, NULL);
  fake_advance (fake, 29999);
  fake_expect_none (fake);
  fake_advance (fake, 1);
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  fake_expect_none (fake);
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  fake_expect_part (fake, "port 1/0");
  fake_expect (fake,
               "ended 1/0 order=ORD10 no=0009 wire=01000009 energy=33 duration=1200 "
               "reason=99 inferred key=end:" GATEWAY ":1:0:0009:33:20:inferred");
  fake_expect (fake, "raise 1/0 end_report_missing warning");
  fake_expect_none (fake);
  /* The report comes after all: it is new, not a conflict. */
  fake_set_order (fake, 1, 0, NULL);
  feed_end (fake, conn, 0xB0, 9, 34, 20);
  fake_expect_part (fake, "ended 1/0 no=0009 wire=01000009 energy=34");
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "new"), ==,
                     1);
  g_assert_cmpfloat (fake_counter (fake, "chargehost_bkv_end_reports_total", "inferred"),
                     ==, 1);
}

static void test_missing_other_number (void)
{
  g_autoptr (Fake) fake = bkv_fake ((const char *[]) {"missing_end_wait_s", "10", NULL});
  ChOrderView order;
  ChConn conn = charging (fake, &order);

  /* Charging, but with another number. */
  bkv_status (fake, conn, 0x90, 10, 500, 1, 1);
  fake_skip (fake, NULL);
  fake_advance (fake, 10000);
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
  bkv_status (fake, conn, 0x90, 10, 500, 1, 1);
  g_assert_cmpuint (fake_lines (fake, "ended 1/0 order=ORD10 no=0009"), ==, 1);
}

static void test_missing_stops (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChOrderView order;
  ChConn conn = charging (fake, &order);

  /* An end report stops it. */
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  feed_end (fake, conn, 0xB0, 9, 34, 20);
  fake_set_order (fake, 1, 0, NULL);
  fake_skip (fake, NULL);
  fake_advance (fake, 200000);
  fake_expect_none (fake);
  /* A report that shows the charge again does. */
  fake_set_order (fake, 1, 0, &order);
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  bkv_status (fake, conn, 0x90, 9, 500, 33, 20);
  fake_skip (fake, NULL);
  fake_advance (fake, 200000);
  fake_expect_none (fake);
  /* And so does the loss of the connection: off line nothing is inferred. */
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  fake_skip (fake, NULL);
  fake_close (fake, conn, CH_CLOSE_PEER);
  fake_advance (fake, 200000);
  fake_expect_none (fake);
}

/* Nobody answers the query: nothing is inferred, it begins anew with the next report. */
static void test_missing_unanswered (void)
{
  g_autoptr (Fake) fake = bkv_fake (NULL);
  ChOrderView order;
  ChConn conn = charging (fake, &order);

  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  fake_advance (fake, 90000);
  fake_advance (fake, 60000);
  fake_skip (fake, NULL);
  bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
  g_assert_cmpuint (fake_lines (fake, "ended"), ==, 0);
  fake_skip (fake, NULL);
  fake_advance (fake, 90000);
  fake_expect (fake, "request QueryPortStatus 1/-1 2");
}

/* Only an order that charges is watched. */
static void test_missing_states (void)
{
  static const gint states[]
      = {CH_ORDER_PENDING, CH_ORDER_STOPPING, CH_ORDER_INTERRUPTED};

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    g_autoptr (Fake) fake = bkv_fake (NULL);
    ChConn conn = bkv_greet (fake);
    ChOrderView order = bkv_order (states[i], 9);

    fake_set_order (fake, 1, 0, &order);
    bkv_status (fake, conn, 0x80, 0, 0, 0, 0);
    fake_skip (fake, NULL);
    fake_advance (fake, 200000);
    fake_expect_none (fake);
  }
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bkv/end/unreadable", test_unreadable);
  g_test_add_func ("/bkv/end/unreadable-changes", test_unreadable_changes);
  g_test_add_func ("/bkv/end/unreadable-items", test_unreadable_items);
  g_test_add_func ("/bkv/end/unreadable-card", test_unreadable_card);
  g_test_add_func ("/bkv/missing/inferred", test_missing);
  g_test_add_func ("/bkv/missing/other-number", test_missing_other_number);
  g_test_add_func ("/bkv/missing/stops", test_missing_stops);
  g_test_add_func ("/bkv/missing/unanswered", test_missing_unanswered);
  g_test_add_func ("/bkv/missing/states", test_missing_states);
  return g_test_run ();
}
