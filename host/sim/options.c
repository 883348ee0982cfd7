/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#define MAX_GATEWAYS 60000
#define MAX_SOCKETS 250
#define MAX_FLOOD 256
#define MAX_ID G_GUINT64_CONSTANT (99999999999999)

static const char summary[]
    = "Simulates BKV charging gateways: each opens a TCP connection to the server, "
      "sends\n"
      "heartbeats and status reports, obeys commands, charges and reports the end.\n"
      "\n"
      "One gateway to look at:     chargehost-sim --server 127.0.0.1:7000\n"
      "A day in ten minutes:       chargehost-sim --time-scale 144\n"
      "Load, ten sockets each:     chargehost-sim --gateways 1000 --sockets 10 --log "
      "none\n"
      "Heartbeats per second:      chargehost-sim --gateways 100 --heartbeat-flood 8 "
      "--duration 10";

static const char commands_help[]
    = "Commands (on standard input, or on the control socket, one per line; “help” lists "
      "them):\n"
      "  plug, unplug, fault, event, temperature, offline, online, drop, halfopen, "
      "garbage,\n"
      "  split, dup, late, restart, swipe, balance, status, wait, quit\n"
      "\n"
      "Exit status: 0 all went well, 1 it could not run, 2 wrong command line,\n"
      "3 the server broke a rule (with --strict; the summary names the rules).\n";

typedef struct {
  char *first_id;
  char *bind_range;
  char *log;
  char **variants;
  char **disturbs;
} Raw;

static void raw_clear (Raw *raw)
{
  g_free (raw->first_id);
  g_free (raw->bind_range);
  g_free (raw->log);
  g_strfreev (raw->variants);
  g_strfreev (raw->disturbs);
}

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean refuse (GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, message);
  return FALSE;
}

static gboolean parse_server (SimOptions *o, GError **error)
{
  const char *colon = strrchr (o->server, ':');
  char *end = NULL;
  guint64 port = colon != NULL ? g_ascii_strtoull (colon + 1, &end, 10) : 0;
  if (colon == NULL || colon == o->server || *end != '\0' || port == 0 || port > 65535)
    return refuse (error, "--server “%s” should be HOST:PORT", o->server);
  const char *host = o->server;
  gsize size = (gsize) (colon - host);
  if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
    host++;
    size -= 2;
  }
  o->host = g_strndup (host, size);
  o->port = (guint16) port;
  return TRUE;
}

static gboolean parse_id (SimOptions *o, const char *text, GError **error)
{
  if (strlen (text) != 14 || strspn (text, "0123456789") != 14)
    return refuse (error, "--first-id “%s” should be 14 decimal digits", text);
  o->first_id = g_ascii_strtoull (text, NULL, 10);
  if (o->first_id + (guint64) o->gateways - 1 > MAX_ID)
    return refuse (error, "--first-id leaves no room for %d gateways", o->gateways);
  return TRUE;
}

static gboolean parse_bind_range (SimOptions *o, const char *text, GError **error)
{
  g_auto (GStrv) ends = g_strsplit (text, "-", 2);
  struct in_addr first, last;
  if (ends[0] == NULL || inet_pton (AF_INET, ends[0], &first) != 1
      || inet_pton (AF_INET, ends[1] != NULL ? ends[1] : ends[0], &last) != 1)
    return refuse (error,
                   "--bind-range “%s” should be two IPv4 addresses like "
                   "127.0.0.2-127.0.0.20",
                   text);
  o->bind_first = ntohl (first.s_addr);
  o->bind_last = ntohl (last.s_addr);
  if (o->bind_last < o->bind_first || o->bind_last - o->bind_first > 65535)
    return refuse (error,
                   "--bind-range “%s”: the second address must not be below the "
                   "first, and at most 65536 of them",
                   text);
  return TRUE;
}

static gboolean parse_log (SimOptions *o, const char *text, GError **error)
{
  if (text == NULL)
    o->log = o->gateways > 20 ? SIM_LOG_NONE : SIM_LOG_HUMAN;
  else if (strcmp (text, "human") == 0)
    o->log = SIM_LOG_HUMAN;
  else if (strcmp (text, "json") == 0)
    o->log = SIM_LOG_JSON;
  else if (strcmp (text, "none") == 0)
    o->log = SIM_LOG_NONE;
  else
    return refuse (error, "--log “%s” should be human, json or none", text);
  return TRUE;
}

