/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A real Redis beside a test: the server in a folder of its own, and a plain client. */
#pragma once

#include <chargehost/kv.h>

typedef struct _RedisServer RedisServer;
/* NULL with a reason when the program is not there or does not start. */
RedisServer *redis_server_start (const char **reason);
void redis_server_stop (RedisServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RedisServer, redis_server_stop)
/* Path of its socket; the test's client and other drivers may use it. */
const char *redis_server_socket (const RedisServer *server);

typedef struct _RespClient RespClient;
RespClient *resp_client_new (const char *socket_path);
void resp_client_free (RespClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RespClient, resp_client_free)
/* Commands may be sent ahead of their answers. */
void resp_client_send (RespClient *client, const char *const *argv, const gsize *sizes,
                       gsize argc);
/* (transfer full) (nullable): NULL when the server has closed the connection */
ChKvReply *resp_client_read (RespClient *client);

/*
 * Ends a test that needs the server and has none: a failure when CI is set in the
 * environment, else a skip. Returns: the program's exit status
 */
int redis_server_missing (const char *reason);
