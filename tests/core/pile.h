/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device of text lines that charges by itself: it executes commands or not, its answers
 * come, come late or get lost, it keeps the reports of its charges until they are
 * answered, and it remembers what it really did.
 */
#pragma once

#include "queue-fixture.h"
#include <chargehost/chargehost.h>

#define PILE_PORTS 2

typedef struct {
  guint port;
  char number[16];                 /* on the wire */
  char order_no[CH_ORDER_NO_SIZE]; /* that its start was for, "" begun at the pile */
  gint64 wh, s;
  guint reason;
  gboolean acked; /* its report was answered */
} PileCharge;

typedef struct {
  Queue *queue;
  char id[16];
  int fd;                /* −1: not connected */
  gboolean core_numbers; /* it takes the numbers of orders; else it makes them */
  gboolean honest;       /* answers all, and at once */
  GPtrArray *charges;    /* of PileCharge, owned: all that it did */
  GPtrArray *reports;    /* of PileCharge: not answered yet; the first is being told */
  GPtrArray *late;       /* of text: answers that come later */
  PileCharge *running[PILE_PORTS];
  gint64 begun_ms[PILE_PORTS], told_ms;
  guint tag, last_number;
  gint64 *last_wh; /* of all piles: no two charges have the same figure */
} Pile;

void pile_init (Pile *pile, Queue *queue, guint n, gboolean core_numbers,
                gint64 *last_wh);
void pile_clear (Pile *pile);
void pile_come (Pile *pile);
void pile_go (Pile *pile);
/* Hears what the server said, and reacts to it. */
void pile_hear (Pile *pile);
/* Time has gone on: it charges, and tells what is to be told. */
void pile_live (Pile *pile);
/* Somebody at the pile begins or ends a charge. */
void pile_press (Pile *pile, guint port);
void pile_report_ports (Pile *pile);
void pile_report_progress (Pile *pile);
/* Says again what was answered long ago. */
void pile_repeat (Pile *pile);
/* Says what cannot be. */
void pile_rave (Pile *pile);
gboolean pile_is_quiet (const Pile *pile);
