/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file of lines with rotation: the full file is renamed to NAME-TIME.log, which costs
 * nothing; compressing and deleting old ones is left to a thread.
 */
#include "base/log-writer.h"
#include <chargehost/error.h>

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct _ChLogFile {
  char *name;
  gint64 max_size;
  guint max_backups;
  gint64 max_age_ms;
  gboolean compress;
  int fd;
  gint64 size;
  gint64 retry_us; /* when to try again after a failed rotation or open */
  pthread_t worker;
  gboolean has_worker;
  int worker_done; /* atomic */
};

/* The worker's own copy of what it needs. */
typedef struct {
  char *dir;
  char *stem; /* `chargehost` of `chargehost.log`, with the closing '-' */
  char *suffix;
  guint max_backups;
  gint64 max_age_ms;
  gboolean compress;
  int *done;
} Job;

#define RETRY_US (10 * G_USEC_PER_SEC)
#define STAMP_LEN 19 /* 20240106T080000.000 */

static void split_name (const char *name, char **dir, char **stem, char **suffix)
{
  g_autofree char *base = g_path_get_basename (name);
  char *dot = strrchr (base, '.');

  *dir = g_path_get_dirname (name);
  *suffix = g_strdup (dot != NULL && dot != base ? dot : "");
  if (dot != NULL && dot != base)
    *dot = '\0';
  *stem = g_strconcat (base, "-", NULL);
}

static gboolean open_file (ChLogFile *file, GError **error)
{
  struct stat info;

  file->fd
      = open (file->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  if (file->fd < 0 || fstat (file->fd, &info) != 0) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO,
                 "the log file %s cannot be opened: %s", file->name, g_strerror (errno));
    if (file->fd >= 0)
      close (file->fd);
    file->fd = -1;
    return FALSE;
  }
  file->size = info.st_size;
  return TRUE;
}

ChLogFile *ch_log_file_open (const ChLogFileOptions *options, GError **error)
{
  ChLogFile *file = g_new0 (ChLogFile, 1);

  file->name = g_strdup (options->filename);
  file->max_size = options->max_size;
  file->max_backups = options->max_backups;
  file->max_age_ms = options->max_age_ms;
  file->compress = options->compress;
  file->fd = -1;
  if (!open_file (file, error)) {
    ch_log_file_close (file);
    return NULL;
  }
  return file;
}

/* ---- the thread -------------------------------------------------------------------- */

static void job_free (Job *job)
{
  g_free (job->dir);
  g_free (job->stem);
  g_free (job->suffix);
  g_free (job);
}

/* Only names that a rotation makes: stem, time, suffix and perhaps .gz. */
static gboolean is_backup (const Job *job, const char *name)
{
  gsize stem = strlen (job->stem);

  if (!g_str_has_prefix (name, job->stem) || strlen (name) < stem + STAMP_LEN)
    return FALSE;
  const char *p = name + stem;
  for (guint i = 0; i < STAMP_LEN; i++)
    if (i == 8 ? p[i] != 'T' : i == 15 ? p[i] != '.' : !g_ascii_isdigit (p[i]))
      return FALSE;
  p += STAMP_LEN;
  if (!g_str_has_prefix (p, job->suffix))
    return FALSE;
  p += strlen (job->suffix);
  return *p == '\0' || g_str_equal (p, ".gz") || g_str_equal (p, ".gz.tmp");
}

static gboolean compress_file (const char *path, const char *target)
{
  g_autoptr (GFile) from = g_file_new_for_path (path);
  g_autoptr (GFile) to = g_file_new_for_path (target);
  g_autoptr (GFileInputStream) in = g_file_read (from, NULL, NULL);
  g_autoptr (GFileOutputStream) out = g_file_replace (
      to, NULL, FALSE, G_FILE_CREATE_REPLACE_DESTINATION | G_FILE_CREATE_PRIVATE, NULL,
      NULL);
  if (in == NULL || out == NULL)
    return FALSE;
  g_autoptr (GZlibCompressor) zip
      = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, -1);
  g_autoptr (GOutputStream) stream
      = g_converter_output_stream_new (G_OUTPUT_STREAM (out), G_CONVERTER (zip));
  return g_output_stream_splice (stream, G_INPUT_STREAM (in),
                                 G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE
                                     | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
                                 NULL, NULL)
         >= 0;
}

