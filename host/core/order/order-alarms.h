/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Alarms of charges that last until their condition ends: raised once, cleared once. What
 * is raised stands in the port's record, as a condition may outlive the order that
 * showed it.
 */
#pragma once

#include "core/order/order.h"

typedef enum {
  CH_PORT_ALARM_UNORDERED = 1 << 0, /* charging_without_order */
  CH_PORT_ALARM_STALE = 1 << 1,     /* progress_stale */
  CH_PORT_ALARM_STOP = 1 << 2,      /* stop_not_executed */
} ChPortAlarm;

/* Raises it unless it is raised. @port nullable: nothing happens. */
void ch_port_alarm_raise (ChDevice *device, ChPort *port, ChPortAlarm alarm);
/* Clears those of @alarms that are raised. */
void ch_port_alarms_clear (ChDevice *device, ChPort *port, guint alarms);
/* The port of the order; NULL while the device has not chosen it. */
ChPort *ch_order_port (const ChOrder *order);
