/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions: bind, take-over, silence, presence, limits, the directory in the kv. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>
#include <chargehost/json.h>

#include <string.h>
#include <unistd.h>

static ChPresence presence (Queue *queue, const char *id)
{
  return ch_session_presence (queue_device (queue, id), ch_now_ms (queue->caller));
}

static json_t *session_of (Queue *queue, const char *id)
{
  g_autofree char *line = g_strconcat ("GET session:device:", id, NULL);
  g_autofree char *text = queue_kv (queue, line);
  return json_loads (text, 0, NULL);
}

/* 3.1: session 3.2's value, presence and its events (SES-03). */
static void life (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  ASSERT_LINES (queue->events, "device.online A ");
  g_assert_cmpint (presence (queue, "A"), ==, CH_PRESENCE_ONLINE);
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", ""), ==, "gw-1");
  g_assert_cmpstr (ch_json_get_string (session, "protocol", ""), ==, "lines");
  g_assert_cmpstr (ch_json_get_string (session, "remote", ""), ==, "10.1.2.3:4000");
  g_assert_cmpint (ch_json_get_int (session, "gen", 0), ==, 1);
  g_assert_cmpint (ch_json_get_int (session, "heartbeat_s", 0), ==, 60);
  g_autofree char *conn_key = g_strconcat (
      "GET session:conn:", ch_json_get_string (session, "conn_id", ""), NULL);
  ASSERT_KV (conn_key, "[\"A\"]");
  ASSERT_KV ("TTL session:device:A", "300");
  ASSERT_KV ("ZCARD session:online", "1");
  ASSERT_KV ("SCARD session:server:gw-1:conns", "1");

  close (fd);
  queue_settle (queue);
  g_assert_cmpint (presence (queue, "A"), ==, CH_PRESENCE_UNSTABLE);
  ASSERT_LINES (queue->events, "");
  g_autoptr (json_t) after = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (after, "server_id", "x"), ==, "");
  g_assert_nonnull (ch_json_get_string (after, "last_tcp_down", NULL));
  ASSERT_KV ("ZCARD session:online", "0");
  ASSERT_KV ("SCARD session:server:gw-1:conns", "0");
  ASSERT_KV (conn_key, "nil");

  queue_advance (queue, 30000);
  fd = queue_device_on (queue, "A"); /* within the grace time: nobody hears of it */
  ASSERT_LINES (queue->events, "");
  close (fd);
  queue_advance (queue, 59000);
  ASSERT_LINES (queue->events, "");
  queue_advance (queue, 2000);
  ASSERT_LINES (queue->events, "device.offline A peer");
  g_assert_cmpint (presence (queue, "A"), ==, CH_PRESENCE_OFFLINE);
  fd = queue_device_on (queue, "A");
  ASSERT_LINES (queue->events, "device.online A ");
  g_autoptr (json_t) again = session_of (queue, "A");
  g_assert_cmpint (ch_json_get_int (again, "gen", 0), ==, 3);
  close (fd);
  queue_free (queue);
}

/* 2, F15: the newest connection wins, and the old one cannot harm it. */
static void newest_wins (void)
{
  const char *const options[]
      = {"tcp.flapping.enabled=false", "proto-lines.takeover_limit=10000", NULL};
  Queue *queue = queue_new (options);
  int old = queue_device_on (queue, "A");

  for (guint i = 0; i < 1000; i++) {
    int fresh = queue_device_on (queue, "A");
    g_assert_true (queue_is_closed (queue, old));
    close (old);
    old = fresh;
    if (i % 100 != 0)
      continue;
    g_assert_cmpuint (ch_sessions_connected (queue->services.core->sessions), ==, 1);
    ASSERT_KV ("SCARD session:server:gw-1:conns", "1");
  }
  g_assert_false (queue_is_closed (queue, old));
  g_assert_cmpint (presence (queue, "A"), ==, CH_PRESENCE_ONLINE);
  ASSERT_LINES (queue->events, "device.online A ");
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpint (ch_json_get_int (session, "gen", 0), ==, 1001);
  g_assert_cmpstr (ch_json_get_string (session, "server_id", ""), ==, "gw-1");
  close (old);
  queue_settle (queue);
  g_assert_cmpuint (ch_sessions_connected (queue->services.core->sessions), ==, 0);
  queue_free (queue);
}

