/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks through the second half of the table of orders (gateway 1.5.4): a charge that
 * runs, and every way in which it ends.
 */
#include "site.h"

#include <string.h>

static void assert_amount (Site *s, const char *text)
{
  Site site = *s;
  CHECK_SQL ("SELECT amount_cent || ' ' || electricity_cent || ' ' || service_cent || ' '"
             " || duration_s || ' ' || end_reason FROM orders WHERE order_no = 'A'",
             text);
}

/* The late report of a provisional end: the device's figures count, once (T28, C6). */
static void late_report (Site *s, const char *events)
{
  Site site = *s;
  for (guint i = 0; i < 3; i++) {
    g_free (queue_heard (site.queue, site.fd));
    SAY ("@end " DEV " 0 w1 1250 3600 0");
    queue_expect (site.queue, site.fd, "stored 0\n");
    ASSERT_ORDER ("A", "3 0 1250 -");
  }
  assert_amount (s, "66 63 3 3600 0");
  g_autofree char *all
      = g_strconcat (RUNNING " ", events, " order.settlement_revised", NULL);
  ASSERT_EVENTS ("A", all);
  ASSERT_EVENT ("order.settlement_revised", "previous.energy_wh", "620");
  ASSERT_EVENT ("order.settlement_revised", "previous.amount_cent", "33");
  CHECK_SQL ("SELECT count(*) || ' ' || sum (settlement_rev) FROM orders", "1 1");
}

/* ---- T9, and the ends of a charge that is being stopped ---- */

static Site stopping (const char *const *options)
{
  Site site = site_running (options);
  site_stop (&site, "A", "stopping");
  return site;
}

static void test_t9 (void)
{
  Site site = stopping (NULL);
  ASSERT_ORDER ("A", "9 0 620 -");
  ASSERT_HISTORY ("A", "2 device started, 9 api api_stop_charge");
  ASSERT_EVENTS ("A", RUNNING " order.stopping");
  ASSERT_EVENT ("order.stopping", "reason", "api_stop_charge");
  ASSERT_EVENT ("order.stopping", "by", "api");
  CHECK_SQL (
      "SELECT event_data ->> 'command_id' = stop_command_id FROM events JOIN orders"
      " USING (order_no) WHERE event_type = 'order.stopping'",
      "1");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  EXPECT ("StopCharge");
  site_stop (&site, "A", "stopping"); /* no second command */
  EXPECT ("");
  site_close (&site);
}

/* Who asked, and why. */
static void test_t9_by (void)
{
  Site site = site_running (NULL);
  const ChOrigin admin = {.by = "admin"};
  const ChStopRequest request = {.order_no = "A",
                                 .socket_no = CH_UNSET,
                                 .port_no = CH_UNSET,
                                 .reason = "cable is hot"};
  ch_core_stop_charge (site.queue->caller, &request, &admin, 0, site_answered,
                       &site.answer);
  queue_settle (site.queue);
  ASSERT_HISTORY ("A", "2 device started, 9 admin cable is hot");
  ASSERT_EVENT ("order.stopping", "reason", "cable is hot");
  ASSERT_EVENT ("order.stopping", "by", "admin");
  site_close (&site);
}

