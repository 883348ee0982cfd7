/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the logger share. Every function here is called with its lock held.
 */
#pragma once

#include "base/log-private.h"

/* Longest line with its newline; what does not fit is cut and marked. */
#define CH_LOG_MAX_LINE 8192
#define CH_LOG_MAX_MESSAGE 6000
#define CH_LOG_MAX_FIELDS 24
#define CH_LOG_MAX_VALUE 512

typedef struct {
  ChLogLevel level;
  gint64 wall_us;
  const char *module; /* (nullable): plugin, part or domain */
  gboolean is_plugin;
  const char *file; /* (nullable) */
  int line;
  const char *const *fields; /* (nullable): pairs */
  const char *message;
  const char *app; /* the name of the program */
} ChLogRecord;

/* A line that is never longer than its room. */
typedef struct {
  gsize len;
  char text[CH_LOG_MAX_LINE + 1];
} ChLogLine;

/* Without a closing newline. */
void ch_log_format_human (const ChLogRecord *record, gboolean colour, ChLogLine *line);
void ch_log_format_json (const ChLogRecord *record, ChLogLine *line);
/* `NAME=value` lines, as the journal gets them; for the tests' sink. */
void ch_log_format_journal (const ChLogRecord *record, ChLogLine *line);
/* FALSE when the journal cannot be reached. */
gboolean ch_log_write_journal (const ChLogRecord *record);

/* ---- the file ---------------------------------------------------------------------- */

typedef struct _ChLogFile ChLogFile;

ChLogFile *ch_log_file_open (const ChLogFileOptions *options, GError **error);
/* @text ends with a newline. FALSE when it could not be written. */
gboolean ch_log_file_write (ChLogFile *file, const char *text, gsize size);
/* Waits for a compression that runs. */
void ch_log_file_close (ChLogFile *file);
