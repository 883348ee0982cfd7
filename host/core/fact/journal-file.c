/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fact/journal-file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x314a4843u /* "CHJ1" */
#define TEXT_MAX (256u * 1024)
#define JOURNALS_MAX 64
#define BATCH_BYTES (4u * 1024 * 1024)

/* In the byte order of the machine: a journal does not travel. */
typedef struct {
  guint32 magic;
  guint32 crc; /* of what follows, text included */
  guint32 size;
  guint32 kind;
  guint64 number;
} Header;

struct _ChJournalFile {
  int fd, aside;
  char *path, *aside_path, *damaged_path;
  gint64 end; /* behind the last good record; the thread's */
  ChJournalWritten written;
  gpointer data;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  ChJournalWrite *first, *last;
  gboolean closing;
};

/* ---- records ----------------------------------------------------------------------- */

static guint32 crc_add (guint32 crc, const void *bytes, gsize size)
{
  const guint8 *p = bytes;
  crc = ~crc;
  for (gsize i = 0; i < size; i++) {
    crc ^= p[i];
    for (guint bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

static guint32 crc_of (const Header *header, const void *text)
{
  guint32 crc = crc_add (0, &header->size, sizeof *header - 8);
  return crc_add (crc, text, header->size);
}

/* Whether a good record begins here. */
static gboolean record_at (const guint8 *bytes, gsize left, Header *header)
{
  if (left < sizeof *header)
    return FALSE;
  memcpy (header, bytes, sizeof *header);
  return header->magic == MAGIC && header->size <= TEXT_MAX
         && header->size <= left - sizeof *header
         && header->crc == crc_of (header, bytes + sizeof *header);
}

gsize ch_journal_file_cost (gsize size)
{
  return sizeof (Header) * 2 + size; /* its mark, too */
}

/* ---- reading at the start -----------------------------------------------------------
 */

static gboolean fail (GError **error, const char *path, const char *what)
{
  g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno), "%s %s: %s",
               what, path, g_strerror (errno));
  return FALSE;
}

static gboolean write_all (int fd, const void *bytes, gsize size, gint64 offset)
{
  const guint8 *p = bytes;
  while (size > 0) {
    gssize n = offset >= 0 ? pwrite (fd, p, size, offset) : write (fd, p, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      errno = n == 0 ? ENOSPC : errno;
      return FALSE;
    }
    p += n;
    size -= (gsize) n;
    offset = offset >= 0 ? offset + n : offset;
  }
  return TRUE;
}

/* What cannot be read stands between records that can: it is kept for people. */
static void keep_damaged (ChJournalFile *file, const guint8 *bytes, gsize size)
{
  int fd = open (file->damaged_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  if (write_all (fd, bytes, size, -1))
    fdatasync (fd);
  close (fd);
}

static gsize next_record (const guint8 *bytes, gsize at, gsize size)
{
  static const guint32 magic = MAGIC;
  Header header;
  while (at < size) {
    const guint8 *p = memmem (bytes + at, size - at, &magic, sizeof magic);
    if (p == NULL)
      return size;
    at = (gsize) (p - bytes);
    if (record_at (p, size - at, &header))
      return at;
    at++;
  }
  return size;
}

typedef struct {
  guint64 number;
  gsize at;
  gsize size;
} Found;

static gsize scan (ChJournalFile *file, const guint8 *bytes, gsize size, GArray *facts,
                   GHashTable *done, ChJournalState *state)
{
  gsize at = 0;
  Header header;

  while (at < size) {
    if (!record_at (bytes + at, size - at, &header)) {
      gsize next = next_record (bytes, at + 1, size);
      if (next >= size)
        break;
      keep_damaged (file, bytes + at, next - at);
      state->damaged += (gint64) (next - at);
      at = next;
      continue;
    }
    const Found found = {header.number, at + sizeof header, header.size};
    state->newest = MAX (state->newest, header.number);
    if (header.kind == CH_JOURNAL_FACT)
      g_array_append_val (facts, found);
    else if (header.kind == CH_JOURNAL_DONE)
      g_hash_table_add (done, g_memdup2 (&header.number, sizeof header.number));
    at += sizeof header + header.size;
  }
  return at;
}

static gboolean load (ChJournalFile *file, ChJournalFound found, ChJournalState *state,
                      GError **error)
{
  g_autoptr (GMappedFile) map = g_mapped_file_new_from_fd (file->fd, FALSE, error);
  g_autoptr (GArray) facts = g_array_new (FALSE, FALSE, sizeof (Found));
  g_autoptr (GHashTable) done
      = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);

  if (map == NULL)
    return FALSE;
  gsize size = g_mapped_file_get_length (map);
  const char *bytes = g_mapped_file_get_contents (map);
  gsize end
      = size > 0 ? scan (file, (const guint8 *) bytes, size, facts, done, state) : 0;
  guint waiting = 0;
  for (guint i = 0; i < facts->len; i++) {
    const Found *f = &g_array_index (facts, Found, i);
    if (g_hash_table_contains (done, &f->number))
      continue;
    waiting++;
    found (file->data, f->number, bytes + f->at, f->size, (gint64) f->at);
  }
  state->cut = (gint64) (size - end);
  file->end = waiting > 0 ? (gint64) end : 0;
  state->size = file->end;
  if ((gint64) size != file->end
      && (ftruncate (file->fd, file->end) != 0 || fdatasync (file->fd) != 0))
    return fail (error, file->path, "cannot cut the journal");
  return TRUE;
}

/* ---- writing ------------------------------------------------------------------------
 */

static void add_record (GByteArray *bytes, ChJournalWrite *write, gint64 base)
{
  Header header = {.magic = MAGIC,
                   .size = (guint32) write->size,
                   .kind = (guint32) write->kind,
                   .number = write->number};
  const char *text = write->text != NULL ? write->text : "";

  header.crc = crc_of (&header, text);
  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
  write->offset = base + bytes->len;
  g_byte_array_append (bytes, (const guint8 *) text, (guint) write->size);
}

/* What was written in part is taken back, so that the next record follows a good one. */
static int put (ChJournalFile *file, const GByteArray *bytes)
{
  if (bytes->len == 0)
    return 0;
  if (write_all (file->fd, bytes->data, bytes->len, file->end)
      && fdatasync (file->fd) == 0) {
    file->end += bytes->len;
    return 0;
  }
  int why = errno;
  if (ftruncate (file->fd, file->end) == 0)
    fdatasync (file->fd);
  return why;
}

static int put_aside (ChJournalFile *file, const ChJournalWrite *write)
{
  struct stat before;
  if (file->aside < 0)
    file->aside
        = open (file->aside_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file->aside < 0 || fstat (file->aside, &before) != 0)
    return errno;
  if (write_all (file->aside, write->text, write->size, -1) && fsync (file->aside) == 0)
    return 0;
  int why = errno;
  if (ftruncate (file->aside, before.st_size) != 0)
    return why;
  return why;
}

static int empty (ChJournalFile *file)
{
  if (ftruncate (file->fd, 0) != 0 || fdatasync (file->fd) != 0)
    return errno;
  file->end = 0;
  return 0;
}

/* One kind of work at a time: neighbours that are records share a sync. */
static ChJournalWrite *write_some (ChJournalFile *file, ChJournalWrite *first)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  ChJournalWrite *w = first;

  if (first->kind == CH_JOURNAL_SET_ASIDE) {
    first->error = put_aside (file, first);
    return first->next;
  }
  if (first->kind == CH_JOURNAL_EMPTY) {
    first->error = empty (file);
    return first->next;
  }
  while (w != NULL && w->kind <= CH_JOURNAL_DONE && bytes->len < BATCH_BYTES) {
    add_record (bytes, w, file->end);
    w = w->next;
  }
  int why = put (file, bytes);
  for (ChJournalWrite *done = first; done != w; done = done->next)
    done->error = why;
  return w;
}

