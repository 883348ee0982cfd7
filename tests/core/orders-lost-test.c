/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts and stops whose outcome nobody heard of: the device numbers its charges itself
 * (as bkv does), and what it did in the meantime is only told by its end report. No such
 * report may become a charge that nobody ordered.
 */
#include "core/order/orders.h"
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#include <string.h>
#include <unistd.h>

#define DEV "82241218000382"
#define OPTIONS "proto-lines.ack_means_on=true", "proto-lines.order_key=device"

typedef struct {
  Queue *queue;
  int fd;
  char *answer; /* of the core to the newest request */
} Site;

static void come (Site *site)
{
  site->fd = queue_connect (site->queue);
  queue_say (site->queue, site->fd, "@on " DEV);
}

static void go (Site *site)
{
  close (site->fd);
  queue_settle (site->queue);
}

static Site open_site (void)
{
  Site site = {.queue = queue_new_orders ((const char *const[]) {OPTIONS, NULL})};
  come (&site);
  queue_say (site.queue, site.fd, "@port " DEV " 0 1");
  return site;
}

static void close_site (Site *site)
{
  go (site);
  queue_free (site->queue);
  g_free (site->answer);
}

#define SAY(...) queue_say (site.queue, site.fd, __VA_ARGS__)
#define ADVANCE(s) queue_advance (site.queue, (gint64) (s) *1000)
#define CHECK_SQL(sql, text)                                                             \
  do {                                                                                   \
    queue_settle (site.queue);                                                           \
    g_autofree char *_value = queue_sql (site.queue, sql);                               \
    g_assert_cmpstr (_value, ==, text);                                                  \
  } while (0)
/* Status, whether it is provisional, energy. */
#define ASSERT_ORDER(no, text)                                                           \
  CHECK_SQL ("SELECT status || ' ' || provisional || ' ' || energy_wh FROM orders"       \
             " WHERE order_no = '" no "'",                                               \
             text)
#define ASSERT_ALL_ORDERED                                                               \
  CHECK_SQL ("SELECT count(*) FROM orders WHERE source = 'local'", "0")

static void answered (ChPlugin *self, const json_t *data, const GError *error,
                      gpointer user_data)
{
  g_free (*(char **) user_data);
  *(char **) user_data
      = error != NULL ? g_strdup_printf ("%d", error->code)
                      : g_strdup (json_string_value (json_object_get (data, "status")));
}

static void start (Site *site, const char *order_no, const char *expected)
{
  ChStartRequest request = CH_START_REQUEST_INIT;
  request.device = DEV;
  request.socket_no = request.port_no = 0;
  request.charge_mode = 1;
  request.amount_cent = 500;
  request.duration_minutes = 60;
  request.order_no = order_no;
  g_clear_pointer (&site->answer, g_free);
  ch_core_start_charge (site->queue->caller, &request, NULL, 0, answered, &site->answer);
  queue_settle (site->queue);
  g_assert_cmpstr (site->answer, ==, expected);
}

static void stop (Site *site, const char *order_no, const char *expected)
{
  const ChStopRequest request
      = {.order_no = order_no, .socket_no = CH_UNSET, .port_no = CH_UNSET};
  g_clear_pointer (&site->answer, g_free);
  ch_core_stop_charge (site->queue->caller, &request, NULL, 0, answered, &site->answer);
  queue_settle (site->queue);
  g_assert_cmpstr (site->answer, ==, expected);
}

/* The newest command of a type in what the device heard, 0 for none. */
static guint heard (Site *site, const char *type)
{
  queue_advance (site->queue, 1000); /* commands keep their distance */
  g_autofree char *text = queue_heard (site->queue, site->fd);
  const char *last = g_strrstr (text, type);
  return last == NULL ? 0 : (guint) g_ascii_strtoull (last + strlen (type), NULL, 10);
}

static void restart (Site *site)
{
  go (site);
  queue_restart (site->queue);
  come (site);
}

/* The start of A reached the device, its answer a daemon that is dead. */
static Site started_unheard (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  g_assert_cmpuint (heard (&site, "StartCharge"), !=, 0);
  restart (&site);
  return site;
}

/* ---- cancelled while nobody knows whether it began ---- */

/*
 * The stop reached the device before the daemon died, too: the one that is sent again is
 * refused, as nothing is left to stop; the end report comes seconds later.
 */
static void test_stop_refused (void)
{
  Site site = started_unheard ();
  stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", heard (&site, "StopCharge"));
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0");
  ADVANCE (10);
  SAY ("@end " DEV " 0 w7 40 60 9");
  ASSERT_ORDER ("A", "7 0 40");
  ASSERT_ALL_ORDERED;
  close_site (&site);
}

/* The same when the daemon dies once more between the cancel and the stop. */
static void test_stop_refused_after_restart (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  stop (&site, "A", "cancelling");
  heard (&site, "StopCharge");
  restart (&site);
  guint number = heard (&site, "StopCharge");
  g_assert_cmpuint (number, !=, 0);
  SAY ("@no " DEV " %u 0", number);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0");
  SAY ("@end " DEV " 0 w7 40 60 9");
  ASSERT_ORDER ("A", "7 0 40");
  ASSERT_ALL_ORDERED;
  close_site (&site);
}

