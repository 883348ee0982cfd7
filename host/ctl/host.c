/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about the daemon as a whole. */
#include "ctl/ctl.h"

#include <string.h>

static json_t *variant_json (GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return json_string (g_variant_get_string (value, NULL));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    return json_integer (g_variant_get_uint32 (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
    return json_integer ((json_int_t) g_variant_get_uint64 (value));
  if (g_variant_is_of_type (value, G_VARIANT_TYPE ("as"))) {
    json_t *list = json_array ();
    GVariantIter iter;
    const char *item;
    g_variant_iter_init (&iter, value);
    while (g_variant_iter_next (&iter, "&s", &item))
      json_array_append_new (list, json_string (item));
    return list;
  }
  g_autofree char *text = g_variant_print (value, FALSE);
  return json_string (text);
}

CtlExit ctl_status (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "");
  if (status != CTL_OK)
    return status;
  g_autoptr (GVariant) answer
      = ctl_call (ctl, "/org/chargehost", "org.freedesktop.DBus.Properties", "GetAll",
                  g_variant_new ("(s)", "org.chargehost.Host1"), "(a{sv})", &status);
  if (answer == NULL)
    return status;
  g_autoptr (GVariant) counts
      = ctl_host_call (ctl, "GetStatistics", NULL, "(s)", &status);
  if (counts == NULL)
    return status;

  json_t *object = json_object ();
  GVariantIter *iter;
  const char *name, *text;
  GVariant *value;
  g_variant_get (answer, "(a{sv})", &iter);
  while (g_variant_iter_loop (iter, "{&sv}", &name, &value))
    json_object_set_new (object, name, variant_json (value));
  g_variant_iter_free (iter);
  g_variant_get (counts, "(&s)", &text);
  json_object_set_new (object, "Statistics", json_loads (text, 0, NULL));
  char *dump = json_dumps (object, 0);
  ctl_print_object (ctl, dump);
  free (dump);
  json_decref (object);
  return CTL_OK;
}

static CtlExit plain (Ctl *ctl, const char *method, GVariant *parameters)
{
  CtlExit status = CTL_OK;
  g_autoptr (GVariant) answer = ctl_host_call (ctl, method, parameters, NULL, &status);
  return status;
}

CtlExit ctl_shutdown (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "");
  return status != CTL_OK ? status : plain (ctl, "Shutdown", NULL);
}

CtlExit ctl_reload (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "");
  return status != CTL_OK ? status : plain (ctl, "ReloadConfig", NULL);
}

CtlExit ctl_drain (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "on|off");
  if (status != CTL_OK)
    return status;
  if (!g_str_equal (argv[1], "on") && !g_str_equal (argv[1], "off")) {
    g_printerr ("chargehostctl drain: on or off\n");
    return CTL_USAGE;
  }
  return plain (ctl, "Drain", g_variant_new ("(b)", g_str_equal (argv[1], "on")));
}

CtlExit ctl_log_level (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "LEVEL [MODULE]");
  if (status != CTL_OK)
    return status;
  return plain (ctl, "SetLogLevel",
                g_variant_new ("(ss)", argc > 2 ? argv[2] : "", argv[1]));
}

CtlExit ctl_backup (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "FILE");
  if (status != CTL_OK)
    return status;
  g_autofree char *path = g_canonicalize_filename (argv[1], NULL);
  status = plain (ctl, "BackupStore", g_variant_new ("(s)", path));
  if (status == CTL_OK)
    g_print ("%s\n", path);
  return status;
}

CtlExit ctl_config (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "[KEY]");
  if (status != CTL_OK)
    return status;
  g_autoptr (GVariant) answer = ctl_host_call (ctl, "GetConfig", NULL, "(s)", &status);
  const char *text, *key;
  json_t *value;
  if (answer == NULL)
    return status;
  g_variant_get (answer, "(&s)", &text);
  json_t *config = json_loads (text, 0, NULL);
  if (ctl->json)
    ctl_print_json (argc > 1 ? json_object_get (config, argv[1]) : config);
  else {
    CtlTable *table
        = ctl_table_new ((const char *const[]) {"KEY", "VALUE", "FROM", NULL});
    json_object_foreach (config, key, value)
    {
      if (argc > 1 && !g_str_has_prefix (key, argv[1]))
        continue;
      const json_t *shown = json_object_get (value, "value");
      char *dump = json_dumps (shown, JSON_ENCODE_ANY);
      ctl_table_row (table, key,
                     json_is_string (shown) ? json_string_value (shown) : dump,
                     ctl_text (value, "source"), NULL);
      free (dump);
    }
    ctl_table_print (table);
  }
  json_decref (config);
  return CTL_OK;
}