static void compress_backup (const Job *job, const char *name)
{
  g_autofree char *path = g_build_filename (job->dir, name, NULL);
  g_autofree char *target = g_strconcat (path, ".gz", NULL);
  g_autofree char *part = g_strconcat (target, ".tmp", NULL);

  if (compress_file (path, part) && g_rename (part, target) == 0)
    g_unlink (path);
  else
    g_unlink (part);
}

static gint newest_first (gconstpointer a, gconstpointer b)
{
  const char *const *x = a, *const *y = b;
  return strcmp (*y, *x);
}

static GPtrArray *list_backups (const Job *job)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (job->dir, 0, NULL);

  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    if (is_backup (job, name))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, newest_first);
  return names;
}

static gboolean is_too_old (const Job *job, const char *path)
{
  struct stat info;
  return job->max_age_ms > 0 && stat (path, &info) == 0
         && g_get_real_time () / 1000 - (gint64) info.st_mtime * 1000 > job->max_age_ms;
}

static void *work (void *data)
{
  Job *job = data;
  g_autoptr (GPtrArray) names = list_backups (job);

  for (guint i = 0; i < names->len; i++) {
    const char *name = g_ptr_array_index (names, i);
    g_autofree char *path = g_build_filename (job->dir, name, NULL);
    if ((job->max_backups > 0 && i >= job->max_backups) || is_too_old (job, path)
        || g_str_has_suffix (name, ".tmp"))
      g_unlink (path);
    else if (job->compress && !g_str_has_suffix (name, ".gz"))
      compress_backup (job, name);
  }
  __atomic_store_n (job->done, 1, __ATOMIC_RELEASE);
  job_free (job);
  return NULL;
}

static void join_worker (ChLogFile *file)
{
  if (file->has_worker)
    pthread_join (file->worker, NULL);
  file->has_worker = FALSE;
}

static void start_worker (ChLogFile *file)
{
  /* One at a time; the next rotation does what this one leaves. */
  if (file->has_worker && !__atomic_load_n (&file->worker_done, __ATOMIC_ACQUIRE))
    return;
  join_worker (file);

  Job *job = g_new0 (Job, 1);
  split_name (file->name, &job->dir, &job->stem, &job->suffix);
  job->max_backups = file->max_backups;
  job->max_age_ms = file->max_age_ms;
  job->compress = file->compress;
  job->done = &file->worker_done;
  file->worker_done = 0;
  file->has_worker = pthread_create (&file->worker, NULL, work, job) == 0;
  if (!file->has_worker)
    job_free (job);
}

/* ---- writing ----------------------------------------------------------------------- */

static void rotate (ChLogFile *file)
{
  g_autofree char *dir = NULL, *stem = NULL, *suffix = NULL;
  gint64 now_us = g_get_real_time ();
  time_t seconds = (time_t) (now_us / G_USEC_PER_SEC);
  struct tm tm;
  char stamp[24] = "";

  gmtime_r (&seconds, &tm);
  strftime (stamp, sizeof stamp, "%Y%m%dT%H%M%S", &tm);
  split_name (file->name, &dir, &stem, &suffix);
  g_autofree char *target = g_strdup_printf ("%s/%s%s.%03d%s", dir, stem, stamp,
                                             (int) (now_us / 1000 % 1000), suffix);
  /* Two rotations in one millisecond, or no right to rename: go on with this file. */
  if (g_access (target, F_OK) == 0 || g_rename (file->name, target) != 0) {
    file->retry_us = g_get_monotonic_time () + RETRY_US;
    return;
  }
  close (file->fd);
  file->fd = -1;
  open_file (file, NULL);
  start_worker (file);
}

gboolean ch_log_file_write (ChLogFile *file, const char *text, gsize size)
{
  gint64 now_us = g_get_monotonic_time ();

  if (file->max_size > 0 && file->size > 0 && file->size + (gint64) size > file->max_size
      && now_us >= file->retry_us)
    rotate (file);
  if (file->fd < 0) {
    if (now_us < file->retry_us)
      return FALSE;
    file->retry_us = now_us + RETRY_US;
    if (!open_file (file, NULL))
      return FALSE;
    file->retry_us = 0;
  }
  ssize_t n;
  do
    n = write (file->fd, text, size);
  while (n < 0 && errno == EINTR);
  if (n > 0)
    file->size += n;
  return n == (ssize_t) size;
}

void ch_log_file_close (ChLogFile *file)
{
  join_worker (file);
  if (file->fd >= 0)
    close (file->fd);
  g_free (file->name);
  g_free (file);
}
