/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/router.h"

#include <chargehost/error.h>
#include <string.h>

struct _ChHttpNode {
  ChHttpNode *parent;
  char *name;           /* NULL: a parameter, or the root */
  GHashTable *children; /* of literal segments; NULL when there are none */
  ChHttpNode *param;
  ChHttpRoute *routes;
};

struct _ChHttpRouter {
  ChHttpNode *root;
  guint n_routes;
};

/* ---- decoding ------------------------------------------------------------------------
 */

gboolean ch_http_unescape (const char *text, gsize size, gboolean plus, char *out)
{
  char *to = out;
  for (gsize i = 0; i < size; i++) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= size)
        return FALSE;
      gint high = g_ascii_xdigit_value (text[i + 1]);
      gint low = g_ascii_xdigit_value (text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0))
        return FALSE;
      c = (char) (high << 4 | low);
      i += 2;
    } else if (c == '+' && plus)
      c = ' ';
    *to++ = c;
  }
  *to = '\0';
  return g_utf8_validate (out, to - out, NULL);
}

/* ---- nodes ---------------------------------------------------------------------------
 */

static void node_free (gpointer data)
{
  ChHttpNode *node = data;
  if (node == NULL)
    return;
  for (ChHttpRoute *route = node->routes; route != NULL; route = route->next)
    route->node = NULL;
  g_clear_pointer (&node->children, g_hash_table_unref);
  node_free (node->param);
  g_free (node->name);
  g_free (node);
}

static ChHttpNode *node_child (ChHttpNode *node, const char *segment, gsize size)
{
  gboolean is_param = *segment == '{';
  ChHttpNode *child;

  if (is_param) {
    if (node->param == NULL) {
      node->param = g_new0 (ChHttpNode, 1);
      node->param->parent = node;
    }
    return node->param;
  }
  g_autofree char *name = g_strndup (segment, size);
  if (node->children == NULL)
    node->children = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, node_free);
  child = g_hash_table_lookup (node->children, name);
  if (child == NULL) {
    child = g_new0 (ChHttpNode, 1);
    child->parent = node;
    child->name = g_steal_pointer (&name);
    g_hash_table_insert (node->children, child->name, child);
  }
  return child;
}

/* Removes what leads to no route any more. */
static void node_prune (ChHttpNode *node)
{
  while (node->parent != NULL && node->routes == NULL && node->param == NULL
         && (node->children == NULL || g_hash_table_size (node->children) == 0)) {
    ChHttpNode *parent = node->parent;
    if (node->name != NULL)
      g_hash_table_remove (parent->children, node->name);
    else {
      parent->param = NULL;
      node_free (node);
    }
    node = parent;
  }
}

/* ---- routes --------------------------------------------------------------------------
 */

ChHttpRoute *ch_http_route_ref (ChHttpRoute *route)
{
  route->refs++;
  return route;
}

void ch_http_route_unref (ChHttpRoute *route)
{
  if (--route->refs > 0)
    return;
  for (guint i = 0; i < route->n_params; i++)
    g_free (route->names[i]);
  if (route->counters != NULL)
    route->free_counters (route->counters);
  g_free (route);
}

static void route_detach (ChHttpRoute *route)
{
  ChHttpNode *node = route->node;
  if (node == NULL)
    return;
  ChHttpRoute **at = &node->routes;
  while (*at != route)
    at = &(*at)->next;
  *at = route->next;
  route->next = NULL;
  route->node = NULL;
  route->router->n_routes--;
  node_prune (node);
}

static void revoke_route (ChResource *resource)
{
  ChHttpRoute *route = (ChHttpRoute *) resource;
  route_detach (route);
  ch_http_route_unref (route);
}

static const ChResourceKind ROUTE_KIND = {"routes", revoke_route};

static gboolean refuse (GError **error, const ChRoute *table, const char *why)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR, "route %s %s: %s",
               table->method, table->path != NULL ? table->path : "(none)", why);
  return FALSE;
}

