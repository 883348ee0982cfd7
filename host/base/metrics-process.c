/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the usual client libraries tell about their process. */
#include "base/metrics-private.h"
#include "ch-build.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  ChResource resource; /* frees this with its owner */
  ChSeries *cpu_seconds;
  ChSeries *resident_bytes;
  ChSeries *open_fds;
  ChSeries *max_fds;
} Process;

static void revoke_process (ChResource *resource)
{
  g_free (resource);
}

static const ChResourceKind PROCESS_KIND = {"process metrics", revoke_process};

/* Files of /proc are short and never block. */
static gboolean read_proc (const char *path, char *text, gsize size)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return FALSE;
  ssize_t n = read (fd, text, size - 1);
  close (fd);
  if (n <= 0)
    return FALSE;
  text[n] = '\0';
  return TRUE;
}

/* Field @number (counted from 1 as in proc(5), above 2) of /proc/self/stat. */
static gboolean stat_field (guint number, guint64 *value)
{
  char text[1024];
  if (!read_proc ("/proc/self/stat", text, sizeof text))
    return FALSE;
  /* The second field is a name in brackets, which may hold anything. */
  const char *p = strrchr (text, ')');
  if (p == NULL)
    return FALSE;
  p++;
  for (guint i = 3; i < number && p != NULL; i++)
    p = strchr (p + 1, ' ');
  if (p == NULL || *p == '\0')
    return FALSE;
  *value = g_ascii_strtoull (p + 1, NULL, 10);
  return TRUE;
}

static double start_time (void)
{
  char text[4096];
  guint64 ticks;

  if (!stat_field (22, &ticks) || !read_proc ("/proc/stat", text, sizeof text))
    return 0;
  const char *boot = strstr (text, "\nbtime ");
  /* With many processors the line lies beyond the first page. */
  g_autofree char *whole = NULL;
  if (boot == NULL && g_file_get_contents ("/proc/stat", &whole, NULL, NULL))
    boot = strstr (whole, "\nbtime ");
  if (boot == NULL)
    return 0;
  return (double) g_ascii_strtoull (boot + 7, NULL, 10)
         + (double) ticks / (double) sysconf (_SC_CLK_TCK);
}

static double count_open_fds (void)
{
  struct stat info;
  guint n = 0;

  /* Linux 6.2 and later tell the number as the size; before, count. */
  if (stat ("/proc/self/fd", &info) == 0 && info.st_size > 0)
    return (double) info.st_size;
  DIR *dir = opendir ("/proc/self/fd");
  if (dir == NULL)
    return 0;
  for (const struct dirent *entry; (entry = readdir (dir)) != NULL;)
    if (entry->d_name[0] != '.')
      n++;
  closedir (dir);
  return n - 1; /* its own */
}

static void collect (ChPlugin *self, gpointer user_data)
{
  Process *process = user_data;
  struct rusage usage;
  struct rlimit limit;
  char text[256];

  if (getrusage (RUSAGE_SELF, &usage) == 0)
    ch_series_set (process->cpu_seconds,
                   (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                       + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
                             / 1e6);
  if (read_proc ("/proc/self/statm", text, sizeof text)) {
    const char *space = strchr (text, ' ');
    if (space != NULL)
      ch_series_set (process->resident_bytes,
                     (double) g_ascii_strtoull (space + 1, NULL, 10)
                         * (double) sysconf (_SC_PAGESIZE));
  }
  ch_series_set (process->open_fds, count_open_fds ());
  if (getrlimit (RLIMIT_NOFILE, &limit) == 0)
    ch_series_set (process->max_fds, (double) limit.rlim_cur);
}

static ChSeries *single (ChPlugin *self, ChMetricKind kind, const char *name,
                         const char *help)
{
  return ch_metric_with (ch_metric_register (self, kind, name, help, NULL), NULL);
}

void ch_metrics_add_process (ChPlugin *self)
{
  if (self->services->metrics == NULL)
    return;
  Process *process = g_new0 (Process, 1);
  ch_owner_link (self, &process->resource, &PROCESS_KIND);
  process->cpu_seconds = single (self, CH_METRIC_COUNTER, "process_cpu_seconds_total",
                                 "Processor time used, user and system, in seconds.");
  process->resident_bytes = single (
      self, CH_METRIC_GAUGE, "process_resident_memory_bytes", "Memory that is resident.");
  process->open_fds
      = single (self, CH_METRIC_GAUGE, "process_open_fds", "Open file descriptors.");
  process->max_fds = single (self, CH_METRIC_GAUGE, "process_max_fds",
                             "Most file descriptors that may be open.");
  ch_series_set (single (self, CH_METRIC_GAUGE, "process_start_time_seconds",
                         "When the process started, in seconds since the epoch."),
                 start_time ());

  const char *const labels[] = {"version", "commit", NULL};
  const char *const server_labels[] = {"server_id", NULL};
  ChMetric *build = ch_metric_register (self, CH_METRIC_GAUGE, "chargehost_build_info",
                                        "Always 1; the labels tell the build.", labels);
  ch_series_set (ch_metric_with (build, CH_VERSION, CH_COMMIT, NULL), 1);
  ChMetric *server = ch_metric_register (
      self, CH_METRIC_GAUGE, "chargehost_server_info",
      "Always 1; the label tells which instance answers.", server_labels);
  ch_series_set (ch_metric_with (server, self->services->server_id, NULL), 1);
  ch_metrics_add_collector (self, collect, process);
}
