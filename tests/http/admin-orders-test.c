/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Orders closed by hand, ports stopped by hand, and what is kept of an order. */
#include "http-fixture.h"

#include <string.h>
#include <unistd.h>

#define ID "82241218000382"
#define ADMIN "/api/v1/admin"
#define THIRD "/api/v1/third"
#define START                                                                            \
  "{\"port_no\":0,\"charge_mode\":1,\"amount\":500,\"duration_minutes\":60,\"order_"     \
  "no\":"                                                                                \
  "\"ORD1\"}"

static const char *text (const json_t *object, const char *name)
{
  return ch_json_get_string (object, name, "");
}

/* An order that charges. Returns: the device's connection */
static int charging (Api *api)
{
  int fd = api_device (api, ID);
  queue_advance (api->queue, 100); /* its row is written */
  g_autoptr (json_t) data
      = api_ok (api, "POST", "/devices/" ID "/start_charge", DRIVER, START, 202);
  queue_advance (api->queue, 200);
  g_autofree char *line = queue_heard (api->queue, fd);
  queue_say (api->queue, fd, "@ack " ID " %u", queue_number (line));
  queue_say (api->queue, fd, "@start " ID " 0 w1 ORD1");
  queue_say (api->queue, fd, "@port " ID " 0 2 w1");
  queue_say (api->queue, fd, "@prog " ID " 0 w1 300 900");
  g_autofree char *stored = queue_heard (api->queue, fd);
  return fd;
}

/* ---- closing -------------------------------------------------------------------------
 */

static void test_settle (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  g_autoptr (json_t) order
      = api_ok (&api, "POST", ADMIN "/orders/ORD1/force-settle", BOSS,
                "{\"energy_wh\":1250,\"duration_s\":3600,\"end_reason\":\"user_stop\","
                "\"comment\":\"meter read on site\"}",
                200);
  g_assert_cmpstr (text (order, "status"), ==, "completed");
  g_assert_cmpstr (text (order, "old_status"), ==, "charging");
  g_assert_cmpstr (text (order, "end_reason"), ==, "user_stop");
  g_assert_cmpint (ch_json_get_int (order, "energy_wh", 0), ==, 1250);
  g_assert_cmpint (ch_json_get_int (order, "amount_cent", 0), ==, 66);
  API_SQL ("SELECT status || ' ' || energy_wh || ' ' || duration_s FROM orders",
           "3 1250 3600");
  queue_settle (api.queue);
  API_SQL ("SELECT count (*) || ' ' || max (json_extract (after, '$.old_status'))"
           " FROM audit_log WHERE action LIKE '%force-settle'",
           "1 charging");
  /* It never opens again, whatever the device says. */
  queue_say (api.queue, fd, "@end " ID " 0 w1 5000 9000 0");
  g_autoptr (json_t) later
      = api_ok (&api, "GET", "/api/v1/orders/ORD1", READER, NULL, 200);
  g_assert_cmpint (ch_json_get_int (later, "energy_wh", 0), ==, 1250);
  g_assert_cmpint (api_code (&api, "POST", ADMIN "/orders/ORD1/force-fail", BOSS,
                             "{\"comment\":\"again\"}"),
                   ==, 40902);
  close (fd);
  api_close (&api);
}

static void test_fail (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  g_autoptr (json_t) order = api_ok (&api, "POST", ADMIN "/orders/ORD1/force-fail", BOSS,
                                     "{\"comment\":\"cable cut\"}", 200);
  g_assert_cmpstr (text (order, "status"), ==, "failed");
  queue_advance (api.queue, 1000);
  g_autofree char *line = queue_heard (api.queue, fd);
  g_assert_nonnull (strstr (line, "StopCharge"));
  API_SQL ("SELECT json_extract (status_history, '$[#-1].reason') FROM orders",
           "cable cut");
  close (fd);
  api_close (&api);
}

static void test_refusals (void)
{
  static const struct {
    const char *path, *body;
    gint code;
  } cases[] = {
      {ADMIN "/orders/NONE/force-settle", "{\"comment\":\"x\"}", 40403},
      {ADMIN "/orders/ORD1/force-settle", "{}", 40010},
      {ADMIN "/orders/ORD1/force-settle", "{\"comment\":\"  \"}", 40010},
      {ADMIN "/orders/ORD1/force-fail", NULL, 40010},
      {ADMIN "/orders/ORD1/force-settle", "{\"comment\":\"x\",\"energy_wh\":-1}", 40010},
      {ADMIN "/orders/ORD1/force-settle", "{\"comment\":\"x\",\"end_reason\":55}", 40010},
      {ADMIN "/orders/ORD1/force-settle", "{\"comment\":\"x\",\"end_reason\":true}",
       40010},
  };
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (api_code (&api, "POST", cases[i].path, BOSS, cases[i].body), ==,
                     cases[i].code);
  g_assert_cmpint (api_code (&api, "POST", ADMIN "/orders/ORD1/force-fail", DRIVER,
                             "{\"comment\":\"x\"}"),
                   ==, 40101);
  g_autofree char *umlauts = g_strnfill (200, 'x');
  g_autofree char *body = g_strdup_printf ("{\"comment\":\"%s%s\"}", umlauts,
                                           "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü");
  g_assert_cmpint (api_code (&api, "POST", ADMIN "/orders/ORD1/force-fail", BOSS, body),
                   ==, 40010);
  API_SQL ("SELECT status FROM orders", "2");
  API_SQL ("SELECT count (*) FROM audit_log", "0");
  close (fd);
  api_close (&api);
}

