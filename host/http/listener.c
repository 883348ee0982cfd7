/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our own accept loop in front of libsoup: descriptors are moved to numbers that
 * select() never sees, connections are counted, and an accept that fails does not end
 * listening, as it does in libsoup.
 */
#include "http/http-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 32
#define PAUSE_MS 100
#define BACKLOG 512

struct _ChHttpListener {
  ChHttp *http;
  ChWatch watch;
  ChWheelTimer timer;
  GSocketAddress *address;
  gboolean metrics_only;
  char *url;
};

/* ---- accepting -----------------------------------------------------------------------
 */

static void pause_over (ChWheelTimer *timer)
{
  ChHttpListener *listener
      = (ChHttpListener *) ((char *) timer - G_STRUCT_OFFSET (ChHttpListener, timer));
  ch_reactor_modify (listener->http->services->reactor, &listener->watch, EPOLLIN);
}

void ch_http_listener_pause (ChHttpListener *listener)
{
  ChReactor *reactor = listener->http->services->reactor;
  ch_reactor_modify (reactor, &listener->watch, 0);
  ch_wheel_arm (reactor, &listener->timer, PAUSE_MS);
}

static void on_readable (ChWatch *watch, guint32 events)
{
  ChHttpListener *listener
      = (ChHttpListener *) ((char *) watch - G_STRUCT_OFFSET (ChHttpListener, watch));

  for (guint i = 0; i < ACCEPTS_PER_TURN; i++) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = accept4 (watch->fd, (struct sockaddr *) &address, &size,
                      SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      ch_http_conn_accept (listener, fd, &address);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      ch_http_traffic_dropped (listener->http, "descriptors");
      ch_http_listener_pause (listener);
    }
    if (errno != ECONNABORTED && errno != EINTR)
      return;
  }
}

/* ---- listening -----------------------------------------------------------------------
 */

/* "[::1]:80", "10.0.0.1:80", ":80" → host ("" = any) and port. */
static gboolean split_address (const char *text, char **host, guint16 *port,
                               GError **error)
{
  const char *colon = strrchr (text, ':');
  guint64 number;

  if (colon == NULL
      || !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &number, NULL)) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "'%s' is not an address such as :8080 or 127.0.0.1:8080", text);
    return FALSE;
  }
  *port = (guint16) number;
  if (*text == '[' && colon > text + 1 && colon[-1] == ']')
    *host = g_strndup (text + 1, (gsize) (colon - text) - 2);
  else
    *host = g_strndup (text, (gsize) (colon - text));
  return TRUE;
}

static int open_socket (GSocketAddress *address, gboolean shared, GError **error)
{
  struct sockaddr_storage native;
  gssize size = g_socket_address_get_native_size (address);
  int one = 1, zero = 0;

  if (!g_socket_address_to_native (address, &native, sizeof native, error))
    return -1;
  int fd = socket (native.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shared)
      setsockopt (fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (native.ss_family == AF_INET6)
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind (fd, (struct sockaddr *) &native, (socklen_t) size) == 0
        && listen (fd, BACKLOG) == 0)
      return fd;
  }
  int code = errno;
  g_set_error (error, G_IO_ERROR, (gint) g_io_error_from_errno (code), "%s",
               g_strerror (code));
  if (fd >= 0)
    close (fd);
  return -1;
}

static GSocketAddress *bound_address (int fd)
{
  struct sockaddr_storage native;
  socklen_t size = sizeof native;
  if (getsockname (fd, (struct sockaddr *) &native, &size) < 0)
    return NULL;
  return g_socket_address_new_from_native (&native, size);
}

/* A host that stands for all addresses is shown as one that can be reached. */
static char *make_url (const char *host, GSocketAddress *address)
{
  guint16 port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address));
  if (*host == '\0' || g_str_equal (host, "0.0.0.0") || g_str_equal (host, "::"))
    host = "127.0.0.1";
  return strchr (host, ':') != NULL ? g_strdup_printf ("http://[%s]:%u", host, port)
                                    : g_strdup_printf ("http://%s:%u", host, port);
}

static int open_address (const char *host, guint16 port, gboolean shared, GError **error)
{
  if (*host != '\0') {
    g_autoptr (GSocketAddress) address
        = g_inet_socket_address_new_from_string (host, port);
    if (address != NULL)
      return open_socket (address, shared, error);
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "'%s' is not an IP address", host);
    return -1;
  }
  g_autoptr (GSocketAddress) both = g_inet_socket_address_new_from_string ("::", port);
  g_autoptr (GSocketAddress) four
      = g_inet_socket_address_new_from_string ("0.0.0.0", port);
  int fd = open_socket (both, shared, NULL); /* a kernel without IPv6 */
  return fd >= 0 ? fd : open_socket (four, shared, error);
}

ChHttpListener *ch_http_listener_new (ChHttp *http, const char *text,
                                      gboolean metrics_only, GError **error)
{
  g_autoptr (ChHttpListener) listener = g_new0 (ChHttpListener, 1);
  g_autofree char *host = NULL;
  guint16 port = 0;

  listener->http = http;
  listener->metrics_only = metrics_only;
  listener->watch.fd = -1;
  listener->timer.func = pause_over;
  if (!split_address (text, &host, &port, error))
    return NULL;
  int fd
      = open_address (host, port, ch_config_bool (http->self, "http.reuse_port"), error);
  if (fd < 0) {
    g_prefix_error (error, "cannot listen for HTTP on %s: ", text);
    return NULL;
  }
  listener->address = bound_address (fd);
  if (listener->address == NULL
      || !ch_reactor_add (http->services->reactor, &listener->watch, fd, EPOLLIN,
                          on_readable, error)) {
    close (fd);
    return NULL;
  }
  listener->url = make_url (host, listener->address);
  return g_steal_pointer (&listener);
}

void ch_http_listener_free (ChHttpListener *listener)
{
  if (listener == NULL)
    return;
  ch_wheel_cancel (listener->http->services->reactor, &listener->timer);
  if (listener->watch.fd >= 0 && listener->watch.added) {
    int fd = listener->watch.fd;
    ch_reactor_remove (listener->http->services->reactor, &listener->watch);
    close (fd);
  }
  g_clear_object (&listener->address);
  g_free (listener->url);
  g_free (listener);
}

const char *ch_http_listener_url (ChHttpListener *listener)
{
  return listener->url;
}

GSocketAddress *ch_http_listener_address (ChHttpListener *listener)
{
  return listener->address;
}

ChHttp *ch_http_listener_http (ChHttpListener *listener)
{
  return listener->http;
}

gboolean ch_http_listener_metrics_only (ChHttpListener *listener)
{
  return listener->metrics_only;
}
