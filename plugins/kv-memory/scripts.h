/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EVAL scripts by their SHA1, and how the engine's parts are set up. */
#pragma once

#include "engine.h"

void mem_functions_init (MemEngine *engine);
void mem_scripts_init (MemEngine *engine);
void mem_scripts_flush (MemEngine *engine);

/* EVAL, EVALSHA: @argv[1] is the script or its SHA1. */
void mem_script_eval (Mem *mem, MemCall *call, gboolean by_sha, gboolean read_only);
/* SCRIPT … */
void mem_script_command (Mem *mem, MemCall *call);
