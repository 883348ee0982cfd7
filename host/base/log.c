/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The logger: levels and where lines go. It is the one part of the host with state of
 * its own, because a line may come from any thread and before anything else exists: all
 * of it is in one struct behind one mutex.
 */
#include "base/log-writer.h"
#include "base/owner.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* How long a reader of stderr that stands still may hold us up, once. */
#define STALL_MS 20

int ch_log_level_max = CH_LOG_WARNING;

static struct {
  pthread_mutex_t lock;
  char *name;         /* (nullable): of the program */
  gboolean installed; /* GLib's writer: can be set once in a process */
  ChLogFormat format; /* never AUTO after setup */
  gboolean colour;
  ChLogLevel level;
  GHashTable *modules; /* name → level + 1; NULL when there is none */
  ChLogFile *file;
  gboolean stalled;
  guint64 lost;
  guint64 lost_told;
  void (*sink) (ChLogLevel level, const char *line, gpointer data);
  gpointer sink_data;
} logger = {
    .lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
    .format = CH_LOG_FORMAT_HUMAN,
    .level = CH_LOG_WARNING,
};

static const char *const LEVEL_NAMES[]
    = {"error", "warning", "notice", "info", "debug", "trace"};

/* ---- levels ------------------------------------------------------------------------ */

static void update_max (void)
{
  int max = (int) logger.level;

  if (logger.modules != NULL) {
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init (&iter, logger.modules);
    while (g_hash_table_iter_next (&iter, NULL, &value))
      max = MAX (max, GPOINTER_TO_INT (value) - 1);
  }
  __atomic_store_n (&ch_log_level_max, max, __ATOMIC_RELAXED);
}

static gboolean is_heard (const char *module, ChLogLevel level)
{
  gpointer value = NULL;

  if (logger.modules != NULL && module != NULL)
    value = g_hash_table_lookup (logger.modules, module);
  if (value != NULL)
    return (int) level <= GPOINTER_TO_INT (value) - 1;
  return level <= logger.level;
}

void ch_log_set_level (ChLogLevel level)
{
  pthread_mutex_lock (&logger.lock);
  logger.level = MIN (level, CH_LOG_TRACE);
  update_max ();
  pthread_mutex_unlock (&logger.lock);
}

ChLogLevel ch_log_get_level (void)
{
  pthread_mutex_lock (&logger.lock);
  ChLogLevel level = logger.level;
  pthread_mutex_unlock (&logger.lock);
  return level;
}

void ch_log_set_module_level (const char *module, int level)
{
  pthread_mutex_lock (&logger.lock);
  if (level < 0 || level > (int) CH_LOG_TRACE) {
    if (logger.modules != NULL)
      g_hash_table_remove (logger.modules, module);
  } else {
    if (logger.modules == NULL)
      logger.modules = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert (logger.modules, g_strdup (module), GINT_TO_POINTER (level + 1));
  }
  update_max ();
  pthread_mutex_unlock (&logger.lock);
}

void ch_log_clear_module_levels (void)
{
  pthread_mutex_lock (&logger.lock);
  g_clear_pointer (&logger.modules, g_hash_table_unref);
  update_max ();
  pthread_mutex_unlock (&logger.lock);
}

gboolean ch_log_level_parse (const char *text, ChLogLevel *level)
{
  for (guint i = 0; text != NULL && i < G_N_ELEMENTS (LEVEL_NAMES); i++)
    if (g_ascii_strcasecmp (text, LEVEL_NAMES[i]) == 0) {
      *level = (ChLogLevel) i;
      return TRUE;
    }
  if (text != NULL && g_ascii_strcasecmp (text, "warn") == 0) {
    *level = CH_LOG_WARNING;
    return TRUE;
  }
  return FALSE;
}

const char *ch_log_level_name (ChLogLevel level)
{
  return (guint) level < G_N_ELEMENTS (LEVEL_NAMES) ? LEVEL_NAMES[level] : "trace";
}

gboolean ch_log_format_parse (const char *text, ChLogFormat *format)
{
  static const char *const names[] = {"auto", "human", "json", "journal"};
  for (guint i = 0; text != NULL && i < G_N_ELEMENTS (names); i++)
    if (g_ascii_strcasecmp (text, names[i]) == 0) {
      *format = (ChLogFormat) i;
      return TRUE;
    }
  return FALSE;
}

/* ---- where lines go ---------------------------------------------------------------- */

