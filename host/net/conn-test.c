/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections over socket pairs, with a clock of their own: bytes, frames, time-outs. */
#include "net/net-testing.h"

#include <string.h>
#include <unistd.h>

static Connection *newest (TestWorld *world)
{
  return conn_find (world->gateway, world->conn);
}

static void expect_bytes (const GString *got, const char *bytes, gsize size)
{
  g_assert_cmpuint (got->len, ==, size);
  g_assert_cmpint (memcmp (got->str, bytes, size), ==, 0);
}

static void expect_closed (TestWorld *world, int fd, ChCloseReason reason)
{
  g_assert_null (newest (world));
  g_assert_true (test_is_closed (fd));
  g_assert_cmpuint (test_closed_count (world, reason), ==, 1);
  g_assert_cmpuint (world->gateway->active, ==, 0);
}

/* ---- identification --------------------------------------------------------------- */

static const struct {
  const char *bytes;
  gsize size;
  gint unidentified; /* −1: waits, −2: identified */
} FIRST_BYTES[] = {
    {"T", 1, -1},
    {"TP", 2, -2},
    {"TX", 2, UNIDENTIFIED_NO_MATCH},
    {"\0", 1, UNIDENTIFIED_NO_MATCH},
    {"GET / HTTP/1.1\r\n", 16, UNIDENTIFIED_FOREIGN},
    {"POST /", 6, UNIDENTIFIED_FOREIGN},
    {"HEAD /", 6, UNIDENTIFIED_FOREIGN},
    {"SSH-2.0-x", 9, UNIDENTIFIED_FOREIGN},
    {"\x16\x03\x01\x02", 4, UNIDENTIFIED_FOREIGN},
};

static void test_first_bytes (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (FIRST_BYTES); i++) {
    TestWorld world;
    test_world_open (&world, TRUE, NULL);
    int fd = test_connect (&world);
    test_turn (&world);
    test_send (fd, FIRST_BYTES[i].bytes, FIRST_BYTES[i].size);
    test_turn (&world);
    gint expected = FIRST_BYTES[i].unidentified;
    g_assert_cmpuint (world.opened, ==, expected == -2 ? 1 : 0);
    if (expected < 0) {
      g_assert_nonnull (newest (&world));
    } else {
      expect_closed (&world, fd, CH_CLOSE_IDENTIFY);
      g_assert_cmpuint (world.gateway->unidentified[expected], ==, 1);
    }
    test_world_close (&world);
    close (fd);
  }
}

static ChSniff sniff_undecided (const guint8 *p, gsize n)
{
  g_assert_cmpuint (n, <=, 64);
  return CH_SNIFF_MORE;
}

/* A second protocol in the same gateway: order, limits of what is shown, listeners. */
static void test_second_protocol (void)
{
  TestWorld world;
  g_autoptr (GError) error = NULL;
  ChProtocol slow = *test_protocol ();
  slow.name = "slow";
  slow.sniff = sniff_undecided;

  test_world_open (&world, TRUE, NULL);
  g_assert_false (
      ch_gateway_add_protocol (world.gateway, world.plugin, test_protocol (), &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE);
  g_clear_error (&error);
  g_autoptr (ChPlugin) owner = ch_owner_new (&world.services, "proto-slow", NULL);
  g_assert_true (ch_gateway_add_protocol (world.gateway, owner, &slow, &error));

  int fd = test_connect (&world);
  test_send_frame (fd, "a"); /* one says yes, the other is undecided */
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "a ");
  close (fd);

  fd = test_connect (&world);
  char many[64];
  memset (many, 'q', sizeof many);
  test_send (fd, many, 63);
  test_turn (&world);
  g_assert_nonnull (newest (&world));
  test_send (fd, many, 1);
  test_turn (&world);
  g_assert_null (newest (&world));
  g_assert_cmpuint (world.gateway->unidentified[UNIDENTIFIED_TOO_LONG], ==, 1);
  close (fd);
  test_world_close (&world);
}

static void test_silence (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_turn (&world);
  test_send (fd, "T", 1); /* half a mark does not prolong it */
  test_advance (&world, 4999);
  g_assert_nonnull (newest (&world));
  test_advance (&world, 1);
  expect_closed (&world, fd, CH_CLOSE_IDENTIFY);
  g_assert_cmpuint (world.gateway->unidentified[UNIDENTIFIED_TIMEOUT], ==, 1);
  close (fd);
  test_world_close (&world);
}

/* ---- frames ----------------------------------------------------------------------- */

