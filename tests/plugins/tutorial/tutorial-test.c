/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tutorial's plugin through the loader and the gateway. The facts are caught here:
 * the program's own functions come before the library's when the plugin is bound.
 */
#include "harness.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the plugin stated, and what it waits for. */
static struct {
  GString *facts;
  ChFactDone done;
  gpointer done_data;
  ChConn conn;
  ChPlugin *plugin;
} said;

ChOnline ch_device_online (ChPlugin *self, ChConn conn, const char *device,
                           ChFactDone done, gpointer user_data)
{
  g_string_append_printf (said.facts, "online %s; ", device);
  ch_gateway_set_bound (self->services->gateway, conn, TRUE);
  said.plugin = self;
  said.conn = conn;
  return g_str_equal (device, "thief") ? CH_ONLINE_REFUSED : CH_ONLINE_OK;
}

void ch_device_registered (ChPlugin *self, ChConn conn, const char *device,
                           const ChRegistered *fact)
{
  g_string_append_printf (said.facts, "registered %d; ", (gint) fact->port_count);
}

void ch_port_update (ChPlugin *self, ChConn conn, const char *device,
                     const ChPortUpdate *fact)
{
  g_string_append_printf (said.facts, "port %d %d %d; ", fact->port_no,
                          (gint) fact->status, (gint) fact->power_mw);
}

void ch_order_ended (ChPlugin *self, ChConn conn, const char *device,
                     const ChOrderEnded *fact, ChFactDone done, gpointer user_data)
{
  g_string_append_printf (said.facts, "ended %s %d; ", fact->order_no,
                          (gint) fact->energy_wh);
  said.done = done;
  said.done_data = user_data;
}

gboolean ch_command_result (ChPlugin *self, ChConn conn, const ChCommandResult *result)
{
  g_string_append_printf (said.facts, "result %u %s; ", result->msg_id,
                          result->state == CH_COMMAND_ACKED ? "acked" : "rejected");
  return TRUE;
}

static void assert_facts (const char *facts)
{
  g_assert_cmpstr (said.facts->str, ==, facts);
  g_string_truncate (said.facts, 0);
}

static void assert_answer (Harness *harness, int fd, const char *text)
{
  char buffer[256];
  harness_turn (harness);
  ssize_t got = recv (fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
  buffer[MAX (got, 0)] = '\0';
  g_assert_cmpstr (buffer, ==, text);
}

static void send_text (Harness *harness, int fd, const char *text)
{
  g_assert_cmpint (send (fd, text, strlen (text), MSG_NOSIGNAL), ==,
                   (gint) strlen (text));
  harness_turn (harness);
}

static int connect_meter (Harness *harness)
{
  g_autoptr (GError) error = NULL;
  int ends[2];
  g_assert_cmpint (
      socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), ==, 0);
  g_assert_cmpuint (
      ch_gateway_adopt (harness->services.gateway, ends[0], "1.2.3.4:5", &error), !=, 0);
  g_assert_no_error (error);
  return ends[1];
}

static void setup (Harness *harness, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (g_getenv ("CHARGEHOST_TEST_BUILD"), "tests",
                                            "plugins", "tutorial", "proto-toy.so", NULL);
  harness_setup (harness, data);
  said.facts = g_string_new (NULL);
  ch_plugins_provide (harness->plugins, "core");
  g_assert_true (ch_plugins_add_file (harness->plugins, path, &error));
  g_assert_true (ch_plugins_start (harness->plugins, "proto-toy", &error));
  g_assert_no_error (error);
}

static void teardown (Harness *harness, gconstpointer data)
{
  harness_teardown (harness, data);
  g_string_free (said.facts, TRUE);
}

