/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets behind a gateway: what is seen of them, and their list (gateway 1.3, bkv 7.4).
 */
#include "core/device/device-store.h"
#include "core/fact/facts.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

#include <string.h>

#define STORE_EVERY_MS 30000

void ch_socket_seen (ChPlugin *self, ChConn conn, const char *id,
                     const ChSocketSeen *fact)
{
  ChCore *core = ch_core_of (self);
  ChDevice *device = ch_device_find (core, id);
  if (device == NULL || device->conn != conn)
    return;
  ChSocket *socket = ch_device_socket (device, fact->socket_no, TRUE);
  if (socket == NULL)
    return;

  gint64 now = ch_wall_ms (self);
  gint8 status = fact->status == CH_UNSET ? socket->status : (gint8) fact->status;
  gboolean changed
      = socket->status != status || now - socket->last_seen_at > STORE_EVERY_MS;
  if (fact->mac != NULL && g_ascii_strcasecmp (socket->mac, fact->mac) != 0) {
    g_strlcpy (socket->mac, fact->mac, sizeof socket->mac);
    changed = TRUE;
  }
  if (fact->firmware != NULL && !g_str_equal (socket->firmware, fact->firmware)) {
    g_strlcpy (socket->firmware, fact->firmware, sizeof socket->firmware);
    changed = TRUE;
  }
  if (fact->signal != CH_UNSET)
    socket->signal = (gint16) CLAMP (fact->signal, -32000, 32000);
  if (fact->channel != CH_UNSET)
    socket->channel = (gint16) fact->channel;
  socket->status = status;
  if (!changed)
    return;
  socket->last_seen_at = now;
  ChTx *tx = ch_tx_new (core->self);
  ch_socket_store (device, socket, tx);
  ch_tx_submit (tx, 0, NULL, NULL);
}

/* One entry of a list; FALSE when it is not one. */
static gboolean take_node (ChDevice *device, const json_t *node, gint64 channel, ChTx *tx)
{
  json_int_t number = json_integer_value (json_object_get (node, "socket_no"));
  const char *mac = json_string_value (json_object_get (node, "socket_mac"));
  ChSocket *socket = ch_device_socket (device, (gint) number, TRUE);
  if (socket == NULL || mac == NULL || strlen (mac) != 12)
    return FALSE;
  g_autofree char *lower = g_ascii_strdown (mac, -1);
  g_strlcpy (socket->mac, lower, sizeof socket->mac);
  if (channel != CH_UNSET)
    socket->channel = (gint16) channel;
  ch_socket_store (device, socket, tx);
  return TRUE;
}

static gboolean is_listed (const json_t *nodes, gint socket_no)
{
  size_t i;
  json_t *node;
  json_array_foreach ((json_t *) nodes, i,
                      node) if (json_integer_value (json_object_get (node, "socket_no"))
                                == socket_no) return TRUE;
  return FALSE;
}

static void drop (ChDevice *device, gint socket_no, ChTx *tx)
{
  ch_tx_add (tx, device->core->self, "sockets.delete");
  ch_tx_bind_text (tx, "gateway_id", device->id);
  ch_tx_bind_int (tx, "socket_no", socket_no);
  ch_device_remove_socket (device, socket_no);
}

static void store_list (ChDevice *device, const ChTopology *fact)
{
  ChTx *tx = ch_tx_new (device->core->self);
  size_t i;
  json_t *node;

  if (g_str_equal (fact->action, "refresh"))
    for (guint at = device->n_sockets; at-- > 0;)
      if (!is_listed (fact->nodes, device->sockets[at].socket_no))
        drop (device, device->sockets[at].socket_no, tx);
  if (g_str_equal (fact->action, "delete"))
    drop (device, (gint) fact->socket_no, tx);
  else if (fact->nodes != NULL)
    json_array_foreach ((json_t *) fact->nodes, i, node)
        take_node (device, node, fact->channel, tx);
  if (ch_tx_is_empty (tx))
    ch_tx_free (tx);
  else
    ch_tx_submit (tx, 0, NULL, NULL);
}

void ch_network_topology (ChPlugin *self, ChConn conn, const char *id,
                          const ChTopology *fact)
{
  ChCore *core = ch_core_of (self);
  ChDevice *device = ch_device_find (core, id);
  if (device == NULL)
    return;
  if (g_str_equal (fact->result, "ok"))
    store_list (device, fact);
  if (!ch_topic_is_heard (core->topics.topology_changed))
    return;

  g_autofree char *nodes
      = fact->nodes != NULL ? json_dumps (fact->nodes, JSON_COMPACT) : g_strdup ("[]");
  gsize blob = strlen (nodes);
  g_autofree ChTopologyChangedEvent *event = g_malloc0 (sizeof *event + blob);
  event->event.time_ms = ch_wall_ms (self);
  event->event.blob_size = (guint32) blob;
  event->event.socket_no = fact->socket_no == CH_UNSET ? -1 : (gint16) fact->socket_no;
  event->event.port_no = -1;
  g_strlcpy (event->event.device, device->id, sizeof event->event.device);
  g_strlcpy (event->action, fact->action, sizeof event->action);
  g_strlcpy (event->result, fact->result, sizeof event->result);
  memcpy (event + 1, nodes, blob);
  ch_publish (core->topics.topology_changed, &event->event);
}
