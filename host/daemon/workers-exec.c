/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs of the supervisor: its workers, the trial before a restart, and itself anew.
 *
 * All of them are run from the program's path, so that a file that was replaced is taken;
 * the libraries and plugins beside it were replaced with it.
 */
#include "base/config-private.h"
#include "daemon/workers-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKOFF_MAX_MS 30000
/* Not a key of the configuration, so not in its family of names. */
#define INHERITED "CH_CREW"
#define INHERITED_TYPE "(iissa(ibbbxx))"

/* ---- making a worker ---- */

static void add_setting (GPtrArray *argv, const char *name, const char *value)
{
  g_ptr_array_add (argv, g_strdup ("--set"));
  g_ptr_array_add (argv, g_strconcat (name, "=", value, NULL));
}

/* Each answers for itself only, so each is asked at a port of its own: the configured one
   and those after it. NULL: they have none. (transfer full) */
static char *metrics_address (const ChCrew *crew, const ChWorker *worker)
{
  const char *first
      = ch_config_get_string (crew->daemon->services.config, "metrics.addr");
  const char *colon = first != NULL ? strrchr (first, ':') : NULL;
  guint64 port = colon != NULL ? g_ascii_strtoull (colon + 1, NULL, 10) : 0;

  if (port == 0)
    return NULL;
  return g_strdup_printf ("%.*s:%" G_GUINT64_FORMAT, (int) (colon - first), first,
                          port + worker->number - 1);
}

/* What was given to this process, and what makes an instance of its own of it. */
static char **worker_argv (const ChCrew *crew, const ChWorker *worker)
{
  GPtrArray *argv = g_ptr_array_new ();
  g_autofree char *id = g_strdup_printf ("%s-%u", crew->id, worker->number);
  g_autofree char *name = g_strdup_printf ("worker-%u", worker->number);
  g_autofree char *state = g_build_filename (crew->state_dir, name, NULL);

  for (guint i = 0; crew->argv[i] != NULL; i++) {
    if (g_str_equal (crew->argv[i], "--workers") && crew->argv[i + 1] != NULL)
      i++;
    else if (!g_str_has_prefix (crew->argv[i], "--workers="))
      g_ptr_array_add (argv, g_strdup (crew->argv[i]));
  }
  add_setting (argv, "server.id", id);
  add_setting (argv, "app.state_dir", state);
  add_setting (argv, "tcp.reuse_port", "true");
  add_setting (argv, "http.reuse_port", "true");
  add_setting (argv, "dbus.instance_name", "true");
  g_autofree char *metrics = metrics_address (crew, worker);
  if (metrics != NULL)
    add_setting (argv, "metrics.addr", metrics);
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (argv, FALSE);
}

static void run_worker (const ChCrew *crew, char **argv, pid_t parent)
{
  sigset_t none;
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  prctl (PR_SET_PDEATHSIG, SIGTERM); /* none is left behind */
  if (getppid () != parent)
    _exit (1);
  execv (crew->program, argv);
  _exit (127);
}

void ch_crew_start_worker (ChCrew *crew, ChWorker *worker)
{
  g_auto (GStrv) argv = worker_argv (crew, worker);
  pid_t parent = getpid ();

  worker->start_at_ms = 0;
  worker->ready = worker->leaving = FALSE;
  worker->started_ms = worker->sign_ms = ch_crew_now_ms ();
  worker->pid = fork ();
  if (worker->pid == 0)
    run_worker (crew, argv, parent);
  if (worker->pid < 0) {
    g_printerr ("chargehostd: no process for worker %u: %s\n", worker->number,
                g_strerror (errno));
    worker->pid = 0;
    worker->start_at_ms = ch_crew_now_ms () + BACKOFF_MAX_MS;
  }
}

/* ---- the trial ---- */

static void run_check (char **argv, pid_t parent)
{
  sigset_t none;
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  int nowhere = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  if (getppid () != parent || nowhere < 0 || dup2 (nowhere, STDOUT_FILENO) < 0)
    _exit (1);
  execv (argv[0], argv);
  _exit (127);
}

