/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of an outgoing connection: stream.c opens and moves bytes, stream-resolve.c
 * finds addresses, stream-tls.c encrypts. */
#pragma once

#include "net/reactor-private.h"
#include <chargehost/stream.h>

#include <gio/gio.h>
#include <sys/socket.h>

/* Addresses that are tried for one name. */
#define STREAM_ADDRESSES 8

typedef struct {
  struct sockaddr_storage address;
  socklen_t size;
} StreamAddress;

typedef enum {
  STREAM_VACANT = 0,
  STREAM_RESOLVING,
  STREAM_CONNECTING,
  STREAM_SECURING, /* TLS handshake */
  STREAM_OPEN,
  STREAM_FAILED, /* closed() comes at the end of the turn */
} StreamState;

typedef struct _Stream Stream;
struct _Stream {
  ChResource resource;
  ChReactor *reactor;
  Stream *vacant; /* next free one */
  guint32 slot, generation;
  StreamState state;
  ChWatch watch;
  ChWheelTimer timer; /* until it stands */
  ChDeferred deferred;
  const ChStreamFuncs *funcs;
  gpointer user_data;
  char *name; /* for messages */
  GError *error;
  GCancellable *cancellable;
  StreamAddress addresses[STREAM_ADDRESSES];
  guint n_addresses, next_address;
  guint16 port;
  gsize write_max;
  struct ssl_st *tls; /* NULL: plain */
  GByteArray *out;
  gsize out_done; /* of it the kernel has so many */
};

/* The handle's stream, when it is its owner who asks. (nullable) */
Stream *stream_peek (ChPlugin *self, ChStream handle);
/* Tries the next address; the stream fails when none is left. */
void stream_connect_next (Stream *stream);
/* Ends it; the first reason counts. (transfer full) */
void stream_fail (Stream *stream, GError *error);

/* Fills in the addresses, now or later, and goes on with stream_connect_next(). */
void stream_resolve (Stream *stream, const ChStreamOptions *options);

/* stream-tls.c: at the beginning; %FALSE with an error. */
gboolean stream_tls_prepare (Stream *stream, const ChStreamTls *tls, const char *host,
                             GError **error);
void stream_tls_free (Stream *stream);
/* @events: what to wait for, 0 when it is done. Returns: %FALSE when the stream failed */
gboolean stream_tls_handshake (Stream *stream, guint32 *events);
/* As recv() and send(). */
gssize stream_tls_read (Stream *stream, char *bytes, gsize n);
gssize stream_tls_write (Stream *stream, const guint8 *bytes, gsize n);
/* Whether bytes were received that no event will tell of. */
gboolean stream_tls_has_more (const Stream *stream);
