/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections that are lost, refused, slow; what becomes of commands meanwhile. */
#include "bed.h"

#include <signal.h>
#include <string.h>

#define ADD                                                                              \
  "#!lua name=sums\n"                                                                    \
  "redis.register_function ('sum', function (keys, args)\n"                              \
  "  return redis.call ('INCRBY', keys[1], args[1])\n"                                   \
  "end)\n"

static void load (KvFixture *kv, const char *lua)
{
  g_autoptr (GError) error = NULL;
  ch_kv_library (kv->caller, lua, &error);
  g_assert_no_error (error);
}

static void test_restart (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  load (kv, ADD);
  kv_assert (kv, "FCALL sum 1 a 2", ":2"); /* waits for the first connection */
  g_assert_true (bed_up (kv));
  redis_server_kill (server);
  bed_wait (kv, !bed_up (kv));
  bed_pass (kv, 300); /* attempts have failed */
  bed_send (kv, &count, "INCR a");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  gint64 since_us = g_get_monotonic_time ();
  g_assert_true (redis_server_again (server));
  bed_wait (kv, bed_up (kv));
  g_test_message ("up again after %" G_GINT64_FORMAT " ms",
                  (g_get_monotonic_time () - since_us) / 1000);
  kv_assert (kv, "FCALL sum 1 a 3", ":3"); /* empty, but with the functions */
}

static void test_outcome (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "INCR a", ":1");
  redis_server_signal (server, SIGSTOP);
  for (guint i = 0; i < 10; i++)
    bed_send (kv, &count, "INCR a");
  bed_pass (kv, 50); /* they are with the kernel */
  redis_server_kill (server);
  bed_wait (kv, count.n == 10);
  g_assert_cmpuint (count.n_unknown, ==, 10);
  g_assert_cmpfloat (bed_metric (kv, "chargehost_redis_outcome_unknown_total"), ==, 10);
}

static void test_cut (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);

  kv_assert (kv, "SET a 1", "+OK");
  bed_pass (kv, 1100); /* a connection that has proved good */
  g_autofree char *killed = bed_direct (server, "CLIENT KILL TYPE normal SKIPME yes");
  bed_wait (kv, !bed_up (kv));
  /* The first attempt is under way: commands wait for it. */
  kv_assert (kv, "GET a", "\"1\"");
  g_assert_true (bed_up (kv));
}

static void test_functions (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  load (kv, ADD);
  kv_assert (kv, "FCALL sum 1 a 1", ":1");
  g_autofree char *flushed = bed_direct (server, "FUNCTION FLUSH");
  for (guint i = 0; i < 100; i++)
    bed_send (kv, &count, "FCALL sum 1 a 1");
  bed_wait (kv, count.n == 100);
  g_assert_cmpuint (count.n_ok, ==, 100);
  kv_assert (kv, "GET a", "\"101\"");
  g_assert_cmpfloat (bed_metric (kv, "chargehost_redis_library_repairs_total"), ==, 1);
  kv_assert (kv, "FCALL nosuch 1 a 1", "-ERR Function not found");
  /* Another text of the same name replaces it. */
  load (kv, "#!lua name=sums\n"
            "redis.register_function ('sum', function () return 'other' end)\n");
  kv_assert (kv, "FCALL sum 1 a 1", "\"other\"");
}

static void test_versions (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autofree char *theirs
      = bed_direct (server, "FUNCTION LOAD \"#!lua name=sums\\n-- version 5\\n"
                            "redis.register_function('sum', function() return 5 end)\"");
  g_autoptr (KvFixture) kv
      = kv_fixture_new (ch_plugin_kv_redis_query, NULL,
                        (const char *const[]) {"redis.addr=127.0.0.1:1", NULL});
  kv_fixture_free (g_steal_pointer (&kv));
  kv = bed_open (server, NULL);
  load (kv, "#!lua name=sums\n-- version 4\n"
            "redis.register_function ('sum', function () return 4 end)\n");
  kv_assert (kv, "FCALL sum 0", ":5"); /* newer: it stays */
  kv_fixture_free (g_steal_pointer (&kv));
  kv = bed_open (server, NULL);
  load (kv, "#!lua name=sums\n-- version 6\n"
            "redis.register_function ('sum', function () return 6 end)\n");
  kv_assert (kv, "FCALL sum 0", ":6");
}

static void test_slow (void)
{
  static const char *const more[] = {"kv-redis.breaker=300ms", NULL};
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, more);
  g_auto (BedCount) first = {0};
  g_auto (BedCount) second = {0};
  g_autoptr (ChPlugin) other = ch_owner_new (&kv->services, "other", NULL);

  kv_assert (kv, "SET a 1", "+OK");
  redis_server_signal (server, SIGSTOP);
  bed_send (kv, &first, "GET a");
  bed_wait (kv, !bed_up (kv));
  bed_send_of (other, &second, "GET a");
  bed_wait (kv, second.n == 1);
  g_assert_cmpuint (second.n_unavailable, ==, 1);
  g_assert_nonnull (strstr (second.last, "slow"));
  redis_server_signal (server, SIGCONT);
  bed_wait (kv, bed_up (kv));
  bed_wait (kv, first.n == 1);
  g_assert_cmpstr (first.last, ==, "\"1\"");
  kv_assert (kv, "GET a", "\"1\"");
}

