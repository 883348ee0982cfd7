/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table `redis`: what scripts call. */
#include "engine-private.h"

#include <string.h>

MemEngine *mem_api_engine (lua_State *lua)
{
  return lua_touserdata (lua, lua_upvalueindex (MEM_UPVALUE_ENGINE));
}

gint mem_api_raise (lua_State *lua, const char *text)
{
  lua_pushstring (lua, text);
  return lua_error (lua);
}

static void push_error (lua_State *lua, const char *text, gsize size)
{
  lua_createtable (lua, 0, 2);
  lua_pushliteral (lua, "err");
  lua_pushlstring (lua, text, size);
  lua_rawset (lua, -3);
}

/* ---- redis.call ---------------------------------------------------------------------
 */

static void make_room (MemEngine *engine, gsize argc)
{
  if (argc <= engine->args_room)
    return;
  engine->args_room = MAX (argc, engine->args_room * 2);
  engine->args = g_renew (MemBytes, engine->args, engine->args_room);
  engine->numbers = g_realloc (engine->numbers, engine->args_room * MEM_NUMBER_SIZE);
}

/* Strings and numbers of the stack; FALSE: something else is among them. */
static gboolean read_arguments (MemEngine *engine, lua_State *lua, gsize argc)
{
  make_room (engine, argc);
  MemBytes *arg = engine->args;
  for (gint i = 1; i <= (gint) argc; i++, arg++) {
    gint type = lua_type (lua, i);
    if (G_LIKELY (type == LUA_TSTRING)) {
      arg->p = lua_tolstring (lua, i, &arg->n);
    } else if (type == LUA_TNUMBER) {
      arg->p = engine->numbers[i - 1];
      arg->n = mem_format_double (engine->numbers[i - 1], lua_tonumber (lua, i));
    } else {
      return FALSE;
    }
  }
  return TRUE;
}

/* The command that the first argument names. What is found is held by its address. */
static const MemCommand *find_command (MemEngine *engine, lua_State *lua)
{
  MemBytes name = engine->args[0];
  guint slot = (guint) (((gsize) name.p >> 4) % MEM_KNOWN);

  if (G_LIKELY (engine->known[slot].name == name.p))
    return engine->known[slot].command;
  const MemCommand *command = mem_command_find (engine->mem, name);
  if (command != NULL) {
    engine->known[slot].name = NULL;
    lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_known);
    lua_pushvalue (lua, 1);
    lua_rawseti (lua, -2, (int) slot + 1);
    lua_pop (lua, 1);
    engine->known[slot].name = name.p;
    engine->known[slot].command = command;
  }
  return command;
}

/* Why a script may not run this, or NULL. */
static const char *refusal (const MemEngine *engine, const MemCommand *command,
                            gsize argc)
{
  if (command == NULL)
    return "ERR Unknown Redis command called from script";
  if (!mem_command_arity_fits (command, argc))
    return "ERR Wrong number of args calling Redis command from script";
  if ((command->flags & MEM_NO_SCRIPT) != 0)
    return "ERR This Redis command is not allowed from script";
  if (engine->read_only && (command->flags & MEM_WRITE) != 0)
    return "ERR Write commands are not allowed from read-only scripts.";
  if ((command->flags & MEM_GROWS) != 0 && !engine->allow_oom
      && mem_is_full (engine->mem))
    return "OOM command not allowed when used memory > 'maxmemory'.";
  return NULL;
}

static gint call_generic (lua_State *lua, gboolean raises)
{
  MemEngine *engine = mem_api_engine (lua);
  gsize argc = (gsize) lua_gettop (lua);
  const char *error = NULL;
  gsize at = engine->out->used;

  if (!engine->running)
    error = "ERR redis.call can only be called inside a function";
  else if (argc == 0)
    error = "ERR Please specify at least one argument for this redis lib call";
  else if (!read_arguments (engine, lua, argc))
    error = "ERR Lua redis lib command arguments must be strings or integers";
  if (error == NULL) {
    MemCall call = {.command = find_command (engine, lua),
                    .argv = engine->args,
                    .argc = argc,
                    .out = engine->out};
    error = refusal (engine, call.command, argc);
    if (error == NULL && call.command != NULL) {
      engine->mem->n_executed++;
      call.command->run (engine->mem, &call);
    }
  }
  if (error != NULL) {
    push_error (lua, error, strlen (error));
    return raises ? lua_error (lua) : 1;
  }
  gsize start = at;
  gboolean failed = (ChKvReplyKind) engine->out->bytes[at] == CH_KV_REPLY_ERROR;
  mem_convert_to_lua (lua, engine->out, &at);
  engine->out->used = start;
  return failed && raises ? lua_error (lua) : 1;
}

static gint api_call (lua_State *lua)
{
  return call_generic (lua, TRUE);
}

static gint api_pcall (lua_State *lua)
{
  return call_generic (lua, FALSE);
}

/* ---- the rest -----------------------------------------------------------------------
 */

static gboolean is_one_string (lua_State *lua)
{
  if (lua_gettop (lua) == 1 && lua_type (lua, 1) == LUA_TSTRING)
    return TRUE;
  static const char text[] = "ERR wrong number or type of arguments";
  push_error (lua, text, sizeof text - 1);
  return FALSE;
}

