/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who sends too much and who reads too little: pauses, queues, marks, recordings. */
#include "net/net-testing.h"

#include <string.h>
#include <unistd.h>

#define NO_LIMITS                                                                        \
  (const char *[])                                                                       \
  {                                                                                      \
    "tcp.limiting.enabled=false", NULL                                                   \
  }

static Connection *newest (TestWorld *world)
{
  return conn_find (world->gateway, world->conn);
}

static void shrink_buffers (TestWorld *world)
{
  int size = 4608;
  setsockopt (newest (world)->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void many_frames (GString *out, const char *payload, guint n)
{
  for (guint i = 0; i < n; i++)
    test_frame (out, payload, -1);
}

/* A connection that is identified, bound and has little room in the kernel. */
static int connect_slow (TestWorld *world)
{
  int fd = test_connect (world);
  test_send_frame (fd, "i");
  test_turn (world);
  shrink_buffers (world);
  return fd;
}

/* ---- the write queue -------------------------------------------------------------- */

static void test_slow_reader (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NO_LIMITS);
  int other = test_connect (&world);
  test_send_frame (other, "i");
  test_turn (&world);
  int fd = connect_slow (&world);
  g_autoptr (GString) frames = g_string_new (NULL);

  many_frames (frames, "r", 2000); /* 240 bytes are answered to each, and never read */
  test_send (fd, frames->str, frames->len);
  test_turn (&world);
  Connection *conn = newest (&world);
  g_assert_cmpuint (conn->out->n, ==, 128);
  g_assert_true (conn->pauses & PAUSE_QUEUE); /* it is not read any more */
  g_assert_cmpuint (conn->rx_frames, <, 2000);
  g_assert_false (ch_gateway_can_write (world.gateway, world.conn));
  g_assert_cmpuint (ch_gateway_pending_bytes (world.gateway), ==, conn->out->bytes);

  test_send_frame (other, "echo"); /* others do not notice */
  test_turn (&world);
  g_autoptr (GString) answer = test_receive (other);
  g_assert_cmpuint (answer->len, ==, 8);

  test_advance (&world, 29999);
  g_assert_nonnull (newest (&world));
  test_advance (&world, 1);
  g_assert_null (newest (&world));
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_WRITE_TIMEOUT), ==, 1);
  g_assert_cmpuint (ch_gateway_pending_bytes (world.gateway), ==, 0);
  close (fd);
  close (other);
  test_world_close (&world);
}

/* One that reads in the end gets everything, in order, and is served again. */
static void test_recovery (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NO_LIMITS);
  int fd = connect_slow (&world);
  g_autoptr (GString) frames = g_string_new (NULL), all = g_string_new (NULL);

  for (guint i = 0; i < 3000; i++) {
    g_autofree char *payload = g_strdup_printf ("echo of number %u", i);
    test_frame (frames, payload, -1);
  }
  gsize sent = 0;
  while (sent < frames->len || newest (&world)->out != NULL
         || newest (&world)->rest_size > 0) {
    gssize n = send (fd, frames->str + sent, frames->len - sent, MSG_DONTWAIT);
    sent += n > 0 ? (gsize) n : 0;
    test_turn (&world);
    test_advance (&world, 20000); /* slow, but there is progress */
    g_autoptr (GString) part = test_receive (fd);
    g_string_append_len (all, part->str, (gssize) part->len);
    g_assert_nonnull (newest (&world));
  }
  g_autoptr (GString) rest = test_receive (fd);
  g_string_append_len (all, rest->str, (gssize) rest->len);
  /* Replies that found no place are lost to the protocol, so count what it was told. */
  ChConnInfo info;
  ch_gateway_conn_info (world.gateway, world.conn, &info);
  g_assert_cmpuint (info.rx_frames, ==, 3001);
  g_assert_cmpuint (info.tx_bytes, ==, all->len);
  g_assert_false (info.paused);
  guint frames_seen = 0;
  gint64 last = -1;
  for (gsize i = 0; i < all->len; frames_seen++) {
    g_assert_cmpint (all->str[i], ==, 'T');
    g_autofree char *payload = g_strndup (all->str + i + 3, (guint8) all->str[i + 2]);
    gint64 number
        = (gint64) g_ascii_strtoull (payload + strlen ("echo of number "), NULL, 10);
    g_assert_cmpint (number, >, last);
    last = number;
    i += (gsize) (guint8) all->str[i + 2] + 4;
  }
  g_assert_cmpuint (frames_seen, ==, info.tx_frames);
  g_assert_true (ch_gateway_can_write (world.gateway, world.conn));
  close (fd);
  test_world_close (&world);
}

