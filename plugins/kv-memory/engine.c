/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Life of the Lua state. */
#include "engine-private.h"
#include "scripts.h"

static gint open_protected (lua_State *lua)
{
  MemEngine *engine = lua_touserdata (lua, 1);

  lua_settop (lua, 0);
  mem_run_init (engine);
  mem_sandbox_open (engine);
  mem_functions_init (engine);
  mem_scripts_init (engine);
  return 0;
}

MemEngine *mem_engine_new (Mem *mem, gsize memory_max, gint64 time_limit_ms)
{
  MemEngine *engine = g_new0 (MemEngine, 1);

  engine->mem = mem;
  engine->limit_us = time_limit_ms * 1000;
  engine->out = &mem->out;
  engine->prng = 0x330E;
  engine->lua = lua_newstate (mem_lua_allocate, &engine->heap);
  if (engine->lua == NULL || lua_cpcall (engine->lua, open_protected, engine) != 0) {
    ch_error (mem->self, "Lua does not start: %s",
              engine->lua != NULL ? lua_tostring (engine->lua, -1) : "no memory");
    mem_engine_free (engine);
    return NULL;
  }
  engine->heap.max = memory_max;
  mem_run_collect (engine);
  return engine;
}

void mem_engine_free (MemEngine *engine)
{
  if (engine == NULL)
    return;
  g_clear_pointer (&engine->functions, g_hash_table_unref);
  g_clear_pointer (&engine->libraries, g_hash_table_unref);
  g_clear_pointer (&engine->scripts, g_hash_table_unref);
  if (engine->lua != NULL)
    lua_close (engine->lua);
  mem_lua_heap_clear (&engine->heap);
  g_free (engine->args);
  g_free (engine->numbers);
  g_free (engine);
}

gsize mem_engine_used (const MemEngine *engine)
{
  return engine->heap.used;
}
