/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands of which only the kv tells, or of which it tells less than the store: a start
 * whose order is over, or that has ended, is never sent again.
 */
#include "site.h"

#include <string.h>

#define FLIGHT "outbound:processing:" DEV

static char *state (Site *site, const char *id)
{
  return g_strdup (queue_state (site->queue, id));
}

#define ASSERT_STATE(id, wanted)                                                         \
  do {                                                                                   \
    g_autofree char *_state = state (&site, id);                                         \
    g_assert_cmpstr (_state, ==, wanted);                                                \
  } while (0)

static void kv (Site *site, const char *before, const char *id, const char *after)
{
  g_autofree char *line = g_strconcat (before, id, after, NULL);
  g_free (queue_kv (site->queue, line));
}

/* The kv has the message of a start of order A. */
static void leave_message (Site *site, const char *id)
{
  char created[CH_TIME_TEXT_SIZE], expires[CH_TIME_TEXT_SIZE];
  gint64 now = ch_wall_ms (site->queue->caller);
  g_autofree char *text = g_strdup_printf (
      "SET outbound:msg:%s {\"id\":\"%s\",\"phy_id\":\"" DEV "\",\"socket_no\":0,"
      "\"port_no\":0,\"type\":\"StartCharge\",\"order_no\":\"A\",\"durable\":true,"
      "\"created_at\":\"%s\",\"expires_at\":\"%s\",\"origin\":{\"server_id\":\"gw-9\"}}",
      id, id, ch_format_time (now, created), ch_format_time (now + 18000, expires));
  kv (site, text, "", "");
}

/* Server gw-9 died while the start was in flight. */
static void leave_in_flight (Site *site, const char *id)
{
  leave_message (site, id);
  kv (site, "HSET " FLIGHT " ", id, " {\"server_id\":\"gw-9\"}");
  kv (site, "ZADD outbound:inflight:gw-9 1 ", id, "");
}

/* The start of A was written; the daemon that wrote it is dead, and its row is gone. */
static Site only_kv_knows (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  EXPECT ("StartCharge");
  site_go (&site);
  queue_change (site.queue, "DELETE FROM outbound_queue");
  queue_restart (site.queue);
  return site;
}

/* The port is idle: a start that somebody wants would be sent now. */
static gboolean is_sent_again (Site *site)
{
  queue_say (site->queue, site->fd, "@port " DEV " 0 1");
  queue_advance (site->queue, 5000);
  g_autofree char *heard = queue_heard (site->queue, site->fd);
  return strstr (heard, "StartCharge") != NULL;
}

static void test_wanted (void)
{
  Site site = only_kv_knows ();
  leave_in_flight (&site, "cmd_1");
  site_come (&site);
  EXPECT ("QueryPortStatus"); /* never without asking */
  g_assert_true (is_sent_again (&site));
  site_close (&site);
}

/* The daemon died between settling the order and telling the kv. */
static void test_settled (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  SAY ("@end " DEV " 0 w1 40 60 0");
  ASSERT_ORDER ("A", "3 0 40 -");
  site_go (&site);
  queue_change (site.queue, "DELETE FROM outbound_queue");
  queue_restart (site.queue);
  leave_in_flight (&site, "cmd_1");
  site_come (&site);
  ASSERT_STATE ("cmd_1", "cancelled");
  g_assert_false (is_sent_again (&site));
  Queue *queue = site.queue;
  ASSERT_KV ("HLEN " FLIGHT, "0");
  ASSERT_KV ("EXISTS outbound:msg:cmd_1", "0");
  site_close (&site);
}

/* The customer has stopped it before anybody knew whether it began. */
static void test_cancelling (void)
{
  Site site = only_kv_knows ();
  site_come (&site);
  site_stop (&site, "A", "cancelling");
  site_go (&site);
  queue_restart (site.queue);
  leave_in_flight (&site, "cmd_1");
  site_come (&site);
  ASSERT_STATE ("cmd_1", "cancelled");
  g_assert_false (is_sent_again (&site));
  site_close (&site);
}

/* The same by the server that has died for good, while the device is here. */
static void test_reaped (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  SAY ("@end " DEV " 0 w1 40 60 0");
  leave_in_flight (&site, "cmd_1");
  kv (&site, "ZADD servers 1 ", "gw-9", "");
  site_live (&site, 6);
  ASSERT_STATE ("cmd_1", "cancelled");
  g_assert_false (is_sent_again (&site));
  site_close (&site);
}

