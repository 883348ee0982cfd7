/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct _Postgres {
  char *folder;
  char *data;
  char *dsn;
  char *tcp_dsn;
  guint port;
  GPid pid; /* of the postmaster, 0: not running */
};

static const char *program_folder (void)
{
  static const char *const folders[]
      = {"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin",
         "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/14/bin",
         "/usr/lib/postgresql/13/bin"};

  /* The one that Debian 12 has is asked for first. */
  if (g_file_test (folders[2], G_FILE_TEST_IS_DIR))
    return folders[2];
  for (guint i = 0; i < G_N_ELEMENTS (folders); i++)
    if (g_file_test (folders[i], G_FILE_TEST_IS_DIR))
      return folders[i];
  return NULL;
}

gboolean postgres_is_there (void)
{
  return program_folder () != NULL;
}

gboolean postgres_skips (void)
{
  if (postgres_is_there ())
    return FALSE;
  if (g_getenv ("CI") != NULL)
    g_error ("there is no PostgreSQL here");
  g_print ("1..0 # SKIP there is no PostgreSQL here\n");
  return TRUE;
}

char *postgres_program (const char *name)
{
  return g_build_filename (program_folder (), name, NULL);
}

/* ---- programs ------------------------------------------------------------------------
 */

typedef struct {
  uid_t uid;
  gid_t gid;
} Who;

/* PostgreSQL refuses to run as root. */
static Who unprivileged (void)
{
  const struct passwd *user = getpwnam ("postgres");

  if (geteuid () != 0)
    return (Who) {geteuid (), getegid ()};
  if (user == NULL)
    user = getpwnam ("nobody");
  return user != NULL ? (Who) {user->pw_uid, user->pw_gid} : (Who) {65534, 65534};
}

/* In the child: it dies with the test, whatever happens to that. */
static void become (gpointer data)
{
  const Who *who = data;

  if (geteuid () == 0 && (setgid (who->gid) != 0 || setuid (who->uid) != 0))
    _exit (126);
  prctl (PR_SET_PDEATHSIG, SIGINT); /* a fast shutdown of the postmaster */
}

static GPid launch (Postgres *server, char **argv, const char *log)
{
  g_autofree char *bin = g_build_filename (program_folder (), argv[0], NULL);
  g_autofree char *out = g_build_filename (server->folder, log, NULL);
  g_autoptr (GError) error = NULL;
  Who who = unprivileged ();
  GPid pid = 0;
  char *name = argv[0];

  argv[0] = bin;
  int fd = g_open (out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (!g_spawn_async_with_fds (server->folder, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                               become, &who, &pid, -1, fd, fd, &error))
    g_error ("%s: %s", name, error->message);
  close (fd);
  argv[0] = name;
  return pid;
}

static void show_log (Postgres *server, const char *log)
{
  g_autofree char *path = g_build_filename (server->folder, log, NULL);
  g_autofree char *text = NULL;

  if (g_file_get_contents (path, &text, NULL, NULL))
    g_printerr ("%s\n", text);
}

static void run (Postgres *server, char **argv)
{
  int status;
  GPid pid = launch (server, argv, "setup.log");

  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0) {
    show_log (server, "setup.log");
    g_error ("%s failed", argv[0]);
  }
}

/* ---- servers -------------------------------------------------------------------------
 */

static guint free_port (void)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &size), ==, 0);
  close (fd);
  return ntohs (address.sin_port);
}

static Postgres *server_new (void)
{
  Postgres *server = g_new0 (Postgres, 1);
  Who who = unprivileged ();

  server->folder = g_dir_make_tmp ("chargehost-pg-XXXXXX", NULL);
  server->data = g_build_filename (server->folder, "data", NULL);
  server->port = free_port ();
  server->dsn = g_strdup_printf ("host=%s port=%u dbname=postgres user=chargehost",
                                 server->folder, server->port);
  server->tcp_dsn = g_strdup_printf ("postgres://chargehost@localhost:%u/postgres"
                                     "?sslmode=disable",
                                     server->port);
  g_assert_cmpint (chmod (server->folder, 0755), ==, 0);
  if (geteuid () == 0)
    g_assert_cmpint (chown (server->folder, who.uid, who.gid), ==, 0);
  return server;
}

