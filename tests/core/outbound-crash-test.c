/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lost connections, restarts, other servers: what was sent, and what may be sent again.
 */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

static ChOutboundRequest order_command (Queue *queue, ChCommandType type)
{
  return (ChOutboundRequest) {.type = type,
                              .device = queue_device (queue, DEV),
                              .order_no = "ORD1",
                              .durable = TRUE};
}

/* A start that is on its way; the row says so. */
static int start_sent (Queue *queue, char *id)
{
  int fd = queue_device_on (queue, DEV);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_START_CHARGE);
  queue_send (queue, &r, id);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "StartCharge "));
  queue_advance (queue, 100);
  ASSERT_SQL ("SELECT status FROM outbound_queue", "1");
  ASSERT_LINES (queue->views, "sent StartCharge 1");
  return fd;
}

static void expect_type (Queue *queue, int fd, const char *type, const char *attempt)
{
  g_autofree char *heard = queue_heard (queue, fd);
  g_auto (GStrv) words = g_strsplit (heard, " ", 4);
  g_assert_cmpuint (g_strv_length (words), ==, 4);
  g_assert_cmpstr (words[0], ==, type);
  g_assert_cmpstr (words[2], ==, attempt);
}

/* ---- lost connections ---- */

static void lost_stop_goes_again (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  ChOutboundRequest r = order_command (queue, CH_COMMAND_STOP_CHARGE);
  queue_send (queue, &r, id);
  expect_type (queue, fd, "StopCharge", "1");
  close (fd);
  queue_settle (queue);
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "StopCharge", "2");
  queue_finish (queue, fd);
}

/* The kernel never had all of it: as if it had not been sent. */
static void lost_in_our_queue (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue->padding = 60000;
  ChOutboundRequest r = order_command (queue, CH_COMMAND_START_CHARGE);
  queue_send (queue, &r, id);
  g_assert_cmpstr (queue_state (queue, id), ==, "sent");
  close (fd);
  queue_settle (queue);
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  g_assert_false (ch_outbound_was_sent (queue->services.core->outbound, id));
  queue->padding = 0;
  fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "StartCharge", "1");
  queue_finish (queue, fd);
}

static void lost_start_asks_first (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = start_sent (queue, id);

  close (fd);
  queue_settle (queue);
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  ASSERT_KV ("HLEN outbound:processing:" DEV, "1"); /* kept */
  fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "QueryPortStatus", "1");
  queue_advance (queue, 1000);
  queue_expect (queue, fd, "");
  queue_say (queue, fd, "@port " DEV " 0 2 77");
  g_assert_cmpstr (queue_state (queue, id), ==, "acked");
  ASSERT_LINES (queue->views, "sent QueryPortStatus 1; finished StartCharge acked 1");
  queue_finish (queue, fd);
}

static void lost_start_again_when_idle (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = start_sent (queue, id);

  close (fd);
  fd = queue_device_on (queue, DEV);
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@port " DEV " 1 1"); /* another port says nothing */
  queue_expect (queue, fd, "");
  queue_say (queue, fd, "@port " DEV " 0 1");
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  queue_advance (queue, 500);
  expect_type (queue, fd, "StartCharge", "2");
  queue_finish (queue, fd);
}

static void lost_start_expires (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = start_sent (queue, id);

  close (fd);
  queue_advance (queue, 19000);
  ASSERT_LINES (queue->views, "finished StartCharge no_ack 1");
  fd = queue_device_on (queue, DEV);
  queue_expect (queue, fd, "");
  queue_say (queue, fd, "@port " DEV " 0 1");
  queue_advance (queue, 2000);
  queue_expect (queue, fd, ""); /* never late */
  queue_finish (queue, fd);
}

/* bkv 9.4: a report of the charge takes the place of the answer. */
static void report_instead_of_answer (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = start_sent (queue, id);

  queue_say (queue, fd, "@port " DEV " 0 2 77");
  g_assert_cmpstr (queue_state (queue, id), ==, "sent");
  queue_advance (queue, 5000);
  queue_expect (queue, fd, "");
  g_assert_cmpstr (queue_state (queue, id), ==, "acked");
  queue_finish (queue, fd);
}

static void charge_of_another (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = queue_device_on (queue, DEV);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_START_CHARGE);

  r.business_no = 9;
  queue_send (queue, &r, id);
  expect_type (queue, fd, "StartCharge", "1");
  queue_say (queue, fd, "@port " DEV " 0 2 77");
  queue_advance (queue, 5000);
  expect_type (queue, fd, "StartCharge", "2");
  queue_finish (queue, fd);
}

