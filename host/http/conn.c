/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections of clients: their number, their phases with a time limit each, their end.
 */
#include "http/http-private.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESERVED_FDS 64
#define LINGER_MS 2000
#define FORWARDED_MAX 1024

static const char BUSY[]
    = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
      "Retry-After: 1\r\nConnection: close\r\nContent-Length: 54\r\n\r\n"
      "{\"code\":50307,\"message\":\"too many HTTP connections\"}\r\n";

/* ---- phases --------------------------------------------------------------------------
 */

static GQueue *queue_of (ChHttpConn *conn)
{
  return conn->phase == CH_HTTP_IDLE ? &conn->http->idle : &conn->http->conns;
}

void ch_http_conn_set_phase (ChHttpConn *conn, ChHttpPhase phase, guint64 limit_ms)
{
  if (conn->http == NULL)
    return;
  if ((conn->phase == CH_HTTP_IDLE) != (phase == CH_HTTP_IDLE)) {
    g_queue_unlink (queue_of (conn), &conn->link);
    conn->phase = phase;
    g_queue_push_tail_link (queue_of (conn), &conn->link);
  }
  conn->phase = phase;
  ch_wheel_arm (conn->http->services->reactor, &conn->timer, limit_ms);
}

static void on_timer (ChWheelTimer *timer)
{
  ChHttpConn *conn
      = (ChHttpConn *) ((char *) timer - G_STRUCT_OFFSET (ChHttpConn, timer));

  if (conn->phase == CH_HTTP_WORK) {
    /* The owner stays without its handle: an answer that comes later is a no-op. */
    ch_http_answer_error (&conn->request, 50401, "no answer in time", NULL);
    return;
  }
  if (conn->phase == CH_HTTP_READ && conn->request.looked_up)
    ch_http_traffic_dropped (conn->http, "slow_request");
  else if (conn->phase == CH_HTTP_READ)
    ch_http_traffic_dropped (conn->http, "slow_headers");
  else if (conn->phase == CH_HTTP_WRITE)
    ch_http_traffic_dropped (conn->http, "slow_reader");
  ch_http_conn_close (conn);
}

/* ---- the end -------------------------------------------------------------------------
 */

static void on_ending (ChDeferred *deferred)
{
  ch_http_conn_close (
      (ChHttpConn *) ((char *) deferred - G_STRUCT_OFFSET (ChHttpConn, ending)));
}

void ch_http_conn_end (ChHttpConn *conn)
{
  if (conn->http != NULL)
    ch_reactor_defer (conn->http->services->reactor, &conn->ending);
}

void ch_http_conn_close (ChHttpConn *conn)
{
  if (conn->http == NULL || conn->request.msg == NULL)
    return;
  g_autoptr (SoupServerMessage) msg = g_object_ref (conn->request.msg);
  ch_http_exchange_clear (&conn->request);
  conn->gone = TRUE;
  g_autoptr (GIOStream) stream = soup_server_message_steal_connection (msg);
  if (stream != NULL)
    g_io_stream_close (stream, NULL, NULL);
}

void ch_http_conn_closed (ChHttpConn *conn)
{
  if (conn->http == NULL)
    return;
  ch_http_exchange_clear (&conn->request);
  ch_wheel_cancel (conn->http->services->reactor, &conn->timer);
  ch_reactor_remove (conn->http->services->reactor, &conn->watch);
  ch_reactor_undefer (conn->http->services->reactor, &conn->ending);
  g_queue_unlink (queue_of (conn), &conn->link);
  conn->http = NULL;
  g_clear_object (&conn->request.msg);
  ch_http_match_clear (&conn->request.match);
  g_clear_pointer (&conn->request.bytes, g_byte_array_unref);
  g_clear_pointer (&conn->request.query, g_ptr_array_unref);
}

