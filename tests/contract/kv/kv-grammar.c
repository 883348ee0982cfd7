/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command is a line of words. K key, V value, M member, F score, I small integer,
 * N count, B bit offset, E end of a range of scores, X end of a range of members, L key
 * of a sorted set whose scores are all the same, O and P longitude and latitude, D digit,
 * T seconds to live, G pattern. `a|b` is one of them, `?x` may be left out, `*x` comes
 * one to three times (`*F,M`: pairs).
 */
#include "kv-grammar.h"

#include <string.h>

#define N_KEYS 14
#define WRONG_IN 40 /* one command in so many is spoilt */
#define SCRIPT_IN 12

typedef struct {
  const char *line;
  KvCompare compare;
} Rule;

static const Rule rules[] = {
    {"DEL *K", KV_EXACT},
    {"UNLINK K", KV_EXACT},
    {"EXISTS *K", KV_EXACT},
    {"TYPE K", KV_EXACT},
    {"RENAME K K", KV_EXACT},
    {"RENAMENX K K", KV_EXACT},
    {"TOUCH *K", KV_EXACT},
    {"DBSIZE", KV_EXACT},
    {"KEYS G", KV_UNORDERED},
    {"EXPIRE K T ?NX|XX|GT|LT", KV_EXACT},
    {"PEXPIRE K T000 ?NX|XX|GT|LT", KV_EXACT},
    {"EXPIREAT K 4000000T ?NX|XX", KV_EXACT},
    {"PEXPIREAT K 4000000T000", KV_EXACT},
    {"EXPIRE K -5|0|-1", KV_EXACT},
    {"TTL K", KV_TIME},
    {"PTTL K", KV_TIME},
    {"EXPIRETIME K", KV_TIME},
    {"PEXPIRETIME K", KV_TIME},
    {"PERSIST K", KV_EXACT},
    {"ECHO V", KV_EXACT},
    {"PING ?V", KV_EXACT},

    {"SET K V", KV_EXACT},
    {"SET K V ?NX|XX ?GET", KV_EXACT},
    {"SET K V EX|PX T000", KV_EXACT},
    {"SET K V EXAT 4000000T", KV_EXACT},
    {"SET K V ?KEEPTTL ?GET ?NX|XX", KV_EXACT},
    {"SET K V ?EX|PX|NX|XX|GET|KEEPTTL ?EX|PX|NX|XX|GET|KEEPTTL T000", KV_EXACT},
    {"SETNX K V", KV_EXACT},
    {"SETEX K T V", KV_EXACT},
    {"PSETEX K T000 V", KV_EXACT},
    {"GET K", KV_EXACT},
    {"GETSET K V", KV_EXACT},
    {"GETDEL K", KV_EXACT},
    {"GETEX K ?EX|PX|PERSIST ?T000", KV_EXACT},
    {"MGET *K", KV_EXACT},
    {"MSET *K,V", KV_EXACT},
    {"MSETNX *K,V", KV_EXACT},
    {"INCR K", KV_EXACT},
    {"DECR K", KV_EXACT},
    {"INCRBY K I", KV_EXACT},
    {"DECRBY K V", KV_EXACT},
    {"INCRBYFLOAT K F", KV_EXACT},
    {"APPEND K V", KV_EXACT},
    {"STRLEN K", KV_EXACT},
    {"GETRANGE K I I", KV_EXACT},
    {"SUBSTR K I I", KV_EXACT},
    {"SETRANGE K N V", KV_EXACT},
    {"SETBIT K B 0|1", KV_EXACT},
    {"GETBIT K B", KV_EXACT},

    {"HSET K *M,V", KV_EXACT},
    {"HMSET K *M,V", KV_EXACT},
    {"HSETNX K M V", KV_EXACT},
    {"HGET K M", KV_EXACT},
    {"HMGET K *M", KV_EXACT},
    {"HGETALL K", KV_PAIRS},
    {"HKEYS K", KV_UNORDERED},
    {"HVALS K", KV_UNORDERED},
    {"HDEL K *M", KV_EXACT},
    {"HEXISTS K M", KV_EXACT},
    {"HLEN K", KV_EXACT},
    {"HSTRLEN K M", KV_EXACT},
    {"HINCRBY K M I", KV_EXACT},
    {"HINCRBYFLOAT K M F", KV_EXACT},
    {"HRANDFIELD K ?I", KV_COUNT},
    {"HRANDFIELD K I WITHVALUES", KV_COUNT},

    {"LPUSH K *V", KV_EXACT},
    {"RPUSH K *V", KV_EXACT},
    {"LPUSHX K *V", KV_EXACT},
    {"RPUSHX K V", KV_EXACT},
    {"LPOP K ?N", KV_EXACT},
    {"RPOP K ?N", KV_EXACT},
    {"LLEN K", KV_EXACT},
    {"LRANGE K I I", KV_EXACT},
    {"LINDEX K I", KV_EXACT},
    {"LSET K I V", KV_EXACT},
    {"LREM K I V", KV_EXACT},
    {"LTRIM K I I", KV_EXACT},
    {"LINSERT K BEFORE|AFTER V V", KV_EXACT},
    {"LPOS K V", KV_EXACT},
    {"LPOS K V RANK I", KV_EXACT},
    {"LPOS K V COUNT I ?RANK|MAXLEN ?I", KV_EXACT},
    {"LMOVE K K LEFT|RIGHT LEFT|RIGHT", KV_EXACT},
    {"RPOPLPUSH K K", KV_EXACT},

    {"SADD K *M", KV_EXACT},
    {"SADD K *M", KV_EXACT},
    {"SREM K *M", KV_EXACT},
    {"SISMEMBER K M", KV_EXACT},
    {"SMISMEMBER K *M", KV_EXACT},
    {"SCARD K", KV_EXACT},
    {"SMEMBERS K", KV_UNORDERED},
    {"SMOVE K K M", KV_EXACT},
    {"SRANDMEMBER K ?I", KV_COUNT},
    {"SPOP K 1000", KV_UNORDERED},
    {"SINTER *K", KV_UNORDERED},
    {"SUNION *K", KV_UNORDERED},
    {"SDIFF *K", KV_UNORDERED},
    {"SINTERSTORE K *K", KV_EXACT},
    {"SUNIONSTORE K *K", KV_EXACT},
    {"SDIFFSTORE K *K", KV_EXACT},
    {"SINTERCARD 2 K K ?LIMIT ?N", KV_EXACT},

    {"ZADD K *F,M", KV_EXACT},
    {"ZADD K *F,M", KV_EXACT},
    {"ZADD K ?NX|XX|GT|LT ?CH|INCR ?GT|LT *F,M", KV_EXACT},
    {"ZADD K INCR F M", KV_EXACT},
    {"ZINCRBY K F M", KV_EXACT},
    {"ZREM K *M", KV_EXACT},
    {"ZSCORE K M", KV_EXACT},
    {"ZMSCORE K *M", KV_EXACT},
    {"ZCARD K", KV_EXACT},
    {"ZRANK K M", KV_EXACT},
    {"ZREVRANK K M", KV_EXACT},
    {"ZCOUNT K E E", KV_EXACT},
    {"ZLEXCOUNT L X X", KV_EXACT},
    {"ZRANGE K I I ?REV ?WITHSCORES", KV_EXACT},
    {"ZRANGE K E E BYSCORE ?REV ?WITHSCORES", KV_EXACT},
    {"ZRANGE K E E BYSCORE LIMIT I I", KV_EXACT},
    {"ZRANGE L X X BYLEX ?REV", KV_EXACT},
    {"ZRANGE L X X BYLEX ?LIMIT I I ?WITHSCORES", KV_EXACT},
    {"ZREVRANGE K I I ?WITHSCORES", KV_EXACT},
    {"ZRANGEBYSCORE K E E ?WITHSCORES", KV_EXACT},
    {"ZRANGEBYSCORE K E E ?WITHSCORES LIMIT I I", KV_EXACT},
    {"ZREVRANGEBYSCORE K E E ?WITHSCORES", KV_EXACT},
    {"ZREVRANGEBYSCORE K E E LIMIT I I", KV_EXACT},
    {"ZRANGEBYLEX L X X", KV_EXACT},
    {"ZREVRANGEBYLEX L X X", KV_EXACT},
    {"ZREMRANGEBYRANK K I I", KV_EXACT},
    {"ZREMRANGEBYSCORE K E E", KV_EXACT},
    {"ZREMRANGEBYLEX L X X", KV_EXACT},
    {"ZADD L *0,M", KV_EXACT},
    {"ZADD L *0,M", KV_EXACT},
    {"ZPOPMIN K ?N", KV_EXACT},
    {"ZPOPMAX K ?N", KV_EXACT},
    {"ZRANGESTORE K K I I ?REV", KV_EXACT},
    {"ZRANGESTORE K K E E BYSCORE ?REV ?LIMIT I I", KV_EXACT},
    {"ZUNIONSTORE K 2 K K", KV_EXACT},
    {"ZUNIONSTORE K 2 K K WEIGHTS F F AGGREGATE SUM|MIN|MAX", KV_EXACT},
    {"ZINTERSTORE K 2 K K ?AGGREGATE SUM|MIN|MAX", KV_EXACT},
    {"ZDIFFSTORE K 2 K K", KV_EXACT},
    {"ZUNION 2 K K ?WITHSCORES", KV_EXACT},
    {"ZINTER 2 K K ?WEIGHTS F F ?WITHSCORES", KV_EXACT},
    {"ZDIFF 2 K K ?WITHSCORES", KV_EXACT},
    {"ZINTERCARD 2 K K ?LIMIT N", KV_EXACT},

    {"GEOADD geo:1 *O,P,M", KV_EXACT},
    {"GEOADD geo:1 ?NX|XX ?CH *O,P,M", KV_EXACT},
    {"GEOADD K O P M", KV_EXACT},
    {"ZREM geo:1 M", KV_EXACT},
    {"GEOPOS geo:1 *M", KV_EXACT},
    {"GEOHASH geo:1 *M", KV_EXACT},
    {"GEODIST geo:1 M M ?m|km|ft|mi", KV_EXACT},
    {"GEOSEARCH geo:1 FROMMEMBER M BYRADIUS 9D km ?WITHDIST ?WITHHASH", KV_UNORDERED},
    {"GEOSEARCH geo:1 FROMLONLAT O P BYRADIUS D00|D000 km", KV_UNORDERED},
    {"GEOSEARCH geo:1 FROMLONLAT O P BYRADIUS D0|D000|1D000 mi ASC WITHDIST",
     KV_UNORDERED},
    {"GEOSEARCH geo:1 FROMLONLAT O P BYRADIUS D000 km COUNT N ASC|DESC", KV_COUNT},
    {"GEOSEARCH geo:1 FROMLONLAT O P BYBOX D00 D000 km WITHCOORD", KV_UNORDERED},
    {"GEOSEARCH geo:1 FROMMEMBER M BYBOX 1D000 D00 mi", KV_UNORDERED},
    {"GEOSEARCHSTORE geo:2 geo:1 FROMMEMBER M BYRADIUS D000 km ?STOREDIST", KV_EXACT},

    {"PUBLISH K V", KV_EXACT},
};

