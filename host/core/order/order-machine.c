/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of gateway 1.5.4. T1 (creation) and T29 (a charge without an order) make an
 * order and so have no cell; T28 (a late report) is the column END of terminal states.
 * T23 and T26 are provisional here: a fault is not yet an end report, and the one that
 * comes later must still be able to correct the sum.
 */
#include "core/order/order-machine.h"

#include <string.h>

#define PROV CH_ORDER_EFFECT_PROVISIONAL
#define SETTLE CH_ORDER_EFFECT_SETTLE
#define STOP CH_ORDER_EFFECT_SEND_STOP
#define REVISE (CH_ORDER_EFFECT_REVISE | CH_ORDER_EFFECT_SETTLE)
#define IF_STOPPING CH_ORDER_EFFECT_STOPPED_IF_STOPPING

#define ON(event) [CH_ORDER_EVENT_##event]
#define GO(t, state, fx)                                                                 \
  {                                                                                      \
    .transition = (t), .to = CH_ORDER_##state, .effects = (fx)                           \
  }

#define FORCED                                                                           \
  ON (FORCE_SETTLE) = GO (31, COMPLETED, SETTLE),                                        \
     ON (FORCE_FAIL) = GO (31, FAILED, SETTLE),                                          \
     ON (DUPLICATE) = GO (31, FAILED, SETTLE | PROV)
#define LATE                                                                             \
  ON (END) = GO (28, COMPLETED, REVISE), ON (END_STOPPED) = GO (28, STOPPED, REVISE)

static const ChOrderCell CELLS[CH_ORDER_N][CH_ORDER_EVENT_N] = {
  [CH_ORDER_PENDING] = {
    ON (ACK) = GO (2, CONFIRMED, 0),
    ON (STARTED) = GO (3, CHARGING, 0),
    ON (REJECTED) = GO (4, FAILED, 0),
    ON (NOT_SENT) = GO (5, FAILED, 0),
    ON (PENDING_TIMEOUT) = GO (6, TIMEOUT, PROV),
    ON (CANCEL) = GO (7, CANCELLING, 0),
    ON (END) = GO (27, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (27, STOPPED, SETTLE),
    FORCED,
  },
  [CH_ORDER_CONFIRMED] = {
    ON (STARTED) = GO (3, CHARGING, 0),
    ON (CONFIRMED_TIMEOUT) = GO (8, FAILED, PROV | STOP),
    ON (CANCEL) = GO (7, CANCELLING, 0),
    ON (END) = GO (27, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (27, STOPPED, SETTLE),
    FORCED,
  },
  [CH_ORDER_CHARGING] = {
    ON (STOP) = GO (9, STOPPING, STOP),
    ON (END) = GO (10, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (11, STOPPED, SETTLE),
    ON (FAULT_WAIT) = GO (12, FAILED, SETTLE | PROV),
    ON (LOST) = GO (13, INTERRUPTED, 0),
    ON (ABANDONED) = GO (33, FAILED, SETTLE | PROV),
    FORCED,
  },
  [CH_ORDER_STOPPING] = {
    ON (END) = GO (19, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (18, STOPPED, SETTLE),
    ON (LOST) = GO (13, INTERRUPTED, 0),
    ON (STOP_WAIT) = GO (20, STOPPED, SETTLE | PROV),
    ON (STOP_RETRY) = GO (21, STOPPING, STOP),
    ON (STOP_MAX) = GO (22, STOPPED, SETTLE | PROV),
    ON (DEVICE_FAULT) = GO (23, FAILED, SETTLE | PROV),
    ON (ABANDONED) = GO (33, FAILED, SETTLE | PROV),
    FORCED,
  },
  [CH_ORDER_CANCELLING] = {
    ON (CANCELLED) = GO (24, CANCELLED, 0),
    ON (END) = GO (25, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (25, STOPPED, SETTLE),
    ON (DEVICE_FAULT) = GO (26, FAILED, PROV),
    FORCED,
  },
  [CH_ORDER_INTERRUPTED] = {
    ON (BACK) = GO (14, CHARGING, CH_ORDER_EFFECT_RESUME),
    ON (END) = GO (15, COMPLETED, SETTLE),
    ON (END_STOPPED) = GO (15, STOPPED, SETTLE),
    ON (RECOVER_TIMEOUT) = GO (16, FAILED, SETTLE | PROV | IF_STOPPING),
    ON (OFFLINE_DEADLINE) = GO (17, FAILED, SETTLE | PROV | IF_STOPPING),
    ON (STOP) = GO (30, INTERRUPTED, CH_ORDER_EFFECT_REMEMBER_STOP),
    FORCED,
  },
  [CH_ORDER_COMPLETED] = { LATE }, /* an end that was only inferred */
  [CH_ORDER_TIMEOUT] = { LATE },
  [CH_ORDER_CANCELLED] = { LATE },
  [CH_ORDER_FAILED] = { LATE, ON (REVIVED) = GO (32, CHARGING, 0) },
  [CH_ORDER_STOPPED] = { LATE },
};

static const char *const EVENT_NAMES[CH_ORDER_EVENT_N] = {
    "ack",
    "started",
    "rejected",
    "not_sent",
    "pending_timeout",
    "confirmed_timeout",
    "cancel",
    "cancelled",
    "stop",
    "stop_retry",
    "stop_wait",
    "stop_max",
    "end",
    "end_stopped",
    "fault_wait",
    "device_fault",
    "lost",
    "back",
    "recover_timeout",
    "offline_deadline",
    "abandoned",
    "revived",
    "force_settle",
    "force_fail",
    "duplicate",
};

static const char *const STATUS_NAMES[CH_ORDER_N] = {
    "pending", "confirmed", "charging",   "completed", "timeout",     "cancelled",
    "failed",  "stopped",   "cancelling", "stopping",  "interrupted",
};

gboolean ch_order_status_is_active (ChOrderStatus status)
{
  return status <= CH_ORDER_CHARGING || status >= CH_ORDER_CANCELLING;
}

const ChOrderCell *ch_order_machine_cell (ChOrderStatus status, gboolean provisional,
                                          ChOrderEvent event)
{
  if ((guint) status >= CH_ORDER_N || (guint) event >= CH_ORDER_EVENT_N)
    return NULL;
  if (!ch_order_status_is_active (status) && !provisional)
    return NULL;
  const ChOrderCell *cell = &CELLS[status][event];
  return cell->transition != 0 ? cell : NULL;
}

const char *ch_order_event_name (ChOrderEvent event)
{
  return (guint) event < CH_ORDER_EVENT_N ? EVENT_NAMES[event] : "";
}

const char *ch_order_status_name (ChOrderStatus status)
{
  return (guint) status < CH_ORDER_N ? STATUS_NAMES[status] : "";
}

gboolean ch_order_status_parse (const char *text, ChOrderStatus *status)
{
  if (text == NULL)
    return FALSE;
  for (guint i = 0; i < CH_ORDER_N; i++)
    if (g_str_equal (text, STATUS_NAMES[i])) {
      *status = (ChOrderStatus) i;
      return TRUE;
    }
  guint64 number;
  if (!g_ascii_string_to_unsigned (text, 10, 0, CH_ORDER_N - 1, &number, NULL))
    return FALSE;
  *status = (ChOrderStatus) number;
  return TRUE;
}
