/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lua functions: what they see, what they may not, how errors come out. */
#include "helpers/kv-fixture.h"

#include <string.h>

const ChPluginInfo *ch_plugin_kv_memory_query (void);

static KvFixture *open_kv (void)
{
  static const char *const options[]
      = {"kv-memory.lua_time_limit_ms=50", "kv-memory.lua_max_memory=8M", NULL};
  return kv_fixture_new (ch_plugin_kv_memory_query, NULL, options);
}

static void load (KvFixture *kv, const char *lua)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = ch_kv_library (kv->caller, lua, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
}

static void test_call (void)
{
  g_autoptr (KvFixture) kv = open_kv ();

  load (kv,
        "#!lua name=chargehost_test\n"
        "local function bind (keys, args)\n"
        "  local old = redis.call ('GET', keys[1])\n"
        "  redis.call ('SET', keys[1], args[1])\n"
        "  redis.call ('ZADD', keys[2], args[2], keys[1])\n"
        "  redis.call ('HSET', keys[3], 'at', args[2])\n"
        "  redis.call ('SADD', keys[4], args[1])\n"
        "  return { old, redis.call ('ZCARD', keys[2]), cjson.encode ({ args[1] }) }\n"
        "end\n"
        "redis.register_function ('bind', bind)\n"
        "redis.register_function { function_name = 'peek', flags = { 'no-writes' },\n"
        "  callback = function (keys) return redis.call ('GET', keys[1]) end }\n");
  kv_assert (kv, "FCALL bind 4 s:1 z h set c1 5", "[nil :1 \"[\\\"c1\\\"]\"]");
  kv_assert (kv, "FCALL bind 4 s:1 z h set c2 6", "[\"c1\" :1 \"[\\\"c2\\\"]\"]");
  kv_assert (kv, "FCALL_RO peek 1 s:1", "\"c2\"");
  kv_assert (kv, "FCALL_RO bind 1 s:1",
             "-ERR Can not execute a script with write flag using *_ro command.");
  kv_assert (kv, "FCALL nope 0", "-ERR Function not found");
  kv_assert (kv, "FCALL peek 2 a",
             "-ERR Number of keys can't be greater than number of args");
  kv_assert (kv, "FUNCTION LIST LIBRARYNAME charge*",
             "[[\"library_name\" \"chargehost_test\" \"engine\" \"LUA\" \"functions\" "
             "[[\"name\" \"bind\" \"description\" nil \"flags\" []] "
             "[\"name\" \"peek\" \"description\" nil \"flags\" [+no-writes]]]]]");
}

static void test_errors (void)
{
  g_autoptr (KvFixture) kv = open_kv ();

  load (kv,
        "#!lua name=t\n"
        "redis.register_function ('boom', function () error ('boom') end)\n"
        "redis.register_function ('code', function () error ({ err = 'MY text' }) end)\n"
        "redis.register_function ('type', function (k)\n"
        "  redis.call ('SET', k[1], 'kept')\n"
        "  return redis.call ('LPUSH', k[1], 1) end)\n"
        "redis.register_function ('caught', function (k)\n"
        "  return redis.pcall ('LPUSH', k[1], 1) end)\n"
        "redis.register_function ('global', function () x = 1 end)\n"
        "redis.register_function ('unknown', function () return os end)\n"
        "redis.register_function ('library', function () string.x = 1 end)\n"
        "redis.register_function ('env', function () rawset (_G, 'x', 1) end)\n"
        "redis.register_function { function_name = 'ro', flags = { 'no-writes' },\n"
        "  callback = function (k) return redis.call ('DEL', k[1]) end }\n");
  kv_assert (kv, "FCALL boom 0",
             "-ERR user_function:2: boom script: boom, on @user_function:2.");
  kv_assert (kv, "FCALL code 0", "-MY text script: code, on @user_function:3.");
  kv_assert (
      kv, "FCALL type 1 k",
      "-WRONGTYPE Operation against a key holding the wrong kind of value script: type, "
      "on @user_function:6.");
  kv_assert (kv, "GET k", "\"kept\"");
  kv_assert (kv, "FCALL caught 1 k",
             "-WRONGTYPE Operation against a key holding the wrong kind of value");
  kv_assert (
      kv, "FCALL global 0",
      "-ERR user_function:9: Attempt to modify a readonly table script: global, on "
      "@user_function:9.");
  kv_assert (
      kv, "FCALL unknown 0",
      "-ERR user_function:10: Script attempted to access nonexistent global variable "
      "'os' script: unknown, on @user_function:10.");
  kv_assert (
      kv, "FCALL library 0",
      "-ERR user_function:11: Attempt to modify a readonly table script: library, on "
      "@user_function:11.");
  kv_assert (
      kv, "FCALL env 0",
      "-ERR Attempt to modify a readonly table script: env, on @user_function:12.");
  kv_assert (kv, "FCALL ro 1 k",
             "-ERR Write commands are not allowed from read-only scripts. script: ro, on "
             "@user_function:14.");
}

