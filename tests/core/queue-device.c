/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of the devices, and the commands that are sent to them. */
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int queue_connect (Queue *queue)
{
  int pair[2], size = queue->send_buffer > 0 ? queue->send_buffer : 4096;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (
      socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==, 0);
  setsockopt (pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  g_assert_cmpuint (
      ch_gateway_adopt (queue->services.gateway, pair[0], "10.1.2.3:4000", &error), !=,
      0);
  return pair[1];
}

void queue_say (Queue *queue, int fd, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *line = g_strconcat (text, "\n", NULL);
  g_assert_cmpint (write (fd, line, strlen (line)), ==, (gssize) strlen (line));
  queue_settle (queue);
}

int queue_device_on (Queue *queue, const char *id)
{
  int fd = queue_connect (queue);
  queue_say (queue, fd, "@on %s", id);
  return fd;
}

Queue *queue_with_device (int *fd)
{
  Queue *queue = queue_new (NULL);
  *fd = queue_device_on (queue, DEV);
  return queue;
}

void queue_finish (Queue *queue, int fd)
{
  close (fd);
  queue_free (queue);
}

char *queue_heard (Queue *queue, int fd)
{
  char buffer[65536];
  gsize size = 0;
  gssize n;

  queue_settle (queue);
  while (size < sizeof buffer - 1
         && (n = read (fd, buffer + size, sizeof buffer - 1 - size)) > 0)
    size += (gsize) n;
  return g_strndup (buffer, size);
}

void queue_expect (Queue *queue, int fd, const char *text)
{
  g_autofree char *heard = queue_heard (queue, fd);
  g_assert_cmpstr (heard, ==, text);
}

gboolean queue_is_closed (Queue *queue, int fd)
{
  char byte;
  queue_settle (queue);
  return recv (fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

guint queue_number (const char *text)
{
  const char *last = g_strrstr_len (text, (gssize) strlen (text) - 1, "\n");
  g_auto (GStrv) words = g_strsplit (last != NULL ? last + 1 : text, " ", 3);
  g_assert_nonnull (words[1]);
  return (guint) g_ascii_strtoull (words[1], NULL, 10);
}

ChDevice *queue_device (Queue *queue, const char *id)
{
  ChDevice *device = g_hash_table_lookup (queue->services.core->devices, id);
  g_assert_nonnull (device);
  return device;
}

ChOutboundRequest queue_request (Queue *queue, ChCommandType type)
{
  return (ChOutboundRequest) {.type = type, .device = queue_device (queue, DEV)};
}

void queue_send (Queue *queue, const ChOutboundRequest *request, char *id)
{
  char own[CH_COMMAND_ID_SIZE];
  gboolean merged;
  g_autoptr (GError) error = NULL;

  if (!ch_outbound_send (queue->services.core->outbound, request, id != NULL ? id : own,
                         &merged, &error))
    g_error ("not accepted: %s", error->message);
  queue_settle (queue);
}

void queue_send_type (Queue *queue, ChCommandType type, gint port_no, char *id)
{
  ChOutboundRequest request = queue_request (queue, type);
  request.port_no = port_no;
  queue_send (queue, &request, id);
}

static void seen_state (ChCore *core, const ChCommandView *view, gpointer user_data)
{
  *(const char **) user_data = ch_command_state_name (view->state);
}

const char *queue_state (Queue *queue, const char *id)
{
  const char *state = NULL;
  ch_outbound_wait (queue->services.core->outbound, id, 0, seen_state, &state);
  return state;
}
