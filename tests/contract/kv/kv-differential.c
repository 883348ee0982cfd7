/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The same random commands to kv-memory and to a real Redis, through its driver where
 * that is built: replies must be the same, and from time to time all that is stored.
 * KV_SEED and KV_STEPS choose the run.
 */
#include "helpers/kv-fixture.h"
#include "helpers/resp-client.h"
#include "kv-grammar.h"

#include <stdlib.h>
#include <string.h>

#define STEPS 120000
#define BATCH 50
#define CHECK_EVERY 2000

const ChPluginInfo *ch_plugin_kv_memory_query (void);
#ifdef WITH_KV_REDIS
const ChPluginInfo *ch_plugin_kv_redis_query (void);
#endif

typedef struct {
  KvFixture *memory;
  KvFixture *driver; /* of Redis, or without it */
  RespClient *redis; /* a plain client */
  GRand *random;
  guint64 step;
} Run;

/* ---- comparing ----------------------------------------------------------------------
 */

static gboolean is_near (const ChKvReply *a, const ChKvReply *b, gint64 most)
{
  if (a->kind != CH_KV_REPLY_INTEGER || b->kind != CH_KV_REPLY_INTEGER)
    return FALSE;
  return ABS (a->integer - b->integer) <= most && (a->integer < 0) == (b->integer < 0);
}

static gboolean is_same (const ChKvReply *a, const ChKvReply *b, KvCompare how)
{
  g_autofree char *text_a = NULL;
  g_autofree char *text_b = NULL;

  if (a->kind == CH_KV_REPLY_ARRAY && b->kind == CH_KV_REPLY_ARRAY && how != KV_EXACT) {
    gsize group = how == KV_PAIRS ? 2 : 1;
    if (how == KV_COUNT || a->n_items != b->n_items)
      return a->n_items == b->n_items;
    text_a = kv_reply_sorted_text (a, group);
    text_b = kv_reply_sorted_text (b, group);
    return strcmp (text_a, text_b) == 0;
  }
  if (how == KV_COUNT && a->kind != CH_KV_REPLY_ERROR)
    return a->kind == b->kind;
  if (how == KV_TIME && is_near (a, b, 3000))
    return TRUE;
  text_a = kv_reply_plain_text (a);
  text_b = kv_reply_plain_text (b);
  return strcmp (text_a, text_b) == 0;
}

static void differ (Run *run, const char *command, const ChKvReply *memory,
                    const ChKvReply *redis)
{
  g_autofree char *memory_text = kv_reply_text (memory);
  g_autofree char *redis_text = kv_reply_text (redis);
  g_error ("step %" G_GUINT64_FORMAT ": %s\n  redis     %s\n  kv-memory %s", run->step,
           command, redis_text, memory_text);
}

/* ---- running ------------------------------------------------------------------------
 */

typedef struct {
  ChKvReply *reply;
  gboolean done;
} Answer;

static void answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                      gpointer user_data)
{
  Answer *answer = user_data;
  if (reply == NULL)
    g_error ("no reply: %s", error->message);
  answer->reply = kv_reply_copy (reply);
  answer->done = TRUE;
}

/* What both said to one command. */
typedef struct {
  Answer memory, redis;
} Answers;

static void submit (Run *run, const KvWords *words, Answers *answers)
{
  const char *const *argv = (const char *const *) words->words->pdata;
  const gsize *sizes = (const gsize *) (gpointer) words->sizes->data;
  gsize argc = words->words->len;

  *answers = (Answers) {{NULL, FALSE}, {NULL, FALSE}};
  if (run->driver != NULL)
    ch_kv_command (run->driver->caller, answered, &answers->redis, argv, sizes, argc);
  else
    resp_client_send (run->redis, argv, sizes, argc);
  ch_kv_command (run->memory->caller, answered, &answers->memory, argv, sizes, argc);
}

static void settle (Run *run, const char *command, KvCompare how, Answers *answers)
{
  if (run->driver == NULL)
    answers->redis = (Answer) {resp_client_read (run->redis), TRUE};
  while (!answers->redis.done)
    g_main_context_iteration (run->driver->context, TRUE);
  if (answers->redis.reply == NULL)
    g_error ("step %" G_GUINT64_FORMAT ": Redis has gone at %s", run->step, command);
  while (!answers->memory.done)
    kv_fixture_turn (run->memory);
  if (!is_same (answers->memory.reply, answers->redis.reply, how))
    differ (run, command, answers->memory.reply, answers->redis.reply);
  ch_kv_reply_free (answers->memory.reply);
  ch_kv_reply_free (answers->redis.reply);
}