/* A reader that stands still must not make the daemon stand still. */
static gboolean may_write (int fd)
{
  struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
  int n = poll (&poll_fd, 1, logger.stalled ? 0 : STALL_MS);
  logger.stalled = n == 0;
  return n > 0;
}

static gboolean write_stderr (const char *text, gsize size)
{
  while (size > 0) {
    if (!may_write (STDERR_FILENO))
      return FALSE;
    /* Not more than a pipe is sure to take at once. */
    ssize_t n = write (STDERR_FILENO, text, MIN (size, 4096));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    text += n;
    size -= (gsize) n;
  }
  return TRUE;
}

static void format_line (const ChLogRecord *record, ChLogLine *line)
{
  if (logger.format == CH_LOG_FORMAT_JSON)
    ch_log_format_json (record, line);
  else if (logger.format == CH_LOG_FORMAT_JOURNAL && logger.sink != NULL)
    ch_log_format_journal (record, line);
  else
    ch_log_format_human (record, logger.colour && logger.file == NULL, line);
}

static void emit (const ChLogRecord *record)
{
  ChLogLine line;

  if (logger.sink == NULL && logger.file == NULL && logger.format == CH_LOG_FORMAT_JOURNAL
      && ch_log_write_journal (record))
    return;
  format_line (record, &line);
  if (logger.sink != NULL) {
    logger.sink (record->level, line.text, logger.sink_data);
    return;
  }
  line.text[line.len++] = '\n';
  if (logger.file != NULL && ch_log_file_write (logger.file, line.text, line.len))
    return;
  if (!write_stderr (line.text, line.len))
    logger.lost++;
}

static void tell_lost (const ChLogRecord *record)
{
  char text[96];
  ChLogRecord note = {.level = CH_LOG_WARNING,
                      .wall_us = record->wall_us,
                      .message = text,
                      .app = record->app};
  guint64 lost = logger.lost;

  if (lost == logger.lost_told)
    return;
  g_snprintf (text, sizeof text, "%" G_GUINT64_FORMAT " lines of the log were lost",
              lost - logger.lost_told);
  emit (&note);
  if (logger.lost == lost)
    logger.lost_told = lost;
  else
    logger.lost = lost; /* the note itself does not count */
}

static void submit (ChLogRecord *record)
{
  /* A line that comes out of the writing of another one would never end. */
  if (pthread_mutex_lock (&logger.lock) == EDEADLK)
    return;
  record->app = logger.name != NULL ? logger.name : "chargehost";
  if (is_heard (record->module, record->level)) {
    if (!logger.stalled)
      tell_lost (record);
    emit (record);
  }
  pthread_mutex_unlock (&logger.lock);
}

void ch_log_full (ChPlugin *self, ChLogLevel level, const char *file, int line,
                  const char *const *fields, const char *format, ...)
{
  char message[CH_LOG_MAX_MESSAGE + 64];
  int saved_errno = errno;
  va_list args;

  va_start (args, format);
  g_vsnprintf (message, sizeof message, format, args);
  va_end (args);
  ChLogRecord record = {
      .level = MIN (level, CH_LOG_TRACE),
      .wall_us = g_get_real_time (),
      .module = self != NULL ? self->name : NULL,
      .is_plugin = self != NULL && !self->is_host,
      .file = file,
      .line = line,
      .fields = fields,
      .message = message,
  };
  submit (&record);
  errno = saved_errno;
}

/* ---- what libraries log ------------------------------------------------------------ */

static ChLogLevel from_glib (GLogLevelFlags flags)
{
  if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
    return CH_LOG_ERROR;
  if (flags & G_LOG_LEVEL_WARNING)
    return CH_LOG_WARNING;
  if (flags & G_LOG_LEVEL_MESSAGE)
    return CH_LOG_NOTICE;
  return flags & G_LOG_LEVEL_INFO ? CH_LOG_INFO : CH_LOG_DEBUG;
}

/* Fields of GLib are strings when their length is −1. */
static void read_glib_field (const GLogField *field, ChLogRecord *record,
                             char message[CH_LOG_MAX_MESSAGE])
{
  const char *text = field->value;

  if (text == NULL)
    return;
  if (g_str_equal (field->key, "MESSAGE")) {
    gsize size = field->length < 0 ? strlen (text) : (gsize) field->length;
    size = MIN (size, CH_LOG_MAX_MESSAGE - 1);
    memcpy (message, text, size);
    message[size] = '\0';
  } else if (field->length >= 0) {
    return;
  } else if (g_str_equal (field->key, "GLIB_DOMAIN")) {
    record->module = text;
  } else if (g_str_equal (field->key, "CODE_FILE")) {
    record->file = text;
  } else if (g_str_equal (field->key, "CODE_LINE")) {
    record->line = (int) g_ascii_strtoll (text, NULL, 10);
  }
}

