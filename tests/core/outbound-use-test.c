/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command queue: limits, waiting for it, draining, outages, callers, operators. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

static void overload (void)
{
  const char *const options[]
      = {"outbound.warning=2", "outbound.critical=4", "outbound.emergency=6",
         "outbound.limits_auto=false", NULL};
  Queue *queue = queue_new (options);
  ChOutbound *outbound = queue->services.core->outbound;
  static const guint accepted[6] = {0, 40, 7, 5, 5, 3};
  int fd = queue_device_on (queue, DEV);
  gboolean merged;

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, NULL); /* keeps the window busy */
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_SYNC_TIME);
  for (guint priority = 5; priority >= 1; priority--) {
    g_autoptr (GError) error = NULL;
    char id[CH_COMMAND_ID_SIZE];
    r.priority = priority;
    do
      r.socket_no++;
    while (ch_outbound_send (outbound, &r, id, &merged, &error));
    g_assert_error (error, CH_CORE_ERROR, CH_CORE_ERROR_QUEUE_OVERLOADED);
    if (priority > 1)
      g_assert_cmpuint (ch_outbound_depth (outbound), ==, accepted[priority]);
  }
  g_assert_cmpuint (ch_outbound_depth (outbound), ==, 41);
  g_autoptr (json_t) data
      = ch_outbound_refusal_json (outbound, queue_device (queue, DEV), 5);
  g_assert_cmpint (ch_json_get_int (data, "depth", 0), ==, 41);
  queue_settle (queue);
  queue_finish (queue, fd);
}

static void waited_once (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  GString *text = user_data;
  g_string_append (text, ch_command_state_name (view->state));
}

static void waiting (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutbound *outbound = queue->services.core->outbound;
  g_autoptr (GString) early = g_string_new (NULL);
  g_autoptr (GString) final = g_string_new (NULL);
  char id[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  ch_outbound_wait (outbound, id, 1000, waited_once, early);
  ch_outbound_wait (outbound, id, 10000, waited_once, final);
  queue_advance (queue, 1100);
  g_assert_cmpstr (early->str, ==, "sent");
  g_autofree char *heard = queue_heard (queue, fd);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  g_assert_cmpstr (final->str, ==, "acked");
  queue_advance (queue, 11000);
  g_assert_cmpstr (final->str, ==, "acked");
  queue_finish (queue, fd);
}

/* TCP-31: a device that does not read is left alone until its connection has room. */
static void back_pressure (void)
{
  const char *const options[]
      = {"proto-lines.window=20", "proto-lines.min_spacing_ms=0", NULL};
  Queue *queue = queue_new (options);
  int fd = queue_device_on (queue, DEV);
  guint before = 0;

  queue->padding = 50000;
  for (gint port = 0; port < 10; port++)
    queue_send_type (queue, CH_COMMAND_READ_PARAMS, port, NULL);
  before = queue_device (queue, DEV)->in_flight;
  g_assert_cmpuint (before, >, 2);
  g_assert_cmpuint (before, <, 8);
  for (guint i = 0; i < 300; i++)
    g_free (queue_heard (queue, fd));
  g_assert_cmpuint (queue_device (queue, DEV)->in_flight, ==, 10);
  queue_finish (queue, fd);
}

static void drained (gpointer data)
{
  (*(guint *) data)++;
}

static void draining (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutbound *outbound = queue->services.core->outbound;
  ChOutboundRequest r = queue_request (queue, CH_COMMAND_SYNC_TIME);
  char id[CH_COMMAND_ID_SIZE];
  guint done = 0;
  gboolean merged;
  g_autoptr (GError) error = NULL;

  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  g_autofree char *heard = queue_heard (queue, fd);
  ch_outbound_drain (outbound, 8000, drained, &done);
  g_assert_false (ch_outbound_send (outbound, &r, id, &merged, &error));
  g_assert_error (error, CH_CORE_ERROR, CH_CORE_ERROR_STARTING_OR_DRAINING);
  queue_advance (queue, 1000);
  g_assert_cmpuint (done, ==, 0);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  queue_advance (queue, 20);
  g_assert_cmpuint (done, ==, 1);
  queue_advance (queue, 10000);
  g_assert_cmpuint (done, ==, 1);
  queue_finish (queue, fd);
}

/* F2: the kv is away; local devices go on, and the kv is told when it is back. */
static void kv_outage (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE], second[CH_COMMAND_ID_SIZE];

  ch_kv_set_up (queue->kv_driver, FALSE);
  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, id);
  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 1, second);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "ReadParams "));
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  g_assert_cmpstr (queue_state (queue, id), ==, "acked");
  ch_kv_set_up (queue->kv_driver, TRUE);
  queue_advance (queue, 6000);
  g_assert_cmpstr (queue_state (queue, second), !=, "acked");
  g_autofree char *key = g_strconcat ("EXISTS outbound:result:", id, NULL);
  ASSERT_KV (key, "1");
  ASSERT_KV ("EXISTS session:device:" DEV, "1");
  queue_finish (queue, fd);
}

/* One that ended while the kv was away is not sent again out of the kv, ever so late. */
static void kv_outage_long (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_QUERY_PORT_STATUS, 0, id);
  g_autofree char *heard = queue_heard (queue, fd);
  ch_kv_set_up (queue->kv_driver, FALSE);
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  queue_advance (queue, 12000);
  ch_kv_set_up (queue->kv_driver, TRUE);
  close (fd);
  fd = queue_device_on (queue, DEV); /* what the kv has of it is looked at */
  queue_advance (queue, 30000);
  queue_expect (queue, fd, "");
  ASSERT_KV ("ZCARD outbound:queue", "0");
  ASSERT_KV ("KEYS outbound:processing:*", "");
  queue_finish (queue, fd);
}

