/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks through the first half of the table of orders (gateway 1.5.4): from the request
 * to the charge, and every way in which it does not come to one. Each looks at the state,
 * its mark, the history, the events, the port and what the device was told.
 */
#include "site.h"

#include <string.h>

#define CREATED "order.created"
#define NEVER_STARTED CREATED " order.confirmed order.failed"

/* A start that the device has heard; the number of its command. */
static guint pending (Site *site)
{
  site_start (site, "A", "pending");
  return site_heard (site);
}

static Site confirmed (void)
{
  Site site = site_open (NULL);
  SAY ("@ack " DEV " %u", pending (&site));
  ASSERT_STATUS ("A", "1");
  return site;
}

/* The port takes the next charge: nothing of the walk is left on it. */
static void assert_free (Site *s)
{
  Site site = *s;
  SAY ("@port " DEV " 0 1");
  site_start (&site, "NEXT", "pending");
  g_free (site.answer);
  s->answer = NULL;
}

/* ---- T1 to T3 ---- */

static void test_t1_t2 (void)
{
  Site site = site_open (NULL);
  guint number = pending (&site);
  ASSERT_ORDER ("A", "0 0 0 -");
  ASSERT_PORT (CH_PORT_IDLE, "A");
  ASSERT_EVENTS ("A", CREATED);
  CHECK_SQL ("SELECT status_history ->> '$[0].by' FROM orders", "api");

  SAY ("@ack " DEV " %u", number);
  ASSERT_ORDER ("A", "1 0 0 -");
  ASSERT_HISTORY ("A", "1 device start_ack");
  ASSERT_EVENTS ("A", CREATED " order.confirmed");
  ASSERT_EVENT ("order.confirmed", "result", "success");
  ASSERT_PORT (CH_PORT_IDLE, "A"); /* the relay is not known to be on */
  site_start (&site, "B", "40901");
  site_close (&site);
}

static void test_t3_report (void)
{
  Site site = site_open (NULL);
  pending (&site);
  SAY ("@start " DEV " 0 w1 A");
  ASSERT_ORDER ("A", "2 0 0 -");
  ASSERT_HISTORY ("A", "2 device started");
  ASSERT_EVENTS ("A", CREATED " order.confirmed charging.started");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  CHECK_SQL ("SELECT wire_order || (start_time IS NOT NULL) FROM orders", "w11");
  ADVANCE (20);
  EXPECT (""); /* it began: the start is not sent again */
  CHECK_SQL ("SELECT status || retry_count FROM outbound_queue", "21");
  site_close (&site);
}

/* By a snapshot that shows the order's number; one without or with another is no start.
 */
static void test_t3_snapshot (void)
{
  Site site = confirmed ();
  g_autofree char *number = queue_sql (site.queue, "SELECT business_no FROM orders");
  SAY ("@port " DEV " 0 2");
  ASSERT_STATUS ("A", "1");
  SAY ("@port " DEV " 0 2 %d", atoi (number) + 1);
  ASSERT_STATUS ("A", "1");
  SAY ("@port " DEV " 0 2 %s", number);
  ASSERT_ORDER ("A", "2 0 0 -");
  ASSERT_HISTORY ("A", "1 device start_ack, 2 device port_report");
  ASSERT_EVENTS ("A", CREATED " order.confirmed charging.started");
  site_close (&site);
}

static void test_t3_ack (void)
{
  Site site = SITE ("proto-lines.ack_means_on=true");
  SAY ("@ack " DEV " %u", pending (&site));
  ASSERT_HISTORY ("A", "2 device start_ack");
  ASSERT_EVENTS ("A", CREATED " order.confirmed charging.started");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  site_close (&site);
}

/* ---- T4, T5 ---- */

static void test_t4 (void)
{
  Site site = site_open (NULL);
  SAY ("@no " DEV " %u 3", pending (&site));
  ASSERT_ORDER ("A", "6 0 0 device_rejected");
  ASSERT_HISTORY ("A", "6 device device_rejected");
  ASSERT_EVENTS ("A", NEVER_STARTED);
  ASSERT_EVENT ("order.confirmed", "result", "failed");
  ASSERT_EVENT ("order.confirmed", "fail_reason", "device_rejected");
  CHECK_SQL ("SELECT coalesce (amount_cent, 'none') FROM orders", "none");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  EXPECT (""); /* it said no: there is nothing to stop */
  assert_free (&site);
  site_close (&site);
}

/* C3: the refusal of a repeated start says nothing of the first one. */
static Site refused_again (void)
{
  Site site = site_open (NULL);
  pending (&site);
  ADVANCE (5);
  guint again = site_heard (&site);
  SAY ("@no " DEV " %u 3", again);
  ASSERT_STATUS ("A", "0");
  EXPECT ("QueryPortStatus");
  return site;
}