void ch_http_conn_refuse (ChHttpConn *conn, guint status, const char *body)
{
  g_autofree char *text = g_strdup_printf (
      "HTTP/1.1 %u %s\r\nContent-Type: application/json; charset=utf-8\r\n"
      "X-Request-ID: %s\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
      "Connection: close\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n%s",
      status, soup_status_get_phrase (status), conn->request.id, strlen (body), body);
  /* A new connection's buffer is empty; if not, the client gets no reason. */
  if (send (conn->fd, text, strlen (text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    ch_debug (conn->http->self, "a refusal was not sent to %s", conn->remote);
  shutdown (conn->fd, SHUT_WR);
  conn->request.status = status;
  conn->request.answered = TRUE;
  ch_http_conn_set_phase (conn, CH_HTTP_REFUSED, LINGER_MS);
}

void ch_http_conn_trim (ChHttp *http, guint max)
{
  while (ch_http_n_conns (http) > max && http->idle.head != NULL)
    ch_http_conn_close (http->idle.head->data);
}

/* ---- the beginning -------------------------------------------------------------------
 */

static gboolean fds_are_short (int fd)
{
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return FALSE;
  return (rlim_t) fd + RESERVED_FDS >= limit.rlim_cur;
}

static void turn_away (ChHttp *http, int fd, const char *reason)
{
  ch_http_traffic_dropped (http, reason);
  if (send (fd, BUSY, sizeof BUSY - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
    shutdown (fd, SHUT_WR);
  close (fd);
}

/* IPv4 on a socket for both is shown, and compared, as IPv4. */
static GInetAddress *host_of (GSocketAddress *address)
{
  GInetAddress *host
      = g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address));
  const guint8 *bytes = g_inet_address_to_bytes (host);
  static const guint8 mapped[12] = {[10] = 0xff, [11] = 0xff};

  if (g_inet_address_get_family (host) == G_SOCKET_FAMILY_IPV6
      && memcmp (bytes, mapped, sizeof mapped) == 0)
    return g_inet_address_new_from_bytes (bytes + 12, G_SOCKET_FAMILY_IPV4);
  return g_object_ref (host);
}

/* Why a new connection is not wanted, NULL when it is. */
static const char *objection (ChHttp *http, GInetAddress *host, int fd)
{
  if (ch_http_n_conns (http) >= http->settings.max_connections)
    return "max_connections";
  if (!ch_http_rate_may_connect (http, host))
    return "malformed";
  return fds_are_short (fd) ? "descriptors" : NULL;
}

static ChHttpConn *conn_new (ChHttpListener *listener, GInetAddress *host)
{
  ChHttp *http = ch_http_listener_http (listener);
  ChHttpConn *conn = g_new0 (ChHttpConn, 1);
  g_autofree char *text = g_inet_address_to_string (host);

  conn->http = http;
  conn->timer.func = on_timer;
  conn->ending.func = on_ending;
  conn->link.data = conn;
  conn->metrics_only = ch_http_listener_metrics_only (listener);
  conn->phase = CH_HTTP_IDLE;
  conn->request.http = http;
  conn->request.conn = conn;
  conn->request.method = "";
  conn->address = g_object_ref (host);
  g_strlcpy (conn->remote, text, sizeof conn->remote);
  return conn;
}

void ch_http_conn_accept (ChHttpListener *listener, int fd,
                          const struct sockaddr_storage *native)
{
  ChHttp *http = ch_http_listener_http (listener);
  g_autoptr (GSocketAddress) remote
      = g_socket_address_new_from_native ((gpointer) (guintptr) native, sizeof *native);

  fd = ch_reactor_move_fd (fd);
  ch_http_conn_trim (http, http->settings.max_connections - 1);
  if (remote == NULL || !G_IS_INET_SOCKET_ADDRESS (remote)) {
    close (fd);
    return;
  }
  g_autoptr (GInetAddress) host = host_of (remote);
  const char *why_not = objection (http, host, fd);
  if (why_not != NULL) {
    turn_away (http, fd, why_not);
    return;
  }
  ChHttpConn *conn = conn_new (listener, host);
  g_queue_push_tail_link (&http->idle, &conn->link);
  g_autoptr (GIOStream) stream = ch_http_stream_new (conn, fd);
  /* libsoup hands this object back with every request of the connection. */
  g_object_set_qdata (G_OBJECT (remote), http->conn_quark, conn);
  ch_http_conn_set_phase (conn, CH_HTTP_IDLE, http->settings.idle_ms);
  g_autoptr (GError) error = NULL;
  if (!ch_http_stream_watch (conn, &error)
      || !soup_server_accept_iostream (
          http->server, stream, ch_http_listener_address (listener), remote, &error))
    ch_warning (http->self, "a connection of %s was not taken: %s", conn->remote,
                error->message);
}

/* ---- who is at the other end ---------------------------------------------------------
 */

const char *ch_http_conn_client (ChRequest *request, GInetAddress **address)
{
  ChHttpConn *conn = request->conn;
  const GPtrArray *proxies = conn->http->settings.trusted_proxies;

  *address = g_object_ref (conn->address);
  if (!ch_http_networks_have (proxies, conn->address))
    return conn->remote;
  const char *forwarded = ch_request_header (request, "X-Forwarded-For");
  if (forwarded == NULL)
    return conn->remote;
  gsize size = strlen (forwarded);
  g_auto (GStrv) hops = g_strsplit (
      forwarded + (size > FORWARDED_MAX ? size - FORWARDED_MAX : 0), ",", 0);
  /* From the right: the first that is not a proxy of ours is the client. */
  for (guint i = g_strv_length (hops); i-- > 0;) {
    g_autoptr (GInetAddress) hop = g_inet_address_new_from_string (g_strstrip (hops[i]));
    if (hop == NULL)
      break;
    g_set_object (address, hop);
    if (!ch_http_networks_have (proxies, hop))
      break;
  }
  g_autofree char *text = g_inet_address_to_string (*address);
  g_strlcpy (request->client, text, sizeof request->client);
  return request->client;
}
