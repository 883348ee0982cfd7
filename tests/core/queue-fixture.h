/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A core with everything below it (gateway, kv-memory, store-sqlite on a file) and a
 * small protocol of text lines, on a clock that stands still. Devices are socket pairs.
 *
 * Lines of a device: `@on ID`, `@hb ID`, `@ack ID NUMBER`, `@no ID NUMBER CODE`,
 * `@sim ID ICCID`, `@port ID PORT STATUS [NUMBER [S]]`, `@start ID PORT NUMBER [ORDER]`,
 * `@prog ID PORT NUMBER WH S`, `@end ID PORT NUMBER WH S REASON [TAG]` (also
 * `@guess`: inferred). A number is a business number, or a wire order when it begins with
 * `w`. Lines of the server: `TYPE NUMBER ATTEMPT SOCKET PORT ORDER`, `stored PORT [TAG]`
 * for what is durable.
 */
#pragma once

#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/metrics-private.h"
#include "base/owner.h"
#include "base/reply.h"
#include "bus/bus.h"
#include "core/outbound/outbound.h"
#include "core/session/session-private.h"
#include "kv/kv.h"
#include "store/store.h"

#define DEV "82241218000382"

typedef struct {
  ChServices services;
  ChProtocol protocol; /* a test may change it before the first connection */
  ChPlugin *kv_driver, *store_driver, *proto, *caller;
  ChPluginInfo proto_info;
  char *folder;
  GPtrArray *events;         /* text of what was published */
  GPtrArray *views;          /* text of what the hooks heard */
  ChCommandState next_state; /* what the protocol answers to a command, SENT by default */
  int send_buffer;           /* of new connections; 0: a small one */
  gsize padding;             /* bytes added to each command, to fill a connection */
  ChStoreDriver store_layer; /* over the real one: it can hold writes back */
  gboolean hold;
  gboolean is_away;     /* it answers nobody: there is no connection */
  GPtrArray *held;      /* of ChTxRun */
  gboolean with_orders; /* the core's own hooks and timers instead of the test's */
} Queue;

/* @options: NULL-terminated settings `outbound.warning=5`. */
Queue *queue_new (const char *const *options);
/* The same with the life of orders. */
Queue *queue_new_orders (const char *const *options);
void queue_free (Queue *queue);
/* Whether it runs over PostgreSQL instead of SQLite: CHARGEHOST_TEST_STORE=pgsql. */
gboolean queue_is_pgsql (void);
/* The process dies and comes back: new core, empty kv, same database. */
void queue_restart (Queue *queue);
/* A life of the protocol's plugin begins; the other ends one first. */
void queue_begin_protocol (Queue *queue);
void queue_reload_protocol (Queue *queue);
/* Opens the core's parts and lets the dispatcher begin; queue_new does it. */
void queue_start (Queue *queue);
void queue_stop (Queue *queue);

/* Runs the loop until nothing more happens. */
void queue_settle (Queue *queue);
/* The clock goes on in steps of at most 100 ms. */
void queue_advance (Queue *queue, gint64 ms);

/* queue-device.c: a connection; returns the device's end. */
int queue_connect (Queue *queue);
/* The same, and the device says who it is. */
int queue_device_on (Queue *queue, const char *id);
/* queue_new() with DEV on line; and the end of both. */
Queue *queue_with_device (int *fd);
void queue_finish (Queue *queue, int fd);
/* The device says a line; the loop runs. */
void queue_say (Queue *queue, int fd, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* What the server wrote since the last call, "" for nothing. (transfer full) */
char *queue_heard (Queue *queue, int fd);
/* Reads everything heard and asserts that it is this. */
void queue_expect (Queue *queue, int fd, const char *text);
/* TRUE when the server has closed the connection. */
gboolean queue_is_closed (Queue *queue, int fd);
/* Number of the last command heard in @text. */
guint queue_number (const char *text);

ChDevice *queue_device (Queue *queue, const char *id);
/* Asserts that it was accepted; fills @id when not NULL. */
void queue_send (Queue *queue, const ChOutboundRequest *request, char *id);
/* A request of this type to DEV, with nothing else said. */
ChOutboundRequest queue_request (Queue *queue, ChCommandType type);
void queue_send_type (Queue *queue, ChCommandType type, gint port_no, char *id);
const char *queue_state (Queue *queue, const char *id);
/* queue-fixture.c: a command of the kv, answered as text; words are divided by blanks.
 * (transfer full) */
char *queue_kv (Queue *queue, const char *line);
/* queue-store.c: what the front of the store talks to. */
void queue_store_layer (Queue *queue, const ChStoreDriver *driver);
/* From now on the store gets no write, as if it had become slow. */
void queue_hold (Queue *queue);
/* It gets them now; or (@lost) its connection was lost before it got any. */
void queue_release (Queue *queue, gboolean lost);
/* From now on every transaction fails at once, until it is back. */
void queue_away (Queue *queue, gboolean is_away);
/* Changes the database behind the core's back. */
void queue_change (Queue *queue, const char *sql);
/* queue-facts.c: a line that states a fact of a port or a charge. */
void queue_fact_line (ChPlugin *self, ChConn conn, char **words);
/* First column of the first row. (transfer full) */
char *queue_sql (Queue *queue, const char *sql);
/* queue-sql.c: the server, made when it is first needed, and SQL in the folder's
   schema, with what is SQLite's way put into PostgreSQL's. (transfer full) */
const ChPluginInfo *queue_pgsql_info (void);
char *queue_pgsql_dsn (void);
char *queue_pgsql_ask (Queue *queue, const char *sql);
/* How PostgreSQL runs a statement, when it can help it without reading whole tables: JSON
   of EXPLAIN. (transfer full) */
char *queue_plan (Queue *queue, const ChPrepared *prepared);
/* "a; b; c", and forgets them. (transfer full) */
char *queue_lines (GPtrArray *lines);

#define ASSERT_LINES(list, wanted)                                                       \
  do {                                                                                   \
    g_autofree char *_lines = queue_lines (list);                                        \
    g_assert_cmpstr (_lines, ==, wanted);                                                \
  } while (0)
#define ASSERT_KV(line, wanted)                                                          \
  do {                                                                                   \
    g_autofree char *_answer = queue_kv (queue, line);                                   \
    g_assert_cmpstr (_answer, ==, wanted);                                               \
  } while (0)
#define ASSERT_SQL(sql, wanted)                                                          \
  do {                                                                                   \
    g_autofree char *_value = queue_sql (queue, sql);                                    \
    g_assert_cmpstr (_value, ==, wanted);                                                \
  } while (0)
