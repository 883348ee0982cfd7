/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log's file: rotation, compression, what is deleted. */
#include "base/log-writer.h"
#include <chargehost/error.h>

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <utime.h>

typedef struct {
  char *dir;
  char *name;
} Fixture;

static void set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("chargehost-log-XXXXXX", NULL);
  f->name = g_build_filename (f->dir, "host.log", NULL);
}

static void tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *path = g_build_filename (f->dir, name, NULL);
    g_remove (path);
  }
  g_assert_cmpint (g_rmdir (f->dir), ==, 0);
  g_free (f->dir);
  g_free (f->name);
}

static GPtrArray *backups (Fixture *f)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    if (g_str_has_prefix (name, "host-"))
      g_ptr_array_add (names, g_strdup (name));
  return names;
}

static void put (ChLogFile *file, const char *text)
{
  g_assert_true (ch_log_file_write (file, text, strlen (text)));
}

/* Names hold milliseconds, so two rotations want a moment between them. */
static void put_rotating (ChLogFile *file, const char *text)
{
  gint64 start = g_get_real_time () / 1000;
  while (g_get_real_time () / 1000 <= start)
    ;
  put (file, text);
}

static void test_append (Fixture *f, gconstpointer data)
{
  ChLogFileOptions options = {.filename = f->name};
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  struct stat info;

  for (guint i = 0; i < 2; i++) {
    ChLogFile *file = ch_log_file_open (&options, &error);
    g_assert_no_error (error);
    put (file, "line\n");
    ch_log_file_close (file);
  }
  g_assert_true (g_file_get_contents (f->name, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "line\nline\n");
  g_assert_cmpint (stat (f->name, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0007, ==, 0);
}

static void test_rotate (Fixture *f, gconstpointer data)
{
  ChLogFileOptions options = {.filename = f->name, .max_size = 20, .max_backups = 2};
  ChLogFile *file = ch_log_file_open (&options, NULL);
  g_autofree char *text = NULL;

  for (guint i = 0; i < 6; i++)
    put_rotating (file, "twelve bytes\n");
  ch_log_file_close (file);
  g_assert_true (g_file_get_contents (f->name, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "twelve bytes\n");
  g_autoptr (GPtrArray) names = backups (f);
  /* The last rotations may have found the worker busy. */
  g_assert_cmpuint (names->len, >=, 2);
  g_assert_cmpuint (names->len, <=, 5);
  g_assert_true (g_regex_match_simple ("^host-\\d{8}T\\d{6}\\.\\d{3}\\.log$",
                                       g_ptr_array_index (names, 0), 0, 0));
}

static void test_compress (Fixture *f, gconstpointer data)
{
  ChLogFileOptions options = {.filename = f->name, .max_size = 10, .compress = TRUE};
  ChLogFile *file = ch_log_file_open (&options, NULL);

  put (file, "first line\n");
  put_rotating (file, "second\n");
  ch_log_file_close (file); /* waits for the worker */
  g_autoptr (GPtrArray) names = backups (f);
  g_assert_cmpuint (names->len, ==, 1);
  g_assert_true (g_str_has_suffix (g_ptr_array_index (names, 0), ".log.gz"));

  g_autofree char *path = g_build_filename (f->dir, (char *) names->pdata[0], NULL);
  g_autoptr (GFile) gz = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) raw = g_file_read (gz, NULL, NULL);
  g_autoptr (GZlibDecompressor) unzip
      = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP);
  g_autoptr (GInputStream) in
      = g_converter_input_stream_new (G_INPUT_STREAM (raw), G_CONVERTER (unzip));
  char text[64] = "";
  g_assert_true (g_input_stream_read_all (in, text, sizeof text - 1, NULL, NULL, NULL));
  g_assert_cmpstr (text, ==, "first line\n");
}

/* Only its own old files go, by age. */
static void test_age (Fixture *f, gconstpointer data)
{
  static const char *const names[]
      = {"host-20200101T000000.000.log", "host-20200101T000000.001.log.gz",
         "host-20200101T000000.002.log.gz.tmp", "host-notes.log",
         "host-20200101T000000.000.txt"};
  ChLogFileOptions options
      = {.filename = f->name, .max_size = 10, .max_age_ms = 86400 * 1000};
  struct utimbuf old = {1577836800, 1577836800};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (f->dir, names[i], NULL);
    g_assert_true (g_file_set_contents (path, "x", 1, NULL));
    g_assert_cmpint (utime (path, &old), ==, 0);
  }
  ChLogFile *file = ch_log_file_open (&options, NULL);
  put (file, "first line\n");
  put_rotating (file, "second\n");
  ch_log_file_close (file);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (f->dir, names[i], NULL);
    g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, i >= 3);
  }
  g_autoptr (GPtrArray) left = backups (f);
  g_assert_cmpuint (left->len, ==, 3);
}

