/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports: records, the shown status, and reports of devices. A port's status changes only
 * by a device's word, an acknowledged command or loss of the session (PORT-01); timers of
 * orders never touch it.
 */
#include "core/device/device.h"
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/orders.h"
#include "core/outbound/outbound.h"

#include <string.h>

#define MAX_PORTS_PER_DEVICE 502 /* 250 sockets of two, and the device's own */

ChPort *ch_device_port (ChDevice *device, gint socket_no, gint port_no, gboolean create)
{
  guint at = 0;
  while (at < device->n_ports
         && (device->ports[at].socket_no < socket_no
             || (device->ports[at].socket_no == socket_no
                 && device->ports[at].port_no < port_no)))
    at++;
  if (at < device->n_ports && device->ports[at].socket_no == socket_no
      && device->ports[at].port_no == port_no)
    return &device->ports[at];
  if (!create || socket_no < 0 || socket_no > 250 || port_no < 0 || port_no > 15
      || device->n_ports >= MAX_PORTS_PER_DEVICE)
    return NULL;

  device->ports = ch_device_insert (device->core, device->ports, sizeof *device->ports,
                                    device->n_ports, at);
  device->n_ports++;
  device->ports[at] = (ChPort) {
      .socket_no = (gint16) socket_no,
      .port_no = (gint8) port_no,
      .no_load = -1,
      .plugged = -1,
      .reserved = -1,
      .out_of_service = -1,
      .raw_status = -1,
      .power_mw = G_MININT32,
      .current_ma = G_MININT32,
      .voltage_mv = G_MININT32,
      .temp_dc = G_MININT32,
      .last_ended_no = -1,
  };
  return &device->ports[at];
}

const char *ch_port_status_name (ChPortStatus status)
{
  static const char *const names[] = {"offline", "idle", "charging", "fault"};
  return (guint) status < G_N_ELEMENTS (names) ? names[status] : "";
}

static gint64 known (gint64 value, gint64 unknown)
{
  return value == unknown ? CH_UNSET : value;
}

static void publish_changed (ChDevice *device, const ChPort *port, guint8 old,
                             const char *reason)
{
  ChCore *core = device->core;
  if (!ch_topic_is_heard (core->topics.port_changed))
    return;
  ChPortChangedEvent event = {
      .event = {.time_ms = ch_wall_ms (core->self),
                .socket_no = port->socket_no,
                .port_no = port->port_no},
      .old_status = old,
      .new_status = port->status,
      .raw_status = known (port->raw_status, -1),
      .fault_bits = port->fault_bits,
      .plugged = known (port->plugged, -1),
      .no_load = known (port->no_load, -1),
      .reserved = known (port->reserved, -1),
      .out_of_service = known (port->out_of_service, -1),
  };
  g_strlcpy (event.event.device, device->id, sizeof event.event.device);
  g_strlcpy (event.reason, reason, sizeof event.reason);
  ch_publish (core->topics.port_changed, &event.event);
}

void ch_port_set_status (ChDevice *device, ChPort *port, ChPortStatus status,
                         const char *reason)
{
  if (port->status == status)
    return;
  guint8 old = port->status;
  port->status = (guint8) status;
  port->updated_at = ch_wall_ms (device->core->self);
  ch_facts_port_dirty (device, port);
  publish_changed (device, port, old, reason);
}

/* Takes what the report says; absent values stay as they were. TRUE when something
 * changed. */
static gboolean take_values (ChPort *port, const ChPortUpdate *fact)
{
  ChPort before = *port;

  if (fact->raw_status != CH_UNSET)
    port->raw_status = (gint32) fact->raw_status;
  port->fault_bits = (guint8) fact->fault_bits;
  if (fact->no_load != CH_UNSET)
    port->no_load = fact->no_load != 0;
  if (fact->plugged != CH_UNSET)
    port->plugged = fact->plugged != 0;
  if (fact->reserved != CH_UNSET)
    port->reserved = fact->reserved != 0;
  if (fact->out_of_service != CH_UNSET)
    port->out_of_service = fact->out_of_service != 0;
  if (fact->power_mw != CH_UNSET)
    port->power_mw = (gint32) CLAMP (fact->power_mw, 0, G_MAXINT32);
  if (fact->current_ma != CH_UNSET)
    port->current_ma = (gint32) CLAMP (fact->current_ma, -G_MAXINT32, G_MAXINT32);
  if (fact->voltage_mv != CH_UNSET)
    port->voltage_mv = (gint32) CLAMP (fact->voltage_mv, 0, G_MAXINT32);
  if (fact->temp_dc != CH_UNSET)
    port->temp_dc = (gint32) CLAMP (fact->temp_dc, -10000, 100000);

  return before.fault_bits != port->fault_bits || before.no_load != port->no_load
         || before.plugged != port->plugged || before.reserved != port->reserved
         || before.out_of_service != port->out_of_service;
}

/*
 * PORT-04: for some seconds after the relay went on, piles report no load until current
 * flows; such a snapshot is kept, but moves neither the port nor its order. Of a port
 * that was told to stop it is what one waits for.
 */
static gboolean is_settling (const ChPort *port, const ChPortUpdate *fact, gint64 now_ms)
{
  gint state = port->order != NULL ? port->order->d.status : -1;
  return state >= 0 && state != CH_ORDER_STOPPING && state != CH_ORDER_CANCELLING
         && port->status == CH_PORT_CHARGING && fact->status == CH_PORT_IDLE
         && now_ms < port->settle_until_ms;
}

void ch_port_report (ChDevice *device, const ChPortUpdate *fact)
{
  ChCore *core = device->core;
  gint64 now_ms = ch_now_ms (core->self), wall_ms = ch_wall_ms (core->self);
  gint64 reported_at = wall_ms;
  ChPort *port = ch_device_port (device, fact->socket_no, fact->port_no, TRUE);
  if (port == NULL)
    return;

  /* CLK-02: a device time too far from ours is replaced by the time of receipt. */
  if (fact->occurred_at_ms != CH_UNSET && ABS (fact->occurred_at_ms - wall_ms) <= 300000)
    reported_at = fact->occurred_at_ms;
  if (port->snapshot_ms > 0 && reported_at < port->reported_at
      && port->reported_at <= wall_ms) {
    ch_series_inc (core->metrics->port_snapshot_stale);
    return;
  }

  gboolean settling = is_settling (port, fact, now_ms);
  guint8 old = port->status;
  gboolean changed = take_values (port, fact);
  port->reported_at = reported_at;
  port->snapshot_ms = now_ms;
  port->idle_ms = fact->status == CH_PORT_IDLE ? now_ms : 0;
  ch_facts_port_dirty (device, port);
  ch_series_inc (fact->status == CH_PORT_CHARGING ? core->metrics->report_charging
                 : fact->status == CH_PORT_IDLE   ? core->metrics->report_idle
                                                  : core->metrics->report_abnormal);
  if (!settling && old != fact->status)
    ch_port_set_status (device, port, fact->status, "device_report");
  else if (changed) {
    port->updated_at = wall_ms;
    publish_changed (device, port, old, "device_report");
  }

  gint16 socket_no = port->socket_no;
  gint8 port_no = port->port_no;
  if (!settling)
    ch_orders_port_snapshot (core->orders, device, port, fact);
  port = ch_device_port (device, socket_no, port_no, FALSE);
  if (port != NULL)
    ch_outbound_port_snapshot (core->outbound, device, port, fact);
}
