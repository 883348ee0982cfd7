/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The core's keys (gateway 8). */
#include "core/core.h"

#define LIVE CH_CONFIG_LIVE
#define INT(key, value, low, high, live, text)                                           \
  {                                                                                      \
    .name = (key), .type = CH_CONFIG_INT, .flags = (live), .def = (value), .min = (low), \
    .max = (high), .summary = (text)                                                     \
  }
#define BOOL(key, value, live, text)                                                     \
  {                                                                                      \
    .name = (key), .type = CH_CONFIG_BOOL, .flags = (live), .def = (value),              \
    .summary = (text)                                                                    \
  }
#define REAL(key, value, low, high, live, text)                                          \
  {                                                                                      \
    .name = (key), .type = CH_CONFIG_DOUBLE, .flags = (live), .def = (value),            \
    .min = (low), .max = (high), .summary = (text)                                       \
  }
#define CHOICE(key, value, live, text, ...)                                              \
  {                                                                                      \
    .name = (key), .type = CH_CONFIG_CHOICE, .flags = (live), .def = (value),            \
    .choices = (const char *const[]) {__VA_ARGS__, NULL}, .summary = (text)              \
  }

const ChConfigKey ch_core_config[] = {
    BOOL ("devices.auto_enrol", "true", 0,
          "Create unknown devices at their first frame."),
    CHOICE ("devices.bind_policy", "newest", 0,
            "Which connection a device keeps when two present its id.", "newest",
            "oldest", "same_iccid"),
    INT ("ports.settle_s", "30", 0, 3600, 0,
         "Seconds after a start in which a report of no load changes nothing."),
    INT ("ports.unsolicited_confirm_s", "30", 5, 3600, LIVE,
         "Seconds after which a charge without an order is alarmed."),
    CHOICE ("ports.unsolicited_policy", "record", LIVE, "What to do about it.", "record",
            "stop"),
    INT ("ports.sync_interval_s", "300", 0, 86400, 0,
         "Seconds in which every port is asked once unless it reports by itself; 0 = "
         "never."),
    INT ("ports.sync_batch", "50", 1, 10000, 0, "Devices asked per round."),
    INT ("sessions.heartbeat_timeout_s", "0", 0, 86400, 0,
         "Silence after which any device is off line; 0 = by protocol and heartbeat."),
    INT ("sessions.min_timeout_s", "120", 1, 86400, 0, "Lower bound of that time."),
    INT ("sessions.offline_grace_s", "60", 0, 86400, 0,
         "From unstable to off line; the protocol's value comes first."),
    INT ("sessions.last_seen_flush_s", "30", 1, 3600, 0,
         "How often last_seen of one device is written to the database."),
    INT ("sessions.redis_flush_s", "5", 1, 3600, 0,
         "How often the session of one device is written to the kv."),
    BOOL ("sessions.weighted.enabled", "true", 0, "Compute the weighted score."),
    INT ("sessions.weighted.tcp_down_window_s", "120", 0, 86400, 0,
         "Window of a lost connection."),
    INT ("sessions.weighted.ack_window_s", "30", 0, 86400, 0,
         "Window of a missing answer."),
    REAL ("sessions.weighted.tcp_down_penalty", "0.6", 0, 1, 0,
          "Weight of a lost connection."),
    REAL ("sessions.weighted.ack_timeout_penalty", "0.5", 0, 1, 0,
          "Weight of a missing answer."),
    REAL ("sessions.weighted.threshold", "0.5", 0, 1, 0,
          "Score from which a device is on line."),
    INT ("orders.pending_timeout_s", "20", 1, 604800, LIVE,
         "Seconds for a start to be acknowledged; this and the next where the protocol "
         "says "
         "nothing."),
    INT ("orders.confirmed_timeout_s", "60", 1, 604800, LIVE,
         "Seconds from the acknowledgement to the charge."),
    INT ("orders.cancelling_timeout_s", "30", 1, 604800, LIVE,
         "Seconds for a cancellation to be acknowledged."),
    INT ("orders.stopping_timeout_s", "30", 1, 604800, LIVE,
         "Seconds for a stop to be acknowledged, and from there to the end report."),
    INT ("orders.stop_max_s", "180", 1, 604800, LIVE,
         "Longest time of stopping in seconds."),
    INT ("orders.recover_wait_end_s", "30", 1, 604800, LIVE,
         "Seconds for the end report of a device that came back idle."),
    INT ("orders.interrupted_max_s", "86400", 1, 31536000, LIVE,
         "Longest interruption in seconds."),
    INT ("orders.progress_stale_s", "600", 1, 604800, LIVE,
         "Seconds without a word of a charge before the port is asked."),
    INT ("orders.interrupted_grace_s", "300", 1, 604800, LIVE,
         "Seconds an order waits for an absent device that cannot charge without the "
         "server."),
    INT ("orders.fault_wait_end_s", "30", 1, 3600, LIVE,
         "Seconds a faulty port may take to report the end of its charge."),
    INT ("orders.stop_rounds", "3", 1, 100, LIVE, "How often a stop is sent anew."),
    INT ("orders.late_report_window_s", "604800", 60, 31536000, 0,
         "Seconds in which a late report settles an order anew."),
    BOOL ("orders.accept_local", "true", LIVE,
          "Keep charges that were started at the device."),
    REAL ("orders.overrun_tolerance", "0.05", 0, 1, LIVE,
          "Part of a target that may be exceeded before the server stops the charge."),
    INT ("orders.max_duration_minutes", "1440", 1, 10080, LIVE,
         "Longest charge of a request."),
    INT ("orders.business_no_reuse_s", "86400", 0, 31536000, 0,
         "Seconds before a short number may be used again on a device."),
    BOOL ("orders.trust_device_amount", "false", 0,
          "The device's amount counts, not ours."),
    INT ("orders.sweep_interval_s", "10", 1, 3600, 0,
         "Seconds between two looks for orders that no instance looks after."),
    INT ("tariff.price_per_kwh_cent", "50", 0, 100000, LIVE,
         "Default price in cents per kWh."),
    INT ("tariff.service_fee_permille", "50", 0, 1000, LIVE,
         "Default fee on the electricity."),
    INT ("tariff.min_charge_cent", "0", 0, 1000000, LIVE,
         "Least amount of a charge with energy."),
    INT ("gateway.throttle_ms", "500", 0, 60000, LIVE,
         "Least time between two commands of one device; the protocol's value comes "
         "first."),
    INT ("gateway.ack_timeout_ms", "0", 0, 600000, 0,
         "One time-out for all commands; 0 = by type."),
    INT ("gateway.retry_max", "0", 0, 100, 0,
         "One number of sends for all commands; 0 = by type."),
    INT ("gateway.dead_retention_days", "7", 1, 3650, 0,
         "Days that dead commands are kept."),
    {.name = "gateway.device_whitelist",
     .type = CH_CONFIG_LIST,
     .flags = LIVE,
     .summary = "Devices that may connect; empty = all."},
    INT ("outbound.warning", "200", 1, 1000000, LIVE,
         "Waiting commands from which background ones are refused."),
    INT ("outbound.critical", "500", 1, 1000000, LIVE,
         "… from which normal ones are refused."),
    INT ("outbound.emergency", "1000", 1, 1000000, LIVE,
         "… from which only stops are taken."),
    BOOL ("outbound.limits_auto", "true", LIVE,
          "Let these limits grow with the devices on line."),
    INT ("outbound.per_device_max", "32", 1, 1000, LIVE,
         "Waiting commands of one device."),
    INT ("outbound.window", "1", 1, 100, LIVE,
         "Commands in flight of one device; the protocol's value comes first."),
    INT ("outbound.done_retention_days", "3", 1, 3650, 0,
         "Days that finished commands are kept."),
    BOOL ("events.persist_sampled", "false", 0,
          "Write sampled events to the outbox, too."),
    INT ("events.progress_interval_s", "60", 1, 86400, LIVE,
         "Seconds between two progress events."),
    INT ("events.retention_days", "90", 1, 3650, 0, "Days that events are kept."),
    {.name = "journal.path",
     .type = CH_CONFIG_STRING,
     .def = "",
     .summary = "Folder of the journal of reports that the database does not take; "
                "default: app.state_dir."},
    {.name = "journal.max_bytes",
     .type = CH_CONFIG_SIZE,
     .def = "1G",
     .min = 65536,
     .max = 1099511627776.0,
     .summary = "Largest size of the journal: what does not fit is not answered."},
    BOOL ("cmd_log.enabled", "true", 0, "Keep the frames of devices."),
    INT ("cmd_log.retention_days", "14", 1, 3650, 0, "Days that frames are kept."),
    INT ("cmd_log.heartbeat_sample", "60", 1, 1000000, 0,
         "One in so many heartbeats is kept."),
    {.name = NULL},
};
