/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Outgoing connections: opening, reading, gathered writes, handles. */
#include "net/stream-private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE 65536
#define READS_AT_ONCE 4
#define TIMEOUT_MS 5000
#define WRITE_MAX (64 * 1024 * 1024)
#define KEEP_BUFFER (256 * 1024)

static ChStream handle_of (const Stream *stream)
{
  return (guint64) stream->generation << 32 | stream->slot;
}

Stream *stream_peek (ChPlugin *self, ChStream handle)
{
  ChReactor *reactor = self->services->reactor;
  guint32 slot = (guint32) handle, generation = (guint32) (handle >> 32);

  if (reactor == NULL || generation == 0 || slot >= reactor->streams->len)
    return NULL;
  Stream *stream = g_ptr_array_index (reactor->streams, slot);
  return stream->generation == generation && stream->resource.owner == self ? stream
                                                                            : NULL;
}

/* ---- the end ---------------------------------------------------------------------- */

static void disconnect (Stream *stream)
{
  ch_reactor_remove (stream->reactor, &stream->watch);
  if (stream->watch.fd >= 0)
    close (stream->watch.fd);
  stream->watch.fd = -1;
}

static void release (Stream *stream)
{
  disconnect (stream);
  ch_wheel_cancel (stream->reactor, &stream->timer);
  ch_reactor_undefer (stream->reactor, &stream->deferred);
  if (stream->cancellable != NULL)
    g_cancellable_cancel (stream->cancellable);
  g_clear_object (&stream->cancellable);
  g_clear_error (&stream->error);
  stream_tls_free (stream);
  g_clear_pointer (&stream->name, g_free);
  g_clear_pointer (&stream->out, g_byte_array_unref);
  stream->out_done = 0;
  stream->state = STREAM_VACANT;
  stream->generation++;
  stream->vacant = stream->reactor->vacant_streams;
  stream->reactor->vacant_streams = stream;
}

static void revoke_stream (ChResource *resource)
{
  release ((Stream *) resource);
}

static const ChResourceKind STREAM_KIND = {"streams", revoke_stream};

void stream_fail (Stream *stream, GError *error)
{
  if (stream->state == STREAM_FAILED) {
    g_clear_error (&error);
    return;
  }
  stream->state = STREAM_FAILED;
  stream->error = error;
  disconnect (stream);
  ch_wheel_cancel (stream->reactor, &stream->timer);
  ch_reactor_defer (stream->reactor, &stream->deferred);
}

static void fail_errno (Stream *stream, const char *what, int number)
{
  stream_fail (stream,
               g_error_new (G_IO_ERROR, (gint) g_io_error_from_errno (number),
                            "%s: %s: %s", stream->name, what, g_strerror (number)));
}

static void tell_closed (Stream *stream)
{
  ChPlugin *self = stream->resource.owner;
  const ChStreamFuncs *funcs = stream->funcs;
  gpointer user_data = stream->user_data;
  ChStream handle = handle_of (stream);
  g_autoptr (GError) error = g_steal_pointer (&stream->error);
  ChRunnerFrame frame;

  ch_owner_unlink (&stream->resource);
  release (stream);
  if (funcs->closed != NULL && ch_runner_enter (self, "stream closed", &frame)) {
    funcs->closed (self, handle, error, user_data);
    ch_runner_leave (&frame);
  }
}

/* ---- writing ---------------------------------------------------------------------- */

static gsize unsent (const Stream *stream)
{
  return stream->out != NULL ? stream->out->len - stream->out_done : 0;
}

