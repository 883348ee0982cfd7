/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of servers as text. */
#include "redis.h"

#include <string.h>

Endpoint *endpoint_new (const char *host, guint16 port)
{
  Endpoint *endpoint = g_new0 (Endpoint, 1);
  endpoint->host = g_strdup (host);
  endpoint->port = port;
  return endpoint;
}

Endpoint *endpoint_copy (const Endpoint *endpoint)
{
  Endpoint *copy = endpoint_new (endpoint->host, endpoint->port);
  copy->path = g_strdup (endpoint->path);
  return copy;
}

void endpoint_free (Endpoint *endpoint)
{
  if (endpoint == NULL)
    return;
  g_free (endpoint->host);
  g_free (endpoint->path);
  g_free (endpoint);
}

gboolean endpoint_equal (const Endpoint *a, const Endpoint *b)
{
  return a->port == b->port && g_strcmp0 (a->host, b->host) == 0
         && g_strcmp0 (a->path, b->path) == 0;
}

char *endpoint_text (const Endpoint *endpoint)
{
  if (endpoint->path != NULL)
    return g_strdup (endpoint->path);
  return g_strdup_printf (strchr (endpoint->host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                          endpoint->host, endpoint->port);
}

Endpoint *endpoint_parse (const char *text, guint16 default_port, GError **error)
{
  g_autofree char *host = NULL;
  const char *port = NULL;
  guint64 number = default_port;

  if (text[0] == '/') {
    Endpoint *endpoint = g_new0 (Endpoint, 1);
    endpoint->path = g_strdup (text);
    return endpoint;
  }
  const char *colon = strrchr (text, ':');
  if (text[0] == '[') {
    const char *end = strchr (text, ']');
    host = end != NULL ? g_strndup (text + 1, (gsize) (end - text) - 1) : NULL;
    port = end != NULL && end[1] == ':' ? end + 2 : NULL;
  } else if (colon != NULL && strchr (text, ':') == colon) {
    host = g_strndup (text, (gsize) (colon - text));
    port = colon + 1;
  } else {
    host = g_strdup (text);
  }
  if (host == NULL || host[0] == '\0'
      || (port != NULL
          && !g_ascii_string_to_unsigned (port, 10, 1, G_MAXUINT16, &number, NULL))) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "'%s' is not an address like host:6379", text);
    return NULL;
  }
  return endpoint_new (host, (guint16) number);
}
