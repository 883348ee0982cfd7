/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What takes time: expiry, waiting commands, memory, snapshots. */
#include "base/log-private.h"
#include "helpers/kv-fixture.h"
#include "memory.h"
#include "snapshot.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const ChPluginInfo *ch_plugin_kv_memory_query (void);

#define NOW_MS 1704528000000

static KvFixture *open_kv (const char *const *options)
{
  return kv_fixture_new (ch_plugin_kv_memory_query, ch_clock_new_fake (NOW_MS), options);
}

static gsize keys_in_memory (KvFixture *kv)
{
  Mem *mem = ch_plugin_data (kv->driver);
  return mem_dict_count (&mem->keys);
}

/* ---- expiry -------------------------------------------------------------------------
 */

static void test_lazy (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);

  kv_assert (kv, "SET k v PX 1500", "+OK");
  kv_assert (kv, "PTTL k", ":1500");
  kv_assert (kv, "TTL k", ":2");
  ch_clock_advance_ms (kv->services.clock, 1499);
  kv_assert (kv, "GET k", "\"v\"");
  ch_clock_advance_ms (kv->services.clock, 1);
  kv_assert (kv, "GET k", "nil");
  kv_assert (kv, "TTL k", ":-2");
}

/* Nobody looks at them, and yet they go. */
static void test_active (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);

  kv_assert (kv, "SET a 1 PX 1000", "+OK");
  kv_assert (kv, "SET b 1 PX 5000", "+OK");
  kv_assert (kv, "SET c 1", "+OK");
  kv_assert (kv, "HSET h f 1", ":1");
  kv_assert (kv, "PEXPIRE h 1000", ":1");
  kv_fixture_advance (kv, 1100);
  g_assert_cmpuint (keys_in_memory (kv), ==, 2);
  kv_assert (kv, "PEXPIRE b 9000", ":1"); /* put off: it sinks when it comes up */
  kv_fixture_advance (kv, 4500);
  g_assert_cmpuint (keys_in_memory (kv), ==, 2);
  kv_fixture_advance (kv, 5000);
  g_assert_cmpuint (keys_in_memory (kv), ==, 1);
  kv_assert (kv, "GET c", "\"1\"");
}

static void test_sooner (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);

  kv_assert (kv, "SET a 1 EX 1000", "+OK");
  kv_assert (kv, "SET b 1 EX 2000", "+OK");
  kv_assert (kv, "PEXPIRE b 500", ":1");
  kv_assert (kv, "PERSIST a", ":1");
  kv_fixture_advance (kv, 600);
  g_assert_cmpuint (keys_in_memory (kv), ==, 1);
  for (guint i = 0; i < 40; i++)
    kv_fixture_advance (kv, 60000);
  kv_assert (kv, "GET a", "\"1\"");
}

static void test_many (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);

  for (guint i = 0; i < 5000; i++) {
    g_autofree char *line
        = g_strdup_printf ("SET key:%u v PX %u", i, 1000 + i * 7919 % 5000);
    kv_assert (kv, line, "+OK");
  }
  for (guint i = 0; i < 100; i++)
    kv_fixture_advance (kv, 100);
  g_assert_cmpuint (keys_in_memory (kv), ==, 0);
}

/* The wall clock jumps; TTLs follow it, timers are looked at again. */
static void test_clock_jump (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);

  kv_assert (kv, "SET k v EX 3600", "+OK");
  ch_clock_step_wall_ms (kv->services.clock, 3600 * 1000);
  kv_assert (kv, "EXISTS k", ":0");
  kv_assert (kv, "SET k v EX 3600", "+OK");
  ch_clock_step_wall_ms (kv->services.clock, 3600 * 1000);
  kv_fixture_advance (kv, 61000);
  g_assert_cmpuint (keys_in_memory (kv), ==, 0);
}

static void test_time (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);
  kv_assert (kv, "TIME", "[\"1704528000\" \"0\"]");
  ch_clock_advance_ms (kv->services.clock, 1250);
  kv_assert (kv, "EVAL 'return redis.call(\"TIME\")' 0", "[\"1704528001\" \"250000\"]");
}

/* ---- waiting ------------------------------------------------------------------------
 */

typedef struct {
  GString *heard;
  const char *name;
} Waiting;

static void heard (ChPlugin *self, const ChKvReply *reply, const GError *error,
                   gpointer user_data)
{
  Waiting *waiting = user_data;
  g_autofree char *text
      = reply != NULL ? kv_reply_text (reply) : g_strdup (error->message);
  g_string_append_printf (waiting->heard, "%s=%s;", waiting->name, text);
}

