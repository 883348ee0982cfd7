/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main loop's side: all sockets are in one epoll set, which is one source, however
 * many connections there are. Before the main loop sleeps, what was submitted in this
 * turn is sent, so that it shares round trips.
 */
#include "pgsql.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUSY_MS 20
#define QUIET_MS 1000

typedef struct {
  GSource source;
  Pg *pg;
  gpointer tag;
} PgSource;

/* A place of a descriptor that was closed in this turn is not looked at any more. */
static guint64 token_of (const PgConn *conn)
{
  return ((guint64) conn->generation << 32) | (guint32) conn->fd;
}

void pg_loop_watch (PgConn *conn, guint32 events)
{
  Pg *pg = conn->pg;
  int fd = PQsocket (conn->pq);

  if (conn->fd == fd && conn->events == events)
    return;
  gboolean added = conn->fd == fd;
  if (!added)
    pg_loop_unwatch (conn);
  conn->fd = fd;
  conn->events = events;
  struct epoll_event event = {.events = events, .data.u64 = token_of (conn)};
  if (fd >= 0)
    epoll_ctl (pg->epoll, added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

/* libpq may have closed it already, then the set has forgotten it. */
void pg_loop_unwatch (PgConn *conn)
{
  if (conn->fd >= 0)
    epoll_ctl (conn->pg->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
  conn->fd = -1;
  conn->generation++;
}

static PgConn *conn_of (Pg *pg, guint64 token)
{
  for (guint i = 0; i < pg->conns->len; i++) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->fd >= 0 && token_of (conn) == token)
      return conn;
  }
  return NULL;
}

static void sweep (Pg *pg)
{
  for (guint i = pg->conns->len; i-- > 0;) {
    PgConn *conn = g_ptr_array_index (pg->conns, i);
    if (conn->state == PG_BROKEN && conn != pg->admin) {
      g_ptr_array_remove_index (pg->conns, i);
      pg_conn_free (conn);
    }
  }
}

static void handle_events (Pg *pg, int wait_ms)
{
  struct epoll_event events[32];
  int n = epoll_wait (pg->epoll, events, G_N_ELEMENTS (events), wait_ms);
  gboolean connected = FALSE;

  for (int i = 0; i < n; i++) {
    PgConn *conn = conn_of (pg, events[i].data.u64);
    gboolean connects = conn != NULL && conn->state == PG_CONNECTING;
    /* Such a step may be a handshake or the hashing of a password, milliseconds of the
       processor: one a turn, the others' events come again. */
    if (conn == NULL || (connects && connected))
      continue;
    connected |= connects;
    pg_conn_event (conn, events[i].events);
  }
  sweep (pg);
}

void pg_loop_kick (Pg *pg)
{
  pg->kicked = TRUE;
}

static void run_kicked (Pg *pg)
{
  if (!pg->kicked)
    return;
  pg->kicked = FALSE;
  pg_dispatch (pg);
  sweep (pg);
}

/* ---- the clock --------------------------------------------------------------------- */

static void tick (ChPlugin *self, gpointer data);

static void arm (Pg *pg)
{
  gint64 ms = pg->outstanding > 0 ? BUSY_MS : QUIET_MS;

  if (pg->timer != 0 && pg->timer_ms <= ms)
    return;
  ch_timer_cancel (pg->self, &pg->timer);
  pg->timer_ms = ms;
  pg->timer = ch_timer_add (pg->self, (guint64) ms, tick, pg);
}

static void look_at_clock (Pg *pg)
{
  gint64 now_us = g_get_monotonic_time ();

  pg_check_deadlines (pg, now_us);
  pg_pool_maintain (pg, now_us);
  sweep (pg);
}

static void tick (ChPlugin *self, gpointer data)
{
  Pg *pg = data;

  pg->timer = 0;
  look_at_clock (pg);
  arm (pg);
}

void pg_loop_pump (Pg *pg, gint64 wait_ms)
{
  run_kicked (pg);
  handle_events (pg, (int) MIN (wait_ms, BUSY_MS));
  look_at_clock (pg);
  run_kicked (pg);
}

/* ---- the source -------------------------------------------------------------------- */

static gboolean prepare (GSource *source, gint *timeout)
{
  Pg *pg = ((PgSource *) source)->pg;

  *timeout = -1;
  if (pg->outstanding > 0)
    arm (pg);
  return pg->kicked;
}

static gboolean check (GSource *source)
{
  PgSource *s = (PgSource *) source;
  return s->pg->kicked || g_source_query_unix_fd (source, s->tag) != 0;
}

static gboolean dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  Pg *pg = ((PgSource *) source)->pg;

  handle_events (pg, 0);
  run_kicked (pg);
  return G_SOURCE_CONTINUE;
}

static const GSourceFuncs source_funcs
    = {.prepare = prepare, .check = check, .dispatch = dispatch};

gboolean pg_loop_open (Pg *pg, GError **error)
{
  pg->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (pg->epoll < 0) {
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_FAILED, "epoll: %s",
                 g_strerror (errno));
    return FALSE;
  }
  /* lint: one source for the whole pool; a plugin has no other door to the reactor */
  pg->source = g_source_new ((GSourceFuncs *) &source_funcs, sizeof (PgSource));
  PgSource *source = (PgSource *) pg->source;
  source->pg = pg;
  source->tag = g_source_add_unix_fd (pg->source, pg->epoll, G_IO_IN);
  g_source_set_name (pg->source, "store-pgsql");
  /* lint: see above */
  g_source_attach (pg->source, NULL);
  arm (pg);
  return TRUE;
}

void pg_loop_close (Pg *pg)
{
  if (pg->source == NULL)
    return;
  ch_timer_cancel (pg->self, &pg->timer);
  g_source_destroy (pg->source);
  g_clear_pointer (&pg->source, g_source_unref);
  close (pg->epoll);
  pg->epoll = -1;
}
