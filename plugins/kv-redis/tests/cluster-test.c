/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cluster of six nodes under traffic: counters are increased without a pause while
 * slots move and a primary dies. No increase may have happened twice: a counter is at
 * most what was answered plus what nobody knows. None that was answered may be missing,
 * but for the last ones before the primary died: Redis answers before its replica has it.
 */
#include "bed.h"
#include "helpers/redis-cluster.h"

#include <string.h>

#define N_COUNTERS 200
#define IN_FLIGHT 64

#define LIBRARY                                                                          \
  "#!lua name=pairs\n"                                                                   \
  "-- keys: one slot\n"                                                                  \
  "redis.register_function ('both', function (keys, args)\n"                             \
  "  redis.call ('INCR', keys[2])\n"                                                     \
  "  return redis.call ('INCR', keys[1])\n"                                              \
  "end)\n"

typedef struct {
  guint acked[N_COUNTERS];
  guint unknown[N_COUNTERS];
  guint n_flight, n_acked, n_unknown, n_refused, next;
  gboolean going;
  KvFixture *kv;
} Traffic;

static void send_one (Traffic *traffic);

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  guint index = GPOINTER_TO_UINT (user_data);
  Traffic *traffic = ch_plugin_data (self);

  traffic->n_flight--;
  if (error == NULL) {
    traffic->acked[index]++;
    traffic->n_acked++;
  } else if (g_error_matches (error, CH_KV_ERROR, CH_KV_ERROR_OUTCOME_UNKNOWN)
             || g_error_matches (error, CH_KV_ERROR, CH_KV_ERROR_TIMEOUT)) {
    traffic->unknown[index]++;
    traffic->n_unknown++;
  } else {
    traffic->n_refused++;
    g_test_message ("%s", error->message);
  }
  if (traffic->going)
    send_one (traffic);
}

static void send_one (Traffic *traffic)
{
  guint index = traffic->next++ % N_COUNTERS;
  g_autofree char *one = g_strdup_printf ("one:{%u}", index);
  g_autofree char *two = g_strdup_printf ("two:{%u}", index);
  const char *const keys[] = {one, two};

  traffic->n_flight++;
  ch_kv_call (traffic->kv->caller, answered, GUINT_TO_POINTER (index), "both", keys, 2,
              NULL, 0);
}

static void begin (Traffic *traffic, KvFixture *kv)
{
  traffic->kv = kv;
  traffic->going = TRUE;
  ch_plugin_set_data (kv->caller, traffic);
  while (traffic->n_flight < IN_FLIGHT)
    send_one (traffic);
}

static void more (Traffic *traffic, guint n)
{
  guint until = traffic->n_acked + n;
  bed_wait (traffic->kv, traffic->n_acked >= until);
}

static void check (Traffic *traffic)
{
  guint64 missing = 0;

  traffic->going = FALSE;
  bed_wait (traffic->kv, traffic->n_flight == 0);
  for (guint i = 0; i < N_COUNTERS; i++) {
    g_autofree char *line = g_strdup_printf ("MGET one:{%u} two:{%u}", i, i);
    g_auto (KvWords) words;
    kv_words_split (&words, line);
    g_autoptr (ChKvReply) reply = kv_fixture_run (traffic->kv, &words);
    g_assert_cmpuint (reply->n_items, ==, 2);
    g_assert_cmpstr (reply->items[0]->text, ==, reply->items[1]->text);
    guint64 value = g_ascii_strtoull (reply->items[0]->text, NULL, 10);
    missing += value < traffic->acked[i] ? traffic->acked[i] - value : 0;
    g_assert_cmpuint (value, <=, traffic->acked[i] + traffic->unknown[i]);
  }
  g_assert_cmpuint (missing, <=, IN_FLIGHT);
  g_test_message ("%u answered, %u unknown, %u refused, %" G_GUINT64_FORMAT " missing",
                  traffic->n_acked, traffic->n_unknown, traffic->n_refused, missing);
}

static KvFixture *open_kv (const RedisCluster *cluster)
{
  g_autofree char *addresses = redis_cluster_addresses (cluster);
  g_autofree char *option = g_strconcat ("redis.cluster_nodes=", addresses, NULL);
  const char *const options[] = {option, "kv.timeout=20s", NULL};
  KvFixture *kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
  g_autoptr (GError) error = NULL;

  ch_kv_library (kv->caller, LIBRARY, &error);
  g_assert_no_error (error);
  ch_kv_set_slotted (kv->caller, TRUE);
  return kv;
}

static char *id_of (const RedisServer *server)
{
  g_autofree char *text = bed_direct (server, "CLUSTER MYID");
  return g_strndup (text + 1, 40);
}

