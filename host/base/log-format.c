/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records as text. Everything that comes from outside is escaped, so that nobody can
 * forge a line or steer a terminal, and cut, so that nobody can fill a disk with one.
 */
#include "base/log-writer.h"

#include <string.h>
#include <time.h>

#define TRUNCATED "\xe2\x80\xa6" /* an ellipsis */

typedef enum { PLAIN, QUOTED } Escaping;

static gsize room (const ChLogLine *line)
{
  return CH_LOG_MAX_LINE - 1 - line->len; /* one byte for the newline */
}

static void put (ChLogLine *line, const char *text, gsize size)
{
  size = MIN (size, room (line));
  memcpy (line->text + line->len, text, size);
  line->len += size;
  line->text[line->len] = '\0';
}

static void puts_line (ChLogLine *line, const char *text)
{
  put (line, text, strlen (text));
}

static void G_GNUC_PRINTF (2, 3) printf_line (ChLogLine *line, const char *format, ...)
{
  char text[256];
  va_list args;
  va_start (args, format);
  g_vsnprintf (text, sizeof text, format, args);
  va_end (args);
  puts_line (line, text);
}

/* Controls, line and paragraph separators, and what turns the direction of text. */
static gboolean is_harmful (gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029
         || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One character of @p as it is to be written; returns how many bytes it took. */
static gsize escape_one (const char *p, Escaping escaping, char out[16])
{
  gunichar c = g_utf8_get_char_validated (p, -1);

  if (c == (gunichar) -1 || c == (gunichar) -2) {
    if (escaping == QUOTED)
      g_strlcpy (out, "\\ufffd", 16);
    else
      g_snprintf (out, 16, "\\x%02x", (guint) (guint8) *p);
    return 1;
  }
  gsize size = (gsize) (g_utf8_next_char (p) - p);
  if (c == '\n' || c == '\r' || c == '\t')
    g_snprintf (out, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
  else if (escaping == QUOTED && (c == '"' || c == '\\'))
    g_snprintf (out, 16, "\\%c", (char) c);
  else if (is_harmful (c))
    g_snprintf (out, 16, "\\u%04x", c);
  else {
    memcpy (out, p, size);
    out[size] = '\0';
  }
  return size;
}

/* At most @max bytes come out, "…" among them when something was cut. */
static void put_escaped (ChLogLine *line, const char *text, Escaping escaping, gsize max)
{
  gsize used = 0;
  char out[16];

  max = MIN (max, room (line));
  for (const char *p = text; *p != '\0';) {
    gsize taken = escape_one (p, escaping, out), n = strlen (out);
    gsize reserve = p[taken] != '\0' ? sizeof TRUNCATED - 1 : 0;
    if (used + n + reserve > max) {
      if (used + sizeof TRUNCATED - 1 <= max)
        puts_line (line, TRUNCATED);
      return;
    }
    put (line, out, n);
    used += n;
    p += taken;
  }
}

/* Where in the source: the last folder and the file. */
static const char *short_file (const char *file)
{
  const char *last = strrchr (file, '/');
  if (last == NULL)
    return file;
  while (last > file && last[-1] != '/')
    last--;
  return last;
}

/* `device` is `phy_id` outside. */
static const char *outside_name (const char *name)
{
  return g_str_equal (name, "device") ? "phy_id" : name;
}

static gboolean next_field (const ChLogRecord *record, guint *i, const char **name,
                            const char **value)
{
  if (record->fields == NULL || *i >= CH_LOG_MAX_FIELDS)
    return FALSE;
  *name = record->fields[2 * *i];
  if (*name == NULL)
    return FALSE;
  *value = record->fields[2 * *i + 1];
  if (*value == NULL)
    return FALSE; /* a name without a value ends the list */
  (*i)++;
  return TRUE;
}

/* ---- human ------------------------------------------------------------------------- */

static gboolean needs_quotes (const char *value)
{
  if (*value == '\0')
    return TRUE;
  for (const char *p = value; *p != '\0'; p++)
    if (*p == ' ' || *p == '"' || *p == '=' || *p == '\\')
      return TRUE;
  return FALSE;
}

void ch_log_format_human (const ChLogRecord *record, gboolean colour, ChLogLine *line)
{
  static const char *const names[]
      = {"ERROR", "WARN ", "NOTE ", "INFO ", "DEBUG", "TRACE"};
  static const char *const colours[] = {"31;1", "33;1", "36;1", "32", "2", "2"};
  time_t seconds = (time_t) (record->wall_us / G_USEC_PER_SEC);
  struct tm tm;
  char stamp[32] = "";
  const char *name, *value;
  guint i = 0;

  line->len = 0;
  if (localtime_r (&seconds, &tm) != NULL)
    strftime (stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
  printf_line (line, "%s.%03d ", stamp, (int) (record->wall_us / 1000 % 1000));
  if (colour)
    printf_line (line, "\033[%sm%s\033[0m ", colours[record->level],
                 names[record->level]);
  else
    printf_line (line, "%s ", names[record->level]);
  if (record->module != NULL) {
    put_escaped (line, record->module, PLAIN, 64);
    puts_line (line, ": ");
  }
  put_escaped (line, record->message, PLAIN, CH_LOG_MAX_MESSAGE);
  while (next_field (record, &i, &name, &value)) {
    gboolean quoted = needs_quotes (value);
    puts_line (line, colour ? " \033[2m" : " ");
    put_escaped (line, name, PLAIN, 32);
    puts_line (line, quoted ? "=\"" : "=");
    put_escaped (line, value, quoted ? QUOTED : PLAIN, CH_LOG_MAX_VALUE);
    if (quoted)
      puts_line (line, "\"");
    if (colour)
      puts_line (line, "\033[0m");
    if (room (line) < CH_LOG_MAX_VALUE + 64)
      break;
  }
}

/* ---- JSON -------------------------------------------------------------------------- */

static void put_json (ChLogLine *line, const char *name, const char *value, gsize max)
{
  puts_line (line, ",\"");
  put_escaped (line, name, QUOTED, 64);
  puts_line (line, "\":\"");
  put_escaped (line, value, QUOTED, max);
  puts_line (line, "\"");
}

/* Each name stands once in an object: the first of them. */
static gboolean came_before (const ChLogRecord *record, guint i, const char *name)
{
  for (guint j = 0; j < i; j++)
    if (g_str_equal (outside_name (record->fields[2 * j]), outside_name (name)))
      return TRUE;
  return FALSE;
}

static gboolean is_reserved (const char *name)
{
  static const char *const reserved[]
      = {"ts", "level", "logger", "caller", "plugin", "msg", "truncated", NULL};
  return g_strv_contains (reserved, name);
}

void ch_log_format_json (const ChLogRecord *record, ChLogLine *line)
{
  time_t seconds = (time_t) (record->wall_us / G_USEC_PER_SEC);
  struct tm tm;
  char stamp[32] = "1970-01-01T00:00:00";
  const char *name, *value;
  guint i = 0;

  line->len = 0;
  if (gmtime_r (&seconds, &tm) != NULL)
    strftime (stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
  printf_line (line, "{\"ts\":\"%s.%03dZ\",\"level\":\"%s\"", stamp,
               (int) (record->wall_us / 1000 % 1000), ch_log_level_name (record->level));
  put_json (line, "logger", record->module != NULL ? record->module : record->app, 64);
  if (record->file != NULL) {
    char caller[96];
    g_snprintf (caller, sizeof caller, "%s:%d", short_file (record->file), record->line);
    put_json (line, "caller", caller, sizeof caller);
  }
  if (record->is_plugin)
    put_json (line, "plugin", record->module, 64);
  put_json (line, "msg", record->message, CH_LOG_MAX_MESSAGE);
  while (next_field (record, &i, &name, &value)) {
    if (is_reserved (name) || came_before (record, i - 1, name))
      continue;
    if (room (line) < CH_LOG_MAX_VALUE + 128) {
      puts_line (line, ",\"truncated\":true");
      break;
    }
    put_json (line, outside_name (name), value, CH_LOG_MAX_VALUE);
  }
  puts_line (line, "}");
}

/* ---- the journal ------------------------------------------------------------------- */

#define JOURNAL_MAX (CH_LOG_MAX_FIELDS + 8)

typedef struct {
  GLogField fields[JOURNAL_MAX];
  char names[CH_LOG_MAX_FIELDS][48];
  char line_no[16];
  gsize n;
} Journal;

static void add (Journal *journal, const char *key, const char *value)
{
  GLogField *field = &journal->fields[journal->n++];
  field->key = key;
  field->value = value;
  field->length = (gssize) MIN (strlen (value), CH_LOG_MAX_MESSAGE);
}

/* Fields of the journal are upper case: ours get a prefix of their own. */
static void journal_name (const char *name, char text[48])
{
  gsize n = g_strlcpy (text, "CHARGEHOST_", 48);
  for (const char *p = name; *p != '\0' && n < 47; p++)
    text[n++] = g_ascii_isalnum (*p) ? g_ascii_toupper (*p) : '_';
  text[n] = '\0';
}

static void fill_journal (const ChLogRecord *record, const char *message,
                          Journal *journal)
{
  static const char *const priorities[] = {"3", "4", "5", "6", "7", "7"};
  const char *name, *value;
  guint i = 0;

  journal->n = 0;
  add (journal, "MESSAGE", message);
  add (journal, "PRIORITY", priorities[record->level]);
  add (journal, "SYSLOG_IDENTIFIER", record->app);
  if (record->file != NULL) {
    g_snprintf (journal->line_no, sizeof journal->line_no, "%d", record->line);
    add (journal, "CODE_FILE", short_file (record->file));
    add (journal, "CODE_LINE", journal->line_no);
  }
  if (record->module != NULL)
    add (journal, record->is_plugin ? "CHARGEHOST_PLUGIN" : "CHARGEHOST_PART",
         record->module);
  while (next_field (record, &i, &name, &value)) {
    journal_name (outside_name (name), journal->names[i - 1]);
    add (journal, journal->names[i - 1], value);
  }
}

static void journal_message (const ChLogRecord *record, ChLogLine *line)
{
  line->len = 0;
  line->text[0] = '\0';
  if (record->module != NULL) {
    put_escaped (line, record->module, PLAIN, 64);
    puts_line (line, ": ");
  }
  put_escaped (line, record->message, PLAIN, CH_LOG_MAX_MESSAGE - 80);
}

gboolean ch_log_write_journal (const ChLogRecord *record)
{
  ChLogLine message;
  Journal journal;

  journal_message (record, &message);
  fill_journal (record, message.text, &journal);
  return g_log_writer_journald (G_LOG_LEVEL_MESSAGE, journal.fields, journal.n, NULL)
         == G_LOG_WRITER_HANDLED;
}

void ch_log_format_journal (const ChLogRecord *record, ChLogLine *line)
{
  ChLogLine message;
  Journal journal;

  journal_message (record, &message);
  fill_journal (record, message.text, &journal);
  line->len = 0;
  for (gsize i = 0; i < journal.n; i++) {
    printf_line (line, "%s%s=", i > 0 ? "\n" : "", journal.fields[i].key);
    put_escaped (line, journal.fields[i].value, PLAIN, CH_LOG_MAX_MESSAGE);
  }
}
