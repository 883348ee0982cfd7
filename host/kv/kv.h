/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kv's front: commands, function libraries, pub/sub; drivers are plugins. */
#pragma once

#include "base/owner.h"
#include <chargehost/kv.h>

ChKv *ch_kv_new (ChServices *services);
void ch_kv_free (ChKv *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChKv, ch_kv_free)

gboolean ch_kv_open (ChKv *kv, ChPlugin *driver_plugin, const ChKvDriver *driver, GError **error);
void ch_kv_close (ChKv *kv);
gboolean ch_kv_up (ChKv *kv);
const char *ch_kv_driver_name (ChKv *kv);
gint64 ch_kv_used_memory (ChKv *kv);
