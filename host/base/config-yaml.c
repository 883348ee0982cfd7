/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * YAML to a flat list of paths and texts, by libyaml's events. Only what a
 * configuration needs is taken: one document of mappings, sequences of scalars and
 * scalars, without anchors, aliases and tags; so nothing can grow while it is read.
 */
#include "base/config-tables.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

typedef struct {
  yaml_parser_t yaml;
  const char *file;
  GPtrArray *nodes;
  GHashTable *seen; /* paths of all keys so far */
  guint n_nodes;
  guint depth;
} Parser;

static void node_free (gpointer data)
{
  ChConfigNode *node = data;
  g_free (node->path);
  g_free (node->text);
  g_free (node);
}

static gboolean refuse (Parser *parser, guint line, GError **error, const char *format,
                        ...) G_GNUC_PRINTF (4, 5);

static gboolean refuse (Parser *parser, guint line, GError **error, const char *format,
                        ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_SYNTAX, "%s:%u: %s", parser->file,
               line, text);
  return FALSE;
}

static guint line_of (const yaml_event_t *event)
{
  return (guint) event->start_mark.line + 1;
}

static const void *anchor_of (const yaml_event_t *event)
{
  switch (event->type) {
  case YAML_ALIAS_EVENT:
    return event->data.alias.anchor;
  case YAML_SCALAR_EVENT:
    return event->data.scalar.anchor;
  case YAML_SEQUENCE_START_EVENT:
    return event->data.sequence_start.anchor;
  case YAML_MAPPING_START_EVENT:
    return event->data.mapping_start.anchor;
  default:
    return NULL;
  }
}

static const void *tag_of (const yaml_event_t *event)
{
  switch (event->type) {
  case YAML_SCALAR_EVENT:
    return event->data.scalar.tag;
  case YAML_SEQUENCE_START_EVENT:
    return event->data.sequence_start.tag;
  case YAML_MAPPING_START_EVENT:
    return event->data.mapping_start.tag;
  default:
    return NULL;
  }
}

static gboolean next_event (Parser *parser, yaml_event_t *event, GError **error)
{
  if (!yaml_parser_parse (&parser->yaml, event)) {
    const char *what
        = parser->yaml.problem != NULL ? parser->yaml.problem : "cannot be read";
    guint line = (guint) parser->yaml.problem_mark.line + 1;
    memset (event, 0, sizeof *event);
    return refuse (parser, line, error, "this is not YAML: %s", what);
  }
  if (++parser->n_nodes > CH_CONFIG_MAX_NODES)
    return refuse (parser, line_of (event), error, "the file has more than %d nodes",
                   CH_CONFIG_MAX_NODES);
  if (anchor_of (event) != NULL)
    return refuse (parser, line_of (event), error,
                   "anchors and aliases are not used here");
  if (tag_of (event) != NULL)
    return refuse (parser, line_of (event), error, "tags are not used here");
  return TRUE;
}

static void add_node (Parser *parser, ChConfigNodeKind kind, const char *path,
                      const char *text, guint line)
{
  ChConfigNode *node = g_new0 (ChConfigNode, 1);
  node->kind = kind;
  node->path = g_strdup (path);
  node->text = g_strdup (text);
  node->line = line;
  g_ptr_array_add (parser->nodes, node);
}

/* The text of a scalar; NUL inside it would hide the rest. */
static const char *scalar_text (Parser *parser, const yaml_event_t *event, GError **error)
{
  const char *text = (const char *) event->data.scalar.value;

  if (strlen (text) != event->data.scalar.length) {
    refuse (parser, line_of (event), error, "a value has a NUL in it");
    return NULL;
  }
  if (event->data.scalar.length > CH_CONFIG_MAX_TEXT) {
    refuse (parser, line_of (event), error, "a value is longer than %d bytes",
            CH_CONFIG_MAX_TEXT);
    return NULL;
  }
  return text;
}

static gboolean is_null (const yaml_event_t *event)
{
  const char *text = (const char *) event->data.scalar.value;
  return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
         && (*text == '\0' || g_str_equal (text, "~") || g_str_equal (text, "null"));
}

static gboolean parse_mapping (Parser *parser, const char *path, guint line,
                               GError **error);

static gboolean parse_sequence (Parser *parser, const char *path, guint line,
                                GError **error)
{
  guint n = 0;

  for (;; n++) {
    yaml_event_t event;
    gboolean ok = next_event (parser, &event, error);
    gboolean end = ok && event.type == YAML_SEQUENCE_END_EVENT;
    if (ok && !end && event.type != YAML_SCALAR_EVENT)
      ok = refuse (parser, line_of (&event), error,
                   "'%s' may only list plain values, not mappings or lists", path);
    if (ok && !end) {
      const char *text = scalar_text (parser, &event, error);
      ok = text != NULL;
      if (ok)
        add_node (parser, CH_CONFIG_NODE_ELEMENT, path, text, line_of (&event));
    }
    yaml_event_delete (&event);
    if (!ok)
      return FALSE;
    if (end)
      break;
  }
  if (n == 0)
    add_node (parser, CH_CONFIG_NODE_SEQUENCE, path, NULL, line);
  return TRUE;
}

static gboolean parse_value (Parser *parser, const char *path, GError **error)
{
  yaml_event_t event;
  gboolean ok = next_event (parser, &event, error);
  guint line = ok ? line_of (&event) : 0;

  if (ok && event.type == YAML_SCALAR_EVENT) {
    const char *text = scalar_text (parser, &event, error);
    ok = text != NULL;
    if (ok)
      add_node (parser, is_null (&event) ? CH_CONFIG_NODE_NULL : CH_CONFIG_NODE_SCALAR,
                path, text, line);
  } else if (ok && event.type == YAML_SEQUENCE_START_EVENT) {
    ok = parse_sequence (parser, path, line, error);
  } else if (ok) {
    ok = parse_mapping (parser, path, line, error);
  }
  yaml_event_delete (&event);
  return ok;
}

