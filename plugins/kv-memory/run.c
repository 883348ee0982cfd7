/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running Lua: always protected, with a time limit. Whatever could fail for lack of
 * memory happens inside the protected call.
 */
#include "engine-private.h"

#include <locale.h>
#include <string.h>

#define HOOK_EVERY 100000 /* instructions */
#define LONG_PAUSE 500    /* per cent of what lives */
#define SHORT_PAUSE 200
#define ROOMY 16 /* what lives is at most one part in so many of the limit */

/* The registry holds the engine for the hook, which has no upvalues. */
static const char engine_key = 0;

static void count_hook (lua_State *lua, lua_Debug *debug)
{
  lua_pushlightuserdata (lua, (gpointer) &engine_key);
  lua_rawget (lua, LUA_REGISTRYINDEX);
  MemEngine *engine = lua_touserdata (lua, -1);
  lua_pop (lua, 1);

  if (!engine->running)
    return;
  /* The clock is looked at for the first time now: most runs end before that. */
  gint64 now_us = g_get_monotonic_time ();
  if (engine->started_us == 0)
    engine->started_us = now_us;
  if (!engine->too_long && now_us - engine->started_us <= engine->limit_us)
    return;
  engine->too_long = TRUE;
  /* A script that catches this gets it again at its next instruction. */
  lua_sethook (engine->lua, count_hook, LUA_MASKCOUNT, 1);
  lua_sethook (lua, count_hook, LUA_MASKCOUNT, 1);
  luaL_error (lua, "Script ran longer than %d ms and was stopped",
              (int) (engine->limit_us / 1000));
}

/* Errors become tables that tell where they were raised. */
static gint on_error (lua_State *lua)
{
  lua_Debug debug;
  gboolean known = lua_getstack (lua, 1, &debug) && lua_getinfo (lua, "Sl", &debug);

  if (known && strcmp (debug.what, "C") == 0)
    known = lua_getstack (lua, 2, &debug) && lua_getinfo (lua, "Sl", &debug);
  if (!lua_istable (lua, 1)) {
    const char *text
        = lua_isstring (lua, 1) ? lua_tostring (lua, 1) : luaL_typename (lua, 1);
    lua_createtable (lua, 0, 3);
    lua_pushfstring (lua, "ERR %s", text);
    lua_setfield (lua, -2, "err");
    lua_replace (lua, 1);
  }
  lua_settop (lua, 1);
  if (known) {
    lua_pushliteral (lua, "source");
    lua_pushstring (lua, debug.source);
    lua_rawset (lua, 1);
    lua_pushliteral (lua, "line");
    lua_pushinteger (lua, debug.currentline);
    lua_rawset (lua, 1);
  }
  return 1;
}

static void push_bytes (lua_State *lua, const MemBytes *items, gsize n)
{
  lua_createtable (lua, (int) n, 0);
  for (gsize i = 0; i < n; i++) {
    lua_pushlstring (lua, items[i].p, items[i].n);
    lua_rawseti (lua, -2, (int) i + 1);
  }
}

static gint trampoline (lua_State *lua)
{
  MemRun *run = lua_touserdata (lua, 1);

  if (run->is_script) {
    lua_rawgeti (lua, LUA_REGISTRYINDEX, run->engine->ref_script_globals);
    push_bytes (lua, run->keys, run->n_keys);
    lua_setfield (lua, -2, "KEYS");
    push_bytes (lua, run->args, run->n_args);
    lua_setfield (lua, -2, "ARGV");
  }
  lua_rawgeti (lua, LUA_REGISTRYINDEX, run->ref);
  if (!run->is_script) {
    push_bytes (lua, run->keys, run->n_keys);
    push_bytes (lua, run->args, run->n_args);
  }
  lua_call (lua, run->is_script ? 0 : 2, 1);
  mem_convert_from_lua (lua, run->out);
  return 0;
}

/* Without metamethods, which would be a script's code outside of its protection. */
static void push_raw (lua_State *lua, gint table, const char *field)
{
  lua_pushstring (lua, field);
  lua_rawget (lua, table);
}