static void test_bytewise (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  g_autoptr (GString) bytes = g_string_new (NULL);
  test_frame (bytes, "eins", -1);
  test_frame (bytes, "zwei", -1);
  for (gsize i = 0; i < bytes->len; i++) {
    test_send (fd, bytes->str + i, 1);
    test_turn (&world);
  }
  g_assert_cmpstr (world.input->str, ==, "eins zwei ");
  g_assert_null (newest (&world)->rest); /* an idle connection owns no buffer */
  g_autoptr (GString) answer = test_receive (fd);
  expect_bytes (answer, bytes->str, 8); /* `e` is echoed */
  close (fd);
  test_world_close (&world);
}

static void test_glued (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  g_autoptr (GString) bytes = g_string_new (NULL), expected = g_string_new (NULL);

  for (guint i = 0; i < 10; i++) {
    g_autofree char *payload = g_strdup_printf ("e%u", i);
    test_frame (bytes, payload, -1);
  }
  g_string_assign (expected, bytes->str);
  g_string_append_len (bytes, "TP", 2); /* and half a frame */
  test_send (fd, bytes->str, bytes->len);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 ");
  g_autoptr (GString) answer = test_receive (fd);
  expect_bytes (answer, bytes->str, bytes->len - 2);
  g_assert_cmpuint (newest (&world)->rest_size, ==, 2);
  test_send (fd, "\x01z\x7a", 3);
  test_turn (&world);
  g_assert_true (g_str_has_suffix (world.input->str, " z "));
  g_assert_null (newest (&world)->rest);
  close (fd);
  test_world_close (&world);
}

/* Garbage between frames costs one error; a bad checksum with its remains another. */
static void test_garbage (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  g_autoptr (GString) bytes = g_string_new (NULL);

  test_frame (bytes, "a", -1);
  g_string_append (bytes, "garbage");
  test_frame (bytes, "b1", -1);
  gsize bad = bytes->len;
  test_frame (bytes, "spoilt", -1);
  bytes->str[bad + 4] = 'q';
  test_frame (bytes, "c", -1);
  test_send (fd, bytes->str, bytes->len);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "a b1 c ");
  ChConnInfo info;
  g_assert_true (ch_gateway_conn_info (world.gateway, world.conn, &info));
  /* garbage, what the protocol says of `b`, the checksum */
  g_assert_cmpuint (info.bad_frames, ==, 3);
  g_assert_cmpuint (info.rx_frames, ==, 3);
  g_assert_cmpuint (info.rx_bytes, ==, bytes->len);
  close (fd);
  test_world_close (&world);
}

/* What comes out does not depend on how the bytes were cut. */
static void test_random_cuts (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autoptr (GString) bytes = g_string_new (NULL), expected = g_string_new (NULL);

  for (guint i = 0; i < 300; i++) {
    g_autofree char *payload
        = g_strdup_printf ("a%0*u", g_rand_int_range (rand, 1, 250), i);
    test_frame (bytes, payload, -1);
    g_string_append_printf (expected, "%s ", payload);
    if (i % 20 == 0)
      g_string_append (bytes, "TxP\xff");
  }
  for (guint round = 0; round < 20; round++) {
    TestWorld world;
    test_world_open (&world, TRUE, (const char *[]) {"tcp.limiting.enabled=false", NULL});
    int fd = test_connect (&world);
    gint most = round == 0 ? 3 : 1 << (round % 14);
    for (gsize at = 0; at < bytes->len;) {
      gsize n = (gsize) g_rand_int_range (rand, 1, most + 1);
      n = MIN (n, bytes->len - at); /* a macro: must not draw twice */
      test_send (fd, bytes->str + at, n);
      test_turn (&world);
      at += n;
    }
    g_assert_cmpstr (world.input->str, ==, expected->str);
    g_assert_cmpuint (newest (&world)->trouble->bad_frames, ==, 15);
    g_assert_null (newest (&world)->rest);
    close (fd);
    test_world_close (&world);
  }
}

static void test_bad_frames (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, (const char *[]) {"tcp.limiting.enabled=false", NULL});
  int fd = test_connect (&world);
  g_autoptr (GString) bad = g_string_new (NULL);
  test_frame (bad, "spoilt", -1);
  bad->str[4] = 'q';

  test_send_frame (fd, "i");
  for (guint i = 0; i < 20; i++)
    test_send (fd, bad->str, bad->len);
  test_turn (&world);
  g_assert_nonnull (newest (&world));
  test_advance (&world, 61000); /* a minute later they are forgotten */
  for (guint i = 0; i < 20; i++)
    test_send (fd, bad->str, bad->len);
  test_turn (&world);
  g_assert_nonnull (newest (&world));
  test_send (fd, bad->str, bad->len);
  test_turn (&world);
  expect_closed (&world, fd, CH_CLOSE_BAD_FRAMES);
  g_assert_cmpstr (world.alarm, ==, "protocol_errors");
  g_assert_cmpuint (world.alarms, ==, 1);
  close (fd);
  test_world_close (&world);
}

