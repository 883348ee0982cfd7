/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helpers/redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000

struct _RedisServer {
  GPid pid;
  char *folder;
  char *socket;
  guint16 port;
  char **argv;
};

static gboolean answers (const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  gboolean ok
      = fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) == 0;
  if (fd >= 0)
    close (fd);
  return ok;
}

static void remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      remove_folder (path);
    else
      unlink (path);
  }
  rmdir (folder);
}

static void die_with_parent (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static gboolean wait_until_it_listens (RedisServer *server)
{
  for (guint ms = 0; ms < PATIENCE_MS; ms += 10) {
    if (answers (server->socket))
      return TRUE;
    if (waitpid (server->pid, NULL, WNOHANG) == server->pid) {
      server->pid = 0;
      return FALSE;
    }
    poll (NULL, 0, 10);
  }
  return FALSE;
}

gboolean redis_server_again (RedisServer *server)
{
  GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL;

  return g_spawn_async (NULL, server->argv, NULL, flags, die_with_parent, NULL,
                        &server->pid, NULL)
         && wait_until_it_listens (server);
}

static void add_words (GPtrArray *argv, const char *const *words)
{
  for (gsize i = 0; words != NULL && words[i] != NULL; i++)
    g_ptr_array_add (argv, g_strdup (words[i]));
}

RedisServer *redis_server_start_with (guint16 port, const char *const *words,
                                      const char **reason)
{
  g_autofree char *program = g_find_program_in_path ("redis-server");
  g_autofree char *port_text = g_strdup_printf ("%u", port);

  *reason = "redis-server is not installed";
  if (program == NULL)
    return NULL;
  RedisServer *server = g_new0 (RedisServer, 1);
  server->port = port;
  server->folder = g_dir_make_tmp ("kv-redis-XXXXXX", NULL);
  server->socket = g_build_filename (server->folder, "socket", NULL);
  const char *const common[]
      = {"--port",       port_text, "--bind", "127.0.0.1", "--unixsocket",
         server->socket, "--save",  "",       "--dir",     server->folder,
         "--loglevel",   "warning", NULL};
  GPtrArray *argv = g_ptr_array_new ();
  g_ptr_array_add (argv, g_strdup (program));
  /* What Sentinel is started with is a file, which must come first. */
  if (words != NULL && words[0] != NULL && words[0][0] == '/')
    g_ptr_array_add (argv, g_strdup (*words++));
  add_words (argv, common);
  add_words (argv, words);
  g_ptr_array_add (argv, NULL);
  server->argv = (char **) g_ptr_array_free (argv, FALSE);
  if (!redis_server_again (server)) {
    *reason = "redis-server does not start";
    redis_server_stop (server);
    return NULL;
  }
  return server;
}

RedisServer *redis_server_start (const char **reason)
{
  return redis_server_start_with (0, NULL, reason);
}

void redis_server_kill (RedisServer *server)
{
  if (server->pid <= 0)
    return;
  kill (server->pid, SIGKILL);
  waitpid (server->pid, NULL, 0);
  server->pid = 0;
  unlink (server->socket);
}

void redis_server_signal (RedisServer *server, int number)
{
  kill (server->pid, number);
  if (number == SIGSTOP) /* from here on it answers nothing */
    waitpid (server->pid, NULL, WUNTRACED);
}

void redis_server_stop (RedisServer *server)
{
  if (server == NULL)
    return;
  redis_server_kill (server);
  remove_folder (server->folder);
  g_strfreev (server->argv);
  g_free (server->folder);
  g_free (server->socket);
  g_free (server);
}

const char *redis_server_socket (const RedisServer *server)
{
  return server->socket;
}

const char *redis_server_folder (const RedisServer *server)
{
  return server->folder;
}

guint16 redis_server_port (const RedisServer *server)
{
  return server->port;
}

static gboolean is_free (guint16 port)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (port)};
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  gboolean ok = bind (fd, (struct sockaddr *) &address, sizeof address) == 0;
  close (fd);
  return ok;
}

guint16 redis_free_port (void)
{
  for (guint i = 0; i < 1000; i++) {
    guint16 port = (guint16) g_random_int_range (12000, 22000);
    if (is_free (port) && is_free ((guint16) (port + 10000)))
      return port;
  }
  g_error ("no free port");
}

int redis_server_missing (const char *reason)
{
  if (g_getenv ("CI") != NULL) {
    g_printerr ("%s\n", reason);
    return 1;
  }
  g_print ("1..0 # SKIP %s\n", reason);
  return 0;
}
