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

/* @answer: "(asu)" */
static void print_orders (Ctl *ctl, GVariant *answer)
{
  json_t *list = json_array (), *order;
  g_autofree const char **texts = NULL;
  size_t i;

  g_variant_get (answer, "(^a&su)", &texts, NULL);
  for (i = 0; texts[i] != NULL; i++)
    json_array_append_new (list, json_loads (texts[i], 0, NULL));
  if (ctl->json)
    ctl_print_json (list);
  else {
    CtlTable *table = ctl_table_new ((const char *const[]) {
        "ORDER", "PLACE", "STATE", "ENERGY", "TIME", "AMOUNT", "END", "CREATED", NULL});
    json_array_foreach (list, i, order) order_row (table, order);
    ctl_table_print (table);
  }
  json_decref (list);
}

CtlExit ctl_orders_list (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *device = NULL, *state = NULL, *from = NULL, *to = NULL;
  gint limit = 20, offset = 0;
  GOptionEntry entries[] = {
      {"device", 0, 0, G_OPTION_ARG_FILENAME, &device, "Of one device", "ID"},
      {"status", 0, 0, G_OPTION_ARG_FILENAME, &state, "In one state, such as charging",
       "NAME"},
      {"from", 0, 0, G_OPTION_ARG_FILENAME, &from, "Made not before this", "TIME"},
      {"to", 0, 0, G_OPTION_ARG_FILENAME, &to, "Made before this: 2026-01-31T08:00:00Z",
       "TIME"},
      {"limit", 0, 0, G_OPTION_ARG_INT, &limit, "At most so many, 1 to 1000; default 20",
       "N"},
      {"offset", 0, 0, G_OPTION_ARG_INT, &offset, "Leave out the newest N", "N"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (limit < 1 || limit > 1000 || offset < 0)
    return ctl_misuse (ctl, "--limit is 1 to 1000, --offset not below 0");

  GVariantDict filter;
  const char *const given[][2]
      = {{"device", device}, {"status", state}, {"from", from}, {"to", to}};
  g_variant_dict_init (&filter, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (given); i++)
    if (given[i][1] != NULL)
      g_variant_dict_insert (&filter, given[i][0], "s", given[i][1]);
  g_autoptr (GVariant) answer
      = ctl_call (ctl, CTL_HOST, NULL, "ListOrders",
                  g_variant_new ("(@a{sv}uu)", g_variant_dict_end (&filter),
                                 (guint) offset, (guint) limit),
                  "(asu)", &status);
  if (answer == NULL)
    return status;
  print_orders (ctl, answer);
  return CTL_OK;
}

/* @list: objects, of which @members are shown below @heads; both end with NULL */
static void print_rows (const json_t *list, const char *const *heads,
                        const char *const *members)
{
  CtlTable *table = ctl_table_new (heads);
  size_t i;
  json_t *item;
  json_array_foreach ((json_t *) list, i, item)
      ctl_table_row (table, ctl_text (item, members[0]), ctl_text (item, members[1]),
                     ctl_text (item, members[2]), ctl_text (item, members[3]), NULL);
  ctl_table_print (table);
}

/* A list of four columns for people, all of it for programs. */
static CtlExit list_of_order (Ctl *ctl, int argc, char **argv, const char *method,
                              const char *const *heads, const char *const *members)
{
  CtlExit status = ctl_options (ctl, NULL, &argc, &argv);
  if (status != CTL_OK)
    return status;
  json_t *json = ctl_json_call (ctl, CTL_ORDER, argv[1], method, NULL, &status);
  if (json == NULL)
    return status;
  const json_t *holder = json_object_get (json, "timeline");
  if (ctl->json)
    ctl_print_json (json);
  else
    print_rows (json_object_get (holder != NULL ? holder : json, "events"), heads,
                members);
  json_decref (json);
  return CTL_OK;
}

CtlExit ctl_orders_events (Ctl *ctl, int argc, char **argv)
{
  static const char *const heads[] = {"TIME", "EVENT", "STATUS", "ID", NULL};
  static const char *const members[]
      = {"created_at", "event_type", "status", "event_id", NULL};
  return list_of_order (ctl, argc, argv, "GetEvents", heads, members);
}

CtlExit ctl_orders_timeline (Ctl *ctl, int argc, char **argv)
{
  static const char *const heads[] = {"TIME", "SOURCE", "TYPE", "WHAT", NULL};
  static const char *const members[]
      = {"timestamp", "source", "type", "description", NULL};
  return list_of_order (ctl, argc, argv, "GetTimeline", heads, members);
}

/* ---- ending ---- */

CtlExit ctl_orders_force_settle (Ctl *ctl, int argc, char **argv)
{
  gint energy_wh = -1, duration_s = -1;
  g_autofree char *comment = NULL, *end_reason = NULL;
  GOptionEntry entries[] = {
      {"comment", 0, 0, G_OPTION_ARG_FILENAME, &comment,
       "Why it is done by hand; stands in the order's history; required", "TEXT"},
      {"energy", 0, 0, G_OPTION_ARG_INT, &energy_wh, "Energy; default what is known",
       "WH"},
      {"duration", 0, 0, G_OPTION_ARG_INT, &duration_s, "Time; default what is known",
       "S"},
      {"end-reason", 0, 0, G_OPTION_ARG_FILENAME, &end_reason,
       "Why it ended: normal, user_stop, fault, or a number", "NAME"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (comment == NULL || *comment == '\0')
    return ctl_misuse (ctl, "--comment is required");

  GVariantDict figures;
  g_variant_dict_init (&figures, NULL);
  if (energy_wh != -1)
    g_variant_dict_insert (&figures, "energy_wh", "i", energy_wh);
  if (duration_s != -1)
    g_variant_dict_insert (&figures, "duration_s", "i", duration_s);
  if (end_reason != NULL)
    g_variant_dict_insert (&figures, "end_reason", "s", end_reason);
  return ctl_print_call (
      ctl, CTL_ORDER, argv[1], "ForceSettle",
      g_variant_new ("(@a{sv}s)", g_variant_dict_end (&figures), comment));
}

CtlExit ctl_orders_force_fail (Ctl *ctl, int argc, char **argv)
{
  g_autofree char *comment = NULL;
  GOptionEntry entries[] = {
      {"comment", 0, 0, G_OPTION_ARG_FILENAME, &comment,
       "Why it is done by hand; stands in the order's history; required", "TEXT"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (comment == NULL || *comment == '\0')
    return ctl_misuse (ctl, "--comment is required");
  return ctl_print_call (ctl, CTL_ORDER, argv[1], "ForceFail",
                         g_variant_new ("(s)", comment));
}
