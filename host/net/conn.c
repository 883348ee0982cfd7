/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections: slots, opening, closing (gateway 2.10), what protocols may ask. */
#include "net/gateway-private.h"
#include <chargehost/slab.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

const char *ch_close_reason_name (ChCloseReason reason)
{
  static const char *const names[CH_CLOSE_N] = {
      [CH_CLOSE_PEER] = "peer",
      [CH_CLOSE_IDLE] = "idle",
      [CH_CLOSE_HEARTBEAT] = "heartbeat",
      [CH_CLOSE_TAKEOVER] = "takeover",
      [CH_CLOSE_KICK] = "kick",
      [CH_CLOSE_BAD_FRAMES] = "bad_frames",
      [CH_CLOSE_FRAMING] = "framing",
      [CH_CLOSE_FLOOD] = "flood",
      [CH_CLOSE_WRITE_TIMEOUT] = "write_timeout",
      [CH_CLOSE_IDENTIFY] = "identify",
      [CH_CLOSE_BIND] = "bind",
      [CH_CLOSE_SHUTDOWN] = "shutdown",
      [CH_CLOSE_ERROR] = "error",
      [CH_CLOSE_REFUSED] = "refused",
  };
  return (guint) reason < CH_CLOSE_N ? names[reason] : "error";
}

/* ---- opening ---------------------------------------------------------------------- */

static Connection *take_slot (ChGateway *gateway)
{
  if (gateway->vacant->len == 0) {
    Connection *chunk = aligned_alloc (64, sizeof (Connection) * CHUNK_SIZE);
    g_assert (chunk != NULL);
    memset (chunk, 0, sizeof (Connection) * CHUNK_SIZE);
    g_ptr_array_add (gateway->chunks, chunk);
    for (guint i = CHUNK_SIZE; i-- > 0;) {
      guint32 slot = gateway->n_slots + i;
      chunk[i].handle = (guint64) 1 << 32 | slot;
      chunk[i].gateway = gateway;
      g_array_append_val (gateway->vacant, slot);
    }
    gateway->n_slots += CHUNK_SIZE;
  }
  guint32 slot = g_array_index (gateway->vacant, guint32, gateway->vacant->len - 1);
  g_array_set_size (gateway->vacant, gateway->vacant->len - 1);
  return conn_at (gateway, slot);
}

static void give_slot (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  guint32 slot = (guint32) conn->handle, generation = (guint32) (conn->handle >> 32);

  ch_slab_strfree (gateway->self, conn->remote);
  memset (conn, 0, sizeof *conn);
  conn->handle = (guint64) MAX (1, generation + 1) << 32 | slot;
  conn->gateway = gateway;
  g_array_append_val (gateway->vacant, slot);
}

Connection *conn_new (ChGateway *gateway, int fd, Listener *listener, const char *remote,
                      GError **error)
{
  Connection *conn = take_slot (gateway);
  gint64 now_us = ch_reactor_now_us (gateway->reactor);

  if (!ch_reactor_add (gateway->reactor, &conn->watch, fd, EPOLLIN, conn_event, error)) {
    close (fd);
    give_slot (conn);
    return NULL;
  }
  conn->state = CONN_IDENTIFYING;
  conn->listener = listener;
  conn->timer.func = conn_timer_due;
  conn->deferred.func = conn_deferred;
  conn->opened_us = conn->last_rx_us = conn->last_tx_us = now_us;
  conn->remote = ch_slab_strdup (gateway->self, remote);
  gateway->active++;
  if (listener != NULL)
    listener->active++;
  conn_timer_update (conn);
  return conn;
}

Trouble *conn_trouble (Connection *conn)
{
  if (conn->trouble == NULL)
    conn->trouble = g_new0 (Trouble, 1);
  return conn->trouble;
}

void conn_alarm (Connection *conn, const char *code, const char *message)
{
  ChGateway *gateway = conn->gateway;
  ch_log (conn->protocol != NULL ? conn->protocol->plugin : gateway->self, CH_LOG_WARNING,
          CH_LOG_FIELDS ("remote", conn->remote), "%s: %s", code, message);
  if (gateway->hooks.alarm != NULL)
    gateway->hooks.alarm (gateway->core, conn->handle, conn->core_data, code, message);
}

