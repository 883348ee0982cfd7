/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rarer walks of orders (gateway 1.5.4): charges that nobody ordered, stops of absent
 * devices, ends by hand, revivals, abandoned charges, the limits, two orders of one port,
 * alarms that end.
 */
#include "site.h"

#include <string.h>

#define OTHERS "FROM orders WHERE order_no != 'A'"

/* ---- T28: only within its window ---- */

static void test_t28_window (void)
{
  Site site = RUNNING_WITH ("orders.late_report_window_s=3600");
  site_go (&site);
  ADVANCE (310);
  ASSERT_ORDER ("A", "6 1 620 device_offline_timeout");
  ADVANCE (3700);
  site_come (&site);
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "6 1 620 device_offline_timeout"); /* too late: settled as it was */
  CHECK_SQL ("SELECT status || source || failure_reason " OTHERS,
             "3localno_matching_order");
  site_close (&site);
}

/* ---- T29: a button, a coin ---- */

static void test_t29 (void)
{
  Site site = site_open (NULL);
  SAY ("@start " DEV " 0 w5");
  queue_expect (site.queue, site.fd, "stored 0\n");
  CHECK_SQL ("SELECT status || source || wire_order || coalesce (amount_limit_cent, '-')"
             " FROM orders",
             "2localw5-");
  CHECK_SQL ("SELECT group_concat (event_type, ' ') FROM events",
             "order.created charging.started");
  CHECK_SQL ("SELECT status_history ->> '$[0].by' FROM orders", "local");
  site_start (&site, "B", "40901");
  SAY ("@start " DEV " 0 w5"); /* said again */
  SAY ("@end " DEV " 0 w5 1250 3600 1");
  CHECK_SQL ("SELECT status || ' ' || amount_cent FROM orders", "7 66");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site_close (&site);
}

static void test_t29_refused (void)
{
  Site site = SITE ("orders.accept_local=false");
  SAY ("@start " DEV " 0 w5");
  queue_expect (site.queue, site.fd, "stored 0\n"); /* it would repeat it for ever */
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  site_close (&site);
}

/* ---- T30: stopped while away ---- */

static Site stopped_away (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  site_stop (&site, "A", "stopping");
  ASSERT_ORDER ("A", "10 0 620 -");
  ASSERT_HISTORY ("A",
                  "2 device started, 10 device session_lost, 10 api api_stop_charge");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted order.stopping");
  return site;
}

static void test_t30 (void)
{
  Site site = stopped_away ();
  site_come (&site);
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_ORDER ("A", "9 0 620 -");
  EXPECT ("QueryPortStatus StopCharge");
  SAY ("@end " DEV " 0 w1 700 1900 9");
  ASSERT_ORDER ("A", "7 0 700 -");
  site_close (&site);
}

/* T17 of an order that was stopped leads to stopped. */
static void test_t30_t17 (void)
{
  Site site = stopped_away ();
  ADVANCE (301);
  ASSERT_ORDER ("A", "7 1 620 -");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted order.stopping order.stopped");
  ASSERT_PORT (CH_PORT_OFFLINE, NULL);
  site_close (&site);
}

/* T13 from 9, T14 to 9. */
static void test_t13_stopping (void)
{
  Site site = site_running (NULL);
  site_stop (&site, "A", "stopping");
  site_go (&site);
  ASSERT_STATUS ("A", "10");
  CHECK_SQL ("SELECT resume_status FROM orders", "9");
  site_come (&site);
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_STATUS ("A", "9");
  site_close (&site);
}

/* ---- T31: by hand, from every active state ---- */

static void lead_to (Site *s, guint state)
{
  Site site = *s;
  if (state == 0)
    return;
  guint number = site_heard (s);
  if (state == 1 || state == 8)
    SAY ("@ack " DEV " %u", number);
  else
    SAY ("@start " DEV " 0 w1 A");
  if (state == 8)
    site_cancel (s, "A", "cancelling");
  if (state == 9)
    site_stop (s, "A", "stopping");
  if (state == 10)
    site_go (s);
}

static void test_t31 (void)
{
  static const guint states[] = {0, 1, 2, 8, 9, 10};
  for (guint i = 0; i < 2 * G_N_ELEMENTS (states); i++) {
    guint state = states[i / 2];
    gboolean settle = i % 2 != 0;
    Site site = site_open (NULL);
    site_start (&site, "A", "pending");
    lead_to (&site, state);
    g_autofree char *number = g_strdup_printf ("%u", state);
    ASSERT_STATUS ("A", number);
    site_force (&site, settle, settle ? "completed" : "failed");
    if (settle)
      ASSERT_ORDER ("A", "3 0 620 admin_forced");
    else
      ASSERT_ORDER ("A", "6 0 0 admin_forced");
    CHECK_SQL ("SELECT status_history ->> '$[#-1].by' || ': ' || (status_history ->>"
               " '$[#-1].reason') FROM orders",
               "admin: meter was read on site");
    CHECK_SQL ("SELECT event_type FROM events ORDER BY id DESC LIMIT 1",
               settle ? "order.completed" : "order.failed");
    g_assert_null (ch_orders_find (site.queue->services.core->orders, "A"));
    if (state == 10)
      site_come (&site);
    SAY ("@port " DEV " 0 1");
    site_start (&site, "B", "pending");
    site_close (&site);
  }
}

