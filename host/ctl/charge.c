/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting and stopping charges. */
#include "ctl/ctl.h"

#define ABSENT G_MININT

typedef struct {
  gint socket_no, port_no, minutes, energy_wh, power_w, amount_cent, price, fee, wait_ms;
  gboolean full;
  char *order_no;
} Wanted;

static GVariant *start_parameters (const Wanted *w)
{
  const struct {
    const char *name;
    gint value;
  } numbers[] = {
      {"duration_minutes", w->minutes},
      {"energy_wh", w->energy_wh},
      {"power", w->power_w},
      {"amount", w->amount_cent},
      {"price_per_kwh", w->price},
      {"service_fee", w->fee},
      {"wait_ms", w->wait_ms},
  };
  GVariantDict options;
  guint mode = w->energy_wh != ABSENT ? 2 : w->power_w != ABSENT ? 3 : w->full ? 4 : 1;

  g_variant_dict_init (&options, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (numbers[i].value != ABSENT)
      g_variant_dict_insert (&options, numbers[i].name, "i", numbers[i].value);
  if (w->order_no != NULL)
    g_variant_dict_insert (&options, "order_no", "s", w->order_no);
  return g_variant_new ("(iiu@a{sv})", w->socket_no, w->port_no, mode,
                        g_variant_dict_end (&options));
}

static CtlExit check (Ctl *ctl, const Wanted *w)
{
  gint ways = (w->energy_wh != ABSENT) + (w->power_w != ABSENT) + w->full;
  if (ways > 1)
    return ctl_misuse (ctl, "only one of --energy, --power, --full");
  if (ways == 0 && w->minutes == ABSENT)
    return ctl_misuse (ctl, "one of --minutes, --energy, --power, --full is required");
  if (w->port_no == ABSENT)
    return ctl_misuse (ctl, "--port is required");
  return CTL_OK;
}

CtlExit ctl_charge_start (Ctl *ctl, int argc, char **argv)
{
  Wanted w = {.socket_no = -1,
              .port_no = ABSENT,
              .minutes = ABSENT,
              .energy_wh = ABSENT,
              .power_w = ABSENT,
              .amount_cent = 500,
              .price = ABSENT,
              .fee = ABSENT,
              .wait_ms = 10000};
  GOptionEntry entries[] = {
      {"port", 0, 0, G_OPTION_ARG_INT, &w.port_no, "Port; 0 is the first; required", "N"},
      {"socket", 0, 0, G_OPTION_ARG_INT, &w.socket_no,
       "Socket; needed when the device has several", "N"},
      {"minutes", 0, 0, G_OPTION_ARG_INT, &w.minutes,
       "Charge by time; beside another way the longest time", "N"},
      {"energy", 0, 0, G_OPTION_ARG_INT, &w.energy_wh, "Charge by energy", "WH"},
      {"power", 0, 0, G_OPTION_ARG_INT, &w.power_w, "Charge by power steps", "W"},
      {"full", 0, 0, G_OPTION_ARG_NONE, &w.full, "Charge until full", NULL},
      {"amount", 0, 0, G_OPTION_ARG_INT, &w.amount_cent,
       "Cents that were paid; default 500", "CENT"},
      {"price", 0, 0, G_OPTION_ARG_INT, &w.price, "Cents per kWh; default the tariff",
       "CENT"},
      {"fee", 0, 0, G_OPTION_ARG_INT, &w.fee,
       "Service fee in thousandths; default the tariff", "PERMILLE"},
      {"order", 0, 0, G_OPTION_ARG_FILENAME, &w.order_no,
       "Order number; one is made without it", "NO"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &w.wait_ms,
       "Wait so long for the device's answer, at most 10000; default 10000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status == CTL_OK)
    status = check (ctl, &w);
  if (status == CTL_OK) {
    status
        = ctl_print_call (ctl, CTL_DEVICE, argv[1], "StartCharge", start_parameters (&w));
  }
  g_free (w.order_no);
  return status;
}

CtlExit ctl_charge_stop (Ctl *ctl, int argc, char **argv)
{
  gint socket_no = -1, port_no = ABSENT, wait_ms = 10000;
  g_autofree char *reason = NULL;
  GOptionEntry entries[] = {
      {"port", 0, 0, G_OPTION_ARG_INT, &port_no,
       "Port; with it the word before is a device, without it an order", "N"},
      {"socket", 0, 0, G_OPTION_ARG_INT, &socket_no,
       "Socket; needed when the device has several", "N"},
      {"reason", 0, 0, G_OPTION_ARG_FILENAME, &reason, "For the record", "TEXT"},
      {"wait", 0, 0, G_OPTION_ARG_INT, &wait_ms,
       "Wait so long for the device's answer, at most 10000; default 10000", "MS"},
      {NULL},
  };
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  if (status != CTL_OK)
    return status;
  if (wait_ms < 0)
    return ctl_misuse (ctl, "--wait is not below 0");
  if (port_no == ABSENT)
    return ctl_print_call (
        ctl, CTL_HOST, NULL, "StopOrder",
        g_variant_new ("(ssu)", argv[1], reason != NULL ? reason : "", (guint) wait_ms));
  GVariantDict options;
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "wait_ms", "i", wait_ms);
  if (reason != NULL)
    g_variant_dict_insert (&options, "reason", "s", reason);
  return ctl_print_call (
      ctl, CTL_DEVICE, argv[1], "StopCharge",
      g_variant_new ("(ii@a{sv})", socket_no, port_no, g_variant_dict_end (&options)));
}
