/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many connections at once, and what is left when they go. */
#include "net/net-testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_LIMITS                                                                        \
  (const char *[])                                                                       \
  {                                                                                      \
    "tcp.limiting.enabled=false", "tcp.limiting.max_connections=15000", NULL             \
  }

static char *listen_on (TestWorld *world)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_gateway_listen (world->gateway, &error));
  g_assert_no_error (error);
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (world->gateway);
  return g_strdup (g_ptr_array_index (addresses, 0));
}

/* Check 1 of the specification: a thousand that the peer closes leave nothing behind. */
static void test_thousand_closes (void)
{
  TestWorld world;
  test_world_open (&world, FALSE,
                   (const char *[]) {"tcp.limiting.rate_per_second=10000",
                                     "tcp.limiting.rate_burst=10000",
                                     "tcp.limiting.max_connections=50",
                                     "tcp.limiting.per_ip_max_connections=50", NULL});
  g_autofree char *address = listen_on (&world);

  for (guint i = 0; i < 20; i++) {
    int fds[50];
    for (guint k = 0; k < 50; k++) {
      fds[k] = test_connect_to (address, FALSE);
      test_send_frame (fds[k], k % 2 == 0 ? "i" : "echo");
    }
    test_wait_for (&world, world.opened == (i + 1) * 50);
    g_assert_cmpuint (world.gateway->active, ==, 50);
    for (guint k = 0; k < 50; k++)
      close (fds[k]);
    test_wait_for (&world, world.gateway->active == 0);
  }
  ChGatewayStats stats;
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpuint (stats.accepted, ==, 1000);
  g_assert_cmpuint (stats.rejected, ==, 0);
  g_assert_cmpuint (world.closed, ==, 1000);
  g_assert_cmpuint (world.sessions, ==, 0);
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_PEER), ==, 1000);
  test_world_close (&world);
}

/* ---- ten thousand ----------------------------------------------------------------- */

/*
 * The devices live in a process of their own, so that each side needs only its own
 * descriptors. A byte through a pipe tells either side to go on.
 */
typedef struct {
  pid_t pid;
  int to, from;
} Crowd;

static int crowd_connect (guint16 port)
{
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                           .sin_port = htons (port)};
  int fd = socket (AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &in, sizeof in) < 0)
    _exit (2);
  return fd;
}

/* One echo over each connection. */
static void crowd_talk (const int *fds, guint n, const GString *frame)
{
  for (guint i = 0; i < n; i++)
    if (send (fds[i], frame->str, frame->len, MSG_NOSIGNAL) != (gssize) frame->len)
      _exit (3);
  for (guint i = 0; i < n; i++) {
    char answer[64];
    gsize got = 0;
    while (got < frame->len) {
      struct pollfd wait = {.fd = fds[i], .events = POLLIN};
      if (poll (&wait, 1, 60000) != 1)
        _exit (4);
      gssize k = recv (fds[i], answer + got, sizeof answer - got, 0);
      if (k <= 0)
        _exit (5);
      got += (gsize) k;
    }
    if (got != frame->len || memcmp (answer, frame->str, got) != 0)
      _exit (6);
  }
}

static void crowd_main (guint16 port, guint n, int in, int out)
{
  g_autoptr (GString) frame = g_string_new (NULL);
  int *fds = g_new (int, n);
  char byte;

  test_frame (frame, "echo", -1);
  for (guint i = 0; i < n; i++)
    fds[i] = crowd_connect (port);
  crowd_talk (fds, n, frame);
  crowd_talk (fds, n, frame);
  if (write (out, "d", 1) != 1 || read (in, &byte, 1) != 1)
    _exit (7);
  for (guint i = 0; i < n; i++)
    close (fds[i]);
  _exit (0);
}

