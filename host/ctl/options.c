/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

CtlExit ctl_options (GOptionEntry *entries, int *argc, char ***argv, int want,
                     const char *usage)
{
  static GOptionEntry none[] = {{NULL}};
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries != NULL ? entries : none, NULL);
  if (!g_option_context_parse (context, argc, argv, &error)) {
    g_printerr ("chargehostctl %s: %s\n", (*argv)[0], error->message);
    return CTL_USAGE;
  }
  if (*argc - 1 < want) {
    g_printerr ("chargehostctl %s: something is missing: %s\n", (*argv)[0], usage);
    return CTL_USAGE;
  }
  return CTL_OK;
}
