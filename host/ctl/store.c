/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands about the database and the kv. What needs a daemon that does not run is done
 * by chargehostd itself, which reads the configuration and knows the drivers.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Beside this program, as installed; one folder up, as built; else by $PATH. */
static char *find_daemon (void)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = self != NULL ? g_path_get_dirname (self) : NULL;
  static const char *const places[] = {"chargehostd", "../chargehostd"};

  for (guint i = 0; folder != NULL && i < G_N_ELEMENTS (places); i++) {
    g_autofree char *path = g_build_filename (folder, places[i], NULL);
    if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE)
        && !g_file_test (path, G_FILE_TEST_IS_DIR))
      return g_steal_pointer (&path);
  }
  return g_find_program_in_path ("chargehostd");
}

/* Becomes chargehostd; only comes back when that is not possible. */
static CtlExit become_daemon (Ctl *ctl, GPtrArray *words, const char *config,
                              char **assignments)
{
  g_autofree char *daemon = find_daemon ();

  if (ctl->json)
    return ctl_misuse (ctl, "there is no --json here");
  if (daemon == NULL) {
    g_printerr ("chargehostctl: chargehostd is not installed here\n");
    return CTL_FAILED;
  }
  g_ptr_array_insert (words, 0, daemon);
  if (config != NULL) {
    g_ptr_array_add (words, (char *) "--config");
    g_ptr_array_add (words, (char *) config);
  }
  for (char **a = assignments; a != NULL && *a != NULL; a++) {
    g_ptr_array_add (words, (char *) "--set");
    g_ptr_array_add (words, *a);
  }
  g_ptr_array_add (words, NULL);
  ctl_flush ();
  execv (daemon, (char **) words->pdata);
  g_printerr ("chargehostctl: %s: %s\n", daemon, g_strerror (errno));
  return CTL_FAILED;
}

CtlExit ctl_store_migrate (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *config = NULL;
  g_auto (GStrv) assignments = NULL;
  gboolean check = FALSE, fresh = FALSE;
  GOptionEntry entries[] = {
      {"check", 0, 0, G_OPTION_ARG_NONE, &check, "Only say whether something is missing",
       NULL},
      {"new-database", 0, 0, G_OPTION_ARG_NONE, &fresh,
       "Begin an empty database although there was another: its orders are given up",
       NULL},
      {"config", 0, 0, G_OPTION_ARG_FILENAME, &config,
       "The daemon's configuration file, when it is not the usual one", "FILE"},
      {"set", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &assignments,
       "Another value of one key; may be repeated", "KEY=VALUE"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  if (status != CTL_OK)
    return status;
  g_ptr_array_add (words, (char *) (check ? "--migrate-check" : "--migrate-only"));
  if (fresh)
    g_ptr_array_add (words, (char *) "--new-database");
  return become_daemon (ctl, words, config, assignments);
}

CtlExit ctl_store_copy (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *config = NULL, *from = NULL;
  g_auto (GStrv) assignments = NULL;
  gboolean replace = FALSE;
  GOptionEntry entries[] = {
      {"from", 0, 0, G_OPTION_ARG_FILENAME, &from,
       "Copy this database, not the one of the configuration", "DSN"},
      {"replace", 0, 0, G_OPTION_ARG_NONE, &replace,
       "Delete what is in the target before", NULL},
      {"config", 0, 0, G_OPTION_ARG_FILENAME, &config,
       "The daemon's configuration file, when it is not the usual one", "FILE"},
      {"set", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &assignments,
       "Another value of one key; may be repeated", "KEY=VALUE"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  if (status != CTL_OK)
    return status;
  g_ptr_array_add (words, (char *) "--copy-store");
  g_ptr_array_add (words, argv[1]);
  if (from != NULL) {
    g_ptr_array_add (words, (char *) "--copy-from");
    g_ptr_array_add (words, from);
  }
  if (replace)
    g_ptr_array_add (words, (char *) "--copy-replace");
  return become_daemon (ctl, words, config, assignments);
}