gboolean ch_crew_check (ChCrew *crew)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  pid_t parent = getpid ();
  char option[] = "--check-config";

  g_ptr_array_add (argv, crew->program);
  for (guint i = 1; crew->argv[0] != NULL && crew->argv[i] != NULL; i++)
    g_ptr_array_add (argv, crew->argv[i]);
  g_ptr_array_add (argv, option);
  g_ptr_array_add (argv, NULL);
  crew->checker = fork ();
  if (crew->checker == 0)
    run_check ((char **) argv->pdata, parent);
  if (crew->checker > 0)
    return TRUE;
  crew->checker = 0;
  return FALSE;
}

/* ---- itself anew ---- */

static GVariant *inheritance (const ChCrew *crew)
{
  GVariantBuilder workers;

  g_variant_builder_init (&workers, G_VARIANT_TYPE ("a(ibbbxx)"));
  for (guint i = 0; i < crew->n; i++) {
    const ChWorker *w = &crew->workers[i];
    g_variant_builder_add (&workers, "(ibbbxx)", (gint) w->pid, w->ready, w->was_ready,
                           w->ended, w->started_ms, w->start_at_ms);
  }
  return g_variant_new ("(iissa(ibbbxx))", (gint) getpid (), crew->notify, crew->id,
                        crew->program, &workers);
}

static void keep_open (int fd, gboolean keep)
{
  int flags = fcntl (fd, F_GETFD);
  if (flags >= 0)
    fcntl (fd, F_SETFD, keep ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC);
}

void ch_crew_exec (ChCrew *crew)
{
  g_autoptr (GVariant) left = g_variant_ref_sink (inheritance (crew));
  g_autofree char *text = g_variant_print (left, FALSE);

  /* The signals stay blocked, and those that come meanwhile are read afterwards. */
  keep_open (crew->notify, TRUE);
  g_setenv (INHERITED, text, TRUE);
  if (crew->manager != NULL)
    g_setenv ("NOTIFY_SOCKET", crew->manager, TRUE);
  else
    g_unsetenv ("NOTIFY_SOCKET");
  execv (crew->program, crew->argv);
  g_printerr ("chargehostd: %s does not run: %s\n", crew->program, g_strerror (errno));
  g_unsetenv (INHERITED);
  keep_open (crew->notify, FALSE);
  g_setenv ("NOTIFY_SOCKET", crew->address, TRUE);
}

static void inherit_worker (ChWorker *worker, GVariant *value)
{
  gint pid;

  g_variant_get (value, "(ibbbxx)", &pid, &worker->ready, &worker->was_ready,
                 &worker->ended, &worker->started_ms, &worker->start_at_ms);
  worker->pid = pid;
  worker->sign_ms = ch_crew_now_ms ();
}

gboolean ch_crew_inherit (ChCrew *crew, GError **error)
{
  g_autofree char *text = g_strdup (g_getenv (INHERITED));
  g_autoptr (GVariant) workers = NULL;
  gint pid;

  g_unsetenv (INHERITED);
  if (text == NULL)
    return FALSE;
  g_autoptr (GVariant) left
      = g_variant_parse (G_VARIANT_TYPE (INHERITED_TYPE), text, NULL, NULL, error);
  if (left == NULL)
    return FALSE;
  g_free (crew->id);
  g_free (crew->program);
  g_variant_get (left, "(iiss@a(ibbbxx))", &pid, &crew->notify, &crew->id, &crew->program,
                 &workers);
  if (pid != getpid () || g_variant_n_children (workers) != crew->n) {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                 "$" INHERITED " is not for this process");
    return FALSE;
  }
  for (guint i = 0; i < crew->n; i++) {
    g_autoptr (GVariant) value = g_variant_get_child_value (workers, i);
    inherit_worker (&crew->workers[i], value);
  }
  keep_open (crew->notify, FALSE);
  crew->announced = TRUE;
  return TRUE;
}
