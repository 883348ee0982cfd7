/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listeners and admission (gateway 2.1 to 2.5). */
#include "net/gateway-private.h"

#include "base/config-private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A power cut brings thousands at once; the rest of the loop must have its turn. */
#define ACCEPTS_PER_TURN 64
#define FD_PAUSE_MS 1000
#define OVERLOAD_PAUSE_MS 100

static void set_option (int fd, int level, int name, int value)
{
  setsockopt (fd, level, name, &value, sizeof value);
}

/* Accepted sockets inherit all of these from the listening one. */
static void set_options (const Settings *s, int fd)
{
  set_option (fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option (fd, SOL_SOCKET, SO_REUSEPORT, s->reuse_port ? 1 : 0);
  set_option (fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option (fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (fd, IPPROTO_TCP, TCP_KEEPIDLE, s->keepalive_idle_s);
  set_option (fd, IPPROTO_TCP, TCP_KEEPINTVL, s->keepalive_interval_s);
  set_option (fd, IPPROTO_TCP, TCP_KEEPCNT, s->keepalive_count);
  set_option (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, s->user_timeout_ms);
}

/* ---- pausing ---------------------------------------------------------------------- */

static void listener_pause (Listener *listener, guint64 ms)
{
  listener->paused = TRUE;
  ch_reactor_modify (listener->gateway->reactor, &listener->watch, 0);
  ch_wheel_arm (listener->gateway->reactor, &listener->timer, ms);
}

static void pause_over (ChWheelTimer *timer)
{
  Listener *listener = (Listener *) ((char *) timer - G_STRUCT_OFFSET (Listener, timer));
  listener->paused = FALSE;
  ch_reactor_modify (listener->gateway->reactor, &listener->watch, EPOLLIN);
}

/* Level 2 divides the rate by four: each connection costs four tokens (2.13). */
static double accept_cost (ChGateway *gateway)
{
  return gateway->services->overload >= 2 ? MIN (4, gateway->settings.burst) : 1;
}

/* Whether another connection may be taken from the kernel (2.3). */
static gboolean may_accept (ChGateway *gateway, gint64 now_us)
{
  if (gateway->services->overload >= 3)
    return FALSE;
  return !gateway->settings.limiting
         || ch_bucket_wait_us (&gateway->accepts, accept_cost (gateway), now_us) == 0;
}

/* Somebody waits and must go on waiting. */
static void put_off (Listener *listener, gint64 now_us)
{
  ChGateway *gateway = listener->gateway;

  if (gateway->services->overload >= 3) {
    gateway->rejected[REJECT_OVERLOAD]++;
    listener_pause (listener, OVERLOAD_PAUSE_MS);
    return;
  }
  gateway->rejected[REJECT_RATE]++;
  gint64 wait_us = ch_bucket_wait_us (&gateway->accepts, accept_cost (gateway), now_us);
  listener_pause (listener, (guint64) (wait_us + 999) / 1000);
}

/* ---- admission -------------------------------------------------------------------- */

static gboolean is_allowed (ChGateway *gateway, const struct sockaddr_storage *address)
{
  guint8 bytes[16];

  if (gateway->allowed->len == 0 || address->ss_family == AF_UNIX)
    return TRUE;
  address_bytes (address, bytes);
  for (guint i = 0; i < gateway->allowed->len; i++)
    if (network_has (&g_array_index (gateway->allowed, Network, i), bytes))
      return TRUE;
  return FALSE;
}

/* The checks after accept, in the order of 2.2; REJECT_N = welcome. */
static RejectReason admit (Listener *listener, const struct sockaddr_storage *address,
                           const char *host, gint64 now_us, guint *trial)
{
  ChGateway *gateway = listener->gateway;

  if (gateway->services->draining)
    return REJECT_DRAINING;
  if (!is_allowed (gateway, address)
      || (gateway->hooks.banned != NULL && gateway->hooks.banned (gateway->core, host)))
    return REJECT_BANNED;
  switch (ch_address_limits_enter (gateway->addresses, host, now_us)) {
  case CH_ADDRESS_RATE:
    return REJECT_ADDRESS_RATE;
  case CH_ADDRESS_CONNS:
    return REJECT_ADDRESS_CONNS;
  case CH_ADDRESS_OK:
    break;
  }
  RejectReason reason = REJECT_N;
  if (gateway->active >= gateway->max)
    reason = REJECT_MAX_CONNECTIONS;
  else if (gateway->settings.limiting
           && !ch_breaker_admit (&gateway->breaker, now_us, trial))
    reason = REJECT_BREAKER;
  if (reason != REJECT_N)
    ch_address_limits_leave (gateway->addresses, host);
  return reason;
}

static void welcome (Listener *listener, int fd, const struct sockaddr_storage *address)
{
  ChGateway *gateway = listener->gateway;
  g_autoptr (GError) error = NULL;
  char remote[CH_ADDRESS_SIZE], host[CH_ADDRESS_SIZE];
  guint trial = 0;

  gsize n = address_text (address, remote);
  memcpy (host, remote, n);
  host[n] = '\0';
  RejectReason reason
      = admit (listener, address, host, ch_reactor_now_us (gateway->reactor), &trial);
  if (reason != REJECT_N) {
    gateway->rejected[reason]++;
    close (fd);
    return;
  }
  Connection *conn
      = conn_new (gateway, ch_reactor_move_fd (fd), listener, remote, &error);
  if (conn == NULL) {
    ch_warning (gateway->self, "cannot keep a connection of %s: %s", remote,
                error->message);
    ch_address_limits_leave (gateway->addresses, host);
    ch_breaker_end_trial (&gateway->breaker, trial);
    return;
  }
  conn->trial = trial;
  conn->counted = gateway->settings.per_ip_rate > 0 || gateway->settings.per_ip_max > 0;
  gateway->accepted++;
}

/* ---- accepting -------------------------------------------------------------------- */

/* Gives up the reserve to close one that would wait for ever, then waits a second. */
static void out_of_descriptors (Listener *listener)
{
  ChGateway *gateway = listener->gateway;

  if (gateway->reserve_fd >= 0) {
    close (gateway->reserve_fd);
    int fd = accept4 (listener->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
      close (fd);
    gateway->reserve_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  gateway->rejected[REJECT_FD_LIMIT]++;
  ch_error (gateway->self, "out of descriptors with %u connections: accepting pauses",
            gateway->active);
  listener_pause (listener, FD_PAUSE_MS);
}

static void listener_ready (ChWatch *watch, guint32 events)
{
  Listener *listener = (Listener *) watch;
  gint64 now_us = ch_reactor_now_us (listener->gateway->reactor);

  for (guint i = 0; i < ACCEPTS_PER_TURN; i++) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (!may_accept (listener->gateway, now_us)) {
      if (i == 0) /* else it is not known whether there is another */
        put_off (listener, now_us);
      return;
    }
    int fd = accept4 (watch->fd, (struct sockaddr *) &address, &size,
                      SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      ch_bucket_take (&listener->gateway->accepts, accept_cost (listener->gateway),
                      now_us);
      welcome (listener, fd, &address);
      continue;
    }
    if (errno == EAGAIN)
      return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      out_of_descriptors (listener);
      return;
    }
    /* Anything else is the end of one connection that waited (ECONNABORTED, …). */
  }
}

/* ---- opening ---------------------------------------------------------------------- */

static int try_bind (const Settings *s, const struct sockaddr_storage *address,
                     socklen_t size, gboolean dual)
{
  int fd = socket (address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (address->ss_family == AF_INET6)
    set_option (fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1);
  set_options (s, fd);
  if (bind (fd, (const struct sockaddr *) address, size) < 0
      || listen (fd, s->backlog) < 0) {
    int saved = errno;
    close (fd);
    errno = saved;
    return -1;
  }
  return fd;
}

/* All addresses: both families on one socket, or IPv4 where there is no IPv6. */
static int bind_any (const Settings *s, struct sockaddr_storage *address, socklen_t size)
{
  int fd = try_bind (s, address, size, TRUE);
  if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
    return fd;
  in_port_t port = ((struct sockaddr_in6 *) address)->sin6_port;
  struct sockaddr_in *v4 = (struct sockaddr_in *) address;
  memset (address, 0, sizeof *address);
  v4->sin_family = AF_INET;
  v4->sin_port = port;
  return try_bind (s, address, sizeof *v4, FALSE);
}

static gboolean listener_open (ChGateway *gateway, const char *text, GError **error)
{
  g_auto (GStrv) words = g_strsplit_set (text, " \t", -1);
  struct sockaddr_storage address;
  socklen_t size;
  gboolean any;

  if (!address_parse (words[0] != NULL ? words[0] : "", &address, &size, &any, error))
    return FALSE;
  int fd = any && address.ss_family == AF_INET6
               ? bind_any (&gateway->settings, &address, size)
               : try_bind (&gateway->settings, &address, size, FALSE);
  if (fd < 0) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno),
                 "cannot listen on %s: %s", words[0], g_strerror (errno));
    return FALSE;
  }

  Listener *listener = g_new0 (Listener, 1);
  listener->gateway = gateway;
  listener->timer.func = pause_over;
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 1; words[i] != NULL; i++)
    if (*words[i] != '\0')
      g_ptr_array_add (names, g_strdup (words[i]));
  if (names->len > 0) {
    g_ptr_array_add (names, NULL);
    listener->protocols = (char **) g_ptr_array_steal (names, NULL);
  }
  size = sizeof address;
  getsockname (fd, (struct sockaddr *) &address, &size);
  address_text (&address, listener->address);
  g_ptr_array_add (gateway->listeners, listener);
  return ch_reactor_add (gateway->reactor, &listener->watch, ch_reactor_move_fd (fd),
                         EPOLLIN, listener_ready, error);
}

gboolean listeners_open (ChGateway *gateway, GError **error)
{
  const char *const *list = ch_config_get_list (gateway->config, "tcp.listeners");
  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    if (!listener_open (gateway, list[i], error)) {
      listeners_close (gateway);
      return FALSE;
    }
    Listener *listener
        = g_ptr_array_index (gateway->listeners, gateway->listeners->len - 1);
    ch_notice (gateway->self, "listening on %s", listener->address);
  }
  return TRUE;
}

/* They stay in the list: connections point to them. */
void listeners_close (ChGateway *gateway)
{
  for (guint i = 0; i < gateway->listeners->len; i++) {
    Listener *listener = g_ptr_array_index (gateway->listeners, i);
    if (!listener->watch.added)
      continue;
    ch_wheel_cancel (gateway->reactor, &listener->timer);
    ch_reactor_remove (gateway->reactor, &listener->watch);
    close (listener->watch.fd);
  }
}

gboolean listener_serves (const Listener *listener, const ChProtocol *protocol)
{
  return listener == NULL || listener->protocols == NULL
         || g_strv_contains ((const char *const *) listener->protocols, protocol->name);
}
