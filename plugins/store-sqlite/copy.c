/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A consistent copy of the database while it is in use. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define STEP_PAGES 256

static gboolean fail_errno (GError **error, const char *path)
{
  int code = errno;

  g_set_error (error, CH_STORE_ERROR,
               code == ENOSPC || code == EDQUOT ? CH_STORE_ERROR_DISK_FULL
                                                : CH_STORE_ERROR_FAILED,
               "%s: %s", path, g_strerror (code));
  return FALSE;
}

/*
 * The source reads in one transaction all the time: it sees one state, and writers do not
 * make the copy begin again.
 */
static gboolean copy_pages (SqDb *from, sqlite3 *to, GError **error)
{
  if (!sq_db_exec (from, "BEGIN", error))
    return FALSE;
  g_autofree char *any = sq_db_text (from, "SELECT count(*) FROM sqlite_master", error);
  if (any == NULL)
    return FALSE;
  sqlite3_backup *backup = sqlite3_backup_init (to, "main", from->handle, "main");
  if (backup == NULL) {
    sq_set_error (error, to, sqlite3_errcode (to), "copy");
    return FALSE;
  }
  int rc;
  do
    rc = sqlite3_backup_step (backup, STEP_PAGES);
  while (rc == SQLITE_OK);
  sqlite3_backup_finish (backup);
  if (rc == SQLITE_DONE)
    return TRUE;
  sq_set_error (error, to, rc, "copy");
  return FALSE;
}

static gboolean fill (const SqOptions *options, const char *path, GError **error)
{
  SqDb from = {0};
  sqlite3 *to = NULL;
  gboolean ok = FALSE;

  if (!sq_db_open (&from, options, SQ_COPY, error))
    return FALSE;
  int rc = sqlite3_open_v2 (path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc != SQLITE_OK)
    sq_set_error (error, to, rc, path);
  else
    ok = copy_pages (&from, to, error);
  sqlite3_close (to);
  sq_db_close (&from);
  return ok;
}

static gboolean sync_path (const char *path, int flags, GError **error)
{
  int fd = open (path, flags | O_CLOEXEC);

  if (fd < 0)
    return fail_errno (error, path);
  gboolean ok = fsync (fd) == 0 || fail_errno (error, path);
  close (fd);
  return ok;
}

/* The name appears when all is on the disk. An existing file is not replaced. */
static gboolean publish (const char *partial, const char *path, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (path);

  if (!sync_path (partial, O_RDWR, error))
    return FALSE;
  if (link (partial, path) != 0)
    return fail_errno (error, path);
  g_unlink (partial);
  return sync_path (directory, O_RDONLY | O_DIRECTORY, error);
}

gboolean sq_copy (const SqOptions *options, const char *path, GError **error)
{
  g_autofree char *partial = g_strconcat (path, ".partial", NULL);

  if (g_file_test (path, G_FILE_TEST_EXISTS)) {
    errno = EEXIST;
    return fail_errno (error, path);
  }
  g_unlink (partial); /* of one that was interrupted */
  int fd = open (partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail_errno (error, partial);
  close (fd);
  if (fill (options, partial, error) && publish (partial, path, error))
    return TRUE;
  g_unlink (partial);
  return FALSE;
}
