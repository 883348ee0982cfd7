/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* REST routes: declared in tables, answered now or later. */
#pragma once

#include <chargehost/types.h>
#include <jansson.h>

G_BEGIN_DECLS

/* Authentication classes (gateway 7.2). */
typedef enum {
  CH_AUTH_NONE = 0,
  CH_AUTH_READ,
  CH_AUTH_THIRD,
  CH_AUTH_USER,
  CH_AUTH_VENDOR,
  CH_AUTH_ADMIN,
} ChAuthClass;

typedef enum {
  CH_PARAM_PATH = 1, /* {name} of the path */
  CH_PARAM_QUERY,
  CH_PARAM_BODY, /* member of the JSON body */
} ChParamPlace;

typedef enum {
  CH_PARAM_INT = 1,
  CH_PARAM_NUMBER,
  CH_PARAM_BOOL,
  CH_PARAM_STRING, /* @min and @max count characters */
  CH_PARAM_OBJECT,
  CH_PARAM_ARRAY, /* @min and @max count items */
  CH_PARAM_ANY,
} ChParamKind;

/**
 * ChParam:
 *
 * What the router checks before the handler runs; a violation is answered 400 `40010`
 * with `data.fields`. A table ends with a %NULL name. @max equal to @min: unbounded.
 */
typedef struct {
  const char *name;
  ChParamPlace place;
  ChParamKind kind;
  gboolean required;
  double min;
  double max;
  const char *pattern; /* STRING: allowed characters as in g_strspn, or NULL */
  const char *summary;
} ChParam;

/* A request; valid during the handler. */
typedef struct _ChRequest ChRequest;

typedef void (*ChHttpHandler) (ChPlugin *self, const ChRequest *request, ChReply reply);

typedef enum {
  CH_ROUTE_FLAGS_NONE = 0,
  CH_ROUTE_MUTATES = 1 << 0,  /* refused while starting or draining */
  CH_ROUTE_NO_LIMIT = 1 << 1, /* exempt from the per-key rate: stop and cancel */
} ChRouteFlags;

/**
 * ChRoute:
 * @method: `GET`
 * @path: `/api/v1/devices/{id}`
 * @auth: class
 * @scope: (nullable): scope of the key: `read`, `control`, `card`, `webhook`, `admin`
 * @flags: flags
 * @max_body: bytes; 0 = `http.max_body`
 * @timeout_ms: the answer is due; 0 = 30 s
 * @params: (nullable): parameters
 * @summary: for the documentation
 * @handler: answers @reply exactly once, now or later
 *
 * A table ends with a %NULL method.
 */
typedef struct {
  const char *method;
  const char *path;
  ChAuthClass auth;
  const char *scope;
  ChRouteFlags flags;
  gsize max_body;
  guint timeout_ms;
  const ChParam *params;
  const char *summary;
  ChHttpHandler handler;
} ChRoute;

/* Returns: whether all routes were taken; a second route with a method and path is an
 * error */
gboolean ch_http_add_routes (ChPlugin *self, const ChRoute *routes, GError **error);

/* Path parameter, percent-decoded. */
const char *ch_request_path (const ChRequest *request, const char *name);
/* Query parameter, (nullable). */
const char *ch_request_query (const ChRequest *request, const char *name);
gint64 ch_request_query_int (const ChRequest *request, const char *name, gint64 def);
/* JSON body: an object, empty when there was none. (transfer none) */
const json_t *ch_request_body (const ChRequest *request);
const char *ch_request_id (const ChRequest *request);
/* Key id of the caller, or "". */
const char *ch_request_key_id (const ChRequest *request);
const char *ch_request_header (const ChRequest *request, const char *name);
const char *ch_request_remote (const ChRequest *request);

/**
 * ch_reply_data:
 * @status: HTTP status
 * @message: (nullable): `success` by default
 * @data: (transfer full) (nullable): member `data` of the envelope of gateway 7.1
 */
void ch_reply_data (ChPlugin *self, ChReply reply, guint status, const char *message,
                    json_t *data);

/**
 * ch_reply_error:
 * @code: code of gateway 7.3; its first three digits are the HTTP status
 * @message: what is wrong
 * @data: (transfer full) (nullable): data
 */
void ch_reply_error (ChPlugin *self, ChReply reply, gint code, const char *message,
                     json_t *data);

/* Answers with a %CH_CORE_ERROR, %CH_STORE_ERROR or %CH_KV_ERROR. */
void ch_reply_gerror (ChPlugin *self, ChReply reply, const GError *error);

/* Answers with other bytes: metrics, documents. */
void ch_reply_bytes (ChPlugin *self, ChReply reply, guint status,
                     const char *content_type, const void *bytes, gsize size);

/* ---- health ---------------------------------------------------------------------- */

typedef enum {
  CH_HEALTH_HEALTHY = 0,
  CH_HEALTH_DEGRADED,
  CH_HEALTH_UNHEALTHY,
} ChHealthStatus;

/**
 * ChHealthFunc:
 * @details: an empty object, for figures
 * @message: (out) (transfer none): a constant text
 *
 * Called every 5 seconds; answers from memory.
 */
typedef ChHealthStatus (*ChHealthFunc) (ChPlugin *self, json_t *details,
                                        const char **message);

/* A check in `/health` (gateway 10); @name is a constant, `booking`. */
void ch_http_add_check (ChPlugin *self, const char *name, ChHealthFunc func);

/* Adds a header to the answer, before it is given. */
void ch_reply_header (ChPlugin *self, ChReply reply, const char *name, const char *value);

G_END_DECLS
