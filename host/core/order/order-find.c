/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-find.h"
#include "core/order/order-auto.h"
#include "core/order/order-doubt.h"
#include "core/order/order-flow.h"
#include <chargehost/clock.h>
#include <chargehost/config.h>

const char *ch_reported_wire (const ChReported *p)
{
  return p->started != NULL ? p->started->wire_order : p->ended->wire_order;
}

gint64 ch_reported_number (const ChReported *p)
{
  gint64 number = p->started != NULL ? p->started->business_no : p->ended->business_no;
  return number == 0 ? CH_UNSET : number;
}

gint ch_reported_socket (const ChReported *p)
{
  return p->started != NULL ? p->started->socket_no : p->ended->socket_no;
}

gint ch_reported_port (const ChReported *p)
{
  return p->started != NULL ? p->started->port_no : p->ended->port_no;
}

static gboolean has_wire (const ChReported *p)
{
  const char *wire = ch_reported_wire (p);
  return wire != NULL && *wire != '\0';
}

gboolean ch_reported_has_key (const ChReported *p)
{
  return has_wire (p) || ch_reported_number (p) != CH_UNSET;
}

const char *ch_reported_order_no (const ChReported *p)
{
  const char *order_no = p->started != NULL ? p->started->order_no : p->ended->order_no;
  return order_no != NULL ? order_no : "";
}

/* The order that it names is none of those in memory: so it is not the port's. */
gboolean ch_reported_names_order (const ChReported *p)
{
  return *ch_reported_order_no (p) != '\0';
}

/* ---- in memory ---- */

ChOrder *ch_reported_active_by_key (ChReported *p)
{
  ChDevice *device = p->device;
  ChOrder *order = ch_orders_find (device->core->orders, ch_reported_order_no (p));
  if (order != NULL && order->device == device) {
    p->lookup_source = "order_no";
    return order;
  }
  if (!ch_reported_has_key (p))
    return NULL;
  for (guint i = 0; device->orders != NULL && i < device->orders->len; i++) {
    order = g_ptr_array_index (device->orders, i);
    if (ch_order_has_key (order, ch_reported_wire (p), ch_reported_number (p),
                          ch_reported_socket (p), ch_reported_port (p))) {
      p->lookup_source = "business_no";
      return order;
    }
  }
  return NULL;
}

ChOrder *ch_reported_holder (const ChReported *p)
{
  const ChPort *port
      = ch_device_port (p->device, ch_reported_socket (p), ch_reported_port (p), FALSE);
  return port != NULL ? port->order : NULL;
}

ChOrder *ch_reported_active_by_port (ChReported *p, gint64 slack_s)
{
  ChDevice *device = p->device;
  gboolean has_key = ch_reported_has_key (p);
  ChOrder *order = ch_reported_holder (p);
  if (order == NULL) /* the device may have chosen this port for it */
    order = ch_order_unplaced (device);
  if (order == NULL || ch_reported_names_order (p)
      || (order->d.wire_order[0] != '\0' && has_key))
    return NULL;
  if (order->d.wire_order[0] == '\0' && has_key && ch_reported_wire (p) == NULL)
    return NULL; /* numbers of the core: another number is another charge */
  p->lookup_source = "port_fallback";
  if (p->started != NULL)
    return order->d.status <= CH_ORDER_CONFIRMED && order->start_written_ms != 0 ? order
                                                                                 : NULL;
  gint64 since_s
      = order->start_written_ms == 0
            ? -1
            : (ch_now_ms (device->core->self) - order->start_written_ms) / 1000;
  return since_s >= 0 && p->ended->duration_s <= since_s + slack_s ? order : NULL;
}

/* ---- in the store ---- */

/* A report without any key is known by its figures only. */
static void add_by_key (const ChReported *p, ChTx *tx)
{
  ChPlugin *self = p->device->core->self;

  if (has_wire (p)) {
    ch_tx_add (tx, self, "orders.by_wire");
    ch_tx_bind_text (tx, "wire_order", ch_reported_wire (p));
    return;
  }
  if (p->ended == NULL || ch_reported_has_key (p)) {
    ch_tx_add (tx, self, "orders.by_business");
    ch_tx_bind_int (tx, "business_no", ch_reported_number (p));
  } else {
    ch_tx_add (tx, self, "orders.by_end_key");
    ch_tx_bind_text (tx, "end_key", p->ended->dedup_key);
  }
  ch_tx_bind_int (tx, "socket_no", ch_reported_socket (p));
  ch_tx_bind_int (tx, "port_no", ch_reported_port (p));
}

void ch_reported_look_up (ChReported *p, ChTxDone done)
{
  ChDevice *device = p->device;
  ChPlugin *self = device->core->self;
  gint64 since
      = ch_wall_ms (self) - ch_config_int (self, "orders.late_report_window_s") * 1000;
  ChTx *tx = ch_tx_new (self);

  add_by_key (p, tx);
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_time (tx, "since", since);
  ch_tx_add (tx, self, "orders.by_alias");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_text (tx, "wire_order", has_wire (p) ? ch_reported_wire (p) : "");
  ch_tx_bind_time (tx, "since", since);
  /* Among the writes: what was stored for the same report, and never answered, may still
   * wait there. */
  ch_tx_add (tx, self, "orders.by_no_behind");
  ch_tx_bind_text (tx, "order_no", ch_reported_order_no (p));
  ch_tx_add (tx, self, "orders.last_of_port");
  ch_tx_bind_text (tx, "phy_id", device->id);
  ch_tx_bind_int (tx, "socket_no", ch_reported_socket (p));
  ch_tx_bind_int (tx, "port_no", ch_reported_port (p));
  ch_tx_submit (tx, 0, done, p);
}

gboolean ch_reported_in_doubt (const ChReported *p, const ChTxResult *result,
                               GError **error)
{
  ChOrders *orders = p->device->core->orders;
  for (guint st = CH_REPORTED_BY_KEY; st <= CH_REPORTED_BY_NAME; st++)
    for (guint row = 0; row < ch_tx_result_rows (result, st); row++) {
      gint64 status = ch_tx_result_int (result, st, row, "status");
      const char *order_no = ch_tx_result_text (result, st, row, "order_no");
      if (ch_order_status_is_active ((ChOrderStatus) status)
          && ch_orders_find (orders, order_no) == NULL
          && ch_doubt_knows (orders, order_no)) {
        g_set_error (error, CH_CORE_ERROR, CH_CORE_ERROR_ORDER_STATE_CHANGED,
                     "it is not known yet whether order %s was stored", order_no);
        return TRUE;
      }
    }
  return FALSE;
}
