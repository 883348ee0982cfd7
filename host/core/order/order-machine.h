/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine of orders (gateway 1.5.4) as a table: state × event → state, effect.
 */
#pragma once

#include <chargehost/core.h>

typedef enum {
  CH_ORDER_EVENT_ACK = 0,         /* start acknowledged, relay not yet known to be on */
  CH_ORDER_EVENT_STARTED,         /* the relay is on */
  CH_ORDER_EVENT_REJECTED,        /* device refuses the start */
  CH_ORDER_EVENT_NOT_SENT,        /* start could not be queued or was never written */
  CH_ORDER_EVENT_PENDING_TIMEOUT, /* no ack in pending_timeout_s */
  CH_ORDER_EVENT_CONFIRMED_TIMEOUT,
  CH_ORDER_EVENT_CANCEL,       /* request */
  CH_ORDER_EVENT_CANCELLED,    /* cancel acknowledged, start never written, or time-out */
  CH_ORDER_EVENT_STOP,         /* request, watchdog, admin */
  CH_ORDER_EVENT_STOP_RETRY,   /* no ack in stopping_timeout_s */
  CH_ORDER_EVENT_STOP_WAIT,    /* stop acknowledged, port idle, no end report */
  CH_ORDER_EVENT_STOP_MAX,     /* stop_max_s and no word */
  CH_ORDER_EVENT_END,          /* end report, by itself */
  CH_ORDER_EVENT_END_STOPPED,  /* end report, reason user_stop or remote_stop */
  CH_ORDER_EVENT_FAULT_WAIT,   /* port faulty for fault_wait_end_s, no end report */
  CH_ORDER_EVENT_DEVICE_FAULT, /* fault while stopping or cancelling */
  CH_ORDER_EVENT_LOST,         /* session lost */
  CH_ORDER_EVENT_BACK,         /* device back and it charges */
  CH_ORDER_EVENT_RECOVER_TIMEOUT, /* device back, port idle, no end report */
  CH_ORDER_EVENT_OFFLINE_DEADLINE,
  CH_ORDER_EVENT_ABANDONED,
  CH_ORDER_EVENT_REVIVED, /* ended provisionally, but the device charges it */
  CH_ORDER_EVENT_FORCE_SETTLE,
  CH_ORDER_EVENT_FORCE_FAIL,
  CH_ORDER_EVENT_DUPLICATE, /* C7: a newer order claims its port */
  CH_ORDER_EVENT_N,
} ChOrderEvent;

typedef enum {
  CH_ORDER_EFFECT_NONE = 0,
  CH_ORDER_EFFECT_PROVISIONAL = 1 << 0, /* decided by a timer, not by the device */
  CH_ORDER_EFFECT_SETTLE = 1 << 1,      /* final figures */
  CH_ORDER_EFFECT_SEND_STOP = 1 << 2,
  CH_ORDER_EFFECT_REVISE = 1 << 3, /* settle anew: settlement_rev + 1 */
  CH_ORDER_EFFECT_RESUME = 1 << 4, /* goes to the state it had, not to @to */
  CH_ORDER_EFFECT_STOPPED_IF_STOPPING
  = 1 << 5, /* STOPPED instead of FAILED when it was stopping */
  CH_ORDER_EFFECT_REMEMBER_STOP = 1
                                  << 6, /* INTERRUPTED: the stop is sent at the return */
} ChOrderEffect;

typedef struct {
  guint8 transition; /* T number; 0: not allowed */
  guint8 to;
  guint16 effects;
} ChOrderCell;

/**
 * ch_order_machine_cell:
 * @provisional: whether a terminal state was decided by a timer: only then it may move
 *
 * Returns: (nullable): the cell; %NULL when the event is refused in this state
 */
const ChOrderCell *ch_order_machine_cell (ChOrderStatus status, gboolean provisional,
                                          ChOrderEvent event);
const char *ch_order_event_name (ChOrderEvent event);