/* It is there and says nothing: the connection is given up, the outcome is not known. */
static void test_silent (void)
{
  static const char *const more[]
      = {"redis.read_timeout=500ms", "redis.write_timeout=500ms", "kv.timeout=10s", NULL};
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, more);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "SET a 1", "+OK");
  redis_server_signal (server, SIGSTOP);
  bed_send (kv, &count, "INCR a");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unknown, ==, 1);
  redis_server_signal (server, SIGCONT);
  bed_wait (kv, bed_up (kv));
}

static void test_replica (void)
{
  g_autoptr (RedisServer) first = bed_server (redis_free_port (), NULL);
  g_autoptr (RedisServer) second = bed_server (redis_free_port (), NULL);
  g_autoptr (KvFixture) kv = bed_open (first, NULL);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "SET a 1", "+OK");
  g_autofree char *promote = bed_direct (second, "REPLICAOF NO ONE");
  g_autofree char *line
      = g_strdup_printf ("REPLICAOF 127.0.0.1 %u", redis_server_port (second));
  g_autofree char *demote = bed_direct (first, line);
  /* READONLY is not the end: the commands go to the primary that the replica names. */
  for (guint i = 0; i < 20; i++)
    bed_send (kv, &count, "INCR b");
  bed_wait (kv, count.n == 20);
  g_assert_cmpuint (count.n_ok, ==, 20);
  g_autofree char *there = bed_direct (second, "GET b");
  g_assert_cmpstr (there, ==, "\"20\"");
}

static void test_users (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autofree char *user
      = bed_direct (server, "ACL SETUSER app on >secret ~app:* &* +@all -flushall");
  g_autofree char *closed = bed_direct (server, "ACL SETUSER default off");
  static const char *const good[] = {"redis.username=app", "redis.password=secret", NULL};
  static const char *const bad[] = {"redis.username=app", "redis.password=wrong", NULL};
  g_auto (BedCount) count = {0};

  g_autoptr (KvFixture) kv = bed_open (server, good);
  kv_assert (kv, "SET app:1 x", "+OK");
  g_autofree char *other = kv_fixture_line (kv, "SET other x");
  g_assert_true (g_str_has_prefix (other, "-NOPERM"));
  g_autofree char *flush = kv_fixture_line (kv, "FLUSHALL");
  g_assert_true (g_str_has_prefix (flush, "-NOPERM"));
  kv_fixture_free (g_steal_pointer (&kv));
  kv = bed_open (server, bad);
  bed_send (kv, &count, "GET app:1");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  g_assert_nonnull (strstr (count.last, "WRONGPASS"));
}

static void test_database (void)
{
  g_autoptr (RedisServer) server = bed_server (redis_free_port (), NULL);
  g_autofree char *url
      = g_strdup_printf ("redis.url=redis://127.0.0.1:%u/3", redis_server_port (server));
  const char *const options[] = {url, NULL};
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);

  kv_assert (kv, "SET a 1", "+OK");
  g_autofree char *info = bed_direct (server, "INFO keyspace");
  g_assert_nonnull (strstr (info, "db3:keys=1"));
  g_autofree char *names = bed_direct (server, "CLIENT LIST");
  g_assert_nonnull (strstr (names, "name=chargehost-"));
}

static void test_cluster_node (void)
{
  static const char *const words[] = {"--cluster-enabled", "yes", NULL};
  g_autoptr (RedisServer) server = bed_server (redis_free_port (), words);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  bed_send (kv, &count, "GET a");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  g_assert_nonnull (strstr (count.last, "redis.cluster_nodes"));
}

int main (int argc, char **argv)
{
  int status;

  if (!bed_begin (&argc, &argv, &status))
    return status;
  g_test_add_func ("/kv-redis/restart", test_restart);
  g_test_add_func ("/kv-redis/outcome", test_outcome);
  g_test_add_func ("/kv-redis/cut", test_cut);
  g_test_add_func ("/kv-redis/functions", test_functions);
  g_test_add_func ("/kv-redis/versions", test_versions);
  g_test_add_func ("/kv-redis/slow", test_slow);
  g_test_add_func ("/kv-redis/silent", test_silent);
  g_test_add_func ("/kv-redis/replica", test_replica);
  g_test_add_func ("/kv-redis/users", test_users);
  g_test_add_func ("/kv-redis/database", test_database);
  g_test_add_func ("/kv-redis/cluster-node", test_cluster_node);
  return g_test_run ();
}