/* ---- a port --------------------------------------------------------------------------
 */

static void test_stop_port (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = api_device (&api, ID);
  g_autoptr (json_t) data = api_ok (&api, "POST", ADMIN "/devices/" ID "/ports/0/0/stop",
                                    BOSS, "{\"comment\":\"relay stuck\"}", 202);
  g_assert_true (g_str_has_prefix (text (data, "command_id"), "cmd_"));
  queue_advance (api.queue, 1000);
  g_autofree char *line = queue_heard (api.queue, fd);
  g_assert_true (g_str_has_prefix (line, "StopCharge "));
  g_autofree char *reason = queue_sql (
      api.queue, "SELECT order_no || ' ' || status || ' ' || failure_reason FROM orders");
  g_autofree char *wanted
      = g_strdup_printf ("%s 6 fallback_stop_without_order", text (data, "order_no"));
  g_assert_cmpstr (reason, ==, wanted);
  API_SQL ("SELECT count (*) FROM outbound_queue WHERE type = 'StopCharge'", "1");
  queue_settle (api.queue);
  API_SQL ("SELECT count (*) FROM audit_log", "1");
  queue_say (api.queue, fd, "@ack " ID " %u", queue_number (line));
  g_assert_cmpint (
      api_code (&api, "POST", ADMIN "/devices/" ID "/ports/0/9/stop", BOSS, NULL), ==,
      40402);
  g_assert_cmpint (
      api_code (&api, "POST", ADMIN "/devices/none/ports/0/0/stop", BOSS, NULL), ==,
      40401);
  g_assert_cmpint (
      api_code (&api, "POST", ADMIN "/devices/" ID "/ports/0/x/stop", BOSS, NULL), ==,
      40010);
  close (fd);
  api_close (&api);
}

static void test_stop_held_port (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  g_autoptr (json_t) json = NULL;
  g_assert_cmpuint (
      api_ask (&api, "POST", ADMIN "/devices/" ID "/ports/0/0/stop", BOSS, NULL, &json),
      ==, 409);
  g_assert_cmpstr (text (json_object_get (json, "data"), "current_order"), ==, "ORD1");
  API_SQL ("SELECT count (*) FROM orders", "1");
  close (fd);
  api_close (&api);
}

/* ---- what is kept --------------------------------------------------------------------
 */

static void test_events (void)
{
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  queue_say (api.queue, fd, "@end " ID " 0 w1 1250 3600 0");
  g_autoptr (json_t) data
      = api_ok (&api, "GET", THIRD "/orders/ORD1/events", DRIVER, NULL, 200);
  const json_t *list = json_object_get (data, "events");
  gint64 total = ch_json_get_int (data, "total_events", 0);
  g_assert_cmpint (total, >=, 4);
  g_assert_cmpint ((gint64) json_array_size (list), ==, total);
  const json_t *first = json_array_get (list, 0);
  g_assert_cmpstr (text (first, "event_type"), ==, "order.created");
  g_assert_cmpstr (text (first, "status"), ==, "pending");
  g_assert_cmpint (ch_json_get_int (first, "sequence_no", 0), ==, 1);
  g_assert_true (json_is_object (json_object_get (first, "data")));

  g_autoptr (json_t) none
      = api_ok (&api, "GET", THIRD "/orders/NONE/events", DRIVER, NULL, 200);
  g_assert_cmpint (ch_json_get_int (none, "total_events", -1), ==, 0);

  /* Page by page, all of them and each once. */
  g_autofree char *path = g_strdup (THIRD "/events?limit=2");
  gint64 seen = 0;
  for (guint turn = 0; turn < 20; turn++) {
    g_autoptr (json_t) page = api_ok (&api, "GET", path, DRIVER, NULL, 200);
    seen += (gint64) json_array_size (json_object_get (page, "events"));
    if (json_is_null (json_object_get (page, "next")))
      break;
    g_free (path);
    path = g_strdup_printf (THIRD "/events?limit=2&after=%s", text (page, "next"));
  }
  g_assert_cmpint (seen, ==, total);
  g_autoptr (json_t) ended = api_ok (
      &api, "GET", THIRD "/events?types=charging.ended,order.created", DRIVER, NULL, 200);
  g_assert_cmpuint (json_array_size (json_object_get (ended, "events")), ==, 2);
  g_assert_cmpint (api_code (&api, "GET", THIRD "/events?limit=501", DRIVER, NULL), ==,
                   40010);
  close (fd);
  api_close (&api);
}

