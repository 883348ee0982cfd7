/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The section `proto-bkv` (bkv 15). The overrides of gateway 0.4 are the host's. */
#include "proto-bkv/bkv.h"
#include <string.h>

static const char *const delete_choices[] = {"refresh", "0a", NULL};
static const char *const power_choices[] = {"0015", "0005", "auto", NULL};
static const char *const end_choices[] = {"auto", "0c", "echo", "both", NULL};

#define KEY(name, type, def, min, max, choices, text)                                    \
  {                                                                                      \
    name, CH_CONFIG_##type, CH_CONFIG_FLAGS_NONE, def, min, max, choices, NULL, text     \
  }

const ChConfigKey bkv_config_keys[] = {
    KEY ("utc_offset_min", INT, "480", -840, 840, NULL,
         "Local time of the installations, in minutes east of UTC."),
    KEY ("energy_unit_wh", INT, "1", 1, 1000, NULL,
         "What a device counts as one unit of energy, in Wh."),
    KEY ("meter_fault_mask", INT, "0x40", 0, 255, NULL,
         "Bits of the status byte that mean a metering fault; 0 = none."),
    KEY ("refresh_on_connect", BOOL, "false", 0, 0, NULL,
         "Whether the network list is sent again at every connect."),
    KEY ("delete_via", CHOICE, "refresh", 0, 0, delete_choices,
         "How a socket is deleted: by the remaining list or by sub-command 0x0A."),
    KEY ("power_steps", LIST, "200:25/60,400:50/60,600:100/60,800:150/60,2000:500/120", 0,
         0, NULL, "Steps of a start by power, as W:cent/minutes, rising, at most five."),
    KEY ("power_start_cmd", CHOICE, "0015", 0, 0, power_choices,
         "Command of a start by power steps."),
    KEY ("fee_start", BOOL, "false", 0, 0, NULL,
         "Whether starts with a price per kWh carry the tariff (0x1007)."),
    KEY ("end_ack", CHOICE, "auto", 0, 0, end_choices,
         "Form of the answer to end reports."),
    {"missing_end_wait_s", CH_CONFIG_DURATION_MS, CH_CONFIG_SECONDS, "90s", 1000, 3600000,
     NULL, NULL,
     "How long an outlet may be idle under a charging order before it is asked."},
    KEY ("reason_map", MAP, "0=0,8=2", 0, 0, NULL,
         "Neutral end reasons of the device's reason codes."),
    KEY ("reason_map_path", STRING, NULL, 0, 0, NULL,
         "File with lines 'code: neutral code' under 'map:', instead of reason_map."),
    KEY ("ack_event_record", BOOL, "false", 0, 0, NULL,
         "Whether event records (0x1013) are answered."),
    KEY ("event_map", MAP, NULL, 0, 0, NULL,
         "Level and name of alarms by event code, as code=level or code=level:name."),
    {NULL},
};

static gboolean fail (GError **error, const char *key, const char *text)
{
  g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE, "proto-bkv.%s: '%s'",
               key, text);
  return FALSE;
}

static guint choice (ChPlugin *self, const char *key, const char *const *choices)
{
  const char *value = ch_config_string (self, key);

  for (guint i = 0; choices[i] != NULL; i++)
    if (g_strcmp0 (choices[i], value) == 0)
      return i;
  return 0;
}

static gboolean number (const char *text, guint64 min, guint64 max, guint64 *out)
{
  return g_ascii_string_to_unsigned (text, 10, min, max, out, NULL);
}

/* "200:25/60": reaches up to 200 W, 25 cent buy 60 minutes. */
static gboolean read_step (const char *text, BkvStep *step)
{
  g_auto (GStrv) parts = g_strsplit_set (text, ":/", 4);
  guint64 watts, cent, minutes;

  if (g_strv_length (parts) != 3 || !number (g_strstrip (parts[0]), 1, 6553, &watts)
      || !number (g_strstrip (parts[1]), 1, G_MAXUINT16, &cent)
      || !number (g_strstrip (parts[2]), 1, G_MAXUINT16, &minutes))
    return FALSE;
  *step = (BkvStep) {(guint16) (watts * 10), (guint16) cent, (guint16) minutes};
  return TRUE;
}

static gboolean read_steps (ChPlugin *self, BkvSettings *s, GError **error)
{
  const char *const *list = ch_config_list (self, "power_steps");

  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    BkvStep step;

    if (s->n_steps == G_N_ELEMENTS (s->steps) || !read_step (list[i], &step)
        || (i > 0 && step.power_limit <= s->steps[i - 1].power_limit))
      return fail (error, "power_steps", list[i]);
    s->steps[s->n_steps++] = step;
  }
  return s->n_steps > 0 || fail (error, "power_steps", "");
}

