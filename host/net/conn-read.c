/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and frames. Everything is read into one buffer of the gateway, behind what the
 * connection had left over; all whole frames are handled, what they answer goes out in
 * one send, and only a rest is kept with the connection.
 */
#include "net/gateway-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Of so many frames the duration of one is measured: the clock costs as much as a frame.
 */
#define MEASURE_EVERY 64

void conn_set_rest (Connection *conn, const guint8 *bytes, gsize size)
{
  Pool *pool = &conn->gateway->pool;

  if (conn->rest != NULL && (size == 0 || size > conn->rest_room)) {
    pool_give (pool, conn->rest, conn->rest_room);
    conn->rest = NULL;
  }
  if (size > 0 && conn->rest == NULL)
    conn->rest = pool_take (pool, size, &conn->rest_room);
  if (size > 0)
    memcpy (conn->rest, bytes, size);
  conn->rest_size = (guint32) size;
}

/* ---- frames ----------------------------------------------------------------------- */

static void handle_frame (Connection *conn, const guint8 *bytes, gsize size)
{
  Protocol *protocol = conn->protocol;
  const ChProtocol *table = protocol->table;

  conn->rx_frames++;
  conn->garbage = 0;
  conn->skipping = FALSE;
  if (G_UNLIKELY (conn->traced))
    conn_trace (conn, TRUE, bytes, size);
  if (G_UNLIKELY (protocol->frames_in++ % MEASURE_EVERY == 0)) {
    gint64 begun_us = g_get_monotonic_time ();
    table->input (protocol->plugin, conn->session, conn->handle, bytes, size);
    net_metrics_handled (protocol, FALSE, g_get_monotonic_time () - begun_us);
  } else {
    table->input (protocol->plugin, conn->session, conn->handle, bytes, size);
  }
  /* Closing itself with `error` is how a handler says that it failed on this frame. */
  if (G_UNLIKELY (conn->state == CONN_CLOSING && conn->reason == CH_CLOSE_ERROR))
    conn_fault (conn, "handler", bytes, size);
}

/* FALSE when the frame must wait for its turn (TCP-25). */
static gboolean pace_frame (Connection *conn)
{
  ChPace pace = conn->protocol->frames;
  if (pace.interval_ns == 0)
    return TRUE;
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);
  gint64 wait_us = ch_pace_wait_us (pace, conn->frame_pace, 1, now_us);
  if (G_UNLIKELY (wait_us > 0)) {
    conn_pause_until (conn, wait_us);
    return FALSE;
  }
  ch_pace_take (pace, &conn->frame_pace, 1, now_us);
  return TRUE;
}

/* One step of the decoder. Returns: bytes that are done with, 0 to wait */
static gsize step (Connection *conn, const guint8 *p, gsize n)
{
  Protocol *protocol = conn->protocol;
  const char *error = NULL;
  gssize length = protocol->table->frame (p, n, protocol->max_frame, &error);

  if (G_LIKELY (length > 0)) {
    gsize size = (gsize) length;
    if (G_UNLIKELY (size > n)) {
      conn_fault (conn, "frame", p, n);
      return 0;
    }
    if (G_UNLIKELY (size > protocol->max_frame)) {
      conn_bad (conn, "oversize", size);
      return size;
    }
    if (!pace_frame (conn))
      return 0;
    handle_frame (conn, p, size);
    return size;
  }
  if (length == 0) {
    if (n < protocol->max_frame)
      return 0;
    /* It waits for more than it may: lose a byte and search anew. */
    conn_overflow (conn);
    return conn->state == CONN_OPEN ? 1 : 0;
  }
  gsize skip = length < -(gssize) n ? n : (gsize) -length;
  conn_bad (conn, error != NULL ? error : "garbage", skip);
  return skip;
}