CtlExit ctl_key_create (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *scopes = NULL;
  GOptionEntry entries[] = {
      {"scopes", 0, 0, G_OPTION_ARG_STRING, &scopes,
       "read, control, card, webhook, admin; default read,control", "LIST"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 1, "NAME");
  if (status != CTL_OK)
    return status;
  g_auto (GStrv) list = g_strsplit (scopes != NULL ? scopes : "read,control", ",", -1);
  for (char **scope = list; *scope != NULL; scope++)
    g_strstrip (*scope);
  g_autoptr (GVariant) answer = ctl_host_call (
      ctl, "CreateApiKey", g_variant_new ("(s^as)", argv[1], list), "(ss)", &status);
  const char *id, *key;
  if (answer == NULL)
    return status;
  g_variant_get (answer, "(&s&s)", &id, &key);
  if (ctl->json) {
    json_t *object = json_pack ("{s:s, s:s}", "key_id", id, "key", key);
    ctl_print_json (object);
    json_decref (object);
  } else
    g_print ("%s\n", key);
  return CTL_OK;
}

/* ---- plugins ---- */

static char *property (GVariant *properties, const char *name)
{
  const char *text = NULL;
  g_variant_lookup (properties, name, "&s", &text);
  return g_strdup (text != NULL && *text != '\0' ? text : "-");
}

CtlExit ctl_plugins (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 0, "");
  if (status != CTL_OK)
    return status;
  g_autoptr (GVariant) answer
      = ctl_call (ctl, "/org/chargehost/plugin", "org.freedesktop.DBus.ObjectManager",
                  "GetManagedObjects", NULL, "(a{oa{sa{sv}}})", &status);
  if (answer == NULL)
    return status;

  CtlTable *table = ctl_table_new (
      (const char *const[]) {"PLUGIN", "VERSION", "STATE", "SUMMARY", "REASON", NULL});
  json_t *list = json_array ();
  g_autoptr (GVariant) objects = g_variant_get_child_value (answer, 0);
  for (gsize i = 0; i < g_variant_n_children (objects); i++) {
    g_autoptr (GVariant) interfaces = NULL;
    g_variant_get_child (objects, i, "{&o@a{sa{sv}}}", NULL, &interfaces);
    g_autoptr (GVariant) properties = g_variant_lookup_value (
        interfaces, "org.chargehost.Plugin1", G_VARIANT_TYPE_VARDICT);
    if (properties == NULL)
      continue;
    g_autofree char *name = property (properties, "Name");
    g_autofree char *version = property (properties, "Version");
    g_autofree char *state = property (properties, "State");
    g_autofree char *summary = property (properties, "Summary");
    g_autofree char *reason = property (properties, "Error");
    ctl_table_row (table, name, version, state, summary, reason, NULL);
    json_array_append_new (list, json_pack ("{s:s, s:s, s:s, s:s, s:s}", "name", name,
                                            "version", version, "state", state, "summary",
                                            summary, "reason", reason));
  }
  if (ctl->json)
    ctl_print_json (list);
  else
    ctl_table_print (table);
  json_decref (list);
  return CTL_OK;
}

CtlExit ctl_plugins_action (Ctl *ctl, int argc, char **argv)
{
  const char *word = argv[0];
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "NAME");
  if (status != CTL_OK)
    return status;
  g_autofree char *path = ctl_plugin_path (argv[1]);
  g_autofree char *method = g_strdup (word);
  method[0] = g_ascii_toupper (method[0]);
  g_autoptr (GVariant) answer
      = ctl_call (ctl, path, "org.chargehost.Plugin1", method, NULL, NULL, &status);
  return status;
}
