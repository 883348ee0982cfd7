/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program itself: options, exit status, signals, logs, the control socket. The server
 * is played by a thread, because the simulator is another process here. */
#include "report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (30 * G_USEC_PER_SEC)

typedef struct {
  int listener;
  guint16 port;
  gboolean silent; /* takes frames and says nothing */
  pthread_t thread;
  char *dir;
} Fixture;

/* ---- server ----------------------------------------------------------------------- */

static void answer (int fd, const guint8 *bytes, gsize size)
{
  guint8 out[BKV_MAX_FRAME];
  BkvFrame in, frame;
  gsize n = 0;

  if (!bkv_decode (bytes, size, &in))
    return;
  if (in.kind == BKV_HEARTBEAT) {
    bkv_init (&frame, BKV_HEARTBEAT_ACK, in.gateway, 0);
    bkv_time_to_bcd (g_get_real_time () / 1000, 0, frame.heartbeat_ack.time);
    n = bkv_encode (&frame, out, sizeof out);
  } else if (in.kind == BKV_STATUS_REPORT) {
    bkv_init (&frame, BKV_STATUS_ACK, in.gateway, 0);
    BKV_SET (&frame.items, ITEM, result, 1);
    n = bkv_encode (&frame, out, sizeof out);
  }
  if (n > 0)
    send (fd, out, n, MSG_NOSIGNAL);
}

static void serve (const Fixture *f, int fd)
{
  guint8 buffer[8192];
  gsize have = 0;

  for (;;) {
    ssize_t n = recv (fd, buffer + have, sizeof buffer - have, 0);
    if (n <= 0)
      return;
    have += (gsize) n;
    for (;;) {
      const char *error;
      gssize size = bkv_frame (buffer, have, BKV_MAX_FRAME, &error);
      if (size <= 0)
        break;
      if (!f->silent)
        answer (fd, buffer, (gsize) size);
      have -= (gsize) size;
      memmove (buffer, buffer + size, have);
    }
  }
}

/* One connection after the other; ends when the listener is shut down. */
static void *server_thread (void *data)
{
  const Fixture *f = data;

  for (;;) {
    int fd = accept (f->listener, NULL, NULL);
    if (fd < 0)
      return NULL;
    serve (f, fd);
    close (fd);
  }
}

static void set_up (Fixture *f, gconstpointer args)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  f->silent = args != NULL;
  f->listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (f->listener, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (listen (f->listener, 16), ==, 0);
  getsockname (f->listener, (struct sockaddr *) &address, &size);
  f->port = ntohs (address.sin_port);
  g_assert_cmpint (pthread_create (&f->thread, NULL, server_thread, f), ==, 0);
  f->dir = g_dir_make_tmp ("chargehost-sim-XXXXXX", NULL);
}

static void tear_down (Fixture *f, gconstpointer args)
{
  static const char *const names[] = {"summary", "out", "control"};

  shutdown (f->listener, SHUT_RDWR);
  pthread_join (f->thread, NULL);
  close (f->listener);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (f->dir, names[i], NULL);
    g_remove (path);
  }
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->dir);
}

/* ---- program ---------------------------------------------------------------------- */

