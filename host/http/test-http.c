/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/test-http.h"
#include "bus/bus.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_US (20 * G_USEC_PER_SEC)

/* ---- the server ----------------------------------------------------------------------
 */

void world_listen (ChServices *services, guint16 *port)
{
  g_autoptr (GError) error = NULL;
  ch_http_listen (services->http, &error);
  g_assert_no_error (error);
  const char *url = ch_http_url (services->http);
  *port = (guint16) g_ascii_strtoull (strrchr (url, ':') + 1, NULL, 10);
  g_assert_cmpuint (*port, >, 0);
}

static const ChConfigKey TEST_KEYS[] = {
    {.name = "app.env", .type = CH_CONFIG_STRING, .def = "dev"},
    {.name = NULL},
};

void world_open (World *world, const char *const *options)
{
  ChServices *s = &world->services;
  g_autoptr (GError) error = NULL;

  *world = (World) {0};
  s->clock = ch_clock_new_fake (1704528000000);
  s->config = ch_config_new ();
  s->metrics = ch_metrics_new ();
  s->runner = ch_runner_new ();
  s->replies = ch_replies_new ();
  s->phase = 9;
  g_strlcpy (s->server_id, "gw-1", sizeof s->server_id);
  ch_reactor_new (s, NULL, &error);
  g_assert_no_error (error);
  ch_config_declare (s->config, "", TEST_KEYS);
  ch_config_declare (s->config, "", ch_http_config);
  ch_config_add_option (s->config, "http.addr=127.0.0.1:0", &error);
  for (guint i = 0; options != NULL && options[i] != NULL; i++)
    ch_config_add_option (s->config, options[i], &error);
  g_assert_no_error (error);
  ch_config_resolve (s->config, NULL, &error);
  g_assert_no_error (error);
  ch_http_new (s);
  ch_http_monitor_open (s->http, &error);
  g_assert_no_error (error);
  ch_http_health_init (s->http);
  world->plugin = ch_owner_new (s, "test", NULL);
  ch_plugin_set_data (world->plugin, world);
  world_listen (s, &world->port);
}

void world_close (World *world)
{
  ChServices *s = &world->services;
  g_clear_pointer (&world->plugin, ch_owner_free);
  ch_http_free (s->http);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_assert_cmpuint (ch_replies_pending (s->replies), ==, 0);
  ch_reactor_free (s->reactor);
  ch_replies_free (s->replies);
  ch_runner_free (s->runner);
  ch_metrics_free (s->metrics);
  ch_config_free (s->config);
  ch_clock_free (s->clock);
}

void world_settle (ChServices *services)
{
  gint64 until_us = g_get_monotonic_time () + PATIENCE_US;
  guint quiet = 0;
  while (quiet < 4) {
    gboolean busy = g_main_context_iteration (NULL, FALSE);
    busy = ch_wheel_run (services->reactor) > 0 || busy;
    busy = (services->bus != NULL && ch_bus_drain (services->bus, 1000) > 0) || busy;
    quiet = busy ? 0 : quiet + 1;
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
  }
}

void world_advance (ChServices *services, gint64 ms)
{
  world_settle (services);
  while (ms > 0) {
    gint64 step = MIN (ms, 100);
    ch_clock_advance_ms (services->clock, step);
    ms -= step;
    world_settle (services);
  }
}

double world_metric (World *world, const char *line)
{
  GString *text = ch_metrics_render (world->services.metrics);
  g_autofree char *start = g_strdup_printf ("\n%s ", line);
  const char *found = strstr (text->str, start);
  double value = found != NULL ? g_ascii_strtod (found + strlen (start), NULL) : -1;
  g_string_free (text, TRUE);
  return value;
}

/* ---- clients -------------------------------------------------------------------------
 */

Client *client_new (ChServices *services, guint16 port)
{
  Client *client = g_new0 (Client, 1);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons (port),
                                .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  client->services = services;
  client->in = g_string_new (NULL);
  client->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (client->fd, >=, 0);
  g_assert_cmpint (connect (client->fd, (struct sockaddr *) &address, sizeof address), ==,
                   0);
  return client;
}

void client_free (Client *client)
{
  if (client == NULL)
    return;
  close (client->fd);
  g_string_free (client->in, TRUE);
  g_free (client->headers);
  g_free (client->body);
  json_decref (client->json);
  g_free (client);
}

