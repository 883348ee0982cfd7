/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pausing of reading: back-pressure by TCP (gateway 2.8). */
#include "net/gateway-private.h"

#include <sys/epoll.h>

#define MINUTE_US (60 * G_USEC_PER_SEC)
#define FLOOD_MS (60 * 1000)

/* What the connection waits for now. */
void conn_watch_events (Connection *conn)
{
  ChReactor *reactor = conn->gateway->reactor;
  guint32 events = 0;

  if (conn->state == CONN_CLOSING)
    return;
  if (conn->pauses == 0)
    events |= EPOLLIN;
  if (conn->out != NULL)
    events |= EPOLLOUT;
  if (conn->parked) {
    if (events == 0)
      return;
    conn->parked = FALSE;
    if (!ch_reactor_add (reactor, &conn->watch, conn->watch.fd, events, conn_event, NULL))
      conn_close (conn, CH_CLOSE_ERROR);
    return;
  }
  ch_reactor_modify (reactor, &conn->watch, events);
}

void conn_pause (Connection *conn, guint8 why)
{
  if (conn->state == CONN_CLOSING || (conn->pauses & why) != 0)
    return;
  gboolean was_reading = conn->pauses == 0;
  conn->pauses |= why;
  if (was_reading) {
    if (conn->protocol != NULL)
      conn->protocol->read_paused++;
    conn_watch_events (conn);
  }
}

/* Paused for its rate for more than a minute within five: a flood (TCP-25). */
static void account_pause (Connection *conn, gint64 now_us)
{
  Trouble *trouble = conn_trouble (conn);
  const ChProtocolProperties *properties = &conn->protocol->properties;
  gint64 minute = now_us / MINUTE_US;
  guint64 total_ms = 0;

  for (gint64 m = MAX (trouble->minute + 1, minute - PAUSE_MINUTES + 1); m <= minute; m++)
    trouble->paused_ms[m % PAUSE_MINUTES] = 0;
  trouble->minute = minute;
  trouble->paused_ms[minute % PAUSE_MINUTES]
      += (guint32) ((now_us - trouble->paused_us) / 1000);
  for (guint i = 0; i < PAUSE_MINUTES; i++)
    total_ms += trouble->paused_ms[i];
  if (total_ms <= FLOOD_MS)
    return;

  gboolean may_close
      = properties->flood_close_after_s >= 0
        && now_us - conn->opened_us
               >= (gint64) properties->flood_close_after_s * G_USEC_PER_SEC;
  if (trouble->flood_us == 0 || now_us - trouble->flood_us > PAUSE_MINUTES * MINUTE_US) {
    trouble->flood_us = now_us;
    conn_alarm (conn, "flood", "it sends more than it may for minutes on end");
  }
  if (may_close)
    conn_close (conn, CH_CLOSE_FLOOD);
}

void conn_pause_until (Connection *conn, gint64 wait_us)
{
  Trouble *trouble = conn_trouble (conn);
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);
  if ((conn->pauses & PAUSE_PACE) == 0)
    trouble->paused_us = now_us;
  conn_pause (conn, PAUSE_PACE);
  trouble->resume_us = now_us + wait_us;
  conn_timer_update (conn);
}

void conn_resume (Connection *conn, guint8 why)
{
  if (conn->state == CONN_CLOSING || (conn->pauses & why) == 0)
    return;
  gint64 now_us = ch_reactor_now_us (conn->gateway->reactor);
  conn->pauses &= (guint8) ~why;
  if (why == PAUSE_PACE && conn->protocol != NULL)
    account_pause (conn, now_us);
  if (conn->pauses != 0 || conn->state == CONN_CLOSING)
    return;
  conn_trouble (conn)->resumed_us = now_us;
  /* First what has been read already, outside of whoever calls. */
  if (conn->rest_size > 0 && conn->state == CONN_OPEN)
    ch_reactor_defer (conn->gateway->reactor, &conn->deferred);
  else
    conn_watch_events (conn);
  conn_timer_update (conn);
}
