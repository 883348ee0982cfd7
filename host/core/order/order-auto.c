/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-auto.h"
#include "core/order/order-flow.h"

#include <string.h>

ChOrder *ch_order_unplaced (const ChDevice *device)
{
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    ChOrder *order = g_ptr_array_index (device->orders, i);
    if (order->d.port_no < 0)
      return order;
  }
  return NULL;
}

void ch_order_place (const ChOrder *order, ChOrderData *next, gint port_no)
{
  const ChPort *port = ch_device_port (order->device, order->d.socket_no, port_no, TRUE);
  if (next->port_no < 0 && port != NULL && port->order == NULL)
    next->port_no = (gint8) port_no;
}

ChOrder *ch_order_unplaced_of (ChDevice *device, const ChPortUpdate *fact)
{
  ChOrder *order = ch_order_unplaced (device);
  gboolean has_wire = fact->wire_order != NULL && *fact->wire_order != '\0';
  gboolean has_key
      = has_wire || (fact->business_no != CH_UNSET && fact->business_no != 0);

  if (order == NULL || fact->status != CH_PORT_CHARGING
      || order->d.socket_no != fact->socket_no)
    return NULL;
  if (has_key)
    return ch_order_has_key (order, fact->wire_order, fact->business_no, fact->socket_no,
                             fact->port_no)
               ? order
               : NULL;
  /* Without a number it may be an old charge, unless the relay is known to be on. */
  return order->d.status > CH_ORDER_CONFIRMED ? order : NULL;
}

/* ---- starting ---- */

static gboolean is_free (ChDevice *device, const ChPort *port)
{
  return port->order == NULL && ch_start_port_status (device, port) == CH_PORT_IDLE
         && port->out_of_service != 1 && port->reserved != 1;
}

gboolean ch_start_check_any_port (ChStart *start)
{
  ChDevice *device = start->device;
  const ChOrder *holder = ch_order_unplaced (device);
  gboolean reported = FALSE, faulty = FALSE;

  for (guint i = 0; i < device->n_ports && holder == NULL; i++) {
    const ChPort *port = &device->ports[i];
    if (port->socket_no != start->request.socket_no)
      continue;
    if (is_free (device, port))
      return TRUE;
    reported |= port->order != NULL || port->status != CH_PORT_OFFLINE;
    faulty |= port->status == CH_PORT_FAULT;
  }
  if (!reported && holder == NULL && !ch_device_props (device)->idle_reports)
    return TRUE;
  if (holder != NULL) {
    json_t *data = json_object ();
    json_object_set_new_nocheck (data, "current_order", json_string (holder->d.order_no));
    CH_START_REFUSE (start, PORT_OCCUPIED, data, "another start waits for its port");
  } else if (!reported)
    CH_START_REFUSE (start, DEVICE_OFFLINE, NULL,
                     "the device has not reported its ports");
  else if (faulty)
    CH_START_REFUSE (start, PORT_FAULT, NULL, "no port is free, and one has a fault");
  else
    CH_START_REFUSE (start, PORT_OCCUPIED, NULL, "no port is free");
  return FALSE;
}
