/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two files of the fake host share. */
#pragma once

#include "fake-host.h"

struct _ChPlugin {
  Fake *fake;
  gpointer data;
};

typedef struct {
  gboolean is_open;
  gpointer session;
  GByteArray *buffer;
} FakeConn;

typedef struct {
  ChTimer id;
  gint64 due_ms;
  ChTimerFunc func;
  gpointer user_data;
} FakeTimer;

/* A completion that is owed. */
typedef struct {
  ChConn conn;
  ChFactDone done;
  gpointer user_data;
} FakeStore;

typedef struct {
  ChCommand command;
  char *id;
  char *order_no;
  json_t *payload;
} FakeCommand;

struct _Fake {
  ChPlugin self;
  const ChPluginInfo *info;
  const char *const *config;
  gint64 now_ms, wall_ms;
  GQueue lines;  /* of char* */
  GQueue stores; /* of FakeStore */
  GPtrArray *conns;
  GPtrArray *timers;
  ChTimer last_timer;
  GHashTable *series;
  GHashTable *orders;   /* socket << 8 | port → ChOrderView */
  GHashTable *commands; /* msg_id → FakeCommand */
  json_t *sockets, *ports;
  gboolean refuse, blocked, hold, stopped;
  guint seen;
  guint logged[2];
  char *log_row[2];
  GSList *parsed;
  GSList *metrics;
};

void fake_conn_free (gpointer conn);
void fake_command_free (gpointer command);
void fake_add_line (Fake *fake, char *line); /* takes it */
void fake_add (Fake *fake, const char *format, ...) G_GNUC_PRINTF (2, 3);
