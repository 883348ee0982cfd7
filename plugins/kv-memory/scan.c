/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SCAN, and what HSCAN, SSCAN and ZSCAN share with it. */
#include "glob.h"
#include "memory.h"

#include <string.h>

#define DEFAULT_COUNT 10
#define VISITS_PER_COUNT 10 /* empty buckets must not make a call long */

typedef struct {
  MemBytes pattern;
  gboolean has_pattern;
  gint64 count;
  MemBytes type; /* SCAN only */
} Options;

typedef struct {
  Mem *mem;
  MemOut items;
  const Options *options;
  MemEmit emit;
  gsize n_visited;
  gsize n_items;
} Walk;

static gboolean read_cursor (MemCall *call, gsize index, guint64 *cursor)
{
  g_autofree char *text = g_strndup (call->argv[index].p, call->argv[index].n);
  char *end;

  *cursor = g_ascii_strtoull (text, &end, 10);
  if (*text != '\0' && !g_ascii_isspace (*text) && end == text + call->argv[index].n)
    return TRUE;
  mem_out_error (call->out, "ERR invalid cursor");
  return FALSE;
}

static gboolean read_options (MemCall *call, gsize at, gboolean with_type,
                              Options *options)
{
  *options = (Options) {.count = DEFAULT_COUNT};
  for (; at < call->argc; at += 2) {
    gboolean has_value = at + 1 < call->argc;
    if (has_value && mem_arg_is (call->argv[at], "COUNT")) {
      if (!mem_arg_int (call, at + 1, &options->count))
        return FALSE;
      if (options->count < 1) {
        mem_syntax_error (call);
        return FALSE;
      }
    } else if (has_value && mem_arg_is (call->argv[at], "MATCH")) {
      options->pattern = call->argv[at + 1];
      options->has_pattern = options->pattern.n != 1 || options->pattern.p[0] != '*';
    } else if (has_value && with_type && mem_arg_is (call->argv[at], "TYPE")) {
      options->type = call->argv[at + 1];
    } else {
      mem_syntax_error (call);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean matches (Walk *walk, MemBytes key)
{
  walk->n_visited++;
  return !walk->options->has_pattern || mem_glob_match (walk->options->pattern, key);
}

static void visit_element (gpointer user_data, MemNode *node)
{
  Walk *walk = user_data;

  if (matches (walk, mem_node_key (node)))
    walk->n_items += walk->emit (&walk->items, node);
}

static void visit_key (gpointer user_data, MemNode *node)
{
  static const char *const names[] = {"STRING", "LIST", "SET", "ZSET", "HASH"};
  Walk *walk = user_data;
  MemEntry *entry = (MemEntry *) node;
  MemBytes key = mem_node_key (node);

  if (!matches (walk, key)
      || (entry->expire_ms != 0 && entry->expire_ms <= walk->mem->now_ms)
      || (walk->options->type.p != NULL
          && !mem_arg_is (walk->options->type, names[entry->type])))
    return;
  mem_out_bytes (&walk->items, key.p, key.n);
  walk->n_items++;
}

/* The cursor stands before the list, but is known after it: the list waits aside. */
static void run (MemCall *call, const MemDict *dict, guint64 cursor, MemVisit visit,
                 Walk *walk)
{
  gint64 count = walk->options->count;
  gint64 visits = MIN (count, G_MAXINT64 / VISITS_PER_COUNT) * VISITS_PER_COUNT;

  do {
    cursor = mem_dict_scan (dict, cursor, visit, walk);
  } while (cursor != 0 && --visits > 0 && walk->n_visited < (guint64) count);

  g_autofree char *next = g_strdup_printf ("%" G_GUINT64_FORMAT, cursor);
  mem_out_array (call->out, 2);
  mem_out_text (call->out, next);
  mem_out_array (call->out, walk->n_items);
  mem_out_append (call->out, &walk->items);
  g_free (walk->items.bytes);
}

void mem_scan_dict (Mem *mem, MemCall *call, const MemDict *dict, gsize options_at,
                    MemEmit emit)
{
  Options options;
  Walk walk = {.mem = mem, .options = &options, .emit = emit};
  guint64 cursor;

  if (!read_cursor (call, options_at - 1, &cursor)
      || !read_options (call, options_at, FALSE, &options))
    return;
  if (dict != NULL) {
    run (call, dict, cursor, visit_element, &walk);
    return;
  }
  mem_out_array (call->out, 2);
  mem_out_text (call->out, "0");
  mem_out_array (call->out, 0);
}

static void scan (Mem *mem, MemCall *call)
{
  Options options;
  Walk walk = {.mem = mem, .options = &options};
  guint64 cursor;

  if (read_cursor (call, 1, &cursor) && read_options (call, 2, TRUE, &options))
    run (call, &mem->keys, cursor, visit_key, &walk);
}

const MemCommand mem_scan_commands[] = {{"scan", -2, MEM_READ, scan}, {NULL}};
