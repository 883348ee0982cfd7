/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state directory remembers that it has worked with a database. When that one is
 * found empty it was lost, or another was configured by mistake: to begin anew without
 * a word would hide that orders are missing.
 */
#include "daemon/daemon.h"
#include "store/store.h"
#include <chargehost/clock.h>
#include <chargehost/log.h>

static char *path_of (ChDaemon *daemon)
{
  return g_build_filename (daemon->state_dir, "database-in-use", NULL);
}

void ch_daemon_expect_database (ChDaemon *daemon)
{
  g_autofree char *path = path_of (daemon), *text = NULL;

  if (daemon->options.new_database || !g_file_get_contents (path, &text, NULL, NULL))
    return;
  g_autofree char *reason = g_strdup_printf (
      "the database is empty, but this state directory has worked with one (%s: %s): "
      "bring that one back, or accept the loss with 'chargehostctl store migrate "
      "--new-database'",
      path, g_strstrip (text));
  ch_store_expect_tables (daemon->services.store, reason);
}

void ch_daemon_remember_database (ChDaemon *daemon)
{
  g_autofree char *path = path_of (daemon);
  g_autoptr (GError) error = NULL;

  if (!daemon->options.new_database && g_file_test (path, G_FILE_TEST_EXISTS))
    return;
  char since[CH_TIME_TEXT_SIZE];
  g_autofree char *text
      = g_strdup_printf ("%s since %s\n", ch_store_driver_name (daemon->services.store),
                         ch_format_time (ch_wall_ms (daemon->self), since));
  if (!g_file_set_contents_full (
          path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
          0600, &error))
    ch_warning (daemon->self, "a loss of the database would not be noticed: %s",
                error->message);
}
