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
    g_autoptr (GVariant) answer = ctl_host_call (
        ctl, "ListDevices", g_variant_new ("(@a{sv}su)", kept, after, PAGE), "(asu)",
        status);
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
  g_autofree char *search = NULL;
  GOptionEntry entries[] = {
      {"online", 0, 0, G_OPTION_ARG_NONE, &online, "only those on line", NULL},
      {"search", 0, 0, G_OPTION_ARG_STRING, &search, "only ids that hold this", "TEXT"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 0, "");
  if (status != CTL_OK)
    return status;

  GVariantDict filter;
  g_variant_dict_init (&filter, NULL);
  if (online)
    g_variant_dict_insert (&filter, "presence", "s", "online");
  if (search != NULL)
    g_variant_dict_insert (&filter, "q", "s", search);
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

CtlExit ctl_devices_show (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "DEVICE");
  if (status != CTL_OK)
    return status;
  GVariantDict filter;
  g_variant_dict_init (&filter, NULL);
  g_variant_dict_insert (&filter, "q", "s", argv[1]);
  json_t *list = fetch (ctl, g_variant_dict_end (&filter), &status), *device;
  size_t i;
  if (list == NULL)
    return status;
  status = CTL_FAILED;
  json_array_foreach (
      list, i, device) if (g_str_equal (ctl_text (device, "device_phy_id"), argv[1]))
  {
    char *text = json_dumps (device, JSON_REAL_PRECISION (15));
    ctl_print_object (ctl, text);
    free (text);
    status = CTL_OK;
    break;
  }
  if (status != CTL_OK)
    g_printerr ("chargehostctl: there is no device '%s'\n", argv[1]);
  json_decref (list);
  return status;
}

/* A method of Device1 whose answer is JSON. */
static CtlExit device_call (Ctl *ctl, const char *id, const char *method,
                            GVariant *parameters)
{
  CtlExit status = CTL_OK;
  g_autofree char *path = ctl_device_path (id);
  g_autoptr (GVariant) answer = ctl_call (ctl, path, "org.chargehost.Device1", method,
                                          parameters, "(s)", &status);
  const char *text;
  if (answer == NULL)
    return status;
  g_variant_get (answer, "(&s)", &text);
  ctl_print_object (ctl, text);
  return CTL_OK;
}

CtlExit ctl_devices_reboot (Ctl *ctl, int argc, char **argv)
{
  gboolean force = FALSE;
  GOptionEntry entries[] = {
      {"force", 0, 0, G_OPTION_ARG_NONE, &force, "also while it charges", NULL},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 1, "DEVICE");
  if (status != CTL_OK)
    return status;
  return device_call (ctl, argv[1], "Reboot", g_variant_new ("(b)", force));
}

