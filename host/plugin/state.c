/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life cycle: state × event → state. What is not in the table is not possible. */
#include "plugin/plugins-private.h"

#define STATES 10
#define NO 0xff

static const ChPluginState states[STATES] = {
    CH_PLUGIN_FOUND,   CH_PLUGIN_BLOCKED,     CH_PLUGIN_LOADED,   CH_PLUGIN_STARTING,
    CH_PLUGIN_RUNNING, CH_PLUGIN_DEGRADED,    CH_PLUGIN_STOPPING, CH_PLUGIN_STOPPED,
    CH_PLUGIN_FAILED,  CH_PLUGIN_QUARANTINED,
};

static const char *const state_names[STATES] = {
    "found",    "blocked",  "loaded",  "starting", "running",
    "degraded", "stopping", "stopped", "failed",   "quarantined",
};

static const char *const event_names[CH_PLUGIN_EVENT_N] = {
    "block",   "load", "start",   "started",    "fail",  "degrade",
    "recover", "stop", "stopped", "quarantine", "reset",
};

/* clang-format off */
#define FND CH_PLUGIN_FOUND
#define BLK CH_PLUGIN_BLOCKED
#define LOD CH_PLUGIN_LOADED
#define STG CH_PLUGIN_STARTING
#define RUN CH_PLUGIN_RUNNING
#define DEG CH_PLUGIN_DEGRADED
#define STP CH_PLUGIN_STOPPING
#define STD CH_PLUGIN_STOPPED
#define FLD CH_PLUGIN_FAILED
#define QUA CH_PLUGIN_QUARANTINED
static const guint8 table[STATES][CH_PLUGIN_EVENT_N] = {
  /*           block load start started fail degrade recover stop stopped quarant. reset */
  /* found */ { BLK, LOD, NO,   NO,     NO,  NO,     NO,     NO,  NO,     QUA,     NO  },
  /* block */ { BLK, NO,  NO,   NO,     NO,  NO,     NO,     NO,  NO,     QUA,     FND },
  /* loadd */ { NO,  NO,  STG,  NO,     NO,  NO,     NO,     NO,  NO,     QUA,     FND },
  /* strtg */ { NO,  NO,  NO,   RUN,    FLD, STG,    STG,    NO,  NO,     NO,      NO  },
  /* runng */ { NO,  NO,  NO,   NO,     NO,  DEG,    RUN,    STP, NO,     NO,      NO  },
  /* degrd */ { NO,  NO,  NO,   NO,     NO,  DEG,    RUN,    STP, NO,     NO,      NO  },
  /* stopg */ { NO,  NO,  NO,   NO,     NO,  STP,    STP,    NO,  STD,    NO,      NO  },
  /* stopd */ { NO,  NO,  STG,  NO,     NO,  NO,     NO,     NO,  NO,     NO,      FND },
  /* faild */ { NO,  NO,  STG,  NO,     NO,  NO,     NO,     NO,  NO,     NO,      FND },
  /* quara */ { NO,  NO,  NO,   NO,     NO,  NO,     NO,     NO,  NO,     QUA,     FND },
};
/* clang-format on */

static guint row_of (ChPluginState state)
{
  for (guint i = 0; i < STATES; i++)
    if (states[i] == state)
      return i;
  g_assert_not_reached ();
}

const char *ch_plugin_state_name (ChPluginState state)
{
  return state_names[row_of (state)];
}

const char *ch_plugin_event_name (ChPluginEvent event)
{
  return event_names[event];
}

gboolean ch_plugin_state_step (ChPluginState state, ChPluginEvent event,
                               ChPluginState *next)
{
  guint8 cell = table[row_of (state)][event];

  if (cell == NO)
    return FALSE;
  *next = (ChPluginState) cell;
  return TRUE;
}
