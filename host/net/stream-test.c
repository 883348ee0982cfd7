/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Outgoing connections: names, refusals, gathered and bounded writes, their ends. */
#include "net/stream-private.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_US (20 * G_USEC_PER_SEC)

typedef struct {
  ChServices services;
  GMainContext *context;
  ChPlugin *self;
  int listener;
  int far;
  guint16 port;
  guint n_opened, n_closed;
  GString *came;
  char *problem;
  gboolean close_on_input;
} World;

static void opened (ChPlugin *self, ChStream stream, gpointer user_data)
{
  ((World *) user_data)->n_opened++;
}

static void input (ChPlugin *self, ChStream stream, const char *bytes, gsize n,
                   gpointer user_data)
{
  World *world = user_data;
  g_string_append_len (world->came, bytes, (gssize) n);
  if (world->close_on_input)
    ch_stream_close (self, stream);
}

static void closed (ChPlugin *self, ChStream stream, const GError *error,
                    gpointer user_data)
{
  World *world = user_data;
  world->n_closed++;
  g_free (world->problem);
  world->problem = g_strdup (error->message);
  g_assert_false (ch_stream_write (self, stream, "x", 1));
}

static const ChStreamFuncs FUNCS = {sizeof FUNCS, opened, input, closed};

static void world_open (World *world)
{
  g_autoptr (GError) error = NULL;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;

  *world = (World) {.far = -1};
  world->services.clock = ch_clock_new ();
  world->services.runner = ch_runner_new ();
  world->context = g_main_context_new ();
  g_main_context_push_thread_default (world->context);
  ch_reactor_new (&world->services, world->context, &error);
  g_assert_no_error (error);
  world->self = ch_owner_new (&world->services, "caller", NULL);
  world->came = g_string_new (NULL);
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  world->listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (world->listener, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (listen (world->listener, 5), ==, 0);
  getsockname (world->listener, (struct sockaddr *) &address, &size);
  world->port = ntohs (address.sin_port);
}

static void world_close (World *world)
{
  ch_owner_free (world->self);
  ch_reactor_free (world->services.reactor);
  g_main_context_pop_thread_default (world->context);
  g_main_context_unref (world->context);
  ch_runner_free (world->services.runner);
  ch_clock_free (world->services.clock);
  g_string_free (world->came, TRUE);
  g_free (world->problem);
  if (world->far >= 0)
    close (world->far);
  close (world->listener);
}

#define WAIT(world, condition)                                                           \
  G_STMT_START                                                                           \
  {                                                                                      \
    gint64 until = g_get_monotonic_time () + PATIENCE_US;                                \
    while (!(condition)) {                                                               \
      g_assert_cmpint (g_get_monotonic_time (), <, until);                               \
      g_main_context_iteration ((world)->context, TRUE);                                 \
    }                                                                                    \
  }                                                                                      \
  G_STMT_END

static ChStream open_to (World *world, const char *host, guint16 port, gsize write_max)
{
  ChStreamOptions options
      = {.size = sizeof options, .host = host, .port = port, .write_max = write_max};
  return ch_stream_open (world->self, &options, &FUNCS, world);
}

static void accept_one (World *world)
{
  world->far = accept (world->listener, NULL, NULL);
  g_assert_cmpint (world->far, >=, 0);
}

static void test_talk (gconstpointer host)
{
  World world;
  char bytes[64] = "";

  world_open (&world);
  ChStream stream = open_to (&world, host, world.port, 0);
  g_assert_true (ch_stream_write (world.self, stream, "early ", 6));
  WAIT (&world, world.n_opened == 1);
  accept_one (&world);
  g_assert_true (ch_stream_write (world.self, stream, "late", 4));
  WAIT (&world, ch_stream_unsent (world.self, stream) == 0);
  g_assert_cmpint (recv (world.far, bytes, 10, MSG_WAITALL), ==, 10);
  g_assert_cmpstr (bytes, ==, "early late");
  g_assert_cmpint (write (world.far, "answer", 6), ==, 6);
  WAIT (&world, world.came->len == 6);
  close (world.far);
  world.far = -1;
  WAIT (&world, world.n_closed == 1);
  g_assert_nonnull (strstr (world.problem, "closed the connection"));
  ch_stream_close (world.self, stream);
  world_close (&world);
}

static void test_refused (void)
{
  World world;

  world_open (&world);
  close (world.listener);
  world.listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  open_to (&world, "127.0.0.1", world.port, 0);
  WAIT (&world, world.n_closed == 1);
  g_assert_cmpuint (world.n_opened, ==, 0);
  ChStreamOptions options = {.size = sizeof options, .path = "/nonexistent/socket"};
  ch_stream_open (world.self, &options, &FUNCS, &world);
  g_assert_cmpuint (world.n_closed, ==, 1); /* never inside the call */
  WAIT (&world, world.n_closed == 2);
  g_assert_nonnull (strstr (world.problem, "/nonexistent/socket"));
  open_to (&world, "no-such-name.invalid", 1, 0);
  WAIT (&world, world.n_closed == 3);
  world_close (&world);
}

static void test_bounded (void)
{
  World world;
  g_autofree char *large = g_malloc0 (8 * 1024 * 1024);

  world_open (&world);
  ChStream stream = open_to (&world, "127.0.0.1", world.port, 1000);
  WAIT (&world, world.n_opened == 1);
  accept_one (&world);
  /* One of any size, then no more than fits. */
  g_assert_true (ch_stream_write (world.self, stream, large, 8 * 1024 * 1024));
  g_assert_false (ch_stream_write (world.self, stream, large, 10));
  gsize left = 8 * 1024 * 1024;
  while (left > 0) {
    g_main_context_iteration (world.context, FALSE);
    gssize n = recv (world.far, large, MIN (left, 65536), MSG_DONTWAIT);
    left -= n > 0 ? (gsize) n : 0;
  }
  g_assert_cmpuint (ch_stream_unsent (world.self, stream), ==, 0);
  g_assert_true (ch_stream_write (world.self, stream, large, 1000));
  /* Closing gives away what the kernel takes. */
  ch_stream_close (world.self, stream);
  g_assert_cmpint (recv (world.far, large, 1000, MSG_WAITALL), ==, 1000);
  g_assert_cmpint (recv (world.far, large, 1, 0), ==, 0);
  g_assert_cmpuint (world.n_closed, ==, 0);
  world_close (&world);
}

static void test_ends (void)
{
  World world;

  world_open (&world);
  world.close_on_input = TRUE;
  ChStream stream = open_to (&world, "127.0.0.1", world.port, 0);
  WAIT (&world, world.n_opened == 1);
  accept_one (&world);
  g_assert_cmpint (write (world.far, "x", 1), ==, 1);
  WAIT (&world, world.came->len == 1);
  g_assert_false (ch_stream_write (world.self, stream, "x", 1));
  /* Handles are not given twice; what is left open ends with its owner. */
  ChStream second = open_to (&world, "127.0.0.1", world.port, 0);
  g_assert_true (second != stream);
  open_to (&world, "no-such-name.invalid", 1, 0);
  ch_owner_revoke_all (world.self);
  g_assert_false (ch_stream_write (world.self, second, "x", 1));
  for (guint i = 0; i < 10; i++)
    g_main_context_iteration (world.context, FALSE);
  g_assert_cmpuint (world.n_closed, ==, 0);
  world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/net/stream/address", "127.0.0.1", test_talk);
  g_test_add_data_func ("/net/stream/name", "localhost", test_talk);
  g_test_add_func ("/net/stream/refused", test_refused);
  g_test_add_func ("/net/stream/bounded", test_bounded);
  g_test_add_func ("/net/stream/ends", test_ends);
  return g_test_run ();
}