/* It waits in the queue: its order ended while no server was there to take it back. */
static void test_queued (void)
{
  Site site = CHARGING (DEVICE_NUMBERS);
  SAY ("@end " DEV " 0 w1 40 60 0");
  site_go (&site);
  queue_restart (site.queue);
  leave_message (&site, "cmd_1");
  kv (&site, "ZADD outbound:dev:" DEV " 2 ", "cmd_1", "");
  kv (&site, "ZADD outbound:queue 2 ", "cmd_1", "");
  site_come (&site);
  ASSERT_STATE ("cmd_1", "cancelled");
  g_assert_false (is_sent_again (&site));
  site_close (&site);
}

/* The row tells the end; only the kv was not told any more. */
static void row_ended (const char *result, const char *wanted)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  EXPECT ("StartCharge");
  g_autofree char *id = queue_sql (site.queue, "SELECT command_id FROM outbound_queue");
  site_go (&site);
  g_autofree char *sql
      = g_strdup_printf ("UPDATE outbound_queue SET status = 3, result = %s", result);
  queue_change (site.queue, sql);
  queue_restart (site.queue);
  leave_in_flight (&site, id);
  site_come (&site);
  ASSERT_STATE (id, wanted);
  g_assert_false (is_sent_again (&site));
  Queue *queue = site.queue;
  ASSERT_KV ("HLEN " FLIGHT, "0");
  site_close (&site);
}

static void test_row_ended (void)
{
  row_ended ("'{\"state\":\"no_ack\",\"attempts\":[{}],\"result\":{}}'", "no_ack");
}

static void test_row_without_result (void)
{
  row_ended ("NULL", "cancelled");
}

/* What ends while the store is being asked is taken back as ever. */
static void test_ends_meanwhile (void)
{
  Site site = only_kv_knows ();
  leave_in_flight (&site, "cmd_1");
  queue_hold (site.queue);
  site_come (&site);
  ASSERT_STATE ("cmd_1", "queued");
  Queue *queue = site.queue;
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "1"); /* were this one to die, too */
  g_assert_false (ch_outbound_cancel (site.queue->services.core->outbound, "cmd_1"));
  ASSERT_STATE ("cmd_1", "cancelled");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  queue_release (site.queue, FALSE);
  ASSERT_STATE ("cmd_1", "cancelled");
  g_assert_false (is_sent_again (&site));
  site_close (&site);
}

/* Nobody knows whether it is wanted: it waits. */
static void test_store_away (void)
{
  Site site = only_kv_knows ();
  leave_in_flight (&site, "cmd_1");
  queue_hold (site.queue);
  site_come (&site);
  queue_release (site.queue, TRUE);
  ASSERT_STATE ("cmd_1", "queued");
  EXPECT ("QueryPortStatus"); /* a second later */
  g_assert_true (is_sent_again (&site));
  site_close (&site);
}

/* The port is idle as its charge has ended: the end report is being stored. */
static Site idle_again (void)
{
  Site site = SITE (DEVICE_NUMBERS);
  site_start (&site, "A", "pending");
  EXPECT ("StartCharge");
  site_go (&site);
  site_come (&site);
  SAY ("@port " DEV " 0 1");
  queue_settle (site.queue);
  return site;
}

static void assert_silent (Site *site)
{
  queue_advance (site->queue, 5000);
  g_autofree char *heard = queue_heard (site->queue, site->fd);
  g_assert_null (strstr (heard, "StartCharge"));
}

static void test_end_is_stored (void)
{
  Site site = idle_again ();
  queue_hold (site.queue);
  SAY ("@end " DEV " 0 w7 40 60 0");
  assert_silent (&site);
  queue_release (site.queue, FALSE);
  g_assert_false (is_sent_again (&site));
  ASSERT_ORDER ("A", "3 0 40 -");
  site_close (&site);
}

/* The same while the store is away, and the journal keeps the report. */
static void test_end_is_kept (void)
{
  Site site = idle_again ();
  queue_away (site.queue, TRUE);
  SAY ("@end " DEV " 0 w7 40 60 0");
  assert_silent (&site);
  queue_away (site.queue, FALSE);
  ADVANCE (2);
  g_assert_false (is_sent_again (&site));
  ASSERT_ORDER ("A", "3 0 40 -");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/lookup/" name, test)
  ADD ("wanted", test_wanted);
  ADD ("settled", test_settled);
  ADD ("cancelling", test_cancelling);
  ADD ("reaped", test_reaped);
  ADD ("queued", test_queued);
  ADD ("row-ended", test_row_ended);
  ADD ("row-without-result", test_row_without_result);
  ADD ("ends-meanwhile", test_ends_meanwhile);
  ADD ("store-away", test_store_away);
  ADD ("end-is-stored", test_end_is_stored);
  ADD ("end-is-kept", test_end_is_kept);
  return g_test_run ();
}
