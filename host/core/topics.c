/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's topics as tables: from them come JSON, GVariant, filters, documentation. */
#include "core/topics.h"

#define S(type, member) CH_FIELD (type, member, CH_FIELD_STRING, NULL)
#define I(type, member, unit) CH_FIELD (type, member, CH_FIELD_INT64, unit)
#define M(type, member, unit) CH_FIELD (type, member, CH_FIELD_MILLI, unit)
#define T(type, member) CH_FIELD (type, member, CH_FIELD_TIME, NULL)
#define B(type, member) CH_FIELD (type, member, CH_FIELD_BOOL, NULL)
#define BLOB(label)                                                                      \
  {                                                                                      \
    .name = label, .kind = CH_FIELD_JSON                                                 \
  }
#define END                                                                              \
  {                                                                                      \
    .name = NULL                                                                         \
  }

static const ChField DEVICE_REGISTERED[] = {
    S (ChDeviceRegisteredEvent, protocol),
    S (ChDeviceRegisteredEvent, iccid),
    S (ChDeviceRegisteredEvent, imei),
    S (ChDeviceRegisteredEvent, model),
    S (ChDeviceRegisteredEvent, device_type),
    S (ChDeviceRegisteredEvent, firmware),
    I (ChDeviceRegisteredEvent, port_count, NULL),
    END,
};
static const ChField DEVICE_ONLINE[] = {
    S (ChDeviceOnlineEvent, protocol),
    S (ChDeviceOnlineEvent, remote),
    S (ChDeviceOnlineEvent, server_id),
    T (ChDeviceOnlineEvent, connected_at),
    I (ChDeviceOnlineEvent, offline_seconds, "s"),
    END,
};
static const ChField DEVICE_OFFLINE[] = {
    T (ChDeviceOfflineEvent, last_seen_at),
    S (ChDeviceOfflineEvent, reason),
    BLOB ("active_orders"),
    END,
};
static const ChField DEVICE_SEEN[] = {
    M (ChDeviceSeenEvent, voltage, "V"),
    I (ChDeviceSeenEvent, rssi, "dBm"),
    M (ChDeviceSeenEvent, temp, "degC"),
    END,
};
static const ChField DEVICE_REFUSED[] = {
    S (ChDeviceRefusedEvent, address),
    S (ChDeviceRefusedEvent, reason),
    END,
};
static const ChField DEVICE_CHANGED[] = {
    S (ChDeviceChangedEvent, field),
    S (ChDeviceChangedEvent, old_value),
    S (ChDeviceChangedEvent, new_value),
    S (ChDeviceChangedEvent, by),
    END,
};
static const ChField TOPOLOGY_CHANGED[] = {
    S (ChTopologyChangedEvent, action),
    S (ChTopologyChangedEvent, result),
    BLOB ("nodes"),
    END,
};
static const ChField PORT_CHANGED[] = {
    CH_FIELD (ChPortChangedEvent, old_status, CH_FIELD_INT, NULL),
    CH_FIELD (ChPortChangedEvent, new_status, CH_FIELD_INT, NULL),
    I (ChPortChangedEvent, raw_status, NULL),
    I (ChPortChangedEvent, fault_bits, NULL),
    I (ChPortChangedEvent, plugged, NULL),
    I (ChPortChangedEvent, no_load, NULL),
    I (ChPortChangedEvent, reserved, NULL),
    I (ChPortChangedEvent, out_of_service, NULL),
    S (ChPortChangedEvent, reason),
    END,
};
static const ChField ORDER_CHANGED[] = {
    S (ChOrderChangedEvent, order_no),
    S (ChOrderChangedEvent, from),
    S (ChOrderChangedEvent, to),
    S (ChOrderChangedEvent, transition),
    S (ChOrderChangedEvent, by),
    B (ChOrderChangedEvent, provisional),
    I (ChOrderChangedEvent, version, NULL),
    S (ChOrderChangedEvent, failure_reason),
    END,
};
static const ChField ORDER_STARTED[] = {
    S (ChOrderStartedEvent, order_no),     S (ChOrderStartedEvent, source),
    S (ChOrderStartedEvent, card_no),      T (ChOrderStartedEvent, start_time),
    M (ChOrderStartedEvent, power, "W"),   M (ChOrderStartedEvent, current, "A"),
    M (ChOrderStartedEvent, voltage, "V"), END,
};
static const ChField ORDER_UPDATED[] = {
    S (ChOrderUpdatedEvent, order_no),
    I (ChOrderUpdatedEvent, energy_wh, "Wh"),
    I (ChOrderUpdatedEvent, duration_s, "s"),
    M (ChOrderUpdatedEvent, power, "W"),
    M (ChOrderUpdatedEvent, current, "A"),
    M (ChOrderUpdatedEvent, voltage, "V"),
    M (ChOrderUpdatedEvent, temp, "degC"),
    I (ChOrderUpdatedEvent, soc, "percent"),
    I (ChOrderUpdatedEvent, amount_cent, "cent"),
    S (ChOrderUpdatedEvent, lookup_source),
    END,
};
static const ChField ORDER_ENDED[] = {
    S (ChOrderEndedEvent, order_no),
    I (ChOrderEndedEvent, energy_wh, "Wh"),
    I (ChOrderEndedEvent, duration_s, "s"),
    I (ChOrderEndedEvent, end_reason, NULL),
    I (ChOrderEndedEvent, raw_reason, NULL),
    I (ChOrderEndedEvent, amount_cent, "cent"),
    B (ChOrderEndedEvent, provisional),
    S (ChOrderEndedEvent, lookup_source),
    END,
};
static const ChField ALARM_REPORTED[] = {
    S (ChAlarmReportedEvent, source),
    S (ChAlarmReportedEvent, code),
    S (ChAlarmReportedEvent, level),
    S (ChAlarmReportedEvent, title),
    S (ChAlarmReportedEvent, message),
    B (ChAlarmReportedEvent, active),
    BLOB ("metadata"),
    END,
};
static const ChField COMMAND_FINISHED[] = {
    S (ChCommandFinishedEvent, command_id),
    S (ChCommandFinishedEvent, order_no),
    S (ChCommandFinishedEvent, type),
    S (ChCommandFinishedEvent, state),
    I (ChCommandFinishedEvent, device_code, NULL),
    S (ChCommandFinishedEvent, detail),
    I (ChCommandFinishedEvent, attempts, NULL),
    B (ChCommandFinishedEvent, late),
    END,
};

