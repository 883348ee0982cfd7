/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where commands come from: standard input and a Unix socket, one per line. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_LINE 4096
#define MAX_CLIENTS 16

typedef struct Client Client;
struct Client {
  SimConsole *console;
  SimWatch watch;
  SimTimer timer; /* “wait”, or the next piece of a file */
  GString *input;
  int fd;
  int output;
  gboolean file;    /* epoll does not take it */
  gboolean waiting; /* a “wait” command is under way */
};

struct SimConsole {
  Sim *sim;
  SimWatch listener;
  char *path;
  GPtrArray *clients;
};

static void client_free (Client *client)
{
  Sim *sim = client->console->sim;

  timer_stop (sim->loop, &client->timer);
  loop_unwatch (sim->loop, &client->watch);
  if (client->fd != STDIN_FILENO)
    close (client->fd);
  g_string_free (client->input, TRUE);
  g_ptr_array_remove_fast (client->console->clients, client);
  loop_free_later (sim->loop, client);
}

/* Whoever does not read its answers loses them. */
static void answer (const Client *client, const GString *text)
{
  if (client->fd != STDIN_FILENO)
    send (client->output, text->str, text->len, MSG_NOSIGNAL | MSG_DONTWAIT);
  else if (text->len > 0) {
    fwrite (text->str, 1, text->len, stdout);
    fflush (stdout);
  }
}

static gboolean begin_wait (Client *client, const char *line)
{
  char *end;

  if (!g_str_has_prefix (line, "wait "))
    return FALSE;
  double seconds = g_ascii_strtod (line + 5, &end);
  if (*g_strchug (end) != '\0' || !(seconds >= 0 && seconds <= 1e9))
    return FALSE;
  client->waiting = TRUE;
  timer_arm (client->console->sim->loop, &client->timer,
             (gint64) (seconds * (double) SIM_SECOND));
  return TRUE;
}

static void execute (Client *client, char *line)
{
  g_autoptr (GString) out = g_string_new (NULL);

  g_strstrip (line);
  if (*line == '\0' || *line == '#')
    return;
  if (begin_wait (client, line))
    return;
  gboolean ok = console_execute (client->console->sim, line, out);
  if (client->fd != STDIN_FILENO)
    g_string_append (out, ok ? "ok\n" : "error\n");
  answer (client, out);
}

static void execute_lines (Client *client)
{
  while (!client->waiting && !loop_quitting (client->console->sim->loop)) {
    char *end = memchr (client->input->str, '\n', client->input->len);
    if (end == NULL)
      return;
    gssize size = end - client->input->str;
    g_autofree char *line = g_strndup (client->input->str, (gsize) size);
    g_string_erase (client->input, 0, size + 1);
    execute (client, line);
  }
}

/* FALSE: the end, or the line is too long. */
static gboolean read_some (Client *client)
{
  char bytes[MAX_LINE];
  ssize_t n = read (client->fd, bytes, sizeof bytes);

  if (n < 0)
    return errno == EAGAIN || errno == EINTR;
  if (n == 0) {
    g_string_append_c (client->input, '\n'); /* a last line without one */
    execute_lines (client);
    return FALSE;
  }
  g_string_append_len (client->input, bytes, n);
  execute_lines (client);
  return client->waiting || client->input->len < MAX_LINE
         || memchr (client->input->str, '\n', client->input->len) != NULL;
}

static void client_events (gpointer data, guint32 events)
{
  Client *client = data;
  Sim *sim = client->console->sim;

  if (client->waiting) { /* look again when the wait is over */
    loop_unwatch (sim->loop, &client->watch);
    return;
  }
  if (!read_some (client))
    client_free (client);
}

static void client_timer (gpointer data)
{
  Client *client = data;
  Sim *sim = client->console->sim;

  client->waiting = FALSE;
  execute_lines (client);
  if (client->waiting)
    return;
  if (client->file) {
    if (!read_some (client)) {
      if (!client->waiting)
        client_free (client);
    } else if (!client->waiting)
      timer_arm (sim->loop, &client->timer, 0);
  } else if (client->watch.fd < 0)
    loop_watch (sim->loop, &client->watch, client->fd, EPOLLIN);
}

static Client *client_new (SimConsole *console, int fd, int output)
{
  Client *client = g_new0 (Client, 1);

  client->console = console;
  client->fd = fd;
  client->output = output;
  client->input = g_string_new (NULL);
  client->watch = (SimWatch) {.func = client_events, .data = client, .fd = -1};
  timer_set (&client->timer, client_timer, client);
  g_ptr_array_add (console->clients, client);
  return client;
}

static void accept_client (gpointer data, guint32 events)
{
  SimConsole *console = data;
  int fd = accept4 (console->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

  if (fd < 0)
    return;
  if (console->clients->len >= MAX_CLIENTS) {
    close (fd);
    return;
  }
  Client *client = client_new (console, fd, fd);
  loop_watch (console->sim->loop, &client->watch, fd, EPOLLIN);
}

SimConsole *console_new (Sim *sim)
{
  SimConsole *console = g_new0 (SimConsole, 1);

  console->sim = sim;
  console->listener.fd = -1;
  console->clients = g_ptr_array_new ();
  return console;
}

gboolean console_listen (SimConsole *console, const char *path, GError **error)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  GStatBuf old;

  if (strlen (path) >= sizeof address.sun_path) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s is too long", path);
    return FALSE;
  }
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (g_lstat (path, &old) == 0 && S_ISSOCK (old.st_mode)) /* of a run before */
    unlink (path);
  console->listener.func = accept_client;
  console->listener.data = console;
  if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) < 0
      || listen (fd, MAX_CLIENTS) < 0
      || !loop_watch (console->sim->loop, &console->listener, fd, EPOLLIN)) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", path,
                 g_strerror (errno));
    if (fd >= 0)
      close (fd);
    return FALSE;
  }
  console->path = g_strdup (path);
  return TRUE;
}

void console_read_stdin (SimConsole *console)
{
  SimLoop *loop = console->sim->loop;

  /* In the background reading from the terminal would stop the process. */
  if (isatty (STDIN_FILENO) && tcgetpgrp (STDIN_FILENO) != getpgrp ())
    return;
  if (fcntl (STDIN_FILENO, F_GETFD) < 0)
    return;
  Client *client = client_new (console, STDIN_FILENO, STDOUT_FILENO);
  if (!loop_watch (loop, &client->watch, STDIN_FILENO, EPOLLIN)) {
    client->file = TRUE;
    timer_arm (loop, &client->timer, 0);
  }
}

void console_free (SimConsole *console)
{
  if (console == NULL)
    return;
  while (console->clients->len > 0)
    client_free (console->clients->pdata[0]);
  g_ptr_array_unref (console->clients);
  if (console->listener.fd >= 0) {
    int fd = console->listener.fd;
    loop_unwatch (console->sim->loop, &console->listener);
    close (fd);
    unlink (console->path);
  }
  g_free (console->path);
  g_free (console);
}
