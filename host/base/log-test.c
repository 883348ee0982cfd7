/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/config-private.h"
#include "base/log-writer.h"
#include "base/owner.h"
#include <chargehost/clock.h>
#include <chargehost/json.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  ChServices services;
  ChPlugin *host;
  ChPlugin *plugin;
  GPtrArray *lines;
  ChLogLevel last_level;
} Fixture;

static void keep_line (ChLogLevel level, const char *line, gpointer data)
{
  Fixture *f = data;
  f->last_level = level;
  g_assert_cmpuint (strlen (line), <, CH_LOG_MAX_LINE);
  g_ptr_array_add (f->lines, g_strdup (line));
}

static void set_up (Fixture *f, gconstpointer data)
{
  static const ChPluginInfo info = {.name = "proto-bkv"};
  f->lines = g_ptr_array_new_with_free_func (g_free);
  f->host = ch_owner_new (&f->services, "core", NULL);
  f->plugin = ch_owner_new (&f->services, "proto-bkv", &info);
  ch_log_set_sink (keep_line, f);
  ch_log_setup (CH_LOG_FORMAT_JSON, CH_LOG_INFO);
}

static void tear_down (Fixture *f, gconstpointer data)
{
  ch_log_set_sink (NULL, NULL);
  ch_log_shutdown ();
  ch_log_setup (CH_LOG_FORMAT_HUMAN, CH_LOG_WARNING);
  ch_owner_free (f->host);
  ch_owner_free (f->plugin);
  g_ptr_array_unref (f->lines);
}

static const char *last (Fixture *f)
{
  g_assert_cmpuint (f->lines->len, >, 0);
  return g_ptr_array_index (f->lines, f->lines->len - 1);
}

/* Every line of JSON must be JSON, whatever is in it. */
static json_t *last_json (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  json_t *json = ch_json_parse (last (f), strlen (last (f)), &error);
  g_assert_no_error (error);
  return json;
}

static void test_json (Fixture *f, gconstpointer data)
{
  ch_log (f->plugin, CH_LOG_INFO,
          CH_LOG_FIELDS ("device", "D-1", "order_no", "O1", "request_id", "r"),
          "started %d", 7);
  g_autoptr (json_t) json = last_json (f);
  gint64 ms;

  g_assert_true (g_str_has_prefix (last (f), "{\"ts\":\""));
  g_assert_true (ch_parse_time (ch_json_get_string (json, "ts", NULL), &ms));
  g_assert_cmpstr (ch_json_get_string (json, "level", NULL), ==, "info");
  g_assert_cmpstr (ch_json_get_string (json, "logger", NULL), ==, "proto-bkv");
  g_assert_cmpstr (ch_json_get_string (json, "plugin", NULL), ==, "proto-bkv");
  g_assert_cmpstr (ch_json_get_string (json, "msg", NULL), ==, "started 7");
  g_assert_cmpstr (ch_json_get_string (json, "phy_id", NULL), ==, "D-1");
  g_assert_cmpstr (ch_json_get_string (json, "order_no", NULL), ==, "O1");
  g_assert_cmpstr (ch_json_get_string (json, "request_id", NULL), ==, "r");
  g_assert_true (
      g_str_has_prefix (ch_json_get_string (json, "caller", ""), "base/log-test.c:"));

  ch_warning (f->host, "careful");
  g_autoptr (json_t) host = last_json (f);
  g_assert_cmpstr (ch_json_get_string (host, "logger", NULL), ==, "core");
  g_assert_null (json_object_get (host, "plugin"));
  ch_error (NULL, "nobody's");
  g_autoptr (json_t) nobody = last_json (f);
  g_assert_cmpstr (ch_json_get_string (nobody, "logger", NULL), ==, "chargehost");
  g_assert_cmpint (f->last_level, ==, CH_LOG_ERROR);
  ch_log_set_name ("站-1");
  ch_error (NULL, "nobody's");
  g_autoptr (json_t) named = last_json (f);
  g_assert_cmpstr (ch_json_get_string (named, "logger", NULL), ==, "站-1");
  ch_log_set_name (NULL);
}