#define TOPIC(topic_name, type, table, topic_lane, text)                                 \
  {                                                                                      \
    .size = sizeof (ChTopic), .name = (topic_name), .event_size = sizeof (type),         \
    .fields = (table), .lane = (topic_lane), .flags = CH_TOPIC_SHARED, .summary = (text) \
  }

static const ChTopic TOPICS[] = {
    TOPIC ("device.registered", ChDeviceRegisteredEvent, DEVICE_REGISTERED, CH_LANE_STATE,
           "First contact, or the device told another identity."),
    TOPIC ("device.online", ChDeviceOnlineEvent, DEVICE_ONLINE, CH_LANE_STATE,
           "A device is connected again after it had been off line."),
    TOPIC ("device.offline", ChDeviceOfflineEvent, DEVICE_OFFLINE, CH_LANE_STATE,
           "A device has been without a connection for its grace time, or is silent."),
    TOPIC ("device.seen", ChDeviceSeenEvent, DEVICE_SEEN, CH_LANE_SAMPLE,
           "Heartbeat; at most one per device and 30 s."),
    TOPIC ("device.refused", ChDeviceRefusedEvent, DEVICE_REFUSED, CH_LANE_STATE,
           "A connection or device was refused."),
    TOPIC ("device.changed", ChDeviceChangedEvent, DEVICE_CHANGED, CH_LANE_STATE,
           "Life cycle, enrolment, tags or addresses were changed."),
    TOPIC ("device.topology_changed", ChTopologyChangedEvent, TOPOLOGY_CHANGED,
           CH_LANE_STATE, "The list of sockets behind a gateway changed."),
    TOPIC ("port.changed", ChPortChangedEvent, PORT_CHANGED, CH_LANE_STATE,
           "A stored change of a port."),
    TOPIC ("order.changed", ChOrderChangedEvent, ORDER_CHANGED, CH_LANE_STATE,
           "A transition of an order."),
    TOPIC ("order.started", ChOrderStartedEvent, ORDER_STARTED, CH_LANE_STATE,
           "An order charges for the first time."),
    TOPIC ("order.updated", ChOrderUpdatedEvent, ORDER_UPDATED, CH_LANE_SAMPLE,
           "Progress; at most one per order and second."),
    TOPIC ("order.ended", ChOrderEndedEvent, ORDER_ENDED, CH_LANE_STATE,
           "The charge of an order ended and was settled for the first time."),
    TOPIC ("alarm.reported", ChAlarmReportedEvent, ALARM_REPORTED, CH_LANE_ALARM,
           "A device, the core or a service reports a condition or its end."),
    TOPIC ("command.finished", ChCommandFinishedEvent, COMMAND_FINISHED, CH_LANE_STATE,
           "Final result of a command, late ones too."),
};

gboolean ch_core_topics_register (ChCore *core, GError **error)
{
  ChCoreTopics *t = &core->topics;
  ChTopicHandle **handles[] = {
      &t->device_registered, &t->device_online,    &t->device_offline,   &t->device_seen,
      &t->device_refused,    &t->device_changed,   &t->topology_changed, &t->port_changed,
      &t->order_changed,     &t->order_started,    &t->order_updated,    &t->order_ended,
      &t->alarm_reported,    &t->command_finished,
  };
  G_STATIC_ASSERT (G_N_ELEMENTS (handles) == G_N_ELEMENTS (TOPICS));
  for (guint i = 0; i < G_N_ELEMENTS (TOPICS); i++) {
    *handles[i] = ch_topic_register (core->self, &TOPICS[i], error);
    if (*handles[i] == NULL)
      return FALSE;
  }
  return TRUE;
}