static void ask (KvFixture *kv, Waiting *waiting, const char *line)
{
  g_auto (KvWords) words;
  kv_words_split (&words, line);
  ch_kv_command (kv->caller, heard, waiting, (const char *const *) words.words->pdata,
                 (const gsize *) (gpointer) words.sizes->data, words.words->len);
  kv_fixture_turn (kv);
}

#define assert_heard(waiting, text)                                                      \
  G_STMT_START                                                                           \
  {                                                                                      \
    g_assert_cmpstr ((waiting).heard->str, ==, (text));                                  \
    g_string_truncate ((waiting).heard, 0);                                              \
  }                                                                                      \
  G_STMT_END

static void test_blocking (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  Waiting a = {text, "a"}, b = {text, "b"}, c = {text, "c"};

  ask (kv, &a, "BLPOP other list 0");
  ask (kv, &b, "BRPOP list 0");
  ask (kv, &c, "BLMOVE list moved LEFT RIGHT 0");
  assert_heard (a, "");
  kv_assert (kv, "RPUSH list 1", ":1");
  assert_heard (a, "a=[\"list\" \"1\"];"); /* the first that came */
  kv_assert (kv, "RPUSH list 2 3 4", ":3");
  assert_heard (a, "b=[\"list\" \"4\"];c=\"2\";");
  kv_assert (kv, "LRANGE list 0 -1", "[\"3\"]");
  kv_assert (kv, "LRANGE moved 0 -1", "[\"2\"]");
  kv_assert (kv, "DEL list", ":1");
  ask (kv, &a, "BLMOVE list chain LEFT RIGHT 0");
  ask (kv, &b, "BLPOP chain 0");
  kv_assert (kv, "EVAL 'return redis.call(\"LPUSH\", KEYS[1], \"x\")' 1 list", ":1");
  assert_heard (a, "a=\"x\";b=[\"chain\" \"x\"];");
  kv_assert (kv, "EXISTS list chain", ":0");
  ask (kv, &a, "BZPOPMIN z 0");
  kv_assert (kv, "ZADD z 2 two 1 one", ":2");
  assert_heard (a, "a=[\"z\" \"one\" \"1\"];");
  ask (kv, &a, "BLPOP late 0");
  kv_assert (kv, "RPUSH early x", ":1");
  kv_assert (kv, "RENAME early late", "+OK");
  assert_heard (a, "a=[\"late\" \"x\"];");
}

static void test_blocking_timeout (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  Waiting a = {text, "a"}, b = {text, "b"};

  ask (kv, &a, "BLPOP list 1.5");
  ask (kv, &b, "BLMOVE list moved LEFT LEFT 2");
  kv_fixture_advance (kv, 1400);
  assert_heard (a, "");
  kv_fixture_advance (kv, 200);
  assert_heard (a, "a=nil;");
  kv_fixture_advance (kv, 500);
  assert_heard (a, "b=nil;");
  kv_assert (kv, "RPUSH list x", ":1"); /* nobody takes it */
  kv_assert (kv, "LLEN list", ":1");
}

/* Whoever stops takes nothing with it. */
static void test_blocking_owner_stops (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  Waiting a = {text, "a"};
  ChPlugin *other = ch_owner_new (&kv->services, "other", NULL);

  ch_kv_commandv (other, heard, &a, "BLPOP", "list", "0", NULL);
  ch_owner_free (other);
  kv_assert (kv, "RPUSH list x", ":1");
  kv_assert (kv, "LRANGE list 0 -1", "[\"x\"]");
  g_assert_cmpuint (ch_kv_pending (kv->services.kv), ==, 0);
  ask (kv, &a, "BLPOP nothing 0"); /* still waits when the driver closes */
}

/* ---- channels -----------------------------------------------------------------------
 */

static void message (ChPlugin *self, const char *channel, const char *text, gsize size,
                     gpointer user_data)
{
  g_string_append_printf (user_data, "%s=%s;", channel, text);
}

static void test_pubsub (void)
{
  static const char *const options[] = {"redis.key_prefix=site1:", NULL};
  g_autoptr (KvFixture) kv = open_kv (options);
  g_autoptr (GString) text = g_string_new (NULL);

  ch_kv_subscribe (kv->caller, "alarmsrv:new", message, text);
  ch_kv_subscribe (kv->caller, "alarmsrv:*", message, text);
  kv_assert (kv, "PUBLISH alarmsrv:new hot", ":2");
  kv_assert (kv, "PUBLISH alarmsrv:old cold", ":1");
  kv_assert (kv, "PUBLISH other x", ":0");
  kv_assert (kv,
             "EVAL 'return redis.call(\"PUBLISH\", \"site1:alarmsrv:new\", \"lua\")' 0",
             ":2");
  kv_fixture_turn (kv);
  g_assert_cmpstr (text->str, ==,
                   "alarmsrv:new=hot;alarmsrv:new=hot;alarmsrv:old=cold;"
                   "alarmsrv:new=lua;alarmsrv:new=lua;");
  kv_assert (kv, "SET k v", "+OK");
  kv_assert (kv, "KEYS *", "[\"k\"]");
  kv_assert (kv, "SCAN 0", "[\"0\" [\"k\"]]");
  kv_assert (kv, "EVAL 'return redis.call(\"KEYS\", \"*\")' 0", "[\"site1:k\"]");
}

