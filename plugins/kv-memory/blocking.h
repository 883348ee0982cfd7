/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that wait for an element: first come, first served, per key. */
#pragma once

#include "memory.h"

MemBlocking *mem_blocking_new (Mem *mem);
void mem_blocking_free (MemBlocking *blocking); /* nobody waits any more */
/* A list or a sorted set has come into being under @key. */
void mem_blocking_signal (Mem *mem, MemBytes key);
/* After each command: serves those whose key was signalled. */
void mem_blocking_serve (Mem *mem);
/* Nobody waits for @run: it ends without effect, if it is one that waits. */
void mem_blocking_cancel (Mem *mem, ChKvRun *run);
/* All that wait end with an error. */
void mem_blocking_fail_all (Mem *mem, const char *reason);