static void test_c3_idle (void)
{
  Site site = refused_again ();
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "6 1 0 device_rejected"); /* the first one may have been executed */
  ASSERT_EVENTS ("A", NEVER_STARTED);
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  SAY ("@end " DEV " 0 65 3 4 2");
  ASSERT_ORDER ("A", "3 0 3 -");
  site_close (&site);
}

static void test_c3_charging (void)
{
  Site site = refused_again ();
  g_autofree char *number = queue_sql (site.queue, "SELECT business_no FROM orders");
  SAY ("@port " DEV " 0 2 %s", number);
  ASSERT_ORDER ("A", "2 0 0 -");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  site_close (&site);
}

/* Accepted, but the device went before it was written. */
static void test_t5_never_written (void)
{
  Site site = site_open (NULL);
  site.queue->next_state = CH_COMMAND_NOT_SENT;
  site_start (&site, "A", "pending");
  site_go (&site);
  ADVANCE (19);
  ASSERT_ORDER ("A", "6 0 0 device_offline");
  ASSERT_HISTORY ("A", "6 timer device_offline");
  ASSERT_EVENTS ("A", CREATED " order.failed");
  site.queue->next_state = CH_COMMAND_SENT;
  site_come (&site);
  EXPECT (""); /* it is never sent afterwards */
  ASSERT_PORT (CH_PORT_OFFLINE, NULL);
  assert_free (&site);
  site_close (&site);
}

/* An operator takes the command out of the queue. */
static void test_t5_taken_out (void)
{
  Site site = site_open (NULL);
  site.queue->next_state = CH_COMMAND_NOT_SENT;
  site_start (&site, "A", "pending");
  g_autofree char *id = queue_sql (site.queue, "SELECT start_command_id FROM orders");
  g_assert_true (ch_outbound_cancel_by_hand (site.queue->services.core->outbound, id));
  ASSERT_ORDER ("A", "6 0 0 queue_overloaded");
  ASSERT_EVENTS ("A", CREATED " order.failed");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site.queue->next_state = CH_COMMAND_SENT;
  EXPECT ("");
  site_close (&site);
}

/* ---- T6, T8 and what comes after them (C2, C4) ---- */

static void test_t6 (void)
{
  Site site = site_open (NULL);
  pending (&site);
  ADVANCE (18);
  ASSERT_STATUS ("A", "0");
  ADVANCE (2);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  ASSERT_HISTORY ("A", "4 timer pending_timeout");
  ASSERT_EVENTS ("A", CREATED " order.timeout");
  ASSERT_EVENT ("order.timeout", "waited_s", "20");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  EXPECT ("StartCharge StartCharge"); /* the repeats; nothing to stop is known */
  assert_free (&site);
  site_close (&site);
}

/* C4: the acknowledgement of a start that timed out; its charge is settled (T28). */
static void test_c4 (void)
{
  Site site = site_open (NULL);
  pending (&site);
  ADVANCE (21);
  guint number = site_heard (&site);
  ASSERT_ALARMS ("");
  SAY ("@ack " DEV " %u", number);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  ASSERT_ALARMS ("late_start_compensated");
  EXPECT ("StopCharge");
  SAY ("@end " DEV " 0 w1 40 120 9"); /* no key was known: a record of its own */
  CHECK_SQL (
      "SELECT status || source || failure_reason FROM orders WHERE order_no != 'A'",
      "3localno_matching_order");
  site_close (&site);
}

static void test_t8 (void)
{
  Site site = confirmed ();
  ADVANCE (58);
  ASSERT_STATUS ("A", "1");
  ADVANCE (3);
  ASSERT_ORDER ("A", "6 1 0 start_not_confirmed");
  ASSERT_HISTORY ("A", "1 device start_ack, 6 timer confirmed_timeout");
  ASSERT_EVENTS ("A", NEVER_STARTED);
  ASSERT_EVENT ("order.failed", "provisional", "1");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  EXPECT ("StopCharge");         /* C2 */
  SAY ("@start " DEV " 0 w1 A"); /* C4: not revived */
  ASSERT_STATUS ("A", "6");
  ASSERT_ALARMS ("late_start_compensated");
  SAY ("@end " DEV " 0 w1 620 600 9");
  ASSERT_ORDER ("A", "7 0 620 -"); /* T28 */
  CHECK_SQL ("SELECT settlement_rev || ' ' || amount_cent FROM orders", "1 33");
  ASSERT_EVENTS ("A", NEVER_STARTED " order.settlement_revised");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  assert_free (&site);
  site_close (&site);
}

