/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the registry remembers between runs, in one small file of JSON: what the scanner
 * said of which contents, and who crashed when. A file that is missing or broken is an
 * empty memory, never a reason not to start.
 */
#include "plugin/plugins-private.h"
#include <chargehost/log.h>

#include <string.h>

#define FILE_NAME "plugins.json"
#define MAX_FILE (1024 * 1024)
#define MAX_VERDICTS 1024

struct _ChPluginMemory {
  char *path;   /* NULL: nothing is kept */
  json_t *root; /* {verdicts: {path: {size, mtime_ns, reason}}, crashes: {name: …}} */
  json_t *verdicts; /* borrowed from @root */
  json_t *crashes;
};

static json_t *ensure_object (json_t *root, const char *name)
{
  json_t *object = json_object_get (root, name);

  if (!json_is_object (object)) {
    object = json_object ();
    json_object_set_new (root, name, object);
  }
  return object;
}

static json_t *read_file (const char *path)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  if (path == NULL || !g_file_get_contents (path, &text, &size, &error)) {
    if (error != NULL && !g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      ch_warning (NULL, "%s", error->message);
    return json_object ();
  }
  json_t *root = size <= MAX_FILE ? json_loadb (text, size, 0, NULL) : NULL;
  if (json_is_object (root))
    return root;
  json_decref (root);
  ch_warning (NULL, "%s is not understood and begins anew", path);
  return json_object ();
}

ChPluginMemory *ch_plugin_memory_new (const char *state_dir)
{
  ChPluginMemory *memory = g_new0 (ChPluginMemory, 1);

  if (state_dir != NULL)
    memory->path = g_build_filename (state_dir, FILE_NAME, NULL);
  memory->root = read_file (memory->path);
  memory->verdicts = ensure_object (memory->root, "verdicts");
  memory->crashes = ensure_object (memory->root, "crashes");
  return memory;
}

void ch_plugin_memory_free (ChPluginMemory *memory)
{
  if (memory == NULL)
    return;
  json_decref (memory->root);
  g_free (memory->path);
  g_free (memory);
}

static void save (const ChPluginMemory *memory)
{
  g_autoptr (GError) error = NULL;

  if (memory->path == NULL)
    return;
  char *text = json_dumps (memory->root, JSON_INDENT (2) | JSON_SORT_KEYS);
  if (text == NULL
      || !g_file_set_contents_full (memory->path, text, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    ch_warning (NULL, "%s is not written: %s", memory->path,
                error != NULL ? error->message : "no memory");
  free (text);
}

const char *ch_plugin_memory_verdict (ChPluginMemory *memory, const char *path,
                                      const ChPluginFile *file)
{
  const json_t *verdict = json_object_get (memory->verdicts, path);

  if (verdict == NULL
      || json_integer_value (json_object_get (verdict, "size")) != file->size
      || json_integer_value (json_object_get (verdict, "mtime_ns")) != file->mtime_ns)
    return NULL;
  return json_string_value (json_object_get (verdict, "reason"));
}

/* Files that are gone need no memory. */
static void forget_missing (ChPluginMemory *memory)
{
  const char *path;
  void *next;
  json_t *verdict;

  json_object_foreach_safe (memory->verdicts, next, path,
                            verdict) if (!g_file_test (path, G_FILE_TEST_EXISTS))
      json_object_del (memory->verdicts, path);
}

void ch_plugin_memory_set_verdict (ChPluginMemory *memory, const char *path,
                                   const ChPluginFile *file, const char *verdict)
{
  g_autofree char *reason = g_utf8_make_valid (verdict, -1);

  if (json_object_size (memory->verdicts) >= MAX_VERDICTS)
    forget_missing (memory);
  if (json_object_size (memory->verdicts) >= MAX_VERDICTS)
    json_object_clear (memory->verdicts);
  json_object_set_new (memory->verdicts, path,
                       json_pack ("{s:I, s:I, s:s}", "size", (json_int_t) file->size,
                                  "mtime_ns", (json_int_t) file->mtime_ns, "reason",
                                  reason));
  save (memory);
}

/* Times of crashes that still count, oldest first. A clock that went back forgets. */
static void forget_old (json_t *times, gint64 wall_ms)
{
  while (json_array_size (times) > 0) {
    gint64 oldest = json_integer_value (json_array_get (times, 0));
    if (oldest <= wall_ms && wall_ms - oldest <= CH_PLUGIN_CRASH_WINDOW_MS
        && json_array_size (times) <= CH_PLUGIN_CRASHES)
      return;
    json_array_remove (times, 0);
  }
}

gboolean ch_plugin_memory_crashed (ChPluginMemory *memory, const char *name,
                                   gint64 wall_ms)
{
  json_t *entry = ensure_object (memory->crashes, name);
  json_t *times = json_object_get (entry, "times");

  if (!json_is_array (times)) {
    times = json_array ();
    json_object_set_new (entry, "times", times);
  }
  json_array_append_new (times, json_integer (wall_ms));
  forget_old (times, wall_ms);
  if (json_array_size (times) >= CH_PLUGIN_CRASHES)
    json_object_set_new (entry, "quarantined", json_true ());
  save (memory);
  return ch_plugin_memory_is_quarantined (memory, name);
}

gboolean ch_plugin_memory_is_quarantined (ChPluginMemory *memory, const char *name)
{
  return json_is_true (
      json_object_get (json_object_get (memory->crashes, name), "quarantined"));
}

void ch_plugin_memory_clear (ChPluginMemory *memory, const char *name)
{
  if (json_object_del (memory->crashes, name) == 0)
    save (memory);
}
