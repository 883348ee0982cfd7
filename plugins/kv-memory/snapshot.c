/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"
#include "list.h"
#include "zset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100 /* whether the child has ended */

/* All that the child uses is made before it: it must not allocate. */
struct _MemSnapshot {
  Mem *mem;
  char *path;
  char *temporary;
  char *folder;
  gint64 interval_ms;
  ChTimer timer;
  pid_t child;
  guint64 saved;   /* mem->changes that the file has */
  guint64 writing; /* that the child's will have */
  int fd;
  gboolean failed;
  guint64 hash;
  gsize used;
  guint8 block[MEM_SNAPSHOT_BLOCK];
};

guint64 mem_snapshot_hash (guint64 before, const guint8 *block, gsize size)
{
  guint64 seed[2] = {before, size};
  return mem_hash (seed, (const char *) block, size);
}

/* ---- writing ------------------------------------------------------------------------
 */

static void put_all (MemSnapshot *snapshot, const guint8 *bytes, gsize size)
{
  while (size > 0 && !snapshot->failed) {
    ssize_t n = write (snapshot->fd, bytes, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      snapshot->failed = TRUE;
      return;
    }
    bytes += n;
    size -= (gsize) n;
  }
}

static void end_block (MemSnapshot *snapshot)
{
  snapshot->hash = mem_snapshot_hash (snapshot->hash, snapshot->block, snapshot->used);
  put_all (snapshot, snapshot->block, snapshot->used);
  snapshot->used = 0;
}

static void put (MemSnapshot *snapshot, const void *bytes, gsize size)
{
  const guint8 *at = bytes;

  while (size > 0) {
    gsize n = MIN (size, sizeof snapshot->block - snapshot->used);
    memcpy (snapshot->block + snapshot->used, at, n);
    snapshot->used += n;
    at += n;
    size -= n;
    if (snapshot->used == sizeof snapshot->block)
      end_block (snapshot);
  }
}

static void put_32 (MemSnapshot *snapshot, gsize value)
{
  guint32 little = GUINT32_TO_LE ((guint32) value);
  put (snapshot, &little, sizeof little);
}

static void put_64 (MemSnapshot *snapshot, guint64 value)
{
  guint64 little = GUINT64_TO_LE (value);
  put (snapshot, &little, sizeof little);
}

static void put_text (MemSnapshot *snapshot, const char *p, gsize n)
{
  put_32 (snapshot, n);
  put (snapshot, p, n);
}

static void put_key (MemSnapshot *snapshot, const MemNode *node)
{
  MemBytes key = mem_node_key (node);
  put_text (snapshot, key.p, key.n);
}

static void put_dict (MemSnapshot *snapshot, const MemDict *dict, gboolean values)
{
  MemDictIter iter;

  put_32 (snapshot, mem_dict_count (dict));
  for (MemNode *node = mem_dict_first (&iter, dict); node != NULL;
       node = mem_dict_next (&iter)) {
    put_key (snapshot, node);
    if (values)
      put_text (snapshot, ((MemField *) node)->bytes, ((MemField *) node)->size);
  }
}

static void put_list (MemSnapshot *snapshot, const MemList *list)
{
  gsize count = mem_list_count (list);

  put_32 (snapshot, count);
  for (gsize i = 0; i < count; i++) {
    const MemItem *item = mem_list_at (list, i);
    put_text (snapshot, item->bytes, item->size);
  }
}

static void put_zset (MemSnapshot *snapshot, const MemZset *zset)
{
  put_32 (snapshot, mem_zset_count (zset));
  for (MemScored *at = mem_zset_at (zset, 0); at != NULL; at = mem_zset_next (at)) {
    guint64 bits;
    memcpy (&bits, &at->score, sizeof bits);
    put_64 (snapshot, bits);
    put_key (snapshot, &at->node);
  }
}

static void put_entry (MemSnapshot *snapshot, const MemEntry *entry)
{
  guint8 type = (guint8) entry->type;

  put (snapshot, &type, 1);
  put_64 (snapshot, (guint64) entry->expire_ms);
  put_key (snapshot, &entry->node);
  switch (entry->type) {
  case MEM_LIST:
    put_list (snapshot, entry->list);
    break;
  case MEM_ZSET:
    put_zset (snapshot, entry->zset);
    break;
  case MEM_HASH:
  case MEM_SET:
    put_dict (snapshot, entry->dict, entry->type == MEM_HASH);
    break;
  case MEM_STRING:
  default:
    put_text (snapshot, entry->bytes, entry->size);
    break;
  }
}