static gboolean add_name (ChHttpRoute *route, const char *segment, gsize size,
                          GError **error)
{
  if (size < 3 || segment[size - 1] != '}')
    return refuse (error, &route->table, "a parameter is a whole segment {name}");
  if (route->n_params == CH_HTTP_MAX_PARAMS)
    return refuse (error, &route->table, "too many parameters");
  route->names[route->n_params++] = g_strndup (segment + 1, size - 2);
  return TRUE;
}

/* Names and node of the path; nodes are made only when the whole path is good. */
static gboolean parse_path (ChHttpRoute *route, gboolean make, ChHttpNode **node,
                            GError **error)
{
  const char *p = route->table.path;
  guint depth = 0;

  if (p == NULL || *p != '/')
    return refuse (error, &route->table, "a path begins with /");
  while (*p == '/') {
    gsize size = strcspn (++p, "/");
    if (++depth > CH_HTTP_MAX_SEGMENTS)
      return refuse (error, &route->table, "too many segments");
    if (size == 0 && route->table.path[1] != '\0')
      return refuse (error, &route->table, "an empty segment");
    if (make)
      *node = node_child (*node, p, size);
    else if (*p == '{' && !add_name (route, p, size, error))
      return FALSE;
    p += size;
  }
  return TRUE;
}

ChHttpRoute *ch_http_router_add (ChHttpRouter *router, ChPlugin *owner,
                                 const ChRoute *table, GError **error)
{
  ChHttpRoute *route = g_new0 (ChHttpRoute, 1);
  ChHttpNode *node = router->root;

  route->refs = 1;
  route->table = *table;
  route->router = router;
  if (table->handler == NULL) {
    refuse (error, table, "no handler");
    goto fail;
  }
  if (!parse_path (route, FALSE, NULL, error))
    goto fail;
  parse_path (route, TRUE, &node, NULL);
  for (ChHttpRoute *other = node->routes; other != NULL; other = other->next)
    if (g_str_equal (other->table.method, table->method)) {
      g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_DUPLICATE,
                   "route %s %s is taken by %s of %s", table->method, table->path,
                   other->table.path, ch_plugin_name (other->resource.owner));
      goto fail;
    }
  route->node = node;
  route->next = node->routes;
  node->routes = route;
  router->n_routes++;
  ch_owner_link (owner, &route->resource, &ROUTE_KIND);
  return route;

fail:
  ch_http_route_unref (route);
  return NULL;
}

/* ---- finding -------------------------------------------------------------------------
 */

typedef struct {
  char *segments[CH_HTTP_MAX_SEGMENTS];
  guint n;
} Split;

/* Copies the path into the match's buffer, cut at slashes and decoded. */
static ChHttpLookup split_path (const char *path, ChHttpMatch *match, Split *split)
{
  gsize size = strlen (path);
  if (*path != '/' || size > CH_HTTP_MAX_PATH)
    return CH_HTTP_BAD_PATH;
  if (match->room < size + 1) {
    match->room = MAX (size + 1, 128);
    g_free (match->buffer);
    match->buffer = g_malloc (match->room);
  }
  memcpy (match->buffer, path, size + 1);
  split->n = 0;
  for (char *p = match->buffer; *p == '/';) {
    char *end = strchrnul (++p, '/');
    if (split->n == CH_HTTP_MAX_SEGMENTS)
      return CH_HTTP_NO_ROUTE;
    split->segments[split->n++] = p;
    p = end;
  }
  for (guint i = 0; i < split->n; i++) {
    char *segment = split->segments[i];
    gsize length = i + 1 < split->n ? (gsize) (split->segments[i + 1] - segment) - 1
                                    : (gsize) (match->buffer + size - segment);
    segment[length] = '\0';
    /* What has no escapes is ASCII: libsoup passes nothing else. */
    if (memchr (segment, '%', length) != NULL
        && !ch_http_unescape (segment, length, FALSE, segment))
      return CH_HTTP_BAD_PATH;
  }
  return CH_HTTP_FOUND;
}

