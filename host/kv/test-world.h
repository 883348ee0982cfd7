/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the front's tests: a driver that does what the test says, and what it was told. */
#pragma once

#include "base/clock-private.h"
#include "kv/kv.h"
#include "net/reactor.h"

typedef struct {
  ChServices services;
  GMainContext *context;
  ChPlugin *driver;
  ChPlugin *caller;
  GPtrArray *runs;  /* that the driver holds */
  GPtrArray *told;  /* what the driver was told, as text */
  GString *heard;   /* answers and messages */
  gboolean at_once; /* completes inside submit */
} World;

void world_set_up (World *world, gconstpointer data);
void world_tear_down (World *world, gconstpointer data);
void world_open (World *world);
void world_turn (World *world);
/* A ChKvDone that writes `name=reply;` or `name=!code;`; the name is @user_data. */
void world_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                     gpointer user_data);
/* Completes the run at this place. */
void world_complete (World *world, guint index, const char *text);
void world_assert_told (World *world, const char *expected);

#define assert_heard(world, text)                                                        \
  G_STMT_START                                                                           \
  {                                                                                      \
    g_assert_cmpstr ((world)->heard->str, ==, (text));                                   \
    g_string_truncate ((world)->heard, 0);                                               \
  }                                                                                      \
  G_STMT_END

typedef struct {
  const char *name;
  void (*run) (World *world, gconstpointer data);
} WorldTest;
int world_run_tests (const WorldTest *tests, gsize n);
