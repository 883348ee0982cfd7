/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run: from the options to all gateways under way, and its end. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define READ_BUFFER (64 * 1024)
#define SPARE_DESCRIPTORS 64
#define START_EVERY_US 10000
#define FEW_GATEWAYS 20

/* ---- helpers ---------------------------------------------------------------------- */

gint64 sim_now (const SimGateway *gateway)
{
  return loop_now (gateway->sim->loop);
}

guint32 sim_real_ms (const Sim *sim)
{
  return (guint32) (loop_real (sim->loop) / 1000);
}

guint32 sim_real_us (const Sim *sim)
{
  return (guint32) loop_real (sim->loop);
}

guint64 sim_violations (const Sim *sim)
{
  guint64 n = 0;
  for (int i = 0; i < SIM_RULE_N; i++)
    n += sim->counters.rules[i];
  return n;
}

/* SplitMix64 */
guint64 random_next (SimGateway *gateway)
{
  guint64 z = gateway->random += G_GUINT64_CONSTANT (0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * G_GUINT64_CONSTANT (0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT (0x94D049BB133111EB);
  return z ^ z >> 31;
}

double random_unit (SimGateway *gateway)
{
  return (double) (random_next (gateway) >> 11) * 0x1.0p-53;
}

double random_between (SimGateway *gateway, double low, double high)
{
  return low + (high - low) * random_unit (gateway);
}

/* ---- setting up ------------------------------------------------------------------- */

static gboolean fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean fail (GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, text);
  return FALSE;
}

static gboolean resolve (Sim *sim, GError **error)
{
  const SimOptions *options = &sim->options;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;

  if (options->bind_first != 0)
    hints.ai_family = AF_INET;
  int code = getaddrinfo (options->host, NULL, &hints, &found);
  if (code != 0)
    return fail (error, "%s: %s", options->host, gai_strerror (code));
  memcpy (&sim->server, found->ai_addr, found->ai_addrlen);
  sim->server_size = found->ai_addrlen;
  freeaddrinfo (found);
  if (sim->server.ss_family == AF_INET)
    ((struct sockaddr_in *) &sim->server)->sin_port = htons (options->port);
  else
    ((struct sockaddr_in6 *) &sim->server)->sin6_port = htons (options->port);
  return TRUE;
}

static gboolean raise_descriptors (guint gateways, GError **error)
{
  struct rlimit limit;
  rlim_t need = gateways + SPARE_DESCRIPTORS;

  if (getrlimit (RLIMIT_NOFILE, &limit) < 0)
    return fail (error, "getrlimit: %s", g_strerror (errno));
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit (RLIMIT_NOFILE, &limit);
    getrlimit (RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= need)
    return TRUE;
  struct rlimit more = {.rlim_cur = need, .rlim_max = need};
  if (setrlimit (RLIMIT_NOFILE, &more) == 0)
    return TRUE;
  return fail (error,
               "%u gateways need %lu descriptors, but the limit is %lu (ulimit -n)",
               gateways, (gulong) need, (gulong) limit.rlim_cur);
}

static gboolean open_files (Sim *sim, GError **error)
{
  const SimOptions *options = &sim->options;

  if (options->ack_log != NULL) {
    sim->ack_log
        = open (options->ack_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (sim->ack_log < 0)
      return fail (error, "%s: %s", options->ack_log, g_strerror (errno));
  }
  if (options->state_dir != NULL) {
    sim->journal = journal_open (sim, options->state_dir, error);
    if (sim->journal == NULL)
      return FALSE;
  }
  return options->control_socket == NULL
         || console_listen (sim->console, options->control_socket, error);
}

/* ---- timers of the run ------------------------------------------------------------ */

static void start_timer (gpointer data)
{
  Sim *sim = data;
  double elapsed = (double) (loop_real (sim->loop) - sim->began) / 1e6;
  double want = 1 + elapsed * sim->options.rate;

  while (sim->started < sim->n_gateways && sim->started < want)
    gateway_start (&sim->gateways[sim->started++], 0);
  if (sim->started < sim->n_gateways)
    timer_arm (sim->loop, &sim->start, loop_scaled (sim->loop, START_EVERY_US));
}

static void stop_timer (gpointer data)
{
  Sim *sim = data;
  loop_quit (sim->loop);
}

static void arm_timers (Sim *sim)
{
  const SimOptions *options = &sim->options;

  timer_set (&sim->start, start_timer, sim);
  timer_set (&sim->stop, stop_timer, sim);
  timer_set (&sim->progress, summary_progress, sim);
  timer_arm (sim->loop, &sim->start, 0);
  if (options->duration_s > 0)
    timer_arm (sim->loop, &sim->stop,
               loop_scaled (sim->loop, (gint64) (options->duration_s * 1e6)));
  if (!options->quiet && (options->log == SIM_LOG_NONE || options->flood > 0))
    timer_arm (sim->loop, &sim->progress, loop_scaled (sim->loop, SIM_SECOND));
}

/* ---- life ------------------------------------------------------------------------- */

Sim *sim_new (SimOptions *options, GError **error)
{
  Sim *sim = g_new0 (Sim, 1);

  sim->options = *options;
  memset (options, 0, sizeof *options);
  options = &sim->options;
  sim->ack_log = -1;
  sim->signals.fd = -1;
  sim->log = stdout;
  sim->colour = isatty (STDOUT_FILENO);
  sim->abandoned = g_array_new (FALSE, FALSE, sizeof (int));
  sim->buffer_size = READ_BUFFER;
  sim->buffer = g_malloc (READ_BUFFER);
  sim->loop = loop_new (options->time_scale);
  sim->began = g_get_monotonic_time ();
  sim->console = console_new (sim);
  if (sim->loop == NULL)
    fail (error, "epoll: %s", g_strerror (errno));
  if (sim->loop == NULL || !resolve (sim, error)
      || !raise_descriptors ((guint) options->gateways, error)) {
    sim_free (sim);
    return NULL;
  }
  if (options->gateways > FEW_GATEWAYS)
    setvbuf (stdout, NULL, _IOFBF, READ_BUFFER);
  else
    setvbuf (stdout, NULL, _IOLBF, 0);
  sim->n_gateways = (guint) options->gateways;
  sim->gateways = g_new0 (SimGateway, sim->n_gateways);
  for (guint i = 0; i < sim->n_gateways; i++)
    gateway_init (sim, &sim->gateways[i], i);
  if (!open_files (sim, error)) {
    sim_free (sim);
    return NULL;
  }
  arm_timers (sim);
  return sim;
}

void sim_run (Sim *sim)
{
  loop_run (sim->loop);
}

void sim_finish (Sim *sim)
{
  for (guint i = 0; i < sim->n_gateways; i++) {
    SimGateway *gateway = &sim->gateways[i];
    if (sim->journal != NULL)
      charging_power_cut (gateway);
    for (const SimEnd *end = gateway->ends; end != NULL; end = end->next)
      ends_log (gateway, end->bytes, end->size, FALSE);
  }
  fflush (sim->log);
}

void sim_free (Sim *sim)
{
  if (sim == NULL)
    return;
  for (guint i = 0; i < sim->n_gateways; i++)
    gateway_clear (&sim->gateways[i]);
  g_free (sim->gateways);
  for (guint i = 0; i < sim->abandoned->len; i++)
    close (g_array_index (sim->abandoned, int, i));
  g_array_unref (sim->abandoned);
  console_free (sim->console);
  journal_close (sim->journal);
  if (sim->ack_log >= 0)
    close (sim->ack_log);
  loop_free (sim->loop);
  g_free (sim->buffer);
  options_clear (&sim->options);
  g_free (sim);
}
