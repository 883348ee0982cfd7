/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reactor: removal while it runs, deferred work, posts of threads, descriptors. */
#include "net/reactor-private.h"

#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  ChServices services;
  GMainContext *context;
} World;

static void world_open (World *world)
{
  g_autoptr (GError) error = NULL;
  *world = (World) {0};
  world->services.clock = ch_clock_new ();
  world->services.runner = ch_runner_new ();
  world->context = g_main_context_new ();
  ch_reactor_new (&world->services, world->context, &error);
  g_assert_no_error (error);
}

static void world_close (World *world)
{
  ch_reactor_free (world->services.reactor);
  g_main_context_unref (world->context);
  ch_runner_free (world->services.runner);
  ch_clock_free (world->services.clock);
}

static void drain_loop (World *world)
{
  for (guint i = 0; i < 100 && g_main_context_iteration (world->context, FALSE); i++)
    continue;
}

#define N_PAIRS 300

typedef struct Pair Pair;
struct Pair {
  ChWatch watch;
  World *world;
  int far;
  guint calls;
  Pair *all;
};

static void pair_open (Pair *pair, World *world, ChWatchFunc func)
{
  g_autoptr (GError) error = NULL;
  int fds[2];
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
  pair->world = world;
  pair->far = fds[1];
  ch_reactor_add (world->services.reactor, &pair->watch, fds[0], EPOLLIN, func, &error);
  g_assert_no_error (error);
}

static void pair_close (Pair *pair)
{
  ch_reactor_remove (pair->world->services.reactor, &pair->watch);
  close (pair->watch.fd);
  close (pair->far);
}

/* The first that is called removes all others, whose events wait in the same turn. */
static void remove_others (ChWatch *watch, guint32 events)
{
  Pair *pair = (Pair *) watch;
  pair->calls++;
  for (guint i = 0; i < N_PAIRS; i++)
    if (&pair->all[i] != pair)
      ch_reactor_remove (pair->world->services.reactor, &pair->all[i].watch);
  ch_reactor_remove (pair->world->services.reactor, &pair->watch);
  ch_reactor_remove (pair->world->services.reactor, &pair->watch);
}

static void test_removal (void)
{
  World world;
  world_open (&world);
  g_autofree Pair *pairs = g_new0 (Pair, N_PAIRS);
  guint calls = 0;

  for (guint i = 0; i < N_PAIRS; i++) {
    pairs[i].all = pairs;
    pair_open (&pairs[i], &world, remove_others);
    g_assert_cmpint (write (pairs[i].far, "x", 1), ==, 1);
  }
  drain_loop (&world);
  for (guint i = 0; i < N_PAIRS; i++) {
    calls += pairs[i].calls;
    pair_close (&pairs[i]);
  }
  g_assert_cmpuint (calls, ==, 1);
  world_close (&world);
}

static void swallow (ChWatch *watch, guint32 events)
{
  Pair *pair = (Pair *) watch;
  char byte;
  g_assert_true (events & EPOLLIN);
  g_assert_cmpint (read (watch->fd, &byte, 1), ==, 1);
  pair->calls++;
}

/* More than one batch is ready, each has several bytes: everybody is served alike. */
static void test_fairness (void)
{
  World world;
  world_open (&world);
  g_autofree Pair *pairs = g_new0 (Pair, N_PAIRS);

  for (guint i = 0; i < N_PAIRS; i++) {
    pair_open (&pairs[i], &world, swallow);
    g_assert_cmpint (write (pairs[i].far, "abc", 3), ==, 3);
  }
  for (;;) {
    guint least = G_MAXUINT, most = 0;
    for (guint i = 0; i < N_PAIRS; i++) {
      least = MIN (least, pairs[i].calls);
      most = MAX (most, pairs[i].calls);
    }
    g_assert_cmpuint (most - least, <=, 2);
    if (least == 3)
      break;
    g_main_context_iteration (world.context, TRUE);
  }
  ch_reactor_modify (world.services.reactor, &pairs[0].watch, 0); /* not wanted now */
  g_assert_cmpint (write (pairs[0].far, "d", 1), ==, 1);
  drain_loop (&world);
  g_assert_cmpuint (pairs[0].calls, ==, 3);
  ch_reactor_modify (world.services.reactor, &pairs[0].watch, EPOLLIN);
  drain_loop (&world);
  g_assert_cmpuint (pairs[0].calls, ==, 4);
  for (guint i = 0; i < N_PAIRS; i++)
    pair_close (&pairs[i]);
  world_close (&world);
}

/* ---- deferred work ---------------------------------------------------------------- */

typedef struct Later Later;
struct Later {
  ChDeferred deferred;
  World *world;
  Later *other;
  guint calls;
  gboolean again;
};

static void later_run (ChDeferred *deferred)
{
  Later *later = (Later *) deferred;
  later->calls++;
  if (later->other != NULL)
    ch_reactor_undefer (later->world->services.reactor, &later->other->deferred);
  if (later->again)
    ch_reactor_defer (later->world->services.reactor, deferred);
}

static void test_deferred (void)
{
  World world;
  world_open (&world);
  ChReactor *reactor = world.services.reactor;
  Later a = {.deferred.func = later_run, .world = &world};
  Later b = {.deferred.func = later_run, .world = &world};
  Later again = {.deferred.func = later_run, .world = &world, .again = TRUE};
  a.other = &b;

  ch_reactor_defer (reactor, &a.deferred);
  ch_reactor_defer (reactor, &a.deferred); /* once all the same */
  ch_reactor_defer (reactor, &b.deferred);
  drain_loop (&world);
  g_assert_cmpuint (a.calls, ==, 1);
  g_assert_cmpuint (b.calls, ==, 0);

  ch_reactor_defer (reactor, &again.deferred); /* once per turn */
  for (guint i = 1; i <= 5; i++) {
    g_assert_true (g_main_context_iteration (world.context, FALSE));
    g_assert_cmpuint (again.calls, ==, i);
  }
  ch_reactor_undefer (reactor, &again.deferred);
  drain_loop (&world);
  g_assert_cmpuint (again.calls, ==, 5);
  world_close (&world);
}

