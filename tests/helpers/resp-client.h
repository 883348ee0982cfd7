/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plain client of Redis for tests: no driver, it waits for each answer. */
#pragma once

#include "helpers/redis.h"
#include <chargehost/kv.h>

typedef struct _RespClient RespClient;
RespClient *resp_client_new (const char *socket_path);
void resp_client_free (RespClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RespClient, resp_client_free)
/* Commands may be sent ahead of their answers. */
void resp_client_send (RespClient *client, const char *const *argv, const gsize *sizes,
                       gsize argc);
/* (transfer full) (nullable): NULL when the server has closed the connection */
ChKvReply *resp_client_read (RespClient *client);
/* One command of words, and its answer. (transfer full) */
ChKvReply *resp_client_run (RespClient *client, const char *const *argv, gsize argc);
