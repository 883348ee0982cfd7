/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is looked at before a fresh connection is used: version, role, libraries. */
#include "redis.h"

#include <string.h>

#define MAJOR_MIN 7

static void problem (Node *node, const char *format, ...) G_GNUC_PRINTF (2, 3);
static void problem (Node *node, const char *format, ...)
{
  va_list args;

  if (node->problem != NULL)
    return;
  va_start (args, format);
  node->problem = g_strdup_vprintf (format, args);
  va_end (args);
}

static void answered (Node *node)
{
  if (--node->open_questions == 0)
    node_checked (node);
}

/* The text of a line `name:value` of INFO. (transfer full) (nullable) */
static char *info_value (const char *info, const char *name)
{
  gsize n = strlen (name);

  for (const char *at = info; at != NULL; at = strchr (at, '\n')) {
    at += *at == '\n';
    if (strncmp (at, name, n) == 0 && at[n] == ':')
      return g_strndup (at + n + 1, strcspn (at + n + 1, "\r\n"));
  }
  return NULL;
}

static guint64 major_of (const char *version)
{
  guint64 major = 0;
  gsize size = version != NULL ? strcspn (version, ".") : 0;
  g_autofree char *text = g_strndup (version, size);

  if (!g_ascii_string_to_unsigned (text != NULL ? text : "", 10, 0, 1000, &major, NULL))
    return 0;
  return major;
}

static void info_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Node *node = owner;

  if (reply == NULL)
    return;
  if (reply->kind == CH_KV_REPLY_STRING) {
    g_autofree char *version = info_value (reply->text, "redis_version");
    g_autofree char *mode = info_value (reply->text, "redis_mode");
    if (major_of (version) < MAJOR_MIN)
      problem (node, "Redis %s is too old: %d.0 or newer is needed",
               version != NULL ? version : "of unknown version", MAJOR_MIN);
    if (g_strcmp0 (mode, "cluster") == 0 && !node->in_cluster)
      problem (node, "it is a node of a Redis Cluster, and functions of the core touch "
                     "keys of many slots: redis.url needs one primary, the cluster's "
                     "nodes belong into redis.cluster_nodes");
  } else if (reply_is_error (reply, "NOPERM")) {
    ch_warning (node->redis->self, "%s does not tell its version: %s", node->name,
                reply->text);
  } else {
    problem (node, "it does not tell its version");
  }
  answered (node);
}

static void role_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Node *node = owner;

  if (reply == NULL)
    return;
  node->is_replica = FALSE;
  if (reply->kind == CH_KV_REPLY_ARRAY && reply->n_items >= 3
      && g_strcmp0 (reply->items[0]->text, "slave") == 0) {
    node->is_replica = TRUE;
    if (!node->in_cluster) {
      problem (node, "it is a replica");
      endpoint_free (node->detour);
      node->detour
          = reply->items[1]->text != NULL && reply->items[2]->integer > 0
                ? endpoint_new (reply->items[1]->text, (guint16) reply->items[2]->integer)
                : NULL;
    }
  }
  answered (node);
}

static void loaded (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Node *node = owner;
  g_autofree char *name = data;

  if (reply == NULL)
    return;
  if (reply_is_error (reply, "READONLY")) {
    node->is_replica = TRUE; /* its primary has them or gets them */
  } else if (reply->kind == CH_KV_REPLY_ERROR) {
    ch_error (node->redis->self, "%s does not take the library %s: %s", node->name, name,
              reply->text);
    ch_plugin_degraded (node->redis->self, "a function library was refused");
    node->refused = TRUE;
  } else {
    ch_debug (node->redis->self, "library %s loaded into %s", name, node->name);
  }
  if (node->state != NODE_READY)
    answered (node);
}

static void load (Node *node, const Library *library)
{
  const char *argv[] = {"FUNCTION", "LOAD", "REPLACE", library->lua};
  const gsize sizes[] = {8, 4, 7, library->size};

  link_ask_sized (node->link, loaded, g_strdup (library->name), argv, sizes, 4);
}

static void list_came (gpointer owner, const ChKvReply *reply, gpointer data)
{
  Node *node = owner;
  g_autofree char *name = data;

  if (reply == NULL)
    return;
  for (guint i = 0; i < node->redis->libraries->len; i++) {
    const Library *library = g_ptr_array_index (node->redis->libraries, i);
    if (!g_str_equal (library->name, name) || node->problem != NULL || node->is_replica
        || !library_is_wanted (node->redis, library, reply))
      continue;
    node->open_questions++;
    load (node, library);
  }
  answered (node);
}

gboolean node_wants (const Node *node, const Library *library)
{
  if (node->in_cluster)
    return library->slotted;
  return TRUE;
}

void node_check (Node *node)
{
  GPtrArray *libraries = node->redis->libraries;

  g_clear_pointer (&node->problem, g_free);
  node->refused = FALSE;
  node->open_questions = 2;
  link_ask (node->link, info_came, NULL, "INFO", "server", NULL);
  link_ask (node->link, role_came, NULL, "ROLE", NULL);
  for (guint i = 0; i < libraries->len; i++) {
    const Library *library = g_ptr_array_index (libraries, i);
    if (!node_wants (node, library))
      continue;
    node->open_questions++;
    link_ask (node->link, list_came, g_strdup (library->name), "FUNCTION", "LIST",
              "LIBRARYNAME", library->name, "WITHCODE", NULL);
  }
}

void node_load (Node *node, const Library *library)
{
  if (node_wants (node, library) && node->state == NODE_READY && !node->is_replica)
    load (node, library);
}