/* C4 and C6: what begins under the number of an order that is settled is no new charge.
 */
static void test_t31_began (void)
{
  Site site = site_open (NULL);
  site_start (&site, "A", "pending");
  site_heard (&site);
  site_force (&site, FALSE, "failed");
  EXPECT ("StopCharge");
  SAY ("@start " DEV " 0 65"); /* the number of A */
  ASSERT_ALARMS ("late_start_compensated");
  SAY ("@end " DEV " 0 65 30 60 9");
  ASSERT_ORDER ("A", "6 0 0 admin_forced");
  CHECK_SQL ("SELECT energy_wh FROM order_reports WHERE order_no = 'A'", "30");
  site_start (&site, "C", "pending");
  guint number = site_heard (&site);
  SAY ("@start " DEV " 0 67"); /* the number of C */
  SAY ("@ack " DEV " %u", number);
  SAY ("@end " DEV " 0 67 40 60 0");
  SAY ("@start " DEV " 0 67"); /* said once more */
  CHECK_SQL ("SELECT count(*) FROM orders", "2");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site_close (&site);
}

/* ---- T32: it was charging all the time ---- */

static void test_t32 (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  ADVANCE (301);
  ASSERT_ORDER ("A", "6 1 620 device_offline_timeout");
  site_come (&site);
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_ORDER ("A", "2 0 620 -");
  CHECK_SQL ("SELECT coalesce (end_time, '-') || coalesce (end_reason, '-') FROM orders",
             "--");
  ASSERT_EVENTS ("A", RUNNING " order.interrupted order.failed order.recovered");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  SAY ("@prog " DEV " 0 w1 900 2600");
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  CHECK_SQL ("SELECT amount_cent FROM orders", "66");
  site_close (&site);
}

/* The port was sold again: C4. */
static void test_t32_sold (void)
{
  Site site = site_running (NULL);
  site_go (&site);
  site_come (&site);
  SAY ("@port " DEV " 0 1");
  ADVANCE (31);
  ASSERT_ORDER ("A", "6 1 620 port_state_mismatch");
  site_start (&site, "B", "pending");
  g_free (queue_heard (site.queue, site.fd));
  SAY ("@start " DEV " 0 w1 A");
  ASSERT_STATUS ("A", "6");
  ASSERT_STATUS ("B", "0");
  ASSERT_PORT (CH_PORT_IDLE, "B");
  site_close (&site);
}

/* ---- T33: nothing was heard of it for a week ---- */

/* The device reads what it is told, but says nothing but heartbeats. */
static void live_reading (Site *site, guint seconds)
{
  while (seconds > 0) {
    guint step = MIN (seconds, 60);
    site_live (site, step);
    g_free (queue_heard (site->queue, site->fd));
    seconds -= step;
  }
}

static void test_t33 (void)
{
  for (guint stopping = 0; stopping < 2; stopping++) {
    Site site
        = RUNNING_WITH ("proto-lines.abandoned_s=600", "proto-lines.stop_max_s=7200",
                        "proto-lines.progress_stale_s=7200");
    if (stopping)
      site_stop (&site, "A", "stopping");
    live_reading (&site, 590);
    ASSERT_STATUS ("A", stopping ? "9" : "2");
    site_live (&site, 15);
    ASSERT_ORDER ("A", "6 1 620 abandoned");
    CHECK_SQL ("SELECT amount_cent FROM orders", "33");
    CHECK_SQL ("SELECT group_concat (event_type, ' ') FROM (SELECT event_type FROM events"
               " ORDER BY id DESC LIMIT 2)",
               "order.failed charging.ended");
    ASSERT_PORT (CH_PORT_CHARGING, NULL); /* PORT-01 */
    site_close (&site);
  }
}

/* A message of the order keeps it. */
static void test_t33_not (void)
{
  Site site = RUNNING_WITH ("proto-lines.abandoned_s=600");
  site_live (&site, 500);
  SAY ("@prog " DEV " 0 w1 700 2400");
  site_live (&site, 500);
  ASSERT_STATUS ("A", "2");
  site_close (&site);
}

/* ---- the limit watchdog ---- */

static void assert_limited (Site *s)
{
  Site site = *s;
  ChOrders *orders = site.queue->services.core->orders;
  for (guint i = 0; i < 31 && ch_orders_find (orders, "A")->d.status != 9; i++)
    ADVANCE (1); /* longer, and the stop would be sent again */
  ASSERT_STATUS ("A", "9");
  ASSERT_HISTORY ("A", "2 device started, 9 timer limit_reached");
  ASSERT_EVENT ("order.stopping", "reason", "limit_reached");
  ASSERT_EVENT ("order.stopping", "by", "timer");
  g_autofree char *text = queue_heard (site.queue, site.fd);
  g_assert_nonnull (strstr (text, "StopCharge"));
  site_close (s);
}

