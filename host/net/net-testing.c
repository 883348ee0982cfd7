/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/net-testing.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* ---- the protocol ----------------------------------------------------------------- */

static ChSniff sniff (const guint8 *p, gsize n)
{
  if (p[0] != 'T')
    return CH_SNIFF_NO;
  if (n < 2)
    return CH_SNIFF_MORE;
  return p[1] == 'P' ? CH_SNIFF_YES : CH_SNIFF_NO;
}

static gssize frame (const guint8 *p, gsize n, gsize max, const char **error)
{
  if (p[0] == 'Z' && n >= 4) /* a decoder with a fault */
    return memcmp (p, "ZZZZ", 4) == 0 ? (gssize) n + 5 : -1;
  if (p[0] == 'U') /* one that cannot stop waiting */
    return 0;
  if (p[0] != 'T' || (n > 1 && p[1] != 'P')) {
    *error = "garbage";
    return -1;
  }
  if (n < 3)
    return 0;
  gsize size = (gsize) p[2] + 4;
  if (n < size)
    return 0;
  guint8 sum = 0;
  for (gsize i = 3; i < size - 1; i++)
    sum = (guint8) (sum + p[i]);
  if (sum == p[size - 1])
    return (gssize) size;
  *error = "bad_checksum";
  return -1;
}

static gpointer opened (ChPlugin *self, ChConn conn, const ChPeer *peer)
{
  TestWorld *world = ch_plugin_data (self);
  g_assert_nonnull (peer->remote);
  g_assert_nonnull (peer->local);
  world->opened++;
  world->sessions++;
  world->conn = conn;
  return world;
}

static void input (ChPlugin *self, gpointer session, ChConn conn, const guint8 *bytes,
                   gsize n)
{
  TestWorld *world = ch_plugin_data (self);
  static const char many[] = "rrrrrrrrrrrrrrrr";
  g_autoptr (GString) out = g_string_new (NULL);

  g_assert_true (session == world);
  g_assert_true (ch_conn_session (self, conn) == session);
  world->in_callback = TRUE;
  world->frames++;
  if (world->frames <= 1000) {
    g_string_append_len (world->input, (const char *) bytes + 3, (gssize) n - 4);
    g_string_append_c (world->input, ' ');
  }
  switch (n > 4 ? bytes[3] : 0) {
  case 'e':
    ch_conn_write (self, conn, bytes, n, CH_WRITE_REPLY);
    break;
  case 'r':
    for (guint i = 0; i < 255 / 16; i++)
      g_string_append (out, many);
    ch_conn_write (self, conn, out->str, out->len, CH_WRITE_REPLY);
    break;
  case 'b':
    ch_conn_bad_frame (self, conn, "short_payload");
    break;
  case 'k':
    ch_conn_write (self, conn, "bye", 3, CH_WRITE_REPLY);
    ch_conn_close (self, conn, CH_CLOSE_KICK);
    g_assert_false (ch_conn_write (self, conn, "more", 4, CH_WRITE_REPLY));
    break;
  case 'x':
    ch_conn_close (self, conn, CH_CLOSE_ERROR);
    break;
  case 'i':
    ch_gateway_set_bound (world->gateway, conn, TRUE);
    break;
  default:
    break;
  }
  world->in_callback = FALSE;
}

static ChCommandState command (ChPlugin *self, gpointer session, ChConn conn,
                               const ChCommand *cmd)
{
  g_autoptr (GString) out = g_string_new (NULL);
  test_frame (out, "command", -1);
  return ch_conn_write (self, conn, out->str, out->len, CH_WRITE_COMMAND)
             ? CH_COMMAND_SENT
             : CH_COMMAND_NOT_SENT;
}

static void closed (ChPlugin *self, gpointer session, ChConn conn, ChCloseReason reason)
{
  TestWorld *world = ch_plugin_data (self);
  g_assert_false (world->in_callback);
  g_assert_true (session == world);
  world->closed++;
  world->sessions--;
  world->reason = reason;
}

static const ChProtocol PROTOCOL = {
    .size = sizeof (ChProtocol),
    .name = "test",
    .properties = {CH_PROTOCOL_DEFAULTS},
    .sniff = sniff,
    .frame = frame,
    .opened = opened,
    .input = input,
    .command = command,
    .closed = closed,
};

const ChProtocol *test_protocol (void)
{
  return &PROTOCOL;
}

/* ---- the world -------------------------------------------------------------------- */

static void hook_closed (ChCore *core, ChConn conn, gpointer core_data,
                         ChCloseReason reason)
{
  TestWorld *world = (TestWorld *) core;
  world->hook_closed++;
  /* After the protocol's, once for each that was identified. */
  g_assert_cmpuint (world->hook_closed, <=, world->opened);
}

static void hook_writable (ChCore *core, ChConn conn, gpointer core_data)
{
  ((TestWorld *) core)->hook_writable++;
}

static void hook_alarm (ChCore *core, ChConn conn, gpointer core_data, const char *code,
                        const char *message)
{
  TestWorld *world = (TestWorld *) core;
  world->alarms++;
  g_strlcpy (world->alarm, code, sizeof world->alarm);
}

static void hook_command_frame (ChCore *core, ChConn conn, gpointer core_data,
                                const char *command_id, gboolean sent)
{
  TestWorld *world = (TestWorld *) core;
  g_strlcpy (world->last_command, command_id, sizeof world->last_command);
  if (sent)
    world->sent++;
  else
    world->dropped++;
}