/* ---- restarts ---- */

/* F24: committed and never pushed. */
static void committed_only (gint64 away_ms, gboolean late)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_START_CHARGE);
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;

  ChTx *tx = ch_tx_new (queue->services.core->self);
  g_assert_true (
      ch_outbound_prepare (queue->services.core->outbound, &r, tx, id, &merged, NULL));
  ch_tx_submit (tx, 0, NULL, NULL);
  queue_settle (queue);
  ASSERT_SQL ("SELECT status FROM outbound_queue", "0");
  close (fd);
  ch_clock_advance_ms (queue->services.clock, away_ms);
  queue_restart (queue);
  if (late) {
    ASSERT_LINES (queue->views, "finished StartCharge expired 1");
    ASSERT_SQL ("SELECT 1 FROM outbound_queue WHERE status = 3", "none");
    queue_advance (queue, 100);
    ASSERT_SQL ("SELECT 1 FROM outbound_queue WHERE status = 3", "1");
  }
  fd = queue_device_on (queue, DEV);
  if (!late) {
    g_autofree char *heard = queue_heard (queue, fd);
    g_assert_true (g_str_has_prefix (heard, "QueryPortStatus "));
    queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
    queue_say (queue, fd, "@port " DEV " 0 1");
    queue_advance (queue, 500);
    expect_type (queue, fd, "StartCharge", "1");
  } else {
    queue_say (queue, fd, "@port " DEV " 0 1");
    queue_advance (queue, 2000);
    queue_expect (queue, fd, "");
  }
  queue_finish (queue, fd);
}

static void committed_in_time (void)
{
  committed_only (3000, FALSE);
}

static void committed_too_late (void)
{
  committed_only (30000, TRUE);
}

/* F25: written, then killed. */
static void killed_after_sending (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];
  int fd = start_sent (queue, id);

  close (fd);
  queue_restart (queue);
  g_free (queue_lines (queue->views));
  g_assert_true (ch_outbound_was_sent (queue->services.core->outbound, id));
  fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "QueryPortStatus", "1");
  queue_say (queue, fd, "@port " DEV " 0 2 77");
  ASSERT_LINES (queue->views, "sent QueryPortStatus 1; finished StartCharge acked 1");
  queue_advance (queue, 100);
  ASSERT_SQL ("SELECT status FROM outbound_queue", "2");
  ASSERT_SQL ("SELECT json_extract (result, '$.result.state') FROM outbound_queue",
              "acked");
  queue_finish (queue, fd);
}

static void stop_survives_restart (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_STOP_CHARGE);

  queue_send (queue, &r, NULL);
  expect_type (queue, fd, "StopCharge", "1");
  queue_advance (queue, 100);
  close (fd);
  queue_restart (queue);
  fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "StopCharge", "2");
  queue_finish (queue, fd);
}

static void got (ChPlugin *self, const json_t *data, const GError *error,
                 gpointer user_data)
{
  g_string_append (user_data, error != NULL ? error->message
                                            : ch_json_get_string (data, "state", "?"));
}

static void result_from_row (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_STOP_CHARGE);
  char id[CH_COMMAND_ID_SIZE];
  g_autoptr (GString) text = g_string_new (NULL);

  queue_send (queue, &r, id);
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  queue_advance (queue, 100);
  queue_restart (queue);
  ch_core_get_command (queue->caller, id, got, text);
  queue_settle (queue);
  g_assert_cmpstr (text->str, ==, "acked");
  g_string_truncate (text, 0);
  ch_core_get_command (queue->caller, "cmd_NONE", got, text);
  queue_settle (queue);
  g_assert_cmpstr (text->str, ==, "no command cmd_NONE");
  queue_finish (queue, fd);
}

/* Rows of finished commands go after their time. */
static void retention (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_STOP_CHARGE);

  queue_send (queue, &r, NULL);
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  queue_advance (queue, 100);
  ASSERT_SQL ("SELECT COUNT(*) FROM outbound_queue", "1");
  close (fd);
  ch_clock_advance_ms (queue->services.clock, G_GINT64_CONSTANT (3 * 24 * 3600 * 1000));
  queue_restart (queue);
  queue_advance (queue, 12000);
  ASSERT_SQL ("SELECT COUNT(*) FROM outbound_queue", "0");
  queue_free (queue);
}

/* ---- other servers ---- */

