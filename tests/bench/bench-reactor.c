/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Heartbeat and reply over loopback: through the gateway with a trivial protocol, and
 * through a bare epoll loop that sends the same frames back. Both in one run, one after
 * the other, several times; limits are off. The devices are a process of their own.
 *
 * usage: bench-reactor [CONNECTIONS [SECONDS]]
 */
#include "base/clock-private.h"
#include "base/config-private.h"
#include "net/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_SIZE 40
#define ROUNDS 3

typedef struct {
  double per_second;
  double cpu_us; /* of the server, per exchange */
} Figure;

/* Shared with the devices. */
typedef struct {
  gint ready; /* connections that have had an answer */
  guint64 replies;
} Shared;

static void make_frame (guint8 frame[FRAME_SIZE])
{
  guint8 sum = 0;
  memset (frame, 0x55, FRAME_SIZE);
  frame[0] = 'T';
  frame[1] = 'P';
  frame[2] = FRAME_SIZE - 4;
  for (guint i = 3; i < FRAME_SIZE - 1; i++)
    sum = (guint8) (sum + frame[i]);
  frame[FRAME_SIZE - 1] = sum;
}

static gint64 cpu_us (void)
{
  struct timespec now;
  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (gint64) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* ---- the devices ------------------------------------------------------------------- */

static int device_connect (guint16 port)
{
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                           .sin_port = htons (port)};
  int one = 1, fd = socket (AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &in, sizeof in) < 0) {
    perror ("connect");
    _exit (1);
  }
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

/* Each sends a heartbeat, waits for the reply, sends the next. */
static void devices_main (guint16 port, guint n, Shared *shared)
{
  guint8 frame[FRAME_SIZE], answer[256];
  struct epoll_event events[256];
  int set = epoll_create1 (0);
  g_autofree guint8 *heard = g_malloc0 (n + 1024 * 1024);

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  make_frame (frame);
  for (guint i = 0; i < n; i++) {
    int fd = device_connect (port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl (set, EPOLL_CTL_ADD, fd, &event);
    if (send (fd, frame, sizeof frame, 0) < 0)
      _exit (1);
  }
  for (;;) {
    int k = epoll_wait (set, events, G_N_ELEMENTS (events), -1);
    for (int i = 0; i < k; i++) {
      int fd = events[i].data.fd;
      if (recv (fd, answer, sizeof answer, 0) <= 0)
        _exit (0);
      if (!heard[fd]) {
        heard[fd] = 1;
        __atomic_add_fetch (&shared->ready, 1, __ATOMIC_RELAXED);
      }
      __atomic_add_fetch (&shared->replies, 1, __ATOMIC_RELAXED);
      if (send (fd, frame, sizeof frame, 0) < 0)
        _exit (0);
    }
  }
}

static pid_t devices_start (guint16 port, guint n, Shared *shared)
{
  shared->ready = 0;
  shared->replies = 0;
  pid_t pid = fork ();
  if (pid == 0)
    devices_main (port, n, shared);
  return pid;
}

static void devices_stop (pid_t pid)
{
  kill (pid, SIGKILL);
  waitpid (pid, NULL, 0);
}

/* ---- measuring --------------------------------------------------------------------- */

typedef struct {
  Shared *shared;
  gint n;
  gint64 seconds;
  gint64 begun_us, begun_cpu;
  guint64 begun_replies;
} Stopwatch;

/* To be called now and then; fills the figure when the time is over. */
static gboolean stopwatch (Stopwatch *watch, Figure *figure)
{
  gint64 now_us = g_get_monotonic_time ();
  guint64 replies = __atomic_load_n (&watch->shared->replies, __ATOMIC_RELAXED);

  if (watch->begun_us == 0) {
    if (__atomic_load_n (&watch->shared->ready, __ATOMIC_RELAXED) < watch->n)
      return FALSE;
    watch->begun_us = now_us;
    watch->begun_cpu = cpu_us ();
    watch->begun_replies = replies;
  }
  gint64 took_us = now_us - watch->begun_us;
  if (took_us < watch->seconds * G_USEC_PER_SEC)
    return FALSE;
  double done = (double) (replies - watch->begun_replies);
  figure->per_second = done / (double) took_us * 1e6;
  figure->cpu_us = (double) (cpu_us () - watch->begun_cpu) / MAX (done, 1);
  return TRUE;
}

/* ---- the bare loop ----------------------------------------------------------------- */

static int echo_listen (guint16 *port)
{
  struct sockaddr_in in
      = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof in;
  int one = 1, fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (fd < 0 || bind (fd, (struct sockaddr *) &in, sizeof in) < 0
      || listen (fd, 4096) < 0)
    g_error ("listen: %s", g_strerror (errno));
  getsockname (fd, (struct sockaddr *) &in, &size);
  *port = ntohs (in.sin_port);
  return fd;
}

static void echo_accept (int set, int listener, GArray *fds)
{
  int fd;
  while ((fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl (set, EPOLL_CTL_ADD, fd, &event);
    g_array_append_val (fds, fd);
  }
}

static Figure bench_echo (guint n, gint64 seconds, Shared *shared)
{
  guint16 port;
  int listener = echo_listen (&port), set = epoll_create1 (EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (int));
  Stopwatch watch = {.shared = shared, .n = (gint) n, .seconds = seconds};
  Figure figure;
  guint8 buffer[4096];

  epoll_ctl (set, EPOLL_CTL_ADD, listener, &event);
  pid_t pid = devices_start (port, n, shared);
  while (!stopwatch (&watch, &figure)) {
    int k = epoll_wait (set, events, G_N_ELEMENTS (events), 10);
    for (int i = 0; i < k; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        echo_accept (set, listener, fds);
        continue;
      }
      gssize got = recv (fd, buffer, sizeof buffer, 0);
      if (got > 0 && send (fd, buffer, (gsize) got, MSG_NOSIGNAL) < 0)
        g_error ("send: %s", g_strerror (errno));
    }
  }
  devices_stop (pid);
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  close (listener);
  close (set);
  return figure;
}

/* ---- the gateway ------------------------------------------------------------------- */

static ChSniff sniff (const guint8 *p, gsize n)
{
  return n < 2 ? CH_SNIFF_MORE : p[0] == 'T' && p[1] == 'P' ? CH_SNIFF_YES : CH_SNIFF_NO;
}

static gssize frame (const guint8 *p, gsize n, gsize max, const char **error)
{
  guint8 sum = 0;
  if (n < 3)
    return 0;
  gsize size = (gsize) p[2] + 4;
  if (n < size)
    return 0;
  for (gsize i = 3; i < size - 1; i++)
    sum = (guint8) (sum + p[i]);
  if (p[0] == 'T' && sum == p[size - 1])
    return (gssize) size;
  *error = "bad_checksum";
  return -1;
}

static gpointer opened (ChPlugin *self, ChConn conn, const ChPeer *peer)
{
  return self;
}

static void input (ChPlugin *self, gpointer session, ChConn conn, const guint8 *p,
                   gsize n)
{
  ch_conn_write (self, conn, p, n, CH_WRITE_REPLY);
}

static ChCommandState command (ChPlugin *self, gpointer session, ChConn conn,
                               const ChCommand *cmd)
{
  return CH_COMMAND_UNSUPPORTED;
}

static const ChProtocol PROTOCOL = {
    .size = sizeof (ChProtocol),
    .name = "bench",
    .properties = {CH_PROTOCOL_DEFAULTS},
    .sniff = sniff,
    .frame = frame,
    .opened = opened,
    .input = input,
    .command = command,
};

static guint16 gateway_start (ChServices *services, guint n)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *max = g_strdup_printf ("tcp.limiting.max_connections=%u", n);

  ch_config_declare (services->config, "", ch_gateway_config);
  ch_config_add_option (services->config, "tcp.listeners=127.0.0.1:0", &error);
  ch_config_add_option (services->config, "tcp.limiting.enabled=false", &error);
  ch_config_add_option (services->config, max, &error);
  if (error != NULL || !ch_config_resolve (services->config, NULL, &error)
      || ch_reactor_new (services, NULL, &error) == NULL)
    g_error ("%s", error->message);
  ch_gateway_new (services);
  if (!ch_gateway_listen (services->gateway, &error))
    g_error ("%s", error->message);
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (services->gateway);
  const char *address = g_ptr_array_index (addresses, 0);
  return (guint16) strtoul (strrchr (address, ':') + 1, NULL, 10);
}

