/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every file of a database (database, log, journal) has one overlay per process, found by
 * its path: blocks that were written since the last sync, and the size. All connections
 * read through it; xSync writes it to the file. Locks and the shared memory of the log
 * are the default layer's: SQLite makes the latter anew when the first one opens.
 *
 * A deletion is durable at once, and so is an empty new file: SQLite relies on neither.
 */
#include "powerloss-vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#define BLOCK 4096
/* What a disk writes whole. */
#define SECTOR 512

typedef struct {
  gint64 number; /* key */
  guint8 bytes[BLOCK];
} Block;

typedef struct {
  char *path;
  GHashTable *blocks; /* not synced */
  sqlite3_int64 size;
  sqlite3_int64 kept; /* from here the file's bytes do not count: it was truncated */
  guint64 unsynced;
  guint users;
  gboolean changed;
} Overlay;

typedef struct {
  sqlite3_vfs vfs;
  sqlite3_vfs *base;
  pthread_mutex_t lock; /* for the rest */
  GHashTable *overlays; /* by path */
  GRand *chance;        /* NULL: nothing unsynced survives */
  guint generation;     /* how often the power went */
  gint64 room;          /* bytes by which files may grow, −1 */
} Layer;

typedef struct {
  sqlite3_file file;
  Layer *layer;
  Overlay *overlay; /* NULL: a temporary file, passed through */
  guint generation;
  sqlite3_file base[]; /* of base->szOsFile bytes */
} File;

G_STATIC_ASSERT (sizeof (File) % 8 == 0);

static sqlite3_file *base_of (sqlite3_file *file)
{
  return ((File *) file)->base;
}

/* ---- overlays; with the lock held ---- */

static void overlay_free (gpointer data)
{
  Overlay *overlay = data;
  g_hash_table_unref (overlay->blocks);
  g_free (overlay->path);
  g_free (overlay);
}

static Overlay *overlay_get (Layer *layer, const char *path, sqlite3_int64 size)
{
  Overlay *overlay = g_hash_table_lookup (layer->overlays, path);

  if (overlay == NULL) {
    overlay = g_new0 (Overlay, 1);
    overlay->path = g_strdup (path);
    overlay->blocks = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
    overlay->size = overlay->kept = size;
    g_hash_table_insert (layer->overlays, overlay->path, overlay);
  } else if (!overlay->changed) {
    overlay->size = overlay->kept = size; /* others may have written it meanwhile */
  }
  overlay->users++;
  return overlay;
}

static void overlay_put (Layer *layer, Overlay *overlay)
{
  if (--overlay->users > 0)
    return;
  if (g_hash_table_lookup (layer->overlays, overlay->path) != overlay)
    overlay_free (overlay); /* the file was deleted, or the power went */
  else if (!overlay->changed)
    g_hash_table_remove (layer->overlays, overlay->path);
}

/* Takes it away from those that open the file from now on. */
static void overlay_drop (Layer *layer, Overlay *overlay)
{
  g_hash_table_steal (layer->overlays, overlay->path);
  if (overlay->users == 0)
    overlay_free (overlay);
}

static int read_file (sqlite3_file *base, guint8 *to, gint64 n, sqlite3_int64 at)
{
  int rc = base->pMethods->xRead (base, to, (int) n, at);
  return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc; /* it has filled in zeros */
}

/* What the file says of a range, without what was cut off. */
static int read_kept (File *file, guint8 *to, gint64 n, sqlite3_int64 at)
{
  gint64 kept = CLAMP (file->overlay->kept - at, 0, n);

  memset (to + kept, 0, (gsize) (n - kept));
  return kept > 0 ? read_file (file->base, to, kept, at) : SQLITE_OK;
}

/* The block that will be changed; NULL with @rc. */
static Block *block_of (File *file, gint64 number, int *rc)
{
  Block *block = g_hash_table_lookup (file->overlay->blocks, &number);

  if (block != NULL)
    return block;
  block = g_new (Block, 1);
  block->number = number;
  *rc = read_kept (file, block->bytes, BLOCK, number * BLOCK);
  if (*rc != SQLITE_OK) {
    g_free (block);
    return NULL;
  }
  g_hash_table_insert (file->overlay->blocks, &block->number, block);
  return block;
}

static int read_overlay (File *file, guint8 *to, gint64 n, sqlite3_int64 at)
{
  while (n > 0) {
    gint64 number = at / BLOCK, from = at % BLOCK, part = MIN (n, BLOCK - from);
    const Block *block = g_hash_table_lookup (file->overlay->blocks, &number);
    if (block != NULL) {
      memcpy (to, block->bytes + from, (gsize) part);
    } else {
      int rc = read_kept (file, to, part, at);
      if (rc != SQLITE_OK)
        return rc;
    }
    to += part;
    at += part;
    n -= part;
  }
  return SQLITE_OK;
}