/* Somebody has renamed the file; the configuration is applied again. */
static void test_moved (Fixture *f, gconstpointer data)
{
  ChLogFileOptions options = {.filename = f->name};
  g_autofree char *moved = g_build_filename (f->dir, "moved", NULL);
  g_autofree char *text = NULL, *rest = NULL;

  g_assert_true (ch_log_set_file (&options, NULL));
  ch_log_setup (CH_LOG_FORMAT_JSON, CH_LOG_INFO);
  ch_info (NULL, "one");
  g_assert_cmpint (g_rename (f->name, moved), ==, 0);
  ch_info (NULL, "two");
  g_assert_true (ch_log_set_file (&options, NULL));
  ch_info (NULL, "three");
  ch_log_shutdown ();
  ch_log_setup (CH_LOG_FORMAT_HUMAN, CH_LOG_WARNING);
  g_assert_true (g_file_get_contents (f->name, &text, NULL, NULL));
  g_assert_null (strstr (text, "\"msg\":\"two\""));
  g_assert_nonnull (strstr (text, "\"msg\":\"three\""));
  g_assert_true (g_file_get_contents (moved, &rest, NULL, NULL));
  g_assert_nonnull (strstr (rest, "\"msg\":\"two\""));
}

static void test_errors (Fixture *f, gconstpointer data)
{
  g_autofree char *name = g_build_filename (f->dir, "missing", "host.log", NULL);
  ChLogFileOptions options = {.filename = name};
  g_autoptr (GError) error = NULL;

  g_assert_null (ch_log_file_open (&options, &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);
  g_assert_nonnull (strstr (error->message, name));
  g_clear_error (&error);
  g_assert_false (ch_log_set_file (&options, &error));
  g_assert_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO);

  options.filename = "/dev/full";
  ChLogFile *full = ch_log_file_open (&options, NULL);
  if (full == NULL)
    return;
  g_assert_false (ch_log_file_write (full, "x\n", 2));
  ch_log_file_close (full);
}

static void test_through_logger (Fixture *f, gconstpointer data)
{
  ChLogFileOptions options = {.filename = f->name};
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_assert_true (ch_log_set_file (&options, &error));
  ch_log_setup (CH_LOG_FORMAT_JSON, CH_LOG_INFO);
  ch_info (NULL, "into the file");
  ch_log_shutdown ();
  ch_log_setup (CH_LOG_FORMAT_HUMAN, CH_LOG_WARNING);
  g_assert_true (g_file_get_contents (f->name, &text, NULL, NULL));
  g_assert_true (g_str_has_prefix (text, "{\"ts\""));
  g_assert_true (g_str_has_suffix (text, "\"msg\":\"into the file\"}\n"));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/log-file/append", test_append);
  ADD ("/log-file/rotate", test_rotate);
  ADD ("/log-file/compress", test_compress);
  ADD ("/log-file/age", test_age);
  ADD ("/log-file/moved", test_moved);
  ADD ("/log-file/errors", test_errors);
  ADD ("/log-file/logger", test_through_logger);
  return g_test_run ();
}
