/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New orders of which the store did not say whether it has them: what memory, the port
 * and the device get to know of them.
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
#define ASSERT_ORDER(no, text)                                                           \
  CHECK_SQL ("SELECT status || ' ' || coalesce (failure_reason, '-') FROM orders"        \
             " WHERE order_no = '" no "'",                                               \
             text)
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

static ChOrder *in_memory (Site *site, const char *order_no)
{
  return ch_orders_find (site->queue->services.core->orders, order_no);
}

/* The store takes longer than anybody waits; the caller is told so. */
static Site unanswered (const char *order_no)
{
  Site site = open_site ();
  queue_hold (site.queue);
  start (&site, order_no, NULL);
  ADVANCE (6);
  g_assert_cmpstr (site.answer, ==, "50305");
  g_assert_cmpuint (heard (&site, "StartCharge"), ==, 0);
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
  start (&site, "A", "pending");
  g_assert_cmpuint (heard (&site, "StartCharge"), !=, 0);
  SAY ("@start " DEV " 0 w1 A");
  SAY ("@end " DEV " 0 w1 40 60 0");
  ASSERT_ORDER ("A", "3 -");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  CHECK_SQL ("SELECT group_concat (event_type, ' ') FROM (SELECT event_type FROM events"
             " WHERE order_no = 'A' ORDER BY sequence_no)",
             "order.created order.confirmed charging.started charging.ended"
             " order.completed");
  close_site (&site);
}

/* Asked again while nobody knows: the port is nobody's, for this order or another. */
static void test_asked_meanwhile (void)
{
  Site site = unanswered ("A");
  start (&site, "A", "50305");
  start (&site, "B", "50305");
  queue_release (site.queue, FALSE);
  ADVANCE (4);
  start (&site, "B", "40901");
  start (&site, "A", "pending");
  close_site (&site);
}

/* The store came back too late: no start is sent any more, and the port is free. */
static void test_stored_too_late (void)
{
  Site site = unanswered ("A");
  ADVANCE (30);
  queue_release (site.queue, FALSE);
  ADVANCE (12);
  ASSERT_ORDER ("A", "6 store_unavailable");
  g_assert_cmpuint (heard (&site, "StartCharge"), ==, 0);
  CHECK_SQL ("SELECT count(*) FROM outbound_queue WHERE status IN (0, 1)", "0");
  start (&site, "B", "pending");
  g_assert_cmpuint (heard (&site, "StartCharge"), !=, 0);
  close_site (&site);
}

/* Nobody can ask for it again, as nobody knows its number. */
static void test_number_unknown (void)
{
  Site site = unanswered (NULL);
  queue_release (site.queue, FALSE);
  ADVANCE (3);
  CHECK_SQL ("SELECT status || ' ' || failure_reason FROM orders", "6 store_unavailable");
  g_assert_cmpuint (heard (&site, "StartCharge"), ==, 0);
  close_site (&site);
}

/* It never got there: forgotten, and the same request makes it. */
static void test_not_stored (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, TRUE);
  ADVANCE (12);
  CHECK_SQL ("SELECT count(*) FROM orders", "0");
  g_assert_null (in_memory (&site, "A"));
  start (&site, "A", "pending");
  g_assert_cmpuint (heard (&site, "StartCharge"), !=, 0);
  CHECK_SQL ("SELECT count(*) FROM outbound_queue WHERE type = 'StartCharge'", "1");
  close_site (&site);
}

/* The connection to the store was lost, not only slow; and it stays away for a while. */
static void test_store_away (void)
{
  Site site = open_site ();
  queue_hold (site.queue);
  start (&site, "A", NULL);
  queue_release (site.queue, TRUE);
  g_assert_cmpstr (site.answer, ==, "50305");
  queue_hold (site.queue);
  ADVANCE (20);
  queue_release (site.queue, TRUE);
  ADVANCE (12);
  start (&site, "B", "pending");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  close_site (&site);
}

/* The daemon dies before it knows: the order is loaded like any other. */
static void test_restart (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, FALSE);
  go (&site);
  queue_restart (site.queue);
  come (&site);
  start (&site, "A", "pending");
  CHECK_SQL ("SELECT count(*) FROM orders", "1");
  close_site (&site);
}

/* A stop meanwhile is not told that there is no such order. */
static void test_stop (void)
{
  Site site = unanswered ("A");
  stop (&site, "A", "50305");
  queue_release (site.queue, FALSE);
  ADVANCE (2);
  stop (&site, "A", "cancelling");
  close_site (&site);
}

/* The daemon ends while it does not know. */
static void test_end (void)
{
  Site site = unanswered ("A");
  queue_release (site.queue, TRUE);
  queue_hold (site.queue);
  ADVANCE (8);
  queue_release (site.queue, TRUE);
  close_site (&site);
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
  return g_test_run ();
}
