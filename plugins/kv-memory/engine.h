/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lua functions and scripts as Redis 7.0 runs them. */
#pragma once

#include "memory.h"

typedef enum {
  MEM_FUNCTION_NO_WRITES = 1 << 0,
  MEM_FUNCTION_ALLOW_OOM = 1 << 1,
  MEM_FUNCTION_ALLOW_STALE = 1 << 2,
  MEM_FUNCTION_NO_CLUSTER = 1 << 3,
} MemFunctionFlags;

typedef struct _MemLibrary MemLibrary;

typedef struct {
  char *name;
  char *description; /* NULL: none */
  MemFunctionFlags flags;
  gint ref; /* of the callback */
  MemLibrary *library;
} MemFunction;

struct _MemLibrary {
  char *name;
  char *code;
  GPtrArray *functions; /* MemFunction */
};

MemEngine *mem_engine_new (Mem *mem, gsize memory_max, gint64 time_limit_ms);
void mem_engine_free (MemEngine *engine);
gsize mem_engine_used (const MemEngine *engine);

/* functions.c: @error is a text as Redis words it, without the leading minus */
MemLibrary *mem_library_load (MemEngine *engine, MemBytes code, gboolean replace,
                              char **error);
gboolean mem_library_delete (MemEngine *engine, const char *name);
void mem_library_flush (MemEngine *engine);
const MemFunction *mem_function_find (const MemEngine *engine, MemBytes name);
/* Libraries by name. (transfer container) (element-type MemLibrary) */
GPtrArray *mem_library_list (const MemEngine *engine);
