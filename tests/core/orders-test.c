/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of orders over real drivers, with devices that speak lines and a clock that
 * stands still: transitions, figures, late and repeated reports, restarts, a store that
 * fails (gateway 1.5).
 */
#include "site.h"

#include <string.h>
#include <unistd.h>

#define FAIL_UPDATES                                                                     \
  "CREATE TRIGGER fail BEFORE UPDATE ON orders BEGIN SELECT RAISE (ABORT, 'no'); END"

/* ---- the usual ---- */

static void test_charge (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 620 1800");
  ADVANCE (3);
  ASSERT_ORDER ("A", "2 0 620 -");
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  queue_expect (site.queue, site.fd, "stored 0\n");
  ASSERT_ORDER ("A", "3 0 1250 -");
  CHECK_SQL ("SELECT amount_cent || ' ' || duration_s FROM orders", "66 3600");
  ASSERT_EVENTS ("A", RUNNING " charging.ended order.completed");
  for (guint i = 0; i < 5; i++) {
    SAY ("@end " DEV " 0 w1 1250 3600 0");
    queue_expect (site.queue, site.fd, "stored 0\n");
  }
  CHECK_SQL ("SELECT count(*) FROM events", "5");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

static void test_stop (void)
{
  Site site = site_charging (NULL);
  site_stop (&site, "A", "stopping");
  SAY ("@ack " DEV " %u", site_heard (&site));
  ASSERT_STATUS ("A", "9");
  SAY ("@end " DEV " 0 w1 300 900 9");
  ASSERT_ORDER ("A", "7 0 300 -");
  site_stop (&site, "A", "40902");
  site_close (&site);
}

/* A start that was acknowledged has begun, with or without a report. */
static void test_ack_means_on (void)
{
  Site site = SITE ("proto-lines.ack_means_on=true");
  site_start (&site, "A", "pending");
  SAY ("@ack " DEV " %u", site_heard (&site));
  ASSERT_STATUS ("A", "2");
  CHECK_SQL ("SELECT start_time IS NOT NULL AND ack_at IS NOT NULL FROM orders", "1");
  g_assert_cmpint (queue_device (site.queue, DEV)->ports[0].status, ==, CH_PORT_CHARGING);
  SAY ("@port " DEV " 0 1"); /* no load yet: PORT-04 */
  g_assert_cmpint (queue_device (site.queue, DEV)->ports[0].status, ==, CH_PORT_CHARGING);
  /* the number comes after the acknowledgement */
  SAY ("@start " DEV " 0 w7 A");
  CHECK_SQL ("SELECT wire_order FROM orders", "w7");
  SAY ("@prog " DEV " 0 w7 100 300");
  SAY ("@end " DEV " 0 w7 120 400 0");
  ASSERT_ORDER ("A", "3 0 120 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* ---- figures ---- */

static void test_end_below_progress (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 1250 3600");
  SAY ("@end " DEV " 0 w1 1240 3600 0");
  CHECK_SQL ("SELECT energy_wh FROM orders", "1250");
  site_close (&site);
}

static void test_jitter (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 1250 3600");
  SAY ("@prog " DEV " 0 w1 1240 3600"); /* an older one came late */
  SAY ("@prog " DEV " 0 w1 1300 3700");
  SAY ("@end " DEV " 0 w1 1300 3700 0");
  CHECK_SQL ("SELECT energy_wh FROM orders", "1300");
  site_close (&site);
}

static void test_counter_restart (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 500 3600");
  SAY ("@prog " DEV " 0 w1 0 0");
  SAY ("@prog " DEV " 0 w1 200 1200");
  ADVANCE (3);
  CHECK_SQL ("SELECT energy_wh FROM orders", "700");
  site_restart (&site);
  SAY ("@port " DEV " 0 2 w1");
  SAY ("@prog " DEV " 0 w1 210 1300");
  SAY ("@end " DEV " 0 w1 220 1400 0");
  ASSERT_ORDER ("A", "3 0 720 counter_reset");
  site_close (&site);
}

/* ---- provisional ends ---- */

static void test_inferred (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 500 1800");
  SAY ("@guess " DEV " 0 w1 500 1800 99");
  ASSERT_ORDER ("A", "3 1 500 -");
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  CHECK_SQL ("SELECT settlement_rev || ' ' || amount_cent FROM orders", "1 66");
  site_close (&site);
}

static void test_late_report (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 500 1800");
  site_go (&site);
  ASSERT_STATUS ("A", "10");
  ADVANCE (310);
  ASSERT_ORDER ("A", "6 1 500 device_offline_timeout");
  site_come (&site);
  SAY ("@end " DEV " 0 w1 490 3600 0");
  ASSERT_ORDER ("A", "3 0 500 -"); /* never below the last progress */
  site_close (&site);
}

static void test_revived (void)
{
  Site site = site_charging (NULL);
  site_go (&site);
  ADVANCE (310);
  ASSERT_ORDER ("A", "6 1 0 device_offline_timeout");
  site_come (&site);
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_ORDER ("A", "2 0 0 -");
  SAY ("@end " DEV " 0 w1 300 900 0");
  ASSERT_ORDER ("A", "3 0 300 -");
  site_close (&site);
}

static void test_recovered (void)
{
  Site site = site_charging (NULL);
  site_go (&site);
  site_stop (&site, "A", "stopping");
  site_come (&site);
  SAY ("@port " DEV " 0 2 w1");
  ASSERT_STATUS ("A", "9");
  ADVANCE (2);
  SAY ("@ack " DEV " 0");
  g_autofree char *text = queue_heard (site.queue, site.fd);
  g_assert_nonnull (strstr (text, "StopCharge"));
  site_close (&site);
}

/* The device is here, but its port says nothing more: the order ends all the same. */
static void test_silent_port (void)
{
  Site site = site_charging (NULL);
  site_go (&site);
  site_come (&site);
  SAY ("@port " DEV " 0 0");
  for (guint i = 0; i < 10; i++) {
    ASSERT_STATUS ("A", "10");
    ADVANCE (30);
    g_free (queue_heard (site.queue, site.fd));
    SAY ("@hb " DEV);
  }
  ADVANCE (60);
  ASSERT_ORDER ("A", "6 1 0 device_offline_timeout");
  site_close (&site);
}

/* ---- starts that come too late ---- */

static void test_late_start (void)
{
  Site site = SITE ("proto-lines.ack_means_on=true");
  site_start (&site, "A", "pending");
  ADVANCE (25);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  g_free (queue_heard (site.queue, site.fd));
  SAY ("@start " DEV " 0 w1 A");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  g_autofree char *text = queue_heard (site.queue, site.fd);
  g_assert_nonnull (strstr (text, "StopCharge"));
  SAY ("@end " DEV " 0 w1 10 60 9");
  ASSERT_ORDER ("A", "7 0 10 -");
  site_close (&site);
}

static void test_late_start_of_another (void)
{
  Site site = SITE ("proto-lines.ack_means_on=true");
  site_start (&site, "A", "pending");
  ADVANCE (25);
  site_start (&site, "B", "pending");
  SAY ("@start " DEV " 0 w1 A");
  ASSERT_STATUS ("A", "4");
  ASSERT_STATUS ("B", "0");
  SAY ("@start " DEV " 0 w2 B");
  ASSERT_STATUS ("B", "2");
  SAY ("@end " DEV " 0 w1 10 60 9"); /* the port is B's */
  g_assert_cmpint (queue_device (site.queue, DEV)->ports[0].status, ==, CH_PORT_CHARGING);
  ASSERT_ORDER ("A", "7 0 10 -");
  ASSERT_STATUS ("B", "2");
  site_close (&site);
}

/* C5: cancelled while it began; what it took is its customer's. */
static void test_start_while_cancelling (void)
{
  Site site = site_open (NULL);
  site_start (&site, "A", "pending");
  g_free (queue_heard (site.queue, site.fd));
  site_stop (&site, "A", "cancelling");
  guint number = site_heard (&site);
  SAY ("@start " DEV " 0 w1 A");
  ASSERT_STATUS ("A", "8");
  SAY ("@ack " DEV " %u", number);
  ASSERT_ORDER ("A", "5 1 0 -");
  SAY ("@end " DEV " 0 w1 20 60 9");
  ASSERT_ORDER ("A", "7 0 20 -");
  site_close (&site);
}

/* C7: the station began again without having ended. */
static void test_two_claim_one_port (void)
{
  Site site = site_charging (NULL);
  SAY ("@prog " DEV " 0 w1 500 1800");
  g_free (queue_heard (site.queue, site.fd));
  SAY ("@start " DEV " 0 w2");
  queue_expect (site.queue, site.fd, "stored 0\n");
  ASSERT_ORDER ("A", "6 1 500 duplicate");
  CHECK_SQL ("SELECT status || source FROM orders WHERE order_no != 'A'", "2local");
  SAY ("@end " DEV " 0 w1 600 1900 0");
  ASSERT_ORDER ("A", "3 0 600 -");
  SAY ("@end " DEV " 0 w2 50 1900 0");
  CHECK_SQL ("SELECT status || ' ' || energy_wh FROM orders WHERE order_no != 'A'",
             "3 50");
  site_close (&site);
}

/* T31: closed by hand, and nothing moves it again. */
static void test_force (void)
{
  for (guint settle = 0; settle < 2; settle++) {
    Site site = site_charging (NULL);
    SAY ("@prog " DEV " 0 w1 300 900");
    site_force (&site, settle != 0, settle ? "completed" : "failed");
    ADVANCE (1);
    g_autofree char *text = queue_heard (site.queue, site.fd);
    g_assert_nonnull (strstr (text, "StopCharge")); /* C2 */
    SAY ("@end " DEV " 0 w1 5000 9000 0");
    if (settle)
      ASSERT_ORDER ("A", "3 0 620 admin_forced");
    else
      ASSERT_ORDER ("A", "6 0 300 admin_forced");
    CHECK_SQL ("SELECT amount_cent FROM orders", settle ? "33" : "16");
    CHECK_SQL ("SELECT json_extract (status_history, '$[#-1].reason') FROM orders",
               "meter was read on site");
    site_force (&site, TRUE, "40902");
    site_close (&site);
  }
}

/* ---- the store fails ---- */

static void test_loss_not_stored (void)
{
  Site site = site_charging (NULL);
  queue_change (site.queue, FAIL_UPDATES);
  site_go (&site);
  ASSERT_STATUS ("A", "2");
  queue_change (site.queue, "DROP TRIGGER fail");
  ADVANCE (10);
  ASSERT_STATUS ("A", "10");
  ADVANCE (310);
  ASSERT_ORDER ("A", "6 1 0 device_offline_timeout");
  site_close (&site);
}

static void test_end_not_stored (void)
{
  Site site = site_charging (NULL);
  queue_change (site.queue, FAIL_UPDATES);
  SAY ("@end " DEV " 0 w1 600 1900 0");
  queue_expect (site.queue, site.fd, "failed 0\n");
  queue_change (site.queue, "DROP TRIGGER fail");
  SAY ("@end " DEV " 0 w1 600 1900 0");
  queue_expect (site.queue, site.fd, "stored 0\n");
  ASSERT_ORDER ("A", "3 0 600 -");
  site_close (&site);
}

/* Nobody is told, and nothing of the plugin's first life is touched. */
static void test_end_outlives_driver (void)
{
  Site site = site_charging (NULL);
  queue_hold (site.queue);
  SAY ("@end " DEV " 0 w1 600 1900 0");
  queue_reload_protocol (site.queue);
  site_go (&site);
  queue_release (site.queue, FALSE);
  site_come (&site);
  ASSERT_ORDER ("A", "3 0 600 -");
  SAY ("@end " DEV " 0 w1 600 1900 0");
  queue_expect (site.queue, site.fd, "stored 0\n");
  site_close (&site);
}

/* R4 while the store refuses: one try, and an answer. */
static void test_left_over_not_stored (void)
{
  Site site = site_charging (NULL);
  site_stop (&site, "A", "stopping");
  SAY ("@ack " DEV " %u", site_heard (&site));
  ADVANCE (31);
  SAY ("@port " DEV " 0 1");
  queue_change (site.queue, FAIL_UPDATES);
  site_start (&site, "B", "40901");
  queue_change (site.queue, "DROP TRIGGER fail");
  site_start (&site, "B", "pending");
  ASSERT_ORDER ("A", "7 1 0 -");
  site_close (&site);
}

/* Somebody else ended the order: what waits behind finds it gone. */
static void test_changed_elsewhere (void)
{
  Site site = site_charging (NULL);
  queue_change (site.queue, "UPDATE orders SET status = 6, version = version + 1");
  ChOrder *order = ch_orders_find (site.queue->services.core->orders, "A");
  g_assert_nonnull (order);
  static const char lines[]
      = "@end " DEV " 0 w1 600 1900 0\n@end " DEV " 0 w1 600 1900 0\n"
        "@end " DEV " 0 w1 600 1900 0\n";
  g_assert_cmpint (write (site.fd, lines, strlen (lines)), ==, (gssize) strlen (lines));
  queue_settle (site.queue);
  g_assert_null (ch_orders_find (site.queue->services.core->orders, "A"));
  ADVANCE (31);
  SAY ("@port " DEV " 0 1");
  site_start (&site, "B", "pending");
  site_close (&site);
}

/* The order was stored, but its answer was lost: it is not forgotten. */
static void test_restart_before_ack (void)
{
  Site site = SITE ("proto-lines.ack_means_on=true");
  site_start (&site, "A", "pending");
  site_heard (&site);
  site_restart (&site);
  ASSERT_STATUS ("A", "0");
  SAY ("@end " DEV " 0 w1 30 60 0");
  ASSERT_ORDER ("A", "3 0 30 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* ---- connections ---- */

/* Paused by the queue of a device that moves on: its neighbours are still read. */
static void test_pause_moves (void)
{
  Site site = SITE ("proto-lines.multi_device=true",
                    "proto-lines.takeover_closes=if_empty_or_same_modem",
                    "proto-lines.frames_burst=1000", "proto-lines.frames_per_s=1000");
  GString *flood = g_string_new (NULL);
  SAY ("@on NEIGHBOUR");
  for (guint i = 0; i < 70; i++)
    g_string_append_printf (flood, "@end " DEV " 0 w%u 1 60 0\n", i);
  g_assert_cmpint (write (site.fd, flood->str, flood->len), ==, (gssize) flood->len);
  int fresh = queue_connect (site.queue);
  g_assert_cmpint (write (fresh, "@on " DEV "\n", strlen (DEV) + 5), >, 0);
  queue_settle (site.queue);
  SAY ("@port NEIGHBOUR 0 1");
  g_assert_cmpint (queue_device (site.queue, "NEIGHBOUR")->n_ports, ==, 1);
  g_string_free (flood, TRUE);
  close (fresh);
  site_close (&site);
}

/* The answer is owed even when the connection went while the store worked. */
static void test_done_without_connection (void)
{
  Site site = site_charging (NULL);
  static const char line[] = "@end " DEV " 0 w1 600 1900 0\n";
  g_assert_cmpint (write (site.fd, line, strlen (line)), ==, (gssize) strlen (line));
  site_go (&site);
  ASSERT_ORDER ("A", "3 0 600 -");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/orders/charge", test_charge);
  g_test_add_func ("/orders/stop", test_stop);
  g_test_add_func ("/orders/ack-means-on", test_ack_means_on);
  g_test_add_func ("/orders/end-below-progress", test_end_below_progress);
  g_test_add_func ("/orders/jitter", test_jitter);
  g_test_add_func ("/orders/counter-restart", test_counter_restart);
  g_test_add_func ("/orders/inferred", test_inferred);
  g_test_add_func ("/orders/late-report", test_late_report);
  g_test_add_func ("/orders/revived", test_revived);
  g_test_add_func ("/orders/recovered", test_recovered);
  g_test_add_func ("/orders/silent-port", test_silent_port);
  g_test_add_func ("/orders/late-start", test_late_start);
  g_test_add_func ("/orders/late-start-of-another", test_late_start_of_another);
  g_test_add_func ("/orders/start-while-cancelling", test_start_while_cancelling);
  g_test_add_func ("/orders/two-claim-one-port", test_two_claim_one_port);
  g_test_add_func ("/orders/force", test_force);
  g_test_add_func ("/orders/loss-not-stored", test_loss_not_stored);
  g_test_add_func ("/orders/end-not-stored", test_end_not_stored);
  g_test_add_func ("/orders/end-outlives-driver", test_end_outlives_driver);
  g_test_add_func ("/orders/left-over-not-stored", test_left_over_not_stored);
  g_test_add_func ("/orders/changed-elsewhere", test_changed_elsewhere);
  g_test_add_func ("/orders/restart-before-ack", test_restart_before_ack);
  g_test_add_func ("/orders/pause-moves", test_pause_moves);
  g_test_add_func ("/orders/done-without-connection", test_done_without_connection);
  return g_test_run ();
}