/* TCP-42: the newcomer is refused after five take-overs, the older session stays. */
static void ping_pong (void)
{
  Queue *queue = queue_new (NULL);
  int fds[7];

  for (guint i = 0; i < 6; i++)
    fds[i] = queue_device_on (queue, "A");
  ASSERT_LINES (queue->events, "device.online A ");
  fds[6] = queue_device_on (queue, "A");
  g_autofree char *events = queue_lines (queue->events);
  g_assert_nonnull (strstr (events, "alarm.reported A duplicate_identity"));
  g_assert_nonnull (strstr (events, "device.refused A"));
  g_assert_true (queue_is_closed (queue, fds[6]));
  g_assert_false (queue_is_closed (queue, fds[5]));
  queue_say (queue, fds[5], "@hb A");
  queue_advance (queue, 61000);
  int late = queue_device_on (queue, "A");
  g_assert_false (queue_is_closed (queue, late));
  g_assert_true (queue_is_closed (queue, fds[5]));
  for (guint i = 0; i < 7; i++)
    close (fds[i]);
  close (late);
  queue_free (queue);
}

static void flapping (void)
{
  const char *const options[]
      = {"tcp.flapping.max_count=3", "tcp.flapping.ban=100s", NULL};
  Queue *queue = queue_new (options);
  int fd = -1;

  for (guint i = 0; i < 3; i++) {
    fd = queue_device_on (queue, "A");
    close (fd);
    queue_settle (queue);
  }
  fd = queue_device_on (queue, "A");
  g_assert_true (queue_is_closed (queue, fd));
  close (fd);
  queue_advance (queue, 90000);
  fd = queue_device_on (queue, "A");
  g_assert_true (queue_is_closed (queue, fd));
  close (fd);
  queue_advance (queue, 11000);
  fd = queue_device_on (queue, "A");
  g_assert_false (queue_is_closed (queue, fd));
  close (fd);
  queue_free (queue);
}

static void oldest_policy (void)
{
  const char *const options[] = {"devices.bind_policy=oldest", NULL};
  Queue *queue = queue_new (options);
  int old = queue_device_on (queue, "A"), fresh = queue_device_on (queue, "A");

  g_assert_true (queue_is_closed (queue, fresh));
  g_assert_false (queue_is_closed (queue, old));
  close (old);
  close (fresh);
  queue_free (queue);
}

/* 5: two devices on one connection; closing it ends both. */
static void shared_connection (void)
{
  const char *const options[] = {"proto-lines.multi_device=true", NULL};
  Queue *queue = queue_new (options);
  int fd = queue_device_on (queue, "A");

  queue_say (queue, fd, "@on B");
  ASSERT_LINES (queue->events, "device.online A ; device.online B ");
  ChOutboundRequest r = {.type = CH_COMMAND_READ_PARAMS, .socket_no = 1};
  r.device = queue_device (queue, "A");
  queue_send (queue, &r, NULL);
  r.device = queue_device (queue, "B");
  r.socket_no = 2;
  queue_send (queue, &r, NULL);
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_nonnull (strstr (heard, " 1 1 0 \n"));
  g_assert_nonnull (strstr (heard, " 1 2 0 \n"));
  g_autoptr (json_t) session = session_of (queue, "B");
  g_autofree char *key = g_strconcat (
      "GET session:conn:", ch_json_get_string (session, "conn_id", ""), NULL);
  ASSERT_KV (key, "[\"A\",\"B\"]");
  close (fd);
  queue_advance (queue, 61000);
  g_autofree char *events = queue_lines (queue->events);
  g_assert_nonnull (strstr (events, "device.offline A peer"));
  g_assert_nonnull (strstr (events, "device.offline B peer"));
  queue_free (queue);
}

