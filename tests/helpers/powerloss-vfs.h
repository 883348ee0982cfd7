/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk that loses power: a layer of SQLite over the default one that keeps in memory
 * what was not synced. A process that is killed has lost exactly that.
 */
#pragma once

#include <glib.h>

/* Loses all that was not synced. */
#define POWERLOSS_VFS "powerloss"
/* A random part of it reaches the disk nevertheless, in any order and torn. */
#define POWERLOSS_TORN_VFS "powerloss-torn"

/* Registers both, neither as the default. Once per process. */
int powerloss_register (void);
/* Bytes that were written through @vfs and would be lost. */
guint64 powerloss_unsynced (const char *vfs);
/*
 * The power goes: what was not synced is lost, every open file gives errors from now on.
 * After all connections are closed the files can be opened anew.
 */
void powerloss_cut (const char *vfs);
/* Bytes by which files may still grow before the disk is full; −1 is no limit. */
void powerloss_set_room (const char *vfs, gint64 bytes);
