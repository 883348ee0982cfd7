/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins that must be refused before anything of them runs; one for each REFUSED_*. */
#ifdef REFUSED_ABI_MAJOR
#define CH_PLUGIN_ABI_MAJOR 99
#define CH_PLUGIN_ABI_MINOR 0
#endif
#ifdef REFUSED_ABI_MINOR
#define CH_PLUGIN_ABI_MAJOR 1
#define CH_PLUGIN_ABI_MINOR 999
#endif
#include <chargehost/chargehost.h>

#ifdef REFUSED_UNRESOLVED
/* A function of a host that does not exist. */
void ch_function_of_another_time (ChPlugin *self);
#endif

static gboolean start (ChPlugin *self, GError **error)
{
#ifdef REFUSED_UNRESOLVED
  ch_function_of_another_time (self);
#endif
  return TRUE;
}

#ifdef REFUSED_FIELDS
#define TEXTS .version = ""
#else
#define TEXTS .version = "1.0.0", .license = "LGPL-2.1-or-later"
#endif

#define DEFINE(ident, ...) CH_PLUGIN_DEFINE (ident, __VA_ARGS__)
DEFINE (REFUSED_IDENT, .name = REFUSED_NAME, .summary = "Must be refused", TEXTS,
        .start = start)
