/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `chargehostd --workers N`: one process that runs N instances and does nothing else.
 * They share the listeners' ports by SO_REUSEPORT and have a server id, a state directory
 * and a D-Bus name each. One that crashes is started again, SIGHUP goes to all, SIGTERM
 * ends all. SIGUSR2 brings in the program that now stands at its path, here and in one
 * worker after the other. The service manager hears of one service.
 */
#include "base/config-private.h"
#include "daemon/workers-private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 30000
#define LONG_LIFE_MS 60000
#define KILL_AFTER_MS 10000 /* beyond shutdown.timeout */

gint64 ch_crew_now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

ChWorker *ch_crew_find (ChCrew *crew, pid_t pid)
{
  for (guint i = 0; i < crew->n; i++)
    if (crew->workers[i].pid == pid && pid > 0)
      return &crew->workers[i];
  return NULL;
}

static void roll_on (ChCrew *crew);

void ch_crew_worker_ready (ChCrew *crew, ChWorker *worker)
{
  guint ready = 0;

  worker->ready = worker->was_ready = TRUE;
  for (guint i = 0; i < crew->n; i++)
    ready += crew->workers[i].ready ? 1 : 0;
  if (ready == crew->n && !crew->announced) {
    crew->announced = TRUE;
    g_autofree char *text
        = g_strdup_printf ("READY=1\nSTATUS=%u workers, %s-1 …", crew->n, crew->id);
    ch_crew_tell_manager (crew, text);
    g_printerr ("chargehostd: %u workers ready\n", crew->n);
  }
  if (crew->rolling)
    roll_on (crew);
}

/* ---- ends ---- */

static void signal_all (ChCrew *crew, int number)
{
  for (guint i = 0; i < crew->n; i++) {
    crew->workers[i].start_at_ms = 0;
    if (crew->workers[i].pid > 0)
      kill (crew->workers[i].pid, number);
  }
}

/* Those that run: one that starts reads the configuration anyway, and would die of it. */
static void reload_all (const ChCrew *crew)
{
  for (guint i = 0; i < crew->n; i++)
    if (crew->workers[i].ready)
      kill (crew->workers[i].pid, SIGHUP);
}

/* When what was told to end now is ended by force. */
static gint64 stop_limit (const ChCrew *crew)
{
  ChConfig *config = crew->daemon->services.config;
  return ch_crew_now_ms () + ch_config_get_duration_ms (config, "shutdown.timeout")
         + KILL_AFTER_MS;
}

static void stop_all (ChCrew *crew)
{
  if (!crew->stopping)
    ch_crew_tell_manager (crew, "STOPPING=1");
  crew->stopping = TRUE;
  crew->rolling = FALSE;
  crew->kill_at_ms = stop_limit (crew);
  signal_all (crew, SIGTERM);
}

static gboolean all_serve (const ChCrew *crew)
{
  for (guint i = 0; i < crew->n; i++)
    if (!crew->workers[i].ready && !crew->workers[i].ended)
      return FALSE;
  return TRUE;
}

/*
 * The next of a rolling restart, as soon as all the others serve: also one that crashed
 * meanwhile is waited for.
 */
static void roll_on (ChCrew *crew)
{
  if (!all_serve (crew))
    return;
  while (crew->next < crew->n) {
    ChWorker *worker = &crew->workers[crew->next++];
    if (worker->pid > 0) {
      worker->leaving = TRUE;
      worker->ready = FALSE;
      worker->kill_at_ms = stop_limit (crew);
      kill (worker->pid, SIGTERM);
      return;
    }
  }
  crew->rolling = FALSE;
  g_printerr ("chargehostd: all workers restarted\n");
}

static void tell_end (const ChWorker *worker, int status, const char *next)
{
  g_printerr ("chargehostd: worker %u ended by %s %d%s\n", worker->number,
              WIFSIGNALED (status) ? "signal" : "status",
              WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status), next);
}

