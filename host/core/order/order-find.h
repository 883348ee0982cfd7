/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which order a durable fact is about (gateway 1.5.5, bkv 10.4): in memory, in the store.
 */
#pragma once

#include "core/order/orders.h"

/* A fact on its way through look-ups and transactions. */
typedef struct {
  ChDevice *device;
  const ChOrderStarted *started; /* one of the two; they live until the job is finished */
  const ChOrderEnded *ended;
  ChFactNext next;
  gpointer data;
  const char *lookup_source;
  ChOrder *made; /* local order being inserted */
} ChReported;

const char *ch_reported_wire (const ChReported *p);
gint64 ch_reported_number (const ChReported *p); /* CH_UNSET none */
gint ch_reported_socket (const ChReported *p);
gint ch_reported_port (const ChReported *p);
gboolean ch_reported_has_key (const ChReported *p);
const char *ch_reported_order_no (const ChReported *p); /* "" none */
gboolean ch_reported_names_order (const ChReported *p);

/* The active order that it names, or that has its key. */
ChOrder *ch_reported_active_by_key (ChReported *p);
/* The charge of the port's order, when nothing says that it is another one.
 * @slack_s: how much longer than its order a charge may be said to have run */
ChOrder *ch_reported_active_by_port (ChReported *p, gint64 slack_s);
/* The order that holds its port. */
ChOrder *ch_reported_holder (const ChReported *p);

/* What a look into the store brings, behind all that was written before. */
enum {
  CH_REPORTED_BY_KEY = 0, /* of the same key, newest first */
  CH_REPORTED_BY_ALIAS,   /* of which it is the earlier number */
  CH_REPORTED_BY_NAME,
  CH_REPORTED_LAST_OF_PORT,
};
void ch_reported_look_up (ChReported *p, ChTxDone done);
/* Whether its order is active in the store, and memory does not know yet that it is. */
gboolean ch_reported_in_doubt (const ChReported *p, const ChTxResult *result,
                               GError **error);
