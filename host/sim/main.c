/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chargehost-sim: a simulator of BKV charging gateways. */
#include "report.h"

#include <locale.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EXIT_CANNOT_RUN 1
#define EXIT_USAGE 2
#define EXIT_RULES 3

static void signalled (gpointer data, guint32 events)
{
  Sim *sim = data;
  struct signalfd_siginfo info;

  if (read (sim->signals.fd, &info, sizeof info) == sizeof info)
    loop_quit (sim->loop);
}

static gboolean watch_signals (Sim *sim)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGINT);
  sigaddset (&set, SIGTERM);
  sigprocmask (SIG_BLOCK, &set, NULL);
  signal (SIGPIPE, SIG_IGN);
  int fd = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  sim->signals.func = signalled;
  sim->signals.data = sim;
  return fd >= 0 && loop_watch (sim->loop, &sim->signals, fd, EPOLLIN);
}

/* What the run leaves behind; returns the exit status. */
static int leave (Sim *sim)
{
  const SimOptions *options = &sim->options;
  g_autoptr (GError) error = NULL;
  int status = EXIT_SUCCESS;

  sim_finish (sim);
  if (!options->quiet)
    summary_print (sim, options->log == SIM_LOG_JSON ? stderr : stdout);
  if (options->summary_json != NULL
      && !summary_write_json (sim, options->summary_json, &error)) {
    fprintf (stderr, "chargehost-sim: %s\n", error->message);
    status = EXIT_CANNOT_RUN;
  }
  if (options->strict && sim_violations (sim) > 0) {
    fprintf (stderr, "chargehost-sim: the server broke a rule\n");
    status = EXIT_RULES;
  }
  return status;
}

int main (int argc, char **argv)
{
  SimOptions options;
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  if (!options_parse (argv, &options, &error)) {
    fprintf (stderr, "chargehost-sim: %s\n", error->message);
    options_clear (&options);
    return EXIT_USAGE;
  }
  Sim *sim = sim_new (&options, &error);
  if (sim == NULL) {
    fprintf (stderr, "chargehost-sim: %s\n", error->message);
    return EXIT_CANNOT_RUN;
  }
  if (!watch_signals (sim)) {
    fprintf (stderr, "chargehost-sim: signalfd failed\n");
    sim_free (sim);
    return EXIT_CANNOT_RUN;
  }
  console_read_stdin (sim->console);
  sim_run (sim);
  int status = leave (sim);
  close (sim->signals.fd);
  sim_free (sim);
  return status;
}
