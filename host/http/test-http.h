/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An HTTP server on a loopback port that the kernel chooses, on a clock that stands
 * still, with clients that are bare sockets: what they send and when is the test's.
 */
#pragma once

#include "base/config-private.h"
#include "base/metrics-private.h"
#include "http/http-private.h"

typedef struct {
  ChServices services;
  ChPlugin *plugin; /* owner of the test's routes */
  guint16 port;
  ChReply owed[64]; /* by /later */
  guint n_owed;
} World;

/* @options: NULL-terminated settings `http.max_body=1K`. */
void world_open (World *world, const char *const *options);
void world_close (World *world);
/* The same with /hello, /echo, /small, /large, /none and /later of test-routes.c. */
void world_open_routes (World *world, const char *const *options);
/* The server alone over services that exist. */
void world_listen (ChServices *services, guint16 *port);
/* Runs the loop until nothing more happens at once. */
void world_settle (ChServices *services);
/* The clock goes on, in steps, and timers fire. */
void world_advance (ChServices *services, gint64 ms);
double world_metric (World *world, const char *line);

typedef struct {
  ChServices *services;
  int fd;
  GString *in;
  gboolean closed;
  /* the answer read last */
  guint status;
  char *headers;
  char *body;
  json_t *json; /* NULL when it is not JSON */
} Client;

Client *client_new (ChServices *services, guint16 port);
void client_free (Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Client, client_free)
void client_send (Client *client, const char *text, gssize size);
/* Reads what has come; TRUE when an answer was taken out of it. */
gboolean client_poll (Client *client, gboolean head);
/* Runs the loop until an answer is there. */
void client_wait (Client *client);
/* Runs the loop until the server has closed. */
void client_wait_closed (Client *client);
/* Header of the last answer, "" when it has none. (transfer full) */
char *client_header (Client *client, const char *name);

/* One request and its answer. @headers: lines with \r\n, or NULL; @body may be NULL. */
void client_request (Client *client, const char *method, const char *path,
                     const char *headers, const char *body);
/* The same on a connection of its own; returns the status. */
guint ask (ChServices *services, guint16 port, const char *method, const char *path,
           const char *headers, const char *body, json_t **json);
/* Sends without waiting. */
void client_start (Client *client, const char *method, const char *path,
                   const char *headers, const char *body);
/* Code of the envelope. */
gint client_code (Client *client);