static void *run (void *data)
{
  ChJournalFile *file = data;

  pthread_mutex_lock (&file->lock);
  while (file->first != NULL || !file->closing) {
    ChJournalWrite *list = file->first;
    if (list == NULL) {
      pthread_cond_wait (&file->wake, &file->lock);
      continue;
    }
    file->first = file->last = NULL;
    pthread_mutex_unlock (&file->lock);
    gint64 since_us = g_get_monotonic_time ();
    for (ChJournalWrite *w = list; w != NULL;)
      w = write_some (file, w);
    file->written (file->data, list, file->end, g_get_monotonic_time () - since_us);
    pthread_mutex_lock (&file->lock);
  }
  pthread_mutex_unlock (&file->lock);
  return NULL;
}

void ch_journal_file_append (ChJournalFile *file, ChJournalWrite *write)
{
  write->next = NULL;
  pthread_mutex_lock (&file->lock);
  if (file->last != NULL)
    file->last->next = write;
  else
    file->first = write;
  file->last = write;
  pthread_cond_signal (&file->wake);
  pthread_mutex_unlock (&file->lock);
}

char *ch_journal_file_read (ChJournalFile *file, gint64 offset, gsize size)
{
  g_autofree char *text = g_malloc (size + 1);
  gsize have = 0;
  while (have < size) {
    gssize n = pread (file->fd, text + have, size - have, offset + (gint64) have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return NULL;
    have += (gsize) n;
  }
  text[size] = '\0';
  return g_steal_pointer (&text);
}

const char *ch_journal_file_path (ChJournalFile *file)
{
  return file->path;
}

/* ---- opening ------------------------------------------------------------------------
 */

/* Instances on one machine may share a folder: each has a journal of its own. */
static gboolean take_place (ChJournalFile *file, const char *folder, GError **error)
{
  for (guint i = 0; i < JOURNALS_MAX; i++) {
    g_autofree char *name
        = i == 0 ? g_strdup ("journal") : g_strdup_printf ("journal-%u", i);
    g_free (file->path);
    file->path = g_strdup_printf ("%s/%s.log", folder, name);
    file->fd = open (file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0)
      return fail (error, file->path, "cannot open the journal");
    if (flock (file->fd, LOCK_EX | LOCK_NB) == 0) {
      file->aside_path = g_strdup_printf ("%s/%s.rejected", folder, name);
      file->damaged_path = g_strdup_printf ("%s/%s.damaged", folder, name);
      return TRUE;
    }
    if (errno != EWOULDBLOCK)
      return fail (error, file->path, "cannot lock the journal");
    close (file->fd);
    file->fd = -1;
  }
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
               "%d journals in %s are held by others", JOURNALS_MAX, folder);
  return FALSE;
}

