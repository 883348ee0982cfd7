/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `chargehostd --workers N`: one process that runs N instances and does nothing else.
 * They share the listeners' ports by SO_REUSEPORT and have a server id, a state directory
 * and a D-Bus name each. One that crashes is started again, SIGHUP goes to all, SIGTERM
 * ends all, SIGUSR2 restarts one after the other. The service manager hears of one
 * service.
 */
#include "base/config-private.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 30000
#define LONG_LIFE_MS 60000
#define KILL_AFTER_MS 10000 /* beyond shutdown.timeout */

typedef struct {
  guint number; /* 1 … */
  pid_t pid;    /* 0: not running */
  gboolean ready, was_ready, ended;
  gint64 started_ms, start_at_ms; /* when it is to be started; 0 never */
  gint64 sign_ms;                 /* newest sign for the watchdog */
  gint64 backoff_ms;
} Worker;

typedef struct {
  ChDaemon *daemon;
  char **argv;
  Worker *workers;
  guint n;
  char *id, *state_dir;
  int signals, notify;
  char address[64]; /* of @notify, with an @ for the NUL */
  char *manager;    /* $NOTIFY_SOCKET of the service manager; nullable */
  gint64 watchdog_ms;
  gboolean announced, stopping;
  gint64 kill_at_ms;
  guint rolling; /* worker being restarted by SIGUSR2, 0 none */
  int exit_status;
} Crew;

static gint64 now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

/* ---- making a worker ---- */

static void add_setting (GPtrArray *argv, const char *name, const char *value)
{
  g_ptr_array_add (argv, g_strdup ("--set"));
  g_ptr_array_add (argv, g_strconcat (name, "=", value, NULL));
}

/* What was given to this process, and what makes an instance of its own of it. */
static char **worker_argv (const Crew *crew, const Worker *worker)
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
  g_ptr_array_add (argv, NULL);
  return (char **) g_ptr_array_free (argv, FALSE);
}

static void run_worker (char **argv, pid_t parent)
{
  sigset_t none;
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  prctl (PR_SET_PDEATHSIG, SIGTERM); /* none is left behind */
  if (getppid () != parent)
    _exit (1);
  execv ("/proc/self/exe", argv);
  _exit (127);
}

static void start_worker (Crew *crew, Worker *worker)
{
  g_auto (GStrv) argv = worker_argv (crew, worker);
  pid_t parent = getpid ();

  worker->start_at_ms = 0;
  worker->ready = FALSE;
  worker->started_ms = worker->sign_ms = now_ms ();
  worker->pid = fork ();
  if (worker->pid == 0)
    run_worker (argv, parent);
  if (worker->pid < 0) {
    g_printerr ("chargehostd: no process for worker %u: %s\n", worker->number,
                g_strerror (errno));
    worker->pid = 0;
    worker->start_at_ms = now_ms () + BACKOFF_MAX_MS;
  }
}

/* ---- the service manager ---- */

static void tell_manager (const Crew *crew, const char *text)
{
  if (crew->manager != NULL)
    g_setenv ("NOTIFY_SOCKET", crew->manager, TRUE);
  else
    g_unsetenv ("NOTIFY_SOCKET");
  ch_notify ("%s", text);
  g_setenv ("NOTIFY_SOCKET", crew->address, TRUE); /* what the workers get */
}

static gboolean open_notify (Crew *crew)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int one = 1;

  crew->manager = g_strdup (g_getenv ("NOTIFY_SOCKET"));
  const char *watchdog = g_getenv ("WATCHDOG_USEC");
  if (watchdog != NULL)
    crew->watchdog_ms = g_ascii_strtoll (watchdog, NULL, 10) / 1000;
  g_unsetenv ("WATCHDOG_PID"); /* the workers feed this process */
  crew->notify = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (crew->notify < 0)
    return FALSE;
  setsockopt (crew->notify, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  g_snprintf (crew->address, sizeof crew->address, "@chargehost-workers-%d",
              (int) getpid ());
  gsize size = strlen (crew->address);
  memcpy (address.sun_path, crew->address, size);
  address.sun_path[0] = '\0';
  g_setenv ("NOTIFY_SOCKET", crew->address, TRUE);
  return bind (crew->notify, (struct sockaddr *) &address,
               (socklen_t) (G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + size))
         == 0;
}

