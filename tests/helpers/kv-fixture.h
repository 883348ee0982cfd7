/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kv for tests: services, reactor, front and a driver, without a daemon. Commands are
 * given as text and answered as text, synchronously.
 */
#pragma once

#include "base/clock-private.h"
#include "base/config-private.h"
#include "base/owner.h"
#include "kv/kv.h"
#include "net/reactor.h"

typedef struct {
  ChServices services;
  GMainContext *context;
  ChPlugin *driver; /* runs */
  const ChPluginInfo *info;
  ChPlugin *caller; /* whose commands these are */
  gboolean is_open;
} KvFixture;

/* @clock: (transfer full) (nullable): a fake one; @options: (nullable): `key=value`, … */
KvFixture *kv_fixture_new (ChPluginQuery query, ChClock *clock,
                           const char *const *options);
void kv_fixture_free (KvFixture *fixture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KvFixture, kv_fixture_free)

/* Stops the driver and starts it again, as a restart of the daemon would. */
void kv_fixture_restart (KvFixture *fixture);
/* One turn of the loop without sleeping. */
void kv_fixture_turn (KvFixture *fixture);
/* With a fake clock: time passes, timers fire. */
void kv_fixture_advance (KvFixture *fixture, gint64 ms);

/* Splits a line into words, which may hold NULs. */
typedef struct {
  GPtrArray *words; /* of char* */
  GArray *sizes;    /* of gsize */
} KvWords;
/* Blanks between, quotes around; \n, \r, \xHH in double quotes. */
void kv_words_split (KvWords *words, const char *line);
void kv_words_clear (KvWords *words);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KvWords, kv_words_clear)

/*
 * Waits for the answer; stops the test after 20 seconds. An error of the kv itself comes
 * as an error reply "!code text". (transfer full)
 */
ChKvReply *kv_fixture_run (KvFixture *fixture, const KvWords *words);
char *kv_fixture_line (KvFixture *fixture, const char *line);
/* g_assert: the line gives the reply. */
#define kv_assert(fixture, line, expected)                                               \
  G_STMT_START                                                                           \
  {                                                                                      \
    g_autofree char *kv_reply = kv_fixture_line ((fixture), (line));                     \
    if (g_strcmp0 (kv_reply, (expected)) != 0)                                           \
      g_error ("%s:%d: %s\n  gives    %s\n  expected %s", __FILE__, __LINE__, (line),    \
               kv_reply, (expected));                                                    \
  }                                                                                      \
  G_STMT_END

/* nil, :1, "text", +OK, -ERR …, [a b]. (transfer full) */
char *kv_reply_text (const ChKvReply *reply);
void kv_reply_print (GString *text, const ChKvReply *reply);
/* An array's items, or groups of them, in order of their text. */
char *kv_reply_sorted_text (const ChKvReply *reply, gsize group);
/* An error without what stands behind ` script:`, which names lines. */
char *kv_reply_plain_text (const ChKvReply *reply);
ChKvReply *kv_reply_copy (const ChKvReply *reply);
