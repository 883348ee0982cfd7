/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real Redis servers beside a test, each in a folder of its own, ended with the test. */
#pragma once

#include <glib.h>

typedef struct _RedisServer RedisServer;

/* On a unix socket only. NULL with a reason when the program is not there or does not
   start. */
RedisServer *redis_server_start (const char **reason);
/*
 * With further words of its command line (NULL-terminated) and, with @port > 0, on that
 * port of the loopback address, too.
 */
RedisServer *redis_server_start_with (guint16 port, const char *const *words,
                                      const char **reason);
void redis_server_stop (RedisServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RedisServer, redis_server_stop)

/* Kills it and starts it again with the same words, without its data. */
void redis_server_kill (RedisServer *server);
gboolean redis_server_again (RedisServer *server);
/* It stands still, or goes on. */
void redis_server_signal (RedisServer *server, int number);

/* Path of its socket; the test's client and other drivers may use it. */
const char *redis_server_socket (const RedisServer *server);
/* Its folder, for files that it is to read. */
const char *redis_server_folder (const RedisServer *server);
guint16 redis_server_port (const RedisServer *server);
/* A port of the loopback address that is free now, and the one 10000 above it. */
guint16 redis_free_port (void);

/*
 * Ends a test that needs the server and has none: a failure when CI is set in the
 * environment, else a skip. Returns: the program's exit status
 */
int redis_server_missing (const char *reason);
