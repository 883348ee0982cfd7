/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the console share: one command line being executed. */
#pragma once

#include "report.h"

typedef struct {
  Sim *sim;
  char **args; /* after the command's name */
  guint n;
  GString *out;
  guint first, last; /* gateways meant: first to last, last not included */
} SimCall;

/* Says what is wrong; returns FALSE. */
gboolean console_wrong (SimCall *call, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Argument @at, if it is there; otherwise @value stays. */
gboolean console_number (SimCall *call, guint at, double low, double high, double *value);

/* console-outlet.c */
gboolean console_plug (SimCall *call);
gboolean console_unplug (SimCall *call);
gboolean console_fault (SimCall *call);
gboolean console_temperature (SimCall *call);
gboolean console_event (SimCall *call);
gboolean console_swipe (SimCall *call);
gboolean console_balance (SimCall *call);
gboolean console_offline (SimCall *call);
gboolean console_online (SimCall *call);
