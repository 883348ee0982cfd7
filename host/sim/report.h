/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the user sees: frames, notes, broken rules, figures. */
#pragma once

#include "gateway.h"

/* ---- report.c: the log ------------------------------------------------------------ */

void report_frame (const SimGateway *gateway, gboolean up, const guint8 *bytes,
                   gsize size);
void report_stray (const SimGateway *gateway, gboolean up, const char *error,
                   const guint8 *bytes, gsize size);
/* A remark on a gateway (which may be NULL: the whole run). */
void report_note (const Sim *sim, const SimGateway *gateway, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* ---- human.c ---------------------------------------------------------------------- */

/* The main fields of a frame in one line. */
void human_fields (const BkvFrame *frame, GString *text);

/* ---- check.c: rules of the server ------------------------------------------------- */

const char *check_rule_name (SimRule rule);
void check_stream_error (SimGateway *gateway, const char *error, const guint8 *bytes,
                         gsize size);
/* FALSE: not for us, or unusable; the rule was noted. */
gboolean check_frame (SimGateway *gateway, const BkvFrame *frame);
/* Finds or notes a command; @repeat tells which. */
SimCommand *check_command (SimGateway *gateway, const BkvFrame *frame,
                           const guint8 *bytes, gsize size, gboolean *repeat);
void check_network_list (SimGateway *gateway, const BkvNetRefresh *list);
/* An end report was answered: once more with another result? */
void check_end_answer (SimGateway *gateway, guint8 socket, guint8 result);

/* We sent something; the server owes an answer of this kind. */
void owed_add (SimGateway *gateway, BkvKind answer, guint8 socket);
/* The oldest that fits is paid; @latency_us may be NULL. */
gboolean owed_take (SimGateway *gateway, BkvKind answer, int socket, guint32 *latency_us);
void owed_clear (SimGateway *gateway);
void owed_timer (gpointer gateway);

/* ---- summary.c -------------------------------------------------------------------- */

void histogram_add (SimHistogram *histogram, guint64 us);
void summary_print (const Sim *sim, FILE *file);
gboolean summary_write_json (const Sim *sim, const char *path, GError **error);
void summary_progress (gpointer sim);

/* ---- console.c: commands while it runs; control.c: where they come from ----------- */

/* Executes one line; returns FALSE when it was wrong. @out gets what there is to say. */
gboolean console_execute (Sim *sim, const char *line, GString *out);
SimConsole *console_new (Sim *sim);
gboolean console_listen (SimConsole *console, const char *path, GError **error);
void console_read_stdin (SimConsole *console);
void console_free (SimConsole *console);
