/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands as the front needs them, found by hash in any letter case. */
#include "kv/kv-keys.h"

#include <string.h>

#define LONGEST_NAME 20

#define FIRST_KEY CH_KV_KEYS_RANGE, 1, 1, 1, CH_KV_FLAGS_NONE
#define TWO_KEYS CH_KV_KEYS_RANGE, 1, 2, 1, CH_KV_FLAGS_NONE
#define ALL_KEYS CH_KV_KEYS_RANGE, 1, -1, 1, CH_KV_FLAGS_NONE
#define NO_KEYS CH_KV_KEYS_RANGE, 0, 0, 0, CH_KV_FLAGS_NONE
#define REFUSED CH_KV_KEYS_RANGE, 0, 0, 0, CH_KV_REFUSED

/* clang-format off */
static const ChKvCommandInfo commands[] = {
  { "APPEND", FIRST_KEY },
  { "AUTH", REFUSED },
  { "BITCOUNT", FIRST_KEY },
  { "BITPOS", FIRST_KEY },
  { "BLMOVE", CH_KV_KEYS_RANGE, 1, 2, 1, CH_KV_BLOCKING },
  { "BLMPOP", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_BLOCKING | CH_KV_KEY_REPLY | CH_KV_TIMEOUT_FIRST },
  { "BLPOP", CH_KV_KEYS_RANGE, 1, -2, 1, CH_KV_BLOCKING | CH_KV_KEY_REPLY },
  { "BRPOP", CH_KV_KEYS_RANGE, 1, -2, 1, CH_KV_BLOCKING | CH_KV_KEY_REPLY },
  { "BRPOPLPUSH", CH_KV_KEYS_RANGE, 1, 2, 1, CH_KV_BLOCKING },
  { "BZMPOP", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_BLOCKING | CH_KV_KEY_REPLY | CH_KV_TIMEOUT_FIRST },
  { "BZPOPMAX", CH_KV_KEYS_RANGE, 1, -2, 1, CH_KV_BLOCKING | CH_KV_KEY_REPLY },
  { "BZPOPMIN", CH_KV_KEYS_RANGE, 1, -2, 1, CH_KV_BLOCKING | CH_KV_KEY_REPLY },
  { "CLIENT", REFUSED },
  { "COPY", TWO_KEYS },
  { "DBSIZE", NO_KEYS },
  { "DECR", FIRST_KEY },
  { "DECRBY", FIRST_KEY },
  { "DEL", ALL_KEYS },
  { "DISCARD", REFUSED },
  { "DUMP", FIRST_KEY },
  { "ECHO", NO_KEYS },
  { "EVAL", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "EVALSHA", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "EVALSHA_RO", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "EVAL_RO", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "EXEC", REFUSED },
  { "EXISTS", ALL_KEYS },
  { "EXPIRE", FIRST_KEY },
  { "EXPIREAT", FIRST_KEY },
  { "EXPIRETIME", FIRST_KEY },
  { "FCALL", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "FCALL_RO", CH_KV_KEYS_NUMBER, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "FLUSHALL", NO_KEYS },
  { "FLUSHDB", NO_KEYS },
  { "FUNCTION", NO_KEYS },
  { "GEOADD", FIRST_KEY },
  { "GEODIST", FIRST_KEY },
  { "GEOHASH", FIRST_KEY },
  { "GEOPOS", FIRST_KEY },
  { "GEOSEARCH", FIRST_KEY },
  { "GEOSEARCHSTORE", TWO_KEYS },
  { "GET", FIRST_KEY },
  { "GETBIT", FIRST_KEY },
  { "GETDEL", FIRST_KEY },
  { "GETEX", FIRST_KEY },
  { "GETRANGE", FIRST_KEY },
  { "GETSET", FIRST_KEY },
  { "HDEL", FIRST_KEY },
  { "HELLO", REFUSED },
  { "HEXISTS", FIRST_KEY },
  { "HGET", FIRST_KEY },
  { "HGETALL", FIRST_KEY },
  { "HINCRBY", FIRST_KEY },
  { "HINCRBYFLOAT", FIRST_KEY },
  { "HKEYS", FIRST_KEY },
  { "HLEN", FIRST_KEY },
  { "HMGET", FIRST_KEY },
  { "HMSET", FIRST_KEY },
  { "HRANDFIELD", FIRST_KEY },
  { "HSCAN", FIRST_KEY },
  { "HSET", FIRST_KEY },
  { "HSETNX", FIRST_KEY },
  { "HSTRLEN", FIRST_KEY },
  { "HVALS", FIRST_KEY },
  { "INCR", FIRST_KEY },
  { "INCRBY", FIRST_KEY },
  { "INCRBYFLOAT", FIRST_KEY },
  { "INFO", NO_KEYS },
  { "KEYS", CH_KV_KEYS_PATTERN, 1, 0, 0, CH_KV_KEYS_REPLY },
  { "LINDEX", FIRST_KEY },
  { "LINSERT", FIRST_KEY },
  { "LLEN", FIRST_KEY },
  { "LMOVE", TWO_KEYS },
  { "LMPOP", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_KEY_REPLY },
  { "LPOP", FIRST_KEY },
  { "LPOS", FIRST_KEY },
  { "LPUSH", FIRST_KEY },
  { "LPUSHX", FIRST_KEY },
  { "LRANGE", FIRST_KEY },
  { "LREM", FIRST_KEY },
  { "LSET", FIRST_KEY },
  { "LTRIM", FIRST_KEY },
  { "MGET", ALL_KEYS },
  { "MONITOR", REFUSED },
  { "MSET", CH_KV_KEYS_RANGE, 1, -1, 2, CH_KV_FLAGS_NONE },
  { "MSETNX", CH_KV_KEYS_RANGE, 1, -1, 2, CH_KV_FLAGS_NONE },
  { "MULTI", REFUSED },
  { "OBJECT", CH_KV_KEYS_RANGE, 2, 2, 1, CH_KV_FLAGS_NONE },
  { "PERSIST", FIRST_KEY },
  { "PEXPIRE", FIRST_KEY },
  { "PEXPIREAT", FIRST_KEY },
  { "PEXPIRETIME", FIRST_KEY },
  { "PFADD", FIRST_KEY },
  { "PFCOUNT", ALL_KEYS },
  { "PFMERGE", ALL_KEYS },
  { "PING", NO_KEYS },
  { "PSETEX", FIRST_KEY },
  { "PSUBSCRIBE", REFUSED },
  { "PSYNC", REFUSED },
  { "PTTL", FIRST_KEY },
  { "PUBLISH", CH_KV_KEYS_CHANNEL, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "PUNSUBSCRIBE", REFUSED },
  { "QUIT", REFUSED },
  { "RANDOMKEY", CH_KV_KEYS_RANGE, 0, 0, 0, CH_KV_KEY_REPLY },
  { "RENAME", TWO_KEYS },
  { "RENAMENX", TWO_KEYS },
  { "RESET", REFUSED },
  { "RPOP", FIRST_KEY },
  { "RPOPLPUSH", TWO_KEYS },
  { "RPUSH", FIRST_KEY },
  { "RPUSHX", FIRST_KEY },
  { "SADD", FIRST_KEY },
  { "SCAN", CH_KV_KEYS_SCAN, 0, 0, 0, CH_KV_SCAN_REPLY },
  { "SCARD", FIRST_KEY },
  { "SCRIPT", NO_KEYS },
  { "SDIFF", ALL_KEYS },
  { "SDIFFSTORE", ALL_KEYS },
  { "SELECT", REFUSED },
  { "SET", FIRST_KEY },
  { "SETBIT", FIRST_KEY },
  { "SETEX", FIRST_KEY },
  { "SETNX", FIRST_KEY },
  { "SETRANGE", FIRST_KEY },
  { "SHUTDOWN", REFUSED },
  { "SINTER", ALL_KEYS },
  { "SINTERCARD", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "SINTERSTORE", ALL_KEYS },
  { "SISMEMBER", FIRST_KEY },
  { "SMEMBERS", FIRST_KEY },
  { "SMISMEMBER", FIRST_KEY },
  { "SMOVE", TWO_KEYS },
  { "SPOP", FIRST_KEY },
  { "SRANDMEMBER", FIRST_KEY },
  { "SREM", FIRST_KEY },
  { "SSCAN", FIRST_KEY },
  { "SSUBSCRIBE", REFUSED },
  { "STRLEN", FIRST_KEY },
  { "SUBSCRIBE", REFUSED },
  { "SUBSTR", FIRST_KEY },
  { "SUNION", ALL_KEYS },
  { "SUNIONSTORE", ALL_KEYS },
  { "SUNSUBSCRIBE", REFUSED },
  { "SYNC", REFUSED },
  { "TIME", NO_KEYS },
  { "TOUCH", ALL_KEYS },
  { "TTL", FIRST_KEY },
  { "TYPE", FIRST_KEY },
  { "UNLINK", ALL_KEYS },
  { "UNSUBSCRIBE", REFUSED },
  { "UNWATCH", REFUSED },
  { "WAIT", NO_KEYS },
  { "WATCH", REFUSED },
  { "ZADD", FIRST_KEY },
  { "ZCARD", FIRST_KEY },
  { "ZCOUNT", FIRST_KEY },
  { "ZDIFF", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "ZDIFFSTORE", CH_KV_KEYS_STORE, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "ZINCRBY", FIRST_KEY },
  { "ZINTER", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "ZINTERCARD", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "ZINTERSTORE", CH_KV_KEYS_STORE, 2, 0, 0, CH_KV_FLAGS_NONE },
  { "ZLEXCOUNT", FIRST_KEY },
  { "ZMPOP", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_KEY_REPLY },
  { "ZMSCORE", FIRST_KEY },
  { "ZPOPMAX", FIRST_KEY },
  { "ZPOPMIN", FIRST_KEY },
  { "ZRANDMEMBER", FIRST_KEY },
  { "ZRANGE", FIRST_KEY },
  { "ZRANGEBYLEX", FIRST_KEY },
  { "ZRANGEBYSCORE", FIRST_KEY },
  { "ZRANGESTORE", TWO_KEYS },
  { "ZRANK", FIRST_KEY },
  { "ZREM", FIRST_KEY },
  { "ZREMRANGEBYLEX", FIRST_KEY },
  { "ZREMRANGEBYRANK", FIRST_KEY },
  { "ZREMRANGEBYSCORE", FIRST_KEY },
  { "ZREVRANGE", FIRST_KEY },
  { "ZREVRANGEBYLEX", FIRST_KEY },
  { "ZREVRANGEBYSCORE", FIRST_KEY },
  { "ZREVRANK", FIRST_KEY },
  { "ZSCAN", FIRST_KEY },
  { "ZSCORE", FIRST_KEY },
  { "ZUNION", CH_KV_KEYS_NUMBER, 1, 0, 0, CH_KV_FLAGS_NONE },
  { "ZUNIONSTORE", CH_KV_KEYS_STORE, 2, 0, 0, CH_KV_FLAGS_NONE },
};
/* clang-format on */
G_STATIC_ASSERT (G_N_ELEMENTS (commands) < 255);