static gboolean check_ranges (const SimOptions *o, GError **error)
{
  const struct {
    const char *name;
    double value, low, high;
  } ranges[] = {
      {"gateways", o->gateways, 1, MAX_GATEWAYS},
      {"sockets", o->sockets, 0, MAX_SOCKETS},
      {"signal", o->signal, 0, 255},
      {"first-number", o->first_number, 1, 65535},
      {"time-scale", o->time_scale, 0.001, 100000},
      {"rate", o->rate, 0.01, 1000000},
      {"duration", o->duration_s, 0, 1e9},
      {"plug", o->plug, 0, 1},
      {"battery-wh", o->battery_wh, 1, 1000000},
      {"power-w", o->power_w, 0.1, 6553},
      {"heartbeat-flood", o->flood, 0, MAX_FLOOD},
      {"answer-limit", o->answer_limit_s, 0, 3600},
      {"min-gap", o->min_gap_ms, 0, 60000},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (ranges); i++)
    if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
      return refuse (error, "--%s should be between %g and %g", ranges[i].name,
                     ranges[i].low, ranges[i].high);
  return TRUE;
}

/* Texts get their defaults afterwards: GOption would leak what it overwrites. */
static void default_texts (SimOptions *o, Raw *raw)
{
  if (o->server == NULL)
    o->server = g_strdup ("127.0.0.1:7000");
  if (raw->first_id == NULL)
    raw->first_id = g_strdup ("82000000000001");
  if (o->iccid == NULL)
    o->iccid = g_strdup ("898608########D19881");
  if (o->firmware == NULL)
    o->firmware = g_strdup ("200.1.17");
}

static gboolean finish (SimOptions *o, Raw *raw, GError **error)
{
  default_texts (o, raw);
  if (!check_ranges (o, error) || !parse_server (o, error)
      || !parse_id (o, raw->first_id, error) || !parse_log (o, raw->log, error))
    return FALSE;
  if (raw->bind_range != NULL && !parse_bind_range (o, raw->bind_range, error))
    return FALSE;
  for (guint i = 0; raw->variants != NULL && raw->variants[i] != NULL; i++)
    if (!variant_parse (&o->variant, raw->variants[i], error))
      return FALSE;
  for (guint i = 0; raw->disturbs != NULL && raw->disturbs[i] != NULL; i++)
    if (!disturb_parse (o->disturb, raw->disturbs[i], error))
      return FALSE;
  return TRUE;
}

static void set_defaults (SimOptions *o, Raw *raw)
{
  memset (o, 0, sizeof *o);
  memset (raw, 0, sizeof *raw);
  o->gateways = 1;
  o->sockets = 2;
  o->signal = 28;
  o->first_number = 1;
  o->time_scale = 1;
  o->seed = 1;
  o->rate = 500;
  o->plug = 1;
  o->battery_wh = 600;
  o->power_w = 120;
  o->answer_limit_s = 10;
  o->min_gap_ms = 500;
}

