/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One device of text lines and the orders of its ports: what walks of orders say and
 * check.
 */
#pragma once

#include "core/order/orders.h"
#include "queue-fixture.h"
#include <chargehost/chargehost.h>

/* Options of a device that begins when it acknowledges, and that numbers its charges. */
#define DEVICE_NUMBERS "proto-lines.ack_means_on=true", "proto-lines.order_key=device"
/* The events of a charge that runs. */
#define RUNNING "order.created order.confirmed charging.started"

typedef struct {
  Queue *queue;
  int fd;
  char *answer; /* of the core to the newest request: the state, or the error's code */
} Site;

/* The device connects, or its connection goes. */
void site_come (Site *site);
void site_go (Site *site);
/* The same around a death of the process. */
void site_restart (Site *site);
/* A device that reports its port 0 as idle. @options as in queue_new_orders(). */
Site site_open (const char *const *options);
/* A charge of order A that runs under the wire order w1, all commands heard. */
Site site_charging (const char *const *options);
/* The same, with 620 Wh in 30 minutes reported and stored. */
Site site_running (const char *const *options);
void site_close (Site *site);

void site_start (Site *site, const char *order_no, const char *expected);
void site_start_as (Site *site, const ChStartRequest *request, const char *expected);
/* One hour on port 0, up to 5 units of money. */
ChStartRequest site_request (const char *order_no);
void site_stop (Site *site, const char *order_no, const char *expected);
void site_cancel (Site *site, const char *order_no, const char *expected);
void site_force (Site *site, gboolean settle, const char *expected);
/* A ChCoreDone for site->answer. */
void site_answered (ChPlugin *self, const json_t *data, const GError *error,
                    gpointer user_data);

/* Number of the newest command in what the device heard. */
guint site_heard (Site *site);
/* Number of the newest command of a type, 0 when it heard none. */
guint site_heard_type (Site *site, const char *type);
/* Asserts that it heard these commands, "StartCharge QueryPortStatus", within a second.
 */
void site_expect (Site *site, const char *types);
/* Asserts the shown status of port 0 and the order that holds it (NULL none). */
void site_assert_port (Site *site, ChPortStatus status, const char *order_no);
void site_assert_alarms (Site *site, const char *wanted);
/* Heartbeats while the time goes on. */
void site_live (Site *site, guint seconds);

#define SITE(...) site_open ((const char *const[]) {__VA_ARGS__, NULL})
#define CHARGING(...) site_charging ((const char *const[]) {__VA_ARGS__, NULL})
#define RUNNING_WITH(...) site_running ((const char *const[]) {__VA_ARGS__, NULL})
#define SAY(...) queue_say (site.queue, site.fd, __VA_ARGS__)
#define ADVANCE(s) queue_advance (site.queue, (gint64) (s) *1000)
#define CHECK_SQL(sql, text)                                                             \
  do {                                                                                   \
    queue_settle (site.queue);                                                           \
    g_autofree char *_value = queue_sql (site.queue, sql);                               \
    g_assert_cmpstr (_value, ==, text);                                                  \
  } while (0)
/* State, provisional, energy, failure reason. */
#define ASSERT_ORDER(no, text)                                                           \
  CHECK_SQL ("SELECT status || ' ' || provisional || ' ' || energy_wh || ' ' ||"         \
             " coalesce (failure_reason, '-') FROM orders WHERE order_no = '" no "'",    \
             text)
#define ASSERT_STATUS(no, text)                                                          \
  CHECK_SQL ("SELECT status FROM orders WHERE order_no = '" no "'", text)
#define ASSERT_EVENTS(no, text)                                                          \
  CHECK_SQL ("SELECT group_concat (event_type, ' ') FROM (SELECT event_type FROM"        \
             " events WHERE order_no = '" no "' ORDER BY sequence_no)",                  \
             text)
/* "2 device started, 9 api api_stop_charge": every entry but the creation. */
#define ASSERT_HISTORY(no, text)                                                         \
  CHECK_SQL ("SELECT group_concat (value ->> 'status' || ' ' || (value ->> 'by') || ' '" \
             " || (value ->> 'reason'), ', ') FROM orders, json_each (status_history)"   \
             " WHERE key > 0 AND order_no = '" no "'",                                   \
             text)
/* A member of the newest event of a type. */
#define ASSERT_EVENT(type, member, text)                                                 \
  CHECK_SQL ("SELECT event_data ->> '" member "' FROM events WHERE event_type = '" type  \
             "' ORDER BY id DESC LIMIT 1",                                               \
             text)
/* What was alarmed since the last look: "stop_not_executed, duplicate cleared". */
#define ASSERT_ALARMS(text) site_assert_alarms (&site, text)
#define ASSERT_PORT(status, order_no) site_assert_port (&site, status, order_no)
#define EXPECT(types) site_expect (&site, types)