/* C2 only where a stop reaches what was not reported. */
static void test_t8_no_stop (void)
{
  Site site = SITE ("proto-lines.stops_unreported=false");
  SAY ("@ack " DEV " %u", pending (&site));
  ADVANCE (61);
  ASSERT_ORDER ("A", "6 1 0 start_not_confirmed");
  EXPECT ("");
  site_close (&site);
}

/* ---- T7, T24: cancelled ---- */

static void test_t7_not_written (void)
{
  Site site = site_open (NULL);
  site.queue->next_state = CH_COMMAND_NOT_SENT;
  site_start (&site, "A", "pending");
  site_cancel (&site, "A", "cancelled");
  ASSERT_ORDER ("A", "5 0 0 -");
  ASSERT_EVENTS ("A", CREATED " order.cancelled");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site.queue->next_state = CH_COMMAND_SENT;
  EXPECT ("");
  assert_free (&site);
  site_close (&site);
}

static void test_t24_ack (void)
{
  Site site = confirmed ();
  site_cancel (&site, "A", "cancelling");
  ASSERT_ORDER ("A", "8 0 0 -");
  ASSERT_PORT (CH_PORT_IDLE, "A");
  g_autofree char *text = (ADVANCE (1), queue_heard (site.queue, site.fd));
  g_assert_true (g_str_has_prefix (text, "StopCharge ")); /* C1 */
  SAY ("@ack " DEV " %u", queue_number (text));
  ASSERT_ORDER ("A", "5 0 0 -");
  ASSERT_HISTORY ("A", "1 device start_ack, 8 api cancel, 5 device stop_ack");
  ASSERT_EVENTS ("A", CREATED " order.confirmed order.cancelling order.cancelled");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  site_cancel (&site, "A", "40902");
  assert_free (&site);
  site_close (&site);
}

/* C4: it began all the same, after its device had stopped nothing: that is a charge, too.
 */
static void test_t24_late (void)
{
  for (guint i = 0; i < 3; i++) {
    Site site = site_open (NULL);
    guint number = pending (&site);
    site_cancel (&site, "A", "cancelling");
    SAY ("@ack " DEV " %u", site_heard (&site));
    ASSERT_ORDER ("A", "5 0 0 -");
    ASSERT_ALARMS ("");
    if (i == 1)
      SAY ("@ack " DEV " %u", number);
    else if (i == 2)
      SAY ("@port " DEV " 0 2 65"); /* the number of A */
    ASSERT_ALARMS (i > 0 ? "late_start_compensated" : "");
    EXPECT (i > 0 ? "StopCharge" : "");
    SAY ("@end " DEV " 0 65 40 60 9");
    ASSERT_ORDER ("A", "7 0 40 -");
    CHECK_SQL ("SELECT settlement_rev || ' ' || amount_cent FROM orders", "1 2");
    ASSERT_EVENT ("order.settlement_revised", "energy_wh", "40");
    SAY ("@end " DEV " 0 65 40 60 9");
    CHECK_SQL ("SELECT count(*) FROM orders", "1");
    ASSERT_ALARMS ("");
    site_close (&site);
  }
}

static void test_t24_time (void)
{
  Site site = confirmed ();
  site_cancel (&site, "A", "cancelling");
  ADVANCE (28);
  ASSERT_STATUS ("A", "8");
  ADVANCE (3);
  ASSERT_ORDER ("A", "5 1 0 -");
  ASSERT_HISTORY ("A", "1 device start_ack, 8 api cancel, 5 timer cancelling_timeout");
  ASSERT_EVENT ("order.cancelled", "provisional", "1");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  SAY ("@end " DEV " 0 w1 10 60 9"); /* without a number that is known: its own record */
  ASSERT_STATUS ("A", "5");
  site_close (&site);
}

/* A cancel of a charge is refused; a stop of a start is a cancel. */
static void test_cancel_or_stop (void)
{
  Site site = confirmed ();
  site_stop (&site, "A", "cancelling");
  site_cancel (&site, "A", "cancelling");
  site_close (&site);
  site = site_charging (NULL);
  site_cancel (&site, "A", "40001");
  ASSERT_STATUS ("A", "2");
  site_close (&site);
}

