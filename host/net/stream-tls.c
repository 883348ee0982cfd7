/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS of outgoing connections: OpenSSL without blocking, on the reactor's descriptor.
 * What a peer must prove is kept in one context for all streams that ask for the same.
 */
#include "net/stream-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>

/* The newest error of OpenSSL as a GError; its queue is emptied. */
static GError *tls_error (const Stream *stream, const char *what)
{
  long verified = stream->tls != NULL ? SSL_get_verify_result (stream->tls) : X509_V_OK;
  unsigned long code = ERR_peek_last_error ();
  char text[256] = "the connection was closed";

  if (code != 0)
    ERR_error_string_n (code, text, sizeof text);
  ERR_clear_error ();
  if (verified != X509_V_OK)
    return g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s: %s", stream->name, what,
                        X509_verify_cert_error_string (verified));
  return g_error_new (G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s: %s", stream->name, what,
                      text);
}

static gboolean load_files (SSL_CTX *context, const ChStreamTls *tls)
{
  if (tls->ca_file != NULL
          ? SSL_CTX_load_verify_locations (context, tls->ca_file, NULL) != 1
          : SSL_CTX_set_default_verify_paths (context) != 1)
    return FALSE;
  if (tls->cert_file == NULL)
    return TRUE;
  const char *key = tls->key_file != NULL ? tls->key_file : tls->cert_file;
  return SSL_CTX_use_certificate_chain_file (context, tls->cert_file) == 1
         && SSL_CTX_use_PrivateKey_file (context, key, SSL_FILETYPE_PEM) == 1
         && SSL_CTX_check_private_key (context) == 1;
}

static void free_context (gpointer context)
{
  SSL_CTX_free (context);
}

/* NULL with an error when a file cannot be used. */
static SSL_CTX *context_for (Stream *stream, const ChStreamTls *tls, GError **error)
{
  ChReactor *reactor = stream->reactor;
  g_autofree char *name = g_strjoin ("\n", tls->ca_file != NULL ? tls->ca_file : "",
                                     tls->cert_file != NULL ? tls->cert_file : "",
                                     tls->key_file != NULL ? tls->key_file : "",
                                     tls->insecure ? "insecure" : "", NULL);

  if (reactor->tls_contexts == NULL)
    reactor->tls_contexts
        = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_context);
  SSL_CTX *context = g_hash_table_lookup (reactor->tls_contexts, name);
  if (context != NULL)
    return context;
  ERR_clear_error ();
  context = SSL_CTX_new (TLS_client_method ());
  if (context == NULL || !load_files (context, tls)) {
    *error = tls_error (stream, "TLS: a file cannot be used");
    SSL_CTX_free (context);
    return NULL;
  }
  SSL_CTX_set_min_proto_version (context, TLS1_2_VERSION);
  SSL_CTX_set_mode (context, SSL_MODE_ENABLE_PARTIAL_WRITE
                                 | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                 | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify (context, tls->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
  g_hash_table_insert (reactor->tls_contexts, g_steal_pointer (&name), context);
  return context;
}

/* The certificate must be for the name or the address that was asked for. */
static gboolean expect_name (SSL *tls, const char *name)
{
  guint8 bytes[16];

  if (inet_pton (AF_INET, name, bytes) == 1 || inet_pton (AF_INET6, name, bytes) == 1)
    return X509_VERIFY_PARAM_set1_ip_asc (SSL_get0_param (tls), name) == 1;
  return SSL_set_tlsext_host_name (tls, name) == 1 && SSL_set1_host (tls, name) == 1;
}

gboolean stream_tls_prepare (Stream *stream, const ChStreamTls *tls, const char *host,
                             GError **error)
{
  const char *name = tls->name != NULL ? tls->name : host;
  SSL_CTX *context = context_for (stream, tls, error);

  if (context == NULL)
    return FALSE;
  stream->tls = SSL_new (context);
  if (stream->tls == NULL
      || (name != NULL && !tls->insecure && !expect_name (stream->tls, name))) {
    *error = tls_error (stream, "TLS cannot be set up");
    return FALSE;
  }
  SSL_set_connect_state (stream->tls);
  return TRUE;
}

void stream_tls_free (Stream *stream)
{
  g_clear_pointer (&stream->tls, SSL_free);
}

gboolean stream_tls_handshake (Stream *stream, guint32 *events)
{
  if (SSL_get_fd (stream->tls) != stream->watch.fd)
    SSL_set_fd (stream->tls, stream->watch.fd);
  ERR_clear_error ();
  int done = SSL_do_handshake (stream->tls);
  *events = 0;
  if (done == 1)
    return TRUE;
  switch (SSL_get_error (stream->tls, done)) {
  case SSL_ERROR_WANT_READ:
    *events = EPOLLIN;
    return TRUE;
  case SSL_ERROR_WANT_WRITE:
    *events = EPOLLOUT;
    return TRUE;
  default:
    stream_fail (stream, tls_error (stream, "TLS handshake"));
    return FALSE;
  }
}

/* As recv() and send() answer. */
static gssize result_of (Stream *stream, int n)
{
  if (n > 0)
    return n;
  switch (SSL_get_error (stream->tls, n)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    errno = EAGAIN;
    return -1;
  case SSL_ERROR_ZERO_RETURN:
    return 0;
  case SSL_ERROR_SYSCALL:
    errno = errno != 0 && errno != EAGAIN ? errno : ECONNRESET;
    return -1;
  default:
    errno = EPROTO;
    return -1;
  }
}

gssize stream_tls_read (Stream *stream, char *bytes, gsize n)
{
  ERR_clear_error ();
  errno = 0;
  return result_of (stream, SSL_read (stream->tls, bytes, (int) MIN (n, G_MAXINT32)));
}

gssize stream_tls_write (Stream *stream, const guint8 *bytes, gsize n)
{
  ERR_clear_error ();
  errno = 0;
  gssize done
      = result_of (stream, SSL_write (stream->tls, bytes, (int) MIN (n, G_MAXINT32)));
  if (done == 0)
    errno = EPIPE;
  return done == 0 ? -1 : done;
}

gboolean stream_tls_has_more (const Stream *stream)
{
  return SSL_has_pending (stream->tls) != 0;
}