static void test_t10_t11 (void)
{
  static const struct {
    guint reason;
    const char *order, *amount, *event;
  } ends[] = {
      {0, "3 0 1250 -", "66 63 3 3600 0", "order.completed"},
      {7, "3 0 1250 -", "66 63 3 3600 7", "order.completed"},
      {1, "7 0 1250 -", "66 63 3 3600 1", "order.stopped"},
      {9, "7 0 1250 -", "66 63 3 3600 9", "order.stopped"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    Site site = site_running (NULL);
    SAY ("@end " DEV " 0 w1 1250 3600 %u", ends[i].reason);
    ASSERT_ORDER ("A", ends[i].order);
    assert_amount (&site, ends[i].amount);
    g_autofree char *events
        = g_strconcat (RUNNING " charging.ended ", ends[i].event, NULL);
    ASSERT_EVENTS ("A", events);
    ASSERT_EVENT ("charging.ended", "amount_cent", "66");
    ASSERT_EVENT ("charging.ended", "lookup_source", "business_no");
    ASSERT_PORT (CH_PORT_IDLE, NULL);
    site_stop (&site, "A", "40902");
    site_start (&site, "B", "pending");
    site_close (&site);
  }
}

static void test_t12 (void)
{
  Site site = site_running (NULL);
  SAY ("@port " DEV " 0 3 w1");
  site_live (&site, 28);
  ASSERT_STATUS ("A", "2");
  ADVANCE (3);
  ASSERT_ORDER ("A", "6 1 620 port_fault");
  assert_amount (&site, "33 31 2 1800 7");
  ASSERT_HISTORY ("A", "2 device started, 6 timer fault_wait");
  ASSERT_EVENTS ("A", RUNNING " charging.ended order.failed");
  ASSERT_EVENT ("order.failed", "amount_cent", "33");
  ASSERT_PORT (CH_PORT_FAULT, NULL);
  site_start (&site, "B", "50304");
  late_report (&site, "charging.ended order.failed");
  site_close (&site);
}

/* A fault that goes again, or whose report comes in time, is none. */
static void test_t12_not (void)
{
  Site site = site_running (NULL);
  SAY ("@port " DEV " 0 3 w1");
  ADVANCE (20);
  SAY ("@port " DEV " 0 2 w1");
  ADVANCE (40);
  ASSERT_STATUS ("A", "2");
  site_close (&site);
}

static void test_t18_t19 (void)
{
  static const struct {
    guint reason;
    const char *order, *event;
  } ends[] = {{9, "7 0 620 -", "order.stopped"},
              {1, "7 0 620 -", "order.stopped"},
              {0, "3 0 620 -", "order.completed"},
              {3, "3 0 620 -", "order.completed"}};
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    Site site = stopping (NULL);
    if (i == 1) /* with the acknowledgement before it, too */
      SAY ("@ack " DEV " %u", site_heard (&site));
    SAY ("@end " DEV " 0 w1 620 1800 %u", ends[i].reason);
    ASSERT_ORDER ("A", ends[i].order);
    g_autofree char *events
        = g_strconcat (RUNNING " order.stopping charging.ended ", ends[i].event, NULL);
    ASSERT_EVENTS ("A", events);
    ASSERT_PORT (CH_PORT_IDLE, NULL);
    site_close (&site);
  }
}

static void test_t20 (void)
{
  Site site = stopping (NULL);
  SAY ("@ack " DEV " %u", site_heard (&site));
  SAY ("@port " DEV " 0 1");
  site_live (&site, 28);
  ASSERT_STATUS ("A", "9");
  ADVANCE (3);
  ASSERT_ORDER ("A", "7 1 620 -");
  assert_amount (&site, "33 31 2 1800 9");
  ASSERT_EVENTS ("A", RUNNING " order.stopping order.stopped");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  late_report (&site, "order.stopping order.stopped");
  site_close (&site);
}

/* T21 until its rounds are used up, the alarm, then T22; it ends with the port's word. */
static void test_t21_t22 (void)
{
  Site site = stopping (NULL);
  for (guint round = 0; round < 3; round++) {
    site_live (&site, 29);
    ASSERT_STATUS ("A", "9");
    g_autofree char *text = queue_heard (site.queue, site.fd);
    g_assert_nonnull (strstr (text, "StopCharge"));
    SAY ("@port " DEV " 0 2 w1");
    ADVANCE (2);
  }
  ASSERT_ALARMS ("");
  site_live (&site, 60);
  ASSERT_ALARMS ("stop_not_executed");
  site_live (&site, 24);
  ASSERT_ORDER ("A", "9 0 620 -");
  ADVANCE (4);
  ASSERT_ORDER ("A", "7 1 620 -");
  CHECK_SQL ("SELECT status_history ->> '$[#-1].reason' FROM orders", "stop_max");
  ASSERT_EVENTS ("A", RUNNING " order.stopping order.stopped");
  ASSERT_PORT (CH_PORT_CHARGING, NULL); /* PORT-01 */
  ASSERT_ALARMS ("");                   /* it was not executed yet */
  site_start (&site, "B", "40903");
  SAY ("@end " DEV " 0 w1 1250 3600 9");
  ASSERT_ORDER ("A", "7 0 1250 -");
  ASSERT_ALARMS ("stop_not_executed cleared");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site_close (&site);
}

static void test_t23 (void)
{
  Site site = stopping (NULL);
  SAY ("@port " DEV " 0 3 w1");
  site_live (&site, 31);
  ASSERT_ORDER ("A", "6 1 620 port_fault");
  assert_amount (&site, "33 31 2 1800 7");
  ASSERT_EVENTS ("A", RUNNING " order.stopping order.failed");
  ASSERT_PORT (CH_PORT_FAULT, NULL);
  late_report (&site, "order.stopping order.failed");
  site_close (&site);
}

/* ---- T13 to T17, R1 to R4: the device goes and comes ---- */

