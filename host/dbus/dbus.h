/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The management interface on D-Bus (architecture 9). */
#pragma once

#include "base/owner.h"
#include <gio/gio.h>

ChDbus *ch_dbus_new (ChServices *services);
void ch_dbus_free (ChDbus *dbus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChDbus, ch_dbus_free)

extern const ChConfigKey ch_dbus_config[];

/* Connects to the bus of `dbus.bus` and exports; without a bus it logs one line and is
 * still. */
void ch_dbus_open (ChDbus *dbus);

/* What the management interface may ask of the daemon. */
typedef struct {
  void (*shutdown) (gpointer daemon);
  void (*drain) (gpointer daemon, gboolean on);
  gboolean (*reload_config) (gpointer daemon, GError **error);
} ChDbusDaemon;
void ch_dbus_set_daemon (ChDbus *dbus, const ChDbusDaemon *table, gpointer daemon);
