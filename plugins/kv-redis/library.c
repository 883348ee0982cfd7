/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Function libraries: what ours says of itself, what the server has. Two comment lines
 * of a library's text are read: `-- version N` (a newer one at the server is left alone,
 * so that during an update old and new instances do not fight) and `-- keys: one slot`
 * (it may be loaded into a cluster).
 */
#include "redis.h"

#include <string.h>

#define HEAD_LINES 20

static gint64 version_of (const char *line)
{
  gint64 version = 0;
  g_autofree char *text = g_strstrip (g_strdup (line));
  if (!g_ascii_string_to_signed (text, 10, 0, G_MAXINT64, &version, NULL))
    return 0;
  return version;
}

static gint64 read_head (const char *lua, gboolean *slotted)
{
  g_auto (GStrv) lines = g_strsplit (lua, "\n", HEAD_LINES + 1);
  gint64 version = 0;

  for (guint i = 0; lines[i] != NULL && i < HEAD_LINES; i++) {
    if (g_str_has_prefix (lines[i], "-- version "))
      version = version_of (lines[i] + strlen ("-- version "));
    else if (g_str_has_prefix (lines[i], "-- keys: one slot") && slotted != NULL)
      *slotted = TRUE;
  }
  return version;
}

Library *library_new (const char *lua)
{
  Library *library = g_new0 (Library, 1);
  const char *name = strstr (lua, " name=");
  gsize size = name != NULL ? strcspn (name + 6, " \r\n") : 0;

  library->name = g_strndup (name != NULL ? name + 6 : "", size);
  library->lua = g_strdup (lua);
  library->size = strlen (lua);
  library->version = read_head (lua, &library->slotted);
  return library;
}

void library_free (Library *library)
{
  g_free (library->name);
  g_free (library->lua);
  g_free (library);
}

/* FUNCTION LIST: [[name value name value …]]. */
const ChKvReply *library_code (const ChKvReply *list)
{
  if (list == NULL || list->kind != CH_KV_REPLY_ARRAY || list->n_items != 1)
    return NULL;
  const ChKvReply *fields = list->items[0];
  for (gsize i = 0; i + 1 < fields->n_items; i += 2)
    if (g_strcmp0 (fields->items[i]->text, "library_code") == 0
        && fields->items[i + 1]->kind == CH_KV_REPLY_STRING)
      return fields->items[i + 1];
  return NULL;
}

gboolean library_is_wanted (Redis *redis, const Library *library, const ChKvReply *list)
{
  const ChKvReply *code = library_code (list);

  if (code == NULL)
    return TRUE;
  if (code->size == library->size && memcmp (code->text, library->lua, code->size) == 0)
    return FALSE;
  if (read_head (code->text, NULL) > library->version) {
    ch_notice (redis->self, "the server's library %s is newer and stays", library->name);
    return FALSE;
  }
  return TRUE;
}

gboolean library_has_function (const Library *library, const char *name)
{
  return name[0] != '\0' && strstr (library->lua, name) != NULL;
}
