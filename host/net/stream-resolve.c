/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a name to addresses: GResolver asks in a thread of its own. */
#include "net/stream-private.h"

#include <string.h>
#include <sys/un.h>

/* What the resolver holds: the stream may be gone when it answers. */
typedef struct {
  ChPlugin *self;
  gint life;
  ChStream handle;
} Question;

static void add_address (Stream *stream, GInetAddress *inet)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (inet, stream->port);
  gssize size = g_socket_address_get_native_size (address);

  if (stream->n_addresses == STREAM_ADDRESSES)
    return;
  StreamAddress *to = &stream->addresses[stream->n_addresses];
  if (size <= 0 || (gsize) size > sizeof to->address
      || !g_socket_address_to_native (address, &to->address, sizeof to->address, NULL))
    return;
  to->size = (socklen_t) size;
  stream->n_addresses++;
}

static void resolved (GObject *source, GAsyncResult *result, gpointer data)
{
  Question *question = data;
  g_autoptr (GError) error = NULL;
  GList *list = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);
  Stream *stream = g_atomic_int_get (&question->self->life) == question->life
                       ? stream_peek (question->self, question->handle)
                       : NULL;

  if (stream != NULL && stream->state == STREAM_RESOLVING) {
    g_clear_object (&stream->cancellable);
    for (GList *at = list; at != NULL; at = at->next)
      add_address (stream, at->data);
    if (error != NULL)
      stream_fail (stream, g_steal_pointer (&error));
    else
      stream_connect_next (stream);
  }
  g_resolver_free_addresses (list);
  ch_owner_unref (question->self);
  g_free (question);
}

static void add_path (Stream *stream, const char *path)
{
  struct sockaddr_un *address = (struct sockaddr_un *) &stream->addresses[0].address;

  if (strlen (path) >= sizeof address->sun_path) {
    stream_fail (stream, g_error_new (G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                                      "the path of the socket is too long"));
    return;
  }
  address->sun_family = AF_UNIX;
  g_strlcpy (address->sun_path, path, sizeof address->sun_path);
  stream->addresses[0].size = sizeof *address;
  stream->n_addresses = 1;
  stream_connect_next (stream);
}

void stream_resolve (Stream *stream, const ChStreamOptions *options)
{
  if (options->path != NULL) {
    add_path (stream, options->path);
    return;
  }
  g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (options->host);
  if (inet != NULL) {
    add_address (stream, inet);
    stream_connect_next (stream);
    return;
  }
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  Question *question = g_new0 (Question, 1);
  question->self = ch_owner_ref (stream->resource.owner);
  question->life = g_atomic_int_get (&question->self->life);
  question->handle = (guint64) stream->generation << 32 | stream->slot;
  stream->cancellable = g_cancellable_new ();
  g_resolver_lookup_by_name_async (resolver, options->host, stream->cancellable, resolved,
                                   question);
}
