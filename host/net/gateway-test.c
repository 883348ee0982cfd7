/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listeners on loopback: admission in order, limits, descriptors, many connections. */
#include "net/net-testing.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define OPTIONS(...)                                                                     \
  (const char *[])                                                                       \
  {                                                                                      \
    __VA_ARGS__, NULL                                                                    \
  }

static char *listen_on (TestWorld *world)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (ch_gateway_listen (world->gateway, &error));
  g_assert_no_error (error);
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (world->gateway);
  g_assert_cmpuint (addresses->len, >=, 1);
  return g_strdup (g_ptr_array_index (addresses, 0));
}

static guint64 attempts (TestWorld *world)
{
  guint64 n = world->gateway->accepted;
  for (guint i = 0; i < REJECT_N; i++)
    n += world->gateway->rejected[i];
  return n;
}

/* Connects and waits until the gateway has said something to it. */
static int connect_and_turn (TestWorld *world, const char *address)
{
  guint64 before = attempts (world);
  int fd = test_connect_to (address, FALSE);
  test_wait_for (world, attempts (world) > before);
  return fd;
}

#define wait_active(world, n) test_wait_for ((world), (world)->gateway->active == (n))
#define wait_closed(world, fd) test_wait_for ((world), test_is_closed (fd))

static gint option_of (int fd, int level, int name)
{
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt (fd, level, name, &value, &size);
  return value;
}

static void test_options (void)
{
  TestWorld world;
  test_world_open (&world, FALSE, NULL);
  g_autofree char *address = listen_on (&world);
  g_assert_true (g_str_has_prefix (address, "127.0.0.1:"));
  g_assert_false (g_str_has_suffix (address, ":0"));
  int fd = test_connect_to (address, FALSE);
  test_send_frame (fd, "i");
  test_wait_for (&world, world.opened == 1);

  Connection *conn = conn_find (world.gateway, world.conn);
  int theirs = conn->watch.fd;
  g_assert_cmpint (theirs, >=, FD_SETSIZE);
  g_assert_cmpint (option_of (theirs, IPPROTO_TCP, TCP_NODELAY), ==, 1);
  g_assert_cmpint (option_of (theirs, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
  g_assert_cmpint (option_of (theirs, IPPROTO_TCP, TCP_KEEPIDLE), ==, 60);
  g_assert_cmpint (option_of (theirs, IPPROTO_TCP, TCP_KEEPINTVL), ==, 15);
  g_assert_cmpint (option_of (theirs, IPPROTO_TCP, TCP_KEEPCNT), ==, 4);
  g_assert_cmpint (option_of (theirs, IPPROTO_TCP, TCP_USER_TIMEOUT), ==, 30000);
  ChConnInfo info;
  g_assert_true (ch_gateway_conn_info (world.gateway, world.conn, &info));
  g_assert_true (g_str_has_prefix (info.remote, "127.0.0.1:"));
  g_assert_cmpstr (info.local, ==, address);
  g_assert_cmpuint (strlen (info.conn_id), ==, 26);
  g_assert_true (info.bound);

  ch_gateway_stop_listening (world.gateway); /* connections stay */
  ChGatewayStats stats;
  ch_gateway_stats (world.gateway, &stats);
  g_assert_false (stats.listening);
  g_assert_cmpuint (stats.active, ==, 1);
  test_send_frame (fd, "echo");
  test_wait_for (&world, world.frames == 2);
  close (fd);
  test_wait_for (&world, world.closed == 1);
  test_world_close (&world);
}

static void test_addresses (void)
{
  TestWorld world;
  g_autoptr (GError) error = NULL;

  test_world_open (&world, FALSE, OPTIONS ("tcp.listeners=:0"));
  g_autofree char *any = listen_on (&world);
  g_autofree char *v4 = g_strdup_printf ("127.0.0.1%s", strrchr (any, ':'));
  int fd = test_connect_to (v4, FALSE);
  test_send_frame (fd, "i");
  test_wait_for (&world, world.opened == 1);
  ChConnInfo info;
  ch_gateway_conn_info (world.gateway, world.conn, &info);
  g_assert_true (g_str_has_prefix (info.remote, "127.0.0.1:")); /* not as ::ffff:… */

  /* The same port again. */
  TestWorld second;
  g_autofree char *option = g_strdup_printf ("tcp.listeners=127.0.0.1:0,%s", v4);
  test_world_open (&second, FALSE, OPTIONS (option));
  g_assert_false (ch_gateway_listen (second.gateway, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "cannot listen on"));
  g_assert_false (second.gateway->listening);
  g_autoptr (GPtrArray) none = ch_gateway_addresses (second.gateway);
  g_assert_cmpuint (none->len, ==, 0); /* all or nothing */
  test_world_close (&second);
  close (fd);
  test_world_close (&world);

  static const char *const wrong[] = {"7000", "host:7000", ":70000", "::1:7000", ":"};
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    struct sockaddr_storage address;
    socklen_t size;
    gboolean is_any;
    g_clear_error (&error);
    g_assert_false (address_parse (wrong[i], &address, &size, &is_any, &error));
    g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE);
  }
}

