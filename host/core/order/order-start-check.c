/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memory can check before a start: the request, the device, the place, the guards.
 */
#include "core/fact/facts.h"
#include "core/metrics.h"
#include "core/order/order-flow.h"
#include "core/order/order-number.h"
#include "core/order/order-start.h"
#include "core/order/order-store.h"
#include "core/outbound/outbound.h"
#include "core/session/session.h"
#include <chargehost/id.h>
#include <chargehost/json.h>

#include <string.h>

/* ---- what memory can check (steps 1, 3 to 5) ---- */

static gboolean in_range (gint64 value, gint64 min, gint64 max)
{
  return value >= min && value <= max;
}

const char *ch_start_invalid (ChCore *core, const ChStartRequest *r)
{
  gint64 most = ch_config_int (core->self, "orders.max_duration_minutes");
  if (r->port_no == CH_UNSET || !in_range (r->port_no, -1, 15))
    return "port_no must be 0 to 15";
  if (r->socket_no != CH_UNSET && !in_range (r->socket_no, 0, 250))
    return "socket_no must be 0 to 250";
  if (!in_range (r->charge_mode, 1, 4))
    return "charge_mode must be 1 to 4";
  if (!in_range (r->amount_cent, 1, 10000000))
    return "amount must be 1 to 10000000 cents";
  if (r->charge_mode == 1 && r->duration_minutes == CH_UNSET)
    return "duration_minutes is required to charge by time";
  if (r->duration_minutes != CH_UNSET && !in_range (r->duration_minutes, 1, most))
    return "duration_minutes is out of range";
  if (r->charge_mode == 2 && !in_range (r->energy_wh, 10, 1000000))
    return "energy_wh must be 10 to 1000000 to charge by energy";
  if (r->charge_mode == 3 && !in_range (r->power_w, 1, 65535))
    return "power must be 1 to 65535 W to charge by power";
  if (r->price_per_kwh_cent != CH_UNSET && !in_range (r->price_per_kwh_cent, 0, 100000))
    return "price_per_kwh must be 0 to 100000 cents";
  if (r->service_fee_permille != CH_UNSET && !in_range (r->service_fee_permille, 0, 1000))
    return "service_fee must be 0 to 1000 permille";
  if (r->order_no != NULL && !ch_order_no_is_valid (r->order_no))
    return "order_no must be 1 to 32 characters of A-Z, a-z, 0-9, _ and -";
  if (r->business_no != CH_UNSET && !in_range (r->business_no, 1, 65535))
    return "business_no must be 1 to 65535";
  return NULL;
}

static json_t *offline_data (const ChDevice *device)
{
  gint64 wall_ms = ch_wall_ms (device->core->self);
  json_t *data = json_object ();
  json_object_set_new_nocheck (data, "device_id", json_string (device->id));
  json_object_set_new_nocheck (data, "last_seen_at", ch_json_time (device->last_seen_at));
  json_object_set_new_nocheck (
      data, "offline_seconds",
      device->last_seen_at == 0 ? json_null ()
                                : json_integer ((wall_ms - device->last_seen_at) / 1000));
  return data;
}

/* Answers and returns FALSE when the device cannot take a start. */
gboolean ch_start_check_device (ChStart *start)
{
  ChDevice *device = start->device;
  ChCore *core = start->core;

  if (device->enrolment == CH_ENROLMENT_BLOCKED)
    return CH_START_REFUSE (start, DEVICE_BLOCKED, NULL, "the device is blocked"), FALSE;
  if (device->lifecycle != CH_LIFECYCLE_ACTIVE)
    return CH_START_REFUSE (start, DEVICE_FAULT, NULL, "the device is out of operation"),
           FALSE;
  if (device->conn == 0)
    return CH_START_REFUSE (start, DEVICE_OFFLINE, offline_data (device),
                            "the device is off line"),
           FALSE;
  if (ch_now_ms (core->self) - device->seen_ms
      > ch_session_timeout_ms (core->sessions, device))
    return CH_START_REFUSE (start, DEVICE_HEARTBEAT_TIMEOUT, offline_data (device),
                            "the device is connected but silent"),
           FALSE;
  return TRUE;
}

