/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kv's front: commands, function libraries, pub/sub; drivers are plugins. */
#pragma once

#include "base/owner.h"
#include <chargehost/kv.h>

/* The keys of section `kv`, and `redis.key_prefix`, which every driver obeys. */
extern const ChConfigKey ch_kv_config[];

/* Declares the keys when there is a configuration; sets services->kv. */
ChKv *ch_kv_new (ChServices *services);
void ch_kv_free (ChKv *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChKv, ch_kv_free)

gboolean ch_kv_open (ChKv *kv, ChPlugin *driver_plugin, const ChKvDriver *driver,
                     GError **error);
/* Commands that the driver still holds fail with UNAVAILABLE. */
void ch_kv_close (ChKv *kv);
gboolean ch_kv_up (ChKv *kv);
/* @back (nullable) is called each time the connection has come back, libraries and all.
 */
void ch_kv_set_back (ChKv *kv, void (*back) (gpointer data), gpointer data);
const char *ch_kv_driver_name (ChKv *kv); /* NULL when none is open */
gint64 ch_kv_used_memory (ChKv *kv);      /* −1 when unknown */
gsize ch_kv_pending (ChKv *kv);           /* commands that have not been answered yet */

/* For tests, which have no configuration. */
void ch_kv_set_prefix (ChKv *kv, const char *prefix);
void ch_kv_set_queue_max (ChKv *kv, gsize queue_max);
