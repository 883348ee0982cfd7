/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about plugins. */
#include "ctl/ctl.h"

#include <string.h>

static int by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (ctl_text (*(json_t *const *) a, "name"),
                 ctl_text (*(json_t *const *) b, "name"));
}

/* All plugins in order of their names; of JSON objects. */
static GPtrArray *fetch (Ctl *ctl, CtlExit *status)
{
  g_autoptr (GVariant) answer
      = ctl_call_at (ctl, "/org/chargehost/plugin", "org.freedesktop.DBus.ObjectManager",
                     "GetManagedObjects", NULL, "(a{oa{sa{sv}}})", status);
  if (answer == NULL)
    return NULL;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) json_decref);
  g_autoptr (GVariant) objects = g_variant_get_child_value (answer, 0);
  for (gsize i = 0; i < g_variant_n_children (objects); i++) {
    g_autoptr (GVariant) interfaces = NULL;
    g_variant_get_child (objects, i, "{&o@a{sa{sv}}}", NULL, &interfaces);
    g_autoptr (GVariant) properties = g_variant_lookup_value (
        interfaces, ctl_interface (CTL_PLUGIN), G_VARIANT_TYPE_VARDICT);
    if (properties != NULL)
      g_ptr_array_add (list, ctl_properties_json (properties));
  }
  g_ptr_array_sort (list, by_name);
  return list;
}

CtlExit ctl_plugins_list (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  g_autoptr (GPtrArray) list = fetch (ctl, &status);
  if (list == NULL)
    return status;
  if (ctl->json) {
    json_t *all = json_array ();
    for (guint i = 0; i < list->len; i++)
      json_array_append (all, g_ptr_array_index (list, i));
    ctl_print_json (all);
    json_decref (all);
    return CTL_OK;
  }
  CtlTable *table = ctl_table_new (
      (const char *const[]) {"PLUGIN", "VERSION", "STATE", "SUMMARY", "REASON", NULL});
  for (guint i = 0; i < list->len; i++) {
    const json_t *plugin = g_ptr_array_index (list, i);
    ctl_table_row (table, ctl_text (plugin, "name"), ctl_text (plugin, "version"),
                   ctl_text (plugin, "state"), ctl_text (plugin, "summary"),
                   ctl_text (plugin, "error"), NULL);
  }
  ctl_table_print (table);
  return CTL_OK;
}

CtlExit ctl_plugins_show (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  json_t *plugin = ctl_properties (ctl, CTL_PLUGIN, argv[1], &status);
  if (plugin != NULL)
    ctl_print_object (ctl, plugin);
  json_decref (plugin);
  return status;
}
