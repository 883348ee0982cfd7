/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command log `cmd_log` (gateway 6.2): both directions, batched, sampled heartbeats,
 * retention. */
#pragma once

#include "core/device/device.h"

ChFrameLogs *ch_frame_logs_new (ChCore *core);
void ch_frame_logs_free (ChFrameLogs *logs);
/* Writes the batch now. */
void ch_frame_logs_flush (ChFrameLogs *logs);
/* From now on days are made ahead, and what is too old goes. */
void ch_frame_logs_start (ChFrameLogs *logs);