static void test_limit_time (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 620 3890"); /* an hour and five minutes less ten seconds */
  ADVANCE (5);
  ASSERT_STATUS ("A", "2");
  assert_limited (&site);
}

static void test_limit_energy (void)
{
  Site site = site_open (NULL);
  ChStartRequest request = site_request ("A");
  request.charge_mode = 2;
  request.duration_minutes = CH_UNSET;
  request.energy_wh = 1000;
  site_start_as (&site, &request, "pending");
  guint number = site_heard (&site);
  SAY ("@start " DEV " 0 w1 A");
  SAY ("@ack " DEV " %u", number);
  SAY ("@prog " DEV " 0 w1 1050 600");
  site_live (&site, 60);
  ASSERT_STATUS ("A", "2"); /* five of a hundred are tolerated */
  SAY ("@prog " DEV " 0 w1 1051 660");
  g_free (queue_heard (site.queue, site.fd));
  assert_limited (&site);
}

static void test_limit_amount (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 9500 600");
  ADVANCE (60);
  ASSERT_STATUS ("A", "2");
  SAY ("@prog " DEV " 0 w1 9900 700"); /* 520 cents by the tariff, 500 are paid */
  assert_limited (&site);
}

static void test_stale (void)
{
  Site site = site_running (NULL);
  site_live (&site, 570);
  EXPECT ("");
  site_live (&site, 60);
  EXPECT ("QueryPortStatus QueryPortStatus");
  ASSERT_ALARMS ("");
  site_live (&site, 720);
  ASSERT_ALARMS ("progress_stale");
  ASSERT_STATUS ("A", "2");
  site_live (&site, 400);
  ASSERT_ALARMS ("");
  SAY ("@prog " DEV " 0 w1 700 2400");
  ASSERT_ALARMS ("progress_stale cleared");
  SAY ("@prog " DEV " 0 w1 710 2410");
  ASSERT_ALARMS ("");
  site_close (&site);
}

/* ---- C7, PORT-03 ---- */

static void test_c7 (void)
{
  Site site = site_running (NULL);
  SAY ("@start " DEV " 0 w2");
  ASSERT_ORDER ("A", "6 1 620 duplicate");
  ASSERT_HISTORY ("A", "2 device started, 6 device duplicate");
  ASSERT_ALARMS ("duplicate");
  CHECK_SQL ("SELECT status || source || wire_order " OTHERS, "2localw2");
  SAY ("@end " DEV " 0 w1 700 2000 0"); /* A's; the port is the other's */
  ASSERT_ORDER ("A", "3 0 700 -");
  CHECK_SQL ("SELECT status " OTHERS, "2");
  g_assert_cmpint (queue_device (site.queue, DEV)->ports[0].status, ==, CH_PORT_CHARGING);
  site_close (&site);
}

static void test_unordered (void)
{
  Site site = SITE ("ports.unsolicited_policy=stop");
  SAY ("@port " DEV " 0 2");
  ADVANCE (29);
  SAY ("@port " DEV " 0 2");
  ASSERT_ALARMS ("");
  ADVANCE (2);
  SAY ("@port " DEV " 0 2");
  ASSERT_ALARMS ("charging_without_order");
  EXPECT ("StopCharge");
  ADVANCE (60);
  SAY ("@port " DEV " 0 2");
  ASSERT_ALARMS (""); /* once */
  SAY ("@port " DEV " 0 1");
  ASSERT_ALARMS ("charging_without_order cleared");
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/walks/t28-window", test_t28_window);
  g_test_add_func ("/walks/t29", test_t29);
  g_test_add_func ("/walks/t29-refused", test_t29_refused);
  g_test_add_func ("/walks/t30", test_t30);
  g_test_add_func ("/walks/t30-t17", test_t30_t17);
  g_test_add_func ("/walks/t13-t14-stopping", test_t13_stopping);
  g_test_add_func ("/walks/t31", test_t31);
  g_test_add_func ("/walks/t31-began", test_t31_began);
  g_test_add_func ("/walks/t32", test_t32);
  g_test_add_func ("/walks/t32-sold", test_t32_sold);
  g_test_add_func ("/walks/t33", test_t33);
  g_test_add_func ("/walks/t33-not", test_t33_not);
  g_test_add_func ("/walks/limit-time", test_limit_time);
  g_test_add_func ("/walks/limit-energy", test_limit_energy);
  g_test_add_func ("/walks/limit-amount", test_limit_amount);
  g_test_add_func ("/walks/stale", test_stale);
  g_test_add_func ("/walks/c7", test_c7);
  g_test_add_func ("/walks/unordered", test_unordered);
  return g_test_run ();
}
