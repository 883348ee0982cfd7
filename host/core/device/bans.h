/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may not connect: devices by id, addresses by network (gateway 2.2, 2.11). Bans end
 * by themselves; the table `bans` keeps them over a restart and tells other instances,
 * which read it twice a minute.
 */
#pragma once

#include "core/core.h"

ChBans *ch_bans_new (ChCore *core);
void ch_bans_free (ChBans *bans);
/* Reads the table; blocks. */
gboolean ch_bans_open (ChBans *bans, GError **error);

gboolean ch_bans_has_device (ChBans *bans, const char *device);
/* @host: address without port, brackets around one of IPv6. */
gboolean ch_bans_has_host (ChBans *bans, const char *host);
/* At once; written when the store gets to it. */
void ch_bans_put_device (ChBans *bans, const char *device, const char *reason, gint64 ms);

/* {"bans":[…],"total","page","page_size"}, the newest first. (transfer full) */
json_t *ch_core_bans_json (ChPlugin *self, gint64 limit, gint64 offset);
/*
 * Whether @text is an address or a network; @subject gets what stands in the table, which
 * no device id can be: it holds a slash. (transfer full)
 */
gboolean ch_ban_address (const char *text, char **subject);
/*
 * Bans @subject, a device id or what ch_ban_address() gave; @ms 0 is for ever. Its
 * connections are closed when it is stored. The answer is {"created":bool,"ban":object}.
 */
void ch_core_ban (ChPlugin *self, const char *subject, const char *reason, gint64 ms,
                  ChCoreDone done, gpointer user_data);
/* The answer is {"ban":object}; 40400 when there is none. */
void ch_core_unban (ChPlugin *self, const char *subject, ChCoreDone done,
                    gpointer user_data);

extern const ChStatement ch_ban_statements[];
