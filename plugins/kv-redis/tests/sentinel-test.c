/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sentinel: the primary is found, and found again after a failover. */
#include "bed.h"

#include <string.h>

static RedisServer *start_sentinel (const char *folder, guint16 primary)
{
  g_autofree char *path = g_build_filename (folder, "sentinel.conf", NULL);
  g_autofree char *text = g_strdup_printf ("sentinel monitor main 127.0.0.1 %u 1\n"
                                           "sentinel down-after-milliseconds main 500\n"
                                           "sentinel failover-timeout main 3000\n",
                                           primary);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  const char *const words[] = {path, "--sentinel", NULL};
  return bed_server (redis_free_port (), words);
}

static gboolean shows (const RedisServer *server, const char *line, const char *word)
{
  g_autofree char *text = bed_direct (server, line);
  return strstr (text, word) != NULL;
}

static void test_failover (void)
{
  g_autoptr (RedisServer) first = bed_server (redis_free_port (), NULL);
  g_autofree char *port = g_strdup_printf ("%u", redis_server_port (first));
  const char *const words[]
      = {"--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0", NULL};
  g_autoptr (RedisServer) second = bed_server (redis_free_port (), words);
  g_autoptr (RedisServer) sentinel
      = start_sentinel (redis_server_folder (first), redis_server_port (first));
  g_autofree char *address = g_strdup_printf ("redis.sentinels=127.0.0.1:1,127.0.0.1:%u",
                                              redis_server_port (sentinel));
  const char *const options[] = {address, "redis.sentinel_master=main", NULL};
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
  g_auto (BedCount) count = {0};

  /* The first Sentinel is not there: the second is asked. */
  kv_assert (kv, "SET a 1", "+OK");
  bed_wait (kv, shows (second, "INFO replication", "master_link_status:up"));
  bed_wait (kv, shows (sentinel, "SENTINEL MASTER main", "\"num-slaves\" \"1\""));
  bed_wait (kv, shows (second, "GET a", "1"));
  gint64 since_us = g_get_monotonic_time ();
  redis_server_kill (first);
  bed_wait (kv, !bed_up (kv));
  bed_wait (kv, bed_up (kv));
  g_test_message ("up again %" G_GINT64_FORMAT " ms after the primary was killed",
                  (g_get_monotonic_time () - since_us) / 1000);
  kv_assert (kv, "INCR a", ":2");
  g_assert_true (shows (second, "GET a", "2"));
  bed_wait (kv, shows (sentinel, "SENTINEL MASTER main", "\"flags\" \"master\""));
}

static void test_unknown (void)
{
  g_autoptr (RedisServer) first = bed_server (redis_free_port (), NULL);
  g_autoptr (RedisServer) sentinel
      = start_sentinel (redis_server_folder (first), redis_server_port (first));
  g_autofree char *address
      = g_strdup_printf ("redis.sentinels=127.0.0.1:%u", redis_server_port (sentinel));
  const char *const options[] = {address, "redis.sentinel_master=other", NULL};
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
  g_auto (BedCount) count = {0};

  bed_send (kv, &count, "GET a");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  g_assert_nonnull (strstr (count.last, "redis.sentinel_master"));
}

int main (int argc, char **argv)
{
  int status;

  if (!bed_begin (&argc, &argv, &status))
    return status;
  g_test_add_func ("/kv-redis/sentinel/failover", test_failover);
  g_test_add_func ("/kv-redis/sentinel/unknown", test_unknown);
  return g_test_run ();
}
