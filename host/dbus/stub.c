/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
void ch_dbus_nothing (void);
void ch_dbus_nothing (void) {}
