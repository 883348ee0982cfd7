/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ch-build.h"
#include "ctl/ctl.h"

#include <locale.h>
#include <string.h>

const CtlCommand ctl_commands[] = {
    {"status", "", "how the daemon is", ctl_status},
    {"devices list", "[--online] [--search TEXT]", "devices and their ports",
     ctl_devices_list},
    {"devices show", "DEVICE", "all about one device", ctl_devices_show},
    {"devices watch", "[DEVICE]", "what devices do, as it happens", ctl_devices_watch},
    {"devices reboot", "DEVICE [--force]", "restart a device", ctl_devices_reboot},
    {"devices send", "DEVICE COMMAND [JSON]", "send any command of its protocol",
     ctl_devices_send},
    {"charge start", "DEVICE --port N (--minutes N | --energy WH | --full)",
     "start a charge", ctl_charge_start},
    {"charge stop", "ORDER | DEVICE --port N", "stop a charge", ctl_charge_stop},
    {"orders list", "[--device ID] [--status NAME]", "orders, newest first",
     ctl_orders_list},
    {"orders show", "ORDER", "all about one order", ctl_orders_show},
    {"monitor", "[TOPIC]", "events as they happen: order.*, device.*, …", ctl_monitor},
    {"plugins list", "", "plugins and their states", ctl_plugins},
    {"plugins start", "NAME", "start a plugin", ctl_plugins_action},
    {"plugins stop", "NAME", "stop a plugin", ctl_plugins_action},
    {"plugins reload", "NAME", "stop and start a plugin, loading a changed file",
     ctl_plugins_action},
    {"key create", "NAME [--scopes LIST]", "make an API key for REST; it is shown once",
     ctl_key_create},
    {"config show", "[KEY]", "the configuration in force, and where it came from",
     ctl_config},
    {"reload", "", "read the configuration again", ctl_reload},
    {"log-level", "LEVEL [MODULE]", "change the level of the log", ctl_log_level},
    {"backup", "FILE", "write a consistent copy of the database", ctl_backup},
    {"drain", "on|off", "take no new devices, for maintenance", ctl_drain},
    {"shutdown", "", "end the daemon in order", ctl_shutdown},
    {"decode", "PROTOCOL HEX", "show a frame as JSON; needs no daemon", ctl_decode},
    {NULL},
};

static void print_help (void)
{
  g_print ("Usage: chargehostctl [--json] [--bus BUS] COMMAND …\n\n"
           "Looks after a running chargehostd.\n\nCommands:\n");
  for (const CtlCommand *c = ctl_commands; c->words != NULL; c++) {
    g_autofree char *call = g_strdup_printf ("%s %s", c->words, c->args);
    if (strlen (call) > 34)
      g_print ("  %s\n  %-34s  %s\n", call, "", c->summary);
    else
      g_print ("  %-34s  %s\n", call, c->summary);
  }
  g_print (
      "\nOptions:\n"
      "  --json      answers as JSON, for programs\n"
      "  --bus BUS   system (default), session, or an address; also in $CHARGEHOST_BUS\n"
      "  --help      this text; after a command its options\n"
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

static CtlExit dispatch (Ctl *ctl, int argc, char **argv)
{
  for (const CtlCommand *c = ctl_commands; c->words != NULL; c++) {
    int n = match (c->words, argc, argv);
    if (n > 0)
      return c->run (ctl, argc - n + 1, argv + n - 1);
  }
  /* "devices" alone lists. */
  for (const CtlCommand *c = ctl_commands; argc == 1 && c->words != NULL; c++)
    if (g_str_has_prefix (c->words, argv[0]) && g_str_has_suffix (c->words, " list")
        && strlen (c->words) == strlen (argv[0]) + 5)
      return c->run (ctl, 1, argv);
  g_autofree char *said = g_strjoinv (" ", argv);
  g_printerr ("chargehostctl: there is no command '%s'; see chargehostctl --help\n",
              said);
  return CTL_USAGE;
}

/* Options before the command; what follows belongs to it. */
static int take_options (Ctl *ctl, int argc, char **argv, gboolean *done, CtlExit *status)
{
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; i++) {
    if (g_str_equal (argv[i], "--json"))
      ctl->json = TRUE;
    else if (g_str_equal (argv[i], "--bus") && i + 1 < argc)
      ctl->bus = g_strdup (argv[++i]);
    else if (g_str_has_prefix (argv[i], "--bus="))
      ctl->bus = g_strdup (argv[i] + 6);
    else if (g_str_equal (argv[i], "--version")) {
      g_print ("chargehostctl %s\n", CH_VERSION);
      *done = TRUE;
    } else if (g_str_equal (argv[i], "--help") || g_str_equal (argv[i], "-h")) {
      print_help ();
      *done = TRUE;
    } else {
      g_printerr ("chargehostctl: unknown option '%s'; see chargehostctl --help\n",
                  argv[i]);
      *done = TRUE;
      *status = CTL_USAGE;
    }
    if (*done)
      break;
  }
  return i;
}

/* --json is taken anywhere: people add it at the end. */
static int drop_json (Ctl *ctl, int argc, char **argv)
{
  int kept = 0;
  for (int i = 0; i < argc; i++)
    if (g_str_equal (argv[i], "--json"))
      ctl->json = TRUE;
    else
      argv[kept++] = argv[i];
  argv[kept] = NULL;
  return kept;
}

int main (int argc, char **argv)
{
  Ctl ctl = {0};
  gboolean done = FALSE;
  CtlExit status = CTL_OK;

  setlocale (LC_ALL, "");
  int first = take_options (&ctl, argc, argv, &done, &status);
  if (!done && first >= argc) {
    print_help ();
    status = CTL_USAGE;
  } else if (!done) {
    g_autofree char **rest = g_new0 (char *, (gsize) (argc - first) + 1);
    memcpy (rest, argv + first, (gsize) (argc - first) * sizeof *rest);
    int n = drop_json (&ctl, argc - first, rest);
    status = dispatch (&ctl, n, rest);
  }
  if (ctl.connection != NULL) {
    g_dbus_connection_close_sync (ctl.connection, NULL, NULL);
    g_object_unref (ctl.connection);
  }
  g_free (ctl.bus);
  return (int) status;
}