/* A listener for one protocol does not serve another. */
static void test_listener_protocols (void)
{
  TestWorld world;
  test_world_open (&world, FALSE,
                   OPTIONS ("tcp.listeners=127.0.0.1:0 other,127.0.0.1:0 other test"));
  g_autofree char *first = listen_on (&world);
  g_autoptr (GPtrArray) addresses = ch_gateway_addresses (world.gateway);
  int fd = test_connect_to (first, FALSE);
  test_send_frame (fd, "i");
  test_wait_for (&world, world.gateway->unidentified[UNIDENTIFIED_NO_MATCH] == 1);
  close (fd);
  fd = test_connect_to (g_ptr_array_index (addresses, 1), FALSE);
  test_send_frame (fd, "i");
  test_wait_for (&world, world.opened == 1);
  close (fd);
  test_world_close (&world);
}

/*
 * The device is gone without a word (power cut): nothing shows until keepalive, the idle
 * time-out or a write finds out.
 */
static void test_half_open (void)
{
  TestWorld world;
  int on = 1;
  test_world_open (&world, TRUE, NULL);
  g_autofree char *address = listen_on (&world);

  for (guint i = 0; i < 2; i++) {
    int fd = connect_and_turn (&world, address);
    test_send_frame (fd, "i");
    test_wait_for (&world, world.opened == i + 1);
    /* Closing a socket under repair sends neither FIN nor RST. */
    if (setsockopt (fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) < 0) {
      g_test_skip ("needs CAP_NET_ADMIN");
      close (fd);
      break;
    }
    close (fd);
    test_turn (&world);
    g_assert_cmpuint (world.gateway->active, ==, 1);
    if (i == 0)
      test_advance (&world, 300000);
    else
      g_assert_true (ch_conn_write (world.plugin, world.conn, "x", 1, CH_WRITE_REPLY));
    wait_active (&world, 0);
    g_assert_cmpint (world.reason, ==, i == 0 ? CH_CLOSE_IDLE : CH_CLOSE_PEER);
  }
  test_world_close (&world);
}

/* ---- admission -------------------------------------------------------------------- */

static void test_max_connections (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, OPTIONS ("tcp.limiting.max_connections=3"));
  g_autofree char *address = listen_on (&world);
  int fds[4];

  for (guint i = 0; i < 4; i++)
    fds[i] = connect_and_turn (&world, address);
  g_assert_cmpuint (world.gateway->active, ==, 3);
  g_assert_cmpuint (world.gateway->rejected[REJECT_MAX_CONNECTIONS], ==, 1);
  wait_closed (&world, fds[3]); /* accepted and closed at once */
  g_assert_false (test_is_closed (fds[2]));
  close (fds[0]);
  wait_active (&world, 2);
  close (fds[3]);
  fds[3] = connect_and_turn (&world, address);
  g_assert_cmpuint (world.gateway->active, ==, 3);
  ChGatewayStats stats;
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpuint (stats.max, ==, 3);
  g_assert_cmpuint (stats.accepted, ==, 4);
  g_assert_cmpuint (stats.rejected, ==, 1);
  for (guint i = 1; i < 4; i++)
    close (fds[i]);
  test_world_close (&world);
}

/* An empty bucket leaves connections in the kernel until there is a token. */
static void test_rate (void)
{
  TestWorld world;
  test_world_open (
      &world, TRUE,
      OPTIONS ("tcp.limiting.rate_per_second=10", "tcp.limiting.rate_burst=5"));
  g_autofree char *address = listen_on (&world);
  int fds[8];

  for (guint i = 0; i < 8; i++)
    fds[i] = i < 6 ? connect_and_turn (&world, address)
                   : test_connect_to (address, FALSE); /* nobody looks any more */
  g_assert_cmpuint (world.gateway->active, ==, 5);
  g_assert_cmpuint (world.gateway->rejected[REJECT_RATE], ==, 1);
  g_assert_cmpint (ch_wheel_next_ms (world.services.reactor), ==, 100);
  test_advance (&world, 99);
  g_assert_cmpuint (world.gateway->active, ==, 5);
  test_advance (&world, 1);
  wait_active (&world, 6);
  test_advance (&world, 1000);
  wait_active (&world, 8);
  for (guint i = 0; i < 8; i++) {
    g_assert_false (test_is_closed (fds[i]));
    close (fds[i]);
  }
  test_world_close (&world);
}

