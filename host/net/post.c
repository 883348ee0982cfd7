/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From any thread to the main loop: a list under a mutex and one eventfd, so that many
 * results wake the loop once. An item holds a reference on its owner and the number of
 * the owner's life; a call for a life that is over is not made.
 */
#include "net/reactor-private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct _Post {
  Post *next;
  ChPlugin *self;
  gint life;
  ChPostFunc func;
  gpointer data;
  GDestroyNotify free_data;
};

#define POSTS_PER_LOOK 16

static void post_free (Post *post, gboolean free_data)
{
  if (free_data && post->free_data != NULL)
    post->free_data (post->data);
  ch_owner_unref (post->self);
  g_free (post);
}

static void post_run (Post *post)
{
  ChRunnerFrame frame;

  if (g_atomic_int_get (&post->self->life) != post->life
      || !ch_runner_enter (post->self, "posted call", &frame)) {
    post_free (post, TRUE);
    return;
  }
  post->func (post->self, post->data);
  ch_runner_leave (&frame);
  post_free (post, FALSE);
}

void posts_run (ChReactor *reactor, gint64 deadline_us)
{
  for (guint n = 1; reactor->posts != NULL; n++) {
    Post *post = reactor->posts;
    reactor->posts = post->next;
    post_run (post);
    if (n % POSTS_PER_LOOK == 0 && reactor_is_late (deadline_us))
      return;
  }
}

static void take_posts (ChReactor *reactor)
{
  pthread_mutex_lock (&reactor->post_lock);
  Post *first = reactor->posted_first;
  reactor->posted_first = reactor->posted_last = NULL;
  pthread_mutex_unlock (&reactor->post_lock);

  Post **end = &reactor->posts;
  while (*end != NULL)
    end = &(*end)->next;
  *end = first;
}

static void eventfd_ready (ChWatch *watch, guint32 events)
{
  ChReactor *reactor
      = (ChReactor *) ((char *) watch - G_STRUCT_OFFSET (ChReactor, post_watch));
  guint64 count;

  if (read (watch->fd, &count, sizeof count) < 0 && errno == EAGAIN)
    return;
  take_posts (reactor); /* run by the turn, after the sockets */
}

void ch_post (ChPlugin *self, ChPostFunc func, gpointer data, GDestroyNotify free_data)
{
  ChReactor *reactor = self->services->reactor;
  Post *post = g_new0 (Post, 1);
  post->self = ch_owner_ref (self);
  post->life = g_atomic_int_get (&self->life);
  post->func = func;
  post->data = data;
  post->free_data = free_data;

  pthread_mutex_lock (&reactor->post_lock);
  gboolean was_empty = reactor->posted_first == NULL;
  if (was_empty)
    reactor->posted_first = post;
  else
    reactor->posted_last->next = post;
  reactor->posted_last = post;
  pthread_mutex_unlock (&reactor->post_lock);

  if (was_empty) {
    guint64 one = 1;
    while (write (reactor->post_watch.fd, &one, sizeof one) < 0 && errno == EINTR)
      continue;
  }
}

gboolean posts_open (ChReactor *reactor, GError **error)
{
  int fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    g_set_error (error, G_FILE_ERROR, (gint) g_file_error_from_errno (errno),
                 "eventfd: %s", g_strerror (errno));
    return FALSE;
  }
  reactor->post_watch.fd = fd;
  return ch_reactor_add (reactor, &reactor->post_watch, fd, EPOLLIN, eventfd_ready,
                         error);
}

void posts_close (ChReactor *reactor)
{
  ch_reactor_remove (reactor, &reactor->post_watch);
  take_posts (reactor);
  while (reactor->posts != NULL) {
    Post *post = reactor->posts;
    reactor->posts = post->next;
    post_free (post, TRUE);
  }
  if (reactor->post_watch.fd >= 0)
    close (reactor->post_watch.fd);
}