static void test_talk (Harness *harness, gconstpointer data)
{
  int fd = connect_meter (harness);
  send_text (harness, fd, "HI met");
  assert_facts ("");
  send_text (harness, fd, "er-1 2\nPORT 0 charging 5000\n");
  assert_facts ("online meter-1; registered 2; port 0 2 5000; ");
  assert_answer (harness, fd, "OK\n");

  send_text (harness, fd, "END 0 A1 120 3600\n");
  assert_facts ("ended A1 120; ");
  assert_answer (harness, fd, ""); /* not before the commit */
  said.done (said.plugin, said.conn, NULL, said.done_data);
  assert_answer (harness, fd, "OK\n");
  g_autoptr (GError) error = g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_BUSY, "busy");
  said.done (said.plugin, said.conn, error, said.done_data);
  assert_answer (harness, fd, "");
  send_text (harness, fd, "PORT 1 idle 0\n");
  assert_facts ("port 1 1 0; ");
  close (fd);
  harness_turn (harness);
}

static void test_commands (Harness *harness, gconstpointer data)
{
  int fd = connect_meter (harness);
  json_t *payload = json_pack ("{s:i}", "target_duration_s", 1800);
  ChCommand command = {.id = "cmd_1",
                       .type = CH_COMMAND_START_CHARGE,
                       .device = "meter-1",
                       .order_no = "A1",
                       .wire_order = "",
                       .priority = 2,
                       .attempt = 1,
                       .msg_id = 7,
                       .payload = payload};
  send_text (harness, fd, "HI meter-1 2\n");
  assert_answer (harness, fd, "OK\n");
  assert_facts ("online meter-1; registered 2; ");
  g_assert_cmpint (ch_gateway_send (harness->services.gateway, said.conn, &command), ==,
                   CH_COMMAND_SENT);
  assert_answer (harness, fd, "START 7 0 1800\n");
  command.type = CH_COMMAND_STOP_CHARGE;
  command.msg_id = 8;
  ch_gateway_send (harness->services.gateway, said.conn, &command);
  assert_answer (harness, fd, "STOP 8 0\n");
  send_text (harness, fd, "ACK 7\nNAK 8\n");
  assert_facts ("result 7 acked; result 8 rejected; ");
  json_decref (payload);
  close (fd);
  harness_turn (harness);
  g_assert_cmpint (ch_gateway_send (harness->services.gateway, said.conn, &command), ==,
                   CH_COMMAND_NOT_SENT);
}

static void test_nonsense (Harness *harness, gconstpointer data)
{
  static const char *const bad[] = {"\n",
                                    "HI\n",
                                    "PORT 0 idle 0\n",
                                    "PORT -1 idle 0\n",
                                    "END 0 A1 99999999999999999999 1\n",
                                    "END 0 A/1 1 1\n",
                                    "ACK 65536\n",
                                    "ACK\n",
                                    "HI a b c d e f g\n",
                                    "\xff\xfe\n"};
  int fd = connect_meter (harness);
  send_text (harness, fd, "HI a!b 2\n");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    send_text (harness, fd, bad[i]);
  assert_facts ("");
  send_text (harness, fd, "HI thief 1\n");
  assert_facts ("online thief; ");
  assert_answer (harness, fd, "");
  close (fd);
  harness_turn (harness);
}

/* The plugin stops while meters are connected: their sessions are freed by `closed`. */
static void test_stop (Harness *harness, gconstpointer data)
{
  int fds[10];
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = connect_meter (harness);
    send_text (harness, fds[i], "HI meter-1 2\nPORT 0");
  }
  g_assert_true (ch_plugins_stop (harness->plugins, "proto-toy", NULL));
  harness_turn (harness);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    char buffer[16];
    while (recv (fds[i], buffer, sizeof buffer, MSG_DONTWAIT) > 0)
      continue;
    g_assert_cmpint (recv (fds[i], buffer, sizeof buffer, MSG_DONTWAIT), ==, 0);
    close (fds[i]);
  }
  g_assert_true (ch_plugins_start (harness->plugins, "proto-toy", NULL));
  int fd = connect_meter (harness);
  send_text (harness, fd, "HI meter-1 2\n");
  assert_answer (harness, fd, "OK\n");
  close (fd);
  harness_turn (harness);
}

#define ADD(path, func)                                                                  \
  g_test_add ("/tutorial/" path, Harness, NULL, setup, func, teardown)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("talk", test_talk);
  ADD ("commands", test_commands);
  ADD ("nonsense", test_nonsense);
  ADD ("stop", test_stop);
  return g_test_run ();
}