static gssize transmit (Stream *stream, const guint8 *bytes, gsize n)
{
  if (stream->tls != NULL)
    return stream_tls_write (stream, bytes, n);
  return send (stream->watch.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Returns: %FALSE when the connection is gone */
static gboolean send_out (Stream *stream)
{
  while (unsent (stream) > 0) {
    gssize n = transmit (stream, stream->out->data + stream->out_done, unsent (stream));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
      break;
    if (n < 0 && errno == EPIPE) {
      /* What the peer said before it closed can still be read; then comes the end. */
      g_byte_array_set_size (stream->out, 0);
      stream->out_done = 0;
      break;
    }
    if (n < 0) {
      fail_errno (stream, "cannot write", errno);
      return FALSE;
    }
    stream->out_done += (gsize) n;
  }
  if (unsent (stream) == 0) {
    stream->out_done = 0;
    if (stream->out != NULL && stream->out->len > KEEP_BUFFER)
      g_clear_pointer (&stream->out, g_byte_array_unref);
    else if (stream->out != NULL)
      g_byte_array_set_size (stream->out, 0);
  }
  ch_reactor_modify (stream->reactor, &stream->watch,
                     unsent (stream) > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
  return TRUE;
}

gboolean ch_stream_write (ChPlugin *self, ChStream handle, const void *bytes, gsize n)
{
  Stream *stream = stream_peek (self, handle);

  if (stream == NULL || stream->state == STREAM_FAILED)
    return FALSE;
  gsize waiting = unsent (stream);
  if ((waiting > 0 && n > stream->write_max - MIN (waiting, stream->write_max))
      || n > G_MAXINT32 - (waiting + stream->out_done))
    return FALSE;
  if (stream->out == NULL)
    stream->out = g_byte_array_new ();
  /* What was sent goes when it is the larger part, so that moving pays. */
  if (stream->out_done > KEEP_BUFFER && stream->out_done > stream->out->len / 2) {
    g_byte_array_remove_range (stream->out, 0, (guint) stream->out_done);
    stream->out_done = 0;
  }
  g_byte_array_append (stream->out, bytes, (guint) n);
  if (stream->state == STREAM_OPEN && (stream->watch.events & EPOLLOUT) == 0)
    ch_reactor_defer (stream->reactor, &stream->deferred);
  return TRUE;
}

gsize ch_stream_unsent (ChPlugin *self, ChStream handle)
{
  const Stream *stream = stream_peek (self, handle);
  return stream != NULL ? unsent (stream) : 0;
}

/* ---- reading ---------------------------------------------------------------------- */

/* Returns: %FALSE when the stream is gone or has nothing more at the moment */
static gboolean read_once (Stream *stream, ChStream handle)
{
  char bytes[READ_SIZE];
  ChPlugin *self = stream->resource.owner;
  ChRunnerFrame frame;

  gssize n = stream->tls != NULL
                 ? stream_tls_read (stream, bytes, sizeof bytes)
                 : recv (stream->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return FALSE;
  if (n < 0) {
    fail_errno (stream, "cannot read", errno);
    return FALSE;
  }
  if (n == 0) {
    stream_fail (stream, g_error_new (G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED,
                                      "%s closed the connection", stream->name));
    return FALSE;
  }
  if (ch_runner_enter (self, "stream input", &frame)) {
    stream->funcs->input (self, handle, bytes, (gsize) n, stream->user_data);
    ch_runner_leave (&frame);
  }
  /* TLS gives one record at a time. */
  return stream_peek (self, handle) == stream && stream->state == STREAM_OPEN
         && ((gsize) n == sizeof bytes || stream->tls != NULL);
}

static void read_some (Stream *stream)
{
  ChStream handle = handle_of (stream);
  ChPlugin *self = stream->resource.owner;

  for (guint i = 0; i < READS_AT_ONCE; i++)
    if (!read_once (stream, handle))
      return;
  if (stream_peek (self, handle) == stream && stream->tls != NULL
      && stream_tls_has_more (stream))
    ch_reactor_defer (stream->reactor, &stream->deferred);
}

static void end_of_turn (ChDeferred *deferred)
{
  Stream *stream = (Stream *) ((char *) deferred - G_STRUCT_OFFSET (Stream, deferred));

  if (stream->state == STREAM_FAILED)
    tell_closed (stream);
  else if (stream->state == STREAM_OPEN && send_out (stream) && stream->tls != NULL
           && stream_tls_has_more (stream))
    read_some (stream);
}

static void stands (Stream *stream)
{
  ChPlugin *self = stream->resource.owner;
  ChRunnerFrame frame;

  g_clear_error (&stream->error);
  ch_wheel_cancel (stream->reactor, &stream->timer);
  stream->state = STREAM_OPEN;
  ch_reactor_modify (stream->reactor, &stream->watch, EPOLLIN);
  ch_reactor_defer (stream->reactor, &stream->deferred);
  if (stream->funcs->opened != NULL && ch_runner_enter (self, "stream opened", &frame)) {
    stream->funcs->opened (self, handle_of (stream), stream->user_data);
    ch_runner_leave (&frame);
  }
}

static void secure (Stream *stream)
{
  guint32 events;

  stream->state = STREAM_SECURING;
  if (!stream_tls_handshake (stream, &events))
    return;
  if (events == 0)
    stands (stream);
  else
    ch_reactor_modify (stream->reactor, &stream->watch, events);
}

static void connected (Stream *stream)
{
  int error = 0;
  socklen_t size = sizeof error;

  if (getsockopt (stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
    error = errno;
  if (error != 0) {
    g_clear_error (&stream->error);
    stream->error = g_error_new (G_IO_ERROR, (gint) g_io_error_from_errno (error),
                                 "%s: %s", stream->name, g_strerror (error));
    stream_connect_next (stream);
  } else if (stream->tls != NULL) {
    secure (stream);
  } else {
    stands (stream);
  }
}

static void ready (ChWatch *watch, guint32 events)
{
  Stream *stream = (Stream *) ((char *) watch - G_STRUCT_OFFSET (Stream, watch));

  if (stream->state == STREAM_CONNECTING) {
    connected (stream);
    return;
  }
  if (stream->state == STREAM_SECURING) {
    secure (stream);
    return;
  }
  if ((events & EPOLLOUT) != 0 && !send_out (stream))
    return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
    read_some (stream);
}

/* ---- opening ---------------------------------------------------------------------- */

static gboolean connect_to (Stream *stream, const StreamAddress *to, int *number)
{
  int family = to->address.ss_family;
  int one = 1, idle_s = 30, interval_s = 10, count = 3;

  int fd = socket (family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *number = errno;
    return FALSE;
  }
  fd = ch_reactor_move_fd (fd);
  if (family != AF_UNIX) {
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  }
  if (connect (fd, (const struct sockaddr *) &to->address, to->size) < 0
      && errno != EINPROGRESS) {
    *number = errno;
    close (fd);
    return FALSE;
  }
  if (!ch_reactor_add (stream->reactor, &stream->watch, fd, EPOLLOUT, ready, NULL)) {
    *number = EMFILE;
    close (fd);
    return FALSE;
  }
  return TRUE;
}

void stream_connect_next (Stream *stream)
{
  int number = EADDRNOTAVAIL;

  disconnect (stream);
  stream->state = STREAM_CONNECTING;
  while (stream->next_address < stream->n_addresses)
    if (connect_to (stream, &stream->addresses[stream->next_address++], &number))
      return;
  GError *error = g_steal_pointer (&stream->error);
  if (error != NULL)
    stream_fail (stream, error);
  else
    fail_errno (stream, "cannot connect", number);
}

static void too_late (ChWheelTimer *timer)
{
  Stream *stream = (Stream *) ((char *) timer - G_STRUCT_OFFSET (Stream, timer));
  stream_fail (stream, g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                                    "%s: no connection in time", stream->name));
}

static Stream *take_stream (ChReactor *reactor)
{
  Stream *stream = reactor->vacant_streams;

  if (stream != NULL) {
    reactor->vacant_streams = stream->vacant;
    return stream;
  }
  stream = g_new0 (Stream, 1);
  stream->reactor = reactor;
  stream->slot = reactor->streams->len;
  stream->generation = 1;
  stream->watch.fd = -1;
  stream->timer.func = too_late;
  stream->deferred.func = end_of_turn;
  g_ptr_array_add (reactor->streams, stream);
  return stream;
}

ChStream ch_stream_open (ChPlugin *self, const ChStreamOptions *options,
                         const ChStreamFuncs *funcs, gpointer user_data)
{
  ChReactor *reactor = self->services->reactor;
  g_return_val_if_fail (reactor != NULL && funcs != NULL && funcs->input != NULL, 0);
  g_return_val_if_fail (options->path != NULL || options->host != NULL, 0);

  Stream *stream = take_stream (reactor);
  stream->state = STREAM_RESOLVING;
  stream->funcs = funcs;
  stream->user_data = user_data;
  stream->port = options->port;
  stream->write_max = options->write_max > 0 ? options->write_max : WRITE_MAX;
  stream->n_addresses = stream->next_address = 0;
  if (options->path != NULL)
    stream->name = g_strdup (options->path);
  else if (strchr (options->host, ':') != NULL)
    stream->name = g_strdup_printf ("[%s]:%u", options->host, options->port);
  else
    stream->name = g_strdup_printf ("%s:%u", options->host, options->port);
  ch_owner_link (self, &stream->resource, &STREAM_KIND);
  ch_wheel_arm (reactor, &stream->timer,
                options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS);
  GError *error = NULL;
  if (options->size >= sizeof *options && options->tls != NULL
      && !stream_tls_prepare (stream, options->tls, options->host, &error))
    stream_fail (stream, error);
  else
    stream_resolve (stream, options);
  return handle_of (stream);
}

void ch_stream_close (ChPlugin *self, ChStream handle)
{
  Stream *stream = stream_peek (self, handle);

  if (stream == NULL)
    return;
  if (stream->state == STREAM_OPEN)
    send_out (stream);
  ch_owner_unlink (&stream->resource);
  release (stream);
}

void streams_close (ChReactor *reactor)
{
  for (guint i = 0; i < reactor->streams->len; i++) {
    Stream *stream = g_ptr_array_index (reactor->streams, i);
    if (stream->state == STREAM_VACANT)
      continue;
    ch_owner_unlink (&stream->resource);
    release (stream);
  }
  g_clear_pointer (&reactor->tls_contexts, g_hash_table_unref);
}