/* Without a restart: the answer to the start went with the connection. */
static void test_stop_refused_after_loss (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  go (&site);
  come (&site);
  stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", heard (&site, "StopCharge"));
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "8 0 0");
  SAY ("@end " DEV " 0 w7 40 60 9");
  ASSERT_ORDER ("A", "7 0 40");
  ASSERT_ALL_ORDERED;
  close_site (&site);
}

/* No report for the whole time-out: the order ends, and a late report still finds it. */
static void test_cancel_time_out (void)
{
  Site site = started_unheard ();
  stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", heard (&site, "StopCharge"));
  ADVANCE (31);
  ASSERT_ORDER ("A", "5 1 0");
  restart (&site);
  SAY ("@end " DEV " 0 w7 40 60 9");
  ASSERT_ORDER ("A", "7 0 40");
  ASSERT_ALL_ORDERED;
  SAY ("@end " DEV " 0 w7 40 60 9");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  close_site (&site);
}

/* All over one connection: had it run, its end report would have come by now. */
static void test_never_ran (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", heard (&site, "StopCharge"));
  ASSERT_ORDER ("A", "8 0 0");
  ADVANCE (5); /* the start is waited for no longer */
  g_assert_cmpuint (heard (&site, "QueryPortStatus"), !=, 0);
  SAY ("@port " DEV " 0 1");
  ASSERT_ORDER ("A", "5 0 0");
  close_site (&site);
}

/* The start was refused, and so is the stop: nothing is to be waited for. */
static void test_both_refused (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  guint number = heard (&site, "StartCharge");
  stop (&site, "A", "cancelling");
  SAY ("@no " DEV " %u 0", number);
  SAY ("@no " DEV " %u 0", heard (&site, "StopCharge"));
  ASSERT_ORDER ("A", "5 0 0");
  close_site (&site);
}

/* ---- given up while nobody knows whether it began ---- */

/* The next charge of the port has its own number: the report is of the one before. */
static void test_time_out_and_next (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  go (&site);
  ADVANCE (25);
  ASSERT_ORDER ("A", "4 1 0");
  come (&site);
  SAY ("@port " DEV " 0 1");
  start (&site, "B", "pending");
  heard (&site, "StartCharge");
  SAY ("@start " DEV " 0 w8 B");
  SAY ("@end " DEV " 0 w7 40 60 0");
  ASSERT_ORDER ("A", "3 0 40");
  ASSERT_ORDER ("B", "2 0 0");
  ASSERT_ALL_ORDERED;
  close_site (&site);
}

/* Longer than since its start was written: somebody else's charge. */
static void test_time_out_and_other (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  ADVANCE (25);
  SAY ("@end " DEV " 0 w7 40 600 0");
  ASSERT_ORDER ("A", "4 1 0");
  CHECK_SQL ("SELECT count(*) FROM orders WHERE source = 'local'", "1");
  close_site (&site);
}

/* C3: the first sending is the dead daemon's, so the refusal is of a repeated start. */
static void test_repeat_refused (void)
{
  Site site = started_unheard ();
  SAY ("@ack " DEV " %u", heard (&site, "QueryPortStatus"));
  SAY ("@port " DEV " 0 1");
  guint number = heard (&site, "StartCharge");
  g_assert_cmpuint (number, !=, 0);
  SAY ("@no " DEV " %u 0", number);
  ASSERT_ORDER ("A", "0 0 0");
  g_assert_cmpuint (heard (&site, "QueryPortStatus"), !=, 0);
  SAY ("@end " DEV " 0 w7 40 60 0");
  ASSERT_ORDER ("A", "3 0 40");
  ASSERT_ALL_ORDERED;
  close_site (&site);
}

/* ---- commands that are left over ---- */

/* The daemon died before it noted that the stop of A is over; B has the port now. */
static void test_stop_left_over (void)
{
  Site site = open_site ();
  start (&site, "A", "pending");
  heard (&site, "StartCharge");
  SAY ("@start " DEV " 0 w1 A");
  stop (&site, "A", "stopping");
  g_assert_cmpuint (heard (&site, "StopCharge"), !=, 0);
  SAY ("@end " DEV " 0 w1 40 60 9");
  start (&site, "B", "pending");
  heard (&site, "StartCharge");
  SAY ("@start " DEV " 0 w2 B");
  go (&site);
  queue_change (site.queue, "UPDATE outbound_queue SET status = 1, finished_at = NULL"
                            " WHERE order_no = 'A' AND type = 'StopCharge'");
  queue_restart (site.queue);
  come (&site);
  SAY ("@port " DEV " 0 2 w2");
  g_assert_cmpuint (heard (&site, "StopCharge"), ==, 0);
  ASSERT_ORDER ("A", "7 0 40");
  ASSERT_ORDER ("B", "2 0 0");
  close_site (&site);
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
  ASSERT_ORDER ("A", "3 0 20");
  close_site (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/orders-lost/" name, test)
  ADD ("stop-refused", test_stop_refused);
  ADD ("stop-refused-after-restart", test_stop_refused_after_restart);
  ADD ("stop-refused-after-loss", test_stop_refused_after_loss);
  ADD ("cancel-time-out", test_cancel_time_out);
  ADD ("never-ran", test_never_ran);
  ADD ("both-refused", test_both_refused);
  ADD ("time-out-and-next", test_time_out_and_next);
  ADD ("time-out-and-other", test_time_out_and_other);
  ADD ("repeat-refused", test_repeat_refused);
  ADD ("stop-left-over", test_stop_left_over);
  ADD ("overtaken", test_overtaken);
  return g_test_run ();
}
