/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/services.h"
#include <chargehost/config.h>
#include <chargehost/log.h>

typedef enum { CH_LOG_FORMAT_AUTO = 0, CH_LOG_FORMAT_HUMAN, CH_LOG_FORMAT_JSON, CH_LOG_FORMAT_JOURNAL } ChLogFormat;

/* The keys of section `logging`. */
extern const ChConfigKey ch_log_config[];

/* AUTO: journald when stderr is its socket, human on a terminal, else JSON. */
void ch_log_setup (ChLogFormat format, ChLogLevel level);
gboolean ch_log_format_parse (const char *text, ChLogFormat *format);
gboolean ch_log_level_parse (const char *text, ChLogLevel *level);
const char *ch_log_level_name (ChLogLevel level);
void ch_log_set_level (ChLogLevel level);
ChLogLevel ch_log_get_level (void);
/* Level of one plugin or part, over the common one; CH_LOG_TRACE + 1 takes it back. */
void ch_log_set_module_level (const char *module, int level);
/* Tests: lines go to @func instead. */
void ch_log_set_sink (void (*func) (ChLogLevel level, const char *line, gpointer data), gpointer data);
