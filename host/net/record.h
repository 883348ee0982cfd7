/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording of a connection's bytes, and reading it back for tests. A text file: lines
 * beginning with `#` are comments; every other line is
 *
 *     SECONDS DIRECTION HEX
 *
 * with microseconds since the recording began (12.345678), `<` for bytes of the device
 * or `>` for ours, and the bytes.
 */
#pragma once

#include <glib.h>

typedef struct _ChRecorder ChRecorder;

/* @note: stands in the first line. */
ChRecorder *ch_recorder_open (const char *path, const char *note, gint64 now_us,
                              GError **error);
/* Stops by itself, with a last comment, when the file is larger than 64 MiB. */
void ch_recorder_add (ChRecorder *recorder, gboolean incoming, const void *bytes,
                      gsize size, gint64 now_us);
void ch_recorder_close (ChRecorder *recorder);

typedef struct {
  gint64 at_us;
  gboolean incoming;
  gsize size;
  guint8 bytes[];
} ChRecordLine;

/* (transfer container) (element-type ChRecordLine) */
GPtrArray *ch_record_read (const char *path, GError **error);
