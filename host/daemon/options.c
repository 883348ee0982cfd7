/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ch-build.h"
#include "daemon/daemon.h"

#include <glib/gi18n.h>

gboolean ch_options_parse (ChOptions *options, int *argc, char ***argv, int *exit_status)
{
  const GOptionEntry entries[] = {
      {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_path,
       "Configuration file (default " CH_SYSCONF_DIR
       "/chargehost.yaml, when it is there)",
       "FILE"},
      {"set", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->assignments,
       "Set one key, stronger than all files; may be repeated", "KEY=VALUE"},
      {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check_config,
       "Check the configuration and end", NULL},
      {"print-config", 0, 0, G_OPTION_ARG_NONE, &options->print_config,
       "Print a commented configuration with all defaults and end", NULL},
      {"describe-config", 0, 0, G_OPTION_ARG_NONE, &options->describe_config,
       "Print every key with type, default and meaning as JSON and end", NULL},
      {"migrate-only", 0, 0, G_OPTION_ARG_NONE, &options->migrate_only,
       "Bring the database to this version's tables and end", NULL},
      {"migrate-check", 0, 0, G_OPTION_ARG_NONE, &options->migrate_check,
       "Check that the database has this version's tables and end", NULL},
      {"new-database", 0, 0, G_OPTION_ARG_NONE, &options->new_database,
       "Accept an empty database although the state directory has worked with one", NULL},
      {"copy-store", 0, 0, G_OPTION_ARG_FILENAME, &options->copy_to,
       "Copy the database to an empty one of another kind and end; no daemon may run",
       "DSN"},
      {"copy-from", 0, 0, G_OPTION_ARG_FILENAME, &options->copy_from,
       "Copy this one instead of the configured database", "DSN"},
      {"copy-replace", 0, 0, G_OPTION_ARG_NONE, &options->copy_replace,
       "Delete what is in the target of the copy before", NULL},
      {"create-key", 0, 0, G_OPTION_ARG_FILENAME, &options->key_name,
       "Make an API key, print it once and end; for a daemon that is not running",
       "NAME"},
      {"scopes", 0, 0, G_OPTION_ARG_STRING, &options->key_scopes,
       "Scopes of that key (default read,control)", "LIST"},
      {"workers", 0, 0, G_OPTION_ARG_INT, &options->workers,
       "Run N instances that share the ports; needs PostgreSQL and Redis", "N"},
      {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and end",
       NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- the charging host");
  g_autoptr (GError) error = NULL;

  /* Values are UTF-8 in every locale: a unit has none, and GLib would refuse them. */
  for (int i = 1; i < *argc; i++)
    if (!g_utf8_validate ((*argv)[i], -1, NULL)) {
      g_printerr ("chargehostd: the command line is not UTF-8\n");
      *exit_status = 2;
      return FALSE;
    }
  g_option_context_set_summary (
      context, "Runs fleets of charging piles, EV chargers, meters and energy devices.");
  g_option_context_set_description (
      context, "Without a configuration it keeps its data in SQLite below app.state_dir, "
               "listens for devices on\nport 7000 and for REST on port 8080. "
               "chargehostctl talks to it.\n");
  g_option_context_add_main_entries (context, entries, NULL);
  *exit_status = 0;
  if (!g_option_context_parse (context, argc, argv, &error)) {
    g_printerr ("chargehostd: %s\n", error->message);
    *exit_status = 2;
    return FALSE;
  }
  if (*argc > 1) {
    g_printerr ("chargehostd: unexpected argument '%s'; see chargehostd --help\n",
                (*argv)[1]);
    *exit_status = 2;
    return FALSE;
  }
  if (options->workers < 0 || options->workers > 64) {
    g_printerr ("chargehostd: --workers takes 1 to 64\n");
    *exit_status = 2;
    return FALSE;
  }
  if (options->version) {
    g_print ("chargehostd %s (%s)\n", CH_VERSION, CH_COMMIT);
    return FALSE;
  }
  return TRUE;
}

void ch_options_clear (ChOptions *options)
{
  g_free (options->config_path);
  g_strfreev (options->assignments);
  g_free (options->key_name);
  g_free (options->key_scopes);
  g_free (options->copy_to);
  g_free (options->copy_from);
}