static gboolean tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static Figure bench_gateway (guint n, gint64 seconds, Shared *shared)
{
  ChServices services = {
      .clock = ch_clock_new (), .runner = ch_runner_new (), .config = ch_config_new ()};
  g_autoptr (GError) error = NULL;
  Stopwatch watch = {.shared = shared, .n = (gint) n, .seconds = seconds};
  Figure figure;

  guint16 port = gateway_start (&services, n);
  ChPlugin *plugin = ch_owner_new (&services, "proto-bench", NULL);
  if (!ch_gateway_add_protocol (services.gateway, plugin, &PROTOCOL, &error))
    g_error ("%s", error->message);
  guint id = g_timeout_add (10, tick, NULL);
  pid_t pid = devices_start (port, n, shared);
  while (!stopwatch (&watch, &figure))
    g_main_context_iteration (NULL, TRUE);
  devices_stop (pid);
  g_source_remove (id);

  ch_gateway_free (services.gateway);
  ch_owner_free (plugin);
  ch_reactor_free (services.reactor);
  ch_config_free (services.config);
  ch_runner_free (services.runner);
  ch_clock_free (services.clock);
  return figure;
}

/* ---- both -------------------------------------------------------------------------- */

static void bench (guint n, gint64 seconds, Shared *shared)
{
  Figure echo = {0, 1e9}, gateway = {0, 1e9};

  for (guint i = 0; i < ROUNDS; i++) { /* the best of each: other work only slows down */
    Figure figure = bench_echo (n, seconds, shared);
    echo.per_second = MAX (echo.per_second, figure.per_second);
    echo.cpu_us = MIN (echo.cpu_us, figure.cpu_us);
    figure = bench_gateway (n, seconds, shared);
    gateway.per_second = MAX (gateway.per_second, figure.per_second);
    gateway.cpu_us = MIN (gateway.cpu_us, figure.cpu_us);
  }
  printf (
      "%6u connections: bare epoll %8.0f/s %5.2f us CPU, gateway %8.0f/s %5.2f us CPU, "
      "ratio %.2f, by CPU %.2f\n",
      n, echo.per_second, echo.cpu_us, gateway.per_second, gateway.cpu_us,
      gateway.per_second / echo.per_second, echo.cpu_us / gateway.cpu_us);
  fflush (stdout);
}

int main (int argc, char **argv)
{
  guint n = argc > 1 ? (guint) strtoul (argv[1], NULL, 10) : 10000;
  gint64 seconds = argc > 2 ? (gint64) strtol (argv[2], NULL, 10) : 1;
  guint64 limit = ch_reactor_raise_fd_limit ();
  Shared *shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (n + 2048 > limit) {
    n = (guint) limit - 2048;
    printf ("descriptors are enough for %u connections only\n", n);
  }
  bench (MIN (100, n), seconds, shared);
  if (n > 100)
    bench (n, seconds, shared);
  return 0;
}
