/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One TCP connection: connect, read frames, write what the kernel takes. */
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_ABANDONED 4096
#define MAX_OUT (256 * 1024)
#define READS_PER_TURN 4
#define PIECE_PAUSE (50 * SIM_MS)

/* ---- opening and closing ---------------------------------------------------------- */

static gboolean bind_source (const SimGateway *gateway, int fd)
{
  const SimOptions *options = &gateway->sim->options;
  guint32 span = options->bind_last - options->bind_first + 1;
  int on = 1;

  if (options->bind_first == 0)
    return TRUE;
  /* The port is chosen when the destination is known: 28,000 per pair, not per address.
   */
  setsockopt (fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in source = {.sin_family = AF_INET};
  source.sin_addr.s_addr = htonl (options->bind_first + gateway->index % span);
  return bind (fd, (struct sockaddr *) &source, sizeof source) == 0;
}

void link_connect (SimGateway *gateway)
{
  Sim *sim = gateway->sim;
  int on = 1;
  int fd = socket (sim->server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    gateway_connect_failed (gateway, g_strerror (errno));
    return;
  }
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!bind_source (gateway, fd)
      || (connect (fd, (struct sockaddr *) &sim->server, sim->server_size) < 0
          && errno != EINPROGRESS)
      || !loop_watch (sim->loop, &gateway->watch, fd, EPOLLOUT)) {
    int error = errno;
    close (fd);
    gateway_connect_failed (gateway, g_strerror (error));
    return;
  }
  gateway->connection = ++sim->connections;
}

/* A device without power says nothing: neither FIN nor RST may leave this machine, so
 * the descriptor stays. The oldest one goes when there are too many. */
static void abandon (Sim *sim, int fd)
{
  if (sim->abandoned->len >= MAX_ABANDONED) {
    close (g_array_index (sim->abandoned, int, 0));
    g_array_remove_index (sim->abandoned, 0);
  }
  g_array_append_val (sim->abandoned, fd);
}

