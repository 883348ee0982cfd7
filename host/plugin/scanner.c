/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first look at a file: a child loads it and says over a pipe what it found, one
 * line of JSON. A child that dies or is silent has met a file that would have taken the
 * daemon with it. Blocks for the time of one dlopen, at most SCAN_TIMEOUT_MS.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCAN_TIMEOUT_MS 5000
#define MAX_VERDICT 4096

/* Collects what the child says until it is gone, says too much, or time is up. */
static gboolean collect (int fd, GString *text)
{
  gint64 deadline = g_get_monotonic_time () + SCAN_TIMEOUT_MS * 1000;

  for (;;) {
    gint64 left_ms = (deadline - g_get_monotonic_time ()) / 1000;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char buffer[512];
    if (left_ms <= 0)
      return FALSE;
    int ready = poll (&wait, 1, (int) left_ms);
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      return FALSE;
    ssize_t got = read (fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return TRUE;
    g_string_append_len (text, buffer, got);
    if (text->len > MAX_VERDICT)
      return TRUE;
  }
}

static int reap (pid_t child)
{
  int status = 0;

  while (waitpid (child, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return status;
}

/* A line `{"ok":true}` or `{"ok":false,"code":7,"message":"…"}`. */
static gboolean read_verdict (const char *path, const GString *text, GError **error)
{
  json_t *verdict = json_loadb (text->str, text->len, 0, NULL);
  const char *message = json_string_value (json_object_get (verdict, "message"));
  json_int_t code = json_integer_value (json_object_get (verdict, "code"));
  gboolean ok = json_is_true (json_object_get (verdict, "ok"));

  if (!ok && code > CH_PLUGIN_ERROR_FAILED && code <= CH_PLUGIN_ERROR_CRASHED
      && message != NULL)
    g_set_error (error, CH_PLUGIN_ERROR, (int) code, "%s", message);
  else if (!ok)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_CRASHED,
                 "%s ended the program that loaded it", path);
  json_decref (verdict);
  return ok;
}

static gboolean judge (const char *path, pid_t child, int fd, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean in_time = collect (fd, text);

  /* Gone already when its end of the pipe is closed; then this does nothing. */
  (void) kill (child, SIGKILL);
  int status = reap (child);
  if (!in_time)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_CRASHED,
                 "%s did not finish loading within %d s", path, SCAN_TIMEOUT_MS / 1000);
  else if (text->len == 0 && status != -1 && WIFSIGNALED (status))
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_CRASHED,
                 "%s crashed when it was loaded (signal %d, %s)", path, WTERMSIG (status),
                 g_strsignal (WTERMSIG (status)));
  else
    return read_verdict (path, text, error);
  return FALSE;
}

static const char *scanner_program (void)
{
  const char *test = g_getenv ("CHARGEHOST_TEST_SCANNER");
  return test != NULL ? test : CH_PLUGIN_SCANNER;
}

gboolean ch_plugin_scanner_run (const char *path, const char *name, GError **error)
{
  const char *program = scanner_program ();
  char *argv[] = {(char *) program, (char *) path, (char *) name, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  int ends[2];
  pid_t child;

  if (pipe2 (ends, O_CLOEXEC) != 0) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "no pipe: %s",
                 g_strerror (errno));
    return FALSE;
  }
  sigemptyset (&none);
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen (&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2 (&actions, ends[1], 3);
  posix_spawnattr_init (&attributes);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETSIGMASK);
  int failed = posix_spawn (&child, program, &actions, &attributes, argv, environ);
  posix_spawnattr_destroy (&attributes);
  posix_spawn_file_actions_destroy (&actions);
  close (ends[1]);

  gboolean ok = TRUE;
  if (failed != 0)
    ch_warning (NULL, "%s cannot be run (%s): %s is loaded without a look at it first",
                program, g_strerror (failed), path);
  else
    ok = judge (path, child, ends[0], error);
  close (ends[0]);
  return ok;
}
