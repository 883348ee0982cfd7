/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The gateway as a whole: making and ending it, protocols, listening. */
#include "net/gateway-private.h"

#include "base/config-private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Descriptors for everything that is not a device (TCP-02). */
#define OTHER_DESCRIPTORS 512

static void breaker_changed (ChBreaker *breaker, gpointer data)
{
  ChGateway *gateway = data;
  ch_notice (gateway->self, "breaker of new connections: %s",
             ch_breaker_state_name (breaker->state));
  if (gateway->hooks.breaker_changed != NULL)
    gateway->hooks.breaker_changed (gateway->core, (gint) breaker->state,
                                    breaker->failures);
}

/* The limit that the descriptors allow, if that is less than what is wanted. */
static void find_max (ChGateway *gateway)
{
  guint64 descriptors = ch_reactor_raise_fd_limit ();
  guint64 most
      = descriptors > OTHER_DESCRIPTORS + 64 ? descriptors - OTHER_DESCRIPTORS : 64;
  guint wanted = gateway->settings.max_connections;

  gateway->max = (guint) MIN (most, G_MAXUINT32);
  if (!gateway->settings.limiting)
    return;
  if (wanted > most)
    ch_error (gateway->self,
              "%" G_GUINT64_FORMAT " descriptors are not enough for %u connections: at "
              "most %u are accepted",
              descriptors, wanted, gateway->max);
  else
    gateway->max = wanted;
}

static void use_own_config (ChGateway *gateway)
{
  gateway->own_config = ch_config_new ();
  ch_config_declare (gateway->own_config, "", ch_gateway_config);
  ch_config_resolve (gateway->own_config, NULL, NULL);
  gateway->config = gateway->own_config;
}

ChGateway *ch_gateway_new (ChServices *services)
{
  ChGateway *gateway = g_new0 (ChGateway, 1);

  gateway->services = services;
  gateway->reactor = services->reactor;
  gateway->self = ch_owner_new (services, "net", NULL);
  gateway->protocols = g_ptr_array_new ();
  gateway->gone = g_ptr_array_new ();
  gateway->listeners = g_ptr_array_new ();
  gateway->chunks = g_ptr_array_new_with_free_func (free);
  gateway->vacant = g_array_new (FALSE, FALSE, sizeof (guint32));
  gateway->allowed = g_array_new (FALSE, FALSE, sizeof (Network));
  gateway->addresses = ch_address_limits_new ();
  gateway->foreigners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gateway->rx = g_malloc (RX_SIZE);
  gateway->gather = g_new0 (Gather, 1);
  gateway->reserve_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  gateway->config = services->config;
  if (gateway->config == NULL)
    use_own_config (gateway);

  settings_read (gateway);
  find_max (gateway);
  const Settings *s = &gateway->settings;
  ch_bucket_init (&gateway->accepts, s->rate, s->burst,
                  ch_clock_monotonic_us (services->clock));
  ch_breaker_init (&gateway->breaker, s->breaker_threshold, s->breaker_us, 5);
  gateway->breaker.changed = breaker_changed;
  gateway->breaker.data = gateway;
  ch_address_limits_set (gateway->addresses, s->per_ip_rate, s->per_ip_max);
  net_metrics_open (gateway);
  services->gateway = gateway;
  return gateway;
}

void ch_gateway_reconfigure (ChGateway *gateway)
{
  const Settings *s = &gateway->settings;

  settings_read (gateway);
  find_max (gateway);
  ch_bucket_set (&gateway->accepts, s->rate, s->burst,
                 ch_clock_monotonic_us (gateway->services->clock));
  gateway->breaker.threshold = s->breaker_threshold;
  gateway->breaker.timeout_us = s->breaker_us;
  ch_address_limits_set (gateway->addresses, s->per_ip_rate, s->per_ip_max);
  for (guint i = 0; i < gateway->protocols->len; i++)
    protocol_update (g_ptr_array_index (gateway->protocols, i));
}

/* ---- protocols -------------------------------------------------------------------- */

static void close_connections (ChGateway *gateway, const Protocol *protocol)
{
  for (guint32 i = 0; i < gateway->n_slots; i++) {
    Connection *conn = conn_at (gateway, i);
    if (conn->state == CONN_FREE || (protocol != NULL && conn->protocol != protocol))
      continue;
    conn_close (conn, CH_CLOSE_SHUTDOWN);
    /* The one whose input runs goes at the end of the turn. */
    if (gateway->gather->conn != conn)
      conn_finish (conn);
  }
}

static void forget_protocol (Protocol *protocol)
{
  ChGateway *gateway = protocol->gateway;
  close_connections (gateway, protocol);
  g_ptr_array_remove (gateway->protocols, protocol);
  g_ptr_array_add (gateway->gone, protocol);
  protocol->plugin = NULL;
}

static void revoke_protocol (ChResource *resource)
{
  forget_protocol ((Protocol *) resource);
}

