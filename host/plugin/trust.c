/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin runs with all rights of the daemon, so its file must be as safe as ours. */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <errno.h>
#include <unistd.h>

static gboolean get_stat (const char *path, struct stat *st, GError **error)
{
  if (stat (path, st) == 0)
    return TRUE;
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND, "%s: %s", path,
               g_strerror (errno));
  return FALSE;
}

gboolean ch_plugin_file_stat (const char *path, ChPluginFile *file, GError **error)
{
  struct stat st;

  if (!get_stat (path, &st, error))
    return FALSE;
  file->size = st.st_size;
  file->mtime_ns = (gint64) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
  return TRUE;
}

gboolean ch_plugin_trust_stat (const char *path, const struct stat *st, uid_t us,
                               GError **error)
{
  const char *wrong = NULL;

  if (!S_ISREG (st->st_mode))
    wrong = "is not a regular file";
  else if (st->st_uid != 0 && st->st_uid != us)
    wrong = "belongs neither to root nor to the daemon's user";
  else if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
    wrong = "may be written by its group or by others";
  if (wrong == NULL)
    return TRUE;
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_UNTRUSTED, "%s %s", path, wrong);
  return FALSE;
}

gboolean ch_plugin_trust_check (const char *path, GError **error)
{
  struct stat st;

  return get_stat (path, &st, error)
         && ch_plugin_trust_stat (path, &st, geteuid (), error);
}