gsize kv_grammar_n_keys (void)
{
  return N_KEYS;
}

char *kv_grammar_key (gsize index)
{
  return g_strdup_printf ("key:%" G_GSIZE_FORMAT, index);
}

static const char *pick (GRand *random, const char *const *list)
{
  return list[g_rand_int_range (random, 0, (gint32) g_strv_length ((char **) list))];
}

static char *make_score (GRand *random)
{
  static const char *const odd[] = {"inf",  "-inf", "1e3",     "0.1", "-0.5", "3.25",
                                    "1e-7", "nan",  "1.5e300", "",    "x",    NULL};
  if (g_rand_int_range (random, 0, 8) == 0)
    return g_strdup (pick (random, odd));
  return g_strdup_printf ("%d", g_rand_int_range (random, -8, 9));
}

static char *make_value (GRand *random)
{
  static const char *const odd[]
      = {"",       "hello world", "3.5", "9223372036854775807", "-1e2", "01", " 1",
         "a\r\nb", "inf",         NULL};
  if (g_rand_int_range (random, 0, 4) == 0)
    return g_strdup (pick (random, odd));
  return g_strdup_printf (g_rand_boolean (random) ? "v%d" : "%d",
                          g_rand_int_range (random, 0, 9));
}

static char *make_end (GRand *random)
{
  static const char *const ends[] = {"-inf", "+inf", "(0", "(-3", "(5", "abc", "(", NULL};
  if (g_rand_int_range (random, 0, 2) == 0)
    return g_strdup (pick (random, ends));
  return g_strdup_printf ("%d", g_rand_int_range (random, -9, 10));
}

