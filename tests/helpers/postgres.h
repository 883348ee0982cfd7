/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Throw-away PostgreSQL servers for tests and benchmarks: each in a temporary folder, on
 * a unix socket and a free port of the loopback interface, as an unprivileged user when
 * the test runs as root. They end with the test, also when it fails.
 */
#pragma once

#include <glib.h>

typedef struct _Postgres Postgres;

typedef enum {
  POSTGRES_FLAGS_NONE = 0,
  POSTGRES_FSYNC = 1 << 0, /* what is committed is really on the disk */
} PostgresFlags;

/* Whether the programs of PostgreSQL are there; else tests are skipped. */
gboolean postgres_is_there (void);
/* TRUE when it is not, and the test program has said so; with CI set it fails. */
gboolean postgres_skips (void);

/* Path of one of its programs. (transfer full) */
char *postgres_program (const char *name);

/* @settings: (nullable): NULL-terminated `name=value` of postgresql.conf */
Postgres *postgres_new (PostgresFlags flags, const char *const *settings);
/* Another server with a copy of @primary's data that follows it. */
Postgres *postgres_new_standby (Postgres *primary);
void postgres_free (Postgres *server);

/* Stopped or killed, and started again with the same data and port. */
void postgres_start (Postgres *server);
void postgres_stop (Postgres *server);
void postgres_kill (Postgres *server); /* SIGKILL to the postmaster and all of its own */
/* Stops answering: SIGSTOP and SIGCONT to all processes. */
void postgres_freeze (Postgres *server, gboolean freeze);

/* Connection strings: by the socket; by the port, with a host name to be resolved. */
const char *postgres_dsn (Postgres *server);
const char *postgres_tcp_dsn (Postgres *server);
const char *postgres_folder (Postgres *server);
guint postgres_port (Postgres *server);

/* Runs SQL as the superuser on a connection of its own. The first value, or NULL.
   (transfer full) */
char *postgres_ask (Postgres *server, const char *sql);