static void configure (Postgres *server, PostgresFlags flags, const char *const *settings)
{
  g_autofree char *path = g_build_filename (server->data, "postgresql.auto.conf", NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  Who who = unprivileged ();

  g_string_append_printf (text,
                          "listen_addresses = '127.0.0.1'\nport = %u\n"
                          "unix_socket_directories = '%s'\nmax_connections = 60\n"
                          "shared_buffers = 32MB\nautovacuum = off\nmax_wal_senders = 4\n"
                          "wal_level = replica\nlog_min_messages = warning\n"
                          "timezone = 'Asia/Shanghai'\nfsync = %s\n",
                          server->port, server->folder,
                          flags & POSTGRES_FSYNC ? "on" : "off");
  for (guint i = 0; settings != NULL && settings[i] != NULL; i++)
    g_string_append_printf (text, "%s\n", settings[i]);
  g_assert_true (g_file_set_contents (path, text->str, -1, NULL));
  if (geteuid () == 0)
    g_assert_cmpint (chown (path, who.uid, who.gid), ==, 0);
}

Postgres *postgres_new (PostgresFlags flags, const char *const *settings)
{
  Postgres *server = server_new ();
  char *argv[] = {(char *) "initdb",      (char *) "-D",         server->data,
                  (char *) "-U",          (char *) "chargehost", (char *) "-A",
                  (char *) "trust",       (char *) "-E",         (char *) "UTF8",
                  (char *) "--no-locale", (char *) "--no-sync",  NULL};

  run (server, argv);
  configure (server, flags, settings);
  postgres_start (server);
  return server;
}

Postgres *postgres_new_standby (Postgres *primary)
{
  Postgres *server = server_new ();
  char *argv[] = {(char *) "pg_basebackup",
                  (char *) "-D",
                  server->data,
                  (char *) "-d",
                  primary->dsn,
                  (char *) "-R",
                  (char *) "-X",
                  (char *) "stream",
                  (char *) "-c",
                  (char *) "fast",
                  (char *) "--no-sync",
                  NULL};
  g_autofree char *path = g_build_filename (server->data, "postgresql.auto.conf", NULL);
  g_autofree char *text = NULL;

  run (server, argv);
  /* -R has appended how to reach the primary; the rest is as there, but for the place. */
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  const char *follow = strstr (text, "primary_conninfo");
  g_assert_nonnull (follow);
  g_autofree char *kept = g_strdup (follow);
  const char *settings[] = {kept, "hot_standby = on", NULL};
  configure (server, POSTGRES_FLAGS_NONE, settings);
  postgres_start (server);
  return server;
}

static PGconn *connect_to (Postgres *server)
{
  return PQconnectdb (server->dsn);
}

void postgres_start (Postgres *server)
{
  char *argv[] = {(char *) "postgres", (char *) "-D", server->data, NULL};
  gint64 until_us = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;

  server->pid = launch (server, argv, "server.log");
  for (;;) {
    PGPing ping = PQping (server->dsn);
    if (ping == PQPING_OK)
      return;
    if (g_get_monotonic_time () > until_us || waitpid (server->pid, NULL, WNOHANG) != 0) {
      show_log (server, "server.log");
      g_error ("PostgreSQL did not start");
    }
    g_usleep (5000); /* lint: another program starts, and tells it in no other way */
  }
}

static void end (Postgres *server, int number)
{
  if (server->pid == 0)
    return;
  kill (server->pid, number);
  while (waitpid (server->pid, NULL, 0) < 0 && errno == EINTR)
    ;
  server->pid = 0;
}

void postgres_stop (Postgres *server)
{
  end (server, SIGINT);
}

/* Calls @func for the postmaster's children. */
static void signal_children (Postgres *server, int number)
{
  g_autofree char *path
      = g_strdup_printf ("/proc/%d/task/%d/children", server->pid, server->pid);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return;
  g_auto (GStrv) pids = g_strsplit (text, " ", -1);
  for (guint i = 0; pids[i] != NULL; i++) {
    gint64 pid = g_ascii_strtoll (pids[i], NULL, 10);
    if (pid > 1)
      kill ((pid_t) pid, number);
  }
}

void postgres_kill (Postgres *server)
{
  g_autofree char *pid_file = g_build_filename (server->data, "postmaster.pid", NULL);

  if (server->pid == 0)
    return;
  kill (server->pid, SIGSTOP); /* so that it makes no new ones */
  signal_children (server, SIGKILL);
  end (server, SIGKILL);
  g_unlink (pid_file);
}

void postgres_freeze (Postgres *server, gboolean freeze)
{
  if (freeze)
    kill (server->pid, SIGSTOP);
  signal_children (server, freeze ? SIGSTOP : SIGCONT);
  if (!freeze)
    kill (server->pid, SIGCONT);
}

static void remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *inner = g_build_filename (path, name, NULL);
    if (g_file_test (inner, G_FILE_TEST_IS_DIR)
        && !g_file_test (inner, G_FILE_TEST_IS_SYMLINK))
      remove_tree (inner);
    else
      g_unlink (inner);
  }
  g_rmdir (path);
}

void postgres_free (Postgres *server)
{
  if (server == NULL)
    return;
  end (server, SIGQUIT);
  remove_tree (server->folder);
  g_free (server->folder);
  g_free (server->data);
  g_free (server->dsn);
  g_free (server->tcp_dsn);
  g_free (server);
}

const char *postgres_dsn (Postgres *server)
{
  return server->dsn;
}

const char *postgres_tcp_dsn (Postgres *server)
{
  return server->tcp_dsn;
}

const char *postgres_folder (Postgres *server)
{
  return server->folder;
}

guint postgres_port (Postgres *server)
{
  return server->port;
}

char *postgres_ask (Postgres *server, const char *sql)
{
  PGconn *conn = connect_to (server);
  PGresult *result = PQexec (conn, sql);
  ExecStatusType status = PQresultStatus (result);
  char *text = NULL;

  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    g_error ("%s: %s", sql, PQerrorMessage (conn));
  if (status == PGRES_TUPLES_OK && PQntuples (result) > 0 && !PQgetisnull (result, 0, 0))
    text = g_strdup (PQgetvalue (result, 0, 0));
  PQclear (result);
  PQfinish (conn);
  return text;
}
