/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ways to a server that libpq knows: TLS with certificates that are checked, password
 * files, service files, sockets, and several hosts of which one is away, silent or a
 * standby. And what is said when there is no way: never a password.
 */
#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD "hunter2@dock/7"
#define PASSWORD_IN_URI "hunter2%%40dock%%2F7" /* in a format */

static const char *module_path;
static Postgres *server;
static guint port;

static const ChMigration migrations[] = {
    {1, "connect", "SELECT 1", "CREATE TABLE things (id bigint PRIMARY KEY);"},
    {0},
};

static const ChStatement statements[] = {
    {.name = "put", .sql = "INSERT INTO things (id) VALUES (:id)"},
    {.name = "encrypted",
     .sql = "SELECT count(*) AS n FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

/* ---- a server with certificates and passwords
 * ------------------------------------------
 */

static char *file_of (const char *name)
{
  return g_build_filename (postgres_folder (server), name, NULL);
}

/* A file of the server's user. */
static void write_file (const char *name, int mode, const char *text)
{
  g_autofree char *path = file_of (name);
  struct stat owner;

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (chmod (path, (mode_t) mode), ==, 0);
  g_assert_cmpint (stat (postgres_folder (server), &owner), ==, 0);
  if (geteuid () == 0)
    g_assert_cmpint (chown (path, owner.st_uid, owner.st_gid), ==, 0);
}

static void run (const char *line)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  g_autofree char *output = NULL;
  int status;

  g_spawn_sync (postgres_folder (server), words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                NULL, &output, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s: %s", line, output);
}

#define NEW_KEY "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

static void make_certificates (void)
{
  g_autofree char *path = file_of ("server.key");
  g_autofree char *key = NULL;

  run (NEW_KEY " -x509 -days 2 -subj /CN=harbour -keyout ca.key -out ca.crt");
  run (NEW_KEY " -x509 -days 2 -subj /CN=stranger -keyout other.key -out other.crt");
  run (NEW_KEY " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
               " -keyout server.key -out server.csr");
  run ("openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key"
       " -CAcreateserial -copy_extensions copy -out server.crt");
  g_assert_true (g_file_get_contents (path, &key, NULL, NULL));
  write_file ("server.key", 0600, key);
}

static void make_server (void)
{
  static const char *const settings[] = {"ssl = on", "ssl_cert_file = '../server.crt'",
                                         "ssl_key_file = '../server.key'", NULL};

  server = postgres_new (POSTGRES_FLAGS_NONE, NULL);
  port = postgres_port (server);
  make_certificates ();
  for (guint i = 0; settings[i] != NULL; i++) {
    g_autofree char *sql = g_strconcat ("ALTER SYSTEM SET ", settings[i], NULL);
    g_free (postgres_ask (server, sql));
  }
  g_free (postgres_ask (server, "CREATE ROLE keeper LOGIN PASSWORD '" PASSWORD "'"));
  g_free (postgres_ask (server, "GRANT CREATE ON DATABASE postgres TO keeper"));
  write_file ("data/pg_hba.conf", 0600,
              "local all all trust\n"
              "local replication all trust\n"
              "host all chargehost 127.0.0.1/32 trust\n"
              "hostssl all keeper 127.0.0.1/32 scram-sha-256\n");
  postgres_stop (server);
  postgres_start (server);
}

/* ---- trying ---------------------------------------------------------------------------
 */

static gboolean open_bed (Bed *bed, const char *dsn, GError **error)
{
  g_autofree char *option = g_strconcat ("database.dsn=", dsn, NULL);

  bed_set_up (bed, module_path,
              (const char *const[]) {option, "database.schema=%f",
                                     "database.pool_connect_timeout_ms=500", NULL},
              NULL);
  g_assert_true (ch_store_register (bed->user, migrations, statements, NULL));
  return bed_open (bed, error);
}

static void put (Bed *bed, gint64 id, guint timeout_ms, const char *text)
{
  ChTx *tx = ch_tx_new (bed->user);
  ch_tx_add (tx, NULL, "put");
  ch_tx_bind_int (tx, "id", id);
  bed->pending++;
  ch_tx_submit (tx, timeout_ms, bed_done, (gpointer) text);
}

/* It takes what is written. Returns: whether the connection is encrypted */
G_GNUC_PRINTF (1, 2)
static gboolean opens (const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;
  Bed bed;

  va_start (args, format);
  g_autofree char *dsn = g_strdup_vprintf (format, args);
  va_end (args);
  open_bed (&bed, dsn, &error);
  g_assert_no_error (error);
  put (&bed, 1, 0, "a");
  bed_expect (&bed, "a ");
  gboolean encrypted = bed_number (&bed, "encrypted") == 1;
  bed_tear_down (&bed);
  return encrypted;
}

/* It does not open. @tells: what the error has to say */
G_GNUC_PRINTF (3, 4)
static void is_refused (ChStoreError code, const char *tells, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;
  Bed bed;

  va_start (args, format);
  g_autofree char *dsn = g_strdup_vprintf (format, args);
  va_end (args);
  g_assert_false (open_bed (&bed, dsn, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, CH_STORE_ERROR, (gint) code);
  if (strstr (error->message, tells) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, tells);
  g_assert_null (strstr (error->message, "hunter"));
  g_assert_null (strstr (error->message, "dock"));
  g_assert_null (strchr (error->message, '\n'));
  bed_tear_down (&bed);
}

/* ---- encryption
 * ------------------------------------------------------------------------
 */

static void test_tls (void)
{
  g_autofree char *ca = file_of ("ca.crt"), *other = file_of ("other.crt");
  static const char words[]
      = "port=%u dbname=postgres user=chargehost sslmode=verify-full"
        " sslrootcert=%s %s";

  /* By its name, which is looked up here; and by an address that goes with a name. */
  g_assert_true (opens (words, port, ca, "host=localhost"));
  g_assert_true (opens (words, port, ca, "host=localhost hostaddr=127.0.0.1"));
  g_assert_true (opens ("postgres://chargehost@localhost:%u/postgres?sslmode=verify-full"
                        "&sslrootcert=%s",
                        port, ca));
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "does not match host name \"127.0.0.1\"", words,
              port, ca, "host=127.0.0.1");
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "does not match host name \"db.example\"",
              words, port, ca, "host=db.example hostaddr=127.0.0.1");
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "certificate verify failed", words, port, other,
              "host=localhost");
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "does not exist", words, port, "/nonexistent",
              "host=localhost");
  g_assert_false (opens ("host=localhost port=%u dbname=postgres user=chargehost"
                         " sslmode=disable",
                         port));
}

