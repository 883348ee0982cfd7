/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EVAL: scripts that are compiled once and known by the SHA1 of their text. */
#include "scripts.h"
#include "engine-private.h"

#include <string.h>

#define MAX_SCRIPTS                                                                      \
  10000 /* then all are forgotten; who sends only the SHA1 hears NOSCRIPT */

typedef struct {
  char sha[41];
  gint ref;
} Script;

/* Keys and arguments behind their number; FALSE: an error was replied. */
static gboolean split_keys (MemCall *call, gsize *n_keys)
{
  gint64 n;

  if (!mem_arg_int (call, 2, &n))
    return FALSE;
  if (n > (gint64) call->argc - 3) {
    mem_out_error (call->out, "ERR Number of keys can't be greater than number of args");
    return FALSE;
  }
  if (n < 0) {
    mem_out_error (call->out, "ERR Number of keys can't be negative");
    return FALSE;
  }
  *n_keys = (gsize) n;
  return TRUE;
}

static void sha_of (MemBytes text, char sha[41])
{
  g_autofree char *hex
      = g_compute_checksum_for_data (G_CHECKSUM_SHA1, (const guchar *) text.p, text.n);
  g_strlcpy (sha, hex, 41);
}

static Script *script_by_sha (const MemEngine *engine, MemBytes sha)
{
  char lower[41];

  if (sha.n != 40)
    return NULL;
  for (guint i = 0; i < 40; i++)
    lower[i] = g_ascii_tolower (sha.p[i]);
  lower[40] = '\0';
  return g_hash_table_lookup (engine->scripts, lower);
}

typedef struct {
  MemEngine *engine;
  MemBytes code;
  gint ref;
  char *error;
} Compile;

static gint compile_protected (lua_State *lua)
{
  Compile *compile = lua_touserdata (lua, 1);

  if (!mem_sandbox_compile (lua, compile->code, "@user_script")) {
    compile->error = g_strdup (lua_tostring (lua, -1));
    return 0;
  }
  lua_rawgeti (lua, LUA_REGISTRYINDEX, compile->engine->ref_script_env);
  lua_setfenv (lua, -2);
  compile->ref = luaL_ref (lua, LUA_REGISTRYINDEX);
  return 0;
}

/* NULL: it does not compile, and that was replied. */
static Script *script_get (MemEngine *engine, MemCall *call, MemBytes code)
{
  char sha[41];
  Compile compile = {.engine = engine, .code = code};

  sha_of (code, sha);
  Script *script = g_hash_table_lookup (engine->scripts, sha);
  if (script != NULL)
    return script;
  if (lua_cpcall (engine->lua, compile_protected, &compile) != 0 && compile.error == NULL)
    compile.error = g_strdup (lua_tostring (engine->lua, -1));
  lua_settop (engine->lua, 0);
  if (compile.error != NULL) {
    mem_out_error (call->out, "ERR Error compiling script (new function): %s",
                   compile.error);
    g_free (compile.error);
    return NULL;
  }
  if (g_hash_table_size (engine->scripts) >= MAX_SCRIPTS)
    mem_scripts_flush (engine);
  script = g_new0 (Script, 1);
  memcpy (script->sha, sha, sizeof sha);
  script->ref = compile.ref;
  g_hash_table_insert (engine->scripts, script->sha, script);
  return script;
}

void mem_script_eval (Mem *mem, MemCall *call, gboolean by_sha, gboolean read_only)
{
  MemEngine *engine = mem->engine;
  gsize n_keys;
  Script *script;

  if (!split_keys (call, &n_keys))
    return;
  script = by_sha ? script_by_sha (engine, call->argv[1])
                  : script_get (engine, call, call->argv[1]);
  if (script == NULL) {
    if (by_sha)
      mem_out_error (call->out, "NOSCRIPT No matching script. Please use EVAL.");
    return;
  }
  MemRun run = {.engine = engine,
                .ref = script->ref,
                .name = script->sha,
                .keys = call->argv + 3,
                .n_keys = n_keys,
                .args = call->argv + 3 + n_keys,
                .n_args = call->argc - 3 - n_keys,
                .is_script = TRUE,
                .read_only = read_only,
                .out = call->out};
  mem_run (&run);
}

void mem_scripts_flush (MemEngine *engine)
{
  GHashTableIter iter;
  gpointer script;

  g_hash_table_iter_init (&iter, engine->scripts);
  while (g_hash_table_iter_next (&iter, NULL, &script)) {
    luaL_unref (engine->lua, LUA_REGISTRYINDEX, ((Script *) script)->ref);
    g_hash_table_iter_remove (&iter);
  }
}

static void script_load (Mem *mem, MemCall *call)
{
  Script *script = script_get (mem->engine, call, call->argv[2]);
  if (script != NULL)
    mem_out_bytes (call->out, script->sha, 40);
}

static void script_exists (Mem *mem, MemCall *call)
{
  mem_out_array (call->out, call->argc - 2);
  for (gsize i = 2; i < call->argc; i++)
    mem_out_integer (call->out,
                     script_by_sha (mem->engine, call->argv[i]) != NULL ? 1 : 0);
}

static void script_flush (Mem *mem, MemCall *call)
{
  if (call->argc == 3 && !mem_arg_is (call->argv[2], "SYNC")
      && !mem_arg_is (call->argv[2], "ASYNC")) {
    mem_out_error (call->out, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    return;
  }
  mem_scripts_flush (mem->engine);
  mem_out_ok (call->out);
}

void mem_script_command (Mem *mem, MemCall *call)
{
  static const MemSubcommand subcommands[]
      = {{"LOAD", "script|load", 3, 3, script_load},
         {"EXISTS", "script|exists", 3, G_MAXSIZE, script_exists},
         {"FLUSH", "script|flush", 2, 3, script_flush},
         {NULL}};
  mem_run_subcommand (mem, call, subcommands, "SCRIPT");
}

/* Scripts see what functions see, and KEYS and ARGV. */
void mem_scripts_init (MemEngine *engine)
{
  lua_State *lua = engine->lua;

  engine->scripts = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  lua_newtable (lua);
  lua_createtable (lua, 0, 1);
  lua_rawgeti (lua, LUA_REGISTRYINDEX, engine->ref_globals);
  lua_setfield (lua, -2, "__index");
  lua_setmetatable (lua, -2);
  lua_pushvalue (lua, -1);
  engine->ref_script_globals = luaL_ref (lua, LUA_REGISTRYINDEX);
  mem_sandbox_protect (lua);
  engine->ref_script_env = luaL_ref (lua, LUA_REGISTRYINDEX);
}
