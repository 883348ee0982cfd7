/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/services.h"
#include <chargehost/config.h>
#include <chargehost/log.h>

typedef enum {
  CH_LOG_FORMAT_AUTO = 0,
  CH_LOG_FORMAT_HUMAN,
  CH_LOG_FORMAT_JSON,
  CH_LOG_FORMAT_JOURNAL
} ChLogFormat;

/* The keys of section `logging`. */
extern const ChConfigKey ch_log_config[];

/* AUTO: journald when stderr is its socket, human on a terminal, else JSON. Also sends
   what GLib and other libraries log the same way. Until it is called, warnings and
   errors go to stderr. */
void ch_log_setup (ChLogFormat format, ChLogLevel level);
/* Applies section `logging`: at start and after each reload. */
gboolean ch_log_apply_config (ChConfig *config, GError **error);

gboolean ch_log_format_parse (const char *text, ChLogFormat *format);
gboolean ch_log_level_parse (const char *text, ChLogLevel *level);
const char *ch_log_level_name (ChLogLevel level);
void ch_log_set_level (ChLogLevel level);
ChLogLevel ch_log_get_level (void);
/* Level of one plugin or part, over the common one; CH_LOG_TRACE + 1 takes it back. */
void ch_log_set_module_level (const char *module, int level);
void ch_log_clear_module_levels (void);

/**
 * ChLogFileOptions:
 * @filename: the file
 * @max_size: bytes after which it is renamed and begun anew; 0 = never
 * @max_backups: renamed files that are kept; 0 = all
 * @max_age_ms: age after which renamed files are deleted; 0 = never
 * @compress: renamed files are compressed (gzip) by a worker thread
 */
typedef struct {
  const char *filename;
  gint64 max_size;
  guint max_backups;
  gint64 max_age_ms;
  gboolean compress;
} ChLogFileOptions;

/* Who writes lines that no plugin and no part of the host writes, and the journal's
   identifier; NULL or "" is chargehost. */
void ch_log_set_name (const char *name);
/* Lines go to this file instead of stderr; NULL takes it back. */
gboolean ch_log_set_file (const ChLogFileOptions *options, GError **error);

/* Tests: lines go to @func instead, without newline; NULL takes it back. What @func
   itself logs is dropped. */
void ch_log_set_sink (void (*func) (ChLogLevel level, const char *line, gpointer data),
                      gpointer data);

/* Lines that were lost because nobody took them from stderr or the disk was full. */
guint64 ch_log_lost (void);
/* Frees what the logger keeps and closes its file; it begins anew when used again. */
void ch_log_shutdown (void);