/* "CODE text", with or without a minus before it; without a code it is ERR. */
static gint api_error_reply (lua_State *lua)
{
  if (!is_one_string (lua))
    return 1;
  gsize size;
  const char *text = lua_tolstring (lua, 1, &size);
  if (size > 0 && text[0] == '-') {
    text++;
    size--;
  }
  if (memchr (text, ' ', size) != NULL) {
    push_error (lua, text, size);
  } else {
    lua_pushliteral (lua, "ERR ");
    lua_pushlstring (lua, text, size);
    lua_concat (lua, 2);
    text = lua_tolstring (lua, -1, &size);
    push_error (lua, text, size);
  }
  return 1;
}

static gint api_status_reply (lua_State *lua)
{
  if (!is_one_string (lua))
    return 1;
  lua_createtable (lua, 0, 1);
  lua_pushliteral (lua, "ok");
  lua_pushvalue (lua, 1);
  lua_rawset (lua, -3);
  return 1;
}

static gint api_sha1hex (lua_State *lua)
{
  gsize size;

  if (lua_gettop (lua) != 1)
    return mem_api_raise (lua, "wrong number of arguments");
  const char *text = lua_tolstring (lua, 1, &size);
  g_autofree char *hex = g_compute_checksum_for_data (
      G_CHECKSUM_SHA1, (const guchar *) (text != NULL ? text : ""),
      text != NULL ? size : 0);
  char copy[41];
  g_strlcpy (copy, hex, sizeof copy); /* an error of the next call would leak it */
  g_clear_pointer (&hex, g_free);
  lua_pushlstring (lua, copy, 40);
  return 1;
}

gint mem_api_log (lua_State *lua)
{
  static const ChLogLevel levels[]
      = {CH_LOG_TRACE, CH_LOG_DEBUG, CH_LOG_INFO, CH_LOG_WARNING};
  MemEngine *engine = mem_api_engine (lua);
  gint argc = lua_gettop (lua);

  if (argc < 2)
    return mem_api_raise (lua, "redis.log() requires two arguments or more.");
  if (!lua_isnumber (lua, 1))
    return mem_api_raise (lua, "First argument must be a number (log level).");
  lua_Number level = lua_tonumber (lua, 1);
  if (!(level >= 0 && level <= 3))
    return mem_api_raise (lua, "Invalid debug level.");
  for (gint i = 2; i <= argc; i++)
    if (!lua_isstring (lua, i)) {
      lua_pushliteral (lua, "");
      lua_replace (lua, i);
    }
  for (gint i = argc; i > 2; i--) {
    lua_pushliteral (lua, " ");
    lua_insert (lua, i);
  }
  lua_concat (lua, lua_gettop (lua) - 1);
  ch_log (engine->mem->self, levels[(gint) level], NULL, "script: %s",
          lua_tostring (lua, -1));
  return 0;
}

static gint api_setresp (lua_State *lua)
{
  if (lua_gettop (lua) != 1)
    return mem_api_raise (lua, "redis.setresp() requires one argument.");
  if (lua_tonumber (lua, 1) != 2)
    return mem_api_raise (lua, "RESP version must be 2.");
  return 0;
}

/* Nothing is replicated: every choice is right. */
static gint api_set_repl (lua_State *lua)
{
  return 0;
}

static gint api_acl_check (lua_State *lua)
{
  lua_pushboolean (lua, TRUE);
  return 1;
}

void mem_api_push_functions (MemEngine *engine, const luaL_Reg *functions)
{
  lua_State *lua = engine->lua;

  for (; functions->name != NULL; functions++) {
    lua_pushlightuserdata (lua, engine);
    lua_pushliteral (lua, "ok");
    lua_pushliteral (lua, "err");
    lua_pushliteral (lua, "OK");
    lua_pushcclosure (lua, functions->func, MEM_UPVALUES);
    lua_setfield (lua, -2, functions->name);
  }
}

void mem_api_push_constants (lua_State *lua)
{
  static const struct {
    const char *name;
    gint value;
  } constants[] = {
      {"LOG_DEBUG", 0},  {"LOG_VERBOSE", 1},
      {"LOG_NOTICE", 2}, {"LOG_WARNING", 3},
      {"REPL_NONE", 0},  {"REPL_AOF", 1},
      {"REPL_SLAVE", 2}, {"REPL_REPLICA", 2},
      {"REPL_ALL", 3},   {"REDIS_VERSION_NUM", 0x07000f},
  };

  for (guint i = 0; i < G_N_ELEMENTS (constants); i++) {
    lua_pushinteger (lua, constants[i].value);
    lua_setfield (lua, -2, constants[i].name);
  }
  lua_pushliteral (lua, "7.0.15");
  lua_setfield (lua, -2, "REDIS_VERSION");
}

void mem_api_push (MemEngine *engine)
{
  static const luaL_Reg functions[] = {
      {"call", api_call},
      {"pcall", api_pcall},
      {"error_reply", api_error_reply},
      {"status_reply", api_status_reply},
      {"sha1hex", api_sha1hex},
      {"log", mem_api_log},
      {"setresp", api_setresp},
      {"set_repl", api_set_repl},
      {"acl_check_cmd", api_acl_check},
      {NULL, NULL},
  };

  lua_createtable (engine->lua, MEM_KNOWN, 0);
  engine->ref_known = luaL_ref (engine->lua, LUA_REGISTRYINDEX);
  lua_newtable (engine->lua);
  mem_api_push_functions (engine, functions);
  mem_api_push_constants (engine->lua);
}
