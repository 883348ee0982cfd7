/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of one command. */
#include "ctl/ctl.h"

#include <string.h>

CtlExit ctl_misuse (Ctl *ctl, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("chargehostctl %s: %s; see chargehostctl %s --help\n", ctl->command->words,
              message, ctl->command->words);
  return CTL_USAGE;
}

/* "DEVICE COMMAND [JSON]": how many must be there; "HEX…" takes all that follow. */
static CtlExit check_count (Ctl *ctl, int given)
{
  g_auto (GStrv) names = g_strsplit (ctl->command->args, " ", -1);
  gboolean more = strstr (ctl->command->args, "…") != NULL;
  int at = 0;

  for (char **name = names; *name != NULL && **name != '\0'; name++, at++)
    if (at >= given && (*name)[0] != '[')
      return ctl_misuse (ctl, "%s is missing", *name);
  return given > at && !more ? ctl_misuse (ctl, "too many words") : CTL_OK;
}

CtlExit ctl_options (Ctl *ctl, GOptionEntry *entries, int *argc, char ***argv)
{
  static GOptionEntry none[] = {{NULL}};
  g_autoptr (GOptionContext) context = g_option_context_new (ctl->command->args);
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strdup_printf ("chargehostctl %s", ctl->command->words);
  g_autofree char *summary = g_strdup_printf (
      "%c%s.", g_ascii_toupper (ctl->command->summary[0]), ctl->command->summary + 1);

  g_set_prgname (name);
  g_option_context_set_summary (context, summary);
  g_option_context_set_description (
      context,
      "--json, --bus BUS and --instance ID serve here too; see chargehostctl --help.\n");
  g_option_context_add_main_entries (context, entries != NULL ? entries : none, NULL);
  if (!g_option_context_parse (context, argc, argv, &error))
    return ctl_misuse (ctl, "%s", error->message);
  if (*argc > 1 && g_str_equal ((*argv)[1], "--")) { /* the words after it may begin so */
    memmove (*argv + 1, *argv + 2, (gsize) (*argc - 1) * sizeof **argv);
    *argc -= 1;
  }
  return check_count (ctl, *argc - 1);
}