static void test_places (void)
{
  TestWorld world;
  ChCommand command = {.id = "cmd_01ARZ3NDEKTSV4RRFFQ69G5FAV"};
  char block[2000] = "x";
  test_world_open (&world, TRUE, NO_LIMITS);
  int fd = connect_slow (&world);

  g_assert_cmpint (ch_gateway_send (world.gateway, world.conn, &command), ==,
                   CH_COMMAND_SENT);
  g_assert_cmpuint (world.sent, ==, 0); /* at once: nothing to tell later */
  g_assert_null (newest (&world)->out);
  while (newest (&world)->out == NULL)
    g_assert_true (
        ch_conn_write (world.plugin, world.conn, block, sizeof block, CH_WRITE_REPLY));

  guint queued = 0;
  while (ch_gateway_send (world.gateway, world.conn, &command) == CH_COMMAND_SENT)
    queued++;
  g_assert_cmpuint (newest (&world)->out->n, ==, 96);
  g_assert_cmpuint (queued, ==, 95);
  g_assert_false (ch_gateway_can_write (world.gateway, world.conn));
  for (guint i = 0; i < 32; i++) /* the places of replies */
    g_assert_true (ch_conn_write (world.plugin, world.conn, "r", 1, CH_WRITE_REPLY));
  g_assert_false (newest (&world)->pauses & PAUSE_QUEUE);
  g_assert_false (ch_conn_write (world.plugin, world.conn, "r", 1, CH_WRITE_REPLY));
  g_assert_true (newest (&world)->pauses & PAUSE_QUEUE);

  guint64 writable = world.hook_writable;
  while (newest (&world)->out != NULL) {
    g_string_free (test_receive (fd), TRUE);
    test_turn (&world);
  }
  g_assert_cmpuint (world.sent, ==, 95);
  g_assert_cmpuint (world.dropped, ==, 0);
  g_assert_cmpstr (world.last_command, ==, command.id);
  g_assert_cmpuint (world.hook_writable, ==, writable + 1);
  g_assert_true (ch_gateway_can_write (world.gateway, world.conn));

  g_string_free (test_receive (fd), TRUE);
  while (newest (&world)->out == NULL)
    ch_conn_write (world.plugin, world.conn, block, sizeof block, CH_WRITE_REPLY);
  for (guint i = 0; i < 3; i++)
    ch_gateway_send (world.gateway, world.conn, &command);
  ch_conn_close (world.plugin, world.conn, CH_CLOSE_TAKEOVER);
  g_assert_cmpuint (world.closed, ==, 0); /* not inside */
  test_turn (&world);
  g_assert_cmpuint (world.closed, ==, 1);
  g_assert_cmpuint (world.dropped, ==, 3);
  close (fd);
  test_world_close (&world);
}

static void test_bytes_limit (void)
{
  TestWorld world;
  g_autofree char *block = g_malloc0 (300 * 1024);
  test_world_open (&world, TRUE, NO_LIMITS);
  int fd = connect_slow (&world);

  g_assert_false (
      ch_conn_write (world.plugin, world.conn, block, 300 * 1024, CH_WRITE_REPLY));
  g_assert_true (
      ch_conn_write (world.plugin, world.conn, block, 220 * 1024, CH_WRITE_REPLY));
  g_assert_true (newest (&world)->out->high);
  g_assert_true (
      ch_conn_write (world.plugin, world.conn, block, 20 * 1024, CH_WRITE_REPLY));
  g_assert_false (
      ch_conn_write (world.plugin, world.conn, block, 50 * 1024, CH_WRITE_REPLY));
  g_assert_cmpuint (newest (&world)->out->n, ==, 2);
  close (fd);
  test_turn (&world);
  g_assert_null (newest (&world));
  g_assert_cmpuint (ch_gateway_pending_bytes (world.gateway), ==, 0);
  test_world_close (&world);
}

/* ---- too much input --------------------------------------------------------------- */