static GOptionContext *make_context (SimOptions *o, Raw *r)
{
#define INT G_OPTION_ARG_INT
#define DOUBLE G_OPTION_ARG_DOUBLE
#define TEXT G_OPTION_ARG_STRING
#define PATH G_OPTION_ARG_FILENAME
#define LIST G_OPTION_ARG_STRING_ARRAY
#define FLAG G_OPTION_ARG_NONE
  /* clang-format off */
  const GOptionEntry entries[] = {
    { "server", 's', 0, TEXT, &o->server, "where to connect (127.0.0.1:7000)", "HOST:PORT" },
    { "gateways", 'n', 0, INT, &o->gateways, "how many gateways (1)", "N" },
    { "sockets", 0, 0, INT, &o->sockets, "sockets per gateway; 0 = stand-alone device, socket 0 (2)", "N" },
    { "first-id", 0, 0, TEXT, &r->first_id, "id of the first gateway, the others count up", "14DIGITS" },
    { "iccid", 0, 0, TEXT, &o->iccid, "SIM number; # stands for a digit of the gateway's index", "TEXT" },
    { "firmware", 0, 0, TEXT, &o->firmware, "firmware, up to 8 characters, # as above", "TEXT" },
    { "signal", 0, 0, INT, &o->signal, "GSM quality 0 to 31 (28)", "N" },
    { "first-number", 0, 0, INT, &o->first_number, "first business number (1)", "N" },
    { "time-scale", 't', 0, DOUBLE, &o->time_scale, "divides every interval: 60 = an hour in a minute (1)", "F" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &o->seed, "of all chance (1)", "N" },
    { "rate", 0, 0, DOUBLE, &o->rate, "connections per second when starting (500)", "N" },
    { "bind-range", 0, 0, TEXT, &r->bind_range, "source addresses, 127.0.0.2-127.0.0.20", "FIRST-LAST" },
    { "plug", 0, 0, DOUBLE, &o->plug, "probability that an outlet has a load (1)", "P" },
    { "battery-wh", 0, 0, INT, &o->battery_wh, "what a load takes until it is full (600)", "N" },
    { "power-w", 0, 0, DOUBLE, &o->power_w, "rated power of a load (120)", "N" },
    { "variant", 0, 0, LIST, &r->variants, "firmware variant, see below; may be repeated", "NAME=VALUE" },
    { "disturb", 0, 0, LIST, &r->disturbs, "disturbance, see below; may be repeated", "NAME=P" },
    { "state", 0, 0, PATH, &o->state_dir, "keep end reports and numbers here over a restart", "DIR" },
    { "ack-log", 0, 0, PATH, &o->ack_log, "one JSON line per end report: acknowledged, or left at exit", "FILE" },
    { "log", 'l', 0, TEXT, &r->log, "human, json or none (human up to 20 gateways)", "FORM" },
    { "quiet", 'q', 0, FLAG, &o->quiet, "print no summary and no progress", NULL },
    { "summary-json", 0, 0, PATH, &o->summary_json, "write the summary here at exit", "FILE" },
    { "strict", 0, 0, FLAG, &o->strict, "exit with 3 when the server broke a rule", NULL },
    { "answer-limit", 0, 0, DOUBLE, &o->answer_limit_s, "real seconds the server has for an answer; 0 = not checked (10)", "S" },
    { "min-gap", 0, 0, INT, &o->min_gap_ms, "smallest gap between two commands, real; 0 = not checked (500)", "MS" },
    { "heartbeat-flood", 0, 0, INT, &o->flood, "keep N heartbeats in flight per connection and count the answers", "N" },
    { "duration", 'd', 0, DOUBLE, &o->duration_s, "stop after so many real seconds", "S" },
    { "control-socket", 0, 0, PATH, &o->control_socket, "take commands on this Unix socket", "PATH" },
    { NULL }
  };
  /* clang-format on */
  GOptionContext *context = g_option_context_new ("— BKV device simulator");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_summary (context, summary);
  g_autofree char *choices = choices_help ();
  g_autofree char *description = g_strconcat (choices, "\n", commands_help, NULL);
  g_option_context_set_description (context, description);
  return context;
}

gboolean options_parse (char **argv, SimOptions *options, GError **error)
{
  Raw raw;
  set_defaults (options, &raw);
  g_autoptr (GOptionContext) context = make_context (options, &raw);
  g_auto (GStrv) args = g_strdupv (argv);
  gboolean ok = g_option_context_parse_strv (context, &args, error);
  if (ok && args[0] != NULL && args[1] != NULL)
    ok = refuse (error, "unexpected argument “%s”", args[1]);
  if (ok)
    ok = finish (options, &raw, error);
  raw_clear (&raw);
  return ok;
}

void options_clear (SimOptions *o)
{
  g_clear_pointer (&o->server, g_free);
  g_clear_pointer (&o->host, g_free);
  g_clear_pointer (&o->iccid, g_free);
  g_clear_pointer (&o->firmware, g_free);
  g_clear_pointer (&o->state_dir, g_free);
  g_clear_pointer (&o->control_socket, g_free);
  g_clear_pointer (&o->summary_json, g_free);
  g_clear_pointer (&o->ack_log, g_free);
}
