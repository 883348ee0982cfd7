/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SDK functions that the plugin calls, over lists and a clock of the test. */
#include "fake-private.h"
#include <stdarg.h>
#include <string.h>

int ch_log_level_max = CH_LOG_TRACE;

static json_t *vectors;

/* ---- lines ------------------------------------------------------------------------- */

void fake_add_line (Fake *fake, char *line)
{
  g_queue_push_tail (&fake->lines, line);
}

void fake_add (Fake *fake, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  fake_add_line (fake, g_strdup_vprintf (format, args));
  va_end (args);
}

static void expect (Fake *fake, const char *line)
{
  g_autofree char *got = g_queue_pop_head (&fake->lines);

  if (g_strcmp0 (got, line) != 0)
    g_error ("\n got: %s\nwant: %s", got != NULL ? got : "(nothing)", line);
}

void fake_expect (Fake *fake, const char *line)
{
  expect (fake, line);
}

void fake_expectf (Fake *fake, const char *format, ...)
{
  g_autofree char *line = NULL;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  expect (fake, line);
}

void fake_expect_part (Fake *fake, const char *part)
{
  g_autofree char *got = g_queue_pop_head (&fake->lines);

  if (got == NULL || strstr (got, part) == NULL)
    g_error ("\n got: %s\nwant: … %s …", got != NULL ? got : "(nothing)", part);
}

void fake_expect_none (Fake *fake)
{
  const char *got = g_queue_peek_head (&fake->lines);

  if (got != NULL)
    g_error ("\n got: %s\nwant: (nothing)", got);
}

void fake_skip (Fake *fake, const char *prefix)
{
  for (GList *link = fake->lines.head, *next; link != NULL; link = next) {
    next = link->next;
    if (prefix == NULL || g_str_has_prefix (link->data, prefix)) {
      g_free (link->data);
      g_queue_delete_link (&fake->lines, link);
    }
  }
}

guint fake_lines (Fake *fake, const char *prefix)
{
  guint n = 0;

  for (GList *link = fake->lines.head; link != NULL; link = link->next)
    n += g_str_has_prefix (link->data, prefix) ? 1 : 0;
  return n;
}

/* ---- life -------------------------------------------------------------------------- */

static Fake *make (const ChPluginInfo *info, const char *const *config)
{
  Fake *fake = g_new0 (Fake, 1);

  fake->info = info;
  fake->self.fake = fake;
  fake->config = config;
  fake->now_ms = 1000000;
  fake->wall_ms = G_GINT64_CONSTANT (1763820216000); /* 2025-11-22 22:03:36 at UTC+8 */
  g_queue_init (&fake->lines);
  g_queue_init (&fake->stores);
  fake->conns = g_ptr_array_new_with_free_func (fake_conn_free);
  fake->timers = g_ptr_array_new_with_free_func (g_free);
  fake->series = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  fake->orders = g_hash_table_new_full (g_direct_hash, g_direct_equal, NULL, g_free);
  fake->commands
      = g_hash_table_new_full (g_direct_hash, g_direct_equal, NULL, fake_command_free);
  fake->sockets = json_array ();
  return fake;
}

static void release (Fake *fake)
{
  fake_skip (fake, NULL);
  g_queue_clear_full (&fake->stores, g_free);
  g_ptr_array_unref (fake->conns);
  g_ptr_array_unref (fake->timers);
  g_hash_table_unref (fake->series);
  g_hash_table_unref (fake->orders);
  g_hash_table_unref (fake->commands);
  json_decref (fake->sockets);
  json_decref (fake->ports);
  for (guint i = 0; i < 2; i++)
    g_free (fake->log_row[i]);
  g_slist_free_full (fake->parsed, (GDestroyNotify) g_strfreev);
  g_slist_free_full (fake->metrics, g_free);
  g_free (fake);
}

Fake *fake_new (const ChPluginInfo *info, const char *const *config)
{
  Fake *fake = make (info, config);
  g_autoptr (GError) error = NULL;

  if (!info->start (&fake->self, &error))
    g_error ("start: %s", error->message);
  return fake;
}

char *fake_start_error (const ChPluginInfo *info, const char *const *config)
{
  Fake *fake = make (info, config);
  g_autoptr (GError) error = NULL;
  char *message;

  g_assert_false (info->start (&fake->self, &error));
  g_assert_nonnull (error);
  message = g_strdup (error->message);
  release (fake);
  return message;
}

void fake_stop (Fake *fake)
{
  if (!fake->stopped)
    fake->info->stop (&fake->self);
  fake->stopped = TRUE;
  g_assert_null (fake->self.data);
}

void fake_free (Fake *fake)
{
  for (guint i = 0; i < fake->conns->len; i++)
    fake_close (fake, i + 1, CH_CLOSE_SHUTDOWN);
  fake_stop (fake);
  release (fake);
  g_clear_pointer (&vectors, json_decref);
}

/* ---- connections ------------------------------------------------------------------- */

static FakeConn *find_conn (Fake *fake, ChConn conn)
{
  return conn >= 1 && conn <= fake->conns->len
             ? g_ptr_array_index (fake->conns, (guint) conn - 1)
             : NULL;
}