/* Handles what is whole; keeps the rest. One runner frame stands around all of it. */
static void handle_bytes (Connection *conn, const guint8 *bytes, gsize size)
{
  ChGateway *gateway = conn->gateway;
  Gather *gather = gateway->gather;
  ChRunnerFrame frame;
  gsize done = 0;

  if (!ch_runner_enter_at (conn->protocol->plugin, "input", &frame,
                           ch_runner_now_us ())) {
    conn_close (conn, CH_CLOSE_SHUTDOWN);
    return;
  }
  gather->conn = conn;
  while (done < size && conn->state == CONN_OPEN && conn->pauses == 0) {
    gsize n = step (conn, bytes + done, size - done);
    if (n == 0)
      break;
    done += n;
  }
  ch_runner_leave_at (&frame);
  conn_flush (gateway);
  gather->conn = NULL;
  if (conn->state != CONN_OPEN)
    return;
  if (done < size || conn->rest != NULL)
    conn_set_rest (conn, bytes + done, size - done);
  if (done < size && conn->pauses == 0) {
    if (done > 0 || conn->frame_from_us == 0)
      conn->frame_from_us = ch_reactor_now_us (gateway->reactor);
    conn_timer_update (conn);
  }
}

void conn_continue (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  gsize size = conn->rest_size;

  if (size > 0) {
    memcpy (gateway->rx, conn->rest, size);
    handle_bytes (conn, gateway->rx, size);
  }
  conn_watch_events (conn);
}

void conn_skip_stuck (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  gsize size = conn->rest_size;

  memcpy (gateway->rx, conn->rest, size);
  conn_bad (conn, "frame_timeout", 1);
  if (conn->state != CONN_OPEN)
    return;
  conn->frame_from_us = ch_reactor_now_us (gateway->reactor);
  conn_set_rest (conn, NULL, 0);
  if (size > 1)
    handle_bytes (conn, gateway->rx + 1, size - 1);
  conn_watch_events (conn);
}

/* ---- the socket ------------------------------------------------------------------- */

static void received (Connection *conn, gsize had, gsize got)
{
  ChGateway *gateway = conn->gateway;
  gint64 now_us = ch_reactor_now_us (gateway->reactor);

  conn->last_rx_us = conn->frame_from_us = now_us;
  conn->rx_bytes += got;
  gateway->rx_bytes += got;
  if (G_UNLIKELY (conn->recorder != NULL))
    ch_recorder_add (conn->recorder, TRUE, gateway->rx + had, got, now_us);
  if (G_UNLIKELY (conn->state == CONN_IDENTIFYING)
      && !conn_identify (conn, gateway->rx, had + got))
    return;

  ChPace pace = gateway->settings.bytes;
  if (pace.interval_ns > 0)
    ch_pace_take (pace, &conn->byte_pace, (gint64) got, now_us);
  handle_bytes (conn, gateway->rx, had + got);
  if (pace.interval_ns > 0 && conn->state == CONN_OPEN) {
    gint64 wait_us = ch_pace_wait_us (pace, conn->byte_pace, 0, now_us);
    if (G_UNLIKELY (wait_us > 0) && (conn->pauses & PAUSE_PACE) == 0)
      conn_pause_until (conn, wait_us);
  }
}

static void conn_readable (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  gsize had = conn->rest_size;

  if (G_UNLIKELY (gateway->paused_all)) {
    conn_pause (conn, PAUSE_ALL);
    return;
  }
  if (had > 0)
    memcpy (gateway->rx, conn->rest, had);
  gssize got = recv (conn->watch.fd, gateway->rx + had, READ_SIZE, MSG_DONTWAIT);
  if (G_LIKELY (got > 0)) {
    received (conn, had, (gsize) got);
  } else if (got == 0) {
    conn_close (conn, CH_CLOSE_PEER);
  } else if (errno != EAGAIN && errno != EINTR) {
    gboolean peer = errno == ECONNRESET || errno == ETIMEDOUT || errno == EPIPE
                    || errno == EHOSTUNREACH || errno == ENETUNREACH;
    conn_close (conn, peer ? CH_CLOSE_PEER : CH_CLOSE_ERROR);
  }
}

void conn_event (ChWatch *watch, guint32 events)
{
  Connection *conn = (Connection *) watch;

  if (events & EPOLLOUT)
    conn_writable (conn);
  if (conn->state == CONN_CLOSING)
    return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && conn->pauses != 0) {
    /* What was sent before hanging up still counts: read it after the pause. */
    ch_reactor_remove (conn->gateway->reactor, watch);
    conn->parked = TRUE;
  } else if (conn->pauses == 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
    conn_readable (conn);
  }
}
