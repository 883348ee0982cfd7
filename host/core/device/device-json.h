/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices and ports as JSON (gateway 7.4), as a tree for everybody or as text for REST.
 */
#pragma once

#include "base/shape.h"
#include "core/device/device.h"

/* How a status of a port is shown, by its number. */
typedef struct {
  const char *text, *color, *description;
} ChPortLook;
extern const ChPortLook ch_port_looks[4];

/*
 * The text of ch_core_device_json(), ch_core_ports_json() and ch_core_list_devices(),
 * appended. FALSE: no such device, nothing was appended.
 */
gboolean ch_core_device_text (ChPlugin *self, const char *device, ChText *text);
gboolean ch_core_ports_text (ChPlugin *self, const char *device, ChText *text);
void ch_core_list_devices_text (ChPlugin *self, const ChDeviceQuery *query, ChText *text);
