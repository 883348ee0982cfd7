/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One order: its data as stored, and what the process keeps beside it. */
#pragma once

#include "core/device/device.h"
#include "core/order/order-machine.h"

/* Everything that is stored; copied as a whole to prepare a change. */
typedef struct {
  char order_no[CH_ORDER_NO_SIZE];
  char wire_order[CH_WIRE_ORDER_SIZE]; /* "" none */
  char
      alias_wire_order[CH_WIRE_ORDER_SIZE]; /* earlier number of a start that ran twice */
  char start_command_id[CH_COMMAND_ID_SIZE];
  char stop_command_id[CH_COMMAND_ID_SIZE];
  char failure_reason[CH_NAME_SIZE];
  char lookup_source[16];
  char end_key[160]; /* recognises copies of the end report */
  gint64 id;         /* row; 0 unknown yet */
  gint16 socket_no;
  gint8 port_no;        /* −1 until the device has chosen */
  guint8 source;        /* ChOrderSource */
  guint8 charge_mode;   /* 1 to 4 */
  guint8 status;        /* ChOrderStatus */
  guint8 resume_status; /* INTERRUPTED: what it was, CHARGING or STOPPING */
  gboolean provisional;
  guint16 business_no;                                     /* 0 none */
  gint64 target_duration_s, target_energy_wh, max_power_w; /* CH_UNSET none */
  gint64 amount_limit_cent;                                /* CH_UNSET none */
  gint64 price_per_kwh_cent, service_fee_permille;
  gint64 start_time, end_time; /* wall ms, CH_UNSET */
  gint64 duration_s, energy_wh;
  gint64 base_energy_wh; /* sum before the device restarted its counters */
  gint64 electricity_cent, service_cent, amount_cent, device_amount_cent; /* CH_UNSET */
  gint64 end_reason, raw_reason;                                          /* CH_UNSET */
  gint64 peak_power_mw, last_power_mw;                                    /* CH_UNSET */
  gint64 sent_at, ack_at, interrupted_at, last_progress_at;               /* CH_UNSET */
  gint64 settlement_rev, version;
  gint64 created_at, updated_at;
} ChOrderData;

struct _ChOrder {
  ChOrderData d;
  ChDevice *device;
  char *card_no;         /* nullable */
  char *metadata;        /* JSON object text, nullable = {} */
  char *test_session_id; /* nullable */
  /* only in this process; times are monotonic, 0 = not yet */
  ChWheelTimer timer;
  gint64 state_ms; /* since when it is in its state */
  gint64 start_written_ms;
  gboolean start_refused; /* the only sending: so nothing has begun */
  guint64 start_session;  /* generation of the session that all sendings went to, or 0 */
  gboolean stop_refused;  /* by that session: the port is asked */
  gint64 refused_ms;      /* C3: a re-sent start was refused, the port is asked */
  gint64 stop_written_ms;
  gint64 stop_round_ms; /* T21: since when the newest round of stops waits */
  gint64 stop_acked_ms;
  guint stop_rounds;
  gint64 bound_ms;    /* INTERRUPTED: device is back since */
  gint64 idle_ms;     /* a snapshot newer than the bind shows the port not charging */
  gint64 fault_ms;    /* charging, port faulty since */
  gint64 progress_ms; /* newest word of this order */
  gint64 duration_ms; /* when its duration was true */
  guint stale_queries;
  gint64 stale_ms; /* newest query because of silence */
  gboolean stop_alarmed;
  gint64 published_ms;       /* order.updated */
  gint64 published_event_ms; /* charging.progress */
  gboolean number_is_device;
  gboolean progress_dirty;
  gboolean is_journalled;    /* its next change waits in the journal */
  gboolean began_cancelling; /* C5: it began while it was being cancelled */
  /* its newest change that the store left unanswered: true when the row has its version
   */
  struct {
    gint64 version; /* 0: none */
    gint event;     /* ChOrderEvent */
    guint transition;
    const char *by; /* interned */
    gboolean first_end, had_stop;
  } unsure;
};

void ch_order_data_init (ChOrderData *d);
ChOrder *ch_order_new (ChDevice *device);
void ch_order_free (ChOrder *order);
const char *ch_order_source_name (ChOrderSource source);

/* Reads a row of `orders.*` (all columns and phy_id). */
void ch_order_read (ChOrder *order, const ChTxResult *result, guint statement, guint row);
/* Object of gateway 7.4 Order. (transfer full) */
json_t *ch_order_json (const ChOrder *order);
/* The neutral key under which bkv and others find it: wire order, else number. */
gboolean ch_order_has_key (const ChOrder *order, const char *wire_order,
                           gint64 business_no, gint socket_no, gint port_no);