static void test_t13_t14 (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  ASSERT_ORDER ("A", "10 0 620 -");
  ASSERT_HISTORY ("A", "2 device started, 10 device session_lost");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted");
  ASSERT_EVENT ("order.interrupted", "energy_wh", "620");
  ASSERT_PORT (CH_PORT_OFFLINE, "A");
  CHECK_SQL ("SELECT resume_status || (interrupted_at IS NOT NULL) FROM orders", "21");
  site_come (&site);
  EXPECT ("QueryPortStatus"); /* R1 */
  ASSERT_STATUS ("A", "10");  /* R2: what was known before says nothing */
  SAY ("@port " DEV " 0 2 w2");
  ASSERT_STATUS ("A", "10"); /* another charge */
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_ORDER ("A", "2 0 620 -"); /* R3: one snapshot is enough */
  ASSERT_EVENTS ("A", RUNNING " order.interrupted order.recovered");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  site_close (&site);
}

static void test_t14_unkeyed (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  site_come (&site);
  SAY ("@port " DEV " 0 2"); /* a protocol that reports no numbers */
  ASSERT_STATUS ("A", "2");
  site_close (&site);
}

static void test_t15 (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  ADVANCE (60);
  site_come (&site);
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted charging.ended order.completed");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site_close (&site);
}

static void test_t16 (void)
{
  static const guint status[] = {1, 3};
  for (guint i = 0; i < G_N_ELEMENTS (status); i++) {
    Site site = site_running (NULL);
    site_go (&site);
    site_come (&site);
    ADVANCE (5);
    SAY ("@port " DEV " 0 %u", status[i]);
    ADVANCE (28);
    ASSERT_STATUS ("A", "10");
    ADVANCE (3);
    ASSERT_ORDER ("A", "6 1 620 port_state_mismatch");
    assert_amount (&site, "33 31 2 1800 99");
    ASSERT_EVENTS ("A", RUNNING " order.interrupted order.failed");
    ASSERT_PORT ((ChPortStatus) status[i], NULL);
    late_report (&site, "order.interrupted order.failed");
    site_close (&site);
  }
}

static void test_t17 (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  ADVANCE (298);
  ASSERT_STATUS ("A", "10");
  ADVANCE (3);
  ASSERT_ORDER ("A", "6 1 620 device_offline_timeout");
  assert_amount (&site, "33 31 2 1800 12");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted order.failed");
  ASSERT_PORT (CH_PORT_OFFLINE, NULL);
  site_come (&site);
  late_report (&site, "order.interrupted order.failed");
  site_close (&site);
}

/* It goes on without us: half an hour of the paid time is left, and five minutes. */
static void test_t17_offline (void)
{
  Site site = RUNNING_WITH ("proto-lines.charges_offline=true");
  site_go (&site);
  ADVANCE (2095);
  ASSERT_STATUS ("A", "10");
  ADVANCE (10);
  ASSERT_ORDER ("A", "6 1 620 device_offline_timeout");
  site_close (&site);
}

/* Each loss begins the deadline anew. */
static void test_t17_again (void)
{
  Site site = site_running (NULL);
  for (guint i = 0; i < 3; i++) {
    site_go (&site);
    ADVANCE (200);
    ASSERT_STATUS ("A", "10");
    site_come (&site);
  }
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_STATUS ("A", "2");
  site_close (&site);
}

static void test_r4 (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  site_come (&site);
  site_start (&site, "B", NULL); /* nothing fresh is known: it waits for that */
  SAY ("@port " DEV " 0 1");
  g_assert_cmpstr (site.answer, ==, "pending");
  ASSERT_ORDER ("A", "6 1 620 port_state_mismatch");
  ASSERT_PORT (CH_PORT_IDLE, "B");
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  ASSERT_ORDER ("B", "0 0 0 -"); /* the report is not its own */
  ASSERT_PORT (CH_PORT_IDLE, "B");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/walks/t9", test_t9);
  g_test_add_func ("/walks/t9-by", test_t9_by);
  g_test_add_func ("/walks/t10-t11", test_t10_t11);
  g_test_add_func ("/walks/t12", test_t12);
  g_test_add_func ("/walks/t12-not", test_t12_not);
  g_test_add_func ("/walks/t18-t19", test_t18_t19);
  g_test_add_func ("/walks/t20", test_t20);
  g_test_add_func ("/walks/t21-t22", test_t21_t22);
  g_test_add_func ("/walks/t23", test_t23);
  g_test_add_func ("/walks/t13-t14-r1-r2-r3", test_t13_t14);
  g_test_add_func ("/walks/t14-unkeyed", test_t14_unkeyed);
  g_test_add_func ("/walks/t15", test_t15);
  g_test_add_func ("/walks/t16", test_t16);
  g_test_add_func ("/walks/t17", test_t17);
  g_test_add_func ("/walks/t17-offline", test_t17_offline);
  g_test_add_func ("/walks/t17-again", test_t17_again);
  g_test_add_func ("/walks/r4", test_r4);
  return g_test_run ();
}
