/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of the core's topics (gateway 1.11), published after the commit, in order per
 * device. Integers that are not known are CH_UNSET, text is empty.
 */
#pragma once

#include <chargehost/bus.h>
#include <chargehost/facts.h>

G_BEGIN_DECLS

#define CH_NAME_SIZE 48
#define CH_TEXT_SIZE 128

/* device.registered */
typedef struct {
  ChEvent event;
  char protocol[16];
  char iccid[CH_NAME_SIZE];
  char imei[CH_NAME_SIZE];
  char model[CH_NAME_SIZE];
  char device_type[CH_NAME_SIZE];
  char firmware[CH_NAME_SIZE];
  gint64 port_count;
} ChDeviceRegisteredEvent;

/* device.online */
typedef struct {
  ChEvent event;
  char protocol[16];
  char remote[CH_ADDRESS_SIZE];
  char server_id[CH_SERVER_ID_SIZE];
  gint64 connected_at;
  gint64 offline_seconds;
} ChDeviceOnlineEvent;

/* device.offline; blob: JSON array of order numbers */
typedef struct {
  ChEvent event;
  gint64 last_seen_at;
  char reason[16];
} ChDeviceOfflineEvent;

/* device.seen; at most one per device and 30 s */
typedef struct {
  ChEvent event;
  gint64 voltage; /* mV */
  gint64 rssi;    /* dBm */
  gint64 temp;    /* 0.001 °C */
} ChDeviceSeenEvent;

/* device.refused */
typedef struct {
  ChEvent event;
  char address[CH_ADDRESS_SIZE];
  char reason[CH_NAME_SIZE];
} ChDeviceRefusedEvent;

/* device.changed */
typedef struct {
  ChEvent event;
  char field[CH_NAME_SIZE];
  char old_value[CH_TEXT_SIZE];
  char new_value[CH_TEXT_SIZE];
  char by[CH_NAME_SIZE];
} ChDeviceChangedEvent;

/* device.topology_changed; blob: JSON array of nodes */
typedef struct {
  ChEvent event;
  char action[16];
  char result[16];
} ChTopologyChangedEvent;

/* port.changed */
typedef struct {
  ChEvent event;
  gint old_status;
  gint new_status;
  gint64 raw_status;
  gint64 fault_bits;
  gint64 plugged;
  gint64 no_load;
  gint64 reserved;
  gint64 out_of_service;
  char reason[CH_NAME_SIZE];
} ChPortChangedEvent;

/* order.changed: every transition */
typedef struct {
  ChEvent event;
  char order_no[CH_ORDER_NO_SIZE];
  char from[16];
  char to[16];
  char transition[8]; /* T1 … T33 */
  char by[16];        /* device, api, timer, admin */
  gboolean provisional;
  gint64 version;
  char failure_reason[CH_NAME_SIZE];
} ChOrderChangedEvent;

/* order.started */
typedef struct {
  ChEvent event;
  char order_no[CH_ORDER_NO_SIZE];
  char source[16];
  char card_no[CH_CARD_NO_SIZE];
  gint64 start_time;
  gint64 power;   /* mW */
  gint64 current; /* mA */
  gint64 voltage; /* mV */
} ChOrderStartedEvent;

/* order.updated: at most one per second and order */
typedef struct {
  ChEvent event;
  char order_no[CH_ORDER_NO_SIZE];
  gint64 energy_wh;
  gint64 duration_s;
  gint64 power;   /* mW */
  gint64 current; /* mA */
  gint64 voltage; /* mV */
  gint64 temp;    /* 0.001 °C */
  gint64 soc;
  gint64 amount_cent;
  char lookup_source[16];
} ChOrderUpdatedEvent;

/* order.ended */
typedef struct {
  ChEvent event;
  char order_no[CH_ORDER_NO_SIZE];
  gint64 energy_wh;
  gint64 duration_s;
  gint64 end_reason;
  gint64 raw_reason;
  gint64 amount_cent;
  gboolean provisional;
  char lookup_source[16];
} ChOrderEndedEvent;

/* alarm.reported; blob: JSON object of metadata */
typedef struct {
  ChEvent event;
  char source[192];
  char code[CH_NAME_SIZE];
  char level[16];
  char title[CH_TEXT_SIZE];
  char message[256];
  gboolean active;
} ChAlarmReportedEvent;

/* command.finished */
typedef struct {
  ChEvent event;
  char command_id[CH_COMMAND_ID_SIZE];
  char order_no[CH_ORDER_NO_SIZE];
  char type[24];
  char state[16];
  gint64 device_code;
  char detail[CH_TEXT_SIZE];
  gint64 attempts;
  gboolean late;
} ChCommandFinishedEvent;

/* breaker.changed, overload.changed */
typedef struct {
  ChEvent event;
  char name[CH_NAME_SIZE];
  char old_value[16];
  char new_value[16];
} ChStateChangedEvent;

/* plugin.changed */
typedef struct {
  ChEvent event;
  char plugin[CH_NAME_SIZE];
  char old_state[16];
  char new_state[16];
  char reason[256];
} ChPluginChangedEvent;

/* config.reloaded */
typedef struct {
  ChEvent event;
  char keys[256];
  char by[CH_NAME_SIZE];
} ChConfigReloadedEvent;

G_END_DECLS
