/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins that do something when they are loaded, which none may. */
#include <chargehost/chargehost.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__ ((constructor)) static void loaded (void)
{
#ifdef LOADING_HANGS
  for (;;)
    pause ();
#else
  abort ();
#endif
}

static gboolean start (ChPlugin *self, GError **error)
{
  return TRUE;
}

#define DEFINE(ident, ...) CH_PLUGIN_DEFINE (ident, __VA_ARGS__)
DEFINE (LOADING_IDENT, .name = LOADING_NAME, .summary = "Ends who loads it",
        .version = "1.0.0", .license = "LGPL-2.1-or-later", .start = start)
