/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time. Intervals use the monotonic clock, records the wall clock (gateway 0.2). */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

/**
 * ch_now_ms:
 * @self: the caller
 *
 * Returns: monotonic milliseconds; only differences mean anything. In tests the
 *   injected clock's.
 */
gint64 ch_now_ms (ChPlugin *self);

/**
 * ch_wall_ms:
 * @self: the caller
 *
 * Returns: milliseconds since 1970-01-01T00:00:00Z, for records and protocols.
 */
gint64 ch_wall_ms (ChPlugin *self);

/* Long enough for ch_format_time(). */
#define CH_TIME_TEXT_SIZE 32

/**
 * ch_format_time:
 * @wall_ms: milliseconds since the epoch
 * @text: (out caller-allocates): receives RFC 3339 UTC with milliseconds,
 *   `2024-01-06T08:00:00.000Z`
 *
 * Returns: @text
 */
const char *ch_format_time (gint64 wall_ms, char text[CH_TIME_TEXT_SIZE]);

/**
 * ch_parse_time:
 * @text: RFC 3339 time with or without fraction, `Z` or an offset
 * @wall_ms: (out): milliseconds since the epoch
 *
 * Returns: whether @text is a time
 */
gboolean ch_parse_time (const char *text, gint64 *wall_ms);

typedef void (*ChTimerFunc) (ChPlugin *self, gpointer user_data);

/**
 * ch_timer_add:
 * @self: the owner; the timer dies with it
 * @delay_ms: from now, at most 49 days
 * @func: called once on the main loop
 * @user_data: for @func, not owned
 *
 * Timers sit in a hashed wheel: arming and cancelling is O(1), resolution 10 ms, never
 * early.
 *
 * Returns: a handle, valid until it fires
 */
ChTimer ch_timer_add (ChPlugin *self, guint64 delay_ms, ChTimerFunc func,
                      gpointer user_data);

/**
 * ch_timer_cancel:
 * @self: the owner
 * @timer: (inout): set to 0; 0 or a timer that fired already is fine
 */
void ch_timer_cancel (ChPlugin *self, ChTimer *timer);

G_END_DECLS