static void tell (const RedisServer *server, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
static void tell (const RedisServer *server, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *line = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *answer = bed_direct (server, line);
  if (answer[0] == '-')
    g_test_message ("%s: %s", line, answer);
}

/* As redis-cli moves a slot: open it at both ends, move the keys, close it. */
static void move_slot (Traffic *traffic, RedisCluster *cluster, guint from, guint to,
                       guint slot)
{
  RedisServer *source = cluster->servers[from], *target = cluster->servers[to];
  g_autofree char *source_id = id_of (source);
  g_autofree char *target_id = id_of (target);

  tell (target, "CLUSTER SETSLOT %u IMPORTING %s", slot, source_id);
  tell (source, "CLUSTER SETSLOT %u MIGRATING %s", slot, target_id);
  more (traffic, 20); /* ASK for what is not there yet */
  for (;;) {
    g_autofree char *line = g_strdup_printf ("CLUSTER GETKEYSINSLOT %u 10", slot);
    g_autofree char *keys = bed_direct (source, line);
    if (g_str_equal (keys, "[]"))
      break;
    keys[0] = keys[strlen (keys) - 1] = ' ';
    tell (source, "MIGRATE 127.0.0.1 %u \"\" 0 5000 KEYS %s", redis_server_port (target),
          keys);
    more (traffic, 5);
  }
  tell (target, "CLUSTER SETSLOT %u NODE %s", slot, target_id);
  tell (source, "CLUSTER SETSLOT %u NODE %s", slot, target_id);
}

static void test_traffic (void)
{
  const char *reason;
  g_autoptr (RedisCluster) cluster = redis_cluster_start (&reason);
  if (cluster == NULL)
    g_error ("%s", reason);
  g_autoptr (KvFixture) kv = open_kv (cluster);
  Traffic traffic = {.kv = NULL};

  begin (&traffic, kv);
  more (&traffic, 2000);
  /* Slots of some counters go from whoever has them to the third node. */
  for (guint i = 0; i < 30; i++) {
    g_autofree char *line = g_strdup_printf ("CLUSTER KEYSLOT one:{%u}", i);
    g_autofree char *text = bed_direct (cluster->servers[0], line);
    guint slot = (guint) g_ascii_strtoull (text + 1, NULL, 10);
    guint from = slot < 5461 ? 0 : slot < 10923 ? 1 : 2;
    if (from != 2)
      move_slot (&traffic, cluster, from, 2, slot);
  }
  more (&traffic, 1000);
  g_assert_cmpfloat (bed_metric (kv, "chargehost_redis_cluster_redirects_total"), >, 0);
  gint64 since_us = g_get_monotonic_time ();
  redis_server_kill (cluster->servers[0]);
  guint before = traffic.n_unknown;
  more (&traffic, 5000);
  g_test_message ("5000 more %" G_GINT64_FORMAT " ms after a primary was killed, %u of "
                  "unknown outcome",
                  (g_get_monotonic_time () - since_us) / 1000,
                  traffic.n_unknown - before);
  g_assert_cmpuint (traffic.n_refused, ==, 0);
  check (&traffic);
}

/* A cluster does not hold what spans slots, and says so. */
static void test_refused (void)
{
  g_autoptr (GError) error = NULL;
  const char *const options[] = {"redis.cluster_nodes=127.0.0.1:1", NULL};
  g_autoptr (KvFixture) kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);

  g_assert_false (ch_kv_library (kv->caller, "#!lua name=core\n", &error));
  g_assert_nonnull (strstr (error->message, "needs one primary"));
}

/* One primary and a cluster: each caller where it belongs. */
static void test_both (void)
{
  const char *reason;
  g_autoptr (RedisCluster) cluster = redis_cluster_start (&reason);
  if (cluster == NULL)
    g_error ("%s", reason);
  g_autoptr (RedisServer) server = bed_server (0, NULL);
  g_autofree char *addresses = redis_cluster_addresses (cluster);
  g_autofree char *option = g_strconcat ("redis.cluster_nodes=", addresses, NULL);
  const char *const options[] = {option, NULL};
  g_autoptr (KvFixture) kv = bed_open (server, options);

  kv_assert (kv, "SET a primary", "+OK");
  ch_kv_set_slotted (kv->caller, TRUE);
  kv_assert (kv, "SET a cluster", "+OK");
  kv_assert (kv, "GET a", "\"cluster\"");
  kv_assert (kv, "MSET {x}a 1 {x}b 2", "+OK");
  kv_assert (kv, "MSET a 1 b 2",
             "-CROSSSLOT Keys in request don't hash to the same slot");
  kv_assert (kv, "BLPOP list 0.1", "nil");
  g_autofree char *there = bed_direct (server, "GET a");
  g_assert_cmpstr (there, ==, "\"primary\"");
}

int main (int argc, char **argv)
{
  int status;

  if (!bed_begin (&argc, &argv, &status))
    return status;
  g_test_add_func ("/kv-redis/cluster/traffic", test_traffic);
  g_test_add_func ("/kv-redis/cluster/refused", test_refused);
  g_test_add_func ("/kv-redis/cluster/both", test_both);
  return g_test_run ();
}
