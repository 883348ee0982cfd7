/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of their own: commands that wait for data, and subscriptions. */
#include "bed.h"

#include <string.h>

static guint n_waiting (const RedisServer *server)
{
  g_autofree char *list = bed_direct (server, "CLIENT LIST");
  guint n = 0;

  for (const char *at = list; (at = strstr (at, "flags=b")) != NULL; at++)
    n++;
  return n;
}

static void test_blocking (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "PING", "+PONG");
  bed_send (kv, &count, "BLPOP list 0");
  bed_wait (kv, n_waiting (server) == 1);
  kv_assert (kv, "SET a 1", "+OK"); /* nobody else waits */
  kv_assert (kv, "RPUSH list x", ":1");
  bed_wait (kv, count.n == 1);
  g_assert_cmpstr (count.last, ==, "[\"list\" \"x\"]");
  kv_assert (kv, "BLPOP list 0.1", "nil");
  kv_assert (kv, "BLMOVE list other LEFT RIGHT 0.1", "nil");
}

/* More than there are places for; each gets its turn. */
static void test_pool (void)
{
  static const char *const more[] = {"redis.pool_size=2", NULL};
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, more);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "PING", "+PONG");
  for (guint i = 0; i < 10; i++)
    bed_send (kv, &count, "BLPOP list 0");
  bed_wait (kv, n_waiting (server) == 2);
  kv_assert (kv, "RPUSH list 0 1 2 3 4 5 6 7 8 9", ":10");
  bed_wait (kv, count.n == 10);
  g_assert_cmpuint (count.n_ok, ==, 10);
}

/* What nobody waits for takes nothing later. */
static void test_cancel (void)
{
  static const char *const more[] = {"redis.pool_size=1", NULL};
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, more);
  ChPlugin *other = ch_owner_new (&kv->services, "other", NULL);

  kv_assert (kv, "PING", "+PONG");
  ch_kv_commandv (other, NULL, NULL, "BLPOP", "list", "0", NULL);
  ch_kv_commandv (other, NULL, NULL, "BLPOP", "list", "0", NULL);
  bed_wait (kv, n_waiting (server) == 1);
  ch_owner_free (other);
  bed_wait (kv, n_waiting (server) == 0);
  kv_assert (kv, "RPUSH list x", ":1");
  kv_assert (kv, "LLEN list", ":1");
  kv_assert (kv, "BLPOP list 0", "[\"list\" \"x\"]");
}

static void test_lost (void)
{
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, NULL);
  g_auto (BedCount) count = {0};

  kv_assert (kv, "PING", "+PONG");
  bed_send (kv, &count, "BLPOP list 0");
  bed_wait (kv, n_waiting (server) == 1);
  redis_server_kill (server);
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unknown, ==, 1);
  g_assert_true (redis_server_again (server));
  bed_wait (kv, bed_up (kv));
  kv_assert (kv, "BLPOP list 0.1", "nil");
}

static void message (ChPlugin *self, const char *channel, const char *text, gsize size,
                     gpointer user_data)
{
  GString *heard = user_data;
  g_string_append_printf (heard, "%s=%.*s ", channel, (gint) size, text);
}

static gboolean has_subscriptions (const RedisServer *server)
{
  g_autofree char *channels = bed_direct (server, "PUBSUB NUMSUB p:one");
  g_autofree char *patterns = bed_direct (server, "PUBSUB NUMPAT");
  return g_str_equal (channels, "[\"p:one\" :1]") && g_str_equal (patterns, ":1");
}

static void test_channels (void)
{
  static const char *const more[] = {"redis.key_prefix=p:", NULL};
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autoptr (KvFixture) kv = bed_open (server, more);
  g_autoptr (GString) heard = g_string_new (NULL);

  ChSubscription one = ch_kv_subscribe (kv->caller, "one", message, heard);
  ch_kv_subscribe (kv->caller, "t*", message, heard);
  bed_wait (kv, has_subscriptions (server));
  kv_assert (kv, "PUBLISH one 1", ":1");
  kv_assert (kv, "PUBLISH two 2", ":1");
  kv_assert (kv, "PUBLISH other 3", ":0");
  bed_wait (kv, heard->len >= 12);
  g_assert_cmpstr (heard->str, ==, "one=1 two=2 ");
  /* The connection is cut, then the whole server. */
  g_autofree char *killed = bed_direct (server, "CLIENT KILL TYPE pubsub");
  g_assert_cmpstr (killed, ==, ":1");
  bed_wait (kv, has_subscriptions (server));
  redis_server_kill (server);
  bed_wait (kv, !bed_up (kv));
  g_assert_true (redis_server_again (server));
  bed_wait (kv, bed_up (kv) && has_subscriptions (server));
  kv_assert (kv, "PUBLISH one again", ":1");
  bed_wait (kv, heard->len >= 22);
  g_assert_cmpstr (heard->str, ==, "one=1 two=2 one=again ");
  ch_kv_unsubscribe (kv->caller, one);
  bed_wait (kv, !has_subscriptions (server));
  kv_assert (kv, "PUBLISH one 4", ":0");
}

int main (int argc, char **argv)
{
  int status;

  if (!bed_begin (&argc, &argv, &status))
    return status;
  g_test_add_func ("/kv-redis/waiting/blocking", test_blocking);
  g_test_add_func ("/kv-redis/waiting/pool", test_pool);
  g_test_add_func ("/kv-redis/waiting/cancel", test_cancel);
  g_test_add_func ("/kv-redis/waiting/lost", test_lost);
  g_test_add_func ("/kv-redis/waiting/channels", test_channels);
  return g_test_run ();
}
