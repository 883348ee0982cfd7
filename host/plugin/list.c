/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of the configuration: everything is loaded, then started in the order of
 * interfaces. A plugin that fails is said and left behind, unless it is required.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

typedef enum { WHITE = 0, GREY, BLACK } Colour;

typedef struct {
  ChPluginRecord *record;
  Colour colour;
  char *circle; /* names of those who wait for each other, with this one */
} Node;

typedef struct {
  ChPlugins *plugins;
  GPtrArray *nodes; /* of Node, as listed */
  GPtrArray *path;  /* of Node, borrowed: who led here */
  GPtrArray *order; /* of Node, borrowed: providers first */
} Sorter;

static gboolean contains (const char *const *names, const char *name)
{
  for (; names != NULL && *names != NULL; names++)
    if (g_str_equal (*names, name))
      return TRUE;
  return FALSE;
}

/* A member of @required that fails fails the list; the first error is kept. */
static gboolean note (ChPlugins *plugins, const char *name, const char *const *required,
                      GError *problem, GError **error)
{
  if (!contains (required, name)) {
    ch_warning (plugins->host, "%s; going on without it", problem->message);
    g_error_free (problem);
    return TRUE;
  }
  if (error != NULL && *error == NULL)
    g_propagate_prefixed_error (error, problem, "%s is required: ", name);
  else
    g_error_free (problem);
  return FALSE;
}

/* Names of both lists, each once. */
static GPtrArray *join (const char *const *names, const char *const *required)
{
  GPtrArray *all = g_ptr_array_new ();
  const char *const *lists[] = {required, names};

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    for (const char *const *name = lists[i]; name != NULL && *name != NULL; name++)
      if (!g_ptr_array_find_with_equal_func (all, *name, g_str_equal, NULL))
        g_ptr_array_add (all, (gpointer) *name);
  return all;
}

gboolean ch_plugins_load_list (ChPlugins *plugins, const char *const *names,
                               const char *const *required, GError **error)
{
  g_autoptr (GPtrArray) all = join (names, required);
  gboolean ok = TRUE;

  for (guint i = 0; i < all->len; i++) {
    const char *name = g_ptr_array_index (all, i);
    GError *problem = NULL;
    if (!ch_plugins_load (plugins, name, &problem)
        && !note (plugins, name, required, problem, error))
      ok = FALSE;
  }
  return ok;
}

static void visit (Sorter *sorter, Node *node);

static void visit_providers (Sorter *sorter, const Node *node)
{
  const char *const *name
      = node->record->info != NULL ? node->record->info->requires : NULL;

  for (; name != NULL && *name != NULL; name++) {
    if (ch_plugins_has (sorter->plugins, *name))
      continue;
    for (guint i = 0; i < sorter->nodes->len; i++) {
      Node *other = g_ptr_array_index (sorter->nodes, i);
      if (other != node && other->record->info != NULL
          && contains (other->record->info->provides, *name))
        visit (sorter, other);
    }
  }
}

/* The chain of names from @node on the way back to itself. */
static char *describe_circle (Sorter *sorter, guint first)
{
  g_autoptr (GString) chain = g_string_new (NULL);
  const Node *node = g_ptr_array_index (sorter->path, first);

  for (guint i = first; i < sorter->path->len; i++) {
    const Node *other = g_ptr_array_index (sorter->path, i);
    g_string_append_printf (chain, "%s → ", other->record->name);
  }
  g_string_append (chain, node->record->name);
  return g_string_free (g_steal_pointer (&chain), FALSE);
}

static void mark_circle (Sorter *sorter, Node *node)
{
  guint first;

  if (!g_ptr_array_find (sorter->path, node, &first))
    return;
  g_autofree char *chain = describe_circle (sorter, first);
  for (guint i = first; i < sorter->path->len; i++) {
    Node *other = g_ptr_array_index (sorter->path, i);
    if (other->circle == NULL)
      other->circle = g_strdup (chain);
  }
}

static void visit (Sorter *sorter, Node *node)
{
  if (node->colour == GREY)
    mark_circle (sorter, node);
  if (node->colour != WHITE)
    return;
  node->colour = GREY;
  g_ptr_array_add (sorter->path, node);
  visit_providers (sorter, node);
  g_ptr_array_set_size (sorter->path, (gint) sorter->path->len - 1);
  node->colour = BLACK;
  g_ptr_array_add (sorter->order, node);
}

static void free_node (gpointer data)
{
  Node *node = data;
  g_free (node->circle);
  g_free (node);
}

static gboolean start_node (const Node *node, GError **error)
{
  GError *problem = NULL;

  if (ch_plugins_is_up (node->record))
    return TRUE;
  if (node->circle == NULL || !ch_plugins_step (node->record, CH_PLUGIN_EVENT_START, ""))
    return ch_plugins_start_record (node->record, error);
  g_set_error (&problem, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_MISSING_INTERFACE,
               "plugins wait for each other: %s", node->circle);
  ch_plugins_refuse (node->record, CH_PLUGIN_EVENT_FAIL, problem, error);
  return FALSE;
}

static gboolean start_sorted (Sorter *sorter, const char *const *required, GError **error)
{
  gboolean ok = TRUE;

  for (guint i = 0; i < sorter->nodes->len; i++)
    visit (sorter, g_ptr_array_index (sorter->nodes, i));
  for (guint i = 0; i < sorter->order->len; i++) {
    const Node *node = g_ptr_array_index (sorter->order, i);
    GError *problem = NULL;
    if (!start_node (node, &problem)
        && !note (sorter->plugins, node->record->name, required, problem, error))
      ok = FALSE;
  }
  return ok;
}

gboolean ch_plugins_start_list (ChPlugins *plugins, const char *const *names,
                                const char *const *required, GError **error)
{
  g_autoptr (GPtrArray) all = join (names, required);
  g_autoptr (GPtrArray) nodes = g_ptr_array_new_with_free_func (free_node);
  g_autoptr (GPtrArray) path = g_ptr_array_new ();
  g_autoptr (GPtrArray) order = g_ptr_array_new ();
  Sorter sorter = {plugins, nodes, path, order};
  gboolean ok = TRUE;

  plugins->configured = TRUE;
  for (guint i = 0; i < all->len; i++) {
    const char *name = g_ptr_array_index (all, i);
    GError *problem = NULL;
    ChPluginRecord *record = ch_plugins_find (plugins, name, &problem);
    if (record != NULL && ch_plugins_load_record (record, &problem)) {
      Node *node = g_new0 (Node, 1);
      node->record = record;
      g_ptr_array_add (nodes, node);
    } else if (!note (plugins, name, required, problem, error)) {
      ok = FALSE;
    }
  }
  return start_sorted (&sorter, required, error) && ok;
}