static int write_overlay (File *file, const guint8 *from, gint64 n, sqlite3_int64 at)
{
  int rc = SQLITE_OK;

  while (n > 0) {
    gint64 first = at % BLOCK, part = MIN (n, BLOCK - first);
    Block *block = block_of (file, at / BLOCK, &rc);
    if (block == NULL)
      return rc;
    memcpy (block->bytes + first, from, (gsize) part);
    from += part;
    at += part;
    n -= part;
  }
  return SQLITE_OK;
}

/* The kernel may write whatever it likes early: here some sectors of one write in four.
 */
static int write_early (File *file, const guint8 *bytes, gint64 n, sqlite3_int64 at)
{
  GRand *chance = file->layer->chance;

  if (chance == NULL || g_rand_int_range (chance, 0, 4) != 0)
    return SQLITE_OK;
  gint64 sectors = (n + SECTOR - 1) / SECTOR;
  gint64 first = g_rand_int_range (chance, 0, (gint32) sectors) * (gint64) SECTOR;
  gint64 end = g_rand_boolean (chance) ? n : MIN (n, first + SECTOR);
  return file->base->pMethods->xWrite (file->base, bytes + first, (int) (end - first),
                                       at + first);
}

static void shuffle (GRand *chance, Block **blocks, guint n)
{
  for (guint i = n; chance != NULL && i > 1; i--) {
    guint other = (guint) g_rand_int_range (chance, 0, (gint32) i);
    Block *block = blocks[i - 1];
    blocks[i - 1] = blocks[other];
    blocks[other] = block;
  }
}

/* All that is in the overlay, in any order, to the file. */
static int write_file (File *file)
{
  const sqlite3_io_methods *methods = file->base->pMethods;
  Overlay *overlay = file->overlay;
  sqlite3_int64 size = 0;
  guint n = 0;

  int rc = methods->xFileSize (file->base, &size);
  if (rc == SQLITE_OK && size > overlay->kept)
    rc = methods->xTruncate (file->base, overlay->kept);
  g_autofree gpointer *blocks = g_hash_table_get_keys_as_array (overlay->blocks, &n);
  shuffle (file->layer->chance, (Block **) blocks, n);
  for (guint i = 0; rc == SQLITE_OK && i < n; i++) {
    const Block *block = blocks[i];
    gint64 at = block->number * BLOCK, part = MIN (BLOCK, overlay->size - at);
    if (part > 0)
      rc = methods->xWrite (file->base, block->bytes, (int) part, at);
  }
  if (rc == SQLITE_OK)
    rc = methods->xFileSize (file->base, &size);
  if (rc == SQLITE_OK && size != overlay->size)
    rc = methods->xTruncate (file->base, overlay->size);
  return rc;
}

/* ---- a file ---- */

static gboolean is_cut (const File *file)
{
  return file->generation != file->layer->generation;
}

static int file_close (sqlite3_file *handle)
{
  File *file = (File *) handle;

  int rc = file->base->pMethods->xClose (file->base);
  if (file->overlay != NULL) {
    pthread_mutex_lock (&file->layer->lock);
    overlay_put (file->layer, file->overlay);
    pthread_mutex_unlock (&file->layer->lock);
  }
  return rc;
}

static int file_read (sqlite3_file *handle, void *to, int n, sqlite3_int64 at)
{
  File *file = (File *) handle;
  int rc = SQLITE_IOERR_READ;

  pthread_mutex_lock (&file->layer->lock);
  if (!is_cut (file)) {
    gint64 there = CLAMP (file->overlay->size - at, 0, n);
    memset ((guint8 *) to + there, 0, (gsize) (n - there));
    rc = read_overlay (file, to, there, at);
    if (rc == SQLITE_OK && there < n)
      rc = SQLITE_IOERR_SHORT_READ;
  }
  pthread_mutex_unlock (&file->layer->lock);
  return rc;
}

static gboolean takes_room (Layer *layer, gint64 growth)
{
  if (layer->room < 0 || growth <= 0)
    return TRUE;
  if (growth > layer->room)
    return FALSE;
  layer->room -= growth;
  return TRUE;
}

