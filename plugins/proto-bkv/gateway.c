/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of gateways and their outlets. */
#include "proto-bkv/bkv.h"
#include <string.h>

gboolean bkv_bit (const BkvBits *bits, guint n)
{
  return bits != NULL && n < 256 && (bits->words[n / 32] >> (n % 32) & 1) != 0;
}

void bkv_set_bit (Bkv *bkv, BkvBits **bits, guint n, gboolean value)
{
  guint32 bit = 1u << (n % 32);

  if (n >= 256 || (*bits == NULL && !value))
    return;
  if (*bits == NULL)
    *bits = ch_slab_new0 (bkv->self, BkvBits);
  if (value)
    (*bits)->words[n / 32] |= bit;
  else
    (*bits)->words[n / 32] &= ~bit;
}

gpointer bkv_insert (Bkv *bkv, gpointer pointers, guint n, guint at, gpointer pointer)
{
  gpointer *larger = ch_slab_alloc (bkv->self, (n + 1) * sizeof (gpointer));

  if (n > 0) {
    memcpy (larger, pointers, at * sizeof (gpointer));
    memcpy (larger + at + 1, (gpointer *) pointers + at, (n - at) * sizeof (gpointer));
    ch_slab_free (bkv->self, pointers, n * sizeof (gpointer));
  }
  larger[at] = pointer;
  return larger;
}

BkvGateway *bkv_gateway_get (Bkv *bkv, const char *id)
{
  return g_hash_table_lookup (bkv->gateways, id);
}

/* Forgets what has no connection; all of it when there is no more room. */
static void make_room (Bkv *bkv, gboolean all)
{
  gint64 now = ch_now_ms (bkv->self);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, bkv->gateways);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const BkvGateway *gateway = value;

    if (gateway->conn == 0 && gateway->n_sessions == 0
        && (all || now - gateway->lost_ms > BKV_KEEP_MS))
      g_hash_table_iter_remove (&iter);
  }
}

BkvGateway *bkv_gateway_add (Bkv *bkv, const guint8 raw[BKV_GATEWAY_SIZE])
{
  BkvGateway *gateway;

  if (g_hash_table_size (bkv->gateways) >= BKV_MAX_RECORDS)
    make_room (bkv, FALSE);
  if (g_hash_table_size (bkv->gateways) >= BKV_MAX_RECORDS)
    make_room (bkv, TRUE);
  if (g_hash_table_size (bkv->gateways) >= BKV_MAX_RECORDS)
    return NULL;
  gateway = ch_slab_new0 (bkv->self, BkvGateway);
  gateway->bkv = bkv;
  memcpy (gateway->raw, raw, BKV_GATEWAY_SIZE);
  bkv_gateway_text (raw, gateway->id);
  g_hash_table_insert (bkv->gateways, gateway->id, gateway);
  return gateway;
}

void bkv_gateway_recall (BkvGateway *gateway)
{
  const Bkv *bkv = gateway->bkv;
  g_autoptr (json_t) ports = ch_core_ports_json (bkv->self, gateway->id);
  g_autoptr (json_t) sockets = ch_core_sockets_json (bkv->self, gateway->id);
  size_t i;
  const json_t *row;

  json_array_foreach (json_object_get (ports, "ports"), i, row)
  {
    gint64 status = ch_json_get_int (row, "raw_status", 0);
    guint faults = bkv_fault_bits ((guint8) status, bkv->settings.meter_fault_mask);
    BkvOutlet *outlet;

    if (faults == 0)
      continue;
    outlet = bkv_outlet (gateway, (guint) ch_json_get_int (row, "socket_no", 999),
                         (guint) ch_json_get_int (row, "port_no", 999), TRUE);
    if (outlet != NULL)
      outlet->fault_bits = (guint8) faults;
  }
  json_array_foreach (json_object_get (sockets, "sockets"), i,
                      row) if (ch_json_get_int (row, "status", 1) == 0)
      bkv_set_bit (gateway->bkv, &gateway->unclear,
                   (guint) ch_json_get_int (row, "socket_no", 999), TRUE);
}