static void test_overload (void)
{
  TestWorld world;
  test_world_open (
      &world, TRUE,
      OPTIONS ("tcp.limiting.rate_per_second=10", "tcp.limiting.rate_burst=8"));
  g_autofree char *address = listen_on (&world);
  world.services.overload = 2; /* a quarter of the rate */
  int fds[4];

  for (guint i = 0; i < 4; i++)
    fds[i]
        = i < 3 ? connect_and_turn (&world, address) : test_connect_to (address, FALSE);
  g_assert_cmpuint (world.gateway->active, ==, 2);
  test_advance (&world, 400);
  wait_active (&world, 3);
  world.services.overload = 3;
  test_advance (&world, 1000);
  g_assert_cmpuint (world.gateway->active, ==, 3);
  g_assert_cmpuint (world.gateway->rejected[REJECT_OVERLOAD], >=, 1);
  world.services.overload = 0;
  test_advance (&world, 100);
  wait_active (&world, 4);
  for (guint i = 0; i < 4; i++)
    close (fds[i]);
  test_world_close (&world);
}

static void test_refusals (void)
{
  TestWorld world;
  test_world_open (&world, TRUE,
                   OPTIONS ("tcp.limiting.per_ip_max_connections=2",
                            "gateway.ip_whitelist=10.0.0.0/8"));
  g_autofree char *address = listen_on (&world);
  int fd = connect_and_turn (&world, address);
  wait_closed (&world, fd);
  g_assert_cmpuint (world.gateway->rejected[REJECT_BANNED], ==, 1);
  close (fd);

  Network home;
  g_assert_true (network_parse ("127.0.0.0/8", &home));
  g_array_append_val (world.gateway->allowed, home);
  int fds[3];
  for (guint i = 0; i < 3; i++)
    fds[i] = connect_and_turn (&world, address);
  g_assert_cmpuint (world.gateway->rejected[REJECT_ADDRESS_CONNS], ==, 1);
  g_assert_cmpuint (world.gateway->active, ==, 2);
  close (fds[0]);
  wait_active (&world, 1);
  fd = connect_and_turn (&world, address); /* the place is free again */
  g_assert_cmpuint (world.gateway->active, ==, 2);
  close (fd);
  wait_active (&world, 1);

  world.services.draining = TRUE;
  fd = connect_and_turn (&world, address);
  wait_closed (&world, fd);
  g_assert_cmpuint (world.gateway->rejected[REJECT_DRAINING], ==, 1);
  close (fd);
  close (fds[1]);
  close (fds[2]);
  test_world_close (&world);
}

/* Faults inside close the door for newcomers only; trials open it again (2.5). */
static void test_breaker (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  g_autofree char *address = listen_on (&world);
  int old = connect_and_turn (&world, address);
  ChGatewayStats stats;
  int fds[6];

  for (guint i = 0; i < 5; i++)
    ch_gateway_outcome (world.gateway, FALSE);
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpint (stats.breaker, ==, CH_BREAKER_OPEN);
  int fd = connect_and_turn (&world, address);
  wait_closed (&world, fd);
  close (fd);
  g_assert_cmpuint (world.gateway->rejected[REJECT_BREAKER], ==, 1);
  test_send_frame (old, "i"); /* existing connections are not touched */
  test_wait_for (&world, world.frames == 1);

  test_advance (&world, 30001);
  for (guint i = 0; i < 6; i++)
    fds[i] = connect_and_turn (&world, address);
  g_assert_cmpuint (world.gateway->rejected[REJECT_BREAKER], ==, 2); /* five trials */
  close (fds[5]);
  close (fds[4]); /* a trial without outcome gives its place back */
  wait_active (&world, 5);
  fds[4] = connect_and_turn (&world, address);
  g_assert_cmpuint (world.gateway->rejected[REJECT_BREAKER], ==, 2);
  test_send_frame (fds[0], "i");
  test_send_frame (fds[1], "a"); /* talks, but is no known device */
  test_wait_for (&world, world.frames == 3);
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpint (stats.breaker, ==, CH_BREAKER_HALF_OPEN);
  test_send_frame (fds[2], "i");
  test_wait_for (&world, world.frames == 4);
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpint (stats.breaker, ==, CH_BREAKER_CLOSED);
  for (guint i = 0; i < 5; i++)
    close (fds[i]);
  close (old);

  for (guint i = 0; i < 5; i++)
    ch_gateway_outcome (world.gateway, FALSE);
  ch_gateway_reset_breaker (world.gateway);
  ch_gateway_stats (world.gateway, &stats);
  g_assert_cmpint (stats.breaker, ==, CH_BREAKER_CLOSED);
  test_world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/gateway/options", test_options);
  g_test_add_func ("/net/gateway/addresses", test_addresses);
  g_test_add_func ("/net/gateway/listener-protocols", test_listener_protocols);
  g_test_add_func ("/net/gateway/half-open", test_half_open);
  g_test_add_func ("/net/gateway/max-connections", test_max_connections);
  g_test_add_func ("/net/gateway/rate", test_rate);
  g_test_add_func ("/net/gateway/overload", test_overload);
  g_test_add_func ("/net/gateway/refusals", test_refusals);
  g_test_add_func ("/net/gateway/breaker", test_breaker);
  return g_test_run ();
}