static void describe (lua_State *lua, gint table, const char *name, GString *text)
{
  push_raw (lua, table, "err");
  push_raw (lua, table, "source");
  push_raw (lua, table, "line");
  g_string_append (text, lua_type (lua, -3) == LUA_TSTRING ? lua_tostring (lua, -3)
                                                           : "ERR unknown error");
  if (name != NULL) {
    g_string_append_printf (text, " script: %s", name);
    if (lua_type (lua, -2) == LUA_TSTRING && lua_type (lua, -1) == LUA_TNUMBER)
      g_string_append_printf (text, ", on %s:%d.", lua_tostring (lua, -2),
                              (gint) lua_tointeger (lua, -1));
  }
  lua_pop (lua, 3);
}

/* The error on the top of the stack as one line; it is popped. Nothing protects this, so
   the limit of memory does not hold meanwhile. */
static char *take_error (MemEngine *engine, const char *name)
{
  lua_State *lua = engine->lua;
  g_autoptr (GString) text = g_string_new (NULL);
  gsize max = engine->heap.max;

  engine->heap.max = 0;
  if (lua_istable (lua, -1)) {
    describe (lua, lua_gettop (lua), name, text);
  } else {
    const char *message
        = lua_type (lua, -1) == LUA_TSTRING ? lua_tostring (lua, -1) : "error";
    g_string_append_printf (text, "ERR %s", message);
    if (name != NULL)
      g_string_append_printf (text, " script: %s", name);
  }
  lua_pop (lua, 1);
  engine->heap.max = max;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void begin (MemEngine *engine)
{
  if (engine->too_long)
    lua_sethook (engine->lua, count_hook, LUA_MASKCOUNT, HOOK_EVERY);
  engine->too_long = FALSE;
  engine->started_us = 0;
}

/*
 * The collector begins again when memory has grown by its pause. What lives is small, so
 * a short pause would mean that each few calls pay for a look at all of it, and a very
 * long one that garbage outgrows the processor's cache. But Lua gives up at the limit
 * without collecting, so there must be room for what is dead.
 */
void mem_run_collect (MemEngine *engine)
{
  lua_gc (engine->lua, LUA_GCCOLLECT, 0);
  gboolean roomy = engine->heap.max == 0 || engine->heap.used <= engine->heap.max / ROOMY;
  lua_gc (engine->lua, LUA_GCSETPAUSE, roomy ? LONG_PAUSE : SHORT_PAUSE);
}

static gint protected_call (MemEngine *engine, gint n_arguments, gint handler)
{
  gint status = lua_pcall (engine->lua, n_arguments, 0, handler);
  if (status == LUA_ERRMEM
      || (engine->heap.max > 0 && engine->heap.used > engine->heap.max / 2))
    mem_run_collect (engine);
  return status;
}

void mem_run (MemRun *run)
{
  MemEngine *engine = run->engine;
  lua_State *lua = engine->lua;
  gsize mark = run->out->used;

  begin (engine);
  engine->running = TRUE;
  engine->read_only = run->read_only;
  engine->allow_oom = run->allow_oom;
  engine->out = run->out;
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_on_error);
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_trampoline);
  lua_pushlightuserdata (lua, run);
  gint status = protected_call (engine, 1, -3);
  engine->running = FALSE;
  if (status != 0) {
    g_autofree char *text = take_error (engine, run->name);
    run->out->used = mark;
    mem_out_error_bytes (run->out, text, strlen (text));
  }
  lua_settop (lua, 0);
}

char *mem_run_chunk (MemEngine *engine)
{
  lua_State *lua = engine->lua;
  char *error = NULL;

  begin (engine);
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_on_error);
  lua_insert (lua, -2);
  engine->running = TRUE; /* for the time limit; `redis` has no call there */
  if (protected_call (engine, 0, -2) != 0)
    error = take_error (engine, NULL);
  engine->running = FALSE;
  lua_pop (lua, 1);
  return error;
}

void mem_run_init (MemEngine *engine)
{
  lua_State *lua = engine->lua;

  lua_pushlightuserdata (lua, (gpointer) &engine_key);
  lua_pushlightuserdata (lua, engine);
  lua_rawset (lua, LUA_REGISTRYINDEX);
  lua_pushcfunction (lua, trampoline);
  engine->ref_trampoline = luaL_ref (lua, LUA_REGISTRYINDEX);
  lua_pushcfunction (lua, on_error);
  engine->ref_on_error = luaL_ref (lua, LUA_REGISTRYINDEX);
  lua_sethook (lua, count_hook, LUA_MASKCOUNT, HOOK_EVERY);
}