void bkv_gateway_reset (BkvGateway *gateway)
{
  gateway->greeted = FALSE;
  bkv_query_done (gateway);
  for (guint i = 0; i < gateway->n_outlets; i++)
    bkv_charge_missing_end (gateway->outlets[i]);
}

void bkv_gateway_lost (BkvGateway *gateway)
{
  gateway->conn = 0;
  gateway->lost_ms = ch_now_ms (gateway->bkv->self);
  bkv_gateway_reset (gateway);
}

static void outlet_free (ChPlugin *self, BkvOutlet *outlet)
{
  ch_slab_free (self, outlet->start, sizeof (BkvStart));
  ch_slab_free (self, outlet, sizeof *outlet);
}

void bkv_gateway_free (gpointer data)
{
  BkvGateway *gateway = data;
  ChPlugin *self = gateway->bkv->self;

  bkv_gateway_lost (gateway);
  bkv_network_done (gateway);
  if (gateway->unreadable != NULL)
    g_clear_pointer (&gateway->unreadable->bytes, g_bytes_unref);
  ch_slab_free (self, gateway->unreadable, sizeof (BkvUnreadable));
  for (guint i = 0; i < gateway->n_outlets; i++)
    outlet_free (self, gateway->outlets[i]);
  ch_slab_free (self, gateway->outlets, gateway->n_outlets * sizeof (gpointer));
  ch_slab_free (self, gateway->silent, sizeof (BkvBits));
  ch_slab_free (self, gateway->heard, sizeof (BkvBits));
  ch_slab_free (self, gateway->unclear, sizeof (BkvBits));
  ch_slab_free (self, gateway->event_codes, sizeof (BkvBits));
  ch_slab_free (self, gateway, sizeof *gateway);
}

const BkvStart *bkv_start (const BkvOutlet *outlet)
{
  static const BkvStart none = {.msg_id = 0};
  return outlet->start != NULL ? outlet->start : &none;
}

static guint outlet_key (const BkvOutlet *outlet)
{
  return (guint) outlet->socket << 8 | outlet->port;
}

BkvOutlet *bkv_outlet (BkvGateway *gateway, guint socket, guint port, gboolean create)
{
  guint key = socket << 8 | port;
  guint low = 0;
  guint high = gateway->n_outlets;
  BkvOutlet *outlet;

  if (socket > BKV_MAX_SOCKET_NO || port > BKV_MAX_PORT_NO)
    return NULL;
  while (low < high) {
    guint middle = (low + high) / 2;

    outlet = gateway->outlets[middle];
    if (outlet_key (outlet) == key)
      return outlet;
    if (outlet_key (outlet) < key)
      low = middle + 1;
    else
      high = middle;
  }
  if (!create)
    return NULL;
  outlet = ch_slab_new0 (gateway->bkv->self, BkvOutlet);
  outlet->gateway = gateway;
  outlet->socket = (guint8) socket;
  outlet->port = (guint8) port;
  bkv_set_ended (outlet, -1, 0);
  gateway->outlets
      = bkv_insert (gateway->bkv, gateway->outlets, gateway->n_outlets, low, outlet);
  gateway->n_outlets++;
  return outlet;
}

gsize bkv_gateway_sockets (BkvGateway *gateway, gint *sockets, gsize max)
{
  gsize n = ch_device_sockets (gateway->bkv->self, gateway->id, sockets, max);

  if (n > 0)
    return MIN (n, max);
  for (guint i = 0; i < gateway->n_outlets && n < max; i++) {
    const BkvOutlet *outlet = gateway->outlets[i];

    if (n == 0 || sockets[n - 1] != outlet->socket)
      sockets[n++] = outlet->socket;
  }
  if (n == 0 && max > 0)
    sockets[n++] = 0;
  return n;
}