/* ---- memory -------------------------------------------------------------------------
 */

static void test_memory_comes_back (void)
{
  g_autoptr (KvFixture) kv = open_kv (NULL);
  Mem *mem = ch_plugin_data (kv->driver);
  gsize used = mem->heap.used;

  for (guint i = 0; i < 2000; i++) {
    g_autofree char *line = g_strdup_printf (
        "EVAL 'local k = ARGV[1] redis.call(\"SET\", \"s\"..k, k, \"EX\", 100) "
        "redis.call(\"HSET\", \"h\"..k, k, k) redis.call(\"SADD\", \"m\", k) "
        "redis.call(\"ZADD\", \"z\", k, k) redis.call(\"RPUSH\", \"l\", k) "
        "redis.call(\"APPEND\", \"s\"..k, \"xyz\")' 0 %u",
        i);
    kv_assert (kv, line, "nil");
  }
  g_assert_cmpuint (mem->heap.used, >, used);
  kv_assert (kv, "FLUSHALL", "+OK");
  g_assert_cmpuint (mem->heap.used, ==, used);
}

static void test_full (void)
{
  static const char *const options[] = {"kv-memory.max_memory=100K", NULL};
  g_autoptr (KvFixture) kv = open_kv (options);
  g_autofree char *large = g_strnfill (120000, 'x');
  g_autofree char *line = g_strconcat ("SET big ", large, NULL);
  static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.";

  kv_assert (kv, line, "+OK");
  kv_assert (kv, "SET k v", oom);
  kv_assert (kv, "EVAL 'return redis.call(\"SET\", \"k\", 1)' 0",
             "-OOM command not allowed when used memory > 'maxmemory'. script: "
             "fa3d320e26c68a6e3e3f6cba2387fbe74b3a43de, on @user_script:1.");
  kv_assert (kv, "STRLEN big", ":120000");
  kv_assert (kv, "DEL big", ":1");
  kv_assert (kv, "SET k v", "+OK");
}

/* ---- snapshots ----------------------------------------------------------------------
 */

typedef struct {
  char *folder, *path, *option;
  const char *options[3];
} Place;

static void place_init (Place *place, const char *interval)
{
  place->folder = g_dir_make_tmp ("kv-snapshot-XXXXXX", NULL);
  place->path = g_build_filename (place->folder, "kv.snapshot", NULL);
  place->option = g_strconcat ("kv-memory.snapshot_path=", place->path, NULL);
  place->options[0] = place->option;
  place->options[1] = interval;
}

static void place_clear (Place *place)
{
  g_autofree char *broken = g_strconcat (place->path, ".broken", NULL);
  g_unlink (place->path);
  g_unlink (broken);
  g_assert_cmpint (g_rmdir (place->folder), ==, 0);
  g_free (place->folder);
  g_free (place->path);
  g_free (place->option);
}

static void fill (KvFixture *kv)
{
  kv_assert (kv, "SET s \"a\\x00b\" EX 1000", "+OK");
  kv_assert (kv, "SET empty \"\"", "+OK");
  kv_assert (kv, "SET soon x EX 10", "+OK");
  kv_assert (kv, "HSET h f 1 g \"\"", ":2");
  kv_assert (kv, "RPUSH l a b c", ":3");
  kv_assert (kv, "SADD m x", ":1");
  kv_assert (kv, "ZADD z -inf low 0.1 mid inf high", ":3");
}

static void check_filled (KvFixture *kv)
{
  kv_assert (kv, "GET s", "\"a\\x00b\"");
  kv_assert (kv, "GET empty", "\"\"");
  kv_assert (kv, "HMGET h f g", "[\"1\" \"\"]");
  kv_assert (kv, "LRANGE l 0 -1", "[\"a\" \"b\" \"c\"]");
  kv_assert (kv, "SMEMBERS m", "[\"x\"]");
  kv_assert (kv, "ZRANGE z 0 -1 WITHSCORES",
             "[\"low\" \"-inf\" \"mid\" \"0.10000000000000001\" \"high\" \"inf\"]");
  kv_assert (kv, "TTL h", ":-1");
}