/* The socket of the request: by number, by UID, or the only one there is. */
gboolean ch_start_check_place (ChStart *start)
{
  ChStartRequest *r = &start->request;
  ChDevice *device = start->device;

  if (r->socket_uid != NULL) {
    const ChSocket *found = NULL;
    for (guint i = 0; i < device->n_sockets; i++)
      if (g_strcmp0 (device->sockets[i].uid, r->socket_uid) == 0)
        found = &device->sockets[i];
    if (found == NULL || (r->socket_no != CH_UNSET && r->socket_no != found->socket_no))
      return CH_START_REFUSE (start, SOCKET_UID_MISMATCH, NULL,
                              "no socket of this device has the UID %s", r->socket_uid),
             FALSE;
    r->socket_no = found->socket_no;
  }
  if (r->socket_no == CH_UNSET) {
    if (device->n_sockets > 1)
      return CH_START_REFUSE (
                 start, INVALID_PARAMETER, NULL,
                 "socket_no or socket_uid is required: the device has %u sockets",
                 device->n_sockets),
             FALSE;
    r->socket_no = device->n_sockets == 1 ? device->sockets[0].socket_no
                   : device->n_ports > 0  ? device->ports[0].socket_no
                                          : 0;
  }
  if (r->socket_no > 0 && device->n_sockets > 0
      && ch_device_socket (device, (gint) r->socket_no, FALSE) == NULL)
    return CH_START_REFUSE (start, SOCKET_NOT_FOUND, NULL, "the device has no socket %d",
                            (gint) r->socket_no),
           FALSE;
  if (r->port_no < 0 && !ch_device_props (device)->auto_port)
    return CH_START_REFUSE (start, INVALID_PARAMETER, NULL,
                            "the device cannot choose the port"),
           FALSE;
  if (r->port_no >= 0 && device->n_sockets == 0 && device->port_count > 0
      && r->port_no >= device->port_count)
    return CH_START_REFUSE (start, PORT_NOT_FOUND, NULL, "the device has %d ports",
                            device->port_count),
           FALSE;
  return TRUE;
}

gboolean ch_start_trusts (ChDevice *device, const ChPort *port)
{
  if (port->snapshot_ms != 0 || port->idle_ms == 0 || device->conn == 0)
    return FALSE;
  gint64 age_ms = ch_now_ms (device->core->self) - port->idle_ms;
  return age_ms < (gint64) ch_device_props (device)->snapshot_max_age_s * 1000;
}

ChPortStatus ch_start_port_status (ChDevice *device, const ChPort *port)
{
  if (port == NULL)
    return CH_PORT_OFFLINE;
  if (port->status == CH_PORT_OFFLINE && ch_start_trusts (device, port))
    return CH_PORT_IDLE;
  return (ChPortStatus) port->status;
}

/* Start guards: in memory, at once, 20 ms in all; silence is yes. */
gboolean ch_start_check_guards (ChStart *start)
{
  gint64 begun_us = g_get_monotonic_time ();
  for (guint i = 0; i < start->core->guards->len; i++) {
    ChGuardEntry *entry = g_ptr_array_index (start->core->guards, i);
    ChRunnerFrame frame;
    g_autoptr (GError) error = NULL;
    if (g_get_monotonic_time () - begun_us > 20000) {
      ch_series_inc (start->core->metrics->guard_timeout);
      return TRUE;
    }
    if (!ch_runner_enter (entry->resource.owner, "start guard", &frame))
      continue;
    gboolean ok = entry->guard (entry->resource.owner, &start->request, &error);
    ch_runner_leave (&frame);
    if (!ok) {
      if (error == NULL || error->domain != CH_CORE_ERROR) {
        g_clear_error (&error);
        g_set_error (&error, CH_CORE_ERROR, CH_CORE_ERROR_PORT_RESERVED,
                     "the port is reserved");
      }
      ch_start_refuse (start, g_steal_pointer (&error), NULL);
      return FALSE;
    }
  }
  return TRUE;
}
