/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: one line per frame and remark, for people or as JSON. */
#include "report.h"

#include <string.h>
#include <time.h>

#define NAME_WIDTH 18
#define STRAY_SHOWN 32

#define DIM "\033[2m"
#define GREEN "\033[32m"
#define CYAN "\033[36m"
#define RED "\033[1;31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static const char *colour (const Sim *sim, const char *code)
{
  return sim->colour ? code : "";
}

/* Time of day, and the gateway when there are several. */
static void put_prefix (const Sim *sim, const SimGateway *gateway, GString *line)
{
  char name[BKV_GATEWAY_TEXT_SIZE];
  gint64 now_us = g_get_real_time ();
  time_t seconds = (time_t) (now_us / 1000000);
  struct tm tm;

  localtime_r (&seconds, &tm);
  g_string_append_printf (line, "%s%02d:%02d:%02d.%03d%s ", colour (sim, DIM), tm.tm_hour,
                          tm.tm_min, tm.tm_sec, (int) (now_us / 1000 % 1000),
                          colour (sim, PLAIN));
  if (gateway == NULL || sim->n_gateways == 1)
    return;
  gateway_name (gateway, name);
  g_string_append_printf (line, "%s ", name);
}

static void put_line (const Sim *sim, GString *line)
{
  g_string_append_c (line, '\n');
  fwrite (line->str, 1, line->len, sim->log);
}

static void human_frame (const SimGateway *gateway, gboolean up, const guint8 *bytes,
                         gsize size)
{
  const Sim *sim = gateway->sim;
  g_autoptr (GString) line = g_string_new (NULL);
  BkvFrame frame;

  put_prefix (sim, gateway, line);
  g_string_append_printf (line, "%s%s%s ", colour (sim, up ? GREEN : CYAN),
                          up ? "──▶" : "◀──", colour (sim, PLAIN));
  if (!bkv_decode (bytes, size, &frame))
    g_string_append (line, "(not a frame: disturbed)");
  else {
    g_string_append_printf (line, "%-*s ", NAME_WIDTH, bkv_kind_name (frame.kind));
    g_autoptr (GString) fields = g_string_new (NULL);
    human_fields (&frame, fields);
    g_string_append (line, g_strstrip (fields->str));
  }
  put_line (sim, line);
}

static void write_json (const Sim *sim, json_t *object)
{
  char *text = json_dumps (object, JSON_COMPACT);
  fprintf (sim->log, "%s\n", text);
  free (text);
  json_decref (object);
}

static json_t *json_head (const SimGateway *gateway)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *seconds = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S");
  g_autofree char *time
      = g_strdup_printf ("%s.%03dZ", seconds, g_date_time_get_microsecond (now) / 1000);
  json_t *object = json_pack ("{s:s}", "time", time);

  if (gateway != NULL) {
    char name[BKV_GATEWAY_TEXT_SIZE];
    gateway_name (gateway, name);
    json_object_set_new (object, "gateway", json_string (name));
    json_object_set_new (object, "connection", json_integer (gateway->connection));
  }
  return object;
}

static void json_bytes (const SimGateway *gateway, gboolean up, const guint8 *bytes,
                        gsize size)
{
  json_t *object = json_head (gateway);
  g_autofree char *hex = g_malloc (2 * size + 1);

  bkv_hex (bytes, size, hex);
  json_object_set_new (object, "direction", json_string (up ? "up" : "down"));
  json_object_set_new (object, "hex", json_string (hex));
  json_object_set_new (object, "decoded", bkv_decode_json (bytes, size));
  write_json (gateway->sim, object);
}

void report_frame (const SimGateway *gateway, gboolean up, const guint8 *bytes,
                   gsize size)
{
  if (gateway->sim->options.log == SIM_LOG_HUMAN)
    human_frame (gateway, up, bytes, size);
  else if (gateway->sim->options.log == SIM_LOG_JSON)
    json_bytes (gateway, up, bytes, size);
}

void report_stray (const SimGateway *gateway, gboolean up, const char *error,
                   const guint8 *bytes, gsize size)
{
  const Sim *sim = gateway->sim;

  if (sim->options.log == SIM_LOG_JSON)
    json_bytes (gateway, up, bytes, size);
  if (sim->options.log != SIM_LOG_HUMAN)
    return;
  char hex[2 * STRAY_SHOWN + 1];
  g_autoptr (GString) line = g_string_new (NULL);
  bkv_hex (bytes, MIN (size, STRAY_SHOWN), hex);
  put_prefix (sim, gateway, line);
  g_string_append_printf (line, "%s%s%s %s: %s%s", colour (sim, YELLOW),
                          up ? "──▶" : "◀──", colour (sim, PLAIN), error, hex,
                          size > STRAY_SHOWN ? "…" : "");
  put_line (sim, line);
}

static void human_note (const Sim *sim, const SimGateway *gateway, const char *text)
{
  g_autoptr (GString) line = g_string_new (NULL);
  gboolean alarm = g_str_has_prefix (text, "RULE BROKEN");

  put_prefix (sim, gateway, line);
  g_string_append_printf (line, "%s ·  %s%s", colour (sim, alarm ? RED : DIM), text,
                          colour (sim, PLAIN));
  put_line (sim, line);
}

void report_note (const Sim *sim, const SimGateway *gateway, const char *format, ...)
{
  if (sim->options.log == SIM_LOG_NONE || sim->log == NULL)
    return;
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  if (sim->options.log == SIM_LOG_HUMAN) {
    human_note (sim, gateway, text);
    return;
  }
  json_t *object = json_head (gateway);
  json_object_set_new (object, "note", json_string (text));
  write_json (sim, object);
}
