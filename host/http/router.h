/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of routes: a trie by segments. Literal segments come before parameters;
 * looking up costs the length of the path.
 */
#pragma once

#include "base/owner.h"
#include <chargehost/http.h>
#include <chargehost/metrics.h>

#define CH_HTTP_MAX_SEGMENTS 16
#define CH_HTTP_MAX_PARAMS 6
#define CH_HTTP_MAX_PATH 2048

typedef struct _ChHttpRouter ChHttpRouter;
typedef struct _ChHttpNode ChHttpNode;
typedef struct _ChHttpRoute ChHttpRoute;

/* A registered route. */
struct _ChHttpRoute {
  ChResource resource; /* of the plugin; first */
  gint refs;
  ChRoute table;
  ChHttpRouter *router;
  ChHttpNode *node;  /* NULL when revoked */
  ChHttpRoute *next; /* another method of the same path */
  guint n_params;
  char *names[CH_HTTP_MAX_PARAMS]; /* of the path, in order */
  guint64 scopes;                  /* bits of which the key needs one */
  gpointer counters;               /* traffic.c */
  void (*free_counters) (gpointer counters);
};

/* Where a path leads; values are decoded. */
typedef struct {
  ChHttpNode *node; /* NULL: nowhere */
  guint n_values;
  const char *values[CH_HTTP_MAX_PARAMS];
  char *buffer; /* what they point into; kept for the next look-up */
  gsize room;
} ChHttpMatch;

typedef enum {
  CH_HTTP_FOUND = 0,
  CH_HTTP_NO_ROUTE,
  CH_HTTP_NO_METHOD,
  CH_HTTP_BAD_PATH, /* not decodable, too long, too deep */
} ChHttpLookup;

ChHttpRouter *ch_http_router_new (void);
void ch_http_router_free (ChHttpRouter *router);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChHttpRouter, ch_http_router_free)

/* Revoked with @owner. @table's strings are used, not copied. */
ChHttpRoute *ch_http_router_add (ChHttpRouter *router, ChPlugin *owner,
                                 const ChRoute *table, GError **error);
ChHttpLookup ch_http_router_find (ChHttpRouter *router, const char *method,
                                  const char *path, ChHttpMatch *match,
                                  ChHttpRoute **route);
void ch_http_match_clear (ChHttpMatch *match);
/* "GET, POST" of the node that was found. (transfer full) */
char *ch_http_router_allowed (const ChHttpMatch *match);
/* All routes, for the documentation, in no order. (transfer container) */
GPtrArray *ch_http_router_list (ChHttpRouter *router);
guint ch_http_router_size (ChHttpRouter *router);

ChHttpRoute *ch_http_route_ref (ChHttpRoute *route);
void ch_http_route_unref (ChHttpRoute *route);

/* Decodes %XX; FALSE for bad escapes, NULs and what is not UTF-8. @out may be @text. */
gboolean ch_http_unescape (const char *text, gsize size, gboolean plus, char *out);