void link_close (SimGateway *gateway, SimClose how)
{
  Sim *sim = gateway->sim;
  int fd = gateway->watch.fd;

  timer_stop (sim->loop, &gateway->pace);
  gateway->chunk = gateway->split = 0;
  g_clear_pointer (&gateway->rest, g_free);
  gateway->rest_size = 0;
  if (gateway->out != NULL)
    g_byte_array_unref (g_steal_pointer (&gateway->out));
  if (fd < 0)
    return;
  loop_unwatch (sim->loop, &gateway->watch);
  if (how == SIM_ABANDON) {
    abandon (sim, fd);
    return;
  }
  if (how == SIM_RESET) {
    struct linger linger = {.l_onoff = 1};
    setsockopt (fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  }
  close (fd);
}

/* ---- writing ---------------------------------------------------------------------- */

static void want_output (SimGateway *gateway, gboolean want)
{
  loop_rewatch (gateway->sim->loop, &gateway->watch, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Bytes taken by the kernel; an error shows when reading. */
static gsize push (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  ssize_t sent = send (gateway->watch.fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0)
    sent = errno == EAGAIN || errno == EINTR ? 0 : (ssize_t) size;
  return (gsize) sent;
}

static void flush (SimGateway *gateway)
{
  GByteArray *out = gateway->out;
  if (out == NULL)
    return;
  gsize sent = push (gateway, out->data, out->len);
  if (sent < out->len) {
    g_byte_array_remove_range (out, 0, (guint) sent);
    want_output (gateway, TRUE);
    return;
  }
  g_byte_array_unref (g_steal_pointer (&gateway->out));
  want_output (gateway, FALSE);
}

/* The next piece of a split frame, or the end of holding back. */
static void pace_timer (gpointer data)
{
  SimGateway *gateway = data;
  GByteArray *out = gateway->out;

  if (out == NULL || gateway->chunk == 0 || out->len <= gateway->chunk) {
    gateway->chunk = 0;
    flush (gateway);
    return;
  }
  gsize sent = push (gateway, out->data, gateway->chunk);
  g_byte_array_remove_range (out, 0, (guint) sent);
  timer_arm (gateway->sim->loop, &gateway->pace, PIECE_PAUSE);
}

static void keep (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  if (gateway->out == NULL)
    gateway->out = g_byte_array_new ();
  if (gateway->out->len + size > MAX_OUT) {
    gateway_close (gateway, SIM_RESET, "the server does not read", SIM_RECONNECT);
    return;
  }
  g_byte_array_append (gateway->out, bytes, (guint) size);
}

void link_write (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  Sim *sim = gateway->sim;
  if (gateway->watch.fd < 0)
    return;
  sim->counters.bytes_up += size;
  if (gateway->split > 1) {
    gateway->chunk = (guint16) MAX (size / gateway->split, 1);
    gateway->split = 0;
    keep (gateway, bytes, size);
    if (!timer_armed (&gateway->pace) && gateway->out != NULL)
      timer_arm (sim->loop, &gateway->pace, 0);
    return;
  }
  if (gateway->chunk > 0) {
    keep (gateway, bytes, size);
    return;
  }
  if (timer_armed (&gateway->pace)) { /* held: goes out with this one */
    timer_stop (sim->loop, &gateway->pace);
    keep (gateway, bytes, size);
    flush (gateway);
    return;
  }
  gsize sent = gateway->out == NULL ? push (gateway, bytes, size) : 0;
  if (sent < size) {
    keep (gateway, bytes + sent, size - sent);
    if (gateway->out != NULL)
      want_output (gateway, TRUE);
  }
}

void link_hold (SimGateway *gateway, gint64 delay)
{
  if (gateway->watch.fd < 0 || gateway->chunk > 0)
    return;
  timer_arm (gateway->sim->loop, &gateway->pace, delay);
}

void link_split (SimGateway *gateway, guint pieces)
{
  gateway->split = (guint16) CLAMP (pieces, 1, 1000);
}

/* ---- reading ---------------------------------------------------------------------- */

/* Takes the frames off a buffer; returns the bytes used, or more when the connection
 * is gone. */
static gsize take_frames (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  guint32 connection = gateway->connection;
  gsize at = 0;

  while (at < size) {
    const char *error = NULL;
    if (gateway->flood_sent != NULL)
      at += flood_input (gateway, bytes + at, size - at);
    gssize n = bkv_frame (bytes + at, size - at, BKV_MAX_FRAME, &error);
    if (n == 0)
      break;
    if (n < 0) {
      check_stream_error (gateway, error, bytes + at, (gsize) -n);
      at += (gsize) -n;
      continue;
    }
    gateway_input (gateway, bytes + at, (gsize) n);
    at += (gsize) n;
    if (gateway->watch.fd < 0 || gateway->connection != connection)
      return size;
  }
  return at;
}

gboolean link_unread (const SimGateway *gateway)
{
  int n = 0;
  return gateway->watch.fd >= 0 && ioctl (gateway->watch.fd, FIONREAD, &n) == 0 && n > 0;
}

static void keep_rest (SimGateway *gateway, const guint8 *bytes, gsize size)
{
  g_clear_pointer (&gateway->rest, g_free);
  gateway->rest_size = (guint32) size;
  if (size > 0)
    gateway->rest = g_memdup2 (bytes, size);
}

/* FALSE: nothing more for now, or the connection is gone. */
static gboolean read_once (SimGateway *gateway)
{
  Sim *sim = gateway->sim;
  guint32 connection = gateway->connection;
  gsize have = gateway->rest_size;
  gsize room = sim->buffer_size - have;

  if (have > 0)
    memcpy (sim->buffer, gateway->rest, have);
  ssize_t n = recv (gateway->watch.fd, sim->buffer + have, room, 0);
  if (n <= 0) {
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return FALSE;
    sim->counters.closed_by_server++;
    gateway_close (gateway, SIM_HANG_UP,
                   n == 0 ? "closed by the server" : g_strerror (errno), SIM_RECONNECT);
    return FALSE;
  }
  sim->counters.bytes_down += (guint64) n;
  gsize size = have + (gsize) n;
  gsize used = take_frames (gateway, sim->buffer, size);
  if (gateway->watch.fd < 0 || gateway->connection != connection)
    return FALSE;
  keep_rest (gateway, sim->buffer + used, size - used);
  return (gsize) n == room;
}

static void link_events (gpointer data, guint32 events)
{
  SimGateway *gateway = data;
  int error = 0;
  socklen_t size = sizeof error;

  if (gateway->phase == SIM_CONNECTING) {
    if (getsockopt (gateway->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
      error = errno;
    if (error != 0) {
      link_close (gateway, SIM_HANG_UP);
      gateway_connect_failed (gateway, g_strerror (error));
      return;
    }
    want_output (gateway, FALSE);
    gateway_connected (gateway);
    return;
  }
  if ((events & ~(guint32) EPOLLOUT) != 0)
    for (int i = 0; i < READS_PER_TURN && gateway->watch.fd >= 0; i++)
      if (!read_once (gateway))
        break;
  if ((events & EPOLLOUT) != 0 && gateway->watch.fd >= 0 && gateway->chunk == 0
      && !timer_armed (&gateway->pace))
    flush (gateway);
}

void link_init (SimGateway *gateway)
{
  gateway->watch = (SimWatch) {.func = link_events, .data = gateway, .fd = -1};
  timer_set (&gateway->pace, pace_timer, gateway);
}
