/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of charges as JSON, for the journal. */
#pragma once

#include "core/device/device.h"

/* (transfer full) */
json_t *ch_fact_record_started (const char *device, const ChOrderStarted *fact,
                                gint64 said_ms);
json_t *ch_fact_record_ended (const char *device, const ChOrderEnded *fact,
                              gint64 said_ms);
/* Texts are those of @record. FALSE: it is none of this kind. */
gboolean ch_fact_read_started (const json_t *record, ChOrderStarted *fact,
                               gint64 *said_ms);
gboolean ch_fact_read_ended (const json_t *record, ChOrderEnded *fact, gint64 *said_ms);