void conn_trace (Connection *conn, gboolean incoming, const void *bytes, gsize size)
{
  ChGateway *gateway = conn->gateway;
  if (gateway->hooks.frame != NULL)
    gateway->hooks.frame (gateway->core, conn->handle, incoming, bytes, size);
}

/* ---- closing ---------------------------------------------------------------------- */

void conn_close (Connection *conn, ChCloseReason reason)
{
  ChGateway *gateway = conn->gateway;

  if (conn->state == CONN_FREE || conn->state == CONN_CLOSING)
    return;
  conn->state = CONN_CLOSING;
  conn->reason = (guint8) reason;
  ch_wheel_cancel (gateway->reactor, &conn->timer);
  ch_reactor_remove (gateway->reactor, &conn->watch);
  ch_reactor_defer (gateway->reactor, &conn->deferred);
}

static void tell_closed (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  Protocol *protocol = conn->protocol;
  ChRunnerFrame frame;

  if (protocol == NULL)
    return;
  if (conn->opened && protocol->plugin != NULL && protocol->table->closed != NULL
      && ch_runner_enter (protocol->plugin, "closed", &frame)) {
    protocol->table->closed (protocol->plugin, conn->session, conn->handle,
                             (ChCloseReason) conn->reason);
    ch_runner_leave (&frame);
  }
  conn->session = NULL;
  conn->opened = FALSE;
  if (gateway->hooks.closed != NULL)
    gateway->hooks.closed (gateway->core, conn->handle, conn->core_data,
                           (ChCloseReason) conn->reason);
  protocol->connections--;
}

/* The address without its port. */
static void leave_address (Connection *conn)
{
  if (!conn->counted)
    return;
  char *colon = strrchr (conn->remote, ':');
  if (colon != NULL)
    *colon = '\0';
  ch_address_limits_leave (conn->gateway->addresses, conn->remote);
}

void conn_finish (Connection *conn)
{
  ChGateway *gateway = conn->gateway;

  ch_reactor_undefer (gateway->reactor, &conn->deferred);
  conn_drop_queue (conn);
  tell_closed (conn);

  leave_address (conn);
  if (!conn->succeeded)
    ch_breaker_end_trial (&gateway->breaker, conn->trial);
  gateway->active--;
  if (conn->listener != NULL)
    conn->listener->active--;
  gateway->closed[conn->reason]++;
  ch_debug (gateway->self, "connection of %s closed: %s", conn->remote,
            ch_close_reason_name ((ChCloseReason) conn->reason));

  close (conn->watch.fd);
  conn_set_rest (conn, NULL, 0);
  ch_recorder_close (conn->recorder);
  g_free (conn->trouble);
  give_slot (conn);
}

/* At the end of the turn: finish closing, or go on with bytes that waited in a pause. */
void conn_deferred (ChDeferred *deferred)
{
  Connection *conn
      = (Connection *) ((char *) deferred - G_STRUCT_OFFSET (Connection, deferred));
  if (conn->state == CONN_CLOSING)
    conn_finish (conn);
  else if (conn->state == CONN_OPEN && conn->pauses == 0)
    conn_continue (conn);
}

/* ---- for protocols ---------------------------------------------------------------- */

/* NULL when it is gone (counted) or another plugin's. */
static Connection *own_conn (ChPlugin *self, ChConn handle)
{
  ChGateway *gateway = self->services->gateway;
  Connection *conn = gateway != NULL ? conn_find (gateway, handle) : NULL;

  if (conn == NULL) {
    if (gateway != NULL)
      gateway->stale++;
    return NULL;
  }
  if (!self->is_host && (conn->protocol == NULL || conn->protocol->plugin != self)) {
    ch_warning (self, "the connection of %s is not of this plugin", conn->remote);
    return NULL;
  }
  return conn;
}

void ch_conn_close (ChPlugin *self, ChConn handle, ChCloseReason reason)
{
  Connection *conn = own_conn (self, handle);
  g_return_if_fail ((guint) reason < CH_CLOSE_N);
  if (conn != NULL)
    conn_close (conn, reason);
}

gpointer ch_conn_session (ChPlugin *self, ChConn handle)
{
  Connection *conn = own_conn (self, handle);
  return conn != NULL ? conn->session : NULL;
}

void ch_conn_bad_frame (ChPlugin *self, ChConn handle, const char *error)
{
  Connection *conn = own_conn (self, handle);
  if (conn != NULL && conn->state == CONN_OPEN)
    conn_bad (conn, error, 0);
}
