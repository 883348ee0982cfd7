/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing (gateway 2.9): at once when nothing waits; what is written while a
 * connection's input is handled goes out together; what the kernel does not take waits
 * in a bounded queue, whole frames in order.
 */
#include "net/gateway-private.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define RESERVED_PLACES 32
#define IOV_AT_ONCE 64

static gboolean is_full (const Settings *s, guint n, gsize bytes, gsize size,
                         gboolean is_command)
{
  guint places = is_command ? s->queue_frames - RESERVED_PLACES : s->queue_frames;
  return n >= places || bytes + size > s->queue_bytes;
}

static gboolean is_high (const Settings *s, const OutQueue *queue)
{
  return queue->n >= s->queue_frames * 3 / 4 || queue->bytes >= s->queue_bytes / 4 * 3;
}

static gboolean is_low (const Settings *s, const OutQueue *queue)
{
  return queue->n <= s->queue_frames / 4 && queue->bytes <= s->queue_bytes / 4;
}

/* Bytes that the kernel took, −1 when the connection is gone. */
static gssize send_some (Connection *conn, const void *bytes, gsize size)
{
  gssize n = send (conn->watch.fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
    return 0;
  if (n < 0) {
    conn_close (conn, CH_CLOSE_PEER);
    return -1;
  }
  conn->tx_bytes += (guint64) n;
  conn->protocol->bytes_out += (guint64) n;
  conn->last_tx_us = ch_reactor_now_us (conn->gateway->reactor);
  return n;
}

static void tell_frame (Connection *conn, const char *command_id, gboolean sent)
{
  ChGateway *gateway = conn->gateway;
  if (*command_id != '\0' && gateway->hooks.command_frame != NULL)
    gateway->hooks.command_frame (gateway->core, conn->handle, conn->core_data,
                                  command_id, sent);
}

/* ---- the queue -------------------------------------------------------------------- */

static void enqueue (Connection *conn, const void *bytes, gsize size, gsize done,
                     const char *command_id)
{
  ChGateway *gateway = conn->gateway;
  OutFrame *frame = g_malloc (sizeof (OutFrame) + size);

  frame->next = NULL;
  frame->size = size;
  frame->done = done;
  g_strlcpy (frame->command_id, command_id, sizeof frame->command_id);
  memcpy (frame->bytes, bytes, size);

  if (conn->out == NULL) {
    conn->out = g_new0 (OutQueue, 1);
    conn->out->progress_us = ch_reactor_now_us (gateway->reactor);
    conn_watch_events (conn);
    conn_timer_update (conn);
  }
  OutQueue *queue = conn->out;
  if (queue->last != NULL)
    queue->last->next = frame;
  else
    queue->first = frame;
  queue->last = frame;
  queue->n++;
  queue->bytes += size - done;
  gateway->pending_bytes += size - done;
  if (is_high (&gateway->settings, queue))
    queue->high = TRUE;
}

/* Says no. When not even a reply fits, the device must first read what is there. */
static gboolean refuse (Connection *conn, gsize size)
{
  const OutQueue *queue = conn->out;
  conn->protocol->queue_full++;
  if (queue != NULL
      && is_full (&conn->gateway->settings, queue->n, queue->bytes, size, FALSE))
    conn_pause (conn, PAUSE_QUEUE);
  return FALSE;
}

static void drop_first (Connection *conn, gboolean sent)
{
  OutQueue *queue = conn->out;
  OutFrame *frame = queue->first;

  queue->first = frame->next;
  if (queue->first == NULL)
    queue->last = NULL;
  queue->n--;
  gsize left = frame->size - frame->done;
  queue->bytes -= left;
  conn->gateway->pending_bytes -= left;
  tell_frame (conn, frame->command_id, sent);
  g_free (frame);
}

void conn_drop_queue (Connection *conn)
{
  if (conn->out == NULL)
    return;
  while (conn->out->first != NULL)
    drop_first (conn, FALSE);
  g_clear_pointer (&conn->out, g_free);
}

static void account (Connection *conn, gsize n)
{
  OutQueue *queue = conn->out;

  for (OutFrame *frame = queue->first; n > 0 && frame != NULL; frame = queue->first) {
    gsize part = MIN (n, frame->size - frame->done);
    frame->done += part;
    queue->bytes -= part;
    conn->gateway->pending_bytes -= part;
    n -= part;
    if (frame->done == frame->size)
      drop_first (conn, TRUE);
  }
}

/* Below the low mark: reading and commands go on. */
static void relieve (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  OutQueue *queue = conn->out;
  gboolean was_high = queue->high;

  if (!is_low (&gateway->settings, queue))
    return;
  queue->high = FALSE;
  if (queue->n == 0) {
    g_clear_pointer (&conn->out, g_free);
    conn_watch_events (conn);
  }
  conn_resume (conn, PAUSE_QUEUE);
  if (was_high && gateway->hooks.writable != NULL)
    gateway->hooks.writable (gateway->core, conn->handle, conn->core_data);
}

void conn_writable (Connection *conn)
{
  OutQueue *queue = conn->out;
  struct iovec parts[IOV_AT_ONCE];
  int n = 0;

  if (queue == NULL || conn->state == CONN_CLOSING)
    return;
  for (OutFrame *f = queue->first; f != NULL && n < IOV_AT_ONCE; f = f->next) {
    parts[n].iov_base = f->bytes + f->done;
    parts[n++].iov_len = f->size - f->done;
  }
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (gsize) n};
  gssize sent = sendmsg (conn->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
    conn_close (conn, CH_CLOSE_PEER);
  if (sent <= 0)
    return;
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);
  queue->progress_us = conn->last_tx_us = now_us;
  conn->tx_bytes += (guint64) sent;
  conn->protocol->bytes_out += (guint64) sent;
  account (conn, (gsize) sent);
  relieve (conn);
}

