/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outgoing connections of plugins: TCP, TLS or a unix socket in the reactor. Names are
 * resolved in a thread; nothing here blocks. What is written during a turn of the loop
 * goes out together at its end.
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/* Handle of a stream, checked at every use. 0 is none. */
typedef guint64 ChStream;

/**
 * ChStreamFuncs:
 * @size: sizeof (ChStreamFuncs)
 * @opened: the connection stands
 * @input: bytes came; they are valid during the call only
 * @closed: it ended, or never came to stand: the last call, never inside a call of this
 *   header, and not made after ch_stream_close()
 */
typedef struct {
  guint32 size;
  void (*opened) (ChPlugin *self, ChStream stream, gpointer user_data);
  void (*input) (ChPlugin *self, ChStream stream, const char *bytes, gsize n,
                 gpointer user_data);
  void (*closed) (ChPlugin *self, ChStream stream, const GError *error,
                  gpointer user_data);
} ChStreamFuncs;

/**
 * ChStreamTls:
 * @size: sizeof (ChStreamTls)
 * @name: (nullable): whom the certificate must name; the stream's `host` without it
 * @ca_file: (nullable): PEM of the authorities that are trusted; those of the system
 *   without it
 * @cert_file: (nullable): PEM of the certificate that is shown to the peer
 * @key_file: (nullable): PEM of its key; in @cert_file without it
 * @insecure: trust anybody; for tests
 *
 * Files are read once: all streams with the same names share what was in them.
 */
typedef struct {
  guint32 size;
  const char *name;
  const char *ca_file;
  const char *cert_file;
  const char *key_file;
  gboolean insecure;
} ChStreamTls;

/**
 * ChStreamOptions:
 * @size: sizeof (ChStreamOptions)
 * @host: (nullable): name or address
 * @port: port of @host
 * @path: (nullable): path of a unix socket, in place of @host
 * @timeout_ms: for all of resolving, connecting and TLS; 0 is 5000
 * @write_max: bytes that may wait to be sent; 0 is 64 MiB
 * @tls: (nullable): encrypt, TLS 1.2 or newer
 */
typedef struct {
  guint32 size;
  const char *host;
  guint16 port;
  const char *path;
  guint timeout_ms;
  gsize write_max;
  const ChStreamTls *tls;
} ChStreamOptions;

/**
 * ch_stream_open:
 * @self: the owner; the stream is closed when it stops
 * @options: where to; copied
 * @funcs: (not nullable): static
 * @user_data: for @funcs
 *
 * Addresses of a name are tried one after the other.
 *
 * Returns: a handle
 */
ChStream ch_stream_open (ChPlugin *self, const ChStreamOptions *options,
                         const ChStreamFuncs *funcs, gpointer user_data);

/**
 * ch_stream_write:
 * @bytes: (array length=n): copied
 *
 * May be called before the stream stands.
 *
 * Returns: %FALSE when more than `write_max` would wait or the stream is gone; then
 *   nothing of @bytes is sent. One write of any size fits when nothing waits.
 */
gboolean ch_stream_write (ChPlugin *self, ChStream stream, const void *bytes, gsize n);

/* Returns: bytes that wait to be sent */
gsize ch_stream_unsent (ChPlugin *self, ChStream stream);

/**
 * ch_stream_close:
 *
 * What waits is given to the kernel as far as it takes it at once. No callback is made
 * any more. 0 or a stream that is gone is fine; allowed in callbacks.
 */
void ch_stream_close (ChPlugin *self, ChStream stream);

G_END_DECLS