static void crowd_start (Crowd *crowd, const char *address, guint n)
{
  guint16 port = (guint16) g_ascii_strtoull (strrchr (address, ':') + 1, NULL, 10);
  int down[2], up[2];

  g_assert_cmpint (pipe (down), ==, 0);
  g_assert_cmpint (pipe (up), ==, 0);
  crowd->pid = fork ();
  g_assert_cmpint (crowd->pid, >=, 0);
  if (crowd->pid == 0) {
    close (down[1]);
    close (up[0]);
    crowd_main (port, n, down[0], up[1]);
  }
  close (down[0]);
  close (up[1]);
  crowd->to = down[1];
  crowd->from = up[0];
}

static gboolean crowd_is_done (const Crowd *crowd)
{
  struct pollfd wait = {.fd = crowd->from, .events = POLLIN};
  return poll (&wait, 1, 0) == 1;
}

static void crowd_end (Crowd *crowd)
{
  int status;
  g_assert_cmpint (write (crowd->to, "g", 1), ==, 1);
  g_assert_cmpint (waitpid (crowd->pid, &status, 0), ==, crowd->pid);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  close (crowd->to);
  close (crowd->from);
}

static void check_memory (TestWorld *world, guint n)
{
  guint seen = 0;
  g_assert_cmpuint (sizeof (Connection), <=, 1024);
  for (guint32 i = 0; i < world->gateway->n_slots; i++) {
    Connection *conn = conn_at (world->gateway, i);
    if (conn->state != CONN_OPEN)
      continue;
    seen++;
    g_assert_null (conn->rest);
    g_assert_null (conn->out);
    g_assert_null (conn->trouble);
    g_assert_cmpint (conn->watch.fd, >=, FD_SETSIZE);
  }
  g_assert_cmpuint (seen, ==, n);
  g_test_message ("%u connections, %" G_GSIZE_FORMAT " bytes each", n,
                  sizeof (Connection));
}

static void test_ten_thousand (void)
{
  TestWorld world;
  Crowd crowd;
  guint n = 10000;
  guint64 limit = ch_reactor_raise_fd_limit ();

  if (limit < n + FD_SETSIZE + 512) {
    n = limit > FD_SETSIZE + 1024 ? (guint) (limit - FD_SETSIZE - 512) : 256;
    g_test_message ("only %u connections: the limit of descriptors is %" G_GUINT64_FORMAT,
                    n, limit);
    g_assert_cmpstr (g_getenv ("CI"), !=, "true");
  }
  test_world_open (&world, FALSE, NO_LIMITS);
  g_autofree char *address = listen_on (&world);
  crowd_start (&crowd, address, n);
  test_wait_for (&world, crowd_is_done (&crowd));
  g_assert_cmpuint (world.gateway->active, ==, n);
  g_assert_cmpuint (world.frames, ==, 2 * n);
  check_memory (&world, n);

  crowd_end (&crowd);
  test_wait_for (&world, world.gateway->active == 0);
  g_assert_cmpuint (world.closed, ==, n);
  test_world_close (&world);
}

/* ---- descriptors ------------------------------------------------------------------ */

/* A library that uses select() still works beside 2,000 connections. */
static void test_select (void)
{
  TestWorld world;
  test_world_open (&world, FALSE, NO_LIMITS);
  g_autofree char *address = listen_on (&world);
  Crowd crowd;

  crowd_start (&crowd, address, 2000);
  test_wait_for (&world, crowd_is_done (&crowd));
  g_assert_cmpuint (world.gateway->active, ==, 2000);

  int fd = test_connect_to (address, FALSE); /* a client in this process, as libmodbus */
  g_assert_cmpint (fd, <, FD_SETSIZE);
  test_send_frame (fd, "echo");
  gboolean readable = FALSE;
  for (guint i = 0; i < 6000 && !readable; i++) {
    struct timeval none = {0, 0};
    fd_set set;
    test_iterate (&world);
    FD_ZERO (&set);
    FD_SET (fd, &set);
    readable = select (fd + 1, &set, NULL, NULL, &none) == 1;
  }
  g_assert_true (readable);
  close (fd);
  crowd_end (&crowd);
  test_wait_for (&world, world.gateway->active == 0);
  test_world_close (&world);
}

