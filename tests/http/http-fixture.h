/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A core with drivers and a protocol of text lines (queue-fixture.h), and HTTP on it. */
#pragma once

#include "http/test-http.h"
#include "queue-fixture.h"

#define BOSS "X-Internal-API-Key: boss-key-0123456789\r\n"
#define DRIVER "X-API-Key: driver-key-0123456789\r\n"
#define READER "X-API-Key: reader-key-0123456789\r\n"

typedef struct {
  Queue *queue;
  ChServices *services;
  guint16 port;
} Api;

void api_open (Api *api, const char *const *options);
/* The same with the life of orders: the core's own hooks and timers. */
void api_open_orders (Api *api, const char *const *options);
void api_close (Api *api);
/* The server dies and comes back, with the same rows. */
void api_restart (Api *api);
/* A device with one port that is idle. Returns: its connection */
int api_device (Api *api, const char *id);
/* Status; @json (transfer full) (nullable). */
guint api_ask (Api *api, const char *method, const char *path, const char *headers,
               const char *body, json_t **json);
/* Asserts the status. Returns: (transfer full): data of the answer, {} when there is none
 */
json_t *api_ok (Api *api, const char *method, const char *path, const char *headers,
                const char *body, guint status);
/* Code of the envelope. */
gint api_code (Api *api, const char *method, const char *path, const char *headers,
               const char *body);
/* Member of the data of the last answer of @client. */
const char *api_text (Client *client, const char *name);
/* A wall-clock time and bytes as the database's SQL writes them. (transfer full) */
char *api_sql_time (gint64 wall_ms);
char *api_sql_bytes (const char *hex);
/* First column of the first row; `api` is in scope. */
#define API_SQL(sql, wanted)                                                             \
  do {                                                                                   \
    g_autofree char *_value = queue_sql (api.queue, sql);                                \
    g_assert_cmpstr (_value, ==, wanted);                                                \
  } while (0)
