/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared topics (architecture 5): events of this instance for the others and theirs for
 * the subscribers here, over the kv's channel `core:events`. What is lost while the kv is
 * away stays lost: events tell watchers, the store tells what is.
 */
#pragma once

#include "core/core.h"

ChShared *ch_shared_new (ChCore *core);
void ch_shared_free (ChShared *shared);
/* Phase 8; sends nothing before another instance is there. */
void ch_shared_start (ChShared *shared);
/* To be called when the number of servers has changed. */
void ch_shared_look (ChShared *shared);
