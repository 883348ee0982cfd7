/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about devices. */
#include "ctl/ctl.h"

#include <string.h>

#define PAGE 500

static void device_row (CtlTable *table, const json_t *device)
{
  g_autoptr (GString) ports = g_string_new (NULL);
  size_t i;
  json_t *port;

  json_array_foreach (json_object_get (device, "ports"), i, port)
  {
    g_autofree char *power = ctl_number (port, "power", " W");
    gboolean charging = json_integer_value (json_object_get (port, "status")) == 2;
    g_string_append_printf (
        ports, "%s%d/%d %s%s%s", i > 0 ? ", " : "",
        (int) json_integer_value (json_object_get (port, "socket_no")),
        (int) json_integer_value (json_object_get (port, "port_no")),
        ctl_text (port, "status_name"), charging ? " " : "", charging ? power : "");
  }
  ctl_table_row (table, ctl_text (device, "device_phy_id"), ctl_text (device, "protocol"),
                 ctl_text (device, "presence"), ctl_text (device, "firmware"),
                 ctl_text (device, "last_seen_at"), ports->str, NULL);
}

/* All pages of devices, as JSON objects. */
static json_t *fetch (Ctl *ctl, GVariant *filter, CtlExit *status)
{
  json_t *list = json_array ();
  g_autofree char *after = g_strdup ("");
  g_autoptr (GVariant) kept = g_variant_ref_sink (filter);

  for (;;) {
    g_autoptr (GVariant) answer
        = ctl_call (ctl, CTL_HOST, NULL, "ListDevices",
                    g_variant_new ("(@a{sv}su)", kept, after, PAGE), "(asu)", status);
    if (answer == NULL) {
      json_decref (list);
      return NULL;
    }
    g_autoptr (GVariant) page = g_variant_get_child_value (answer, 0);
    gsize n = g_variant_n_children (page);
    for (gsize i = 0; i < n; i++) {
      const char *text;
      g_variant_get_child (page, i, "&s", &text);
      json_array_append_new (list, json_loads (text, 0, NULL));
    }
    if (n < PAGE)
      return list;
    g_free (after);
    after = g_strdup (
        ctl_text (json_array_get (list, json_array_size (list) - 1), "device_phy_id"));
  }
}

CtlExit ctl_devices_list (Ctl *ctl, int argc, char **argv)
{
  gboolean online = FALSE;
  g_autofree char *search = NULL, *protocol = NULL, *presence = NULL, *tag = NULL;
  GOptionEntry entries[] = {
      {"online", 0, 0, G_OPTION_ARG_NONE, &online, "Only those on line", NULL},
      {"presence", 0, 0, G_OPTION_ARG_FILENAME, &presence,
       "Only those: online, unstable or offline", "NAME"},
      {"search", 0, 0, G_OPTION_ARG_FILENAME, &search, "Only ids that hold this", "TEXT"},
      {"protocol", 0, 0, G_OPTION_ARG_FILENAME, &protocol, "Only of this protocol",
       "NAME"},
      {"tag", 0, 0, G_OPTION_ARG_FILENAME, &tag, "Only those with this tag", "NAME"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;

  GVariantDict filter;
  const char *const given[][2] = {{"presence", online ? "online" : presence},
                                  {"q", search},
                                  {"protocol", protocol},
                                  {"tag", tag}};
  g_variant_dict_init (&filter, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (given); i++)
    if (given[i][1] != NULL)
      g_variant_dict_insert (&filter, given[i][0], "s", given[i][1]);
  json_t *list = fetch (ctl, g_variant_dict_end (&filter), &status);
  if (list == NULL)
    return status;
  if (ctl->json)
    ctl_print_json (list);
  else {
    CtlTable *table = ctl_table_new ((const char *const[]) {
        "DEVICE", "PROTOCOL", "PRESENCE", "FIRMWARE", "LAST SEEN", "PORTS", NULL});
    size_t i;
    json_t *device;
    json_array_foreach (list, i, device) device_row (table, device);
    ctl_table_print (table);
  }
  json_decref (list);
  return CTL_OK;
}

CtlExit ctl_devices_reboot (Ctl *ctl, int argc, char **argv)
{
  gboolean force = FALSE;
  gint socket_no = -1, wait_ms = 0;
  g_autofree char *target = NULL, *mode = NULL;
  GOptionEntry entries[] = {
      {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Also while it charges", NULL},
      {"target", 0, 0, G_OPTION_ARG_FILENAME, &target,
       "gateway (default), socket or module", "WHAT"},
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no, "Which socket", "N"},
      {"mode", 0, 0, G_OPTION_ARG_FILENAME, &mode, "soft or hard", "NAME"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "Wait so long for the device's answer, at most 10000; default 0", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  GVariantDict options;
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "force", "b", force);
  g_variant_dict_insert (&options, "wait_ms", "i", wait_ms);
  if (socket_no != -1)
    g_variant_dict_insert (&options, "socket_no", "i", socket_no);
  if (target != NULL)
    g_variant_dict_insert (&options, "target", "s", target);
  if (mode != NULL)
    g_variant_dict_insert (&options, "mode", "s", mode);
  return ctl_print_call (ctl, CTL_DEVICE, argv[1], "Reboot",
                         g_variant_new ("(@a{sv})", g_variant_dict_end (&options)));
}

CtlExit ctl_devices_send (Ctl *ctl, int argc, char **argv)
{
  gint socket_no = 0, port_no = -1, wait_ms = 5000;
  GOptionEntry entries[] = {
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no, "Socket; default 0", "N"},
      {"port", 0, 0, G_OPTION_ARG_INT, &port_no, "Port; default none", "N"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "Wait so long for the device's answer, at most 10000; default 5000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (wait_ms < 0)
    return ctl_misuse (ctl, "--wait is not below 0");
  return ctl_print_call (ctl, CTL_DEVICE, argv[1], "Send",
                         g_variant_new ("(siisu)", argv[2], socket_no, port_no,
                                        argc > 3 ? argv[3] : "", (guint) wait_ms));
}