static char *make_member_end (GRand *random)
{
  static const char *const ends[]
      = {"-", "+", "[m1", "(m1", "[m3", "(m5", "[m9", "[", "m2", "(", NULL};
  return g_strdup (pick (random, ends));
}

/* The text for a letter, NULL when it is not one of them. */
static char *make_word (GRand *random, char letter)
{
  static const char *const patterns[]
      = {"*", "key:?", "key:[0-4]", "key:1*", "*:2", "x\\*", "key:[^1]", NULL};
  switch (letter) {
  case 'K':
    return kv_grammar_key ((gsize) g_rand_int_range (random, 0, N_KEYS));
  case 'L':
    return g_strdup_printf ("lex:%d", g_rand_int_range (random, 0, 2));
  case 'V':
    return make_value (random);
  case 'M':
    return g_strdup_printf ("m%d", g_rand_int_range (random, 0, 12));
  case 'F':
    return make_score (random);
  case 'I':
    return g_strdup_printf ("%d", g_rand_int_range (random, -6, 7));
  case 'N':
    return g_strdup_printf ("%d", g_rand_int_range (random, -1, 6));
  case 'B':
    return g_strdup_printf ("%d", g_rand_int_range (random, -1, 70));
  case 'E':
    return make_end (random);
  case 'X':
    return make_member_end (random);
  case 'O':
    return g_strdup_printf ("%.4f", g_rand_double_range (random, -180, 180));
  case 'P':
    return g_strdup_printf ("%.4f", g_rand_double_range (random, -85, 85));
  case 'D':
    return g_strdup_printf ("%d", g_rand_int_range (random, 1, 10));
  case 'T':
    return g_strdup_printf ("%d", g_rand_int_range (random, 200, 999));
  case 'G':
    return g_strdup (pick (random, patterns));
  default:
    return NULL;
  }
}