static void test_only_garbage (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  char garbage[2048];
  memset (garbage, 'g', sizeof garbage);

  test_send_frame (fd, "a");
  test_send (fd, garbage, sizeof garbage);
  test_turn (&world);
  g_assert_nonnull (newest (&world));
  test_send (fd, garbage, sizeof garbage);
  test_turn (&world);
  expect_closed (&world, fd, CH_CLOSE_BAD_FRAMES);
  close (fd);
  test_world_close (&world);
}

/* A decoder that waits for more than a frame may have: once lost, twice closed. */
static void test_overflow (void)
{
  TestWorld world;
  test_world_open (&world, TRUE,
                   (const char *[]) {"proto-test.max_frame_bytes=64", NULL});
  int fd = test_connect (&world);
  char stuck[64] = {'U'};

  test_send_frame (fd, "i");
  test_send (fd, stuck, sizeof stuck);
  test_send_frame (fd, "b");
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i b ");
  test_advance (&world, 61000);
  test_send (fd, stuck, sizeof stuck);
  test_turn (&world);
  g_assert_nonnull (newest (&world));
  test_send (fd, stuck, sizeof stuck);
  test_turn (&world);
  expect_closed (&world, fd, CH_CLOSE_FRAMING);
  close (fd);
  test_world_close (&world);
}

/* The length byte was noise: after ten seconds of silence the frame behind it is found.
 */
static void test_frame_timeout (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);

  test_send_frame (fd, "i");
  test_send (fd, "TP\x60", 3);
  test_send_frame (fd, "hidden");
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i ");
  test_advance (&world, 9999);
  g_assert_cmpstr (world.input->str, ==, "i ");
  test_advance (&world, 1);
  g_assert_cmpstr (world.input->str, ==, "i hidden ");
  test_send (fd, "TP", 2); /* each new byte begins the time anew */
  test_turn (&world);
  test_advance (&world, 6000);
  test_send (fd, "\x05", 1);
  test_turn (&world);
  test_advance (&world, 6000);
  test_send (fd, "later\x18", 6);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i hidden later ");
  close (fd);
  test_world_close (&world);
}

/* ---- time-outs --------------------------------------------------------------------- */

static void test_idle (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "i");
  test_turn (&world);
  test_advance (&world, 200000);
  test_send_frame (fd, "e"); /* a byte prolongs it without touching the wheel */
  test_turn (&world);
  test_advance (&world, 299999);
  g_assert_nonnull (newest (&world));
  test_advance (&world, 1);
  expect_closed (&world, fd, CH_CLOSE_IDLE);
  g_assert_cmpint (world.reason, ==, CH_CLOSE_IDLE);
  close (fd);
  test_world_close (&world);
}

static void test_bind (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "a");
  test_turn (&world);
  test_advance (&world, 29999);
  test_send_frame (fd, "i"); /* just in time */
  test_turn (&world);
  test_advance (&world, 60000);
  g_assert_nonnull (newest (&world));
  ch_gateway_set_bound (world.gateway, world.conn, FALSE); /* the last device has gone */
  test_advance (&world, 29999);
  g_assert_nonnull (newest (&world));
  test_advance (&world, 1);
  expect_closed (&world, fd, CH_CLOSE_BIND);
  close (fd);
  test_world_close (&world);
}

static void test_no_timeouts (void)
{
  TestWorld world;
  test_world_open (&world, TRUE,
                   (const char *[]) {"proto-test.bind_timeout_s=0",
                                     "proto-test.idle_timeout_s=0", NULL});
  int fd = test_connect (&world);
  test_send_frame (fd, "a");
  test_turn (&world);
  test_advance (&world, 10 * 86400 * 1000);
  g_assert_nonnull (newest (&world));
  g_assert_cmpint (ch_wheel_next_ms (world.services.reactor), ==, -1);
  close (fd);
  test_world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/conn/first-bytes", test_first_bytes);
  g_test_add_func ("/net/conn/second-protocol", test_second_protocol);
  g_test_add_func ("/net/conn/silence", test_silence);
  g_test_add_func ("/net/conn/bytewise", test_bytewise);
  g_test_add_func ("/net/conn/glued", test_glued);
  g_test_add_func ("/net/conn/garbage", test_garbage);
  g_test_add_func ("/net/conn/random-cuts", test_random_cuts);
  g_test_add_func ("/net/conn/bad-frames", test_bad_frames);
  g_test_add_func ("/net/conn/only-garbage", test_only_garbage);
  g_test_add_func ("/net/conn/overflow", test_overflow);
  g_test_add_func ("/net/conn/frame-timeout", test_frame_timeout);
  g_test_add_func ("/net/conn/idle", test_idle);
  g_test_add_func ("/net/conn/bind", test_bind);
  g_test_add_func ("/net/conn/no-timeouts", test_no_timeouts);
  return g_test_run ();
}
