/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket as libsoup sees it. What GSocketConnection does not do: an end of file
 * between two requests is kept from libsoup, whose 3.2 loses the connection then (a
 * descriptor is leaked for every client that goes away while idle), and ends it in the
 * one way that is clean; the headers of an answer wait for its body, so that both leave
 * in one packet; nothing is allocated for "would block"; and the descriptor is in the
 * reactor's set instead of GLib's, which asks the kernel about every one in every turn
 * and writes to its eventfd whenever one comes or goes: eight times for a request.
 */
#include "http/http-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HOLD_MAX (16 * 1024)
#define THROWN_READS 64

G_DECLARE_FINAL_TYPE (HttpInput, http_input, HTTP, INPUT, GInputStream)
G_DECLARE_FINAL_TYPE (HttpOutput, http_output, HTTP, OUTPUT, GOutputStream)
G_DECLARE_FINAL_TYPE (HttpStream, http_stream, HTTP, STREAM, GIOStream)

struct _HttpInput {
  GInputStream parent;
  ChHttpConn *conn; /* of the stream, which owns both */
};
struct _HttpOutput {
  GOutputStream parent;
  ChHttpConn *conn;
};
struct _HttpStream {
  GIOStream parent;
  ChHttpConn *conn;
  HttpInput *input;
  HttpOutput *output;
};

static void input_pollable (GPollableInputStreamInterface *iface);
static void output_pollable (GPollableOutputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HttpInput, http_input, G_TYPE_INPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_INPUT_STREAM,
                                                      input_pollable))
G_DEFINE_FINAL_TYPE_WITH_CODE (HttpOutput, http_output, G_TYPE_OUTPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_OUTPUT_STREAM,
                                                      output_pollable))
G_DEFINE_FINAL_TYPE (HttpStream, http_stream, G_TYPE_IO_STREAM)

static gssize fail (GError **error, int code)
{
  if (code == EAGAIN || code == EINTR)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "would block");
  else
    g_set_error_literal (error, G_IO_ERROR, (gint) g_io_error_from_errno (code),
                         g_strerror (code));
  return -1;
}

/* ---- waiting -------------------------------------------------------------------------
 */

/* What libsoup waits with: a source without a descriptor. */
typedef struct {
  GSource parent;
  GIOStream *stream; /* reference: it owns the connection */
  ChHttpConn *conn;
  gboolean to_write;
} Waiting;

static gboolean is_ready (const ChHttpConn *conn, gboolean to_write)
{
  if (conn->fd < 0)
    return TRUE; /* libsoup reads the error */
  if (conn->gone)
    return FALSE; /* it is about to be closed */
  return to_write ? conn->writable : conn->readable;
}

static gboolean waiting_prepare (GSource *source, gint *timeout)
{
  const Waiting *waiting = (Waiting *) source;
  *timeout = -1;
  return is_ready (waiting->conn, waiting->to_write);
}

static gboolean waiting_check (GSource *source)
{
  const Waiting *waiting = (Waiting *) source;
  return is_ready (waiting->conn, waiting->to_write);
}

/* Its parent, libsoup's own source, does the work once this one is ready. */
static gboolean waiting_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void waiting_finalize (GSource *source)
{
  g_object_unref (((Waiting *) source)->stream);
}

