/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command queue: order, spacing, answers, time-outs, duplicates. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

static void acked (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 1, id);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "ReadParams "));
  g_assert_true (g_str_has_suffix (heard, " 1 0 1 \n"));
  g_assert_cmpstr (queue_state (queue, id), ==, "sent");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "1");
  ASSERT_KV ("HLEN outbound:processing:" DEV, "1");
  ASSERT_KV ("ZCARD outbound:queue", "0");

  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  g_assert_cmpstr (queue_state (queue, id), ==, "acked");
  ASSERT_LINES (queue->views, "sent ReadParams 1; finished ReadParams acked 1");
  ASSERT_KV ("ZCARD outbound:inflight:gw-1", "0");
  ASSERT_KV ("HLEN outbound:processing:" DEV, "0");
  ASSERT_KV ("KEYS outbound:dedup:*", "");
  g_autofree char *key = g_strconcat ("TTL outbound:result:", id, NULL);
  ASSERT_KV (key, "86400");
  g_assert_null (queue_device (queue, DEV)->outbound); /* idle: costs nothing */
  queue_finish (queue, fd);
}

static void refused_by_device (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@no " DEV " %u 7", queue_number (heard));
  g_assert_cmpstr (queue_state (queue, id), ==, "rejected");
  queue_advance (queue, 60000);
  queue_expect (queue, fd, ""); /* no retry */
  queue_finish (queue, fd);
}

static void unsupported (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_REBOOT);
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;

  g_assert_false (
      ch_outbound_send (queue->services.core->outbound, &r, id, &merged, &error));
  g_assert_error (error, CH_CORE_ERROR, CH_CORE_ERROR_UNSUPPORTED_BY_DEVICE);
  queue->next_state = CH_COMMAND_UNSUPPORTED; /* by its payload, say */
  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  g_assert_cmpstr (queue_state (queue, id), ==, "unsupported");
  ASSERT_LINES (queue->views, "finished ReadParams unsupported 0");
  queue_finish (queue, fd);
}

/* 17: priority inside the device, spacing, one in flight and a stop beyond. */
static void priority_and_window (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  for (gint port = 0; port < 12; port++) {
    ChOutboundRequest r = queue_request (queue, CH_COMMAND_SYNC_TIME);
    r.port_no = port;
    r.priority = 5;
    queue_send (queue, &r, NULL);
  }
  g_autofree char *first = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (first, "SyncTime "));
  ASSERT_KV ("ZCARD outbound:queue", "11");
  queue_send_type (queue, CH_COMMAND_STOP_CHARGE, 3, id);
  queue_expect (queue, fd, ""); /* the spacing is kept */
  queue_advance (queue, 500);
  g_autofree char *stop = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (stop, "StopCharge "));
  g_assert_cmpuint (queue_device (queue, DEV)->in_flight, ==, 2);
  queue_advance (queue, 1000);
  queue_expect (queue, fd, ""); /* window full */
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (stop));
  queue_expect (queue, fd, "");
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (first));
  g_autofree char *next = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (next, "SyncTime "));
  queue_finish (queue, fd);
}

static void other_devices_do_not_wait (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);

  int other = queue_device_on (queue, "OTHER");
  for (gint port = 0; port < 10; port++)
    queue_send_type (queue, CH_COMMAND_READ_PARAMS, port, NULL);
  g_free (queue_heard (queue, fd));
  ChOutboundRequest r
      = {.type = CH_COMMAND_READ_PARAMS, .device = queue_device (queue, "OTHER")};
  queue_send (queue, &r, NULL);
  g_autofree char *heard = queue_heard (queue, other);
  g_assert_true (g_str_has_prefix (heard, "ReadParams "));
  close (other);
  queue_finish (queue, fd);
}