static char *message (Queue *queue, const char *id, const char *type, const char *device)
{
  char created[CH_TIME_TEXT_SIZE], expires[CH_TIME_TEXT_SIZE];
  gint64 now = ch_wall_ms (queue->caller);
  ch_format_time (now, created);
  ch_format_time (now + 18000, expires);
  return g_strdup_printf (
      "{\"id\":\"%s\",\"phy_id\":\"%s\",\"type\":\"%s\",\"socket_no\":0,"
      "\"port_no\":0,\"priority\":2,\"max_retry\":3,\"timeout\":5000,"
      "\"created_at\":\"%s\",\"expires_at\":\"%s\","
      "\"origin\":{\"server_id\":\"gw-2\"}}",
      id, device, type, created, expires);
}

/* A command that another server accepted for a device of ours. */
static void accepted_elsewhere (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  g_autofree char *text = message (queue, "cmd_1", "ReadParams", DEV);
  g_autofree char *set = g_strconcat ("SET outbound:msg:cmd_1 ", text, NULL);

  ASSERT_KV (set, "OK");
  ASSERT_KV ("ZADD outbound:dev:" DEV " 21704528000123 cmd_1", "1");
  ASSERT_KV ("ZADD outbound:queue 21704528000123 cmd_1", "1");
  ASSERT_KV ("ZADD outbound:ready:gw-1 1 " DEV, "1");
  g_free (queue_kv (queue, "PUBLISH outbound:wake:gw-1 nothing"));
  queue_expect (queue, fd, "");
  queue_advance (queue, 1100); /* the safety net finds it without a word */
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "ReadParams "));
  ASSERT_KV ("ZCARD outbound:ready:gw-1", "0");
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  ASSERT_KV ("EXISTS outbound:result:cmd_1", "1");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  queue_finish (queue, fd);
}

static void waits_for_its_bind (void)
{
  Queue *queue = queue_new (NULL);
  g_autofree char *text = message (queue, "cmd_1", "ReadParams", DEV);
  g_autofree char *set = g_strconcat ("SET outbound:msg:cmd_1 ", text, NULL);

  ASSERT_KV (set, "OK");
  ASSERT_KV ("ZADD outbound:dev:" DEV " 21704528000123 cmd_1", "1");
  int fd = queue_device_on (queue, DEV);
  expect_type (queue, fd, "ReadParams", "1");
  queue_finish (queue, fd);
}

