/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a program whose disk gets full, without rights to mount one: as long as
 * the file named by FULL_DISK_WHEN exists, writes that would make a file below the folder
 * FULL_DISK_BELOW larger find no room. What a file has already can be written again.
 */
#undef _FILE_OFFSET_BITS /* the names as they are, not those that a header makes of them \
                          */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_below (int fd)
{
  const char *folder = getenv ("FULL_DISK_BELOW");
  char link[32], path[4096];

  if (folder == NULL)
    return 0;
  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink (link, path, sizeof path);
  size_t size = strlen (folder);
  return n > (ssize_t) size && memcmp (path, folder, size) == 0 && path[size] == '/';
}

/* @at: −1: where the descriptor is */
static int finds_room (int fd, off_t at, size_t size)
{
  const char *when = getenv ("FULL_DISK_WHEN");
  int before = errno;
  struct stat info;

  if (when == NULL || size == 0 || access (when, F_OK) != 0 || !is_below (fd)
      || fstat (fd, &info) != 0) {
    errno = before;
    return 1;
  }
  if (at < 0)
    at = lseek (fd, 0, SEEK_CUR);
  errno = ENOSPC;
  return at + (off_t) size <= info.st_size;
}

/* The one that would have been called. */
static void *next (const char *name)
{
  return dlsym (RTLD_NEXT, name);
}

ssize_t write (int fd, const void *bytes, size_t size)
{
  ssize_t (*func) (int, const void *, size_t) = next ("write");
  return finds_room (fd, -1, size) ? func (fd, bytes, size) : -1;
}

ssize_t pwrite (int fd, const void *bytes, size_t size, off_t at)
{
  ssize_t (*func) (int, const void *, size_t, off_t) = next ("pwrite");
  return finds_room (fd, at, size) ? func (fd, bytes, size, at) : -1;
}

ssize_t pwritev (int fd, const struct iovec *parts, int n, off_t at)
{
  ssize_t (*func) (int, const struct iovec *, int, off_t) = next ("pwritev");
  size_t size = 0;

  for (int i = 0; i < n; i++)
    size += parts[i].iov_len;
  return finds_room (fd, at, size) ? func (fd, parts, n, at) : -1;
}

int posix_fallocate (int fd, off_t at, off_t size)
{
  int (*func) (int, off_t, off_t) = next ("posix_fallocate");
  return finds_room (fd, at, (size_t) size) ? func (fd, at, size) : ENOSPC;
}

/* As programs for large files call them; on 64 bits it is the same. */
ssize_t pwrite64 (int fd, const void *bytes, size_t size, off_t at)
    __attribute__ ((alias ("pwrite")));
ssize_t pwritev64 (int fd, const struct iovec *parts, int n, off_t at)
    __attribute__ ((alias ("pwritev")));
int posix_fallocate64 (int fd, off_t at, off_t size)
    __attribute__ ((alias ("posix_fallocate")));
