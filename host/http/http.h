/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server and its router. */
#pragma once

#include "base/owner.h"
#include <chargehost/core.h>
#include <chargehost/http.h>

ChHttp *ch_http_new (ChServices *services);
void ch_http_free (ChHttp *http);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChHttp, ch_http_free)

/* Keys of `http`, `api`, `thirdparty.auth`, `admin`, `security`, `ratelimit`. */
extern const ChConfigKey ch_http_config[];

/* Only the tables of api_keys … and their statements. */
gboolean ch_http_register_store (ChHttp *http, GError **error);
/* Registers migrations and statements of api_keys …, loads the keys. After the store. */
gboolean ch_http_open (ChHttp *http, GError **error);
/* Listens on `http.addr` with health, metrics and the core's routes. */
gboolean ch_http_listen (ChHttp *http, GError **error);
/* The base URL that answers, with the real port. */
const char *ch_http_url (ChHttp *http);
/* Ends listening, lets running requests finish. */
void ch_http_drain (ChHttp *http);
guint ch_http_active (ChHttp *http);

/**
 * ch_http_key_create:
 * Makes a key: `{prefix}_{secret}`; only its SHA-256 is stored. @scopes is a
 * comma-separated list of read, control, card, webhook, admin.
 */
void ch_http_key_create (ChHttp *http, const char *name, const char *scopes,
                         void (*done) (const char *key_id, const char *key,
                                       const GError *error, gpointer data),
                         gpointer data);
/* Whether any key exists: without one only health answers. */
gboolean ch_http_has_keys (ChHttp *http);
/* Called after keys were changed by REST, to tell everybody. */
void ch_http_set_reconfigured (ChHttp *http,
                               void (*reconfigured) (gpointer daemon, char **keys,
                                                     const char *by),
                               gpointer daemon);
/* How /api/v1/admin/drain reaches the daemon; without it the answer is 501. */
void ch_http_set_daemon (ChHttp *http, void (*drain) (gpointer daemon, gboolean on),
                         gpointer daemon);

/**
 * ch_http_audit:
 * Writes a row of audit_log: every administrative change, also those by other ways than
 * REST. @before, @after: JSON; all but @actor and @action may be NULL.
 */
void ch_http_audit (ChHttp *http, const char *actor, const char *ip, const char *action,
                    const char *object, const char *request_id, const char *before,
                    const char *after);
/*
 * A request that comes another way than HTTP, from somebody who may: the administrators'
 * route of @method and @path does what it does for REST, with the same checks, and audits
 * it as @action of @actor. Everything is copied but constants.
 */
typedef struct {
  const char *method; /* constant */
  const char *path;   /* of the route: "/api/v1/admin/bans/{subject}" */
  const char *actor, *action;
  const json_t
      *params;      /* by name, wherever the route wants them; unknown ones are refused */
  const char *type; /* constant, nullable: of @body, when that is no JSON */
  const char *body;
} ChHttpAsk;
/* The answer is the data of REST's; an error has the code of REST in CH_CORE_ERROR. */
void ch_http_ask (ChPlugin *self, const ChHttpAsk *ask, ChCoreDone done,
                  gpointer user_data);
/* What a start may name, as REST and D-Bus both call it; texts stay in @fields. */
void ch_http_read_start (ChStartRequest *start, const json_t *fields);
/* "PORT_OCCUPIED" for 40901; "OTHER" when there is no such code. */
const char *ch_http_error_name (gint code);

/* The effective configuration (ch_config_describe), keys of the API masked as well.
 * (transfer full) */
json_t *ch_http_describe_config (ChPlugin *self);