static const ChResourceKind PROTOCOL_KIND = {"protocols", revoke_protocol};

static gboolean check_protocol (ChGateway *gateway, const ChProtocol *protocol,
                                GError **error)
{
  if (protocol->size < sizeof (ChProtocol) || protocol->name == NULL
      || protocol->sniff == NULL || protocol->frame == NULL || protocol->input == NULL
      || protocol->command == NULL) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
                 "the protocol lacks a name or a function that it must have");
    return FALSE;
  }
  for (guint i = 0; i < gateway->protocols->len; i++) {
    const Protocol *other = g_ptr_array_index (gateway->protocols, i);
    if (g_str_equal (other->table->name, protocol->name)) {
      g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE,
                   "there is a protocol %s already, of %s", protocol->name,
                   other->plugin->name);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean ch_gateway_add_protocol (ChGateway *gateway, ChPlugin *plugin,
                                  const ChProtocol *protocol, GError **error)
{
  if (!check_protocol (gateway, protocol, error))
    return FALSE;
  Protocol *entry = g_new0 (Protocol, 1);
  entry->gateway = gateway;
  entry->plugin = plugin;
  entry->table = protocol;
  protocol_update (entry);
  net_metrics_protocol (entry);
  g_ptr_array_add (gateway->protocols, entry);
  ch_owner_link (plugin, &entry->resource, &PROTOCOL_KIND);
  return TRUE;
}

void ch_gateway_remove_protocol (ChGateway *gateway, ChPlugin *plugin)
{
  for (guint i = gateway->protocols->len; i-- > 0;) {
    Protocol *protocol = g_ptr_array_index (gateway->protocols, i);
    if (protocol->plugin != plugin)
      continue;
    ch_owner_unlink (&protocol->resource);
    forget_protocol (protocol);
  }
}

const ChProtocolProperties *ch_gateway_properties (ChGateway *gateway,
                                                   const ChProtocol *protocol)
{
  for (guint i = 0; i < gateway->protocols->len; i++) {
    const Protocol *entry = g_ptr_array_index (gateway->protocols, i);
    if (entry->table == protocol)
      return &entry->properties;
  }
  for (guint i = gateway->gone->len; i-- > 0;) {
    const Protocol *entry = g_ptr_array_index (gateway->gone, i);
    if (entry->table == protocol)
      return &entry->properties;
  }
  return &protocol->properties;
}

/* ---- listening -------------------------------------------------------------------- */

gboolean ch_gateway_listen (ChGateway *gateway, GError **error)
{
  if (!settings_check (gateway, error) || !listeners_open (gateway, error))
    return FALSE;
  gateway->listening = TRUE;
  return TRUE;
}

GPtrArray *ch_gateway_addresses (ChGateway *gateway)
{
  GPtrArray *addresses = g_ptr_array_new ();
  for (guint i = 0; i < gateway->listeners->len; i++) {
    Listener *listener = g_ptr_array_index (gateway->listeners, i);
    if (listener->watch.added)
      g_ptr_array_add (addresses, listener->address);
  }
  return addresses;
}

void ch_gateway_stop_listening (ChGateway *gateway)
{
  listeners_close (gateway);
  gateway->listening = FALSE;
}

/* ---- the end ---------------------------------------------------------------------- */

static void listener_free (gpointer data)
{
  Listener *listener = data;
  g_strfreev (listener->protocols);
  g_free (listener);
}

static void protocol_free (gpointer data)
{
  Protocol *protocol = data;
  g_free (protocol->series);
  g_free (protocol);
}

void ch_gateway_free (ChGateway *gateway)
{
  if (gateway == NULL)
    return;
  ch_gateway_stop_listening (gateway);
  close_connections (gateway, NULL);
  while (gateway->protocols->len > 0) {
    Protocol *protocol = g_ptr_array_index (gateway->protocols, 0);
    ch_owner_unlink (&protocol->resource);
    forget_protocol (protocol);
  }
  ch_owner_free (gateway->self);
  net_metrics_close (gateway);
  if (gateway->services->gateway == gateway)
    gateway->services->gateway = NULL;

  g_ptr_array_foreach (gateway->gone, (GFunc) (void (*) (void)) protocol_free, NULL);
  g_ptr_array_unref (gateway->protocols);
  g_ptr_array_unref (gateway->gone);
  g_ptr_array_set_free_func (gateway->listeners, listener_free);
  g_ptr_array_unref (gateway->listeners);
  g_ptr_array_unref (gateway->chunks);
  g_array_unref (gateway->vacant);
  g_array_unref (gateway->allowed);
  ch_address_limits_free (gateway->addresses);
  g_hash_table_unref (gateway->foreigners);
  pool_clear (&gateway->pool);
  g_free (gateway->rx);
  g_free (gateway->gather);
  if (gateway->reserve_fd >= 0)
    close (gateway->reserve_fd);
  ch_config_free (gateway->own_config);
  g_free (gateway);
}