static Worker *worker_of (Crew *crew, pid_t pid)
{
  for (guint i = 0; i < crew->n; i++)
    if (crew->workers[i].pid == pid && pid > 0)
      return &crew->workers[i];
  return NULL;
}

static void roll_on (Crew *crew);

static void worker_ready (Crew *crew, Worker *worker)
{
  guint ready = 0;

  worker->ready = worker->was_ready = TRUE;
  for (guint i = 0; i < crew->n; i++)
    ready += crew->workers[i].ready ? 1 : 0;
  if (ready == crew->n && !crew->announced) {
    crew->announced = TRUE;
    g_autofree char *text
        = g_strdup_printf ("READY=1\nSTATUS=%u workers, %s-1 …", crew->n, crew->id);
    tell_manager (crew, text);
    g_printerr ("chargehostd: %u workers ready\n", crew->n);
  }
  if (crew->rolling == worker->number)
    roll_on (crew);
}

static pid_t sender_of (struct msghdr *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL;
       c = CMSG_NXTHDR (message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
      struct ucred who;
      memcpy (&who, CMSG_DATA (c), sizeof who);
      return who.pid;
    }
  return 0;
}

static void read_notify (Crew *crew)
{
  char text[4096];
  union {
    char bytes[CMSG_SPACE (sizeof (struct ucred))];
    struct cmsghdr align;
  } control;
  struct iovec part = {text, sizeof text - 1};

  for (;;) {
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    gssize n = recvmsg (crew->notify, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
      return;
    text[n] = '\0';
    Worker *worker = worker_of (crew, sender_of (&message));
    if (worker == NULL)
      continue;
    worker->sign_ms = now_ms ();
    if (strstr (text, "READY=1") != NULL && !worker->ready)
      worker_ready (crew, worker);
  }
}

/* A worker that gives no sign is ended, with a core dump if there are such. */
static void watch (Crew *crew)
{
  if (crew->watchdog_ms == 0 || crew->stopping)
    return;
  for (guint i = 0; i < crew->n; i++) {
    Worker *worker = &crew->workers[i];
    if (worker->pid > 0 && worker->ready
        && now_ms () - worker->sign_ms > crew->watchdog_ms) {
      g_printerr ("chargehostd: worker %u gives no sign of life\n", worker->number);
      kill (worker->pid, SIGABRT);
      worker->ready = FALSE;
    }
  }
  tell_manager (crew, "WATCHDOG=1");
}

/* ---- ends ---- */

static void signal_all (Crew *crew, int number)
{
  for (guint i = 0; i < crew->n; i++) {
    crew->workers[i].start_at_ms = 0;
    if (crew->workers[i].pid > 0)
      kill (crew->workers[i].pid, number);
  }
}

static void stop_all (Crew *crew)
{
  ChConfig *config = crew->daemon->services.config;
  if (!crew->stopping)
    tell_manager (crew, "STOPPING=1");
  crew->stopping = TRUE;
  crew->rolling = 0;
  crew->kill_at_ms = now_ms () + ch_config_get_duration_ms (config, "shutdown.timeout")
                     + KILL_AFTER_MS;
  signal_all (crew, SIGTERM);
}

/* The next of a rolling restart. */
static void roll_on (Crew *crew)
{
  while (crew->rolling < crew->n) {
    Worker *worker = &crew->workers[crew->rolling++];
    if (worker->pid > 0) {
      kill (worker->pid, SIGTERM);
      return;
    }
  }
  crew->rolling = 0;
  g_printerr ("chargehostd: all workers restarted\n");
}

static void worker_ended (Crew *crew, Worker *worker, int status)
{
  gboolean good = WIFEXITED (status) && WEXITSTATUS (status) == 0;
  gint64 lived_ms = now_ms () - worker->started_ms;

  worker->pid = 0;
  worker->ready = FALSE;
  if (crew->stopping) {
    if (!good)
      crew->exit_status = 1;
    return;
  }
  if (crew->rolling == worker->number) {
    start_worker (crew, worker);
    return;
  }
  if (good) { /* somebody asked it to */
    worker->ended = TRUE;
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
  worker->start_at_ms = now_ms () + worker->backoff_ms;
  g_printerr ("chargehostd: worker %u ended by %s %d, starting it again in %d ms\n",
              worker->number, WIFSIGNALED (status) ? "signal" : "status",
              WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status),
              (int) worker->backoff_ms);
}

static void reap (Crew *crew)
{
  int status;
  pid_t pid;
  while ((pid = waitpid (-1, &status, WNOHANG)) > 0) {
    Worker *worker = worker_of (crew, pid);
    if (worker != NULL)
      worker_ended (crew, worker, status);
  }
}

static void read_signals (Crew *crew)
{
  struct signalfd_siginfo info;

  while (read (crew->signals, &info, sizeof info) == (gssize) sizeof info) {
    switch (info.ssi_signo) {
    case SIGTERM:
    case SIGINT:
      stop_all (crew);
      break;
    case SIGHUP:
      signal_all (crew, SIGHUP);
      break;
    case SIGUSR2:
      if (!crew->stopping && crew->rolling == 0)
        roll_on (crew);
      break;
    default:
      reap (crew);
    }
  }
}

static gboolean is_over (const Crew *crew)
{
  for (guint i = 0; i < crew->n; i++) {
    const Worker *worker = &crew->workers[i];
    if (worker->pid > 0 || (!crew->stopping && !worker->ended))
      return FALSE;
  }
  return TRUE;
}

static void start_due (Crew *crew)
{
  for (guint i = 0; i < crew->n; i++) {
    Worker *worker = &crew->workers[i];
    if (!crew->stopping && worker->start_at_ms != 0 && now_ms () >= worker->start_at_ms)
      start_worker (crew, worker);
  }
  if (crew->stopping && now_ms () >= crew->kill_at_ms)
    signal_all (crew, SIGKILL);
}

static void run (Crew *crew)
{
  struct pollfd fds[2] = {{crew->signals, POLLIN, 0}, {crew->notify, POLLIN, 0}};
  gint64 step_ms
      = crew->watchdog_ms > 0 ? CLAMP (crew->watchdog_ms / 4, 100, 1000) : 1000;

  for (guint i = 0; i < crew->n; i++)
    start_worker (crew, &crew->workers[i]);
  while (!is_over (crew)) {
    if (poll (fds, G_N_ELEMENTS (fds), (int) step_ms) < 0 && errno != EINTR)
      break;
    read_notify (crew);
    read_signals (crew);
    start_due (crew);
    watch (crew);
  }
}

/* ---- the door ---- */

static gboolean check_plugins (ChDaemon *daemon, GError **error)
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

static gboolean open_signals (Crew *crew)
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
  Crew crew = {.daemon = daemon,
               .argv = argv,
               .n = (guint) daemon->options.workers,
               .signals = -1,
               .notify = -1};

  if (!ch_config_resolve (config, everything, error) || !check_plugins (daemon, error))
    return 1;
  crew.id = base_id (daemon);
  crew.state_dir = g_strdup (ch_config_get_string (config, "app.state_dir"));
  crew.workers = g_new0 (Worker, crew.n);
  for (guint i = 0; i < crew.n; i++)
    crew.workers[i].number = i + 1;
  if (open_signals (&crew) && open_notify (&crew)) {
    run (&crew);
  } else {
    g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_IO, "no workers: %s",
                 g_strerror (errno));
    crew.exit_status = 1;
  }
  if (crew.signals >= 0)
    close (crew.signals);
  if (crew.notify >= 0)
    close (crew.notify);
  g_free (crew.workers);
  g_free (crew.id);
  g_free (crew.state_dir);
  g_free (crew.manager);
  return crew.exit_status;
}
