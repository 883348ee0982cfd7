/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that are one call of the method that the table of commands names. */
#include "ctl/ctl.h"

/* NULL: the daemon itself. */
static const char *name_of (const Ctl *ctl, char **argv)
{
  return ctl->command->kind >= CTL_DEVICE ? argv[1] : NULL;
}

CtlExit ctl_ask (Ctl *ctl, int argc, char **argv)
{
  const CtlCommand *command = ctl->command;
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return ctl_print_call (ctl, command->kind, name_of (ctl, argv), command->method, NULL);
}

CtlExit ctl_tell (Ctl *ctl, int argc, char **argv)
{
  const CtlCommand *command = ctl->command;
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return ctl_plain_call (ctl, command->kind, name_of (ctl, argv), command->method, NULL);
}

CtlExit ctl_ask_with_word (Ctl *ctl, int argc, char **argv)
{
  const CtlCommand *command = ctl->command;
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return ctl_print_call (ctl, command->kind, NULL, command->method,
                         g_variant_new ("(s)", argv[1]));
}

CtlExit ctl_ask_with_reason (Ctl *ctl, int argc, char **argv)
{
  const CtlCommand *command = ctl->command;
  g_autofree char *reason = NULL;
  GOptionEntry entries[] = {
      {"reason", 0, 0, G_OPTION_ARG_FILENAME, &reason, "For the record", "TEXT"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  return ctl_print_call (ctl, command->kind, name_of (ctl, argv), command->method,
                         g_variant_new ("(s)", reason != NULL ? reason : ""));
}
