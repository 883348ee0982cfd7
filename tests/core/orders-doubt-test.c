/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New orders of which the store did not say whether it has them: what memory, the port
 * and the device get to know of them.
 */
#include "site.h"

static ChOrder *in_memory (Site *site, const char *order_no)
{
  return ch_orders_find (site->queue->services.core->orders, order_no);
}

/* The store takes longer than anybody waits; the caller is told so. */
static Site unanswered (const char *order_no)
{
  Site site = SITE (DEVICE_NUMBERS);
  queue_hold (site.queue);
  site_start (&site, order_no, NULL);
  ADVANCE (6);
  g_assert_cmpstr (site.answer, ==, "50305");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  return site;
}

/* The order is there: memory has it, a repetition gets it, the device starts once. */
static void test_stored (void)
{
  Site site = unanswered ("A");
  g_assert_null (in_memory (&site, "A"));
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  g_assert_nonnull (in_memory (&site, "A"));
  site_start (&site, "A", "pending");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), !=, 0);
  SAY ("@start " DEV " 0 w1 A");
  SAY ("@end " DEV " 0 w1 40 60 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  ASSERT_EVENTS ("A", RUNNING " charging.ended order.completed");
  site_close (&site);
}

/* Asked again while nobody knows: the port is nobody's, for this order or another. */
static void test_asked_meanwhile (void)
{
  Site site = unanswered ("A");
  site_start (&site, "A", "50305");
  site_start (&site, "B", "50305");
  queue_release (site.queue, FALSE);
  ADVANCE (4);
  site_start (&site, "B", "40901");
  site_start (&site, "A", "pending");
  site_close (&site);
}

/* The store came back too late: no start is sent any more, and the port is free. */
static void test_stored_too_late (void)
{
  Site site = unanswered ("A");
  ADVANCE (30);
  queue_release (site.queue, FALSE);
  ADVANCE (12);
  ASSERT_ORDER ("A", "6 0 0 store_unavailable");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  CHECK_SQL ("SELECT count(*) FROM outbound_queue WHERE status IN (0, 1)", "0");
  site_start (&site, "B", "pending");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), !=, 0);
  site_close (&site);
}

/* Nobody can ask for it again, as nobody knows its number. */
static void test_number_unknown (void)
{
  Site site = unanswered (NULL);
  queue_release (site.queue, FALSE);
  ADVANCE (3);
  CHECK_SQL ("SELECT status || ' ' || failure_reason FROM orders", "6 store_unavailable");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), ==, 0);
  site_close (&site);
}

/* It never got there: forgotten, and the same request makes it. */
static void test_not_stored (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, TRUE);
  ADVANCE (12);
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  g_assert_null (in_memory (&site, "A"));
  site_start (&site, "A", "pending");
  g_assert_cmpuint (site_heard_type (&site, "StartCharge"), !=, 0);
  CHECK_SQL ("SELECT count(*) FROM outbound_queue WHERE type = 'StartCharge'", "1");
  site_close (&site);
}

/* The connection to the store was lost, not only slow; and it stays away for a while. */
static void test_store_away (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  queue_hold (site.queue);
  site_start (&site, "A", NULL);
  queue_release (site.queue, TRUE);
  g_assert_cmpstr (site.answer, ==, "50305");
  queue_hold (site.queue);
  ADVANCE (20);
  queue_release (site.queue, TRUE);
  ADVANCE (12);
  site_start (&site, "B", "pending");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* The daemon dies before it knows: the order is loaded like any other. */
static void test_restart (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, FALSE);
  site_restart (&site);
  site_start (&site, "A", "pending");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* A stop meanwhile is not told that there is no such order. */
static void test_stop (void)
{
  Site site = unanswered ("A");
  site_stop (&site, "A", "50305");
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  site_stop (&site, "A", "cancelling");
  site_close (&site);
}

/* The daemon ends while it does not know. */
static void test_end (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, TRUE);
  queue_hold (site.queue);
  ADVANCE (8);
  queue_release (site.queue, TRUE);
  site_close (&site);
}

/* ---- changes and reports ---- */

/* The stop is stored and nobody hears of it: memory follows when the store is back. */
static void test_change_stored (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  queue_hold (site.queue);
  site_stop (&site, "A", NULL);
  ADVANCE (6);
  g_assert_cmpstr (site.answer, ==, "charging"); /* told the device, not stored */
  g_assert_cmpuint (site_heard_type (&site, "StopCharge"), !=, 0);
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "9 0 0 -");
  g_assert_cmpuint (in_memory (&site, "A")->d.status, ==, CH_ORDER_STOPPING);
  CHECK_SQL ("SELECT count(*) FROM events WHERE event_type = 'order.stopping'", "1");
  SAY ("@end " DEV " 0 w1 40 60 9");
  ASSERT_ORDER ("A", "7 0 40 -");
  ADVANCE (60);
  CHECK_SQL ("SELECT count(*) FROM outbound_queue WHERE status IN (0, 1)", "0");
  site_close (&site);
}