static void worker_ended (ChCrew *crew, ChWorker *worker, int status)
{
  gboolean good = WIFEXITED (status) && WEXITSTATUS (status) == 0;
  gint64 lived_ms = ch_crew_now_ms () - worker->started_ms;

  gboolean was_ready = worker->ready;

  worker->pid = 0;
  worker->ready = FALSE;
  if (crew->stopping) { /* one that was still starting has had nothing to put in order */
    if (!good && (was_ready || !WIFSIGNALED (status) || WTERMSIG (status) != SIGTERM))
      crew->exit_status = 1;
    return;
  }
  if (worker->leaving) {
    if (!good)
      tell_end (worker, status, "");
    ch_crew_start_worker (crew, worker);
    return;
  }
  if (good) { /* somebody asked it to */
    worker->ended = TRUE;
    if (crew->rolling)
      roll_on (crew);
    return;
  }
  if (!worker->was_ready) { /* its own line says why; the others would fail as well */
    g_printerr ("chargehostd: worker %u did not start\n", worker->number);
    crew->exit_status = 1;
    stop_all (crew);
    return;
  }
  worker->backoff_ms = lived_ms > LONG_LIFE_MS ? BACKOFF_MIN_MS
                                               : CLAMP (worker->backoff_ms * 2,
                                                        BACKOFF_MIN_MS, BACKOFF_MAX_MS);
  worker->start_at_ms = ch_crew_now_ms () + worker->backoff_ms;
  g_autofree char *next
      = g_strdup_printf (", starting it again in %d ms", (int) worker->backoff_ms);
  tell_end (worker, status, next);
}

/* A restart is asked for: what would not start takes no worker away. */
static void begin_restart (ChCrew *crew)
{
  if (crew->stopping || crew->rolling || crew->checker != 0)
    return;
  if (!ch_crew_check (crew))
    g_printerr ("chargehostd: no process to try the program: %s\n", g_strerror (errno));
}

static void check_ended (ChCrew *crew, gboolean good)
{
  crew->checker = 0;
  if (crew->stopping)
    return;
  if (good)
    ch_crew_exec (crew); /* the new one goes on with the workers */
  g_printerr ("chargehostd: the program or its configuration is not good;"
              " no worker is restarted\n");
}

static void reap (ChCrew *crew)
{
  int status;
  pid_t pid;
  while ((pid = waitpid (-1, &status, WNOHANG)) > 0) {
    ChWorker *worker = ch_crew_find (crew, pid);
    if (worker != NULL)
      worker_ended (crew, worker, status);
    else if (pid == crew->checker)
      check_ended (crew, WIFEXITED (status) && WEXITSTATUS (status) == 0);
  }
}

static void read_signals (ChCrew *crew)
{
  struct signalfd_siginfo info;

  while (read (crew->signals, &info, sizeof info) == (gssize) sizeof info) {
    switch (info.ssi_signo) {
    case SIGTERM:
    case SIGINT:
      stop_all (crew);
      break;
    case SIGHUP:
      reload_all (crew);
      break;
    case SIGUSR2:
      begin_restart (crew);
      break;
    default:
      reap (crew);
    }
  }
}

static gboolean is_over (const ChCrew *crew)
{
  for (guint i = 0; i < crew->n; i++) {
    const ChWorker *worker = &crew->workers[i];
    if (worker->pid > 0 || (!crew->stopping && !worker->ended))
      return FALSE;
  }
  return TRUE;
}

static void start_due (ChCrew *crew)
{
  for (guint i = 0; i < crew->n; i++) {
    ChWorker *worker = &crew->workers[i];
    if (!crew->stopping && worker->start_at_ms != 0
        && ch_crew_now_ms () >= worker->start_at_ms)
      ch_crew_start_worker (crew, worker);
    if (worker->leaving && worker->pid > 0 && ch_crew_now_ms () >= worker->kill_at_ms)
      kill (worker->pid, SIGKILL);
  }
  if (crew->stopping && ch_crew_now_ms () >= crew->kill_at_ms)
    signal_all (crew, SIGKILL);
}

