/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files about the end of a charge share. */
#pragma once

#include "proto-bkv/bkv.h"

#define BKV_REPEAT_MS 30000 /* a copy so soon after an answer questions the answer */

/* The four forms of an end report in one. */
typedef struct {
  guint8 socket;
  guint8 port;
  gboolean has_status;
  guint8 status;
  guint16 number;
  gboolean has_power;
  guint16 power;
  guint16 energy;
  guint16 duration;
  gint reason;   /* −1 = none */
  gint64 amount; /* cent, CH_UNSET = none */
  gboolean has_time;
  gint64 end_ms;
  char time_text[15]; /* as it was sent, in hexadecimal; "" = none */
  char card[13];      /* "" = none */
  guint8 card_type;
} BkvEndReport;

struct _BkvPendingEnd {
  ChConn conn; /* of the second answer */
  gint64 stated_ms;
  guint hash;
  guint8 gateway[BKV_GATEWAY_SIZE];
  BkvKind kind;
  guint32 msg_id;
  guint64 bkv_seq;
  guint8 socket;
  guint8 port;
};

/* Answers a report in the form that this gateway takes. */
void bkv_answer_end (BkvGateway *g, ChConn conn, const BkvPendingEnd *report);
