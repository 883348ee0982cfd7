/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What operators and third parties read beside gateway 7.4: the history of an order, its
 * events, parameters of a device. And the stop of a port that no order holds.
 * Answers come through a #ChCoreDone, never after the caller has stopped.
 */
#pragma once

#include "core/core.h"

/* {"order_no","events":[…],"total_events"}: an order without events has an empty list. */
void ch_core_order_events (ChPlugin *self, const char *order_no, ChCoreDone done,
                           gpointer user_data);
/*
 * {"events":[…],"next"} in the order in which they were stored. @after: (nullable): event
 * id; @types: (nullable): names with commas. Looks at a bounded number of rows per call,
 * so there may be fewer than @limit although `next` is not the last.
 */
void ch_core_list_events (ChPlugin *self, const char *after, const char *types,
                          gint64 limit, ChCoreDone done, gpointer user_data);
/* {"timeline":{"order_no","events":[…],"summary":{…}}}, in the order of time. */
void ch_core_order_timeline (ChPlugin *self, const char *order_no, ChCoreDone done,
                             gpointer user_data);
/* {"phy_id","params":[…]} */
void ch_core_device_params (ChPlugin *self, const char *device, ChCoreDone done,
                            gpointer user_data);

/*
 * {"servers":[…],"total","directory":bool}: all that give a sign of life in the kv, this
 * one from its own memory; without the kv this one alone.
 */
void ch_core_list_servers (ChPlugin *self, ChCoreDone done, gpointer user_data);

/*
 * C8: stops a port that no order holds. In one transaction: an order that has failed at
 * once, for the books, and the durable command. The answer is that of ch_core_send() and
 * `order_no`.
 */
void ch_core_stop_port (ChPlugin *self, const char *device, gint socket_no, gint port_no,
                        const char *comment, const ChOrigin *origin, guint wait_ms,
                        ChCoreDone done, gpointer user_data);

extern const ChStatement ch_record_statements[];

/* An answer that is owed to a caller; dropped when the caller stops. */
typedef struct _ChAsk ChAsk;
ChAsk *ch_ask_new (ChPlugin *self, ChCoreDone done, gpointer user_data);
/* Answers and frees it; both may be %NULL. */
void ch_ask_answer (ChAsk *ask, const json_t *data, const GError *error);
/* Answers with a %CH_CORE_ERROR. */
void ch_ask_refuse (ChAsk *ask, gint code, const char *message);
/* 50305 with what the store said, for the completion of a transaction. */
void ch_ask_store_failed (ChAsk *ask, const GError *error);
