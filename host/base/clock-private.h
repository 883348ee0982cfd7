/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/services.h"
#include <chargehost/clock.h>

/* A clock: the system's, or a test's that stands still until it is told. */
ChClock *ch_clock_new (void);
ChClock *ch_clock_new_fake (gint64 wall_ms);
void ch_clock_free (ChClock *clock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChClock, ch_clock_free)

gint64 ch_clock_monotonic_us (ChClock *clock);
gint64 ch_clock_wall_ms (ChClock *clock);

/* Fake clocks only: both clocks go on / only the wall clock jumps. */
void ch_clock_advance_ms (ChClock *clock, gint64 ms);
void ch_clock_step_wall_ms (ChClock *clock, gint64 ms);
gboolean ch_clock_is_fake (ChClock *clock);

/* The clock's ULID generator: strictly increasing per clock. */
void ch_clock_ulid (ChClock *clock, char text[27]);
