/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helpers/resp-client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct _RespClient {
  int fd;
  GByteArray *out;
  GByteArray *in;
  gsize at; /* read up to here */
};

static int connect_to (const char *path)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) != 0) {
    close (fd);
    fd = -1;
  }
  return fd;
}

/* ---- the client ---------------------------------------------------------------------
 */

RespClient *resp_client_new (const char *socket_path)
{
  RespClient *client = g_new0 (RespClient, 1);
  client->fd = connect_to (socket_path);
  g_assert_cmpint (client->fd, >=, 0);
  client->out = g_byte_array_new ();
  client->in = g_byte_array_new ();
  return client;
}

void resp_client_free (RespClient *client)
{
  if (client == NULL)
    return;
  close (client->fd);
  g_byte_array_unref (client->out);
  g_byte_array_unref (client->in);
  g_free (client);
}

static void put_text (RespClient *client, const char *text)
{
  g_byte_array_append (client->out, (const guint8 *) text, (guint) strlen (text));
}

static void put_head (RespClient *client, char mark, gsize number)
{
  char text[32];
  g_snprintf (text, sizeof text, "%c%" G_GSIZE_FORMAT "\r\n", mark, number);
  put_text (client, text);
}

static void flush (RespClient *client)
{
  gsize done = 0;

  while (done < client->out->len) {
    gssize n = write (client->fd, client->out->data + done, client->out->len - done);
    g_assert (n > 0 || errno == EINTR);
    done += n > 0 ? (gsize) n : 0;
  }
  g_byte_array_set_size (client->out, 0);
}

void resp_client_send (RespClient *client, const char *const *argv, const gsize *sizes,
                       gsize argc)
{
  put_head (client, '*', argc);
  for (gsize i = 0; i < argc; i++) {
    gsize size = sizes != NULL ? sizes[i] : strlen (argv[i]);
    put_head (client, '$', size);
    g_byte_array_append (client->out, (const guint8 *) argv[i], (guint) size);
    put_text (client, "\r\n");
  }
}

static gboolean fill (RespClient *client)
{
  guint8 bytes[16384];

  flush (client);
  if (client->at > 0) {
    g_byte_array_remove_range (client->in, 0, (guint) client->at);
    client->at = 0;
  }
  gssize n = read (client->fd, bytes, sizeof bytes);
  if (n <= 0)
    return FALSE;
  g_byte_array_append (client->in, bytes, (guint) n);
  return TRUE;
}

/* The next line without its end; NULL: the connection is closed. (transfer full) */
static char *read_line (RespClient *client)
{
  for (;;) {
    const char *start = (const char *) client->in->data + client->at;
    gsize left = client->in->len - client->at;
    const char *end = left > 0 ? memchr (start, '\n', left) : NULL;
    if (end != NULL) {
      client->at += (gsize) (end - start) + 1;
      return g_strndup (start, (gsize) (end - start) - 1);
    }
    if (!fill (client))
      return NULL;
  }
}

static ChKvReply *read_bulk (RespClient *client, gint64 size)
{
  if (size < 0)
    return ch_kv_reply_nil ();
  while (client->in->len - client->at < (gsize) size + 2)
    if (!fill (client))
      return NULL;
  ChKvReply *reply
      = ch_kv_reply_string ((const char *) client->in->data + client->at, size);
  client->at += (gsize) size + 2;
  return reply;
}

static ChKvReply *read_array (RespClient *client, gint64 count)
{
  if (count < 0)
    return ch_kv_reply_nil ();
  ChKvReply *reply = ch_kv_reply_array ((gsize) count);
  for (gsize i = 0; i < reply->n_items; i++) {
    reply->items[i] = resp_client_read (client);
    if (reply->items[i] == NULL) {
      ch_kv_reply_free (reply);
      return NULL;
    }
  }
  return reply;
}

ChKvReply *resp_client_read (RespClient *client)
{
  g_autofree char *line = read_line (client);

  if (line == NULL)
    return NULL;
  gint64 number = g_ascii_strtoll (line + 1, NULL, 10);
  switch (line[0]) {
  case '+':
    return ch_kv_reply_status (line + 1);
  case '-':
    return ch_kv_reply_error ("%s", line + 1);
  case ':':
    return ch_kv_reply_integer (number);
  case '$':
    return read_bulk (client, number);
  case '*':
    return read_array (client, number);
  default:
    g_error ("not RESP2: %s", line);
  }
}

ChKvReply *resp_client_run (RespClient *client, const char *const *argv, gsize argc)
{
  resp_client_send (client, argv, NULL, argc);
  return resp_client_read (client);
}
