/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the core does with connections and learns of them. */
#include "net/gateway-private.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>

void ch_gateway_set_hooks (ChGateway *gateway, ChCore *core, const ChGatewayHooks *hooks)
{
  gateway->core = core;
  gateway->hooks = hooks != NULL ? *hooks : (ChGatewayHooks) {0};
}

ChConn ch_gateway_adopt (ChGateway *gateway, int fd, const char *remote, GError **error)
{
  fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK);
  Connection *conn = conn_new (gateway, ch_reactor_move_fd (fd), NULL, remote, error);
  return conn != NULL ? conn->handle : 0;
}

/* ---- looking ---------------------------------------------------------------------- */

static void describe (Connection *conn, ChConnInfo *info)
{
  ChClock *clock = conn->gateway->services->clock;
  if (conn->conn_id[0] == '\0')
    ch_clock_ulid (clock, conn->conn_id);
  *info = (ChConnInfo) {
      .conn = conn->handle,
      .conn_id = conn->conn_id,
      .remote = conn->remote,
      .local = conn->listener != NULL ? conn->listener->address : "",
      .plugin = conn->protocol != NULL ? conn->protocol->plugin : NULL,
      .protocol = conn->protocol != NULL ? conn->protocol->table : NULL,
      .opened_at_ms
      = ch_clock_wall_ms (clock)
        - (ch_reactor_now_us (conn->gateway->reactor) - conn->opened_us) / 1000,
      .last_rx_ms = conn->last_rx_us / 1000,
      .last_tx_ms = conn->last_tx_us / 1000,
      .rx_bytes = conn->rx_bytes,
      .tx_bytes = conn->tx_bytes,
      .rx_frames = conn->rx_frames,
      .tx_frames = conn->tx_frames,
      .bad_frames = conn->trouble != NULL ? conn->trouble->bad_frames : 0,
      .queue_frames = conn->out != NULL ? conn->out->n : 0,
      .queue_bytes = conn->out != NULL ? conn->out->bytes : 0,
      .paused = conn->pauses != 0,
      .bound = conn->bound,
  };
}

gboolean ch_gateway_conn_info (ChGateway *gateway, ChConn handle, ChConnInfo *info)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn == NULL)
    return FALSE;
  describe (conn, info);
  return TRUE;
}

void ch_gateway_foreach (ChGateway *gateway,
                         void (*func) (const ChConnInfo *info, gpointer data),
                         gpointer data)
{
  for (guint32 i = 0; i < gateway->n_slots; i++) {
    Connection *conn = conn_at (gateway, i);
    ChConnInfo info;
    if (conn->state != CONN_IDENTIFYING && conn->state != CONN_OPEN)
      continue;
    describe (conn, &info);
    func (&info, data);
  }
}

gsize ch_gateway_pending_bytes (ChGateway *gateway)
{
  return gateway->pending_bytes;
}

void ch_gateway_stats (ChGateway *gateway, ChGatewayStats *stats)
{
  *stats = (ChGatewayStats) {
      .active = gateway->active,
      .max = gateway->max,
      .accepted = gateway->accepted,
      .breaker = (gint) gateway->breaker.state,
      .breaker_failures = gateway->breaker.failures,
      .listening = gateway->listening,
  };
  /* A pause for rate or overload refuses nobody: they wait in the kernel. */
  for (guint i = 0; i < REJECT_N; i++)
    if (i != REJECT_RATE && i != REJECT_OVERLOAD)
      stats->rejected += gateway->rejected[i];
}

/* ---- the core's side -------------------------------------------------------------- */

void ch_gateway_set_core_data (ChGateway *gateway, ChConn handle, gpointer data)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn != NULL)
    conn->core_data = data;
}

gpointer ch_gateway_core_data (ChGateway *gateway, ChConn handle)
{
  Connection *conn = conn_find (gateway, handle);
  return conn != NULL ? conn->core_data : NULL;
}

void ch_gateway_set_bound (ChGateway *gateway, ChConn handle, gboolean bound)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn == NULL || conn->state != CONN_OPEN || conn->bound == (bound ? 1 : 0))
    return;
  conn->bound = bound ? 1 : 0;
  if (!bound) {
    conn->bind_from_us = ch_reactor_now_us (gateway->reactor);
    conn_timer_update (conn);
  } else if (!conn->succeeded) {
    conn->succeeded = TRUE;
    ch_breaker_success (&gateway->breaker);
  }
}

void ch_gateway_pause (ChGateway *gateway, ChConn handle)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn != NULL && conn->core_pauses++ == 0)
    conn_pause (conn, PAUSE_CORE);
}

void ch_gateway_resume (ChGateway *gateway, ChConn handle)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn != NULL && conn->core_pauses > 0 && --conn->core_pauses == 0)
    conn_resume (conn, PAUSE_CORE);
}