static void test_frame_rate (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL); /* 20 per second, 60 at once */
  int fd = test_connect (&world), other = test_connect (&world);
  g_autoptr (GString) frames = g_string_new (NULL);

  many_frames (frames, "a", 100);
  test_send (fd, frames->str, frames->len);
  test_turn (&world);
  g_assert_cmpuint (world.frames, ==, 60);
  ChConnInfo info;
  g_assert_true (ch_gateway_conn_info (world.gateway, world.conn, &info));
  test_send_frame (other, "other");
  test_turn (&world);
  g_assert_true (g_str_has_suffix (world.input->str, "other "));
  test_advance (&world, 49);
  g_assert_cmpuint (world.frames, ==, 61);
  test_advance (&world, 1);
  g_assert_cmpuint (world.frames, ==, 62);
  test_advance (&world, 950);
  g_assert_cmpuint (world.frames, ==, 81);
  test_advance (&world, 1000);
  g_assert_cmpuint (world.frames, ==, 101);
  close (fd);
  close (other);
  test_world_close (&world);
}

static void test_byte_rate (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, (const char *[]) {"proto-test.frames_per_s=0", NULL});
  int fd = test_connect (&world);
  g_autoptr (GString) frames = g_string_new (NULL);
  char payload[255] = "a";

  for (guint i = 0; i < 400; i++)
    test_frame (frames, payload, sizeof payload);
  test_send (fd, frames->str, frames->len); /* 103,600 bytes */
  test_turn (&world);
  /* A burst of 64 KiB, and the read that went over it. */
  Connection *conn = newest (&world);
  g_assert_cmpuint (conn->rx_bytes, >=, 65536);
  g_assert_cmpuint (conn->rx_bytes, <=, 65536 + 4096);
  g_assert_true (conn->pauses & PAUSE_PACE);
  test_advance (&world, 1000);
  g_assert_cmpuint (conn->rx_bytes, >=, 65536 + 16384 - 4096);
  g_assert_cmpuint (conn->rx_bytes, <=, 65536 + 16384 + 4096);
  for (guint i = 0; i < 50; i++)
    test_advance (&world, 100);
  g_assert_cmpuint (world.frames, ==, 400);
  close (fd);
  test_world_close (&world);
}

/* Sends without end for @seconds; returns after how many it was closed, or 0. */
static guint flood (TestWorld *world, guint seconds)
{
  int fd = test_connect (world);
  g_autoptr (GString) frames = g_string_new (NULL);
  guint closed_at = 0;

  test_send_frame (fd, "i");
  many_frames (frames, "a", 100);
  for (guint i = 0; i < seconds * 4 && closed_at == 0; i++) {
    send (fd, frames->str, frames->len / 2, MSG_DONTWAIT | MSG_NOSIGNAL);
    test_advance (world, 250);
    if (newest (world) == NULL)
      closed_at = i / 4 + 1;
  }
  close (fd);
  test_turn (world);
  return closed_at;
}

static void test_flood (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  guint closed_at = flood (&world, 120);
  g_assert_cmpuint (closed_at, >=, 60);
  g_assert_cmpuint (closed_at, <=, 75);
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_FLOOD), ==, 1);
  g_assert_cmpstr (world.alarm, ==, "flood");
  test_world_close (&world);

  test_world_open (&world, TRUE,
                   (const char *[]) {"proto-test.flood_close_after_s=300", NULL});
  closed_at = flood (&world, 400);
  g_assert_cmpuint (closed_at, >=, 300);
  g_assert_cmpuint (closed_at, <=, 302);
  test_world_close (&world);

  test_world_open (&world, TRUE,
                   (const char *[]) {"proto-test.flood_close_after_s=-1", NULL});
  g_assert_cmpuint (flood (&world, 400), ==, 0);
  g_assert_cmpstr (world.alarm, ==, "flood");
  g_assert_cmpuint (world.alarms, <=, 2);
  test_world_close (&world);
}

/* ---- pauses by the core ----------------------------------------------------------- */

