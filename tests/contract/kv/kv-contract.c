/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every kv must answer: a file of commands, each followed by the reply.
 *
 *   == name      begins a part: the kv is emptied
 *   COMMAND …    words as in a shell
 *   % COMMAND …  the same, left out for a cluster: a key that is not declared
 *   = reply      as kv_reply_text() writes it; of errors the part before ` script:`
 *   ~ reply      the same, items in order of their text; ~2 for pairs
 *   ^ :number    a time: at most 2 % and 2 away
 *   ?            anything but an error
 *
 * The first argument names the kv: `memory`, `redis`, `cluster` (all keys in one slot,
 * by a prefix with a hash tag), or `server` for Redis without a driver, which shows that
 * the file is right.
 */
#include "helpers/kv-fixture.h"
#include "helpers/redis-cluster.h"
#include "helpers/resp-client.h"

#include <string.h>

#define SLOT_PREFIX "{all}" /* no command of the file has it */

const ChPluginInfo *ch_plugin_kv_memory_query (void);
#ifdef WITH_KV_REDIS
const ChPluginInfo *ch_plugin_kv_redis_query (void);
#endif

typedef struct {
  RedisServer *server;
  RedisCluster *cluster;
  KvFixture *fixture; /* one of the two */
  RespClient *client;
  const char *path;
  guint line;
  guint n_commands;
} Suite;

static ChKvReply *run_words (Suite *suite, const KvWords *words)
{
  if (suite->fixture != NULL)
    return kv_fixture_run (suite->fixture, words);
  resp_client_send (suite->client, (const char *const *) words->words->pdata,
                    (const gsize *) (gpointer) words->sizes->data, words->words->len);
  ChKvReply *reply = resp_client_read (suite->client);
  g_assert_nonnull (reply);
  return reply;
}

static ChKvReply *run_line (Suite *suite, const char *line)
{
  g_auto (KvWords) words;
  kv_words_split (&words, line);
  suite->n_commands++;
  return run_words (suite, &words);
}

static void empty (Suite *suite)
{
  static const char *const lines[] = {"FLUSHALL", "FUNCTION FLUSH", "SCRIPT FLUSH"};
  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autoptr (ChKvReply) reply = run_line (suite, lines[i]);
    g_assert_cmpint (reply->kind, ==, CH_KV_REPLY_STATUS);
  }
}

static gboolean is_near (const ChKvReply *reply, const char *expected)
{
  if (reply->kind != CH_KV_REPLY_INTEGER || expected[0] != ':')
    return FALSE;
  gint64 number = g_ascii_strtoll (expected + 1, NULL, 10);
  return ABS (reply->integer - number) <= ABS (number) / 50 + 2
         && (number < 0) == (reply->integer < 0);
}

/* Functions see whole names, with the prefix that keeps all in one slot. */
static char *without_prefix (char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, SLOT_PREFIX, -1);
  g_free (text);
  return g_strjoinv (NULL, parts);
}

/* What came, when it is not what the line says. (transfer full) (nullable) */
static char *mismatch (const ChKvReply *reply, const char *line)
{
  char *text = NULL;
  const char *expected = strchr (line, ' ');
  gboolean ok;

  expected = expected != NULL ? expected + 1 : "";
  if (line[0] == '~' && reply->kind == CH_KV_REPLY_ARRAY)
    text = kv_reply_sorted_text (reply, line[1] == '2' ? 2 : 1);
  else
    text = kv_reply_plain_text (reply);
  text = without_prefix (text);
  if (line[0] == '^')
    ok = is_near (reply, expected);
  else if (line[0] == '?')
    ok = reply->kind != CH_KV_REPLY_ERROR;
  else
    ok = strcmp (text, expected) == 0;
  if (ok)
    g_clear_pointer (&text, g_free);
  return text;
}

static gboolean is_expectation (const char *line)
{
  return strchr ("=~^?", line[0]) != NULL && !g_str_has_prefix (line, "==");
}

static void run_file (Suite *suite, char **lines)
{
  g_autoptr (ChKvReply) reply = NULL;
  const char *command = "";
  gboolean skipped = FALSE;

  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = lines[i];
    suite->line = i + 1;
    if (line[0] == '\0' || line[0] == '#')
      continue;
    if (g_str_has_prefix (line, "==")) {
      empty (suite);
    } else if (skipped) {
      skipped = FALSE;
    } else if (is_expectation (line)) {
      g_assert_nonnull (reply);
      g_autofree char *wrong = mismatch (reply, line);
      if (wrong != NULL)
        g_error ("%s:%u: %s\n  gives    %s\n  expected %s", suite->path, suite->line,
                 command, wrong, line);
      g_clear_pointer (&reply, ch_kv_reply_free);
    } else {
      g_assert_null (reply); /* each command has a reply in the file */
      command = g_str_has_prefix (line, "% ") ? line + 2 : line;
      skipped = command != line && suite->cluster != NULL;
      reply = skipped ? NULL : run_line (suite, command);
    }
  }
  g_assert_null (reply);
}

/* Returns: why the kv is not there, NULL when it is */
static const char *open_kv (Suite *suite, const char *name)
{
  const char *reason = NULL;

  if (strcmp (name, "memory") == 0) {
    suite->fixture = kv_fixture_new (ch_plugin_kv_memory_query, NULL, NULL);
    return NULL;
  }
  if (strcmp (name, "cluster") == 0)
    suite->cluster = redis_cluster_start (&reason);
  else
    suite->server = redis_server_start (&reason);
  if (suite->cluster == NULL && suite->server == NULL)
    return reason;
#ifdef WITH_KV_REDIS
  g_autofree char *addresses
      = suite->cluster != NULL ? redis_cluster_addresses (suite->cluster) : NULL;
  g_autofree char *option = suite->cluster != NULL
                                ? g_strconcat ("redis.cluster_nodes=", addresses, NULL)
                                : g_strconcat ("redis.url=unix://",
                                               redis_server_socket (suite->server), NULL);
  const char *const options[]
      = {option, suite->cluster != NULL ? "redis.key_prefix=" SLOT_PREFIX : NULL, NULL};
  if (strcmp (name, "server") != 0)
    suite->fixture = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
#endif
  if (suite->fixture == NULL)
    suite->client = resp_client_new (redis_server_socket (suite->server));
  return NULL;
}

int main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_assert_cmpint (argc, ==, 3);
  Suite suite = {.path = argv[2]};
  g_file_get_contents (suite.path, &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  const char *reason = open_kv (&suite, argv[1]);
  if (reason != NULL)
    return redis_server_missing (reason);
  g_print ("1..1\n");
  run_file (&suite, lines);
  g_print ("ok 1 %u commands to %s\n", suite.n_commands, argv[1]);
  kv_fixture_free (suite.fixture);
  resp_client_free (suite.client);
  redis_server_stop (suite.server);
  redis_cluster_stop (suite.cluster);
  return 0;
}
