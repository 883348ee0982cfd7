/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service manager hears of one service, of which the workers tell this process. */
#include "daemon/workers-private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void ch_crew_tell_manager (const ChCrew *crew, const char *text)
{
  if (crew->manager != NULL)
    g_setenv ("NOTIFY_SOCKET", crew->manager, TRUE);
  else
    g_unsetenv ("NOTIFY_SOCKET");
  ch_notify ("%s", text);
  g_setenv ("NOTIFY_SOCKET", crew->address, TRUE); /* what the workers get */
}

static gboolean bind_notify (ChCrew *crew)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  gsize size = strlen (crew->address);
  int one = 1;

  crew->notify = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (crew->notify < 0)
    return FALSE;
  setsockopt (crew->notify, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  memcpy (address.sun_path, crew->address, size);
  address.sun_path[0] = '\0';
  return bind (crew->notify, (struct sockaddr *) &address,
               (socklen_t) (G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + size))
         == 0;
}

gboolean ch_crew_open_notify (ChCrew *crew)
{
  const char *watchdog = g_getenv ("WATCHDOG_USEC");

  crew->manager = g_strdup (g_getenv ("NOTIFY_SOCKET"));
  if (watchdog != NULL)
    crew->watchdog_ms = g_ascii_strtoll (watchdog, NULL, 10) / 1000;
  g_unsetenv ("WATCHDOG_PID"); /* the workers feed this process */
  g_snprintf (crew->address, sizeof crew->address, "@chargehost-workers-%d",
              (int) getpid ());
  g_setenv ("NOTIFY_SOCKET", crew->address, TRUE);
  return crew->notify >= 0 || bind_notify (crew); /* or it came with the workers */
}

static pid_t sender_of (struct msghdr *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL;
       c = CMSG_NXTHDR (message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
      struct ucred who;
      memcpy (&who, CMSG_DATA (c), sizeof who);
      return who.pid;
    }
  return 0;
}

void ch_crew_read_notify (ChCrew *crew)
{
  char text[4096];
  union {
    char bytes[CMSG_SPACE (sizeof (struct ucred))];
    struct cmsghdr align;
  } control;
  struct iovec part = {text, sizeof text - 1};

  for (;;) {
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    gssize n = recvmsg (crew->notify, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
      return;
    text[n] = '\0';
    ChWorker *worker = ch_crew_find (crew, sender_of (&message));
    if (worker == NULL)
      continue;
    worker->sign_ms = ch_crew_now_ms ();
    if (strstr (text, "READY=1") != NULL && !worker->ready)
      ch_crew_worker_ready (crew, worker);
  }
}

/* A worker that gives no sign is ended, with a core dump if there are such. */
void ch_crew_watch (ChCrew *crew)
{
  if (crew->watchdog_ms == 0 || crew->stopping)
    return;
  for (guint i = 0; i < crew->n; i++) {
    ChWorker *worker = &crew->workers[i];
    if (worker->pid > 0 && worker->ready
        && ch_crew_now_ms () - worker->sign_ms > crew->watchdog_ms) {
      g_printerr ("chargehostd: worker %u gives no sign of life\n", worker->number);
      kill (worker->pid, SIGABRT);
      worker->ready = FALSE;
    }
  }
  ch_crew_tell_manager (crew, "WATCHDOG=1");
}