static void test_snapshot_at_end (void)
{
  Place place = {NULL};
  struct stat info;

  place_init (&place, "kv-memory.snapshot_interval=0");
  KvFixture *kv = open_kv (place.options);
  fill (kv);
  ch_clock_advance_ms (kv->services.clock, 20000);
  kv_fixture_restart (kv);
  check_filled (kv);
  kv_assert (kv, "TTL s", ":980");
  kv_assert (kv, "EXISTS soon", ":0");
  kv_fixture_free (kv);
  g_assert_cmpint (stat (place.path, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  place_clear (&place);
}

/* A child writes it while the kv goes on. */
static void test_snapshot_meanwhile (void)
{
  Place place = {NULL};

  place_init (&place, "kv-memory.snapshot_interval=10s");
  KvFixture *kv = open_kv (place.options);
  fill (kv);
  kv_fixture_advance (kv, 10100);
  kv_assert (kv, "SET s later", "+OK");
  for (guint i = 0; i < 1000 && !g_file_test (place.path, G_FILE_TEST_EXISTS); i++) {
    kv_fixture_advance (kv, 100);
    poll (NULL, 0, 10); /* the child is a process of its own */
  }
  KvFixture *other = open_kv (place.options);
  kv_assert (other, "GET s", "\"a\\x00b\"");
  check_filled (other);
  kv_fixture_free (other);
  kv_fixture_free (kv);
  place_clear (&place);
}

static void no_lines (ChLogLevel level, const char *line, gpointer data) {}

/* Opens a kv on these bytes. Returns: how many keys it has */
static gsize keys_from (Place *place, const char *bytes, gsize size)
{
  g_assert_true (g_file_set_contents (place->path, bytes, (gssize) size, NULL));
  g_autoptr (KvFixture) kv = open_kv (place->options);
  return keys_in_memory (kv);
}

/* As if the broken bytes had been meant: only the parser stands between. */
static void seal (char *bytes, gsize size)
{
  guint64 hash = mem_snapshot_hash (0, (const guint8 *) bytes, size - sizeof hash);
  hash = GUINT64_TO_LE (hash);
  memcpy (bytes + size - sizeof hash, &hash, sizeof hash);
}

/* Whatever byte is wrong: empty, and the file is kept aside. */
static void test_snapshot_broken (void)
{
  Place place = {NULL};
  g_autofree char *bytes = NULL;
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  gsize size;

  place_init (&place, "kv-memory.snapshot_interval=0");
  KvFixture *kv = open_kv (place.options);
  fill (kv);
  kv_fixture_free (kv);
  g_assert_true (g_file_get_contents (place.path, &bytes, &size, NULL));
  g_autofree char *aside = g_strconcat (place.path, ".broken", NULL);
  ch_log_set_sink (no_lines, NULL);
  for (gsize i = 0; i < size; i++) {
    g_autofree char *wrong = g_memdup2 (bytes, size);
    wrong[i] = (char) (wrong[i] ^ 0x40);
    g_assert_cmpuint (keys_from (&place, wrong, size), ==, 0);
    g_assert_true (g_file_test (aside, G_FILE_TEST_EXISTS));
  }
  for (gsize n = 0; n < size; n += 7)
    g_assert_cmpuint (keys_from (&place, bytes, n), ==, 0);
  for (guint i = 0; i < 500; i++) {
    g_autofree char *wrong = g_memdup2 (bytes, size);
    gint at = g_rand_int_range (random, 8, (gint32) size - 8);
    wrong[at] = (char) g_rand_int (random);
    seal (wrong, size);
    g_assert_cmpuint (keys_from (&place, wrong, size), <, 20);
  }
  ch_log_set_sink (NULL, NULL);
  place_clear (&place);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-memory/expiry/lazy", test_lazy);
  g_test_add_func ("/kv-memory/expiry/active", test_active);
  g_test_add_func ("/kv-memory/expiry/sooner", test_sooner);
  g_test_add_func ("/kv-memory/expiry/many", test_many);
  g_test_add_func ("/kv-memory/expiry/clock-jump", test_clock_jump);
  g_test_add_func ("/kv-memory/expiry/time", test_time);
  g_test_add_func ("/kv-memory/blocking/served", test_blocking);
  g_test_add_func ("/kv-memory/blocking/timeout", test_blocking_timeout);
  g_test_add_func ("/kv-memory/blocking/owner-stops", test_blocking_owner_stops);
  g_test_add_func ("/kv-memory/pubsub", test_pubsub);
  g_test_add_func ("/kv-memory/memory/comes-back", test_memory_comes_back);
  g_test_add_func ("/kv-memory/memory/full", test_full);
  g_test_add_func ("/kv-memory/snapshot/at-end", test_snapshot_at_end);
  g_test_add_func ("/kv-memory/snapshot/meanwhile", test_snapshot_meanwhile);
  g_test_add_func ("/kv-memory/snapshot/broken", test_snapshot_broken);
  return g_test_run ();
}
