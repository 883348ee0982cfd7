/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Life of the Lua state. */
#include "engine-private.h"
#include "scripts.h"

#include <stdlib.h>

/* Memory of scripts is counted and bounded; NULL makes Lua raise an error. */
static gpointer allocate (gpointer user_data, gpointer block, gsize old_size, gsize size)
{
  MemEngine *engine = user_data;

  if (size == 0) {
    engine->memory_used -= block != NULL ? old_size : 0;
    free (block);
    return NULL;
  }
  gsize before = block != NULL ? old_size : 0;
  if (size > before && engine->memory_max > 0
      && engine->memory_used + (size - before) > engine->memory_max)
    return NULL;
  gpointer larger = realloc (block, size);
  if (larger != NULL)
    engine->memory_used += size - before;
  return larger;
}

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
  engine->lua = lua_newstate (allocate, engine);
  if (engine->lua == NULL || lua_cpcall (engine->lua, open_protected, engine) != 0) {
    ch_error (mem->self, "Lua does not start: %s",
              engine->lua != NULL ? lua_tostring (engine->lua, -1) : "no memory");
    mem_engine_free (engine);
    return NULL;
  }
  engine->memory_max = memory_max;
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
  g_free (engine->args);
  g_free (engine->numbers);
  g_free (engine);
}

gsize mem_engine_used (const MemEngine *engine)
{
  return engine->memory_used;
}
