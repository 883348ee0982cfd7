/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels that the host listens to. */
#pragma once

#include "memory.h"

MemPubsub *mem_pubsub_new (Mem *mem);
void mem_pubsub_free (MemPubsub *pubsub);
void mem_pubsub_subscribe (MemPubsub *pubsub, const char *channel, gboolean is_pattern);
void mem_pubsub_unsubscribe (MemPubsub *pubsub, const char *channel, gboolean is_pattern);
