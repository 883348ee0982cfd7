/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts and stops whose outcome nobody heard of: the device numbers its charges itself
 * (as bkv does), and what it did in the meantime is only told by its end report. No such
 * report may become a charge that nobody ordered.
 */
#include "site.h"

#define ASSERT_ALL_ORDERED                                                               \
  CHECK_SQL ("SELECT count(*) FROM orders WHERE source = 'local'", "0")

/* The start of A reached the device. */
static Site started (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), !=, 0);
  return site;
}

/* Its answer reached a daemon that is dead. */
static Site started_unheard (void)
{
  Site site = started ();
  site_restart (&site);
  return site;
}

/* The device refuses the stop that is sent to it, as nothing is left to stop. */
static void refuse_stop (Site *site)
{
  guint number = site_heard_type (site, "StopCharge");
  g_assert_cmpuint (number, !=, 0);
  queue_say (site->queue, site->fd, "@no " DEV " %u 0", number);
}

/* Its end report finds A, whatever number it has. */
static void report_end (Site *s)
{
  Site site = *s;
  SAY ("@end " DEV " 0 w7 40 60 9");
  ASSERT_ORDER ("A", "7 0 40 -");
  ASSERT_ALL_ORDERED;
}

/* ---- cancelled while nobody knows whether it began ---- */

/*
 * The stop reached the device before the daemon died, too: the one that is sent again is
 * refused, as nothing is left to stop; the end report comes seconds later.
 */
static void test_stop_refused (void)
{
  Site site = started_unheard ();
  site_stop (&site, "A", "cancelling");
  refuse_stop (&site);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0 -");
  ADVANCE (10);
  report_end (&site);
  site_close (&site);
}

/* The same when the daemon dies once more between the cancel and the stop. */
static void test_stop_refused_after_restart (void)
{
  Site site = started ();
  site_stop (&site, "A", "cancelling");
  site_heard_type (&site, "StopCharge");
  site_restart (&site);
  refuse_stop (&site);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0 -");
  report_end (&site);
  site_close (&site);
}

/* Without a restart: the answer to the start went with the connection. */
static void test_stop_refused_after_loss (void)
{
  Site site = started ();
  site_go (&site);
  site_come (&site);
  site_stop (&site, "A", "cancelling");
  refuse_stop (&site);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0 -");
  report_end (&site);
  site_close (&site);
}

/* Cancelled while the device is away: at its return the start is not repeated. */
static void test_cancel_away (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  site_heard_type (&site, "StartCharge");
  site_go (&site);
  site_cancel (&site, "A", "cancelling");
  site_come (&site);
  SAY ("@port " DEV " 0 1");
  ADVANCE (20);
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  ADVANCE (12);
  ASSERT_ORDER ("A", "5 1 0 -");
  site_close (&site);
}

/* No report for the whole time-out: the order ends, and a late report still finds it. */
static void test_cancel_time_out (void)
{
  Site site = started_unheard ();
  site_stop (&site, "A", "cancelling");
  refuse_stop (&site);
  ADVANCE (31);
  ASSERT_ORDER ("A", "5 1 0 -");
  site_restart (&site);
  report_end (&site);
  SAY ("@end " DEV " 0 w7 40 60 9");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* All over one connection: had it run, its end report would have come by now. */
static void test_never_ran (void)
{
  Site site = started ();
  site_stop (&site, "A", "cancelling");
  refuse_stop (&site);
  ASSERT_ORDER ("A", "8 0 0 -");
  ADVANCE (5); /* the start is waited for no longer */
  g_assert_cmpuint (site_heard_type (&site, "QueryPortStatus"), !=, 0);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "5 0 0 -");
  site_close (&site);
}

/* The start was refused, and so is the stop: nothing is to be waited for. */
static void test_both_refused (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  guint number = site_heard_type (&site, "StartCharge");
  site_stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", number);
  refuse_stop (&site);
  ASSERT_ORDER ("A", "5 0 0 -");
  site_close (&site);
}

/* ---- given up while nobody knows whether it began ---- */