/* ---- posts ------------------------------------------------------------------------ */

#define THREADS 4
#define POSTS 2000

typedef struct {
  ChPlugin *plugin;
  gint run, freed; /* atomic: freed counts on any thread */
  gint left[THREADS];
  gboolean in_order;
} Posts;

typedef struct {
  Posts *posts;
  guint thread;
  guint number;
} PostItem;

static void item_free (gpointer data)
{
  PostItem *item = data;
  g_atomic_int_inc (&item->posts->freed);
  g_free (item);
}

static void item_run (ChPlugin *self, gpointer data)
{
  PostItem *item = data;
  Posts *posts = item->posts;
  posts->in_order = posts->in_order && posts->left[item->thread] == (gint) item->number;
  posts->left[item->thread]++;
  posts->run++;
  g_free (item);
}

typedef struct {
  Posts *posts;
  guint thread;
} ThreadArgs;

static gpointer post_many (gpointer data)
{
  ThreadArgs *args = data;
  for (guint i = 0; i < POSTS; i++) {
    PostItem *item = g_new0 (PostItem, 1);
    item->posts = args->posts;
    item->thread = args->thread;
    item->number = i;
    ch_post (args->posts->plugin, item_run, item, item_free);
  }
  return NULL;
}

static void test_posts (void)
{
  World world;
  world_open (&world);
  Posts posts = {.in_order = TRUE};
  GThread *threads[THREADS];
  ThreadArgs args[THREADS];

  posts.plugin = ch_owner_new (&world.services, "poster", NULL);
  for (guint i = 0; i < THREADS; i++) {
    args[i] = (ThreadArgs) {&posts, i};
    threads[i] = g_thread_new ("poster", post_many, &args[i]);
  }
  while (posts.run < THREADS * POSTS)
    g_main_context_iteration (world.context, TRUE);
  for (guint i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);
  g_assert_true (posts.in_order);
  g_assert_cmpint (posts.freed, ==, 0);

  /* What waits when its owner stops is freed, also when the owner is gone by then, and
     also when it has begun another life. */
  args[0].posts = &posts;
  post_many (&args[0]);
  ch_owner_revoke_all (posts.plugin);
  posts.plugin->callable = TRUE;
  drain_loop (&world);
  g_assert_cmpint (posts.run, ==, THREADS * POSTS);
  g_assert_cmpint (posts.freed, ==, POSTS);
  post_many (&args[0]);
  ch_owner_free (posts.plugin);
  drain_loop (&world);
  g_assert_cmpint (posts.run, ==, THREADS * POSTS);
  g_assert_cmpint (posts.freed, ==, 2 * POSTS);

  posts.plugin = ch_owner_new (&world.services, "poster", NULL);
  post_many (&args[0]); /* the reactor goes first */
  world_close (&world);
  g_assert_cmpint (posts.freed, ==, 3 * POSTS);
  ch_owner_free (posts.plugin);
}

/* ---- descriptors and statistics --------------------------------------------------- */

static void test_descriptors (void)
{
  g_assert_cmpuint (ch_reactor_raise_fd_limit (), >=, 1024);
  int fds[2];
  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_cmpint (fds[0], <, FD_SETSIZE);
  int low = fds[0];
  int moved = ch_reactor_move_fd (fds[0]);
  g_assert_cmpint (moved, >=, FD_SETSIZE);
  g_assert_cmpint (ch_reactor_move_fd (moved), ==, moved);
  g_assert_cmpint (write (fds[1], "y", 1), ==, 1);
  char byte = 0;
  g_assert_cmpint (read (moved, &byte, 1), ==, 1);
  g_assert_cmpint (byte, ==, 'y');
  int next = dup (fds[1]); /* the low number is free again */
  g_assert_cmpint (next, ==, low);
  close (next);
  close (moved);
  close (fds[1]);
}

static void observe (gint64 us, gpointer data)
{
  gint64 *longest = data;
  *longest = MAX (*longest, us);
}

static gboolean dawdle (gpointer data)
{
  gint64 until = g_get_monotonic_time () + 20000;
  while (g_get_monotonic_time () < until)
    continue;
  return G_SOURCE_REMOVE;
}

/* The turn counts whole, also what other sources do in it. */
static void test_stats (void)
{
  World world;
  world_open (&world);
  ChReactorStats stats;
  gint64 longest = 0;

  ch_reactor_set_observer (world.services.reactor, observe, &longest);
  GSource *source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, dawdle, NULL, NULL);
  g_source_attach (source, world.context);
  g_source_unref (source);
  g_main_context_iteration (world.context, FALSE);
  g_main_context_iteration (world.context, FALSE);
  ch_reactor_stats (world.services.reactor, &stats);
  g_assert_cmpint (longest, >=, 20000);
  g_assert_cmpint (stats.lag_us, >=, 10000);
  g_assert_cmpuint (stats.turns, >=, 1);
  world_close (&world);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/net/reactor/removal", test_removal);
  g_test_add_func ("/net/reactor/fairness", test_fairness);
  g_test_add_func ("/net/reactor/deferred", test_deferred);
  g_test_add_func ("/net/reactor/posts", test_posts);
  g_test_add_func ("/net/reactor/descriptors", test_descriptors);
  g_test_add_func ("/net/reactor/stats", test_stats);
  return g_test_run ();
}
