/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Servers that are not what they should be: too old, still loading, something else, or
 * one that sends what no Redis would. A thread plays them: it answers each read with the
 * next of some texts.
 */
#include "bed.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
  char *folder, *path;
  int listener;
  const char *const *texts;
  pthread_t thread;
} Strange;

static void *play (gpointer data)
{
  const Strange *strange = data;
  char bytes[65536];

  for (;;) {
    int fd = accept (strange->listener, NULL, NULL);
    if (fd < 0)
      return NULL;
    for (gsize i = 0; strange->texts[i] != NULL; i++)
      if (read (fd, bytes, sizeof bytes) <= 0
          || send (fd, strange->texts[i], strlen (strange->texts[i]), MSG_NOSIGNAL) < 0)
        break;
    while (read (fd, bytes, sizeof bytes) > 0)
      continue;
    close (fd);
  }
}

static void strange_open (Strange *strange, const char *const *texts)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};

  strange->texts = texts;
  strange->folder = g_dir_make_tmp ("kv-strange-XXXXXX", NULL);
  strange->path = g_build_filename (strange->folder, "socket", NULL);
  g_strlcpy (address.sun_path, strange->path, sizeof address.sun_path);
  strange->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (strange->listener, (struct sockaddr *) &address, sizeof address),
                   ==, 0);
  g_assert_cmpint (listen (strange->listener, 5), ==, 0);
  g_assert_cmpint (pthread_create (&strange->thread, NULL, play, strange), ==, 0);
}

static void strange_close (Strange *strange)
{
  shutdown (strange->listener, SHUT_RDWR);
  pthread_join (strange->thread, NULL);
  close (strange->listener);
  unlink (strange->path);
  rmdir (strange->folder);
  g_free (strange->path);
  g_free (strange->folder);
}

static void check (const char *const *texts, const char *word)
{
  Strange strange;
  g_auto (BedCount) count = {0};

  strange_open (&strange, texts);
  g_autofree char *url = g_strconcat ("redis.url=unix://", strange.path, NULL);
  const char *const options[] = {url, NULL};
  KvFixture *kv = kv_fixture_new (ch_plugin_kv_redis_query, NULL, options);
  bed_send (kv, &count, "GET a");
  bed_wait (kv, count.n == 1);
  g_assert_cmpuint (count.n_unavailable, ==, 1);
  if (strstr (count.last, word) == NULL)
    g_error ("not '%s': %s", word, count.last);
  kv_fixture_free (kv);
  strange_close (&strange);
}

#define LOGGED_IN "+OK\r\n+PONG\r\n"

static void test_old (void)
{
  check (
      (const char *const[]) {LOGGED_IN,
                             "$50\r\n# Server\r\nredis_version:6.2.14\r\n"
                             "redis_mode:stand\r\n\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
                             NULL},
      "6.2.14");
}

static void test_loading (void)
{
  check ((const char *const[]) {"+OK\r\n-LOADING Redis is loading\r\n", NULL}, "LOADING");
}

static void test_replica (void)
{
  check ((const char *const[]) {LOGGED_IN,
                                "$22\r\nredis_version:7.0.15\r\n\r\n"
                                "*5\r\n$5\r\nslave\r\n$1\r\n?\r\n:0\r\n+x\r\n:1\r\n",
                                NULL},
         "replica");
}

static void test_nonsense (void)
{
  check ((const char *const[]) {"HTTP/1.1 400 Bad Request\r\n\r\n", NULL}, "Protocol");
  check ((const char *const[]) {"+OK\r\n+PONG\r\n+MORE\r\n:1\r\n:2\r\n:3\r\n", NULL},
         "version");
  check ((const char *const[]) {"*2000000000\r\n", NULL}, "memory");
  check ((const char *const[]) {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
                                NULL},
         "depth");
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kv-redis/strange/old", test_old);
  g_test_add_func ("/kv-redis/strange/loading", test_loading);
  g_test_add_func ("/kv-redis/strange/replica", test_replica);
  g_test_add_func ("/kv-redis/strange/nonsense", test_nonsense);
  return g_test_run ();
}