void fake_conn_free (gpointer data)
{
  FakeConn *conn = data;

  g_byte_array_unref (conn->buffer);
  g_free (conn);
}

ChConn fake_open (Fake *fake)
{
  static const ChPeer peer = {"127.0.0.1:50000", "127.0.0.1:7000", FALSE};
  FakeConn *conn = g_new0 (FakeConn, 1);

  conn->buffer = g_byte_array_new ();
  g_ptr_array_add (fake->conns, conn);
  conn->is_open = TRUE;
  conn->session = fake->info->protocol->opened (&fake->self, fake->conns->len, &peer);
  return fake->conns->len;
}

void fake_feed (Fake *fake, ChConn id, const char *hex)
{
  const ChProtocol *protocol = fake->info->protocol;
  FakeConn *conn = find_conn (fake, id);
  const char *error = NULL;
  gssize n;

  g_assert_true (conn->is_open);
  for (; hex[0] != 0; hex += 2) {
    guint8 byte
        = (guint8) (g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1]));

    g_byte_array_append (conn->buffer, &byte, 1);
  }
  while (conn->is_open
         && (n = protocol->frame (conn->buffer->data, conn->buffer->len,
                                  protocol->properties.max_frame_bytes, &error))
                != 0) {
    if (n > 0) {
      g_autofree guint8 *frame = g_memdup2 (conn->buffer->data, (gsize) n);

      protocol->input (&fake->self, conn->session, id, frame, (gsize) n);
    }
    g_byte_array_remove_range (conn->buffer, 0, (guint) ABS (n));
  }
}

void fake_close (Fake *fake, ChConn id, ChCloseReason reason)
{
  FakeConn *conn = find_conn (fake, id);

  if (!conn->is_open)
    return;
  conn->is_open = FALSE;
  fake->info->protocol->closed (&fake->self, conn->session, id, reason);
}

gboolean ch_conn_write (ChPlugin *self, ChConn id, const void *bytes, gsize size,
                        ChWriteKind kind)
{
  Fake *fake = self->fake;
  const FakeConn *conn = find_conn (fake, id);
  GString *line;

  if (conn == NULL || !conn->is_open || fake->blocked)
    return FALSE;
  line = g_string_new (kind == CH_WRITE_REPLY ? "reply " : "command ");
  for (gsize i = 0; i < size; i++)
    g_string_append_printf (line, "%02X", ((const guint8 *) bytes)[i]);
  fake_add_line (fake, g_string_free (line, FALSE));
  return TRUE;
}

void ch_conn_close (ChPlugin *self, ChConn id, ChCloseReason reason)
{
  fake_add (self->fake, "close %d", reason);
}

void ch_conn_bad_frame (ChPlugin *self, ChConn id, const char *error)
{
  fake_add (self->fake, "bad %s", error);
}

/* ---- time -------------------------------------------------------------------------- */

gint64 ch_now_ms (ChPlugin *self)
{
  return self->fake->now_ms;
}

gint64 ch_wall_ms (ChPlugin *self)
{
  return self->fake->wall_ms;
}

gint64 fake_now (Fake *fake)
{
  return fake->now_ms;
}

ChTimer ch_timer_add (ChPlugin *self, guint64 delay_ms, ChTimerFunc func,
                      gpointer user_data)
{
  FakeTimer *timer = g_new0 (FakeTimer, 1);

  *timer = (FakeTimer) {++self->fake->last_timer, self->fake->now_ms + (gint64) delay_ms,
                        func, user_data};
  g_ptr_array_add (self->fake->timers, timer);
  return timer->id;
}

void ch_timer_cancel (ChPlugin *self, ChTimer *timer)
{
  GPtrArray *timers = self->fake->timers;

  for (guint i = 0; *timer != 0 && i < timers->len; i++)
    if (((FakeTimer *) g_ptr_array_index (timers, i))->id == *timer) {
      g_ptr_array_remove_index (timers, i);
      break;
    }
  *timer = 0;
}

static FakeTimer *first_timer (Fake *fake)
{
  FakeTimer *first = NULL;

  for (guint i = 0; i < fake->timers->len; i++) {
    FakeTimer *timer = g_ptr_array_index (fake->timers, i);

    if (first == NULL || timer->due_ms < first->due_ms)
      first = timer;
  }
  return first;
}

void fake_advance (Fake *fake, gint64 ms)
{
  gint64 until = fake->now_ms + ms;
  FakeTimer *timer;

  while ((timer = first_timer (fake)) != NULL && timer->due_ms <= until) {
    FakeTimer fired = *timer;

    g_ptr_array_remove (fake->timers, timer);
    fake->wall_ms += fired.due_ms - fake->now_ms;
    fake->now_ms = fired.due_ms;
    fired.func (&fake->self, fired.user_data);
  }
  fake->wall_ms += until - fake->now_ms;
  fake->now_ms = until;
}