/* The name must outlive a power cut, too. */
static gboolean sync_folder (const char *folder, GError **error)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean good = fd >= 0 && fsync (fd) == 0;
  if (!good)
    fail (error, folder, "cannot sync the folder");
  if (fd >= 0)
    close (fd);
  return good;
}

static void file_free (ChJournalFile *file)
{
  if (file->fd >= 0)
    close (file->fd);
  if (file->aside >= 0)
    close (file->aside);
  pthread_mutex_destroy (&file->lock);
  pthread_cond_destroy (&file->wake);
  g_free (file->path);
  g_free (file->aside_path);
  g_free (file->damaged_path);
  g_free (file);
}

ChJournalFile *ch_journal_file_open (const char *folder, ChJournalFound found,
                                     ChJournalWritten written, gpointer data,
                                     ChJournalState *state, GError **error)
{
  ChJournalFile *file = g_new0 (ChJournalFile, 1);

  file->fd = file->aside = -1;
  file->written = written;
  file->data = data;
  pthread_mutex_init (&file->lock, NULL);
  pthread_cond_init (&file->wake, NULL);
  if (g_mkdir_with_parents (folder, 0700) != 0) {
    fail (error, folder, "cannot make the journal's folder");
    file_free (file);
    return NULL;
  }
  if (!take_place (file, folder, error) || !load (file, found, state, error)
      || !sync_folder (folder, error)) {
    file_free (file);
    return NULL;
  }
  int failed = pthread_create (&file->thread, NULL, run, file);
  if (failed != 0) {
    errno = failed;
    fail (error, file->path, "no thread for the journal");
    file_free (file);
    return NULL;
  }
  return file;
}

void ch_journal_file_close (ChJournalFile *file)
{
  pthread_mutex_lock (&file->lock);
  file->closing = TRUE;
  pthread_cond_signal (&file->wake);
  pthread_mutex_unlock (&file->lock);
  pthread_join (file->thread, NULL);
  file_free (file);
}
