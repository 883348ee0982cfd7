/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands while it runs. */
#include "console.h"

#include <string.h>

gboolean console_wrong (SimCall *call, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_string_append_vprintf (call->out, format, args);
  va_end (args);
  g_string_append_c (call->out, '\n');
  return FALSE;
}

gboolean console_number (SimCall *call, guint at, double low, double high, double *value)
{
  char *end;

  if (at >= call->n)
    return TRUE;
  *value = g_ascii_strtod (call->args[at], &end);
  if (*end == '\0' && end != call->args[at] && *value >= low && *value <= high)
    return TRUE;
  return console_wrong (call, "“%s” should be a number from %g to %g", call->args[at],
                        low, high);
}

/* An id, its place in the run (#1 is the first), or * for all. */
static gboolean select_gateways (SimCall *call, const char *text)
{
  const Sim *sim = call->sim;
  char *end;

  call->first = 0;
  call->last = sim->n_gateways;
  if (strcmp (text, "*") == 0)
    return TRUE;
  guint64 value = g_ascii_strtoull (*text == '#' ? text + 1 : text, &end, 10);
  guint64 base = *text == '#' ? 1 : sim->options.first_id;
  if (*end != '\0' || value < base || value - base >= sim->n_gateways)
    return console_wrong (
        call, "no gateway “%s”: give its 14 digits, #1 for the first, or *", text);
  call->first = (guint) (value - base);
  call->last = call->first + 1;
  return TRUE;
}

/* ---- connections ------------------------------------------------------------------ */

static gboolean run_drop (SimCall *call)
{
  SimClose how
      = call->n > 1 && strcmp (call->args[1], "rst") == 0 ? SIM_RESET : SIM_HANG_UP;

  for (guint i = call->first; i < call->last; i++)
    gateway_close (&call->sim->gateways[i], how, "dropped by command", SIM_RECONNECT);
  return TRUE;
}

static gboolean run_halfopen (SimCall *call)
{
  double seconds = -1;

  if (!console_number (call, 1, 0, 1e9, &seconds))
    return FALSE;
  gint64 wait = seconds < 0 ? -1 : (gint64) (seconds * (double) SIM_SECOND);
  for (guint i = call->first; i < call->last; i++)
    gateway_close (&call->sim->gateways[i], SIM_ABANDON, "half open by command", wait);
  return TRUE;
}

static gboolean run_restart (SimCall *call)
{
  double seconds = 4;

  if (!console_number (call, 1, 0, 1e9, &seconds))
    return FALSE;
  for (guint i = call->first; i < call->last; i++)
    faults_power_cut (&call->sim->gateways[i], (gint64) (seconds * (double) SIM_SECOND));
  return TRUE;
}

static gboolean run_garbage (SimCall *call)
{
  static const guint8 bytes[] = "\x41\xFC\xEEgarbage\xFC\xFE\xFF\xFF not a frame";
  guint8 text[sizeof bytes - 1];

  memcpy (text, bytes, sizeof text);
  for (guint i = call->first; i < call->last; i++) {
    SimGateway *gateway = &call->sim->gateways[i];
    if (gateway->phase != SIM_OPEN && gateway->phase != SIM_READY)
      continue;
    report_stray (gateway, TRUE, "garbage", text, sizeof text);
    link_write (gateway, text, sizeof text);
  }
  return TRUE;
}

static gboolean run_split (SimCall *call)
{
  double pieces = 5;

  if (!console_number (call, 1, 2, 1000, &pieces))
    return FALSE;
  for (guint i = call->first; i < call->last; i++)
    link_split (&call->sim->gateways[i], (guint) pieces);
  return TRUE;
}

/* The last end report once more, and each socket's status. */
static gboolean run_dup (SimCall *call)
{
  for (guint i = call->first; i < call->last; i++) {
    SimGateway *gateway = &call->sim->gateways[i];
    if (gateway->phase != SIM_READY)
      continue;
    gateway_heartbeat (gateway);
    if (gateway->last_end != NULL)
      frame_send_bytes (gateway, gateway->last_end_kind, gateway->last_end,
                        gateway->last_end_size);
    sockets_report_all (gateway);
  }
  return TRUE;
}

static gboolean run_late (SimCall *call)
{
  double seconds = 60;

  if (!console_number (call, 1, 0, 1e7, &seconds))
    return FALSE;
  for (guint i = call->first; i < call->last; i++)
    call->sim->gateways[i].late = (gint64) (seconds * (double) SIM_SECOND);
  return TRUE;
}

/* ---- status ----------------------------------------------------------------------- */

static void describe_outlets (SimGateway *gateway, const SimSocket *socket, GString *out)
{
  for (guint port = 0; port < socket_outlets (gateway); port++) {
    const SimOutlet *outlet = &socket->outlets[port];
    const SimCharge *charge = outlet->charge;
    g_string_append_printf (out, "  %u%c  status %02X  ", socket->number,
                            'A' + (int) port, socket_status (gateway, socket, port));
    if (outlet->plugged)
      g_string_append_printf (out, "load %.1f W, %u Wh", outlet->power_dw / 10.0,
                              outlet->battery_wh);
    else
      g_string_append (out, "nothing plugged in");
    if (charge != NULL)
      g_string_append_printf (out, "  charging #%u: %.1f W, %u Wh, %u min",
                              charge->business_no, charge->power_mw / 1000.0,
                              charge_energy_wh (charge), charge->seconds / 60);
    g_string_append_c (out, '\n');
  }
}

