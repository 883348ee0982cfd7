/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http-pace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX 8192
#define LATE_MS 5000 /* an answer that has not come by then never counts */

typedef struct {
  int fd;
  gint64 due_us; /* when its request should have been sent */
  gboolean busy;
  gsize have;
  char answer[ANSWER_MAX + 1];
} Client;

typedef struct {
  Client *clients;
  guint n;
  int epoll;
  char *request;
  gint64 gap_us;   /* between two requests of one connection */
  GArray *took_us; /* of gint64 */
} Load;

static int dial (guint16 port)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (port)};
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    _exit (1);
  return fd;
}

/* Whether the whole answer is there. */
static gboolean is_whole (const Client *client)
{
  const char *end = strstr (client->answer, "\r\n\r\n");
  const char *length = strcasestr (client->answer, "\r\ncontent-length:");
  if (end == NULL || length == NULL)
    return FALSE;
  gsize size = (gsize) strtoul (length + strlen ("\r\ncontent-length:"), NULL, 10);
  return client->have >= (gsize) (end + 4 - client->answer) + size;
}

static void receive (Load *load, Client *client)
{
  ssize_t n = recv (client->fd, client->answer + client->have, ANSWER_MAX - client->have,
                    MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN))
    _exit (1);
  if (n < 0)
    return;
  client->have += (gsize) n;
  client->answer[client->have] = '\0';
  if (!is_whole (client))
    return;
  if (!g_str_has_prefix (client->answer, "HTTP/1.1 200"))
    _exit (1);
  gint64 took = g_get_monotonic_time () - client->due_us;
  g_array_append_val (load->took_us, took);
  client->busy = FALSE;
  client->have = 0;
  client->due_us += load->gap_us;
}

static void send_due (Load *load, gint64 now_us, gint64 until_us)
{
  for (guint i = 0; i < load->n; i++) {
    Client *client = &load->clients[i];
    if (client->busy || client->due_us > now_us || client->due_us >= until_us)
      continue;
    client->busy = TRUE;
    if (send (client->fd, load->request, strlen (load->request), MSG_NOSIGNAL) < 0)
      _exit (1);
  }
}

static gboolean is_busy (const Load *load)
{
  for (guint i = 0; i < load->n; i++)
    if (load->clients[i].busy)
      return TRUE;
  return FALSE;
}

static gint by_time (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return (x > y) - (x < y);
}

static double at (const GArray *sorted, double share)
{
  guint i = (guint) ((double) (sorted->len - 1) * share);
  return (double) g_array_index (sorted, gint64, i) / 1000;
}

static void run_child (Load *load, gint64 begin_us, gint64 until_us, int out)
{
  struct epoll_event events[256];
  gint64 now_us = g_get_monotonic_time ();
  while (now_us < until_us || (is_busy (load) && now_us < until_us + LATE_MS * 1000)) {
    send_due (load, now_us, until_us);
    int n = epoll_wait (load->epoll, events, G_N_ELEMENTS (events), 1);
    for (int i = 0; i < n; i++)
      receive (load, events[i].data.ptr);
    now_us = g_get_monotonic_time ();
  }
  if (load->took_us->len == 0)
    _exit (1);
  g_array_sort (load->took_us, by_time);
  Pace pace = {.per_second
               = load->took_us->len / ((double) (until_us - begin_us) / G_USEC_PER_SEC),
               .p50_ms = at (load->took_us, 0.5),
               .p99_ms = at (load->took_us, 0.99),
               .max_ms = at (load->took_us, 1)};
  _exit (write (out, &pace, sizeof pace) == sizeof pace ? 0 : 1);
}

static void child (guint16 port, const char *path, const char *key, guint connections,
                   guint rate, guint seconds, int out)
{
  Load load = {.n = connections,
               .clients = g_new0 (Client, connections),
               .epoll = epoll_create1 (0),
               .gap_us = (gint64) connections * G_USEC_PER_SEC / rate,
               .took_us = g_array_new (FALSE, FALSE, sizeof (gint64))};
  load.request = g_strdup_printf (
      "GET %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n\r\n", path, key);
  for (guint i = 0; i < connections; i++)
    load.clients[i].fd = dial (port);
  gint64 begin_us = g_get_monotonic_time ();
  for (guint i = 0; i < connections; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load.clients[i]};
    epoll_ctl (load.epoll, EPOLL_CTL_ADD, load.clients[i].fd, &event);
    load.clients[i].due_us = begin_us + load.gap_us * i / connections;
  }
  run_child (&load, begin_us, begin_us + (gint64) seconds * G_USEC_PER_SEC, out);
}

static gboolean on_result (int fd, GIOCondition condition, gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

gboolean pace_measure (guint16 port, const char *path, const char *key, guint connections,
                       guint rate, guint seconds, Pace *pace)
{
  gboolean done = FALSE;
  int pipes[2], status = 0;
  if (!g_unix_open_pipe (pipes, FD_CLOEXEC, NULL))
    return FALSE;
  pid_t pid = fork ();
  if (pid == 0)
    child (port, path, key, connections, rate, seconds, pipes[1]);
  close (pipes[1]);
  g_unix_fd_add (pipes[0], G_IO_IN | G_IO_HUP, on_result, &done);
  while (!done)
    g_main_context_iteration (NULL, TRUE);
  gboolean good = read (pipes[0], pace, sizeof *pace) == sizeof *pace;
  close (pipes[0]);
  return waitpid (pid, &status, 0) == pid && status == 0 && good;
}
