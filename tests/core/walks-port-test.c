/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a start must know of a port, ports that the device chooses, and what is kept when
 * something goes wrong: reports that contradict, batches that fail, answers that wait,
 * facts on their way when the process ends.
 */
#include "site.h"

#include <string.h>
#include <unistd.h>

/* ---- snapshots (1.5.3, check 6) ---- */

/* Nothing was reported since the bind: the port is asked, and the start waits. */
static void test_ask (void)
{
  Site site = site_open (NULL);
  site_go (&site);
  site_come (&site);
  site_start (&site, "A", NULL);
  EXPECT ("QueryPortStatus");
  ADVANCE (3);
  g_assert_cmpstr (site.answer, ==, "50301"); /* no word */
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  site_close (&site);
}

/* An older idle report counts for as long as the protocol says; no other does. */
static void test_trusted (void)
{
  Site site = SITE ("proto-lines.snapshot_max_age_s=60");
  site_go (&site);
  ADVANCE (50);
  site_come (&site);
  site_start (&site, "A", "pending");
  EXPECT ("StartCharge");
  site_close (&site);

  site = SITE ("proto-lines.snapshot_max_age_s=60");
  site_go (&site);
  ADVANCE (61);
  site_come (&site);
  site_start (&site, "A", NULL);
  EXPECT ("QueryPortStatus");
  SAY ("@port " DEV " 0 3");
  g_assert_cmpstr (site.answer, ==, "50304");
  site_close (&site);

  site = SITE ("proto-lines.snapshot_max_age_s=60");
  SAY ("@port " DEV " 0 3");
  site_go (&site);
  site_come (&site);
  site_start (&site, "A", NULL);
  SAY ("@port " DEV " 0 1");
  g_assert_cmpstr (site.answer, ==, "pending");
  site_close (&site);
}

/* ---- the device chooses the port ---- */

#define AUTO "proto-lines.auto_port=true"

static void start_any (Site *site, const char *order_no, const char *expected)
{
  ChStartRequest request = site_request (order_no);
  request.port_no = -1;
  site_start_as (site, &request, expected);
}

static void assert_place (Site *s, const char *text)
{
  Site site = *s;
  CHECK_SQL ("SELECT port_no || ' ' || status FROM orders WHERE order_no = 'A'", text);
}

static Site auto_site (const char *more)
{
  Site site = SITE (AUTO, more);
  SAY ("@port " DEV " 1 1");
  return site;
}

static void test_auto_refused (void)
{
  Site site = site_open (NULL);
  start_any (&site, "A", "40010");
  site_close (&site);
}

/* Until it is known where it charges, the order holds the whole device. */
static void test_auto (void)
{
  Site site = auto_site (NULL);
  start_any (&site, "A", "pending");
  g_autofree char *text = (ADVANCE (1), queue_heard (site.queue, site.fd));
  g_assert_nonnull (strstr (text, " 0 -1 A\n"));
  start_any (&site, "B", "40901");
  site_start (&site, "B", "40901");
  start_any (&site, "A", "pending"); /* the same request again */
  SAY ("@ack " DEV " %u", queue_number (text));
  assert_place (&site, "-1 1");
  SAY ("@start " DEV " 1 w1 A");
  assert_place (&site, "1 2");
  ASSERT_EVENTS ("A", RUNNING);
  ASSERT_EVENT ("charging.started", "port_no", "1");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  g_assert_cmpint (queue_device (site.queue, DEV)->ports[1].status, ==, CH_PORT_CHARGING);
  start_any (&site, "A", "charging");

  site_start (&site, "B", "pending"); /* the other port is free again */
  SAY ("@end " DEV " 1 w1 1250 3600 0");
  ASSERT_ORDER ("A", "3 0 1250 -");
  ASSERT_STATUS ("B", "0");
  g_assert_null (queue_device (site.queue, DEV)->ports[1].order);
  site_close (&site);
}