/* While a library is loaded it sees nothing but redis.register_function and redis.log. */
static void test_load (void)
{
  g_autoptr (KvFixture) kv = open_kv ();

  kv_assert (kv, "FUNCTION LOAD \"#!lua name=a\\nlocal x = string.upper\"",
             "-ERR Error registering functions: ERR user_function:2: Script attempted to "
             "access nonexistent global variable 'string'");
  kv_assert (kv, "FUNCTION LOAD \"#!lua name=a\\nredis.call('PING')\"",
             "-ERR Error registering functions: ERR user_function:2: Script attempted to "
             "access nonexistent global variable 'call'");
  kv_assert (kv, "FUNCTION LOAD abc", "-ERR Missing library metadata");
  kv_assert (kv, "FUNCTION LOAD \"#!lua name=a\\nlocal x = 1\"",
             "-ERR No functions registered");
  kv_assert (kv, "FUNCTION LOAD \"#!lua name=a\\nx x\"",
             "-ERR Error compiling function: user_function:2: '=' expected near 'x'");
  kv_assert (
      kv, "FUNCTION LOAD \"#!lua name=a\\nredis.register_function('f',function() end)\"",
      "\"a\"");
  kv_assert (
      kv, "FUNCTION LOAD \"#!lua name=a\\nredis.register_function('f',function() end)\"",
      "-ERR Library 'a' already exists");
  kv_assert (
      kv, "FUNCTION LOAD \"#!lua name=b\\nredis.register_function('f',function() end)\"",
      "-ERR Function f already exists");
  kv_assert (kv, "FCALL f 0", "nil");
  kv_assert (kv, "FUNCTION DELETE a", "+OK");
  kv_assert (kv, "FCALL f 0", "-ERR Function not found");
}

static void test_conversion (void)
{
  g_autoptr (KvFixture) kv = open_kv ();

  kv_assert (
      kv, "EVAL 'return {1.9, -1.9, \"a\", true, false, {ok=\"fine\"}, {err=\"E q\"}}' 0",
      "[:1 :-1 \"a\" :1 nil +fine -E q]");
  kv_assert (kv, "EVAL 'return {1, 2, nil, 4}' 0", "[:1 :2]");
  kv_assert (kv, "EVAL 'return redis.call(\"GET\", \"none\") == false' 0", ":1");
  kv_assert (kv, "EVAL 'return redis.call(\"SET\", KEYS[1], 0.1).ok' 1 k", "\"OK\"");
  kv_assert (kv, "GET k", "\"0.10000000000000001\"");
  kv_assert (kv, "EVAL 'return redis.sha1hex(\"abc\")' 0",
             "\"a9993e364706816aba3e25717850c26c9cd0d89d\"");
  kv_assert (kv, "EVAL 'return cjson.encode({})' 0", "\"{}\"");
}

static char *answer (KvFixture *kv, const char *line)
{
  return kv_fixture_line (kv, line);
}

/* An error's metamethods do not run outside of the script's protection. */
static void test_strange_errors (void)
{
  g_autoptr (KvFixture) kv = open_kv ();

  kv_assert (kv,
             "EVAL 'error(setmetatable({}, {__index = function() error(\"x\") end}))' 0",
             "-ERR unknown error script: 2e360b44c8691e7aecf0dc4214ea607694d3c427, on "
             "@user_script:1.");
  kv_assert (
      kv, "EVAL 'error()' 0",
      "-ERR nil script: aca90d914519fdb9825352bdc0befb59f7c8510f, on @user_script:1.");
  kv_assert (kv, "EVAL 'error({err = {}})' 0",
             "-ERR unknown error script: dc30d6601d6569e65c71b652dca3d0dccce0fb6d, on "
             "@user_script:1.");
}

static void test_limits (void)
{
  g_autoptr (KvFixture) kv = open_kv ();
  g_autofree char *endless = answer (kv, "EVAL 'while true do end' 0");
  g_autofree char *caught
      = answer (kv, "EVAL 'while true do pcall(function() while true do end end) end' 0");
  g_autofree char *hidden = answer (
      kv,
      "EVAL 'while true do coroutine.wrap(function() pcall(function() while true do end "
      "end) end)() end' 0");
  g_autofree char *large = answer (
      kv, "EVAL 'local t = {} for i = 1, 1e3 do t[i] = (\"x\"):rep(1e5) .. i end' 0");

  g_assert_nonnull (strstr (endless, "ran longer than 50 ms"));
  g_assert_nonnull (strstr (caught, "ran longer than 50 ms"));
  g_assert_nonnull (strstr (hidden, "ran longer than 50 ms"));
  g_assert_nonnull (strstr (large, "not enough memory"));
  kv_assert (kv, "EVAL 'return 1' 0", ":1");
  kv_assert (kv, "EVAL 'return loadstring(string.dump(function() end))' 0", "nil");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-memory/functions/call", test_call);
  g_test_add_func ("/kv-memory/functions/errors", test_errors);
  g_test_add_func ("/kv-memory/functions/load", test_load);
  g_test_add_func ("/kv-memory/functions/conversion", test_conversion);
  g_test_add_func ("/kv-memory/functions/strange-errors", test_strange_errors);
  g_test_add_func ("/kv-memory/functions/limits", test_limits);
  return g_test_run ();
}
