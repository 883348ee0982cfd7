/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/order/order-alarms.h"

static const struct {
  const char *code, *title;
  ChAlarmLevel level;
} ALARMS[] = {
    {"charging_without_order", "A port charges without an order", CH_ALARM_MAJOR},
    {"progress_stale", "A charging port gives no sign of life", CH_ALARM_WARNING},
    {"stop_not_executed", "A stop was not executed", CH_ALARM_CRITICAL},
};

static void tell (ChDevice *device, const ChPort *port, guint i, gboolean active)
{
  ch_core_alarm (device->core, device->id, port->socket_no, port->port_no, ALARMS[i].code,
                 ALARMS[i].level, active, ALARMS[i].title, NULL, NULL);
}

void ch_port_alarm_raise (ChDevice *device, ChPort *port, ChPortAlarm alarm)
{
  if (port == NULL || (port->alarms & alarm) != 0)
    return;
  port->alarms |= (guint8) alarm;
  for (guint i = 0; i < G_N_ELEMENTS (ALARMS); i++)
    if (alarm == 1u << i)
      tell (device, port, i, TRUE);
}

void ch_port_alarms_clear (ChDevice *device, ChPort *port, guint alarms)
{
  if (port == NULL || (port->alarms & alarms) == 0)
    return;
  guint raised = port->alarms & alarms;
  port->alarms &= (guint8) ~raised;
  for (guint i = 0; i < G_N_ELEMENTS (ALARMS); i++)
    if (raised & 1u << i)
      tell (device, port, i, FALSE);
}

ChPort *ch_order_port (const ChOrder *order)
{
  return ch_device_port (order->device, order->d.socket_no, order->d.port_no, FALSE);
}