/* ---- gathering -------------------------------------------------------------------- */

/* One send for everything that was written while input was handled. */
static void gather_send (Connection *conn, Gather *gather)
{
  gssize n = send_some (conn, gather->bytes, gather->used);
  gsize sent = n > 0 ? (gsize) n : 0, begin = 0;

  for (guint i = 0; i < gather->n && sent < gather->used; i++) {
    gsize end = gather->frames[i].end;
    const char *command_id = gather->frames[i].command_id;
    if (end > sent && conn->state == CONN_OPEN)
      enqueue (conn, gather->bytes + begin, end - begin, sent > begin ? sent - begin : 0,
               command_id);
    else if (end > sent)
      tell_frame (conn, command_id, FALSE);
    begin = end;
  }
  gather->used = 0;
  gather->n = 0;
}

void conn_flush (ChGateway *gateway)
{
  Gather *gather = gateway->gather;
  /* Also while closing: a refusal is written and then closed upon. */
  if (gather->n > 0)
    gather_send (gather->conn, gather);
}

static gboolean gather_add (Connection *conn, const void *bytes, gsize size,
                            const char *command_id)
{
  Gather *gather = conn->gateway->gather;

  memcpy (gather->bytes + gather->used, bytes, size);
  gather->used += size;
  gather->frames[gather->n].end = gather->used;
  g_strlcpy (gather->frames[gather->n].command_id, command_id, CH_COMMAND_ID_SIZE);
  gather->n++;
  return TRUE;
}

/* ---- for protocols ---------------------------------------------------------------- */

static gboolean write_now (Connection *conn, const void *bytes, gsize size,
                           const char *command_id)
{
  gssize sent = send_some (conn, bytes, size);
  if (sent < 0)
    return FALSE;
  if ((gsize) sent < size)
    enqueue (conn, bytes, size, (gsize) sent, command_id);
  return TRUE;
}

static gboolean conn_write (Connection *conn, const void *bytes, gsize size,
                            gboolean is_command)
{
  ChGateway *gateway = conn->gateway;
  const Settings *s = &gateway->settings;
  Gather *gather = gateway->gather;
  const char *command_id
      = is_command && gateway->sending != NULL && gateway->sending_conn == conn->handle
            ? gateway->sending->id
            : "";

  if (gather->conn == conn && conn->out == NULL) {
    if (gather->used + size > GATHER_BYTES || gather->n == GATHER_FRAMES)
      conn_flush (gateway);
    if (conn->state != CONN_OPEN)
      return FALSE;
    if (conn->out == NULL && size <= GATHER_BYTES)
      return gather_add (conn, bytes, size, command_id);
  }
  if (is_full (s, conn->out != NULL ? conn->out->n : 0,
               conn->out != NULL ? conn->out->bytes : 0, size, is_command))
    return refuse (conn, size);
  if (conn->out == NULL)
    return write_now (conn, bytes, size, command_id);
  enqueue (conn, bytes, size, 0, command_id);
  return TRUE;
}

gboolean ch_conn_write (ChPlugin *self, ChConn handle, const void *bytes, gsize size,
                        ChWriteKind kind)
{
  ChGateway *gateway = self->services->gateway;
  g_return_val_if_fail (gateway != NULL && size > 0, FALSE);

  Connection *conn = conn_find (gateway, handle);
  if (conn == NULL || conn->state != CONN_OPEN) {
    gateway->stale++;
    return FALSE;
  }
  if (conn->protocol->plugin != self && !self->is_host) {
    ch_warning (self, "the connection of %s is not of this plugin", conn->remote);
    return FALSE;
  }
  if (!conn_write (conn, bytes, size, kind == CH_WRITE_COMMAND))
    return FALSE;
  if (G_UNLIKELY (conn->recorder != NULL))
    ch_recorder_add (conn->recorder, FALSE, bytes, size,
                     ch_reactor_now_us (gateway->reactor));
  if (G_UNLIKELY (conn->traced))
    conn_trace (conn, FALSE, bytes, size);
  conn->tx_frames++;
  conn->protocol->frames_out++;
  return TRUE;
}