static void test_timeline (void)
{
  static const char *const wanted[]
      = {"http_request", "db_operation", "outbound_cmd", "event_push"};
  Api api;
  api_open_orders (&api, NULL);
  int fd = charging (&api);
  queue_say (api.queue, fd, "@end " ID " 0 w1 1250 3600 0");
  queue_advance (api.queue, 2000); /* frames are written in batches */
  g_autoptr (json_t) data
      = api_ok (&api, "GET", ADMIN "/orders/ORD1/timeline", BOSS, NULL, 200);
  const json_t *timeline = json_object_get (data, "timeline");
  const json_t *list = json_object_get (timeline, "events");
  const json_t *summary = json_object_get (timeline, "summary");
  const char *before = "";
  guint frames = 0, found = 0;
  size_t i;
  json_t *entry;

  json_array_foreach (list, i, entry)
  {
    g_assert_cmpstr (before, <=, text (entry, "timestamp"));
    before = text (entry, "timestamp");
    frames += *text (entry, "raw_payload") != '\0';
    for (guint k = 0; k < G_N_ELEMENTS (wanted); k++)
      if (g_str_equal (text (entry, "type"), wanted[k]))
        found |= 1u << k;
  }
  g_assert_cmpuint (found, ==, 15);
  g_assert_cmpuint (frames, >=, 1);
  g_assert_cmpstr (text (json_array_get (list, 0), "type"), ==, "http_request");
  g_assert_cmpstr (text (summary, "final_status"), ==, "completed");
  g_assert_cmpint (ch_json_get_int (summary, "commands_sent", 0), ==, 1);
  g_assert_cmpint (ch_json_get_int (summary, "total_events", 0), ==,
                   (gint64) json_array_size (list));
  g_assert_cmpint (api_code (&api, "GET", ADMIN "/orders/NONE/timeline", BOSS, NULL), ==,
                   40403);
  close (fd);
  api_close (&api);
}

static void test_params (void)
{
  Api api;
  api_open (&api, NULL);
  int fd = api_device (&api, ID);
  queue_advance (api.queue, 2000);
  g_autofree char *text_bytes = api_sql_bytes ("3230");
  g_autofree char *other_bytes = api_sql_bytes ("00ff");
  g_autofree char *at = api_sql_time (1704528000000);
  g_autofree char *later = api_sql_time (1704528001000);
  g_autofree char *confirmed = g_strdup_printf (
      "INSERT INTO device_params (device_id, param_id, param_value, msg_id, status,"
      " created_at, confirmed_at, updated_at) SELECT id, 7, %s, 5, 1, %s, %s, %s"
      " FROM devices",
      text_bytes, at, later, later);
  g_autofree char *failed = g_strdup_printf (
      "INSERT INTO device_params (device_id, param_id, param_value, status, created_at,"
      " updated_at, error_message) SELECT id, 8, %s, 2, %s, %s, 'refused' FROM devices",
      other_bytes, at, at);
  queue_change (api.queue, confirmed);
  queue_change (api.queue, failed);
  g_autoptr (json_t) data
      = api_ok (&api, "GET", "/api/v1/devices/" ID "/params", READER, NULL, 200);
  const json_t *list = json_object_get (data, "params");
  const json_t *a = json_array_get (list, 0), *b = json_array_get (list, 1);
  g_assert_cmpstr (text (data, "phy_id"), ==, ID);
  g_assert_cmpuint (json_array_size (list), ==, 2);
  g_assert_cmpstr (text (a, "value"), ==, "20");
  g_assert_cmpstr (text (a, "value_hex"), ==, "3230");
  g_assert_cmpstr (text (a, "status"), ==, "confirmed");
  g_assert_cmpstr (text (a, "confirmed_at"), ==, "2024-01-06T08:00:01.000Z");
  g_assert_true (json_is_null (json_object_get (b, "value")));
  g_assert_cmpstr (text (b, "value_hex"), ==, "00ff");
  g_assert_cmpstr (text (b, "error_msg"), ==, "refused");
  g_assert_cmpint (api_code (&api, "GET", "/api/v1/devices/none/params", READER, NULL),
                   ==, 40401);
  close (fd);
  api_close (&api);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ch_reactor_raise_fd_limit ();
  g_test_add_func ("/http/admin-orders/settle", test_settle);
  g_test_add_func ("/http/admin-orders/fail", test_fail);
  g_test_add_func ("/http/admin-orders/refusals", test_refusals);
  g_test_add_func ("/http/admin-orders/stop-port", test_stop_port);
  g_test_add_func ("/http/admin-orders/stop-held-port", test_stop_held_port);
  g_test_add_func ("/http/admin-orders/events", test_events);
  g_test_add_func ("/http/admin-orders/timeline", test_timeline);
  g_test_add_func ("/http/admin-orders/params", test_params);
  return g_test_run ();
}
