/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the driver's tests share: a kv over a real server, waiting, counting answers. */
#pragma once

#include "helpers/kv-fixture.h"
#include "helpers/redis.h"
#include "helpers/resp-client.h"
#include <chargehost/error.h>

const ChPluginInfo *ch_plugin_kv_redis_query (void);

/* Ends the test when it is not true within 20 seconds; the loop runs meanwhile. */
#define bed_wait(kv, condition)                                                          \
  G_STMT_START                                                                           \
  {                                                                                      \
    gint64 until_us = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;                     \
    while (!(condition)) {                                                               \
      if (g_get_monotonic_time () > until_us)                                            \
        g_error ("%s:%d: not within 20 s: %s", __FILE__, __LINE__, #condition);          \
      g_main_context_iteration ((kv)->context, TRUE);                                    \
    }                                                                                    \
  }                                                                                      \
  G_STMT_END

/* Begins a test program; FALSE when there is no Redis, with the exit status. */
gboolean bed_begin (int *argc, char ***argv, int *status);
/* A server, or the end of the test; as redis_server_start_with(). */
RedisServer *bed_server (guint16 port, const char *const *words);
/* At the server's socket, with further options. Not up yet. */
KvFixture *bed_open (const RedisServer *server, const char *const *more);
gboolean bed_up (KvFixture *kv);
/* Goes on for so long. */
void bed_pass (KvFixture *kv, guint ms);

/* A line to the server itself, beside the driver. (transfer full) */
char *bed_direct (const RedisServer *server, const char *line);

/* Answers that come one by one. */
typedef struct {
  guint n, n_ok, n_unavailable, n_unknown, n_timeout, n_other;
  char *last; /* text of the last one */
} BedCount;
void bed_send (KvFixture *kv, BedCount *count, const char *line);
/* The same of another caller, whose answers do not wait for those of the first. */
void bed_send_of (ChPlugin *caller, BedCount *count, const char *line);
void bed_count_clear (BedCount *count);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (BedCount, bed_count_clear)

/* A counter of the driver, by its name in /metrics. */
double bed_metric (KvFixture *kv, const char *name);