/* Each connection pauses when it next has something; ten thousand at once would cost. */
void ch_gateway_pause_all (ChGateway *gateway, gboolean paused)
{
  if (gateway->paused_all == paused)
    return;
  gateway->paused_all = paused;
  for (guint32 i = 0; !paused && i < gateway->n_slots; i++)
    conn_resume (conn_at (gateway, i), PAUSE_ALL);
}

gboolean ch_gateway_can_write (ChGateway *gateway, ChConn handle)
{
  Connection *conn = conn_find (gateway, handle);
  return conn != NULL && conn->state == CONN_OPEN
         && (conn->out == NULL || !conn->out->high);
}

ChCommandState ch_gateway_send (ChGateway *gateway, ChConn handle,
                                const ChCommand *command)
{
  Connection *conn = conn_find (gateway, handle);
  ChRunnerFrame frame;

  if (conn == NULL || conn->state != CONN_OPEN
      || !ch_runner_enter (conn->protocol->plugin, "command", &frame))
    return CH_COMMAND_NOT_SENT;
  Protocol *protocol = conn->protocol;
  const ChCommand *outer = gateway->sending;
  ChConn outer_conn = gateway->sending_conn;
  gint64 begun_us = g_get_monotonic_time ();

  gateway->sending = command;
  gateway->sending_conn = handle;
  ChCommandState state
      = protocol->table->command (protocol->plugin, conn->session, handle, command);
  gateway->sending = outer;
  gateway->sending_conn = outer_conn;
  ch_runner_leave (&frame);
  net_metrics_handled (protocol, TRUE, g_get_monotonic_time () - begun_us);
  return state;
}

void ch_gateway_set_traced (ChGateway *gateway, ChConn handle, gboolean traced)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn != NULL)
    conn->traced = traced != FALSE;
}

void ch_gateway_outcome (ChGateway *gateway, gboolean success)
{
  if (success)
    ch_breaker_success (&gateway->breaker);
  else
    ch_breaker_failure (&gateway->breaker,
                        ch_clock_monotonic_us (gateway->services->clock));
}

void ch_gateway_reset_breaker (ChGateway *gateway)
{
  ch_breaker_reset (&gateway->breaker);
}

gboolean ch_gateway_record (ChGateway *gateway, ChConn handle, const char *path,
                            GError **error)
{
  Connection *conn = conn_find (gateway, handle);
  if (conn == NULL) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "the connection is gone");
    return FALSE;
  }
  g_clear_pointer (&conn->recorder, ch_recorder_close);
  if (path == NULL)
    return TRUE;
  g_autofree char *note = g_strdup_printf (
      "%s %s", conn->remote, conn->protocol != NULL ? conn->protocol->table->name : "-");
  conn->recorder
      = ch_recorder_open (path, note, ch_reactor_now_us (gateway->reactor), error);
  return conn->recorder != NULL;
}

/* ---- getting rid of connections --------------------------------------------------- */

guint ch_gateway_evict (ChGateway *gateway, guint max, ChCloseReason reason)
{
  guint left = 0;
  for (guint32 i = 0; i < gateway->n_slots; i++) {
    Connection *conn = conn_at (gateway, i);
    if (conn->state != CONN_IDENTIFYING && conn->state != CONN_OPEN)
      continue;
    if (max > 0) {
      max--;
      conn_close (conn, reason);
    } else {
      left++;
    }
  }
  return left;
}

typedef struct {
  guint32 bytes;
  guint32 slot;
} Noise;

static gint by_noise (gconstpointer a, gconstpointer b)
{
  guint32 x = ((const Noise *) a)->bytes, y = ((const Noise *) b)->bytes;
  return x < y ? 1 : x > y ? -1 : 0;
}

guint ch_gateway_shed (ChGateway *gateway, double share)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (Noise));

  for (guint32 i = 0; i < gateway->n_slots; i++) {
    Connection *conn = conn_at (gateway, i);
    if (conn->state != CONN_IDENTIFYING && conn->state != CONN_OPEN)
      continue;
    Noise noise = {(guint32) conn->rx_bytes - conn->shed_bytes, i};
    conn->shed_bytes = (guint32) conn->rx_bytes;
    g_array_append_val (all, noise);
  }
  g_array_sort (all, by_noise);
  guint n = (guint) ceil (CLAMP (share, 0, 1) * all->len), closed = 0;
  for (guint i = 0; i < n && g_array_index (all, Noise, i).bytes > 0; i++) {
    conn_close (conn_at (gateway, g_array_index (all, Noise, i).slot), CH_CLOSE_SHUTDOWN);
    closed++;
  }
  return closed;
}