static int file_write (sqlite3_file *handle, const void *from, int n, sqlite3_int64 at)
{
  File *file = (File *) handle;
  Overlay *overlay = file->overlay;
  int rc = SQLITE_IOERR_WRITE;

  pthread_mutex_lock (&file->layer->lock);
  if (!is_cut (file) && !takes_room (file->layer, at + n - overlay->size)) {
    rc = SQLITE_FULL;
  } else if (!is_cut (file)) {
    rc = write_overlay (file, from, n, at);
    if (rc == SQLITE_OK)
      rc = write_early (file, from, n, at);
    overlay->changed = TRUE;
    overlay->unsynced += (guint64) n;
    overlay->size = MAX (overlay->size, at + n);
  }
  pthread_mutex_unlock (&file->layer->lock);
  return rc;
}

static gboolean is_behind (gpointer key, gpointer value, gpointer data)
{
  const gint64 *size = data;
  return ((const Block *) value)->number * BLOCK >= *size;
}

static int file_truncate (sqlite3_file *handle, sqlite3_int64 size)
{
  File *file = (File *) handle;
  Overlay *overlay = file->overlay;
  gint64 number = size / BLOCK;

  pthread_mutex_lock (&file->layer->lock);
  if (is_cut (file)) {
    pthread_mutex_unlock (&file->layer->lock);
    return SQLITE_IOERR_TRUNCATE;
  }
  g_hash_table_foreach_remove (overlay->blocks, is_behind, &size);
  Block *last = g_hash_table_lookup (overlay->blocks, &number);
  if (last != NULL)
    memset (last->bytes + size % BLOCK, 0, (gsize) (BLOCK - size % BLOCK));
  overlay->kept = MIN (overlay->kept, size);
  overlay->size = size;
  overlay->changed = TRUE;
  pthread_mutex_unlock (&file->layer->lock);
  return SQLITE_OK;
}

static int file_sync (sqlite3_file *handle, int flags)
{
  File *file = (File *) handle;
  Overlay *overlay = file->overlay;
  int rc = SQLITE_IOERR_FSYNC;

  pthread_mutex_lock (&file->layer->lock);
  if (!is_cut (file)) {
    rc = overlay->changed ? write_file (file) : SQLITE_OK;
    if (rc == SQLITE_OK)
      rc = file->base->pMethods->xSync (file->base, flags);
    if (rc == SQLITE_OK) {
      g_hash_table_remove_all (overlay->blocks);
      overlay->kept = overlay->size;
      overlay->unsynced = 0;
      overlay->changed = FALSE;
    }
  }
  pthread_mutex_unlock (&file->layer->lock);
  return rc;
}

