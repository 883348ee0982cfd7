/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses and networks as text. */
#include "net/gateway-private.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const guint8 MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void address_bytes (const struct sockaddr_storage *address, guint8 bytes[16])
{
  memset (bytes, 0, 16);
  if (address->ss_family == AF_INET6) {
    memcpy (bytes, &((const struct sockaddr_in6 *) address)->sin6_addr, 16);
  } else if (address->ss_family == AF_INET) {
    memcpy (bytes, MAPPED, 12);
    memcpy (bytes + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
  }
}

gsize address_text (const struct sockaddr_storage *address, char text[CH_ADDRESS_SIZE])
{
  char host[INET6_ADDRSTRLEN] = "";
  guint8 bytes[16];
  guint port = 0;

  if (address->ss_family == AF_INET6)
    port = ntohs (((const struct sockaddr_in6 *) address)->sin6_port);
  else if (address->ss_family == AF_INET)
    port = ntohs (((const struct sockaddr_in *) address)->sin_port);
  else {
    g_strlcpy (text, "local", CH_ADDRESS_SIZE);
    return 5;
  }
  address_bytes (address, bytes);
  gboolean v4 = memcmp (bytes, MAPPED, 12) == 0;
  if (v4)
    inet_ntop (AF_INET, bytes + 12, host, sizeof host);
  else
    inet_ntop (AF_INET6, bytes, host, sizeof host);
  g_snprintf (text, CH_ADDRESS_SIZE, v4 ? "%s:%u" : "[%s]:%u", host, port);
  return strlen (host) + (v4 ? 0 : 2);
}

gboolean network_parse (const char *text, Network *network)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  guint64 bits = 128, most = 128;

  memset (network, 0, sizeof *network);
  if (parts[0] == NULL)
    return FALSE;
  if (inet_pton (AF_INET, parts[0], network->address + 12) == 1) {
    memcpy (network->address, MAPPED, 12);
    most = bits = 32;
  } else if (inet_pton (AF_INET6, parts[0], network->address) != 1) {
    return FALSE;
  }
  if (parts[1] != NULL
      && !g_ascii_string_to_unsigned (parts[1], 10, 0, most, &bits, NULL))
    return FALSE;
  network->bits = (guint) (bits + 128 - most);
  return TRUE;
}

gboolean network_has (const Network *network, const guint8 address[16])
{
  guint whole = network->bits / 8, left = network->bits % 8;
  if (memcmp (network->address, address, whole) != 0)
    return FALSE;
  return left == 0 || (network->address[whole] ^ address[whole]) >> (8 - left) == 0;
}

static gboolean fail (const char *text, GError **error)
{
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
               "%s is not an address to listen on (examples: \":7000\", "
               "\"127.0.0.1:7000\", \"[::1]:7000\")",
               text);
  return FALSE;
}

gboolean address_parse (const char *text, struct sockaddr_storage *address,
                        socklen_t *size, gboolean *any, GError **error)
{
  const char *colon = strrchr (text, ':');
  guint64 port;

  memset (address, 0, sizeof *address);
  if (colon == NULL || !g_ascii_string_to_unsigned (colon + 1, 10, 0, 65535, &port, NULL))
    return fail (text, error);
  g_autofree char *host = g_strndup (text, (gsize) (colon - text));
  *any = *host == '\0';

  struct sockaddr_in *v4 = (struct sockaddr_in *) address;
  if (inet_pton (AF_INET, host, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons ((guint16) port);
    *size = sizeof *v4;
    return TRUE;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) address;
  memset (address, 0, sizeof *address);
  gsize n = strlen (host);
  if (*any) {
    v6->sin6_addr = in6addr_any;
  } else {
    if (host[0] != '[' || host[n - 1] != ']')
      return fail (text, error);
    host[n - 1] = '\0';
    if (inet_pton (AF_INET6, host + 1, &v6->sin6_addr) != 1)
      return fail (text, error);
    *any = memcmp (&v6->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons ((guint16) port);
  *size = sizeof *v6;
  return TRUE;
}
