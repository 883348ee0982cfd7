/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server for the simulator's tests: it shares the simulator's loop, answers what it is
 * told to answer, and keeps every frame. */
#pragma once

#include "report.h"

/* A frame that a gateway sent. */
typedef struct {
  guint connection; /* from 1, in the order of accepting */
  gint64 at;        /* scaled time */
  gsize size;
  guint8 bytes[BKV_MAX_FRAME];
  BkvFrame frame;
} FakeFrame;

typedef struct {
  Sim *sim;
  GPtrArray *peers;
  GPtrArray *frames; /* FakeFrame */
  SimWatch listener;
  guint16 port;
  guint next;    /* first frame that fake_await() has not seen */
  guint errors;  /* stream errors */
  guint refused; /* connections closed at once */
  guint32 serial;
  guint64 sent, received, progress; /* bytes; see settled() */
  guint idle;
  gboolean refuse; /* connections */
  gboolean silent; /* no answer to heartbeats */
  gboolean no_status;
  gboolean no_ends;
  gboolean no_events;
  gboolean keep; /* frames are kept (default) */
  guint8 end_result;
} FakeServer;

FakeServer *fake_new (void);
void fake_free (FakeServer *server);

/* A simulator that talks to it, in steps of virtual time. @args: more options, or NULL */
Sim *fake_sim (FakeServer *server, const char *args);
/* Ends a run as the program does, or as SIGKILL does. */
void fake_sim_end (FakeServer *server, Sim *sim);
void fake_sim_kill (FakeServer *server, Sim *sim);

/* What most tests have: a server with one simulator, which has reported its sockets once
 * fake_pair_ready() is done. */
typedef struct {
  FakeServer *server;
  Sim *sim;
} FakePair;
void fake_pair_set_up (FakePair *pair, gconstpointer args);
void fake_pair_ready (FakePair *pair);
void fake_pair_set_up_ready (FakePair *pair, gconstpointer args);
void fake_pair_tear_down (FakePair *pair, gconstpointer args);

/* The next frame of this kind; earlier ones are passed over. Fails the test after half a
 * minute of real time. */
const FakeFrame *fake_await (FakeServer *server, BkvKind kind);
/* Lets virtual seconds pass. */
void fake_pass (FakeServer *server, double seconds);
/* How many frames of this kind came since the last fake_await(). */
guint fake_count (const FakeServer *server, BkvKind kind);

/* Prepares a command with a new serial to the first gateway. */
void fake_command (FakeServer *server, BkvFrame *frame, BkvKind kind);
/* On the newest connection. */
void fake_send (FakeServer *server, const BkvFrame *frame);
void fake_send_bytes (FakeServer *server, const guint8 *bytes, gsize size);
void fake_start (FakeServer *server, guint socket, guint port, guint minutes);
void fake_stop (FakeServer *server, guint socket, guint port);
