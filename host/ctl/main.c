/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ch-build.h"
#include "ctl/ctl.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

/* "devices show" is one of "devices". */
static gboolean is_in_group (const CtlCommand *command, const char *group)
{
  gsize n = strlen (group);
  return n > 0 && strncmp (command->words, group, n) == 0
         && (command->words[n] == ' ' || command->words[n] == '\0');
}

/* One line of the overview, or two when it is long. */
static void print_command (const CtlCommand *c)
{
  g_autofree char *call = g_strjoin (" ", c->words, c->args, c->hint, NULL);
  g_auto (GStrv) parts = g_strsplit (call, " ", -1);
  g_autoptr (GString) line = g_string_new (NULL);
  for (char **part = parts; *part != NULL; part++)
    if (**part != '\0')
      g_string_append_printf (line, "%s%s", line->len > 0 ? " " : "", *part);
  if (g_utf8_strlen (line->str, -1) > 34)
    ctl_print ("  %s\n  %-34s  %s\n", line->str, "", c->summary);
  else
    ctl_print ("  %s%*s  %s\n", line->str, (int) (34 - g_utf8_strlen (line->str, -1)), "",
               c->summary);
}

/* @group (nullable): only "devices …" */
static void print_help (const char *group)
{
  ctl_print ("Usage: chargehostctl [--json] [--bus BUS] [--instance ID] COMMAND …\n\n"
             "Looks after a running chargehostd.\n\nCommands:\n");
  for (const CtlCommand *c = ctl_commands; c->words != NULL; c++)
    if (group == NULL || is_in_group (c, group))
      print_command (c);
  ctl_print (
      "\nOptions:\n"
      "  --json      answers as JSON, for programs\n"
      "  --bus BUS   system (default), session, or an address; also in $CHARGEHOST_BUS\n"
      "  --instance ID  of several daemons the one with this server id\n"
      "  --help      this text; after a command what it takes\n"
      "  --version   the version\n\n"
      "Exit status: 0 done, 1 the daemon refused, 2 wrong use, 3 no daemon found,\n"
      "4 not allowed.\n\n"
      "For example:\n"
      "  chargehostctl devices list --online\n"
      "  chargehostctl charge start 82241218000382 --port 0 --minutes 60\n"
      "  chargehostctl monitor 'order.*'\n");
}

/* How many arguments the words of a command take; 0 when they are not these. */
static int match (const char *words, int argc, char **argv)
{
  g_auto (GStrv) parts = g_strsplit (words, " ", -1);
  int n = (int) g_strv_length (parts);
  if (argc < n)
    return 0;
  for (int i = 0; i < n; i++)
    if (!g_str_equal (parts[i], argv[i]))
      return 0;
  return n;
}

static CtlExit run (Ctl *ctl, const CtlCommand *command, int argc, char **argv)
{
  ctl->command = command;
  return command->run (ctl, argc, argv);
}

static gboolean asks_help (const char *word)
{
  return g_str_equal (word, "--help") || g_str_equal (word, "-h");
}

static CtlExit dispatch (Ctl *ctl, int argc, char **argv)
{
  gboolean is_group = FALSE;
  for (const CtlCommand *c = ctl_commands; c->words != NULL; c++) {
    int n = match (c->words, argc, argv);
    if (n > 0)
      return run (ctl, c, argc - n + 1, argv + n - 1);
    is_group |= is_in_group (c, argv[0]);
  }
  if (is_group && argc > 1 && asks_help (argv[1])) {
    print_help (argv[0]);
    return CTL_OK;
  }
  /* "devices" alone lists. */
  g_autofree char *list = g_strdup_printf ("%s list", argv[0]);
  for (const CtlCommand *c = ctl_commands; c->words != NULL; c++)
    if (g_str_equal (c->words, list) && (argc == 1 || argv[1][0] == '-'))
      return run (ctl, c, argc, argv);
  g_autofree char *said = g_strjoinv (" ", argv);
  g_printerr ("chargehostctl: there is no command '%s'; see chargehostctl%s%s --help\n",
              said, is_group ? " " : "", is_group ? argv[0] : "");
  return CTL_USAGE;
}

/* --name VALUE or --name=VALUE at argv[*i]. */
static gboolean take_value (const char *name, char **argv, int *i, int argc, char **value)
{
  gsize n = strlen (name);
  if (strncmp (argv[*i], name, n) != 0)
    return FALSE;
  if (argv[*i][n] != '=' && (argv[*i][n] != '\0' || *i + 1 >= argc))
    return FALSE;
  g_free (*value);
  *value = g_strdup (argv[*i][n] == '=' ? argv[*i] + n + 1 : argv[*i + 1]);
  *i += argv[*i][n] == '=' ? 0 : 1;
  return TRUE;
}

/* What is taken anywhere: people add it at the end. */
static int take_common (Ctl *ctl, int argc, char **argv)
{
  int kept = 0;
  gboolean taking = TRUE;
  for (int i = 0; i < argc; i++) {
    taking = taking && !g_str_equal (argv[i], "--");
    if (taking && g_str_equal (argv[i], "--json"))
      ctl->json = TRUE;
    else if (!taking
             || (!take_value ("--bus", argv, &i, argc, &ctl->bus)
                 && !take_value ("--instance", argv, &i, argc, &ctl->instance)))
      argv[kept++] = argv[i];
  }
  argv[kept] = NULL;
  return kept;
}

/* What is left before a command. */
static CtlExit take_option (const char *option)
{
  if (g_str_equal (option, "--version"))
    ctl_print ("chargehostctl %s\n", CH_VERSION);
  else if (asks_help (option))
    print_help (NULL);
  else {
    g_printerr ("chargehostctl: unknown option '%s'; see chargehostctl --help\n", option);
    return CTL_USAGE;
  }
  return CTL_OK;
}

/* A reader that has had enough is no failure; a full disk is one. */
static CtlExit finish_output (CtlExit status)
{
  errno = 0;
  if (ctl_flush () || errno == EPIPE || errno == 0)
    return status;
  g_printerr ("chargehostctl: cannot write: %s\n", g_strerror (errno));
  return status == CTL_OK ? CTL_FAILED : status;
}

/* Words go over the bus as UTF-8, whatever the locale says. */
static gboolean is_text (char **words)
{
  for (; *words != NULL; words++)
    if (!g_utf8_validate (*words, -1, NULL)) {
      g_printerr ("chargehostctl: the command line is not UTF-8\n");
      return FALSE;
    }
  return TRUE;
}

int main (int argc, char **argv)
{
  Ctl ctl = {0};
  CtlExit status = CTL_OK;
  g_autofree char **words = g_new0 (char *, (gsize) argc + 1);

  setlocale (LC_ALL, "");
  signal (SIGPIPE, SIG_IGN);
  memcpy (words, argv + 1, (gsize) MAX (argc - 1, 0) * sizeof *words);
  if (!is_text (words))
    return CTL_USAGE;
  int n = take_common (&ctl, MAX (argc - 1, 0), words);
  if (n == 0) {
    print_help (NULL);
    status = CTL_USAGE;
  } else if (words[0][0] == '-')
    status = take_option (words[0]);
  else if (g_str_equal (words[0], "help"))
    print_help (n > 1 ? words[1] : NULL);
  else
    status = dispatch (&ctl, n, words);
  status = finish_output (status);
  if (ctl.connection != NULL) {
    g_dbus_connection_close_sync (ctl.connection, NULL, NULL);
    g_object_unref (ctl.connection);
  }
  g_free (ctl.bus);
  g_free (ctl.instance);
  return (int) status;
}