/* A device of another server: the command goes to that server's list. */
static void sent_elsewhere (void)
{
  Queue *queue = queue_new (NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  ch_device_add (queue->services.core, DEV);
  ASSERT_KV ("SET session:device:" DEV " {\"conn_id\":\"01X\",\"server_id\":\"gw-2\"}",
             "OK");
  g_autofree char *alive = g_strdup_printf ("ZADD servers %" G_GINT64_FORMAT " gw-2",
                                            ch_wall_ms (queue->caller) + 30000);
  ASSERT_KV (alive, "1");
  queue_advance (queue, 5500);
  ch_core_send (queue->caller, DEV, CH_COMMAND_READ_PARAMS, 0, 0, NULL, FALSE, NULL, 5000,
                got, text);
  queue_settle (queue);
  g_assert_cmpstr (text->str, ==, "");
  ASSERT_KV ("ZRANGE outbound:ready:gw-2 0 -1", DEV);
  g_autofree char *id = queue_kv (queue, "ZRANGE outbound:dev:" DEV " 0 -1");
  g_autofree char *result
      = g_strdup_printf ("SET outbound:result:%s {\"state\":\"acked\",\"attempts\":[{}],"
                         "\"result\":{\"state\":\"acked\"}}",
                         id);
  ASSERT_KV (result, "OK");
  g_autofree char *wake = g_strconcat ("PUBLISH outbound:wake:gw-1 ", id, NULL);
  g_free (queue_kv (queue, wake));
  g_assert_cmpstr (text->str, ==, "acked");
  queue_free (queue);
}

static void handed_over (void)
{
  Queue *queue = queue_new (NULL);

  ASSERT_KV ("SET session:device:" DEV " {\"conn_id\":\"01X\",\"server_id\":\"gw-2\"}",
             "OK");
  ASSERT_KV ("ZADD outbound:ready:gw-1 1 " DEV, "1");
  queue_advance (queue, 1100);
  ASSERT_KV ("ZCARD outbound:ready:gw-1", "0");
  ASSERT_KV ("ZRANGE outbound:ready:gw-2 0 -1", DEV);
  queue_free (queue);
}

/* F30, F31: the kv knows another owner; nothing is sent from here. */
static void not_ours_any_more (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = order_command (queue, CH_COMMAND_STOP_CHARGE);

  ASSERT_KV ("SET session:device:" DEV " {\"conn_id\":\"01X\",\"server_id\":\"gw-2\"}",
             "OK");
  queue_send (queue, &r, NULL);
  g_assert_true (queue_is_closed (queue, fd));
  ASSERT_KV ("ZCARD outbound:dev:" DEV, "1");
  ASSERT_KV ("ZRANGE outbound:ready:gw-2 0 -1", DEV);
  queue_finish (queue, fd);
}

static void dead_server (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  g_autofree char *start = message (queue, "cmd_1", "StartCharge", DEV);
  g_autofree char *set = g_strconcat ("SET outbound:msg:cmd_1 ", start, NULL);

  ASSERT_KV (set, "OK");
  ASSERT_KV ("HSET outbound:processing:" DEV " cmd_1 {\"server_id\":\"gw-9\"}", "1");
  ASSERT_KV ("ZADD outbound:inflight:gw-9 1 cmd_1", "1");
  ASSERT_KV ("ZADD servers 1 gw-9", "1");
  queue_advance (queue, 5500);
  expect_type (queue, fd, "QueryPortStatus", "1"); /* never again without asking */
  queue_say (queue, fd, "@port " DEV " 0 2 77");
  ASSERT_LINES (queue->views, "sent QueryPortStatus 1; finished StartCharge acked 1");
  ASSERT_KV ("HEXISTS outbound:processing:" DEV " cmd_1", "0");
  queue_finish (queue, fd);
}

/* More than one answer's worth, and one that nobody can tell any more what it was. */
static void dead_server_of_many (void)
{
  enum { MANY = 1203 };
  Queue *queue = queue_new (NULL);

  for (guint i = 0; i < MANY; i++) {
    g_autofree char *device = g_strdup_printf ("%014u", i);
    g_autofree char *id = g_strdup_printf ("cmd_%u", i);
    g_autofree char *text = message (queue, id, "ReadParams", device);
    g_autofree char *set = g_strconcat ("SET outbound:msg:", id, " ", text, NULL);
    g_autofree char *flight = g_strdup_printf (
        "HSET outbound:processing:%s %s {\"server_id\":\"gw-9\"}", device, id);
    g_autofree char *add = g_strdup_printf ("ZADD outbound:inflight:gw-9 %u %s", i, id);
    ch_device_add (queue->services.core, device);
    ASSERT_KV (set, "OK");
    ASSERT_KV (flight, "1");
    ASSERT_KV (add, "1");
  }
  ASSERT_KV ("ZADD outbound:inflight:gw-9 7 cmd_unknown", "1");
  ASSERT_KV ("ZADD servers 1 gw-9", "1");
  queue_advance (queue, 5500);
  ASSERT_KV ("ZCARD outbound:inflight:gw-9", "0");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  g_autofree char *waiting = g_strdup_printf ("%u", MANY);
  ASSERT_KV ("ZCARD outbound:queue", waiting); /* each waits for its device, once */
  queue_free (queue);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/crash/lost-stop-goes-again", lost_stop_goes_again);
  g_test_add_func ("/crash/lost-in-our-queue", lost_in_our_queue);
  g_test_add_func ("/crash/lost-start-asks-first", lost_start_asks_first);
  g_test_add_func ("/crash/lost-start-again-when-idle", lost_start_again_when_idle);
  g_test_add_func ("/crash/lost-start-expires", lost_start_expires);
  g_test_add_func ("/crash/report-instead-of-answer", report_instead_of_answer);
  g_test_add_func ("/crash/charge-of-another", charge_of_another);
  g_test_add_func ("/crash/committed-in-time", committed_in_time);
  g_test_add_func ("/crash/committed-too-late", committed_too_late);
  g_test_add_func ("/crash/killed-after-sending", killed_after_sending);
  g_test_add_func ("/crash/stop-survives-restart", stop_survives_restart);
  g_test_add_func ("/crash/result-from-row", result_from_row);
  g_test_add_func ("/crash/retention", retention);
  g_test_add_func ("/crash/accepted-elsewhere", accepted_elsewhere);
  g_test_add_func ("/crash/waits-for-its-bind", waits_for_its_bind);
  g_test_add_func ("/crash/sent-elsewhere", sent_elsewhere);
  g_test_add_func ("/crash/handed-over", handed_over);
  g_test_add_func ("/crash/not-ours-any-more", not_ours_any_more);
  g_test_add_func ("/crash/dead-server", dead_server);
  g_test_add_func ("/crash/dead-server-of-many", dead_server_of_many);
  return g_test_run ();
}
