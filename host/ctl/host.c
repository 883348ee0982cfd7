/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about the daemon as a whole. */
#include "ctl/ctl.h"

#include <string.h>

CtlExit ctl_status (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  json_t *object = ctl_properties (ctl, CTL_HOST, NULL, &status);
  json_t *counts = object != NULL ? ctl_json_call (ctl, CTL_HOST, NULL, "GetStatistics",
                                                   NULL, &status)
                                  : NULL;
  if (counts != NULL) {
    json_object_set (object, "statistics", counts);
    ctl_print_object (ctl, object);
  }
  json_decref (counts);
  json_decref (object);
  return status;
}

CtlExit ctl_drain (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (!g_str_equal (argv[1], "on") && !g_str_equal (argv[1], "off"))
    return ctl_misuse (ctl, "'%s' is neither on nor off", argv[1]);
  return ctl_plain_call (ctl, CTL_HOST, NULL, "Drain",
                         g_variant_new ("(b)", g_str_equal (argv[1], "on")));
}

/* error, warning, notice, info, debug, trace; "default" is as configured */
CtlExit ctl_log_level (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  const char *level = g_str_equal (argv[1], "default") ? "" : argv[1];
  return ctl_plain_call (ctl, CTL_HOST, NULL, "SetLogLevel",
                         g_variant_new ("(ss)", argc > 2 ? argv[2] : "", level));
}

CtlExit ctl_backup (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  g_autofree char *path = g_canonicalize_filename (argv[1], NULL);
  g_autoptr (GVariant) answer = ctl_call (ctl, CTL_HOST, NULL, "BackupStore",
                                          g_variant_new ("(s)", path), NULL, &status);
  if (answer == NULL)
    return status;
  if (ctl->json) {
    json_t *object = json_pack ("{s:s}", "path", path);
    ctl_print_json (object);
    json_decref (object);
  } else
    ctl_print ("%s\n", path);
  return CTL_OK;
}

/* ---- configuration ---- */

/* @wanted (nullable): a key, or a section: all that begins so */
static gboolean is_wanted (const char *key, const json_t *entry, const char *wanted,
                           gboolean only_changed)
{
  if (only_changed && g_str_equal (ctl_text (entry, "source"), "default"))
    return FALSE;
  if (wanted == NULL || g_str_equal (key, wanted))
    return TRUE;
  gsize n = strlen (wanted);
  return strncmp (key, wanted, n) == 0 && (key[n] == '.' || wanted[n - 1] == '.');
}

static void config_row (CtlTable *table, const char *key, const json_t *entry)
{
  const json_t *value = json_object_get (entry, "value");
  g_autofree char *text = json_is_string (value) ? g_strdup (json_string_value (value))
                                                 : json_dumps (value, JSON_ENCODE_ANY);
  ctl_table_row (table, key, text, ctl_text (entry, "source"), NULL);
}

static CtlExit print_config (Ctl *ctl, json_t *config, const char *wanted,
                             gboolean only_changed)
{
  const char *key;
  json_t *entry, *shown = json_object ();

  json_object_foreach (config, key,
                       entry) if (is_wanted (key, entry, wanted, only_changed))
      json_object_set (shown, key, entry);
  gboolean none = wanted != NULL && json_object_size (shown) == 0;
  if (none)
    g_printerr ("chargehostctl: there is no key or section '%s'%s\n", wanted,
                only_changed ? " with another value than its default" : "");
  else if (ctl->json)
    ctl_print_json (shown);
  else {
    CtlTable *table
        = ctl_table_new ((const char *const[]) {"KEY", "VALUE", "FROM", NULL});
    json_object_foreach (shown, key, entry) config_row (table, key, entry);
    ctl_table_print (table);
  }
  json_decref (shown);
  return none ? CTL_FAILED : CTL_OK;
}

CtlExit ctl_config (Ctl *ctl, int argc, char **argv)
{
  gboolean only_changed = FALSE;
  GOptionEntry entries[] = {
      {"changed", 0, 0, G_OPTION_ARG_NONE, &only_changed,
       "Only what is not as the product has it", NULL},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  json_t *config = ctl_json_call (ctl, CTL_HOST, NULL, "GetConfig", NULL, &status);
  if (config == NULL)
    return status;
  status = print_config (ctl, config, argc > 1 && *argv[1] != '\0' ? argv[1] : NULL,
                         only_changed);
  json_decref (config);
  return status;
}