static void test_escaping (Fixture *f, gconstpointer data)
{
  const char *evil
      = "a\n{\"level\":\"error\"}\r\t\033[31m\x7f\"\\\xff\xc2\x9b\xe2\x80\xae\xc3\xa4";

  ch_log (f->host, CH_LOG_INFO, CH_LOG_FIELDS ("device", evil, "a\"\nb", "x"), "%s",
          evil);
  g_assert_null (strpbrk (last (f), "\n\r\t\033\x7f"));
  g_assert_true (g_utf8_validate (last (f), -1, NULL));
  g_autoptr (json_t) json = last_json (f);
  g_assert_cmpstr (ch_json_get_string (json, "msg", NULL), ==,
                   "a\n{\"level\":\"error\"}\r\t\033["
                   "31m\x7f\"\\\xef\xbf\xbd\xc2\x9b\xe2\x80\xae\xc3\xa4");
  g_assert_cmpstr (ch_json_get_string (json, "a\"\nb", NULL), ==, "x");

  ch_log_setup (CH_LOG_FORMAT_HUMAN, CH_LOG_INFO);
  ch_log (f->host, CH_LOG_INFO, CH_LOG_FIELDS ("device", evil, "plain", "x-1"), "%s",
          evil);
  g_assert_null (strpbrk (last (f), "\n\r\t\x7f"));
  g_assert_true (g_utf8_validate (last (f), -1, NULL));
  g_assert_nonnull (
      strstr (last (f), "a\\n{\"level\":\"error\"}\\r\\t\\u001b[31m\\u007f"));
  g_assert_nonnull (strstr (last (f), "\\xff\\u009b\\u202e\xc3\xa4"));
  g_assert_nonnull (strstr (last (f), "plain="));
}

static void test_human (Fixture *f, gconstpointer data)
{
  ch_log_setup (CH_LOG_FORMAT_HUMAN, CH_LOG_INFO);
  ch_log (f->plugin, CH_LOG_WARNING,
          CH_LOG_FIELDS ("device", "D1", "why", "two words", "e", ""), "went away");
  g_assert_true (g_regex_match_simple (
      "^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3} .*WARN .*"
      "proto-bkv: went away.* device=D1.* why=\"two words\".* e=\"\"",
      last (f), 0, 0));
}

static void test_journal (Fixture *f, gconstpointer data)
{
  ch_log_setup (CH_LOG_FORMAT_JOURNAL, CH_LOG_INFO);
  ch_log (f->plugin, CH_LOG_WARNING, CH_LOG_FIELDS ("device", "D1", "order_no", "O1"),
          "x\ny");
  g_auto (GStrv) fields = g_strsplit (last (f), "\n", -1);
  const char *const *f_ = (const char *const *) fields;

  g_assert_true (g_strv_contains (f_, "MESSAGE=proto-bkv: x\\ny"));
  g_assert_true (g_strv_contains (f_, "PRIORITY=4"));
  g_assert_true (g_strv_contains (f_, "SYSLOG_IDENTIFIER=chargehost"));
  g_assert_true (g_strv_contains (f_, "CHARGEHOST_PLUGIN=proto-bkv"));
  g_assert_true (g_strv_contains (f_, "CHARGEHOST_PHY_ID=D1"));
  g_assert_true (g_strv_contains (f_, "CHARGEHOST_ORDER_NO=O1"));
  g_assert_true (g_strv_contains (f_, "CODE_FILE=base/log-test.c"));
}

/* Whatever is thrown at it: one bounded line, and still JSON. */
static void test_bounds (Fixture *f, gconstpointer data)
{
  g_autofree char *huge = g_strnfill (100000, 'x'),
                  *controls = g_strnfill (20000, '\001');
  g_autofree char *wide = g_malloc0 (30001);
  const char *fields[201] = {NULL};
  char names[100][16];

  for (guint i = 0; i < 10000; i++)
    memcpy (wide + 3 * i, "\xe2\x82\xac", 3);
  for (guint i = 0; i < 200; i += 2) {
    g_snprintf (names[i / 2], sizeof names[0], "name%u", i / 4); /* each one twice */
    fields[i] = i == 0 ? controls : names[i / 2];
    fields[i + 1] = huge;
  }
  const char *const texts[] = {huge, controls, wide};
  for (guint format = CH_LOG_FORMAT_HUMAN; format <= CH_LOG_FORMAT_JOURNAL; format++) {
    ch_log_setup ((ChLogFormat) format, CH_LOG_INFO);
    for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
      ch_log (f->plugin, CH_LOG_INFO, fields, "%s", texts[i]);
      g_assert_true (g_utf8_validate (last (f), -1, NULL));
      g_assert_cmpuint (strlen (last (f)), >, 4000);
      if (format != CH_LOG_FORMAT_JSON)
        continue;
      g_autoptr (json_t) json = last_json (f);
      g_assert_true (ch_json_get_bool (json, "truncated", FALSE)
                     || json_object_size (json) > 20);
      g_assert_true (
          g_str_has_suffix (ch_json_get_string (json, "msg", ""), "\xe2\x80\xa6"));
    }
  }
}

