/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The instances of the daemon on this bus, by their names there. */
#include "ctl/ctl.h"

#include <string.h>

#define PREFIX "org.chargehost.Host1.instance_"

/* The connection that has a name, NULL for none. (transfer full) */
static char *owner_of (Ctl *ctl, const char *name)
{
  CtlExit status = CTL_OK;
  char *owner = NULL;
  g_autoptr (GVariant) has
      = ctl_bus_call (ctl, "NameHasOwner", g_variant_new ("(s)", name), "(b)", &status);
  gboolean is_owned = FALSE;

  if (has != NULL)
    g_variant_get (has, "(b)", &is_owned);
  if (!is_owned)
    return NULL;
  g_autoptr (GVariant) answer
      = ctl_bus_call (ctl, "GetNameOwner", g_variant_new ("(s)", name), "(s)", &status);
  if (answer != NULL)
    g_variant_get (answer, "(s)", &owner);
  return owner;
}

static json_t *instance_json (Ctl *ctl, const char *name, const char *first)
{
  CtlExit status = CTL_OK;
  g_autofree char *owner = owner_of (ctl, name);
  g_autofree char *id = ctl_unescape (name + strlen (PREFIX));
  guint32 pid = 0;

  if (owner == NULL) /* it has just left */
    return NULL;
  g_autoptr (GVariant) answer = ctl_bus_call (
      ctl, "GetConnectionUnixProcessID", g_variant_new ("(s)", owner), "(u)", &status);
  if (answer != NULL)
    g_variant_get (answer, "(u)", &pid);
  return json_pack ("{s:s, s:i, s:b}", "server_id", id, "pid", (int) pid, "default",
                    g_strcmp0 (owner, first) == 0);
}

static json_t *find_instances (Ctl *ctl, CtlExit *status)
{
  g_autoptr (GVariant) answer = ctl_bus_call (ctl, "ListNames", NULL, "(as)", status);
  if (answer == NULL)
    return NULL;
  g_autofree char *main_name = ctl_name (&(Ctl) {0});
  g_autofree char *first = owner_of (ctl, main_name);
  json_t *list = json_array ();
  GVariantIter *names;
  const char *name;

  g_variant_get (answer, "(as)", &names);
  while (g_variant_iter_next (names, "&s", &name)) {
    json_t *instance
        = g_str_has_prefix (name, PREFIX) ? instance_json (ctl, name, first) : NULL;
    if (instance != NULL)
      json_array_append_new (list, instance);
  }
  g_variant_iter_free (names);
  return list;
}

CtlExit ctl_instances (Ctl *ctl, int argc, char **argv)
{
  static const char *const heads[] = {"SERVER ID", "PID", "DEFAULT", NULL};
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  json_t *list = status == CTL_OK ? find_instances (ctl, &status) : NULL;
  json_t *instance;
  size_t i;

  if (list == NULL)
    return status;
  if (ctl->json) {
    ctl_print_json (list);
  } else {
    CtlTable *table = ctl_table_new (heads);
    json_array_foreach (list, i, instance)
    {
      g_autofree char *pid = ctl_number (instance, "pid", "");
      ctl_table_row (table, ctl_text (instance, "server_id"), pid,
                     json_is_true (json_object_get (instance, "default")) ? "yes" : "",
                     NULL);
    }
    ctl_table_print (table);
  }
  json_decref (list);
  return status;
}
