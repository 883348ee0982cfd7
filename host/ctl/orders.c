/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about orders. */
#include "ctl/ctl.h"

static void order_row (CtlTable *table, const json_t *order)
{
  g_autofree char *energy = ctl_number (order, "energy_wh", " Wh");
  g_autofree char *duration = ctl_number (order, "duration_s", " s");
  g_autofree char *amount = ctl_number (order, "amount_cent", " cent");
  g_autofree char *place
      = g_strdup_printf ("%s %d/%d", ctl_text (order, "device_id"),
                         (int) json_integer_value (json_object_get (order, "socket_no")),
                         (int) json_integer_value (json_object_get (order, "port_no")));
  ctl_table_row (table, ctl_text (order, "order_no"), place, ctl_text (order, "status"),
                 energy, duration, amount, ctl_text (order, "end_reason"),
                 ctl_text (order, "created_at"), NULL);
}

CtlExit ctl_orders_list (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *device = NULL, *state = NULL;
  gint limit = 20, offset = 0;
  GOptionEntry entries[] = {
      {"device", 0, 0, G_OPTION_ARG_STRING, &device, "of one device", "ID"},
      {"status", 0, 0, G_OPTION_ARG_STRING, &state, "in one state, such as charging",
       "NAME"},
      {"limit", 0, 0, G_OPTION_ARG_INT, &limit, "at most, default 20", "N"},
      {"offset", 0, 0, G_OPTION_ARG_INT, &offset, "leave out the first", "N"},
      {NULL},
  };
  CtlExit status = ctl_options (entries, &argc, &argv, 0, "");
  if (status != CTL_OK)
    return status;

  GVariantDict filter;
  g_variant_dict_init (&filter, NULL);
  if (device != NULL)
    g_variant_dict_insert (&filter, "device", "s", device);
  if (state != NULL)
    g_variant_dict_insert (&filter, "status", "s", state);
  g_autoptr (GVariant) answer = ctl_host_call (
      ctl, "ListOrders",
      g_variant_new ("(@a{sv}uu)", g_variant_dict_end (&filter), (guint) MAX (offset, 0),
                     (guint) CLAMP (limit, 1, 1000)),
      "(asu)", &status);
  if (answer == NULL)
    return status;

  CtlTable *table = ctl_table_new ((const char *const[]) {
      "ORDER", "PLACE", "STATE", "ENERGY", "TIME", "AMOUNT", "END", "CREATED", NULL});
  json_t *list = json_array ();
  g_autoptr (GVariant) page = g_variant_get_child_value (answer, 0);
  for (gsize i = 0; i < g_variant_n_children (page); i++) {
    const char *text;
    g_variant_get_child (page, i, "&s", &text);
    json_t *order = json_loads (text, 0, NULL);
    order_row (table, order);
    json_array_append_new (list, order);
  }
  if (ctl->json)
    ctl_print_json (list);
  else
    ctl_table_print (table);
  json_decref (list);
  return CTL_OK;
}

CtlExit ctl_orders_show (Ctl *ctl, int argc, char **argv)
{
  CtlExit status = ctl_options (NULL, &argc, &argv, 1, "ORDER");
  const char *text;
  if (status != CTL_OK)
    return status;
  g_autoptr (GVariant) answer
      = ctl_host_call (ctl, "GetOrder", g_variant_new ("(s)", argv[1]), "(s)", &status);
  if (answer == NULL)
    return status;
  g_variant_get (answer, "(&s)", &text);
  ctl_print_object (ctl, text);
  return CTL_OK;
}