/* No descriptors left: one is refused by means of the reserve, then a second of peace. */
static void test_out_of_descriptors (void)
{
  TestWorld world;
  struct rlimit before, low;
  test_world_open (&world, TRUE, NULL);
  g_autofree char *address = listen_on (&world);
  int first = test_connect_to (address, FALSE);
  test_wait_for (&world, world.gateway->accepted == 1);
  int second = test_connect_to (address, FALSE), third = test_connect_to (address, FALSE);

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  low = before;
  int lowest = dup (0); /* so that not one more fits */
  low.rlim_cur = (rlim_t) lowest;
  close (lowest);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (world.gateway->rejected[REJECT_FD_LIMIT] == 0)
    g_main_context_iteration (world.context, FALSE);
  for (guint i = 0; i < 20; i++)
    g_main_context_iteration (world.context, FALSE);
  g_assert_cmpuint (world.gateway->rejected[REJECT_FD_LIMIT], ==, 1); /* no spinning */
  g_assert_cmpuint (world.gateway->accepted, ==, 1);
  g_assert_cmpint (world.gateway->reserve_fd, >=, 0);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
  test_wait_for (&world, test_is_closed (second) || test_is_closed (third));

  test_advance (&world, 999);
  g_assert_cmpuint (world.gateway->accepted, ==, 1);
  test_advance (&world, 1);
  test_wait_for (&world, world.gateway->accepted == 2);
  close (first);
  close (second);
  close (third);
  test_world_close (&world);
}

/* More is wanted than descriptors allow: less is promised. */
static void test_effective_maximum (void)
{
  TestWorld world;
  guint64 limit = ch_reactor_raise_fd_limit ();
  if (limit > 900000) {
    g_test_skip ("there are more descriptors than any setting asks for");
    return;
  }
  test_world_open (&world, TRUE,
                   (const char *[]) {"tcp.limiting.max_connections=1000000", NULL});
  ChGatewayStats stats;
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpuint (stats.max, ==, limit - 512);
  test_world_close (&world);
}

/* ---- getting rid of them ---------------------------------------------------------- */

static void test_evict (void)
{
  TestWorld world;
  int fds[10];
  test_world_open (&world, TRUE, NULL);
  for (guint i = 0; i < 10; i++) {
    fds[i] = test_connect (&world);
    test_send_frame (fds[i], "i");
  }
  test_turn (&world);
  g_autoptr (GString) noise = g_string_new (NULL);
  for (guint i = 0; i < 20; i++)
    test_frame (noise, "a", -1);
  test_send (fds[7], noise->str, noise->len);
  test_turn (&world);
  g_assert_cmpuint (ch_gateway_shed (world.gateway, 0.01), ==, 1);
  test_turn (&world);
  g_assert_true (test_is_closed (fds[7]));                         /* the noisiest */
  g_assert_cmpuint (ch_gateway_shed (world.gateway, 0.01), ==, 0); /* all were silent */

  g_assert_cmpuint (ch_gateway_evict (world.gateway, 4, CH_CLOSE_SHUTDOWN), ==, 5);
  g_assert_cmpuint (ch_gateway_evict (world.gateway, 4, CH_CLOSE_SHUTDOWN), ==, 1);
  test_turn (&world);
  g_assert_cmpuint (world.gateway->active, ==, 1);
  g_assert_cmpuint (ch_gateway_evict (world.gateway, 4, CH_CLOSE_SHUTDOWN), ==, 0);
  test_turn (&world);
  g_assert_cmpuint (world.closed, ==, 10);
  for (guint i = 0; i < 10; i++)
    close (fds[i]);
  test_world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/crowd/thousand-closes", test_thousand_closes);
  g_test_add_func ("/net/crowd/ten-thousand", test_ten_thousand);
  g_test_add_func ("/net/crowd/select", test_select);
  g_test_add_func ("/net/crowd/out-of-descriptors", test_out_of_descriptors);
  g_test_add_func ("/net/crowd/effective-maximum", test_effective_maximum);
  g_test_add_func ("/net/crowd/evict", test_evict);
  return g_test_run ();
}