/* GLib refuses a closure to a source without this. libsoup sets one; nobody calls it. */
static gboolean accept_closure (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static GSource *make_source (ChHttpConn *conn, gboolean to_write)
{
  static GSourceFuncs funcs = {
      .prepare = waiting_prepare,
      .check = waiting_check,
      .dispatch = waiting_dispatch,
      .finalize = waiting_finalize,
      .closure_callback = accept_closure,
  };
  GSource *source = g_source_new (&funcs, sizeof (Waiting)); /* lint: libsoup wants it */
  Waiting *waiting = (Waiting *) source;
  waiting->stream = g_object_ref (conn->stream);
  waiting->conn = conn;
  waiting->to_write = to_write;
  return source;
}

static void on_events (ChWatch *watch, guint32 events)
{
  ChHttpConn *conn
      = (ChHttpConn *) ((char *) watch - G_STRUCT_OFFSET (ChHttpConn, watch));

  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    conn->hung_up = TRUE;
  if (conn->hung_up && conn->request.gone != NULL) /* libsoup reads nothing meanwhile */
    ch_http_conn_end (conn);
  if (conn->hung_up || (events & EPOLLIN) != 0)
    conn->readable = TRUE;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
    conn->writable = TRUE;
}

gboolean ch_http_stream_watch (ChHttpConn *conn, GError **error)
{
  return ch_reactor_add (conn->http->services->reactor, &conn->watch, conn->fd,
                         EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_events, error);
}

/* ---- reading -------------------------------------------------------------------------
 */

static gssize do_read (ChHttpConn *conn, void *buffer, gsize count, GError **error)
{
  if (conn->fd < 0)
    return fail (error, EPIPE);
  if (conn->gone || !conn->readable)
    return fail (error, EAGAIN);
  ssize_t n = recv (conn->fd, buffer, count, MSG_DONTWAIT);
  /* All that was there was less than asked for: what comes next is a new edge. */
  if (n > 0 && (gsize) n < count && !conn->hung_up)
    conn->readable = FALSE;
  if (n < 0 && errno == EAGAIN)
    conn->readable = FALSE;
  if (n > 0) {
    if (conn->phase == CH_HTTP_IDLE) /* a request begins */
      ch_http_conn_set_phase (conn, CH_HTTP_READ, conn->http->settings.read_ms);
    return n;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return fail (error, EAGAIN);
  /* The end of a request that is not whole: libsoup would take it for that of a body in
   * chunks. */
  if (conn->phase == CH_HTTP_READ) {
    conn->gone = TRUE;
    return fail (error, n == 0 ? ECONNRESET : errno);
  }
  if (conn->phase != CH_HTTP_IDLE)
    return n == 0 ? 0 : fail (error, errno);
  conn->gone = TRUE;
  ch_http_conn_end (conn);
  return fail (error, EAGAIN);
}

static gssize input_read (GInputStream *stream, void *buffer, gsize count,
                          GCancellable *cancellable, GError **error)
{
  return do_read (HTTP_INPUT (stream)->conn, buffer, count, error);
}

static gssize input_read_nonblocking (GPollableInputStream *stream, void *buffer,
                                      gsize count, GError **error)
{
  return do_read (HTTP_INPUT (stream)->conn, buffer, count, error);
}

static gboolean input_is_readable (GPollableInputStream *stream)
{
  return is_ready (HTTP_INPUT (stream)->conn, FALSE);
}

static GSource *input_source (GPollableInputStream *stream, GCancellable *cancellable)
{
  return make_source (HTTP_INPUT (stream)->conn, FALSE);
}

static void input_pollable (GPollableInputStreamInterface *iface)
{
  iface->is_readable = input_is_readable;
  iface->create_source = input_source;
  iface->read_nonblocking = input_read_nonblocking;
}

static void http_input_class_init (HttpInputClass *klass)
{
  G_INPUT_STREAM_CLASS (klass)->read_fn = input_read;
}

static void http_input_init (HttpInput *input) {}

/* ---- writing -------------------------------------------------------------------------
 */

static gsize held_left (const ChHttpConn *conn)
{
  return conn->held != NULL ? conn->held->len - conn->held_done : 0;
}

static void held_sent (ChHttpConn *conn, gsize n)
{
  conn->held_done += n;
  if (conn->held_done == conn->held->len) {
    g_byte_array_set_size (conn->held, 0);
    conn->held_done = 0;
  }
}

static gssize send_failed (ChHttpConn *conn, GError **error)
{
  if (errno == EAGAIN)
    conn->writable = FALSE;
  return fail (error, errno);
}

/* What was held and @buffer in one call. */
static gssize send_both (ChHttpConn *conn, const void *buffer, gsize count,
                         GError **error)
{
  gsize first = held_left (conn);
  struct iovec parts[2] = {
      {conn->held->data + conn->held_done, first},
      {(void *) (guintptr) buffer, count},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t n = sendmsg (conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0)
    return send_failed (conn, error);
  held_sent (conn, MIN ((gsize) n, first));
  return (gsize) n > first ? n - (gssize) first : fail (error, EAGAIN);
}

static gssize do_write (ChHttpConn *conn, const void *buffer, gsize count, GError **error)
{
  if (conn->fd < 0)
    return fail (error, EPIPE);
  /* An answer of libsoup's own, also to a request that came in one piece with another. */
  if ((conn->phase == CH_HTTP_READ || conn->phase == CH_HTTP_IDLE) && count > 12
      && memcmp ((const char *) buffer + 9, "100", 3) != 0)
    ch_http_exchange_rejected (
        conn, (guint) g_ascii_strtoull ((const char *) buffer + 9, NULL, 10));
  if (conn->phase == CH_HTTP_REFUSED) /* it has its answer */
    return (gssize) count;
  if (conn->hold && count <= HOLD_MAX) {
    conn->hold = FALSE;
    if (conn->held == NULL)
      conn->held = g_byte_array_new ();
    g_byte_array_append (conn->held, buffer, (guint) count);
    return (gssize) count;
  }
  if (held_left (conn) > 0)
    return send_both (conn, buffer, count, error);
  ssize_t n = send (conn->fd, buffer, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n >= 0 ? n : send_failed (conn, error);
}

void ch_http_stream_flush (ChHttpConn *conn)
{
  conn->hold = FALSE;
  gsize left = held_left (conn);
  if (left == 0 || conn->fd < 0)
    return;
  /* At most 16 KiB into the buffer of a socket that is empty: this does not block. */
  ssize_t n = send (conn->fd, conn->held->data + conn->held_done, left,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
  held_sent (conn, left);
  if (n != (ssize_t) left)
    ch_http_conn_end (conn);
}

static gssize output_write (GOutputStream *stream, const void *buffer, gsize count,
                            GCancellable *cancellable, GError **error)
{
  return do_write (HTTP_OUTPUT (stream)->conn, buffer, count, error);
}

static gssize output_write_nonblocking (GPollableOutputStream *stream, const void *buffer,
                                        gsize count, GError **error)
{
  return do_write (HTTP_OUTPUT (stream)->conn, buffer, count, error);
}

static gboolean output_is_writable (GPollableOutputStream *stream)
{
  return is_ready (HTTP_OUTPUT (stream)->conn, TRUE);
}

static GSource *output_source (GPollableOutputStream *stream, GCancellable *cancellable)
{
  return make_source (HTTP_OUTPUT (stream)->conn, TRUE);
}

static void output_pollable (GPollableOutputStreamInterface *iface)
{
  iface->is_writable = output_is_writable;
  iface->create_source = output_source;
  iface->write_nonblocking = output_write_nonblocking;
}

static void http_output_class_init (HttpOutputClass *klass)
{
  G_OUTPUT_STREAM_CLASS (klass)->write_fn = output_write;
}

static void http_output_init (HttpOutput *output) {}

/* ---- both ----------------------------------------------------------------------------
 */

static GInputStream *stream_input (GIOStream *stream)
{
  return G_INPUT_STREAM (HTTP_STREAM (stream)->input);
}

static GOutputStream *stream_output (GIOStream *stream)
{
  return G_OUTPUT_STREAM (HTTP_STREAM (stream)->output);
}

/* Closing with bytes unread resets the connection and takes the refusal back. */
static void throw_away_input (int fd)
{
  char rest[4096];
  for (guint i = 0; i < THROWN_READS; i++)
    if (recv (fd, rest, sizeof rest, MSG_DONTWAIT) <= 0)
      return;
}

static gboolean stream_close (GIOStream *stream, GCancellable *cancellable,
                              GError **error)
{
  ChHttpConn *conn = HTTP_STREAM (stream)->conn;
  if (conn->fd >= 0) {
    /* libsoup gives up headers that are too long without a word. */
    if (conn->http != NULL && conn->phase == CH_HTTP_READ && !conn->gone)
      ch_http_exchange_rejected (conn, 400);
    if (conn->phase == CH_HTTP_REFUSED)
      throw_away_input (conn->fd);
    ch_http_conn_closed (conn);
    close (conn->fd);
    conn->fd = -1;
  }
  return TRUE;
}

static void stream_finalize (GObject *object)
{
  HttpStream *stream = HTTP_STREAM (object);
  stream_close (G_IO_STREAM (stream), NULL, NULL);
  g_clear_pointer (&stream->conn->held, g_byte_array_unref);
  ch_text_clear (&stream->conn->out);
  g_clear_object (&stream->conn->address);
  g_object_unref (stream->input);
  g_object_unref (stream->output);
  g_free (stream->conn);
  G_OBJECT_CLASS (http_stream_parent_class)->finalize (object);
}

static void http_stream_class_init (HttpStreamClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = stream_finalize;
  G_IO_STREAM_CLASS (klass)->get_input_stream = stream_input;
  G_IO_STREAM_CLASS (klass)->get_output_stream = stream_output;
  G_IO_STREAM_CLASS (klass)->close_fn = stream_close;
}

static void http_stream_init (HttpStream *stream) {}

GIOStream *ch_http_stream_new (ChHttpConn *conn, int fd)
{
  HttpStream *stream = g_object_new (http_stream_get_type (), NULL);
  stream->conn = conn;
  stream->input = g_object_new (http_input_get_type (), NULL);
  stream->output = g_object_new (http_output_get_type (), NULL);
  stream->input->conn = stream->output->conn = conn;
  conn->fd = fd;
  conn->writable = TRUE;
  conn->stream = G_IO_STREAM (stream);
  return conn->stream;
}