/* Adds @key to @path and checks both. */
static char *join_key (Parser *parser, const char *path, const yaml_event_t *event,
                       GError **error)
{
  if (event->type != YAML_SCALAR_EVENT) {
    refuse (parser, line_of (event), error,
            "a name is expected, not a mapping or a list");
    return NULL;
  }
  const char *key = scalar_text (parser, event, error);
  if (key == NULL)
    return NULL;
  if (*key == '\0' || strlen (path) + strlen (key) + 1 > CH_CONFIG_MAX_PATH) {
    refuse (parser, line_of (event), error, "a name is empty or too long");
    return NULL;
  }
  for (const char *p = key; *p != '\0'; p++)
    if (g_ascii_iscntrl (*p)) {
      refuse (parser, line_of (event), error, "a name has a control character in it");
      return NULL;
    }
  char *joined = *path == '\0' ? g_strdup (key) : g_strconcat (path, ".", key, NULL);
  if (g_hash_table_contains (parser->seen, joined)) {
    refuse (parser, line_of (event), error, "'%s' occurs twice", joined);
    g_free (joined);
    return NULL;
  }
  g_hash_table_add (parser->seen, g_strdup (joined));
  return joined;
}

static gboolean parse_mapping (Parser *parser, const char *path, guint line,
                               GError **error)
{
  guint n = 0;

  if (++parser->depth > CH_CONFIG_MAX_DEPTH)
    return refuse (parser, line, error, "nested deeper than %d levels",
                   CH_CONFIG_MAX_DEPTH);
  for (;; n++) {
    yaml_event_t event;
    g_autofree char *joined = NULL;
    gboolean ok = next_event (parser, &event, error);
    gboolean end = ok && event.type == YAML_MAPPING_END_EVENT;
    if (ok && !end) {
      joined = join_key (parser, path, &event, error);
      ok = joined != NULL;
    }
    yaml_event_delete (&event);
    if (ok && !end)
      ok = parse_value (parser, joined, error);
    if (!ok)
      return FALSE;
    if (end)
      break;
  }
  parser->depth--;
  if (n == 0 && *path != '\0')
    add_node (parser, CH_CONFIG_NODE_MAPPING, path, NULL, line);
  return TRUE;
}

static gboolean parse_document (Parser *parser, GError **error)
{
  yaml_event_t event;
  guint documents = 0;

  for (;;) {
    gboolean ok = next_event (parser, &event, error);
    yaml_event_type_t type = event.type;
    guint line = ok ? line_of (&event) : 0;
    if (ok && type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
      ok = refuse (parser, line, error, "a second document begins here");
    else if (ok && type == YAML_SCALAR_EVENT && !is_null (&event))
      ok = refuse (parser, line, error,
                   "the file must hold a mapping of names to values");
    else if (ok && type == YAML_SEQUENCE_START_EVENT)
      ok = refuse (parser, line, error, "the file must hold a mapping, not a list");
    yaml_event_delete (&event);
    if (ok && type == YAML_MAPPING_START_EVENT)
      ok = parse_mapping (parser, "", line, error);
    if (!ok || type == YAML_STREAM_END_EVENT)
      return ok;
  }
}

GPtrArray *ch_config_yaml_parse (const char *text, gsize size, const char *file,
                                 GError **error)
{
  Parser parser = {.file = file};
  const char *bad = NULL;

  if (!g_utf8_validate_len (text, size, &bad)) {
    guint line = 1;
    for (const char *p = text; p < bad; p++)
      line += *p == '\n';
    refuse (&parser, line, error, "the file is not UTF-8 text");
    return NULL;
  }
  if (!yaml_parser_initialize (&parser.yaml)) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_FAILED, "%s: no memory", file);
    return NULL;
  }
  yaml_parser_set_encoding (&parser.yaml, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string (&parser.yaml, (const unsigned char *) text, size);
  parser.nodes = g_ptr_array_new_with_free_func (node_free);
  parser.seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean ok = parse_document (&parser, error);
  g_hash_table_unref (parser.seen);
  yaml_parser_delete (&parser.yaml);
  if (!ok)
    g_clear_pointer (&parser.nodes, g_ptr_array_unref);
  return parser.nodes;
}

char *ch_config_read_file (const char *path, gsize max, gsize *size, GError **error)
{
  struct stat info;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

  if (fd < 0 || fstat (fd, &info) != 0) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "%s cannot be read: %s",
                 path, g_strerror (errno));
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  if (!S_ISREG (info.st_mode)) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "%s is not a regular file",
                 path);
    close (fd);
    return NULL;
  }
  g_autofree char *text = g_malloc (max + 2);
  gsize n = 0;
  ssize_t got = 1;
  while (n <= max && got > 0) {
    got = read (fd, text + n, max + 1 - n);
    if (got < 0 && errno == EINTR)
      got = 1;
    else if (got > 0)
      n += (gsize) got;
  }
  int why = errno;
  close (fd);
  if (got < 0 || n > max) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "%s cannot be read: %s",
                 path, got < 0 ? g_strerror (why) : "it is too large");
    return NULL;
  }
  text[n] = '\0';
  *size = n;
  return g_realloc (g_steal_pointer (&text), n + 1);
}
