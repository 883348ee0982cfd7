/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process that runs instances (--workers) and its parts. */
#pragma once

#include "daemon/daemon.h"

#include <sys/types.h>

typedef struct {
  guint number; /* 1 … */
  pid_t pid;    /* 0: not running */
  gboolean ready, was_ready, ended;
  gboolean leaving;               /* told to end, to be started again at once */
  gint64 started_ms, start_at_ms; /* when it is to be started; 0 never */
  gint64 kill_at_ms;              /* of one that leaves */
  gint64 sign_ms;                 /* newest sign for the watchdog */
  gint64 backoff_ms;
} ChWorker;

typedef struct {
  ChDaemon *daemon;
  char **argv;   /* as it was given to this process */
  char *program; /* the file that is run, also when it was replaced since */
  ChWorker *workers;
  guint n;
  char *id, *state_dir;
  int signals, notify;
  char address[64]; /* of @notify, with an @ for the NUL */
  char *manager;    /* $NOTIFY_SOCKET of the service manager; nullable */
  gint64 watchdog_ms;
  gboolean announced, stopping;
  gint64 kill_at_ms;
  pid_t checker;    /* tries the program and the configuration before a restart */
  gboolean rolling; /* restarting one worker after the other */
  guint next;       /* to be restarted, counted from 0 */
  int exit_status;
} ChCrew;

/* Milliseconds of the monotonic clock, which goes on across an exec. */
gint64 ch_crew_now_ms (void);
ChWorker *ch_crew_find (ChCrew *crew, pid_t pid);

/* workers.c: what the other parts tell. */
void ch_crew_worker_ready (ChCrew *crew, ChWorker *worker);

/* workers-exec.c */
void ch_crew_start_worker (ChCrew *crew, ChWorker *worker);
/* Begins to try the program with --check-config; FALSE: it could not. */
gboolean ch_crew_check (ChCrew *crew);
/* Becomes the program that now stands at its path, and keeps its workers; returns only
   when that failed. */
void ch_crew_exec (ChCrew *crew);
/* What ch_crew_exec() left for this process; FALSE without @error: nothing. */
gboolean ch_crew_inherit (ChCrew *crew, GError **error);

/* workers-notify.c: between the workers and the service manager. */
gboolean ch_crew_open_notify (ChCrew *crew);
void ch_crew_tell_manager (const ChCrew *crew, const char *text);
void ch_crew_read_notify (ChCrew *crew);
/* Ends workers that give no sign of life. */
void ch_crew_watch (ChCrew *crew);
