/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data in a file, so that a restart does not lose it. A child process writes it from
 * its copy of the memory, so nobody waits; the file is complete or the old one.
 */
#pragma once

#include "memory.h"

/* "CHKVSNP" and the version; little-endian from here on: time of saving (ms), entries,
   0xff, a hash. An entry: type, expiry (ms), key, value. Texts and lists begin with their
   size or number in 32 bits. */
#define MEM_SNAPSHOT_MAGIC "CHKVSNP\1"
#define MEM_SNAPSHOT_END 0xff
#define MEM_SNAPSHOT_BLOCK 65536 /* the hash goes from block to block */

guint64 mem_snapshot_hash (guint64 before, const guint8 *block, gsize size);

/* Every @interval_ms when something has changed; 0: only at the end. */
MemSnapshot *mem_snapshot_new (Mem *mem, const char *path, gint64 interval_ms);
/* Writes once more when something has changed. */
void mem_snapshot_finish (MemSnapshot *snapshot);
void mem_snapshot_free (MemSnapshot *snapshot);

/* snapshot-load.c: FALSE: there was something wrong with the file; the data is empty */
gboolean mem_snapshot_load (Mem *mem, const char *path, char **problem);