void client_send (Client *client, const char *text, gssize size)
{
  gsize left = size < 0 ? strlen (text) : (gsize) size;
  while (left > 0) {
    ssize_t n = send (client->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
      return;
    if (n < 0)
      world_settle (client->services);
    else {
      text += n;
      left -= (gsize) n;
    }
  }
}

static void read_all (Client *client)
{
  char buffer[8192];
  ssize_t n;
  while ((n = recv (client->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    g_string_append_len (client->in, buffer, n);
  client->closed |= n == 0 || errno == ECONNRESET;
}

static const char *find_header (const char *headers, const char *name)
{
  gsize n = strlen (name);
  for (const char *line = headers; line != NULL; line = strstr (line, "\r\n")) {
    if (*line == '\r')
      line += 2;
    if (g_ascii_strncasecmp (line, name, n) == 0 && line[n] == ':')
      return line + n + 1 + strspn (line + n + 1, " ");
  }
  return NULL;
}

gboolean client_poll (Client *client, gboolean head)
{
  read_all (client);
  const char *end = strstr (client->in->str, "\r\n\r\n");
  if (end == NULL)
    return FALSE;
  gsize start = (gsize) (end - client->in->str) + 4;
  g_autofree char *headers = g_strndup (client->in->str, start - 2);
  const char *length = find_header (headers, "Content-Length");
  gsize size = length != NULL && !head ? g_ascii_strtoull (length, NULL, 10) : 0;
  if (client->in->len < start + size)
    return FALSE;
  g_free (client->headers);
  g_free (client->body);
  json_decref (client->json);
  client->headers = g_steal_pointer (&headers);
  client->body = g_strndup (client->in->str + start, size);
  client->status = (guint) g_ascii_strtoull (client->headers + 9, NULL, 10);
  client->json = size > 0 ? ch_json_parse (client->body, size, NULL) : NULL;
  g_string_erase (client->in, 0, (gssize) (start + size));
  return TRUE;
}

static void wait_for (Client *client, gboolean closed)
{
  gint64 until_us = g_get_monotonic_time () + PATIENCE_US;
  for (;;) {
    if (closed ? (read_all (client), client->closed) : client_poll (client, FALSE))
      return;
    g_assert_false (!closed && client->closed);
    g_assert_cmpint (g_get_monotonic_time (), <, until_us);
    struct pollfd poll_fd = {client->fd, POLLIN, 0};
    if (client->services->bus != NULL)
      ch_bus_drain (client->services->bus, 1000);
    if (!g_main_context_iteration (NULL, FALSE)
        && ch_wheel_run (client->services->reactor) == 0)
      poll (&poll_fd, 1, 1);
  }
}

void client_wait (Client *client)
{
  wait_for (client, FALSE);
}

void client_wait_closed (Client *client)
{
  wait_for (client, TRUE);
}

char *client_header (Client *client, const char *name)
{
  const char *value = find_header (client->headers, name);
  return value != NULL ? g_strndup (value, strcspn (value, "\r")) : g_strdup ("");
}

void client_start (Client *client, const char *method, const char *path,
                   const char *headers, const char *body)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_string_append_printf (text, "%s %s HTTP/1.1\r\nHost: test\r\n%s", method, path,
                          headers != NULL ? headers : "");
  if (body != NULL) {
    if (headers == NULL || strstr (headers, "Content-Type") == NULL)
      g_string_append (text, "Content-Type: application/json\r\n");
    g_string_append_printf (text, "Content-Length: %zu\r\n\r\n%s", strlen (body), body);
  } else
    g_string_append (text, "\r\n");
  client_send (client, text->str, (gssize) text->len);
}

void client_request (Client *client, const char *method, const char *path,
                     const char *headers, const char *body)
{
  client_start (client, method, path, headers, body);
  client_wait (client);
}

guint ask (ChServices *services, guint16 port, const char *method, const char *path,
           const char *headers, const char *body, json_t **json)
{
  g_autoptr (Client) client = client_new (services, port);
  client_request (client, method, path, headers, body);
  if (json != NULL)
    *json = json_incref (client->json);
  return client->status;
}

gint client_code (Client *client)
{
  return (gint) ch_json_get_int (client->json, "code", -1);
}
