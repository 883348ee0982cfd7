/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash page: a file mapped into memory that holds the name of the plugin whose code
 * runs. The kernel keeps it when the process dies, whatever it died of; a clean end
 * empties it. One process per state directory: the file is locked.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_NAME "running-plugin"
#define PAGE_SIZE 4096

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
  char name[CH_RUNNER_MARK_SIZE] = "";

  *guilty = NULL;
  page->page = NULL;
  page->path = g_build_filename (state_dir, FILE_NAME, NULL);
  page->fd = open (page->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (page->fd < 0 || flock (page->fd, LOCK_EX | LOCK_NB) != 0)
    return fail (page, error);
  if (pread (page->fd, name, sizeof name - 1, 0) < 0 || ftruncate (page->fd, 0) != 0
      || ftruncate (page->fd, PAGE_SIZE) != 0)
    return fail (page, error);
  void *map = mmap (NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
  if (map == MAP_FAILED)
    return fail (page, error);
  page->page = map;
  if (ch_plugin_name_is_valid (name))
    *guilty = g_strdup (name);
  return TRUE;
}

void ch_plugin_page_close (ChPluginPage *page)
{
  if (page->page == NULL)
    return;
  page->page[0] = '\0';
  munmap (page->page, PAGE_SIZE);
  page->page = NULL;
  close (page->fd);
  g_clear_pointer (&page->path, g_free);
}