/* GLib tells the mask only while it is being set. */
static GLogLevelFlags fatal_levels (void)
{
  if (pthread_mutex_lock (&logger.lock) == EDEADLK)
    return 0;
  GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_log_set_always_fatal (fatal);
  pthread_mutex_unlock (&logger.lock);
  return fatal;
}

static GLogWriterOutput from_library (GLogLevelFlags flags, const GLogField *fields,
                                      gsize n_fields, gpointer user_data)
{
  char message[CH_LOG_MAX_MESSAGE] = "";
  ChLogRecord record
      = {.level = from_glib (flags), .wall_us = g_get_real_time (), .message = message};
  gboolean old_api = FALSE;

  for (gsize i = 0; i < n_fields; i++) {
    read_glib_field (&fields[i], &record, message);
    old_api = old_api || g_str_equal (fields[i].key, "GLIB_OLD_LOG_API");
  }
  /* Details of libraries only when G_MESSAGES_DEBUG asks for them. */
  if (record.level >= CH_LOG_INFO
      && g_log_writer_default_would_drop (flags, record.module))
    return G_LOG_WRITER_HANDLED;
  submit (&record);

  /* What GLib's own writer would do: G_DEBUG=fatal-criticals and g_test_init(). */
  if (!old_api && record.level <= CH_LOG_WARNING && (flags & fatal_levels ()) != 0)
    g_abort ();
  return G_LOG_WRITER_HANDLED;
}

/* ---- setting up -------------------------------------------------------------------- */

static ChLogFormat choose (void)
{
  if (g_log_writer_is_journald (STDERR_FILENO))
    return CH_LOG_FORMAT_JOURNAL;
  return isatty (STDERR_FILENO) ? CH_LOG_FORMAT_HUMAN : CH_LOG_FORMAT_JSON;
}

void ch_log_setup (ChLogFormat format, ChLogLevel level)
{
  pthread_mutex_lock (&logger.lock);
  gboolean install = !logger.installed;
  logger.installed = TRUE;
  logger.format = format == CH_LOG_FORMAT_AUTO ? choose () : format;
  logger.colour = isatty (STDERR_FILENO) && g_getenv ("NO_COLOR") == NULL;
  logger.level = MIN (level, CH_LOG_TRACE);
  update_max ();
  pthread_mutex_unlock (&logger.lock);
  if (install)
    g_log_set_writer_func (from_library, NULL, NULL);
}

gboolean ch_log_set_file (const ChLogFileOptions *options, GError **error)
{
  ChLogFile *file = NULL;

  if (options != NULL && (file = ch_log_file_open (options, error)) == NULL)
    return FALSE;
  pthread_mutex_lock (&logger.lock);
  ChLogFile *old = logger.file;
  logger.file = file;
  pthread_mutex_unlock (&logger.lock);
  if (old != NULL)
    ch_log_file_close (old);
  return TRUE;
}

void ch_log_set_name (const char *name)
{
  pthread_mutex_lock (&logger.lock);
  g_free (logger.name);
  logger.name = name != NULL && *name != '\0' ? g_strdup (name) : NULL;
  pthread_mutex_unlock (&logger.lock);
}

void ch_log_set_sink (void (*func) (ChLogLevel level, const char *line, gpointer data),
                      gpointer data)
{
  pthread_mutex_lock (&logger.lock);
  logger.sink = func;
  logger.sink_data = data;
  pthread_mutex_unlock (&logger.lock);
}

guint64 ch_log_lost (void)
{
  pthread_mutex_lock (&logger.lock);
  guint64 lost = logger.lost;
  pthread_mutex_unlock (&logger.lock);
  return lost;
}

void ch_log_shutdown (void)
{
  ch_log_set_file (NULL, NULL);
  ch_log_set_name (NULL);
  ch_log_clear_module_levels ();
}

const char *ch_log_mask (const char *text, char masked[16])
{
  gsize n = text != NULL ? strlen (text) : 0;

  if (n <= 8)
    g_strlcpy (masked, "****", 16);
  else
    g_snprintf (masked, 16, "%.4s****%s", text, text + n - 4);
  return masked;
}