static guint hash_name (const char *upper, gsize size)
{
  guint32 hash = 2166136261u;
  for (gsize i = 0; i < size; i++)
    hash = (hash ^ (guint8) upper[i]) * 16777619u;
  return (hash ^ (hash >> 15)) % CH_KV_COMMAND_SLOTS;
}

void ch_kv_command_index_init (ChKvCommandIndex *index)
{
  memset (index, 0, sizeof *index);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    guint slot = hash_name (commands[i].name, strlen (commands[i].name));
    while (index->slots[slot] != 0)
      slot = (slot + 1) % CH_KV_COMMAND_SLOTS;
    index->slots[slot] = (guint8) (i + 1);
  }
}

const ChKvCommandInfo *ch_kv_command_info (const ChKvCommandIndex *index,
                                           const char *name, gsize size)
{
  char upper[LONGEST_NAME + 1];

  if (size > LONGEST_NAME)
    return NULL;
  for (gsize i = 0; i < size; i++)
    upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char) (name[i] & ~0x20) : name[i];
  upper[size] = '\0';
  for (guint slot = hash_name (upper, size); index->slots[slot] != 0;
       slot = (slot + 1) % CH_KV_COMMAND_SLOTS) {
    const ChKvCommandInfo *info = &commands[index->slots[slot] - 1];
    if (strcmp (info->name, upper) == 0)
      return info;
  }
  return NULL;
}