static int file_size (sqlite3_file *handle, sqlite3_int64 *size)
{
  File *file = (File *) handle;

  pthread_mutex_lock (&file->layer->lock);
  gboolean cut = is_cut (file);
  *size = file->overlay->size;
  pthread_mutex_unlock (&file->layer->lock);
  return cut ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int file_lock (sqlite3_file *handle, int level)
{
  return base_of (handle)->pMethods->xLock (base_of (handle), level);
}

static int file_unlock (sqlite3_file *handle, int level)
{
  return base_of (handle)->pMethods->xUnlock (base_of (handle), level);
}

static int file_reserved (sqlite3_file *handle, int *out)
{
  return base_of (handle)->pMethods->xCheckReservedLock (base_of (handle), out);
}

static int file_control (sqlite3_file *handle, int op, void *arg)
{
  switch (op) {
  case SQLITE_FCNTL_SIZE_HINT: /* these would reach the file */
  case SQLITE_FCNTL_CHUNK_SIZE:
    return SQLITE_OK;
  case SQLITE_FCNTL_MMAP_SIZE: /* a map would not see the overlay */
    return SQLITE_NOTFOUND;
  default:
    return base_of (handle)->pMethods->xFileControl (base_of (handle), op, arg);
  }
}

static int file_sector (sqlite3_file *handle)
{
  return base_of (handle)->pMethods->xSectorSize (base_of (handle));
}

static int file_character (sqlite3_file *handle)
{
  int flags = base_of (handle)->pMethods->xDeviceCharacteristics (base_of (handle));
  return flags & (SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN);
}

static int file_shm_map (sqlite3_file *handle, int page, int size, int extend,
                         void volatile **out)
{
  return base_of (handle)->pMethods->xShmMap (base_of (handle), page, size, extend, out);
}

static int file_shm_lock (sqlite3_file *handle, int first, int n, int flags)
{
  return base_of (handle)->pMethods->xShmLock (base_of (handle), first, n, flags);
}

static void file_shm_barrier (sqlite3_file *handle)
{
  base_of (handle)->pMethods->xShmBarrier (base_of (handle));
}

static int file_shm_unmap (sqlite3_file *handle, int remove)
{
  return base_of (handle)->pMethods->xShmUnmap (base_of (handle), remove);
}

static const sqlite3_io_methods FILE_METHODS = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_character,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the layer ---- */

static int layer_open (sqlite3_vfs *vfs, const char *path, sqlite3_file *handle,
                       int flags, int *out_flags)
{
  const int durable = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
  Layer *layer = (Layer *) vfs;
  File *file = (File *) handle;
  sqlite3_int64 size = 0;

  /* Temporary files need not survive: the default layer serves them alone. */
  if (path == NULL || (flags & durable) == 0)
    return layer->base->xOpen (layer->base, path, handle, flags, out_flags);
  file->file.pMethods = NULL;
  file->layer = layer;
  int rc = layer->base->xOpen (layer->base, path, file->base, flags, out_flags);
  if (rc != SQLITE_OK)
    return rc;
  pthread_mutex_lock (&layer->lock);
  rc = file->base->pMethods->xFileSize (file->base, &size);
  if (rc == SQLITE_OK) {
    file->generation = layer->generation;
    file->overlay = overlay_get (layer, path, size);
    file->file.pMethods = &FILE_METHODS;
  }
  pthread_mutex_unlock (&layer->lock);
  if (rc != SQLITE_OK)
    file->base->pMethods->xClose (file->base);
  return rc;
}

static int layer_delete (sqlite3_vfs *vfs, const char *path, int sync)
{
  Layer *layer = (Layer *) vfs;

  pthread_mutex_lock (&layer->lock);
  Overlay *overlay = g_hash_table_lookup (layer->overlays, path);
  int rc = layer->base->xDelete (layer->base, path, sync);
  if (overlay != NULL && rc == SQLITE_OK)
    overlay_drop (layer, overlay);
  pthread_mutex_unlock (&layer->lock);
  return rc;
}

/* An empty file does not count as one that exists, so the overlay has to be asked. */
static int layer_access (sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
  Layer *layer = (Layer *) vfs;
  int rc = SQLITE_OK;

  pthread_mutex_lock (&layer->lock);
  const Overlay *overlay = g_hash_table_lookup (layer->overlays, path);
  if (overlay != NULL && flags == SQLITE_ACCESS_EXISTS)
    *out = overlay->size > 0;
  else
    rc = layer->base->xAccess (layer->base, path, flags, out);
  pthread_mutex_unlock (&layer->lock);
  return rc;
}

static int register_one (const char *name, gboolean torn)
{
  sqlite3_vfs *base = sqlite3_vfs_find (NULL);
  Layer *layer = g_new0 (Layer, 1); /* SQLite keeps it as long as the process lives */

  layer->vfs = *base; /* all that is not about the contents of files */
  layer->vfs.pNext = NULL;
  layer->vfs.szOsFile = (int) sizeof (File) + base->szOsFile;
  layer->vfs.zName = name;
  layer->vfs.xOpen = layer_open;
  layer->vfs.xDelete = layer_delete;
  layer->vfs.xAccess = layer_access;
  layer->base = base;
  layer->room = -1;
  pthread_mutex_init (&layer->lock, NULL);
  layer->overlays = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, overlay_free);
  layer->chance = torn ? g_rand_new () : NULL;
  return sqlite3_vfs_register (&layer->vfs, 0);
}

int powerloss_register (void)
{
  if (sqlite3_vfs_find (POWERLOSS_VFS) != NULL)
    return SQLITE_OK;
  int rc = register_one (POWERLOSS_VFS, FALSE);
  return rc == SQLITE_OK ? register_one (POWERLOSS_TORN_VFS, TRUE) : rc;
}

guint64 powerloss_unsynced (const char *vfs)
{
  Layer *layer = (Layer *) sqlite3_vfs_find (vfs);
  GHashTableIter each;
  gpointer overlay;
  guint64 n = 0;

  pthread_mutex_lock (&layer->lock);
  g_hash_table_iter_init (&each, layer->overlays);
  while (g_hash_table_iter_next (&each, NULL, &overlay))
    n += ((const Overlay *) overlay)->unsynced;
  pthread_mutex_unlock (&layer->lock);
  return n;
}

void powerloss_cut (const char *vfs)
{
  Layer *layer = (Layer *) sqlite3_vfs_find (vfs);

  pthread_mutex_lock (&layer->lock);
  layer->generation++;
  g_autoptr (GList) overlays = g_hash_table_get_values (layer->overlays);
  for (GList *l = overlays; l != NULL; l = l->next)
    overlay_drop (layer, l->data);
  pthread_mutex_unlock (&layer->lock);
}

void powerloss_set_room (const char *vfs, gint64 bytes)
{
  Layer *layer = (Layer *) sqlite3_vfs_find (vfs);

  pthread_mutex_lock (&layer->lock);
  layer->room = bytes;
  pthread_mutex_unlock (&layer->lock);
}
