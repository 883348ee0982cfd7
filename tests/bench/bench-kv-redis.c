/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of Redis beside redis-benchmark in the same run, over the same socket: as
 * many commands under way (50 clients with 16 each), the median of three rounds each.
 */
#include "helpers/kv-fixture.h"
#include "helpers/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 800
#define ROUNDS 3

const ChPluginInfo *ch_plugin_kv_redis_query (void);

static guint64 n_answers;

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  if (error != NULL)
    g_error ("%s", error->message);
  n_answers++;
}

static void send_hset (KvFixture *kv)
{
  static const char *const argv[] = {"HSET", "comsrv:1001:T", "17", "230.100000"};
  ch_kv_command (kv->caller, answered, NULL, argv, NULL, 4);
}

static void send_function (KvFixture *kv)
{
  static const char *const keys[] = {"dev:1", "online"};
  static const char *const args[] = {"1704528000123"};
  ch_kv_call (kv->caller, answered, NULL, "touch", keys, 2, args, 1);
}

typedef void (*Send) (KvFixture *kv);

static double measure (KvFixture *kv, guint64 count, Send send)
{
  guint64 sent = 0;
  gint64 begun_us = g_get_monotonic_time ();

  n_answers = 0;
  while (n_answers < count) {
    while (sent < count && sent - n_answers < IN_FLIGHT) {
      send (kv);
      sent++;
    }
    g_main_context_iteration (kv->context, TRUE);
  }
  return (double) count * 1e6 / (double) (g_get_monotonic_time () - begun_us);
}

/* Requests per second that redis-benchmark prints, 0 when it is not there. */
static double beside (const RedisServer *server, guint64 count, const char *command)
{
  g_autofree char *line
      = g_strdup_printf ("redis-benchmark -s %s -P 16 -n %" G_GUINT64_FORMAT " --csv %s",
                         redis_server_socket (server), count, command);
  g_autofree char *text = NULL;
  g_auto (GStrv) words = NULL;

  if (!g_spawn_command_line_sync (line, &text, NULL, NULL, NULL))
    return 0;
  /* "command","rps",… below a line of names */
  const char *at = strstr (text, "\n\"");
  words = g_strsplit (at != NULL ? at + 1 : "", "\"", 5);
  return g_strv_length (words) > 3 ? g_ascii_strtod (words[3], NULL) : 0;
}

static gint compare (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static void round_trip (KvFixture *kv, const RedisServer *server, const char *what,
                        guint64 count, Send send, const char *command)
{
  double ours[ROUNDS], theirs[ROUNDS];

  for (guint i = 0; i < ROUNDS; i++) {
    ours[i] = measure (kv, count, send);
    theirs[i] = beside (server, count, command);
  }
  qsort (ours, ROUNDS, sizeof *ours, compare);
  qsort (theirs, ROUNDS, sizeof *theirs, compare);
  printf ("%-28s kv-redis %9.0f /s  redis-benchmark -P 16 %9.0f /s  %4.0f %%\n", what,
          ours[ROUNDS / 2], theirs[ROUNDS / 2],
          theirs[ROUNDS / 2] > 0 ? 100 * ours[ROUNDS / 2] / theirs[ROUNDS / 2] : 0);
}

int main (int argc, char **argv)
{
  const char *reason;
  g_autoptr (RedisServer) server = redis_server_start (&reason);
  g_autoptr (GError) error = NULL;
  guint64 divisor = argc > 1 ? MAX (g_ascii_strtoull (argv[1], NULL, 10), 1) : 1;

  if (server == NULL)
    return redis_server_missing (reason);
  g_autofree char *url
      = g_strconcat ("redis.url=unix://", redis_server_socket (server), NULL);
  const char *const options[] = {url, NULL};
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
  ch_kv_library (kv->caller,
                 "#!lua name=bench\n"
                 "redis.register_function ('touch', function (keys, args)\n"
                 "  redis.call ('GET', keys[1])\n"
                 "  redis.call ('SET', keys[1], args[1])\n"
                 "  return redis.call ('ZADD', keys[2], args[1], keys[1])\n"
                 "end)\n",
                 &error);
  g_assert_no_error (error);
  kv_assert (kv, "PING", "+PONG");
  round_trip (kv, server, "HSET", 1000000 / divisor, send_hset,
              "HSET comsrv:1001:T 17 230.100000");
  round_trip (kv, server, "FCALL of three commands", 300000 / divisor, send_function,
              "FCALL touch 2 dev:1 online 1704528000123");
  return 0;
}