/* @inherited: the workers run already, and are now to be replaced. */
static void run (ChCrew *crew, gboolean inherited)
{
  struct pollfd fds[2] = {{crew->signals, POLLIN, 0}, {crew->notify, POLLIN, 0}};
  gint64 step_ms
      = crew->watchdog_ms > 0 ? CLAMP (crew->watchdog_ms / 4, 100, 1000) : 1000;

  for (guint i = 0; i < crew->n && !inherited; i++)
    ch_crew_start_worker (crew, &crew->workers[i]);
  crew->rolling = inherited;
  if (inherited)
    roll_on (crew);
  while (!is_over (crew)) {
    if (poll (fds, G_N_ELEMENTS (fds), (int) step_ms) < 0 && errno != EINTR)
      break;
    ch_crew_read_notify (crew);
    read_signals (crew);
    start_due (crew);
    ch_crew_watch (crew);
  }
}

/* ---- the door ---- */

gboolean ch_workers_check (ChDaemon *daemon, GError **error)
{
  const char *const *names = ch_daemon_wanted_plugins (daemon);
  static const char *const alone[] = {"kv-memory", "store-sqlite"};

  for (guint i = 0; i < G_N_ELEMENTS (alone); i++)
    if (g_strv_contains (names, alone[i])) {
      g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                   "--workers needs a store and a kv that instances can share"
                   " (store-pgsql and kv-redis, as profile production has them),"
                   " not %s",
                   alone[i]);
      return FALSE;
    }
  return TRUE;
}

static gboolean open_signals (ChCrew *crew)
{
  static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
  sigset_t set;

  sigemptyset (&set);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    sigaddset (&set, numbers[i]);
  sigprocmask (SIG_BLOCK, &set, NULL);
  crew->signals = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return crew->signals >= 0;
}

static char *base_id (ChDaemon *daemon)
{
  const char *id = ch_config_get_string (daemon->services.config, "server.id");
  if (id != NULL && *id != '\0')
    return g_strndup (id, CH_SERVER_ID_SIZE - 5);
  return g_strdup_printf ("chargehost-%.40s-%08x", g_get_host_name (), g_random_int ());
}

int ch_workers_run (ChDaemon *daemon, char **argv, GError **error)
{
  static const char *const everything[] = {"*", NULL};
  ChConfig *config = daemon->services.config;
  g_autoptr (GError) problem = NULL;
  ChCrew crew = {.daemon = daemon,
                 .argv = argv,
                 .n = (guint) daemon->options.workers,
                 .signals = -1,
                 .notify = -1};

  if (!ch_config_resolve (config, everything, error) || !ch_workers_check (daemon, error))
    return 1;
  crew.id = base_id (daemon);
  crew.program = g_file_read_link ("/proc/self/exe", NULL);
  crew.state_dir = g_strdup (ch_config_get_string (config, "app.state_dir"));
  crew.workers = g_new0 (ChWorker, crew.n);
  for (guint i = 0; i < crew.n; i++)
    crew.workers[i].number = i + 1;
  gboolean inherited = ch_crew_inherit (&crew, &problem);
  if (problem == NULL && crew.program != NULL && open_signals (&crew)
      && ch_crew_open_notify (&crew)) {
    run (&crew, inherited);
  } else {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "no workers: %s",
                 problem != NULL ? problem->message : g_strerror (errno));
    crew.exit_status = 1;
  }
  if (crew.signals >= 0)
    close (crew.signals);
  if (crew.notify >= 0)
    close (crew.notify);
  g_free (crew.workers);
  g_free (crew.id);
  g_free (crew.program);
  g_free (crew.state_dir);
  g_free (crew.manager);
  return crew.exit_status;
}
