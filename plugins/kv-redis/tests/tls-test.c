/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TLS to a real server: who is trusted, by whom, and that bytes of any size pass. */
#include "bed.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  char *folder;
  RedisServer *server;
  guint16 port;
} World;

static void run (const char *folder, const char *line)
{
  g_auto (GStrv) argv = g_strsplit (line, " ", -1);
  g_autoptr (GError) error = NULL;
  g_autofree char *problem = NULL;
  gint status = 0;

  g_spawn_sync (folder, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                NULL, NULL, NULL, &problem, &status, &error);
  g_assert_no_error (error);
  if (status != 0)
    g_error ("%s: %s", line, problem);
}

/* An authority, a server that is localhost, a client, and an authority of strangers. */
static void make_certificates (const char *folder)
{
  g_autofree char *names = g_build_filename (folder, "names", NULL);

  g_file_set_contents (names, "subjectAltName=DNS:localhost", -1, NULL);
  run (folder, "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca "
               "-keyout ca.key -out ca.crt");
  run (folder, "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other "
               "-keyout other.key -out other.crt");
  run (folder, "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "
               "server.key -out server.csr");
  run (folder, "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key "
               "-CAcreateserial -days 2 -extfile names -out server.crt");
  run (folder, "openssl req -newkey rsa:2048 -nodes -subj /CN=client -keyout "
               "client.key -out client.csr");
  run (folder, "openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key "
               "-CAcreateserial -days 2 -out client.crt");
}

static char *file_in (const World *world, const char *name)
{
  return g_build_filename (world->folder, name, NULL);
}

static gboolean world_open (World *world, const char **reason)
{
  world->folder = g_dir_make_tmp ("kv-tls-XXXXXX", NULL);
  make_certificates (world->folder);
  world->port = redis_free_port ();
  g_autofree char *port = g_strdup_printf ("%u", world->port);
  g_autofree char *ca = file_in (world, "ca.crt");
  g_autofree char *cert = file_in (world, "server.crt");
  g_autofree char *key = file_in (world, "server.key");
  const char *const words[] = {"--tls-port",
                               port,
                               "--tls-ca-cert-file",
                               ca,
                               "--tls-cert-file",
                               cert,
                               "--tls-key-file",
                               key,
                               "--tls-auth-clients",
                               "yes",
                               NULL};
  world->server = redis_server_start_with (0, words, reason);
  return world->server != NULL;
}

static void world_close (World *world)
{
  g_autoptr (GDir) dir = g_dir_open (world->folder, 0, NULL);
  const char *name;

  redis_server_stop (world->server);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = file_in (world, name);
    g_unlink (path);
  }
  g_rmdir (world->folder);
  g_free (world->folder);
}

static KvFixture *open_kv (const World *world, const char *host, const char *ca,
                           const char *client, const char *more)
{
  g_autofree char *url = g_strdup_printf ("redis.url=rediss://%s:%u", host, world->port);
  g_autofree char *ca_option
      = g_strdup_printf ("redis.tls_ca_file=%s/%s", world->folder, ca);
  g_autofree char *cert
      = g_strdup_printf ("redis.tls_cert_file=%s/%s.crt", world->folder, client);
  g_autofree char *key
      = g_strdup_printf ("redis.tls_key_file=%s/%s.key", world->folder, client);
  const char *const options[] = {url, ca_option, cert, key, more, NULL};
  return kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
}

static void check_refused (KvFixture *kv, const char *word)
{
  g_auto (BedCount) count = {0};

  bed_send (kv, &count, "PING");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  if (strstr (count.last, word) == NULL)
    g_error ("not '%s': %s", word, count.last);
  kv_fixture_free (kv);
}

static void test_good (gconstpointer data)
{
  g_autoptr (KvFixture) kv
      = open_kv (data, "127.0.0.1", "ca.crt", "client", "redis.tls_name=localhost");
  g_autofree char *large = g_strnfill (3 * 1000 * 1000, 'x');
  g_auto (BedCount) count = {0};

  kv_assert (kv, "PING", "+PONG");
  g_autofree char *line = g_strconcat ("SET large ", large, NULL);
  for (guint i = 0; i < 5; i++)
    bed_send (kv, &count, line);
  for (guint i = 0; i < 5; i++)
    bed_send (kv, &count, "GET large");
  for (guint i = 0; i < 1000; i++)
    bed_send (kv, &count, "INCR a");
  bed_wait (kv, count.n == 1010);
  g_assert_cmpuint (count.n_ok, ==, 1010);
  kv_assert (kv, "STRLEN large", ":3000000");
  kv_assert (kv, "BLPOP list 0.1", "nil");
}

static void test_bad (gconstpointer data)
{
  check_refused (open_kv (data, "127.0.0.1", "ca.crt", "client", NULL), "mismatch");
  check_refused (
      open_kv (data, "127.0.0.1", "other.crt", "client", "redis.tls_name=localhost"),
      "certificate");
  check_refused (
      open_kv (data, "127.0.0.1", "ca.crt", "other", "redis.tls_name=localhost"), "");
  check_refused (open_kv (data, "127.0.0.1", "none.crt", "client", NULL), "TLS");
  g_autoptr (KvFixture) kv
      = open_kv (data, "127.0.0.1", "other.crt", "client", "redis.tls_insecure=true");
  kv_assert (kv, "PING", "+PONG");
}

int main (int argc, char **argv)
{
  const char *reason = "no openssl";
  World world = {NULL};
  g_autofree char *openssl = g_find_program_in_path ("openssl");

  if (openssl == NULL || !world_open (&world, &reason))
    return redis_server_missing (reason);
  signal (SIGPIPE, SIG_IGN); /* as the daemon */
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/kv-redis/tls/good", &world, test_good);
  g_test_add_data_func ("/kv-redis/tls/bad", &world, test_bad);
  int status = g_test_run ();
  world_close (&world);
  return status;
}
