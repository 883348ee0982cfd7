/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For the tests of this folder: a gateway with a clock of its own, and a small protocol.
 *
 * A frame is `T`, `P`, a length byte, that many bytes and their sum. The first byte of
 * the payload says what the protocol does with it:
 *   `e` sends the frame back; `r` sends 255 bytes of `r`; `b` calls it a bad frame;
 *   `k` answers and closes; `x` fails; `i` states that a device is known; others are
 * taken
 */
#pragma once

#include "base/config-private.h"
#include "base/metrics-private.h"
#include "net/gateway-private.h"

typedef struct {
  ChServices services;
  GMainContext *context;
  ChPlugin *plugin;
  ChGateway *gateway;
  ChConn conn; /* newest */
  guint opened, closed, sessions;
  guint hook_closed, hook_writable, alarms, sent, dropped;
  ChCloseReason reason; /* newest */
  char alarm[32];       /* newest code */
  char last_command[CH_COMMAND_ID_SIZE];
  GString *input; /* payloads, each closed by a blank */
  guint frames;
  gboolean in_callback; /* `closed` must not come inside of one */
} TestWorld;

/* @options: NULL-terminated assignments such as "tcp.backlog=5", or NULL. */
void test_world_open (TestWorld *world, gboolean fake_clock, const char *const *options);
void test_world_close (TestWorld *world);
const ChProtocol *test_protocol (void);

/* Turns the loop until nothing is left to do. */
void test_turn (TestWorld *world);
/* Waits with a watchdog; for real clocks. */
#define test_wait_for(world, condition)                                                  \
  G_STMT_START                                                                           \
  {                                                                                      \
    gint64 until_us_ = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;                    \
    while (!(condition)) {                                                               \
      g_assert_cmpint (g_get_monotonic_time (), <, until_us_);                           \
      test_iterate (world);                                                              \
    }                                                                                    \
  }                                                                                      \
  G_STMT_END
/* One turn, at most 10 ms of sleep. */
void test_iterate (TestWorld *world);
/* Fake clock: time goes on, timers fire, the loop turns. */
void test_advance (TestWorld *world, gint64 ms);

/* A connection of which the test has the other end. */
int test_connect (TestWorld *world);
/* To a listening address "127.0.0.1:port". */
int test_connect_to (const char *address, gboolean nonblocking);
/* Makes a frame of @payload at the end of @out. */
void test_frame (GString *out, const char *payload, gssize size);
void test_send_frame (int fd, const char *payload);
void test_send (int fd, const void *bytes, gsize size);
/* What has arrived. */
GString *test_receive (int fd);
/* Whether the other end has hung up. */
gboolean test_is_closed (int fd);
guint64 test_closed_count (TestWorld *world, ChCloseReason reason);
