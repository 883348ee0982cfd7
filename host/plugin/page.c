/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash page: a file mapped into memory that holds the name of the plugin whose code
 * runs, and a mark that a signal of a fault sets. The kernel keeps both when the process
 * dies; a clean end empties them. Without the mark it was killed from outside (SIGKILL,
 * no memory, no power), which is no plugin's fault. One process per state directory: the
 * file is locked.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_NAME "running-plugin"
#define PAGE_SIZE 4096
#define MARK_AT (PAGE_SIZE - 1)
#define MARK 'X'

static const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

/* A signal handler gets no argument of ours: the one place for what it must reach. */
static char *crash_mark;
static struct sigaction handlers_before[G_N_ELEMENTS (FAULTS)];

/* Marks, then lets happen what would have happened. */
static void on_fault (int number, siginfo_t *info, void *context)
{
  if (crash_mark != NULL)
    *crash_mark = MARK;
  for (guint i = 0; i < G_N_ELEMENTS (FAULTS); i++)
    if (FAULTS[i] == number)
      sigaction (number, &handlers_before[i], NULL);
  if (info->si_code <= 0) /* sent, not caused by the instruction that now comes again */
    raise (number);
}

static void watch_faults (char *mark)
{
  struct sigaction action
      = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset (&action.sa_mask);
  crash_mark = mark;
  for (guint i = 0; i < G_N_ELEMENTS (FAULTS); i++)
    sigaction (FAULTS[i], &action, &handlers_before[i]);
}

static void unwatch_faults (void)
{
  crash_mark = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (FAULTS); i++)
    sigaction (FAULTS[i], &handlers_before[i], NULL);
}

static gboolean fail (ChPluginPage *page, GError **error)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "%s: %s", page->path,
               errno == EWOULDBLOCK ? "another process uses it" : g_strerror (errno));
  if (page->fd >= 0)
    close (page->fd);
  page->fd = -1;
  g_clear_pointer (&page->path, g_free);
  return FALSE;
}

gboolean ch_plugin_page_open (ChPluginPage *page, const char *state_dir, char **guilty,
                              GError **error)
{
  char name[CH_RUNNER_MARK_SIZE] = "", mark = 0;

  *guilty = NULL;
  page->page = NULL;
  page->path = g_build_filename (state_dir, FILE_NAME, NULL);
  page->fd = open (page->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (page->fd < 0 || flock (page->fd, LOCK_EX | LOCK_NB) != 0)
    return fail (page, error);
  if (pread (page->fd, name, sizeof name - 1, 0) < 0
      || pread (page->fd, &mark, 1, MARK_AT) < 0 || ftruncate (page->fd, 0) != 0
      || ftruncate (page->fd, PAGE_SIZE) != 0)
    return fail (page, error);
  void *map = mmap (NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
  if (map == MAP_FAILED)
    return fail (page, error);
  page->page = map;
  watch_faults (page->page + MARK_AT);
  if (mark == MARK && ch_plugin_name_is_valid (name))
    *guilty = g_strdup (name);
  return TRUE;
}

void ch_plugin_page_close (ChPluginPage *page)
{
  if (page->page == NULL)
    return;
  unwatch_faults ();
  page->page[0] = '\0';
  page->page[MARK_AT] = '\0';
  munmap (page->page, PAGE_SIZE);
  page->page = NULL;
  close (page->fd);
  g_clear_pointer (&page->path, g_free);
}