static void run_line (Run *run, const char *line, KvCompare how)
{
  g_auto (KvWords) words;
  Answers answers;

  kv_words_split (&words, line);
  submit (run, &words, &answers);
  settle (run, line, how, &answers);
}

static void run_batch (Run *run)
{
  KvCommand commands[BATCH];
  Answers answers[BATCH];

  for (guint i = 0; i < BATCH; i++) {
    kv_grammar_make (run->random, &commands[i]);
    submit (run, &commands[i].words, &answers[i]);
  }
  for (guint i = 0; i < BATCH; i++) {
    g_autofree char *text = kv_command_text (&commands[i]);
    settle (run, text, commands[i].compare, &answers[i]);
    kv_command_clear (&commands[i]);
    run->step++;
  }
}

/* All keys with their values; whether they expire, too. */
static void check_all (Run *run)
{
  static const struct {
    const char *format;
    KvCompare how;
  } looks[] = {
      {"TYPE %s", KV_EXACT},           {"GET %s", KV_EXACT},
      {"LRANGE %s 0 -1", KV_EXACT},    {"SMEMBERS %s", KV_UNORDERED},
      {"HGETALL %s", KV_PAIRS},        {"ZRANGE %s 0 -1 WITHSCORES", KV_EXACT},
      {"ZREVRANGE %s 0 -1", KV_EXACT}, {"PEXPIRETIME %s", KV_TIME},
  };

  run_line (run, "DBSIZE", KV_EXACT);
  run_line (run, "KEYS *", KV_UNORDERED);
  for (gsize i = 0; i < kv_grammar_n_keys (); i++) {
    g_autofree char *key = kv_grammar_key (i);
    for (gsize k = 0; k < G_N_ELEMENTS (looks); k++) {
      g_autofree char *line = g_strconcat ("", looks[k].format, NULL);
      char *at = strstr (line, "%s");
      *at = '\0';
      g_autofree char *full = g_strconcat (line, key, at + 2, NULL);
      run_line (run, full, looks[k].how);
    }
  }
}

static void load_functions (Run *run)
{
  run_line (run,
            "FUNCTION LOAD REPLACE \"#!lua name=differential\\n"
            "redis.register_function('forward', function(k, a)"
            " return redis.call(unpack(a)) end)\\n"
            "redis.register_function('caught', function(k, a)"
            " local r = redis.pcall(unpack(a))"
            " return type(r) == 'table' and r.err and {'caught', r.err} or r end)\\n"
            "redis.register_function{function_name='reading', flags={'no-writes'},"
            " callback=function(k, a) return redis.call(unpack(a)) end}\"",
            KV_EXACT);
}

static guint64 number_of (const char *name, guint64 otherwise)
{
  const char *text = g_getenv (name);
  return text != NULL ? g_ascii_strtoull (text, NULL, 10) : otherwise;
}

int main (int argc, char **argv)
{
  const char *reason;
  g_autoptr (RedisServer) server = redis_server_start (&reason);
  guint64 seed = number_of ("KV_SEED", 20240106);
  guint64 steps = number_of ("KV_STEPS", STEPS);

  if (server == NULL)
    return redis_server_missing (reason);
  g_print ("1..1\n# seed %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " steps\n", seed,
           steps);
  Run run = {.memory = kv_fixture_new (ch_plugin_kv_memory_query, NULL, NULL),
             .random = g_rand_new_with_seed ((guint32) seed)};
#ifdef WITH_KV_REDIS
  g_autofree char *url
      = g_strconcat ("redis.url=unix://", redis_server_socket (server), NULL);
  const char *const options[] = {url, "kv.timeout=60s", NULL};
  run.driver = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
#else
  run.redis = resp_client_new (redis_server_socket (server));
#endif
  load_functions (&run);
  while (run.step < steps) {
    run_batch (&run);
    if (run.step % CHECK_EVERY == 0)
      check_all (&run);
  }
  check_all (&run);
  g_print ("ok 1 kv-memory is like Redis\n");
  g_rand_free (run.random);
  resp_client_free (run.redis);
  kv_fixture_free (run.driver);
  kv_fixture_free (run.memory);
  return 0;
}
