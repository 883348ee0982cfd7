/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time-outs of a connection. One timer serves all: it is armed for the earliest and
 * looks, when it fires, whether that moment has moved since. So a frame costs no access
 * to the wheel, only a time written down.
 */
#include "net/gateway-private.h"

#define NEVER G_MAXINT64

static gint64 resumed_us (const Connection *conn)
{
  return conn->trouble != NULL ? conn->trouble->resumed_us : 0;
}

static gint64 identify_at (const Connection *conn)
{
  if (conn->state != CONN_IDENTIFYING || conn->pauses != 0)
    return NEVER;
  return MAX (conn->opened_us, resumed_us (conn)) + conn->gateway->settings.identify_us;
}

/* Whoever is not read cannot be blamed for silence. */
static gint64 idle_at (const Connection *conn)
{
  if (conn->state != CONN_OPEN || conn->pauses != 0 || conn->protocol->idle_us == 0)
    return NEVER;
  return MAX (conn->last_rx_us, resumed_us (conn)) + conn->protocol->idle_us;
}

static gint64 bind_at (const Connection *conn)
{
  if (conn->state != CONN_OPEN || conn->bound || conn->protocol->bind_us == 0)
    return NEVER;
  return conn->bind_from_us + conn->protocol->bind_us;
}

static gint64 frame_at (const Connection *conn)
{
  if (conn->state != CONN_OPEN || conn->pauses != 0 || conn->rest_size == 0)
    return NEVER;
  return MAX (conn->frame_from_us, resumed_us (conn)) + conn->gateway->settings.frame_us;
}

static gint64 write_at (const Connection *conn)
{
  return conn->out != NULL ? conn->out->progress_us + conn->gateway->settings.write_us
                           : NEVER;
}

static gint64 resume_at (const Connection *conn)
{
  return conn->pauses & PAUSE_PACE ? conn->trouble->resume_us : NEVER;
}

void conn_timer_update (Connection *conn)
{
  ChGateway *gateway = conn->gateway;
  gint64 at_us = MIN (MIN (identify_at (conn), idle_at (conn)),
                      MIN (bind_at (conn), frame_at (conn)));
  at_us = MIN (at_us, MIN (write_at (conn), resume_at (conn)));

  if (at_us == NEVER || (conn->armed_us != 0 && conn->armed_us <= at_us))
    return;
  gint64 left_us = at_us - ch_clock_monotonic_us (gateway->services->clock);
  ch_wheel_arm (gateway->reactor, &conn->timer, (guint64) MAX (0, left_us + 999) / 1000);
  conn->armed_us = at_us;
}

void conn_timer_due (ChWheelTimer *timer)
{
  Connection *conn
      = (Connection *) ((char *) timer - G_STRUCT_OFFSET (Connection, timer));
  gint64 now_us = ch_clock_monotonic_us (conn->gateway->services->clock);

  conn->armed_us = 0;
  if (identify_at (conn) <= now_us)
    conn_unidentified (conn, UNIDENTIFIED_TIMEOUT);
  else if (write_at (conn) <= now_us)
    conn_close (conn, CH_CLOSE_WRITE_TIMEOUT);
  else if (bind_at (conn) <= now_us)
    conn_close (conn, CH_CLOSE_BIND);
  else if (idle_at (conn) <= now_us)
    conn_close (conn, CH_CLOSE_IDLE);
  else if (frame_at (conn) <= now_us)
    conn_skip_stuck (conn);
  else if (resume_at (conn) <= now_us)
    conn_resume (conn, PAUSE_PACE);
  if (conn->state != CONN_CLOSING)
    conn_timer_update (conn);
}