/* No answer: a stop goes again at once, five times, with the same number. */
static void stop_repeats (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];
  guint number = 0;

  ChOutboundRequest r = queue_request (queue, CH_COMMAND_STOP_CHARGE);
  r.durable = TRUE;
  queue_send (queue, &r, id);
  for (guint attempt = 1; attempt <= 5; attempt++) {
    g_autofree char *heard = queue_heard (queue, fd);
    g_assert_true (g_str_has_prefix (heard, "StopCharge "));
    g_auto (GStrv) words = g_strsplit (heard, " ", 4);
    g_assert_cmpint (atoi (words[2]), ==, attempt);
    g_assert_true (number == 0 || number == queue_number (heard));
    number = queue_number (heard);
    queue_advance (queue, 5100);
  }
  queue_expect (queue, fd, "");
  g_assert_cmpstr (queue_state (queue, id), ==, "no_ack");
  queue_advance (queue, 100);
  ASSERT_SQL (
      "SELECT status || ' ' || retry_count || ' ' || last_error FROM outbound_queue",
      "3 5 no_ack");
  g_autofree char *letter = g_strdup_printf ("%s4no_ack5", id);
  ASSERT_SQL ("SELECT message_id || retries || last_error || json_array_length (attempts)"
              " FROM outbound_dead_letters WHERE phy_id = '" DEV "'"
              " AND json_extract (message, '$.type') = 'StopCharge'",
              letter);
  ASSERT_KV ("LLEN outbound:dead", "1");

  /* its answer all the same: late, told once more */
  g_free (queue_lines (queue->views));
  queue_say (queue, fd, "@ack " DEV " %u", number);
  ASSERT_LINES (queue->views, "late StopCharge acked 5");
  g_assert_cmpstr (queue_state (queue, id), ==, "acked");
  queue_say (queue, fd, "@ack " DEV " %u", number);
  ASSERT_LINES (queue->views, "");
  queue_finish (queue, fd);
}

/* Others wait 1 s, 2 s, 4 s … ± 20 %. */
static void retry_is_delayed (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  g_free (queue_heard (queue, fd));
  queue_advance (queue, 5050);
  queue_expect (queue, fd, "");
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  ASSERT_KV ("ZCARD outbound:delayed", "1");
  queue_advance (queue, 700);
  queue_expect (queue, fd, "");
  queue_advance (queue, 600);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_nonnull (strstr (heard, " 2 0 0"));
  ASSERT_KV ("ZCARD outbound:delayed", "0");
  queue_advance (queue, 5050);
  g_assert_cmpstr (queue_state (queue, id), ==, "no_ack");
  ASSERT_KV ("ZCARD outbound:queue", "0");
  g_assert_cmpint (
      ch_session_presence (queue_device (queue, DEV), ch_now_ms (queue->caller)), ==,
      CH_PRESENCE_UNSTABLE);
  queue_finish (queue, fd);
}

static void duplicates (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutbound *outbound = queue->services.core->outbound;
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_STOP_CHARGE);
  char first[CH_COMMAND_ID_SIZE], second[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;

  r.order_no = "ORD1";
  g_assert_true (ch_outbound_send (outbound, &r, first, &merged, &error));
  g_assert_false (merged);
  g_assert_true (ch_outbound_send (outbound, &r, second, &merged, &error));
  g_assert_true (merged);
  g_assert_cmpstr (first, ==, second);
  r.order_no = "ORD2";
  g_assert_true (ch_outbound_send (outbound, &r, second, &merged, &error));
  g_assert_false (merged);
  queue_settle (queue);
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  r.order_no = "ORD1";
  g_assert_true (ch_outbound_send (outbound, &r, second, &merged, &error));
  g_assert_false (merged); /* the first one is over */
  queue_finish (queue, fd);
}

/* Newer parameters of the same set replace waiting ones; a stop a waiting start. */
static void superseded (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char old[CH_COMMAND_ID_SIZE], fresh[CH_COMMAND_ID_SIZE], start[CH_COMMAND_ID_SIZE];
  g_autoptr (json_t) a
      = json_loads ("{\"params\":[{\"id\":1,\"value\":\"x\"}]}", 0, NULL);
  g_autoptr (json_t) b
      = json_loads ("{\"params\":[{\"id\":1,\"value\":\"y\"}]}", 0, NULL);

  queue_send_type (queue, CH_COMMAND_SYNC_TIME, 0, NULL); /* keeps the window busy */
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_SET_PARAMS);
  r.payload = a;
  queue_send (queue, &r, old);
  r.payload = b;
  queue_send (queue, &r, fresh);
  g_assert_cmpstr (queue_state (queue, old), ==, "cancelled");
  g_assert_cmpstr (queue_state (queue, fresh), ==, "queued");

  r = queue_request (queue, CH_COMMAND_START_CHARGE);
  r.order_no = "ORD1";
  queue_send (queue, &r, start);
  r.type = CH_COMMAND_STOP_CHARGE;
  queue_send (queue, &r, NULL);
  g_assert_cmpstr (queue_state (queue, start), ==, "cancelled");
  queue_finish (queue, fd);
}