static void core_send_done (ChPlugin *self, const json_t *data, const GError *error,
                            gpointer user_data)
{
  g_autofree char *text = error != NULL ? g_strdup (error->message) : ch_json_dump (data);
  g_string_append (user_data, text);
}

static void sdk (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) got = g_string_new (NULL);
  const ChOrigin origin = {"api", "k_main", "req-1"};

  ch_core_send (queue->caller, "NOBODY", CH_COMMAND_SYNC_TIME, 0, 0, NULL, FALSE, &origin,
                0, core_send_done, text);
  g_assert_cmpstr (text->str, ==, "no device NOBODY");
  g_string_truncate (text, 0);
  ch_core_send (queue->caller, DEV, CH_COMMAND_READ_PARAMS, 0, 0, NULL, FALSE, &origin,
                5000, core_send_done, text);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_cmpstr (text->str, ==, "");
  queue_say (queue, fd, "@ack " DEV " %u", queue_number (heard));
  g_autoptr (json_t) answer = json_loads (text->str, 0, NULL);
  g_assert_cmpstr (ch_json_get_string (answer, "state", ""), ==, "acked");
  ch_core_get_command (queue->caller, ch_json_get_string (answer, "command_id", ""),
                       core_send_done, got);
  g_autoptr (json_t) state = json_loads (got->str, 0, NULL);
  g_assert_cmpstr (ch_json_get_string (json_object_get (state, "result"), "state", ""),
                   ==, "acked");
  g_assert_cmpuint (json_array_size (json_object_get (state, "attempts")), ==, 1);
  queue_finish (queue, fd);
}

static char *asked (Queue *queue, GString *text)
{
  char *answer;
  queue_settle (queue);
  answer = g_strdup (text->str);
  g_string_truncate (text, 0);
  return answer;
}

/* What operators see, re-send and delete. */
static void operators (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  ChOutbound *outbound = queue->services.core->outbound;
  g_autoptr (GString) text = g_string_new (NULL);
  char first[CH_COMMAND_ID_SIZE], second[CH_COMMAND_ID_SIZE];

  queue_send_type (queue, CH_COMMAND_SYNC_TIME, 0, first);
  queue_send_type (queue, CH_COMMAND_READ_PARAMS, 0, second);
  g_autoptr (json_t) all = ch_outbound_queue_json (outbound, NULL, 10);
  const json_t *items = json_object_get (all, "queue");
  g_assert_cmpuint (json_array_size (items), ==, 2);
  g_assert_cmpstr (ch_json_get_string (json_array_get (items, 0), "state", ""), ==,
                   "sent");
  g_assert_cmpint (ch_json_get_int (json_array_get (items, 1), "position", 0), ==, 1);
  g_assert_false (ch_outbound_cancel_by_hand (outbound, first));
  g_assert_true (ch_outbound_cancel_by_hand (outbound, second));
  queue_advance (queue, 3200); /* one send: dead */
  g_assert_cmpstr (queue_state (queue, first), ==, "no_ack");
  g_free (queue_heard (queue, fd));

  ch_outbound_dead_list (outbound, queue->caller, 0, 10, core_send_done, text);
  g_autofree char *list = asked (queue, text);
  g_autoptr (json_t) dead = json_loads (list, 0, NULL);
  const json_t *letter = json_array_get (json_object_get (dead, "dead"), 0);
  g_assert_cmpstr (ch_json_get_string (letter, "command_id", ""), ==, first);
  g_assert_cmpstr (ch_json_get_string (letter, "error", ""), ==, "no_ack");
  ch_outbound_dead_resend (outbound, queue->caller, ch_json_get_int (letter, "id", 0),
                           NULL, core_send_done, text);
  g_autofree char *sent = asked (queue, text);
  g_assert_nonnull (strstr (sent, "\"type\":\"SyncTime\""));
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_true (g_str_has_prefix (heard, "SyncTime "));
  ch_outbound_dead_delete (outbound, queue->caller, ch_wall_ms (queue->caller),
                           core_send_done, text);
  g_autofree char *deleted = asked (queue, text);
  g_assert_cmpstr (deleted, ==, "{\"deleted\":1}");
  ch_outbound_dead_resend (outbound, queue->caller, 1, NULL, core_send_done, text);
  g_autofree char *none = asked (queue, text);
  g_assert_cmpstr (none, ==, "no dead letter");
  queue_finish (queue, fd);
}

/* The answer of the command that the log tells of. */
static void frame_log (void)
{
  int fd;
  Queue *queue = queue_with_device (&fd);
  char id[CH_COMMAND_ID_SIZE];

  ChOutboundRequest r = queue_request (queue, CH_COMMAND_STOP_CHARGE);
  r.order_no = "ORD1";
  queue_advance (queue, 100); /* the device has its row */
  queue_send (queue, &r, id);
  queue_advance (queue, 1200);
  g_autofree char *row = queue_sql (
      queue, "SELECT command_id || direction || order_no || protocol FROM cmd_log");
  g_autofree char *wanted = g_strconcat (id, "1ORD1lines", NULL);
  g_assert_cmpstr (row, ==, wanted);
  queue_finish (queue, fd);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/outbound-use/overload", overload);
  g_test_add_func ("/outbound-use/waiting", waiting);
  g_test_add_func ("/outbound-use/back-pressure", back_pressure);
  g_test_add_func ("/outbound-use/draining", draining);
  g_test_add_func ("/outbound-use/kv-outage", kv_outage);
  g_test_add_func ("/outbound/kv-outage-long", kv_outage_long);
  g_test_add_func ("/outbound-use/sdk", sdk);
  g_test_add_func ("/outbound-use/operators", operators);
  g_test_add_func ("/outbound-use/frame-log", frame_log);
  return g_test_run ();
}