/* The next charge of the port has its own number: the report is of the one before. */
static void test_time_out_and_next (void)
{
  Site site = started ();
  site_go (&site);
  ADVANCE (25);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  site_come (&site);
  SAY ("@port " DEV " 0 1");
  site_start (&site, "B", "pending");
  site_heard_type (&site, "StartCharge");
  SAY ("@start " DEV " 0 w8 B");
  SAY ("@end " DEV " 0 w7 40 60 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_ORDER ("B", "2 0 0 -");
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

/* Two later starts were refused, as the charge of the first goes on unheard. */
static void test_time_out_and_refused (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  site_heard_type (&site, "StartCharge");
  ADVANCE (25);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  for (guint i = 0; i < 2; i++) {
    site_start (&site, i == 0 ? "B" : "C", "pending");
    SAY ("@no " DEV " %u 1", site_heard_type (&site, "StartCharge"));
  }
  SAY ("@end " DEV " 0 w7 40 20 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_ORDER ("C", "6 0 0 device_rejected");
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

/* The next start has just been written: a charge that is older is of the one before. */
static void test_time_out_and_pending (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  site_heard_type (&site, "StartCharge");
  ADVANCE (25);
  site_start (&site, "B", "pending");
  site_heard_type (&site, "StartCharge");
  SAY ("@end " DEV " 0 w7 40 20 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_STATUS ("B", "0");
  site_close (&site);
}

/* Longer than since its start was written: somebody else's charge. */
static void test_time_out_and_other (void)
{
  Site site = started ();
  ADVANCE (25);
  SAY ("@end " DEV " 0 w7 40 600 0");
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  CHECK_SQL ("SELECT count(*) FROM orders WHERE source = 'local'", "1");
  site_close (&site);
}

/* C3: the first sending is the dead daemon's, so the refusal is of a repeated start. */
static void test_repeat_refused (void)
{
  Site site = started_unheard ();
  SAY ("@ack " DEV " %u", site_heard_type (&site, "QueryPortStatus"));
  SAY ("@port " DEV " 0 1");
  guint number = site_heard_type (&site, "StartCharge");
  g_assert_cmpuint (number, !=, 0);
  SAY ("@no " DEV " %u 0", number);
  ASSERT_ORDER ("A", "0 0 0 -");
  g_assert_cmpuint (site_heard_type (&site, "QueryPortStatus"), !=, 0);
  SAY ("@end " DEV " 0 w7 40 60 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

/* The start of A reached the device, which is back and says that it is idle. */
static Site started_and_idle (void)
{
  Site site = SITE (DEVICE_NUMBERS, "proto-lines.charges_offline=true");
  site_start (&site, "A", "pending");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), !=, 0);
  site_go (&site);
  site_come (&site);
  SAY ("@ack " DEV " %u", site_heard_type (&site, "QueryPortStatus"));
  SAY ("@port " DEV " 0 1");
  return site;
}

/* It began and ended unheard, and only now says so: the start is not repeated. */
static void test_ended_unheard (void)
{
  Site site = started_and_idle ();
  ADVANCE (9);
  SAY ("@end " DEV " 0 w7 3 2 2");
  ASSERT_ORDER ("A", "3 0 3 -");
  ADVANCE (20);
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

/* It never began: the start is repeated while there is time for its answer. */
static void test_repeated_in_time (void)
{
  Site site = started_and_idle ();
  ADVANCE (9);
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  ADVANCE (2);
  guint number = site_heard_type (&site, "StartCharge");
  g_assert_cmpuint (number, !=, 0);
  SAY ("@start " DEV " 0 w7 A");
  SAY ("@ack " DEV " %u", number);
  ASSERT_ORDER ("A", "2 0 0 -");
  site_close (&site);
}

/* ---- commands that are left over ---- */

/* The daemon died before it noted that the stop of A is over; B has the port now. */
static void test_stop_left_over (void)
{
  Site site = started ();
  SAY ("@start " DEV " 0 w1 A");
  site_stop (&site, "A", "stopping");
  g_assert_cmpuint (site_heard_type (&site, "StopCharge"), !=, 0);
  SAY ("@end " DEV " 0 w1 40 60 9");
  site_start (&site, "B", "pending");
  site_heard_type (&site, "StartCharge");
  SAY ("@start " DEV " 0 w2 B");
  site_go (&site);
  queue_change (site.queue, "UPDATE outbound_queue SET status = 1, finished_at = NULL"
                            " WHERE order_no = 'A' AND type = 'StopCharge'");
  queue_restart (site.queue);
  site_come (&site);
  SAY ("@port " DEV " 0 2 w2");
  g_assert_cmpuint (site_heard_type (&site, "StopCharge"), ==, 0);
  ASSERT_ORDER ("A", "7 0 40 -");
  ASSERT_ORDER ("B", "2 0 0 -");
  site_close (&site);
}

/* ---- after a restart everything is said twice, and not in order ---- */

/* The answer to the query says 1 Wh behind a report of 2 Wh: nothing is counted twice. */
static void test_overtaken (void)
{
  Site site = started_unheard ();
  SAY ("@start " DEV " 0 w7 A");
  SAY ("@prog " DEV " 0 w7 2 0");
  SAY ("@prog " DEV " 0 w7 1 0");
  SAY ("@prog " DEV " 0 w7 13 60");
  SAY ("@end " DEV " 0 w7 20 120 0");
  ASSERT_ORDER ("A", "3 0 20 -");
  site_close (&site);
}

/* ---- acknowledged without a number ---- */

static Site charging_unnumbered (void)
{
  Site site = SITE (DEVICE_NUMBERS, "proto-lines.charges_offline=true");
  site_start (&site, "A", "pending");
  SAY ("@ack " DEV " %u", site_heard_type (&site, "StartCharge"));
  CHECK_SQL ("SELECT status || coalesce (wire_order, '-') FROM orders", "2-");
  return site;
}

/* The report of the port tells the number, and so the progress is the order's. */
static void test_number_reported (void)
{
  Site site = charging_unnumbered ();
  SAY ("@port " DEV " 0 2 w7");
  CHECK_SQL ("SELECT status || coalesce (wire_order, '-') FROM orders", "2w7");
  SAY ("@prog " DEV " 0 w7 25 60");
  ADVANCE (3);
  ASSERT_ORDER ("A", "2 0 25 -");
  SAY ("@end " DEV " 0 w6 7 60 0"); /* another charge, repeated from before */
  ASSERT_ORDER ("A", "2 0 25 -");
  site_close (&site);
}

/* Only after the connection was lost: a charge as old as the order is the order's. */
static void test_number_after_loss (void)
{
  Site site = charging_unnumbered ();
  site_go (&site);
  ADVANCE (600);
  site_come (&site);
  SAY ("@port " DEV " 0 2 w7 600");
  ASSERT_ORDER ("A", "2 0 0 -");
  CHECK_SQL ("SELECT wire_order FROM orders", "w7");
  SAY ("@prog " DEV " 0 w7 250 600");
  ADVANCE (60);
  SAY ("@end " DEV " 0 w7 300 660 0");
  ASSERT_ORDER ("A", "3 0 300 -");
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

/* The next start of the port was written while the charge of the first went on unheard.
 */
static void test_number_of_older (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  site_heard_type (&site, "StartCharge");
  ADVANCE (25);
  site_start (&site, "B", "pending");
  site_heard_type (&site, "StartCharge");
  SAY ("@port " DEV " 0 2 w7 24");
  ADVANCE (6);
  CHECK_SQL (
      "SELECT status || coalesce (wire_order, '-') FROM orders WHERE order_no = 'B'",
      "0-");
  SAY ("@end " DEV " 0 w7 40 30 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_ALL_ORDERED;
  site_close (&site);
}

static void test_number_of_another (void)
{
  Site site = charging_unnumbered ();
  site_go (&site);
  ADVANCE (600);
  site_come (&site);
  SAY ("@port " DEV " 0 2 w8 60");
  CHECK_SQL ("SELECT status || coalesce (wire_order, '-') FROM orders", "10-");
  SAY ("@end " DEV " 0 w7 250 500 0");
  ASSERT_ORDER ("A", "3 0 250 -");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/orders-lost/" name, test)
  ADD ("stop-refused", test_stop_refused);
  ADD ("stop-refused-after-restart", test_stop_refused_after_restart);
  ADD ("stop-refused-after-loss", test_stop_refused_after_loss);
  ADD ("cancel-away", test_cancel_away);
  ADD ("cancel-time-out", test_cancel_time_out);
  ADD ("never-ran", test_never_ran);
  ADD ("both-refused", test_both_refused);
  ADD ("time-out-and-next", test_time_out_and_next);
  ADD ("time-out-and-refused", test_time_out_and_refused);
  ADD ("time-out-and-pending", test_time_out_and_pending);
  ADD ("time-out-and-other", test_time_out_and_other);
  ADD ("repeat-refused", test_repeat_refused);
  ADD ("ended-unheard", test_ended_unheard);
  ADD ("repeated-in-time", test_repeated_in_time);
  ADD ("stop-left-over", test_stop_left_over);
  ADD ("overtaken", test_overtaken);
  ADD ("number-reported", test_number_reported);
  ADD ("number-after-loss", test_number_after_loss);
  ADD ("number-of-older", test_number_of_older);
  ADD ("number-of-another", test_number_of_another);
  return g_test_run ();
}