static void cancelled (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutbound *outbound = queue->services.core->outbound;
  char busy[CH_COMMAND_ID_SIZE], waiting[CH_COMMAND_ID_SIZE];

  ChOutboundRequest r = queue_request (queue, CH_COMMAND_START_CHARGE);
  r.order_no = "ORD1";
  queue_send (queue, &r, busy);
  r.order_no = "ORD2";
  r.port_no = 1;
  queue_send (queue, &r, waiting);
  g_free (queue_heard (queue, fd));
  g_assert_true (ch_outbound_was_sent (outbound, busy));
  g_assert_false (ch_outbound_was_sent (outbound, waiting));
  g_free (queue_lines (queue->views));
  g_assert_true (ch_outbound_cancel (outbound, waiting));
  g_assert_cmpstr (queue_state (queue, waiting), ==, "cancelled");
  g_assert_false (ch_outbound_cancel (outbound, busy)); /* out already: no repeat */
  ASSERT_LINES (queue->views, "");
  queue_advance (queue, 20000);
  queue_expect (queue, fd, "");
  g_assert_cmpstr (queue_state (queue, busy), ==, "no_ack");
  ASSERT_KV ("ZCARD outbound:queue", "0");
  queue_finish (queue, fd);
}

static void absent_device (void)
{
  Queue *queue = queue_new (NULL);
  ChOutbound *outbound = queue->services.core->outbound;
  char id[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;

  ch_device_add (queue->services.core, DEV);
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_START_CHARGE);
  g_assert_false (ch_outbound_send (outbound, &r, id, &merged, &error));
  g_assert_error (error, CH_CORE_ERROR, CH_CORE_ERROR_DEVICE_OFFLINE);
  r.type = CH_COMMAND_SET_PARAMS;
  queue_send (queue, &r, id);
  queue_advance (queue, 3000);
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  int fd = queue_device_on (queue, DEV);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "SetParams "));
  queue_finish (queue, fd);
}

static void expires_waiting (void)
{
  Queue *queue = queue_new (NULL);
  char id[CH_COMMAND_ID_SIZE];

  ch_device_add (queue->services.core, DEV);
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_SET_PARAMS);
  r.expires_ms = 5000;
  queue_send (queue, &r, id);
  queue_advance (queue, 4900);
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  queue_advance (queue, 200);
  g_assert_cmpstr (queue_state (queue, id), ==, "expired");
  ASSERT_LINES (queue->views, "finished SetParams expired 0");
  ASSERT_KV ("ZCARD outbound:queue", "0");
  queue_free (queue);
}

static void not_written (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue->next_state = CH_COMMAND_NOT_SENT;
  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  g_assert_cmpstr (queue_state (queue, id), ==, "queued");
  queue_advance (queue, 900);
  queue->next_state = CH_COMMAND_SENT;
  queue_expect (queue, fd, "");
  queue_advance (queue, 200);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_nonnull (strstr (heard, " 1 0 0")); /* still the first attempt */
  queue_finish (queue, fd);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/outbound/acked", acked);
  g_test_add_func ("/outbound/refused-by-device", refused_by_device);
  g_test_add_func ("/outbound/unsupported", unsupported);
  g_test_add_func ("/outbound/priority-and-window", priority_and_window);
  g_test_add_func ("/outbound/other-devices", other_devices_do_not_wait);
  g_test_add_func ("/outbound/stop-repeats", stop_repeats);
  g_test_add_func ("/outbound/retry-is-delayed", retry_is_delayed);
  g_test_add_func ("/outbound/duplicates", duplicates);
  g_test_add_func ("/outbound/superseded", superseded);
  g_test_add_func ("/outbound/cancelled", cancelled);
  g_test_add_func ("/outbound/absent-device", absent_device);
  g_test_add_func ("/outbound/expires-waiting", expires_waiting);
  g_test_add_func ("/outbound/not-written", not_written);
  return g_test_run ();
}