static gboolean put_reason (BkvSettings *s, const char *code, const char *neutral)
{
  guint64 from, to;

  if (!number (code, 0, 255, &from) || !number (neutral, 0, CH_END_UNKNOWN, &to)
      || (to > CH_END_DOOR_OR_SMOKE_ALARM && to != CH_END_UNKNOWN))
    return FALSE;
  s->reasons[from] = (gint16) to;
  return TRUE;
}

/* Only what the file needs: comments, `map:`, lines of two numbers under it. */
static gboolean read_reason_file (const char *path, BkvSettings *s, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gboolean inside = FALSE;
  gsize size;

  if (!g_file_get_contents (path, &text, &size, error))
    return FALSE;
  lines = g_strsplit (text, "\n", size > 65536 ? 1 : -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    char *comment = strchr (lines[i], '#');
    char *colon;

    if (comment != NULL)
      *comment = 0;
    g_strchomp (lines[i]);
    if (*lines[i] == 0 || strcmp (lines[i], "---") == 0)
      continue;
    if (!g_ascii_isspace (*lines[i])) {
      inside = strcmp (lines[i], "map:") == 0;
      if (!inside)
        return fail (error, "reason_map_path", lines[i]);
      continue;
    }
    colon = strchr (lines[i], ':');
    if (!inside || colon == NULL)
      return fail (error, "reason_map_path", lines[i]);
    *colon = 0;
    if (!put_reason (s, g_strstrip (lines[i]), g_strstrip (colon + 1)))
      return fail (error, "reason_map_path", lines[i]);
  }
  return TRUE;
}

static gboolean read_reasons (ChPlugin *self, BkvSettings *s, GError **error)
{
  const char *path = ch_config_string (self, "reason_map_path");
  const char *const *map = ch_config_map (self, "reason_map");

  for (guint i = 0; i < G_N_ELEMENTS (s->reasons); i++)
    s->reasons[i] = -1;
  if (path != NULL && *path != 0)
    return read_reason_file (path, s, error);
  for (guint i = 0; map != NULL && map[i] != NULL; i += 2)
    if (!put_reason (s, map[i], map[i + 1]))
      return fail (error, "reason_map", map[i]);
  return TRUE;
}

static gboolean read_event (const char *code, const char *value, BkvSettings *s)
{
  static const char *const levels[] = {"info", "warning", "minor", "major", "critical"};
  g_auto (GStrv) parts = g_strsplit (value, ":", 2);
  guint64 n;

  if (!number (code, 1, 255, &n) || parts[0] == NULL)
    return FALSE;
  if (parts[1] != NULL) {
    if (*parts[1] == 0 || strlen (parts[1]) >= sizeof s->events[n].name)
      return FALSE;
    g_strlcpy (s->events[n].name, parts[1], sizeof s->events[n].name);
  }
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    if (g_ascii_strcasecmp (parts[0], levels[i]) == 0) {
      s->events[n].level = (ChAlarmLevel) i;
      return TRUE;
    }
  return FALSE;
}

static gboolean read_events (ChPlugin *self, BkvSettings *s, GError **error)
{
  const char *const *map = ch_config_map (self, "event_map");

  for (guint i = 0; i < G_N_ELEMENTS (s->events); i++)
    s->events[i].level = CH_ALARM_WARNING;
  for (guint i = 0; map != NULL && map[i] != NULL; i += 2)
    if (!read_event (map[i], map[i + 1], s))
      return fail (error, "event_map", map[i]);
  return TRUE;
}

gboolean bkv_settings_read (ChPlugin *self, BkvSettings *s, GError **error)
{
  memset (s, 0, sizeof *s);
  s->utc_offset_min = (int) ch_config_int (self, "utc_offset_min");
  s->energy_unit_wh = (guint) ch_config_int (self, "energy_unit_wh");
  s->meter_fault_mask = (guint8) ch_config_int (self, "meter_fault_mask");
  s->refresh_on_connect = ch_config_bool (self, "refresh_on_connect");
  s->delete_by_command = choice (self, "delete_via", delete_choices) == 1;
  s->power_start_cmd = (BkvPowerCmd) choice (self, "power_start_cmd", power_choices);
  s->fee_start = ch_config_bool (self, "fee_start");
  s->end_ack = (BkvEndForm) choice (self, "end_ack", end_choices);
  s->missing_end_wait_ms = ch_config_duration_ms (self, "missing_end_wait_s");
  s->ack_event_record = ch_config_bool (self, "ack_event_record");
  return read_steps (self, s, error) && read_reasons (self, s, error)
         && read_events (self, s, error);
}