static void test_levels (Fixture *f, gconstpointer data)
{
  guint evaluated = 0;

  ch_debug (f->host, "not heard %u", ++evaluated);
  g_assert_cmpuint (evaluated, ==, 0);
  g_assert_cmpuint (f->lines->len, ==, 0);

  ch_log_set_module_level ("proto-bkv", CH_LOG_TRACE);
  g_assert_cmpint (ch_log_level_max, ==, CH_LOG_TRACE);
  ch_trace (f->plugin, "heard");
  ch_debug (f->host, "not heard");
  g_assert_cmpuint (f->lines->len, ==, 1);
  ch_log_set_module_level ("core", CH_LOG_ERROR);
  ch_warning (f->host, "not heard");
  g_assert_cmpuint (f->lines->len, ==, 1);
  ch_log_set_module_level ("proto-bkv", CH_LOG_TRACE + 1);
  ch_log_set_module_level ("core", CH_LOG_TRACE + 1);
  g_assert_cmpint (ch_log_level_max, ==, CH_LOG_INFO);

  ch_log_set_level (CH_LOG_DEBUG);
  g_assert_cmpint (ch_log_get_level (), ==, CH_LOG_DEBUG);
  ch_debug (f->host, "heard %u", ++evaluated);
  g_assert_cmpuint (f->lines->len, ==, 2);
  g_assert_cmpuint (evaluated, ==, 1);
}

static void test_names (void)
{
  ChLogLevel level;
  ChLogFormat format;

  for (guint i = CH_LOG_ERROR; i <= CH_LOG_TRACE; i++) {
    g_assert_true (ch_log_level_parse (ch_log_level_name ((ChLogLevel) i), &level));
    g_assert_cmpint (level, ==, i);
  }
  g_assert_true (ch_log_level_parse ("WARN", &level));
  g_assert_cmpint (level, ==, CH_LOG_WARNING);
  g_assert_false (ch_log_level_parse ("loud", &level));
  g_assert_false (ch_log_level_parse (NULL, &level));
  g_assert_true (ch_log_format_parse ("journal", &format));
  g_assert_cmpint (format, ==, CH_LOG_FORMAT_JOURNAL);
  g_assert_false (ch_log_format_parse ("xml", &format));
}

static void test_mask (void)
{
  static const struct {
    const char *text, *masked;
  } cases[] = {
      {NULL, "****"},
      {"", "****"},
      {"12345678", "****"},
      {"123456789", "1234****6789"},
      {"6217000012345678", "6217****5678"},
  };
  char masked[16];

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpstr (ch_log_mask (cases[i].text, masked), ==, cases[i].masked);
  g_autofree char *longest = g_strnfill (10000, 'k');
  g_assert_cmpstr (ch_log_mask (longest, masked), ==, "kkkk****kkkk");
}

static void log_again (ChLogLevel level, const char *line, gpointer data)
{
  (*(guint *) data)++;
  ch_error (NULL, "never ending");
  g_log_structured ("libfoo", G_LOG_LEVEL_MESSAGE, "MESSAGE", "never ending");
}

static void test_recursion (Fixture *f, gconstpointer data)
{
  guint calls = 0;

  ch_log_set_sink (log_again, &calls);
  ch_info (f->host, "x");
  g_assert_cmpuint (calls, ==, 1);
}

static void test_errno (Fixture *f, gconstpointer data)
{
  errno = EAGAIN;
  ch_info (f->host, "x");
  g_assert_cmpint (errno, ==, EAGAIN);
}

/* What GLib and other libraries say takes the same way. */
static void test_libraries (Fixture *f, gconstpointer data)
{
  g_log_structured ("libfoo", G_LOG_LEVEL_MESSAGE, "CODE_FILE", "a/b/foo.c", "CODE_LINE",
                    "12", "MESSAGE", "from a %s", "library");
  g_autoptr (json_t) json = last_json (f);
  g_assert_cmpstr (ch_json_get_string (json, "level", NULL), ==, "notice");
  g_assert_cmpstr (ch_json_get_string (json, "logger", NULL), ==, "libfoo");
  g_assert_cmpstr (ch_json_get_string (json, "caller", NULL), ==, "b/foo.c:12");
  g_assert_cmpstr (ch_json_get_string (json, "msg", NULL), ==, "from a library");

  guint before = f->lines->len;
  ch_log_set_level (CH_LOG_TRACE);
  g_log_structured ("libfoo", G_LOG_LEVEL_DEBUG, "MESSAGE", "details");
  g_assert_cmpuint (f->lines->len, ==, before);
}