static void add_word (KvWords *words, char *text)
{
  gsize size = strlen (text);
  g_array_append_val (words->sizes, size);
  g_ptr_array_add (words->words, text);
}

/* A letter alone, or with digits around it; everything else stands for itself. */
static void expand_simple (GRand *random, KvWords *words, const char *element)
{
  const char *at = element + strspn (element, "0123456789");
  char *made = g_ascii_isupper (*at) && strspn (at + 1, "0123456789") == strlen (at + 1)
                   ? make_word (random, *at)
                   : NULL;

  if (made == NULL) {
    add_word (words, g_strdup (element));
    return;
  }
  g_autofree char *before = g_strndup (element, (gsize) (at - element));
  add_word (words, g_strconcat (before, made, at + 1, NULL));
  g_free (made);
}

static void expand (GRand *random, KvWords *words, const char *element)
{
  if (element[0] == '?') {
    if (g_rand_boolean (random))
      expand (random, words, element + 1);
    return;
  }
  if (element[0] == '*' && element[1] != '\0') {
    g_auto (GStrv) parts = g_strsplit (element + 1, ",", -1);
    for (gint n = g_rand_int_range (random, 1, 4); n > 0; n--)
      for (guint i = 0; parts[i] != NULL; i++)
        expand_simple (random, words, parts[i]);
    return;
  }
  g_auto (GStrv) choices = g_strsplit (element, "|", -1);
  expand_simple (random, words, pick (random, (const char *const *) choices));
}