const char *ch_format_time (gint64 wall_ms, char text[CH_TIME_TEXT_SIZE])
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (wall_ms / 1000);
  g_autofree char *formatted = g_date_time_format (time, "%Y-%m-%dT%H:%M:%S");

  g_snprintf (text, CH_TIME_TEXT_SIZE, "%s.%03dZ", formatted, (int) (wall_ms % 1000));
  return text;
}

/* ---- plugin, configuration, log -----------------------------------------------------
 */

const char *ch_plugin_name (ChPlugin *self)
{
  return self->fake->info->name;
}

void ch_plugin_set_data (ChPlugin *self, gpointer data)
{
  self->data = data;
}

gpointer ch_plugin_data (ChPlugin *self)
{
  return self->data;
}

static const char *config_text (ChPlugin *self, const char *name)
{
  const char *const *given = self->fake->config;

  for (guint i = 0; given != NULL && given[i] != NULL; i += 2)
    if (strcmp (given[i], name) == 0)
      return given[i + 1];
  for (const ChConfigKey *key = self->fake->info->config; key->name != NULL; key++)
    if (strcmp (key->name, name) == 0)
      return key->def;
  g_error ("key %s is not declared", name);
}

gboolean ch_config_bool (ChPlugin *self, const char *key)
{
  return g_strcmp0 (config_text (self, key), "true") == 0;
}

gint64 ch_config_int (ChPlugin *self, const char *key)
{
  const char *text = config_text (self, key);

  return g_str_has_prefix (text, "0x") ? g_ascii_strtoll (text + 2, NULL, 16)
                                       : g_ascii_strtoll (text, NULL, 10);
}

gint64 ch_config_duration_ms (ChPlugin *self, const char *key)
{
  return g_ascii_strtoll (config_text (self, key), NULL, 10) * 1000;
}

const char *ch_config_string (ChPlugin *self, const char *key)
{
  return config_text (self, key);
}

static const char *const *split (ChPlugin *self, const char *key, const char *delimiters)
{
  const char *text = config_text (self, key);
  char **list;

  if (text == NULL || *text == 0)
    return NULL;
  list = g_strsplit_set (text, delimiters, -1);
  self->fake->parsed = g_slist_prepend (self->fake->parsed, list);
  return (const char *const *) list;
}

const char *const *ch_config_list (ChPlugin *self, const char *key)
{
  return split (self, key, ",");
}

const char *const *ch_config_map (ChPlugin *self, const char *key)
{
  return split (self, key, ",=");
}

GQuark ch_config_error_quark (void)
{
  return g_quark_from_static_string ("fake-config-error");
}

void ch_log_full (ChPlugin *self, ChLogLevel level, const char *file, int line,
                  const char *const *fields, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (level <= CH_LOG_WARNING)
    g_test_message ("%s", text);
  g_assert_nonnull (text);
}

/* ---- metrics ----------------------------------------------------------------------- */

struct _ChMetric {
  Fake *fake;
  char name[64];
};

struct _ChSeries {
  double value;
};

ChMetric *ch_metric_register (ChPlugin *self, ChMetricKind kind, const char *name,
                              const char *help, const char *const *labels)
{
  ChMetric *metric = g_new0 (ChMetric, 1);

  metric->fake = self->fake;
  g_strlcpy (metric->name, name, sizeof metric->name);
  self->fake->metrics = g_slist_prepend (self->fake->metrics, metric);
  return metric;
}

ChSeries *ch_metric_with (ChMetric *metric, ...)
{
  va_list args;
  ChSeries *series = g_new0 (ChSeries, 1);
  char *key;

  va_start (args, metric);
  key = g_strdup_printf ("%s{%s}", metric->name, va_arg (args, const char *));
  va_end (args);
  g_hash_table_insert (metric->fake->series, key, series);
  return series;
}

void ch_series_add (ChSeries *series, double value)
{
  series->value += value;
}

double fake_counter (Fake *fake, const char *name, const char *label)
{
  g_autofree char *key = g_strdup_printf ("%s{%s}", name, label);
  const ChSeries *series = g_hash_table_lookup (fake->series, key);

  g_assert_nonnull (series);
  return series->value;
}

/* ---- vectors ----------------------------------------------------------------------- */

const char *fake_vector (const char *name)
{
  gsize i;
  json_t *vector;

  if (vectors == NULL) {
    g_autofree char *path
        = g_build_filename (g_getenv ("CHARGEHOST_TEST_SOURCE"), "plugins", "proto-bkv",
                            "tests", "vectors.json", NULL);

    vectors = json_load_file (path, 0, NULL);
  }
  json_array_foreach (
      vectors, i,
      vector) if (strcmp (json_string_value (json_object_get (vector, "name")), name)
                  == 0) return json_string_value (json_object_get (vector, "hex"));
  g_error ("no vector %s", name);
}

/* ---- memory: each block from malloc, so that sanitizers see it --------------------- */

gpointer ch_slab_alloc (ChPlugin *self, gsize size)
{
  return g_malloc (size);
}

gpointer ch_slab_alloc0 (ChPlugin *self, gsize size)
{
  return g_malloc0 (size);
}

void ch_slab_free (ChPlugin *self, gpointer block, gsize size)
{
  g_free (block);
}