/* C5: it began while it was cancelled; the stop goes out again, the report settles. */
static void test_t25 (void)
{
  static const struct {
    guint reason;
    const char *order, *events;
  } ends[] = {{9, "7 0 20 -", "order.stopped"}, {0, "3 0 20 -", "order.completed"}};
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    Site site = confirmed ();
    site_cancel (&site, "A", "cancelling");
    EXPECT ("StopCharge");
    SAY ("@start " DEV " 0 w1 A");
    ASSERT_STATUS ("A", "8");
    SAY ("@end " DEV " 0 w1 20 60 %u", ends[i].reason);
    ASSERT_ORDER ("A", ends[i].order);
    g_autofree char *events
        = g_strconcat (CREATED " order.confirmed order.cancelling charging.ended ",
                       ends[i].events, NULL);
    ASSERT_EVENTS ("A", events);
    CHECK_SQL ("SELECT amount_cent FROM orders", "1");
    ASSERT_PORT (CH_PORT_IDLE, NULL);
    site_close (&site);
  }
}

static void test_c5_report (void)
{
  Site site = confirmed ();
  site_cancel (&site, "A", "cancelling");
  EXPECT ("StopCharge");
  ADVANCE (4);
  SAY ("@port " DEV " 0 2");
  ASSERT_STATUS ("A", "8");
  EXPECT ("StopCharge");
  site_close (&site);
}

static void test_t26 (void)
{
  Site site = confirmed ();
  site_cancel (&site, "A", "cancelling");
  SAY ("@port " DEV " 0 3");
  ASSERT_ORDER ("A", "6 1 0 port_fault");
  ASSERT_HISTORY ("A", "1 device start_ack, 8 api cancel, 6 device port_fault");
  ASSERT_EVENTS ("A", CREATED " order.confirmed order.cancelling order.failed");
  ASSERT_PORT (CH_PORT_FAULT, NULL);
  site_start (&site, "B", "50304");
  site_close (&site);
}

/* ---- T27: only its end is seen ---- */

static void test_t27 (void)
{
  static const struct {
    gboolean confirmed;
    guint reason;
    const char *order, *events;
  } walks[] = {
      {FALSE, 0, "3 0 30 -", "charging.started charging.ended order.completed"},
      {FALSE, 1, "7 0 30 -", "charging.started charging.ended order.stopped"},
      {TRUE, 0, "3 0 30 -",
       "order.confirmed charging.started charging.ended order.completed"},
      {TRUE, 1, "7 0 30 -",
       "order.confirmed charging.started charging.ended order.stopped"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (walks); i++) {
    Site site = site_open (NULL);
    guint number = pending (&site);
    if (walks[i].confirmed)
      SAY ("@ack " DEV " %u", number);
    ADVANCE (10);
    g_free (queue_heard (site.queue, site.fd));
    SAY ("@end " DEV " 0 w1 30 8 %u", walks[i].reason);
    queue_expect (site.queue, site.fd, "stored 0\n");
    ASSERT_ORDER ("A", walks[i].order);
    g_autofree char *events = g_strconcat (CREATED " ", walks[i].events, NULL);
    ASSERT_EVENTS ("A", events);
    CHECK_SQL ("SELECT (end_time - start_time) || ' ' || amount_cent || ' ' ||"
               " lookup_source FROM orders",
               "8000 2 port_fallback");
    ASSERT_PORT (CH_PORT_IDLE, NULL);
    EXPECT (""); /* the start is not sent again */
    site_close (&site);
  }
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/walks/t1-t2", test_t1_t2);
  g_test_add_func ("/walks/t3-report", test_t3_report);
  g_test_add_func ("/walks/t3-snapshot", test_t3_snapshot);
  g_test_add_func ("/walks/t3-ack", test_t3_ack);
  g_test_add_func ("/walks/t4", test_t4);
  g_test_add_func ("/walks/c3-idle", test_c3_idle);
  g_test_add_func ("/walks/c3-charging", test_c3_charging);
  g_test_add_func ("/walks/t5-never-written", test_t5_never_written);
  g_test_add_func ("/walks/t5-taken-out", test_t5_taken_out);
  g_test_add_func ("/walks/t6", test_t6);
  g_test_add_func ("/walks/c4", test_c4);
  g_test_add_func ("/walks/t8-c2-c4", test_t8);
  g_test_add_func ("/walks/t8-no-stop", test_t8_no_stop);
  g_test_add_func ("/walks/t7-not-written", test_t7_not_written);
  g_test_add_func ("/walks/t7-t24-ack", test_t24_ack);
  g_test_add_func ("/walks/t24-late", test_t24_late);
  g_test_add_func ("/walks/t24-time", test_t24_time);
  g_test_add_func ("/walks/cancel-or-stop", test_cancel_or_stop);
  g_test_add_func ("/walks/t25-c5", test_t25);
  g_test_add_func ("/walks/c5-report", test_c5_report);
  g_test_add_func ("/walks/t26", test_t26);
  g_test_add_func ("/walks/t27", test_t27);
  return g_test_run ();
}