/* Literal before parameter; goes back when the literal leads nowhere. */
static ChHttpNode *walk (ChHttpNode *node, const Split *split, guint at,
                         ChHttpMatch *match)
{
  if (at == split->n)
    return node->routes != NULL ? node : NULL;
  char *segment = split->segments[at];
  if (node->children != NULL) {
    ChHttpNode *child = g_hash_table_lookup (node->children, segment);
    ChHttpNode *found = child != NULL ? walk (child, split, at + 1, match) : NULL;
    if (found != NULL)
      return found;
  }
  if (node->param == NULL || *segment == '\0'
      || match->n_values == G_N_ELEMENTS (match->values))
    return NULL;
  match->values[match->n_values++] = segment;
  ChHttpNode *found = walk (node->param, split, at + 1, match);
  if (found == NULL)
    match->n_values--;
  return found;
}

static ChHttpRoute *node_route (ChHttpNode *node, const char *method)
{
  for (ChHttpRoute *route = node->routes; route != NULL; route = route->next)
    if (strcmp (route->table.method, method) == 0)
      return route;
  return NULL;
}

ChHttpLookup ch_http_router_find (ChHttpRouter *router, const char *method,
                                  const char *path, ChHttpMatch *match,
                                  ChHttpRoute **route)
{
  Split split;
  *route = NULL;
  match->node = NULL;
  match->n_values = 0;
  ChHttpLookup result = split_path (path, match, &split);
  if (result != CH_HTTP_FOUND)
    return result;
  match->node = walk (router->root, &split, 0, match);
  if (match->node == NULL)
    return CH_HTTP_NO_ROUTE;
  *route = node_route (match->node, method);
  if (*route == NULL && strcmp (method, "HEAD") == 0)
    *route = node_route (match->node, "GET");
  return *route != NULL ? CH_HTTP_FOUND : CH_HTTP_NO_METHOD;
}

void ch_http_match_clear (ChHttpMatch *match)
{
  g_free (match->buffer);
  memset (match, 0, sizeof *match);
}

static gint by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *ch_http_router_allowed (const ChHttpMatch *match)
{
  g_autoptr (GPtrArray) methods = g_ptr_array_new ();
  gboolean head = FALSE;

  if (match->node != NULL)
    for (ChHttpRoute *route = match->node->routes; route != NULL; route = route->next) {
      g_ptr_array_add (methods, (gpointer) route->table.method);
      head |= g_str_equal (route->table.method, "GET");
    }
  if (head)
    g_ptr_array_add (methods, (gpointer) "HEAD");
  g_ptr_array_add (methods, (gpointer) "OPTIONS");
  g_ptr_array_sort (methods, by_text);
  g_ptr_array_add (methods, NULL);
  return g_strjoinv (", ", (char **) methods->pdata);
}

static void collect (ChHttpNode *node, GPtrArray *routes)
{
  for (ChHttpRoute *route = node->routes; route != NULL; route = route->next)
    g_ptr_array_add (routes, route);
  if (node->children != NULL) {
    GHashTableIter iter;
    gpointer child;
    g_hash_table_iter_init (&iter, node->children);
    while (g_hash_table_iter_next (&iter, NULL, &child))
      collect (child, routes);
  }
  if (node->param != NULL)
    collect (node->param, routes);
}

GPtrArray *ch_http_router_list (ChHttpRouter *router)
{
  GPtrArray *routes = g_ptr_array_new ();
  collect (router->root, routes);
  return routes;
}

guint ch_http_router_size (ChHttpRouter *router)
{
  return router->n_routes;
}

/* ---- life ----------------------------------------------------------------------------
 */

ChHttpRouter *ch_http_router_new (void)
{
  ChHttpRouter *router = g_new0 (ChHttpRouter, 1);
  router->root = g_new0 (ChHttpNode, 1);
  return router;
}

void ch_http_router_free (ChHttpRouter *router)
{
  if (router == NULL)
    return;
  /* Routes belong to their owners; whoever is later finds no node. */
  g_autoptr (GPtrArray) routes = ch_http_router_list (router);
  for (guint i = 0; i < routes->len; i++) {
    ChHttpRoute *route = g_ptr_array_index (routes, i);
    ch_owner_unlink (&route->resource);
    route_detach (route);
    ch_http_route_unref (route);
  }
  node_free (router->root);
  g_free (router);
}
