/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command log `cmd_log` (gateway 6.2): both directions, batched, sampled heartbeats,
 * retention. */
#pragma once

#include "core/device/device.h"

ChFrameLogs *ch_frame_logs_new (ChCore *core);
void ch_frame_logs_free (ChFrameLogs *logs);
/* @duration_ms: from sending to this answer, CH_UNSET when it is none. */
void ch_frame_logs_add (ChFrameLogs *logs, ChDevice *device, ChConn conn,
                        const ChFrameLog *fact, gint64 duration_ms,
                        const char *command_id, const char *order_no);
/* Writes the batch now. */
void ch_frame_logs_flush (ChFrameLogs *logs);
/* From now on days are made ahead, and what is too old goes. */
void ch_frame_logs_start (ChFrameLogs *logs);