static void describe (SimGateway *gateway, GString *out)
{
  static const char *const phases[]
      = {"closed", "connecting", "connected", "ready", "off line by command"};
  char name[BKV_GATEWAY_TEXT_SIZE];

  gateway_name (gateway, name);
  g_string_append_printf (out,
                          "%s  %s, %u sockets, %u charging, %u end reports waiting\n",
                          name, phases[gateway->phase], gateway->n_sockets,
                          sockets_charging (gateway), ends_waiting (gateway));
}

static gboolean run_status (SimCall *call)
{
  const Sim *sim = call->sim;

  if (call->n == 0 && sim->n_gateways > 20) {
    g_string_append_printf (call->out,
                            "%u gateways, %u ready; ends %" G_GUINT64_FORMAT
                            " made, %" G_GUINT64_FORMAT " acknowledged; rules broken "
                            "%" G_GUINT64_FORMAT "\n",
                            sim->n_gateways, sim->n_ready, sim->counters.ends,
                            sim->counters.ends_acked, sim_violations (sim));
    return TRUE;
  }
  if (call->n == 0)
    call->last = sim->n_gateways;
  for (guint i = call->first; i < call->last; i++) {
    SimGateway *gateway = &sim->gateways[i];
    describe (gateway, call->out);
    for (guint s = 0; s < gateway->n_sockets && call->last - call->first <= 20; s++)
      describe_outlets (gateway, &gateway->sockets[s], call->out);
  }
  return TRUE;
}

static gboolean run_quit (SimCall *call)
{
  loop_quit (call->sim->loop);
  return TRUE;
}

/* ---- table ------------------------------------------------------------------------ */

static gboolean run_help (SimCall *call);

static const struct {
  const char *name, *args, *help;
  guint min;
  gboolean (*run) (SimCall *call);
} commands[] = {
    {"plug", "ID S P [W] [Wh]", "plug in a load with this power and battery", 3,
     console_plug},
    {"unplug", "ID S P", "pull the plug", 3, console_unplug},
    {"fault", "ID S P WHAT", "over-temp, over-current, over-power, relay-stuck or clear",
     4, console_fault},
    {"temperature", "ID S C", "temperature of a socket", 3, console_temperature},
    {"event", "ID S [CODE [A [B]]]", "event report of a socket and its outlets", 2,
     console_event},
    {"offline", "ID [S]", "take a socket off line, or the gateway", 1, console_offline},
    {"online", "ID [S]", "bring it back", 1, console_online},
    {"drop", "ID [rst]", "close the connection; it comes back", 1, run_drop},
    {"halfopen", "ID [SECONDS]", "fall silent without closing; come back after SECONDS",
     1, run_halfopen},
    {"restart", "ID [SECONDS]", "power cut: charges end, their reports wait in the store",
     1, run_restart},
    {"garbage", "ID", "send stray bytes", 1, run_garbage},
    {"split", "ID [N]", "send the next frame in N pieces", 1, run_split},
    {"dup", "ID", "send heartbeat, last end report and status reports again", 1, run_dup},
    {"late", "ID [SECONDS]", "the next end report waits so long", 1, run_late},
    {"swipe", "ID S P CARD", "hold a card (12 digits) to an outlet", 4, console_swipe},
    {"balance", "[ID S P] CARD", "ask for a card's balance", 1, console_balance},
    {"status", "[ID]", "what goes on", 0, run_status},
    {"wait", "SECONDS", "pause reading commands (simulated seconds)", 1, NULL},
    {"help", "", "this list", 0, run_help},
    {"quit", "", "end the run", 0, run_quit},
};

static gboolean run_help (SimCall *call)
{
  g_string_append (call->out,
                   "ID is 14 digits, #1 for the first gateway, or * for all; S a "
                   "socket, P is A or B\n");
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_string_append_printf (call->out, "  %-12s %-22s %s\n", commands[i].name,
                            commands[i].args, commands[i].help);
  return TRUE;
}

gboolean console_execute (Sim *sim, const char *line, GString *out)
{
  g_auto (GStrv) words = g_strsplit_set (line, " \t", 0);
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  SimCall call = {.sim = sim, .out = out};

  for (guint i = 0; words[i] != NULL; i++)
    if (*words[i] != '\0')
      g_ptr_array_add (args, words[i]);
  if (args->len == 0)
    return TRUE;
  call.args = (char **) args->pdata + 1;
  call.n = args->len - 1;
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
    if (strcmp (commands[i].name, args->pdata[0]) != 0)
      continue;
    if (call.n < commands[i].min || commands[i].run == NULL)
      return console_wrong (&call, "%s %s", commands[i].name, commands[i].args);
    gboolean card_only = commands[i].run == console_balance && call.n == 1;
    if (call.n > 0 && !card_only && !select_gateways (&call, call.args[0]))
      return FALSE;
    return commands[i].run (&call);
  }
  return console_wrong (&call, "unknown command “%s”; try “help”",
                        (const char *) args->pdata[0]);
}