CtlExit ctl_devices_send (Ctl *ctl, int argc, char **argv)
{
  gint socket_no = 0, port_no = -1, wait_ms = 5000;
  GOptionEntry entries[] = {
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no, "socket, default 0", "N"},
      {"port", 0, 0, G_OPTION_ARG_INT, &port_no, "port, default none", "N"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "wait so long for the answer, default 5000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 2, "DEVICE COMMAND [JSON]");
  if (status != CTL_OK)
    return status;
  return device_call (ctl, argv[1], "Send",
                      g_variant_new ("(siisu)", argv[2], socket_no, port_no,
                                     argc > 3 ? argv[3] : "", (guint) MAX (wait_ms, 0)));
}

/* ---- charges ---- */

typedef struct {
  gint socket_no, port_no, minutes, energy_wh, power_w, amount_cent, wait_ms;
  gboolean full;
  char *order_no;
} Wanted;

static GVariant *start_parameters (const Wanted *w)
{
  GVariantDict options;
  guint mode = w->minutes > 0 ? 1 : w->energy_wh > 0 ? 2 : w->power_w > 0 ? 3 : 4;
  g_variant_dict_init (&options, NULL);
  if (w->minutes > 0)
    g_variant_dict_insert (&options, "duration_minutes", "u", (guint) w->minutes);
  if (w->energy_wh > 0)
    g_variant_dict_insert (&options, "energy_wh", "u", (guint) w->energy_wh);
  if (w->power_w > 0)
    g_variant_dict_insert (&options, "power", "u", (guint) w->power_w);
  if (w->order_no != NULL)
    g_variant_dict_insert (&options, "order_no", "s", w->order_no);
  g_variant_dict_insert (&options, "amount", "u", (guint) MAX (w->amount_cent, 1));
  g_variant_dict_insert (&options, "wait_ms", "u", (guint) MAX (w->wait_ms, 0));
  return g_variant_new ("(iiu@a{sv})", w->socket_no, w->port_no, mode,
                        g_variant_dict_end (&options));
}

CtlExit ctl_charge_start (Ctl *ctl, int argc, char **argv)
{
  Wanted w = {.socket_no = -1, .port_no = 0, .amount_cent = 500, .wait_ms = 10000};
  GOptionEntry entries[] = {
      {"socket", 0, 0, G_OPTION_ARG_INT, &w.socket_no,
       "socket; needed when there are several", "N"},
      {"port", 0, 0, G_OPTION_ARG_INT, &w.port_no, "port, from 0", "N"},
      {"minutes", 0, 0, G_OPTION_ARG_INT, &w.minutes, "charge by time", "N"},
      {"energy", 0, 0, G_OPTION_ARG_INT, &w.energy_wh, "charge by energy", "WH"},
      {"power", 0, 0, G_OPTION_ARG_INT, &w.power_w, "charge by power steps", "W"},
      {"full", 0, 0, G_OPTION_ARG_NONE, &w.full, "charge until full", NULL},
      {"amount", 0, 0, G_OPTION_ARG_INT, &w.amount_cent, "amount paid, default 500",
       "CENT"},
      {"order", 0, 0, G_OPTION_ARG_STRING, &w.order_no, "order number; else one is made",
       "NO"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &w.wait_ms,
       "wait so long for the device, default 10000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 1, "DEVICE");
  if (status == CTL_OK && !w.full && w.minutes <= 0 && w.energy_wh <= 0
      && w.power_w <= 0) {
    g_printerr (
        "chargehostctl charge start: one of --minutes, --energy, --power, --full\n");
    status = CTL_USAGE;
  }
  if (status == CTL_OK)
    status = device_call (ctl, argv[1], "StartCharge", start_parameters (&w));
  g_free (w.order_no);
  return status;
}

static CtlExit stop_order (Ctl *ctl, const char *order_no, const char *reason,
                           guint wait_ms)
{
  CtlExit status = CTL_OK;
  const char *text;
  g_autoptr (GVariant) answer = ctl_host_call (
      ctl, "StopOrder", g_variant_new ("(ssu)", order_no, reason, wait_ms), "(s)",
      &status);
  if (answer == NULL)
    return status;
  g_variant_get (answer, "(&s)", &text);
  ctl_print_object (ctl, text);
  return CTL_OK;
}

CtlExit ctl_charge_stop (Ctl *ctl, int argc, char **argv)
{
  gint socket_no = -1, port_no = -1, wait_ms = 10000;
  g_autofree char *reason = NULL;
  GOptionEntry entries[] = {
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no, "socket of the device", "N"},
      {"port", 0, 0, G_OPTION_ARG_INT, &port_no,
       "port of the device: DEVICE is meant, no ORDER", "N"},
      {"reason", 0, 0, G_OPTION_ARG_STRING, &reason, "for the record", "TEXT"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "wait so long for the device, default 10000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 1, "ORDER | DEVICE --port N");
  if (status != CTL_OK)
    return status;
  if (port_no < 0)
    return stop_order (ctl, argv[1], reason != NULL ? reason : "",
                       (guint) MAX (wait_ms, 0));
  GVariantDict options;
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "wait_ms", "u", (guint) MAX (wait_ms, 0));
  if (reason != NULL)
    g_variant_dict_insert (&options, "reason", "s", reason);
  return device_call (
      ctl, argv[1], "StopCharge",
      g_variant_new ("(ii@a{sv})", socket_no, port_no, g_variant_dict_end (&options)));
}