/* Given up before the device named the port: its end says both. */
static void test_auto_late (void)
{
  Site site = auto_site (NULL);
  start_any (&site, "A", "pending");
  ADVANCE (21);
  ASSERT_ORDER ("A", "4 1 0 no_ack");
  SAY ("@end " DEV " 1 65 30 10 0"); /* the number of A */
  ASSERT_ORDER ("A", "3 0 30 -");
  assert_place (&site, "1 3");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

/* C7: another order holds the port that the device chose: its end was never heard. */
static void test_auto_held (void)
{
  Site site = auto_site (NULL);
  site_start (&site, "H", "pending");
  SAY ("@start " DEV " 0 w1 H");
  SAY ("@prog " DEV " 0 w1 620 1800");
  start_any (&site, "A", "pending");
  site_heard (&site);
  ASSERT_ALARMS ("");
  SAY ("@start " DEV " 0 w2 A");
  assert_place (&site, "0 2");
  ASSERT_PORT (CH_PORT_CHARGING, "A");
  ASSERT_ORDER ("H", "6 1 620 duplicate");
  ASSERT_ALARMS ("duplicate");
  start_any (&site, "B", "pending"); /* nothing holds the whole device any more */
  SAY ("@end " DEV " 0 w1 700 2000 0");
  ASSERT_ORDER ("H", "3 0 700 -");
  SAY ("@end " DEV " 0 w2 30 60 0");
  ASSERT_ORDER ("A", "3 0 30 -");
  site_close (&site);
}

/* Only its end says where it was. */
static void test_auto_held_end (void)
{
  Site site = auto_site (NULL);
  site_start (&site, "H", "pending");
  SAY ("@ack " DEV " %u", site_heard (&site));
  SAY ("@start " DEV " 0 w1 H");
  start_any (&site, "A", "pending");
  SAY ("@ack " DEV " %u", site_heard_type (&site, "StartCharge"));
  assert_place (&site, "-1 1");
  queue_change (site.queue, "UPDATE orders SET wire_order = 'w2' WHERE order_no = 'A'");
  site_restart (&site);
  SAY ("@end " DEV " 0 w2 30 60 0");
  assert_place (&site, "0 3");
  ASSERT_STATUS ("H", "10");
  site_close (&site);
}

/* By the number in a report of the port. */
static void test_auto_snapshot (void)
{
  Site site = auto_site (NULL);
  start_any (&site, "A", "pending");
  EXPECT ("StartCharge");
  SAY ("@port " DEV " 1 2"); /* an old charge, for all that is known */
  assert_place (&site, "-1 0");
  g_autofree char *number = queue_sql (site.queue, "SELECT business_no FROM orders");
  SAY ("@port " DEV " 1 2 %s", number);
  assert_place (&site, "1 2");
  site_close (&site);
}

/* The acknowledgement means that it charges, and the first report says where. */
static void test_auto_progress (void)
{
  for (guint by_port = 0; by_port < 2; by_port++) {
    Site site = auto_site ("proto-lines.ack_means_on=true");
    start_any (&site, "A", "pending");
    SAY ("@ack " DEV " %u", site_heard (&site));
    assert_place (&site, "-1 2");
    if (by_port)
      SAY ("@port " DEV " 1 2");
    else
      SAY ("@prog " DEV " 1 0 100 60");
    assert_place (&site, "1 2");
    ASSERT_HISTORY ("A", "2 device start_ack, 2 device port_chosen");
    SAY ("@end " DEV " 1 0 300 70 0");
    ASSERT_ORDER ("A", "3 0 300 -");
    CHECK_SQL ("SELECT count(*) FROM orders", "1");
    site_close (&site);
  }
}

/* Only the end report names the port, after a restart at that. */
static void test_auto_end (void)
{
  Site site = auto_site ("proto-lines.ack_means_on=true");
  start_any (&site, "A", "pending");
  SAY ("@ack " DEV " %u", site_heard (&site));
  site_restart (&site);
  SAY ("@end " DEV " 1 w9 300 20 0");
  ASSERT_ORDER ("A", "3 0 300 -");
  assert_place (&site, "1 3");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  site_close (&site);
}

static void test_auto_full (void)
{
  Site site = auto_site (NULL);
  SAY ("@port " DEV " 1 3");
  site_start (&site, "B", "pending");
  start_any (&site, "A", "50304"); /* one is held, the other has a fault */
  SAY ("@port " DEV " 1 2");
  start_any (&site, "A", "40901");
  SAY ("@port " DEV " 1 1");
  start_any (&site, "A", "pending");
  site_close (&site);
}

/* ---- reports that contradict ---- */

static void got (ChPlugin *self, const json_t *data, const GError *error,
                 gpointer user_data)
{
  g_assert_no_error (error);
  *(json_t **) user_data = json_deep_copy (data);
}

static void test_conflict (void)
{
  Site site = site_charging (NULL);
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  ASSERT_ALARMS ("");
  for (guint i = 0; i < 3; i++) {
    g_free (queue_heard (site.queue, site.fd));
    SAY ("@end " DEV " 0 w1 1400 3900 0");
    queue_expect (site.queue, site.fd, "stored 0\n");
  }
  ASSERT_ALARMS ("end_report_conflict"); /* once: the others are copies */
  ASSERT_ORDER ("A", "3 0 1250 -");
  CHECK_SQL ("SELECT count(*) || ' ' || sum (energy_wh) || ' ' || sum (duration_s)"
             " FROM order_reports WHERE order_no = 'A'",
             "1 1400 3900");
  SAY ("@end " DEV " 0 w1 1500 4000 0");
  CHECK_SQL ("SELECT count(*) FROM order_reports", "2");

  json_t *order = NULL;
  ch_core_get_order (site.queue->caller, "A", got, &order);
  queue_settle (site.queue);
  g_assert_nonnull (order);
  json_t *reports = json_object_get (order, "end_reports");
  g_assert_cmpuint (json_array_size (reports), ==, 2);
  g_assert_cmpint (
      json_integer_value (json_object_get (json_array_get (reports, 0), "energy_wh")), ==,
      1400);
  json_decref (order);
  site_close (&site);
}

/* What was closed by hand stays closed, but the device's figures are not lost. */
static void test_conflict_forced (void)
{
  Site site = site_charging (NULL);
  site_force (&site, FALSE, "failed");
  SAY ("@end " DEV " 0 w1 1400 3900 9");
  ASSERT_ORDER ("A", "6 0 0 admin_forced");
  CHECK_SQL ("SELECT energy_wh || ' ' || end_reason FROM order_reports", "1400 9");
  site_close (&site);
}

/* What cannot be is cut where it enters; nothing is lost by it, and no port is blocked.
 */
static void test_garbage (void)
{
  Site site = site_open (NULL);
  SAY ("@start " DEV " 200 w8");
  SAY ("@start " DEV " -300 w8");
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  SAY ("@end " DEV " 300 w8 5 60 0");
  CHECK_SQL ("SELECT port_no || ' ' || energy_wh FROM orders", "127 5");
  SAY ("@end " DEV " 0 w9 9223372036854775807 9223372036854775807 0");
  SAY ("@end " DEV " 0 70000 -5 -9223372036854775807 0");
  CHECK_SQL ("SELECT energy_wh || ' ' || duration_s || ' ' || (amount_cent > 0) FROM"
             " orders WHERE wire_order = 'w9'",
             "1000000000 1000000000 1");
  CHECK_SQL ("SELECT energy_wh || ' ' || duration_s || ' ' || business_no FROM orders"
             " WHERE wire_order IS NULL",
             "0 0 0");
  site_start (&site, "A", "pending");
  SAY ("@ack " DEV " %u", site_heard (&site));
  SAY ("@start " DEV " 0 w1 A");
  SAY ("@prog " DEV " 0 w1 9223372036854775807 9223372036854775807");
  SAY ("@end " DEV " 0 w1 9223372036854775807 60 0");
  CHECK_SQL ("SELECT status || ' ' || amount_cent FROM orders WHERE order_no = 'A'",
             "3 500");
  site_close (&site);
}

static void test_conflict_not_stored (void)
{
  Site site = site_charging (NULL);
  SAY ("@end " DEV " 0 w1 1250 3600 0");
  g_free (queue_heard (site.queue, site.fd));
  queue_change (site.queue, "CREATE TRIGGER fail BEFORE INSERT ON order_reports"
                            " BEGIN SELECT RAISE (ABORT, 'no'); END");
  SAY ("@end " DEV " 0 w1 1400 3900 0");
  queue_expect (site.queue, site.fd, "failed 0\n"); /* so it is said again */
  ASSERT_ALARMS ("");
  queue_change (site.queue, "DROP TRIGGER fail");
  SAY ("@end " DEV " 0 w1 1400 3900 0");
  queue_expect (site.queue, site.fd, "stored 0\n");
  CHECK_SQL ("SELECT count(*) FROM order_reports", "1");
  site_close (&site);
}

/* ---- batches that fail ---- */

static void test_batch (void)
{
  Site site = site_charging (NULL);
  ADVANCE (3);
  queue_change (site.queue, "CREATE TRIGGER fail BEFORE UPDATE ON ports"
                            " BEGIN SELECT RAISE (ABORT, 'no'); END");
  queue_change (site.queue, "CREATE TRIGGER fail2 BEFORE UPDATE ON orders"
                            " BEGIN SELECT RAISE (ABORT, 'no'); END");
  SAY ("@prog " DEV " 0 w1 620 1800");
  SAY ("@port " DEV " 0 3 w1");
  ADVANCE (5);
  CHECK_SQL ("SELECT energy_wh FROM orders", "0");
  CHECK_SQL ("SELECT status FROM ports", "2");
  queue_change (site.queue, "DROP TRIGGER fail");
  queue_change (site.queue, "DROP TRIGGER fail2");
  ADVANCE (5); /* nothing new is said */
  CHECK_SQL ("SELECT energy_wh FROM orders", "620");
  CHECK_SQL ("SELECT status FROM ports", "3");
  site_close (&site);
}

/* ---- a stop that waits for the device ---- */

static void stop_waiting (Site *site, const char *order_no)
{
  const ChStopRequest request
      = {.order_no = order_no, .socket_no = CH_UNSET, .port_no = CH_UNSET};
  g_clear_pointer (&site->answer, g_free);
  ch_core_stop_charge (site->queue->caller, &request, NULL, 5000, site_answered,
                       &site->answer);
  queue_settle (site->queue);
  g_assert_null (site->answer);
}

static void test_stop_waits (void)
{
  Site site = site_charging (NULL);
  stop_waiting (&site, "A");
  SAY ("@ack " DEV " %u", site_heard (&site));
  g_assert_cmpstr (site.answer, ==, "stopping"); /* its end is not reported yet */
  site_close (&site);

  site = site_open (NULL);
  site_start (&site, "A", "pending");
  site_heard (&site);
  stop_waiting (&site, "A");
  SAY ("@ack " DEV " %u", site_heard (&site));
  ASSERT_STATUS ("A", "5");
  g_assert_cmpstr (site.answer, ==, "cancelled"); /* not `cancelling' */
  site_close (&site);

  site = site_charging (NULL);
  stop_waiting (&site, "A");
  guint number = site_heard (&site);
  g_autofree char *lines
      = g_strdup_printf ("@end " DEV " 0 w1 600 1900 9\n@ack " DEV " %u\n", number);
  g_assert_cmpint (write (site.fd, lines, strlen (lines)), >, 0);
  queue_settle (site.queue);
  g_assert_cmpstr (site.answer, ==, "stopped");
  site_close (&site);
}

/* ---- the queue of a device ---- */

/* In order; at 64 waiting facts its connection is not read until the store has caught up.
 */
static void test_order_and_pause (void)
{
  Site site = SITE ("proto-lines.frames_burst=1000", "proto-lines.frames_per_s=1000");
  ChDevice *device = queue_device (site.queue, DEV);
  GString *flood = g_string_new (NULL);
  guint most = 0;
  for (guint i = 0; i < 200; i++)
    g_string_append_printf (flood, "@end " DEV " 0 w%u %u 60 0\n", i, i);
  gsize written = 0;
  gboolean paused = FALSE;
  char answers[4096];
  while (written < flood->len || device->facts != NULL || device->fact_running) {
    while (read (site.fd, answers, sizeof answers) > 0)
      ;
    gssize n = write (site.fd, flood->str + written, flood->len - written);
    written += n > 0 ? (gsize) n : 0;
    g_main_context_iteration (NULL, FALSE);
    ch_wheel_run (site.queue->services.reactor);
    most = MAX (most, device->facts != NULL ? device->facts->jobs.length : 0);
    paused |= device->facts != NULL && device->facts->paused != 0;
  }
  g_free (queue_heard (site.queue, site.fd));
  g_assert_true (paused);
  g_assert_cmpuint (most, <=, 64);
  g_assert_null (device->facts);
  CHECK_SQL ("SELECT count(*) FROM orders", "200");
  CHECK_SQL ("SELECT count(*) FROM (SELECT energy_wh, row_number () OVER (ORDER BY id)"
             " - 1 AS n FROM orders) AS numbered WHERE energy_wh = n",
             "200");
  g_string_free (flood, TRUE);
  site_close (&site);
}

/* The process ends while facts are on their way: nothing is left behind in memory, and
 * what was stored is whole. */
static void test_facts_in_flight (void)
{
  Site site = site_charging (NULL);
  static const char lines[]
      = "@end " DEV " 0 w1 600 1900 0\n@end " DEV " 0 w1 700 1900 0\n"
        "@start " DEV " 0 w2\n@end " DEV " 0 w2 10 60 0\n@start " DEV " 1 w3\n";
  site_start (&site, "B", "40901");
  g_assert_cmpint (write (site.fd, lines, strlen (lines)), ==, (gssize) strlen (lines));
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (NULL, FALSE);
  g_assert_true (queue_device (site.queue, DEV)->fact_running);
  close (site.fd);
  queue_free (site.queue);
  g_free (site.answer);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ports/ask", test_ask);
  g_test_add_func ("/ports/trusted", test_trusted);
  g_test_add_func ("/ports/auto-refused", test_auto_refused);
  g_test_add_func ("/ports/auto", test_auto);
  g_test_add_func ("/ports/auto-late", test_auto_late);
  g_test_add_func ("/ports/auto-held", test_auto_held);
  g_test_add_func ("/ports/auto-held-end", test_auto_held_end);
  g_test_add_func ("/ports/auto-snapshot", test_auto_snapshot);
  g_test_add_func ("/ports/auto-progress", test_auto_progress);
  g_test_add_func ("/ports/auto-end", test_auto_end);
  g_test_add_func ("/ports/auto-full", test_auto_full);
  g_test_add_func ("/kept/conflict", test_conflict);
  g_test_add_func ("/kept/conflict-forced", test_conflict_forced);
  g_test_add_func ("/kept/garbage", test_garbage);
  g_test_add_func ("/kept/conflict-not-stored", test_conflict_not_stored);
  g_test_add_func ("/kept/batch", test_batch);
  g_test_add_func ("/kept/stop-waits", test_stop_waits);
  g_test_add_func ("/facts/order-and-pause", test_order_and_pause);
  g_test_add_func ("/facts/in-flight", test_facts_in_flight);
  return g_test_run ();
}