gsize ch_kv_command_info_count (void)
{
  return G_N_ELEMENTS (commands);
}

gsize ch_kv_command_info_number (const ChKvCommandInfo *info)
{
  return (gsize) (info - commands);
}

static gboolean mark_range (gsize first, gsize last, gsize step, gboolean *is_key)
{
  for (gsize i = first; i <= last; i += step)
    is_key[i] = TRUE;
  return TRUE;
}

static gboolean mark_number (const char *const *argv, gsize argc, gsize at,
                             gboolean *is_key)
{
  guint64 n;

  if (at >= argc || !g_ascii_string_to_unsigned (argv[at], 10, 0, argc, &n, NULL))
    return FALSE;
  if (n == 0)
    return TRUE;
  return n < argc - at && mark_range (at + 1, at + (gsize) n, 1, is_key);
}

gboolean ch_kv_command_keys (const ChKvCommandInfo *info, const char *const *argv,
                             gsize argc, gboolean *is_key)
{
  gsize first = (gsize) info->first;

  switch (info->kind) {
  case CH_KV_KEYS_NUMBER:
    return mark_number (argv, argc, first, is_key);
  case CH_KV_KEYS_STORE:
    if (argc > 1)
      is_key[1] = TRUE;
    return mark_number (argv, argc, first, is_key);
  case CH_KV_KEYS_CHANNEL:
    if (argc > 1)
      is_key[1] = TRUE;
    return TRUE;
  case CH_KV_KEYS_PATTERN: /* the front puts its escaped prefix there itself */
  case CH_KV_KEYS_SCAN:
    return TRUE;
  case CH_KV_KEYS_RANGE:
  default:
    break;
  }
  if (first == 0 || first >= argc)
    return TRUE;
  gssize last = info->last < 0 ? (gssize) argc + info->last : info->last;
  last = MIN (last, (gssize) argc - 1);
  if (last < (gssize) first)
    return TRUE;
  return mark_range (first, (gsize) last, (gsize) info->step, is_key);
}

gsize ch_kv_command_first_key (const ChKvCommandInfo *info, const char *const *argv,
                               gsize argc)
{
  guint64 n = 0;
  gsize at = 0;

  switch (info->kind) {
  case CH_KV_KEYS_NUMBER: {
    gsize first = (gsize) info->first;
    if (first < argc && g_ascii_string_to_unsigned (argv[first], 10, 1, argc, &n, NULL)
        && n < argc - first)
      at = first + 1;
    break;
  }
  case CH_KV_KEYS_STORE:
    at = 1;
    break;
  case CH_KV_KEYS_RANGE:
    at = (gsize) info->first;
    break;
  case CH_KV_KEYS_CHANNEL:
  case CH_KV_KEYS_PATTERN:
  case CH_KV_KEYS_SCAN:
  default:
    break;
  }
  return at < argc ? at : 0;
}
