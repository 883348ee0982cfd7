/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the engine share. */
#pragma once

#include "engine.h"
#include "lua-heap.h"
#include "number.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define MEM_KNOWN 64

struct _MemEngine {
  Mem *mem;
  lua_State *lua;
  MemLuaHeap heap;
  gint64 limit_us;
  gint64 prng; /* state of math.random */

  gint ref_trampoline, ref_on_error;
  gint ref_globals;  /* what functions see */
  gint ref_load_api; /* what a library sees while it is loaded */
  gint ref_script_globals;
  gint ref_script_env;

  GHashTable *libraries; /* name → MemLibrary */
  GHashTable *functions; /* name → MemFunction */
  GHashTable *scripts;   /* SHA1 → MemScript */
  MemLibrary *loading;
  MemLibrary *replaced; /* by `loading` */

  /* of the run */
  gboolean running;
  gboolean read_only;
  gboolean allow_oom;
  gboolean too_long;
  gint64 started_us; /* 0: the time limit was not looked at yet */
  MemOut *out;

  /* Commands by the address of their name: Lua has each text only once, and a table in
     the registry holds these, so that no other text gets the address. */
  struct {
    const char *name;
    const MemCommand *command;
  } known[MEM_KNOWN];
  gint ref_known;

  /* arguments of redis.call, used again and again */
  MemBytes *args;
  gsize args_room;
  char (*numbers)[MEM_NUMBER_SIZE];
};

/* What a run executes. */
typedef struct {
  MemEngine *engine;
  gint ref;
  const char *name; /* in error texts */
  const MemBytes *keys, *args;
  gsize n_keys, n_args;
  gboolean is_script; /* KEYS and ARGV are globals */
  gboolean read_only;
  gboolean allow_oom;
  MemOut *out;
} MemRun;

/* run.c */
void mem_run (MemRun *run);
void mem_run_init (MemEngine *engine);
/* Runs the function on the top of the stack without arguments; NULL or the error's text.
 */
char *mem_run_chunk (MemEngine *engine);
/* Collects all and chooses how long the collector may sleep. */
void mem_run_collect (MemEngine *engine);

/* sandbox.c */
void mem_sandbox_open (MemEngine *engine);
/* Replaces the table on the top of the stack by one through which it can only be read. */
void mem_sandbox_protect (lua_State *lua);
/* The same, and reading what is not there is an error. */
void mem_sandbox_protect_globals (lua_State *lua);
/* Compiles text, never bytecode; leaves a function, or a message and FALSE. */
gboolean mem_sandbox_compile (lua_State *lua, MemBytes code, const char *chunk);

/* api.c */
void mem_api_push (MemEngine *engine); /* the table `redis` of functions and scripts */
void mem_api_push_functions (MemEngine *engine,
                             const luaL_Reg *functions); /* into the top */
void mem_api_push_constants (lua_State *lua);
gint mem_api_log (lua_State *lua);
MemEngine *mem_api_engine (lua_State *lua);
/* Raises the text without a position. */
gint mem_api_raise (lua_State *lua, const char *text);

/* Upvalues of every function that mem_api_push_functions() makes. */
enum {
  MEM_UPVALUE_ENGINE = 1,
  MEM_UPVALUE_OK,   /* "ok", the field */
  MEM_UPVALUE_ERR,  /* "err" */
  MEM_UPVALUE_DONE, /* "OK", the most frequent value of the field */
  MEM_UPVALUES = MEM_UPVALUE_DONE,
};

/* convert.c; called by such a function only */
void mem_convert_to_lua (lua_State *lua, const MemOut *out, gsize *at);
/* The value on the top of the stack, which is popped. */
void mem_convert_from_lua (lua_State *lua, MemOut *out);