/* Its output goes to the file “out”; returns its process id. */
static GPid run (Fixture *f, const char *args)
{
  const char *build = g_getenv ("CHARGEHOST_TEST_BUILD");
  g_autofree char *line
      = g_strdup_printf ("exec %s/host/sim/chargehost-sim --server 127.0.0.1:%u "
                         "--summary-json %s/summary %s > %s/out 2>&1 < /dev/null",
                         build, f->port, f->dir, args, f->dir);
  char *argv[] = {(char *) "/bin/sh", (char *) "-c", line, NULL};
  GError *error = NULL;
  GPid pid = 0;

  g_spawn_async (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
  g_assert_no_error (error);
  return pid;
}

static int await_exit (GPid pid)
{
  int status = 0;

  while (waitpid (pid, &status, 0) < 0)
    g_assert_cmpint (errno, ==, EINTR);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

static char *read_output (const Fixture *f, const char *name)
{
  g_autofree char *path = g_build_filename (f->dir, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static void await_output (const Fixture *f, const char *needle)
{
  gint64 limit = g_get_monotonic_time () + PATIENCE;

  for (;;) {
    g_autofree char *text = read_output (f, "out");
    if (text != NULL && strstr (text, needle) != NULL)
      return;
    if (g_get_monotonic_time () > limit)
      g_error ("no “%s” in: %s", needle, text);
    poll (NULL, 0, 5); /* another process: there is nothing to wait on but its file */
  }
}

/* ---- tests ------------------------------------------------------------------------ */

static void test_signal (Fixture *f, gconstpointer args)
{
  GPid pid = run (f, "--log json --time-scale 10 --strict");

  await_output (f, "\"name\":\"status_ack\"");
  g_assert_cmpint (kill (pid, SIGTERM), ==, 0);
  g_assert_cmpint (await_exit (pid), ==, 0);

  g_autofree char *text = read_output (f, "out");
  g_auto (GStrv) lines = g_strsplit (text, "\n", 0);
  guint up = 0, down = 0;
  for (guint i = 0; lines[i] != NULL && lines[i][0] == '{'; i++) {
    json_t *line = json_loads (lines[i], 0, NULL);
    g_assert_nonnull (line);
    const char *way = json_string_value (json_object_get (line, "direction"));
    if (way == NULL)
      g_assert_nonnull (json_object_get (line, "note"));
    else {
      json_t *decoded = json_object_get (line, "decoded");
      g_assert_cmpstr (json_string_value (json_object_get (decoded, "gateway_id")), ==,
                       "82000000000001");
      g_assert_nonnull (json_object_get (line, "hex"));
      g_assert_nonnull (json_object_get (line, "time"));
      *(strcmp (way, "up") == 0 ? &up : &down) += 1;
    }
    json_decref (line);
  }
  g_assert_cmpuint (up, >=, 3);
  g_assert_cmpuint (down, >=, 2);

  g_autofree char *figures = read_output (f, "summary");
  json_t *summary = json_loads (figures, 0, NULL);
  g_assert_cmpint (json_integer_value (json_object_get (summary, "connects")), ==, 1);
  g_assert_cmpint (json_integer_value (json_object_get (summary, "rules_broken")), ==, 0);
  json_t *first = json_object_get (summary, "first_answer");
  g_assert_cmpint (json_integer_value (json_object_get (first, "count")), ==, 1);
  json_decref (summary);
}

static void test_strict (Fixture *f, gconstpointer args)
{
  GPid pid = run (f, "--time-scale 50 --strict --answer-limit 0.01");

  await_output (f, "RULE BROKEN heartbeat_unanswered");
  g_assert_cmpint (kill (pid, SIGTERM), ==, 0);
  g_assert_cmpint (await_exit (pid), ==, 3);
  g_autofree char *text = read_output (f, "out");
  g_assert_nonnull (strstr (text, "the server broke a rule"));
}

static void test_usage (Fixture *f, gconstpointer args)
{
  g_assert_cmpint (await_exit (run (f, "--sockets 999")), ==, 2);
  g_assert_cmpint (await_exit (run (f, "--help")), ==, 0);
  g_autofree char *text = read_output (f, "out");
  g_assert_nonnull (strstr (text, "One gateway to look at"));
  g_assert_nonnull (strstr (text, "second-connection"));
  g_assert_cmpint (await_exit (run (f, "--state /dev/null/here")), ==, 1);
  g_assert_cmpint (await_exit (run (f, "--duration 0.05")), ==, 0);
}

static int connect_control (const Fixture *f)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  gint64 limit = g_get_monotonic_time () + PATIENCE;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/control", f->dir);
  while (connect (fd, (struct sockaddr *) &address, sizeof address) < 0) {
    g_assert_cmpint (g_get_monotonic_time (), <, limit);
    poll (NULL, 0, 5); /* until the process listens */
  }
  return fd;
}

static void test_control (Fixture *f, gconstpointer args)
{
  g_autofree char *line = g_strdup_printf ("--control-socket %s/control", f->dir);
  GPid pid = run (f, line);
  int fd = connect_control (f);
  static const char commands[]
      = "status\nunplug #1 1 A\n# a remark\nnonsense\nwait 0.01\n"
        "status #1\nquit\n";
  g_autoptr (GString) text = g_string_new (NULL);
  char bytes[512];
  ssize_t n;

  g_assert_cmpint (send (fd, commands, sizeof commands - 1, 0), ==, sizeof commands - 1);
  while ((n = recv (fd, bytes, sizeof bytes, 0)) > 0)
    g_string_append_len (text, bytes, n);
  close (fd);
  g_assert_cmpint (await_exit (pid), ==, 0);
  g_assert_nonnull (strstr (text->str, "2 sockets"));
  g_assert_nonnull (strstr (text->str, "unknown command"));
  g_assert_nonnull (strstr (text->str, "error\n"));
  g_assert_nonnull (strstr (text->str, "nothing plugged in"));
  g_assert_true (g_str_has_suffix (text->str, "ok\n"));
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, args, func)                                                            \
  g_test_add ("/sim/process/" name, Fixture, args, set_up, func, tear_down)
  ADD ("signal", NULL, test_signal);
  ADD ("strict", "silent", test_strict);
  ADD ("usage", NULL, test_usage);
  ADD ("control", NULL, test_control);
  return g_test_run ();
}
