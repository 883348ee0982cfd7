/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kv in process: simple commands and functions through the front, and big sets. */
#include "helpers/kv-fixture.h"

#include <stdio.h>
#include <time.h>

#define BATCH 512 /* commands per turn, as many devices at once would have it */

const ChPluginInfo *ch_plugin_kv_memory_query (void);

static guint64 n_answers;
static const char *wanted;  /* only what begins with it */
static guint64 divisor = 1; /* for slow tools */

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  if (reply == NULL || reply->kind == CH_KV_REPLY_ERROR)
    g_error ("%s", error->message);
  n_answers++;
}

/* Of this thread, so that other programs do not count. */
static double cpu_seconds (void)
{
  struct timespec now;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

typedef void (*Send) (KvFixture *kv, guint64 i);

static void measure (KvFixture *kv, const char *what, guint64 count, Send send)
{
  guint64 sent = 0;

  count /= divisor;
  if (wanted != NULL && !g_str_has_prefix (what, wanted))
    return;
  n_answers = 0;
  double start = cpu_seconds ();
  while (sent < count) {
    for (guint i = 0; i < BATCH && sent < count; i++)
      send (kv, sent++);
    while (n_answers < sent)
      kv_fixture_turn (kv);
  }
  double seconds = cpu_seconds () - start;
  printf ("%-44s %10.0f /s  %8.0f ns\n", what, (double) count / seconds,
          seconds * 1e9 / (double) count);
}

static const char *key_of (char text[32], const char *prefix, guint64 i)
{
  char digits[24];
  char *at = digits + sizeof digits - 1;
  char *to = text;

  *at = '\0';
  do {
    *--at = (char) ('0' + i % 10);
    i /= 10;
  } while (i > 0);
  to = g_stpcpy (to, prefix);
  g_stpcpy (to, at);
  return text;
}

static void command (KvFixture *kv, const char *const *argv, gsize argc)
{
  ch_kv_command (kv->caller, answered, NULL, argv, NULL, argc);
}

static void send_set (KvFixture *kv, guint64 i)
{
  char key[32];
  const char *const argv[] = {"SET", key_of (key, "key:", i % 10000), "value"};
  command (kv, argv, 3);
}

static void send_get (KvFixture *kv, guint64 i)
{
  char key[32];
  const char *const argv[] = {"GET", key_of (key, "key:", i % 10000)};
  command (kv, argv, 2);
}

static void send_incr (KvFixture *kv, guint64 i)
{
  const char *const argv[] = {"INCR", "counter"};
  command (kv, argv, 2);
}

static void send_touch (KvFixture *kv, guint64 i)
{
  char key[32];
  const char *const argv[]
      = {"SET", key_of (key, "session:", i % 10000), "{}", "PX", "600000"};
  command (kv, argv, 5);
}

static void send_hset (KvFixture *kv, guint64 i)
{
  char field[32];
  const char *const argv[]
      = {"HSET", "comsrv:1001:T", key_of (field, "", i % 1000), "230.100000"};
  command (kv, argv, 4);
}

static void send_zadd (KvFixture *kv, guint64 i)
{
  char member[32], score[32];
  const char *const argv[]
      = {"ZADD", "queue", key_of (score, "170452800", i * 7919 % 100000),
         key_of (member, "cmd_", i % 100000)};
  command (kv, argv, 4);
}

static void send_zrange (KvFixture *kv, guint64 i)
{
  const char *const argv[]
      = {"ZRANGEBYSCORE", "queue", "-inf", "+inf", "LIMIT", "0", "1"};
  command (kv, argv, 7);
}

static void send_function (KvFixture *kv, guint64 i)
{
  char key[32];
  const char *const keys[] = {key_of (key, "dev:", i % 10000), "online"};
  const char *const args[] = {"1704528000123"};
  ch_kv_call (kv->caller, answered, NULL, "touch", keys, 2, args, 1);
}

static void send_empty (KvFixture *kv, guint64 i)
{
  ch_kv_call (kv->caller, answered, NULL, "nothing", NULL, 0, NULL, 0);
}

int main (int argc, char **argv)
{
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_memory_query, NULL, NULL);
  g_autoptr (GError) error = NULL;

  wanted = argc > 1 ? argv[1] : NULL;
  if (argc > 2)
    divisor = MAX (g_ascii_strtoull (argv[2], NULL, 10), 1);
  ch_kv_library (kv->caller,
                 "#!lua name=bench\n"
                 "redis.register_function ('touch', function (keys, args)\n"
                 "  redis.call ('GET', keys[1])\n"
                 "  redis.call ('SET', keys[1], args[1])\n"
                 "  return redis.call ('ZADD', keys[2], args[1], keys[1])\n"
                 "end)\n"
                 "redis.register_function ('nothing', function () return 1 end)\n",
                 &error);
  g_assert_no_error (error);
  measure (kv, "SET", 3000000, send_set);
  measure (kv, "GET", 3000000, send_get);
  measure (kv, "INCR", 3000000, send_incr);
  measure (kv, "SET with expiry", 2000000, send_touch);
  measure (kv, "HSET", 2000000, send_hset);
  measure (kv, "ZADD of 100,000", 1000000, send_zadd);
  measure (kv, "ZRANGEBYSCORE first of 100,000", 1000000, send_zrange);
  measure (kv, "function without commands", 1000000, send_empty);
  measure (kv, "function of three commands", 1000000, send_function);
  printf ("used memory %.1f MB\n", (double) ch_kv_used_memory (kv->services.kv) / 1e6);
  return 0;
}
