/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chargehostd: what it consists of, its phases of start and stop (architecture 11). */
#pragma once

#include "base/owner.h"
#include "net/reactor.h"
#include <chargehost/chargehost.h>

/* What the command line asked for. */
typedef struct {
  char *config_path;  /* NULL: the default file, when it is there */
  char **assignments; /* key=value, strongest */
  gboolean check_config;
  gboolean print_config;
  gboolean describe_config;
  gboolean migrate_only;
  gboolean migrate_check;
  gboolean new_database;
  char *copy_to;   /* --copy-store: where to copy the database to, and end */
  char *copy_from; /* NULL: the configured one */
  gboolean copy_replace;
  gboolean version;
  char *key_name; /* --create-key: make a key and end */
  char *key_scopes;
  gint workers; /* 0: this process is the instance */
} ChOptions;

typedef enum {
  CH_DAEMON_STARTING = 0,
  CH_DAEMON_RUNNING,
  CH_DAEMON_STOPPING,
} ChDaemonState;

typedef struct {
  ChOptions options;
  ChServices services;
  ChPlugin *self; /* the owner "daemon" */
  GMainLoop *loop;
  char *state_dir;
  char *crash_page; /* mapped */
  ChDaemonState state;
  int exit_status;
  gint64 started_us;
  GSource *signals[3];
  /* stop.c */
  guint stop_step;
  gint64 stop_deadline_ms;
  gboolean stop_waits;
  GPtrArray *table_owners; /* tables.c */
  /* watch.c */
  gint64 calm_since_ms;
  gpointer watch;
  ChTopicHandle *overload_topic;
  ChTopicHandle *config_topic;
} ChDaemon;

/* options.c: FALSE: the process ends with @exit_status. */
gboolean ch_options_parse (ChOptions *options, int *argc, char ***argv, int *exit_status);
void ch_options_clear (ChOptions *options);

/* daemon.c */
int ch_daemon_main (int argc, char **argv);
gboolean ch_daemon_reload (ChDaemon *daemon, GError **error);
/* Keys were changed while running: applies what is the daemon's and tells everybody. */
void ch_daemon_reconfigured (ChDaemon *daemon, char **keys, const char *by);
/* From here on SIGTERM and SIGINT stop in order and SIGHUP reloads. */
void ch_daemon_watch_signals (ChDaemon *daemon);
extern const ChConfigKey ch_daemon_config[];

/* start.c: phases 1 to 9; blocks. FALSE: fatal, with one clear line. */
gboolean ch_daemon_start (ChDaemon *daemon, GError **error);

/* The plugins that the configuration starts. */
const char *const *ch_daemon_wanted_plugins (ChDaemon *daemon);

/* workers.c: runs instances as processes until all have ended; the exit status. */
int ch_workers_run (ChDaemon *daemon, char **argv, GError **error);
/* Whether the plugins of the configuration let several instances run. */
gboolean ch_workers_check (ChDaemon *daemon, GError **error);

/* tables.c: what is done to the database while no daemon runs. */
gboolean ch_daemon_wants_tables (const ChDaemon *daemon);
gboolean ch_daemon_load_stores (ChDaemon *daemon, GError **error);
gboolean ch_daemon_is_right_user (ChDaemon *daemon, GError **error);
gboolean ch_daemon_do_tables (ChDaemon *daemon, GError **error);

/* known.c: an empty database where there was one is refused; a good one is noted. */
void ch_daemon_expect_database (ChDaemon *daemon);
void ch_daemon_remember_database (ChDaemon *daemon);

/* stop.c: begins an orderly stop (2.15); a second call ends at once. */
void ch_daemon_stop (ChDaemon *daemon);
/* The same for something that the daemon cannot go on with. */
void ch_daemon_fail (ChDaemon *daemon, const char *why);
void ch_daemon_drain (ChDaemon *daemon, gboolean on);

/* watch.c: overload level, watchdog of the service manager. */
void ch_daemon_watch (ChDaemon *daemon);

/* notify.c: tells the service manager; nothing without one. */
void ch_notify (const char *format, ...) G_GNUC_PRINTF (1, 2);
