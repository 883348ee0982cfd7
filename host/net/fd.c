/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors: their limit, and low numbers kept free for select(). */
#include "net/reactor.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

guint64 ch_reactor_raise_fd_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) < 0)
    return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (setrlimit (RLIMIT_NOFILE, &raised) == 0)
      limit = raised;
  }
  return limit.rlim_cur;
}

int ch_reactor_move_fd (int fd)
{
  if (fd < 0 || fd >= FD_SETSIZE)
    return fd;
  int moved = fcntl (fd, F_DUPFD_CLOEXEC, FD_SETSIZE);
  if (moved < 0)
    return fd;
  close (fd);
  return moved;
}