/* ---- passwords ------------------------------------------------------------------------
 */

static void test_passwords (void)
{
  g_autofree char *good = file_of ("good"), *bad = file_of ("bad");
  static const char words[] = "host=localhost port=%u dbname=postgres user=keeper %s=%s";

  g_autofree char *line
      = g_strdup_printf ("localhost:%u:postgres:keeper:" PASSWORD "\n", port);
  g_assert_true (
      g_file_set_contents_full (good, line, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_assert_true (g_file_set_contents_full (bad, "*:*:*:*:hunter3\n", -1,
                                           G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_assert_true (opens (words, port, "passfile", good));
  g_assert_true (opens (words, port, "password", PASSWORD));
  g_assert_true (
      opens ("postgres://keeper:" PASSWORD_IN_URI "@localhost:%u/postgres", port));
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "password authentication failed", words, port,
              "passfile", bad);
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "no password supplied", words, port, "passfile",
              "/nonexistent");
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "password authentication failed",
              "postgres://keeper:hunter3@localhost:%u/postgres", port);
}

/* libpq quotes what it does not understand: that may be of a password. */
static void test_mistakes (void)
{
  is_refused (CH_STORE_ERROR_USAGE, "write %40",
              "postgres://keeper:hunter@dock@localhost:%u/postgres", port);
  is_refused (CH_STORE_ERROR_USAGE, "write %2F",
              "postgres://keeper:hunter/dock@localhost:%u/postgres", port);
  is_refused (CH_STORE_ERROR_USAGE, "percent-encoded",
              "postgres://keeper:hunter%%dock@localhost:%u/postgres", port);
  is_refused (CH_STORE_ERROR_USAGE, "missing \"…\"",
              "host=localhost port=%u user=keeper password=a hunter dock", port);
  is_refused (CH_STORE_ERROR_USAGE, "\"sslmod\"", "host=localhost port=%u sslmod=require",
              port);
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "sslmode",
              "host=localhost port=%u sslmode=much", port);
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "nowhere.invalid",
              "postgres://keeper:" PASSWORD_IN_URI "@nowhere.invalid:%u/postgres", port);
}

/* ---- files and sockets
 * ------------------------------------------------------------------
 */

static void write_services (void)
{
  g_autofree char *path = file_of ("services");
  g_autofree char *ca = file_of ("ca.crt");
  g_autofree char *text = g_strdup_printf (
      "[fleet]\nhost=localhost\nport=%u\ndbname=postgres\nuser=chargehost\n"
      "sslmode=verify-full\nsslrootcert=%s\n\n"
      "[keeper]\nhost=localhost\nport=%u\ndbname=postgres\nuser=keeper\n"
      "password=hunter3\n",
      port, ca, port);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_setenv ("PGSERVICEFILE", path, TRUE);
}