static void put_data (MemSnapshot *snapshot)
{
  const guint8 end = MEM_SNAPSHOT_END;
  MemDictIter iter;

  put (snapshot, MEM_SNAPSHOT_MAGIC, 8);
  put_64 (snapshot, (guint64) snapshot->mem->now_ms);
  for (MemNode *node = mem_dict_first (&iter, &snapshot->mem->keys); node != NULL;
       node = mem_dict_next (&iter))
    put_entry (snapshot, (MemEntry *) node);
  put (snapshot, &end, 1);
  end_block (snapshot);
  guint64 hash = GUINT64_TO_LE (snapshot->hash);
  put_all (snapshot, (const guint8 *) &hash, sizeof hash);
}

static gboolean sync_folder (const char *folder)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  if (fd >= 0)
    close (fd);
  return ok;
}

/* In the child, or in the daemon when it stops. */
static gboolean write_file (MemSnapshot *snapshot)
{
  snapshot->failed = FALSE;
  snapshot->used = 0;
  snapshot->hash = 0;
  snapshot->fd
      = open (snapshot->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (snapshot->fd < 0)
    return FALSE;
  put_data (snapshot);
  if (!snapshot->failed && fsync (snapshot->fd) != 0)
    snapshot->failed = TRUE;
  if (close (snapshot->fd) != 0 || snapshot->failed)
    return FALSE;
  return rename (snapshot->temporary, snapshot->path) == 0
         && sync_folder (snapshot->folder);
}

/* ---- when ---------------------------------------------------------------------------
 */

static void arm (MemSnapshot *snapshot, gint64 delay_ms);

static void child_ended (MemSnapshot *snapshot, int status)
{
  snapshot->child = 0;
  if (WIFEXITED (status) && WEXITSTATUS (status) == 0)
    snapshot->saved = snapshot->writing;
  else
    ch_warning (
        snapshot->mem->self, "the snapshot %s was not written: %s", snapshot->path,
        WIFEXITED (status) ? g_strerror (WEXITSTATUS (status)) : "the child crashed");
}

static void begin (MemSnapshot *snapshot)
{
  snapshot->writing = snapshot->mem->changes;
  snapshot->mem->now_ms = ch_wall_ms (snapshot->mem->self);
  pid_t child = fork ();
  if (child == 0)
    _exit (write_file (snapshot) ? 0 : MAX (errno, 1));
  if (child < 0)
    ch_warning (snapshot->mem->self, "no process for the snapshot: %s",
                g_strerror (errno));
  else
    snapshot->child = child;
}

static void timer_fired (ChPlugin *self, gpointer user_data)
{
  MemSnapshot *snapshot = user_data;
  int status;

  snapshot->timer = 0;
  if (snapshot->child != 0) {
    if (waitpid (snapshot->child, &status, WNOHANG) == snapshot->child)
      child_ended (snapshot, status);
  } else if (snapshot->mem->changes != snapshot->saved) {
    begin (snapshot);
  }
  arm (snapshot, snapshot->child != 0 ? LOOK_EVERY_MS : snapshot->interval_ms);
}

static void arm (MemSnapshot *snapshot, gint64 delay_ms)
{
  if (snapshot->interval_ms > 0)
    snapshot->timer
        = ch_timer_add (snapshot->mem->self, (guint64) delay_ms, timer_fired, snapshot);
}

MemSnapshot *mem_snapshot_new (Mem *mem, const char *path, gint64 interval_ms)
{
  MemSnapshot *snapshot = g_new0 (MemSnapshot, 1);

  snapshot->mem = mem;
  snapshot->path = g_strdup (path);
  snapshot->temporary = g_strconcat (path, ".new", NULL);
  snapshot->folder = g_path_get_dirname (path);
  snapshot->interval_ms = interval_ms;
  snapshot->saved = mem->changes;
  arm (snapshot, interval_ms);
  return snapshot;
}

void mem_snapshot_finish (MemSnapshot *snapshot)
{
  int status;

  ch_timer_cancel (snapshot->mem->self, &snapshot->timer);
  if (snapshot->child != 0 && waitpid (snapshot->child, &status, 0) == snapshot->child)
    child_ended (snapshot, status);
  if (snapshot->mem->changes == snapshot->saved)
    return;
  snapshot->mem->now_ms = ch_wall_ms (snapshot->mem->self);
  if (write_file (snapshot))
    snapshot->saved = snapshot->mem->changes;
  else
    ch_warning (snapshot->mem->self, "the snapshot %s was not written: %s",
                snapshot->path, g_strerror (errno));
}

void mem_snapshot_free (MemSnapshot *snapshot)
{
  if (snapshot == NULL)
    return;
  g_free (snapshot->path);
  g_free (snapshot->temporary);
  g_free (snapshot->folder);
  g_free (snapshot);
}
