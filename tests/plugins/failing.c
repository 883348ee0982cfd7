/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins whose start fails, each in its way. */
#include "poke.h"

static const ChTopic topic = {
    .size = sizeof (ChTopic),
    .name = "failing.never",
    .event_size = sizeof (HeardEvent),
    .fields = heard_fields,
    .lane = CH_LANE_STATE,
    .summary = "never",
};

static void never (ChPlugin *self, const ChTopic *heard, const ChEvent *event,
                   gpointer user_data)
{
  g_assert_not_reached ();
}

static gboolean start (ChPlugin *self, GError **error)
{
  /* What was registered before the failure must be gone after it. */
  ch_subscribe (self, "*", NULL, never, NULL);
  if (ch_topic_register (self, &topic, error) == NULL)
    return FALSE;
#if defined FAILING_TWICE
  return ch_topic_register (self, &topic, error) != NULL;
#elif defined FAILING_SILENT
  return FALSE;
#else
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_FAILED, "the meter is not there");
  return FALSE;
#endif
}

#define DEFINE(ident, ...) CH_PLUGIN_DEFINE (ident, __VA_ARGS__)
DEFINE (FAILING_IDENT, .name = FAILING_NAME, .summary = "Does not start",
        .version = "1.0.0", .license = "LGPL-2.1-or-later", .start = start)