/* One argument more, one less, or another one. */
static void spoil (GRand *random, KvWords *words)
{
  guint n = words->words->len;
  guint at = (guint) g_rand_int_range (random, 1, (gint32) MAX (n, 2));

  switch (g_rand_int_range (random, 0, 3)) {
  case 0:
    if (n > 1) {
      g_ptr_array_set_size (words->words, (gint) n - 1);
      g_array_set_size (words->sizes, n - 1);
    }
    break;
  case 1:
    add_word (words, make_value (random));
    break;
  default:
    if (at >= n)
      break;
    g_free (words->words->pdata[at]);
    words->words->pdata[at] = make_value (random);
    g_array_index (words->sizes, gsize, at) = strlen (words->words->pdata[at]);
    break;
  }
}

/*
 * Not what would draw at random then, give the sets of one score another one, or let a
 * key live so shortly that it is there for one and gone for the other.
 */
static gboolean can_be_spoilt (const KvWords *words)
{
  const char *name = words->words->pdata[0];
  const char *key = words->words->len > 1 ? words->words->pdata[1] : "";
  gboolean has_time = strstr (name, "EX") != NULL
                      || (strcmp (name, "SET") == 0 && words->words->len > 3);
  return strcmp (name, "SPOP") != 0 && !g_str_has_prefix (key, "lex:") && !has_time;
}

static void wrap (GRand *random, KvCommand *command)
{
  static const char *const calls[][3]
      = {{"FCALL", "forward", "0"},
         {"FCALL", "caught", "0"},
         {"FCALL_RO", "reading", "0"},
         {"EVAL", "return redis.call(unpack(ARGV))", "0"}};
  const char *const *call = calls[g_rand_int_range (random, 0, G_N_ELEMENTS (calls))];

  for (guint i = 0; i < 3; i++) {
    gsize size = strlen (call[i]);
    g_ptr_array_insert (command->words.words, (gint) i, g_strdup (call[i]));
    g_array_insert_val (command->words.sizes, i, size);
  }
}

void kv_grammar_make (GRand *random, KvCommand *command)
{
  const Rule *rule = &rules[g_rand_int_range (random, 0, G_N_ELEMENTS (rules))];
  g_auto (GStrv) elements = g_strsplit (rule->line, " ", -1);

  command->compare = rule->compare;
  command->words.words = g_ptr_array_new_with_free_func (g_free);
  command->words.sizes = g_array_new (FALSE, FALSE, sizeof (gsize));
  add_word (&command->words, g_strdup (elements[0]));
  for (guint i = 1; elements[i] != NULL; i++)
    expand (random, &command->words, elements[i]);
  if (can_be_spoilt (&command->words) && g_rand_int_range (random, 0, WRONG_IN) == 0)
    spoil (random, &command->words);
  if (g_rand_int_range (random, 0, SCRIPT_IN) == 0)
    wrap (random, command);
}

char *kv_command_text (const KvCommand *command)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < command->words.words->len; i++)
    g_string_append_printf (text, "%s'%s'", i > 0 ? " " : "",
                            (const char *) command->words.words->pdata[i]);
  return g_string_free (text, FALSE);
}

void kv_command_clear (KvCommand *command)
{
  kv_words_clear (&command->words);
}
