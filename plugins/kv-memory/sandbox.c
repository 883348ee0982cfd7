/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What scripts may see. Nothing that scripts share can be written: they get empty tables
 * through which the real ones are read. Files, processes, bytecode and the debugger are
 * not there.
 */
#include "engine-private.h"
#include <lua-cjson.h>

#include <string.h>

#define READ_ONLY "Attempt to modify a readonly table"

static const char *const basic[] = {
    "assert", "coroutine", "error",    "gcinfo",   "getmetatable", "ipairs",
    "next",   "rawequal",  "select",   "tonumber", "tostring",     "type",
    "unpack", "xpcall",    "_VERSION", NULL,
};

/* The key of the real table in a protected table's metatable: an address. */
static const char real_key = 0;

static gint refuse_write (lua_State *lua)
{
  return luaL_error (lua, READ_ONLY);
}

static gint refuse_unknown (lua_State *lua)
{
  const char *name = lua_type (lua, 2) == LUA_TSTRING ? lua_tostring (lua, 2) : "?";
  return luaL_error (lua, "Script attempted to access nonexistent global variable '%s'",
                     name);
}

void mem_sandbox_protect (lua_State *lua)
{
  lua_newtable (lua); /* stands for it */
  lua_createtable (lua, 0, 4);
  lua_pushvalue (lua, -3);
  lua_setfield (lua, -2, "__index");
  lua_pushcfunction (lua, refuse_write);
  lua_setfield (lua, -2, "__newindex");
  lua_pushboolean (lua, FALSE);
  lua_setfield (lua, -2, "__metatable");
  lua_pushlightuserdata (lua, (gpointer) &real_key);
  lua_pushvalue (lua, -4);
  lua_rawset (lua, -3);
  lua_setmetatable (lua, -2);
  lua_remove (lua, -2);
}

void mem_sandbox_protect_globals (lua_State *lua)
{
  lua_createtable (lua, 0, 1);
  lua_pushcfunction (lua, refuse_unknown);
  lua_setfield (lua, -2, "__index");
  lua_setmetatable (lua, -2);
  mem_sandbox_protect (lua);
}

/* Pushes the table behind a protected one; FALSE: it is not one. */
static gboolean push_real (lua_State *lua, gint index)
{
  if (!lua_istable (lua, index) || !lua_getmetatable (lua, index))
    return FALSE;
  lua_pushlightuserdata (lua, (gpointer) &real_key);
  lua_rawget (lua, -2);
  lua_remove (lua, -2);
  if (lua_istable (lua, -1))
    return TRUE;
  lua_pop (lua, 1);
  return FALSE;
}

static gint raw_get (lua_State *lua)
{
  luaL_checktype (lua, 1, LUA_TTABLE);
  luaL_checkany (lua, 2);
  lua_settop (lua, 2);
  if (push_real (lua, 1))
    lua_replace (lua, 1);
  lua_rawget (lua, 1);
  return 1;
}

static gint raw_set (lua_State *lua)
{
  luaL_checktype (lua, 1, LUA_TTABLE);
  luaL_checkany (lua, 2);
  luaL_checkany (lua, 3);
  lua_settop (lua, 3);
  if (push_real (lua, 1))
    return mem_api_raise (lua, READ_ONLY);
  lua_rawset (lua, 1);
  return 1;
}

