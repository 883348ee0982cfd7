/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How connections end: by their protocol, by a fault in it, with it. */
#include "net/net-testing.h"

#include <string.h>
#include <unistd.h>

static Connection *newest (TestWorld *world)
{
  return conn_find (world->gateway, world->conn);
}

static void expect_closed (TestWorld *world, int fd, ChCloseReason reason)
{
  g_assert_null (newest (world));
  g_assert_true (test_is_closed (fd));
  g_assert_cmpuint (test_closed_count (world, reason), ==, 1);
  g_assert_cmpuint (world->gateway->active, ==, 0);
}

static void test_kick (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "k");
  test_send_frame (fd, "never seen");
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "k ");
  g_autoptr (GString) answer = test_receive (fd);
  g_assert_cmpstr (answer->str, ==, "bye"); /* what was written before still went out */
  expect_closed (&world, fd, CH_CLOSE_KICK);
  g_assert_cmpuint (world.closed, ==, 1);

  /* The handle is stale now, also when its slot is used again. */
  ChConn stale = world.conn;
  int other = test_connect (&world);
  g_assert_cmpuint ((guint32) stale, ==, (guint32) world.conn);
  g_assert_false (ch_conn_write (world.plugin, stale, "x", 1, CH_WRITE_REPLY));
  ch_conn_close (world.plugin, stale, CH_CLOSE_KICK);
  ch_conn_bad_frame (world.plugin, stale, "x");
  g_assert_null (ch_conn_session (world.plugin, stale));
  g_assert_false (ch_gateway_can_write (world.gateway, stale));
  g_assert_cmpint (ch_gateway_send (world.gateway, stale, NULL), ==, CH_COMMAND_NOT_SENT);
  ch_gateway_set_bound (world.gateway, stale, TRUE);
  ch_gateway_pause (world.gateway, stale);
  g_assert_cmpuint (world.gateway->stale, >=, 4);
  g_assert_nonnull (newest (&world));
  close (fd);
  close (other);
  test_world_close (&world);
}

/* A handler that fails takes its connection with it, and nothing else. */
static void test_fault (void)
{
  TestWorld world;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-net-XXXXXX", NULL);
  g_autofree char *option = g_strdup_printf ("tcp.fault_path=%s", folder);
  test_world_open (&world, TRUE, (const char *[]) {option, NULL});
  int other = test_connect (&world);
  test_send_frame (other, "i");
  test_turn (&world);
  ChConn kept = world.conn;

  for (guint i = 0; i < 3; i++) {
    int fd = test_connect (&world);
    test_send_frame (fd, "xyz");
    test_turn (&world);
    g_assert_null (newest (&world));
    close (fd);
  }
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_ERROR), ==, 3);
  g_assert_cmpuint (world.gateway->breaker.failures, ==, 3);
  g_assert_cmpstr (world.alarm, ==, "protocol_fault"); /* three of a kind */
  g_assert_nonnull (conn_find (world.gateway, kept));

  int fd = test_connect (&world); /* a decoder that says more than there is */
  test_send_frame (fd, "a");
  test_send (fd, "ZZZZ", 4);
  test_turn (&world);
  g_assert_null (newest (&world));
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_ERROR), ==, 4);
  close (fd);

  static const char *const names[] = {"test-handler-00.bin", "test-handler-01.bin",
                                      "test-handler-02.bin", "test-frame-00.bin"};
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);
    g_autofree char *text = NULL;
    g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
    g_assert_cmpstr (text, ==, i < 3 ? "TP\x03xyz\x6b" : "ZZZZ");
    unlink (path);
  }
  rmdir (folder);
  close (other);
  test_world_close (&world);
}

/* A protocol that stops takes its connections with it and is not asked any more. */
static void test_stop (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int a = test_connect (&world), b = test_connect (&world);
  test_send_frame (a, "i");
  test_send_frame (b, "i");
  test_turn (&world);
  int waiting = test_connect (&world);
  test_turn (&world);

  ch_gateway_remove_protocol (world.gateway, world.plugin);
  g_assert_cmpuint (world.closed, ==, 2);
  g_assert_cmpint (world.reason, ==, CH_CLOSE_SHUTDOWN);
  g_assert_true (test_is_closed (a) && test_is_closed (b));
  test_send_frame (waiting, "i");
  test_turn (&world);
  g_assert_true (test_is_closed (waiting)); /* nobody knows it */
  const ChProtocolProperties *properties
      = ch_gateway_properties (world.gateway, test_protocol ());
  g_assert_cmpuint (properties->heartbeat_s, ==, 60);

  /* Once more, revoked by its owner: no callbacks then. */
  g_autoptr (GError) error = NULL;
  ch_gateway_add_protocol (world.gateway, world.plugin, test_protocol (), &error);
  g_assert_no_error (error);
  int c = test_connect (&world);
  test_send_frame (c, "i");
  test_turn (&world);
  g_assert_cmpuint (world.opened, ==, 3);
  ch_owner_revoke_all (world.plugin);
  g_assert_true (test_is_closed (c));
  g_assert_cmpuint (world.closed, ==, 2);
  g_assert_cmpuint (world.gateway->active, ==, 0);
  world.sessions = 0;
  test_world_close (&world);
  close (a);
  close (b);
  close (c);
  close (waiting);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/close/kick", test_kick);
  g_test_add_func ("/net/close/fault", test_fault);
  g_test_add_func ("/net/close/stop", test_stop);
  return g_test_run ();
}