static void test_service (void)
{
  g_assert_true (opens ("service=fleet"));
  g_assert_false (opens ("service=fleet sslmode=disable"));
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "password authentication failed",
              "service=keeper");
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "service \"harbour\" not found",
              "service=harbour");
}

static void test_socket (void)
{
  g_autofree char *folder = g_uri_escape_string (postgres_folder (server), NULL, FALSE);

  opens ("host=%s port=%u dbname=postgres user=chargehost", postgres_folder (server),
         port);
  opens ("postgres://chargehost@%s:%u/postgres", folder, port);
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "No such file",
              "host=/nonexistent port=%u dbname=postgres user=chargehost", port);
}

/* ---- several hosts
 * ----------------------------------------------------------------------
 */

/* A port of somebody who takes connections and says nothing. *@closed: one of nobody */
static guint silent_port (int *fd, guint *closed)
{
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  guint ports[2];
  int fds[2];

  for (guint i = 0; i < 2; i++) {
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    address.sin_port = 0;
    fds[i] = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint (bind (fds[i], (struct sockaddr *) &address, size), ==, 0);
    g_assert_cmpint (getsockname (fds[i], (struct sockaddr *) &address, &size), ==, 0);
    ports[i] = ntohs (address.sin_port);
  }
  g_assert_cmpint (listen (fds[0], 64), ==, 0);
  close (fds[1]);
  *fd = fds[0];
  *closed = ports[1];
  return ports[0];
}

static gboolean too_long (gpointer data)
{
  g_error ("waited too long");
  return G_SOURCE_REMOVE;
}

static gboolean wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void wait_until_up (Bed *bed, gboolean up)
{
  guint watchdog = g_timeout_add_seconds (60, too_long, NULL);
  guint ticker = g_timeout_add (10, wake, NULL);

  while (ch_store_is_up (bed->services.store) != up)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (ticker);
  g_source_remove (watchdog);
}

#define TWO "dbname=postgres user=chargehost sslmode=disable port=%u,%u "

static void test_several_hosts (void)
{
  guint closed;
  int fd;
  guint silent = silent_port (&fd, &closed);

  opens (TWO "host=localhost,localhost", closed, port);
  opens (TWO "host=127.0.0.1,localhost", silent, port);
  opens (TWO "host=,127.0.0.1 hostaddr=127.0.0.1,127.0.0.1", silent, port);
  opens (TWO "host=nowhere.invalid,localhost", port, port);
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "127.0.0.1", TWO "host=127.0.0.1,127.0.0.1",
              silent, silent);
  close (fd);
}

/* A standby is passed over, until it is the primary; the old one takes connections and
   says nothing. */
static void test_promoted (void)
{
  Postgres *standby = postgres_new_standby (server);
  guint second = postgres_port (standby);
  g_autoptr (GError) error = NULL;
  Bed bed;

  opens (TWO "host=localhost,localhost", second, port); /* asked for or not */
  is_refused (CH_STORE_ERROR_UNAVAILABLE, "standby",
              "host=localhost port=%u dbname=postgres user=chargehost sslmode=disable",
              second);
  g_autofree char *dsn = g_strdup_printf (
      TWO "host=localhost,localhost target_session_attrs=read-write", port, second);
  open_bed (&bed, dsn, &error);
  g_assert_no_error (error);
  put (&bed, 1, 0, "a");
  bed_expect (&bed, "a ");
  g_autofree char *late = g_strdup_printf ("late!%d ", CH_STORE_ERROR_TIMEOUT);
  postgres_freeze (server, TRUE);
  put (&bed, 2, 500, "late");
  bed_expect (&bed, late);
  wait_until_up (&bed, FALSE);
  g_free (postgres_ask (standby, "SELECT pg_promote()"));
  wait_until_up (&bed, TRUE);
  put (&bed, 3, 0, "b");
  bed_expect (&bed, "b ");
  bed_tear_down (&bed);
  postgres_free (standby);
  postgres_freeze (server, FALSE);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  module_path = argv[1];
  if (!postgres_is_there ()) {
    if (g_getenv ("CI") != NULL)
      g_error ("there is no PostgreSQL here");
    g_print ("1..0 # SKIP there is no PostgreSQL here\n");
    return 0;
  }
  make_server ();
  write_services ();
  g_test_add_func ("/store-pgsql/tls", test_tls);
  g_test_add_func ("/store-pgsql/passwords", test_passwords);
  g_test_add_func ("/store-pgsql/mistakes", test_mistakes);
  g_test_add_func ("/store-pgsql/service", test_service);
  g_test_add_func ("/store-pgsql/socket", test_socket);
  g_test_add_func ("/store-pgsql/several-hosts", test_several_hosts);
  g_test_add_func ("/store-pgsql/promoted", test_promoted);
  int status = g_test_run ();
  postgres_free (server);
  return status;
}
