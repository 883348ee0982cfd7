/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Section `logging` of the configuration. */
#include "base/config-private.h"
#include "base/log-private.h"
#include <chargehost/error.h>

static const char *const LEVELS[]
    = {"error", "warning", "warn", "notice", "info", "debug", "trace", NULL};
static const char *const FORMATS[] = {"auto", "human", "json", "journal", NULL};

const ChConfigKey ch_log_config[] = {
    {.name = "logging.level",
     .type = CH_CONFIG_CHOICE,
     .flags = CH_CONFIG_LIVE,
     .def = "info",
     .choices = LEVELS,
     .summary = "Most detailed level that is logged."},
    {.name = "logging.modules",
     .type = CH_CONFIG_MAP,
     .flags = CH_CONFIG_LIVE,
     .summary = "Levels of single plugins and parts, such as proto-bkv: trace."},
    {.name = "logging.format",
     .type = CH_CONFIG_CHOICE,
     .flags = CH_CONFIG_LIVE,
     .def = "auto",
     .choices = FORMATS,
     .summary = "Form of a line; auto is the journal under systemd, human on a terminal, "
                "else json."},
    {.name = "logging.file.filename",
     .type = CH_CONFIG_STRING,
     .flags = CH_CONFIG_LIVE,
     .summary = "File for the lines, instead of the standard error output."},
    {.name = "logging.file.max_size",
     .type = CH_CONFIG_SIZE,
     .flags = CH_CONFIG_LIVE,
     .def = "100M",
     .min = 0,
     .max = 1e12,
     .summary = "Size at which a new file is begun; 0 is never."},
    {.name = "logging.file.max_backups",
     .type = CH_CONFIG_INT,
     .flags = CH_CONFIG_LIVE,
     .def = "7",
     .min = 0,
     .max = 10000,
     .summary = "Old files that are kept; 0 is all."},
    {.name = "logging.file.max_age",
     .type = CH_CONFIG_DURATION_MS,
     .flags = CH_CONFIG_LIVE | CH_CONFIG_SECONDS,
     .def = "30d",
     .min = 0,
     .max = 3.2e11,
     .summary = "Age at which old files are deleted; 0 is never."},
    {.name = "logging.file.compress",
     .type = CH_CONFIG_BOOL,
     .flags = CH_CONFIG_LIVE,
     .def = "true",
     .summary = "Whether old files are compressed."},
    {NULL},
};

gboolean ch_log_apply_config (ChConfig *config, GError **error)
{
  ChLogFormat format = CH_LOG_FORMAT_AUTO;
  ChLogLevel level = CH_LOG_INFO;
  const char *filename = ch_config_get_string (config, "logging.file.filename");
  gboolean to_file = filename != NULL && *filename != '\0';
  const char *const *modules = ch_config_get_map (config, "logging.modules");

  ch_log_level_parse (ch_config_get_string (config, "logging.level"), &level);
  ch_log_format_parse (ch_config_get_string (config, "logging.format"), &format);
  for (guint i = 0; modules != NULL && modules[i] != NULL; i += 2) {
    ChLogLevel ignored;
    if (!ch_log_level_parse (modules[i + 1], &ignored)) {
      g_set_error (error, CH_CONFIG_ERROR, CH_CONFIG_ERROR_BAD_VALUE,
                   "logging.modules: '%s' is no level", modules[i + 1]);
      return FALSE;
    }
  }

  ChLogFileOptions options = {
      .filename = filename,
      .max_size = ch_config_get_int (config, "logging.file.max_size"),
      .max_backups = (guint) ch_config_get_int (config, "logging.file.max_backups"),
      .max_age_ms = ch_config_get_duration_ms (config, "logging.file.max_age"),
      .compress = ch_config_get_bool (config, "logging.file.compress"),
  };
  if (!ch_log_set_file (to_file ? &options : NULL, error))
    return FALSE;
  ch_log_setup (to_file && format == CH_LOG_FORMAT_AUTO ? CH_LOG_FORMAT_JSON : format,
                level);
  ch_log_clear_module_levels ();
  for (guint i = 0; modules != NULL && modules[i] != NULL; i += 2)
    if (ch_log_level_parse (modules[i + 1], &level))
      ch_log_set_module_level (modules[i], (int) level);
  return TRUE;
}
