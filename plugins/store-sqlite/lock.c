/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One daemon per database: a file next to it is locked, and says who holds it. What it
 * says when it is not locked tells whether the last one closed the database.
 */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLEAN "clean\n"

static void read_text (int fd, char *text, gsize size)
{
  gssize n = pread (fd, text, size - 1, 0);
  text[MAX (n, 0)] = '\0';
  g_strdelimit (text, "\n", '\0');
}

static gboolean write_text (int fd, const char *text)
{
  gsize size = strlen (text);
  return ftruncate (fd, 0) == 0 && pwrite (fd, text, size, 0) == (gssize) size
         && fdatasync (fd) == 0;
}

static gboolean fail (SqLock *lock, const char *path, int code, GError **error)
{
  char holder[64];

  if (code == EWOULDBLOCK) {
    read_text (lock->fd, holder, sizeof holder);
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_LOCKED,
                 "the database is in use by another process (%s): %s",
                 *holder != '\0' ? holder : "unknown", path);
  } else {
    g_set_error (error, CH_STORE_ERROR,
                 code == ENOSPC || code == EDQUOT ? CH_STORE_ERROR_DISK_FULL
                                                  : CH_STORE_ERROR_UNAVAILABLE,
                 "%s: %s", path, g_strerror (code));
  }
  if (lock->fd >= 0)
    close (lock->fd);
  lock->fd = -1;
  return FALSE;
}

gboolean sq_lock_take (SqLock *lock, const char *database, GError **error)
{
  g_autofree char *path = g_strconcat (database, ".lock", NULL);
  g_autofree char *holder = g_strdup_printf ("pid %d\n", (int) getpid ());
  char before[64];

  lock->fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock->fd < 0)
    return fail (lock, path, errno, error);
  if (flock (lock->fd, LOCK_EX | LOCK_NB) != 0)
    return fail (lock, path, errno, error);
  read_text (lock->fd, before, sizeof before);
  lock->unclean = *before != '\0' && strcmp (before, "clean") != 0;
  if (!write_text (lock->fd, holder))
    return fail (lock, path, errno, error);
  return TRUE;
}

/* The file stays: removing it would let two processes lock two files of one name. */
void sq_lock_release (SqLock *lock, gboolean clean)
{
  if (lock->fd < 0)
    return;
  if (clean)
    write_text (lock->fd, CLEAN); /* when it fails, the next start checks */
  close (lock->fd);
  lock->fd = -1;
}