/* TCP-41: an old connection that carries others loses only the one that moved. */
static void moved_from_shared (void)
{
  const char *const options[]
      = {"proto-lines.multi_device=true",
         "proto-lines.takeover_closes=if_empty_or_same_modem", NULL};
  Queue *queue = queue_new (options);
  int old = queue_device_on (queue, "A");

  queue_say (queue, old, "@on B");
  queue_say (queue, old, "@sim A 8986001");
  int fresh = queue_device_on (queue, "A");
  g_assert_false (queue_is_closed (queue, old));
  g_assert_cmpuint (ch_sessions_connected (queue->services.core->sessions), ==, 2);
  queue_say (queue, fresh, "@sim A 8986001"); /* the same modem: the old one is dead */
  g_assert_true (queue_is_closed (queue, old));
  g_assert_cmpuint (ch_sessions_connected (queue->services.core->sessions), ==, 1);
  close (old);
  close (fresh);
  queue_free (queue);
}

static void several_devices_alarm (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  queue_say (queue, fd, "@on B");
  g_autofree char *events = queue_lines (queue->events);
  g_assert_nonnull (strstr (events, "alarm.reported B several_devices"));
  close (fd);
  queue_free (queue);
}

/* SES-02: silence for T = 150 s. */
static void silence_closes (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  queue_advance (queue, 149000);
  queue_say (queue, fd, "@hb A");
  queue_advance (queue, 149000);
  g_assert_false (queue_is_closed (queue, fd));
  ASSERT_LINES (queue->events, "device.online A ");
  queue_advance (queue, 2000);
  g_assert_true (queue_is_closed (queue, fd));
  ASSERT_LINES (queue->events, "device.offline A heartbeat");
  close (fd);
  queue_free (queue);
}

static void silence_of_one (void)
{
  const char *const options[]
      = {"proto-lines.multi_device=true", "proto-lines.silence_closes=false",
         "proto-lines.idle_timeout_s=0", NULL};
  Queue *queue = queue_new (options);
  int fd = queue_device_on (queue, "A");

  queue_say (queue, fd, "@on B");
  g_ptr_array_set_size (queue->events, 0);
  for (guint i = 0; i < 3; i++) {
    queue_advance (queue, 60000);
    queue_say (queue, fd, "@hb B");
  }
  ASSERT_LINES (queue->events, "device.offline A heartbeat");
  g_assert_false (queue_is_closed (queue, fd));
  g_assert_cmpint (presence (queue, "B"), ==, CH_PRESENCE_ONLINE);
  queue_say (queue, fd, "@hb A"); /* its next frame binds it again */
  ASSERT_LINES (queue->events, "device.online A ");
  close (fd);
  queue_free (queue);
}

/* The kv hears of a device at most every 5 s, and soon. */
static void touches (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");
  char text[CH_TIME_TEXT_SIZE];

  g_autoptr (json_t) before = session_of (queue, "A");
  for (guint i = 0; i < 4; i++) {
    queue_advance (queue, 1000);
    queue_say (queue, fd, "@hb A");
  }
  g_autoptr (json_t) same = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (same, "last_seen", ""), ==,
                   ch_json_get_string (before, "last_seen", "x"));
  queue_advance (queue, 1000);
  queue_say (queue, fd, "@hb A");
  ch_format_time (ch_wall_ms (queue->caller), text);
  queue_advance (queue, 300);
  g_autoptr (json_t) fresh = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (fresh, "last_seen", ""), ==, text);
  close (fd);
  queue_free (queue);
}

/* F3: the kv comes back empty; sessions are there again in time. */
static void kv_lost_its_memory (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  ASSERT_KV ("FLUSHALL", "OK");
  queue_advance (queue, 6000);
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", ""), ==, "gw-1");
  ASSERT_KV ("EXISTS server:gw-1", "1");
  close (fd);
  queue_free (queue);
}

static void heard (ChPlugin *self, const char *channel, const char *message, gsize size,
                   gpointer user_data)
{
  g_string_append (user_data, message);
}

