/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <chargehost/error.h>

G_DEFINE_QUARK (ch - config - error - quark, ch_config_error)
G_DEFINE_QUARK (ch - plugin - error - quark, ch_plugin_error)
G_DEFINE_QUARK (ch - store - error - quark, ch_store_error)
G_DEFINE_QUARK (ch - kv - error - quark, ch_kv_error)
G_DEFINE_QUARK (ch - core - error - quark, ch_core_error)
