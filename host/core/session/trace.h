/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frames of a device as they come and go, for operators who look for a fault in the
 * field (gateway 7.7). A trace stays with its device when that connects anew.
 */
#pragma once

#include "core/device/device.h"

#define CH_TRACE_MAX_S 600
#define CH_TRACES_MAX 16

/*
 * @frame: {"time","direction":"in" or "out","conn_id","hex","decoded"}; NULL: the trace
 * has ended, and is gone.
 */
typedef void (*ChTraceFunc) (const json_t *frame, gpointer user_data);

/*
 * Frames of all devices that share its connection. The device may be off line: what comes
 * first is seen. NULL: unknown, connected at another instance, or too many traces.
 */
ChTrace *ch_trace_begin (ChCore *core, const char *device, guint seconds,
                         ChTraceFunc func, gpointer user_data, GError **error);
/* Without calling back. */
void ch_trace_end (ChTrace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChTrace, ch_trace_end)

/* A device has a connection. */
void ch_traces_bound (ChCore *core, const ChDevice *device);
/* The gateway's hook. */
void ch_traces_frame (ChCore *core, ChConn conn, gboolean incoming, const void *bytes,
                      gsize size);
/* Ends all. */
void ch_traces_free (ChCore *core);