static void test_fatal (void)
{
  if (g_test_subprocess ()) {
    ch_log_setup (CH_LOG_FORMAT_JSON, CH_LOG_INFO);
    g_log_structured ("libfoo", G_LOG_LEVEL_CRITICAL, "MESSAGE", "this is the end");
    return; /* not reached with G_DEBUG=fatal-criticals, nor after g_test_init() */
  }
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*this is the end*");
}

static void *log_much (void *data)
{
  for (guint i = 0; i < 500; i++)
    ch_log (data, CH_LOG_INFO, CH_LOG_FIELDS ("n", "1"), "line %u", i);
  return NULL;
}

static void test_threads (Fixture *f, gconstpointer data)
{
  pthread_t threads[4];

  for (guint i = 0; i < 4; i++)
    g_assert_cmpint (pthread_create (&threads[i], NULL, log_much, f->plugin), ==, 0);
  for (guint i = 0; i < 50; i++)
    ch_log_set_module_level ("other", (int) (i % 7));
  for (guint i = 0; i < 4; i++)
    pthread_join (threads[i], NULL);
  g_assert_cmpuint (f->lines->len, ==, 2000);
}

/* Nobody reads stderr: lines are lost, and counted, but nothing waits. */
static void test_stalled (Fixture *f, gconstpointer data)
{
  int ends[2], saved = dup (STDERR_FILENO);
  guint64 before = ch_log_lost ();
  char buffer[65536];
  gsize n = 0;

  g_assert_cmpint (pipe (ends), ==, 0);
  dup2 (ends[1], STDERR_FILENO);
  ch_log_set_sink (NULL, NULL);
  gint64 start = g_get_monotonic_time ();
  for (guint i = 0; i < 2000; i++)
    ch_info (f->host, "a line that nobody reads, number %u", i);
  gint64 took = g_get_monotonic_time () - start;
  guint64 lost = ch_log_lost () - before;
  while (n < 60000) {
    ssize_t got = read (ends[0], buffer, sizeof buffer);
    g_assert_cmpint (got, >, 0);
    n += (gsize) got;
  }
  ch_info (f->host, "read again");
  ch_info (f->host, "and again");
  dup2 (saved, STDERR_FILENO);
  close (saved);
  close (ends[1]);
  g_autoptr (GString) rest = g_string_new (NULL);
  for (ssize_t got; (got = read (ends[0], buffer, sizeof buffer)) > 0;)
    g_string_append_len (rest, buffer, got);
  close (ends[0]);

  g_assert_cmpuint (lost, >, 500);
  g_assert_cmpint (took, <, 20 * G_USEC_PER_SEC);
  g_assert_nonnull (strstr (rest->str, "lines of the log were lost"));
  g_assert_nonnull (strstr (rest->str, "and again"));
}

static void test_configured (Fixture *f, gconstpointer data)
{
  g_autoptr (ChConfig) config = ch_config_new ();
  g_autoptr (GError) error = NULL;

  ch_config_declare (config, "", ch_log_config);
  ch_config_add_option (config, "logging.level=debug", NULL);
  ch_config_add_option (config, "logging.format=human", NULL);
  ch_config_add_option (config, "logging.modules.proto-bkv=trace", NULL);
  g_assert_true (ch_config_resolve (config, NULL, &error));
  g_assert_true (ch_log_apply_config (config, &error));
  g_assert_cmpint (ch_log_get_level (), ==, CH_LOG_DEBUG);
  ch_trace (f->plugin, "x");
  g_assert_nonnull (strstr (last (f), "proto-bkv: x"));

  ch_config_add_option (config, "logging.modules.core=loud", NULL);
  g_assert_true (ch_config_resolve (config, NULL, &error));
  g_assert_false (ch_log_apply_config (config, &error));
  g_assert_nonnull (strstr (error->message, "'loud' is no level"));
  g_assert_cmpint (ch_log_level_max, ==, CH_LOG_TRACE);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/log/json", test_json);
  ADD ("/log/escaping", test_escaping);
  ADD ("/log/human", test_human);
  ADD ("/log/journal", test_journal);
  ADD ("/log/bounds", test_bounds);
  ADD ("/log/levels", test_levels);
  g_test_add_func ("/log/names", test_names);
  g_test_add_func ("/log/mask", test_mask);
  ADD ("/log/recursion", test_recursion);
  ADD ("/log/errno", test_errno);
  ADD ("/log/libraries", test_libraries);
  g_test_add_func ("/log/fatal", test_fatal);
  ADD ("/log/threads", test_threads);
  ADD ("/log/stalled", test_stalled);
  ADD ("/log/configured", test_configured);
  return g_test_run ();
}