/* Taken from another server: that one is told to close its connection. */
static void taken_from_another (void)
{
  Queue *queue = queue_new (NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  ch_kv_subscribe (queue->caller, "session:evict:gw-2", heard, text);
  ASSERT_KV (
      "SET session:device:A {\"conn_id\":\"01X\",\"server_id\":\"gw-2\",\"gen\":7}",
      "OK");
  ASSERT_KV ("SET session:gen:A 7", "OK");
  int fd = queue_device_on (queue, "A");
  g_assert_cmpstr (text->str, ==, "{\"phy_id\":\"A\",\"conn_id\":\"01X\"}");
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpint (ch_json_get_int (session, "gen", 0), ==, 8);
  g_assert_cmpuint (queue_device (queue, "A")->generation, ==, 8);
  close (fd);
  queue_free (queue);
}

/* Another server took the device. */
static void evicted (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");
  g_autoptr (json_t) session = session_of (queue, "A");
  g_autofree char *wrong = g_strdup (
      "PUBLISH session:evict:gw-1 {\"phy_id\":\"A\",\"conn_id\":\"01OTHER\"}");
  g_autofree char *right = g_strdup_printf (
      "PUBLISH session:evict:gw-1 {\"phy_id\":\"A\",\"conn_id\":\"%s\"}",
      ch_json_get_string (session, "conn_id", ""));

  g_free (queue_kv (queue, wrong));
  g_assert_false (queue_is_closed (queue, fd));
  g_free (queue_kv (queue, right));
  g_assert_true (queue_is_closed (queue, fd));
  close (fd);
  queue_free (queue);
}

/* It was cut off, and the device went to another server: its old connection, which is
   still open here, does not take it back. */
static void moved_while_cut_off (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  ASSERT_KV (
      "SET session:device:A {\"conn_id\":\"01X\",\"server_id\":\"gw-2\",\"gen\":7}",
      "OK");
  ch_session_kv_all_again (queue->services.core->sessions);
  queue_advance (queue, 500);
  g_assert_true (queue_is_closed (queue, fd));
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", ""), ==, "gw-2");
  close (fd);
  queue_free (queue);
}

/* The kv says that another connection has it: the touch finds out. */
static void stale (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  ASSERT_KV ("SET session:device:A {\"conn_id\":\"01OTHER\",\"server_id\":\"gw-2\"}",
             "OK");
  queue_advance (queue, 5000);
  queue_say (queue, fd, "@hb A");
  queue_advance (queue, 500);
  g_assert_true (queue_is_closed (queue, fd));
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", ""), ==, "gw-2");
  close (fd);
  queue_free (queue);
}

/* A dead server's sessions are released by whoever wins the lock. */
static void reaper (void)
{
  Queue *queue = queue_new (NULL);

  ASSERT_KV ("ZADD servers 1 gw-9", "1");
  ASSERT_KV ("SADD session:server:gw-9:conns 01CONN", "1");
  ASSERT_KV ("SET session:conn:01CONN [\"Z\"]", "OK");
  ASSERT_KV ("SET session:device:Z {\"conn_id\":\"01CONN\",\"server_id\":\"gw-9\"}",
             "OK");
  queue_advance (queue, 6000);
  g_autoptr (json_t) session = session_of (queue, "Z");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", "x"), ==, "");
  ASSERT_KV ("ZSCORE servers gw-9", "nil");
  ASSERT_KV ("SCARD session:server:gw-9:conns", "0");
  queue_free (queue);
}

static void released (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");

  ch_sessions_release (queue->services.core->sessions);
  queue_settle (queue);
  g_autoptr (json_t) session = session_of (queue, "A");
  g_assert_cmpstr (ch_json_get_string (session, "server_id", "x"), ==, "");
  ASSERT_KV ("EXISTS server:gw-1", "0");
  ASSERT_KV ("ZCARD servers", "0");
  close (fd);
  queue_free (queue);
}

static void failed (gpointer data, const char *why)
{
  g_string_append (data, why);
}

/* It stood still until its lease had run out, and another has its id. */
static void lease_lost (void)
{
  Queue *queue = queue_new (NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  queue->services.fail = failed;
  queue->services.fail_data = text;
  ASSERT_KV ("HSET server:gw-1 token theirs address there pid 77 place elsewhere", "0");
  queue_advance (queue, 5500);
  g_assert_cmpstr (text->str, ==,
                   "the id gw-1 was taken by process 77 on there while this one gave no"
                   " sign of life");
  ch_sessions_release (queue->services.core->sessions); /* what is theirs stays */
  queue_settle (queue);
  ASSERT_KV ("HGET server:gw-1 token", "theirs");
  ASSERT_KV ("ZCARD servers", "1");
  queue_free (queue);
}

/* Its own life before, which ended without a word, is no other holder. */
static void lease_of_a_dead_one (void)
{
  Queue *queue = queue_new (NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  queue->services.fail = failed;
  queue->services.fail_data = text;
  ASSERT_KV ("HSET server:gw-1 token mine_before", "0");
  queue_advance (queue, 5500);
  g_assert_cmpstr (text->str, ==, "");
  g_autofree char *token = queue_kv (queue, "HGET server:gw-1 token");
  g_assert_cmpstr (token, ==, queue->services.core->sessions->token);
  queue_free (queue);
}

static void shown (void)
{
  Queue *queue = queue_new (NULL);
  int fd = queue_device_on (queue, "A");
  g_autoptr (json_t) s = ch_core_session_json (queue->caller, "A");

  g_assert_true (ch_json_get_bool (s, "online", FALSE));
  g_assert_cmpstr (ch_json_get_string (s, "presence", ""), ==, "online");
  g_assert_cmpint (ch_json_get_int (s, "score", 0), ==, 1);
  g_assert_null (ch_core_session_json (queue->caller, "B"));
  close (fd);
  queue_settle (queue);
  g_autoptr (json_t) after = ch_core_session_json (queue->caller, "A");
  g_assert_false (ch_json_get_bool (after, "online", TRUE));
  g_assert_cmpfloat (ch_json_get_double (after, "score", 0), ==, 0.4);
  queue_advance (queue, 130000); /* without a connection the drop is not forgotten */
  g_autoptr (json_t) later = ch_core_session_json (queue->caller, "A");
  g_assert_false (ch_json_get_bool (later, "online", TRUE));

  fd = queue_device_on (queue,
                        "A"); /* back: on line at once, of less worth for a while */
  g_autoptr (json_t) back = ch_core_session_json (queue->caller, "A");
  g_assert_true (ch_json_get_bool (back, "online", FALSE));
  g_assert_cmpfloat (ch_json_get_double (back, "score", 0), ==, 1);
  close (fd);
  queue_settle (queue);
  fd = queue_device_on (queue, "A");
  g_autoptr (json_t) again = ch_core_session_json (queue->caller, "A");
  g_assert_true (ch_json_get_bool (again, "online", FALSE));
  g_assert_cmpfloat (ch_json_get_double (again, "score", 0), ==, 0.5);
  close (fd);
  queue_free (queue);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/life", life);
  g_test_add_func ("/session/newest-wins", newest_wins);
  g_test_add_func ("/session/ping-pong", ping_pong);
  g_test_add_func ("/session/flapping", flapping);
  g_test_add_func ("/session/oldest-policy", oldest_policy);
  g_test_add_func ("/session/shared-connection", shared_connection);
  g_test_add_func ("/session/moved-from-shared", moved_from_shared);
  g_test_add_func ("/session/several-devices-alarm", several_devices_alarm);
  g_test_add_func ("/session/silence-closes", silence_closes);
  g_test_add_func ("/session/silence-of-one", silence_of_one);
  g_test_add_func ("/session/touches", touches);
  g_test_add_func ("/session/kv-lost-its-memory", kv_lost_its_memory);
  g_test_add_func ("/session/taken-from-another", taken_from_another);
  g_test_add_func ("/session/evicted", evicted);
  g_test_add_func ("/session/moved-while-cut-off", moved_while_cut_off);
  g_test_add_func ("/session/stale", stale);
  g_test_add_func ("/session/reaper", reaper);
  g_test_add_func ("/session/released", released);
  g_test_add_func ("/session/lease-lost", lease_lost);
  g_test_add_func ("/session/lease-of-a-dead-one", lease_of_a_dead_one);
  g_test_add_func ("/session/shown", shown);
  return g_test_run ();
}