static void test_core_pause (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "i");
  test_turn (&world);
  ch_gateway_pause (world.gateway, world.conn);
  ch_gateway_pause (world.gateway, world.conn);
  test_send_frame (fd, "a");
  test_advance (&world, 400000); /* no blame for silence */
  ch_gateway_resume (world.gateway, world.conn);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i ");
  ch_gateway_resume (world.gateway, world.conn);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i a ");
  ch_gateway_resume (world.gateway, world.conn); /* once too often */

  ch_gateway_pause_all (world.gateway, TRUE);
  test_send_frame (fd, "b");
  int late = test_connect (&world);
  test_send_frame (late, "i");
  test_turn (&world);
  test_advance (&world, 10000);
  g_assert_cmpstr (world.input->str, ==, "i a ");
  ch_gateway_pause_all (world.gateway, FALSE);
  test_turn (&world);
  g_assert_cmpuint (world.frames, ==, 4);
  test_advance (&world, 299999);
  g_assert_cmpuint (world.gateway->active, ==, 2);
  test_advance (&world, 1);
  g_assert_cmpuint (test_closed_count (&world, CH_CLOSE_IDLE), ==, 2);
  close (fd);
  close (late);
  test_world_close (&world);
}

/* What was sent before hanging up is read after the pause. */
static void test_hang_up_while_paused (void)
{
  TestWorld world;
  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_send_frame (fd, "i");
  test_turn (&world);
  ch_gateway_pause (world.gateway, world.conn);
  test_send_frame (fd, "last words");
  close (fd);
  ChReactorStats before, after;
  ch_reactor_stats (world.services.reactor, &before);
  test_turn (&world);
  ch_reactor_stats (world.services.reactor, &after);
  g_assert_cmpuint (after.turns - before.turns, <, 10); /* and the loop does not spin */
  g_assert_nonnull (newest (&world));
  ch_gateway_resume (world.gateway, world.conn);
  test_turn (&world);
  g_assert_cmpstr (world.input->str, ==, "i last words ");
  g_assert_null (newest (&world));
  g_assert_cmpint (world.reason, ==, CH_CLOSE_PEER);
  test_world_close (&world);
}

/* ---- recording -------------------------------------------------------------------- */

static void append_lines (GPtrArray *lines, gboolean incoming, GString *all)
{
  for (guint i = 0; i < lines->len; i++) {
    const ChRecordLine *line = g_ptr_array_index (lines, i);
    if (line->incoming == incoming)
      g_string_append_len (all, (const char *) line->bytes, (gssize) line->size);
  }
}

/* What one connection said and heard, said again by another. */
static void test_record (void)
{
  TestWorld world;
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("chargehost-net-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "recording", NULL);
  g_autoptr (GString) said = g_string_new (NULL), heard = g_string_new (NULL);

  test_world_open (&world, TRUE, NULL);
  int fd = test_connect (&world);
  test_turn (&world);
  g_assert_true (ch_gateway_record (world.gateway, world.conn, path, &error));
  g_assert_no_error (error);
  test_send_frame (fd, "echo 1");
  test_turn (&world);
  test_advance (&world, 1500);
  test_send_frame (fd, "echo 2");
  test_turn (&world);
  g_assert_true (ch_gateway_record (world.gateway, world.conn, NULL, &error));
  test_send_frame (fd, "echo 3");
  test_turn (&world);
  close (fd);

  g_autoptr (GPtrArray) lines = ch_record_read (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (lines->len, ==, 4);
  const ChRecordLine *third = g_ptr_array_index (lines, 2);
  g_assert_cmpint (third->at_us, ==, 1500000);
  g_assert_true (third->incoming);
  append_lines (lines, TRUE, said);
  append_lines (lines, FALSE, heard);

  int again = test_connect (&world);
  test_send (again, said->str, said->len);
  test_turn (&world);
  g_autoptr (GString) answer = test_receive (again);
  g_assert_true (g_string_equal (answer, heard));
  close (again);

  g_assert_true (g_file_set_contents (path, "# note\n0.5 < 00\n", -1, NULL));
  g_assert_null (ch_record_read (path, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL);
  unlink (path);
  rmdir (folder);
  test_world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/flow/slow-reader", test_slow_reader);
  g_test_add_func ("/net/flow/recovery", test_recovery);
  g_test_add_func ("/net/flow/places", test_places);
  g_test_add_func ("/net/flow/bytes-limit", test_bytes_limit);
  g_test_add_func ("/net/flow/frame-rate", test_frame_rate);
  g_test_add_func ("/net/flow/byte-rate", test_byte_rate);
  g_test_add_func ("/net/flow/flood", test_flood);
  g_test_add_func ("/net/flow/core-pause", test_core_pause);
  g_test_add_func ("/net/flow/hang-up-while-paused", test_hang_up_while_paused);
  g_test_add_func ("/net/flow/record", test_record);
  return g_test_run ();
}