static void test_change_not_stored (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  queue_hold (site.queue);
  site_stop (&site, "A", NULL);
  ADVANCE (6);
  queue_release (site.queue, TRUE);
  ADVANCE (12);
  ASSERT_ORDER ("A", "2 0 0 -");
  g_assert_cmpuint (in_memory (&site, "A")->d.status, ==, CH_ORDER_CHARGING);
  site_stop (&site, "A", "stopping");
  site_close (&site);
}

/* Ended by hand, unheard: the port is free, and its device is told to stop. */
static void test_end_stored (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  queue_hold (site.queue);
  site_force (&site, FALSE, NULL);
  ADVANCE (6);
  g_assert_cmpstr (site.answer, ==, "50305");
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "6 0 0 admin_forced");
  g_assert_null (in_memory (&site, "A"));
  g_assert_cmpuint (site_heard_type (&site, "StopCharge"), !=, 0);
  SAY ("@port " DEV " 0 1");
  site_start (&site, "B", "pending");
  site_close (&site);
}

/* T32 unheard: the order is active again, in memory as in the store. */
static void test_revival_stored (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  site_go (&site);
  ADVANCE (301);
  ASSERT_ORDER ("A", "6 1 0 device_offline_timeout");
  site_come (&site);
  queue_hold (site.queue);
  SAY ("@port " DEV " 0 2 w1");
  ADVANCE (6);
  g_assert_null (in_memory (&site, "A"));
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "2 0 0 -");
  g_assert_nonnull (in_memory (&site, "A"));
  site_start (&site, "B", "40901");
  SAY ("@end " DEV " 0 w1 40 400 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* The end of a charge that nobody ordered, stored unheard, and said again. */
static void local_end (const char *number)
{
  Site site = SITE (DEVICE_NUMBERS);
  queue_hold (site.queue);
  SAY ("@end " DEV " 0 %s 40 60 0", number);
  ADVANCE (6);
  SAY ("@end " DEV " 0 %s 40 60 0", number);
  ADVANCE (6);
  queue_release (site.queue, FALSE);
  ADVANCE (4);
  SAY ("@end " DEV " 0 %s 40 60 0", number);
  ADVANCE (4);
  CHECK_SQL ("SELECT count(*) || ' ' || sum (energy_wh) FROM orders", "1 40");
  SAY ("@end " DEV " 0 %s 50 60 0", number); /* of the same number: a contradiction */
  CHECK_SQL ("SELECT count(*) FROM orders", *number == 'w' ? "1" : "2");
  site_close (&site);
}

static void test_local_end (void)
{
  local_end ("w7");
}

static void test_local_end_unnumbered (void)
{
  local_end ("0");
}

/* A copy of a report without number finds the next charge on its port. */
static void test_copy_unnumbered (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  ADVANCE (60);
  SAY ("@end " DEV " 0 0 40 60 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  site_start (&site, "B", "pending");
  site_heard_type (&site, "StartCharge");
  SAY ("@start " DEV " 0 w2 B");
  SAY ("@end " DEV " 0 0 40 60 0");
  ASSERT_ORDER ("B", "2 0 0 -");
  ADVANCE (60);
  SAY ("@end " DEV " 0 0 40 60 0"); /* equal figures, and they can be its own by now */
  ASSERT_ORDER ("B", "3 0 40 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "2");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/orders-doubt/" name, test)
  ADD ("stored", test_stored);
  ADD ("asked-meanwhile", test_asked_meanwhile);
  ADD ("stored-too-late", test_stored_too_late);
  ADD ("number-unknown", test_number_unknown);
  ADD ("not-stored", test_not_stored);
  ADD ("store-away", test_store_away);
  ADD ("restart", test_restart);
  ADD ("stop", test_stop);
  ADD ("end", test_end);
  ADD ("change-stored", test_change_stored);
  ADD ("change-not-stored", test_change_not_stored);
  ADD ("end-stored", test_end_stored);
  ADD ("revival-stored", test_revival_stored);
  ADD ("local-end", test_local_end);
  ADD ("local-end-unnumbered", test_local_end_unnumbered);
  ADD ("copy-unnumbered", test_copy_unnumbered);
  return g_test_run ();
}