static gint set_metatable (lua_State *lua)
{
  gint type = lua_type (lua, 2);

  luaL_checktype (lua, 1, LUA_TTABLE);
  luaL_argcheck (lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
  if (push_real (lua, 1))
    return mem_api_raise (lua, READ_ONLY);
  if (luaL_getmetafield (lua, 1, "__metatable"))
    return luaL_error (lua, "cannot change a protected metatable");
  lua_settop (lua, 2);
  lua_setmetatable (lua, 1);
  return 1;
}

/* Goes through the table behind a protected one. */
static gint pairs_of (lua_State *lua)
{
  luaL_checktype (lua, 1, LUA_TTABLE);
  lua_settop (lua, 1);
  if (push_real (lua, 1))
    lua_replace (lua, 1);
  lua_pushvalue (lua, lua_upvalueindex (1));
  lua_insert (lua, 1);
  lua_pushnil (lua);
  return 3;
}

/* An error that is a table of Redis comes out as its text. */
static gint protected_call (lua_State *lua)
{
  luaL_checkany (lua, 1);
  gint status = lua_pcall (lua, lua_gettop (lua) - 1, LUA_MULTRET, 0);
  if (status != 0 && lua_istable (lua, -1)) {
    lua_getfield (lua, -1, "err");
    if (lua_isstring (lua, -1))
      lua_replace (lua, -2);
    else
      lua_pop (lua, 1);
  }
  lua_pushboolean (lua, status == 0);
  lua_insert (lua, 1);
  return lua_gettop (lua);
}

/* The collector is everybody's: scripts may ask and collect, not switch it off. */
static gint collect_garbage (lua_State *lua)
{
  const char *what = luaL_optstring (lua, 1, "collect");

  if (strcmp (what, "count") == 0)
    lua_pushnumber (lua, lua_gc (lua, LUA_GCCOUNT, 0)
                             + lua_gc (lua, LUA_GCCOUNTB, 0) / 1024.0);
  else if (strcmp (what, "collect") == 0 || strcmp (what, "step") == 0)
    lua_pushinteger (lua, lua_gc (lua, LUA_GCCOLLECT, 0));
  else
    lua_pushinteger (lua, 0);
  return 1;
}

gboolean mem_sandbox_compile (lua_State *lua, MemBytes code, const char *chunk)
{
  if (code.n > 0 && code.p[0] == LUA_SIGNATURE[0]) {
    lua_pushliteral (lua, "bytecode is not allowed");
    return FALSE;
  }
  return luaL_loadbuffer (lua, code.p, code.n, chunk) == 0;
}

static gint compile_or_nil (lua_State *lua, MemBytes code, const char *chunk)
{
  if (mem_sandbox_compile (lua, code, chunk))
    return 1;
  lua_pushnil (lua);
  lua_insert (lua, -2);
  return 2;
}

static gint load_string (lua_State *lua)
{
  MemBytes code;
  code.p = luaL_checklstring (lua, 1, &code.n);
  return compile_or_nil (lua, code, luaL_optstring (lua, 2, code.p));
}

/* The pieces of the reader are put together first. */
static gint load_pieces (lua_State *lua)
{
  const char *chunk = luaL_optstring (lua, 2, "=(load)");
  MemBytes code;
  gint n = 0;

  luaL_checktype (lua, 1, LUA_TFUNCTION);
  lua_settop (lua, 2);
  lua_newtable (lua);
  for (;;) {
    lua_pushvalue (lua, 1);
    lua_call (lua, 0, 1);
    if (lua_isnil (lua, -1) || (lua_isstring (lua, -1) && lua_objlen (lua, -1) == 0))
      break;
    if (!lua_isstring (lua, -1))
      return luaL_error (lua, "reader function must return a string");
    lua_rawseti (lua, 3, ++n);
  }
  lua_settop (lua, 3);
  lua_getfield (lua, LUA_REGISTRYINDEX, "concat");
  lua_pushvalue (lua, 3);
  lua_call (lua, 1, 1);
  code.p = lua_tolstring (lua, -1, &code.n);
  return compile_or_nil (lua, code, chunk);
}

static void open_library (lua_State *lua, const char *name, lua_CFunction open)
{
  lua_pushcfunction (lua, open);
  lua_pushstring (lua, name);
  lua_call (lua, 1, 0);
}

static void take_library (lua_State *lua, gint globals, const char *name)
{
  lua_getglobal (lua, name);
  mem_sandbox_protect (lua);
  lua_setfield (lua, globals, name);
}

/* Strings have methods: through their metatable no one may reach the real library. */
static void protect_string_methods (lua_State *lua, gint globals)
{
  lua_pushliteral (lua, "");
  if (!lua_getmetatable (lua, -1)) {
    lua_pop (lua, 1);
    return;
  }
  lua_createtable (lua, 0, 1);
  lua_getfield (lua, globals, "string");
  lua_setfield (lua, -2, "__index");
  mem_sandbox_protect (lua);
  lua_setfield (lua, -2, "__metatable");
  lua_pop (lua, 2);
}

static void set_function (lua_State *lua, gint globals, const char *name,
                          lua_CFunction function)
{
  lua_pushcfunction (lua, function);
  lua_setfield (lua, globals, name);
}

static gint mem_random_number (lua_State *lua);
static gint mem_random_seed (lua_State *lua);

static void open_libraries (MemEngine *engine)
{
  lua_State *lua = engine->lua;

  open_library (lua, "", luaopen_base);
  open_library (lua, LUA_TABLIBNAME, luaopen_table);
  open_library (lua, LUA_STRLIBNAME, luaopen_string);
  open_library (lua, LUA_MATHLIBNAME, luaopen_math);
  lua_pushcfunction (lua, luaopen_cjson);
  lua_call (lua, 0, 1);
  lua_setglobal (lua, "cjson");
  lua_getglobal (lua, "math");
  static const luaL_Reg random[]
      = {{"random", mem_random_number}, {"randomseed", mem_random_seed}, {NULL, NULL}};
  mem_api_push_functions (engine, random);
  lua_pop (lua, 1);
  lua_getglobal (lua, "table");
  lua_getfield (lua, -1, "concat");
  lua_setfield (lua, LUA_REGISTRYINDEX, "concat");
  lua_pop (lua, 1);
}

void mem_sandbox_open (MemEngine *engine)
{
  lua_State *lua = engine->lua;

  open_libraries (engine);
  lua_newtable (lua);
  gint globals = lua_gettop (lua);
  for (guint i = 0; basic[i] != NULL; i++) {
    lua_getglobal (lua, basic[i]);
    lua_setfield (lua, globals, basic[i]);
  }
  take_library (lua, globals, "table");
  take_library (lua, globals, "string");
  take_library (lua, globals, "math");
  take_library (lua, globals, "cjson");
  take_library (lua, globals, "coroutine");
  set_function (lua, globals, "pcall", protected_call);
  set_function (lua, globals, "rawget", raw_get);
  set_function (lua, globals, "rawset", raw_set);
  set_function (lua, globals, "setmetatable", set_metatable);
  set_function (lua, globals, "collectgarbage", collect_garbage);
  set_function (lua, globals, "loadstring", load_string);
  set_function (lua, globals, "load", load_pieces);
  lua_getglobal (lua, "next");
  lua_pushcclosure (lua, pairs_of, 1);
  lua_setfield (lua, globals, "pairs");
  protect_string_methods (lua, globals);
  mem_api_push (engine);
  mem_sandbox_protect (lua);
  lua_setfield (lua, globals, "redis");
  lua_pushvalue (lua, globals);
  engine->ref_globals = luaL_ref (lua, LUA_REGISTRYINDEX);

  /* Whatever is compiled from now on sees only these. */
  lua_pushvalue (lua, globals);
  mem_sandbox_protect_globals (lua);
  lua_pushvalue (lua, -1);
  lua_setfield (lua, globals, "_G");
  lua_replace (lua, LUA_GLOBALSINDEX);
  lua_settop (lua, 0);
}

/* ---- numbers that look random and are the same everywhere ---------------------------
 */

/* The 48-bit generator of POSIX drand48(), of which the upper 31 bits are used. */
static gint32 next_random (MemEngine *engine)
{
  engine->prng
      = (gint64) (((guint64) engine->prng * G_GUINT64_CONSTANT (0x5DEECE66D) + 0xB)
                  & G_GUINT64_CONSTANT (0xFFFFFFFFFFFF));
  return (gint32) (engine->prng >> 17);
}

static gint mem_random_seed (lua_State *lua)
{
  MemEngine *engine = mem_api_engine (lua);
  gint64 seed = (gint32) luaL_checkint (lua, 1);
  engine->prng
      = (gint64) (((guint64) seed << 16 | 0x330E) & G_GUINT64_CONSTANT (0xFFFFFFFFFFFF));
  return 0;
}

static gint mem_random_number (lua_State *lua)
{
  MemEngine *engine = mem_api_engine (lua);
  lua_Number r
      = (lua_Number) (next_random (engine) % G_MAXINT32) / (lua_Number) G_MAXINT32;
  gint n = lua_gettop (lua);

  if (n == 0) {
    lua_pushnumber (lua, r);
    return 1;
  }
  if (n > 2)
    return luaL_error (lua, "wrong number of arguments");
  gint low = n == 2 ? luaL_checkint (lua, 1) : 1;
  gint high = luaL_checkint (lua, n);
  luaL_argcheck (lua, low <= high, n, "interval is empty");
  gint64 width = (gint64) high - low + 1;
  lua_pushnumber (lua, (lua_Number) ((gint64) (r * (lua_Number) width) + low));
  return 1;
}