static const ChGatewayHooks HOOKS = {
    .closed = hook_closed,
    .writable = hook_writable,
    .alarm = hook_alarm,
    .command_frame = hook_command_frame,
};

static const ChPluginInfo INFO = {.name = "proto-test", .protocol = &PROTOCOL};

void test_world_open (TestWorld *world, gboolean fake_clock, const char *const *options)
{
  g_autoptr (GError) error = NULL;
  ChServices *services = &world->services;

  *world = (TestWorld) {0};
  services->clock = fake_clock ? ch_clock_new_fake (1704528000000) : ch_clock_new ();
  services->runner = ch_runner_new ();
  services->metrics = ch_metrics_new ();
  services->config = ch_config_new ();
  ch_config_declare (services->config, "", ch_gateway_config);
  ch_config_declare (services->config, "proto-test", ch_gateway_property_keys ());
  ch_config_add_option (services->config, "tcp.listeners=127.0.0.1:0", &error);
  g_assert_no_error (error);
  ch_config_add_option (services->config, "tcp.fault_path=", &error);
  g_assert_no_error (error);
  for (guint i = 0; options != NULL && options[i] != NULL; i++) {
    ch_config_add_option (services->config, options[i], &error);
    g_assert_no_error (error);
  }
  ch_config_resolve (services->config, NULL, &error);
  g_assert_no_error (error);

  world->context = g_main_context_new ();
  world->input = g_string_new (NULL);
  ch_reactor_new (services, world->context, &error);
  g_assert_no_error (error);
  world->gateway = ch_gateway_new (services);
  ch_gateway_set_hooks (world->gateway, (ChCore *) world, &HOOKS);
  world->plugin = ch_owner_new (services, "proto-test", &INFO);
  ch_plugin_set_data (world->plugin, world);
  ch_gateway_add_protocol (world->gateway, world->plugin, &PROTOCOL, &error);
  g_assert_no_error (error);
}

void test_world_close (TestWorld *world)
{
  ch_gateway_free (world->gateway);
  g_assert_cmpuint (world->sessions, ==, 0);
  g_assert_cmpuint (world->hook_closed, ==, world->opened);
  ch_owner_free (world->plugin);
  ch_reactor_free (world->services.reactor);
  g_main_context_unref (world->context);
  ch_config_free (world->services.config);
  ch_metrics_free (world->services.metrics);
  ch_runner_free (world->services.runner);
  ch_clock_free (world->services.clock);
  g_string_free (world->input, TRUE);
}

void test_turn (TestWorld *world)
{
  for (guint i = 0; i < 10000 && g_main_context_iteration (world->context, FALSE); i++)
    continue;
}

static gboolean wake (gpointer data)
{
  return G_SOURCE_REMOVE;
}

void test_iterate (TestWorld *world)
{
  GSource *source = g_timeout_source_new (10);
  g_source_set_callback (source, wake, NULL, NULL);
  g_source_attach (source, world->context);
  g_main_context_iteration (world->context, TRUE);
  g_source_destroy (source);
  g_source_unref (source);
}

void test_advance (TestWorld *world, gint64 ms)
{
  ch_clock_advance_ms (world->services.clock, ms);
  ch_wheel_run (world->services.reactor);
  test_turn (world);
}

/* ---- the other end ---------------------------------------------------------------- */

int test_connect (TestWorld *world)
{
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  world->conn = ch_gateway_adopt (world->gateway, fds[0], "192.0.2.1:1234", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (world->conn, !=, 0);
  return fds[1];
}

int test_connect_to (const char *address, gboolean nonblocking)
{
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (0x7f000001)};
  const char *colon = strrchr (address, ':');

  in.sin_port = htons ((guint16) g_ascii_strtoull (colon + 1, NULL, 10));
  int fd = socket (AF_INET,
                   SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  g_assert_cmpint (fd, >=, 0);
  int result = connect (fd, (struct sockaddr *) &in, sizeof in);
  g_assert_true (result == 0 || errno == EINPROGRESS);
  return fd;
}

void test_frame (GString *out, const char *payload, gssize size)
{
  gsize n = size < 0 ? strlen (payload) : (gsize) size;
  guint8 sum = 0;

  g_string_append (out, "TP");
  g_string_append_c (out, (char) n);
  g_string_append_len (out, payload, (gssize) n);
  for (gsize i = 0; i < n; i++)
    sum = (guint8) (sum + (guint8) payload[i]);
  g_string_append_c (out, (char) sum);
}

void test_send (int fd, const void *bytes, gsize size)
{
  g_assert_cmpint (send (fd, bytes, size, MSG_NOSIGNAL), ==, (gssize) size);
}

void test_send_frame (int fd, const char *payload)
{
  g_autoptr (GString) out = g_string_new (NULL);
  test_frame (out, payload, -1);
  test_send (fd, out->str, out->len);
}

GString *test_receive (int fd)
{
  GString *all = g_string_new (NULL);
  char part[65536];
  gssize n;

  while ((n = recv (fd, part, sizeof part, MSG_DONTWAIT)) > 0)
    g_string_append_len (all, part, n);
  return all;
}

gboolean test_is_closed (int fd)
{
  struct pollfd item = {.fd = fd, .events = POLLRDHUP};
  return poll (&item, 1, 0) == 1;
}

guint64 test_closed_count (TestWorld *world, ChCloseReason reason)
{
  return world->gateway->closed[reason];
}
